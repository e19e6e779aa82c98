//! Long lists put in order without losing sight of the clock: the best come into their places
//! first, so that whatever is there when the time is up is the true beginning of the whole order.

use std::cmp::Ordering;

use crate::stop::Stop;

/// Most hits of a search that had to end early: what is put in order, and merged by key, in a
/// fraction of a millisecond.
pub(crate) const MAX_CUT: usize = 1000;
/// Among so many the best [`MAX_CUT`] are found in such a time.
const LOOKED_AT: usize = 1 << 14;
/// What is sorted at once; also the comparisons between two looks at the clock.
const RUN: usize = 1 << 10;
/// Items whose median divides a part.
const SAMPLE: usize = 31;
/// Divisions of a list that may go amiss (the smaller side less than a sixteenth) before the rest
/// is sorted at once: only where items are equal, which a damaged file can bring about, or by design.
const AMISS: usize = 16;

/// Cuts a list to its best `want`, in order. Of equal items any may come first. Once the time is up
/// it is cut to at most [`MAX_CUT`]: the true first as far as they were known by then; where none
/// were, the best of those at the front of the list.
pub(crate) fn keep_best<T>(
    items: &mut Vec<T>,
    want: usize,
    stop: Option<&Stop>,
    order: impl Fn(&T, &T) -> Ordering,
) {
    if !stop.is_some_and(Stop::was_reached) {
        let known = in_order(items, want, stop, &order);
        if !stop.is_some_and(Stop::was_reached) {
            items.truncate(known);
            return;
        }
        if known > 0 {
            items.truncate(known.min(MAX_CUT));
            return;
        }
    }
    items.truncate(LOOKED_AT);
    let known = in_order(items, want.min(MAX_CUT), None, &order);
    items.truncate(known);
}

/// Brings the best `want` of a list to its front, in order. Gives how many of them are in their
/// places: fewer than that only where the time is up.
pub(crate) fn in_order<T>(
    items: &mut [T],
    want: usize,
    stop: Option<&Stop>,
    order: impl Fn(&T, &T) -> Ordering,
) -> usize {
    let want = want.min(items.len());
    let Some(stop) = stop.filter(|stop| stop.may_come() && items.len() > RUN) else {
        if want > 0 && want < items.len() {
            items.select_nth_unstable_by(want - 1, &order);
        }
        items[..want].sort_unstable_by(&order);
        return want;
    };
    // Where parts end, the first on top: nothing in a part stands behind anything in the next.
    let mut ends = vec![items.len()];
    let (mut known, mut amiss) = (0, 0);
    while let Some(&end) = ends.last()
        && known < want
    {
        if stop.reached() {
            return known;
        }
        let part = &mut items[known..end];
        if part.len() <= RUN || amiss > AMISS {
            part.sort_unstable_by(&order);
            known = end;
            ends.pop();
            continue;
        }
        let Some(at) = divide(part, stop, &order) else { return known };
        amiss += usize::from(is_amiss(at, part.len()));
        if at == 0 {
            known += 1;
        } else {
            ends.push(known + at);
        }
    }
    known.min(want)
}

/// Brings the best `want` of a list to its front, in any order; `false` where the time is up, and
/// nothing is known of what stands where.
pub(crate) fn in_front<T>(
    items: &mut [T],
    want: usize,
    stop: Option<&Stop>,
    order: impl Fn(&T, &T) -> Ordering,
) -> bool {
    // What stands before `start` is among the best, what stands behind `end` is not.
    let (mut start, mut end, mut amiss) = (0, items.len(), 0);
    if want >= end {
        return true;
    }
    if let Some(stop) = stop.filter(|stop| stop.may_come()) {
        while end - start > RUN && start < want && amiss <= AMISS {
            let part = &mut items[start..end];
            let Some(at) = divide(part, stop, &order) else { return false };
            amiss += usize::from(is_amiss(at, part.len()));
            if start + at < want {
                start += at + 1;
            } else {
                end = start + at;
            }
        }
    }
    if start < want && want < end {
        items[start..end].select_nth_unstable_by(want - start - 1, &order);
    }
    true
}

fn is_amiss(at: usize, len: usize) -> bool {
    at.min(len - at) < len / 16
}

