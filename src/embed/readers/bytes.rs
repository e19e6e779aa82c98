//! The bytes of a file.

use std::path::Path;

use crate::error::{Error, Result};
use crate::storage::{Bytes, OpenMode, open_path};

/// A whole file, with the name that errors give it. It is mapped: what of it is not looked at
/// takes no memory, and nobody may truncate or rewrite it meanwhile.
pub(super) struct FileBytes {
    name: String,
    bytes: Bytes,
}

impl FileBytes {
    /// Maps a file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = open_path(path, OpenMode::Map).map_err(|e| Error::io("read", &name, e))?;
        Ok(Self { name, bytes })
    }

    /// Bytes that are in memory already.
    pub(super) fn from_vec(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), bytes: Bytes::from_vec(bytes) }
    }

    /// The path as it was given.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A view of what begins at an offset; `None` beyond the end.
    pub(super) fn tail(&self, start: usize) -> Option<Bytes> {
        self.bytes.slice(start..self.bytes.len())
    }

    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }
}
