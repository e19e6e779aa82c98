//! What a filter was evaluated to, kept for the queries that come after.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use crate::docset::DocSet;
use crate::segment::Segment;

/// Most bytes of bitmaps that one filter keeps: one bit for each of 128 million documents.
const MOST: usize = 16 << 20;
/// How often a search tries for what another search is looking at, which it does for some tens of
/// nanoseconds: it waits for nobody, and does without.
const TRIES: usize = 64;

/// The documents of a segment that pass, live or not.
#[derive(Clone, Debug)]
pub(crate) struct Passing {
    pub(crate) set: Arc<DocSet>,
    /// How many.
    pub(crate) count: u32,
}

impl Passing {
    pub(super) fn new(set: Arc<DocSet>) -> Self {
        let count = set.count();
        Self { set, count }
    }

    /// About how many bytes it takes.
    fn bytes(&self) -> usize {
        size_of_val(self.set.words()).saturating_add(128)
    }
}

/// The bitmaps of the segments that were asked about. A segment never changes, so what passes of it
/// never does; a segment that is gone is never taken for another, since its place in memory is not
/// given away as long as this points there.
pub(super) struct Kept<S = Segment>(Arc<Mutex<Held<S>>>);

struct Held<S> {
    entries: Vec<(Weak<S>, Passing)>,
    bytes: usize,
    most: usize,
}

impl<S> Kept<S> {
    fn with_most(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Held { entries: Vec::new(), bytes: 0, most })))
    }

    fn hold(&self) -> Option<MutexGuard<'_, Held<S>>> {
        for _ in 0..TRIES {
            match self.0.try_lock() {
                Ok(held) => return Some(held),
                // Nothing in here can be left half done.
                Err(TryLockError::Poisoned(held)) => return Some(held.into_inner()),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
        None
    }

    pub(super) fn get(&self, segment: &Arc<S>) -> Option<Passing> {
        let held = self.hold()?;
        let own =
            |entry: &&(Weak<S>, Passing)| std::ptr::eq(entry.0.as_ptr(), Arc::as_ptr(segment));
        held.entries.iter().find(own).map(|entry| entry.1.clone())
    }

    /// Keeps what passes of a segment, as far as there is room beside the segments that there still
    /// are: those are what the next query asks about.
    pub(super) fn keep(&self, segment: &Arc<S>, passing: &Passing) {
        let Some(mut held) = self.hold() else { return };
        held.entries.retain(|(other, _)| {
            other.strong_count() > 0 && !std::ptr::eq(other.as_ptr(), Arc::as_ptr(segment))
        });
        held.bytes = held.entries.iter().map(|entry| entry.1.bytes()).sum();
        if held.bytes.saturating_add(passing.bytes()) <= held.most {
            held.bytes += passing.bytes();
            held.entries.push((Arc::downgrade(segment), passing.clone()));
        }
    }
}

impl<S> Default for Kept<S> {
    fn default() -> Self {
        Self::with_most(MOST)
    }
}

impl<S> Clone for Kept<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// It is no part of what a filter means.
impl<S> fmt::Debug for Kept<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(docs: u32, doc: u32) -> Passing {
        let mut set = DocSet::empty(docs);
        set.insert(doc);
        Passing::new(Arc::new(set))
    }

    #[test]
    fn each_segment_has_its_own_and_no_other() {
        let kept = Kept::default();
        let segments: Vec<Arc<u8>> = (0..5).map(Arc::new).collect();
        for (doc, segment) in (0..).zip(&segments) {
            assert!(kept.get(segment).is_none());
            kept.keep(segment, &passing(100, doc));
        }
        let shared = kept.clone();
        for (doc, segment) in (0..).zip(&segments) {
            let found = shared.get(segment).unwrap();
            assert_eq!((found.set.iter().collect::<Vec<_>>(), found.count), (vec![doc], 1));
        }
        assert!(kept.get(&Arc::new(0)).is_none());
        // Equal segments are not the same.
        assert!(kept.get(&Arc::new(*segments[0])).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded_and_goes_with_its_segment() {
        let one = passing(64_000, 1).bytes();
        let kept = Kept::with_most(3 * one);
        let mut segments: Vec<Arc<u8>> = (0..5).map(Arc::new).collect();
        let count = |segments: &[Arc<u8>]| {
            segments.iter().filter(|&segment| kept.get(segment).is_some()).count()
        };
        for segment in &segments {
            kept.keep(segment, &passing(64_000, 1));
            kept.keep(segment, &passing(64_000, 1)); // by another thread, too
        }
        assert_eq!(count(&segments), 3);
        assert!(kept.0.lock().unwrap().bytes <= 3 * one);
        segments.drain(..2);
        kept.keep(&segments[1], &passing(64_000, 1));
        kept.keep(&segments[2], &passing(64_000, 1));
        assert_eq!(count(&segments), 3);
        kept.keep(&Arc::new(7), &passing(1 << 24, 1));
        assert_eq!(kept.0.lock().unwrap().entries.len(), 3, "one that is larger than all");
    }

    #[test]
    fn nobody_is_waited_for() {
        let kept = Kept::default();
        let segment = Arc::new(1u8);
        kept.keep(&segment, &passing(100, 1));
        let held = kept.0.lock().unwrap();
        assert!(kept.get(&segment).is_none());
        kept.keep(&segment, &passing(100, 2));
        drop(held);
        assert_eq!(kept.get(&segment).unwrap().set.iter().next(), Some(1));
    }
}
