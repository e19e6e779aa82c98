//! A query's terms, and which of them a segment knows.

use crate::embed::CleanSparse;
use crate::id::TermId;
use crate::kernel::postings::RowFilter;

/// A sparse query: terms ascending and distinct, weights finite and not zero; below zero only
/// where the caller said that they may be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SparseQuery {
    terms: Vec<TermId>,
    weights: Vec<f32>,
}

impl SparseQuery {
    /// The query of a vector past the door.
    pub(crate) fn new(clean: &CleanSparse<'_>) -> Self {
        Self { terms: clean.terms.to_vec(), weights: clean.weights.to_vec() }
    }

    /// From terms ascending and distinct, with weights finite and above zero.
    pub(crate) fn from_entries(entries: &[(TermId, f32)]) -> Self {
        let (terms, weights) = entries.iter().copied().unzip();
        Self { terms, weights }
    }

    /// Its terms and as many weights, `count` at a time, ascending by term.
    pub(super) fn chunks(&self, count: usize) -> impl Iterator<Item = (&[TermId], &[f32])> {
        self.terms.chunks(count).zip(self.weights.chunks(count))
    }

    /// Its terms and their weights, ascending by term.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (TermId, f32)> + '_ {
        self.terms.iter().copied().zip(self.weights.iter().copied())
    }
}

/// Which ordinals of a segment are in a query, and where: a bit per term of the segment, with the
/// number of bits before each word beside it.
#[derive(Debug, Default)]
pub(super) struct Membership {
    words: Vec<u64>,
    before: Vec<u32>,
    /// The same, ordinals modulo 1024.
    filter: RowFilter,
    /// The weights of the terms.
    slots: Slots,
}

impl Membership {
    /// Holds these ordinals (ascending, distinct), with their weights in the query (not 0), of a
    /// segment with `terms` terms.
    pub(super) fn fill(&mut self, terms: usize, known: impl Iterator<Item = (usize, f32)> + Clone) {
        let words = terms.div_ceil(64);
        self.words.clear();
        self.words.resize(words, 0);
        self.filter = [0; 32];
        self.slots.fill(&known);
        self.before.clear();
        let mut count = 0;
        for (ordinal, _) in known {
            self.filter[ordinal / 32 % 32] |= 1 << (ordinal % 32);
            let at = ordinal / 64;
            if let Some(word) = self.words.get_mut(at) {
                *word |= 1 << (ordinal % 64);
                // Ordinals ascend: up to this word there are as many as came before.
                self.before.resize(self.before.len().max(at + 1), count);
            }
            count += 1;
        }
        self.before.resize(words, count);
    }

    /// What no ordinal of the query fails to pass.
    pub(super) fn filter(&self) -> &RowFilter {
        &self.filter
    }

    /// The weights of the terms by slots, where each term has found one of its own.
    #[inline]
    pub(super) fn slots(&self) -> Option<&Slots> {
        (self.slots.factor != 0).then_some(&self.slots)
    }

    /// Where in the query an ordinal is. Ordinals beyond the segment's are not.
    #[inline]
    pub(super) fn place(&self, ordinal: u64) -> Option<usize> {
        let at = usize::try_from(ordinal / 64).ok()?;
        let word = *self.words.get(at)?;
        let bit = 1u64 << (ordinal % 64);
        if word & bit == 0 {
            return None;
        }
        let before = *self.before.get(at)?;
        Some(before as usize + (word & (bit - 1)).count_ones() as usize)
    }
}

/// How many slots: 16 KiB of them, which stay in the nearest cache.
const SLOTS: usize = 2048;
/// Terms above which no search for a factor is worth the while.
const MOST_IN_SLOTS: usize = 128;
/// What ordinals are multiplied by: of 64 terms one in three factors gives each a slot of its own,
/// of 24 seven in eight.
const FACTORS: [u32; 8] = [
    0x9E37_79B1,
    0x85EB_CA77,
    0xC2B2_AE3D,
    0x27D4_EB2F,
    0x1656_67B1,
    0xB529_7A4D,
    0x68E3_1DA5,
    0x1B56_C4E9,
];

/// The weight of each term of a query by its ordinal, at one look and without a branch: each term
/// in a slot of its own.
#[derive(Debug)]
pub(super) struct Slots {
    /// An ordinal and its weight; the weight 0 where there is none.
    entries: Box<[(u32, f32); SLOTS]>,
    /// The slots in use.
    used: Vec<u16>,
    /// What gives each term a slot of its own; 0 where nothing did.
    factor: u32,
}

impl Default for Slots {
    fn default() -> Self {
        Self { entries: Box::new([(0, 0.0); SLOTS]), used: Vec::new(), factor: 0 }
    }
}

impl Slots {
    fn fill(&mut self, known: &(impl Iterator<Item = (usize, f32)> + Clone)) {
        self.factor = 0;
        self.clear();
        if known.clone().take(MOST_IN_SLOTS + 1).count() > MOST_IN_SLOTS {
            return;
        }
        for factor in FACTORS {
            let apart = known.clone().all(|(ordinal, weight)| {
                let Ok(ordinal) = u32::try_from(ordinal) else { return false };
                let slot = slot(ordinal, factor);
                let free = self.entries[slot].1 == 0.0;
                if free {
                    self.entries[slot] = (ordinal, weight);
                    self.used.extend(u16::try_from(slot));
                }
                free
            });
            if apart {
                self.factor = factor;
                return;
            }
            self.clear();
        }
    }

    fn clear(&mut self) {
        for slot in self.used.drain(..) {
            self.entries[usize::from(slot) % SLOTS] = (0, 0.0);
        }
    }

    /// The weight of an ordinal in the query, 0 where it is not in it.
    #[inline]
    pub(super) fn weight(&self, ordinal: u32) -> f32 {
        let (own, weight) = self.entries[slot(ordinal, self.factor)];
        f32::from_bits(weight.to_bits() & 0u32.wrapping_sub(u32::from(own == ordinal)))
    }
}

/// The slot of an ordinal.
#[inline]
fn slot(ordinal: u32, factor: u32) -> usize {
    (ordinal.wrapping_mul(factor) >> (u32::BITS - SLOTS.ilog2())) as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each term has its weight, and nothing else has any, whatever was there before.
    #[test]
    fn slots_have_the_weights() {
        let mut members = Membership::default();
        let mut apart = 0;
        for count in [0usize, 1, 24, 64, 24, 128, 129, 3] {
            let known: Vec<(usize, f32)> =
                (0..count).map(|at| (at * 601 % 30_011, 0.5 + at as f32)).collect();
            members.fill(30_011, known.iter().copied());
            let Some(slots) = members.slots() else { continue };
            apart += 1;
            for ordinal in (0..40_000).chain([u32::MAX]) {
                let own = known.iter().find(|entry| entry.0 == ordinal as usize);
                assert_eq!(slots.weight(ordinal), own.map_or(0.0, |entry| entry.1));
            }
        }
        assert!(apart >= 5, "{apart}");
    }

    #[test]
    fn places_are_ranks() {
        let mut members = Membership::default();
        for ordinals in [vec![0usize, 1, 63, 64, 130, 199], vec![], vec![5]] {
            members.fill(200, ordinals.iter().map(|&ordinal| (ordinal, 1.0)));
            for ordinal in 0..400 {
                let want = ordinals.iter().position(|&o| o == ordinal);
                assert_eq!(members.place(ordinal as u64), want);
            }
            assert_eq!(members.place(u64::MAX), None);
        }
    }
}
