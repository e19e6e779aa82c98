//! Attributes: typed values to filter on and to give back with a hit.

use crate::docset::DocSet;
use crate::embed::{Attribute, Change};
use crate::error::Result;
use crate::format::{Array, Container, ContainerWriter, Section, SectionKind};
use crate::id::DocId;
use crate::limits::MAX_KEYWORDS;
use crate::schema::FieldKind;

pub(super) mod merge;
mod numbers;
mod order;
mod zones;

pub(crate) use self::numbers::Numbers;
use self::order::Order;
pub(crate) use self::order::float_bits;
use self::zones::Zones;

/// Values of one attribute being gathered, by ascending slot.
#[derive(Debug)]
pub(super) enum AttributeColumn {
    Keyword(Vec<(u32, Box<str>)>),
    /// 64 bits per value, in the value's own type.
    Number(Vec<(u32, u64)>),
}

impl AttributeColumn {
    /// A column for a kind of field, if it is an attribute.
    pub(super) fn new(kind: &FieldKind) -> Option<Self> {
        match kind {
            FieldKind::Sparse(_) | FieldKind::Tokens(_) => None,
            FieldKind::Keyword => Some(Self::Keyword(Vec::new())),
            FieldKind::I64 | FieldKind::U64 | FieldKind::F64 | FieldKind::Bool => {
                Some(Self::Number(Vec::new()))
            }
        }
    }

    /// Adds a value of the column's type; gives the bytes it takes.
    pub(super) fn push(&mut self, slot: u32, value: &Attribute<'_>) -> usize {
        let bits = match value {
            Attribute::Keyword(_, text) => {
                if let Self::Keyword(values) = self {
                    values.push((slot, text.as_ref().into()));
                }
                return text.len() + 24;
            }
            Attribute::I64(_, value) => value.cast_unsigned(),
            Attribute::U64(_, value) => *value,
            Attribute::F64(_, value) => value.to_bits(),
            Attribute::Bool(_, value) => u64::from(*value),
        };
        if let Self::Number(values) = self {
            values.push((slot, bits));
        }
        16
    }

    /// Adds a keyword; gives the bytes it takes.
    pub(super) fn push_text(&mut self, slot: u32, text: &str) -> usize {
        if let Self::Keyword(values) = self {
            values.push((slot, text.into()));
        }
        text.len() + 24
    }

    /// Adds a number or a truth value by its bits; gives the bytes it takes.
    pub(super) fn push_bits(&mut self, slot: u32, bits: u64) -> usize {
        if let Self::Number(values) = self {
            values.push((slot, bits));
        }
        16
    }

    /// Puts values in the place of those that a slot has; gives the bytes they take.
    pub(super) fn set(&mut self, slot: u32, change: &Change<'_>) -> usize {
        match (self, change) {
            (Self::Keyword(values), Change::Keywords(_, texts)) => {
                let start = values.partition_point(|(other, _)| *other < slot);
                let end = values.partition_point(|(other, _)| *other <= slot);
                values.splice(start..end, texts.iter().map(|text| (slot, text.as_ref().into())));
                texts.iter().map(|text| text.len() + 24).sum()
            }
            (Self::Number(values), change) => {
                let start = values.partition_point(|(other, _)| *other < slot);
                let end = values.partition_point(|(other, _)| *other <= slot);
                values.splice(start..end, change.bits().map(|bits| (slot, bits)));
                16
            }
            (Self::Keyword(_), _) => 0,
        }
    }

