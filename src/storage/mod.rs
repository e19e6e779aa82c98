//! Where files live: a flat directory of named, write-once files behind one small trait.
//!
//! A file is made under a fresh name, written front to back (its first bytes may be filled in at
//! the end), synced, and never changed again. What is read is [`Bytes`]: a cheap view that keeps
//! its map or buffer alive.

mod bytes;
mod cache;
#[cfg(test)]
pub(crate) mod faulty;
mod fs;
mod map;
mod mem;
mod read;
mod scratch;
#[cfg(any(test, feature = "simulation"))]
#[cfg_attr(not(test), allow(dead_code, reason = "some of it is for the library's own tests"))]
pub(crate) mod sim;

use std::fmt;
use std::io;
use std::path::Path;

use crate::error::{Error, Result};

pub(crate) use bytes::{Aligned, Bytes};
pub(crate) use cache::{Cache, Reading};
pub(crate) use fs::{FsStorage, open_parts, open_path, open_untrusted, publish_path};
pub(crate) use mem::MemStorage;
#[cfg(test)]
pub(crate) use read::ReadAt;
pub(crate) use read::ReadFile;
pub(crate) use scratch::Scratch;

/// The name of the lock file; it is made once and never removed.
pub(crate) const LOCK: &str = "LOCK";

/// How the files of an index are brought into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OpenMode {
    /// Mapped: pages come in as they are touched. The files must not be truncated or rewritten by
    /// anyone while the index is open; this crate never does so.
    #[default]
    Map,
    /// Read whole into the heap: immune to what others do to the files afterwards.
    Heap,
    /// Read by position: a section of a segment is read into the heap, and checked against its
    /// sums, when it is first needed. For network file systems and for directories where files may
    /// be cut short: that is an error of the search that comes upon it, never a signal. The next
    /// search tries again; [`Index::refresh`](crate::Index::refresh) opens files anew of which a
    /// part could not be read.
    ///
    /// What was needed stays, for the next who needs it, as far as
    /// [`IndexOptions::resident`](crate::IndexOptions::resident) allows: beyond that, sections that
    /// no search is using go, those first that were not used for longest. The unit is a whole
    /// section of a segment: a search needs, all at once, the sections of the fields that it
    /// searches, of every segment, but not those of other fields, nor payloads. This is no cache of
    /// blocks: where these sections are together more than what is allowed, the search is an error
    /// ([`Error::Io`](crate::Error::Io)), and a large index that must be searched in little memory is
    /// better mapped. Each search looks up its segments' sections anew, and evaluates its filters anew.
    Read,
}

/// What holds a lock; dropping it lets the lock go.
pub(crate) type Lock = Box<dyn Send + Sync>;

/// A flat directory of files.
///
/// Durability: the bytes of a file are durable after [`StorageFile::sync`], its name (made,
/// renamed or removed) after [`sync_dir`](Self::sync_dir).
pub(crate) trait Storage: Send + Sync + fmt::Debug {
    /// The bytes of a file, in full.
    fn open(&self, name: &str) -> io::Result<Bytes>;
    /// The bytes of a file that is large and a container: they may come part by part.
    fn open_parts(&self, name: &str) -> io::Result<Bytes> {
        self.open(name)
    }
    /// A new file; `AlreadyExists` if the name is taken.
    fn create_new(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;
    /// Gives a file another name; `AlreadyExists` if that is taken. Never replaces a file.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes every creation, renaming and removal so far durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// The names of all files, ascending.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Removes a file; whoever holds its bytes keeps them.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The writer's lock; `None` while another holds it, `Unsupported` where there are no locks.
    fn try_lock(&self) -> io::Result<Option<Lock>>;
    /// Takes a file from elsewhere in under a new name, durably but for that name.
    fn import(&self, path: &Path, name: &str) -> io::Result<()> {
        let bytes = open_path(path, OpenMode::Map)?;
        let mut file = self.create_new(name)?;
        bytes.each(|step| file.write_all(step))?;
        file.sync()
    }
    /// The directory of the file system that it is, if it is one.
    fn directory(&self) -> Option<&Path> {
        None
    }
    /// Checks every byte that surrounds the files: there are some only where all files lie in one.
    fn verify(&self) -> Result<()> {
        Ok(())
    }
    /// A file for what a writer sets aside; `None` where that would not spare memory.
    fn scratch(&self) -> io::Result<Option<Box<dyn Scratch>>> {
        Ok(None)
    }
    /// What to call this directory in messages.
    fn place(&self) -> String;
}

/// A file being written.
pub(crate) trait StorageFile: Send {
    /// Appends.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Overwrites bytes that were written before; the end of the file stays where it is.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// The bytes written so far, for the writer alone to look at: it lets go of them before it
    /// writes over any of them, and before the file is shown to anyone.
    fn read_back(&mut self) -> io::Result<Bytes>;
    /// Makes the bytes written so far durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// Whether a name is one plain path component that any file system takes: ASCII letters, digits,
/// `-`, `_` and `.`, not starting with a dot, at most 255 bytes.
pub(crate) fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

/// Does it again while the system says that a signal came between.
pub(crate) fn retry<T>(mut op: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match op() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether an error says that a name is taken.
pub(crate) fn already_exists_kind(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
}

/// `NotFound`, naming what was looked for.
pub(crate) fn not_found(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file {name}"))
}

/// `AlreadyExists`, naming what is in the way.
pub(crate) fn already_exists(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AlreadyExists, format!("{name} exists"))
}

#[cfg(test)]
mod tests;
