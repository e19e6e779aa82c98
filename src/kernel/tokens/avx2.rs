//! AVX2 and F16C: the same shapes as the AVX-512 kernels in sixteen registers of half the width.
//!
//! The integer kernel widens both sides to 16 bits and multiplies with `vpmaddwd`: `vpmaddubsw`
//! takes bytes, but saturates unless one side is cut to seven bits, and to move the signs from
//! one side to the other first was measured to be slower.
#![allow(unsafe_code)]
#![allow(clippy::wildcard_imports, reason = "the instructions have names of their own")]

use std::arch::x86_64::*;

use super::query::Pass;
use super::{
    F16Rows, F32Rows, FloatQuery, Int8Rows, KernelScratch, LaneQuery, PartTables, Probes, TILE,
    TokenKernels, WIDE_ROWS, expand, parts, scan,
};

pub(in crate::kernel) const KERNELS: TokenKernels = TokenKernels {
    max_f32,
    max_f16,
    max_int8,
    select_int8,
    dots_int8,
    dots_lane,
    expand: expand::avx2::expand,
    nearest,
    raise,
    probe,
    quantise,
    flood,
};

fn max_f32(query: &FloatQuery, doc: &F32Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: as in `max_f16`.
    unsafe { max_f32_256(query, doc, scratch, out) }
}

fn max_f16(query: &FloatQuery, doc: &F16Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: this function is reached through the AVX2 table alone, which `kernel::table` hands
    // out only after it has found every feature that is enabled here.
    unsafe { max_f16_256(query, doc, scratch, out) }
}

fn max_int8(query: &FloatQuery, doc: &Int8Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: as in `max_f16`.
    unsafe { max_int8_256(query, doc, scratch, out) }
}

fn select_int8(
    query: &LaneQuery,
    doc: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    // SAFETY: as in `max_f16`.
    unsafe { select_int8_256(query, doc, scratch, out) }
}

fn dots_int8(query: &LaneQuery, rows: &Int8Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: as in `max_f16`.
    unsafe { dots_int8_256(query, rows, scratch, out) }
}

fn nearest(tables: &PartTables<'_>, row: &[f32], codes: &mut [u8]) {
    #[target_feature(enable = "avx2")]
    fn with(tables: &PartTables<'_>, row: &[f32], codes: &mut [u8]) {
        parts::nearest(tables, row, codes);
    }
    // SAFETY: as in `max_f16`.
    unsafe { with(tables, row, codes) }
}

fn raise(values: &[f32], first: u32, best: &mut [f32], at: &mut [u32]) {
    #[target_feature(enable = "avx2")]
    fn with(values: &[f32], first: u32, best: &mut [f32], at: &mut [u32]) {
        scan::raise(values, first, best, at);
    }
    // SAFETY: as in `max_f16`.
    unsafe { with(values, first, best, at) }
}

pub(super) fn probe(values: &[f32], first: u32, probes: &mut Probes) {
    // SAFETY: as in `max_f16`; the AVX-512 table has what AVX2 needs too.
    unsafe { probe_256(values, first, probes) }
}

/// Written out, since a compiler takes one comparison after the other here.
#[target_feature(enable = "avx2")]
fn probe_256(values: &[f32], first: u32, probes: &mut Probes) {
    let lanes = probes.lanes();
    for (number, row) in (first..).zip(values.chunks_exact(lanes.max(8))) {
        for (eight, row) in row.as_chunks::<8>().0.iter().enumerate() {
            let Some(least) = probes.least(eight) else { return };
            let above = _mm256_cmp_ps::<_CMP_GT_OQ>(load(row), load(least));
            let mut above = _mm256_movemask_ps(above).cast_unsigned();
            while above != 0 {
                let lane = above.trailing_zeros() as usize;
                probes.insert(8 * eight + lane, row[lane], number);
                above &= above - 1;
            }
        }
    }
}

fn dots_lane(lane: &[i16], rows: &Int8Rows<'_>, out: &mut [f32]) {
    #[target_feature(enable = "avx2,f16c")]
    fn with(lane: &[i16], rows: &Int8Rows<'_>, out: &mut [f32]) {
        scan::dots_lane(lane, rows, out);
    }
    // SAFETY: as in `max_f16`.
    unsafe { with(lane, rows, out) }
}

