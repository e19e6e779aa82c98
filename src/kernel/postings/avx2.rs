//! AVX2: eight documents a step. The mask's byte picks a shuffle from a table, which spreads the
//! next impacts over their documents; two terms' impacts, interleaved and widened, are multiplied
//! and added in one `vpmaddwd`.
#![allow(unsafe_code)]
#![allow(clippy::wildcard_imports, reason = "the instructions have names of their own")]

use std::arch::x86_64::*;

use super::{
    ABREAST, CELL, DenseRow, FEW, GROUP, GROUPS, Hope, MaximaQuad, PostingKernels, Quad, RowFilter,
    RowGaps, RowHits, WINDOW, complete_few,
};

pub(in crate::kernel) const KERNELS: PostingKernels =
    PostingKernels { group_bounds, live_groups, complete, complete_u4, row_hits };

/// Per byte of a mask: for each of its bits the number of set bits before it, or 128, at which a
/// shuffle gives zero, where the bit is not set.
static SPREAD: [[u8; 8]; 256] = {
    let mut table = [[128; 8]; 256];
    let mut mask = 0;
    while mask < 256 {
        let (mut bit, mut next) = (0, 0);
        while bit < 8 {
            if mask >> bit & 1 == 1 {
                table[mask][bit] = next;
                next += 1;
            }
            bit += 1;
        }
        mask += 1;
    }
    table
};

