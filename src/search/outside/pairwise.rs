//! Two candidates at a time (pairwise ranking prompting, Qin et al. 2024).

use super::{Budget, Counter, Reordered, at_least_one};
use crate::error::Result;

/// The best `k` by a heap over all candidates: `better(a, b)` says whether `a` is better than `b`.
/// 2n + 2k⌈log₂ n⌉ calls at most. Each judgement counts, so one that contradicts others costs
/// little; of equals, the earlier is asked about first.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input): a `k` of 0.
pub fn pairwise_heap<E>(
    count: usize,
    k: usize,
    budget: Budget,
    mut better: impl FnMut(usize, usize) -> Result<bool, E>,
) -> Result<Reordered<E>> {
    at_least_one("k", k, count)?;
    let mut counter = Counter::new(budget);
    let mut heap: Vec<usize> = (0..count).collect();
    let mut best = Vec::new();
    for at in (0..count / 2).rev() {
        sift(&mut heap, at, &mut counter, &mut better);
    }
    while best.len() < k && counter.stopped.is_none() && !heap.is_empty() {
        best.push(heap.swap_remove(0));
        if best.len() < k {
            sift(&mut heap, 0, &mut counter, &mut better);
        }
    }
    Ok(counter.finish(count, best))
}

/// Lets what stands at a place of the heap sink to where no child is better.
fn sift<E>(
    heap: &mut [usize],
    mut at: usize,
    counter: &mut Counter<E>,
    better: &mut impl FnMut(usize, usize) -> Result<bool, E>,
) {
    loop {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        let Some(&left_place) = heap.get(left) else { return };
        let mut child = left;
        if let Some(&right_place) = heap.get(right) {
            match counter.call(|| better(right_place, left_place)) {
                Some(true) => child = right,
                Some(false) => {}
                None => return,
            }
        }
        let (low, high) = (heap[child], heap[at]);
        match counter.call(|| better(low, high)) {
            Some(true) => heap.swap(at, child),
            _ => return,
        }
        at = child;
    }
}

/// The best `k` by `k` passes from the last candidate to the first, each of which carries the best
/// that is left to its place by comparing neighbours. k(n − 1) calls at most; with few calls, most
/// of the good of the first pass.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input): a `k` of 0.
pub fn pairwise_passes<E>(
    count: usize,
    k: usize,
    budget: Budget,
    mut better: impl FnMut(usize, usize) -> Result<bool, E>,
) -> Result<Reordered<E>> {
    at_least_one("k", k, count)?;
    let mut counter = Counter::new(budget);
    let mut order: Vec<usize> = (0..count).collect();
    'passes: for pass in 0..k.min(count) {
        for at in (pass + 1..count).rev() {
            let (low, high) = (order[at], order[at - 1]);
            match counter.call(|| better(low, high)) {
                Some(true) => order.swap(at, at - 1),
                Some(false) => {}
                None => break 'passes,
            }
        }
    }
    Ok(counter.finish(count, order))
}
