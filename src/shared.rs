//! The numbers that threads share: each with the one promise that its users rely on, and nothing
//! else of the atomics in sight.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib shared::models` tries the promises under every
//! interleaving and every reordering that the memory model allows (Norris and Demsky's CDSChecker,
//! as the crate `loom` has it).

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// The integer score that some thread of a search has found to be needed. It only rises; whoever
/// reads an older one lets more through, and never less.
#[derive(Debug)]
pub(crate) struct Floor(AtomicI32);

impl Floor {
    pub(crate) fn new() -> Self {
        Self(AtomicI32::new(0))
    }

    pub(crate) fn get(&self) -> i32 {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn raise(&self, needed: i32) {
        self.0.fetch_max(needed, Ordering::Relaxed);
    }
}

/// Bytes that may still be taken: all that is given out together is never more than there was.
#[derive(Debug)]
pub(crate) struct Allowance(AtomicU64);

impl Allowance {
    pub(crate) fn new(bytes: u64) -> Self {
        Self(AtomicU64::new(bytes))
    }

    /// Takes so many, if they are left.
    ///
    /// # Errors
    /// How many there are, where they are too few.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), u64> {
        let rest = |left: u64| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).map(drop)
    }

    /// Gives back what was taken.
    pub(crate) fn give(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// How far some work is: whoever looks sees never more steps done than there are, whatever the
/// order in which the two numbers reach it.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: AtomicU64,
    total: AtomicU64,
}

impl Steps {
    /// Says how many there are; before the first is done.
    pub(crate) fn expect(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn advance(&self, count: u64) {
        // Whoever sees these steps sees the total that was stored before them.
        self.done.fetch_add(count, Ordering::Release);
    }

    /// Steps done, and steps in all.
    pub(crate) fn seen(&self) -> (u64, u64) {
        let done = self.done.load(Ordering::Acquire);
        (done, self.total.load(Ordering::Relaxed))
    }
}

/// Raised once and never lowered: who has seen it raised sees it so from then on, and so does who
/// waited for the thread that raised it. It says nothing of what else that thread did.
#[derive(Debug, Default)]
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Held by one at a time, who sees all that those before did while they held it.
#[derive(Debug, Default)]
pub(crate) struct Claim(AtomicBool);

impl Claim {
    /// Whether it is the caller's now, who has to release it.
    pub(crate) fn take(&self) -> bool {
        self.0.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn release(&self) {
        self.0.store(false, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// Two shares of a search for the best `K` of scores, as `sparse::search` makes it: what is
    /// below the floor is passed over, and who has found `K` raises it to the worst of them.
    fn share(scores: &[i32], k: usize, floor: &Floor) -> Vec<i32> {
        let mut held: Vec<i32> = Vec::new();
        for &score in scores {
            if score < floor.get() {
                continue;
            }
            held.push(score);
            held.sort_unstable_by(|a, b| b.cmp(a));
            held.truncate(k);
            if held.len() == k {
                floor.raise(held[k - 1]);
            }
        }
        held
    }

    #[test]
    fn a_floor_loses_none_of_the_best() {
        for (k, left, right) in [
            (1, [3, 5, 4], [5, 1, 6]),
            (1, [7, 1, 1], [1, 1, 7]),
            (2, [9, 2, 8], [8, 3, 1]),
            (2, [4, 4, 4], [4, 4, 4]),
        ] {
            loom::model(move || {
                let floor = Arc::new(Floor::new());
                let there = Arc::clone(&floor);
                let other = thread::spawn(move || share(&right, k, &there));
                let mut found = share(&left, k, &floor);
                found.extend(other.join().unwrap());
                found.sort_unstable_by(|a, b| b.cmp(a));
                let mut all = [left, right].concat();
                all.sort_unstable_by(|a, b| b.cmp(a));
                assert_eq!(found[..k], all[..k]);
                assert!(floor.get() <= all[k - 1]);
            });
        }
    }

    #[test]
    fn a_floor_only_rises() {
        loom::model(|| {
            let floor = Arc::new(Floor::new());
            let there = Arc::clone(&floor);
            let other = thread::spawn(move || there.raise(5));
            floor.raise(3);
            let (before, after) = (floor.get(), floor.get());
            assert!(3 <= before && before <= after);
            other.join().unwrap();
            assert_eq!(floor.get(), 5);
        });
    }

    #[test]
    fn no_more_is_given_out_than_there_is() {
        loom::model(|| {
            let allowance = Arc::new(Allowance::new(10));
            let takers: Vec<_> = [6u64, 5]
                .map(|bytes| {
                    let allowance = Arc::clone(&allowance);
                    thread::spawn(move || allowance.take(bytes).map_or(0, |()| bytes))
                })
                .into_iter()
                .collect();
            let own = allowance.take(4).map_or(0, |()| 4);
            let taken: u64 = own + takers.into_iter().map(|t| t.join().unwrap()).sum::<u64>();
            assert!(taken <= 10, "{taken}");
            assert!(taken >= 9, "{taken}: somebody was refused what there was");
            assert_eq!(allowance.take(11 - taken), Err(10 - taken));
            allowance.give(taken);
            assert_eq!(allowance.take(10), Ok(()));
        });
    }

    #[test]
    fn no_more_steps_are_done_than_there_are() {
        loom::model(|| {
            let steps = Arc::new(Steps::default());
            let there = Arc::clone(&steps);
            let worker = thread::spawn(move || {
                there.expect(3);
                there.advance(1);
                there.advance(2);
            });
            let (done, total) = steps.seen();
            assert!(done <= total, "{done} of {total}");
            worker.join().unwrap();
            assert_eq!(steps.seen(), (3, 3));
        });
    }

    #[test]
    fn a_flag_that_was_seen_stays() {
        loom::model(|| {
            let flag = Arc::new(Flag::default());
            let there = Arc::clone(&flag);
            let worker = thread::spawn(move || there.raise());
            if flag.is_raised() {
                assert!(flag.is_raised());
            }
            worker.join().unwrap();
            assert!(flag.is_raised());
        });
    }

    #[test]
    fn one_at_a_time_holds_a_claim() {
        loom::model(|| {
            // Loom's cell fails a model in which two touch it at once.
            let shared = Arc::new((Claim::default(), loom::cell::Cell::new(0)));
            let there = Arc::clone(&shared);
            let work = |(claim, held): &(Claim, loom::cell::Cell<u32>)| {
                let taken = claim.take();
                if taken {
                    held.set(held.get() + 1);
                    claim.release();
                }
                taken
            };
            let other = thread::spawn(move || work(&there));
            let own = work(&shared);
            let taken = u32::from(own) + u32::from(other.join().unwrap());
            assert!(taken >= 1 && shared.1.get() == taken);
            assert!(shared.0.take() && !shared.0.take());
        });
    }
}
