//! Documents on their way into a segment.

use crate::embed::{Attribute, Batch, CleanSparse, CleanTokens, Document};
use crate::error::Result;
use crate::format::{ContainerKind, ContainerWriter, NO_FIELD, Pin, SectionKind};
use crate::id::Key;
use crate::schema::{FieldKind, Schema};
use crate::segment::SegmentHead;
use crate::segment::attributes::AttributeColumn;
use crate::segment::keys::KeyColumn;
use crate::segment::payloads::PayloadColumn;
use crate::sparse::SparseColumn;
use crate::storage::Storage;
use crate::tokens::{Packing, TokenColumn};

mod change;

/// A column of one field.
#[derive(Debug)]
enum Column {
    Sparse(SparseColumn),
    Tokens(TokenColumn),
    Attribute(AttributeColumn),
}

impl Column {
    fn sparse(&self) -> Option<&SparseColumn> {
        match self {
            Self::Sparse(column) => Some(column),
            _ => None,
        }
    }
}

/// In which order the documents of a segment lie. Answers and their order are the same: what
/// is equal is ordered by key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocumentOrder {
    /// As they came.
    #[default]
    Given,
    /// Those that share terms lie together, as far as they are gathered together: by the
    /// first sparse field of the schema, 32,768 documents at a time. Searches of sparse fields have
    /// less to look at (see [`performance`](crate::guide::performance)), and writing a segment takes
    /// longer, about two thirds. Filters that let pass what came together gain less than they do in
    /// the order given. Without a sparse field it is that order.
    Similar,
}

/// How the documents that were gathered are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writing {
    pub(crate) order: DocumentOrder,
    /// They change the time, never the bytes.
    pub(crate) threads: usize,
    /// Bytes to write in, about, beside what is gathered; they change the time, never the bytes.
    pub(crate) memory: usize,
    pub(crate) packing: Packing,
}

/// Documents gathered in memory, one slot each, in the order in which they came. A slot can be
/// killed; the living ones become a segment's documents, in slot order unless told otherwise.
#[derive(Debug)]
pub(crate) struct Arena {
    schema: Schema,
    keys: KeyColumn,
    columns: Vec<Column>,
    payloads: PayloadColumn,
    dead: Vec<bool>,
    live: u32,
    bytes: usize,
}

impl Arena {
    pub(crate) fn new(schema: &Schema) -> Self {
        let columns = schema
            .fields()
            .iter()
            .map(|field| match &field.kind {
                FieldKind::Sparse(options) => Column::Sparse(SparseColumn::new(options)),
                FieldKind::Tokens(options) => Column::Tokens(TokenColumn::new(options)),
                kind => Column::Attribute(
                    AttributeColumn::new(kind).expect("every other kind is an attribute"),
                ),
            })
            .collect();
        Self {
            schema: schema.clone(),
            keys: KeyColumn::new(schema.key_kind()),
            columns,
            payloads: PayloadColumn::default(),
            dead: Vec::new(),
            live: 0,
            bytes: 0,
        }
    }

    /// Living documents.
    pub(crate) fn live(&self) -> u32 {
        self.live
    }

    /// Slots, dead ones included.
    pub(crate) fn slots(&self) -> u32 {
        u32::try_from(self.dead.len()).unwrap_or(u32::MAX)
    }

    /// Bytes that what was taken in needs until it is written, by account and not by the allocator,
    /// so that the same calls spill at the same documents everywhere.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes a checked document in. Its handles must belong to the schema: nothing is taken
    /// otherwise.
    pub(crate) fn push(&mut self, document: &Document<'_>) -> Result<u32> {
        let places = Places::of(&self.schema, document)?;
        let slot = self.open_slot(&document.key, document.payload.as_deref());
        for (&at, (_, vector)) in places.sparse.iter().zip(&document.sparse) {
            self.push_sparse(at, slot, vector);
        }
        for (&at, (_, rows)) in places.tokens.iter().zip(&document.tokens) {
            self.push_tokens(at, &[(slot, rows)], 1);
        }
        for (&at, value) in places.attributes.iter().zip(&document.attributes) {
            self.push_attribute(at, slot, value);
        }
        Ok(slot)
    }

    /// Takes a checked batch in, all or nothing; gives the first slot.
    pub(crate) fn push_batch(&mut self, batch: &Batch<'_>, threads: usize) -> Result<u32> {
        let sparse = resolve(batch.sparse.iter().map(|(field, _)| self.schema.resolve(field)))?;
        let tokens = resolve(batch.tokens.iter().map(|(field, _)| self.schema.resolve(field)))?;
        let attributes = batch
            .attributes
            .iter()
            .map(|(_, a)| a.resolve(&self.schema))
            .collect::<Result<Vec<_>>>()?;
        let first = self.slots();
        for (row, key) in batch.keys.iter().enumerate() {
            let payload = batch.payloads.as_ref().and_then(|rows| rows[row].as_deref());
            self.open_slot(key, payload);
        }
        for (&at, (_, rows)) in sparse.iter().zip(&batch.sparse) {
            for (slot, row) in (first..).zip(0..rows.len()) {
                self.push_sparse(at, slot, &rows.row(row));
            }
        }
        for (&at, (_, rows)) in tokens.iter().zip(&batch.tokens) {
            let rows: Vec<_> = (first..)
                .zip(rows)
                .filter_map(|(slot, rows)| rows.as_ref().map(|rows| (slot, rows)))
                .collect();
            self.push_tokens(at, &rows, threads);
        }
        // Columns hold ascending slots, while a batch may name its rows in any order.
        let mut by_row: Vec<_> = attributes.iter().zip(&batch.attributes).collect();
        by_row.sort_by_key(|(_, (row, _))| *row);
        for (&at, (row, value)) in by_row {
            let slot = first + u32::try_from(*row).unwrap_or(u32::MAX);
            self.push_attribute(at, slot, value);
        }
        Ok(first)
    }

