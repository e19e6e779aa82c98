//! How hard a search looks, and what it leaves out when it does not look everywhere.
//!
//! What it takes grows with the documents, whatever is left out. A section of each term's strongest
//! postings, to begin with, was tried on a million and on three million documents, and is not worth
//! its bytes. The tenth score known beforehand saves an exact search a seventh (the line `exact,
//! told` of `cargo bench --bench scaled`); nine tenths of it, which takes the strongest few thousand
//! postings of each term and two dozen rows to find, less than a tenth, and finding it takes longer
//! than that. As the only source of candidates such a section needs as large a part of the postings
//! for .95 of the true ten as the windows that are searched now.

use super::bound::Bound;
use super::curve::{HITS, SparsePoint};
use super::score::QueryTerm;

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SparseEffort {
    /// The true top.
    Exact,
    /// This share of the true top, by what was measured when the segment was written; the true top
    /// where nothing less was measured to reach it.
    Recall(f32),
    /// From 0, the fastest, to 1, exact.
    Level(f32),
    /// A step of the ladder.
    Step(usize),
}

/// What a search leaves out. The three go together: terms left out make the rest decide, and the
/// rest is believed further than it is proven to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shortcut {
    /// The share of the query's mass, largest contributions of its terms together, that stays in
    /// the integer scores; the weakest terms are left to the forward rows.
    pub(super) mass: f32,
    /// What group and window bounds count for, in 256ths: no document has all the largest impacts.
    pub(super) alpha: u32,
    /// What the band of quantisation, and of the terms left out, counts for: errors of many terms
    /// seldom all have the same sign.
    pub(super) band: f32,
}

/// From the fastest on.
///
/// Measured with AVX-512, top 10, queries of 24 terms, as recall and part of the time of an exact
/// search: on 80,000 documents of 124 terms each .851 in .65, .951 in .80, .978 in .81, .992 in .87,
/// .998 in .91, .9998 in .94; on 1,000,000, mixtures of these, .647 in .42, .863 in .62, .953 in .70,
/// .988 in .81 and .998 in .90 for the first five.
pub(super) const LADDER: [Shortcut; 6] = [
    Shortcut { mass: 0.7, alpha: 154, band: 0.2 },
    Shortcut { mass: 0.8, alpha: 179, band: 0.3 },
    Shortcut { mass: 0.9, alpha: 192, band: 0.35 },
    Shortcut { mass: 0.95, alpha: 205, band: 0.4 },
    Shortcut { mass: 0.97, alpha: 218, band: 0.5 },
    Shortcut { mass: 0.98, alpha: 230, band: 0.6 },
];

impl SparseEffort {
    /// What is left out in a search for so many hits of a segment with this curve; `None` where
    /// nothing is.
    pub(super) fn shortcut(self, curve: &[SparsePoint], hits: usize) -> Option<Shortcut> {
        match self {
            Self::Exact => None,
            Self::Recall(share) if share >= 1.0 || hits > HITS => None,
            Self::Recall(share) => {
                let point = curve.iter().find(|point| point.recall >= share)?;
                Some(point.shortcut())
            }
            Self::Step(step) => LADDER.get(step).copied(),
            Self::Level(level) => {
                let steps = LADDER.len() as f32;
                #[allow(clippy::cast_possible_truncation)] // 0 to 6, whatever the level
                let step = (level.max(0.0) * steps).min(steps) as usize;
                LADDER.get(step).copied()
            }
        }
    }
}

impl Shortcut {
    /// Whether every number is in its range.
    pub(super) fn is_sound(&self) -> bool {
        let share = |part: f32| (0.0..=1.0).contains(&part);
        share(self.mass) && self.alpha <= 256 && share(self.band)
    }

    /// Sets the integer weights of the weakest terms to 0, and narrows the band.
    pub(super) fn apply(&self, terms: &[QueryTerm], weights: &mut [i32], bound: Bound) -> Bound {
        let adds = |at: usize| {
            let max = terms.get(at).map_or(0, |term| i64::from(term.term.max));
            weights.get(at).map_or(0, |&weight| i64::from(weight) * max)
        };
        let mut order: Vec<(i64, usize)> = (0..terms.len()).map(|at| (adds(at), at)).collect();
        order.sort_unstable();
        let total: i64 = order.iter().map(|(adds, _)| adds).sum();
        let spare = total as f64 * (1.0 - f64::from(self.mass));
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
        bound.narrowed(dropped as f64, f64::from(self.band))
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
        let of = |effort: SparseEffort| effort.shortcut(&[], 10);
        assert_eq!(of(SparseEffort::Exact), None);
        assert_eq!(of(SparseEffort::Level(1.0)), None);
        assert_eq!(of(SparseEffort::Level(0.0)), LADDER.first().copied());
        assert_eq!(of(SparseEffort::Level(0.99)), LADDER.last().copied());
        assert_eq!(of(SparseEffort::Step(2)), LADDER.get(2).copied());
        assert!(LADDER.iter().all(Shortcut::is_sound));
        assert!(
            LADDER.is_sorted_by(|a, b| a.mass < b.mass && a.alpha < b.alpha && a.band < b.band)
        );
    }

    /// The cheapest step that was measured to do; none above ten hits, of which nothing is known.
    #[test]
    fn a_share_takes_the_first_step_that_reaches_it() {
        let point = |(step, recall): (Shortcut, f32)| {
            let Shortcut { mass, alpha, band } = step;
            SparsePoint { mass, alpha, band, recall }
        };
        let curve: Vec<_> = LADDER.into_iter().zip([0.5, 0.96, 0.95, 0.99]).map(point).collect();
        let step = |share: f32, hits: usize| {
            let found = SparseEffort::Recall(share).shortcut(&curve, hits);
            LADDER.iter().position(|step| found == Some(*step))
        };
        assert_eq!(step(0.4, 1), Some(0));
        assert_eq!(step(0.95, 10), Some(1));
        assert_eq!(step(0.99, 10), Some(3));
        assert_eq!(step(0.995, 10), None);
        assert_eq!(step(0.1, 11), None);
        assert_eq!(step(1.0, 10), None);
    }
}
