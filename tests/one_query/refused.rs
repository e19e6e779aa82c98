//! What is no number to ask with: each is an error that names what was asked, the value, and what
//! would have been taken.

use lateen::outside::{
    Budget, elimination, groupwise, listwise, pairwise_heap, pairwise_passes, pointwise,
};
use lateen::{
    AnchorScores, Collapse, CurOptions, Diversify, Effort, Error, Feedback, Filter, Fusion, Query,
    Schema,
};

use super::Wiki;

/// Who was refused, in words.
#[track_caller]
fn refused<T>(told: lateen::Result<T>, words: &str) {
    match told {
        Err(Error::Input(error)) => assert_eq!(error.to_string(), words),
        Err(other) => panic!("{other} instead of {words}"),
        Ok(_) => panic!("taken instead of {words}"),
    }
}

#[test]
fn numbers_of_a_query() {
    let wiki = Wiki::new(1);
    let by_terms = || wiki.by_terms(3);
    let rerank = || by_terms().rerank(&wiki.tokens, wiki.matrix(3)).unwrap();
    let union =
        || Query::union([by_terms(), wiki.by_tokens(3)], &wiki.tokens, wiki.matrix(3)).unwrap();
    let fused = |fusion| Query::fused(fusion, [by_terms(), wiki.by_tokens(3)]);
    let rrf = || fused(Fusion::default()).unwrap();
    let back = Feedback::default;
    let apart = |lambda| Diversify::new(&wiki.tokens, lambda);
    let colour = || Collapse::keyword(&wiki.colour);
    let nan = f32::NAN;
    let no_terms =
        "tokens: to keep the heaviest terms is outside what a field of tokens can be asked for";
    let cases: Vec<(Query, &str)> = vec![
        (by_terms().top(0), "top: 0 is outside 1..=10000"),
        (by_terms().top(10_001), "top: 10001 is outside 1..=10000"),
        (union().top(0), "top: 0 is outside 1..=10000"),
        (rrf().top(0), "top: 0 is outside 1..=10000"),
        (rerank().candidates(0), "candidates: 0 is outside 1..=1000000"),
        (union().candidates(0), "candidates: 0 is outside 1..=1000000"),
        (rrf().candidates(1_000_001), "candidates: 1000001 is outside 1..=1000000"),
        (by_terms().at_least(nan), "at_least: NaN is outside any number"),
        (union().at_least(nan), "at_least: NaN is outside any number"),
        (by_terms().after(nan, "a"), "after: NaN is outside any number"),
        (by_terms().effort(Effort::Recall(0.0)), "recall: 0 is outside above 0, at most 1"),
        (union().effort(Effort::Recall(nan)), "recall: NaN is outside above 0, at most 1"),
        (by_terms().effort(Effort::Level(nan)), "effort: NaN is outside 0 to 1"),
        (rrf().effort(Effort::Level(-0.1)), "effort: -0.1 is outside 0 to 1"),
        (by_terms().prune(0, 1.0), "prune terms: 0 is outside 1 or more"),
        (by_terms().prune(5, nan), "prune mass: NaN is outside above 0, at most 1"),
        (by_terms().prune(5, 0.0), "prune mass: 0 is outside above 0, at most 1"),
        (by_terms().prune(5, 1.5), "prune mass: 1.5 is outside above 0, at most 1"),
        // What was refused once is not mended by what comes after.
        (by_terms().prune(0, 1.0).prune(5, 1.0), "prune terms: 0 is outside 1 or more"),
        (union().prune(3, -1.0), "prune mass: -1 is outside above 0, at most 1"),
        (wiki.by_tokens(3).prune(0, 1.0), "prune terms: 0 is outside 1 or more"),
        (wiki.by_tokens(3).prune(5, 1.0), no_terms),
        (wiki.by_tokens(3).rerank(&wiki.tokens, wiki.matrix(3)).unwrap().prune(5, 1.0), no_terms),
        (
            Query::fused(Fusion::default(), [wiki.by_tokens(3), wiki.by_tokens(4)])
                .unwrap()
                .prune(5, 1.0),
            no_terms,
        ),
        (by_terms().feedback(back().docs(0)), "feedback docs: 0 is outside 1..=100"),
        (by_terms().feedback(back().docs(101)), "feedback docs: 101 is outside 1..=100"),
        (by_terms().feedback(back().terms(1001)), "feedback terms: 1001 is outside 0..=1000"),
        (by_terms().feedback(back().rows(1001)), "feedback rows: 1001 is outside 0..=1000"),
        (
            union().feedback(back().weight(nan)),
            "feedback weight: NaN is outside above 0, at most 10",
        ),
        (
            by_terms().feedback(back().weight(0.0)),
            "feedback weight: 0 is outside above 0, at most 10",
        ),
        (by_terms().diversify(apart(nan)), "lambda: NaN is outside 0 to 1"),
        (by_terms().diversify(apart(-0.5)), "lambda: -0.5 is outside 0 to 1"),
        (by_terms().diversify(apart(0.5).pool(0)), "pool: 0 is outside 1..=10000"),
        (by_terms().diversify(apart(0.5).pool(10_001)), "pool: 10001 is outside 1..=10000"),
        (by_terms().collapse(colour().inside(1001)), "inside: 1001 is outside 0..=1000"),
        (by_terms().collapse(colour().pool(1_000_001)), "pool: 1000001 is outside 0..=1000000"),
    ];
    for (query, words) in cases {
        refused(wiki.index.search(&query), words);
        refused(wiki.index.search_batch(std::slice::from_ref(&query), 2), words);
        refused(wiki.index.facets_of(&query, &wiki.colour, 5), words);
        refused(wiki.index.expansion(&query), words);
        let hits = wiki.index.search(&by_terms()).unwrap();
        refused(wiki.index.explain(&query, &hits[0]), words);
    }
    let weights = |weights: &[f32]| fused(Fusion::Weighted(weights.to_vec()));
    refused(weights(&[1.0, nan]), "weight: NaN is outside finite");
    refused(weights(&[1.0]), "fusion: weights beside the queries: 1, expected 2");
    let ranks = |k| fused(Fusion::ReciprocalRank { k });
    refused(ranks(nan), "k: NaN is outside finite, 0 or more");
    refused(ranks(-1.0), "k: -1 is outside finite, 0 or more");
    refused(Query::fused(Fusion::default(), []), "fusion: empty: no query to fuse");
    refused(wiki.index.facets(None, &wiki.colour, 0), "most: 0 is outside 1 or more");
    refused(wiki.index.facets_of(&by_terms(), &wiki.colour, 0), "most: 0 is outside 1 or more");
    // Documented not to be errors: no terms and no rows are none added, no threads are one, a pool
    // of none is the usual one, and all the candidates that there are.
    let plain = wiki.ask(&by_terms());
    assert_eq!(wiki.ask(&by_terms().feedback(back().terms(0).rows(0))), plain);
    assert_eq!(wiki.ask(&by_terms().threads(0)), plain);
    let usual = wiki.ask(&by_terms().collapse(colour()));
    assert_eq!(wiki.ask(&by_terms().collapse(colour().pool(0).inside(0))), usual);
    assert_eq!(wiki.ask(&by_terms().prune(usize::MAX, 1.0)), plain);
    // One sparse vector is enough, and it alone is pruned.
    let both = |terms: Query| {
        wiki.ask(&Query::fused(Fusion::default(), [wiki.by_tokens(3), terms]).unwrap())
    };
    let few = Query::fused(Fusion::default(), [wiki.by_tokens(3), by_terms()]).unwrap();
    assert_eq!(wiki.ask(&few.prune(5, 1.0)), both(by_terms().prune(5, 1.0)));
    assert_ne!(both(by_terms().prune(5, 1.0)), both(by_terms()));
    assert!(!wiki.ask(&rerank().candidates(1_000_000)).is_empty());
}

