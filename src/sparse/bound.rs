//! What an integer score says about the true one: the proof behind `Certified`.
//!
//! # Setting
//! A query has weights `w_t` over terms `t` that the segment knows, with scales `s_t`; a document
//! matches some of them with stored weights `v_t` and impacts `i_t`. Write `a_t = w_t · s_t` and
//! let `unit` be the largest `a_t` over 127. The integer weight of a term is
//! `c_t = clamp(round(a_t / unit), 1, 127)`, and the integer score of a document
//! `I = Σ c_t · i_t` over its matched terms. With at most 65,536 terms of at most 255 · 127 each,
//! `I ≤ 2,122,383,360 < 2^31`: no sum of a well-formed index overflows an i32. Since every `c_t`
//! and `i_t` is at least 1, a document matches some term exactly when `I ≥ 1`.
//!
//! # Real score
//! An impact stands for `(i_t − 1) · s_t < v_t ≤ i_t · s_t` (`codec::impact`), that is
//! `v_t = (i_t − φ_t) · s_t` with `0 ≤ φ_t < 1`. With `δ_t = c_t − a_t / unit`:
//!
//! ```text
//! R = Σ w_t v_t = unit · Σ (a_t / unit)(i_t − φ_t)
//!   = unit · ( I − Σ δ_t i_t − Σ (a_t / unit) φ_t )
//! ```
//!
//! Each middle term has the sign of `δ_t` and `i_t` is at most the term's largest impact `m_t`; a
//! term that is not matched contributes nothing to either sum. So, over all terms of the query,
//!
//! ```text
//! unit · (I − low)  ≤  R  ≤  unit · (I + high)                                          (1)
//! high = Σ max(0, −δ_t) m_t          low = Σ max(0, δ_t) m_t + Σ a_t / unit
//! ```
//!
//! # Score as computed
//! The score `f` is the f32 sum of f32 products, in order, without fusing. All are ≥ 0. With
//! `u = 2^−24` and `n` terms, each product is rounded once and passes through at most `n − 1`
//! additions (the first is to 0, exact), so while nothing overflows
//! `f = Σ w_t v_t (1 + η_t) + α` with `|η_t| ≤ (1 + u)^n − 1 ≤ n u / (1 − n u)` and, since a
//! product may fall below the normal numbers (a sum that does is exact), `|α| ≤ n · 2^−150`. With `γ` the relative and `α` the absolute bound,
//!
//! ```text
//! unit · (I − low) (1 − γ) − α  ≤  f  ≤  unit · (I + high) (1 + γ) + α                   (2)
//! ```
//!
//! If the sum overflows, `f` is +∞: the left of (2) still holds, and the right side is then at
//! least `f32::MAX` (every partial sum is at most the right side, and only one above `f32::MAX`
//! rounds to ∞). Hence **capping both sides' comparands at `f32::MAX`** keeps two facts true with
//! overflow included: a document whose right side is strictly below `min(θ, f32::MAX)` has
//! `f < θ`; and a document has `f ≥ min(left side, f32::MAX)`.
//!
//! `γ` is taken a little larger (1 % and 2^−30) to cover the f64 arithmetic here, whose relative
//! error over 65,536 sums is below 2^−36, and `α` doubled.
//!
//! # Use
//! With `k` documents known to have `I ≥ K`, the k-th best score is at least the left side of (2)
//! at `K`, so a document whose right side is strictly below that cannot be among the best `k`:
//! [`Bound::rival`]. With a score `θ` that must be reached, a document needs `I` at least
//! [`Bound::needed`]. Both prune strictly below, so ties survive to be cut by key.
//!
//! A query may also have terms of weights below zero ([`Bound::and_below`]), and a document more
//! than its postings ([`Bound::and_left_out`]): neither is in its integer score, so `I ≥ 1` is then
//! no longer what it takes to match, and [`Bound::may_reach`] says whether that matters.
//!
//! Without forward rows the stored weight of a posting *is* `Scale::weight(i_t)`, which lies in
//! the same range, so (1) and (2) hold unchanged for the score of the quantised weights.

/// The band around an integer score in which the true score lies, for one query on one segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bound {
    unit: f64,
    high: f64,
    low: f64,
    gamma: f64,
    alpha: f64,
    /// What terms of weights below zero can take away.
    below: f64,
}

