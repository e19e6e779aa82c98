//! Writing a container: sections stream through, block sums are taken as they pass.

use bytemuck::NoUninit;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::container::Container;
use super::kinds::SectionKind;
use super::layout::{
    BLOCK_BYTES, BLOCK_LOG2, ContainerKind, FLAG_REQUIRED, Footer, Header, KNOWN_INCOMPAT, MAGIC,
    MAJOR, MAX_SECTIONS, MINOR, Pin, RECORD, SectionEntry, align_up, block_seed, file_id,
    record_checksum,
};
use super::section::section_name;
use super::wide;
use crate::error::{Error, Result};
use crate::storage::StorageFile;

/// What sections are padded to, in memory; the same as `ALIGN` on disk.
const LINE: usize = 64;

/// Writes one container. Holds one block of 64 KiB, eight bytes per block written, and 64 bytes
/// per section.
pub(crate) struct ContainerWriter {
    file: Box<dyn StorageFile>,
    place: String,
    kind: ContainerKind,
    /// Bytes handed to the file.
    written: u64,
    /// The block of the open section that is not full yet.
    block: Vec<u8>,
    sums: Vec<u64>,
    sections: Vec<SectionEntry>,
    open: bool,
}

impl ContainerWriter {
    /// Starts a container in a new, empty file.
    ///
    /// # Errors
    /// `Io`, naming `place`; so for every call here.
    pub(crate) fn create(
        file: Box<dyn StorageFile>,
        place: String,
        kind: ContainerKind,
    ) -> Result<Self> {
        let mut writer = Self {
            file,
            place,
            kind,
            written: 0,
            block: Vec::with_capacity(BLOCK_BYTES),
            sums: Vec::new(),
            sections: Vec::new(),
            open: false,
        };
        // The header is filled in last: until then the file is no container.
        writer.put(&[0; LINE])?;
        Ok(writer)
    }

    /// Opens a section whose elements have `elem_size` bytes. `field` is the schema ordinal, or
    /// [`NO_FIELD`](super::NO_FIELD); a container has a (kind, field) once.
    pub(crate) fn begin(&mut self, kind: SectionKind, field: u32, elem_size: u32) -> Result<()> {
        let taken = |entry: &SectionEntry| entry.kind == kind.0 && entry.field == field;
        let mistake = if self.open {
            Some("the section before is still open")
        } else if elem_size == 0 {
            Some("elements of no size")
        } else if wide(self.sections.len()) >= u64::from(MAX_SECTIONS) {
            Some("too many sections")
        } else if kind != SectionKind::PACK_FILE && self.sections.iter().any(taken) {
            Some("written twice")
        } else {
            None
        };
        if let Some(mistake) = mistake {
            return Err(self.misuse(&section_name(kind, field), mistake));
        }
        self.open = true;
        self.sections.push(SectionEntry {
            kind: kind.0,
            flags: if kind.is_required() { FLAG_REQUIRED } else { 0 },
            field,
            elem_size,
            offset: self.written,
            length: 0,
            count: 0,
            first_sum: wide(self.sums.len()),
            sums_checksum: 0,
            reserved: 0,
        });
        Ok(())
    }

