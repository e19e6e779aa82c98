//! AVX-512: sixteen floats a register for the float order, VNNI for the integers.
//!
//! The float kernels score tiles of 4 × 4 rows: sixteen accumulators, one for each pair, are
//! folded together, so that the halvings of the float order cost two shuffles a pair and not
//! eight. The integer kernel keeps query rows in lanes: a group of four document codes is
//! broadcast and meets four components of every lane in one `vpdpbusd`, so that sums stay
//! vertical until the row ends.
#![allow(unsafe_code)]
#![allow(clippy::wildcard_imports, reason = "the instructions have names of their own")]

use std::arch::x86_64::*;

use super::query::Pass;
use super::{
    F16Rows, F32Rows, FloatQuery, Int8Rows, KernelScratch, LaneQuery, PartTables, Probes, TILE,
    TokenKernels, avx2, expand, parts, scan,
};

pub(in crate::kernel) const KERNELS: TokenKernels = TokenKernels {
    max_f32,
    max_f16,
    max_int8,
    select_int8,
    dots_int8,
    dots_lane,
    expand: expand::avx512::expand,
    nearest,
    raise,
    probe,
    quantise,
    flood: avx2::flood,
};

fn max_f32(query: &FloatQuery, doc: &F32Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: as in `max_f16`.
    unsafe { max_f32_512(query, doc, scratch, out) }
}

fn max_f16(query: &FloatQuery, doc: &F16Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: this function is reached through the AVX-512 table alone, which `kernel::table`
    // hands out only after it has found every feature that is enabled here.
    unsafe { max_f16_512(query, doc, scratch, out) }
}

fn max_int8(query: &FloatQuery, doc: &Int8Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: as in `max_f16`.
    unsafe { max_int8_512(query, doc, scratch, out) }
}

fn select_int8(query: &LaneQuery, doc: &Int8Rows<'_>, _: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: as in `max_f16`.
    unsafe { select_int8_512(query, doc, out) }
}

fn dots_int8(query: &LaneQuery, rows: &Int8Rows<'_>, _: &mut KernelScratch, out: &mut [f32]) {
    // SAFETY: as in `max_f16`.
    unsafe { dots_int8_512(query, rows, out) }
}

fn dots_lane(lane: &[i16], rows: &Int8Rows<'_>, out: &mut [f32]) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,f16c")]
    fn with(lane: &[i16], rows: &Int8Rows<'_>, out: &mut [f32]) {
        scan::dots_lane(lane, rows, out);
    }
    // SAFETY: as in `max_f16`.
    unsafe { with(lane, rows, out) }
}

fn nearest(tables: &PartTables<'_>, row: &[f32], codes: &mut [u8]) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn with(tables: &PartTables<'_>, row: &[f32], codes: &mut [u8]) {
        parts::nearest(tables, row, codes);
    }
    // SAFETY: as in `max_f16`.
    unsafe { with(tables, row, codes) }
}

fn raise(values: &[f32], first: u32, best: &mut [f32], at: &mut [u32]) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn with(values: &[f32], first: u32, best: &mut [f32], at: &mut [u32]) {
        scan::raise(values, first, best, at);
    }
    // SAFETY: as in `max_f16`.
    unsafe { with(values, first, best, at) }
}

fn probe(values: &[f32], first: u32, probes: &mut Probes) {
    if !probes.lanes().is_multiple_of(16) {
        return avx2::probe(values, first, probes);
    }
    // SAFETY: as in `max_f16`.
    unsafe { probe_512(values, first, probes) }
}

/// Sixteen lanes at a time.
#[target_feature(enable = "avx512f")]
fn probe_512(values: &[f32], first: u32, probes: &mut Probes) {
    let lanes = probes.lanes();
    for (number, row) in (first..).zip(values.chunks_exact(lanes.max(16))) {
        for (part, row) in row.as_chunks::<16>().0.iter().enumerate() {
            let Some(least) = probes.least::<16>(part) else { return };
            let mut above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(load(row), load(least));
            while above != 0 {
                let lane = above.trailing_zeros() as usize;
                probes.insert(16 * part + lane, row[lane], number);
                above &= above - 1;
            }
        }
    }
}

