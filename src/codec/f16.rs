//! Token rows as 16-bit floats, and bounds as 16-bit floats that are never too small.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::int8::RowFit;

/// Writes a row of finite floats as the nearest f16; beyond the largest, infinity.
pub(crate) fn encode(row: &[f32], bits: &mut [u16]) -> RowFit {
    let mut norm = 0.0;
    let mut error = 0.0;
    for (&value, bits) in row.iter().zip(bits) {
        let stored = f16::from_f32(value);
        *bits = stored.to_bits();
        norm += stored.to_f64() * stored.to_f64();
        error += (f64::from(value) - stored.to_f64()).powi(2);
    }
    RowFit { norm: norm.sqrt(), error: error.sqrt() }
}

/// Widens a row: exact.
pub(crate) fn decode(bits: &[u16], row: &mut [f32]) {
    let halves: &[f16] = bytemuck::must_cast_slice(bits);
    halves.convert_to_f32_slice(row);
}

/// The Euclidean length of a stored row.
pub(crate) fn norm(bits: &[u16]) -> f64 {
    bits.iter().map(|&bits| f16::from_bits(bits).to_f64().powi(2)).sum::<f64>().sqrt()
}

/// The smallest f16 that is not less than a number above or equal to zero, as bits: for bounds.
/// A little is added first for the rounding in the computation of the number itself.
pub(crate) fn at_least(value: f64) -> u16 {
    let value = value * (1.0 + 1e-9);
    let nearest = f16::from_f64(value);
    if nearest.to_f64() < value { nearest.to_bits().saturating_add(1) } else { nearest.to_bits() }
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

    #[test]
    fn bounds_are_never_too_small() {
        let mut value = 1e-9;
        while value < 1e6 {
            let bound = f16::from_bits(at_least(value)).to_f64();
            assert!(bound >= value);
            let below = f16::from_bits(at_least(value) - 1).to_f64();
            assert!(below < value * (1.0 + 1e-9), "{value}: {below} would do");
            value *= 1.01;
        }
        assert_eq!(at_least(0.0), 0);
        assert_eq!(at_least(1e9), f16::INFINITY.to_bits());
    }

    #[test]
    fn rows_come_back_as_the_nearest() {
        let row = [0.1f32, -2.0, 65504.0, 1e-7, 0.0, -0.0, 1.0 / 3.0, 1e-9];
        let mut bits = [0; 8];
        let fit = encode(&row, &mut bits);
        let mut back = [0.0; 8];
        decode(&bits, &mut back);
        let mut error = 0.0f64;
        for (&back, &row) in back.iter().zip(&row) {
            assert_eq!(back, f16::from_f32(row).to_f32());
            error += (f64::from(back) - f64::from(row)).powi(2);
        }
        assert_eq!(fit.error, error.sqrt());
        assert_eq!(fit.norm, norm(&bits));
    }
}
