//! The curve of recall by effort: that it says what is so, who has one, and what it decides.

use super::super::curve::{LEAST_DOCS, SparsePoint};
use super::hostile::{rebuilt, sections};
use super::*;
use crate::error::Result;
use crate::format::SectionKind;
use crate::format::book::{check_structure, layout};

fn large() -> Vec<Vector> {
    let mut random = Random(41);
    // One in nine lacks the field, the one in the middle of the first part among them.
    let doc = |at: u32| if at % 9 == 4 { Vec::new() } else { random.vector(60, 700) };
    (0..LEAST_DOCS).map(doc).collect()
}

fn in_order(docs: &[Vector]) -> Vec<u32> {
    (0u32..).take(docs.len()).collect()
}

fn opened(storage: &MemStorage, options: &SparseOptions) -> SparseIndex {
    SparseIndex::open(&container(storage), 3, LEAST_DOCS, options).unwrap().unwrap()
}

fn asked(
    index: &SparseIndex,
    vector: &[(u32, f32)],
    effort: SparseEffort,
    k: usize,
) -> Result<(Vec<Scored>, Exactness)> {
    let mut top = TopK::new(k, f32::NEG_INFINITY, &Shuffled);
    let way = Way { effort, threads: 4 };
    let kernels = kernel::best();
    let mut scratch = SparseScratch::default();
    let exactness = index.search(&query(vector), kernels, way, None, &mut top, &mut scratch)?;
    Ok((top.finish(), exactness))
}

/// What the book says of a point, with nothing of the library but the search at a step.
fn by_the_book(docs: &[Vector], index: &SparseIndex, step: usize) -> f32 {
    let start = |number: usize| number * docs.len() / 48;
    let (mut sum, mut queries) = (0.0f64, 0.0f64);
    for number in 0..48 {
        let (from, to) = (start(number), start(number + 1));
        let own = (from + (to - from) / 2..to).find(|&doc| !docs[doc].is_empty()).unwrap();
        let mut vector = docs[own].clone();
        vector.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        vector.truncate(if number % 2 == 0 { 16 } else { 32 });
        vector.sort_by_key(|entry| entry.0);
        let others = |hits: Vec<Scored>| -> Vec<f32> {
            hits.iter().filter(|hit| hit.doc as usize != own).map(|hit| hit.score).collect()
        };
        let truth = model(docs, &vector, None, 10);
        let least = truth.last().unwrap().score;
        let truth = others(truth);
        let found = others(asked(index, &vector, SparseEffort::Step(step), 10).unwrap().0);
        let met = found.iter().filter(|score| **score >= least).count();
        sum += if truth.is_empty() { 0.0 } else { 1.0 - met as f64 / truth.len() as f64 };
        queries += 1.0;
    }
    (1.0 - 1.5 * sum / queries) as f32
}

#[test]
fn the_curve_says_what_is_found() {
    let (docs, options) = (large(), options(Forward::F32));
    let storage = written(&docs, &in_order(&docs), Forward::F32, 1);
    let index = opened(&storage, &options);
    index.verify().unwrap();
    let curve = index.recall_curve();
    assert_eq!(curve.len(), 4);
    for (step, recall) in curve.into_iter().enumerate() {
        assert_eq!(recall, (by_the_book(&docs, &index, step + 2), 1.0), "step {step}");
    }
    // Something is missed, and less and less of it.
    let (first, last) = (index.recall_curve()[0].0, index.recall_curve()[3].0);
    assert!(first < 1.0 && first < last && last > 0.9, "{first} {last}");
}

#[test]
fn a_curve_is_the_same_on_any_number_of_threads_and_after_a_merge() {
    let (docs, options) = (large(), options(Forward::F32));
    let storage = written(&docs, &in_order(&docs), Forward::F32, 1);
    let want = container(&storage).bytes().as_slice().to_vec();
    let threads = written(&docs, &in_order(&docs), Forward::F32, 3);
    assert!(container(&threads).bytes().as_slice() == want);

    let (first, second) = docs.split_at(12_345);
    let halves = [first, second].map(|half| super::index(half, Forward::F32));
    assert!(halves.iter().all(|half| half.recall_curve().is_empty()), "they are small");
    let parts: Vec<_> = halves
        .iter()
        .map(|index| MergePart { index: Some(index), docs: index.docs(), alive: None })
        .collect();
    let merged = MemStorage::new();
    let file = merged.create_new("segment").unwrap();
    let mut out = ContainerWriter::create(file, "segment".into(), ContainerKind::Segment).unwrap();
    super::super::merge(&parts, &options, 3, (2, usize::MAX), &|| Ok(()), &mut out).unwrap();
    out.finish(1, 0).unwrap();
    assert!(container(&merged).bytes().as_slice() == want);
}

