//! A set of a segment's documents as one 64-bit word per group of 64: what filters and
//! tombstones become before any posting or token is read.

use crate::id::DocId;

/// A bitmap over the documents `0..len`. Bits at and beyond `len` are always zero.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct DocSet {
    words: Vec<u64>,
    len: u32,
}

impl DocSet {
    /// No document of `len`.
    pub(crate) fn empty(len: u32) -> Self {
        Self { words: vec![0; (len as usize).div_ceil(64)], len }
    }

    /// Every document of `len`.
    pub(crate) fn full(len: u32) -> Self {
        let mut set = Self { words: vec![u64::MAX; (len as usize).div_ceil(64)], len };
        set.clear_tail();
        set
    }

    /// The documents whose bits are set, of `len`; bits beyond are dropped, words that lack are 0.
    pub(crate) fn from_words(mut words: Vec<u64>, len: u32) -> Self {
        words.resize((len as usize).div_ceil(64), 0);
        let mut set = Self { words, len };
        set.clear_tail();
        set
    }

    fn clear_tail(&mut self) {
        let used = self.len % 64;
        if used != 0
            && let Some(last) = self.words.last_mut()
        {
            *last &= (1u64 << used) - 1;
        }
    }

    /// One word per group of 64 documents; bit `d % 64` of word `d / 64` is document `d`.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// Adds a document; one beyond `len` is ignored.
    pub(crate) fn insert(&mut self, doc: DocId) {
        if doc < self.len
            && let Some(word) = self.words.get_mut(doc as usize / 64)
        {
            *word |= 1 << (doc % 64);
        }
    }

    /// Takes a document out.
    pub(crate) fn remove(&mut self, doc: DocId) {
        if let Some(word) = self.words.get_mut(doc as usize / 64) {
            *word &= !(1 << (doc % 64));
        }
    }

    /// Whether a document is in the set.
    pub(crate) fn contains(&self, doc: DocId) -> bool {
        self.words.get(doc as usize / 64).is_some_and(|word| word >> (doc % 64) & 1 == 1)
    }

    /// How many documents are in the set.
    pub(crate) fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// Keeps what is in both.
    pub(crate) fn intersect(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= other;
        }
    }

    /// Adds what is in the other.
    pub(crate) fn unite(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word |= other;
        }
    }

    /// Turns the set into its complement.
    pub(crate) fn complement(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.clear_tail();
    }

    /// The documents in ascending order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = DocId> + '_ {
        (0u32..).step_by(64).zip(&self.words).flat_map(|(base, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                (rest != 0).then(|| {
                    let bit = rest.trailing_zeros();
                    rest &= rest - 1;
                    base + bit
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_bits_stay_zero() {
        for len in [0, 1, 63, 64, 65, 130] {
            let mut set = DocSet::full(len);
            assert_eq!(set.count(), len);
            set.complement();
            assert_eq!(set.count(), 0);
            set.complement();
            assert_eq!(set.iter().collect::<Vec<_>>(), (0..len).collect::<Vec<_>>());
        }
    }

    #[test]
    fn insert_ignores_what_is_beyond() {
        let mut set = DocSet::empty(10);
        set.insert(10);
        set.insert(9);
        assert!(set.contains(9) && !set.contains(10) && set.count() == 1);
    }
}