#[test]
fn numbers_that_are_none_pass_no_filter() {
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let price = schema.f64("price");
    let schema = schema.build().unwrap();
    let index = lateen::IndexWriter::in_memory(schema.clone()).unwrap().reader().unwrap();
    let nan = f64::NAN;
    let words = "price: NaN is outside what a filter can ask for: any other number";
    for filter in [
        price.eq(nan),
        price.range(nan..),
        price.range(..=nan),
        !price.any_of([1.0, nan]),
        price.exists() & (price.eq(1.0) | price.eq(-nan)),
        Filter::all([Filter::any([price.range(0.0..nan)])]),
    ] {
        let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
        refused(index.search(&query.filter(filter)), words);
    }
    let infinite = price.range(f64::NEG_INFINITY..=f64::INFINITY);
    let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
    assert!(index.search(&query.filter(infinite)).unwrap().is_empty());
    assert!(matches!(Filter::parse(&schema, "price < nan"), Err(Error::Input(_))));
}

#[test]
fn numbers_of_a_reranker() {
    let budget = || Budget::calls(50);
    let same = |asked: &[usize]| Ok::<_, ()>(asked.to_vec());
    let first = |asked: &[usize]| Ok::<_, ()>(asked[0]);
    refused(pointwise(5, 0, budget(), |_| Ok::<_, ()>(0.0)), "depth: 0 is outside 1 or more");
    for score in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
        let words = format!("score of the callback, position 0: {score} is not finite");
        refused(pointwise(5, 5, budget(), |_| Ok::<_, ()>(score)), &words);
    }
    refused(pairwise_heap(5, 0, budget(), |_, _| Ok::<_, ()>(true)), "k: 0 is outside 1 or more");
    refused(pairwise_passes(5, 0, budget(), |_, _| Ok::<_, ()>(true)), "k: 0 is outside 1 or more");
    refused(listwise(5, 0, 1, 1, budget(), same), "window: 0 is outside 2 or more");
    refused(listwise(5, 1, 1, 1, budget(), same), "window: 1 is outside 2 or more");
    let step = "step: 0 is outside 1 or more, below the window of 4";
    refused(listwise(5, 4, 0, 1, budget(), same), step);
    let step = "step: 4 is outside 1 or more, below the window of 4";
    refused(listwise(5, 4, 4, 1, budget(), same), step);
    refused(listwise(5, 4, 2, 0, budget(), same), "passes: 0 is outside 1 or more");
    refused(groupwise(5, 0, 3, budget(), first), "k: 0 is outside 1 or more");
    refused(groupwise(5, 2, 0, budget(), first), "group: 0 is outside 3 or more");
    refused(groupwise(5, 2, 2, budget(), first), "group: 2 is outside 3 or more");
    refused(elimination(5, 0, 3, budget(), same), "k: 0 is outside 1 or more");
    refused(elimination(5, 2, 0, budget(), same), "group: 0 is outside above the k of 2");
    refused(elimination(5, 2, 2, budget(), same), "group: 2 is outside above the k of 2");
    // Of no candidates all of them are in order; of fewer than asked for, all are ordered.
    assert!(pointwise(0, 0, budget(), |_| Ok::<_, ()>(0.0)).unwrap().order.is_empty());
    assert!(pairwise_heap(0, 0, budget(), |_, _| Ok::<_, ()>(true)).unwrap().order.is_empty());
    assert!(elimination(0, 0, 3, budget(), same).unwrap().order.is_empty());
    let all = pairwise_heap(4, 99, budget(), |a, b| Ok::<_, ()>(a > b)).unwrap();
    assert_eq!((all.order, all.stopped), (vec![3, 2, 1, 0], None));
    // No calls are no error: the order stays, and it is said why.
    let none = pairwise_passes(4, 2, Budget::calls(0), |a, b| Ok::<_, ()>(a > b)).unwrap();
    assert_eq!((none.order, none.calls), (vec![0, 1, 2, 3], 0));
    assert_eq!(none.stopped, Some(lateen::outside::Stopped::Budget));
}

