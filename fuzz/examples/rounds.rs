//! Runs a target on many inputs without a fuzzer.
//!
//! `cargo run --release --example rounds TARGET SECONDS [SEED]`, in `fuzz/`. Prints how many it ran; an
//! input that fails is written to `failed-TARGET` and ends the run.

use std::path::Path;
use std::time::Duration;

use lateen_fuzz::bodies::TARGETS;
use lateen_fuzz::drive::drive;

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
    let failed = format!("failed-{name}");
    let limit = Duration::from_secs(seconds);
    match drive(*body, &corpus, limit, seed, Path::new(&failed)) {
        Ok((runs, slowest)) => {
            println!("{name} seed {seed}: {runs} runs in {seconds} s, slowest {slowest:.0?}");
        }
        Err(run) => {
            eprintln!("{name}: run {run} of seed {seed} fails; its input is in {failed}");
            std::process::exit(1);
        }
    }
}