fn quantise(values: &[f32], factors: &[f32], bytes: &mut [u8]) {
    #[target_feature(enable = "avx2")]
    fn with(values: &[f32], factors: &[f32], bytes: &mut [u8]) {
        scan::quantise(values, factors, bytes);
    }
    // SAFETY: as in `max_f16`.
    unsafe { with(values, factors, bytes) }
}

pub(super) fn flood(table: &[u8], lanes: usize, ids: &[u16]) -> Option<u32> {
    // SAFETY: as in `max_f16`; the AVX-512 table has what AVX2 needs too.
    unsafe { flood_256(table, lanes, ids) }
}

/// Written out, since a compiler takes one byte after the other here.
#[target_feature(enable = "avx2")]
fn flood_256(table: &[u8], lanes: usize, ids: &[u16]) -> Option<u32> {
    let mut sum = 0;
    let mut lane = 0;
    while lane < lanes {
        let (width, part) = match lanes - lane {
            32.. => (
                32,
                flood_lanes(table, lanes, lane, ids, |row: &[u8; 32]| {
                    // SAFETY: `row` is 32 bytes, all of which are read.
                    unsafe { _mm256_loadu_si256(row.as_ptr().cast()) }
                }),
            ),
            16.. => (
                16,
                flood_lanes(table, lanes, lane, ids, |row: &[u8; 16]| {
                    // SAFETY: `row` is 16 bytes, all of which are read.
                    _mm256_zextsi128_si256(unsafe { _mm_loadu_si128(row.as_ptr().cast()) })
                }),
            ),
            _ => (
                8,
                flood_lanes(table, lanes, lane, ids, |row: &[u8; 8]| {
                    // SAFETY: `row` is 8 bytes, all of which are read.
                    _mm256_zextsi128_si256(unsafe { _mm_loadl_epi64(row.as_ptr().cast()) })
                }),
            ),
        };
        sum += part?;
        lane += width;
    }
    Some(sum)
}

/// The flood over `W` lanes from `lane` on.
#[inline]
#[target_feature(enable = "avx2")]
fn flood_lanes<const W: usize>(
    table: &[u8],
    lanes: usize,
    lane: usize,
    ids: &[u16],
    load: impl Fn(&[u8; W]) -> __m256i,
) -> Option<u32> {
    let row = |id: u16| table.get(usize::from(id) * lanes + lane..)?.first_chunk::<W>();
    // Four chains, so that the maxima need not wait for each other.
    let mut best = [_mm256_setzero_si256(); 4];
    let (fours, last) = ids.as_chunks::<4>();
    for four in fours {
        for (best, &id) in best.iter_mut().zip(four) {
            *best = _mm256_max_epu8(*best, load(row(id)?));
        }
    }
    for (best, &id) in best.iter_mut().zip(last) {
        *best = _mm256_max_epu8(*best, load(row(id)?));
    }
    let [a, b, c, d] = best;
    let all = _mm256_max_epu8(_mm256_max_epu8(a, b), _mm256_max_epu8(c, d));
    let mut sums = [0u64; 4];
    // SAFETY: `sums` is 32 bytes, all of which are written.
    unsafe {
        let sad = _mm256_sad_epu8(all, _mm256_setzero_si256());
        _mm256_storeu_si256(sums.as_mut_ptr().cast(), sad);
    }
    // At most 32 bytes of 255.
    u32::try_from(sums.iter().sum::<u64>()).ok()
}

#[target_feature(enable = "avx2,f16c")]
fn max_f32_256(
    query: &FloatQuery,
    doc: &F32Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let (tile, best) = scratch.tile(query);
    best.fill(f32::NEG_INFINITY);
    tile.fill(0.0);
    for start in (0..doc.len()).step_by(2) {
        for (i, to) in tile.chunks_exact_mut(query.stride()).take(2).enumerate() {
            let row = doc.row((start + i).min(doc.len() - 1));
            to[..query.dim()].copy_from_slice(&row[..query.dim()]);
        }
        max_tile(query, tile, _mm256_set1_ps(1.0), best);
    }
    finish(best, &mut out[..query.out_len()]);
}

#[target_feature(enable = "avx2,f16c")]
fn max_f16_256(
    query: &FloatQuery,
    doc: &F16Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let (tile, best) = scratch.tile(query);
    best.fill(f32::NEG_INFINITY);
    for start in (0..doc.len()).step_by(2) {
        for (i, to) in tile.chunks_exact_mut(query.stride()).take(2).enumerate() {
            if let Some(row) = doc.row((start + i).min(doc.len() - 1)) {
                widen_f16(&row.bits()[..query.dim()], to);
            }
        }
        max_tile(query, tile, _mm256_set1_ps(1.0), best);
    }
    finish(best, &mut out[..query.out_len()]);
}

