//! The token kernels, each on every level that this CPU has: one query against documents of 105
//! rows, 100 of them, as a rerank has; they stay in the cache. The throughput is document rows a second.
//!
//! `cargo bench --bench maxsim`; a level or kernel alone: `cargo bench --bench maxsim -- avx512`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lateen::KernelLevel;
use lateen::measure::{PackedDoc, TokenBench};

const DIM: usize = 128;
const ROWS: usize = 105;
const DOCS: usize = 100;
/// Centroids of packed rows: 1 MiB of them, as 0.5 million rows have.
const CENTROIDS: usize = 8192;

/// Numbers that repeat: splitmix64.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (1u64..).map(move |i| {
        let mut z = (seed + i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    })
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    numbers(seed).flat_map(u64::to_le_bytes).take(len).collect()
}

fn cpu() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find(|line| line.starts_with("model name"));
    name.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown").trim().to_owned()
}

fn maxsim(c: &mut Criterion) {
    let levels: Vec<_> = KernelLevel::available().iter().map(ToString::to_string).collect();
    println!("CPU: {}; levels: {}", cpu(), levels.join(", "));
    let values = DOCS * ROWS * DIM;
    let codes: Vec<u8> = bytes(1, values).iter().map(|&code| code.max(1)).collect();
    // Between 1/8 and 1/4 in f16, either sign.
    let halves: Vec<u16> = numbers(2).take(values).map(|n| 0x3000 | (n & 0x83FF) as u16).collect();
    let scales = vec![0x1C00u16; DOCS * ROWS];
    for rows in [32, 8] {
        let query_codes: Vec<i8> =
            bytes(3, rows * DIM).iter().map(|&code| code.cast_signed().max(-127)).collect();
        let query: Vec<f32> = query_codes.iter().map(|&code| f32::from(code) / 500.0).collect();
        for level in KernelLevel::available() {
            let mut bench = TokenBench::new(level, &query, &query_codes, DIM)
                .expect("a level that this CPU has");
            let mut group = c.benchmark_group(format!("{rows} rows/{level}"));
            group.throughput(Throughput::Elements((DOCS * ROWS) as u64));
            group.sample_size(10);
            group.warm_up_time(Duration::from_millis(100));
            group.measurement_time(Duration::from_millis(400));
            let docs = || codes.chunks_exact(ROWS * DIM).zip(scales.chunks_exact(ROWS));
            group.bench_function("select_int8", |b| {
                b.iter(|| {
                    for (codes, scales) in docs() {
                        black_box(bench.select_int8(codes, scales));
                    }
                });
            });
            let centroids = bytes(4, CENTROIDS * DIM);
            let ids: Vec<u16> =
                numbers(5).take(DOCS * ROWS).map(|n| (n % CENTROIDS as u64) as u16).collect();
            let entries: Vec<i8> =
                bytes(6, 256 * DIM).iter().map(|&code| code.cast_signed() / 4).collect();
            let mut levels = [0; 16];
            levels.copy_from_slice(&entries[..16]);
            let mut room = vec![0; ROWS * DIM];
            for (name, bits, row_bytes) in [
                ("residual4", 4, DIM / 2),
                ("residual2", 2, DIM / 4),
                ("residual1", 1, DIM / 8),
                ("pq32x8", 8, 32),
                ("pq64x4", 4, 32),
            ] {
                let entries = if name.starts_with("pq") { &entries[..DIM << bits] } else { &[] };
                let docs = codes
                    .chunks_exact(ROWS * row_bytes)
                    .zip(scales.chunks_exact(ROWS))
                    .zip(ids.chunks_exact(ROWS))
                    .take(DOCS);
                group.bench_function(format!("select_{name}"), |b| {
                    b.iter(|| {
                        for ((codes, scales), ids) in docs.clone() {
                            let (centroids, levels) = (&centroids[..], levels);
                            let doc =
                                PackedDoc { codes, scales, ids, centroids, bits, levels, entries };
                            black_box(bench.select_packed(&doc, &mut room));
                        }
                    });
                });
            }
            group.bench_function("max_int8", |b| {
                b.iter(|| {
                    for (codes, scales) in docs() {
                        black_box(bench.max_int8(codes, scales));
                    }
                });
            });
            group.bench_function("max_f16", |b| {
                b.iter(|| {
                    for bits in halves.chunks_exact(ROWS * DIM) {
                        black_box(bench.max_f16(bits));
                    }
                });
            });
            group.finish();
        }
    }
}

/// One query row against documents of one row: the tiles, and the dot product of SimSIMD.
fn single(c: &mut Criterion) {
    let count = 4096;
    let codes: Vec<u8> = bytes(1, count * DIM).iter().map(|&code| code.max(1)).collect();
    let scales = vec![0x1C00u16; count];
    let query_codes: Vec<i8> =
        bytes(3, DIM).iter().map(|&code| code.cast_signed().max(-127)).collect();
    let query: Vec<f32> = query_codes.iter().map(|&code| f32::from(code) / 500.0).collect();
    for level in KernelLevel::available() {
        let mut bench = TokenBench::new(level, &query, &query_codes, DIM).unwrap();
        let mut group = c.benchmark_group(format!("1 row/{level}"));
        group.throughput(Throughput::Elements(count as u64));
        group.sample_size(10);
        group.warm_up_time(Duration::from_millis(100));
        group.measurement_time(Duration::from_millis(400));
        let docs = || codes.chunks_exact(DIM).zip(scales.chunks_exact(1));
        group.bench_function("select_int8", |b| {
            b.iter(|| {
                for (codes, scales) in docs() {
                    black_box(bench.select_int8(codes, scales));
                }
            });
        });
        group.bench_function("select_one", |b| {
            b.iter(|| {
                for (codes, scales) in docs() {
                    black_box(bench.select_one(codes, scales));
                }
            });
        });
        group.finish();
    }
}

criterion_group!(benches, maxsim, single);
criterion_main!(benches);
