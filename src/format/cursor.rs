//! A reader over bytes that are parsed by hand: every step is checked and says where it stood.

use super::{corrupt, wide};
use crate::error::{Error, Result};

/// A place in some bytes, moving forwards only.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    offset: u64,
    file: &'a str,
    section: String,
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`; file and section are for errors.
    pub(crate) fn new(bytes: &'a [u8], file: &'a str, section: &str) -> Self {
        Self { rest: bytes, offset: 0, file, section: section.to_owned() }
    }

    /// How many bytes are left.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// How many bytes were taken.
    #[cfg(test)]
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(self.corrupt(format!("{} bytes left, {count} needed", self.rest.len())));
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(wide(count));
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    /// The next byte.
    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    /// The next two bytes, little-endian; so for the following.
    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes.
    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes.
    #[cfg(test)]
    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A u16 length and as many bytes of UTF-8.
    pub(crate) fn str16(&mut self) -> Result<&'a str> {
        let at = self.offset;
        let len = usize::from(self.u16()?);
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes)
            .map_err(|error| corrupt(self.file, &self.section, at, format!("no UTF-8: {error}")))
    }

    /// Nothing may be left.
    pub(crate) fn finish(self) -> Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(self.corrupt(format!("{} bytes too many", self.rest.len())))
    }

    /// Damage where the cursor stands.
    pub(crate) fn corrupt(&self, what: impl Into<String>) -> Error {
        corrupt(self.file, &self.section, self.offset, what)
    }
}