fn quantise(values: &[f32], factors: &[f32], bytes: &mut [u8]) {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    fn with(values: &[f32], factors: &[f32], bytes: &mut [u8]) {
        scan::quantise(values, factors, bytes);
    }
    // SAFETY: as in `max_f16`.
    unsafe { with(values, factors, bytes) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn max_f32_512(
    query: &FloatQuery,
    doc: &F32Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let (tile, best) = scratch.tile(query);
    best.fill(f32::NEG_INFINITY);
    tile.fill(0.0);
    for start in tiles(doc.len()) {
        for (i, to) in tile.chunks_exact_mut(query.stride()).enumerate() {
            let row = doc.row((start + i).min(doc.len() - 1));
            to[..query.dim()].copy_from_slice(&row[..query.dim()]);
        }
        max_tile(query, tile, _mm512_set1_ps(1.0), best);
    }
    finish(best, &mut out[..query.out_len()]);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn max_f16_512(
    query: &FloatQuery,
    doc: &F16Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let (tile, best) = scratch.tile(query);
    best.fill(f32::NEG_INFINITY);
    for start in tiles(doc.len()) {
        for (i, to) in tile.chunks_exact_mut(query.stride()).enumerate() {
            if let Some(row) = doc.row((start + i).min(doc.len() - 1)) {
                widen_f16(&row.bits()[..query.dim()], to);
            }
        }
        max_tile(query, tile, _mm512_set1_ps(1.0), best);
    }
    finish(best, &mut out[..query.out_len()]);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn max_int8_512(
    query: &FloatQuery,
    doc: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    let (tile, best) = scratch.tile(query);
    best.fill(f32::NEG_INFINITY);
    for start in tiles(doc.len()) {
        let mut scales = [0u16; TILE];
        for (i, to) in tile.chunks_exact_mut(query.stride()).enumerate() {
            if let Some(row) = doc.row((start + i).min(doc.len() - 1)) {
                widen_int8(&row.codes()[..query.dim()], to);
                scales[i] = row.scales()[0];
            }
        }
        let [a, b, c, d] = scales.map(u16::cast_signed);
        // Lanes 4b … 4b + 3 of a tile's maxima belong to document row b.
        let bits = _mm256_setr_epi16(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d);
        max_tile(query, tile, _mm512_cvtph_ps(bits), best);
    }
    finish(best, &mut out[..query.out_len()]);
}

/// Where the tiles of a document start; the last one steps back to end with the document, since
/// to take a row twice changes no maximum. Less than a tile of rows is one tile.
fn tiles(rows: usize) -> impl Iterator<Item = usize> {
    (0..rows).step_by(TILE).map(move |start| start.min(rows.saturating_sub(TILE)))
}

/// Writes a row of f16 as floats, zeros up to the end of `to`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn widen_f16(bits: &[u16], to: &mut [f32]) {
    let (to, _) = to.as_chunks_mut::<16>();
    let (from, rest) = bits.as_chunks::<16>();
    for (to, from) in to.iter_mut().zip(from) {
        store(to, _mm512_cvtph_ps(load_16(from)));
    }
    if !rest.is_empty()
        && let Some(to) = to.get_mut(from.len())
    {
        let mut padded = [0; 16];
        padded[..rest.len()].copy_from_slice(rest);
        store(to, _mm512_cvtph_ps(load_16(&padded)));
    }
}

/// Writes a row of codes as floats, zeros up to the end of `to`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn widen_int8(codes: &[u8], to: &mut [f32]) {
    let bias = _mm512_set1_epi32(128);
    let widen = |from: &[u8; 16]| {
        // SAFETY: `from` is 16 bytes, all of which are read.
        let bytes = unsafe { _mm_loadu_si128(from.as_ptr().cast()) };
        _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), bias))
    };
    let (to, _) = to.as_chunks_mut::<16>();
    let (from, rest) = codes.as_chunks::<16>();
    for (to, from) in to.iter_mut().zip(from) {
        store(to, widen(from));
    }
    if !rest.is_empty()
        && let Some(to) = to.get_mut(from.len())
    {
        let mut padded = [128; 16];
        padded[..rest.len()].copy_from_slice(rest);
        store(to, widen(&padded));
    }
}

