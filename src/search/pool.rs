//! Working memory that searches hand on to the next.

use crossbeam::queue::ArrayQueue;

use crate::search::Scratch;

/// Scratch memory kept for the next search; more threads than this make their own.
const POOLED: usize = 16;

/// The scratch memory of the searches of one snapshot, on however many threads.
#[derive(Debug)]
pub(crate) struct ScratchPool(ArrayQueue<Scratch>);

impl Default for ScratchPool {
    fn default() -> Self {
        Self(ArrayQueue::new(POOLED))
    }
}

impl ScratchPool {
    /// Lends scratch memory; what a panic interrupts is not handed on.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.0.pop().unwrap_or_default();
        let out = work(&mut scratch);
        drop(self.0.push(scratch)); // full: let it go
        out
    }

    /// How many wait to be lent.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.len()
    }
}