#[target_feature(enable = "avx2,f16c")]
fn max_int8_256(
    query: &FloatQuery,
    doc: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let (tile, best) = scratch.tile(query);
    best.fill(f32::NEG_INFINITY);
    for start in (0..doc.len()).step_by(2) {
        let mut bits = [0u16; 2];
        for (i, to) in tile.chunks_exact_mut(query.stride()).take(2).enumerate() {
            if let Some(row) = doc.row((start + i).min(doc.len() - 1)) {
                widen_int8(&row.codes()[..query.dim()], to);
                bits[i] = row.scales()[0];
            }
        }
        let [a, b] = bits.map(u16::cast_signed);
        let scales = _mm256_cvtph_ps(_mm_setr_epi16(a, a, a, a, b, b, b, b));
        max_tile(query, tile, scales, best);
    }
    finish(best, &mut out[..query.out_len()]);
}

/// Writes a row of f16 as floats, zeros up to the end of `to`. A dimension is a multiple of 8.
#[target_feature(enable = "avx2,f16c")]
fn widen_f16(bits: &[u16], to: &mut [f32]) {
    widen(bits, to, |from: &[u16; 8]| {
        // SAFETY: `from` is 16 bytes, all of which are read.
        _mm256_cvtph_ps(unsafe { _mm_loadu_si128(from.as_ptr().cast()) })
    });
}

/// Writes a row of codes as floats, zeros up to the end of `to`.
#[target_feature(enable = "avx2,f16c")]
fn widen_int8(codes: &[u8], to: &mut [f32]) {
    widen(codes, to, |from: &[u8; 8]| {
        // SAFETY: `from` is 8 bytes, all of which are read.
        let bytes = unsafe { _mm_loadl_epi64(from.as_ptr().cast()) };
        let codes = _mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(128));
        _mm256_cvtepi32_ps(codes)
    });
}

#[inline]
#[target_feature(enable = "avx2,f16c")]
fn widen<T>(from: &[T], to: &mut [f32], eight: impl Fn(&[T; 8]) -> __m256) {
    let mut from = from.as_chunks::<8>().0.iter();
    for to in to.as_chunks_mut::<8>().0 {
        store(to, from.next().map_or(_mm256_setzero_ps(), &eight));
    }
}

/// Takes two document rows into the maxima of all query rows: `best` has 16 places for each four
/// query rows, of which the first 8 are used, lane `4b + a` for query row `a` and document row
/// `b`.
#[target_feature(enable = "avx2")]
fn max_tile(query: &FloatQuery, tile: &[f32], scales: __m256, best: &mut [f32]) {
    let stride = query.stride();
    let (best, _) = best.as_chunks_mut::<16>();
    let doc = &tile[..2 * stride];
    for (rows, best) in query.floats().chunks_exact(TILE * stride).zip(best) {
        let (low, high) = rows.split_at(2 * stride);
        let (low, high) = (halves_2x2(low, doc, stride), halves_2x2(high, doc, stride));
        let dots = _mm256_add_ps(
            _mm256_shuffle_ps::<0b10_00_10_00>(low, high),
            _mm256_shuffle_ps::<0b11_01_11_01>(low, high),
        );
        if let Some(best) = best.first_chunk_mut::<8>() {
            // Of two operands of which one is NaN, `max` gives the second.
            store(best, _mm256_max_ps(_mm256_mul_ps(dots, scales), load(best)));
        }
    }
}

