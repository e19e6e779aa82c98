//! What it costs to trust an index: to verify all of it, and to open it.
//!
//! `LATEEN_SETS=sets cargo bench --features readers --bench reading -- verify`, where `sets` is a
//! folder of embedding sets with `mixed` and `wiki`: how many bytes of an index in memory one
//! thread verifies in a second, the best of seven runs.

#![allow(clippy::disallowed_methods, reason = "the switches of a bench")]

use std::path::Path;
use std::time::{Duration, Instant};

use lateen::readers::NpyArray;
use lateen::{
    Batch, Floats, Index, IndexWriter, Key, KeyKind, Schema, SparseBatch, TokenBatch, TokenOptions,
};

/// Documents handed in at once.
const STEP: usize = 2000;

/// An array of a set, all of it.
fn array(set: &Path, name: &str) -> NpyArray {
    NpyArray::open(set.join(name)).expect("a file of the set")
}

/// Sums of lengths, from 0 on.
fn ends(lengths: &[u64]) -> Vec<usize> {
    let mut ends = vec![0];
    for length in lengths {
        ends.push(ends[ends.len() - 1] + usize::try_from(*length).expect("it is in memory"));
    }
    ends
}

/// The set in memory, with one segment and every vector that it has.
fn build(set: &Path) -> IndexWriter {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let sparse = schema.sparse("sparse");
    let rows = set.join("tok_docs.npy").exists().then(|| array(set, "tok_docs.npy"));
    let lengths = rows.as_ref().map(|_| {
        let lengths = array(set, "tok_doclens.npy").usizes().expect("lengths");
        lengths.into_iter().map(|rows| rows as u64).collect::<Vec<u64>>()
    });
    let dim = rows.as_ref().map_or(8, |rows| rows.shape()[1]);
    let tokens = rows.as_ref().map(|_| schema.tokens("tokens", TokenOptions::new(dim)));
    let options = IndexWriter::options().memory(4 << 30);
    let mut writer = options.in_memory(schema.build().expect("a schema")).expect("a writer");

    let places = array(set, "sparse_docs_indptr.npy").usizes().expect("offsets");
    let (terms, weights) =
        (array(set, "sparse_docs_indices.npy"), array(set, "sparse_docs_values.npy"));
    let (terms, weights) = (terms.ints().expect("terms"), weights.floats().expect("weights"));
    let row_ends = ends(lengths.as_deref().unwrap_or(&[]));
    let count = places.len() - 1;
    for from in (0..count).step_by(STEP) {
        let to = (from + STEP).min(count);
        let all = places[from]..places[to];
        let offsets: Vec<u64> =
            places[from..=to].iter().map(|at| (at - all.start) as u64).collect();
        let keys = (from..to).map(|at| Key::U64(at as u64));
        let mut batch = Batch::new(keys)
            .sparse(
                &sparse,
                &SparseBatch::csr(
                    &offsets[..],
                    terms.slice(all.clone()).expect("terms"),
                    weights.slice(all).expect("weights"),
                ),
            )
            .expect("vectors");
        if let (Some(field), Some(rows), Some(lengths)) = (&tokens, &rows, &lengths) {
            let Floats::F16(all) = rows.floats().expect("rows") else { panic!("f16") };
            let part = &all[row_ends[from] * dim..row_ends[to] * dim];
            batch = batch
                .tokens(field, &TokenBatch::flat(part, &lengths[from..to], dim))
                .expect("rows");
        }
        writer.add_batch(&batch).expect("room for it");
    }
    writer.commit().expect("a commit");
    writer
}

fn verify(sets: &Path) {
    for set in ["mixed", "wiki"] {
        let writer = build(&sets.join(set));
        let index = writer.reader().expect("the index");
        let bytes = index.info().bytes();
        println!("{set}: {:.1} MB, {} segments", bytes as f64 / 1e6, index.info().segments.len());
        for (what, meaning) in [("checksums", false), ("checksums and meaning", true)] {
            let verify = if meaning { Index::verify } else { Index::verify_checksums };
            let mut best = Duration::MAX;
            for _ in 0..7 {
                let start = Instant::now();
                verify(&index).expect("it is sound");
                best = best.min(start.elapsed());
            }
            let rate = bytes as f64 / best.as_secs_f64() / 1e9;
            println!("  {what}: {best:.1?}, {rate:.2} GB/s");
        }
    }
}

fn main() {
    let Some(sets) = std::env::var_os("LATEEN_SETS") else {
        println!("nothing is measured: LATEEN_SETS names no folder of sets");
        return;
    };
    let parts: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let asked = |part: &str| parts.is_empty() || parts.iter().any(|other| other == part);
    if asked("verify") {
        verify(Path::new(&sets));
    }
}
