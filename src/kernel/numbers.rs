//! Which of many numbers lie in a range: the test behind every filter by number.
//!
//! A range is its least value and how far the largest is beyond it: `value − low`, wrapping, is at
//! most that for exactly the values within, be they unsigned or of two's complement.
#![allow(clippy::wildcard_imports, reason = "the instructions have names of their own")]

/// For each number whether it lies in the range, 64 to a word, the first in the lowest bit. `words`
/// has a word for each 64 numbers begun.
pub(crate) type Within = fn(values: &[u64], low: u64, width: u64, words: &mut [u64]);

pub(super) fn portable(values: &[u64], low: u64, width: u64, words: &mut [u64]) {
    for (values, word) in values.chunks(64).zip(words) {
        *word = one(values, low, width);
    }
}

/// At most 64 numbers, without a branch for each.
fn one(values: &[u64], low: u64, width: u64) -> u64 {
    values
        .iter()
        .enumerate()
        .fold(0, |word, (bit, &value)| word | u64::from(value.wrapping_sub(low) <= width) << bit)
}

#[cfg(target_arch = "x86_64")]
pub(super) fn avx512(values: &[u64], low: u64, width: u64, words: &mut [u64]) {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    fn with(values: &[u64], low: u64, width: u64, words: &mut [u64]) {
        let low_8 = _mm512_set1_epi64(low.cast_signed());
        let width_8 = _mm512_set1_epi64(width.cast_signed());
        let (whole, rest) = values.as_chunks::<64>();
        for (values, word) in whole.iter().zip(&mut *words) {
            let mut bytes = [0; 8];
            for (eight, byte) in values.as_chunks::<8>().0.iter().zip(&mut bytes) {
                // SAFETY: `eight` is 64 bytes, all of which are read.
                #[allow(unsafe_code, reason = "a load of a whole array")]
                let eight = unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) };
                *byte = _mm512_cmple_epu64_mask(_mm512_sub_epi64(eight, low_8), width_8);
            }
            *word = u64::from_le_bytes(bytes);
        }
        if let Some(word) = words.get_mut(whole.len()).filter(|_| !rest.is_empty()) {
            *word = one(rest, low, width);
        }
    }
    // SAFETY: this function is reached through tables alone that `kernel::table` hands out only
    // after it has found AVX-512 F.
    #[allow(unsafe_code, reason = "the feature was found")]
    unsafe {
        with(values, low, width, words);
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) fn avx2(values: &[u64], low: u64, width: u64, words: &mut [u64]) {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx2")]
    fn with(values: &[u64], low: u64, width: u64, words: &mut [u64]) {
        // There is no comparison but the signed one, of what is greater.
        let sign = i64::MIN;
        let low_4 = _mm256_set1_epi64x(low.cast_signed() ^ sign);
        let width_4 = _mm256_set1_epi64x(width.cast_signed() ^ sign);
        let (whole, rest) = values.as_chunks::<64>();
        for (values, word) in whole.iter().zip(&mut *words) {
            let mut beyond = 0;
            for (place, four) in (0..).zip(values.as_chunks::<4>().0) {
                // SAFETY: `four` is 32 bytes, all of which are read.
                #[allow(unsafe_code, reason = "a load of a whole array")]
                let four = unsafe { _mm256_loadu_si256(four.as_ptr().cast()) };
                // Less a number with the sign turned is less that number and the sign turned.
                let above = _mm256_cmpgt_epi64(_mm256_sub_epi64(four, low_4), width_4);
                let bits = _mm256_movemask_pd(_mm256_castsi256_pd(above)).cast_unsigned();
                beyond |= u64::from(bits) << (4 * place);
            }
            *word = !beyond;
        }
        if let Some(word) = words.get_mut(whole.len()).filter(|_| !rest.is_empty()) {
            *word = one(rest, low, width);
        }
    }
    // SAFETY: this function is reached through tables alone that `kernel::table` hands out only
    // after it has found AVX2.
    #[allow(unsafe_code, reason = "the feature was found")]
    unsafe {
        with(values, low, width, words);
    }
}

#[cfg(test)]
mod tests {
    use crate::kernel::available;

    #[test]
    fn every_level_finds_what_lies_within() {
        let edges = [0u64, 1, 2, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, u64::MAX];
        let values: Vec<u64> =
            (0..201).map(|i| edges[i * 7 % 8].wrapping_add(i as u64 / 9)).collect();
        for low in edges {
            for high in edges {
                for len in [0, 1, 63, 64, 65, 128, 201] {
                    let values = &values[..len];
                    let signed = low.cast_signed() <= high.cast_signed();
                    let expected = |value: u64| {
                        let as_signed =
                            (low.cast_signed()..=high.cast_signed()).contains(&value.cast_signed());
                        if low <= high { (low..=high).contains(&value) } else { as_signed }
                    };
                    if low > high && !signed {
                        continue;
                    }
                    for kernels in available() {
                        let mut words = vec![7; len.div_ceil(64)];
                        (kernels.within)(values, low, high.wrapping_sub(low), &mut words);
                        for (at, &value) in values.iter().enumerate() {
                            let found = words[at / 64] >> (at % 64) & 1 == 1;
                            assert_eq!(found, expected(value), "{}: {value}", kernels.level);
                        }
                    }
                }
            }
        }
    }
}
