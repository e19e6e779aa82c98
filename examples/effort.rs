//! How hard to look: the proven answer, the usual one, and less work for a little less.
//!
//! `cargo run --release --example effort`

use std::time::Instant;

use lateen::{Centroids, Document, Effort, IndexWriter, Query, Schema, TokenMatrix, TokenOptions};

pub(crate) fn main() -> Result<(), lateen::Error> {
    let mut schema = Schema::builder();
    // Small indexes need no centroids; here they are asked for, to have something to choose.
    let tokens = schema.tokens("tokens", TokenOptions::new(16).centroids(Centroids::Count(64)));
    let mut writer = IndexWriter::in_memory(schema.build()?)?;
    let mut random = Random(1);
    for key in 0..2000 {
        let rows: Vec<f32> = (0..8).flat_map(|_| random.row()).collect();
        writer
            .add(&Document::new(format!("{key}")).tokens(&tokens, TokenMatrix::new(&rows, 16))?)?;
    }
    writer.commit()?;
    let index = writer.reader()?;

    let queries: Vec<Query> = (0..50)
        .map(|_| {
            let rows: Vec<f32> = (0..4).flat_map(|_| random.row()).collect();
            Ok(Query::tokens(&tokens, TokenMatrix::new(&rows, 16))?.top(10))
        })
        .collect::<lateen::Result<_>>()?;
    let ask = |effort: Effort| -> lateen::Result<_> {
        let start = Instant::now();
        let found: lateen::Result<Vec<_>> =
            queries.iter().map(|query| index.search(&query.clone().effort(effort))).collect();
        Ok((found?, start.elapsed() / 50))
    };

    let (truth, _) = ask(Effort::Exact)?;
    assert!(truth.iter().all(lateen::Hits::certified));
    println!("effort          recall@10   certified   time");
    for effort in [
        Effort::Exact,
        Effort::default(),
        Effort::Recall(0.8),
        Effort::Level(0.2),
        Effort::Level(0.0),
    ] {
        let (found, time) = ask(effort)?;
        let (mut same, mut certified) = (0, 0);
        for (hits, truth) in found.iter().zip(&truth) {
            same += hits.iter().filter(|hit| truth.iter().any(|t| t.key() == hit.key())).count();
            certified += usize::from(hits.certified());
        }
        let recall = same as f32 / 500.0;
        println!("{:<14}  {recall:9.3}  {certified:>3} of 50   {time:.0?}", format!("{effort:?}"));
    }
    Ok(())
}

/// Rows of length 1 in all directions, the same on every run.
struct Random(u64);

impl Random {
    fn row(&mut self) -> [f32; 16] {
        let mut row = [0.0f32; 16];
        for x in &mut row {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *x = ((self.0 >> 40) as f32 / (1u64 << 24) as f32) - 0.5;
        }
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.map(|x| x / length)
    }
}
