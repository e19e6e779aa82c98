//! What is done with a query's dot products with many rows: the largest of each lane, the few
//! largest, bytes instead of floats, and sums of the largest bytes over a document's centroids.
//!
//! All of it is comparisons and additions of neighbours, which every compiler turns into whole
//! registers: each level compiles the same code for its own instructions.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined is compiled for the least CPU, not for its caller's instructions"
)]

use half::f16;

use super::Int8Rows;

/// The scaled dot products of one lane's codes with rows whose components are as many, or more, of
/// which the first count.
#[inline(always)]
pub(super) fn dots_lane(lane: &[i16], rows: &Int8Rows<'_>, out: &mut [f32]) {
    let offset = -128 * lane.iter().map(|&code| i32::from(code)).sum::<i32>();
    let (own, own_left) = lane.as_chunks::<32>();
    for ((codes, scale), out) in
        rows.codes().chunks_exact(rows.dim()).zip(rows.scales()).zip(&mut *out)
    {
        let (codes, codes_left) = codes.get(..lane.len()).unwrap_or_default().as_chunks::<32>();
        // Pairs, which one instruction multiplies and adds.
        let mut sums = [0i32; 16];
        for (own, codes) in own.iter().zip(codes) {
            for (at, sum) in sums.iter_mut().enumerate() {
                let product = |at: usize| i32::from(own[at]) * i32::from(codes[at]);
                *sum += product(2 * at) + product(2 * at + 1);
            }
        }
        let left = own_left.iter().zip(codes_left).map(|(&a, &b)| i32::from(a) * i32::from(b));
        let sum = sums.iter().sum::<i32>() + left.sum::<i32>() + offset;
        *out = sum as f32 * f16::from_bits(*scale).to_f32();
    }
}

/// Working state of [`probe`]: for each lane the best rows so far.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    /// How many rows are kept for each lane.
    count: usize,
    /// For each lane what a value must exceed to be kept; +∞ in lanes without a query row.
    least: Vec<f32>,
    /// `count` values for each lane, descending, and the rows that they come from.
    values: Vec<f32>,
    rows: Vec<u32>,
}

impl Probes {
    /// Starts again: `count` rows for each of the first `rows` of `lanes` lanes.
    pub(crate) fn reset(&mut self, lanes: usize, rows: usize, count: usize) {
        self.count = count;
        self.least.clear();
        self.least.resize(rows.min(lanes), f32::NEG_INFINITY);
        self.least.resize(lanes, f32::INFINITY);
        self.values.clear();
        self.values.resize(lanes * count, f32::NEG_INFINITY);
        self.rows.clear();
        self.rows.resize(lanes * count, 0);
    }

    /// The rows kept of a lane, the best first; none where it had no value.
    pub(crate) fn of_lane(&self, lane: usize) -> impl Iterator<Item = u32> + '_ {
        let range = lane * self.count..(lane + 1) * self.count;
        let values = self.values.get(range.clone()).unwrap_or_default();
        let kept = values.iter().zip(self.rows.get(range).unwrap_or_default());
        kept.filter(|(value, _)| **value > f32::NEG_INFINITY).map(|(_, &row)| row)
    }

    /// How many lanes: a multiple of 8.
    pub(super) fn lanes(&self) -> usize {
        self.least.len()
    }

    /// What a value must exceed, for the lanes `N × part …`; `None` beyond the last.
    pub(super) fn least<const N: usize>(&self, part: usize) -> Option<&[f32; N]> {
        self.least.get(N * part..)?.first_chunk()
    }

    /// Keeps a value of a lane if it is greater than the least that is kept.
    pub(crate) fn offer(&mut self, lane: usize, value: f32, row: u32) {
        if self.least.get(lane).is_some_and(|&least| value > least) {
            self.insert(lane, value, row);
        }
    }

    /// Keeps a value of a lane that is greater than the least that is kept: behind its equals, so
    /// that of equal values the first rows stay.
    pub(super) fn insert(&mut self, lane: usize, value: f32, row: u32) {
        let (from, to) = (lane * self.count, (lane + 1) * self.count);
        let (Some(values), Some(rows)) =
            (self.values.get_mut(from..to), self.rows.get_mut(from..to))
        else {
            return;
        };
        let at = values.iter().position(|&kept| value > kept).unwrap_or(values.len());
        if at < values.len() {
            values[at..].rotate_right(1);
            rows[at..].rotate_right(1);
            (values[at], rows[at]) = (value, row);
            self.least[lane] = values[values.len() - 1];
        }
    }
}

