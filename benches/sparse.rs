//! The inverted index through the public interface: a mapped index of a whole set, one thread, all
//! queries of the set one after another; the throughput is queries a second.
//!
//! `LATEEN_SETS=sets cargo bench --bench sparse`, where `sets` is a folder of embedding sets; the
//! set is `mixed`, or that of `LATEEN_SET`. Without sets there is nothing to measure.
//!
//! `LATEEN_TIMES=1` leaves criterion out and prints, for each way of asking, the median and the
//! 99th percentile of all queries, each the best of a few, and how many of the true hits were found;
//! `LATEEN_ONLY=words` takes only the lines whose name contains all of these words, `=name` only the
//! one that is called so; each query is asked `LATEEN_ROUNDS` times, or five. `LATEEN_INDEX=folder`
//! keeps the indexes there for the next run. `LATEEN_SCALE=1000000` takes so many documents: after
//! the set's own, mixtures of two of them with weights changed a little. `LATEEN_ORDER=similar` lays
//! documents that share terms together.

#![allow(clippy::disallowed_methods, reason = "the switches of a bench")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lateen::readers::NpyArray;
use lateen::{
    Document, DocumentOrder, Effort, Filter, Floats, Forward, Hit, Index, IndexWriter, KernelLevel,
    KeyKind, Query, Schema, SparseField, SparseOptions,
};

/// A vector: terms and weights.
type Vector = Vec<(u32, f32)>;

fn vectors(set: &Path, what: &str) -> Vec<Vector> {
    let file = |part: &str| {
        NpyArray::open(set.join(format!("sparse_{what}_{part}.npy"))).expect("a file of the set")
    };
    let (terms, weights) = (file("indices").usizes().expect("terms"), file("values"));
    let values: Vec<f32> = match weights.floats().expect("weights") {
        Floats::F16(values) => values.iter().map(|value| value.to_f32()).collect(),
        Floats::F32(values) => values.to_vec(),
        other => panic!("weights of another type: {other:?}"),
    };
    let ends = file("indptr").usizes().expect("offsets");
    ends.windows(2)
        .map(|pair| {
            let entries = terms[pair[0]..pair[1]].iter().zip(&values[pair[0]..pair[1]]);
            entries.map(|(&term, &weight)| (u32::try_from(term).expect("u32"), weight)).collect()
        })
        .collect()
}

/// Until there are `count`: entries of two documents of the set, each with a weight of four fifths
/// to six fifths of its own. Three entries in four of the first are kept and one in four of the
/// second, so a mixture is as long as a document.
fn scaled(mut docs: Vec<Vector>, count: usize) -> Vec<Vector> {
    let own = docs.len();
    let mut state = 1u64;
    let mut random = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    while docs.len() < count {
        let first = random() % own;
        let second = (first + 1 + random() % 64) % own;
        let mut mixed = std::collections::BTreeMap::new();
        for (doc, keep) in [(second, 1), (first, 3)] {
            for &(term, weight) in &docs[doc] {
                if random() % 4 < keep {
                    let share = 0.8 + 0.4 * (random() % 1024) as f32 / 1024.0;
                    mixed.insert(term, half::f16::from_f32(weight * share).to_f32());
                }
            }
        }
        mixed.retain(|_, weight| *weight > 0.0);
        docs.push(mixed.into_iter().collect());
    }
    docs
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name"));
    name.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown").trim().to_owned()
}

/// Median and 99th percentile of the queries' own times, each the best of its rounds.
fn percentiles(index: &Index, queries: &[Query]) -> String {
    let rounds = std::env::var("LATEEN_ROUNDS").map_or(5, |text| text.parse().unwrap_or(5));
    let mut best = vec![Duration::MAX; queries.len()];
    for _ in 0..rounds {
        for (query, best) in queries.iter().zip(&mut best) {
            let start = Instant::now();
            black_box(index.search(query).expect("a search"));
            *best = start.elapsed().min(*best);
        }
    }
    best.sort_unstable();
    let at = |part: usize| best.get(best.len() * part / 100).copied().unwrap_or_default();
    let mean = best.iter().sum::<Duration>() / u32::try_from(best.len()).unwrap_or(1).max(1);
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    format!("median {:.1} us, mean {:.1}, 99th percentile {:.1}", us(at(50)), us(mean), us(at(99)))
}