/// Takes four document rows into the maxima of all query rows: `best` has 16 places for each four
/// query rows, lane `4b + a` for query row `a` and document row `b`.
#[target_feature(enable = "avx512f,avx512dq")]
fn max_tile(query: &FloatQuery, tile: &[f32], scales: __m512, best: &mut [f32]) {
    let stride = query.stride();
    let (best, _) = best.as_chunks_mut::<16>();
    for (rows, best) in query.floats().chunks_exact(TILE * stride).zip(best) {
        let dots = dots_4x4(rows, tile, stride);
        // Of two operands of which one is NaN, `max` gives the second.
        store(best, _mm512_max_ps(_mm512_mul_ps(dots, scales), load(best)));
    }
}

/// The dot products of 4 × 4 rows: lane `4b + a` is query row `a` with document row `b`.
#[target_feature(enable = "avx512f,avx512dq")]
fn dots_4x4(query: &[f32], doc: &[f32], stride: usize) -> __m512 {
    assert!(
        query.len() == TILE * stride && doc.len() == TILE * stride && stride.is_multiple_of(16)
    );
    let mut acc = [[_mm512_setzero_ps(); TILE]; TILE];
    for k in (0..stride).step_by(16) {
        // SAFETY: `row` < 4 and k + 16 <= stride, as `stride` is a multiple of 16; so the 16
        // floats from `row × stride + k` end at 4 × stride at most, the length of either slice.
        let at = |rows: &[f32], row: usize| unsafe {
            _mm512_loadu_ps(rows.as_ptr().add(row * stride + k))
        };
        let d = [at(doc, 0), at(doc, 1), at(doc, 2), at(doc, 3)];
        for (a, acc) in acc.iter_mut().enumerate() {
            let q = at(query, a);
            for (acc, d) in acc.iter_mut().zip(d) {
                *acc = _mm512_add_ps(*acc, _mm512_mul_ps(q, d));
            }
        }
    }
    // 16 → 4 lanes for each query row, one document row in each quarter.
    let quarters = acc.map(|[x, y, z, t]| {
        let xy = fold_8(x, y);
        let zt = fold_8(z, t);
        _mm512_add_ps(
            _mm512_shuffle_f32x4::<0b10_00_10_00>(xy, zt),
            _mm512_shuffle_f32x4::<0b11_01_11_01>(xy, zt),
        )
    });
    let pair = |x, y| {
        _mm512_add_ps(
            _mm512_shuffle_ps::<0b01_00_01_00>(x, y),
            _mm512_shuffle_ps::<0b11_10_11_10>(x, y),
        )
    };
    let low = pair(quarters[0], quarters[1]);
    let high = pair(quarters[2], quarters[3]);
    _mm512_add_ps(
        _mm512_shuffle_ps::<0b10_00_10_00>(low, high),
        _mm512_shuffle_ps::<0b11_01_11_01>(low, high),
    )
}

/// Lane i plus lane i + 8 of two registers: the first's in the low half, the second's in the high.
#[target_feature(enable = "avx512f,avx512dq")]
fn fold_8(x: __m512, y: __m512) -> __m512 {
    _mm512_add_ps(
        _mm512_shuffle_f32x4::<0b01_00_01_00>(x, y),
        _mm512_shuffle_f32x4::<0b11_10_11_10>(x, y),
    )
}

/// The maxima over the four document rows of a lane group, −0.0 made +0.0.
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn finish(best: &[f32], out: &mut [f32]) {
    let (best, _) = best.as_chunks::<16>();
    let (out, _) = out.as_chunks_mut::<TILE>();
    for (best, out) in best.iter().zip(out) {
        let all = load(best);
        let half = _mm256_max_ps(_mm512_castps512_ps256(all), _mm512_extractf32x8_ps::<1>(all));
        let four = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps::<1>(half));
        let four = _mm_add_ps(four, _mm_setzero_ps());
        // SAFETY: `out` is 4 floats, all of which are written.
        unsafe { _mm_storeu_ps(out.as_mut_ptr(), four) }
    }
}

