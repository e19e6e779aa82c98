//! A segment, read where its bytes are.

use std::sync::Arc;

use crate::docset::DocSet;
use crate::error::Result;
use crate::format::{Container, NO_FIELD, SectionKind, schema_hash};
use crate::id::DocId;
use crate::limits::MAX_SEGMENT_DOCS;
use crate::schema::{FieldKind, KeyKind, Schema};
use crate::segment::SegmentHead;
use crate::segment::attributes::AttributeTable;
use crate::segment::keys::KeyTable;
use crate::segment::payloads::Payloads;
use crate::sparse::SparseIndex;
use crate::storage::{Bytes, Reading};
use crate::tokens::TokenStore;

/// What a field is in this segment; `None` where no document has it.
#[derive(Debug)]
enum Part {
    Sparse(Option<Box<SparseIndex>>),
    Tokens(Option<Box<TokenStore>>),
    Attribute(Option<Box<AttributeTable>>),
}

/// One immutable segment. Opening it touches no data page.
#[derive(Debug)]
pub(crate) struct Segment {
    container: Container,
    docs: u32,
    keys: KeyTable,
    parts: Vec<Part>,
    payloads: Option<Payloads>,
    schema: Schema,
    /// Bytes that a block of payloads may claim to unpack to.
    unpacked: Option<u64>,
}

impl Segment {
    /// Opens the parts of a segment file and checks their structure against the schema. Where the
    /// file is read by position, what was read for that stays: ask [another](Self::read_by) for
    /// more.
    pub(crate) fn open(container: Container, schema: &Schema) -> Result<Self> {
        let read = container.clone();
        let opened = Self::parts(container, schema);
        read.sound()?;
        opened
    }

    fn parts(container: Container, schema: &Schema) -> Result<Self> {
        let section = container.section(SectionKind::SEGMENT_HEAD, NO_FIELD)?;
        let heads = section.array_of::<SegmentHead>(1)?;
        let head = heads.first().ok_or_else(|| section.corrupt(0, "no head"))?;
        // Fields are only ever added: an older segment lacks the last ones.
        let prefix = schema.prefix(head.fields as usize);
        if prefix.is_none_or(|prefix| head.schema != schema_hash(&prefix)) {
            return Err(section.corrupt(0, "written with another schema than the manifest's"));
        }
        if head.reserved != 0 {
            return Err(section.corrupt(20, "reserved bytes are not zero"));
        }
        let docs = head.docs;
        if docs > MAX_SEGMENT_DOCS {
            return Err(section.corrupt(8, format!("{docs} documents, more than a segment holds")));
        }
        if head.key_kind != u32::from(schema.key_kind() == KeyKind::Str) {
            return Err(section.corrupt(12, "keys of another kind than the schema's"));
        }
        let keys = KeyTable::open(&container, schema.key_kind(), docs)?;
        let mut parts = Vec::with_capacity(schema.fields().len());
        for (field, def) in (0u32..).zip(schema.fields()) {
            let there = field < head.fields;
            parts.push(match &def.kind {
                FieldKind::Sparse(_) if !there => Part::Sparse(None),
                FieldKind::Tokens(_) if !there => Part::Tokens(None),
                _ if !there => Part::Attribute(None),
                FieldKind::Sparse(options) => {
                    Part::Sparse(SparseIndex::open(&container, field, docs, options)?.map(Box::new))
                }
                FieldKind::Tokens(options) => {
                    Part::Tokens(TokenStore::open(&container, field, docs, options)?.map(Box::new))
                }
                kind => match AttributeTable::open(&container, kind, field, docs)? {
                    Some(table) => Part::Attribute(Some(Box::new(table))),
                    None => return Err(section.corrupt(0, "a field of no kind")),
                },
            });
        }
        let payloads = Payloads::open(&container, docs)?;
        let schema = schema.clone();
        Ok(Self { container, docs, keys, parts, payloads, schema, unpacked: None })
    }

    /// Somebody who begins to read it by position; `None` where its bytes are there.
    pub(crate) fn reading(&self) -> Option<Arc<Reading>> {
        self.container.reading()
    }

