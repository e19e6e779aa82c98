//! Impacts: a term's weights as 1..=255, or 1..=15, on a scale of its own.
//!
//! Scales lie on a grid of eight steps to the octave, so that the same term usually has the same
//! scale in every segment and postings can be merged without being decoded. Weights are rounded
//! **up**: an impact `i` on a scale `s` stands for a weight `v` with
//!
//! ```text
//! (i − 1) · s  <  v  ≤  i · s                                              (1)
//! ```
//!
//! so a posting never becomes 0, the smallest impact needs no special case, and a sum of impacts
//! bounds the true sum from above with nothing added. Both comparisons are exact: a grid scale has
//! 24 significant bits and an impact 8, so their product is exact in f64.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]

/// The eight steps of an octave, 2^(j/8) rounded to 24 significant bits: part of the file format.
const STEPS: [f32; 8] = [
    1.0,
    1.090_507_7,
    1.189_207_1,
    1.296_839_6,
    std::f32::consts::SQRT_2,
    1.542_210_8,
    1.681_792_9,
    1.834_008_1,
];

/// A scale on the grid: 2^(steps/8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scale(i16);

impl Scale {
    /// The finest scale, 2^−124: the middle of its smallest impact, 2^−125, is still a normal f32.
    pub(crate) const MIN: Self = Self(-124 * 8);
    /// The coarsest, 2^125: 15 impacts of it reach past the largest f32.
    pub(crate) const MAX: Self = Self(125 * 8);

    /// The scale of `steps` eighths of an octave, if it is on the grid.
    pub(crate) fn from_steps(steps: i16) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&steps).then_some(Self(steps))
    }

    /// Its place on the grid, as the file keeps it.
    pub(crate) fn steps(self) -> i16 {
        self.0
    }

    /// Its value: exact, normal, with 24 significant bits.
    #[allow(clippy::indexing_slicing, reason = "a remainder of 8 is a place of eight")]
    pub(crate) fn value(self) -> f64 {
        let exponent = i64::from(self.0.div_euclid(8)).saturating_add(1023); // 899..=1144
        let octave = f64::from_bits(exponent.unsigned_abs() << 52);
        let step = usize::from(self.0.rem_euclid(8).unsigned_abs());
        f64::from(STEPS[step % 8]) * octave
    }

    /// The finest scale on which `largest` (finite, above zero) is at most `top`, 15 or more.
    pub(crate) fn for_largest(largest: f32, top: u8) -> Self {
        let (mut low, mut high) = (Self::MIN.0, Self::MAX.0);
        while low < high {
            let middle = low.saturating_add(high.saturating_sub(low) / 2); // far from the ends
            if f64::from(top) * Self(middle).value() >= f64::from(largest) {
                high = middle;
            } else {
                low = middle.saturating_add(1);
            }
        }
        Self(low)
    }

    /// The impact of a weight (finite, above zero) that is at most 255 on this scale: see (1).
    pub(crate) fn impact(self, weight: f32) -> u8 {
        Quantizer::new(self).impact(weight)
    }

    /// The weight that stands for an impact where nothing better is stored: the middle of its
    /// range, as f32. Finite, above zero, and within (1).
    #[allow(
        clippy::cast_possible_truncation,
        clippy::as_conversions,
        reason = "rounding to f32 is what is wanted, and only a cast does it"
    )]
    pub(crate) fn weight(self, impact: u8) -> f32 {
        let middle = (f64::from(impact.max(1)) - 0.5) * self.value();
        middle.min(f64::from(f32::MAX)) as f32
    }
}

/// A scale made ready for many weights.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantizer {
    scale: f64,
    inverse: f64,
}

impl Quantizer {
    /// For a scale.
    pub(crate) fn new(scale: Scale) -> Self {
        let scale = scale.value();
        Self { scale, inverse: 1.0 / scale }
    }