    fn open_slot(&mut self, key: &Key, payload: Option<&[u8]>) -> u32 {
        let slot = self.slots();
        self.keys.push(key);
        self.payloads.push(payload);
        self.dead.push(false);
        self.live += 1;
        self.bytes += 64 + key.as_str().map_or(8, str::len) + payload.map_or(0, <[u8]>::len);
        slot
    }

    fn push_sparse(&mut self, at: usize, slot: u32, vector: &CleanSparse<'_>) {
        if let Some(Column::Sparse(column)) = self.columns.get_mut(at) {
            let before = column.bytes();
            column.push(slot, vector);
            self.bytes += column.bytes() - before;
        }
    }

    /// Where vectors take much memory, moves them to where the storage has room for that. What was
    /// moved counts no more.
    pub(crate) fn set_aside(&mut self, storage: &dyn Storage) -> Result<()> {
        for column in &mut self.columns {
            if let Column::Sparse(column) = column {
                let before = column.bytes();
                column.set_aside(storage)?;
                self.bytes = self.bytes.saturating_sub(before - column.bytes());
            }
        }
        Ok(())
    }

    fn push_tokens(&mut self, at: usize, rows: &[(u32, &CleanTokens<'_>)], threads: usize) {
        if let Some(Column::Tokens(column)) = self.columns.get_mut(at) {
            let before = column.bytes();
            column.push_many(rows, threads);
            self.bytes += tokens_need(column.bytes() - before);
        }
    }

    fn push_attribute(&mut self, at: usize, slot: u32, value: &Attribute<'_>) {
        if let Some(Column::Attribute(column)) = self.columns.get_mut(at) {
            self.bytes += column.push(slot, value);
        }
    }

    /// Takes a slot out of what will be written.
    pub(crate) fn kill(&mut self, slot: u32) {
        if let Some(dead) = self.dead.get_mut(slot as usize)
            && !std::mem::replace(dead, true)
        {
            self.live -= 1;
        }
    }

    /// The slots of the living in the order of the documents to be. Where terms are many they say
    /// most; they are those of the first field that has some.
    fn ordered(&self, order: DocumentOrder, threads: usize) -> Result<Vec<u32>> {
        let living = (0u32..).zip(&self.dead).filter(|(_, dead)| !**dead);
        let mut slots: Vec<u32> = living.map(|(slot, _)| slot).collect();
        if order == DocumentOrder::Similar
            && let Some(column) = self.columns.iter().find_map(Column::sparse)
        {
            column.bring_together(&mut slots, threads)?;
        }
        Ok(slots)
    }

    /// Writes the living as one segment file.
    pub(crate) fn write(
        &self,
        storage: &dyn Storage,
        name: &str,
        generation: u64,
        ordinal: u64,
        how: Writing,
    ) -> Result<Pin> {
        let Writing { order, threads, memory, packing } = how;
        let order = self.ordered(order, threads)?;
        let mut docs_of = vec![u32::MAX; self.dead.len()];
        for (doc, &slot) in (0u32..).zip(&order) {
            docs_of[slot as usize] = doc;
        }
        let file = storage
            .create_new(name)
            .map_err(|e| crate::Error::io("create", format!("{}/{name}", storage.place()), e))?;
        let mut out = ContainerWriter::create(file, name.to_owned(), ContainerKind::Segment)?;
        let head = SegmentHead::new(&self.schema, self.live);
        out.section(SectionKind::SEGMENT_HEAD, NO_FIELD, &[head])?;
        self.keys.write(&order, &mut out)?;
        for (field, column) in (0u32..).zip(&self.columns) {
            match column {
                Column::Sparse(column) => column.write(&order, field, threads, memory, &mut out)?,
                Column::Tokens(column) => {
                    column.write(&order, field, (threads, packing), &mut out)?;
                }
                Column::Attribute(column) => {
                    column.write(&docs_of, order.len(), field, &mut out)?;
                }
            }
        }
        self.payloads.write(&order, name, &mut out)?;
        out.finish(generation, ordinal)
    }
}

/// The rows, and a sample of as many on which centroids are trained.
fn tokens_need(bytes: usize) -> usize {
    bytes.saturating_mul(2)
}

/// Where a document's parts belong in the schema.
struct Places {
    sparse: Vec<usize>,
    tokens: Vec<usize>,
    attributes: Vec<usize>,
}

impl Places {
    fn of(schema: &Schema, document: &Document<'_>) -> Result<Self> {
        Ok(Self {
            sparse: resolve(document.sparse.iter().map(|(field, _)| schema.resolve(field)))?,
            tokens: resolve(document.tokens.iter().map(|(field, _)| schema.resolve(field)))?,
            attributes: document
                .attributes
                .iter()
                .map(|attribute| attribute.resolve(schema))
                .collect::<Result<_>>()?,
        })
    }
}

fn resolve(
    places: impl Iterator<Item = Result<usize, crate::error::SchemaError>>,
) -> Result<Vec<usize>> {
    Ok(places.collect::<Result<_, _>>()?)
}