    /// Writes the values of the live slots; `docs_of[slot]` is the document, or `u32::MAX`.
    pub(super) fn write(
        &self,
        docs_of: &[u32],
        docs: usize,
        field: u32,
        out: &mut ContainerWriter,
    ) -> Result<()> {
        let live = |slot: u32| Some(docs_of[slot as usize]).filter(|&doc| doc != u32::MAX);
        match self {
            Self::Number(values) => {
                let mut present = vec![0u64; docs.div_ceil(64)];
                let mut bits = vec![0u64; docs];
                for &(slot, value) in values {
                    if let Some(doc) = live(slot) {
                        present[doc as usize / 64] |= 1 << (doc % 64);
                        bits[doc as usize] = value;
                    }
                }
                out.section(SectionKind::ATTR_PRESENT, field, &present)?;
                out.section(SectionKind::ATTR_VALUES, field, &bits)
            }
            Self::Keyword(values) => {
                let mut pairs: Vec<(&str, u32)> = values
                    .iter()
                    .filter_map(|(slot, text)| live(*slot).map(|doc| (text.as_ref(), doc)))
                    .collect();
                pairs.sort_unstable();
                pairs.dedup();
                write_keywords(&pairs, docs, field, out)
            }
        }
    }
}

/// `pairs` are (value, document), sorted and distinct.
fn write_keywords(
    pairs: &[(&str, u32)],
    docs: usize,
    field: u32,
    out: &mut ContainerWriter,
) -> Result<()> {
    let groups: Vec<&[(&str, u32)]> = pairs.chunk_by(|a, b| a.0 == b.0).collect();
    let running = |lengths: &mut dyn Iterator<Item = usize>| -> Vec<u64> {
        let mut end = 0u64;
        std::iter::once(0)
            .chain(lengths.map(|length| {
                end += length as u64;
                end
            }))
            .collect()
    };
    out.section(
        SectionKind::ATTR_DICT_OFFSETS,
        field,
        &running(&mut groups.iter().map(|group| group[0].0.len())),
    )?;
    out.begin(SectionKind::ATTR_DICT, field, 1)?;
    for group in &groups {
        out.write(group[0].0.as_bytes())?;
    }
    out.end()?;
    out.section(
        SectionKind::ATTR_POSTING_OFFSETS,
        field,
        &running(&mut groups.iter().map(|group| group.len())),
    )?;
    out.begin(SectionKind::ATTR_POSTINGS, field, 4)?;
    let mut by_doc: Vec<(u32, u32)> = Vec::with_capacity(pairs.len());
    for (ordinal, group) in (0u32..).zip(&groups) {
        for &(_, doc) in *group {
            out.write_pod(&[doc])?;
            by_doc.push((doc, ordinal));
        }
    }
    out.end()?;
    by_doc.sort_unstable();
    let mut counts = vec![0usize; docs];
    for &(doc, _) in &by_doc {
        counts[doc as usize] += 1;
    }
    out.section(SectionKind::ATTR_ORDINAL_OFFSETS, field, &running(&mut counts.iter().copied()))?;
    let ordinals: Vec<u32> = by_doc.iter().map(|&(_, ordinal)| ordinal).collect();
    out.section(SectionKind::ATTR_ORDINALS, field, &ordinals)
}

/// The values of one attribute of a mapped segment.
#[derive(Debug)]
pub(crate) enum AttributeTable {
    Keyword(Box<Keywords>),
    Number(Box<Numbers>),
}

impl AttributeTable {
    /// Opens the table of a field; `None` where the field is no attribute.
    pub(super) fn open(
        container: &Container,
        kind: &FieldKind,
        field: u32,
        docs: u32,
    ) -> Result<Option<Self>> {
        let count = docs as usize;
        Ok(match kind {
            FieldKind::Sparse(_) | FieldKind::Tokens(_) => None,
            FieldKind::Keyword => {
                Some(Self::Keyword(Box::new(Keywords::open(container, field, docs)?)))
            }
            FieldKind::I64 | FieldKind::U64 | FieldKind::F64 | FieldKind::Bool => {
                let order = match kind {
                    FieldKind::I64 => Order::Signed,
                    FieldKind::F64 => Order::Float,
                    _ => Order::Unsigned,
                };
                Some(Self::Number(Box::new(Numbers {
                    docs,
                    zones: Zones::new(order),
                    present: container
                        .section(SectionKind::ATTR_PRESENT, field)?
                        .array_of(count.div_ceil(64))?,
                    values: container.section(SectionKind::ATTR_VALUES, field)?.array_of(count)?,
                })))
            }
        })
    }

