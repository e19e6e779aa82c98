//! A query of 20 words by a vocabulary of 30,522: the median of many, in microseconds; each asks
//! other words.

use std::hint::black_box;
use std::time::Instant;

use lateen::Vocabulary;

use crate::{draw, us};

pub(crate) fn run() {
    let words = (0..30_522u32).map(|at| (format!("word{at}"), at, 1.0 + at as f32));
    let vocabulary = Vocabulary::weighted(words).expect("words");
    let asked: Vec<Vec<String>> = (0..2000u64)
        .map(|query| {
            (0..20).map(|word| format!("word{}", draw(20 * query + word) % 30_522)).collect()
        })
        .collect();
    let mut vector = Vec::new();
    let mut times: Vec<f64> = asked
        .iter()
        .map(|words| {
            let start = Instant::now();
            let unknown = vocabulary.query(words.iter().map(String::as_str), &mut vector);
            let time = start.elapsed().as_secs_f64();
            assert_eq!(black_box(unknown), 0);
            time
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| us(times[times.len() * part / 100]);
    println!("20 words: median {:.2} us, 99th percentile {:.2}", at(50), at(99));
}
