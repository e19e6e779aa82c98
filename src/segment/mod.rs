//! One segment: documents gathered in memory, written as one immutable file, read through a map.
//! Every part of it speaks the same local [`DocId`](crate::id::DocId).

mod arena;
mod attributes;
mod keys;
mod payloads;
mod reader;

pub(crate) use arena::Arena;
pub(crate) use attributes::AttributeTable;
pub(crate) use reader::{Segment, SegmentView};

use bytemuck::{Pod, Zeroable};

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SegmentHead {
    /// Hash of the schema it was written with.
    pub(crate) schema: u64,
    /// Documents, dead ones included.
    pub(crate) docs: u32,
    /// Kind of the keys: 0 numbers, 1 strings.
    pub(crate) key_kind: u32,
}