/// Offers rows of one value per lane, the first of them with the number `first`.
#[inline(always)]
pub(super) fn probe(values: &[f32], first: u32, probes: &mut Probes) {
    let lanes = probes.least.len();
    for (number, row) in (first..).zip(values.chunks_exact(lanes.max(1))) {
        if any_above(row, &probes.least) {
            for (lane, &value) in row.iter().enumerate() {
                if value > probes.least[lane] {
                    probes.insert(lane, value, number);
                }
            }
        }
    }
}

/// Whether a value is greater than the one at its place. Lengths are equal multiples of 8.
#[inline(always)]
fn any_above(row: &[f32], least: &[f32]) -> bool {
    let mut any = false;
    for (row, least) in row.as_chunks::<8>().0.iter().zip(least.as_chunks::<8>().0) {
        let mut above = 0u32;
        for (value, least) in row.iter().zip(least) {
            above |= u32::from(value > least);
        }
        any |= above != 0;
    }
    any
}

/// Takes rows of one value per lane, the first of them with the number `first`, into each lane's
/// largest and where it was met first.
#[inline(always)]
pub(super) fn raise(values: &[f32], first: u32, best: &mut [f32], at: &mut [u32]) {
    let lanes = best.len().min(at.len()).max(1);
    for (number, row) in (first..).zip(values.chunks_exact(lanes)) {
        for ((value, best), at) in row.iter().zip(&mut *best).zip(&mut *at) {
            let above = *value > *best;
            *best = if above { *value } else { *best };
            *at = if above { number } else { *at };
        }
    }
}

/// Each value times its lane's factor as the nearest of 0 to 255. `factors` are one per lane.
#[inline(always)]
pub(super) fn quantise(values: &[f32], factors: &[f32], bytes: &mut [u8]) {
    let lanes = factors.len().max(1);
    for (row, bytes) in values.chunks_exact(lanes).zip(bytes.chunks_exact_mut(lanes)) {
        for ((value, factor), byte) in row.iter().zip(factors).zip(bytes) {
            // 2²³ is added: there floats are the integers, so the sum is rounded and its low byte
            // is the integer's. What is no number becomes zero, as `max` passes it over.
            #[allow(
                clippy::cast_possible_truncation,
                clippy::manual_clamp,
                reason = "the low byte is what is wanted; `clamp` would keep what is no number"
            )]
            let nearest = ((value * factor).max(0.0).min(255.0) + 8_388_608.0).to_bits() as u8;
            *byte = nearest;
        }
    }
}

/// The sum over lanes of the largest byte in the rows `ids` of a table of `lanes` bytes a row;
/// `None` where an id is beyond the table.
#[inline(always)]
pub(super) fn flood(table: &[u8], lanes: usize, ids: &[u16]) -> Option<u32> {
    match lanes {
        8 => flood_of::<8>(table, ids),
        16 => flood_of::<16>(table, ids),
        32 => flood_of::<32>(table, ids),
        _ => {
            let mut sum = 0;
            for lane in (0..lanes).step_by(8) {
                let mut best = [0u8; 8];
                for &id in ids {
                    let at = usize::from(id) * lanes + lane;
                    let row = table.get(at..)?.first_chunk::<8>()?;
                    for (best, byte) in best.iter_mut().zip(row) {
                        *best = (*best).max(*byte);
                    }
                }
                sum += best.iter().map(|&byte| u32::from(byte)).sum::<u32>();
            }
            Some(sum)
        }
    }
}

#[inline(always)]
fn flood_of<const LANES: usize>(table: &[u8], ids: &[u16]) -> Option<u32> {
    let (table, _) = table.as_chunks::<LANES>();
    // Two chains, so that the maxima need not wait for each other.
    let mut best = [[0u8; LANES]; 2];
    let (pairs, last) = ids.as_chunks::<2>();
    for pair in pairs {
        for (best, &id) in best.iter_mut().zip(pair) {
            let row = table.get(usize::from(id))?;
            for (best, byte) in best.iter_mut().zip(row) {
                *best = (*best).max(*byte);
            }
        }
    }
    for &id in last {
        for (best, byte) in best[0].iter_mut().zip(table.get(usize::from(id))?) {
            *best = (*best).max(*byte);
        }
    }
    let [a, b] = best;
    Some(a.iter().zip(&b).map(|(&a, &b)| u32::from(a.max(b))).sum())
}
