//! Token matrices: of a document, of a query, of a batch in each of its forms.

use half::f16;
use lateen::{
    Batch, Document, Fault, KeyKind, Normalization, Query, Rows, Schema, TokenBatch, TokenCodec,
    TokenField, TokenMatrix, TokenOptions,
};

use super::{Fields, Place, counts, fields, refused, rows};

const NONE: Place = (None, None);

/// A matrix that is refused: the field, the rows, row and position, and why.
fn faulty(fields: &Fields) -> Vec<(&TokenField, Vec<f32>, Place, Fault)> {
    let with = |count: usize, at: usize, value: f32| {
        let mut all = rows(count);
        all[at] = value;
        all
    };
    let not_finite = |value: f64| Fault::NotFinite { value };
    let length = |norm: f32| Fault::NotNormalized { norm, tolerance: 0.02 };
    let (inf, nan) = (f32::INFINITY, f32::NAN);
    let zeros = vec![0.0; 8];
    vec![
        (&fields.checked, with(3, 8 + 3, nan), (Some(1), Some(3)), not_finite(f64::NAN)),
        (&fields.as_is, with(1, 7, -inf), (Some(0), Some(7)), not_finite(f64::NEG_INFINITY)),
        (&fields.normal, with(2, 15, inf), (Some(1), Some(7)), not_finite(f64::INFINITY)),
        (&fields.checked, with(3, 16, 2.0), (Some(2), None), length(2.0)),
        (&fields.checked, with(1, 0, 0.5), (Some(0), None), length(0.5)),
        (&fields.checked, zeros.clone(), (Some(0), None), length(0.0)),
        (&fields.normal, [rows(1), zeros].concat(), (Some(1), None), Fault::ZeroRow),
        (&fields.as_is, with(2, 10, 65_520.0), (Some(1), Some(2)), overflow(65_520.0)),
        (&fields.as_is, with(1, 0, -1e30), (Some(0), Some(0)), overflow(-1e30)),
    ]
}

fn overflow(value: f32) -> Fault {
    Fault::TooLarge { value, limit: 65_520.0 }
}

#[test]
fn documents_queries_and_batches_refuse_the_same() {
    let fields = fields(KeyKind::Str);
    for (field, values, place, what) in faulty(&fields) {
        let matrix = TokenMatrix::new(&values, 8);
        refused(Document::new("a").tokens(field, matrix), field.name(), place, what.clone());
        refused(Query::tokens(field, matrix), field.name(), place, what.clone());
        let query = Query::sparse(&fields.sparse, &[(1, 1.0)]).unwrap();
        refused(query.rerank(field, matrix), field.name(), place, what.clone());
        // In a batch the row is the document, the position its token row.
        let place = (Some(2), place.0);
        let good = rows(2);
        let list = [TokenMatrix::new(&good, 8), TokenMatrix::new(&[0.0f32; 0], 8), matrix];
        let flat = [good.clone(), values.clone()].concat();
        let lengths = [2, 0, (values.len() / 8) as i32];
        for form in [TokenBatch::matrices(&list), TokenBatch::flat(&flat, &lengths, 8)] {
            let batch = Batch::new(["a", "b", "c"]).tokens(field, &form);
            refused(batch, field.name(), place, what.clone());
        }
    }
}

#[test]
fn shapes_that_do_not_fit() {
    let fields = fields(KeyKind::Str);
    let (values, field) = (rows(2), &fields.checked);
    let document = |matrix| Document::new("a").tokens(field, matrix).map(drop);
    let query = |matrix| Query::tokens(field, matrix).map(drop);
    for (matrix, what) in [
        (TokenMatrix::new(&values, 16), Fault::Dimension { found: 16, expected: 8 }),
        (TokenMatrix::new(&values, 0), Fault::Dimension { found: 0, expected: 8 }),
        (TokenMatrix::new(&values[..9], 8), Fault::Ragged { found: 9, dim: 8 }),
    ] {
        refused(document(matrix), "checked", NONE, what.clone());
        refused(query(matrix), "checked", NONE, what.clone());
        let list = [TokenMatrix::new(&values, 8), matrix];
        let batch = Batch::new(["a", "b"]).tokens(field, &TokenBatch::matrices(&list));
        refused(batch, "checked", (Some(1), None), what);
    }
    let empty = Fault::Empty { what: "a query of no rows" };
    refused(query(TokenMatrix::new(&[0.0f32; 0], 8)), "checked", NONE, empty);
    assert!(document(TokenMatrix::new(&[0.0f32; 0], 8)).is_ok(), "absent");
}

#[test]
fn too_many_rows() {
    let fields = fields(KeyKind::Str);
    let values: Vec<f16> = rows(65_536).into_iter().map(f16::from_f32).collect();
    let document = |count: usize| {
        let matrix = TokenMatrix::new(&values[..count * 8], 8);
        Document::new("a").tokens(&fields.checked, matrix).map(drop)
    };
    let query = |count: usize| {
        Query::tokens(&fields.checked, TokenMatrix::new(&values[..count * 8], 8)).map(drop)
    };
    let too_many = |what, found, limit| Fault::TooMany { what, found, limit };
    let what = too_many("rows of a document", 65_536, 65_535);
    refused(document(65_536), "checked", NONE, what.clone());
    assert!(document(65_535).is_ok());
    let flat = TokenBatch::flat(&values, &[65_536u32], 8);
    let batch = Batch::new(["a"]).tokens(&fields.checked, &flat);
    refused(batch, "checked", (Some(0), None), what);
    refused(query(10_001), "checked", NONE, too_many("rows of a query", 10_001, 10_000));
    assert!(query(10_000).is_ok());
}

