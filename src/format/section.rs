//! Views of a section: as bytes, and as an array of a plain type, without a copy.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use bytemuck::Pod;

use super::kinds::SectionKind;
use super::layout::NO_FIELD;
use super::{Cursor, corrupt, wide};
use crate::error::{Error, Result};
use crate::storage::Bytes;

/// One section of an open container. Cheap to clone; keeps the file alive.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(super) bytes: Bytes,
    pub(super) file: Arc<str>,
    pub(super) kind: SectionKind,
    pub(super) field: u32,
    pub(super) elem_size: u32,
}

impl Section {
    /// The bytes, without padding.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// How many bytes.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes as an owned view, for what keeps a part of them.
    pub(crate) fn view(&self) -> &Bytes {
        &self.bytes
    }

    /// The section as an array of `T`.
    ///
    /// # Errors
    /// `Corrupt` if the section's elements are not of `T`'s size.
    pub(crate) fn array<T: Pod>(&self) -> Result<Array<T>> {
        if usize::try_from(self.elem_size).ok() != Some(size_of::<T>()) {
            let what = format!("elements of {} bytes, expected {}", self.elem_size, size_of::<T>());
            return Err(self.corrupt(0, what));
        }
        // A part lies in a buffer of its own, which suits every type; looking would read it.
        if !self.bytes.is_part()
            && let Err(error) = bytemuck::try_cast_slice::<u8, T>(self.bytes())
        {
            return Err(self.corrupt(0, format!("cannot be read in place: {error}")));
        }
        Ok(Array { section: self.clone(), elements: PhantomData })
    }

    /// The section as an array of exactly `count` elements.
    ///
    /// # Errors
    /// `Corrupt` if the elements' size or their number differs.
    pub(crate) fn array_of<T: Pod>(&self, count: usize) -> Result<Array<T>> {
        let array = self.array::<T>()?;
        let found = self.len().checked_div(size_of::<T>()).unwrap_or(0);
        if found == count {
            return Ok(array);
        }
        Err(self.corrupt(0, format!("{found} elements, expected {count}")))
    }

    /// The section as one structure.
    ///
    /// # Errors
    /// `Corrupt` if it is not exactly one of that size.
    pub(crate) fn one<T: Pod>(&self) -> Result<T> {
        let array = self.array_of::<T>(1)?;
        array.first().copied().ok_or_else(|| self.corrupt(0, "empty"))
    }

    /// A reader over the bytes, for what is parsed by hand.
    pub(crate) fn cursor(&self) -> Cursor<'_> {
        Cursor::new(self.bytes(), &self.file, &self.name())
    }

    /// The file's name, for errors.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// The name in messages.
    pub(crate) fn name(&self) -> String {
        section_name(self.kind, self.field)
    }

    /// Damage at a byte of this section.
    pub(crate) fn corrupt(&self, offset: u64, what: impl Into<String>) -> Error {
        corrupt(&self.file, &self.name(), offset, what)
    }

    /// Damage at an element of this section.
    pub(crate) fn corrupt_element(&self, index: usize, what: impl Into<String>) -> Error {
        self.corrupt(wide(index).saturating_mul(u64::from(self.elem_size)), what)
    }
}

/// A section's name in messages: its kind, and its field if it belongs to one.
pub(super) fn section_name(kind: SectionKind, field: u32) -> String {
    if field == NO_FIELD { kind.name() } else { format!("{} of field {field}", kind.name()) }
}

/// A section seen as a slice of `T`. Cheap to clone; keeps the file alive.
///
/// Each use as a slice looks the owner up again: take `let slice = &*array;` before a loop.
#[derive(Clone, Debug)]
pub(crate) struct Array<T> {
    section: Section,
    elements: PhantomData<fn() -> T>,
}

impl<T> Array<T> {
    /// The section it is a view of, for errors.
    pub(crate) fn section(&self) -> &Section {
        &self.section
    }

    /// How many elements the section has; nothing is read for that. Where it cannot be read, the
    /// slice is empty all the same.
    pub(crate) fn count(&self) -> usize {
        self.section.len().checked_div(size_of::<T>()).unwrap_or(0)
    }
}

impl<T: Pod> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // Checked when the array was made, and the bytes do not move; were it ever to fail, an
        // empty slice fails every bounds check that follows.
        bytemuck::try_cast_slice(self.section.bytes()).unwrap_or_default()
    }
}