fn group_bounds(quads: &[MaximaQuad<'_>], bounds: &mut [i32; GROUPS]) {
    // SAFETY: this function is reached through the AVX2 table alone, which `kernel::table` hands
    // out only after it has found every feature that is enabled here.
    unsafe { group_bounds_256(quads, bounds) }
}

fn live_groups(sums: &[i32; WINDOW], bounds: &[i32; GROUPS], needed: i32) -> u64 {
    // SAFETY: as in `group_bounds`.
    unsafe { live_groups_256(sums, bounds, needed) }
}

fn complete(quads: &[Quad<'_>], group: usize, sums: &mut [i32; GROUP], hope: Hope) -> u64 {
    // SAFETY: as in `group_bounds`.
    unsafe { complete_256::<false>(quads, group, sums, hope) }
}

fn complete_u4(quads: &[Quad<'_>], group: usize, sums: &mut [i32; GROUP], hope: Hope) -> u64 {
    // SAFETY: as in `group_bounds`.
    unsafe { complete_256::<true>(quads, group, sums, hope) }
}

fn row_hits(gaps: &RowGaps<'_>, filter: &RowFilter, hits: &mut RowHits) {
    // SAFETY: as in `group_bounds`.
    unsafe { row_hits_256(gaps, filter, hits) }
}

#[target_feature(enable = "avx2")]
fn group_bounds_256(quads: &[MaximaQuad<'_>], bounds: &mut [i32; GROUPS]) {
    bounds.fill(0);
    let (bounds, _) = bounds.as_chunks_mut::<8>();
    for quad in quads {
        let [p, q, r, s] = quad.maxima.map(|row| row.as_chunks::<8>().0);
        let (first, second) = pairs(quad.weights);
        for ((((bounds, p), q), r), s) in bounds.iter_mut().zip(p).zip(q).zip(r).zip(s) {
            let a = times(load_8(p), load_8(q), first);
            let b = times(load_8(r), load_8(s), second);
            store(bounds, _mm256_add_epi32(load(bounds), _mm256_add_epi32(a, b)));
        }
    }
}

#[target_feature(enable = "avx2")]
fn live_groups_256(sums: &[i32; WINDOW], bounds: &[i32; GROUPS], needed: i32) -> u64 {
    let mut live = 0;
    let (groups, _) = sums.as_chunks::<GROUP>();
    for ((group, &bound), bit) in groups.iter().zip(bounds).zip(0u32..) {
        let most = group
            .as_chunks::<8>()
            .0
            .iter()
            .fold(_mm256_set1_epi32(i32::MIN), |most, sums| _mm256_max_epi32(most, load(sums)));
        let least = _mm256_set1_epi32(needed.wrapping_sub(bound));
        let below = _mm256_cmpgt_epi32(least, most);
        live |= u64::from(_mm256_movemask_epi8(below) != -1) << bit;
    }
    live
}

/// Four terms at a time, until there is hope for a few documents only: with eight documents a step
/// the cells of a group take as long as some ten documents one by one.
#[target_feature(enable = "avx2,popcnt")]
fn complete_256<const HALVES: bool>(
    quads: &[Quad<'_>],
    group: usize,
    sums: &mut [i32; GROUP],
    Hope { needed, mut alive }: Hope,
) -> u64 {
    let mut rest: i32 = quads.iter().map(|quad| quad.most(group)).sum();
    for (at, quad) in quads.iter().enumerate() {
        alive &= reached(sums.as_chunks().0, needed.wrapping_sub(rest));
        if alive.count_ones() <= FEW {
            let quads = quads.get(at..).unwrap_or_default();
            return complete_few::<HALVES>(quads, group, sums, (Hope { needed, alive }, rest));
        }
        rest = rest.wrapping_sub(quad.most(group));
        let eights = sums.as_chunks_mut().0;
        if HALVES {
            let mut bytes = [[0u8; GROUP]; 4];
            let [a, b, c, d] = &mut bytes;
            let [p, q, r, s] = &quad.rows;
            let cells = [
                Spreading::of_halves(p, group, a),
                Spreading::of_halves(q, group, b),
                Spreading::of_halves(r, group, c),
                Spreading::of_halves(s, group, d),
            ];
            add_quad(eights, cells, quad.most.weights);
        } else {
            let cells = quad.rows.map(|row| Spreading::new(row, group));
            add_quad(eights, cells, quad.most.weights);
        }
    }
    alive & reached(sums.as_chunks().0, needed)
}

/// Adds what four cells hold, times their weights, to the sums of a group.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn add_quad(eights: &mut [[i32; 8]], mut cells: [Spreading<'_>; 4], weights: [u8; 4]) {
    let (first, second) = pairs(weights);
    for sums in eights {
        let [p, q, r, s] = &mut cells;
        let a = times(p.next(), q.next(), first);
        let b = times(r.next(), s.next(), second);
        store(sums, _mm256_add_epi32(load(sums), _mm256_add_epi32(a, b)));
    }
}

/// One bit per document whose sum is at least `needed`.
#[inline]
#[target_feature(enable = "avx2")]
fn reached(eights: &[[i32; 8]], needed: i32) -> u64 {
    let least = _mm256_set1_epi32(needed);
    let mut reached = 0;
    for (sums, shift) in eights.iter().zip((0u32..).step_by(8)) {
        let below = _mm256_castsi256_ps(_mm256_cmpgt_epi32(least, load(sums)));
        reached |= u64::from(!_mm256_movemask_ps(below).cast_unsigned() & 0xff) << shift;
    }
    reached
}

/// A cell, eight documents at a time.
struct Spreading<'a> {
    mask: u64,
    impacts: &'a [u8; GROUP],
    /// How many of them are gone.
    at: usize,
}

impl<'a> Spreading<'a> {
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call would keep four cells out of registers")]
    fn new(row: DenseRow<'a>, group: usize) -> Self {
        let cell: &'a [u8; CELL] = row.cell(group);
        let mask = cell.first_chunk().map_or(0, |mask| u64::from_le_bytes(*mask));
        Self { mask, impacts: cell.last_chunk().unwrap_or(&[0; GROUP]), at: 0 }
    }

    /// The same for a cell of four-bit impacts, which are spread over `bytes`.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of_halves(row: &DenseRow<'_>, group: usize, bytes: &'a mut [u8; GROUP]) -> Self {
        let cell = row.cell(group);
        let mask = cell.first_chunk().map_or(0, |mask| u64::from_le_bytes(*mask));
        let halves = cell.get(8..40).unwrap_or_default().as_chunks::<16>().0;
        for (sixteen, to) in halves.iter().zip(bytes.as_chunks_mut::<32>().0) {
            // Two of four bits each, one byte apart: 0xHL to 0x0H0L.
            let words = _mm256_cvtepu8_epi16(load_16(sixteen));
            let apart = _mm256_or_si256(words, _mm256_slli_epi16::<4>(words));
            store_32(to, _mm256_and_si256(apart, _mm256_set1_epi8(15)));
        }
        Self { mask, impacts: bytes, at: 0 }
    }

    /// The impacts of the next eight documents, 0 where they lack the term. Called eight times at
    /// most: `8 · n` impacts at most are gone before call `n` counted from 0, so eight are there.
    #[inline]
    #[target_feature(enable = "avx2,popcnt")]
    fn next(&mut self) -> __m128i {
        let eight = self.mask.to_le_bytes()[0];
        self.mask >>= 8;
        let spread = load_8(&SPREAD[usize::from(eight)]);
        let at = self.at.min(GROUP - 8);
        let from = self.impacts.get(at..at + 8).and_then(|from| from.first_chunk());
        self.at = at + eight.count_ones() as usize;
        _mm_shuffle_epi8(load_8(from.unwrap_or(&[0; 8])), spread)
    }
}

/// Eight gaps at a time: bytes brought together by the table of spreads, added up in three steps,
/// looked up in a filter that is four registers.
#[target_feature(enable = "avx2,popcnt")]
fn row_hits_256(gaps: &RowGaps<'_>, filter: &RowFilter, hits: &mut RowHits) {
    hits.begin(gaps.lows.len());
    let RowHits { ordinals: lines, passing } = hits;
    let mut words = [_mm256_setzero_si256(); 4];
    for (to, from) in words.iter_mut().zip(filter.as_chunks::<8>().0) {
        *to = load_words(from);
    }
    let mut highs = gaps.highs;
    // One more than the last ordinal, in every place.
    let mut next = _mm256_setzero_si256();
    let mut widths = gaps.widths.iter();
    for (lows, (line, passing)) in gaps.lows.chunks(ABREAST).zip(lines.iter_mut().zip(passing)) {
        let eights = line.0.as_chunks_mut::<8>().0.iter_mut();
        for (lows, (to, shift)) in lows.chunks(8).zip(eights.zip([0u32, 8])) {
            let there = u8::MAX >> (8 - lows.len());
            let wide = widths.next().copied().unwrap_or(0) & there;
            let spread = _mm_shuffle_epi8(load_few(highs), load_8(&SPREAD[usize::from(wide)]));
            highs = highs.get(wide.count_ones() as usize..).unwrap_or_default();
            let low = _mm256_cvtepu8_epi32(load_few(lows));
            let high = _mm256_slli_epi32::<8>(_mm256_cvtepu8_epi32(spread));
            let one = _mm256_set1_epi32(1);
            let mut sum = _mm256_add_epi32(_mm256_or_si256(low, high), one);
            sum = _mm256_add_epi32(sum, _mm256_slli_si256::<4>(sum));
            sum = _mm256_add_epi32(sum, _mm256_slli_si256::<8>(sum));
            // What the lower half comes to, for every place of the upper.
            let half = _mm256_permute2x128_si256::<0x08>(sum, sum);
            sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32::<0xff>(half));
            let after = _mm256_add_epi32(next, sum);
            next = _mm256_permutevar8x32_epi32(after, _mm256_set1_epi32(7));
            let ordinals = _mm256_sub_epi32(after, one);
            *passing |= u16::from(passes(ordinals, &words) & there) << shift;
            store_words(to, ordinals);
        }
    }
}

/// Which of eight ordinals have their bit in the words.
#[inline]
#[target_feature(enable = "avx2")]
fn passes(ordinals: __m256i, words: &[__m256i; 4]) -> u8 {
    let word = _mm256_srli_epi32::<5>(ordinals);
    // Of a register the word that the lowest three bits say, of the registers that of the next two.
    let [p, q, r, s] =
        words.map(|words| _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(words, word)));
    let low = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(word));
    let high = _mm256_castsi256_ps(_mm256_slli_epi32::<27>(word));
    let [lower, upper] = [_mm256_blendv_ps(p, q, low), _mm256_blendv_ps(r, s, low)];
    let found = _mm256_castps_si256(_mm256_blendv_ps(lower, upper, high));
    let up = _mm256_andnot_si256(ordinals, _mm256_set1_epi32(31)); // 31 less the bit's place
    let found = _mm256_castsi256_ps(_mm256_sllv_epi32(found, up));
    _mm256_movemask_ps(found).to_le_bytes()[0]
}

