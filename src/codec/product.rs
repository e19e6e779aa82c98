//! Codebooks of product quantisation: for each run of neighbouring components the few vectors that
//! stand for what is met there (Jégou, Douze and Schmid, *Product quantization for nearest
//! neighbor search*, 2011).
//!
//! Entries are integers, since they are added to a centroid's bytes. Training is Lloyd's rounds
//! from evenly spread first entries; an entry that nobody is nearest to takes the place of a
//! neighbour of the fullest. Each run is trained by one thread and its sums are added up in the
//! order of the sample, so neither threads nor instructions show.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]

use super::kmeans::{Crew, in_parallel};
use super::levels::MOST;
use crate::kernel::tokens::PartTables;

/// Rounds of assigning and averaging.
const ROUNDS: usize = 10;

/// The codebooks of all runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Codebooks {
    /// For each run, for each of its entries, `width` numbers from −47 to 47.
    pub(crate) numbers: Vec<i8>,
    /// The same as floats, for each run by component: see [`PartTables`].
    values: Vec<f32>,
    halves: Vec<f32>,
    entries: usize,
    width: usize,
}

#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "trains and encodes: numbers of this process, never bytes of a file"
)]
impl Codebooks {
    /// Trains `parts` codebooks of `entries` entries on rows that lie one after another.
    pub(crate) fn train(
        sample: &[f32],
        dim: usize,
        parts: usize,
        entries: usize,
        crew: Crew,
    ) -> Self {
        let width = dim / parts.max(1);
        let runs: Vec<usize> = (0..parts).collect();
        let books = in_parallel(&runs, crew.threads, |&run| {
            let own: Vec<f32> = sample
                .chunks_exact(dim)
                .flat_map(|row| &row[run * width..][..width])
                .copied()
                .collect();
            train_one(&own, entries, width, crew)
        });
        #[allow(clippy::cast_possible_truncation, reason = "cut to ±47 before")]
        let numbers = books
            .iter()
            .flatten()
            .map(|x| x.clamp(-(MOST as f32), MOST as f32).round_ties_even() as i8)
            .collect();
        Self::of(numbers, entries, width)
    }

    /// The codebooks of these numbers: `entries` entries of `width` numbers for each run.
    pub(crate) fn of(numbers: Vec<i8>, entries: usize, width: usize) -> Self {
        let (mut values, mut halves) = (Vec::new(), Vec::new());
        for book in numbers.chunks_exact((entries * width).max(1)) {
            let rounded: Vec<f32> = book.iter().map(|&number| f32::from(number)).collect();
            let (own, half) = tables(&rounded, width);
            values.extend(own);
            halves.extend(half);
        }
        Self { numbers, values, halves, entries, width }
    }

    /// The codes of a row: for each run the nearest entry. `codes` has a place for each run.
    pub(crate) fn encode(&self, row: &[f32], crew: Crew, codes: &mut [u8]) {
        let tables = PartTables {
            values: &self.values,
            halves: &self.halves,
            entries: self.entries,
            width: self.width,
        };
        (crew.kernels.tokens.nearest)(&tables, row, codes);
    }
}

/// Entries by component, and minus half their squared lengths.
fn tables(entries: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let column = |d: usize| entries.iter().skip(d).step_by(width).copied();
    let values = (0..width).flat_map(column).collect();
    let half = |entry: &[f32]| -0.5 * entry.iter().map(|x| x * x).sum::<f32>();
    (values, entries.chunks_exact(width).map(half).collect())
}

