//! Expansion in registers of 64 bytes.
#![allow(unsafe_code)]
#![allow(clippy::wildcard_imports, reason = "the instructions have names of their own")]

use std::arch::x86_64::*;

use super::{PackedRows, Steps, expand_parts};

pub(in crate::kernel::tokens) fn expand(rows: &PackedRows<'_>, first: usize, out: &mut [u8]) {
    // SAFETY: this function is reached through the AVX-512 table alone, which `kernel::table`
    // hands out only after it has found every feature that is enabled here.
    unsafe { expand_512(rows, first, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn expand_512(rows: &PackedRows<'_>, first: usize, out: &mut [u8]) {
    let dim = rows.dim();
    let pairs = rows.parts_from(first).zip(out.chunks_exact_mut(dim));
    match rows.book.steps {
        Steps::Levels { bits: 4, levels } => {
            let table = table(&levels);
            pairs.for_each(|((centroid, code), out)| planes::<4>(centroid, code, table, out));
        }
        Steps::Levels { bits: 2, levels } => {
            let table = table(&levels);
            pairs.for_each(|((centroid, code), out)| planes::<2>(centroid, code, table, out));
        }
        Steps::Levels { levels, .. } => {
            let zero = _mm512_set1_epi8(levels[0]);
            let one = _mm512_set1_epi8(levels[1]);
            pairs.for_each(|((centroid, code), out)| signs(centroid, code, zero, one, out));
        }
        Steps::Parts { entries, parts, bits } => pairs.for_each(|((centroid, code), out)| {
            expand_parts(centroid, code, entries, (parts, bits), out);
        }),
    }
}

/// The levels in each of four lanes, as the shuffle wants them.
#[target_feature(enable = "avx512f")]
fn table(levels: &[i8; 16]) -> __m512i {
    // SAFETY: `levels` is 16 bytes, all of which are read.
    _mm512_broadcast_i32x4(unsafe { _mm_loadu_si128(levels.as_ptr().cast()) })
}

/// The first `len` of 64 bits.
fn mask(len: usize) -> u64 {
    if len >= 64 { u64::MAX } else { (1 << len) - 1 }
}

/// One row of codes of `BITS` bits in planes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn planes<const BITS: usize>(centroid: &[u8], code: &[u8], table: __m512i, out: &mut [u8]) {
    let planes = 8 / BITS;
    assert!(centroid.len() == planes * code.len() && out.len() == centroid.len());
    let low = _mm512_set1_epi8((1 << BITS) - 1);
    for at in (0..code.len()).step_by(64) {
        let mask = mask(code.len() - at);
        // SAFETY: of the 64 bytes from `at` on those are read that `mask` names, and it names
        // none beyond the end of `code`.
        let mut codes = unsafe { _mm512_maskz_loadu_epi8(mask, code.as_ptr().add(at).cast()) };
        for plane in 0..planes {
            let level = _mm512_shuffle_epi8(table, _mm512_and_si512(codes, low));
            let place = plane * code.len() + at;
            // SAFETY: `place` plus the bytes that `mask` names end with the plane at most, and the
            // last plane ends with `centroid` and `out`, as was asserted above.
            unsafe {
                let bytes = _mm512_maskz_loadu_epi8(mask, centroid.as_ptr().add(place).cast());
                let sum = _mm512_add_epi8(bytes, level);
                _mm512_mask_storeu_epi8(out.as_mut_ptr().add(place).cast(), mask, sum);
            }
            // What comes in from the neighbour is beyond the bits that are looked at.
            codes = match BITS {
                4 => _mm512_srli_epi16::<4>(codes),
                _ => _mm512_srli_epi16::<2>(codes),
            };
        }
    }
}

/// One row of codes of one bit, which are masks as they lie.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn signs(centroid: &[u8], code: &[u8], zero: __m512i, one: __m512i, out: &mut [u8]) {
    assert!(centroid.len() == 8 * code.len() && out.len() == centroid.len());
    for (at, eight) in code.chunks(8).enumerate() {
        let mut bytes = [0; 8];
        bytes[..eight.len()].copy_from_slice(eight);
        let level = _mm512_mask_blend_epi8(u64::from_le_bytes(bytes), zero, one);
        let mask = mask(8 * eight.len());
        // SAFETY: `mask` names 8 components for each byte of `code` from `8 × at` on, and these are
        // within `centroid` and `out`, as was asserted above.
        unsafe {
            let bytes = _mm512_maskz_loadu_epi8(mask, centroid.as_ptr().add(64 * at).cast());
            let sum = _mm512_add_epi8(bytes, level);
            _mm512_mask_storeu_epi8(out.as_mut_ptr().add(64 * at).cast(), mask, sum);
        }
    }
}
