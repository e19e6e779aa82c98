//! Filters: predicates over attributes and sets of keys, applied before anything is scored.
//!
//! `cargo run --release --example filters`

use lateen::{Document, Filter, IndexWriter, Query, Schema};

pub(crate) fn main() -> Result<(), lateen::Error> {
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let lang = schema.keyword("lang");
    let year = schema.i64("year");
    let price = schema.f64("price");
    let mut writer = IndexWriter::in_memory(schema.build()?)?;

    let books = [
        ("odyssey", vec!["el", "en"], -700, Some(12.5)),
        ("candide", vec!["fr"], 1759, Some(4.0)),
        ("emma", vec!["en"], 1815, None),
        ("ulysses", vec!["en"], 1922, Some(19.0)),
    ];
    for (i, (title, langs, published, cost)) in (1u16..).zip(&books) {
        let vector = [(7u32, f32::from(i)), (100 + u32::from(i), 1.0)];
        let mut book = Document::new(*title).sparse(&terms, &vector)?.i64(&year, *published)?;
        for value in langs {
            book = book.keyword(&lang, *value)?;
        }
        if let Some(cost) = cost {
            book = book.f64(&price, *cost)?; // what is not given is absent, and passes no test
        }
        writer.add(&book)?;
    }
    writer.commit()?;
    let index = writer.reader()?;

    for (name, filter) in [
        ("in English", lang.eq("en")),
        ("in French or Greek", lang.any_of(["fr", "el"])),
        ("1700 to 1899", year.range(1700..1900)),
        ("in English and at most 15", lang.eq("en") & price.range(..=15.0)),
        ("without a price", !price.exists()),
        ("one of two, but not old", Filter::keys(["odyssey", "ulysses"]) & year.range(1..)),
    ] {
        let query = Query::sparse(&terms, &[(7u32, 1.0f32)])?.filter(filter);
        let hits = index.search(&query)?;
        let titles: Vec<String> = hits.iter().map(|hit| hit.key().to_string()).collect();
        println!("{name:<26} {}", titles.join(", "));
    }
    Ok(())
}
