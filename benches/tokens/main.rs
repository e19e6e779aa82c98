//! What token rows can be spared, what a rerank costs beyond its kernels, and what a search of ten
//! times as many rows costs.
//!
//! `LATEEN_SETS=sets cargo bench --bench tokens -- truncated reduced rerank large`, each part alone
//! or all of them but `large`, which takes minutes, `LATEEN_KERNEL=avx512` and the like for another level than the best, where `sets` is a
//! folder of embedding sets with `wiki`; without it there is nothing to measure. Recall is the share
//! of the ten best by exact MaxSim of the whole f16 rows, of queries of 5 to 14 rows and of 32.

#![allow(clippy::disallowed_methods, reason = "the switches of a bench")]

mod large;
#[path = "../made/mod.rs"]
mod made;

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use half::f16;
use lateen::measure::TokenBench;
use lateen::readers::NpyArray;
use lateen::{
    Batch, Effort, Filter, Floats, Index, IndexWriter, Ints, KernelLevel, KeyKind, Normalization,
    Query, ReducedTokens, Schema, TokenBatch, TokenMatrix, TokenOptions, TokenReduction,
};

const DIM: usize = 128;

/// Rows of many texts.
struct Ragged {
    rows: NpyArray,
    ends: Vec<usize>,
}

impl Ragged {
    fn open(set: &Path, rows: &str, lengths: Option<&str>) -> Self {
        let rows = NpyArray::open(set.join(rows)).expect("rows");
        let count = rows.floats().expect("floats").len() / DIM;
        let lengths = match lengths {
            Some(name) => NpyArray::open(set.join(name)).expect("a set").usizes().expect("lengths"),
            None => vec![32; count / 32],
        };
        let mut ends = vec![0];
        for length in lengths {
            ends.push(ends[ends.len() - 1] + length);
        }
        Self { rows, ends }
    }

    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// The rows of texts `from..to`.
    fn halves(&self, from: usize, to: usize) -> &[f16] {
        let Floats::F16(all) = self.rows.floats().expect("floats") else { panic!("f16") };
        &all[self.ends[from] * DIM..self.ends[to] * DIM]
    }

    fn matrix(&self, at: usize) -> TokenMatrix<'_> {
        TokenMatrix::new(self.halves(at, at + 1), DIM)
    }
}

struct Wiki {
    documents: Ragged,
    /// Queries with their ten best each.
    queries: [(Ragged, Vec<Vec<u64>>); 2],
    ids: Vec<u32>,
}

impl Wiki {
    fn open(set: &Path) -> Self {
        let best = |name: &str| {
            let array = NpyArray::open(set.join(name)).expect("the truth");
            let Ints::I32(ids) = array.ints().expect("ids") else { panic!("i32") };
            ids.chunks(array.shape()[1])
                .map(|row| row[..100].iter().map(|&id| id as u64).collect())
                .collect()
        };
        let ids = NpyArray::open(set.join("tok_doc_ids.npy")).expect("ids");
        Self {
            documents: Ragged::open(set, "tok_docs.npy", Some("tok_doclens.npy")),
            queries: [
                (
                    Ragged::open(set, "tok_queries.npy", Some("tok_querylens.npy")),
                    best("gt_maxsim_ids.npy"),
                ),
                (Ragged::open(set, "tok_queries32.npy", None), best("gt_maxsim32_ids.npy")),
            ],
            ids: ids.usizes().expect("ids").iter().map(|&id| id as u32).collect(),
        }
    }

    /// Recall of an index whose keys are the documents' numbers.
    fn recall(&self, index: &Index, cut: Option<usize>, effort: Effort) -> [f64; 2] {
        let field = index.schema().tokens("t").expect("a field");
        [0, 1].map(|kind| {
            let (queries, best) = &self.queries[kind];
            let mut found = 0;
            for (at, best) in best.iter().enumerate() {
                let mut matrix = queries.matrix(at);
                if let Some(dim) = cut {
                    matrix = matrix.truncated_to(dim);
                }
                let query = Query::tokens(&field, matrix).expect("a query").effort(effort);
                let hits = index.search(&query).expect("hits");
                found += hits
                    .iter()
                    .filter(|hit| hit.key().as_u64().is_some_and(|key| best[..10].contains(&key)))
                    .count();
            }
            found as f64 / (10 * best.len()) as f64
        })
    }
}

/// An index of matrices, the key of each its number.
fn index(place: &Path, options: TokenOptions, matrices: &[TokenMatrix<'_>]) -> Index {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let field = schema.tokens("t", options);
    let _ = std::fs::remove_dir_all(place);
    let schema = schema.build().expect("a schema");
    let mut writer =
        IndexWriter::options().threads(1).memory(1 << 30).create(place, schema).expect("room");
    for (first, some) in (0u64..).step_by(500).zip(matrices.chunks(500)) {
        let batch = Batch::new((first..).take(some.len()));
        let batch = batch.tokens(&field, &TokenBatch::matrices(some)).expect("rows");
        writer.add_batch(&batch).expect("room");
    }
    writer.commit().expect("room");
    drop(writer);
    Index::open(place).expect("an index")
}

fn whole(wiki: &Wiki) -> Vec<TokenMatrix<'_>> {
    (0..wiki.documents.len()).map(|at| wiki.documents.matrix(at)).collect()
}

