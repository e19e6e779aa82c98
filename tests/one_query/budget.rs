use std::time::{Duration, Instant};

use lateen::outside::{
    Budget, Reordered, Stopped, elimination, groupwise, listwise, pairwise_heap, pairwise_passes,
    pointwise,
};
use lateen::{AnchorScores, CurOptions, Error, Reranker};

use super::Wiki;
use super::{has_sparse, row_of};

/// Exact MaxSim as the expensive scorer: each third of the queries is asked, the others, or some of
/// them, are anchors. With the same calls, few or many, the guesses find more of the true ten best
/// than the first search alone.
#[test]
fn guesses_find_more_than_a_plain_rerank() {
    let wiki = Wiki::new(1);
    let (rows, _) = wiki.set.tokens.as_ref().unwrap();
    let score = |query: usize| -> Vec<f32> {
        let mut reranker = Reranker::new(wiki.matrix(query)).unwrap();
        (0..rows.len()).map(|at| reranker.score(rows.matrix(at)).unwrap()).collect()
    };
    let scores: Vec<Vec<f32>> = (0..60).map(score).collect();
    let first: Vec<Vec<(usize, f32)>> = (0..60)
        .map(|query| {
            let found = wiki.ask(&wiki.by_terms(query).top(400));
            found.iter().map(|&(row, score)| (usize::try_from(row).unwrap(), score)).collect()
        })
        .collect();
    for (anchors, calls) in [10, 20, 40].into_iter().flat_map(|a| [20, 30, 50].map(|c| (a, c))) {
        let (mut plain, mut guessed) = (0, 0);
        for third in 0..3 {
            let (asked, others): (Vec<usize>, Vec<usize>) =
                (0..60).partition(|query| query % 3 == third);
            let matrix: Vec<f32> =
                others.iter().take(anchors).flat_map(|&query| scores[query].clone()).collect();
            let anchors = AnchorScores::new(&matrix, anchors).unwrap();
            for query in asked {
                let truth = &scores[query];
                let mut best: Vec<usize> = (0..truth.len()).collect();
                best.sort_by(|&a, &b| truth[b].total_cmp(&truth[a]));
                best.truncate(10);
                for (options, found) in [
                    (CurOptions::calls(calls).start(1.0), &mut plain),
                    (CurOptions::calls(calls), &mut guessed),
                ] {
                    let mut made = 0;
                    let outcome = anchors.search(&first[query], options, |document| {
                        made += 1;
                        Ok::<_, Error>(truth[document])
                    });
                    let outcome = outcome.unwrap();
                    assert!(made <= calls && outcome.calls == made);
                    let ten = outcome.scored.iter().take(10);
                    *found += ten.filter(|entry| best.contains(&entry.0)).count();
                }
            }
        }
        println!("{anchors} anchors, {calls} calls: plain {plain}, guessed {guessed} of 600");
        assert!(guessed > plain, "{anchors} anchors, {calls} calls: {guessed}, {plain} of 600");
    }
    assert!((0..400).any(|row| !has_sparse(row)));
}

/// MaxSim called back from outside gives the order that the engine gives.
#[test]
fn a_model_from_outside_orders_hits() {
    let wiki = Wiki::new(2);
    for query in 0..10 {
        let hits = wiki.index.search(&wiki.by_terms(query).top(30)).unwrap();
        let exact = wiki.ask(&wiki.by_tokens(query).top(400));
        let score = |at: usize| {
            let row = row_of(hits[at].key());
            exact
                .iter()
                .find(|entry| entry.0 == row)
                .map_or(f32::MIN, |entry| entry.1.max(f32::MIN))
        };
        let rerank = wiki.by_terms(query).rerank(&wiki.tokens, wiki.matrix(query)).unwrap();
        let want = wiki.ask(&rerank.candidates(30).top(5));
        let calls = Budget::calls(30);
        let found = pointwise(hits.len(), 30, calls, |at| Ok::<_, Error>(score(at))).unwrap();
        let first = |order: &[usize]| -> Vec<u64> {
            let hits = hits.reordered(order);
            hits.iter().take(want.len()).map(|hit| row_of(hit.key())).collect()
        };
        let rows: Vec<u64> = want.iter().map(|entry| entry.0).collect();
        let scored = want.iter().filter(|entry| entry.1.is_finite()).count();
        assert_eq!(first(&found.order)[..scored], rows[..scored]);
        let calls = Budget::calls(200);
        let better = |a, b| Ok::<_, Error>(score(a) > score(b));
        let found = pairwise_heap(hits.len(), 5, calls, better).unwrap();
        assert!(found.stopped.is_none());
        assert_eq!(first(&found.order)[..scored], rows[..scored]);
    }
}

