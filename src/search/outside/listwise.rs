//! Several candidates at a time.

use super::{Budget, Counter, Reordered, at_least_one};
use crate::error::{Fault, InputError, Result};
use crate::search::query::refuse;

/// Orders windows of `window` candidates from the last to the first, each `step` before the one
/// behind it (RankGPT, Sun et al. 2023). `order` is given the places in a window and gives them
/// back, best first. A pass carries the best `window − step` to the front; `passes` of them, so
/// many each. A pass over `count` candidates takes at most `⌈(count − window) / step⌉ + 1` calls.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input): a window of less than 2, a step of 0 or not below the
/// window, no passes; an answer that is not an order of the window.
pub fn listwise<E>(
    count: usize,
    window: usize,
    step: usize,
    passes: usize,
    budget: Budget,
    mut order: impl FnMut(&[usize]) -> Result<Vec<usize>, E>,
) -> Result<Reordered<E>> {
    if window < 2 {
        return Ok(refuse("window", window.to_string(), "2 or more")?);
    }
    if step == 0 || step >= window {
        let range = format!("1 or more, below the window of {window}");
        return Ok(refuse("step", step.to_string(), &range)?);
    }
    at_least_one("passes", passes, count)?;
    let mut counter = Counter::new(budget);
    let mut places: Vec<usize> = (0..count).collect();
    let mut done = 0;
    'passes: for _ in 0..passes {
        // What a pass brought to the front stays there; with one left there is nothing to order.
        if done + 1 >= count {
            break;
        }
        let mut end = count;
        while end > done + 1 {
            let start = end.saturating_sub(window).max(done);
            let Some(answer) = counter.call(|| order(&places[start..end])) else { break 'passes };
            check(&places[start..end], &answer)?;
            places[start..end].copy_from_slice(&answer);
            if start == done {
                break;
            }
            end -= step;
        }
        done = (done + (window - step)).min(count);
    }
    Ok(counter.finish(count, places))
}

/// The best `k` by a heap whose nodes have `group − 1` children: `best` is given the places of a
/// group and gives the best of them (setwise prompting, Zhuang et al. 2024).
/// Of `count` candidates it takes at most `count + k · (⌈log(count) / log(group − 1)⌉ + 1)` calls.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input): a `k` of 0, a group of less than 3 (two at a time is
/// [`pairwise_heap`](super::pairwise_heap)); an answer that is not of the group.
pub fn groupwise<E>(
    count: usize,
    k: usize,
    group: usize,
    budget: Budget,
    mut best: impl FnMut(&[usize]) -> Result<usize, E>,
) -> Result<Reordered<E>> {
    at_least_one("k", k, count)?;
    if group < 3 {
        return Ok(refuse("group", group.to_string(), "3 or more")?);
    }
    let children = group - 1;
    let mut counter = Counter::new(budget);
    let mut heap: Vec<usize> = (0..count).collect();
    let mut found = Vec::new();
    let mut sift = |heap: &mut [usize], mut at: usize, counter: &mut Counter<E>| -> Result<()> {
        loop {
            let first = children.saturating_mul(at).saturating_add(1);
            let last = first.saturating_add(children).min(heap.len());
            if first >= last {
                return Ok(());
            }
            let mut asked = vec![heap[at]];
            asked.extend_from_slice(&heap[first..last]);
            let Some(answer) = counter.call(|| best(&asked)) else { return Ok(()) };
            match asked.iter().position(|&place| place == answer) {
                Some(0) => return Ok(()),
                Some(child) => {
                    heap.swap(at, first + child - 1);
                    at = first + child - 1;
                }
                None => return malformed("a place that was not asked about"),
            }
        }
    };
    for at in (0..count.saturating_sub(1).div_ceil(children)).rev() {
        sift(&mut heap, at, &mut counter)?;
    }
    while found.len() < k && counter.stopped.is_none() && !heap.is_empty() {
        found.push(heap.swap_remove(0));
        if found.len() < k {
            sift(&mut heap, 0, &mut counter)?;
        }
    }
    Ok(counter.finish(count, found))
}

/// The best `k` by elimination: in each round the candidates that are left are ordered in groups
/// of `group`, neighbours together, and the best `k` of each group stay, until one group is left.
/// Nothing of the true best `k` is ever dropped. Takes one call for each group of each round.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input): a `k` of 0, a group that is not above `k`; an answer that
/// is not an order of the group.
pub fn elimination<E>(
    count: usize,
    k: usize,
    group: usize,
    budget: Budget,
    mut order: impl FnMut(&[usize]) -> Result<Vec<usize>, E>,
) -> Result<Reordered<E>> {
    at_least_one("k", k, count)?;
    if group <= k {
        return Ok(refuse("group", group.to_string(), &format!("above the k of {k}"))?);
    }
    let mut counter = Counter::new(budget);
    let mut left: Vec<usize> = (0..count).collect();
    let mut finished = count < 2;
    while !finished {
        let mut kept = Vec::new();
        finished = left.len() <= group;
        for asked in left.chunks(group) {
            if asked.len() == 1 {
                kept.extend_from_slice(asked);
                continue;
            }
            let Some(answer) = counter.call(|| order(asked)) else {
                // A round that is not done says nothing of those it did not come to.
                return Ok(counter.finish(count, left));
            };
            check(asked, &answer)?;
            kept.extend(answer.into_iter().take(if finished { asked.len() } else { k }));
        }
        left = kept;
    }
    Ok(counter.finish(count, left))
}

/// Whether an answer is an order of what was asked about.
fn check(asked: &[usize], answer: &[usize]) -> Result<()> {
    let (mut asked, mut answered) = (asked.to_vec(), answer.to_vec());
    asked.sort_unstable();
    answered.sort_unstable();
    if asked == answered { Ok(()) } else { malformed("not an order of the places asked about") }
}

fn malformed<T>(what: &str) -> Result<T> {
    let fault = Fault::File { what: what.to_owned() };
    Err(InputError::new("callback", fault).into())
}
