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
}

impl Membership {
    /// Holds these ordinals (ascending, distinct) of a segment with `terms` terms.
    pub(super) fn fill(&mut self, terms: usize, ordinals: impl Iterator<Item = usize>) {
        let words = terms.div_ceil(64);
        self.words.clear();
        self.words.resize(words, 0);
        self.filter = [0; 32];
        for ordinal in ordinals {
            self.filter[ordinal / 32 % 32] |= 1 << (ordinal % 32);
            if let Some(word) = self.words.get_mut(ordinal / 64) {
                *word |= 1 << (ordinal % 64);
            }
        }
        self.before.clear();
        let mut before = 0;
        self.before.extend(self.words.iter().map(|word| {
            let here = before;
            before += word.count_ones();
            here
        }));
    }

    /// What no ordinal of the query fails to pass.
    pub(super) fn filter(&self) -> &RowFilter {
        &self.filter
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ranks() {
        let mut members = Membership::default();
        for ordinals in [vec![0usize, 1, 63, 64, 130, 199], vec![], vec![5]] {
            members.fill(200, ordinals.iter().copied());
            for ordinal in 0..400 {
                let want = ordinals.iter().position(|&o| o == ordinal);
                assert_eq!(members.place(ordinal as u64), want);
            }
            assert_eq!(members.place(u64::MAX), None);
        }
    }
}