/// What each call of an oracle does.
#[derive(Clone, Copy, PartialEq)]
enum Oracle {
    True,
    FailsAt(usize),
    /// Scores so, where it scores; orders and picks what it was not asked about.
    Scores(f32),
}

/// Every strategy with its stated number of calls, and how many were made. The oracle scores by
/// `truth`, and judges pairs, groups and windows by it.
fn strategies(
    truth: &[f32],
    k: usize,
    oracle: Oracle,
    budget: impl Fn(usize) -> Budget,
) -> Vec<(&'static str, usize, usize, lateen::Result<Reordered<&'static str>>)> {
    let n = truth.len();
    let ceil_log = |base: usize| (0u32..64).find(|&steps| base.pow(steps) >= n).unwrap() as usize;
    let made = std::cell::Cell::new(0);
    let judge = || {
        made.set(made.get() + 1);
        if oracle == Oracle::FailsAt(made.get()) { Err("down") } else { Ok(()) }
    };
    let score = |at: usize| if let Oracle::Scores(score) = oracle { score } else { truth[at] };
    let order = |asked: &[usize]| {
        judge()?;
        let mut order = asked.to_vec();
        order.sort_by(|&a, &b| truth[b].total_cmp(&truth[a]));
        if matches!(oracle, Oracle::Scores(_)) {
            order.fill(asked[0]);
        }
        Ok(order)
    };
    let better = |a: usize, b: usize| judge().map(|()| truth[a] > truth[b]);
    let mut out = Vec::new();
    let mut add = |name, stated, found| out.push((name, stated, made.take(), found));
    let found = pointwise(n, n, budget(n), |at| judge().map(|()| score(at)));
    add("pointwise", n, found);
    let stated = 2 * n + 2 * k * ceil_log(2);
    add("heap", stated, pairwise_heap(n, k, budget(stated), better));
    let stated = k * (n - 1);
    add("passes", stated, pairwise_passes(n, k, budget(stated), better));
    let (window, step) = (2 * k, k);
    let stated = n.saturating_sub(window).div_ceil(step) + 1;
    add("listwise", stated, listwise(n, window, step, 1, budget(stated), order));
    let group = 4;
    let stated = n + k * (ceil_log(group - 1) + 1);
    let pick = |asked: &[usize]| {
        order(asked).map(|order| match oracle {
            Oracle::Scores(_) => n,
            _ => order[0],
        })
    };
    add("groupwise", stated, groupwise(n, k, group, budget(stated), pick));
    let group = 2 * k;
    let (mut stated, mut left) = (1, n);
    while left > group {
        stated += left.div_ceil(group);
        left = k * left.div_ceil(group);
    }
    add("elimination", stated, elimination(n, k, group, budget(stated), order));
    out
}

