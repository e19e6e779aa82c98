//! Opening a container: everything about its structure is checked, none of its data is touched.

use std::sync::Arc;

use super::kinds::SectionKind;
use super::layout::{BLOCK_BYTES, ContainerKind, Pin, SectionEntry, align_up};
use super::section::{Section, section_name};
use super::structure::{
    Data, check_gap, check_layout, read_footer, read_header, read_table, table_place,
};
use super::sums::{Sums, part, range};
use super::{corrupt, wide};
use crate::error::Result;
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
