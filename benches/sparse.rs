//! The inverted index through the public interface: a mapped index of a whole set, one thread, all
//! queries of the set one after another; the throughput is queries a second.
//!
//! `LATEEN_SETS=sets cargo bench --bench sparse`, where `sets` is a folder of embedding sets; the
//! set is `mixed`, or that of `LATEEN_SET`. Without sets there is nothing to measure.

#![allow(clippy::disallowed_methods, reason = "the switches of a bench")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lateen::readers::NpyArray;
use lateen::{
    Document, Filter, Index, IndexWriter, KernelLevel, KeyKind, Query, Schema, SparseField,
    SparseVector,
};

/// The sparse vectors of a set, of its documents or its queries.
struct Vectors {
    ends: Vec<usize>,
    terms: NpyArray,
    weights: NpyArray,
}

impl Vectors {
    fn open(set: &Path, what: &str) -> Self {
        let file = |part: &str| {
            let path = set.join(format!("sparse_{what}_{part}.npy"));
            NpyArray::open(path).expect("a file of the set")
        };
        let ends = file("indptr").usizes().expect("offsets");
        Self { ends, terms: file("indices"), weights: file("values") }
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = SparseVector<'_>> {
        let terms = self.terms.ints().expect("terms");
        let weights = self.weights.floats().expect("weights");
        self.ends.windows(2).map(move |pair| {
            let range = pair[0]..pair[1];
            let terms = terms.slice(range.clone()).expect("offsets within the terms");
            SparseVector::new(terms, weights.slice(range).expect("offsets within the weights"))
        })
    }
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name"));
    name.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown").trim().to_owned()
}

/// Median and 99th percentile of the queries' own times, each the best of five.
fn percentiles(index: &Index, queries: &[Query]) -> String {
    let time = |query: &Query| {
        let once = |_| {
            let start = Instant::now();
            black_box(index.search(query).expect("a search"));
            start.elapsed()
        };
        (0..5).map(once).min().unwrap_or_default()
    };
    let mut times: Vec<Duration> = queries.iter().map(time).collect();
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    format!("median {:.1?}, 99th percentile {:.1?}", at(50), at(99))
}

fn sparse(c: &mut Criterion) {
    let Some(sets) = std::env::var_os("LATEEN_SETS") else {
        println!("nothing is measured: LATEEN_SETS names no folder of sets");
        return;
    };
    let name = std::env::var("LATEEN_SET").unwrap_or_else(|_| "mixed".to_owned());
    let set = PathBuf::from(sets).join(&name);
    let place = tempfile::tempdir().expect("a place for the index");
    let path = place.path().join("index");

    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let field: SparseField = schema.sparse("sparse");
    let place_of = schema.u64("place");
    let random = schema.u64("random");
    let docs = Vectors::open(&set, "docs");
    let start = Instant::now();
    let mut writer =
        IndexWriter::create(&path, schema.build().expect("a schema")).expect("a writer");
    for (at, vector) in (0u64..).zip(docs.iter()) {
        let document = Document::new(at)
            .sparse(&field, vector)
            .and_then(|document| document.u64(&place_of, at))
            .and_then(|document| {
                document.u64(&random, at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40)
            });
        writer.add(&document.expect("a document")).expect("room for it");
    }
    writer.commit().expect("a commit");
    let built = start.elapsed();

    let count = docs.iter().len() as u64;
    let all = 1u64 << 24;
    let filters: [(&str, Option<Filter>); 7] = [
        ("", None),
        (", 10 % at random", Some(random.range(..all / 10))),
        (", 1 % at random", Some(random.range(..all / 100))),
        (", 0.1 % at random", Some(random.range(..all / 1000))),
        (", 10 % in one place", Some(place_of.range(count / 2..count / 2 + count / 10))),
        (", 1 % in one place", Some(place_of.range(count / 2..count / 2 + count / 100))),
        (", one document", Some(place_of.eq(count / 3))),
    ];
    let vectors = Vectors::open(&set, "queries");
    println!("CPU: {}; set {name}: {count} documents, built in {built:.1?}", cpu());
    for level in KernelLevel::available() {
        let index = Index::options().kernel(level).open(&path).expect("the index");
        let mut group = c.benchmark_group(format!("{name}/{level}"));
        group.throughput(Throughput::Elements(vectors.iter().len() as u64));
        group.sample_size(10);
        group.warm_up_time(Duration::from_millis(200));
        group.measurement_time(Duration::from_secs(1));
        for (said, filter) in &filters {
            for top in [10, 100, 1000] {
                if filter.is_some() && top != 10 {
                    continue;
                }
                let queries: Vec<Query> = vectors
                    .iter()
                    .map(|vector| {
                        let query = Query::sparse(&field, vector).expect("a query");
                        let query = query.exact().top(top);
                        filter.iter().cloned().fold(query, Query::filter)
                    })
                    .collect();
                let id = format!("exact top {top}{said}");
                println!("{level}, {id}: {}", percentiles(&index, &queries));
                group.bench_function(id, |b| {
                    b.iter(|| {
                        for query in &queries {
                            black_box(index.search(query).expect("a search"));
                        }
                    });
                });
            }
        }
        group.finish();
    }
}

criterion_group!(benches, sparse);
criterion_main!(benches);
