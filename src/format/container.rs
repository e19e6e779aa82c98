//! Opening a container: everything about its structure is checked, none of its data is touched.

use std::borrow::Cow;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::kinds::SectionKind;
use super::layout::{
    BLOCK_BYTES, BLOCK_LOG2, ContainerKind, FLAG_REQUIRED, FLAGS_MUST, Footer, Header,
    KNOWN_INCOMPAT, MAGIC, MAJOR, MAX_SECTIONS, OLDEST_MAJOR, Pin, RECORD, SectionEntry, align_up,
    blocks, read_at, record_checksum,
};
use super::section::{Section, section_name};
use super::sums::{Sums, part, range};
use super::{corrupt, wide};
use crate::error::{Error, Result};
use crate::storage::{Bytes, Reading};

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
    /// The sections, where they come when they are first touched.
    parts: Option<Arc<[Bytes]>>,
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
        // What cannot be read concerns this container, and no other of the file.
        let bytes = match bytes.reading() {
            Some(by) => bytes.read_by(&by),
            None => bytes,
        };
        let data = &Data { bytes: &bytes, file };
        let header = read_header(data, pin.is_some())?;
        if header.kind != kind.number() {
            let what = match ContainerKind::try_from(header.kind) {
                Ok(found) => format!("a {}, expected a {}", found.name(), kind.name()),
                Err(number) => format!("kind {number}, expected a {}", kind.name()),
            };
            return Err(corrupt(file, "header", 12, what));
        }
        let footer = read_footer(data, &header)?;
        let found = Pin { len: header.file_len, footer: footer.checksum, file_id: header.file_id };
        if let Some(pin) = pin
            && *pin != found
        {
            return Err(corrupt(file, "footer", 56, "not the file that the manifest names"));
        }
        let entries = read_table(data, &footer)?;
        check_layout(&entries, file, &header, &footer)?;
        check_gap(data, &footer)?;

        let mut order: Vec<_> = (0..).zip(&entries).map(|(i, e)| (e.kind, e.field, i)).collect();
        order.sort_unstable();
        for ((kind, field, _), (next_kind, next_field, i)) in order.iter().zip(order.iter().skip(1))
        {
            if (kind, field) == (next_kind, next_field) {
                let what = format!("{} twice", section_name(SectionKind(*kind), *field));
                return Err(corrupt(file, "section table", table_place(*i), what));
            }
        }
        let mut container = Self {
            parts: None,
            file: file.into(),
            kind,
            pin: found,
            sums_offset: footer.sums_offset,
            entries: entries.into(),
            order: order.into(),
            bytes,
        };
        container.parts = container.own_parts();
        Ok(container)
    }

    /// The sections, as whoever reads the bytes comes to read them; `None` where they are there.
    fn own_parts(&self) -> Option<Arc<[Bytes]>> {
        let own = (0..self.entries.len()).take_while(|_| self.bytes.is_file());
        let parts: Option<Vec<Bytes>> = own.map(|at| self.own_part(&self.bytes, at)).collect();
        parts.filter(|parts| !parts.is_empty()).map(Into::into)
    }

    fn own_part(&self, bytes: &Bytes, at: usize) -> Option<Bytes> {
        let (ordinal, entry) = (u32::try_from(at).ok()?, self.entries.get(at)?);
        part(bytes, &self.file, ordinal, entry, self.sums_offset)
    }

    /// Somebody who begins to read it; `None` where its bytes are there.
    pub(crate) fn reading(&self) -> Option<Arc<Reading>> {
        self.bytes.reading()
    }

    /// The same container, of which nothing is read yet, as somebody comes to read it.
    pub(crate) fn read_by(&self, by: &Arc<Reading>) -> Self {
        let mut own = Self { bytes: self.bytes.read_by(by), ..self.clone() };
        own.parts = own.own_parts();
        own
    }

    /// A container that is still being written: its closed sections, of this process's own making.
    /// It has no pin and no sums yet.
    pub(super) fn unfinished(
        bytes: Bytes,
        file: &str,
        kind: ContainerKind,
        entries: &[SectionEntry],
    ) -> Self {
        let mut order: Vec<_> = (0..).zip(entries).map(|(i, e)| (e.kind, e.field, i)).collect();
        order.sort_unstable();
        let len = wide(bytes.len());
        Self {
            bytes,
            file: file.into(),
            kind,
            pin: Pin { len, footer: 0, file_id: [0; 16] },
            sums_offset: len,
            entries: entries.into(),
            order: order.into(),
            parts: None,
        }
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
        let place = self.order.get(at)?.2;
        let entry = self.entries.get(place)?;
        let bytes = match &self.parts {
            Some(parts) => parts.get(place)?.clone(),
            None => self.bytes.slice(range(entry.offset, entry.length)?)?,
        };
        Some(Section {
            bytes,
            file: Arc::clone(&self.file),
            kind,
            field,
            elem_size: entry.elem_size,
        })
    }

    /// The bytes of a section that is a file of its own, unchecked and where they are; nothing of
    /// it is read.
    ///
    /// # Errors
    /// `Corrupt` if it is not there.
    pub(crate) fn inner_file(&self, kind: SectionKind, field: u32) -> Result<Bytes> {
        let name = || format!("no {}", section_name(kind, field));
        let entry = self.entries.iter().find(|e| (e.kind, e.field) == (kind.0, field));
        let range = entry.and_then(|entry| range(entry.offset, entry.length));
        let bytes = range.and_then(|range| self.bytes.slice(range));
        bytes.ok_or_else(|| corrupt(&self.file, "section table", 0, name()))
    }

    /// An error where bytes of the file could not be read when they were needed.
    ///
    /// # Errors
    /// `Io`, or `Corrupt` for bytes that are not those that were written.
    pub(crate) fn sound(&self) -> Result<()> {
        self.bytes.fault().map_or(Ok(()), Err)
    }

    /// Touches every page; gives how many bytes. Where they are read, one section after the other,
    /// and as much stays as may be held.
    pub(crate) fn warm(&self) -> u64 {
        const PAGE: usize = 4096;
        let touch = |all: &[u8]| {
            let sum = all.iter().step_by(PAGE).fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            std::hint::black_box(sum);
            wide(all.len())
        };
        if !self.bytes.is_file() {
            return touch(self.bytes.as_slice());
        }
        let read = |at| {
            let bytes = self.bytes.read_by(&self.reading()?);
            Some(touch(self.own_part(&bytes, at)?.as_slice()))
        };
        (0..self.entries.len()).filter_map(read).sum()
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
        self.verify_sections()
    }

    /// The same without the structure, for who has just opened it.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub(crate) fn verify_sections(&self) -> Result<()> {
        for (ordinal, entry) in (0u32..).zip(self.entries.iter()) {
            self.verify_section(ordinal, entry)?;
        }
        Ok(())
    }

    fn verify_section(&self, ordinal: u32, entry: &SectionEntry) -> Result<()> {
        let name = section_name(SectionKind(entry.kind), entry.field);
        let fail = |at, what: &str| Err(corrupt(&self.file, &name, at, what));
        let data = Data { bytes: &self.bytes, file: &self.file };
        let sums = Sums::of(entry, ordinal, self.sums_offset);
        let (Some(sums), Some(padded)) =
            (sums, entry.offset.checked_add(entry.length).and_then(align_up))
        else {
            return fail(0, "lies outside the file");
        };
        let Some(own) = data.part(sums.start, sums.end)? else {
            return fail(0, "lies outside the file");
        };
        if let Err(what) = sums.check_own(&own) {
            return fail(0, what);
        }
        let mut start = entry.offset;
        for (number, sum) in (0u64..).zip(own.chunks(8)) {
            let end = start.saturating_add(wide(BLOCK_BYTES)).min(padded);
            let Some(block) = data.part(start, end)? else {
                return fail(0, "lies outside the file");
            };
            if let Err(what) = sums.check_block(number, &block, sum) {
                return fail(number.saturating_mul(wide(BLOCK_BYTES)), what);
            }
            // The padding is in the last block.
            let inside = entry.offset.saturating_add(entry.length).saturating_sub(start);
            let inside = usize::try_from(inside).unwrap_or(usize::MAX);
            if block.get(inside..).is_some_and(|padding| padding.iter().any(|b| *b != 0)) {
                return fail(entry.length, "padding is not zero");
            }
            start = end;
        }
        Ok(())
    }
}

/// A file from which records are read.
struct Data<'a> {
    bytes: &'a Bytes,
    file: &'a str,
}

impl Data<'_> {
    fn len(&self) -> u64 {
        wide(self.bytes.len())
    }

    /// A part of it; `None` where it does not lie within.
    fn part(&self, start: u64, end: u64) -> Result<Option<Cow<'_, [u8]>>> {
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
fn table_place(index: usize) -> u64 {
    wide(index).saturating_mul(RECORD)
}

fn read_header(data: &Data<'_>, pinned: bool) -> Result<Header> {
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

fn read_footer(data: &Data<'_>, header: &Header) -> Result<Footer> {
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

fn read_table(data: &Data<'_>, footer: &Footer) -> Result<Vec<SectionEntry>> {
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
fn check_gap(data: &Data<'_>, footer: &Footer) -> Result<()> {
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
