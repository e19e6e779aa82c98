use lateen::outside::{Budget, pairwise_heap, pointwise};
use lateen::{AnchorScores, CurOptions, Error, Reranker};

use super::Wiki;
use super::{has_sparse, row_of};

/// Exact MaxSim as the expensive scorer: 40 queries are anchors, 20 are asked. With the same calls
/// the guesses find more of the true ten best than the first search alone.
#[test]
fn guesses_find_more_than_a_plain_rerank() {
    let wiki = Wiki::new(1);
    let (rows, _) = wiki.set.tokens.as_ref().unwrap();
    let score = |query: usize| -> Vec<f32> {
        let mut reranker = Reranker::new(wiki.matrix(query)).unwrap();
        (0..rows.len()).map(|at| reranker.score(rows.matrix(at)).unwrap()).collect()
    };
    let matrix: Vec<f32> = (0..40).flat_map(score).collect();
    let anchors = AnchorScores::new(&matrix, 40).unwrap();
    let (mut plain, mut guessed) = (0, 0);
    for query in 40..60 {
        let truth = score(query);
        let mut best: Vec<usize> = (0..truth.len()).collect();
        best.sort_by(|&a, &b| truth[b].total_cmp(&truth[a]));
        best.truncate(10);
        let first: Vec<(usize, f32)> = wiki
            .ask(&wiki.by_terms(query).top(400))
            .iter()
            .map(|&(row, score)| (usize::try_from(row).unwrap(), score))
            .collect();
        for (options, found) in
            [(CurOptions::calls(30).start(1.0), &mut plain), (CurOptions::calls(30), &mut guessed)]
        {
            let mut calls = 0;
            let outcome = anchors.search(&first, options, |document| {
                calls += 1;
                Ok::<_, Error>(truth[document])
            });
            let outcome = outcome.unwrap();
            assert!(calls <= 30 && outcome.calls == calls);
            let ten = outcome.scored.iter().take(10);
            *found += ten.filter(|entry| best.contains(&entry.0)).count();
        }
    }
    println!("of 200 true best: plain {plain}, guessed {guessed}");
    assert!(guessed > plain, "{guessed} of 200 instead of {plain}");
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
            exact.iter().find(|entry| entry.0 == row).map_or(f32::NEG_INFINITY, |entry| entry.1)
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
        let found = pairwise_heap(hits.len(), 5, calls, |a, b| Ok::<_, Error>(score(a) > score(b)));
        assert!(found.stopped.is_none());
        assert_eq!(first(&found.order)[..scored], rows[..scored]);
    }
}
