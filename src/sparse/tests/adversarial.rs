//! Sets made to break bounds, sums and memory.

use super::*;

#[test]
fn all_scores_equal() {
    // 30,000 documents, one score: ties are cut by key, and memory stays bounded.
    let docs = vec![vec![(7, 1.5), (9, 0.25)]; 30_000];
    let index = index(&docs, Forward::Auto);
    for k in [1, 10, 1000] {
        assert_eq!(check(&docs, &index, &[(7, 0.3), (9, 2.0)], k), k);
    }
}

#[test]
fn nearly_equal_scores() {
    // Scores differ by less than quantisation can see.
    let docs: Vec<Vector> = (0..20_000u16)
        .map(|at| vec![(1, 1.0 + f32::from(at.wrapping_mul(40_503)) * 1e-7), (2, 0.5)])
        .collect();
    let index = index(&docs, Forward::F32);
    for k in [1, 10, 300] {
        check(&docs, &index, &[(1, 1.0), (2, 0.001)], k);
        check(&docs, &index, &[(1, 1.0), (2, 100.0)], k);
    }
}

#[test]
fn one_posting() {
    let mut docs = vec![Vector::new(); 10_000];
    docs[9_999] = vec![(u32::MAX, f32::MIN_POSITIVE)];
    let index = index(&docs, Forward::F32);
    index.verify().unwrap();
    assert_eq!(check(&docs, &index, &[(u32::MAX, 1.0)], 10), 1);
    assert_eq!(check(&docs, &index, &[(3, 1.0)], 10), 0);
    assert_eq!(check(&docs, &index, &[], 10), 0);
}

#[test]
fn thousands_of_terms_and_wide_ids() {
    let mut random = Random(4);
    let wide = |random: &mut Random, count: usize| -> Vector {
        let terms: std::collections::BTreeSet<u32> =
            (0..count).map(|_| u32::try_from(random.below(6000)).unwrap() * 715_827).collect();
        terms.into_iter().map(|term| (term, random.unit() + 0.001)).collect()
    };
    let docs: Vec<Vector> = (0..300).map(|_| wide(&mut random, 3000)).collect();
    let index = index(&docs, Forward::Auto);
    index.verify().unwrap();
    for count in [1, 4500, 20_000] {
        let query = wide(&mut random, count);
        check(&docs, &index, &query, 10);
    }
}

#[test]
fn the_longest_vectors() {
    let longest: Vector = (0..65_536u32).map(|term| (term * 3, 1.0 + (term % 7) as f32)).collect();
    let docs = vec![longest.clone(), longest[..9].to_vec(), longest.clone()];
    let index = index(&docs, Forward::Auto);
    index.verify().unwrap();
    assert_eq!(check(&docs, &index, &longest, 2), 2);
    assert_eq!(index.row(2).unwrap().unwrap().terms.len(), 65_536);
}

#[test]
fn terms_in_every_document_and_in_one() {
    let docs: Vec<Vector> = (0..9000u32)
        .map(|doc| vec![(0, 1.0), (1, 0.5 + (doc % 11) as f32), (100 + doc, 3.0)])
        .collect();
    let index = index(&docs, Forward::Auto);
    index.verify().unwrap();
    for query in
        [vec![(0, 1.0)], vec![(0, 0.1), (1, 1.0)], vec![(5000, 1.0)], vec![(1, 1e-3), (9099, 1.0)]]
    {
        check(&docs, &index, &query, 10);
    }
}

#[test]
fn weights_of_every_size() {
    let sizes = [f32::from_bits(1), 1e-40, 1e-30, 1e-10, 1.0, 1e10, 1e30, f32::MAX];
    let mut random = Random(11);
    let draw = |random: &mut Random| sizes[random.below(8)];
    let docs: Vec<Vector> = (0..2000)
        .map(|_| (0..12).filter(|_| random.below(2) == 0).map(|t| (t, 0.0)).collect::<Vector>())
        .collect();
    let docs: Vec<Vector> = docs
        .into_iter()
        .map(|doc| doc.into_iter().map(|(t, _)| (t, draw(&mut random))).collect())
        .collect();
    for forward in [Forward::F32, Forward::Auto] {
        let index = index(&docs, forward);
        index.verify().unwrap();
        for _ in 0..40 {
            let left_out = random.below(3) as u32;
            let vector: Vector =
                (0..12).filter(|t| t % 3 != left_out).map(|t| (t, draw(&mut random))).collect();
            for k in [1, 10, 100] {
                check(&docs, &index, &vector, k);
            }
        }
    }
    // Each size on its own, so that sums neither vanish nor overflow at once.
    for size in sizes {
        let docs: Vec<Vector> = docs
            .iter()
            .map(|doc| doc.iter().map(|&(t, _)| (t, size * random.unit().max(0.01))).collect())
            .map(|doc: Vector| doc.into_iter().filter(|entry| entry.1 > 0.0).collect())
            .collect();
        if docs.iter().all(Vec::is_empty) {
            continue;
        }
        let index = index(&docs, Forward::F32);
        index.verify().unwrap();
        for weight in sizes {
            check(&docs, &index, &[(1, weight), (2, weight * 0.5), (5, 1.0)], 10);
        }
    }
}

#[test]
fn f16_takes_what_it_cannot_hold_to_its_ends() {
    let docs = vec![vec![(1, 1e30), (2, 1e-30)], vec![(1, 65504.0)], vec![(2, 1.0)]];
    let index = index(&docs, Forward::F16);
    index.verify().unwrap();
    let row = index.row(0).unwrap().unwrap();
    assert_eq!(row.weights, [65504.0, half::f16::from_bits(1).to_f32()]);
}