/// The share of the true hits that are found: a hit that scores as much as the last true one
/// counts as one.
fn recall(index: &Index, queries: &[Query]) -> f64 {
    let (mut found, mut all) = (0, 0);
    for query in queries {
        let truth = index.search(&query.clone().exact()).expect("a search");
        let Some(last) = truth.last().map(Hit::score) else { continue };
        let answer = index.search(query).expect("a search");
        found += answer.iter().filter(|hit| hit.score() >= last).count();
        all += truth.len();
    }
    f64::from(u32::try_from(found).unwrap_or(0)) / f64::from(u32::try_from(all).unwrap_or(1))
}

/// What is asked of one index.
struct Asked {
    said: String,
    top: usize,
    effort: Effort,
    filter: Option<Filter>,
    /// Above what the exact answer's fifth hit scores.
    range: bool,
    threads: usize,
    /// A term that no document has, in place of the query: what is around a search.
    nothing: bool,
}

/// An index of a set, and the fields in it.
struct Built {
    path: PathBuf,
    sparse: SparseField,
    filters: Vec<(&'static str, Filter)>,
}

fn build(docs: &[Vector], path: PathBuf, forward: Forward) -> Built {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let options = SparseOptions::default().forward(forward);
    let sparse: SparseField = schema.sparse_with("sparse", options);
    let place = schema.u64("place");
    let random = schema.u64("random");
    let schema = schema.build().expect("a schema");
    if !path.exists() {
        let start = Instant::now();
        let mut writer =
            IndexWriter::options().order(order()).create(&path, schema).expect("a writer");
        for (at, vector) in (0u64..).zip(docs) {
            let document = Document::new(at)
                .sparse(&sparse, &vector[..])
                .and_then(|document| document.u64(&place, at))
                .and_then(|document| {
                    document.u64(&random, at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40)
                });
            writer.add(&document.expect("a document")).expect("room for it");
        }
        writer.commit().expect("a commit");
        println!("{} documents, built in {:.1?}", docs.len(), start.elapsed());
    }
    let count = docs.len() as u64;
    let all = 1u64 << 24;
    let filters = vec![
        ("10 % at random", random.range(..all / 10)),
        ("1 % at random", random.range(..all / 100)),
        ("0.1 % at random", random.range(..all / 1000)),
        ("10 % in one place", place.range(count / 2..count / 2 + count / 10)),
        ("1 % in one place", place.range(count / 2..count / 2 + count / 100)),
        ("one document", place.eq(count / 3)),
    ];
    Built { path, sparse, filters }
}

fn order() -> DocumentOrder {
    match std::env::var("LATEEN_ORDER").as_deref() {
        Ok("similar") => DocumentOrder::Similar,
        _ => DocumentOrder::Given,
    }
}

fn asked(built: &Built, windows: usize, rows: bool, level: KernelLevel) -> Vec<Asked> {
    let plain = |said: String, top, effort| Asked {
        said,
        top,
        effort,
        filter: None,
        range: false,
        threads: 1,
        nothing: false,
    };
    let exact = if rows { "exact" } else { "exact on impacts" };
    let mut all: Vec<Asked> = [10, 100, 1000]
        .into_iter()
        .map(|top| plain(format!("{exact} top {top}"), top, Effort::Exact))
        .collect();
    if rows {
        for share in [0.99, 0.98, 0.95, 0.9] {
            for top in [10, 100] {
                let said = format!("recall {share} top {top}");
                all.push(plain(said, top, Effort::Recall(share)));
            }
        }
        for level in [0.0, 0.2, 0.4, 0.5, 0.7, 0.9] {
            all.push(plain(format!("level {level} top 10"), 10, Effort::Level(level)));
        }
        for (said, filter) in &built.filters {
            let said = format!("exact top 10, {said}");
            let filter = Some(filter.clone());
            all.push(Asked { filter: filter.clone(), ..plain(said.clone(), 10, Effort::Exact) });
            let share = Effort::Recall(0.95);
            let approximate = said.replacen("exact", "recall 0.95", 1);
            all.push(Asked { filter: filter.clone(), ..plain(approximate, 10, share) });
            all.push(Asked { filter, nothing: true, ..plain(said + " alone", 10, Effort::Exact) });
        }
        if windows > 64 {
            let said = "exact top 10 on two threads".to_owned();
            all.push(Asked { threads: 2, ..plain(said, 10, Effort::Exact) });
        }
        let said = "exact above the fifth best".to_owned();
        all.push(Asked { range: true, ..plain(said, 10, Effort::Exact) });
    }
    let only = only();
    all.retain(|asked| {
        let name = format!("{level}, {}", asked.said);
        match only.strip_prefix('=') {
            Some(exactly) => name == exactly,
            None => only.split(' ').all(|word| name.contains(word)),
        }
    });
    all
}

/// Which lines are wanted.
fn only() -> String {
    std::env::var("LATEEN_ONLY").unwrap_or_default()
}

/// All queries as one batch, exact top 10, beside the same one after another: microseconds a query,
/// the best of a few rounds in turn.
fn batches(index: &Index, built: &Built, vectors: &[Vector], threads: usize) -> String {
    let queries: Vec<_> = vectors
        .iter()
        .map(|vector| Query::sparse(&built.sparse, &vector[..]).expect("a query").exact().top(10))
        .collect();
    let (mut together, mut alone) = (Duration::MAX, Duration::MAX);
    for _ in 0..5 {
        let start = Instant::now();
        black_box(index.search_batch(&queries, threads).expect("a search"));
        together = start.elapsed().min(together);
        let start = Instant::now();
        for query in &queries {
            black_box(index.search(query).expect("a search"));
        }
        alone = start.elapsed().min(alone);
    }
    let each = |time: Duration| time.as_secs_f64() * 1e6 / queries.len() as f64;
    format!("{:.1} us a query, one by one {:.1}", each(together), each(alone))
}

fn queries(index: &Index, built: &Built, vectors: &[Vector], asked: &Asked) -> Vec<Query> {
    vectors
        .iter()
        .map(|vector| {
            let vector = if asked.nothing { &[(u32::MAX, 1.0)] } else { &vector[..] };
            let query = Query::sparse(&built.sparse, vector).expect("a query");
            let query = query.effort(asked.effort).top(asked.top).threads(asked.threads);
            let query = asked.filter.iter().cloned().fold(query, Query::filter);
            if !asked.range {
                return query;
            }
            let hits = index.search(&query).expect("a search");
            let fifth = hits.get(4).or(hits.last()).map_or(0.0, Hit::score);
            query.at_least(fifth)
        })
        .collect()
}

fn sparse(c: &mut Criterion) {
    let Some(sets) = std::env::var_os("LATEEN_SETS") else {
        println!("nothing is measured: LATEEN_SETS names no folder of sets");
        return;
    };
    let name = std::env::var("LATEEN_SET").unwrap_or_else(|_| "mixed".to_owned());
    let set = PathBuf::from(sets).join(&name);
    let place = tempfile::tempdir().expect("a place for the index");
    let kept = std::env::var_os("LATEEN_INDEX").map(PathBuf::from);
    let place = kept.as_deref().unwrap_or(place.path());
    std::fs::create_dir_all(place).expect("a place for the index");
    let times = std::env::var_os("LATEEN_TIMES").is_some();

    let scale = std::env::var("LATEEN_SCALE").map_or(0, |text| text.parse().unwrap_or(0));
    let name = if scale > 0 { format!("{name}-{scale}") } else { name };
    let name = if order() == DocumentOrder::Similar { name + "-similar" } else { name };
    let docs = scaled(vectors(&set, "docs"), scale);
    let vectors = vectors(&set, "queries");
    println!("CPU: {}; set {name}: {} documents, {} queries", cpu(), docs.len(), vectors.len());
    let all = [(Forward::Auto, true), (Forward::None, false)];
    // A large set once is enough.
    let kinds = if scale > 0 { &all[..1] } else { &all[..] };
    for &(forward, rows) in kinds {
        let path = place.join(format!("{name}-{rows}"));
        let built = build(&docs, path, forward);
        for level in KernelLevel::available().into_iter().rev() {
            let index = Index::options().kernel(level).open(&built.path).expect("the index");
            let mut group = c.benchmark_group(format!("{name}/{level}"));
            group.throughput(Throughput::Elements(vectors.len() as u64));
            group.sample_size(10);
            group.warm_up_time(Duration::from_millis(200));
            group.measurement_time(Duration::from_secs(1));
            for (said, threads) in [("in batches", 1), ("in batches on two threads", 2)] {
                let name = format!("{level}, {said}");
                if rows && only().split(' ').all(|word| name.contains(word)) {
                    println!("{name}: {}", batches(&index, &built, &vectors, threads));
                }
            }
            for asked in asked(&built, docs.len() / 4096, rows, level) {
                let queries = queries(&index, &built, &vectors, &asked);
                let said = &asked.said;
                let measured = percentiles(&index, &queries);
                let found = match asked.effort {
                    Effort::Exact => String::new(),
                    _ => format!(", recall {:.4}", recall(&index, &queries)),
                };
                println!("{level}, {said}: {measured}{found}");
                if times {
                    continue;
                }
                group.bench_function(said, |b| {
                    b.iter(|| {
                        for query in &queries {
                            black_box(index.search(query).expect("a search"));
                        }
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, sparse);
criterion_main!(benches);
