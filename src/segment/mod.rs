//! One segment: documents gathered in memory, written as one immutable file, read through a map.
//! Every part of it speaks the same local [`DocId`](crate::id::DocId).

mod arena;
mod attributes;
mod keys;
mod merge;
mod payloads;
mod places;
mod reader;
#[cfg(test)]
mod tests;

pub(crate) use crate::tokens::Packing;
pub use arena::DocumentOrder;
pub(crate) use arena::{Arena, Writing};
pub(crate) use attributes::{AttributeTable, Keywords, float_bits};
pub(crate) use keys::WantedKeys;
pub(crate) use merge::{Merging, Target, merge};
pub(crate) use places::Places;
pub(crate) use reader::{Segment, SegmentView};

use bytemuck::{Pod, Zeroable};

use crate::format::schema_hash;
use crate::schema::{KeyKind, Schema};

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SegmentHead {
    /// Hash of the schema it was written with: the first `fields` fields of the manifest's.
    pub(crate) schema: u64,
    /// Documents, dead ones included.
    pub(crate) docs: u32,
    /// Kind of the keys: 0 numbers, 1 strings.
    pub(crate) key_kind: u32,
    /// Fields of the schema it was written with.
    pub(crate) fields: u32,
    /// Zero.
    pub(crate) reserved: u32,
}

impl SegmentHead {
    /// The head of a segment of so many documents.
    fn new(schema: &Schema, docs: u32) -> Self {
        Self {
            schema: schema_hash(schema),
            docs,
            key_kind: u32::from(schema.key_kind() == KeyKind::Str),
            fields: u32::try_from(schema.fields().len()).unwrap_or(u32::MAX),
            reserved: 0,
        }
    }
}