    /// Checks what an open does not.
    pub(super) fn verify(&self) -> Result<()> {
        match self {
            Self::Keyword(keywords) => keywords.verify(),
            Self::Number(_) => Ok(()),
        }
    }
}

/// Groups of 64 documents that a predicate looks at between two questions for the time: some tens
/// of microseconds.
const PIECE: usize = 512;
/// Documents, or values, looked at one by one between two such questions.
const LOOKED_AT: u32 = 1024;

/// Any number of strings per document: a sorted dictionary, the documents of each value, and the
/// values of each document.
#[derive(Debug)]
pub(crate) struct Keywords {
    docs: u32,
    dict_offsets: Array<u64>,
    dict: Section,
    posting_offsets: Array<u64>,
    postings: Array<u32>,
    ordinal_offsets: Array<u64>,
    ordinals: Array<u32>,
}

/// Element `at` of a ragged array: `items[offsets[at]..offsets[at + 1]]`.
fn ragged<'a, T>(offsets: &[u64], items: &'a [T], at: usize) -> Option<&'a [T]> {
    let start = usize::try_from(*offsets.get(at)?).ok()?;
    let end = usize::try_from(*offsets.get(at + 1)?).ok()?;
    items.get(start..end)
}

impl Keywords {
    fn open(container: &Container, field: u32, docs: u32) -> Result<Self> {
        let section = |kind| container.section(kind, field);
        let dict_offsets: Array<u64> = section(SectionKind::ATTR_DICT_OFFSETS)?.array()?;
        let posting_offsets = section(SectionKind::ATTR_POSTING_OFFSETS)?;
        Ok(Self {
            docs,
            posting_offsets: posting_offsets.array_of(dict_offsets.count().max(1))?,
            dict_offsets,
            dict: section(SectionKind::ATTR_DICT)?,
            postings: section(SectionKind::ATTR_POSTINGS)?.array()?,
            ordinal_offsets: section(SectionKind::ATTR_ORDINAL_OFFSETS)?
                .array_of(docs as usize + 1)?,
            ordinals: section(SectionKind::ATTR_ORDINALS)?.array()?,
        })
    }

    fn corrupt(&self, at: usize, what: &str) -> crate::error::Error {
        self.dict.corrupt(at as u64, what)
    }

    /// How many different values there are.
    fn len(&self) -> usize {
        self.dict_offsets.len().saturating_sub(1)
    }

    /// The value of an ordinal; they ascend.
    pub(crate) fn value(&self, ordinal: usize) -> Result<&str> {
        ragged(&self.dict_offsets, self.dict.bytes(), ordinal)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .ok_or_else(|| self.corrupt(ordinal, "a value that cannot be read"))
    }

    /// The ordinals of a document's values, ascending.
    pub(crate) fn ordinals(&self, doc: DocId) -> Result<&[u32]> {
        ragged(&self.ordinal_offsets, &self.ordinals, doc as usize)
            .ok_or_else(|| self.corrupt(doc as usize, "bad offsets of a document's values"))
    }

    /// The values of a document, in order.
    pub(crate) fn get(&self, doc: DocId) -> Result<Vec<&str>> {
        let ordinals = self.ordinals(doc)?;
        // Else a few bytes could name a long value time and again.
        if ordinals.len() > MAX_KEYWORDS || !ordinals.is_sorted_by(|a, b| a < b) {
            return Err(self.corrupt(doc as usize, "a document's values do not ascend"));
        }
        let mut left = self.dict.bytes().len();
        let mut value = |&ordinal: &u32| {
            let value = self.value(ordinal as usize)?;
            left = left
                .checked_sub(value.len())
                .ok_or_else(|| self.corrupt(ordinal as usize, "values that share their bytes"))?;
            Ok(value)
        };
        ordinals.iter().map(&mut value).collect()
    }

