//! Why a document is where it is: the terms that met, the words that met, and the text with the
//! words marked.
//!
//! `cargo run --release --example explain`

use lateen::{Document, Explanation, IndexWriter, Query, Schema, TokenMatrix};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let tokens = schema.tokens("tokens", 8);
    let mut writer = IndexWriter::in_memory(schema.build()?)?;

    // Each token row says which bytes of the text it stands for.
    let text = "butter is churned cream";
    let spans: Vec<(u32, u32)> = vec![(0, 6), (7, 9), (10, 17), (18, 23)];
    let rows = rows(&[[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [0.96, 0.28]]);
    writer.add(
        &Document::new("butter")
            .sparse(&terms, &[(11u32, 1.5f32), (12, 0.75)])?
            .tokens(&tokens, TokenMatrix::new(&rows, 8).spans(&spans))?
            .payload(text.as_bytes()),
    )?;
    writer.commit()?;
    let index = writer.reader()?;

    let asked = self::rows(&[[0.96, 0.28], [0.8, 0.6]]);
    let query = Query::sparse(&terms, &[(11u32, 2.0f32), (99, 1.0)])?
        .rerank(&tokens, TokenMatrix::new(&asked, 8))?;
    for hit in &index.search(&query)? {
        let told = index.explain(&query, hit)?;
        println!("{} {:.3}", hit.key(), hit.score());
        // What chose it as a candidate.
        for term in &told.terms {
            let (query, document) = (term.query_weight, term.document_weight);
            println!("  term {}: {query} x {document} = {}", term.term, term.contribution());
        }
        // What gives its score: the sum over the query's rows.
        for met in &told.tokens {
            println!("  row {} met row {}: {:.3}", met.query_row, met.document_row, met.score);
        }
        assert!((told.sum() - hit.score()).abs() < 1e-5);
        println!("  {}", marked(&told, &String::from_utf8(hit.payload()?.unwrap_or_default())?));
    }
    Ok(())
}

/// The text with what met the query in brackets.
fn marked(told: &Explanation, text: &str) -> String {
    let mut out = String::new();
    let mut at = 0;
    for met in told.highlights() {
        let bytes = met.bytes.start as usize..met.bytes.end as usize;
        let (Some(before), Some(word)) = (text.get(at..bytes.start), text.get(bytes.clone()))
        else {
            continue; // spans are what the producer said: they may cut a letter in two
        };
        out = format!("{out}{before}[{word} {:.2}]", met.score);
        at = bytes.end;
    }
    out + text.get(at..).unwrap_or_default()
}

/// A model of two components, padded.
fn rows(pairs: &[[f32; 2]]) -> Vec<f32> {
    pairs.iter().flat_map(|&[a, b]| [a, b, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).collect()
}
