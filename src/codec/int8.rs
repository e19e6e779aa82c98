//! Token rows as 8-bit integers with one f16 scale per row.
//!
//! A component `x` of a row with scale `s` is stored as the byte `128 + round(x / s)`, the
//! nearest integer, ties to even. `s` is the smallest f16 with which the row's largest magnitude
//! fits in ±127, so bytes are 1..=255 and only a row of zeros has the scale 0. The stored row is
//! `s × (byte − 128)`, exactly: that is what scores are made of and what a row's error is
//! measured against. f16 scales reach to 65,504, so components reach to ±8.3 million; what is
//! beyond is cut to that.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]

use half::f16;

/// The byte that stands for zero.
pub(crate) const ZERO: u8 = 128;
/// The largest code, as a number.
const LARGEST: f32 = 127.0;

/// How well a stored row fits: both exact but for the rounding of 64-bit arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RowFit {
    /// The stored row's Euclidean length.
    pub(crate) norm: f64,
    /// The Euclidean length of the difference between the row and the stored row.
    pub(crate) error: f64,
}

/// Writes a row of finite floats as bytes; gives the bits of its scale.
pub(crate) fn encode(row: &[f32], codes: &mut [u8]) -> (u16, RowFit) {
    let largest = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let bits = scale_for(largest);
    let scale = f16::from_bits(bits).to_f32();
    if scale == 0.0 {
        codes.fill(ZERO);
        return (bits, RowFit::default());
    }
    for (code, &x) in codes.iter_mut().zip(row) {
        *code = nearest(x / scale).wrapping_add(ZERO);
    }
    // Eight partial sums, so that the additions need not wait for each other.
    let wide = f64::from(scale);
    let mut errors = [0.0f64; 8];
    let mut squares = 0u32; // at most 4,096 × 128², which fits
    for (codes, row) in codes.chunks(8).zip(row.chunks(8)) {
        for ((error, &code), &x) in errors.iter_mut().zip(codes).zip(row) {
            squares = squares.wrapping_add(square(code));
            *error += (f64::from(x) - wide * (f64::from(code) - f64::from(ZERO))).powi(2);
        }
    }
    let norm = wide * f64::from(squares).sqrt();
    (bits, RowFit { norm, error: errors.iter().sum::<f64>().sqrt() })
}

/// The square of a code's number.
fn square(code: u8) -> u32 {
    u32::from(code.abs_diff(ZERO)).pow(2)
}

/// The low byte of the nearest integer, ties to even, of a number cut to ±127.
///
/// 1.5 × 2²³ is added: that is in the range where floats are the integers, so the addition
/// rounds, and the low byte of the sum's bits is that of the integer. Unlike a call of the
/// rounding function this is plain arithmetic, which every instruction set has for whole
/// registers.
fn nearest(x: f32) -> u8 {
    (x.clamp(-LARGEST, LARGEST) + 12_582_912.0).to_bits().to_le_bytes()[0]
}

/// Quantises a row for the integer kernel: codes in −127..=127, and the scale, an f32.
pub(crate) fn quantise_query(row: &[f32], codes: &mut [i8]) -> f32 {
    // Eight at a time: a maximum is the same in any order.
    let mut largest = [0.0f32; 8];
    for row in row.chunks(8) {
        for (largest, x) in largest.iter_mut().zip(row) {
            *largest = largest.max(x.abs());
        }
    }
    let scale = largest.iter().fold(0.0f32, |all, &one| all.max(one)) / LARGEST;
    if scale == 0.0 {
        codes.fill(0);
        return 0.0;
    }
    for (code, &x) in codes.iter_mut().zip(row) {
        *code = nearest(x / scale).cast_signed();
    }
    scale
}

/// The smallest f16 that times 127 reaches `largest`, as bits; the largest finite f16 at most.
fn scale_for(largest: f32) -> u16 {
    let mut bits = f16::from_f32(largest / LARGEST).min(f16::MAX).to_bits();
    while f16::from_bits(bits).to_f32() * LARGEST < largest && bits < f16::MAX.to_bits() {
        bits = bits.saturating_add(1);
    }
    bits
}

/// Reads a row back: each component is `scale × (byte − 128)`, rounded to f32.
pub(crate) fn decode(codes: &[u8], scale: u16, row: &mut [f32]) {
    let scale = f16::from_bits(scale).to_f32();
    for (x, &code) in row.iter_mut().zip(codes) {
        *x = (f32::from(code) - f32::from(ZERO)) * scale;
    }
}

/// The Euclidean length of a stored row.
pub(crate) fn norm(codes: &[u8], scale: u16) -> f64 {
    let squares: u32 = codes.iter().map(|&code| square(code)).sum();
    f16::from_bits(scale).to_f64() * f64::from(squares).sqrt()
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(row: &[f32]) {
        let mut codes = vec![0; row.len()];
        let (scale, fit) = encode(row, &mut codes);
        let step = f16::from_bits(scale).to_f64();
        let mut error = 0.0;
        for (&code, &x) in codes.iter().zip(row) {
            assert_ne!(code, 0);
            let stored = step * (f64::from(code) - 128.0);
            // Half a step; the quotient itself is rounded to f32 before it is rounded to an integer.
            assert!((stored - f64::from(x)).abs() <= step * 0.500_02, "{x} became {stored}");
            error += (stored - f64::from(x)).powi(2);
        }
        assert!((fit.error - error.sqrt()).abs() <= 1e-12 * error.sqrt());
        assert_eq!(fit.norm, norm(&codes, scale));
    }

    #[test]
    fn edges() {
        for x in [0.0, 1.0, -1.0, 1e-7, 1e-30, 1e-45, 60000.0, 8.3e6, 0.5 / 127.0] {
            check(&[x, 0.0, x / 2.0, -x, x / 3.0, 0.0, x, -x / 127.0]);
        }
        let mut codes = [0; 2];
        assert_eq!(encode(&[0.0, -0.0], &mut codes), (0, RowFit::default()));
        assert_eq!(codes, [ZERO; 2]);
        // Beyond the largest scale: cut, and the error says so.
        let (scale, fit) = encode(&[1e9, -1.0], &mut codes);
        assert_eq!((scale, codes), (f16::MAX.to_bits(), [255, ZERO]));
        assert!((fit.error - (1e9 - 65504.0 * 127.0)).abs() < 1.0);
    }

    #[test]
    fn scales_are_the_smallest_that_fit() {
        let mut largest = 1e-6f32;
        while largest < 8e6 {
            let bits = scale_for(largest);
            assert!(f16::from_bits(bits).to_f32() * LARGEST >= largest);
            assert!(bits == 1 || f16::from_bits(bits - 1).to_f32() * LARGEST < largest);
            largest *= 1.001;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_row(row in proptest::collection::vec(-1e3f32..1e3, 1..70)) {
            check(&row);
        }

        #[test]
        fn queries_are_within_half_a_step(row in proptest::collection::vec(-1f32..1.0, 8..70)) {
            let mut codes = vec![0; row.len()];
            let scale = quantise_query(&row, &mut codes);
            for (&code, &x) in codes.iter().zip(&row) {
                prop_assert!(code != i8::MIN);
                prop_assert!((f32::from(code) * scale - x).abs() <= scale * 0.500_02);
            }
        }
    }
}
