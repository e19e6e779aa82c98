//! A query's rows, packed for every kernel, and how far its integers can be from the truth.

use crate::codec::int8;
use crate::kernel::tokens::{FloatQuery, LaneQuery};

use super::narrow::SHARE;

/// Half the distance from 1 to the next f32: the largest relative error of one rounding.
const ROUNDING: f64 = 1.0 / (1u64 << 24) as f64;
/// More than what underflow can add to an error, whatever the sizes: each operation that
/// underflows is off by 2⁻¹⁵⁰ at most, and a score has fewer than 2²⁷ of them.
const UNDERFLOW: f64 = 1e-30;

/// The rows of a MaxSim query: at least one, all finite.
#[derive(Clone, Debug)]
pub(crate) struct TokenQuery {
    /// The rows as they are: what scores are made of.
    floats: FloatQuery,
    /// The same, four rows each.
    quads: Vec<FloatQuery>,
    /// The rows as int8: what selects.
    lanes: LaneQuery,
    /// Components of the stored rows: as many as the query's, or more, of which the first count.
    stored_dim: usize,
    /// For each lane the step of its row's integers; zero where there is no row.
    steps: Vec<f32>,
    /// How far an integer score can be from the float score for each unit of length of the
    /// document's longest row.
    slack: f64,
    /// For each lane twice that of its row alone, over its step: how far behind the largest an
    /// integer product may be whose float product is the largest. −∞ where there is no row.
    reaches: Vec<f64>,
    /// The length of the longest row.
    longest: f32,
    /// The lengths of all rows together, never too small.
    lengths: f64,
}

impl TokenQuery {
    /// Packs rows of `dim` components that lie one after another.
    #[allow(clippy::needless_pass_by_value, reason = "a query is made once and taken over")]
    pub(crate) fn new(rows: Vec<f32>, dim: usize) -> Self {
        let mut codes = vec![0; rows.len()];
        let mut steps: Vec<f32> = rows
            .chunks_exact(dim)
            .zip(codes.chunks_exact_mut(dim))
            .map(|(row, codes)| int8::quantise_query(row, codes))
            .collect();
        let sizes = sizes(&rows, &codes, &steps, dim);
        let slack = sizes.iter().map(|row| row.slack).sum::<f64>() * (1.0 + 1e-9);
        let mut reaches: Vec<f64> = sizes.iter().zip(&steps).map(reach).collect();
        let lanes = LaneQuery::new(&codes, dim);
        steps.resize(lanes.out_len(), 0.0);
        reaches.resize(lanes.out_len(), f64::NEG_INFINITY);
        #[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
        let longest = sizes.iter().map(|row| row.length).fold(0.0, f64::max) as f32;
        let lengths = sizes.iter().map(|row| row.length).sum::<f64>() * (1.0 + 1e-9);
        let floats = FloatQuery::new(&rows, dim);
        let quads = rows.chunks(SHARE * dim).map(|rows| FloatQuery::new(rows, dim)).collect();
        Self { floats, quads, lanes, stored_dim: dim, steps, slack, reaches, longest, lengths }
    }

    /// Asks it of rows of `dim` components, of which the first count, as many as the query has.
    /// What is proved of its scores holds: a part of a row is no longer than the row, and no
    /// further from the same part of another.
    pub(crate) fn of_rows(mut self, dim: usize) -> Self {
        self.stored_dim = dim.max(self.dim());
        self
    }

    /// Components of the rows it is asked of.
    pub(crate) fn stored_dim(&self) -> usize {
        self.stored_dim
    }

    /// Query rows.
    pub(crate) fn rows(&self) -> usize {
        self.floats.rows()
    }

    /// Components of a row.
    pub(crate) fn dim(&self) -> usize {
        self.floats.dim()
    }

    /// The rows as they were given, one after another.
    pub(crate) fn flat(&self) -> Vec<f32> {
        (0..self.rows()).flat_map(|at| self.floats.row(at).iter().copied()).collect()
    }

    /// The rows for the float kernels.
    pub(super) fn floats(&self) -> &FloatQuery {
        &self.floats
    }

    /// The same, four rows each.
    pub(super) fn quads(&self) -> &[FloatQuery] {
        &self.quads
    }

    /// For each lane how far behind the largest an integer product may be whose float product is
    /// the largest, for each unit of length of the document's longest row.
    pub(super) fn reaches(&self) -> &[f64] {
        &self.reaches
    }

    /// Whether integer products say which float products are small, of documents whose rows are no
    /// longer than `norm`: nothing may overflow, and there must be rows enough to gain by it.
    pub(super) fn is_narrow(&self, norm: f64) -> bool {
        self.rows() >= SHARE && norm >= 2f64.powi(-24) && f64::from(self.longest) * norm < 1e30
    }

