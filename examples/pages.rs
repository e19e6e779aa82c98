//! Pages as images, as ColPali sees them: a thousand patch rows a page in half floats, one hit for
//! each document, and where on the page the query was met.
//!
//! `cargo run --release --example pages`

use half::f16;
use lateen::{
    Collapse, Document, IndexWriter, Query, Schema, TokenCodec, TokenMatrix, TokenOptions,
};

/// Patches of a page: 32 by 32.
const SIDE: usize = 32;
const DIM: usize = 16;

pub(crate) fn main() -> Result<(), lateen::Error> {
    let mut schema = Schema::builder();
    let options = TokenOptions::new(DIM).codec(TokenCodec::Residual4);
    let patches = schema.tokens("patches", options);
    let number = schema.i64("page");
    let mut writer = IndexWriter::in_memory(schema.build()?)?;

    // Two reports of three pages; on one of them is what we look for. A key says which page it is.
    for (report, pages) in [("report-a", 3), ("report-b", 3)] {
        for page in 0..pages {
            let wanted = (report == "report-b" && page == 1).then_some((20, 5));
            let rows = image(page, wanted);
            let document = Document::new(format!("{report}#{page}"));
            let document = document.tokens(&patches, TokenMatrix::new(&rows, DIM))?;
            writer.add(&document.i64(&number, i64::from(page))?)?;
        }
    }
    writer.commit_packed(|_| {})?;
    let index = writer.reader()?;

    // A question is a few text rows in the space of the patches.
    let question: Vec<f16> = [row(0.0), chart()].concat();
    let query = Query::tokens(&patches, TokenMatrix::new(&question, DIM))?
        .collapse(Collapse::key_prefix('#').inside(2))
        .top(2);
    for hit in &index.search(&query)? {
        println!("{:.3} {}, page {:?}", hit.score(), hit.key(), hit.i64(&number)?);
        for other in hit.inside() {
            println!("    {:.3} {}", other.score(), other.key());
        }
        // Rows are patches from left to right, top to bottom.
        for met in &index.explain(&query, hit)?.tokens {
            let (line, column) = (met.document_row / SIDE, met.document_row % SIDE);
            println!("    row {} met line {line}, column {column}", met.query_row);
        }
    }
    Ok(())
}

/// The rows of a page without anything on it, but for a chart at one place.
fn image(page: u8, chart_at: Option<(usize, usize)>) -> Vec<f16> {
    let background = |patch: usize| row(f32::from(page) * 0.3 + (patch % 7) as f32 * 0.05);
    let mut patches: Vec<Vec<f16>> = (0..SIDE * SIDE).map(background).collect();
    if let Some((line, column)) = chart_at {
        patches[line * SIDE + column] = chart();
    }
    patches.concat()
}

/// A row of length 1 in a plane.
fn row(angle: f32) -> Vec<f16> {
    let (sin, cos) = angle.sin_cos();
    (0..DIM).map(|i| f16::from_f32([cos, sin].get(i).copied().unwrap_or(0.0))).collect()
}

/// What only a chart looks like.
fn chart() -> Vec<f16> {
    (0..DIM).map(|i| f16::from_f32(if i == 9 { 1.0 } else { 0.0 })).collect()
}
