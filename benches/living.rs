//! What a living index costs: adding to a large one, searching beside a writer that merges, and the
//! memory of a long build.
//!
//! `LATEEN_SETS=sets cargo bench --bench living`, where `sets` is a folder of embedding sets with
//! `mixed` and `wiki`. Without sets there is nothing to measure. `LATEEN_BUILD=documents,mebibytes`
//! builds so many documents, made of those of `mixed` over and over, in that memory.

#![allow(clippy::disallowed_methods, reason = "the switches of a bench")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lateen::readers::NpyArray;
use lateen::{
    Batch, Index, IndexWriter, KeyKind, Query, Schema, SchemaBuilder, SparseBatch, SparseField,
    SparseVector, TokenBatch, TokenField,
};

/// Vectors of a set.
struct Vectors {
    ends: Vec<usize>,
    terms: NpyArray,
    weights: NpyArray,
}

impl Vectors {
    fn open(set: &Path, what: &str) -> Self {
        let open = |part: &str| {
            NpyArray::open(set.join(format!("sparse_{what}_{part}.npy"))).expect("a set")
        };
        let ends = open("indptr").usizes().expect("offsets");
        Self { ends, terms: open("indices"), weights: open("values") }
    }

    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    fn row(&self, row: usize) -> SparseVector<'_> {
        let range = self.ends[row]..self.ends[row + 1];
        let terms = self.terms.ints().expect("terms").slice(range.clone());
        let weights = self.weights.floats().expect("weights").slice(range);
        SparseVector::new(terms.expect("terms"), weights.expect("weights"))
    }
}

struct Fields {
    sparse: SparseField,
    tokens: Option<TokenField>,
}

fn schema(dim: Option<usize>) -> (Schema, Fields) {
    let mut schema: SchemaBuilder = Schema::builder();
    schema.keys(KeyKind::U64);
    let sparse = schema.sparse("sparse");
    let tokens = dim.map(|dim| schema.tokens("tokens", dim));
    (schema.build().expect("a schema"), Fields { sparse, tokens })
}

/// Token rows of a set, with where each document's end.
struct Tokens {
    rows: NpyArray,
    ends: Vec<usize>,
}

impl Tokens {
    fn open(set: &Path) -> Self {
        let open = |name: &str| NpyArray::open(set.join(name)).expect("a set");
        let mut end = 0;
        let mut ends = vec![0];
        for length in open("tok_doclens.npy").usizes().expect("lengths") {
            end += length;
            ends.push(end);
        }
        Self { rows: open("tok_docs.npy"), ends }
    }
}

/// Adds rows of a set under keys from `key` on.
fn add(
    writer: &mut IndexWriter,
    fields: &Fields,
    vectors: &Vectors,
    tokens: Option<&Tokens>,
    rows: std::ops::Range<usize>,
    key: u64,
) {
    let count = rows.len();
    let indptr: Vec<u64> = vectors.ends[rows.start..=rows.end]
        .iter()
        .map(|&e| (e - vectors.ends[rows.start]) as u64)
        .collect();
    let range = vectors.ends[rows.start]..vectors.ends[rows.end];
    let terms = vectors.terms.ints().expect("terms").slice(range.clone()).expect("terms");
    let weights = vectors.weights.floats().expect("weights").slice(range).expect("weights");
    let sparse = SparseBatch::csr(&indptr, terms, weights);
    let mut batch = Batch::new((key..).take(count)).sparse(&fields.sparse, &sparse).expect("rows");
    let lengths: Vec<u64>;
    if let (Some(tokens), Some(field)) = (tokens, &fields.tokens) {
        lengths =
            (rows.clone()).map(|row| (tokens.ends[row + 1] - tokens.ends[row]) as u64).collect();
        let range = tokens.ends[rows.start] * field.dim()..tokens.ends[rows.end] * field.dim();
        let values = tokens.rows.floats().expect("rows").slice(range).expect("rows");
        let matrices = TokenBatch::flat(values, &lengths, field.dim());
        batch = batch.tokens(field, &matrices).expect("rows");
    }
    writer.upsert_batch(&batch).expect("room");
}

