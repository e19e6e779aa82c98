//! A number, or a truth value, per document.

use super::PIECE;
use super::zones::{Within, ZONE, Zones};
use crate::docset::DocSet;
use crate::format::Array;
use crate::id::DocId;
use crate::kernel::Kernels;

/// Up to so many values, a pass of the kernel for each is faster than looking each number up among
/// them.
const FEW: usize = 32;

/// A column of 64 bits for each document, and one bit that says whether they are there.
#[derive(Debug)]
pub(crate) struct Numbers {
    pub(super) docs: u32,
    pub(super) present: Array<u64>,
    pub(super) values: Array<u64>,
    pub(super) zones: Zones,
}

impl Numbers {
    /// The bits of a document's value.
    pub(crate) fn get(&self, doc: DocId) -> Option<u64> {
        let at = doc as usize;
        let there = self.present.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1);
        there.then(|| self.values.get(at).copied()).flatten()
    }

    /// The documents whose value, as bits, is at most `width` beyond `low`, wrapping; those come to
    /// before `ended` says so. In the order of the values' type that is one range.
    pub(crate) fn within(
        &self,
        low: u64,
        width: u64,
        kernels: &Kernels,
        ended: impl Fn() -> bool,
    ) -> DocSet {
        let mut words = vec![0; self.values.len().div_ceil(64)];
        let zones = self.values.len().div_ceil(ZONE);
        let pieces = self.values.chunks(ZONE).zip(self.present.chunks(ZONE / 64));
        for (zone, ((values, present), words)) in
            pieces.zip(words.chunks_mut(ZONE / 64)).enumerate()
        {
            if zone.is_multiple_of(PIECE / (ZONE / 64)) && ended() {
                break;
            }
            match self.zones.within((zone, zones), (low, width), values, present) {
                Within::None => {}
                Within::All => words.copy_from_slice(present),
                Within::Some => {
                    (kernels.within)(values, low, width, words);
                    for (word, present) in words.iter_mut().zip(present) {
                        *word &= present;
                    }
                }
            }
        }
        DocSet::from_words(words, self.docs)
    }

    /// The documents whose value is among these, as bits that ascend as unsigned numbers; those
    /// come to before `ended` says so.
    pub(crate) fn any_of(
        &self,
        wanted: &[u64],
        kernels: &Kernels,
        ended: impl Fn() -> bool,
    ) -> DocSet {
        let mut set = DocSet::empty(self.docs);
        if wanted.len() <= FEW {
            for &value in wanted {
                set.unite(&self.within(value, 0, kernels, &ended));
            }
            return set;
        }
        for (group, (values, &present)) in
            (0u32..).step_by(64).zip(self.values.chunks(64).zip(self.present.iter()))
        {
            if group.is_multiple_of(512) && ended() {
                break;
            }
            for (doc, value) in (group..).zip(values) {
                if present >> (doc % 64) & 1 == 1 && wanted.binary_search(value).is_ok() {
                    set.insert(doc);
                }
            }
        }
        set
    }
}
