//! The bytes of a file, and room for bytes that lie at an address unfit for their type.

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

    /// All of it.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }
}

/// A copy of bytes at an address that is a multiple of 8, for arrays that a file holds elsewhere:
/// such a file is legal, only slower to take in.
#[derive(Debug)]
pub(super) struct Aligned {
    words: Vec<u64>,
    len: usize,
}

impl Aligned {
    /// Copies.
    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        let word = |chunk: &[u8]| {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        };
        Self { words: bytes.chunks(8).map(word).collect(), len: bytes.len() }
    }

    /// The bytes that were copied.
    pub(super) fn bytes(&self) -> &[u8] {
        let bytes: &[u8] = bytemuck::must_cast_slice(&self.words);
        bytes.get(..self.len).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_keep_their_bytes_and_lie_well() {
        for len in 0..40u8 {
            let bytes: Vec<u8> = (0..len).map(|i| i.wrapping_mul(37)).collect();
            let copy = Aligned::copy_of(&bytes);
            assert_eq!(copy.bytes(), bytes);
            assert!(copy.bytes().as_ptr().addr().is_multiple_of(8));
        }
    }
}
