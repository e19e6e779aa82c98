//! A cheap view of bytes that stay where they are.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::map::Map;

/// A view of a file's bytes, or of a part of them. Cloning and slicing copy nothing; the owner
/// lives as long as any view of it. The first byte of an owner is aligned to at least 8.
#[derive(Clone)]
pub(crate) struct Bytes {
    owner: Owner,
    range: Range<usize>,
}

#[derive(Clone)]
enum Owner {
    Map(Arc<Map>),
    Heap(Arc<Aligned>),
    Static(&'static [u8]),
}

impl Owner {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Map(map) => map.as_slice(),
            Self::Heap(buffer) => buffer.as_slice(),
            Self::Static(bytes) => bytes,
        }
    }
}

impl Bytes {
    fn whole(owner: Owner) -> Self {
        let range = 0..owner.as_slice().len();
        Self { owner, range }
    }

    /// A view of a map.
    pub(super) fn from_map(map: Map) -> Self {
        Self::whole(Owner::Map(Arc::new(map)))
    }

    /// A view of an aligned buffer.
    pub(crate) fn from_aligned(buffer: Arc<Aligned>) -> Self {
        Self::whole(Owner::Heap(buffer))
    }

    /// A view of a copy, aligned to 64.
    pub(crate) fn from_vec(bytes: &[u8]) -> Self {
        Self::from_aligned(Arc::new(Aligned::copy_of(bytes)))
    }

    /// A view of bytes that live as long as the program; copied if they are not aligned to 8.
    pub(crate) fn from_static(bytes: &'static [u8]) -> Self {
        if bytes.as_ptr().align_offset(8) == 0 {
            Self::whole(Owner::Static(bytes))
        } else {
            Self::from_vec(bytes)
        }
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        // The range lies in the owner by construction, and owners do not change their length.
        self.owner.as_slice().get(self.range.clone()).unwrap_or_default()
    }

    /// How many bytes.
    pub(crate) fn len(&self) -> usize {
        self.range.len()
    }

    /// A part of the view; `None` if it does not lie within.
    pub(crate) fn slice(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start.checked_add(range.start)?;
        let end = self.range.start.checked_add(range.end)?;
        Some(Self { owner: self.owner.clone(), range: start..end })
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = match self.owner {
            Owner::Map(_) => "map",
            Owner::Heap(_) => "heap",
            Owner::Static(_) => "static",
        };
        write!(f, "Bytes({owner}, {:?})", self.range)
    }
}

/// One cache line.
#[derive(Clone, Copy, Zeroable, Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// A growing byte buffer whose first byte is aligned to 64.
#[derive(Default)]
pub(crate) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// `len` zeros; an error, not an abort, where there is no memory for them.
    pub(crate) fn zeroed(len: usize) -> io::Result<Self> {
        let mut lines = Vec::new();
        let count = len.div_ceil(64);
        lines.try_reserve_exact(count).map_err(|_| io::ErrorKind::OutOfMemory)?;
        lines.resize(count, Line::zeroed());
        Ok(Self { lines, len })
    }

    /// A copy.
    pub(crate) fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer =
            Self { lines: vec![Line::zeroed(); bytes.len().div_ceil(64)], len: bytes.len() };
        buffer.as_mut_slice().copy_from_slice(bytes);
        buffer
    }

    /// The bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        bytemuck::must_cast_slice(&self.lines).get(..self.len).unwrap_or_default()
    }

    /// The bytes, to be filled.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        bytemuck::must_cast_slice_mut(&mut self.lines).get_mut(..self.len).unwrap_or_default()
    }

    /// Writes at an offset; the buffer grows as needed, and a gap is filled with zeros.
    pub(crate) fn write_at(&mut self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        if end > self.len {
            let count = end.div_ceil(64);
            if let Some(more) = count.checked_sub(self.lines.len()) {
                self.lines.try_reserve(more).map_err(|_| io::ErrorKind::OutOfMemory)?;
                self.lines.resize(count, Line::zeroed());
            }
            self.len = end;
        }
        if let Some(place) = self.as_mut_slice().get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
        Ok(())
    }

    /// Appends.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_at(self.len, bytes)
    }

    /// How many bytes.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

impl fmt::Debug for Aligned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aligned({} bytes)", self.len)
    }
}
