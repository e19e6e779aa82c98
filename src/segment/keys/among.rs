//! The documents of many keys at once: both the wanted and the stored keys are walked in their
//! order, in leaps, so that neither many of the one nor many of the other are looked at in vain.
//! Where numbers lie close together and many are wanted, they are made bits, in which each document's
//! number is looked up: that takes half a nanosecond a document, a leap some tens a key. Where each
//! document's number is one more than the one's before, as rows of a table are numbered, the bits
//! are the documents'.

use std::sync::Arc;

use roaring::RoaringTreemap;

use super::{KeyTable, Keys};
use crate::docset::DocSet;
use crate::error::Result;
use crate::id::{DocId, Key};
use crate::schema::KeyKind;

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

/// Keys that are asked for, of either kind, ascending. Numbers stand close: a set of many is read as
/// fast as memory is.
#[derive(Clone, Debug)]
pub(crate) struct WantedKeys {
    numbers: Arc<[u64]>,
    texts: Arc<[Key]>,
}

impl WantedKeys {
    pub(crate) fn new(keys: impl Iterator<Item = Key>) -> Self {
        let (mut numbers, mut texts) = (Vec::new(), Vec::new());
        for key in keys {
            match key {
                Key::U64(number) => numbers.push(number),
                Key::Str(_) => texts.push(key),
            }
        }
        numbers.sort_unstable();
        texts.sort_unstable();
        Self { numbers: numbers.into(), texts: texts.into() }
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len() + self.texts.len()
    }

    /// A key that an index with keys of a kind cannot have.
    pub(crate) fn other_than(&self, kind: KeyKind) -> Option<Key> {
        match kind {
            KeyKind::U64 => self.texts.first().cloned(),
            KeyKind::Str => self.numbers.first().copied().map(Key::U64),
        }
    }
}

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

    /// Whether the number of each document is one more than that of the one before: of as many
    /// different numbers as there are from the first to the last, in the order of the documents. Looked
    /// for once; not known where `ended` comes first.
    fn are_rows(&self, ended: impl Fn() -> bool) -> Result<bool> {
        if let Some(&known) = self.rows.get() {
            return Ok(known);
        }
        let last = self.order.len().saturating_sub(1);
        let ends = (self.number(0)?, self.number(last)?);
        let (Some((_, first)), Some((_, end))) = ends else { return Ok(false) };
        let mut rows = end.checked_sub(first) == Some(last as u64);
        for (piece, start) in self.order.chunks(LOOKED_UP).zip((0u32..).step_by(LOOKED_UP)) {
            if !rows {
                break;
            }
            if ended() {
                return Ok(false);
            }
            let odd = piece.iter().zip(start..).map(|(&doc, place)| u32::from(doc != place));
            rows = odd.fold(0, |any, odd| any | odd) == 0;
        }
        Ok(*self.rows.get_or_init(|| rows))
    }

    /// The documents whose numbers are wanted; those looked up before `ended` says so.
    fn of_bits(&self, wanted: Wanted, ended: impl Fn() -> bool) -> Result<DocSet> {
        if self.are_rows(&ended)? {
            return Ok(DocSet::from_words(wanted.bits, self.docs));
        }
        let Keys::U64(keys) = &self.keys else { return Ok(DocSet::empty(self.docs)) };
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
        Ok(DocSet::from_words(words, self.docs))
    }

    /// The documents, live or not, of keys; those come to before `ended` says so.
    ///
    /// # Errors
    /// `Corrupt` where a key cannot be read.
    pub(crate) fn of_keys(&self, wanted: &WantedKeys, ended: impl Fn() -> bool) -> Result<DocSet> {
        match self.keys {
            Keys::U64(_) => self.of_numbers(&wanted.numbers, ended),
            Keys::Str { .. } => self.of_texts(&wanted.texts, ended),
        }
    }

    fn of_numbers(&self, wanted: &[u64], ended: impl Fn() -> bool) -> Result<DocSet> {
        if let Some(mut bits) = self.close(wanted.len() as u64)? {
            for piece in wanted.chunks(LOOKED_UP) {
                if ended() {
                    break;
                }
                for &number in piece {
                    bits.add(number);
                }
            }
            return self.of_bits(bits, ended);
        }
        let mut set = DocSet::empty(self.docs);
        let stored = self.order.len();
        let (mut place, mut next) = (0, 0);
        for met in 0usize.. {
            let Some(&key) = wanted.get(next) else { break };
            if met % MET == 0 && ended() {
                break;
            }
            let below = |place| Ok(self.number(place)?.is_some_and(|own| own.1 < key));
            place = leap(stored, place, below)?;
            let own = if place < stored { self.number(place)? } else { None };
            let Some((doc, own)) = own else { break };
            next = leap(wanted.len(), next, |at| Ok(wanted[at] < own))?;
            if own == key {
                set.insert(doc);
                place += 1;
                next += 1;
            }
        }
        Ok(set)
    }

    fn of_texts(&self, wanted: &[Key], ended: impl Fn() -> bool) -> Result<DocSet> {
        let mut set = DocSet::empty(self.docs);
        let stored = self.order.len();
        let (mut place, mut next) = (0, 0);
        for met in 0usize.. {
            let Some(key) = wanted.get(next).and_then(Key::as_str).map(str::as_bytes) else {
                break;
            };
            if met % MET == 0 && ended() {
                break;
            }
            place = leap(stored, place, |place| Ok(self.text_at(place)?.1 < key))?;
            if place >= stored {
                break;
            }
            let (doc, own) = self.text_at(place)?;
            next = leap(wanted.len(), next, |at| {
                Ok(wanted[at].as_str().is_some_and(|key| key.as_bytes() < own))
            })?;
            if own == key {
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
                let mut room = [0; MET];
                for met in 0usize.. {
                    let piece = numbers.next_many(&mut room);
                    let ends = piece.last().is_none_or(|&low| base + u64::from(low) > last);
                    for &low in &*piece {
                        bits.add(base + u64::from(low));
                    }
                    if ends || (met % (LOOKED_UP / MET) == 0 && ended()) {
                        break;
                    }
                }
            }
            return self.of_bits(bits, ended);
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