#[test]
fn numbers_of_guessed_scores() {
    let matrix = [1.0f32, 2.0, 3.0, 4.0];
    let anchors = AnchorScores::new(&matrix, 2).unwrap();
    let calls = CurOptions::calls;
    let ask = |options| anchors.search(&[(0, 1.0)], options, |_| Ok::<_, ()>(1.0));
    refused(ask(calls(0)), "calls: 0 is outside 1..=2000");
    refused(ask(calls(2001)), "calls: 2001 is outside 1..=2000");
    refused(ask(calls(1).start(0.0)), "start: 0 is outside above 0, at most 1");
    refused(ask(calls(1).start(f32::NAN)), "start: NaN is outside above 0, at most 1");
    refused(ask(calls(1).rounds(0)), "rounds: 0 is outside 1..=100");
    refused(ask(calls(1).rounds(101)), "rounds: 101 is outside 1..=100");
    refused(ask(calls(1).ridge(0.0)), "ridge: 0 is outside above 0");
    refused(ask(calls(1).ridge(f32::NAN)), "ridge: NaN is outside above 0");
    refused(ask(calls(1).ridge(f32::INFINITY)), "ridge: inf is outside above 0");
    refused(AnchorScores::new(&matrix, 0), "anchor scores: empty: no anchors or no documents");
    refused(AnchorScores::new(&[], 1), "anchor scores: empty: no anchors or no documents");
    refused(
        AnchorScores::new(&matrix, 3),
        "anchor scores: 4 values are no whole number of rows of 3",
    );
    let first = |first: &[(usize, f32)]| anchors.search(first, calls(1), |_| Ok::<_, ()>(1.0));
    refused(first(&[(2, 1.0)]), "first, row 0: 2 is not in 0..=1");
    refused(first(&[(1, f32::NAN)]), "first, row 0: NaN is not finite");
    refused(first(&[(1, 1.0), (1, 1.0)]), "first, row 1: given twice");
    let nan = anchors.search(&[(0, 1.0)], calls(1), |_| Ok::<_, ()>(f32::NAN));
    refused(nan, "score of the callback, row 0: NaN is not finite");
}
