//! The float score of a document by few float products.
//!
//! A score wants, for each query row, the largest float product with the document's rows. Integers
//! give all products at a tenth of the price and say how far they can be off: a row whose integer
//! product is behind the largest by more than twice that is not the one, and only the others, one or
//! two of a hundred, are met by floats. What comes out is what all products would have given, to
//! the bit.
//!
//! The proof: with `i` the integer product as it is computed and `f` the float product, both of one
//! query row, `|f − step·i| ≤ slack·N` for every document row ([`query`](super::query)). Let `m` be
//! the row of the largest `i`. Where `step·i < step·i_m − 2·slack·N`, then
//! `f ≤ step·i + slack·N < step·i_m − slack·N ≤ f_m`: the row is not the largest.

use crate::kernel::Kernels;
use crate::kernel::tokens::{FloatQuery, Int8Rows, KernelScratch};

use super::query::TokenQuery;

/// A document of fewer rows is scored whole.
const LEAST_ROWS: usize = 16;
/// Rows whose integer products are held at a time: 16 KiB of them, of 32 query rows.
const ROWS: usize = 128;
/// Query rows that share their rows: as many as a tile of the float kernels has.
pub(super) const SHARE: usize = 4;

/// Working memory.
#[derive(Debug, Default)]
pub(super) struct Narrow {
    /// Integer products, row after row.
    dots: Vec<f32>,
    /// For each lane the largest of them, where it was met, and how little is still looked at.
    best: Vec<f32>,
    at: Vec<u32>,
    least: Vec<f32>,
    /// The rows that are.
    codes: Vec<u8>,
    scales: Vec<u16>,
}

/// For each query row the largest float product with the rows: what `max_int8` gives. No row is
/// longer than `norm`; infinite where that is not known.
pub(super) fn largest(
    query: &TokenQuery,
    kernels: &Kernels,
    rows: &Int8Rows<'_>,
    norm: f64,
    kernel: &mut KernelScratch,
    narrow: &mut Narrow,
    out: &mut [f32],
) {
    if rows.len() < LEAST_ROWS || !query.is_narrow(norm) {
        return (kernels.tokens.max_int8)(query.floats(), rows, kernel, out);
    }
    out.fill(f32::NEG_INFINITY);
    for first in (0..rows.len()).step_by(ROWS) {
        let Some(part) = rows.range(first..(first + ROWS).min(rows.len())) else { break };
        narrow.meet(query, kernels, &part, norm, kernel);
        for (lane, (quad, out)) in
            (0..).step_by(SHARE).zip(query.quads().iter().zip(out.chunks_mut(SHARE)))
        {
            narrow.raise(quad, lane, kernels, &part, kernel, out);
        }
    }
}

impl Narrow {
    /// The integer products with all rows, and how little of them is still looked at.
    fn meet(
        &mut self,
        query: &TokenQuery,
        kernels: &Kernels,
        rows: &Int8Rows<'_>,
        norm: f64,
        kernel: &mut KernelScratch,
    ) {
        let lanes = query.lanes().out_len();
        self.dots.resize(rows.len() * lanes, 0.0);
        (kernels.tokens.dots_int8)(query.lanes(), rows, kernel, &mut self.dots);
        self.best.clear();
        self.best.resize(lanes, f32::NEG_INFINITY);
        self.at.clear();
        self.at.resize(lanes, 0);
        (kernels.tokens.raise)(&self.dots, 0, &mut self.best, &mut self.at);
        self.least.clear();
        self.least.extend(self.best.iter().zip(query.reaches()).map(|(&best, &reach)| {
            #[allow(clippy::cast_possible_truncation, reason = "rounded down by the step after it")]
            let least = (f64::from(best) - reach * norm) as f32;
            least.next_down()
        }));
    }