/// Queries of fewer components, against the whole rows and against rows cut and scaled alike.
fn truncated(wiki: &Wiki, place: &Path) {
    println!("dim  rows kept whole: exact, Recall(.98) | rows cut and scaled to length 1, exact");
    let stored = index(place, TokenOptions::new(DIM), &whole(wiki));
    for dim in [128, 96, 64, 48, 32] {
        let [a, b] = wiki.recall(&stored, Some(dim), Effort::Exact);
        let [c, d] = wiki.recall(&stored, Some(dim), Effort::Recall(0.98));
        let cut: Vec<TokenMatrix<'_>> =
            whole(wiki).iter().map(|matrix| matrix.truncated_to(dim)).collect();
        let options = TokenOptions::new(dim).normalization(Normalization::Normalize);
        let other = index(&place.with_extension("cut"), options, &cut);
        let [e, f] = wiki.recall(&other, Some(dim), Effort::Exact);
        println!("{dim:>3}  {a:.3}/{b:.3}, {c:.3}/{d:.3} | {e:.3}/{f:.3}");
    }
}

/// Fewer rows: pooled, or without the most frequent tokens.
fn reduced(wiki: &Wiki, place: &Path) {
    let mut counts: HashMap<u32, usize> = HashMap::new();
    for &id in &wiki.ids {
        *counts.entry(id).or_default() += 1;
    }
    let mut frequent: Vec<(usize, u32)> = counts.into_iter().map(|(id, n)| (n, id)).collect();
    frequent.sort_unstable_by(|a, b| b.cmp(a));
    let skip = |count: usize| frequent[..count].iter().map(|&(_, id)| id);
    let cases = [
        ("all".to_owned(), TokenReduction::new()),
        ("pool 2".to_owned(), TokenReduction::new().pool(2)),
        ("pool 3".to_owned(), TokenReduction::new().pool(3)),
        ("pool 4".to_owned(), TokenReduction::new().pool(4)),
        ("without the 10 most frequent".to_owned(), TokenReduction::new().skip(skip(10))),
        ("without the 100 most frequent".to_owned(), TokenReduction::new().skip(skip(100))),
        ("without 10, pool 2".to_owned(), TokenReduction::new().skip(skip(10)).pool(2)),
    ];
    println!("reduction: rows kept, seconds, recall@10 exact int8 (short / 32 rows)");
    for (name, reduction) in cases {
        let start = Instant::now();
        let documents: Vec<ReducedTokens> = (0..wiki.documents.len())
            .map(|at| {
                let ids = &wiki.ids[wiki.documents.ends[at]..wiki.documents.ends[at + 1]];
                reduction.reduce(&wiki.documents.matrix(at), Some(ids)).expect("rows")
            })
            .collect();
        let seconds = start.elapsed().as_secs_f64();
        let kept: usize = documents.iter().map(ReducedTokens::len).sum();
        let share = 100.0 * kept as f64 / wiki.ids.len() as f64;
        let matrices: Vec<TokenMatrix<'_>> = documents.iter().map(ReducedTokens::matrix).collect();
        let index = index(place, TokenOptions::new(DIM), &matrices);
        let [a, b] = wiki.recall(&index, None, Effort::Exact);
        println!("{name}: {share:.1} %, {seconds:.2} s, {a:.3} / {b:.3}");
    }
}

