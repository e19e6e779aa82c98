//! Sparse vectors: of a document, of a query, of a batch in each of its forms.

use lateen::limits::MAX_WEIGHT;
use lateen::{Batch, Document, Fault, IndexWriter, KeyKind, Query, SparseBatch, SparseVector};

use super::{Place, counts, fields, refused};

/// Pairs that are refused, at which position, and why.
type Faulty = (Vec<(u32, f32)>, Option<u64>, Fault);

fn faulty() -> Vec<Faulty> {
    let not_finite = |value: f64| Fault::NotFinite { value };
    let too_heavy = |value| Fault::TooHeavy { value, limit: MAX_WEIGHT };
    let heavy = MAX_WEIGHT.next_up();
    let too_many = Fault::TooMany { what: "terms", found: 65_537, limit: 65_536 };
    vec![
        (vec![(1, 1.0), (2, f32::NAN)], Some(1), not_finite(f64::NAN)),
        (vec![(1, f32::INFINITY)], Some(0), not_finite(f64::INFINITY)),
        (vec![(4, 1.0), (3, 1.0), (2, f32::NEG_INFINITY)], Some(2), not_finite(f64::NEG_INFINITY)),
        (vec![(5, -0.5)], Some(0), Fault::Negative { value: -0.5 }),
        (vec![(5, MAX_WEIGHT), (6, heavy)], Some(1), too_heavy(heavy)),
        (vec![(5, f32::MAX), (4, 1.0)], Some(0), too_heavy(f32::MAX)),
        (vec![(9, 1.0), (3, 1.0), (9, 2.0)], Some(2), Fault::DuplicateTerm { term: 9 }),
        (vec![(9, 1.0), (9, 0.0)], Some(1), Fault::DuplicateTerm { term: 9 }),
        ((0..65_537).map(|term| (term, 1.0)).collect(), None, too_many),
    ]
}

#[test]
fn documents_queries_and_batches_refuse_the_same() {
    let fields = fields(KeyKind::Str);
    let name = "splade";
    for (pairs, position, what) in faulty() {
        let (terms, weights): (Vec<u32>, Vec<f32>) = pairs.iter().copied().unzip();
        let place: Place = (None, position);
        refused(Document::new("a").sparse(&fields.sparse, &pairs), name, place, what.clone());
        let arrays = SparseVector::new(&terms, &weights);
        refused(Document::new("a").sparse(&fields.sparse, arrays), name, place, what.clone());
        refused(Query::sparse(&fields.sparse, &pairs), name, place, what.clone());
        // As the second of three rows.
        let place = (Some(1), position);
        let list = [vec![(1, 1.0)], pairs, vec![(1, 1.0)]];
        let flat: Vec<(u32, f32)> = list.iter().flatten().copied().collect();
        let (terms, weights): (Vec<u32>, Vec<f32>) = flat.into_iter().unzip();
        let ends = [0, 1, 1 + list[1].len() as u64, 2 + list[1].len() as u64];
        let rows: Vec<u32> =
            (0u32..).zip(&list).flat_map(|(row, pairs)| vec![row; pairs.len()]).collect();
        for form in [
            SparseBatch::pairs(&list),
            SparseBatch::csr(&ends, &terms, &weights),
            SparseBatch::coo(&rows, &terms, &weights, 3),
        ] {
            let batch = Batch::new(["a", "b", "c"]).sparse(&fields.sparse, &form);
            refused(batch, name, place, what.clone());
        }
    }
}

/// The largest sum of products that there can be.
#[test]
fn the_heaviest_vectors_have_a_finite_score() {
    let fields = fields(KeyKind::Str);
    let heaviest: Vec<(u32, f32)> = (0..65_536).map(|term| (term, MAX_WEIGHT)).collect();
    let mut writer = IndexWriter::in_memory(fields.schema.clone()).unwrap();
    writer.add(&Document::new("a").sparse(&fields.sparse, &heaviest).unwrap()).unwrap();
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    index.verify().unwrap();
    let hits = index.search(&Query::sparse(&fields.sparse, &heaviest).unwrap()).unwrap();
    let score = hits[0].score();
    assert!(score.is_finite() && (score / 65_536e32 - 1.0).abs() < 0.01, "{score}");
}

#[test]
fn weights_below_zero_are_for_queries_that_say_so() {
    let fields = fields(KeyKind::Str);
    for (pairs, position, what) in faulty() {
        let (terms, weights): (Vec<u32>, Vec<f32>) = pairs.iter().copied().unzip();
        let place: Place = (None, position);
        for vector in [SparseVector::pairs(&pairs), SparseVector::new(&terms, &weights)] {
            refused(
                Document::new("a").sparse(&fields.sparse, vector.signed()),
                "splade",
                place,
                what.clone(),
            );
            let asked = Query::sparse(&fields.sparse, vector.signed());
            if matches!(what, Fault::Negative { .. }) {
                assert!(asked.is_ok());
            } else {
                refused(asked, "splade", place, what.clone());
            }
        }
    }
}

