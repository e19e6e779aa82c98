//! The records that say where everything in a container lies: read, and held against each other.

use std::borrow::Cow;

use xxhash_rust::xxh3::xxh3_64;

use super::kinds::SectionKind;
use super::layout::{
    BLOCK_LOG2, FLAG_REQUIRED, FLAGS_MUST, Footer, Header, KNOWN_INCOMPAT, MAGIC, MAJOR,
    MAX_SECTIONS, OLDEST_MAJOR, RECORD, SectionEntry, align_up, blocks, read_at, record_checksum,
};
use super::section::section_name;
use super::sums::range;
use super::{corrupt, wide};
use crate::error::{Error, Result};
use crate::storage::Bytes;

/// A file from which records are read.
pub(super) struct Data<'a> {
    pub(super) bytes: &'a Bytes,
    pub(super) file: &'a str,
}

impl Data<'_> {
    pub(super) fn len(&self) -> u64 {
        wide(self.bytes.len())
    }

    /// A part of it; `None` where it does not lie within.
    pub(super) fn part(&self, start: u64, end: u64) -> Result<Option<Cow<'_, [u8]>>> {
        let Some(range) = end.checked_sub(start).and_then(|length| range(start, length)) else {
            return Ok(None);
        };
        if range.end > self.bytes.len() {
            return Ok(None);
        }
        self.bytes.read(range).map(Some).map_err(|e| Error::io("read", self.file, e))
    }
}

/// Where an entry stands in the section table.
pub(super) fn table_place(index: usize) -> u64 {
    wide(index).saturating_mul(RECORD)
}

pub(super) fn read_header(data: &Data<'_>, pinned: bool) -> Result<Header> {
    let file = data.file;
    let start = data.part(0, data.len().min(RECORD))?.unwrap_or_default();
    if start.get(..8) != Some(&MAGIC) {
        let what = if start.is_empty() { "empty" } else { "does not start as its files do" };
        if pinned {
            return Err(corrupt(file, "header", 0, what));
        }
        return Err(Error::NotAnIndex { place: file.to_owned(), what: what.to_owned() });
    }
    let Some(header) = read_at::<Header>(&start, 0) else {
        return Err(corrupt(file, "header", data.len(), "the file ends within it"));
    };
    // The version comes before the checksum: another major may have another header.
    if header.major > MAJOR {
        let needs = format!("format {}.{}, this version reads {MAJOR}", header.major, header.minor);
        return Err(Error::TooNew { file: file.to_owned(), needs });
    }
    if header.major < OLDEST_MAJOR {
        let (found, oldest) = (header.major, OLDEST_MAJOR);
        return Err(Error::TooOld { file: file.to_owned(), found, oldest });
    }
    if header.checksum != record_checksum(&header) {
        return Err(corrupt(file, "header", 56, "does not match its checksum"));
    }
    let unknown = header.incompat & !KNOWN_INCOMPAT;
    if unknown != 0 {
        let needs = format!("feature bits {unknown:#x}");
        return Err(Error::TooNew { file: file.to_owned(), needs });
    }
    if header.file_len != data.len() {
        let what = format!("{} bytes in the header, {} in the file", header.file_len, data.len());
        return Err(corrupt(file, "header", 48, what));
    }
    Ok(header)
}

pub(super) fn read_footer(data: &Data<'_>, header: &Header) -> Result<Footer> {
    let fail = |at, what: &str| Err(corrupt(data.file, "footer", at, what));
    // Two records at least, so that header and footer do not share bytes.
    let offset = header.file_len.checked_sub(RECORD).filter(|offset| *offset >= RECORD);
    let record = match offset {
        Some(offset) => data.part(offset, header.file_len)?,
        None => None,
    };
    let Some(footer) = record.and_then(|record| read_at::<Footer>(&record, 0)) else {
        return fail(0, "the file is too short for it");
    };
    if footer.magic != MAGIC {
        return fail(0, "does not start as it should");
    }
    if footer.checksum != record_checksum(&footer) {
        return fail(56, "does not match its checksum");
    }
    if footer.header_checksum != header.checksum {
        return fail(48, "belongs to another header");
    }
    if footer.block_log2 != BLOCK_LOG2 {
        return fail(36, "blocks of another size");
    }
    if footer.sections > MAX_SECTIONS {
        return fail(32, "too many sections");
    }
    Ok(footer)
}

