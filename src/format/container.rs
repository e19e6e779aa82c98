//! Opening a container: everything about its structure is checked, none of its data is touched.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::kinds::SectionKind;
use super::layout::{
    BLOCK_BYTES, BLOCK_LOG2, ContainerKind, FLAG_REQUIRED, FLAGS_MUST, Footer, Header,
    KNOWN_INCOMPAT, MAGIC, MAJOR, MAX_SECTIONS, OLDEST_MAJOR, Pin, RECORD, SectionEntry, align_up,
    block_seed, blocks, part, read_at, record_checksum,
};
use super::section::{Section, section_name};
use super::{corrupt, wide};
use crate::error::{Error, Result};
use crate::storage::Bytes;

/// An open container. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Container {
    bytes: Bytes,
    file: Arc<str>,
    kind: ContainerKind,
    pin: Pin,
    sums_offset: u64,
    entries: Arc<[SectionEntry]>,
    /// (kind, field, place in `entries`), ascending.
    order: Arc<[(u32, u32, usize)]>,
}

impl Container {
    /// Opens a container of the kind expected, in O(sections): header, footer and table with
    /// their checksums, every offset, length and count against every other. With a pin the file
    /// must be the very one that was pinned.
    ///
    /// # Errors
    /// `NotAnIndex` where the file was not pinned and does not start as a container does,
    /// `TooNew`, `TooOld`, else `Corrupt`.
    pub(crate) fn open(
        bytes: Bytes,
        file: &str,
        kind: ContainerKind,
        pin: Option<&Pin>,
    ) -> Result<Self> {
        let data = bytes.as_slice();
        let header = read_header(data, file, pin.is_some())?;
        if header.kind != kind.number() {
            let what = match ContainerKind::try_from(header.kind) {
                Ok(found) => format!("a {}, expected a {}", found.name(), kind.name()),
                Err(number) => format!("kind {number}, expected a {}", kind.name()),
            };
            return Err(corrupt(file, "header", 12, what));
        }
        let footer = read_footer(data, file, &header)?;
        let found = Pin { len: header.file_len, footer: footer.checksum, file_id: header.file_id };
        if let Some(pin) = pin
            && *pin != found
        {
            return Err(corrupt(file, "footer", 56, "not the file that the manifest names"));
        }
        let entries = read_table(data, file, &footer)?;
        check_layout(&entries, file, &header, &footer)?;
        check_gap(data, file, &footer)?;

        let mut order: Vec<_> = (0..).zip(&entries).map(|(i, e)| (e.kind, e.field, i)).collect();
        order.sort_unstable();
        for ((kind, field, _), (next_kind, next_field, i)) in order.iter().zip(order.iter().skip(1))
        {
            if (kind, field) == (next_kind, next_field) {
                let what = format!("{} twice", section_name(SectionKind(*kind), *field));
                return Err(corrupt(file, "section table", table_place(*i), what));
            }
        }
        Ok(Self {
            file: file.into(),
            kind,
            pin: found,
            sums_offset: footer.sums_offset,
            entries: entries.into(),
            order: order.into(),
            bytes,
        })
    }

    /// What another file has to remember of this one.
    pub(crate) fn pin(&self) -> Pin {
        self.pin
    }

    /// The whole file.
    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The file's name, for errors.
    pub(crate) fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// A section that must be there.
    ///
    /// # Errors
    /// `Corrupt` if it is not.
    pub(crate) fn section(&self, kind: SectionKind, field: u32) -> Result<Section> {
        self.find(kind, field).ok_or_else(|| {
            corrupt(&self.file, "section table", 0, format!("no {}", section_name(kind, field)))
        })
    }

    /// A section, if it is there.
    pub(crate) fn find(&self, kind: SectionKind, field: u32) -> Option<Section> {
        let key = (kind.0, field);
        let at = self.order.binary_search_by_key(&key, |(kind, field, _)| (*kind, *field)).ok()?;
        let entry = self.entries.get(self.order.get(at)?.2)?;
        let start = usize::try_from(entry.offset).ok()?;
        let end = start.checked_add(usize::try_from(entry.length).ok()?)?;
        Some(Section {
            bytes: self.bytes.slice(start..end)?,
            file: Arc::clone(&self.file),
            kind,
            field,
            elem_size: entry.elem_size,
        })
    }