/// The largest integer weight.
const TOP: f64 = 127.0;

impl Bound {
    /// Weighs the terms of a query: `terms` gives each one's `w_t · s_t` and largest impact;
    /// `take` gets each one's integer weight. `None` without terms.
    pub(super) fn weigh(
        terms: impl Iterator<Item = (f64, u8)> + Clone,
        mut take: impl FnMut(i32),
    ) -> Option<Self> {
        let unit = terms.clone().map(|(a, _)| a).max_by(f64::total_cmp)? / TOP;
        if unit <= 0.0 {
            return None;
        }
        let (mut high, mut low, mut count) = (0.0, 0.0, 0.0);
        for (a, max) in terms {
            count += 1.0;
            if a <= 0.0 {
                take(0);
                continue;
            }
            let exact = a / unit;
            let weight = exact.round().clamp(1.0, TOP);
            let delta = weight - exact;
            high += (-delta).max(0.0) * f64::from(max);
            if max > 0 {
                low += delta.max(0.0) * f64::from(max) + exact;
            }
            #[allow(clippy::cast_possible_truncation)] // 1 to 127
            take(weight as i32);
        }
        let gamma = 1.01 * (count + 2.0) * (-24f64).exp2() + (-30f64).exp2();
        let alpha = count * (-149f64).exp2();
        Some(Self { unit, high, low, gamma, alpha, below: 0.0 })
    }

    /// Not a proof any more: the band where terms that add `dropped` at most are in no integer
    /// score, believed to be `share` as wide as it can be.
    pub(super) fn narrowed(self, dropped: f64, share: f64) -> Self {
        Self { high: (self.high + dropped) * share, low: self.low * share, ..self }
    }

    /// The same where terms of weights below zero, which have the integer weight 0, can take away
    /// up to `most` (as real score): `f` is at most what it would be without them, since each sum
    /// is off by `γ` of the absolute values at most, and at least `(1 + γ) most` less. Where that
    /// might overflow, nothing is known from below.
    pub(super) fn and_below(mut self, most: f64) -> Self {
        self.below = if most < f64::from(f32::MAX) / 4.0 {
            most * (1.0 + 2.0 * self.gamma)
        } else {
            f64::INFINITY
        };
        self
    }

    /// The same where documents may have more than their integer score says, up to `most` (as real
    /// score), by what the inverted index leaves out: that adds to `high`, and nothing else.
    pub(super) fn and_left_out(mut self, most: f64) -> Self {
        if most > 0.0 {
            self.high += most / self.unit;
        }
        self
    }

    /// Whether a document with this integer score can score `score` or more.
    pub(super) fn may_reach(&self, integer: i32, score: f32) -> bool {
        self.most(integer) >= f64::from(score.min(f32::MAX))
    }

    /// No document with this integer score scores more, but for an overflow.
    pub(super) fn most(&self, integer: i32) -> f64 {
        self.unit * (f64::from(integer) + self.high) * (1.0 + self.gamma) + self.alpha
    }

    /// No document with this integer score scores less than this, or than `f32::MAX`.
    pub(super) fn least(&self, integer: i32) -> f64 {
        self.unit * (f64::from(integer) - self.low) * (1.0 - self.gamma) - self.alpha - self.below
    }

    /// The integer score that a document needs to have a chance to score `score` or more: every
    /// document with less scores strictly less. At least 1, so that it also asks for a match.
    pub(super) fn needed(&self, score: f64) -> i32 {
        let score = score.min(f64::from(f32::MAX));
        let exact = (score - self.alpha) / (1.0 + self.gamma) / self.unit - self.high;
        // One less than the solution: what f64 rounding may have taken is far below 1.
        #[allow(clippy::cast_possible_truncation)] // clamped into i32
        let integer = (exact.floor() - 1.0).clamp(1.0, f64::from(i32::MAX)) as i32;
        integer
    }

