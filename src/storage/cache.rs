//! What is held of files that are read by position: parts that nobody is reading go when there is
//! no more room, those first that were not used for longest.
//!
//! A part that is handed out is never taken back: it is held as long as the [`Reading`] that has
//! touched it. So what is held at any moment is at most the larger of two: what the cache may hold,
//! and what those that are reading at that moment have touched, of which each may touch as much as
//! the cache may hold.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::Aligned;
use crate::error::{Error, Result};
use crate::shared::Allowance;

/// Where a part lies: the number of its file, its offset, its length.
pub(super) type Place = (u64, u64, u64);

/// The parts of all files of an index that are held.
pub(crate) struct Cache {
    most: u64,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    parts: BTreeMap<Place, Kept>,
    /// Of all parts, and of those that are being read.
    bytes: u64,
    /// Rises with each use.
    now: u64,
    files: u64,
    #[cfg(test)]
    peak: u64,
}

struct Kept {
    content: Arc<Aligned>,
    used: u64,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cache({} of {} bytes)", self.held(), self.most)
    }
}

impl Cache {
    /// Holds so many bytes at most, beside what is being read.
    pub(crate) fn new(most: u64) -> Self {
        Self { most, held: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> u64 {
        self.lock().bytes
    }

    /// The most bytes that were ever held.
    #[cfg(test)]
    pub(crate) fn peak(&self) -> u64 {
        self.lock().peak
    }

    /// A number for a file, which no other of the cache has.
    pub(super) fn number(&self) -> u64 {
        let mut held = self.lock();
        held.files += 1;
        held.files
    }

    /// The part of a place, which `load` reads where it is not there. Nothing is locked meanwhile;
    /// where two read the same, the first to have it counts.
    pub(super) fn part(
        &self,
        place: Place,
        load: impl FnOnce() -> Result<Aligned>,
    ) -> Result<Arc<Aligned>> {
        let bytes = place.2;
        {
            let mut held = self.lock();
            if let Some(content) = held.find(place) {
                return Ok(content);
            }
            held.shrink(self.most.saturating_sub(bytes));
            held.take(bytes);
        }
        let loaded = load();
        let mut held = self.lock();
        let known = held.find(place);
        match (loaded, known) {
            (Ok(content), None) => {
                let content = Arc::new(content);
                held.now += 1;
                let kept = Kept { content: Arc::clone(&content), used: held.now };
                held.parts.insert(place, kept);
                Ok(content)
            }
            (Ok(_), Some(content)) => {
                held.give(bytes);
                Ok(content)
            }
            (Err(error), _) => {
                held.give(bytes);
                Err(error)
            }
        }
    }

    /// Lets go of a file that is closed.
    pub(super) fn forget(&self, file: u64) {
        let mut held = self.lock();
        let own = (file, 0, 0)..=(file, u64::MAX, u64::MAX);
        let places: Vec<Place> = held.parts.range(own).map(|(place, _)| *place).collect();
        for place in places {
            held.remove(place);
        }
    }
}

impl Held {
    fn find(&mut self, place: Place) -> Option<Arc<Aligned>> {
        let kept = self.parts.get_mut(&place)?;
        self.now += 1;
        kept.used = self.now;
        Some(Arc::clone(&kept.content))
    }

    fn take(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        #[cfg(test)]
        {
            self.peak = self.peak.max(self.bytes);
        }
    }

    fn give(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn remove(&mut self, place: Place) {
        if self.parts.remove(&place).is_some() {
            self.give(place.2);
        }
    }

    /// Lets go of parts that nobody reads until so many bytes are left, or only what is read.
    fn shrink(&mut self, most: u64) {
        if self.bytes <= most {
            return;
        }
        // Handed out only under the lock, so one that is here alone stays alone meanwhile.
        let idle = self.parts.iter().filter(|(_, kept)| Arc::strong_count(&kept.content) == 1);
        let mut idle: Vec<(u64, Place)> = idle.map(|(place, kept)| (kept.used, *place)).collect();
        idle.sort_unstable();
        for (_, place) in idle {
            if self.bytes <= most {
                break;
            }
            self.remove(place);
        }
    }
}

/// Somebody who reads for a while, such as a search: what has been touched stays until the end,
/// and the first failure is kept, since what was made of the bytes is worth nothing then.
pub(crate) struct Reading {
    cache: Arc<Cache>,
    /// What may still be touched.
    left: Allowance,
    fault: OnceLock<Error>,
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reading({:?})", self.fault.get())
    }
}

impl Reading {
    pub(super) fn new(cache: &Arc<Cache>) -> Self {
        let left = Allowance::new(cache.most);
        Self { cache: Arc::clone(cache), left, fault: OnceLock::new() }
    }

    /// Takes bytes of what may be touched.
    pub(super) fn take(&self, bytes: u64) -> io::Result<()> {
        take(&self.left, bytes)
    }

    /// Gives back what could not be read.
    pub(super) fn give(&self, bytes: u64) {
        self.left.give(bytes);
    }

    /// Keeps a failure, if it is the first.
    pub(super) fn failed(&self, error: Error) {
        let _ = self.fault.set(error);
    }

    /// The first failure, if there was one.
    pub(super) fn fault(&self) -> Option<Error> {
        self.fault.get().map(|fault| match fault {
            Error::Corrupt(corrupt) => Error::Corrupt(corrupt.clone()),
            Error::Io { op, place, source } => {
                let again = io::Error::new(source.kind(), source.to_string());
                Error::io(op, place.clone(), again)
            }
            other => Error::io("read", "", io::Error::other(other.to_string())),
        })
    }

    /// What was made of the bytes, unless some of them could not be read.
    ///
    /// # Errors
    /// The first failure to read, else that of what was made.
    pub(crate) fn ends<T>(&self, made: Result<T>) -> Result<T> {
        self.fault().map_or(made, Err)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // What was read for it has been let go by now, see `Part`.
        self.cache.lock().shrink(self.cache.most);
    }
}

/// Takes bytes of what is allowed.
pub(crate) fn take(allowance: &Allowance, bytes: u64) -> io::Result<()> {
    allowance.take(bytes).map_err(|left| {
        let what = format!("{bytes} bytes, more than are left of what is allowed: {left}");
        io::Error::new(io::ErrorKind::FileTooLarge, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(cache: &Cache, at: u64) -> Arc<Aligned> {
        cache.part((1, at, 64), || Ok(Aligned::copy_of(&[at as u8; 64]))).unwrap()
    }

    fn held(cache: &Cache) -> Vec<u64> {
        cache.lock().parts.keys().map(|(_, at, _)| *at).collect()
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first_and_what_is_read_stays() {
        let cache = Cache::new(3 * 64);
        let first = load(&cache, 0);
        (1..3).for_each(|at| drop(load(&cache, at)));
        load(&cache, 1);
        assert_eq!((held(&cache), cache.held()), (vec![0, 1, 2], 192));
        load(&cache, 3);
        assert_eq!(held(&cache), [0, 1, 3], "1 was used after 2, and 0 is being read");
        let more: Vec<_> = [1, 3, 4, 5].map(|at| load(&cache, at)).into();
        assert_eq!((held(&cache), cache.held()), (vec![0, 1, 3, 4, 5], 320), "all are read");
        assert_eq!((first.as_slice()[0], more[3].as_slice()[63]), (0, 5));
        drop((first, more));
        drop(Reading::new(&Arc::new(Cache::new(0))));
        cache.lock().shrink(128);
        assert_eq!((held(&cache), cache.held(), cache.peak()), (vec![4, 5], 128, 320));
        let other = cache.part((2, 4, 64), || Ok(Aligned::copy_of(&[9; 64]))).unwrap();
        cache.forget(1);
        assert_eq!((held(&cache), cache.held(), other.as_slice()[0]), (vec![4], 64, 9));
    }

    #[test]
    fn a_read_that_failed_holds_nothing_and_is_tried_again() {
        let cache = Arc::new(Cache::new(100));
        let fail = || Err(Error::io("read", "here", io::Error::other("gone")));
        assert!(cache.part((1, 0, 64), fail).is_err());
        assert_eq!((held(&cache), cache.held()), (vec![], 0));
        assert_eq!(load(&cache, 0).as_slice(), [0; 64]);
        let reading = Reading::new(&cache);
        reading.take(60).unwrap();
        assert_eq!(reading.take(60).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        reading.failed(Error::io("read", "here", io::Error::other("gone")));
        reading.failed(Error::io("read", "there", io::Error::other("gone too")));
        let told = reading.ends(Ok(())).unwrap_err().to_string();
        assert!(told.contains("here") && !told.contains("there"), "{told}");
    }
}