/// The dot products of 2 × 2 rows but for their last addition: the lanes `4b + 2a` and
/// `4b + 2a + 1` are to be added for query row `a` with document row `b`.
#[inline]
#[target_feature(enable = "avx2")]
fn halves_2x2(query: &[f32], doc: &[f32], stride: usize) -> __m256 {
    assert!(query.len() == 2 * stride && doc.len() == 2 * stride && stride.is_multiple_of(16));
    let mut acc = [[[_mm256_setzero_ps(); 2]; 2]; 2];
    for k in (0..stride).step_by(16) {
        // SAFETY: `row` < 2 and k + 16 <= stride, as `stride` is a multiple of 16; so the two
        // eights from `row × stride + k` end at 2 × stride at most, the length of either slice.
        let at = |rows: &[f32], row: usize, eight: usize| unsafe {
            _mm256_loadu_ps(rows.as_ptr().add(row * stride + k + 8 * (eight & 1)))
        };
        for eight in 0..2 {
            let d = [at(doc, 0, eight), at(doc, 1, eight)];
            for (a, acc) in acc.iter_mut().enumerate() {
                let q = at(query, a, eight);
                for (acc, d) in acc.iter_mut().zip(d) {
                    acc[eight] = _mm256_add_ps(acc[eight], _mm256_mul_ps(q, d));
                }
            }
        }
    }
    // 16 → 8 → 4 lanes for each pair, one document row in each half.
    let rows = acc.map(|docs| {
        let [x, y] = docs.map(|[low, high]| _mm256_add_ps(low, high));
        _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(x, y), _mm256_permute2f128_ps::<0x31>(x, y))
    });
    _mm256_add_ps(
        _mm256_shuffle_ps::<0b01_00_01_00>(rows[0], rows[1]),
        _mm256_shuffle_ps::<0b11_10_11_10>(rows[0], rows[1]),
    )
}

/// The maxima over the two document rows of a lane group, −0.0 made +0.0.
#[target_feature(enable = "avx2")]
fn finish(best: &[f32], out: &mut [f32]) {
    let (best, _) = best.as_chunks::<16>();
    let (out, _) = out.as_chunks_mut::<TILE>();
    for (best, out) in best.iter().zip(out) {
        for (a, out) in out.iter_mut().enumerate() {
            *out = best[a].max(best[4 + a]) + 0.0;
        }
    }
}

#[target_feature(enable = "avx2")]
fn load(from: &[f32; 8]) -> __m256 {
    // SAFETY: `from` is 8 floats, all of which are read.
    unsafe { _mm256_loadu_ps(from.as_ptr()) }
}

#[target_feature(enable = "avx2")]
fn store(to: &mut [f32; 8], value: __m256) {
    // SAFETY: `to` is 8 floats, all of which are written.
    unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) }
}

#[target_feature(enable = "avx2,f16c")]
fn select_int8_256(
    query: &LaneQuery,
    doc: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let out = &mut out[..query.out_len()];
    out.fill(f32::NEG_INFINITY);
    lane_tiles(query, doc, scratch, |_, lane, value| {
        if let Some(best) = out[lane..].first_chunk_mut::<8>() {
            // Of two operands of which one is NaN, `max` gives the second.
            store(best, _mm256_max_ps(value, load(best)));
        }
    });
    for best in out {
        *best += 0.0;
    }
}

#[target_feature(enable = "avx2,f16c")]
fn dots_int8_256(
    query: &LaneQuery,
    rows: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let stride = query.out_len();
    lane_tiles(query, rows, scratch, |row, lane, value| {
        if let Some(out) = out[row * stride + lane..].first_chunk_mut::<8>() {
            store(out, value);
        }
    });
}

/// Gives `each` the scaled integer dot products of every row with every eight lanes: the row, the
/// first of the lanes, the products. A document's last row may come more than once.
#[inline]
#[target_feature(enable = "avx2,f16c")]
fn lane_tiles(
    query: &LaneQuery,
    doc: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
    mut each: impl FnMut(usize, usize, __m256),
) {
    let dim = query.dim();
    assert!(dim <= doc.dim() && dim.is_multiple_of(8));
    let (wide, tile) = scratch.wide(query);
    for pass in query.passes() {
        widen_lanes(&pass, &mut wide[pass.first * dim..]);
    }
    for start in (0..doc.len()).step_by(WIDE_ROWS) {
        let mut bits = [0u16; WIDE_ROWS];
        for (i, (to, bits)) in tile.chunks_exact_mut(dim).zip(&mut bits).enumerate() {
            if let Some(row) = doc.row((start + i).min(doc.len() - 1)) {
                for (to, &code) in to.iter_mut().zip(row.codes()) {
                    *to = i16::from(code) - 128;
                }
                *bits = row.scales()[0];
            }
        }
        let mut scales = [0.0; WIDE_ROWS];
        // SAFETY: `bits` is 16 bytes, all of which are read.
        store(&mut scales, _mm256_cvtph_ps(unsafe { _mm_loadu_si128(bits.as_ptr().cast()) }));
        let last = doc.len() - 1;
        for pass in query.passes() {
            let lanes = pass.offsets.len();
            let wide = &wide[pass.first * dim..][..lanes * dim];
            let rows = WIDE_ROWS.min(doc.len() - start);
            let mut each = |row: usize, lane: usize, value: __m256| {
                each((start + row).min(last), pass.first + lane, value);
            };
            match lanes {
                32 => tiles_of::<2, 4, 64>(wide, tile, rows, &scales, &mut each),
                16 => tiles_of::<4, 2, 32>(wide, tile, rows, &scales, &mut each),
                _ => tiles_of::<4, 1, 16>(wide, tile, rows, &scales, &mut each),
            }
        }
    }
}

