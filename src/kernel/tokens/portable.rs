//! The specification: plain Rust, with `wide` for the sixteen lanes of the float order and for
//! sums of integers.

use half::f16;
use half::slice::HalfFloatSliceExt;
use wide::{f32x8, i32x4};

use super::{
    F16Rows, F32Rows, FloatQuery, Int8Rows, KernelScratch, LaneQuery, TokenKernels, expand, parts,
    scan,
};

pub(in crate::kernel) const KERNELS: TokenKernels = TokenKernels {
    max_f32,
    max_f16,
    max_int8,
    select_int8,
    dots_int8,
    dots_lane: |lane, rows, out| scan::dots_lane(lane, rows, out),
    expand,
    nearest: |tables, row, codes| parts::nearest(tables, row, codes),
    raise: |values, first, best, at| scan::raise(values, first, best, at),
    probe: |values, first, probes| scan::probe(values, first, probes),
    quantise: |values, factors, bytes| scan::quantise(values, factors, bytes),
    flood: |table, lanes, ids| scan::flood(table, lanes, ids),
};

fn max_f32(query: &FloatQuery, doc: &F32Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    let row_into = |row: usize, to: &mut [f32]| {
        let dim = to.len();
        to.copy_from_slice(&doc.row(row)[..dim]);
        1.0
    };
    max_rows(query, 0..doc.len(), row_into, scratch, out);
}

fn max_f16(query: &FloatQuery, doc: &F16Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    let rows = doc.bits().chunks_exact(doc.dim());
    let row_into = |bits: &[u16], to: &mut [f32]| {
        let halves: &[f16] = bytemuck::must_cast_slice(&bits[..to.len()]);
        halves.convert_to_f32_slice(to);
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

fn select_int8(
    query: &LaneQuery,
    doc: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let dim = query.dim();
    let wide = widen_lanes(query, scratch);
    for pass in query.passes() {
        let lanes = pass.offsets.len();
        let wide = &wide[pass.first * dim..][..lanes * dim];
        let out = &mut out[pass.first..][..lanes];
        out.fill(f32::NEG_INFINITY);
        for (codes, &scale) in doc.codes().chunks_exact(doc.dim()).zip(doc.scales()) {
            let sums = lane_sums(wide, lanes, codes);
            let scale = f16::from_bits(scale).to_f32();
            for (best, sum) in out.iter_mut().zip(sums.as_chunks::<2>().0) {
                let value = (sum[0] + sum[1]) as f32 * scale;
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

fn dots_int8(query: &LaneQuery, rows: &Int8Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    let dim = query.dim();
    let wide = widen_lanes(query, scratch);
    let codes = rows.codes().chunks_exact(rows.dim());
    for ((codes, &scale), out) in
        codes.zip(rows.scales()).zip(out.chunks_exact_mut(query.out_len().max(1)))
    {
        let scale = f16::from_bits(scale).to_f32();
        for pass in query.passes() {
            let lanes = pass.offsets.len();
            let sums = lane_sums(&wide[pass.first * dim..][..lanes * dim], lanes, codes);
            for (out, sum) in out[pass.first..][..lanes].iter_mut().zip(sums.as_chunks::<2>().0) {
                *out = (sum[0] + sum[1]) as f32 * scale;
            }
        }
    }
}

/// The codes of all lanes as 16-bit numbers.
fn widen_lanes<'a>(query: &LaneQuery, scratch: &'a mut KernelScratch) -> &'a [i16] {
    let (wide, _) = scratch.wide(query);
    for pass in query.passes() {
        for (to, &code) in wide[pass.first * query.dim()..].iter_mut().zip(pass.codes) {
            *to = i16::from(code);
        }
    }
    wide
}

/// The dot product of a row of codes with each lane, as two sums to be added.
fn lane_sums(wide: &[i16], lanes: usize, codes: &[u8]) -> [i32; 64] {
    let mut sums = [i32x4::ZERO; 16];
    for (group, four) in wide.chunks_exact(4 * lanes).zip(codes.as_chunks::<4>().0) {
        let [a, b, c, d] = four.map(|code| i16::from(code) - 128);
        let four = [a, b, c, d, a, b, c, d];
        for (sum, two_lanes) in sums.iter_mut().zip(group.as_chunks::<8>().0) {
            *sum += pairs(two_lanes, &four);
        }
    }
    bytemuck::must_cast(sums)
}

/// The products of neighbours, added in pairs: one instruction here.
#[cfg(target_feature = "sse2")]
fn pairs(a: &[i16; 8], b: &[i16; 8]) -> i32x4 {
    wide::i16x8::from(*a).dot(wide::i16x8::from(*b))
}

/// The products of neighbours, added in pairs. `wide` adds other pairs here.
#[cfg(not(target_feature = "sse2"))]
fn pairs(a: &[i16; 8], b: &[i16; 8]) -> i32x4 {
    let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
    i32x4::from(std::array::from_fn::<_, 4, _>(|i| product(2 * i) + product(2 * i + 1)))
}
