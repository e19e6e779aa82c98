//! Real vectors, where `LATEEN_SETS` says they are.

use std::path::{Path, PathBuf};

use super::*;

/// The folder of a set, or a word and `None`.
fn set(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("LATEEN_SETS").map(|sets| PathBuf::from(sets).join(name));
    let path = path.filter(|path| path.is_dir());
    if path.is_none() {
        eprintln!("skipped: no set {name} (LATEEN_SETS)");
    }
    path
}

/// The numbers of an .npy file, as f64: enough for u16, u32, i32, i64, f16 and f32.
fn npy(path: &Path) -> Vec<f64> {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..6], b"\x93NUMPY");
    let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..data]).unwrap();
    let kind = header.split("'descr': '").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    let size: usize = kind[2..].parse().unwrap();
    let number = |raw: &[u8]| match kind.as_str() {
        "<u2" => f64::from(u16::from_le_bytes(raw.try_into().unwrap())),
        "<u4" => f64::from(u32::from_le_bytes(raw.try_into().unwrap())),
        "<i4" => f64::from(i32::from_le_bytes(raw.try_into().unwrap())),
        "<i8" => i64::from_le_bytes(raw.try_into().unwrap()) as f64,
        "<f2" => half::f16::from_le_bytes(raw.try_into().unwrap()).to_f64(),
        "<f4" => f64::from(f32::from_le_bytes(raw.try_into().unwrap())),
        other => panic!("{other}"),
    };
    bytes[data..].chunks_exact(size).map(number).collect()
}

/// One half of a set: documents or queries.
fn vectors(set: &Path, what: &str) -> Vec<Vector> {
    let file = |part: &str| npy(&set.join(format!("sparse_{what}_{part}.npy")));
    let (indptr, terms, weights) = (file("indptr"), file("indices"), file("values"));
    indptr
        .windows(2)
        .map(|ends| {
            let range = ends[0] as usize..ends[1] as usize;
            let entries = terms[range.clone()].iter().zip(&weights[range]);
            entries.map(|(&term, &weight)| (term as u32, weight as f32)).collect()
        })
        .collect()
}

/// Searches every query and compares with the ground truth of the set, by score.
fn against_truth(name: &str, every: usize) {
    let Some(set) = set(name) else { return };
    let (docs, queries) = (vectors(&set, "docs"), vectors(&set, "queries"));
    let index = index(&docs, Forward::Auto);
    let truth = npy(&set.join("gt_sparse_scores.npy"));
    let depth = truth.len() / queries.len();
    let mut scratch = SparseScratch::default();
    for (query, truth) in queries.iter().zip(truth.chunks_exact(depth)) {
        for k in [10, depth] {
            let got = search(&index, query, None, k, &mut scratch);
            assert_eq!(got.len(), k);
            for (hit, want) in got.iter().zip(truth) {
                assert!((f64::from(hit.score) - want).abs() < 1e-3, "{} {want}", hit.score);
            }
        }
    }
    for query in queries.iter().step_by(every) {
        check(&docs, &index, query, 10);
        check(&docs, &index, query, 100);
    }
    index.verify().unwrap();
    let (inverted, forward) = index.tier_bytes();
    let per = |bytes: u64| bytes as f64 / index.entries() as f64;
    eprintln!("{name}: {:.3} + {:.3} bytes per posting", per(inverted), per(forward));
}

#[test]
fn wiki_mini() {
    against_truth("wiki-mini", 1);
}

#[test]
fn wiki() {
    against_truth("wiki", 10);
}

#[test]
fn mixed() {
    against_truth("mixed", 100);
}

/// Times of a search of all queries, the best of several rounds for each.
fn times(index: &SparseIndex, queries: &[SparseQuery], kernels: &Kernels, k: usize) -> String {
    let mut scratch = SparseScratch::default();
    let mut best = vec![f64::MAX; queries.len()];
    for _ in 0..5 {
        for (query, best) in queries.iter().zip(&mut best) {
            let start = std::time::Instant::now();
            let mut top = TopK::new(k, f32::NEG_INFINITY, &Shuffled);
            index.search(query, kernels, EXACT, None, &mut top, &mut scratch).unwrap();
            let hits = top.finish();
            let time = start.elapsed().as_secs_f64() * 1e6;
            assert_eq!(hits.len(), k);
            *best = best.min(time);
        }
    }
    best.sort_by(f64::total_cmp);
    let at = |part: f64| best[(best.len() as f64 * part) as usize];
    let mean = best.iter().sum::<f64>() / best.len() as f64;
    format!("k = {k}: p50 {:.0} p99 {:.0} mean {mean:.0} µs", at(0.5), at(0.99))
}

/// Sizes by section and times of `mixed`: `cargo test --release sparse -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement, not a check"]
fn measure() {
    let Some(set) = set("mixed") else { return };
    let (docs, queries) = (vectors(&set, "docs"), vectors(&set, "queries"));
    let order: Vec<u32> = (0u32..).take(docs.len()).collect();
    let queries: Vec<SparseQuery> = queries.iter().map(|vector| query(vector)).collect();
    for forward in [Forward::Auto, Forward::None] {
        let start = std::time::Instant::now();
        let storage = written(&docs, &order, forward, 1);
        eprintln!("{forward:?}: built in {:?}", start.elapsed());
        let container = container(&storage);
        let count = u32::try_from(docs.len()).unwrap();
        let index = SparseIndex::open(&container, 3, count, &options(forward)).unwrap().unwrap();
        let per = |bytes: u64| bytes as f64 / index.entries() as f64;
        if forward == Forward::Auto {
            for (kind, _, bytes) in container.sections() {
                eprintln!("  {:<24} {:.4}", kind.name(), per(bytes));
            }
        }
        let (inverted, rows) = index.tier_bytes();
        eprintln!("  {:.3} + {:.3} bytes per posting", per(inverted), per(rows));
        for k in [10, 100, 1000] {
            eprintln!("  {}", times(&index, &queries, kernel::best(), k));
        }
        for kernels in kernel::available() {
            eprintln!("  {} {}", kernels.level, times(&index, &queries, kernels, 10));
        }
    }
}
