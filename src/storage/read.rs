//! Files that are read by position, part by part, each part when it is first touched.
//!
//! A part that could not be read is empty from then on, which every decoder survives, and the file
//! keeps why: whoever has read from it asks for that [fault](ReadFile::fault) before what was made
//! of it is believed.

use std::fmt;
use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

use super::{Aligned, retry};
use crate::error::{Error, Result};
use crate::shared::Allowance;

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

/// Takes bytes of what all files of an index together may hold.
pub(crate) fn take(allowance: &Allowance, bytes: u64) -> io::Result<()> {
    allowance.take(bytes).map_err(|left| {
        let what = format!("{bytes} bytes, more than are left of what is allowed: {left}");
        io::Error::new(io::ErrorKind::FileTooLarge, what)
    })
}

/// A file that is open, and of which nothing is held.
pub(crate) struct ReadFile {
    source: Box<dyn ReadAt>,
    place: String,
    len: u64,
    allowance: Arc<Allowance>,
    fault: OnceLock<Error>,
}

impl fmt::Debug for ReadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReadFile({}, {} bytes)", self.place, self.len)
    }
}

impl ReadFile {
    /// A file of `len` bytes; `place` is its name in messages.
    pub(crate) fn new(
        source: Box<dyn ReadAt>,
        place: String,
        len: u64,
        allowance: Arc<Allowance>,
    ) -> Self {
        Self { source, place, len, allowance, fault: OnceLock::new() }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Fills `bytes` from an offset on. A file that has become shorter is an error.
    pub(crate) fn read_exact(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
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

    /// The first failure of a part, if there was one.
    pub(crate) fn fault(&self) -> Option<Error> {
        self.fault.get().map(|fault| match fault {
            Error::Corrupt(corrupt) => Error::Corrupt(corrupt.clone()),
            Error::Io { op, place, source } => {
                let again = io::Error::new(source.kind(), source.to_string());
                Error::io(op, place.clone(), again)
            }
            other => Error::io("read", self.place.clone(), io::Error::other(other.to_string())),
        })
    }
}

/// Reads a part and checks it.
type Load = Box<dyn Fn(&ReadFile) -> Result<Aligned> + Send + Sync>;

/// A part of a file, held from its first touch on.
pub(crate) struct Part {
    file: Arc<ReadFile>,
    len: usize,
    load: Load,
    content: OnceLock<Option<Aligned>>,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part({} bytes of {:?})", self.len, self.file)
    }
}

impl Part {
    /// A part of `len` bytes, which `load` gives.
    pub(super) fn new(file: Arc<ReadFile>, len: usize, load: Load) -> Self {
        Self { file, len, load, content: OnceLock::new() }
    }

    pub(super) fn file(&self) -> &ReadFile {
        &self.file
    }

    /// The bytes; none where they could not be read, which the file then says.
    pub(super) fn as_slice(&self) -> &[u8] {
        let content = self.content.get_or_init(|| match self.read() {
            Ok(content) => Some(content),
            Err(error) => {
                let _ = self.file.fault.set(error); // the first one is kept
                None
            }
        });
        content.as_ref().map_or(&[], Aligned::as_slice)
    }

    fn read(&self) -> Result<Aligned> {
        let (file, bytes) = (&self.file, self.len as u64);
        take(&file.allowance, bytes).map_err(|e| Error::io("read", file.place.clone(), e))?;
        (self.load)(file).inspect_err(|_| file.allowance.give(bytes))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if matches!(self.content.get(), Some(Some(_))) {
            self.file.allowance.give(self.len as u64);
        }
    }
}
