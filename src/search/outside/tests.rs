//! Against an oracle without noise: the true order, within the calls that are promised.

use std::time::{Duration, Instant};

use super::*;
use crate::error::Error;

/// Scores in no order, all different.
fn scores(count: usize, seed: usize) -> Vec<f32> {
    let step = [7919, 104_729, 15_485_863][seed % 3];
    (0..count).map(|at| ((at * step + seed) % 1_000_003) as f32).collect()
}

fn best(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

#[allow(clippy::unnecessary_wraps, reason = "called where a reranker is, which may fail")]
fn sorted(scores: &[f32], asked: &[usize]) -> Result<Vec<usize>, ()> {
    let mut order = asked.to_vec();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    Ok(order)
}

fn is_permutation(order: &[usize], count: usize) {
    let mut order = order.to_vec();
    order.sort_unstable();
    assert_eq!(order, (0..count).collect::<Vec<_>>());
}

fn log(base: usize, count: usize) -> usize {
    let (mut reach, mut steps) = (1usize, 0);
    while reach < count {
        reach *= base;
        steps += 1;
    }
    steps
}

#[test]
fn passes_that_can_find_nothing_more_are_not_made() {
    let scores = scores(50, 1);
    let order = |asked: &[usize]| sorted(&scores, asked);
    let found = listwise(50, 20, 10, usize::MAX, Budget::calls(1000), order).unwrap();
    assert!(found.stopped.is_none() && found.order == best(&scores), "{found:?}");
}

#[test]
fn every_strategy_finds_the_true_best_within_its_calls() {
    for count in [0, 1, 2, 3, 10, 57, 100] {
        for seed in 0..3 {
            let scores = scores(count, seed);
            let truth = best(&scores);
            for k in [1, 5, 10, 100] {
                let wanted = &truth[..k.min(count)];
                let bound = 2 * count + 2 * k.min(count) * log(2, count);
                let better = |a: usize, b: usize| Ok::<_, ()>(scores[a] > scores[b]);
                let heap = pairwise_heap(count, k, Budget::calls(bound), better).unwrap();
                assert!(heap.stopped.is_none() && heap.calls <= bound, "{count} {k}: {heap:?}");
                assert!(heap.order.starts_with(wanted));
                let bound = k.min(count) * count.saturating_sub(1);
                let passes = pairwise_passes(count, k, Budget::calls(bound), better).unwrap();
                assert!(passes.stopped.is_none() && passes.order.starts_with(wanted));
                for group in [3, 5, 20] {
                    let bound = count + k.min(count) * (log(group - 1, count) + 1);
                    let pick = |asked: &[usize]| Ok::<_, ()>(sorted(&scores, asked)?[0]);
                    let found =
                        groupwise(count, k, group, Budget::calls(bound.max(1)), pick).unwrap();
                    assert!(found.stopped.is_none(), "{count} {k} {group}: {found:?}");
                    assert!(found.order.starts_with(wanted), "{count} {k} {group}");
                    is_permutation(&found.order, count);
                }
                let (window, step) = (20, 10);
                let rounds = k.min(count).div_ceil(window - step).max(1);
                let each = count.saturating_sub(window).div_ceil(step) + 1;
                let all = Budget::calls(rounds * each);
                let ask = |asked: &[usize]| sorted(&scores, asked);
                let listed = listwise(count, window, step, rounds, all, ask).unwrap();
                assert!(listed.stopped.is_none(), "{count} {k}: {listed:?}");
                assert!(listed.order.starts_with(wanted), "{count} {k}");
                let group = 2 * k + 1;
                let (mut calls, mut left) = (0, count);
                while left > group {
                    let groups = left.div_ceil(group);
                    calls += groups;
                    left = (left / group) * k + (left % group).min(k);
                }
                let found = elimination(count, k, group, Budget::calls(calls + 1), ask).unwrap();
                assert!(found.stopped.is_none(), "{count} {k}: {found:?}");
                assert!(found.order.starts_with(wanted), "{count} {k}");
                for order in [&heap.order, &passes.order, &listed.order, &found.order] {
                    is_permutation(order, count);
                }
            }
            let point = pointwise(count, count, Budget::calls(count), |at| Ok::<_, ()>(scores[at]));
            assert_eq!(point.unwrap().order, truth);
        }
    }
}

#[test]
fn no_strategy_goes_over_its_budget_and_what_it_found_counts() {
    let scores = scores(50, 1);
    for calls in 0..60 {
        let mut made = [0usize; 5];
        let budget = || Budget::calls(calls);
        let all = [
            pointwise(50, 50, budget(), |at| {
                made[0] += 1;
                Ok::<_, ()>(scores[at])
            })
            .unwrap(),
            pairwise_heap(50, 10, budget(), |a, b| {
                made[1] += 1;
                Ok(scores[a] > scores[b])
            })
            .unwrap(),
            pairwise_passes(50, 10, budget(), |a, b| {
                made[2] += 1;
                Ok(scores[a] > scores[b])
            })
            .unwrap(),
            listwise(50, 5, 1, 100, budget(), |asked| {
                made[3] += 1;
                sorted(&scores, asked)
            })
            .unwrap(),
            groupwise(50, 50, 3, budget(), |asked| {
                made[4] += 1;
                Ok(sorted(&scores, asked)?[0])
            })
            .unwrap(),
        ];
        for (found, made) in all.iter().zip(made) {
            assert!(found.calls <= calls && found.calls == made);
            is_permutation(&found.order, 50);
        }
    }
    let few = pointwise(5, 5, Budget::calls(2), |at| Ok::<_, ()>(at as f32)).unwrap();
    assert_eq!((few.order, few.stopped), (vec![1, 0, 2, 3, 4], Some(Stopped::Budget)));
}

#[test]
fn failures_and_lateness_leave_the_order() {
    let as_it_was: Vec<usize> = (0..9).collect();
    let fails = |calls: &mut usize| {
        *calls += 1;
        if *calls < 3 { Ok(()) } else { Err("down") }
    };
    let mut calls = 0;
    let found = pairwise_passes(9, 3, Budget::calls(99), |a, b| fails(&mut calls).map(|()| a > b));
    let found = found.unwrap();
    assert_eq!((found.order, found.stopped), (as_it_was.clone(), Some(Stopped::Failed("down"))));
    let mut calls = 0;
    let found = pointwise(9, 9, Budget::calls(99), |at| fails(&mut calls).map(|()| at as f32));
    let found = found.unwrap();
    assert_eq!((found.order, found.calls), (as_it_was.clone(), 3));
    let soon = Instant::now() + Duration::from_millis(20);
    let slow = |_: usize, _: usize| {
        std::thread::sleep(Duration::from_millis(30));
        Ok::<_, ()>(true)
    };
    let found = pairwise_heap(9, 3, Budget::calls(99).deadline(soon), slow).unwrap();
    assert_eq!((found.order, found.stopped), (as_it_was.clone(), Some(Stopped::Deadline)));
    // Raised during the fourth call.
    let flag = Arc::new(AtomicBool::new(false));
    let mut calls = 0;
    let found = pairwise_passes(9, 3, Budget::calls(99).cancel(Arc::clone(&flag)), |a, b| {
        calls += 1;
        flag.store(calls == 4, Ordering::Relaxed);
        Ok::<_, ()>(a > b)
    });
    let found = found.unwrap();
    assert_eq!((found.order, found.calls), (as_it_was, 4));
    assert_eq!(found.stopped, Some(Stopped::Cancelled));
}

#[test]
fn what_is_no_judgement_is_an_error() {
    let budget = || Budget::calls(99);
    let input = |result: crate::Result<Reordered<()>>| matches!(result, Err(Error::Input(_)));
    assert!(input(pointwise(3, 3, budget(), |_| Ok(f32::NAN))));
    assert!(input(listwise(3, 1, 1, 1, budget(), |asked| Ok(asked.to_vec()))));
    assert!(input(listwise(3, 3, 3, 1, budget(), |asked| Ok(asked.to_vec()))));
    assert!(input(listwise(3, 3, 1, 1, budget(), |_| Ok(vec![0, 0, 1]))));
    assert!(input(groupwise(3, 1, 2, budget(), |asked| Ok(asked[0]))));
    assert!(input(groupwise(3, 1, 3, budget(), |_| Ok(7))));
    assert!(input(elimination(9, 3, 3, budget(), |asked| Ok(asked.to_vec()))));
    assert!(input(elimination(9, 1, 3, budget(), |_| Ok(vec![]))));
}
