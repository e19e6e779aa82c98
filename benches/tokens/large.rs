//! The same queries on the set and on several times as many rows: at equal recall, how much longer?
//!
//! `LATEEN_ROWS` says how many rows (5,000,000 where it is not set), `LATEEN_THREADS` how many
//! threads build (2), and `LATEEN_INDEX` a folder where the indexes stay for the next run. The first
//! documents are those of the set. **The others are made**: each has the rows of one document of the
//! set, a quarter of them exchanged for rows of another that is usually near it in the order of the
//! set, and all of them blurred by three tenths of their length, so that their cosine with the row
//! they come from is .96. So lengths and directions are those of real rows, but each document has
//! near-doubles, which makes the true ten harder to tell from others than they are in the set.
//!
//! Recall is the share of the ten best of an exact search of the same index.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use half::f16;
use lateen::{
    Batch, Effort, Index, IndexWriter, KeyKind, Query, Schema, TokenBatch, TokenMatrix,
    TokenOptions,
};

use crate::made::Random;
use crate::{DIM, Wiki, middle};

/// What is asked of the dial.
const ASKED: [f32; 5] = [0.9, 0.95, 0.97, 0.98, 0.99];

/// Appends the rows of document `at`: of the set, or made.
fn make(wiki: &Wiki, at: usize, out: &mut Vec<f16>) {
    let documents = &wiki.documents;
    if at < documents.len() {
        out.extend_from_slice(documents.halves(at, at + 1));
        return;
    }
    let mut random = Random::new(at as u64);
    let first = random.below(documents.len());
    let second = if random.below(10) < 8 {
        (first + random.below(41)).saturating_sub(20).min(documents.len() - 1)
    } else {
        random.below(documents.len())
    };
    let (own, others) = (documents.halves(first, first + 1), documents.halves(second, second + 1));
    for row in own.chunks(DIM) {
        let other = random.below(others.len() / DIM) * DIM;
        let row = if random.below(4) == 0 { &others[other..other + DIM] } else { row };
        let mut made: Vec<f32> = row.iter().map(|x| x.to_f32()).collect();
        let blur = 0.3 / (DIM as f32).sqrt();
        for two in made.chunks_mut(2) {
            two.iter_mut().zip(random.normals()).for_each(|(x, normal)| *x += blur * normal);
        }
        let length = made.iter().map(|x| x * x).sum::<f32>().sqrt();
        out.extend(made.iter().map(|x| f16::from_f32(x / length)));
    }
}

/// An index of so many rows at least.
fn build(wiki: &Wiki, place: &Path, rows: usize) -> Index {
    let threads = std::env::var("LATEEN_THREADS").ok().and_then(|count| count.parse().ok());
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let field = schema.tokens("t", TokenOptions::new(DIM));
    let schema = schema.build().expect("a schema");
    if place.exists() {
        return Index::open(place).expect("an index");
    }
    let options = IndexWriter::options().threads(threads.unwrap_or(2)).memory(4 << 30);
    let mut writer = options.create(place, schema).expect("room");
    let start = Instant::now();
    let (mut added, mut at) = (0, 0);
    while added < rows {
        let first = at;
        let (mut halves, mut ends) = (Vec::new(), Vec::new());
        while at < first + 500 && added < rows {
            make(wiki, at, &mut halves);
            added += (halves.len() / DIM) - ends.last().copied().unwrap_or(0);
            ends.push(halves.len() / DIM);
            at += 1;
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let matrices: Vec<TokenMatrix<'_>> = starts
            .zip(&ends)
            .map(|(from, &to)| TokenMatrix::new(&halves[from * DIM..to * DIM], DIM))
            .collect();
        let batch = Batch::new(first as u64..at as u64);
        let batch = batch.tokens(&field, &TokenBatch::matrices(&matrices)).expect("rows");
        writer.add_batch(&batch).expect("room");
    }
    writer.commit().expect("room");
    drop(writer);
    let index = Index::open(place).expect("an index");
    let info = index.info();
    println!(
        "{added} rows of {at} documents: built in {:.1?} with making them, {} segments, {:.1} bytes a row",
        start.elapsed(),
        info.segments.len(),
        info.bytes() as f64 / added as f64
    );
    index
}

pub(crate) fn run(wiki: &Wiki, place: &Path) {
    let rows = std::env::var("LATEEN_ROWS").ok().and_then(|rows| rows.parse().ok());
    let rows = rows.unwrap_or(5_000_000);
    let kept = std::env::var_os("LATEEN_INDEX").map(PathBuf::from);
    let place = kept.as_deref().unwrap_or(place.parent().expect("a folder"));
    std::fs::create_dir_all(place).expect("a folder");
    let small = build(wiki, &place.join("tokens-wiki"), wiki.ids.len());
    let large = build(wiki, &place.join(format!("tokens-{rows}")), rows);
    for (kind, name) in ["queries of 5 to 14 rows", "queries of 32 rows"].into_iter().enumerate() {
        println!("{name}: recall@10 and median µs of the set, of the larger index");
        let exact = [&small, &large].map(|index| ask(wiki, index, kind, Effort::Exact));
        println!("  exact      {:>9.0} | {:>9.0}", exact[0].1, exact[1].1);
        for asked in ASKED {
            let [a, b] =
                [&small, &large].map(|index| ask(wiki, index, kind, Effort::Recall(asked)));
            let recall = |found: &[HashSet<u64>], best: &[HashSet<u64>]| {
                let common = |(a, b): (&HashSet<u64>, &HashSet<u64>)| a.intersection(b).count();
                found.iter().zip(best).map(common).sum::<usize>() as f64 / (10 * best.len()) as f64
            };
            println!(
                "  asked {asked:.2} {:.3} {:>9.0} | {:.3} {:>9.0}",
                recall(&a.0, &exact[0].0),
                a.1,
                recall(&b.0, &exact[1].0),
                b.1
            );
        }
    }
}

/// What each query finds, and the median of the best of two times of each, in microseconds.
fn ask(wiki: &Wiki, index: &Index, kind: usize, effort: Effort) -> (Vec<HashSet<u64>>, f64) {
    let field = index.schema().tokens("t").expect("a field");
    let queries = &wiki.queries[kind].0;
    let mut times = vec![f64::INFINITY; queries.len()];
    let mut found = Vec::new();
    for round in 0..2 {
        for (at, time) in times.iter_mut().enumerate() {
            let query = Query::tokens(&field, queries.matrix(at)).expect("a query").effort(effort);
            let start = Instant::now();
            let hits = index.search(&query).expect("hits");
            *time = time.min(start.elapsed().as_secs_f64() * 1e6);
            if round == 0 {
                found.push(hits.iter().filter_map(|hit| hit.key().as_u64()).collect());
            }
        }
    }
    (found, middle(&mut times))
}