    /// Every section in the order of the file: kind, field, bytes.
    pub(crate) fn sections(&self) -> impl Iterator<Item = (SectionKind, u32, u64)> + '_ {
        self.entries.iter().map(|entry| (SectionKind(entry.kind), entry.field, entry.length))
    }

    /// Checks every byte of the file: the structure again, then each block against its sum, then
    /// that all padding is zero. One pass, no memory beyond the structure's.
    ///
    /// # Errors
    /// `Corrupt` at the first difference.
    pub(crate) fn verify(&self) -> Result<()> {
        Self::open(self.bytes.clone(), &self.file, self.kind, Some(&self.pin))?;
        for (ordinal, entry) in (0u32..).zip(self.entries.iter()) {
            self.verify_section(ordinal, entry)?;
        }
        Ok(())
    }

    fn verify_section(&self, ordinal: u32, entry: &SectionEntry) -> Result<()> {
        let name = section_name(SectionKind(entry.kind), entry.field);
        let fail = |at, what: &str| Err(corrupt(&self.file, &name, at, what));
        let data = self.bytes.as_slice();
        let count = blocks(entry.length);
        // All of these were checked at opening; checked arithmetic again costs nothing here.
        let sums = entry.first_sum.checked_mul(8).and_then(|skip| {
            let start = self.sums_offset.checked_add(skip)?;
            part(data, start, start.checked_add(count.checked_mul(8)?)?)
        });
        let end = entry.offset.checked_add(entry.length);
        let padded_end = end.and_then(align_up);
        let (Some(sums), Some(end), Some(padded_end)) = (sums, end, padded_end) else {
            return fail(0, "lies outside the file");
        };
        let Some(padded) = part(data, entry.offset, padded_end) else {
            return fail(0, "lies outside the file");
        };
        if xxh3_64(sums) != entry.sums_checksum {
            return fail(0, "its block sums do not match their checksum");
        }
        for (number, (block, sum)) in (0u64..).zip(padded.chunks(BLOCK_BYTES).zip(sums.chunks(8))) {
            let found = xxh3_64_with_seed(block, block_seed(ordinal, number));
            if found.to_le_bytes() != *sum {
                let at = number.saturating_mul(wide(BLOCK_BYTES));
                return fail(at, "the block does not match its checksum");
            }
        }
        if part(data, end, padded_end).is_none_or(|padding| padding.iter().any(|b| *b != 0)) {
            return fail(entry.length, "padding is not zero");
        }
        Ok(())
    }
}

/// Where an entry stands in the section table.
fn table_place(index: usize) -> u64 {
    wide(index).saturating_mul(RECORD)
}

fn read_header(data: &[u8], file: &str, pinned: bool) -> Result<Header> {
    if data.get(..8) != Some(&MAGIC) {
        let what = if data.is_empty() { "empty" } else { "does not start as its files do" };
        if pinned {
            return Err(corrupt(file, "header", 0, what));
        }
        return Err(Error::NotAnIndex { place: file.to_owned(), what: what.to_owned() });
    }
    let Some(header) = read_at::<Header>(data, 0) else {
        return Err(corrupt(file, "header", wide(data.len()), "the file ends within it"));
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
    if header.file_len != wide(data.len()) {
        let what = format!("{} bytes in the header, {} in the file", header.file_len, data.len());
        return Err(corrupt(file, "header", 48, what));
    }
    Ok(header)
}

fn read_footer(data: &[u8], file: &str, header: &Header) -> Result<Footer> {
    let fail = |at, what: &str| Err(corrupt(file, "footer", at, what));
    // Two records at least, so that header and footer do not share bytes.
    let offset = header.file_len.checked_sub(RECORD).filter(|offset| *offset >= RECORD);
    let Some(footer) = offset.and_then(|offset| read_at::<Footer>(data, offset)) else {
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

fn read_table(data: &[u8], file: &str, footer: &Footer) -> Result<Vec<SectionEntry>> {
    let start = footer.table_offset;
    let end = u64::from(footer.sections).checked_mul(RECORD).and_then(|len| start.checked_add(len));
    // The table ends where the footer starts.
    let expected = wide(data.len()).checked_sub(RECORD);
    let Some(table) =
        end.filter(|end| Some(*end) == expected).and_then(|end| part(data, start, end))
    else {
        return Err(corrupt(file, "footer", 8, "the section table does not end at the footer"));
    };
    if xxh3_64(table) != footer.table_checksum {
        return Err(corrupt(file, "section table", 0, "does not match its checksum"));
    }
    match bytemuck::try_cast_slice(table) {
        Ok(entries) => Ok(entries.to_vec()),
        Err(_) => Err(corrupt(file, "footer", 8, "the section table is not aligned")),
    }
}

/// Sections lie end to end from the header to the sums, each padded to 64, their sums in the same
/// order: nothing overlaps and no byte of the file is left over.
fn check_layout(
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
fn check_gap(data: &[u8], file: &str, footer: &Footer) -> Result<()> {
    let start =
        footer.sums_count.checked_mul(8).and_then(|len| footer.sums_offset.checked_add(len));
    let gap = start.and_then(|start| part(data, start, footer.table_offset));
    if gap.is_some_and(|gap| gap.iter().all(|b| *b == 0)) {
        return Ok(());
    }
    Err(corrupt(file, "block sums", 0, "padding after them is not zero"))
}
