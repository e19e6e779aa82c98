//! How the bits of an attribute's numbers are ordered: the one place that knows.

use std::ops::Bound;

const SIGN: u64 = 1 << 63;

/// How the bits of a column's numbers are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As they are.
    Unsigned,
    /// As two's complement.
    Signed,
    /// As floating-point numbers that are none of NaN.
    Float,
}

impl Order {
    /// Bits that, as an unsigned number, stand in this order.
    pub(super) fn rank(self, bits: u64) -> u64 {
        match self {
            Self::Unsigned => bits,
            Self::Signed => bits ^ SIGN,
            Self::Float if bits & SIGN == 0 => bits | SIGN,
            Self::Float => !bits,
        }
    }
}

/// The bits of the floats in a range, as the least and how far the largest is beyond it: of those
/// below zero, −0 among them, whose bits descend, and of the others. −0 and 0 are one number, and
/// NaN is in no range.
pub(crate) fn float_bits(low: Bound<f64>, high: Bound<f64>) -> [Option<(u64, u64)>; 2] {
    let rank = |value: f64| Order::Float.rank(value.to_bits());
    let end = |end: Bound<f64>, last: f64, zero: f64, inwards: fn(u64) -> Option<u64>| {
        let number = |value: f64| if value == 0.0 { zero } else { value };
        match end {
            Bound::Included(value) | Bound::Excluded(value) if value.is_nan() => None,
            Bound::Included(value) => Some(rank(number(value))),
            Bound::Excluded(value) => inwards(rank(-number(-value))),
            Bound::Unbounded => Some(rank(last)),
        }
    };
    let low = end(low, f64::NEG_INFINITY, -0.0, |rank| rank.checked_add(1));
    let high = end(high, f64::INFINITY, 0.0, |rank| rank.checked_sub(1));
    let Some((low, high)) = low.zip(high).filter(|(low, high)| low <= high) else {
        return [None, None];
    };
    let below = (low < SIGN).then(|| {
        let high = high.min(SIGN - 1);
        (!high, high - low)
    });
    let above = (high >= SIGN).then(|| {
        let low = low.max(SIGN);
        (low - SIGN, high - low)
    });
    [below, above]
}

#[cfg(test)]
mod tests {
    use std::ops::RangeBounds;

    use super::*;

    #[test]
    fn ranks_stand_in_order() {
        let floats = [f64::NEG_INFINITY, -1.5, -f64::MIN_POSITIVE, -0.0, 0.0, 1e-310, 2.0, 1e300];
        assert!(floats.map(|x| Order::Float.rank(x.to_bits())).is_sorted());
        let whole = [i64::MIN, -2, -1, 0, 1, i64::MAX];
        assert!(whole.map(|x| Order::Signed.rank(x.cast_unsigned())).is_sorted());
        assert!([0, 1, u64::MAX].map(|x| Order::Unsigned.rank(x)).is_sorted());
    }

    #[test]
    fn bits_of_floats_are_those_in_the_range() {
        let edges = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -1.0,
            -f64::MIN_POSITIVE,
            -1e-320,
            -0.0,
            0.0,
            1e-320,
            f64::MIN_POSITIVE,
            1.0,
            1.5,
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
        ];
        let ends: Vec<Bound<f64>> = edges
            .iter()
            .flat_map(|&edge| [Bound::Included(edge), Bound::Excluded(edge)])
            .chain([Bound::Unbounded])
            .collect();
        for &low in &ends {
            for &high in &ends {
                for value in edges.into_iter().filter(|value| !value.is_nan()) {
                    let bits = value.to_bits();
                    let ranges = float_bits(low, high).into_iter().flatten();
                    let found = ranges.filter(|&(low, width)| bits.wrapping_sub(low) <= width);
                    let want = usize::from((low, high).contains(&value));
                    assert_eq!(found.count(), want, "{value} in {low:?}, {high:?}");
                }
            }
        }
    }
}
