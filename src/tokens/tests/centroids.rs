//! Candidates over centroids: what they find, what is guaranteed of it, and that nothing else
//! decides it.

use super::keep::Joined;
use super::*;
use crate::schema::Centroids;

fn with_centroids(dim: usize, codec: TokenCodec, count: u32) -> TokenOptions {
    options(dim, codec).centroids(Centroids::Count(count))
}

fn ask(
    store: &TokenStore,
    kernels: &crate::kernel::Kernels,
    query: &[f32],
    effort: TokenEffort,
    alive: Option<&DocSet>,
) -> (bool, Vec<Scored>) {
    let packed = TokenQuery::new(query.to_vec(), store.dim());
    let mut top = TopK::new(10, f32::NEG_INFINITY, &Backwards);
    let mut scratch = TokenScratch::default();
    let outcome = store.search(&packed, kernels, effort, alive, &mut top, &mut scratch).unwrap();
    (outcome.certified, top.finish())
}

/// A query of rows near those of a document.
fn near(docs: &[Doc], doc: usize, rows: usize, dim: usize, numbers: &mut Numbers) -> Vec<f32> {
    let rows = &docs[doc].rows[..docs[doc].rows.len().min(rows * dim)];
    rows.iter().map(|x| x + 0.1 * numbers.unit()).collect()
}

#[test]
fn candidates_hold_what_was_measured_and_scores_are_exact() {
    let dim = 32;
    let count = 1500;
    let docs = documents(61, count, dim);
    for codec in [TokenCodec::Int8, TokenCodec::F16] {
        let store = store(&docs, with_centroids(dim, codec, 300));
        store.verify().unwrap();
        let (view, curve) = store.centroids().unwrap();
        assert_eq!(view.rows.len(), 300);
        assert!(curve.is_sorted_by_key(|point| point.shortlist));
        assert!(curve.last().unwrap().recall_10 > 0.99, "more than there are documents");
        assert!(curve[0].recall_10 < curve[4].recall_10);
        let mut alive = DocSet::full(count as u32);
        (0..count as u32).filter(|doc| doc % 7 == 3).for_each(|doc| alive.remove(doc));
        let mut numbers = Numbers(62);
        let (mut held, mut all, mut uncertain) = (0, 0, 0);
        for round in 0..40 {
            let doc = (round * 31..count).find(|&d| !docs[d].rows.is_empty());
            let query = near(&docs, doc.unwrap(), 1 + round % 20, dim, &mut numbers);
            let alive = (round % 2 == 0).then_some(&alive);
            let (certified, truth) = ask(&store, best(), &query, TokenEffort::Exact, alive);
            assert!(certified);
            let (certified, found) = ask(&store, best(), &query, TokenEffort::Recall(0.9), alive);
            uncertain += usize::from(!certified);
            assert_eq!(found.len(), 10);
            for hit in &found {
                assert!(alive.is_none_or(|alive| alive.contains(hit.doc)));
                assert_eq!(Some(hit.score), naive_score(&store, &query, hit.doc));
            }
            held += truth.iter().filter(|hit| found.contains(hit)).count();
            all += truth.len();
            for kernels in available() {
                for effort in [TokenEffort::Recall(0.9), TokenEffort::Level(0.0)] {
                    let one = ask(&store, best(), &query, effort, alive);
                    assert_eq!(one, ask(&store, kernels, &query, effort, alive));
                }
            }
            for effort in [TokenEffort::Recall(1.0), TokenEffort::Level(1.0)] {
                assert_eq!(ask(&store, best(), &query, effort, alive), (true, truth.clone()));
            }
        }
        assert!(held as f64 / all as f64 > 0.7, "{held} of {all}");
        assert_eq!(uncertain, 40, "candidates are no proof");
    }
}

#[test]
fn few_documents_are_all_looked_at() {
    let dim = 16;
    let docs = documents(63, 300, dim);
    let store = store(&docs, with_centroids(dim, TokenCodec::Int8, 64));
    let query = near(&docs, 5, 4, dim, &mut Numbers(64));
    let mut alive = DocSet::empty(300);
    for doc in [5, 77, 200, 299] {
        alive.insert(doc);
    }
    let exact = ask(&store, best(), &query, TokenEffort::Exact, Some(&alive));
    assert_eq!(ask(&store, best(), &query, TokenEffort::Recall(0.5), Some(&alive)), exact);
    // A query with more rows than tables are made for.
    let long = Numbers(65).row(200 * dim);
    assert!(ask(&store, best(), &long, TokenEffort::Recall(0.5), None).0);
    // Nothing to tell documents apart by.
    let (_, found) = ask(&store, best(), &vec![0.0; dim], TokenEffort::Level(0.0), None);
    assert_eq!(found.len(), 10);
}