#[test]
fn ids_that_are_no_ids() {
    let fields = fields(KeyKind::Str);
    let out = |value: &str| Fault::OutOfRange { value: value.into(), limit: u32::MAX.into() };
    let weights = [1.0f32, 1.0];
    let negative = SparseVector::new(&[3i64, -1], &weights);
    refused(
        Document::new("a").sparse(&fields.sparse, negative),
        "splade",
        (None, Some(1)),
        out("-1"),
    );
    let negative = SparseVector::new(&[i32::MIN, 4], &weights);
    refused(Query::sparse(&fields.sparse, negative), "splade", (None, Some(0)), out("-2147483648"));
    let large = SparseVector::new(&[3u64, 1 << 32], &weights);
    refused(
        Document::new("a").sparse(&fields.sparse, large),
        "splade",
        (None, Some(1)),
        out("4294967296"),
    );
    // The largest id is one.
    let ids = [u64::from(u32::MAX), 0];
    let last = SparseVector::new(&ids, &weights);
    assert!(Document::new("a").sparse(&fields.sparse, last).is_ok());
}

#[test]
fn counts_that_disagree() {
    let fields = fields(KeyKind::Str);
    let beside = || counts("weights beside the terms", 2, 3);
    let short = SparseVector::new(&[1u32, 2, 3], &[1.0f32, 1.0]);
    let none = (None, None);
    refused(Document::new("a").sparse(&fields.sparse, short), "splade", none, beside());
    refused(Query::sparse(&fields.sparse, short), "splade", none, beside());
    let (terms, weights) = ([1u32, 2, 3], [1.0f32, 1.0, 1.0]);
    let csr = |indptr: &[i64]| {
        let form = SparseBatch::csr(indptr, &terms, &weights);
        Batch::new(["a", "b"]).sparse(&fields.sparse, &form).map(drop)
    };
    assert!(csr(&[0, 1, 3]).is_ok());
    let cases: [(&[i64], Place, Fault); 7] = [
        (&[0, 2, 1, 3], (None, Some(2)), Fault::Backwards { from: 2, to: 1 }),
        (&[1, 2, 3], none, counts("first offset", 1, 0)),
        (&[], none, Fault::Empty { what: "no offsets, not even a first 0" }),
        (&[0, 1, 2], none, counts("entries up to the last offset", 2, 3)),
        (&[0, 1, i64::MAX], none, counts("entries up to the last offset", i64::MAX as u64, 3)),
        (&[0, 3], none, counts("rows beside the keys", 1, 2)),
        (&[0, -1, 3], (None, Some(1)), Fault::OutOfRange { value: "-1".into(), limit: u64::MAX }),
    ];
    for (indptr, place, what) in cases {
        refused(csr(indptr), "splade", place, what);
    }
    let form = SparseBatch::csr(&[0u32, 1, 3], &terms, &[1.0f32, 1.0]);
    refused(Batch::new(["a", "b"]).sparse(&fields.sparse, &form), "splade", none, beside());
}

#[test]
fn coordinates_that_cannot_be() {
    let fields = fields(KeyKind::Str);
    let (terms, weights) = ([1u32, 2, 3], [1.0f32, 1.0, 1.0]);
    let coo = |rows: &[i64], count: usize| {
        let form = SparseBatch::coo(rows, &terms, &weights, count);
        Batch::new(["a", "b"]).sparse(&fields.sparse, &form).map(drop)
    };
    assert!(coo(&[0, 0, 1], 2).is_ok());
    let none = (None, None);
    let backwards = Fault::Backwards { from: 1, to: 0 };
    refused(coo(&[0, 1, 0], 2), "splade", (None, Some(2)), backwards);
    let beyond = |value: &str, limit| Fault::OutOfRange { value: value.into(), limit };
    refused(coo(&[0, 1, 2], 2), "splade", (None, Some(2)), beyond("2", 1));
    refused(coo(&[0, 1, i64::MAX], 2), "splade", (None, Some(2)), beyond(&i64::MAX.to_string(), 1));
    refused(coo(&[-4, 1, 1], 2), "splade", (None, Some(0)), beyond("-4", u64::MAX));
    refused(coo(&[0, 1], 2), "splade", none, counts("row coordinates beside the terms", 2, 3));
    refused(coo(&[0, 1, 1], 5), "splade", none, counts("rows beside the keys", 5, 2));
    refused(coo(&[0, 0, 0], 1), "splade", none, counts("rows beside the keys", 1, 2));
    let rows = [vec![(1u32, 1.0f32)]];
    let pairs = Batch::new(["a", "b"]).sparse(&fields.sparse, &SparseBatch::pairs(&rows));
    refused(pairs, "splade", none, counts("rows beside the keys", 1, 2));
}

#[test]
fn a_field_twice() {
    let fields = fields(KeyKind::Str);
    let pairs = [(1u32, 1.0f32)];
    let once = Document::new("a").sparse(&fields.sparse, &pairs).unwrap();
    refused(once.sparse(&fields.sparse, &pairs), "splade", (None, None), Fault::Twice);
    let rows = [pairs.to_vec()];
    let form = SparseBatch::pairs(&rows);
    let once = Batch::new(["a"]).sparse(&fields.sparse, &form).unwrap();
    refused(once.sparse(&fields.sparse, &form), "splade", (None, None), Fault::Twice);
}

/// What is at a limit is within it, and zeros are no fault.
#[test]
fn limits_are_reached() {
    let fields = fields(KeyKind::Str);
    let most: Vec<(u32, f32)> = (0..65_536).map(|term| (term, 1.0)).collect();
    assert!(Document::new("a").sparse(&fields.sparse, &most).is_ok());
    assert!(Query::sparse(&fields.sparse, &most).is_ok());
    let zeros = Document::new("a").sparse(&fields.sparse, &[(1u32, 0.0f32), (2, -0.0), (3, 1.0)]);
    assert_eq!(zeros.unwrap().zeros_dropped(), 2);
}