    /// As [`Scale::impact`].
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::as_conversions,
        reason = "clamped to 1..=255 before the cast; no other conversion from a float to a byte"
    )]
    pub(crate) fn impact(&self, weight: f32) -> u8 {
        let (scale, weight) = (self.scale, f64::from(weight));
        // The product may be off by a rounding or two; the comparisons below are exact.
        let mut impact = (weight * self.inverse).ceil().clamp(1.0, 255.0);
        if (impact - 1.0) * scale >= weight && impact > 1.0 {
            impact -= 1.0;
        } else if impact * scale < weight && impact < 255.0 {
            impact += 1.0;
        }
        impact as u8
    }
}

#[cfg(test)]
#[allow(
    clippy::cast_possible_truncation, // exactness is what the casts are asked for
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(largest: f32, weight: f32) {
        let scale = Scale::for_largest(largest, 255);
        let impact = f64::from(scale.impact(weight));
        let value = scale.value();
        assert!((impact - 1.0) * value < f64::from(weight), "{largest} {weight} {impact}");
        assert!(f64::from(weight) <= impact * value, "{largest} {weight} {impact}");
        let middle = scale.weight(scale.impact(weight));
        assert!(middle.is_normal() && middle > 0.0);
        assert!((impact - 1.0) * value < f64::from(middle) && f64::from(middle) <= impact * value);
        // A middle keeps its impact, so writing it again changes nothing.
        assert_eq!(f64::from(scale.impact(middle)), impact);
    }

    #[test]
    fn ends_of_the_range() {
        for largest in [f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), 1.0, 65504.0, 1e-30, 1e30] {
            for part in [1.0, 0.999_999_9, 0.5, 1.0 / 255.0, 1.0 / 256.0, 1e-6] {
                let weight = largest * part;
                if weight > 0.0 {
                    check(largest, weight);
                }
            }
            check(largest, f32::from_bits(1));
        }
    }

    #[test]
    fn the_finest_scale_is_taken() {
        for largest in [0.1f32, 1.0, 2.54, 2.55, 255.0, 256.0, 1e30] {
            let scale = Scale::for_largest(largest, 255);
            assert!(scale.impact(largest) >= 233, "an eighth of an octave is lost at most");
            let finer = Scale::from_steps(scale.steps() - 1).unwrap();
            assert!(255.0 * finer.value() < f64::from(largest));
        }
    }

    #[test]
    fn steps_are_those_of_the_book() {
        let bits = STEPS.map(f32::to_bits);
        let book = [
            0x3f80_0000,
            0x3f8b_95c2,
            0x3f98_37f0,
            0x3fa5_fed7,
            0x3fb5_04f3,
            0x3fc5_672a,
            0x3fd7_44fd,
            0x3fea_c0c7,
        ];
        assert_eq!(bits, book);
    }

    #[test]
    fn grid_rises() {
        let mut last = 0.0;
        for steps in Scale::MIN.steps()..=Scale::MAX.steps() {
            let value = Scale::from_steps(steps).unwrap().value();
            assert!(value > last && value.is_normal());
            assert_eq!(f64::from(value as f32), value, "24 significant bits");
            last = value;
        }
        assert!(255.0 * last >= f64::from(f32::MAX));
        assert!(Scale::from_steps(Scale::MAX.steps() + 1).is_none());
        assert!(Scale::from_steps(i16::MIN).is_none());
    }

    proptest! {
        #[test]
        fn impacts_bound_weights(a in 1u32..0x7f80_0000, b in 1u32..0x7f80_0000) {
            let (a, b) = (f32::from_bits(a), f32::from_bits(b));
            check(a.max(b), a.min(b));
        }

        #[test]
        fn near_weights_too(a in 1u32..0x7f80_0000, part in 0.0f32..1.0) {
            let largest = f32::from_bits(a);
            let weight = largest * part;
            if weight > 0.0 {
                check(largest, weight);
            }
        }
    }
}