/// Writes the codes of a pass as 16-bit numbers, two components of each lane next to each other
/// and then the same of the next lane, as `vpmaddwd` wants them.
#[target_feature(enable = "avx2")]
fn widen_lanes(pass: &Pass<'_>, to: &mut [i16]) {
    let lanes = pass.offsets.len();
    let halves = _mm256_setr_epi8(
        0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15, //
        0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15,
    );
    for (from, to) in pass.codes.chunks_exact(4 * lanes).zip(to.chunks_exact_mut(4 * lanes)) {
        let (first, second) = to.split_at_mut(2 * lanes);
        let pairs = first.as_chunks_mut::<16>().0.iter_mut().zip(second.as_chunks_mut::<16>().0);
        for (from, (first, second)) in from.as_chunks::<32>().0.iter().zip(pairs) {
            // SAFETY: `from` is 32 bytes, all of which are read.
            let eight_lanes = unsafe { _mm256_loadu_si256(from.as_ptr().cast()) };
            let split = _mm256_shuffle_epi8(eight_lanes, halves);
            let split = _mm256_permute4x64_epi64::<0b11_01_10_00>(split);
            let low = _mm256_cvtepi8_epi16(_mm256_castsi256_si128(split));
            let high = _mm256_cvtepi8_epi16(_mm256_extracti128_si256::<1>(split));
            // SAFETY: `first` and `second` are 32 bytes each, all of which are written.
            unsafe {
                _mm256_storeu_si256(first.as_mut_ptr().cast(), low);
                _mm256_storeu_si256(second.as_mut_ptr().cast(), high);
            }
        }
    }
}

/// Gives `each` the dot products of the first `rows` rows of a tile with `W` × 8 lanes, `T` rows at
/// a time; the tile's other rows repeat its last. `GROUP` is how many numbers the lanes hold for two
/// components, 16 × `W`.
#[inline]
#[target_feature(enable = "avx2")]
fn tiles_of<const T: usize, const W: usize, const GROUP: usize>(
    query: &[i16],
    tile: &[i16],
    rows: usize,
    scales: &[f32; WIDE_ROWS],
    each: &mut impl FnMut(usize, usize, __m256),
) {
    let dim = tile.len() / WIDE_ROWS;
    let parts = tile.chunks_exact(T * dim).zip(scales.as_chunks::<T>().0);
    for (part, (tile, scales)) in parts.take(rows.div_ceil(T)).enumerate() {
        let mut acc = [[_mm256_setzero_si256(); W]; T];
        for (pair, query) in query.as_chunks::<GROUP>().0.iter().enumerate().take(dim / 2) {
            let mut q = [_mm256_setzero_si256(); W];
            for (q, query) in q.iter_mut().zip(query.as_chunks::<16>().0) {
                // SAFETY: `query` is 32 bytes, all of which are read.
                *q = unsafe { _mm256_loadu_si256(query.as_ptr().cast()) };
            }
            for (i, acc) in acc.iter_mut().enumerate() {
                // SAFETY: `i` < T and 2 × pair + 2 <= dim, so the two numbers from `i × dim + 2 ×
                // pair` end at T × dim at most, the length of `tile`; they are as aligned as it.
                let two = unsafe { *tile.as_ptr().add(i * dim + 2 * pair).cast::<[i16; 2]>() };
                let two = _mm256_set1_epi32(bytemuck::must_cast(two));
                for (acc, q) in acc.iter_mut().zip(q) {
                    *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(two, q));
                }
            }
        }
        for (i, (acc, &scale)) in acc.iter().zip(scales).enumerate() {
            for (w, &acc) in acc.iter().enumerate() {
                let value = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_set1_ps(scale));
                each(part * T + i, 8 * w, value);
            }
        }
    }
}
