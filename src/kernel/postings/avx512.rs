//! AVX-512: a cell becomes 64 bytes in one `vpexpandb`; four of them, interleaved, are multiplied
//! and added in four `vpdpbusd`.
//!
//! Interleaving works inside 128-bit lanes, so while terms are added a document `16·a + 4·b + c`
//! stands at place `4·a + c` of register `b`. One transposition of lanes at the end puts documents
//! in their order.
#![allow(unsafe_code)]
#![allow(clippy::wildcard_imports, reason = "the instructions have names of their own")]

use std::arch::x86_64::*;

use super::{
    ABREAST, DenseRow, GROUP, GROUPS, Hope, MaximaQuad, PostingKernels, Quad, RowFilter, RowGaps,
    RowHits, WINDOW,
};

pub(in crate::kernel) const KERNELS: PostingKernels =
    PostingKernels { group_bounds, live_groups, complete, complete_u4, row_hits };

fn group_bounds(quads: &[MaximaQuad<'_>], bounds: &mut [i32; GROUPS]) {
    // SAFETY: this function is reached through the AVX-512 table alone, which `kernel::table`
    // hands out only after it has found every feature that is enabled here.
    unsafe { group_bounds_512(quads, bounds) }
}

fn live_groups(sums: &[i32; WINDOW], bounds: &[i32; GROUPS], needed: i32) -> u64 {
    // SAFETY: as in `group_bounds`.
    unsafe { live_groups_512(sums, bounds, needed) }
}

fn complete(quads: &[Quad<'_>], group: usize, sums: &mut [i32; GROUP], hope: Hope) -> u64 {
    // SAFETY: as in `group_bounds`.
    hope.alive & unsafe { complete_512(quads, group, sums, hope.needed) }
}

fn complete_u4(quads: &[Quad<'_>], group: usize, sums: &mut [i32; GROUP], hope: Hope) -> u64 {
    // SAFETY: as in `group_bounds`.
    hope.alive & unsafe { complete_u4_512(quads, group, sums, hope.needed) }
}

fn row_hits(gaps: &RowGaps<'_>, filter: &RowFilter, hits: &mut RowHits) {
    // SAFETY: as in `group_bounds`.
    unsafe { row_hits_512(gaps, filter, hits) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn group_bounds_512(quads: &[MaximaQuad<'_>], bounds: &mut [i32; GROUPS]) {
    let mut held = [_mm512_setzero_si512(); 4];
    for quad in quads {
        let [p, q, r, s] = quad.maxima;
        add(&mut held, [load_bytes(p), load_bytes(q), load_bytes(r), load_bytes(s)], quad.weights);
    }
    for (to, from) in bounds.as_chunks_mut::<16>().0.iter_mut().zip(in_order(held)) {
        store(to, from);
    }
}

#[target_feature(enable = "avx512f")]
fn live_groups_512(sums: &[i32; WINDOW], bounds: &[i32; GROUPS], needed: i32) -> u64 {
    let mut live = 0;
    let (groups, _) = sums.as_chunks::<GROUP>();
    for ((group, &bound), bit) in groups.iter().zip(bounds).zip(0u32..) {
        let [a, b, c, d] = quarters(group);
        let most = _mm512_max_epi32(_mm512_max_epi32(a, b), _mm512_max_epi32(c, d));
        let least = _mm512_set1_epi32(needed.wrapping_sub(bound));
        live |= u64::from(_mm512_cmpge_epi32_mask(most, least) != 0) << bit;
    }
    live
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi2")]
fn complete_512(quads: &[Quad<'_>], group: usize, sums: &mut [i32; GROUP], needed: i32) -> u64 {
    let mut held = [_mm512_setzero_si512(); 4];
    for quad in quads {
        let [p, q, r, s] = &quad.rows;
        let expanded = [expand(p, group), expand(q, group), expand(r, group), expand(s, group)];
        add(&mut held, expanded, quad.most.weights);
    }
    give(held, sums, needed)
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi2")]
fn complete_u4_512(quads: &[Quad<'_>], group: usize, sums: &mut [i32; GROUP], needed: i32) -> u64 {
    let mut held = [_mm512_setzero_si512(); 4];
    for quad in quads {
        let [p, q, r, s] = &quad.rows;
        let expanded =
            [expand_u4(p, group), expand_u4(q, group), expand_u4(r, group), expand_u4(s, group)];
        add(&mut held, expanded, quad.most.weights);
    }
    give(held, sums, needed)
}

/// Adds what the terms of a group gave to its sums: which of them then reach `needed`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx512vbmi2")]
fn give(held: [__m512i; 4], sums: &mut [i32; GROUP], needed: i32) -> u64 {
    let least = _mm512_set1_epi32(needed);
    let mut reached = 0;
    let held = in_order(held);
    for ((to, more), shift) in
        sums.as_chunks_mut::<16>().0.iter_mut().zip(held).zip([0, 16, 32, 48])
    {
        let sum = _mm512_add_epi32(load(to), more);
        store(to, sum);
        reached |= u64::from(_mm512_cmpge_epi32_mask(sum, least)) << shift;
    }
    reached
}

/// As [`expand`], of a cell of four-bit impacts.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2")]
fn expand_u4(row: &DenseRow<'_>, group: usize) -> __m512i {
    let cell = row.cell(group);
    let mask = cell.first_chunk().map_or(0, |mask| u64::from_le_bytes(*mask));
    let halves = cell.get(8..40).and_then(|halves| halves.first_chunk()).unwrap_or(&[0; 32]);
    // Two of four bits each, one byte apart: 0xHL to 0x0H0L.
    let words = _mm512_cvtepu8_epi16(load_32(halves));
    let apart = _mm512_or_si512(words, _mm512_slli_epi16::<4>(words));
    _mm512_maskz_expand_epi8(mask, _mm512_and_si512(apart, _mm512_set1_epi8(15)))
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_32(from: &[u8; 32]) -> __m256i {
    // SAFETY: `from` is 32 bytes, all of which are read; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

/// Sixteen gaps at a time: bytes brought together, added up in four steps, looked up in a filter
/// that is two registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi2,popcnt")]
fn row_hits_512(gaps: &RowGaps<'_>, filter: &RowFilter, hits: &mut RowHits) {
    hits.begin(gaps.lows.len());
    let RowHits { ordinals: to_ordinals, passing } = hits;
    let (filter, _) = filter.as_chunks::<16>();
    let [low_filter, high_filter] = [0, 1].map(|at| load_words(filter.get(at).unwrap_or(&[0; 16])));
    let (zero, one) = (_mm512_setzero_si512(), _mm512_set1_epi32(1));
    let mut highs = gaps.highs;
    // One more than the last ordinal, in every place.
    let mut next = zero;
    // No closure that is called inside has these instructions, and so none is made part of the loop.
    let mut widths = gaps.widths.chunks(2);
    let to = to_ordinals.iter_mut().zip(passing);
    for (lows, (to, passing)) in gaps.lows.chunks(ABREAST).zip(to) {
        let wide = match widths.next() {
            Some(&[low, high]) => u16::from_le_bytes([low, high]),
            Some(&[low]) => u16::from(low),
            _ => 0,
        };
        let there = u16::MAX >> (16 - lows.len());
        let wide = wide & there;
        let spread = _mm_maskz_expand_epi8(wide, load_16(highs));
        highs = highs.get(wide.count_ones() as usize..).unwrap_or_default();
        let low = _mm512_cvtepu8_epi32(load_16(lows));
        let high = _mm512_slli_epi32::<8>(_mm512_cvtepu8_epi32(spread));
        let mut sum = _mm512_add_epi32(_mm512_or_si512(low, high), one);
        sum = _mm512_add_epi32(sum, _mm512_alignr_epi32::<15>(sum, zero));
        sum = _mm512_add_epi32(sum, _mm512_alignr_epi32::<14>(sum, zero));
        sum = _mm512_add_epi32(sum, _mm512_alignr_epi32::<12>(sum, zero));
        sum = _mm512_add_epi32(sum, _mm512_alignr_epi32::<8>(sum, zero));
        let after = _mm512_add_epi32(next, sum);
        next = _mm512_permutexvar_epi32(_mm512_set1_epi32(15), after);
        let ordinals = _mm512_sub_epi32(after, one);
        // Both take their numbers modulo what they can tell apart: 32 words, 32 bits.
        let word = _mm512_srli_epi32::<5>(ordinals);
        let words = _mm512_permutex2var_epi32(low_filter, word, high_filter);
        let bits = _mm512_rolv_epi32(one, ordinals);
        *passing = _mm512_mask_test_epi32_mask(there, words, bits);
        store_words(&mut to.0, ordinals);
    }
}

/// The first sixteen bytes of a slice, zeros where it is shorter.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn load_16(from: &[u8]) -> __m128i {
    let missing = u32::try_from(16 - from.len().min(16)).unwrap_or(16);
    let there = u16::MAX.checked_shr(missing).unwrap_or(0);
    // SAFETY: a masked load reads, and faults on, the bytes alone whose bit is set: as many as the
    // slice has, or sixteen where it has more.
    unsafe { _mm_maskz_loadu_epi8(there, from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_words(from: &[u32; 16]) -> __m512i {
    // SAFETY: `from` is 64 bytes, all of which are read; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

/// The impacts of a group's documents, 0 where they lack the term.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi2")]
fn expand(row: &DenseRow<'_>, group: usize) -> __m512i {
    let cell = row.cell(group);
    let mask = cell.first_chunk().map_or(0, |mask| u64::from_le_bytes(*mask));
    // The last 64 of the cell's 72 bytes.
    let impacts = cell.last_chunk::<64>().unwrap_or(&[0; 64]);
    _mm512_maskz_expand_epi8(mask, load_bytes(impacts))
}

/// Adds four terms' impacts, weighted, to sums in interleaved order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn add(held: &mut [__m512i; 4], impacts: [__m512i; 4], weights: [u8; 4]) {
    let [p, q, r, s] = impacts;
    let (low_a, high_a) = (_mm512_unpacklo_epi8(p, q), _mm512_unpackhi_epi8(p, q));
    let (low_b, high_b) = (_mm512_unpacklo_epi8(r, s), _mm512_unpackhi_epi8(r, s));
    // Weights are at most 127, so they are what they were when read as signed.
    let weights = _mm512_set1_epi32(i32::from_le_bytes(weights));
    let quarters = [
        _mm512_unpacklo_epi16(low_a, low_b),
        _mm512_unpackhi_epi16(low_a, low_b),
        _mm512_unpacklo_epi16(high_a, high_b),
        _mm512_unpackhi_epi16(high_a, high_b),
    ];
    for (held, quarter) in held.iter_mut().zip(quarters) {
        *held = _mm512_dpbusd_epi32(*held, quarter, weights);
    }
}

/// From interleaved order to the order of documents: 128-bit lanes transposed.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_order([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let low_ab = _mm512_shuffle_i32x4::<0b01_00_01_00>(a, b); // a0 a1 b0 b1
    let high_ab = _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b); // a2 a3 b2 b3
    let low_cd = _mm512_shuffle_i32x4::<0b01_00_01_00>(c, d);
    let high_cd = _mm512_shuffle_i32x4::<0b11_10_11_10>(c, d);
    [
        _mm512_shuffle_i32x4::<0b10_00_10_00>(low_ab, low_cd), // a0 b0 c0 d0
        _mm512_shuffle_i32x4::<0b11_01_11_01>(low_ab, low_cd), // a1 b1 c1 d1
        _mm512_shuffle_i32x4::<0b10_00_10_00>(high_ab, high_cd),
        _mm512_shuffle_i32x4::<0b11_01_11_01>(high_ab, high_cd),
    ]
}

#[inline]
#[target_feature(enable = "avx512f")]
fn quarters(group: &[i32; GROUP]) -> [__m512i; 4] {
    let mut quarters = [_mm512_setzero_si512(); 4];
    for (to, from) in quarters.iter_mut().zip(group.as_chunks::<16>().0) {
        *to = load(from);
    }
    quarters
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(from: &[u8; 64]) -> __m512i {
    // SAFETY: `from` is 64 bytes, all of which are read; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(from: &[i32; 16]) -> __m512i {
    // SAFETY: `from` is 64 bytes, all of which are read; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(to: &mut [i32; 16], from: __m512i) {
    // SAFETY: `to` is 64 bytes, all of which are written; the store asks for no alignment.
    unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), from) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_words(to: &mut [u32; 16], from: __m512i) {
    store(bytemuck::cast_mut(to), from);
}
