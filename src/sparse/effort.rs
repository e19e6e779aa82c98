//! How hard a search looks, and what it leaves out when it does not look everywhere.

use super::bound::Bound;
use super::score::QueryTerm;

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SparseEffort {
    /// The true top.
    Exact,
    /// From 0, the fastest, to 1, exact.
    Level(f32),
}

/// What a search leaves out. The three go together: terms left out make the rest decide, and the
/// rest is believed further than it is proven to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shortcut {
    /// The share of the query's mass, largest contributions of its terms together, that stays in
    /// the integer scores; the weakest terms are left to the forward rows.
    mass: f64,
    /// What group and window bounds count for, in 256ths: no document has all the largest impacts.
    alpha: i32,
    /// What the band of quantisation, and of the terms left out, counts for: errors of many terms
    /// seldom all have the same sign.
    band: f64,
}

/// From the fastest on.
///
/// Measured with AVX-512, top 10, queries of 24 terms, as recall and part of the time of an exact
/// search: on 80,000 documents of 124 terms each .851 in .65, .951 in .80, .978 in .81, .992 in .87,
/// .998 in .91, .9998 in .94; on 1,000,000, mixtures of these, .647 in .42, .863 in .62, .953 in .70,
/// .988 in .81 and .998 in .90 for the first five.
const LADDER: [Shortcut; 6] = [
    Shortcut { mass: 0.7, alpha: 154, band: 0.2 },
    Shortcut { mass: 0.8, alpha: 179, band: 0.3 },
    Shortcut { mass: 0.9, alpha: 192, band: 0.35 },
    Shortcut { mass: 0.95, alpha: 205, band: 0.4 },
    Shortcut { mass: 0.97, alpha: 218, band: 0.5 },
    Shortcut { mass: 0.98, alpha: 230, band: 0.6 },
];

impl SparseEffort {
    /// What is left out; `None` where nothing is.
    pub(super) fn shortcut(self) -> Option<&'static Shortcut> {
        match self {
            Self::Exact => None,
            Self::Level(level) => {
                let steps = LADDER.len() as f32;
                #[allow(clippy::cast_possible_truncation)] // 0 to 6, whatever the level
                let step = (level.max(0.0) * steps).min(steps) as usize;
                LADDER.get(step)
            }
        }
    }
}

impl Shortcut {
    /// Sets the integer weights of the weakest terms to 0, and narrows the band.
    pub(super) fn apply(&self, terms: &[QueryTerm], weights: &mut [i32], bound: Bound) -> Bound {
        let adds = |at: usize| {
            let max = terms.get(at).map_or(0, |term| i64::from(term.term.max));
            weights.get(at).map_or(0, |&weight| i64::from(weight) * max)
        };
        let mut order: Vec<(i64, usize)> = (0..terms.len()).map(|at| (adds(at), at)).collect();
        order.sort_unstable();
        let total: i64 = order.iter().map(|(adds, _)| adds).sum();
        let spare = total as f64 * (1.0 - self.mass);
        let mut dropped = 0;
        for (adds, at) in order {
            if (dropped + adds) as f64 > spare {
                break;
            }
            dropped += adds;
            if let Some(weight) = weights.get_mut(at) {
                *weight = 0;
            }
        }
        bound.narrowed(dropped as f64, self.band)
    }

    /// What a bound counts for.
    pub(super) fn of(&self, bound: i32) -> i32 {
        let counts = i64::from(bound) * i64::from(self.alpha) / 256;
        i32::try_from(counts).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_climb_the_ladder() {
        assert_eq!(SparseEffort::Exact.shortcut(), None);
        assert_eq!(SparseEffort::Level(1.0).shortcut(), None);
        assert_eq!(SparseEffort::Level(0.0).shortcut(), LADDER.first());
        assert_eq!(SparseEffort::Level(0.99).shortcut(), LADDER.last());
        assert!(
            LADDER.is_sorted_by(|a, b| a.mass < b.mass && a.alpha < b.alpha && a.band < b.band)
        );
    }
}
