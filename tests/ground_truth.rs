//! Real vectors against answers that were computed elsewhere: exact search must agree with them,
//! 8-bit rows must lose next to nothing.
//!
//! The committed set is always searched; larger ones are where `LATEEN_SETS` says.

#[path = "naive/set.rs"]
mod set;

use std::collections::HashSet;
use std::path::Path;

use lateen::{Certainty, Hits, Index, IndexWriter, Query};

use set::{Set, SetFields, Truth};

/// How far scores may differ: what another order of additions in 32 bits brings about.
const TOLERANCE: f32 = 1e-3;
/// Documents handed in at a time.
const CHUNK: usize = 2000;

/// Holds an answer of the best `k` to the truth.
fn agrees(what: &str, hits: &Hits, truth: &[(u64, f32)], k: usize) {
    let whole = truth.len() < 100; // else the 101st is not known
    let best = &truth[..k.min(truth.len())];
    assert_eq!(hits.len(), best.len(), "{what}: number of hits");
    assert_eq!(hits.certainty(), Certainty::Certified, "{what}");
    for (rank, (hit, &(row, score))) in hits.iter().zip(best).enumerate() {
        let off = (hit.score() - score).abs();
        assert!(off <= TOLERANCE, "{what}, rank {rank}: {} for {score}", hit.score());
        // Where neighbours are further off than scores may differ, the rank is certain.
        let before = rank == 0 || truth[rank - 1].1 - score > 2.0 * TOLERANCE;
        let after = truth.get(rank + 1).map_or(whole, |next| score - next.1 > 2.0 * TOLERANCE);
        if before && after {
            assert_eq!(hit.key().as_u64(), Some(row), "{what}, rank {rank}");
        }
    }
    // Whatever is clearly above the last is in.
    let found: HashSet<u64> = hits.iter().filter_map(|hit| hit.key().as_u64()).collect();
    assert_eq!(found.len(), hits.len(), "{what}: a document twice");
    let last = best.last().map_or(f32::INFINITY, |last| last.1);
    for (row, score) in best {
        assert!(score - last <= 2.0 * TOLERANCE || found.contains(row), "{what}: {row} missing");
    }
}

/// All queries of one kind, each for as many hits as `tops` says.
fn all_agree(index: &Index, what: &str, queries: &[Query], truth: &Truth, tops: &[usize]) {
    assert!(queries.len() <= truth.0.len() && !queries.is_empty());
    let known: usize = truth.0.iter().map(Vec::len).sum();
    assert!(known > 50 * truth.0.len(), "{what}: {known} true hits");
    for &k in tops {
        let asked: Vec<Query> = queries.iter().map(|query| query.clone().top(k).exact()).collect();
        let answers = index.search_batch(&asked, 2).unwrap();
        for (i, (hits, truth)) in answers.iter().zip(&truth.0).enumerate() {
            agrees(&format!("{what}, query {i}, top {k}"), hits, truth, k);
        }
    }
}

/// The share of the true ten best that is found, on average.
fn recall(index: &Index, queries: &[Query], truth: &Truth) -> f64 {
    let asked: Vec<Query> = queries.iter().map(|query| query.clone().top(10).exact()).collect();
    let answers = index.search_batch(&asked, 2).unwrap();
    let one = |(hits, truth): (&Hits, &Vec<(u64, f32)>)| {
        let best: HashSet<u64> = truth.iter().take(10).map(|&(row, _)| row).collect();
        let found = hits.iter().filter_map(|hit| hit.key().as_u64());
        found.filter(|row| best.contains(row)).count() as f64 / best.len() as f64
    };
    answers.iter().zip(&truth.0).map(one).sum::<f64>() / answers.len() as f64
}

/// Everything that a set has.
fn check(folder: &Path) {
    let set = Set::open(folder);
    let fields = SetFields::of(&set);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    // Small enough that the larger sets come in several segments.
    let options = IndexWriter::options().memory(48 << 20).threads(2);
    let mut writer = fields.writer(&path, options);
    set.add_to(&mut writer, &fields, CHUNK);
    writer.commit().unwrap();
    drop(writer);
    let index = Index::open(&path).unwrap();
    assert_eq!(index.len(), set.sparse.len() as u64);

    let sparse: Vec<Query> = (0..set.sparse_queries.len())
        .map(|i| Query::sparse(&fields.sparse, set.sparse_queries.row(i)).unwrap())
        .collect();
    all_agree(&index, "sparse", &sparse, &set.truth("gt_sparse"), &[10, 100]);

    let Some((_, token_queries)) = &set.tokens else { return };
    let ask = |field: &Option<lateen::TokenField>, rows: &set::Ragged, count: usize| {
        let field = field.as_ref().expect("the set has tokens");
        let query = |i| Query::tokens(field, rows.matrix(i)).unwrap();
        (0..count).map(query).collect::<Vec<Query>>()
    };
    let truth = set.truth("gt_maxsim");
    all_agree(
        &index,
        "maxsim",
        &ask(&fields.f16, token_queries, token_queries.len()),
        &truth,
        &[10, 100],
    );
    let found = recall(&index, &ask(&fields.int8, token_queries, token_queries.len()), &truth);
    assert!(found >= 0.99, "recall@10 of int8 is {found}");

    if let Some(long) = set.long_queries() {
        let truth = set.truth("gt_maxsim32");
        let count = long.len().min(50);
        all_agree(&index, "maxsim32", &ask(&fields.f16, &long, count), &truth, &[100]);
        let found = recall(&index, &ask(&fields.int8, &long, count), &truth);
        assert!(found >= 0.99, "recall@10 of int8, 32 query rows, is {found}");
    }
}

#[test]
fn wiki_mini() {
    check(&set::committed());
}

#[test]
fn wiki() {
    if let Some(folder) = set::larger("wiki") {
        check(&folder);
    }
}

#[test]
fn mixed() {
    if let Some(folder) = set::larger("mixed") {
        check(&folder);
    }
}
