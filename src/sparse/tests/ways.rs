//! Filters of every density, several threads in one search, and searches that need not be exact.

use super::*;

fn searched(
    index: &SparseIndex,
    vector: &[(u32, f32)],
    way: Way,
    alive: Option<&DocSet>,
    k: usize,
) -> (Vec<Scored>, Exactness) {
    let mut top = TopK::new(k, f32::NEG_INFINITY, &Shuffled);
    let mut scratch = SparseScratch::default();
    let kernels = kernel::best();
    let exactness =
        index.search(&query(vector), kernels, way, alive, &mut top, &mut scratch).unwrap();
    (top.finish(), exactness)
}

#[test]
fn filters_of_every_density() {
    let mut random = Random(77);
    let count = 20_000u32;
    let docs: Vec<Vector> = (0..count).map(|_| random.vector(40, 900)).collect();
    let index = index(&docs, Forward::F32);
    let mut scratch = SparseScratch::default();
    let mut filters = vec![DocSet::empty(count)];
    for one_in in [1, 2, 7, 10, 100, 1000, 20_000] {
        let mut set = DocSet::empty(count);
        (0..count).filter(|_| random.below(one_in) == 0).for_each(|doc| set.insert(doc));
        filters.push(set);
    }
    for range in [0..1, 4095..4097, 8000..10_000, 8192..12_288, count - 30..count] {
        let mut set = DocSet::empty(count);
        range.for_each(|doc| set.insert(doc));
        filters.push(set);
    }
    for _ in 0..4 {
        let vector = random.vector(24, 900);
        for alive in &filters {
            for k in [1, 10, 300] {
                let want = model(&docs, &vector, Some(alive), k);
                let got = search(&index, &vector, Some(alive), k, &mut scratch);
                assert_eq!(got, want, "{} alive, k = {k}", alive.count());
            }
        }
    }
}

#[test]
fn threads_find_the_same() {
    let mut random = Random(5);
    // As many windows as three threads take.
    let count = 100 * 4096u32;
    let docs: Vec<Vector> = (0..count).map(|_| random.vector(6, 60)).collect();
    let index = index(&docs, Forward::F32);
    let mut half = DocSet::empty(count);
    (0..count).filter(|_| random.below(2) == 0).for_each(|doc| half.insert(doc));
    for round in 0..6 {
        let vector = random.vector(9, 60);
        let alive = (round % 2 == 1).then_some(&half);
        for k in [1, 10, 2000] {
            let want = searched(&index, &vector, EXACT, alive, k);
            if round < 2 && k == 10 {
                assert_eq!(want.0, model(&docs, &vector, alive, k));
            }
            for threads in [0, 2, 3, 64] {
                let way = Way { threads, ..EXACT };
                assert_eq!(searched(&index, &vector, way, alive, k), want, "{threads} threads");
            }
        }
    }
}

#[test]
fn equal_scores_are_cut_by_key_on_any_number_of_threads() {
    let docs = vec![vec![(1, 1.5), (3, 0.5)]; 70 * 4096];
    let index = index(&docs, Forward::F16);
    for k in [1, 10, 1000] {
        let want = searched(&index, &docs[0], EXACT, None, k);
        assert_eq!(want.0, model(&docs, &docs[0], None, k));
        assert_eq!(searched(&index, &docs[0], Way { threads: 2, ..EXACT }, None, k), want);
    }
}

#[test]
fn levels_give_true_scores_and_say_what_they_are() {
    let mut random = Random(3);
    let docs: Vec<Vector> = (0..9000).map(|_| random.vector(60, 500)).collect();
    let index = index(&docs, Forward::F32);
    let mut found = [0, 0];
    for _ in 0..30 {
        let mut vector = random.vector(30, 500);
        vector.push((500, 1.0)); // no document has it
        let truth = model(&docs, &vector, None, 10);
        for (level, found) in [0.0, 0.9].into_iter().zip(&mut found) {
            let way = Way { effort: SparseEffort::Level(level), threads: 8 };
            let (hits, exactness) = searched(&index, &vector, way, None, 10);
            let asks = truth.is_empty() || exactness == Exactness::Approximate;
            assert!(asks, "{exactness:?}");
            assert_eq!((hits.clone(), exactness), searched(&index, &vector, way, None, 10));
            for hit in &hits {
                assert_eq!(Some(hit.score), dot(&vector, &docs[hit.doc as usize]));
            }
            *found += hits.iter().filter(|hit| truth.contains(hit)).count();
        }
        let way = Way { effort: SparseEffort::Level(1.0), threads: 1 };
        assert_eq!(searched(&index, &vector, way, None, 10), (truth, Exactness::Certified));
    }
    // Of at most 300; a query of nothing else has none.
    assert!(found[0] >= 150 && found[1] >= 270 && found[0] <= found[1], "{found:?}");
}
