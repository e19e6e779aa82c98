//! A whole index in one file: a container whose sections are the files.

use std::collections::BTreeMap;
use std::io;

use super::{Container, ContainerKind, ContainerWriter, NO_FIELD, Pin, SectionKind, wide};
use crate::error::{Error, Result};
use crate::storage::{Bytes, Lock, Storage, StorageFile, is_plain_name, not_found};

/// Most bytes copied at once.
const STEP: usize = 1 << 20;

/// Writes files, each with its name, into one file, in the order given.
///
/// # Errors
/// `Io`
pub(crate) fn write_pack(
    files: &[(String, Bytes)],
    generation: u64,
    file: Box<dyn StorageFile>,
    place: String,
) -> Result<Pin> {
    let mut listing = Vec::new();
    for (name, _) in files {
        let len = u16::try_from(name.len()).map_err(|_| io::ErrorKind::InvalidFilename.into());
        let len = len.map_err(|error| Error::io("pack", name.as_str(), error))?;
        listing.extend_from_slice(&len.to_le_bytes());
        listing.extend_from_slice(name.as_bytes());
    }
    let mut writer = ContainerWriter::create(file, place, ContainerKind::Packed)?;
    writer.section(SectionKind::PACK_NAMES, NO_FIELD, &listing)?;
    for (field, (name, bytes)) in (0u32..).zip(files) {
        writer.begin(SectionKind::PACK_FILE, field, 1)?;
        for start in (0..bytes.len()).step_by(STEP) {
            let end = start.saturating_add(STEP).min(bytes.len());
            let step = bytes.read(start..end).map_err(|e| Error::io("read", name.as_str(), e))?;
            writer.write(&step)?;
        }
        writer.end()?;
    }
    writer.finish(generation, 0)
}

/// The files of a packed index, for reading only.
#[derive(Clone, Debug)]
pub(crate) struct PackedStorage {
    container: Container,
    files: BTreeMap<String, Bytes>,
}

impl PackedStorage {
    /// Opens a packed file; `place` is its name in messages.
    ///
    /// # Errors
    /// As [`Container::open`]; `Corrupt` where names and files do not match.
    pub(crate) fn open(bytes: Bytes, place: &str) -> Result<Self> {
        let container = Container::open(bytes, place, ContainerKind::Packed, None)?;
        let names = container.section(SectionKind::PACK_NAMES, NO_FIELD)?;
        let _ = names.bytes();
        container.sound()?;
        let mut cursor = names.cursor();
        let mut files = BTreeMap::new();
        let mut field = 0u32;
        // A name takes two bytes at least, so this ends; a file takes a table entry.
        while cursor.remaining() > 0 {
            let name = cursor.str16()?;
            if !is_plain_name(name) {
                return Err(cursor.corrupt(format!("{name:?} is no plain file name")));
            }
            let file = container.inner_file(SectionKind::PACK_FILE, field)?;
            if files.insert(name.to_owned(), file).is_some() {
                return Err(cursor.corrupt(format!("{name} twice")));
            }
            field = field.saturating_add(1);
        }
        let others = container.sections().filter(|(kind, ..)| *kind == SectionKind::PACK_FILE);
        if wide(others.count()) != u64::from(field) {
            return Err(cursor.corrupt("more files than names"));
        }
        Ok(Self { container, files })
    }
}

fn read_only<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "a packed index cannot be changed"))
}

impl Storage for PackedStorage {
    fn open(&self, name: &str) -> io::Result<Bytes> {
        self.open_parts(name)?.whole_file()
    }

    fn open_parts(&self, name: &str) -> io::Result<Bytes> {
        self.files.get(name).cloned().ok_or_else(|| not_found(name))
    }

    fn create_new(&self, _: &str) -> io::Result<Box<dyn StorageFile>> {
        read_only()
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        read_only()
    }

    fn sync_dir(&self) -> io::Result<()> {
        read_only()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.files.keys().cloned().collect())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        read_only()
    }

    fn try_lock(&self) -> io::Result<Option<Lock>> {
        read_only()
    }

    fn verify(&self) -> Result<()> {
        self.container.verify()
    }

    fn place(&self) -> String {
        self.container.file().to_string()
    }
}
