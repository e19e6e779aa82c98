//! An index over the months: attributes change, fields come, segments merge, a copy is taken.
//!
//! `cargo run --release --example living`

use std::sync::Arc;
use std::time::Duration;

use lateen::{Document, Index, IndexWriter, Query, Schema, Update};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;
    let path = place.path().join("index");
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let lang = schema.keyword("lang");
    let mut writer = IndexWriter::create(&path, schema.build()?)?;

    // Many small commits: segments are merged in the background as they come together.
    for day in 0..30u32 {
        for at in 0..20u32 {
            let vector = [(at % 7, 1.0f32), (100 + day, 0.5)];
            let document = Document::new(format!("{day}-{at}")).sparse(&terms, &vector)?;
            writer.add(&document.keyword(&lang, if at % 2 == 0 { "en" } else { "fr" })?)?;
        }
        writer.commit()?;
    }
    writer.wait_merges()?;
    println!("30 commits, {} segments", writer.snapshot().info().segments.len());

    // A reader that follows by itself, until the watcher is dropped.
    let index = Arc::new(Index::open(&path)?);
    let (send, seen) = std::sync::mpsc::channel();
    let watcher = index.watch(Duration::from_millis(5), move |commit| drop(send.send(commit)))?;

    // Attributes change and the vectors stay; what passes a filter goes.
    writer.update(&Update::new("3-4").keywords(&lang, ["en", "de"])?.payload(b"seen twice"))?;
    println!("deleted {}", writer.delete_where(&lang.eq("fr"))?.documents);
    let commit = writer.commit()?;
    println!("commit {commit}, change {}", writer.sequence());
    println!("the reader is at commit {}", seen.recv()??);
    drop(watcher);

    // A field that older documents lack.
    let mut schema = writer.schema().extend();
    let year = schema.i64("year");
    writer.set_schema(schema.build()?)?;
    let document = Document::new("new").sparse(&terms, &[(1u32, 2.0f32)])?.i64(&year, 2026)?;
    writer.add(&document)?;
    writer.commit()?;

    // What is deleted leaves the disk; a copy is an index of its own.
    writer.compact(|_| {})?;
    index.refresh()?;
    println!("{} documents, {} deleted", index.len(), index.info().deleted);
    let copy = place.path().join("copy");
    index.snapshot().backup(&copy)?;
    let query = Query::sparse(&terms, &[(1u32, 1.0f32)])?.filter(year.exists()).top(3);
    for hit in &Index::open(&copy)?.search(&query)? {
        println!("{} {} {:?}", hit.key(), hit.score(), hit.i64(&year)?);
    }
    Ok(())
}