    /// The integer score that a document needs to rival one that has `integer`.
    pub(super) fn rival(&self, integer: i32) -> i32 {
        self.needed(self.least(integer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::impact::Scale;
    use proptest::prelude::*;

    /// Checks (2) and what follows from it for one query and one document over the same terms.
    fn check(entries: &[(f32, f32, f32, bool)]) {
        for top in [255, 15] {
            check_with(entries, top, false);
            check_with(entries, top, true);
        }
    }

    /// With impacts up to `top`; what is not matched is left out, or not there at all.
    fn check_with(entries: &[(f32, f32, f32, bool)], top: u8, left_out: bool) {
        // (query weight, largest weight of the term, this document's share of it, matched)
        let terms: Vec<(f32, Scale, f32, bool)> = entries
            .iter()
            .map(|&(w, largest, share, matched)| {
                let v = (largest * share).max(f32::from_bits(1)).min(largest);
                (w, Scale::for_largest(largest, top), v, matched)
            })
            .collect();
        let mut weights = Vec::new();
        let parts = terms.iter().zip(entries).map(|(&(w, scale, _, _), &(_, largest, _, _))| {
            (f64::from(w) * scale.value(), scale.impact(largest))
        });
        let bound = Bound::weigh(parts, |c| weights.push(c)).unwrap();
        let (mut integer, mut score, mut left) = (0i32, 0f32, 0f64);
        for (&(w, scale, v, matched), c) in terms.iter().zip(&weights) {
            if matched {
                integer += c * i32::from(scale.impact(v));
                score += w * v;
            } else if left_out {
                score += w * v;
                left += f64::from(w) * scale.value() * f64::from(scale.impact(v));
            }
        }
        let bound = bound.and_left_out(left);
        let cap = f64::from(f32::MAX);
        assert!(f64::from(score) <= bound.most(integer) || score.is_infinite());
        assert!(!score.is_infinite() || bound.most(integer) >= cap);
        assert!(bound.may_reach(integer, score));
        assert!(f64::from(score) >= bound.least(integer).min(cap));
        if integer > 0 {
            // It needs no more than it has to reach its own score, or to rival itself.
            assert!(bound.needed(f64::from(score)) <= integer);
            assert!(bound.rival(integer) <= integer);
        }
        // What has less than needed is below.
        let needed = bound.needed(f64::from(score));
        if needed > 1 {
            assert!(bound.most(needed - 1) < f64::from(score).min(cap));
        }
    }

    #[test]
    fn corners() {
        let tiny = f32::from_bits(1);
        for w in [tiny, 1e-30, 1.0, 1e30, f32::MAX] {
            for largest in [tiny, 1e-30, 1.0, 1e30, f32::MAX] {
                for share in [1.0, 0.5, 1e-3, 0.0] {
                    check(&[(w, largest, share, true)]);
                    check(&[(w, largest, share, true), (1.0, 1.0, 0.5, true)]);
                    check(&[(w, largest, share, false), (tiny, tiny, 1.0, true)]);
                }
            }
        }
    }

    #[test]
    fn the_longest_query_does_not_overflow() {
        let mut sum = 0i32;
        let terms = std::iter::repeat_n((1.0, 255u8), crate::limits::MAX_TERMS);
        let bound = Bound::weigh(terms, |c| sum = sum.checked_add(c * 255).unwrap()).unwrap();
        assert_eq!(sum, 2_122_383_360);
        assert!(bound.rival(sum) <= sum && bound.rival(sum) > sum / 2);
    }

    #[test]
    fn nothing_is_pruned_without_a_floor() {
        let bound = Bound::weigh([(1.0, 9u8)].into_iter(), |_| ()).unwrap();
        assert_eq!(bound.needed(f64::NEG_INFINITY), 1);
        assert_eq!(bound.needed(0.0), 1);
        assert_eq!(Bound::weigh(std::iter::empty(), |_| ()), None);
    }

    proptest! {
        #[test]
        fn bands_hold(entries in prop::collection::vec(
            (1e-3f32..10.0, 1e-3f32..10.0, 0.0f32..1.0, any::<bool>()), 1..60)) {
            check(&entries);
        }

        #[test]
        fn bands_hold_anywhere(entries in prop::collection::vec(
            (1u32..0x7f80_0000, 1u32..0x7f80_0000, 0.0f32..1.0, any::<bool>()), 1..20)) {
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(w, l, share, m)| (f32::from_bits(w), f32::from_bits(l), share, m))
                .collect();
            check(&entries);
        }
    }
}
