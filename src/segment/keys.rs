//! The keys of a segment's documents: by document, and in order for look-up.

use std::cmp::Ordering;
use std::sync::OnceLock;

use crate::error::{Error, Result};
use crate::format::{Array, Container, ContainerWriter, NO_FIELD, Section, SectionKind};
use crate::id::{DocId, Key};
use crate::limits::MAX_KEY_BYTES;
use crate::schema::KeyKind;
use crate::topk::KeyOrder;

mod among;
pub(super) mod merge;

pub(crate) use among::WantedKeys;

/// Keys being gathered, in slot order.
#[derive(Debug)]
pub(super) enum KeyColumn {
    U64(Vec<u64>),
    Str { bytes: Vec<u8>, ends: Vec<usize> },
}

impl KeyColumn {
    pub(super) fn new(kind: KeyKind) -> Self {
        match kind {
            KeyKind::U64 => Self::U64(Vec::new()),
            KeyKind::Str => Self::Str { bytes: Vec::new(), ends: Vec::new() },
        }
    }

    /// Adds a key of the column's kind, which the door has checked.
    pub(super) fn push(&mut self, key: &Key) {
        match (self, key) {
            (Self::U64(keys), Key::U64(key)) => keys.push(*key),
            (Self::Str { bytes, ends }, Key::Str(key)) => {
                bytes.extend_from_slice(key.as_bytes());
                ends.push(bytes.len());
            }
            _ => debug_assert!(false, "the door lets no key of another kind through"),
        }
    }

    fn bytes_of(&self, slot: u32) -> &[u8] {
        match self {
            Self::U64(_) => &[],
            Self::Str { bytes, ends } => {
                let slot = slot as usize;
                let start = slot.checked_sub(1).map_or(0, |before| ends[before]);
                &bytes[start..ends[slot]]
            }
        }
    }

    fn cmp(&self, a: u32, b: u32) -> Ordering {
        match self {
            Self::U64(keys) => keys[a as usize].cmp(&keys[b as usize]),
            Self::Str { .. } => self.bytes_of(a).cmp(self.bytes_of(b)),
        }
    }

    /// Writes the keys of `order`: document `i` is slot `order[i]`.
    pub(super) fn write(&self, order: &[u32], out: &mut ContainerWriter) -> Result<()> {
        match self {
            Self::U64(keys) => {
                out.begin(SectionKind::KEYS, NO_FIELD, 8)?;
                for &slot in order {
                    out.write_pod(&[keys[slot as usize]])?;
                }
                out.end()?;
            }
            Self::Str { .. } => {
                out.begin(SectionKind::KEY_OFFSETS, NO_FIELD, 8)?;
                let mut end = 0u64;
                out.write_pod(&[end])?;
                for &slot in order {
                    end += self.bytes_of(slot).len() as u64;
                    out.write_pod(&[end])?;
                }
                out.end()?;
                out.begin(SectionKind::KEYS, NO_FIELD, 1)?;
                for &slot in order {
                    out.write(self.bytes_of(slot))?;
                }
                out.end()?;
            }
        }
        let mut by_key: Vec<u32> = (0..).take(order.len()).collect();
        by_key.sort_unstable_by(|&a, &b| self.cmp(order[a as usize], order[b as usize]));
        out.section(SectionKind::KEY_ORDER, NO_FIELD, &by_key)
    }
}

/// The keys of a mapped segment.
#[derive(Debug)]
pub(crate) struct KeyTable {
    docs: u32,
    keys: Keys,
    order: Array<u32>,
    section: Section,
    /// Whether keys number the documents as they lie, once somebody has looked.
    rows: OnceLock<bool>,
}

#[derive(Debug)]
enum Keys {
    U64(Array<u64>),
    Str { offsets: Array<u64>, bytes: Section },
}

impl KeyTable {
    pub(super) fn open(container: &Container, kind: KeyKind, docs: u32) -> Result<Self> {
        let section = container.section(SectionKind::KEYS, NO_FIELD)?;
        let keys = match kind {
            KeyKind::U64 => Keys::U64(section.array_of(docs as usize)?),
            KeyKind::Str => Keys::Str {
                offsets: container
                    .section(SectionKind::KEY_OFFSETS, NO_FIELD)?
                    .array_of(docs as usize + 1)?,
                bytes: section.clone(),
            },
        };
        let order = container.section(SectionKind::KEY_ORDER, NO_FIELD)?.array_of(docs as usize)?;
        Ok(Self { docs, keys, order, section, rows: OnceLock::new() })
    }

