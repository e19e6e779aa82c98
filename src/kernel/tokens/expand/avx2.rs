//! Expansion in registers of 32 bytes; what is left over, as the portable code does it.
#![allow(unsafe_code)]
#![allow(clippy::wildcard_imports, reason = "the instructions have names of their own")]

use std::arch::x86_64::*;

use super::{PackedRows, Steps, expand_levels, expand_parts};

pub(in crate::kernel::tokens) fn expand(rows: &PackedRows<'_>, first: usize, out: &mut [u8]) {
    // SAFETY: this function is reached through the AVX2 table alone, which `kernel::table` hands
    // out only after it has found every feature that is enabled here.
    unsafe { expand_256(rows, first, out) }
}

#[target_feature(enable = "avx2")]
fn expand_256(rows: &PackedRows<'_>, first: usize, out: &mut [u8]) {
    let dim = rows.dim();
    for ((centroid, code), out) in rows.parts_from(first).zip(out.chunks_exact_mut(dim)) {
        match rows.book.steps {
            Steps::Levels { bits: 4, levels } => planes::<4>(centroid, code, &levels, out),
            Steps::Levels { bits: 2, levels } => planes::<2>(centroid, code, &levels, out),
            Steps::Levels { levels, .. } => signs(centroid, code, &levels, out),
            Steps::Parts { entries, parts, bits } => {
                expand_parts(centroid, code, entries, (parts, bits), out);
            }
        }
    }
}

/// One row of codes of `BITS` bits in planes.
#[inline]
#[target_feature(enable = "avx2")]
fn planes<const BITS: usize>(centroid: &[u8], code: &[u8], levels: &[i8; 16], out: &mut [u8]) {
    let planes = 8 / BITS;
    assert!(centroid.len() == planes * code.len() && out.len() == centroid.len());
    let low = _mm256_set1_epi8((1 << BITS) - 1);
    // SAFETY: `levels` is 16 bytes, all of which are read.
    let table = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(levels.as_ptr().cast()) });
    let (whole, _) = code.as_chunks::<32>();
    for (i, codes) in whole.iter().enumerate() {
        // SAFETY: `codes` is 32 bytes, all of which are read.
        let mut codes = unsafe { _mm256_loadu_si256(codes.as_ptr().cast()) };
        for plane in 0..planes {
            let level = _mm256_shuffle_epi8(table, _mm256_and_si256(codes, low));
            let place = plane * code.len() + 32 * i;
            // SAFETY: 32 × i + 32 is within `code`, so `place` + 32 is within the plane, and the
            // last plane ends with `centroid` and `out`, as was asserted above.
            unsafe {
                let bytes = _mm256_loadu_si256(centroid.as_ptr().add(place).cast());
                let sum = _mm256_add_epi8(bytes, level);
                _mm256_storeu_si256(out.as_mut_ptr().add(place).cast(), sum);
            }
            // What comes in from the neighbour is beyond the bits that are looked at.
            codes = match BITS {
                4 => _mm256_srli_epi16::<4>(codes),
                _ => _mm256_srli_epi16::<2>(codes),
            };
        }
    }
    expand_levels(centroid, code, BITS, levels, 32 * whole.len(), out);
}

/// One row of codes of one bit: each byte is repeated for its eight components, of which each
/// looks at its own bit.
#[inline]
#[target_feature(enable = "avx2")]
fn signs(centroid: &[u8], code: &[u8], levels: &[i8; 16], out: &mut [u8]) {
    assert!(centroid.len() == 8 * code.len() && out.len() == centroid.len());
    let zero = _mm256_set1_epi8(levels[0]);
    let one = _mm256_set1_epi8(levels[1]);
    let repeat =
        _mm256_setr_epi64x(0, 0x0101_0101_0101_0101, 0x0202_0202_0202_0202, 0x0303_0303_0303_0303);
    let own = _mm256_set1_epi64x(0x8040_2010_0804_0201u64.cast_signed());
    let (whole, _) = code.as_chunks::<4>();
    for (i, &four) in whole.iter().enumerate() {
        let bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(i32::from_le_bytes(four)), repeat);
        let set = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, own), own);
        let level = _mm256_blendv_epi8(zero, one, set);
        // SAFETY: 4 × i + 4 is within `code`, so 32 × i + 32 is within `centroid` and `out`, whose
        // lengths were asserted above.
        unsafe {
            let bytes = _mm256_loadu_si256(centroid.as_ptr().add(32 * i).cast());
            let sum = _mm256_add_epi8(bytes, level);
            _mm256_storeu_si256(out.as_mut_ptr().add(32 * i).cast(), sum);
        }
    }
    expand_levels(centroid, code, 1, levels, 4 * whole.len(), out);
}
