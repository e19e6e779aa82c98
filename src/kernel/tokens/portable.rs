//! The specification: plain Rust, and `wide` for the sixteen lanes of the float order.

use half::f16;
use wide::f32x8;

use super::{F16Rows, FloatQuery, Int8Rows, KernelScratch, LaneQuery, TokenKernels};

pub(in crate::kernel) const KERNELS: TokenKernels = TokenKernels { max_f16, max_int8, select_int8 };

fn max_f16(query: &FloatQuery, doc: &F16Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    let rows = doc.bits().chunks_exact(doc.dim());
    let row_into = |bits: &[u16], to: &mut [f32]| {
        for (to, &bits) in to.iter_mut().zip(bits) {
            *to = f16::from_bits(bits).to_f32();
        }
        1.0
    };
    max_rows(query, rows, row_into, scratch, out);
}

fn max_int8(query: &FloatQuery, doc: &Int8Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    let rows = doc.codes().chunks_exact(doc.dim()).zip(doc.scales());
    let row_into = |(codes, &scale): (&[u8], &u16), to: &mut [f32]| {
        for (to, &code) in to.iter_mut().zip(codes) {
            *to = f32::from(i16::from(code) - 128);
        }
        f16::from_bits(scale).to_f32()
    };
    max_rows(query, rows, row_into, scratch, out);
}

/// The largest over `rows`, each written as floats by `row_into`, which gives its scale.
fn max_rows<R>(
    query: &FloatQuery,
    rows: impl Iterator<Item = R>,
    row_into: impl Fn(R, &mut [f32]) -> f32,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let (tile, _) = scratch.tile(query);
    let row = &mut tile[..query.stride()];
    row.fill(0.0);
    let out = &mut out[..query.rows()];
    out.fill(f32::NEG_INFINITY);
    for from in rows {
        let scale = row_into(from, &mut row[..query.dim()]);
        for (best, query_row) in out.iter_mut().zip(query.floats().chunks_exact(query.stride())) {
            let value = scale * dot(query_row, row);
            if value > *best {
                *best = value;
            }
        }
    }
    for best in out {
        *best += 0.0; // turns −0.0 into +0.0
    }
}

/// The dot product in the crate's float order. Both rows have the same multiple of 16 components.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut low = f32x8::ZERO;
    let mut high = f32x8::ZERO;
    for (a, b) in a.as_chunks::<16>().0.iter().zip(b.as_chunks::<16>().0) {
        let (a_low, a_high) = halves(a);
        let (b_low, b_high) = halves(b);
        low += a_low * b_low;
        high += a_high * b_high;
    }
    let eight = (low + high).to_array();
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    let two = [four[0] + four[2], four[1] + four[3]];
    two[0] + two[1]
}

fn halves(sixteen: &[f32; 16]) -> (f32x8, f32x8) {
    let (eights, _) = sixteen.as_chunks::<8>();
    (f32x8::from(eights[0]), f32x8::from(eights[1]))
}

fn select_int8(query: &LaneQuery, doc: &Int8Rows<'_>, _: &mut KernelScratch, out: &mut [f32]) {
    for pass in query.passes() {
        let lanes = pass.offsets.len();
        let out = &mut out[pass.first..pass.first + lanes];
        out.fill(f32::NEG_INFINITY);
        for (codes, &scale) in doc.codes().chunks_exact(doc.dim()).zip(doc.scales()) {
            let mut sums = [0i32; 32];
            sums[..lanes].copy_from_slice(pass.offsets);
            for (group, four) in pass.codes.chunks_exact(4 * lanes).zip(codes.as_chunks::<4>().0) {
                let four = four.map(i32::from);
                for (sum, lane) in sums.iter_mut().zip(group.as_chunks::<4>().0) {
                    *sum += lane.iter().zip(four).map(|(&q, d)| i32::from(q) * d).sum::<i32>();
                }
            }
            let scale = f16::from_bits(scale).to_f32();
            for (best, &sum) in out.iter_mut().zip(&sums) {
                let value = sum as f32 * scale;
                if value > *best {
                    *best = value;
                }
            }
        }
        for best in out {
            *best += 0.0;
        }
    }
}
