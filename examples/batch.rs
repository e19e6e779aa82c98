//! Many at once: documents as columns, in the arrays that Python leaves, and queries shared out to
//! threads.
//!
//! `cargo run --release --example batch`

use lateen::{Batch, IndexWriter, Query, Schema, SparseBatch, TokenBatch};

pub(crate) fn main() -> Result<(), lateen::Error> {
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let tokens = schema.tokens("tokens", 8);
    let (lang, year) = (schema.keyword("lang"), schema.i64("year"));
    let mut writer = IndexWriter::options().threads(2).in_memory(schema.build()?)?;

    // Sparse vectors as compressed rows: row i is the entries indptr[i]..indptr[i + 1].
    let indptr = [0i64, 2, 3, 3, 5]; // the third document has none
    let ids = [7i32, 9, 7, 8, 9];
    let weights = [1.0f32, 0.5, 2.0, 0.25, 3.0];
    // Token rows one after another, and how many each document has.
    let rows: Vec<f32> = [[1.0f32, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, 0.6], [0.6, 0.8]]
        .iter()
        .flat_map(|&[a, b]| [a, b, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
        .collect();
    let lengths = [2i64, 1, 1, 1];
    let langs = [vec!["en"], vec!["en", "fr"], vec![], vec!["de"]]; // any number each

    let batch = Batch::new(["a", "b", "c", "d"])
        .sparse(&terms, &SparseBatch::csr(&indptr, &ids, &weights))?
        .tokens(&tokens, &TokenBatch::flat(&rows, &lengths, 8))?
        .keywords(&lang, &langs)?
        .i64(&year, &[Some(1990), None, Some(2005), Some(2026)])?
        .payloads(&["first", "second", "third", "fourth"])?;
    writer.add_batch(&batch)?; // all of it or nothing
    writer.commit()?;

    // One bad row refuses the whole batch, and says which.
    let bad = [1.0f32, 0.5, f32::NAN, 0.25, 3.0];
    if let Err(error) =
        Batch::new(["e", "f", "g", "h"]).sparse(&terms, &SparseBatch::csr(&indptr, &ids, &bad))
    {
        println!("refused: {error}");
    }

    // The answers come in the order of the queries, the same with any number of threads.
    let index = writer.reader()?;
    let queries = [7u32, 8, 9]
        .iter()
        .map(|&term| Query::sparse(&terms, &[(term, 1.0f32)]))
        .collect::<lateen::Result<Vec<_>>>()?;
    for (query, hits) in queries.iter().zip(index.search_batch(&queries, 2)?) {
        let keys: Vec<String> = hits.iter().map(|hit| hit.key().to_string()).collect();
        assert_eq!(hits.len(), index.search(query)?.len());
        println!("{keys:?}");
    }
    Ok(())
}
