//! Random documents, every k, both tiers, every number of threads.

use super::*;
use proptest::prelude::*;

fn documents(seed: u64, count: usize, terms: usize, vocabulary: u32) -> (Vec<Vector>, Vec<Vector>) {
    let mut random = Random(seed);
    let docs: Vec<Vector> = (0..count).map(|_| random.vector(terms, vocabulary)).collect();
    let queries = (0..12).map(|_| random.vector(terms / 2 + 2, vocabulary)).collect();
    (docs, queries)
}

#[test]
fn search_agrees_with_scoring_everything() {
    // Sizes around windows and groups; short and long vectors; lists and tiny terms.
    for (count, terms, vocabulary) in
        [(1, 5, 4), (63, 8, 30), (4096, 6, 50), (4097, 20, 3000), (13_000, 12, 400)]
    {
        let (mut docs, queries) = documents(count as u64, count, terms, vocabulary);
        docs[0].push((vocabulary, 1.0)); // at least one entry in all
        let index = index(&docs, Forward::F32);
        index.verify().unwrap();
        assert_eq!(index.entries(), docs.iter().map(|doc| doc.len() as u64).sum::<u64>());
        for query in &queries {
            for k in [1, 10, 100, count + 7] {
                check(&docs, &index, query, k);
            }
        }
    }
}

#[test]
fn rows_come_back_in_the_new_order() {
    let (docs, queries) = documents(9, 5000, 9, 700);
    // Every third slot left out, the rest backwards.
    let order: Vec<u32> = (0..5000u32).rev().filter(|slot| slot % 3 != 0).collect();
    let storage = written(&docs, &order, Forward::F32, 1);
    let count = u32::try_from(order.len()).unwrap();
    let index = SparseIndex::open(&container(&storage), 3, count, &options(Forward::F32));
    let index = index.unwrap().unwrap();
    index.verify().unwrap();
    let ordered: Vec<Vector> = order.iter().map(|&slot| docs[slot as usize].clone()).collect();
    for (doc, vector) in (0u32..).zip(&ordered) {
        let row = index.row(doc).unwrap();
        assert_eq!(row.is_none(), vector.is_empty());
        assert_eq!(row.unwrap_or_default().iter().collect::<Vec<_>>(), *vector);
    }
    assert!(index.row(count).is_err(), "no such document");
    for query in &queries {
        check(&ordered, &index, query, 10);
    }
    let mut seen = 0;
    index
        .each_row(|doc, terms, weights| {
            let vector: Vector = terms.iter().copied().zip(weights.iter().copied()).collect();
            assert_eq!(vector, ordered[doc as usize]);
            seen += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(seen, index.head().rows);
}

#[test]
fn bytes_do_not_depend_on_threads() {
    let (docs, _) = documents(5, 9000, 10, 3000);
    let order: Vec<u32> = (0..9000).collect();
    let bytes = |threads| {
        let storage = written(&docs, &order, Forward::Auto, threads);
        storage.open("segment").unwrap().as_slice().to_vec()
    };
    let one = bytes(1);
    assert!(one == bytes(2) && one == bytes(5));
}

#[test]
fn half_weights_are_scored_as_stored() {
    let (docs, queries) = documents(6, 3000, 10, 200);
    let halves: Vec<Vector> = docs
        .iter()
        .map(|doc| doc.iter().map(|&(t, w)| (t, half::f16::from_f32(w).to_f32())).collect())
        .collect();
    let index = index(&docs, Forward::F16);
    index.verify().unwrap();
    for query in &queries {
        check(&halves, &index, query, 10);
    }
}

#[test]
fn without_rows_the_impacts_are_what_is_stored() {
    let (docs, queries) = documents(7, 9000, 10, 2000);
    let index = index(&docs, Forward::None);
    index.verify().unwrap();
    assert_eq!(index.row(1).unwrap(), None);
    let mut stored = vec![Vector::new(); docs.len()];
    index
        .each_row(|doc, terms, weights| {
            stored[doc as usize] = terms.iter().copied().zip(weights.iter().copied()).collect();
            Ok(())
        })
        .unwrap();
    for (stored, given) in stored.iter().zip(&docs) {
        assert_eq!(stored.len(), given.len());
        for (a, b) in stored.iter().zip(given) {
            assert!(a.0 == b.0 && (a.1 - b.1).abs() <= 2.51 / 2.0 / 230.0);
        }
    }
    for query in &queries {
        for k in [1, 10, 500] {
            check(&stored, &index, query, k);
        }
    }
    let mut top = TopK::new(1, f32::NEG_INFINITY, &Shuffled);
    let exactness = index.search(
        &query(&queries[0]),
        kernel::best(),
        EXACT,
        None,
        &mut top,
        &mut SparseScratch::default(),
    );
    assert_eq!(exactness.unwrap(), Exactness::OnQuantised);
    // Written again, impacts stay what they are.
    let again = self::index(&stored, Forward::None);
    for query in &queries {
        check(&stored, &again, query, 10);
    }
}

#[test]
fn a_floor_is_kept_equals_included() {
    let (docs, queries) = documents(8, 5000, 10, 100);
    let index = index(&docs, Forward::F32);
    let mut scratch = SparseScratch::default();
    for vector in queries.iter().filter(|vector| !vector.is_empty()) {
        let all = model(&docs, vector, None, usize::MAX);
        let Some(middle) = all.get(all.len() / 3) else { continue };
        let mut top = TopK::new(10_000, middle.score, &Shuffled);
        index.search(&query(vector), kernel::best(), EXACT, None, &mut top, &mut scratch).unwrap();
        let want: Vec<Scored> =
            all.iter().copied().filter(|hit| hit.score >= middle.score).collect();
        assert_eq!(top.finish(), want);
    }
}

#[test]
fn scratch_is_reused_across_indexes() {
    let mut scratch = SparseScratch::default();
    let sets = [documents(1, 9000, 10, 900), documents(2, 100, 4, 9)];
    let indexes: Vec<_> = sets.iter().map(|(docs, _)| index(docs, Forward::F32)).collect();
    for _ in 0..2 {
        for ((docs, queries), index) in sets.iter().zip(&indexes) {
            for query in queries {
                assert_eq!(
                    search(index, query, None, 10, &mut scratch),
                    model(docs, query, None, 10)
                );
            }
        }
    }
}

#[test]
fn a_field_nobody_has_is_not_written() {
    let docs = vec![Vector::new(); 10];
    let order: Vec<u32> = (0..10).collect();
    let storage = written(&docs, &order, Forward::Auto, 1);
    let opened = SparseIndex::open(&container(&storage), 3, 10, &options(Forward::Auto));
    assert!(opened.unwrap().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_small_set(
        docs in prop::collection::vec(prop::collection::btree_map(0u32..12, 0.01f32..3.0, 0..6), 1..150),
        queries in prop::collection::vec(prop::collection::btree_map(0u32..14, 0.01f32..3.0, 1..6), 1..4),
        k in 1usize..20,
    ) {
        let docs: Vec<Vector> = docs.into_iter().map(|doc| doc.into_iter().collect()).collect();
        prop_assume!(docs.iter().any(|doc| !doc.is_empty()));
        let index = index(&docs, Forward::F32);
        index.verify().unwrap();
        for query in queries {
            let query: Vector = query.into_iter().collect();
            check(&docs, &index, &query, k);
        }
    }
}
