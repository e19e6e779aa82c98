//! Runs a target on many inputs without a fuzzer: random bytes, and changed seeds of its corpus.
//!
//! `cargo run --release --bin rounds TARGET SECONDS [SEED]`, in `fuzz/`. Prints how many it ran; an
//! input that fails is written to `failed-TARGET` and ends the run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use lateen_fuzz::bodies::TARGETS;

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

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let name = args.first().map_or("", String::as_str);
    let seconds = args.get(1).and_then(|text| text.parse().ok()).unwrap_or(10);
    let seed = args.get(2).and_then(|text| text.parse().ok()).unwrap_or(1u64);
    let Some((_, body)) = TARGETS.iter().find(|(target, _)| *target == name) else {
        let names: Vec<&str> = TARGETS.iter().map(|(target, _)| *target).collect();
        eprintln!("rounds TARGET SECONDS [SEED], where TARGET is one of {}", names.join(", "));
        std::process::exit(2);
    };
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let files = std::fs::read_dir(corpus).into_iter().flatten().flatten();
    let seeds: Vec<Vec<u8>> = files.filter_map(|file| std::fs::read(file.path()).ok()).collect();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (start, limit) = (Instant::now(), Duration::from_secs(seconds));
    let mut runs = 0u64;
    let mut slowest = Duration::ZERO;
    while start.elapsed() < limit {
        let mut input: Vec<u8> = if seeds.is_empty() || random.below(3) == 0 {
            (0..random.below(160)).map(|_| random.next() as u8).collect()
        } else {
            seeds[random.below(seeds.len())].clone()
        };
        for _ in 0..random.below(6) {
            let at = random.below(input.len());
            if let Some(byte) = input.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        if random.below(8) == 0 {
            input.truncate(random.below(input.len() + 1));
        }
        let before = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| body(&input))).is_err() {
            let _ = std::fs::write(format!("failed-{name}"), &input);
            eprintln!("{name}: input {runs} of seed {seed} fails; it is in failed-{name}");
            std::process::exit(1);
        }
        slowest = slowest.max(before.elapsed());
        runs += 1;
    }
    println!("{name} seed {seed}: {runs} runs in {:.0?}, slowest {slowest:.0?}", start.elapsed());
}