/// Divides a part of more than [`SAMPLE`] items by one of them: what stands before it comes first.
/// Gives its place; `None` where the time is up.
fn divide<T>(part: &mut [T], stop: &Stop, order: &impl Fn(&T, &T) -> Ordering) -> Option<usize> {
    let step = part.len() / SAMPLE;
    (0..SAMPLE).for_each(|at| part.swap(at, at * step));
    part[..SAMPLE].sort_unstable_by(order);
    part.swap(0, SAMPLE / 2);
    let (middle, rest) = part.split_first_mut()?;
    let mut before = 0;
    for at in 0..rest.len() {
        if at % RUN == RUN - 1 && stop.reached() {
            return None;
        }
        if order(&rest[at], middle) == Ordering::Less {
            rest.swap(at, before);
            before += 1;
        }
    }
    part.swap(0, before);
    Some(before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    /// A stop that may come, and never does.
    fn never() -> Stop {
        Stop::new(None, Some(Arc::default()))
    }

    fn lists() -> Vec<Vec<u32>> {
        let mixed = |len: u32, of: u32| (0..len).map(move |at| at.wrapping_mul(2_654_435_761) % of);
        let mut lists: Vec<Vec<u32>> = vec![vec![], vec![3]];
        for len in [1023, 1025, 5000, 50_000] {
            lists.push(mixed(len, u32::MAX).collect());
            lists.push(mixed(len, 7).collect());
            lists.push((0..len).collect());
            lists.push((0..len).rev().collect());
            lists.push((0..len).map(|at| at.min(len - at)).collect());
            lists.push(vec![5; len as usize]);
        }
        lists
    }

    #[test]
    fn it_is_the_order_of_a_sort() {
        for list in lists() {
            let mut sorted = list.clone();
            sorted.sort_unstable();
            for want in [0, 1, 10, list.len() / 3, list.len(), list.len() + 5] {
                let best = &sorted[..want.min(list.len())];
                for stop in [None, Some(&Stop::default()), Some(&never())] {
                    let mut own = list.clone();
                    assert_eq!(in_order(&mut own, want, stop, u32::cmp), best.len());
                    assert!(own.starts_with(best), "{want} of {}", list.len());
                    let mut own = list.clone();
                    keep_best(&mut own, want, stop, u32::cmp);
                    assert!(own == best, "{want} of {}", list.len());
                    let mut own = list.clone();
                    assert!(in_front(&mut own, want, stop, u32::cmp));
                    own[..best.len()].sort_unstable();
                    assert!(own.starts_with(best), "{want} of {}", list.len());
                }
            }
        }
    }

    /// Ended after any number of comparisons, it compares little more than goes between two looks
    /// at the clock, and what is given is the true beginning.
    #[test]
    fn what_is_cut_is_the_beginning() {
        let list: Vec<u32> = (0..40_000u32).map(|at| at.wrapping_mul(2_654_435_761)).collect();
        let mut sorted = list.clone();
        sorted.sort_unstable();
        let (mut some, mut none) = (0, 0);
        for after in (0..700_000usize).step_by(9_001) {
            let flag = Arc::new(AtomicBool::new(false));
            let stop = Stop::new(None, Some(Arc::clone(&flag)));
            let made = Cell::new(0usize);
            let order = |a: &u32, b: &u32| {
                made.set(made.get() + 1);
                flag.store(made.get() > after, std::sync::atomic::Ordering::Relaxed);
                a.cmp(b)
            };
            let again = || {
                made.set(0);
                flag.store(false, std::sync::atomic::Ordering::Relaxed);
            };
            let mut own = list.clone();
            let known = in_order(&mut own, 30_000, Some(&stop), order);
            assert!(own[..known] == sorted[..known], "{after}");
            assert!(made.get() <= after + 16 * RUN, "{} after {after}", made.get() - after);
            assert_eq!(known < 30_000, stop.was_reached());
            some += usize::from(known > 0 && known < 30_000);
            none += usize::from(known == 0);

            let mut own = list.clone();
            again();
            let stop = Stop::new(None, Some(Arc::clone(&flag)));
            keep_best(&mut own, 30_000, Some(&stop), order);
            assert!(own.is_sorted() && !own.is_empty());
            assert_eq!(own.len() < 30_000, stop.was_reached());
            if known > 0 && stop.was_reached() {
                assert!(own[..] == sorted[..known.min(MAX_CUT)], "{after}");
            }
            again();
            let mut own = list.clone();
            let stop = Stop::new(None, Some(Arc::clone(&flag)));
            assert_eq!(in_front(&mut own, 900, Some(&stop), order), !stop.was_reached());
        }
        assert!(some > 10 && none > 1, "{some}, {none}");
    }
}
