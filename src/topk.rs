//! Bounded selection of the best documents of a segment, with ties cut by key.

use std::cmp::Ordering;

use crate::id::{DocId, better};
use crate::ordered::{in_front, keep_best};
use crate::stop::Stop;

/// The order of a segment's documents by key, asked only where scores are equal.
pub(crate) trait KeyOrder: Sync {
    /// Compares the keys of two documents.
    fn cmp_keys(&self, a: DocId, b: DocId) -> Ordering;
}

/// A document with its score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scored {
    /// The document.
    pub(crate) doc: DocId,
    /// Its score.
    pub(crate) score: f32,
}

/// The best `k` of what is pushed, by (score descending, key ascending): a buffer of at most 2k
/// that is halved by selection when full, so a push costs O(1) amortised.
pub(crate) struct TopK<'a> {
    k: usize,
    keys: &'a dyn KeyOrder,
    buffer: Vec<Scored>,
    floor: f32,
    stop: Option<&'a Stop>,
}

impl std::fmt::Debug for TopK<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopK").field("k", &self.k).field("held", &self.buffer.len()).finish()
    }
}

impl<'a> TopK<'a> {
    /// Keeps the best `k` (at least 1). `floor` is a score below which (strictly) nothing can
    /// matter to the caller; `f32::NEG_INFINITY` where there is none.
    pub(crate) fn new(k: usize, floor: f32, keys: &'a dyn KeyOrder) -> Self {
        let k = k.max(1);
        Self { k, keys, buffer: Vec::new(), floor, stop: None }
    }

    /// The same for a search that may have to end early.
    pub(crate) fn until(mut self, stop: &'a Stop) -> Self {
        self.stop = Some(stop);
        self
    }

    /// When the search has to end early.
    pub(crate) fn stop(&self) -> Option<&'a Stop> {
        self.stop
    }

    /// Whether to end now, with what there is.
    pub(crate) fn stopped(&self) -> bool {
        self.stop.is_some_and(Stop::reached)
    }

    /// An empty one of the same kind, for a part of what this one is for.
    pub(crate) fn part(&self) -> Self {
        Self { buffer: Vec::new(), ..*self }
    }

    /// How many are kept.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// The score that a document must reach (equal is enough) to have a chance.
    pub(crate) fn floor(&self) -> f32 {
        self.floor
    }

    /// Offers a document.
    pub(crate) fn push(&mut self, doc: DocId, score: f32) {
        if score.total_cmp(&self.floor) == Ordering::Less {
            return;
        }
        self.buffer.push(Scored { doc, score });
        if self.buffer.len() >= 2 * self.k + 16 {
            self.shrink();
        }
    }

    /// Cuts the buffer to the best `k` and raises the floor to the k-th score.
    pub(crate) fn shrink(&mut self) {
        if self.buffer.len() < self.k {
            return;
        }
        let keys = self.keys;
        let order =
            |a: &Scored, b: &Scored| better(a.score, b.score, || keys.cmp_keys(a.doc, b.doc));
        let known = in_front(&mut self.buffer, self.k, self.stop, order);
        self.buffer.truncate(self.k);
        if !known {
            return; // there is no time to know the best
        }
        if let Some(worst) = self.buffer.iter().map(|hit| hit.score).min_by(f32::total_cmp)
            && worst.total_cmp(&self.floor) == Ordering::Greater
        {
            self.floor = worst;
        }
    }

    /// The best `k`, in order; of a search that had to end early, no more than can be put in order
    /// at once ([`keep_best`]).
    pub(crate) fn finish(mut self) -> Vec<Scored> {
        let keys = self.keys;
        let order =
            |a: &Scored, b: &Scored| better(a.score, b.score, || keys.cmp_keys(a.doc, b.doc));
        keep_best(&mut self.buffer, self.k, self.stop, order);
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Reversed;
    impl KeyOrder for Reversed {
        fn cmp_keys(&self, a: DocId, b: DocId) -> Ordering {
            b.cmp(&a)
        }
    }

    #[test]
    fn ties_are_cut_by_key() {
        let mut top = TopK::new(3, f32::NEG_INFINITY, &Reversed);
        for doc in 0..1000 {
            top.push(doc, if doc == 500 { 2.0 } else { 1.0 });
        }
        let docs: Vec<_> = top.finish().iter().map(|hit| hit.doc).collect();
        assert_eq!(docs, [500, 999, 998]);
    }

    #[test]
    fn floor_keeps_equals() {
        let mut top = TopK::new(2, 1.0, &Reversed);
        top.push(1, 0.5);
        top.push(2, 1.0);
        assert_eq!(top.finish(), [Scored { doc: 2, score: 1.0 }]);
    }
}
