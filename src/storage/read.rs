//! Files that are read by position, part by part, each part when it is first touched.
//!
//! A part that could not be read is empty for who has touched it, which every decoder survives, and
//! the [`Reading`] keeps why: it is asked for that before what was made of the bytes is believed.
//! The next one tries again.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

use super::cache::{Cache, Reading};
use super::{Aligned, retry};
use crate::error::{Error, Result};

/// What can be read from any place.
pub(crate) trait ReadAt: Send + Sync {
    /// Reads at an offset; how many bytes there were, 0 at the end.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
}

#[cfg(unix)]
impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, bytes, offset)
    }
}

#[cfg(windows)]
impl ReadAt for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, bytes, offset)
    }
}

#[cfg(not(any(unix, windows)))]
impl ReadAt for File {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A file that is open.
pub(crate) struct ReadFile {
    source: Box<dyn ReadAt>,
    place: String,
    len: u64,
    cache: Arc<Cache>,
    /// Its number in the cache.
    number: u64,
    /// Set once a part could not be read.
    failed: OnceLock<()>,
}

impl fmt::Debug for ReadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadFile({}, {} bytes)", self.place, self.len)
    }
}

impl Drop for ReadFile {
    fn drop(&mut self) {
        self.cache.forget(self.number);
    }
}

impl ReadFile {
    /// A file of `len` bytes; `place` is its name in messages.
    pub(crate) fn new(
        source: Box<dyn ReadAt>,
        place: String,
        len: u64,
        cache: &Arc<Cache>,
    ) -> Self {
        let (cache, number) = (Arc::clone(cache), cache.number());
        Self { source, place, len, cache, number, failed: OnceLock::new() }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Somebody who begins to read.
    pub(super) fn reading(&self) -> Arc<Reading> {
        Arc::new(Reading::new(&self.cache))
    }

    /// Bytes that are held, of all files of the index.
    pub(super) fn held(&self) -> u64 {
        self.cache.held()
    }

    /// Whether a part ever failed: opened anew, the file may be another, or there again.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }

    /// Fills `bytes` from an offset on. A file that has become shorter is an error.
    pub(crate) fn read_exact(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.fill(bytes, offset).inspect_err(|_| _ = self.failed.set(()))
    }

    fn fill(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let read = retry(|| self.source.read_at(bytes, offset))?;
            if read == 0 {
                let what = format!("ends at byte {offset}: it was cut short after it was opened");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            bytes = bytes.get_mut(read..).unwrap_or_default();
            offset = offset.saturating_add(read as u64);
        }
        Ok(())
    }
}

/// Reads a part and checks it.
type Load = Box<dyn Fn(&ReadFile) -> Result<Aligned> + Send + Sync>;

/// A part of a file, as somebody reads it.
pub(crate) struct Part {
    // The content goes before the reading, which makes room when it ends.
    content: OnceLock<Option<Arc<Aligned>>>,
    file: Arc<ReadFile>,
    by: Arc<Reading>,
    offset: u64,
    len: u64,
    load: Load,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} bytes of {:?})", self.len, self.file)
    }
}

impl Part {
    /// The part of `len` bytes at `offset`, which `load` gives.
    pub(super) fn new(
        file: &Arc<ReadFile>,
        by: &Arc<Reading>,
        (offset, len): (u64, u64),
        load: Load,
    ) -> Self {
        let (file, by) = (Arc::clone(file), Arc::clone(by));
        Self { content: OnceLock::new(), file, by, offset, len, load }
    }

    pub(super) fn file(&self) -> &ReadFile {
        &self.file
    }

    pub(super) fn by(&self) -> &Reading {
        &self.by
    }

    /// The bytes; none where they could not be read, which the reading then says.
    pub(super) fn as_slice(&self) -> &[u8] {
        let content = self.content.get_or_init(|| match self.read() {
            Ok(content) => Some(content),
            Err(error) => {
                self.by.failed(error);
                None
            }
        });
        content.as_ref().map_or(&[], |content| content.as_slice())
    }

    fn read(&self) -> Result<Arc<Aligned>> {
        let (file, len) = (&self.file, self.len);
        self.by.take(len).map_err(|e| Error::io("read", file.place.clone(), e))?;
        let content = file.cache.part((file.number, self.offset, len), || (self.load)(file));
        content.inspect_err(|_| {
            self.by.give(len);
            let _ = file.failed.set(());
        })
    }
}
