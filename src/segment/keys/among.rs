//! The documents of many keys at once: both the wanted and the stored keys are walked in their
//! order, in leaps, so that neither many of the one nor many of the other are looked at in vain.
//! Where numbers lie close together and many are wanted, they are made bits, in which each document's
//! number is looked up: that takes a nanosecond a document, a leap some tens a key.

use roaring::RoaringTreemap;

use super::{KeyTable, Keys};
use crate::docset::DocSet;
use crate::error::Result;
use crate::id::{DocId, Key};

/// Keys met between two questions for the time: some tens of microseconds.
const MET: usize = 256;
/// Numbers of a bitmap that are passed one by one before it is leapt ahead.
const STEPS: usize = 8;

/// Numbers lie close together where there are at most so many from the first to the last for each
/// document: their bits take no more room than the numbers.
const CLOSE: u64 = 64;
/// Documents for each wanted key up to which all documents are looked at.
const MANY: u64 = 256;
/// Documents looked up between two questions for the time.
const LOOKED_UP: usize = 1 << 14;

/// Bits of wanted numbers, the lowest being that of the first.
struct Wanted {
    first: u64,
    bits: Vec<u64>,
}

impl Wanted {
    fn add(&mut self, number: u64) {
        let at = number.wrapping_sub(self.first);
        if let Some(word) = usize::try_from(at / 64).ok().and_then(|at| self.bits.get_mut(at)) {
            *word |= 1 << (at % 64);
        }
    }

    /// 1 where it is wanted, else 0.
    fn has(&self, number: u64) -> u64 {
        let at = number.wrapping_sub(self.first);
        let word = usize::try_from(at / 64).ok().and_then(|at| self.bits.get(at));
        word.map_or(0, |word| word >> (at % 64) & 1)
    }
}

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

    /// No numbers wanted yet, where so many of them are worth looking at every document.
    fn close(&self, wanted: u64) -> Result<Option<Wanted>> {
        let docs = u64::from(self.docs);
        if self.order.is_empty() || wanted.saturating_mul(MANY) < docs {
            return Ok(None);
        }
        let ends = (self.number(0)?, self.number(self.order.len() - 1)?);
        let (Some((_, first)), Some((_, last))) = ends else { return Ok(None) };
        let words = last.checked_sub(first).map(|width| width / 64 + 1);
        let words = words.filter(|&words| words <= docs * CLOSE / 64 + 1);
        let words = words.and_then(|words| usize::try_from(words).ok());
        Ok(words.map(|words| Wanted { first, bits: vec![0; words] }))
    }

    /// The documents whose numbers are wanted; those looked up before `ended` says so.
    fn looked_up(&self, wanted: &Wanted, ended: impl Fn() -> bool) -> DocSet {
        let Keys::U64(keys) = &self.keys else { return DocSet::empty(self.docs) };
        let mut words = Vec::with_capacity((self.docs as usize).div_ceil(64));
        for piece in keys.chunks(LOOKED_UP) {
            if ended() {
                break;
            }
            for keys in piece.chunks(64) {
                let bits = keys.iter().zip(0..).map(|(&key, bit)| wanted.has(key) << bit);
                words.push(bits.fold(0, |word, bit: u64| word | bit));
            }
        }
        DocSet::from_words(words, self.docs)
    }

    /// The documents, live or not, of ascending keys; those come to before `ended` says so.
    ///
    /// # Errors
    /// `Corrupt` where a key cannot be read.
    pub(crate) fn of_keys(&self, wanted: &[Key], ended: impl Fn() -> bool) -> Result<DocSet> {
        if let Some(mut bits) = self.close(wanted.len() as u64)? {
            for (at, key) in wanted.iter().enumerate() {
                if at % LOOKED_UP == LOOKED_UP - 1 && ended() {
                    break;
                }
                key.as_u64().into_iter().for_each(|number| bits.add(number));
            }
            return Ok(self.looked_up(&bits, ended));
        }
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
        if let Some(mut bits) = self.close(wanted.len())? {
            let last = bits.first.saturating_add(bits.bits.len() as u64 * 64 - 1);
            for (high, numbers) in wanted.bitmaps() {
                let base = u64::from(high) << 32;
                let mut numbers = numbers.iter();
                if let Ok(first) = u32::try_from(bits.first.saturating_sub(base)) {
                    numbers.advance_to(first);
                } else {
                    continue; // all of them are below
                }
                let numbers = numbers.map(|low| base + u64::from(low));
                for (at, number) in numbers.take_while(|&number| number <= last).enumerate() {
                    if at % LOOKED_UP == LOOKED_UP - 1 && ended() {
                        break;
                    }
                    bits.add(number);
                }
            }
            return Ok(self.looked_up(&bits, ended));
        }
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
