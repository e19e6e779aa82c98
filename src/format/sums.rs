//! The block sums of a section, and sections that are read and checked when they are first touched.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::kinds::SectionKind;
use super::layout::{BLOCK_BYTES, SectionEntry, block_seed, blocks};
use super::section::section_name;
use super::{corrupt, wide};
use crate::error::{Error, Result};
use crate::storage::{Aligned, Bytes, ReadFile};

/// Where bytes lie, as places in memory.
pub(super) fn range(offset: u64, length: u64) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    Some(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// The sums of one section, and where they lie.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub(super) start: u64,
    pub(super) end: u64,
    checksum: u64,
    section: u32,
}

impl Sums {
    pub(super) fn of(entry: &SectionEntry, section: u32, sums_offset: u64) -> Option<Self> {
        // All of these were checked at opening; checked arithmetic again costs nothing here.
        let start = sums_offset.checked_add(entry.first_sum.checked_mul(8)?)?;
        let end = start.checked_add(blocks(entry.length).checked_mul(8)?)?;
        Some(Self { start, end, checksum: entry.sums_checksum, section })
    }

    pub(super) fn check_own(&self, own: &[u8]) -> Result<(), &'static str> {
        if xxh3_64(own) == self.checksum {
            return Ok(());
        }
        Err("its block sums do not match their checksum")
    }

    pub(super) fn check_block(
        &self,
        number: u64,
        block: &[u8],
        sum: &[u8],
    ) -> Result<(), &'static str> {
        let found = xxh3_64_with_seed(block, block_seed(self.section, number));
        if found.to_le_bytes() == *sum {
            return Ok(());
        }
        Err("the block does not match its checksum")
    }
}

/// A section that is read when it is first touched, each block being checked as it comes; `None`
/// where the bytes are there already.
pub(super) fn part(
    bytes: &Bytes,
    file: &Arc<str>,
    ordinal: u32,
    entry: &SectionEntry,
    sums_offset: u64,
) -> Option<Bytes> {
    let (file, kind, field) = (Arc::clone(file), SectionKind(entry.kind), entry.field);
    let (offset, range) = (entry.offset, range(entry.offset, entry.length)?);
    let sums = Sums::of(entry, ordinal, sums_offset)?;
    let len = range.len();
    let load = move |source: &ReadFile, base: u64| {
        let name = section_name(kind, field);
        let io = |error| Error::io("read", format!("{file}, {name}"), error);
        let own_len = usize::try_from(sums.end.saturating_sub(sums.start)).unwrap_or(usize::MAX);
        let mut own = Aligned::zeroed(own_len).map_err(io)?;
        let own = own.as_mut_slice();
        source.read_exact(own, base.saturating_add(sums.start)).map_err(io)?;
        sums.check_own(own).map_err(|what| corrupt(&file, &name, 0, what))?;
        let padded = len.checked_next_multiple_of(64).unwrap_or(usize::MAX);
        let mut content = Aligned::zeroed(padded).map_err(io)?;
        let mut at = base.saturating_add(offset);
        let blocks = content.as_mut_slice().chunks_mut(BLOCK_BYTES);
        for (number, (block, sum)) in (0u64..).zip(blocks.zip(own.chunks(8))) {
            source.read_exact(block, at).map_err(io)?;
            sums.check_block(number, block, sum).map_err(|what| {
                corrupt(&file, &name, number.saturating_mul(wide(BLOCK_BYTES)), what)
            })?;
            at = at.saturating_add(wide(block.len()));
        }
        Ok(content)
    };
    bytes.part(range, load)
}