    /// The same segment as somebody reads it, who is to be asked what came of that. What is read is
    /// held as long as both live.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn read_by(&self, by: &Arc<Reading>) -> Result<Self> {
        let mut own = Self::parts(self.container.read_by(by), &self.schema)?;
        if let Some(bytes) = self.unpacked {
            own.unpack_at_most(bytes);
        }
        Ok(own)
    }

    /// What is made of this segment, or, where it is read by position, of one that is read for this
    /// alone.
    ///
    /// # Errors
    /// Where it cannot be read; those of `make`.
    pub(crate) fn with<T>(&self, make: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let Some(by) = self.reading() else { return make(self) };
        let made = self.read_by(&by).and_then(|own| make(&own));
        by.ends(made)
    }

    /// Touches every page; gives how many bytes.
    pub(crate) fn warm(&self) -> u64 {
        self.container.warm()
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &Bytes {
        self.container.bytes()
    }

    /// Documents, dead ones included.
    pub(crate) fn docs(&self) -> u32 {
        self.docs
    }

    /// The keys.
    pub(crate) fn keys(&self) -> &KeyTable {
        &self.keys
    }

    /// The inverted index of the field at an ordinal.
    pub(crate) fn sparse(&self, at: usize) -> Option<&SparseIndex> {
        match self.parts.get(at) {
            Some(Part::Sparse(index)) => index.as_deref(),
            _ => None,
        }
    }

    /// The token store of the field at an ordinal.
    pub(crate) fn tokens(&self, at: usize) -> Option<&TokenStore> {
        match self.parts.get(at) {
            Some(Part::Tokens(store)) => store.as_deref(),
            _ => None,
        }
    }

    /// The attribute table of the field at an ordinal.
    pub(crate) fn attribute(&self, at: usize) -> Option<&AttributeTable> {
        match self.parts.get(at) {
            Some(Part::Attribute(table)) => table.as_deref(),
            _ => None,
        }
    }

    /// The payloads, where any document has one.
    pub(super) fn payloads(&self) -> Option<&Payloads> {
        self.payloads.as_ref()
    }

    /// Blocks of payloads that claim to unpack to more bytes are not read.
    pub(crate) fn unpack_at_most(&mut self, bytes: u64) {
        self.unpacked = Some(bytes);
        if let Some(payloads) = &mut self.payloads {
            payloads.unpack_at_most(bytes);
        }
    }

    /// A document's payload.
    pub(crate) fn payload(&self, doc: DocId) -> Result<Option<Vec<u8>>> {
        self.payloads.as_ref().map_or(Ok(None), |payloads| payloads.get(doc))
    }

    /// Every section of the file in its order: name, ordinal of its field (or none of the
    /// schema's), bytes.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (String, u32, u64)> + '_ {
        self.container.sections().map(|(kind, field, bytes)| (kind.name(), field, bytes))
    }

    /// Whether token rows of a field wait to be packed.
    pub(crate) fn waits(&self) -> bool {
        let waits = |part: &Part| matches!(part, Part::Tokens(Some(store)) if store.waits());
        self.parts.iter().any(waits)
    }

    /// Bytes that a merge of this segment takes for it, at most, beside those that sparse vectors of
    /// all its inputs are turned over in: what the tables take that are made of its token rows.
    pub(crate) fn merge_cost(&self) -> u64 {
        let part = |part: &Part| match part {
            Part::Tokens(Some(store)) => store.merge_cost(),
            _ => 0,
        };
        let parts = self.parts.iter().map(part).fold(0, u64::saturating_add);
        parts.saturating_add(u64::from(self.docs) * 24)
    }

    /// Reads every byte: all checksums, then the meaning of every part.
    pub(crate) fn verify(&self) -> Result<()> {
        self.verify_checksums()?;
        self.verify_meaning()
    }

    /// Compares every byte with its checksum.
    pub(crate) fn verify_checksums(&self) -> Result<()> {
        self.container.verify()
    }

    /// Whether every number of every part means what the format says.
    pub(crate) fn verify_meaning(&self) -> Result<()> {
        self.with(|own| own.keys.verify())?;
        (0..self.parts.len()).try_for_each(|at| self.with(|own| own.verify_part(at)))?;
        self.with(|own| own.payloads.as_ref().map_or(Ok(()), Payloads::verify))
    }

    fn verify_part(&self, at: usize) -> Result<()> {
        match self.parts.get(at) {
            Some(Part::Sparse(Some(index))) => index.verify(),
            Some(Part::Tokens(Some(store))) => store.verify(),
            Some(Part::Attribute(Some(table))) => table.verify(),
            _ => Ok(()),
        }
    }
}

/// A segment as one snapshot sees it.
#[derive(Clone, Debug)]
pub(crate) struct SegmentView {
    pub(crate) segment: Arc<Segment>,
    /// The documents that live; `None` where all do.
    pub(crate) alive: Option<Arc<DocSet>>,
    /// How many live.
    pub(crate) live: u32,
}

impl SegmentView {
    /// Whether a document lives in this snapshot.
    pub(crate) fn is_live(&self, doc: DocId) -> bool {
        doc < self.segment.docs() && self.alive.as_ref().is_none_or(|alive| alive.contains(doc))
    }
}
