//! A target on many inputs without a fuzzer: random bytes, and changed seeds of its corpus.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use super::bodies::Body;

/// Numbers that repeat for a seed: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        ((self.next() >> 11) % limit.max(1) as u64) as usize
    }
}

/// Runs a target for a time; gives how often it ran, and how long the slowest run took. An input
/// that fails is written to `failed`.
///
/// # Errors
/// The number of the run that failed.
pub fn drive(
    body: Body,
    corpus: &Path,
    limit: Duration,
    seed: u64,
    failed: &Path,
) -> Result<(u64, Duration), u64> {
    let files = std::fs::read_dir(corpus).into_iter().flatten().flatten();
    let mut seeds: Vec<Vec<u8>> =
        files.filter_map(|file| std::fs::read(file.path()).ok()).collect();
    seeds.sort();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let start = Instant::now();
    let (mut runs, mut slowest) = (0u64, Duration::ZERO);
    while start.elapsed() < limit {
        let mut input: Vec<u8> = if seeds.is_empty() || random.below(3) == 0 {
            (0..random.below(160)).map(|_| random.next().to_le_bytes()[0]).collect()
        } else {
            seeds[random.below(seeds.len())].clone()
        };
        for _ in 0..random.below(6) {
            let at = random.below(input.len());
            if let Some(byte) = input.get_mut(at) {
                *byte = random.next().to_le_bytes()[0];
            }
        }
        if random.below(8) == 0 {
            input.truncate(random.below(input.len() + 1));
        }
        let before = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| body(&input))).is_err() {
            let _ = std::fs::write(failed, &input);
            return Err(runs);
        }
        slowest = slowest.max(before.elapsed());
        runs += 1;
    }
    Ok((runs, slowest))
}