    /// Takes the float products of four query rows, of which the first is in `lane`, with the rows
    /// that can be the largest of one of them into `out`.
    fn raise(
        &mut self,
        quad: &FloatQuery,
        lane: usize,
        kernels: &Kernels,
        rows: &Int8Rows<'_>,
        kernel: &mut KernelScratch,
        out: &mut [f32],
    ) {
        let Some(least) = self.least.get(lane..).and_then(|least| least.first_chunk::<SHARE>())
        else {
            return;
        };
        self.codes.clear();
        self.scales.clear();
        let all = self.dots.chunks_exact(self.least.len());
        let all = all.zip(rows.codes().chunks_exact(rows.dim())).zip(rows.scales());
        for ((dots, codes), &scale) in all {
            let Some(dots) = dots.get(lane..).and_then(|dots| dots.first_chunk::<SHARE>()) else {
                return;
            };
            // Counted and not asked one after another: four comparisons are one instruction.
            let near: u32 =
                dots.iter().zip(least).map(|(dot, least)| u32::from(dot >= least)).sum();
            if near > 0 {
                self.codes.extend_from_slice(codes);
                self.scales.push(scale);
            }
        }
        let near = Int8Rows::new(&self.codes, &self.scales, rows.dim());
        let Some(near) = near.filter(|near| near.len() > 0) else { return };
        let mut four = [f32::NEG_INFINITY; SHARE];
        (kernels.tokens.max_int8)(quad, &near, kernel, &mut four);
        for (best, value) in out.iter_mut().zip(four) {
            if value > *best {
                *best = value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::int8;
    use crate::kernel;

    /// Numbers of −1 to 1, the same on every run.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> f32 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        }

        fn rows(&mut self, count: usize) -> Vec<f32> {
            (0..count).map(|_| self.next()).collect()
        }
    }

    /// Rows as they are stored, and a length that none exceeds.
    fn stored(rows: &[f32], dim: usize) -> (Vec<u8>, Vec<u16>, f64) {
        let (mut codes, mut scales, mut norm) = (vec![0; rows.len()], Vec::new(), 0.0f64);
        for (row, codes) in rows.chunks_exact(dim).zip(codes.chunks_exact_mut(dim)) {
            let (scale, fit) = int8::encode(row, codes);
            scales.push(scale);
            norm = norm.max(fit.norm * (1.0 + 1e-9));
        }
        (codes, scales, norm)
    }

    #[test]
    fn what_is_looked_at_has_the_largest() {
        let mut random = Random(7);
        let (mut met, mut all) = (0, 0);
        for (dim, lanes, count) in
            [(8, 4, 16), (128, 32, 105), (128, 14, 300), (24, 5, 17), (64, 70, 129), (4096, 4, 20)]
        {
            for kind in 0..8 {
                let mut query = random.rows(lanes * dim);
                let mut rows = random.rows(count * dim);
                match kind {
                    // Rows that are one and the same, or nearly.
                    1 => rows = rows[..dim].repeat(count),
                    2 => {
                        let first = rows[..dim].repeat(count);
                        rows.iter_mut().zip(first).for_each(|(x, y)| *x = y + *x / 1000.0);
                    }
                    // A query row of zeros, document rows of zeros.
                    3 => query[..dim].fill(0.0),
                    4 => rows[dim..5 * dim].fill(0.0),
                    // Sizes of all kinds, some next to nothing and some huge.
                    5 => query.iter_mut().for_each(|x| *x *= 1e-38),
                    6 => rows.chunks_exact_mut(dim).step_by(3).for_each(|row| row[0] *= 6e4),
                    7 => query.iter_mut().for_each(|x| *x *= 1e30),
                    _ => {}
                }
                let (codes, scales, norm) = stored(&rows, dim);
                let rows = Int8Rows::new(&codes, &scales, dim).unwrap();
                let query = TokenQuery::new(query, dim);
                let (mut kernel, mut narrow) = (KernelScratch::default(), Narrow::default());
                kernel.fit(query.floats());
                kernel.fit_lanes(query.lanes());
                for kernels in kernel::available() {
                    let mut want = vec![0.0; query.floats().out_len()];
                    let mut got = want.clone();
                    (kernels.tokens.max_int8)(query.floats(), &rows, &mut kernel, &mut want);
                    narrow.scales.clear();
                    largest(&query, kernels, &rows, norm, &mut kernel, &mut narrow, &mut got);
                    let bits = |values: &[f32]| -> Vec<u32> {
                        values[..lanes].iter().map(|value| value.to_bits()).collect()
                    };
                    assert_eq!(bits(&got), bits(&want), "{dim} {lanes} {count} {kind}");
                    if kind == 0 && dim == 128 {
                        met += narrow.scales.len();
                        all += count.min(ROWS);
                    }
                }
            }
        }
        assert!(met > 0 && 4 * met < all, "{met} of {all}");
    }
}
