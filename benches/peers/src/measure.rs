//! Time, recall, memory and size: the same yardsticks for every engine.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::{Found, Outcome};

/// Once the passes so far took this long, no further one is begun.
const ENOUGH: Duration = Duration::from_secs(60);

/// What one setting took and gave.
pub struct Timed {
    /// Of each query, the fastest of its passes, in microseconds.
    pub micros: Vec<f64>,
    /// The answers of the last pass.
    pub answers: Vec<Found>,
    /// How often every query was asked.
    pub passes: usize,
}

/// Asks all queries, one after another, pass after pass. The minimum over the passes is each
/// query's time: what a machine shared with other work adds to a query is never negative. The
/// first pass is the warm-up of the second.
///
/// # Errors
/// The first that the engine gives.
pub fn time<Q>(
    queries: &[Q],
    passes: usize,
    mut ask: impl FnMut(&Q) -> Outcome<Found>,
) -> Outcome<Timed> {
    let mut micros = vec![f64::INFINITY; queries.len()];
    let mut answers = Vec::new();
    let (begin, mut done) = (Instant::now(), 0);
    while done < passes.max(1) && (done == 0 || begin.elapsed() < ENOUGH) {
        answers.clear();
        for (query, best) in queries.iter().zip(&mut micros) {
            let start = Instant::now();
            let answer = ask(query)?;
            *best = best.min(start.elapsed().as_secs_f64() * 1e6);
            answers.push(answer);
        }
        done += 1;
    }
    Ok(Timed { micros, answers, passes: done })
}

/// Mean share of the exact top `k` that was found, over all queries; where a query has fewer than
/// `k` exact rows, all of them are its top.
pub fn recall(answers: &[Found], truth: &[Vec<u32>], k: usize) -> f64 {
    let shares = answers.iter().zip(truth).filter_map(|(answer, exact)| {
        let exact = &exact[..exact.len().min(k)];
        let found: HashSet<u32> = answer.iter().take(k).map(|&(row, _)| row).collect();
        let hit = exact.iter().filter(|row| found.contains(row)).count();
        (!exact.is_empty()).then(|| hit as f64 / exact.len() as f64)
    });
    let shares: Vec<f64> = shares.collect();
    shares.iter().sum::<f64>() / shares.len().max(1) as f64
}

/// The `q`-quantile, by the nearest rank.
pub fn quantile(values: &[f64], q: f64) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (q * values.len() as f64).ceil().max(1.0) as usize - 1;
    values.get(rank.min(values.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// The mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Memory of this process that is resident, in MiB: its own, and pages of mapped files, which the
/// system may take back at any time.
#[derive(Clone, Copy)]
pub struct Memory {
    /// Anonymous memory.
    pub own: f64,
    /// Mapped files, the program itself included.
    pub mapped: f64,
}

impl Memory {
    /// What it is now; zeros where the system does not say.
    pub fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
            kib.unwrap_or(0.0) / 1024.0
        };
        Self { own: line("RssAnon:"), mapped: line("RssFile:") }
    }

    /// What came on top of `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            own: (self.own - before.own).max(0.0),
            mapped: (self.mapped - before.mapped).max(0.0),
        }
    }
}

/// Bytes of all files below a folder, or of a file.
///
/// # Errors
/// What cannot be listed.
pub fn bytes_on_disk(path: &Path) -> Outcome<u64> {
    if !path.is_dir() {
        return Ok(path.metadata()?.len());
    }
    fs::read_dir(path)?.map(|entry| bytes_on_disk(&entry?.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_counts_what_is_in_the_top() {
        let answers = vec![vec![(1, 0.9), (2, 0.8), (9, 0.7)], vec![(5, 1.0)], vec![]];
        let truth = vec![vec![2, 3, 9], vec![5], vec![]];
        assert_eq!(recall(&answers, &truth, 2), (0.5 + 1.0) / 2.0);
        assert_eq!(recall(&answers, &truth, 3), (2.0 / 3.0 + 1.0) / 2.0);
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), 50.0);
        assert_eq!(quantile(&values, 0.99), 99.0);
        assert_eq!(quantile(&values, 1.0), 100.0);
        assert_eq!(quantile(&[7.0], 0.99), 7.0);
    }

    #[test]
    fn every_query_keeps_its_fastest_pass() {
        let mut asked = 0;
        let timed = time(&[3u32, 4], 3, |&query| {
            asked += 1;
            Ok(vec![(query, 0.0)])
        })
        .unwrap();
        assert_eq!((asked, timed.passes), (6, 3));
        assert_eq!(timed.answers, [[(3, 0.0)], [(4, 0.0)]]);
        assert!(timed.micros.iter().all(|&micros| micros.is_finite()));
    }
}