#[test]
fn many_documents_of_one_row() {
    // More than 65,536, so that the lists are wide.
    let dim = 8;
    let mut numbers = Numbers(66);
    let docs: Vec<Doc> = (0..66_000).map(|_| Doc { rows: numbers.row(dim), spans: None }).collect();
    let store = store(&docs, with_centroids(dim, TokenCodec::Int8, 100));
    store.verify().unwrap();
    let query = docs[65_999].rows.clone();
    let (certified, found) = ask(&store, best(), &query, TokenEffort::Level(0.9), None);
    assert!(!certified && found.len() == 10);
    for hit in found {
        assert_eq!(Some(hit.score), naive_score(&store, &query, hit.doc));
    }
}

#[test]
fn very_many_centroids_are_met_by_groups() {
    let dim = 8;
    let mut numbers = Numbers(69);
    let count = 20_000;
    let docs: Vec<Doc> =
        (0..count).map(|_| Doc { rows: numbers.row(2 * dim), spans: None }).collect();
    // Packed rows, so that a row in the wrong place would be another row.
    let options = with_centroids(dim, TokenCodec::Residual4, 16_384).tier(TokenTier::F16);
    let first = store(&docs, options.clone());
    // A merge keeps them and groups them anew.
    let source = Joined::new(&[&first], |_, doc| doc % 50 == 7);
    let write = |threads| {
        let packing = (threads, Packing::Now(u64::MAX));
        container(|out| write_tokens(&source, &options, 3, packing, out))
    };
    let merged = write(2);
    assert_eq!(sections(&merged), sections(&write(1)));
    let left = u32::try_from(source.docs()).unwrap();
    let merged = TokenStore::open(&merged, 3, left, &options).unwrap().unwrap();
    assert_eq!(merged.drift().unwrap().0.to_bits(), first.drift().unwrap().0.to_bits());
    for (store, at) in [(&first, 0), (&merged, 1)] {
        store.verify().unwrap();
        let (view, curve) = store.centroids().unwrap();
        assert!(view.groups.is_some() && view.rows.len() == 16_384);
        assert!(curve.iter().any(|point| point.recall_10 > 0.97), "{curve:?}");
        let (mut held, mut all) = (0, 0);
        for doc in (0..20_000).step_by(1_000) {
            let query = near(&docs, doc, 2, dim, &mut numbers);
            let truth = ask(store, best(), &query, TokenEffort::Exact, None).1;
            let found = ask(store, best(), &query, TokenEffort::Recall(0.95), None);
            for kernels in available() {
                assert_eq!(ask(store, kernels, &query, TokenEffort::Recall(0.95), None), found);
            }
            assert!(!found.0);
            held += truth.iter().filter(|hit| found.1.contains(hit)).count();
            all += truth.len();
        }
        assert!(held * 10 >= all * 9, "{at}: {held} of {all}");
    }
}

#[test]
fn strange_rows_get_centroids_too() {
    let dim = 8;
    for row in [vec![0.0; dim], vec![0.5; dim], vec![60_000.0; dim]] {
        let docs = vec![Doc { rows: row.repeat(3), spans: None }; 50];
        for count in [1, 7, 65_536] {
            let store = store(&docs, with_centroids(dim, TokenCodec::F16, count));
            store.verify().unwrap();
            let (_, found) = ask(&store, best(), &row, TokenEffort::Level(0.0), None);
            assert_eq!(found.len(), 10);
        }
    }
}

#[test]
fn threads_do_not_show_in_centroids() {
    let dim = 16;
    let docs = documents(67, 1200, dim);
    for codec in [TokenCodec::Int8, TokenCodec::F16] {
        let field = field(with_centroids(dim, codec, 280));
        let order: Vec<u32> = (0..1200).collect();
        let column = column(&docs, &field, 2);
        let write = |threads| {
            sections(&container(|out| {
                column.write(&order, 0, (threads, Packing::Now(u64::MAX)), out)
            }))
        };
        let one = write(1);
        assert_eq!(one.len(), if codec == TokenCodec::Int8 { 13 } else { 12 });
        assert_eq!(one, write(3));
    }
}

#[test]
fn small_segments_and_those_told_so_have_none() {
    let dim = 8;
    let docs = documents(68, 1200, dim);
    let auto = store(&docs, options(dim, TokenCodec::Int8));
    assert!(auto.centroids().is_none());
    let rows = Doc { rows: Numbers(1).row(32 * dim), spans: None };
    let large = vec![rows; 1024];
    assert_eq!(
        store(&large, options(dim, TokenCodec::Int8)).centroids().unwrap().0.rows.len(),
        512
    );
    let none = options(dim, TokenCodec::Int8).centroids(Centroids::None);
    assert!(store(&large, none).centroids().is_none());
}
