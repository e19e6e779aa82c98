//! Rerankers from outside: models that the engine does not run, called back.
//!
//! A strategy is given how many candidates there are, in their present order, a [`Budget`], and a
//! callback that judges candidates by their places in that order. It gives a new order of all
//! places. It never calls more often than the budget says.
//!
//! | strategy | the callback | calls, at most |
//! | --- | --- | --- |
//! | [`pointwise`] | scores one | depth |
//! | [`pairwise_heap`] | says which of two is better | 2n + 2k⌈log₂ n⌉ |
//! | [`pairwise_passes`] | says which of two is better | k(n − 1) |
//! | [`listwise`] | orders a window | passes · (⌈(n − w) / s⌉ + 1) |
//! | [`groupwise`] | picks the best of a group of c | n + k(⌈log₍c₋₁₎ n⌉ + 1) |
//! | [`elimination`] | orders a group of g | ⌈n / g⌉ + ⌈(k / g)⌈n / g⌉⌉ + … |
//!
//! What goes wrong outside is not an error of the search: where the callback fails, the time is up
//! or a flag is raised, the order is left as it was, and [`Reordered::stopped`] says why. Where the budget is used
//! up, what was found out until then counts. What is no judgement at all (a score that is not finite, an
//! order with a place missing) is an [`Error`](crate::Error), since it is a mistake in the callback. So
//! is a `k`, depth or number of passes of 0 where there are candidates, and a window, step or group
//! that orders nothing; one that asks for more than there are candidates asks for all.
//!
//! ```
//! use lateen::outside::{Budget, pairwise_heap};
//!
//! // A model that prefers longer texts.
//! let texts = ["a", "abcd", "ab", "abc"];
//! let found = pairwise_heap(texts.len(), 2, Budget::calls(20), |a, b| {
//!     Ok::<_, std::io::Error>(texts[a].len() > texts[b].len())
//! })?;
//! assert_eq!(found.order, [1, 3, 0, 2]);
//! assert!(found.calls <= 20 && found.stopped.is_none());
//! # Ok::<(), lateen::Error>(())
//! ```

mod listwise;
mod pairwise;
mod pointwise;

pub use listwise::{elimination, groupwise, listwise};
pub use pairwise::{pairwise_heap, pairwise_passes};
pub use pointwise::pointwise;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::InputError;
use crate::search::query::refuse;
use crate::stop::Stop;

/// What a strategy may use up.
#[derive(Clone, Debug)]
pub struct Budget {
    calls: usize,
    deadline: Option<Instant>,
    cancel: Option<Arc<AtomicBool>>,
}

impl Budget {
    /// So many calls; with 0 the order stays, and [`Stopped::Budget`] says why.
    pub fn calls(calls: usize) -> Self {
        Self { calls, deadline: None, cancel: None }
    }

    /// No call begins once the flag is raised; a call that ends after it is the last, and in vain.
    #[must_use]
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// No call begins after this time; a call that ends after it is the last, and in vain.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

/// Why a strategy ended before it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped<E> {
    /// The calls are used up. The order is what was found out until then.
    Budget,
    /// The time is up. The order is as it was.
    Deadline,
    /// The flag was raised. The order is as it was.
    Cancelled,
    /// The callback failed. The order is as it was.
    Failed(E),
}

/// An order of places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reordered<E> {
    /// The places of the candidates, each once, best first.
    pub order: Vec<usize>,
    /// How often the callback was called.
    pub calls: usize,
    /// Why the strategy ended early, where it did.
    pub stopped: Option<Stopped<E>>,
}

/// Counts calls and keeps the budget.
struct Counter<E> {
    budget: Budget,
    calls: usize,
    stopped: Option<Stopped<E>>,
}

impl<E> Counter<E> {
    fn new(budget: Budget) -> Self {
        Self { budget, calls: 0, stopped: None }
    }

    /// Makes a call, if there is one left; `None` where the strategy has to end.
    fn call<T>(&mut self, work: impl FnOnce() -> Result<T, E>) -> Option<T> {
        if self.stopped.is_some() {
            return None;
        }
        if self.calls >= self.budget.calls {
            self.stopped = Some(Stopped::Budget);
            return None;
        }
        self.stopped = self.ended();
        if self.stopped.is_some() {
            return None;
        }
        self.calls += 1;
        match work() {
            Ok(value) => {
                self.stopped = self.ended();
                self.stopped.is_none().then_some(value)
            }
            Err(error) => {
                self.stopped = Some(Stopped::Failed(error));
                None
            }
        }
    }

    /// The same for what takes time without a call.
    fn stop(&self) -> Stop {
        Stop::new(self.budget.deadline, self.budget.cancel.clone())
    }

    /// Why to end now, whatever the calls.
    fn ended(&self) -> Option<Stopped<E>> {
        let raised = |flag: &Arc<AtomicBool>| flag.load(Ordering::Relaxed);
        if self.budget.cancel.as_ref().is_some_and(raised) {
            return Some(Stopped::Cancelled);
        }
        let late = self.budget.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        late.then_some(Stopped::Deadline)
    }

    /// The places found best, then the others as they were; or all as they were.
    fn finish(self, count: usize, best: Vec<usize>) -> Reordered<E> {
        let order = match self.stopped {
            Some(Stopped::Deadline | Stopped::Cancelled | Stopped::Failed(_)) => {
                (0..count).collect()
            }
            None | Some(Stopped::Budget) => with_rest(count, best),
        };
        Reordered { order, calls: self.calls, stopped: self.stopped }
    }
}

/// These places, and behind them all others in their order.
fn with_rest(count: usize, best: Vec<usize>) -> Vec<usize> {
    let mut there = vec![false; count];
    for &place in &best {
        if let Some(there) = there.get_mut(place) {
            *there = true;
        }
    }
    let mut order = best;
    order.extend((0..count).filter(|&place| !there[place]));
    order
}

/// A number that must be 1 or more where there are candidates: of none, none are asked for.
fn at_least_one(name: &str, number: usize, candidates: usize) -> Result<(), InputError> {
    if number == 0 && candidates > 0 {
        return refuse(name, number.to_string(), "1 or more");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