#[target_feature(enable = "avx512f")]
fn load(from: &[f32; 16]) -> __m512 {
    // SAFETY: `from` is 16 floats, all of which are read.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

#[target_feature(enable = "avx512f")]
fn store(to: &mut [f32; 16], value: __m512) {
    // SAFETY: `to` is 16 floats, all of which are written.
    unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) }
}

#[target_feature(enable = "avx512f")]
fn load_16(from: &[u16; 16]) -> __m256i {
    // SAFETY: `from` is 32 bytes, all of which are read.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// Walks a document in tiles of `$large` rows, then of `$small`, the last one stepping back to end
/// with the document, since to take a row twice changes no maximum; one row at a time where the
/// document has less than a small tile.
macro_rules! walk {
    ($tile:ident, $large:literal, $small:literal, $pass:ident, $doc:ident, $best:ident) => {{
        let rows = $doc.len();
        let mut row = 0;
        while row < rows {
            if rows - row > $small && rows >= $large {
                $tile::<$large>(row.min(rows - $large), $pass, $doc, $best);
                row += $large;
            } else if rows >= $small {
                $tile::<$small>(row.min(rows - $small), $pass, $doc, $best);
                row += $small;
            } else {
                $tile::<1>(row, $pass, $doc, $best);
                row += 1;
            }
        }
    }};
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn select_int8_512(query: &LaneQuery, doc: &Int8Rows<'_>, out: &mut [f32]) {
    assert!(query.dim() <= doc.dim());
    for pass in &mut query.passes() {
        let out = &mut out[pass.first..][..pass.offsets.len()];
        out.fill(f32::NEG_INFINITY);
        let pass = &pass;
        if let Some(best) = out.as_mut_array::<32>() {
            walk!(tile_32, 8, 4, pass, doc, best);
        } else if let Some(best) = out.as_mut_array::<16>() {
            walk!(tile_16, 8, 4, pass, doc, best);
        } else if let Some(best) = out.as_mut_array::<8>() {
            walk!(tile_8, 12, 4, pass, doc, best);
        }
        for best in out {
            *best += 0.0;
        }
    }
}

/// The integer dot products of `T` rows with 32 lanes, two registers of 512 bits for each row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn sums_32<const T: usize>(row: usize, pass: &Pass<'_>, doc: &Int8Rows<'_>) -> [[__m512i; 2]; T] {
    let codes = Codes::<T>::new(row, doc, pass);
    let (offsets, _) = pass.offsets.as_chunks::<16>();
    // SAFETY: both chunks of `offsets` are 64 bytes, all of which are read.
    let start =
        [0, 1].map(|half: usize| unsafe { _mm512_loadu_si512(offsets[half].as_ptr().cast()) });
    let mut acc = [start; T];
    for (group, query) in pass.codes.as_chunks::<128>().0.iter().enumerate() {
        // SAFETY: `query` is 128 bytes, of which the first and the last 64 are read.
        let q = [0, 64].map(|at| unsafe { _mm512_loadu_si512(query.as_ptr().add(at).cast()) });
        for (i, acc) in acc.iter_mut().enumerate() {
            let four = _mm512_set1_epi32(codes.four(i, group));
            acc[0] = _mm512_dpbusd_epi32(acc[0], four, q[0]);
            acc[1] = _mm512_dpbusd_epi32(acc[1], four, q[1]);
        }
    }
    acc
}

/// Takes `T` rows into the maxima of 32 lanes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile_32<const T: usize>(row: usize, pass: &Pass<'_>, doc: &Int8Rows<'_>, best: &mut [f32; 32]) {
    let acc = sums_32::<T>(row, pass, doc);
    let scales = scales::<T>(row, doc);
    let (best, _) = best.as_chunks_mut::<16>();
    for (half, best) in best.iter_mut().enumerate() {
        let mut largest = load(best);
        for (acc, scale) in acc.iter().zip(scales) {
            let value = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[half]), _mm512_set1_ps(scale));
            // Of two operands of which one is NaN, `max` gives the second.
            largest = _mm512_max_ps(value, largest);
        }
        store(best, largest);
    }
}

