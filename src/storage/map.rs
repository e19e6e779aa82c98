//! The one place where a file is mapped.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

use memmap2::Mmap;

/// A file, mapped for reading. It has at least one byte.
#[derive(Debug)]
pub(super) struct Map(Mmap);

impl Map {
    /// Maps a file that is not empty. The map outlives the handle.
    pub(super) fn new(file: &File) -> io::Result<Self> {
        // SAFETY: what makes a map unsafe is that the bytes behind its `&[u8]` may change or go
        // away while it is borrowed. This process never does either: files of an index are made
        // with `create_new`, are written only through the handle that made them, are reached by a
        // reader only once that handle has synced them and a manifest names them, and are never
        // opened for writing, truncated or replaced again (`rename` refuses an existing target;
        // removal unlinks, and a map keeps an unlinked file's pages). The writer itself maps what
        // it has written so far (`StorageFile::read_back`) for the length of one call that borrows
        // the writer: nothing is written meanwhile, and of what is mapped nothing is written again
        // afterwards but the header, by which time the map is gone. What other programs do to
        // the directory cannot be excluded here; the contract that they leave the files alone is
        // stated to callers at `OpenMode::Map`, with `OpenMode::Heap` for those who cannot keep
        // it. The map is private to this type and handed out as plain bytes only, so a change
        // from outside can alter values, which every reader treats as hostile, but can break no
        // type's validity.
        let map = unsafe { Mmap::map(file)? };
        Ok(Self(map))
    }

    /// The bytes.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }
}
