//! Queries without a model: inference-free SPLADE and BM25 need no more of a query than its words,
//! each with a weight from a table. The index keeps the table, so a query is text.
//!
//! `cargo run --release --example vocabulary`

use lateen::{Document, Index, IndexWriter, Query, Schema, Vocabulary};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("index");
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let mut writer = IndexWriter::create(&path, schema.build()?)?;

    // Words with their term ids and weights: a tokenizer's vocabulary, and the idf that a model of
    // this kind is shipped with.
    let words = Vocabulary::weighted([
        ("the", 1996, 0.1),
        ("fat", 6638, 4.2),
        ("##s", 2015, 0.3),
        ("lipid", 23222, 8.5),
        ("soap", 7815, 7.0),
    ])?;
    writer.set_vocabulary(&terms, &words)?;

    // Documents were seen by a model, which also gave them words that they do not have.
    let lipid = [(6638u32, 1.2f32), (23222, 2.4), (7815, 0.2)];
    let soap = [(6638u32, 0.9f32), (7815, 2.8)];
    writer.add(&Document::new("Lipid").sparse(&terms, &lipid)?)?;
    writer.add(&Document::new("Soap").sparse(&terms, &soap)?)?;
    writer.commit()?;

    // Whoever opens the index has the table.
    let index = Index::open(&path)?;
    let vocabulary = index.vocabulary(&terms)?.ok_or("this index has no vocabulary")?;
    let mut vector = Vec::new(); // used again for each query
    for asked in ["the fat ##s", "soap", "unheard of"] {
        let unknown = vocabulary.query(asked.split(' '), &mut vector);
        println!("{asked:?}: {} terms, {unknown} words unknown", vector.len());
        for hit in &index.search(&Query::sparse(&terms, &vector)?)? {
            println!("  {:6.3} {}", hit.score(), hit.key());
        }
    }

    // Words with weights of their own, as files of JSON lines have them.
    let unknown = vocabulary.vector([("soap", 1.0f32), ("lipid", 0.5)], &mut vector);
    println!("{vector:?}, {unknown} unknown");
    Ok(())
}