    /// Appends to the open section.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self.sections.last_mut() {
            Some(entry) if self.open => {
                entry.length = entry.length.saturating_add(wide(bytes.len()));
            }
            _ => return Err(self.misuse("write", "no section is open")),
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = BLOCK_BYTES.saturating_sub(self.block.len());
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            rest = later;
            if self.block.is_empty() && now.len() == BLOCK_BYTES {
                self.put_block(now)?;
                continue;
            }
            self.block.extend_from_slice(now);
            if self.block.len() == BLOCK_BYTES {
                self.put_buffer()?;
            }
        }
        Ok(())
    }

    /// Appends plain values to the open section.
    pub(crate) fn write_pod<T: NoUninit>(&mut self, items: &[T]) -> Result<()> {
        self.write(bytemuck::must_cast_slice(items))
    }

    /// Closes the open section.
    pub(crate) fn end(&mut self) -> Result<()> {
        let (ordinal, mut entry) = match self.sections.last() {
            Some(entry) if self.open => (self.sections.len().saturating_sub(1), *entry),
            _ => return Err(self.misuse("end", "no section is open")),
        };
        let elem_size = u64::from(entry.elem_size);
        entry.count = entry.length.checked_div(elem_size).unwrap_or_default();
        if entry.count.checked_mul(elem_size) != Some(entry.length) {
            let name = section_name(SectionKind(entry.kind), entry.field);
            return Err(self.misuse(&name, "no whole number of elements"));
        }
        if !self.block.is_empty() {
            let padded = self.block.len().next_multiple_of(LINE);
            self.block.resize(padded, 0);
            self.put_buffer()?;
        }
        let first = usize::try_from(entry.first_sum).unwrap_or(usize::MAX);
        let sums = self.sums.get(first..).unwrap_or_default();
        entry.sums_checksum = xxh3_64(bytemuck::must_cast_slice(sums));
        if let Some(last) = self.sections.get_mut(ordinal) {
            *last = entry;
        }
        self.open = false;
        Ok(())
    }

    /// A whole section at once.
    pub(crate) fn section<T: NoUninit>(
        &mut self,
        kind: SectionKind,
        field: u32,
        items: &[T],
    ) -> Result<()> {
        let elem_size = u32::try_from(size_of::<T>()).unwrap_or(0);
        self.begin(kind, field, elem_size)?;
        self.write_pod(items)?;
        self.end()
    }

    /// Lends what has been written so far, as readers will find it: the sections that are closed.
    /// None of it must be kept beyond the call, since the header is still to be filled in.
    pub(crate) fn look_back<T>(&mut self, look: impl FnOnce(&Container) -> Result<T>) -> Result<T> {
        if self.open {
            return Err(self.misuse("look back", "a section is still open"));
        }
        let io = |error| Error::io("read", self.place.as_str(), error);
        let bytes = self.file.read_back().map_err(io)?;
        look(&Container::unfinished(bytes, &self.place, self.kind, &self.sections))
    }

    /// Writes sums, table, footer and header, and syncs the file. Generation and ordinal go into
    /// the file's id.
    pub(crate) fn finish(mut self, generation: u64, ordinal: u64) -> Result<Pin> {
        if self.open {
            return Err(self.misuse("finish", "a section is still open"));
        }
        let sums_offset = self.written;
        let sums = std::mem::take(&mut self.sums);
        self.put(bytemuck::must_cast_slice(&sums))?;
        let table_offset = align_up(self.written).unwrap_or(u64::MAX);
        let gap = usize::try_from(table_offset.saturating_sub(self.written)).unwrap_or_default();
        self.put([0; LINE].get(..gap).unwrap_or_default())?;
        let sections = std::mem::take(&mut self.sections);
        let table: &[u8] = bytemuck::must_cast_slice(&sections);
        self.put(table)?;
        let table_checksum = xxh3_64(table);

        let mut header = Header {
            magic: MAGIC,
            major: MAJOR,
            minor: MINOR,
            kind: self.kind.number(),
            incompat: KNOWN_INCOMPAT,
            compat: 0,
            file_id: file_id(generation, ordinal, table_checksum, self.kind),
            file_len: self.written.saturating_add(RECORD),
            checksum: 0,
        };
        header.checksum = record_checksum(&header);
        let mut footer = Footer {
            magic: MAGIC,
            table_offset,
            sums_offset,
            sums_count: wide(sums.len()),
            sections: u32::try_from(sections.len()).unwrap_or(u32::MAX),
            block_log2: BLOCK_LOG2,
            table_checksum,
            header_checksum: header.checksum,
            checksum: 0,
        };
        footer.checksum = record_checksum(&footer);
        self.put(bytemuck::bytes_of(&footer))?;
        let io = |error| Error::io("write", self.place.as_str(), error);
        self.file.write_at(0, bytemuck::bytes_of(&header)).map_err(io)?;
        let io = |error| Error::io("sync", self.place.as_str(), error);
        self.file.sync().map_err(io)?;
        Ok(Pin { len: header.file_len, footer: footer.checksum, file_id: header.file_id })
    }

    /// Hands bytes to the file.
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(|error| Error::io("write", self.place.as_str(), error))?;
        self.written = self.written.saturating_add(wide(bytes.len()));
        Ok(())
    }

    /// A block of the open section: its sum is taken and it is written.
    fn put_block(&mut self, block: &[u8]) -> Result<()> {
        let section = u32::try_from(self.sections.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let first = self.sections.last().map_or(0, |entry| entry.first_sum);
        let number = wide(self.sums.len()).saturating_sub(first);
        self.sums.push(xxh3_64_with_seed(block, block_seed(section, number)));
        self.put(block)
    }

    fn put_buffer(&mut self) -> Result<()> {
        let mut block = std::mem::take(&mut self.block);
        let result = self.put_block(&block);
        block.clear();
        self.block = block;
        result
    }

    /// A mistake of this crate, not of its caller or of the file; reported all the same, since a
    /// panic would be worse.
    fn misuse(&self, what: &str, mistake: &str) -> Error {
        Error::io("write", self.place.as_str(), std::io::Error::other(format!("{what}: {mistake}")))
    }
}

impl std::fmt::Debug for ContainerWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ContainerWriter({}, {} bytes)", self.place, self.written)
    }
}
