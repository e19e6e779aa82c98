//! What each fuzz target does with its bytes: plain functions, without a fuzzer.

use lateen::readers::NpyArray;
use lateen::{
    Document, Index, IndexWriter, Normalization, Query, Schema, TokenMatrix, TokenOptions,
};

/// Whatever the bytes are, opening, verifying and searching them gives an answer or an error.
pub fn open_packed(data: &[u8]) {
    let Ok(index) = Index::options().from_bytes(data) else { return };
    let _ = index.verify();
    let schema = index.schema();
    let fields: Vec<(String, &str)> =
        schema.field_names().map(|(name, kind)| (name.to_owned(), kind)).collect();
    for (name, kind) in fields {
        let query = match kind {
            "sparse" => schema.sparse(&name).map_err(Into::into).and_then(|field| {
                Query::sparse(&field, &[(1u32, 1.0f32), (2, 0.5), (70_000, 2.0)])
            }),
            "tokens" => schema.tokens(&name).map_err(Into::into).and_then(|field| {
                let rows = vec![(1.0 / field.dim() as f32).sqrt(); 2 * field.dim()];
                Query::tokens(&field, TokenMatrix::new(&rows, field.dim()))
            }),
            _ => continue,
        };
        let Ok(query) = query else { continue };
        if let Ok(hits) = index.search(&query.top(5)) {
            for hit in &hits {
                assert!(hit.score().is_finite());
                let _ = hit.payload();
            }
        }
    }
    for document in index.snapshot().documents().take(16).flatten() {
        let _ = document.payload();
    }
}

/// Whatever the bytes are, reading them as an array gives an array or an error.
pub fn npy(data: &[u8]) {
    let Ok(array) = NpyArray::from_bytes("fuzz", data) else { return };
    let values: usize = array.shape().iter().product();
    if let Ok(ints) = array.ints() {
        assert_eq!(ints.len(), values);
    }
    if let Ok(floats) = array.floats() {
        assert_eq!(floats.len(), values);
    }
}

/// Whatever the vectors are, a document is refused, or stored exactly and found again.
pub fn ingest(data: &[u8]) {
    let mut schema = Schema::builder();
    let sparse = schema.sparse("sparse");
    let options = TokenOptions::new(8).normalization(Normalization::AsIs);
    let tokens = schema.tokens("tokens", options);
    let schema = schema.build().expect("a valid schema");
    let mut writer = IndexWriter::in_memory(schema).expect("a new index");
    for (i, part) in (0u32..).zip(data.chunks(64)) {
        let floats: Vec<f32> =
            part.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let pairs: Vec<(u32, f32)> = floats.iter().map(|x| (x.to_bits() >> 20, *x)).collect();
        let document = Document::new(i.to_string())
            .sparse(&sparse, &pairs)
            .and_then(|document| document.tokens(&tokens, TokenMatrix::new(&floats, 8)));
        if let Ok(document) = document {
            let _ = writer.add(&document);
        }
    }
    let held = writer.len();
    writer.commit().expect("memory does not fail");
    let index = writer.reader().expect("what was written opens");
    assert_eq!(index.len(), held);
    index.verify().expect("what was written is sound");
    for document in index.snapshot().documents() {
        let document = document.expect("readable");
        let vector = document.sparse(&sparse).expect("readable").unwrap_or_default();
        assert!(vector.iter().all(|(_, weight)| weight.is_finite() && *weight > 0.0));
        if let Some(&(term, _)) = vector.first() {
            let query = Query::sparse(&sparse, &[(term, 1.0f32)]).expect("a valid query");
            let hits = index.search(&query.top(100)).expect("a search");
            assert!(hits.iter().any(|hit| hit.key() == document.key()) || hits.len() == 100);
        }
    }
}
