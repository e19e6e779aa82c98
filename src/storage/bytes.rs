//! A cheap view of bytes that stay where they are.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use super::cache::Reading;
use super::map::Map;
use super::read::{Part, ReadFile};
use crate::error::{Error, Result};

/// Most bytes of a file that are read at once only to be handed on.
const STEP: usize = 1 << 20;

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
    /// Read in parts only: as a slice there is nothing of it.
    File(Arc<ReadFile>, Arc<Reading>),
    Part(Arc<Part>),
}

impl Owner {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Map(map) => map.as_slice(),
            Self::Heap(buffer) => buffer.as_slice(),
            Self::Static(bytes) => bytes,
            Self::File(..) => &[],
            Self::Part(part) => part.as_slice(),
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

    /// A file that is read in parts.
    pub(crate) fn from_file(file: ReadFile) -> io::Result<Self> {
        let len = usize::try_from(file.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let by = file.reading();
        Ok(Self { owner: Owner::File(Arc::new(file), by), range: 0..len })
    }

    /// A part of a file, to be read and checked by `load` when it is first touched: from the file
    /// at the offset where this view begins. `None` where the bytes are there already.
    pub(crate) fn part(
        &self,
        range: Range<usize>,
        load: impl Fn(&ReadFile, u64) -> Result<Aligned> + Send + Sync + 'static,
    ) -> Option<Self> {
        let Owner::File(file, by) = &self.owner else { return None };
        let (start, len) = (self.range.start as u64, range.len());
        let place = (start.checked_add(range.start as u64)?, len as u64);
        let part = Part::new(file, by, place, Box::new(move |file| load(file, start)));
        Some(Self { owner: Owner::Part(Arc::new(part)), range: 0..len })
    }

    /// Somebody who begins to read the file; `None` where the bytes are there already.
    pub(crate) fn reading(&self) -> Option<Arc<Reading>> {
        match &self.owner {
            Owner::File(file, _) => Some(file.reading()),
            _ => None,
        }
    }

    /// The same bytes, as somebody else reads them.
    pub(crate) fn read_by(&self, by: &Arc<Reading>) -> Self {
        let owner = match &self.owner {
            Owner::File(file, _) => Owner::File(Arc::clone(file), Arc::clone(by)),
            other => other.clone(),
        };
        Self { owner, range: self.range.clone() }
    }

    /// Bytes that are held of files that are read in parts, of all of the index; 0 where the bytes
    /// are there already.
    pub(crate) fn held(&self) -> u64 {
        match &self.owner {
            Owner::File(file, _) => file.held(),
            _ => 0,
        }
    }

    /// Whether a part of the file ever failed to be read.
    pub(crate) fn has_failed(&self) -> bool {
        match &self.owner {
            Owner::File(file, _) => file.has_failed(),
            Owner::Part(part) => part.file().has_failed(),
            Owner::Map(_) | Owner::Heap(_) | Owner::Static(_) => false,
        }
    }

    /// Some bytes, in place where they are there, read where they are not.
    ///
    /// # Errors
    /// Those of reading; `UnexpectedEof` beyond the end.
    pub(crate) fn read(&self, range: Range<usize>) -> io::Result<Cow<'_, [u8]>> {
        let Owner::File(file, _) = &self.owner else {
            let bytes = self.as_slice().get(range);
            return Ok(Cow::Borrowed(bytes.ok_or(io::ErrorKind::UnexpectedEof)?));
        };
        let part = self.slice(range).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(part.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
        bytes.resize(part.len(), 0);
        file.read_exact(&mut bytes, part.range.start as u64)?;
        Ok(Cow::Owned(bytes))
    }

    /// Hands on all bytes, step by step.
    ///
    /// # Errors
    /// Those of reading and of `step`.
    pub(crate) fn each(&self, mut step: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        for start in (0..self.len()).step_by(STEP) {
            step(&self.read(start..start.saturating_add(STEP).min(self.len()))?)?;
        }
        Ok(())
    }

    /// All bytes in the heap, where they are not there already.
    pub(crate) fn whole_file(&self) -> io::Result<Self> {
        let Owner::File(file, _) = &self.owner else { return Ok(self.clone()) };
        let mut buffer = Aligned::zeroed(self.len())?;
        file.read_exact(buffer.as_mut_slice(), self.range.start as u64)?;
        Ok(Self::from_aligned(Arc::new(buffer)))
    }

    /// Whether this is a file that is read in parts.
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.owner, Owner::File(..))
    }

    /// Whether the bytes come when they are first touched.
    pub(crate) fn is_part(&self) -> bool {
        matches!(self.owner, Owner::Part(_))
    }

    /// Why bytes of the file could not be read by whom they are read, if that has happened: what was
    /// made of them is worth nothing then.
    pub(crate) fn fault(&self) -> Option<Error> {
        match &self.owner {
            Owner::Map(_) | Owner::Heap(_) | Owner::Static(_) => None,
            Owner::File(_, by) => by.fault(),
            Owner::Part(part) => part.by().fault(),
        }
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
            Owner::File(..) => "file",
            Owner::Part(_) => "part",
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