/// Takes `T` rows into the maxima of 16 lanes: two registers of 256 bits for each row, since a
/// CPU that starts two broadcasts and two `vpdpbusd` of 256 bits a cycle, but one of 512, has
/// less to load so.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile_16<const T: usize>(row: usize, pass: &Pass<'_>, doc: &Int8Rows<'_>, best: &mut [f32; 16]) {
    tile_ymm::<T, 2, 64>(row, pass, doc, best);
}

/// Takes `T` rows into the maxima of 8 lanes, one register of 256 bits for each row.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile_8<const T: usize>(row: usize, pass: &Pass<'_>, doc: &Int8Rows<'_>, best: &mut [f32; 8]) {
    tile_ymm::<T, 1, 32>(row, pass, doc, best);
}

/// The integer dot products of `T` rows with `W` registers of 8 lanes each; `GROUP` is their size
/// in bytes, 32 × `W`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn sums_ymm<const T: usize, const W: usize, const GROUP: usize>(
    row: usize,
    pass: &Pass<'_>,
    doc: &Int8Rows<'_>,
) -> [[__m256i; W]; T] {
    let codes = Codes::<T>::new(row, doc, pass);
    let mut start = [_mm256_setzero_si256(); W];
    for (start, offsets) in start.iter_mut().zip(pass.offsets.as_chunks::<8>().0) {
        // SAFETY: `offsets` is 32 bytes, all of which are read.
        *start = unsafe { _mm256_loadu_si256(offsets.as_ptr().cast()) };
    }
    let mut acc = [start; T];
    for (group, query) in pass.codes.as_chunks::<GROUP>().0.iter().enumerate() {
        let mut q = [_mm256_setzero_si256(); W];
        for (q, query) in q.iter_mut().zip(query.as_chunks::<32>().0) {
            // SAFETY: `query` is 32 bytes, all of which are read.
            *q = unsafe { _mm256_loadu_si256(query.as_ptr().cast()) };
        }
        for (i, acc) in acc.iter_mut().enumerate() {
            let four = _mm256_set1_epi32(codes.four(i, group));
            for (acc, q) in acc.iter_mut().zip(q) {
                *acc = _mm256_dpbusd_epi32(*acc, four, q);
            }
        }
    }
    acc
}

/// Takes `T` rows into the maxima of `W` × 8 lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn tile_ymm<const T: usize, const W: usize, const GROUP: usize>(
    row: usize,
    pass: &Pass<'_>,
    doc: &Int8Rows<'_>,
    best: &mut [f32],
) {
    let acc = sums_ymm::<T, W, GROUP>(row, pass, doc);
    let scales = scales::<T>(row, doc);
    let (best, _) = best.as_chunks_mut::<8>();
    for (lanes, best) in best.iter_mut().enumerate() {
        // SAFETY: `best` is 8 floats, all of which are read.
        let mut largest = unsafe { _mm256_loadu_ps(best.as_ptr()) };
        for (acc, scale) in acc.iter().zip(scales) {
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[lanes]), _mm256_set1_ps(scale));
            largest = _mm256_max_ps(value, largest);
        }
        // SAFETY: `best` is 8 floats, all of which are written.
        unsafe { _mm256_storeu_ps(best.as_mut_ptr(), largest) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn dots_int8_512(query: &LaneQuery, rows: &Int8Rows<'_>, out: &mut [f32]) {
    assert!(query.dim() <= rows.dim());
    let stride = query.out_len();
    for pass in &mut query.passes() {
        let (pass, lanes) = (&pass, pass.offsets.len());
        let Some(mut out) = out.get_mut(pass.first..).map(|values| Places { values, stride })
        else {
            return;
        };
        let out = &mut out;
        match lanes {
            32 => walk!(dots_32, 8, 4, pass, rows, out),
            16 => walk!(dots_16, 8, 4, pass, rows, out),
            _ => walk!(dots_8, 12, 4, pass, rows, out),
        }
    }
}

/// Where the dot products of a pass go: rows of `stride` values.
struct Places<'a> {
    values: &'a mut [f32],
    stride: usize,
}