#[test]
fn codes_and_scales() {
    let fields = fields(KeyKind::Str);
    let codes = [127i8, 0, 0, 0, 0, 0, 0, 0].repeat(2);
    let document = |scales: &[f32]| {
        let matrix = TokenMatrix::new(Rows::I8 { codes: &codes, scales }, 8);
        Document::new("a").tokens(&fields.checked, matrix).map(drop)
    };
    let one = 1.0 / 127.0;
    assert!(document(&[one, one]).is_ok());
    refused(document(&[one]), "checked", NONE, counts("scales beside the rows", 1, 2));
    let infinite = Fault::NotFinite { value: f64::INFINITY };
    refused(document(&[one, f32::INFINITY]), "checked", (Some(1), None), infinite);
    // Finite, but what it makes of the codes is not.
    let beyond = Fault::NotFinite { value: f64::INFINITY };
    refused(document(&[one, f32::MAX]), "checked", (Some(1), Some(0)), beyond);
    let scales = [one];
    let flat = TokenBatch::flat(Rows::I8 { codes: &codes, scales: &scales }, &[1u16, 1], 8);
    let batch = Batch::new(["a", "b"]).tokens(&fields.checked, &flat);
    refused(batch, "checked", NONE, counts("scales beside the rows", 1, 2));
}

#[test]
fn spans() {
    let fields = fields(KeyKind::Str);
    let values = rows(2);
    let document = |spans: &[(u32, u32)]| {
        let matrix = TokenMatrix::new(&values, 8).spans(spans);
        Document::new("a").tokens(&fields.checked, matrix).map(drop)
    };
    assert!(document(&[(0, 0), (5, 9)]).is_ok());
    refused(document(&[(0, 1)]), "checked", NONE, counts("spans beside the rows", 1, 2));
    let backwards = Fault::Backwards { from: 9, to: 5 };
    refused(document(&[(0, 1), (9, 5)]), "checked", (Some(1), None), backwards.clone());
    let batch = |spans: &[(u32, u32)]| {
        let flat = TokenBatch::flat(&values, &[1i64, 1], 8).spans(spans);
        Batch::new(["a", "b"]).tokens(&fields.checked, &flat).map(drop)
    };
    refused(batch(&[(0, 1)]), "checked", NONE, counts("spans beside the rows", 1, 2));
    refused(batch(&[(0, 1), (9, 5)]), "checked", (Some(1), Some(0)), backwards);
}

#[test]
fn lengths_of_a_flat_batch() {
    let fields = fields(KeyKind::Str);
    let values = rows(3);
    let batch = |lengths: &[i64], dim: usize| {
        let flat = TokenBatch::flat(&values, lengths, dim);
        Batch::new(["a", "b"]).tokens(&fields.checked, &flat).map(drop)
    };
    assert!(batch(&[1, 2], 8).is_ok() && batch(&[0, 3], 8).is_ok());
    let up_to = "rows up to this length";
    refused(batch(&[1, 3], 8), "checked", (Some(1), None), counts(up_to, 4, 3));
    let most = i64::MAX as u64;
    refused(batch(&[1, i64::MAX], 8), "checked", (Some(1), None), counts(up_to, most + 1, 3));
    refused(batch(&[1, 1], 8), "checked", NONE, counts("rows of all lengths together", 2, 3));
    refused(batch(&[3], 8), "checked", NONE, counts("documents beside the keys", 1, 2));
    let out = Fault::OutOfRange { value: "-1".into(), limit: u64::MAX };
    refused(batch(&[4, -1], 8), "checked", (Some(0), None), counts(up_to, 4, 3));
    refused(batch(&[1, -1], 8), "checked", (Some(1), Some(1)), out);
    refused(batch(&[1, 2], 7), "checked", NONE, Fault::Ragged { found: 24, dim: 7 });
    refused(batch(&[1, 2], 0), "checked", NONE, Fault::Ragged { found: 24, dim: 0 });
    let other = Fault::Dimension { found: 4, expected: 8 };
    refused(batch(&[3, 3], 4), "checked", (Some(0), None), other);
}

#[test]
fn a_field_twice() {
    let fields = fields(KeyKind::Str);
    let values = rows(1);
    let matrix = TokenMatrix::new(&values, 8);
    let once = Document::new("a").tokens(&fields.checked, matrix).unwrap();
    refused(once.tokens(&fields.checked, matrix), "checked", NONE, Fault::Twice);
    let list = [matrix];
    let form = TokenBatch::matrices(&list);
    let once = Batch::new(["a"]).tokens(&fields.checked, &form).unwrap();
    refused(once.tokens(&fields.checked, &form), "checked", NONE, Fault::Twice);
}

#[test]
fn what_a_codec_cannot_hold_is_refused_whatever_the_codec() {
    let mut schema = Schema::builder();
    let as_is = TokenOptions::new(8).normalization(Normalization::AsIs);
    let bytes = schema.tokens("bytes", as_is.codec(TokenCodec::Int8));
    let limit = 127.0 * 65_504.0;
    for value in [limit, -1e9, 3e38] {
        let mut row = [0.0f32; 8];
        row[3] = value;
        let what = Fault::TooLarge { value, limit };
        let document = Document::new("a").tokens(&bytes, TokenMatrix::new(&row, 8));
        refused(document, "bytes", (Some(0), Some(3)), what);
    }
    let row = [limit * 0.999; 8];
    assert!(Document::new("a").tokens(&bytes, TokenMatrix::new(&row, 8)).is_ok());
}