/// Anonymous memory of this process, in MiB, and the largest seen while something runs.
fn watched<T>(work: impl FnOnce() -> T) -> (T, u64, u64) {
    let anonymous = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("RssAnon")).map(str::to_owned);
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) / 1024
    };
    let before = anonymous();
    let (done, most) = (AtomicBool::new(false), AtomicU64::new(before));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                most.fetch_max(anonymous(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        result
    });
    (result, before, most.into_inner())
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    format!("{} searches, median {:.1?}, 99th percentile {:.1?}", times.len(), at(50), at(99))
}

/// A thousand documents come to all the others, are committed, and seen by an open reader.
fn adding(name: &str, set: &Path, with_tokens: bool, place: &Path) {
    let (vectors, tokens) = (Vectors::open(set, "docs"), with_tokens.then(|| Tokens::open(set)));
    let (schema, fields) = schema(with_tokens.then_some(128));
    let mut writer = IndexWriter::create(place.join(name), schema).expect("a writer");
    let most = vectors.len() - 1000;
    for first in (0..most).step_by(1000) {
        let rows = first..(first + 1000).min(most);
        add(&mut writer, &fields, &vectors, tokens.as_ref(), rows, first as u64);
    }
    writer.commit().expect("a commit");
    let index = Index::open(place.join(name)).expect("a reader");
    let mut best = [Duration::MAX; 2];
    for round in 0..3 {
        let start = Instant::now();
        let key = (most + 1000 * round) as u64;
        add(&mut writer, &fields, &vectors, tokens.as_ref(), most..most + 1000, key);
        writer.commit().expect("a commit");
        let committed = start.elapsed();
        let start = Instant::now();
        assert!(index.refresh().expect("a refresh"));
        best = [best[0].min(committed), best[1].min(start.elapsed())];
    }
    println!(
        "{name}: 1,000 documents to {most}: added and committed in {:.1?}, refreshed in {:.1?}",
        best[0], best[1]
    );
}

/// Searches alone, and beside a writer that adds, deletes, commits and merges all the time.
fn beside_a_writer(set: &Path, place: &Path) {
    let (vectors, asked) = (Vectors::open(set, "docs"), Vectors::open(set, "queries"));
    let (schema, fields) = schema(None);
    let path = place.join("beside");
    let mut writer = IndexWriter::create(&path, schema).expect("a writer");
    for first in (0..vectors.len()).step_by(1000) {
        let rows = first..(first + 1000).min(vectors.len());
        add(&mut writer, &fields, &vectors, None, rows, first as u64);
    }
    writer.commit().expect("a commit");
    let index = Index::open(&path).expect("a reader");
    let queries: Vec<Query> = (0..asked.len())
        .map(|row| Query::sparse(&fields.sparse, asked.row(row)).expect("a query"))
        .collect();
    let search = |until: &dyn Fn(usize) -> bool| {
        let mut times = Vec::new();
        while !until(times.len()) {
            let start = Instant::now();
            index.search(&queries[times.len() % queries.len()]).expect("an answer");
            times.push(start.elapsed());
        }
        times
    };
    search(&|done| done >= queries.len());
    println!("beside nobody: {}", percentiles(search(&|done| done >= 4000)));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (done, index, vectors) = (&done, &index, &vectors);
        scope.spawn(move || {
            let start = Instant::now();
            let (mut commits, mut segments, mut longest) = (0u64, 0, Duration::ZERO);
            while start.elapsed() < Duration::from_secs(8) {
                let first = (commits as usize * 500) % (vectors.len() - 500);
                let key =
                    if commits.is_multiple_of(2) { first as u64 } else { 1_000_000 + first as u64 };
                add(&mut writer, &fields, vectors, None, first..first + 500, key);
                let began = Instant::now();
                writer.commit().expect("a commit");
                longest = longest.max(began.elapsed());
                index.refresh().expect("a refresh");
                segments += index.info().segments.len() as u64;
                commits += 1;
            }
            println!(
                "the writer: {commits} commits of 500, the longest in {longest:.1?}; {:.1} segments on average",
                segments as f64 / commits as f64
            );
            done.store(true, Ordering::Relaxed);
        });
        let times = search(&|_| done.load(Ordering::Relaxed));
        println!("beside a writer: {}", percentiles(times));
    });
    // What is left of the difference is not the writer's presence, but what it has made.
    let info = index.info();
    let made = format!("{} documents, {} segments", info.documents, info.segments.len());
    println!("after it ({made}): {}", percentiles(search(&|done| done >= 4000)));
}