    /// The bytes of a string key; `None` where the file lies.
    fn str_bytes(&self, doc: DocId) -> Option<&[u8]> {
        let Keys::Str { offsets, bytes } = &self.keys else { return None };
        let doc = doc as usize;
        let start = usize::try_from(*offsets.get(doc)?).ok()?;
        let end = usize::try_from(*offsets.get(doc + 1)?).ok()?;
        bytes.bytes().get(start..end).filter(|key| key.len() <= MAX_KEY_BYTES)
    }

    fn damaged(&self, doc: DocId, what: &str) -> Error {
        self.section.corrupt(u64::from(doc), format!("key of document {doc}: {what}"))
    }

    /// The key of a document.
    pub(crate) fn key(&self, doc: DocId) -> Result<Key> {
        match &self.keys {
            Keys::U64(keys) => keys
                .get(doc as usize)
                .map(|&key| Key::U64(key))
                .ok_or_else(|| self.damaged(doc, "beyond the end")),
            Keys::Str { .. } => Ok(Key::from(self.text(doc)?.unwrap_or_default())),
        }
    }

    /// The string key of a document; `None` where keys are numbers.
    pub(crate) fn text(&self, doc: DocId) -> Result<Option<&str>> {
        if matches!(self.keys, Keys::U64(_)) {
            return Ok(None);
        }
        let bytes = self.str_bytes(doc).ok_or_else(|| self.damaged(doc, "bad offsets"))?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.damaged(doc, "is not UTF-8"))?;
        Ok(Some(text))
    }

    /// The order of a document's key and another's, of this segment or another of the index: as
    /// [`KeyOrder`].
    pub(crate) fn cmp_between(&self, doc: DocId, other: &Self, others: DocId) -> Ordering {
        match (&self.keys, &other.keys) {
            (Keys::U64(keys), Keys::U64(other)) => {
                keys.get(doc as usize).cmp(&other.get(others as usize))
            }
            _ => self.str_bytes(doc).cmp(&other.str_bytes(others)),
        }
    }

    /// The order of a document's key and a key of the same kind.
    pub(crate) fn cmp_key(&self, doc: DocId, key: &Key) -> Ordering {
        match (&self.keys, key) {
            (Keys::U64(keys), Key::U64(key)) => keys.get(doc as usize).cmp(&Some(key)),
            (_, key) => self.str_bytes(doc).cmp(&key.as_str().map(str::as_bytes)),
        }
    }

    /// The document with the smallest key; there is none in a damaged table.
    pub(crate) fn first(&self) -> Option<DocId> {
        self.order.first().copied()
    }

    /// The document with the largest key.
    pub(crate) fn last(&self) -> Option<DocId> {
        self.order.last().copied()
    }

    /// The document of a key, live or not.
    pub(crate) fn find(&self, key: &Key) -> Result<Option<DocId>> {
        let (mut low, mut high) = (0usize, self.order.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(&doc) = self.order.get(middle) else { return Ok(None) };
            if doc >= self.docs {
                return Err(self.damaged(doc, "named by the key order, beyond the documents"));
            }
            let ordering = match (&self.keys, key) {
                (Keys::U64(keys), Key::U64(key)) => keys
                    .get(doc as usize)
                    .ok_or_else(|| self.damaged(doc, "beyond the end"))?
                    .cmp(key),
                (Keys::Str { .. }, Key::Str(key)) => self
                    .str_bytes(doc)
                    .ok_or_else(|| self.damaged(doc, "bad offsets"))?
                    .cmp(key.as_bytes()),
                _ => return Ok(None),
            };
            match ordering {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(doc)),
            }
        }
        Ok(None)
    }

    /// Checks what an open does not: every key readable, the order a permutation, ascending and
    /// without equals.
    pub(super) fn verify(&self) -> Result<()> {
        if let Keys::Str { offsets, bytes } = &self.keys {
            let ends_right = offsets.first() == Some(&0)
                && offsets.last() == Some(&(bytes.bytes().len() as u64));
            if !ends_right {
                return Err(self.section.corrupt(0, "offsets do not cover the keys"));
            }
        }
        for doc in 0..self.docs {
            self.key(doc)?;
        }
        if let Some(&doc) = self.order.iter().find(|&&doc| doc >= self.docs) {
            return Err(self.damaged(doc, "named by the key order, beyond the documents"));
        }
        for pair in self.order.windows(2) {
            if self.cmp_keys(pair[0], pair[1]) != Ordering::Less {
                return Err(self.damaged(pair[1], "out of order, or twice"));
            }
        }
        Ok(())
    }
}

impl KeyOrder for KeyTable {
    /// Keys that cannot be read compare as empty: the answer then fails where they are read.
    fn cmp_keys(&self, a: DocId, b: DocId) -> Ordering {
        self.cmp_between(a, self, b)
    }
}