impl Places<'_> {
    /// The places of a row, from the pass's first lane on.
    #[inline]
    fn row(&mut self, row: usize) -> &mut [f32] {
        &mut self.values[row * self.stride..]
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn dots_32<const T: usize>(row: usize, pass: &Pass<'_>, doc: &Int8Rows<'_>, out: &mut Places<'_>) {
    let acc = sums_32::<T>(row, pass, doc);
    for (i, (acc, scale)) in acc.iter().zip(scales::<T>(row, doc)).enumerate() {
        for (acc, out) in acc.iter().zip(out.row(row + i).as_chunks_mut::<16>().0) {
            store(out, _mm512_mul_ps(_mm512_cvtepi32_ps(*acc), _mm512_set1_ps(scale)));
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn dots_16<const T: usize>(row: usize, pass: &Pass<'_>, doc: &Int8Rows<'_>, out: &mut Places<'_>) {
    dots_ymm::<T, 2, 64>(row, pass, doc, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn dots_8<const T: usize>(row: usize, pass: &Pass<'_>, doc: &Int8Rows<'_>, out: &mut Places<'_>) {
    dots_ymm::<T, 1, 32>(row, pass, doc, out);
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn dots_ymm<const T: usize, const W: usize, const GROUP: usize>(
    row: usize,
    pass: &Pass<'_>,
    doc: &Int8Rows<'_>,
    out: &mut Places<'_>,
) {
    let acc = sums_ymm::<T, W, GROUP>(row, pass, doc);
    for (i, (acc, scale)) in acc.iter().zip(scales::<T>(row, doc)).enumerate() {
        for (acc, out) in acc.iter().zip(out.row(row + i).as_chunks_mut::<8>().0) {
            let value = _mm256_mul_ps(_mm256_cvtepi32_ps(*acc), _mm256_set1_ps(scale));
            // SAFETY: `out` is 8 floats, all of which are written.
            unsafe { _mm256_storeu_ps(out.as_mut_ptr(), value) }
        }
    }
}

/// The codes of `T` consecutive rows, four at a time.
struct Codes<'a, const T: usize> {
    start: *const u8,
    dim: usize,
    groups: usize,
    rows: std::marker::PhantomData<&'a [u8]>,
}

impl<'a, const T: usize> Codes<'a, T> {
    /// Rows `row .. row + T`, of which `pass` has the first components in its lanes.
    #[inline]
    fn new(row: usize, doc: &Int8Rows<'a>, pass: &Pass<'_>) -> Self {
        let groups = pass.codes.len() / (4 * pass.offsets.len());
        assert!(row + T <= doc.len() && 4 * groups <= doc.dim());
        let start = doc.codes()[row * doc.dim()..].as_ptr();
        Self { start, dim: doc.dim(), groups, rows: std::marker::PhantomData }
    }

    /// The codes `4 × group …` of row `i`.
    #[inline]
    fn four(&self, i: usize, group: usize) -> i32 {
        debug_assert!(i < T && group < self.groups);
        // SAFETY: every caller takes `i` from an array of `T` and `group` from the groups of the
        // pass, whose number `new` has compared with `dim`, as it has `row + T` with the rows:
        // so 4 × group + 4 <= dim, and the four bytes end at (row + T) × dim at most, which is
        // within the codes.
        unsafe { self.start.add(i * self.dim + 4 * group).cast::<i32>().read_unaligned() }
    }
}

/// The scales of the rows `row .. row + T`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn scales<const T: usize>(row: usize, doc: &Int8Rows<'_>) -> [f32; T] {
    const { assert!(T <= 16) };
    let mut bits = [0; 16];
    bits[..T].copy_from_slice(&doc.scales()[row..row + T]);
    let mut floats = [0.0; 16];
    store(&mut floats, _mm512_cvtph_ps(load_16(&bits)));
    std::array::from_fn(|i| floats[i])
}
