//! When a search has to end before it is done: a deadline, or a flag that somebody raises.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::shared::Flag;

/// Asked now and then by everything that takes longer than a fraction of a millisecond.
#[derive(Debug, Default)]
pub(crate) struct Stop {
    deadline: Option<Instant>,
    flag: Option<Arc<AtomicBool>>,
    /// Whether the answer was yes once: from then on it is.
    reached: Flag,
}

impl Stop {
    /// Ends at the deadline, or once the flag is raised, whichever comes first.
    pub(crate) fn new(deadline: Option<Instant>, flag: Option<Arc<AtomicBool>>) -> Self {
        Self { deadline, flag, reached: Flag::default() }
    }

    /// Whether it can ever be time to end.
    pub(crate) fn may_come(&self) -> bool {
        self.deadline.is_some() || self.flag.is_some()
    }

    /// Whether it is time to end. A search that is told so leaves something out.
    pub(crate) fn reached(&self) -> bool {
        if !self.may_come() {
            return false;
        }
        let raised = || self.flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
        let late = || self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let reached = self.was_reached() || raised() || late();
        if reached {
            self.reached.raise();
        }
        reached
    }

    /// Lets go of something that holds so many things: where the time is up and they are many on a
    /// thread of its own, since to give memory back takes longer than there is.
    pub(crate) fn let_go(&self, large: impl Send + 'static, things: usize) {
        const MANY: usize = 1 << 16;
        if things >= MANY && self.was_reached() {
            // A thread that cannot be made lets go of it here.
            let _ = std::thread::Builder::new().spawn(move || drop(large));
        }
    }

    /// Whether anything was left out.
    pub(crate) fn was_reached(&self) -> bool {
        self.reached.is_raised()
    }
}
