//! The documents of many keys at once: both the wanted and the stored keys are walked in their
//! order, in leaps, so that neither many of the one nor many of the other are looked at in vain.

use roaring::RoaringTreemap;

use super::{KeyTable, Keys};
use crate::docset::DocSet;
use crate::error::Result;
use crate::id::{DocId, Key};

/// Keys met between two questions for the time: some tens of microseconds.
const MET: usize = 256;
/// Numbers of a bitmap that are passed one by one before it is leapt ahead.
const STEPS: usize = 8;

/// The first place from `from` on, of `len`, that is not `below`: a place in which everything
/// before some point is. It takes as many looks as the distance has bits, twice.
fn leap(len: usize, from: usize, below: impl Fn(usize) -> Result<bool>) -> Result<usize> {
    let (mut low, mut high, mut step) = (from, from, 1usize);
    while high < len && below(high)? {
        low = high + 1;
        high = high.saturating_add(step);
        step = step.saturating_mul(2);
    }
    let mut high = high.min(len);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

impl KeyTable {
    /// The document at a place of the order of keys.
    fn at(&self, place: usize) -> Result<DocId> {
        let doc = self.order.get(place).copied().unwrap_or(DocId::MAX);
        if doc >= self.docs {
            return Err(self.damaged(doc, "named by the key order, beyond the documents"));
        }
        Ok(doc)
    }

    /// The number key at a place of the order; `None` where keys are strings.
    fn number(&self, place: usize) -> Result<Option<(DocId, u64)>> {
        let doc = self.at(place)?;
        Ok(match &self.keys {
            Keys::U64(keys) => keys.get(doc as usize).map(|&key| (doc, key)),
            Keys::Str { .. } => None,
        })
    }

    fn text_at(&self, place: usize) -> Result<(DocId, &[u8])> {
        let doc = self.at(place)?;
        Ok((doc, self.str_bytes(doc).ok_or_else(|| self.damaged(doc, "bad offsets"))?))
    }

    /// The documents, live or not, of ascending keys; those come to before `ended` says so.
    ///
    /// # Errors
    /// `Corrupt` where a key cannot be read.
    pub(crate) fn of_keys(&self, wanted: &[Key], ended: impl Fn() -> bool) -> Result<DocSet> {
        let mut set = DocSet::empty(self.docs);
        let stored = self.order.len();
        let (mut place, mut next) = (0, 0);
        for met in 0usize.. {
            if next >= wanted.len() || place >= stored || (met % MET == 0 && ended()) {
                break;
            }
            let doc = match (&self.keys, &wanted[next]) {
                (Keys::U64(_), Key::U64(key)) => {
                    let below = |place| Ok(self.number(place)?.is_some_and(|own| own.1 < *key));
                    place = leap(stored, place, below)?;
                    let own = if place < stored { self.number(place)? } else { None };
                    let Some((doc, own)) = own else { break };
                    next = leap(wanted.len(), next, |at| {
                        Ok(wanted[at].as_u64().is_some_and(|key| key < own))
                    })?;
                    (own == *key).then_some(doc)
                }
                (Keys::Str { .. }, Key::Str(key)) => {
                    place =
                        leap(stored, place, |place| Ok(self.text_at(place)?.1 < key.as_bytes()))?;
                    if place >= stored {
                        break;
                    }
                    let (doc, own) = self.text_at(place)?;
                    next = leap(wanted.len(), next, |at| {
                        Ok(wanted[at].as_str().is_some_and(|key| key.as_bytes() < own))
                    })?;
                    (own == key.as_bytes()).then_some(doc)
                }
                // Of another kind than the table's: such a key has no document.
                _ => {
                    next += 1;
                    continue;
                }
            };
            if let Some(doc) = doc {
                set.insert(doc);
                place += 1;
                next += 1;
            }
        }
        Ok(set)
    }

    /// The documents, live or not, whose keys are numbers of a bitmap; those come to before `ended`
    /// says so.
    ///
    /// # Errors
    /// `Corrupt` where a key cannot be read.
    pub(crate) fn of_bitmap(
        &self,
        wanted: &RoaringTreemap,
        ended: impl Fn() -> bool,
    ) -> Result<DocSet> {
        let mut set = DocSet::empty(self.docs);
        let stored = self.order.len();
        let mut numbers = wanted.iter();
        let mut next = numbers.next();
        let mut place = 0;
        for met in 0usize.. {
            let Some(key) = next else { break };
            if place >= stored || (met % MET == 0 && ended()) {
                break;
            }
            place = leap(stored, place, |place| {
                Ok(self.number(place)?.is_some_and(|own| own.1 < key))
            })?;
            let own = if place < stored { self.number(place)? } else { None };
            let Some((doc, own)) = own else { break };
            if own == key {
                set.insert(doc);
                place += 1;
                next = numbers.next();
                continue;
            }
            for _ in 0..STEPS {
                if next.is_some_and(|next| next < own) {
                    next = numbers.next();
                }
            }
            if next.is_some_and(|next| next < own) {
                numbers.advance_to(own);
                next = numbers.next();
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leap_ends_at_the_first_that_is_not_below() {
        for len in 0..40 {
            for from in 0..=len {
                for end in 0..=len + 2 {
                    let found = leap(len, from, |place| Ok(place < end)).unwrap();
                    assert_eq!(found, end.clamp(from, len), "{from} of {len}, {end}");
                }
            }
        }
    }
}