/// One hundred documents of two leads each, by a query of 32 rows: kernels alone on rows in the
/// cache, the whole call on the same documents again, on other documents each time, and after the
/// file was dropped from the page cache.
fn rerank(wiki: &Wiki, place: &Path) {
    let pairs = wiki.documents.len() / 2;
    let matrices: Vec<TokenMatrix<'_>> = (0..pairs)
        .map(|at| TokenMatrix::new(wiki.documents.halves(2 * at, 2 * at + 2), DIM))
        .collect();
    let mapped = index(place, TokenOptions::new(DIM), &matrices);
    let field = mapped.schema().tokens("t").expect("a field");
    let (queries, best) = &wiki.queries[1];
    // The truth's documents come first, others after them, a hundred in all.
    let candidates: Vec<Vec<u64>> = best
        .iter()
        .map(|best| {
            let mut seen = HashSet::new();
            let more = (0..pairs as u64).map(|i| i * 37 % pairs as u64);
            let all = best.iter().map(|id| id / 2).filter(|&id| id < pairs as u64).chain(more);
            all.filter(|&id| seen.insert(id)).take(100).collect()
        })
        .collect();
    let ask = |index: &Index, at: usize| {
        let keys = Filter::keys(candidates[at].iter().copied());
        let query = Query::tokens(&field, queries.matrix(at)).expect("a query").filter(keys);
        index.search(&query).expect("hits").len()
    };
    // The one that the index goes by.
    let named = std::env::var("LATEEN_KERNEL").ok();
    let level = KernelLevel::available()
        .into_iter()
        .rfind(|level| named.as_ref().is_none_or(|name| *name == level.to_string()))
        .expect("a level");
    let (mut packing, mut floats_of_ten) = (Vec::new(), Vec::new());
    let mut kernel = Vec::new();
    let mut same = Vec::new();
    for (at, candidates) in candidates.iter().enumerate() {
        let floats: Vec<f32> = queries.halves(at, at + 1).iter().map(|x| x.to_f32()).collect();
        let codes: Vec<i8> = floats.iter().map(|x| (x * 127.0).round() as i8).collect();
        let mut bench = TokenBench::new(level, &floats, &codes, DIM).expect("a level");
        let documents: Vec<(Vec<u8>, Vec<u16>)> = candidates
            .iter()
            .map(|&id| {
                let rows = wiki.documents.halves(2 * id as usize, 2 * id as usize + 2);
                let code = |x: &f16| (x.to_f32() * 127.0).round() as i32 + 128;
                let scale = f16::from_f32(1.0 / 127.0).to_bits();
                (rows.iter().map(|x| code(x) as u8).collect(), vec![scale; rows.len() / DIM])
            })
            .collect();
        let mut all = || {
            for (codes, scales) in &documents {
                black_box(bench.select_int8(codes, scales));
            }
        };
        kernel.push(median(9, &mut all));
        packing.push(median(9, || {
            black_box(Query::tokens(&field, queries.matrix(at)).expect("a query"));
        }));
        floats_of_ten.push(median(9, || {
            for (codes, scales) in documents.iter().take(10) {
                black_box(bench.max_int8(codes, scales));
            }
        }));
        same.push(median(9, || {
            black_box(ask(&mapped, at));
        }));
    }
    // Each query once, in turn: its documents were last touched 149 queries ago.
    let mut turns = Vec::new();
    for _ in 0..3 {
        for at in 0..queries.len() {
            turns.push(median(1, || {
                black_box(ask(&mapped, at));
            }));
        }
    }
    drop(mapped);
    let mut dropped = Vec::new();
    for at in (0..queries.len()).step_by(10) {
        for file in std::fs::read_dir(place).expect("an index") {
            let path = file.expect("a file").path();
            // GNU dd asks the system to forget a file's pages.
            let of = format!("if={}", path.display());
            let done =
                Command::new("dd").args([&of, "iflag=nocache", "count=0", "status=none"]).status();
            assert!(done.is_ok_and(|done| done.success()), "dd");
        }
        let fresh = Index::open(place).expect("an index");
        dropped.push(median(1, || {
            black_box(ask(&fresh, at));
        }));
    }
    let rows: usize = candidates.iter().flatten().map(|&id| matrices_rows(wiki, id as usize)).sum();
    println!(
        "rerank of 100 documents of {:.0} rows, 32 query rows, {level}, int8",
        rows as f64 / (100 * queries.len()) as f64
    );
    let base = middle(&mut kernel);
    for (name, times) in [
        ("kernels alone, warm", &mut kernel),
        ("of the rest: the query packed", &mut packing),
        ("all float products of ten documents", &mut floats_of_ten),
        ("end to end, the same again", &mut same),
        ("end to end, others each time", &mut turns),
        ("end to end, page cache dropped, index opened anew", &mut dropped),
    ] {
        let time = middle(times);
        println!("{name}: median {time:.1} µs, {:.2} x the kernels", time / base);
    }
}

fn matrices_rows(wiki: &Wiki, pair: usize) -> usize {
    wiki.documents.ends[2 * pair + 2] - wiki.documents.ends[2 * pair]
}

/// The median time of a call, in microseconds.
fn median(count: usize, mut call: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..count)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    middle(&mut times)
}

fn middle(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let asked: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let Some(set) = std::env::var_os("LATEEN_SETS").map(|sets| PathBuf::from(sets).join("wiki"))
    else {
        return println!("skipped: LATEEN_SETS is not set");
    };
    if !set.is_dir() {
        return println!("skipped: {} is not there", set.display());
    }
    let wiki = Wiki::open(&set);
    let place = tempfile::tempdir().expect("a place");
    let place = place.path().join("index");
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|one| one == name);
    if wanted("truncated") {
        truncated(&wiki, &place);
    }
    if wanted("reduced") {
        reduced(&wiki, &place);
    }
    if wanted("rerank") {
        rerank(&wiki, &place);
    }
    if asked.iter().any(|one| one == "large") {
        large::run(&wiki, &place);
    }
}