    /// Adds the documents that have a value; those come to before `ended` says so.
    pub(crate) fn select(
        &self,
        value: &str,
        into: &mut DocSet,
        ended: impl Fn() -> bool,
    ) -> Result<()> {
        let (mut low, mut high) = (0usize, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.value(middle)?.cmp(value) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => {
                    let docs =
                        ragged(&self.posting_offsets, &self.postings, middle).ok_or_else(|| {
                            self.corrupt(middle, "bad offsets of a value's documents")
                        })?;
                    for piece in docs.chunks(64 * PIECE) {
                        if ended() {
                            break;
                        }
                        for &doc in piece {
                            into.insert(doc);
                        }
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// How many of these documents have each value, in the order of the values; all documents where
    /// there is no set. Where `ended` says so it ends, and what was counted is no count of anything.
    pub(crate) fn counts(
        &self,
        among: Option<&DocSet>,
        ended: impl Fn() -> bool,
    ) -> Result<Vec<u32>> {
        let mut counts = vec![0u32; self.len()];
        let docs: &mut dyn Iterator<Item = DocId> = match among {
            Some(among) => &mut among.iter(),
            None => &mut (0..self.docs),
        };
        // Documents that share ordinals would make a small file as slow as a large one.
        let mut left = self.ordinals.len();
        for (at, doc) in (0u32..).zip(docs) {
            if at % LOOKED_AT == LOOKED_AT - 1 && ended() {
                break;
            }
            let ordinals = self.ordinals(doc)?;
            left = left.checked_sub(ordinals.len()).ok_or_else(|| {
                self.corrupt(doc as usize, "values that other documents have, too")
            })?;
            for &ordinal in ordinals {
                match counts.get_mut(ordinal as usize) {
                    Some(count) => *count = count.saturating_add(1),
                    None => return Err(self.corrupt(doc as usize, "a value that is not there")),
                }
            }
        }
        Ok(counts)
    }

    /// The documents that have any value; those come to before `ended` says so.
    pub(crate) fn present(&self, ended: impl Fn() -> bool) -> DocSet {
        let mut set = DocSet::empty(self.docs);
        for (doc, pair) in (0..self.docs).zip(self.ordinal_offsets.windows(2)) {
            if doc.is_multiple_of(LOOKED_AT) && ended() {
                break;
            }
            if pair[0] < pair[1] {
                set.insert(doc);
            }
        }
        set
    }

    fn verify(&self) -> Result<()> {
        let covers = |offsets: &[u64], total: usize| {
            offsets.first() == Some(&0)
                && offsets.last() == Some(&(total as u64))
                && offsets.windows(2).all(|pair| pair[0] <= pair[1])
        };
        let sound = covers(&self.dict_offsets, self.dict.bytes().len())
            && covers(&self.posting_offsets, self.postings.len())
            && covers(&self.ordinal_offsets, self.ordinals.len())
            && self.postings.len() == self.ordinals.len();
        if !sound {
            return Err(self.corrupt(0, "offsets do not cover what they divide"));
        }
        for ordinal in 1..self.len() {
            if self.value(ordinal - 1)? >= self.value(ordinal)? {
                return Err(self.corrupt(ordinal, "values out of order"));
            }
        }
        for ordinal in 0..self.len() {
            self.value(ordinal)?;
            let docs = ragged(&self.posting_offsets, &self.postings, ordinal).unwrap_or_default();
            let ascending = docs.windows(2).all(|pair| pair[0] < pair[1]);
            if !ascending || docs.last().is_some_and(|&doc| doc >= self.docs) {
                return Err(self.corrupt(ordinal, "documents of a value out of order"));
            }
            for &doc in docs {
                let own = ragged(&self.ordinal_offsets, &self.ordinals, doc as usize);
                let known = u32::try_from(ordinal).is_ok_and(|ordinal| {
                    own.is_some_and(|own| own.binary_search(&ordinal).is_ok())
                });
                if !known {
                    return Err(self.corrupt(ordinal, "values and documents disagree"));
                }
            }
        }
        Ok(())
    }
}