/// The first eight bytes of a slice, zeros where it is shorter.
#[inline]
#[target_feature(enable = "avx2")]
fn load_few(from: &[u8]) -> __m128i {
    if let Some(eight) = from.first_chunk() {
        return load_8(eight);
    }
    let mut eight = [0; 8];
    eight.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
    load_8(&eight)
}

/// Weights of the first two and of the last two terms, as `vpmaddwd` takes them.
#[inline]
#[target_feature(enable = "avx2")]
fn pairs([p, q, r, s]: [u8; 4]) -> (__m256i, __m256i) {
    let pair = |a: u8, b: u8| i32::from(a) | i32::from(b) << 16;
    (_mm256_set1_epi32(pair(p, q)), _mm256_set1_epi32(pair(r, s)))
}

/// Per document the weighted sum of two terms' impacts: 2 · 255 · 127 at most, far from what
/// saturates.
#[inline]
#[target_feature(enable = "avx2")]
fn times(a: __m128i, b: __m128i, weights: __m256i) -> __m256i {
    _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_unpacklo_epi8(a, b)), weights)
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_8(from: &[u8; 8]) -> __m128i {
    // SAFETY: `from` is 8 bytes, all of which are read; the load asks for no alignment.
    unsafe { _mm_loadl_epi64(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_16(from: &[u8; 16]) -> __m128i {
    // SAFETY: `from` is 16 bytes, all of which are read; the load asks for no alignment.
    unsafe { _mm_loadu_si128(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_32(to: &mut [u8; 32], from: __m256i) {
    // SAFETY: `to` is 32 bytes, all of which are written; the store asks for no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), from) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_words(from: &[u32; 8]) -> __m256i {
    load(bytemuck::cast_ref(from))
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_words(to: &mut [u32; 8], from: __m256i) {
    store(bytemuck::cast_mut(to), from);
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(from: &[i32; 8]) -> __m256i {
    // SAFETY: `from` is 32 bytes, all of which are read; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store(to: &mut [i32; 8], from: __m256i) {
    // SAFETY: `to` is 32 bytes, all of which are written; the store asks for no alignment.
    unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), from) }
}