/// A build of many documents in so much memory.
fn long_build(set: &Path, place: &Path, count: u64, mebibytes: usize) {
    let vectors = Vectors::open(set, "docs");
    let (schema, fields) = schema(None);
    let path = place.join("long");
    let options = IndexWriter::options().memory(mebibytes << 20).threads(2);
    let start = Instant::now();
    let (index, before, most) = watched(|| {
        let mut writer = options.create(&path, schema).expect("a writer");
        let mut key = 0u64;
        while key < count {
            let first = (key as usize * 500) % (vectors.len() - 500);
            let rows = first..first + 500;
            add(&mut writer, &fields, &vectors, None, rows, key);
            key += 500;
        }
        writer.commit().expect("a commit");
        writer.wait_merges().expect("merges");
        writer.reader().expect("a reader")
    });
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{count} documents in {mebibytes} MiB: {seconds:.1} s, {:.0} documents/s; {before} MiB before, {most} MiB at most; {} segments",
        count as f64 / seconds,
        index.info().segments.len(),
    );
}

/// The documents of `wiki` with tokens in so much memory.
fn token_build(set: &Path, place: &Path, mebibytes: usize) {
    let (vectors, tokens) = (Vectors::open(set, "docs"), Tokens::open(set));
    let (schema, fields) = schema(Some(128));
    let options = IndexWriter::options().memory(mebibytes << 20).threads(2);
    let start = Instant::now();
    let path = place.join(format!("tokens {mebibytes}"));
    let (index, before, most) = watched(|| {
        let mut writer = options.create(&path, schema).expect("a writer");
        for first in (0..vectors.len()).step_by(100) {
            let rows = first..(first + 100).min(vectors.len());
            add(&mut writer, &fields, &vectors, Some(&tokens), rows, first as u64);
        }
        writer.commit().expect("a commit");
        writer.reader().expect("a reader")
    });
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "wiki with tokens in {mebibytes} MiB: {seconds:.1} s, {:.0} documents/s, {:.0} tokens/s; {before} MiB before, {most} MiB at most; {} segments",
        vectors.len() as f64 / seconds,
        *tokens.ends.last().unwrap_or(&0) as f64 / seconds,
        index.info().segments.len(),
    );
}

fn main() {
    let Some(sets) = std::env::var_os("LATEEN_SETS").map(PathBuf::from) else {
        println!("nothing is measured: LATEEN_SETS names no folder of sets");
        return;
    };
    let place = tempfile::tempdir().expect("a place for the index");
    let (mixed, wiki) = (sets.join("mixed"), sets.join("wiki"));
    if let Ok(build) = std::env::var("LATEEN_BUILD") {
        let (count, mebibytes) = build.split_once(',').expect("documents,mebibytes");
        let (count, mebibytes) =
            (count.parse().expect("a number"), mebibytes.parse().expect("a number"));
        long_build(&mixed, place.path(), count, mebibytes);
        token_build(&wiki, place.path(), mebibytes);
        return;
    }
    adding("mixed", &mixed, false, place.path());
    adding("wiki", &wiki, true, place.path());
    beside_a_writer(&mixed, place.path());
}