pub(super) fn read_table(data: &Data<'_>, footer: &Footer) -> Result<Vec<SectionEntry>> {
    let file = data.file;
    let start = footer.table_offset;
    let end = u64::from(footer.sections).checked_mul(RECORD).and_then(|len| start.checked_add(len));
    // The table ends where the footer starts.
    let expected = data.len().checked_sub(RECORD);
    let table = match end.filter(|end| Some(*end) == expected) {
        Some(end) => data.part(start, end)?,
        None => None,
    };
    let Some(table) = table else {
        return Err(corrupt(file, "footer", 8, "the section table does not end at the footer"));
    };
    if xxh3_64(&table) != footer.table_checksum {
        return Err(corrupt(file, "section table", 0, "does not match its checksum"));
    }
    if !start.is_multiple_of(RECORD) {
        return Err(corrupt(file, "footer", 8, "the section table is not aligned"));
    }
    let count = usize::try_from(footer.sections).unwrap_or_default();
    let at = (0..count).map(|i| read_at(&table, table_place(i)));
    let entries: Option<Vec<SectionEntry>> = at.collect();
    entries.ok_or_else(|| corrupt(file, "footer", 8, "the section table is not whole"))
}

/// Sections lie end to end from the header to the sums, each padded to 64, their sums in the same
/// order: nothing overlaps and no byte of the file is left over.
pub(super) fn check_layout(
    entries: &[SectionEntry],
    file: &str,
    header: &Header,
    footer: &Footer,
) -> Result<()> {
    let mut offset = RECORD;
    let mut sum = 0u64;
    for (i, entry) in entries.iter().enumerate() {
        let fail = |at: u64, what: &str| {
            let name = section_name(SectionKind(entry.kind), entry.field);
            let place = table_place(i).saturating_add(at);
            Err(corrupt(file, "section table", place, format!("{name}: {what}")))
        };
        let kind = SectionKind(entry.kind);
        let unknown_flags = entry.flags & FLAGS_MUST & !FLAG_REQUIRED;
        if unknown_flags != 0 || (entry.flags & FLAG_REQUIRED != 0 && !kind.is_known()) {
            let needs = format!("section kind {} with flags {:#x}", entry.kind, entry.flags);
            return Err(Error::TooNew { file: file.to_owned(), needs });
        }
        if entry.offset != offset {
            return fail(16, "does not start where the one before ends");
        }
        if entry.elem_size == 0
            || entry.count.checked_mul(u64::from(entry.elem_size)) != Some(entry.length)
        {
            return fail(24, "its length is not its elements");
        }
        if entry.first_sum != sum {
            return fail(40, "its sums do not follow those of the one before");
        }
        if entry.reserved != 0 {
            return fail(56, "reserved bytes are not zero");
        }
        let end = offset.checked_add(entry.length).and_then(align_up);
        let Some(end) = end.filter(|end| *end <= footer.sums_offset) else {
            return fail(24, "reaches beyond the block sums");
        };
        offset = end;
        sum = sum.saturating_add(blocks(entry.length));
    }
    if footer.sums_offset != offset {
        return Err(corrupt(file, "footer", 16, "the block sums do not follow the last section"));
    }
    if footer.sums_count != sum {
        return Err(corrupt(file, "footer", 24, "not as many block sums as blocks"));
    }
    let table = sum.checked_mul(8).and_then(|len| offset.checked_add(len)).and_then(align_up);
    if table != Some(footer.table_offset) {
        return Err(corrupt(file, "footer", 8, "the section table does not follow the sums"));
    }
    let end = table
        .and_then(|at| at.checked_add(table_place(entries.len())))
        .and_then(|at| at.checked_add(RECORD));
    if end != Some(header.file_len) {
        return Err(corrupt(file, "header", 48, "the parts do not add up to the file"));
    }
    Ok(())
}

/// The bytes between the block sums and the section table are zero.
pub(super) fn check_gap(data: &Data<'_>, footer: &Footer) -> Result<()> {
    let start =
        footer.sums_count.checked_mul(8).and_then(|len| footer.sums_offset.checked_add(len));
    let gap = match start {
        Some(start) => data.part(start, footer.table_offset)?,
        None => None,
    };
    if gap.is_some_and(|gap| gap.iter().all(|b| *b == 0)) {
        return Ok(());
    }
    Err(corrupt(data.file, "block sums", 0, "padding after them is not zero"))
}