/// The entries of one run.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "trains and encodes: numbers of this process, never bytes of a file"
)]
fn train_one(sample: &[f32], entries: usize, width: usize, crew: Crew) -> Vec<f32> {
    let rows = sample.len() / width;
    let mut book = vec![0.0f32; entries * width];
    if rows == 0 {
        return book;
    }
    for (i, entry) in book.chunks_exact_mut(width).enumerate() {
        entry.copy_from_slice(&sample[i * rows / entries * width..][..width]);
    }
    let mut codes = vec![0u8; rows];
    for _ in 0..ROUNDS {
        let (values, halves) = tables(&book, width);
        let tables = PartTables { values: &values, halves: &halves, entries, width };
        for (row, code) in sample.chunks_exact(width).zip(codes.chunks_exact_mut(1)) {
            (crew.kernels.tokens.nearest)(&tables, row, code);
        }
        let mut sums = vec![0.0f64; entries * width];
        let mut counts = vec![0usize; entries];
        for (row, &code) in sample.chunks_exact(width).zip(&codes) {
            let at = usize::from(code);
            counts[at] += 1;
            for (sum, &x) in sums[at * width..][..width].iter_mut().zip(row) {
                *sum += f64::from(x);
            }
        }
        let mut by_size: Vec<usize> = (0..entries).collect();
        by_size.sort_by_key(|&entry| std::cmp::Reverse(counts[entry])); // stable: ties by number
        let mut fullest = by_size.into_iter();
        for (at, entry) in book.chunks_exact_mut(width).enumerate() {
            if counts[at] == 0 {
                // Any row of the fullest: the one in the middle of the sample, or the next.
                let full = fullest.next().unwrap_or(0);
                let found = (0..rows)
                    .map(|i| (i + rows / 2) % rows)
                    .find(|&i| usize::from(codes[i]) == full);
                if let Some(i) = found {
                    entry.copy_from_slice(&sample[i * width..][..width]);
                }
                continue;
            }
            for (x, sum) in entry.iter_mut().zip(&sums[at * width..]) {
                #[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
                let mean = (sum / counts[at] as f64) as f32;
                *x = mean;
            }
        }
    }
    book
}

/// The tables of two 4-bit codes that share a byte, the first in its low bits, as one table of 256
/// entries: what kernels expand.
pub(crate) fn pair_up(numbers: &[i8], width: usize) -> Vec<i8> {
    let mut out = Vec::with_capacity(numbers.len().saturating_mul(16));
    let Some(book) = width.checked_mul(16).filter(|&numbers| numbers > 0) else { return out };
    let mut books = numbers.chunks_exact(book);
    while let (Some(first), Some(second)) = (books.next(), books.next()) {
        for high in second.chunks_exact(width) {
            for low in first.chunks_exact(width) {
                out.extend_from_slice(low);
                out.extend_from_slice(high);
            }
        }
    }
    out
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]
mod tests {
    use super::*;
    use crate::kernel::{available, best};

    fn sample(rows: usize, dim: usize) -> Vec<f32> {
        (0..rows * dim)
            .map(|i| {
                let x = (i as u32).wrapping_mul(2_654_435_761) >> 20;
                let centre = if (i / dim).is_multiple_of(3) { 20.0 } else { -8.0 };
                centre + (x % 100) as f32 / 20.0
            })
            .collect()
    }

    #[test]
    fn codes_are_the_nearest_entries_on_every_level() {
        let (dim, parts) = (24, 6);
        let rows = sample(500, dim);
        let crew = Crew { kernels: best(), threads: 2 };
        let books = Codebooks::train(&rows, dim, parts, 16, crew);
        for kernels in available() {
            let one = Crew { kernels, threads: 1 };
            assert_eq!(Codebooks::train(&rows, dim, parts, 16, one), books);
            for row in rows.chunks_exact(dim).take(50) {
                let mut codes = [0; 6];
                books.encode(row, one, &mut codes);
                for (run, &code) in codes.iter().enumerate() {
                    let far = |entry: usize| -> f32 {
                        (0..4)
                            .map(|d| {
                                let number = books.numbers[(run * 16 + entry) * 4 + d];
                                (f32::from(number) - row[run * 4 + d]).powi(2)
                            })
                            .sum()
                    };
                    let least = (0..16).map(far).fold(f32::INFINITY, f32::min);
                    assert!(far(usize::from(code)) <= least + 1e-3);
                }
            }
        }
    }

    #[test]
    fn strange_samples_are_survived() {
        let crew = Crew { kernels: best(), threads: 1 };
        for rows in [vec![], vec![0.0; 8], vec![1e9; 80], vec![-3.0; 8 * 7]] {
            for entries in [16, 256] {
                let books = Codebooks::train(&rows, 8, 2, entries, crew);
                assert_eq!(books.numbers.len(), 8 * entries);
                assert!(books.numbers.iter().all(|&x| i32::from(x).abs() <= MOST));
            }
        }
    }

    #[test]
    fn pairs_are_both() {
        let numbers: Vec<i8> = (0..4 * 16 * 2).map(|i| (i % 90) as i8).collect();
        let pairs = pair_up(&numbers, 2);
        assert_eq!(pairs.len(), 2 * 256 * 4);
        for (byte, entry) in pairs[256 * 4..].chunks(4).enumerate() {
            let (low, high) = (byte % 16, byte / 16);
            assert_eq!(entry[..2], numbers[(2 * 16 + low) * 2..][..2]);
            assert_eq!(entry[2..], numbers[(3 * 16 + high) * 2..][..2]);
        }
    }
}