/// Against an oracle without noise the true best come out within the stated calls, never more are
/// made than the budget has, and what goes wrong leaves the order and is said.
#[test]
fn every_strategy_keeps_its_word() {
    for (n, k) in [(100, 10), (57, 5), (200, 10), (1000, 20)] {
        let truth: Vec<f32> = (0..n).map(|at| ((at * 7919 + 13) % 100_003) as f32).collect();
        let mut best: Vec<usize> = (0..n).collect();
        best.sort_by(|&a, &b| truth[b].total_cmp(&truth[a]));
        let as_it_was: Vec<usize> = (0..n).collect();
        for (name, stated, made, found) in strategies(&truth, k, Oracle::True, Budget::calls) {
            let found = found.unwrap();
            assert!(found.order.starts_with(&best[..k]), "{name} of {n}");
            assert!(found.calls == made && made <= stated, "{name}: {made} of {stated}");
            assert_eq!(found.stopped, None, "{name} of {n}");
        }
        for part in [0, 1, 2, 5] {
            let short = |stated| Budget::calls(stated * part / 10);
            for (name, stated, made, found) in strategies(&truth, k, Oracle::True, short) {
                let found = found.unwrap();
                assert!(found.calls == made && made <= stated * part / 10, "{name}: {made}");
                let mut places = found.order;
                places.sort_unstable();
                assert_eq!(places, as_it_was, "{name}");
            }
        }
        for (name, _, made, found) in strategies(&truth, k, Oracle::FailsAt(3), Budget::calls) {
            let found = found.unwrap();
            assert_eq!((found.order, made), (as_it_was.clone(), 3), "{name}");
            assert_eq!(found.stopped, Some(Stopped::Failed("down")), "{name}");
        }
        let late = |calls| Budget::calls(calls).deadline(Instant::now());
        for (name, _, made, found) in strategies(&truth, k, Oracle::True, late) {
            let found = found.unwrap();
            assert_eq!((found.order, made), (as_it_was.clone(), 0), "{name}");
            assert_eq!(found.stopped, Some(Stopped::Deadline), "{name}");
        }
        for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for (name, _, _, found) in strategies(&truth, k, Oracle::Scores(score), Budget::calls) {
                // Whether one is better than another has no such answer.
                let can = !matches!(name, "heap" | "passes");
                assert_eq!(matches!(found, Err(Error::Input(_))), can, "{name}");
            }
        }
    }
}

/// A model that sleeps past the deadline is not asked again, and leaves the order as it was.
#[test]
fn a_call_that_ends_too_late_is_the_last() {
    let (n, wait) = (60, Duration::from_millis(2));
    let as_it_was: Vec<usize> = (0..n).collect();
    for strategy in 0..6 {
        let deadline = Instant::now() + 4 * wait;
        let budget = Budget::calls(1000).deadline(deadline);
        let ends = std::cell::RefCell::new(Vec::new());
        let sleep = || {
            std::thread::sleep(wait);
            ends.borrow_mut().push(Instant::now());
        };
        let reversed = |asked: &[usize]| {
            sleep();
            Ok::<_, ()>(asked.iter().rev().copied().collect())
        };
        let found = match strategy {
            0 => pointwise(n, n, budget, |at| {
                sleep();
                Ok::<_, ()>(at as f32)
            }),
            1 | 2 => {
                let better = |a: usize, b: usize| {
                    sleep();
                    Ok::<_, ()>(a > b)
                };
                let heap = strategy == 1;
                if heap {
                    pairwise_heap(n, 9, budget, better)
                } else {
                    pairwise_passes(n, 9, budget, better)
                }
            }
            3 => listwise(n, 4, 2, 1, budget, reversed),
            4 => elimination(n, 2, 4, budget, reversed),
            _ => groupwise(n, 9, 4, budget, |asked| {
                sleep();
                Ok::<_, ()>(asked[asked.len() - 1])
            }),
        };
        let (found, ends) = (found.unwrap(), ends.into_inner());
        assert_eq!(found.stopped, Some(Stopped::Deadline), "strategy {strategy}");
        assert_eq!((found.order, found.calls), (as_it_was.clone(), ends.len()));
        let last = ends.len() - 1;
        assert!(ends[..last].iter().all(|end| *end < deadline), "strategy {strategy}");
    }
}
