//! A tombstones file: which documents of one segment are deleted.

use roaring::RoaringBitmap;

use super::names::tombstones_name;
use super::{
    Container, ContainerKind, ContainerWriter, NO_FIELD, Pin, Section, SectionKind, corrupt, wide,
};
use crate::error::{Error, Result};
use crate::storage::Storage;

/// Writes the deleted documents of a segment under a fresh ordinal, durably but for the name.
///
/// # Errors
/// `Io`
pub(crate) fn write_tombstones(
    storage: &dyn Storage,
    generation: u64,
    ordinal: u64,
    deleted: &RoaringBitmap,
) -> Result<Pin> {
    let name = tombstones_name(ordinal);
    let place = format!("{}/{name}", storage.place());
    let mut bytes = Vec::with_capacity(deleted.serialized_size());
    let io = |error| Error::io("write", place.as_str(), error);
    deleted.serialize_into(&mut bytes).map_err(io)?;
    let file = storage.create_new(&name).map_err(|error| Error::io("create", &*place, error))?;
    let mut writer = ContainerWriter::create(file, place, ContainerKind::Tombstones)?;
    writer.section(SectionKind::TOMBSTONES, NO_FIELD, &bytes)?;
    writer.finish(generation, ordinal)
}

/// The deleted documents of a segment of `docs` documents.
///
/// # Errors
/// `Corrupt` if the file is not there or not the pinned one, the bitmap is none, or a document is not in the
/// segment; `Io`.
pub(crate) fn read_tombstones(
    storage: &dyn Storage,
    ordinal: u64,
    pin: &Pin,
    docs: u32,
) -> Result<RoaringBitmap> {
    let name = tombstones_name(ordinal);
    let bytes = storage.open(&name).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            corrupt(&name, "file", 0, "named by the manifest, but not there")
        }
        _ => Error::opening(&*name, error),
    })?;
    let container = Container::open(bytes, &name, ContainerKind::Tombstones, Some(pin))?;
    // Small, and what is deleted must not come back: always checked in full.
    container.verify()?;
    decode(&container.section(SectionKind::TOMBSTONES, NO_FIELD)?, docs)
}

/// Cookie of a bitmap without run containers.
const COOKIE: u32 = 12346;
/// Cookie of a bitmap with run containers, in the low half.
const COOKIE_RUNS: u32 = 12347;

/// `roaring` checks a bitmap's content, but it makes room for the containers that a header claims
/// before it looks whether the bytes are there. So the claim is held against the bytes first.
pub(super) fn decode(section: &Section, docs: u32) -> Result<RoaringBitmap> {
    let mut header = section.cursor();
    let cookie = header.u32()?;
    let containers = if cookie == COOKIE {
        header.u32()?
    } else if cookie & 0xFFFF == COOKIE_RUNS {
        (cookie >> 16).saturating_add(1)
    } else {
        return Err(section.corrupt(0, "no Roaring bitmap"));
    };
    // Every container has four bytes of description and two of content, at least.
    if u64::from(containers).saturating_mul(6) > wide(header.remaining()) {
        return Err(section.corrupt(4, format!("{containers} containers do not fit")));
    }
    let mut rest = section.bytes();
    let deleted = RoaringBitmap::deserialize_from(&mut rest)
        .map_err(|error| section.corrupt(0, error.to_string()))?;
    if !rest.is_empty() {
        let at = wide(section.len().saturating_sub(rest.len()));
        return Err(section.corrupt(at, "bytes after the bitmap"));
    }
    if let Some(last) = deleted.max().filter(|last| *last >= docs) {
        return Err(section.corrupt(0, format!("document {last} of {docs}")));
    }
    Ok(deleted)
}
