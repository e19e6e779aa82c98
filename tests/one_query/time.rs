use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use lateen::{Certainty, Collapse, Diversify, Error, Feedback, Fusion, Query};

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

/// Cut anywhere, an answer says so, and has no hit that is not among the true ones with its true
/// score; only a search that was done before its time was up does not say so, and is whole.
#[test]
fn an_answer_that_is_cut_says_so_wherever_it_is_cut() {
    let wiki = Wiki::new(3);
    let (mut cut, mut whole) = (0, 0);
    for at in 0..20 {
        for (shape, query) in shapes(&wiki, at).into_iter().enumerate() {
            let begin = Instant::now();
            let free = wiki.index.search(&query).unwrap();
            let takes = begin.elapsed();
            for eighths in 0..8 {
                let deadline = Instant::now() + takes * eighths / 8;
                let held = wiki.index.search(&query.clone().deadline(deadline)).unwrap();
                if held.certainty() != Certainty::Incomplete {
                    assert_eq!(held.certainty(), free.certainty());
                    let bits = |hits: &[lateen::Hit]| -> Vec<_> {
                        hits.iter().map(|hit| (hit.key().clone(), hit.score().to_bits())).collect()
                    };
                    assert_eq!(bits(&held), bits(&free), "shape {shape}");
                    whole += 1;
                    continue;
                }
                cut += 1;
                // Fusions (6 and 7) are of lists as far as they had come.
                if matches!(shape, 6 | 7) {
                    continue;
                }
                for hit in &held {
                    let told = wiki.index.explain(&query, hit).unwrap().sum();
                    let score = hit.score();
                    let same = (told - score).abs() <= 1e-5 * score.abs();
                    assert!(same || !score.is_finite(), "shape {shape}: {score}, {told}");
                }
            }
        }
    }
    assert!(cut > 0, "{cut} cut, {whole} whole");
}

fn interrupted<T: std::fmt::Debug>(told: lateen::Result<T>, what: &str) {
    match told {
        Err(Error::Interrupted { what: said }) => assert_eq!(said, what),
        other => panic!("{what}: {other:?}"),
    }
}

/// Of what has no use in part, a part is never given: whatever the shape of the query.
#[test]
fn what_is_no_search_ends_in_time_too() {
    let wiki = Wiki::new(2);
    let raised = Arc::new(AtomicBool::new(true));
    let never = Arc::new(AtomicBool::new(false));
    for query in shapes(&wiki, 9) {
        let hits = wiki.index.search(&query).unwrap();
        let index = &wiki.index;
        let late = [query.clone().deadline(Instant::now()), query.clone().cancel(raised.clone())];
        for late in late {
            interrupted(index.explain(&late, &hits[0]), "explain");
            interrupted(index.facets_of(&late, &wiki.colour, 5), "facets");
            interrupted(index.expansion(&late), "expansion");
        }
        let later = Instant::now() + Duration::from_hours(1);
        let bound = query.clone().deadline(later).cancel(never.clone());
        let told = index.explain(&query, &hits[0]).unwrap();
        assert_eq!(index.explain(&bound, &hits[0]).unwrap(), told);
        assert_eq!(index.expansion(&bound).unwrap(), index.expansion(&query).unwrap());
        let counts = index.facets_of(&bound, &wiki.colour, 5).unwrap();
        assert_eq!(counts, index.facets_of(&query, &wiki.colour, 5).unwrap());
        // Another deadline is another chance.
        let again = bound.deadline(Instant::now()).deadline(later);
        assert_eq!(index.explain(&again, &hits[0]).unwrap(), told);
    }
    let filter = wiki.number.range(..40);
    let beside = wiki.by_terms(1).filter(filter.clone());
    let counts = wiki.index.facets_of(&beside, &wiki.colour, 9).unwrap();
    assert_eq!(counts, wiki.index.facets(Some(&filter), &wiki.colour, 9).unwrap());
    assert!(!counts.is_empty());
}

/// Cut anywhere, explanations and counts are whole or an error.
#[test]
fn an_explanation_is_whole_or_there_is_none() {
    let wiki = Wiki::new(3);
    let (mut cut, mut whole) = (0, 0);
    for at in 0..10 {
        for query in shapes(&wiki, at) {
            let hits = wiki.index.search(&query).unwrap();
            let begin = Instant::now();
            let truth = wiki.index.explain(&query, &hits[0]).unwrap();
            let takes = begin.elapsed();
            let counts = wiki.index.facets_of(&query, &wiki.colour, 9).unwrap();
            for eighths in 0..8 {
                let until = || query.clone().deadline(Instant::now() + takes * eighths / 8);
                match wiki.index.explain(&until(), &hits[0]) {
                    Ok(told) => {
                        assert_eq!(told, truth);
                        whole += 1;
                    }
                    Err(Error::Interrupted { .. }) => cut += 1,
                    Err(other) => panic!("{other}"),
                }
                match wiki.index.facets_of(&until(), &wiki.colour, 9) {
                    Ok(found) => assert_eq!(found, counts),
                    Err(Error::Interrupted { .. }) => cut += 1,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
    assert!(cut > 0, "{cut} cut, {whole} whole");
}