    /// The rows for the integer kernel.
    pub(super) fn lanes(&self) -> &LaneQuery {
        &self.lanes
    }

    /// For each lane what an integer dot product is to be multiplied with; zero where the lane
    /// has no row.
    pub(super) fn steps(&self) -> &[f32] {
        &self.steps
    }

    /// The length of the longest row.
    pub(super) fn longest(&self) -> f32 {
        self.longest
    }

    /// A number that a document's score does not exceed, from each lane's largest integer dot
    /// product, scaled, the length of the document's longest stored row, and how far the rows that
    /// give scores are from those that gave the integers. Infinite where nothing can be said.
    pub(super) fn upper_bound(&self, largest: &[f32], norm: f64, gap: f64) -> f32 {
        // Eight partial sums, so that the additions need not wait for each other.
        let mut sums = [0.0f32; 8];
        for (steps, largest) in self.steps.as_chunks::<8>().0.iter().zip(largest.as_chunks::<8>().0)
        {
            for ((sum, step), largest) in sums.iter_mut().zip(steps).zip(largest) {
                *sum += step * largest;
            }
        }
        let four = [sums[0] + sums[4], sums[1] + sums[5], sums[2] + sums[6], sums[3] + sums[7]];
        let integer = (four[0] + four[2]) + (four[1] + four[3]);
        #[allow(clippy::cast_possible_truncation, reason = "rounded up by the step after it")]
        let bound =
            (f64::from(integer) + self.slack * norm + self.lengths * gap + UNDERFLOW) as f32;
        if bound.is_nan() { f32::INFINITY } else { bound.next_up() }
    }
}

/// A query row in numbers.
#[derive(Clone, Copy, Debug)]
struct RowSize {
    /// How far an integer product of it can be from the float product.
    slack: f64,
    /// Its length.
    length: f64,
}

/// How far an integer score can be from a float score, for each unit of `N`, the length of the
/// document's longest stored row.
///
/// Let `q` be a query row, `q̂` what its integers stand for, `d` a stored row. Then
/// `|q·d − q̂·d| ≤ ‖q − q̂‖ N`, a largest of such products differs by no more, and their sum by
/// the sum over the query's rows. That is without rounding. A product of n + 1 factors and
/// additions, each rounded to f32, is off by at most `n u / (1 − n u)` of the sum of magnitudes,
/// `u` being 2⁻²⁴, and that sum is at most `‖q‖ N`. On its way to a float score a product is
/// rounded once, added `dim / 16` times in its lane and 4 times in the folding, scaled once, and
/// then added once for each query row; an integer product is converted, scaled twice, and added at
/// most as often and 8 times more. `n u` is less than 0.001.
///
/// Where scores are made of other rows `e` that are at most `g` from `d`, `|q·e − q·d| ≤ ‖q‖ g`
/// comes on top, and `N` is to cover those rows too.
///
/// This is one number for each query row: how far its own product can be off, what it is added to
/// included.
fn sizes(rows: &[f32], codes: &[i8], steps: &[f32], dim: usize) -> Vec<RowSize> {
    let count = steps.len() as f64;
    let float_steps = dim.div_ceil(16) as f64 + 6.0 + count;
    let integer_steps = 3.0 + 8.0 + count;
    let rows = rows.chunks_exact(dim).zip(codes.chunks_exact(dim)).zip(steps);
    rows.map(|((row, codes), &step)| {
        // Eight partial sums, so that the additions need not wait for each other.
        let (mut to, mut own, mut quantised) = ([0.0f64; 8], [0.0f64; 8], [0.0f64; 8]);
        for (row, codes) in row.chunks(8).zip(codes.chunks(8)) {
            for (at, (&x, &code)) in row.iter().zip(codes).enumerate() {
                let (x, stored) = (f64::from(x), f64::from(step) * f64::from(code));
                to[at] += (x - stored) * (x - stored);
                own[at] += x * x;
                quantised[at] += stored * stored;
            }
        }
        let [to, length, quantised] =
            [to, own, quantised].map(|squares| squares.iter().sum::<f64>().sqrt());
        let rounding = ROUNDING * (float_steps * length + integer_steps * quantised);
        // For γ instead of n u, and for the rounding of this very computation.
        RowSize { slack: to * (1.0 + 1e-9) + rounding * 1.01, length }
    })
    .collect()
}

/// How far behind the largest integer product one may be whose float product is the largest: twice
/// what either can be off. What underflow adds is in it, whatever the document's length, where that
/// is 2⁻⁶⁴ or more; a row of zeros has but one product.
fn reach((row, &step): (&RowSize, &f32)) -> f64 {
    let reach = 2.0 * (row.slack + UNDERFLOW * 2f64.powi(64)) / f64::from(step);
    if reach.is_nan() { f64::INFINITY } else { reach * (1.0 + 1e-9) }
}
