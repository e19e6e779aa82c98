use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use lateen::{Certainty, Collapse, Diversify, Feedback, Fusion, Query};

use super::Wiki;

/// Every shape of query.
fn shapes(wiki: &Wiki, at: usize) -> Vec<Query> {
    let parts = || [wiki.by_terms(at), wiki.by_tokens(at)];
    vec![
        wiki.by_terms(at),
        wiki.by_tokens(at),
        wiki.by_terms(at).filter(wiki.number.eq(0)),
        wiki.by_tokens(at).filter(wiki.colour.eq("red")),
        wiki.by_terms(at).rerank(&wiki.tokens, wiki.matrix(at)).unwrap(),
        Query::union(parts(), &wiki.tokens, wiki.matrix(at)).unwrap(),
        Query::fused(Fusion::default(), parts()).unwrap(),
        Query::fused(Fusion::Weighted(vec![1.0, 1.0]), parts()).unwrap(),
        wiki.by_terms(at).feedback(Feedback::default()),
        wiki.by_tokens(at).feedback(Feedback::default()),
        wiki.by_tokens(at).diversify(Diversify::new(&wiki.tokens, 0.5)),
        wiki.by_tokens(at).collapse(Collapse::keyword(&wiki.colour)),
    ]
}

#[test]
fn time_that_is_up_leaves_an_incomplete_answer() {
    let wiki = Wiki::new(2);
    let raised = Arc::new(AtomicBool::new(true));
    for (at, query) in shapes(&wiki, 7).into_iter().enumerate() {
        let past = wiki.index.search(&query.clone().deadline(Instant::now())).unwrap();
        let stopped = wiki.index.search(&query.clone().cancel(Arc::clone(&raised))).unwrap();
        for hits in [past, stopped] {
            assert_eq!(hits.certainty(), Certainty::Incomplete, "shape {at}");
            assert!(!hits.complete() && hits.is_empty(), "shape {at}");
        }
    }
}

#[test]
fn time_enough_changes_nothing() {
    let wiki = Wiki::new(2);
    let flag = Arc::new(AtomicBool::new(false));
    for query in shapes(&wiki, 12) {
        let free = wiki.index.search(&query).unwrap();
        let later = Instant::now() + Duration::from_hours(1);
        let bound = query.deadline(later).cancel(Arc::clone(&flag));
        let held = wiki.index.search(&bound).unwrap();
        let bits = |hits: &[lateen::Hit]| -> Vec<_> {
            hits.iter().map(|hit| (hit.key().clone(), hit.score().to_bits())).collect()
        };
        assert_eq!(bits(&free), bits(&held));
        assert!(held.complete() && free.certainty() == held.certainty());
    }
}