#[test]
fn a_share_is_answered_by_the_curve_where_there_is_one() {
    let docs = large();
    let mut vector: Vector = (0..24).map(|term| (7 * term, 1.0 + term as f32 / 8.0)).collect();
    vector.push((900, 1.0)); // no document has it
    let storage = written(&docs, &in_order(&docs), Forward::F32, 1);
    let index = opened(&storage, &options(Forward::F32));
    let (truth, exact) = asked(&index, &vector, SparseEffort::Exact, 10).unwrap();
    assert_eq!((&truth, exact), (&model(&docs, &vector, None, 10), Exactness::Certified));
    let share = |share: f32, k: usize| asked(&index, &vector, SparseEffort::Recall(share), k);
    let cheapest = asked(&index, &vector, SparseEffort::Step(2), 10).unwrap();
    assert_eq!(share(f32::MIN_POSITIVE, 10).unwrap(), cheapest);
    assert_eq!(cheapest.1, Exactness::Approximate);
    assert_eq!(share(1.0, 10).unwrap(), (truth.clone(), Exactness::Certified));
    // Nothing was measured of more than ten hits, nor of weights below zero.
    assert_eq!(share(f32::MIN_POSITIVE, 11).unwrap().1, Exactness::Certified);
    let mut below = vector.clone();
    below[0].1 = -0.5;
    let found = asked(&index, &below, SparseEffort::Recall(f32::MIN_POSITIVE), 10).unwrap();
    assert_eq!(found, (model(&docs, &below, None, 10), Exactness::Certified));

    // One document less, or no forward rows: no curve.
    for (docs, forward) in [(&docs[1..], Forward::F32), (&docs[..], Forward::None)] {
        let index = super::index(docs, forward);
        assert!(index.recall_curve().is_empty());
        let exact = asked(&index, &vector, SparseEffort::Exact, 10).unwrap();
        let effort = SparseEffort::Recall(f32::MIN_POSITIVE);
        assert_eq!(asked(&index, &vector, effort, 10).unwrap(), exact);
    }
}

/// An index with these points for a curve, if it can be opened.
fn with_points(elem_size: u32, points: &[u8]) -> Result<SparseIndex> {
    let docs = vec![vec![(1, 1.0)]; 3];
    let written = written(&docs, &in_order(&docs), Forward::F32, 1);
    let mut parts = sections(&written);
    parts.push((SectionKind::SPARSE_CURVE, elem_size, points.to_vec()));
    let index = SparseIndex::open(&rebuilt(&parts), 3, 3, &options(Forward::F32))?;
    Ok(index.unwrap())
}

#[test]
fn no_point_is_believed_that_is_none() {
    let good = SparsePoint { mass: 0.5, alpha: 200, band: 0.5, recall: 0.5 };
    let ask = |points: &[SparsePoint]| {
        let index = with_points(16, bytemuck::must_cast_slice(points))?;
        let asked = asked(&index, &[(1, 1.0)], SparseEffort::Recall(0.5), 10);
        assert_eq!(index.verify().is_ok(), asked.is_ok());
        // An exact search has no use for it.
        assert_eq!(asked_exactly(&index), 3);
        asked.map(|(hits, exactness)| (hits.len(), exactness))
    };
    assert_eq!(ask(&[good]).unwrap(), (3, Exactness::Approximate));
    assert_eq!(ask(&[]).unwrap(), (3, Exactness::Certified));
    assert_eq!(ask(&[good; 64]).unwrap(), (3, Exactness::Approximate));
    assert!(ask(&[good; 65]).is_err());
    for bad in [f32::NAN, -0.1, 1.5, f32::INFINITY, f32::MIN] {
        assert!(ask(&[good, SparsePoint { mass: bad, ..good }]).is_err());
        assert!(ask(&[good, SparsePoint { band: bad, ..good }]).is_err());
        assert!(ask(&[good, SparsePoint { recall: bad, ..good }]).is_err());
    }
    for alpha in [257, u32::MAX] {
        assert!(ask(&[SparsePoint { alpha, ..good }]).is_err());
    }
    // The extremes of what is allowed.
    for part in [0.0, 1.0] {
        let alpha = if part > 0.5 { 256 } else { 0 };
        let point = SparsePoint { mass: part, alpha, band: part, ..good };
        assert!(ask(&[point]).is_ok());
    }
    assert!(with_points(20, &[0; 20]).is_err());
}

fn asked_exactly(index: &SparseIndex) -> usize {
    asked(index, &[(1, 1.0)], SparseEffort::Exact, 10).unwrap().0.len()
}

#[test]
fn the_book_has_the_point() {
    let point = layout!(SparsePoint: mass, alpha, band, recall);
    check_structure("SparsePoint", &point);
}
