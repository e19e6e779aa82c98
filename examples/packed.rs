//! One file to ship: pack an index, then open it by its map, from bytes, or as part of a program.
//!
//! `cargo run --release --example packed`

use lateen::{Document, Index, IndexWriter, Query, Schema};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let mut writer = IndexWriter::create(place.path().join("index"), schema.build()?)?;
    for i in 1u8..=100 {
        let vector = [(u32::from(i % 10), f32::from(i)), (1000, 0.5)];
        writer.add(&Document::new(format!("doc-{i}")).sparse(&terms, &vector)?)?;
    }
    writer.commit()?;

    let file = place.path().join("docs.lateen");
    let index = writer.reader()?;
    index.pack(&file)?;
    println!("packed {} documents into {} bytes", index.len(), std::fs::metadata(&file)?.len());

    // A packed file opens like a directory; its checksums prove that it arrived whole.
    let packed = Index::open(&file)?;
    packed.verify()?;
    let query = Query::sparse(&terms, &[(7u32, 1.0f32)])?.top(3);
    for hit in &packed.search(&query)? {
        println!("{} {}", hit.key(), hit.score());
    }

    // From bytes; `include_bytes!` makes an index part of the program (`from_static`).
    let bytes = std::fs::read(&file)?;
    let loaded = Index::options().from_bytes(&bytes)?;
    println!("from bytes: {} documents", loaded.len());

    // One flipped bit does not go unnoticed.
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    let result = Index::options().from_bytes(&damaged).and_then(|index| index.verify());
    println!("damaged: {}", result.err().map_or("not noticed".to_owned(), |e| e.to_string()));
    Ok(())
}
