//! Bytes: mirrors `index-format.md` heading by heading.
//!
//! Every file of an index is a *container*: a header, sections, block sums, a section table and a
//! footer. Nothing read here is trusted, whatever its checksums say: arithmetic is checked, slices
//! are got, not indexed, and every place that can be wrong has a name in the error.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]

#[cfg(test)]
pub(crate) mod book;
mod container;
mod cursor;
mod kinds;
mod layout;
mod names;
mod pack;
#[cfg(test)]
pub(crate) mod reseal;
mod schema;
mod section;
mod structure;
mod sums;
mod tombstones;
mod writer;

pub(crate) use container::Container;
pub(crate) use cursor::Cursor;
pub(crate) use kinds::SectionKind;
pub(crate) use layout::{ContainerKind, NO_FIELD, Pin};
pub(crate) use names::{
    FileName, manifest_name, manifest_temporary, segment_name, tombstones_name,
};
pub(crate) use pack::{PackedStorage, write_pack};
pub(crate) use schema::{decode_schema, encode_schema, schema_hash};
pub(crate) use section::{Array, Section};
pub(crate) use tombstones::{read_tombstones, write_tombstones};
pub(crate) use writer::ContainerWriter;

use crate::error::{Corrupt, Error};

/// Major and minor version of the format that is written.
pub(crate) const FORMAT: (u16, u16) = (layout::MAJOR, layout::MINOR);

/// Damage, with its place.
pub(crate) fn corrupt(file: &str, section: &str, offset: u64, what: impl Into<String>) -> Error {
    Error::Corrupt(Corrupt {
        file: file.to_owned(),
        section: section.to_owned(),
        offset,
        what: what.into(),
    })
}

/// A length in memory as a length on disk; `usize` is at most 64 bits wide wherever Rust runs.
pub(crate) fn wide(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::cast_possible_truncation,
    clippy::panic
)]
mod tests;
