//! A living index: documents are added, replaced and deleted; readers see commits, whole ones only.
//!
//! `cargo run --release --example update_delete`

use lateen::{Document, Index, IndexWriter, Query, Schema};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("index");
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let mut writer = IndexWriter::create(&path, schema.build()?)?;
    let (light, heavy) = ([(1u32, 1.0f32)], [(1u32, 5.0f32)]);

    writer.add(&Document::new("a").sparse(&terms, &light)?.payload(b"first"))?;
    writer.add(&Document::new("b").sparse(&terms, &heavy)?.payload(b"second"))?;
    println!("commit {}", writer.commit()?);

    let index = Index::open(&path)?;
    let earlier = index.snapshot();
    let query = Query::sparse(&terms, &[(1u32, 1.0f32)])?;

    // `add` refuses a key that lives; `upsert` replaces it; `delete` says whether there was one.
    if let Err(error) = writer.add(&Document::new("a").sparse(&terms, &heavy)?) {
        println!("refused: {error}");
    }
    writer.upsert(&Document::new("a").sparse(&terms, &heavy)?.payload(b"first, rewritten"))?;
    println!("deleted b: {}", writer.delete("b")?.documents);
    println!("before the commit a reader sees {} hits", index.search(&query)?.len());
    println!("commit {}", writer.commit()?);

    index.refresh()?;
    for hit in &index.search(&query)? {
        let payload = hit.payload()?.unwrap_or_default();
        println!("{} {} {:?}", hit.key(), hit.score(), String::from_utf8_lossy(&payload));
    }
    // A snapshot stays what it was for as long as it is held.
    println!("the earlier snapshot still has {} documents", earlier.len());

    writer.delete("a")?;
    writer.rollback()?; // forgets what was not committed
    println!("after the rollback a lives: {}", writer.contains("a")?);
    Ok(())
}
