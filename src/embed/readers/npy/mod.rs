//! NumPy's array files.

mod header;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;
use std::path::Path;

use super::array::{Dtype, View, bytes_of};
use super::bytes::FileBytes;
use super::file_fault;
use crate::embed::numbers::{Floats, Ints};
use crate::error::Result;
use crate::storage::Bytes;

pub use write::{NpyValues, NpyWriter};

/// An array from a `.npy` file (versions 1 to 3): little-endian, in C order, of float16 or
/// float32, int8, int32 or int64, uint16, uint32 or uint64. What is lent out are slices of the
/// file's bytes themselves; only where those lie at an odd address are they copied once.
///
/// ```
/// use lateen::readers::NpyArray;
///
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("weights.npy");
/// NpyArray::write(&path, &[0.5f32; 6], &[2, 3])?;
/// let weights = NpyArray::open(&path)?;
/// assert_eq!(weights.shape(), [2, 3]);
/// assert_eq!(weights.floats()?.len(), 6);
/// assert!(weights.ints().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct NpyArray {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Where the numbers are, as many as the shape says: in the file, or in a copy of them that
    /// lies at an address fit for their type.
    body: Bytes,
}

impl NpyArray {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); or [`Error::Input`](crate::Error::Input) for a file that
    /// is no `.npy`, is cut off or longer than its shape, is in Fortran order, or holds numbers of
    /// another type. The message says what to save instead.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(&FileBytes::open(path.as_ref())?)
    }

    /// Reads a file's bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(name: &str, bytes: impl AsRef<[u8]>) -> Result<Self> {
        Self::read(&FileBytes::from_vec(name, bytes.as_ref()))
    }

    fn read(file: &FileBytes) -> Result<Self> {
        let name = file.name().to_owned();
        let refuse = |what: String| file_fault(&name, what);
        let header = header::parse(file.bytes()).map_err(refuse)?;
        let expected = bytes_of(&header.shape, header.dtype.size()).map_err(refuse)?;
        let bytes = file.bytes().get(header.body..).unwrap_or_default();
        if bytes.len() != expected {
            let (shape, found) = (&header.shape, bytes.len());
            let what = format!("shape {shape:?} needs {expected} bytes, the file has {found}");
            return Err(refuse(what).into());
        }
        let aligned = View { name: &name, dtype: header.dtype, bytes }.aligned();
        let in_file = file.tail(header.body).filter(|_| aligned);
        let body = in_file.unwrap_or_else(|| Bytes::from_vec(bytes));
        Ok(Self { name, dtype: header.dtype, shape: header.shape, body })
    }

    /// Writes an array in C order, byte for byte as `numpy.save` does, over a file that is there.
    ///
    /// # Errors
    /// A number of values that is not the shape's, or [`Error::Io`](crate::Error::Io).
    pub fn write<'a>(
        path: impl AsRef<Path>,
        values: impl Into<NpyValues<'a>>,
        shape: &[usize],
    ) -> Result<()> {
        write::write(path.as_ref(), values.into(), shape)
    }

    /// The file's name, as errors give it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The length of each dimension; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All numbers of an integer array, in C order.
    ///
    /// # Errors
    /// The array holds floats or 8-bit codes.
    pub fn ints(&self) -> Result<Ints<'_>> {
        self.view().ints()
    }

    /// All numbers of an integer array as places or counts.
    ///
    /// # Errors
    /// The array holds floats or 8-bit codes, or a number below zero.
    pub fn usizes(&self) -> Result<Vec<usize>> {
        let ints = self.ints()?;
        let mut all = Vec::with_capacity(ints.len());
        for at in 0..ints.len() {
            all.push(ints.usize(at, &self.name)?);
        }
        Ok(all)
    }

    /// The rows of an integer array of shape `[n, 2]`: spans of text, for instance.
    ///
    /// # Errors
    /// Another shape or type, or a number that is no `u32`.
    pub fn pairs(&self) -> Result<Vec<(u32, u32)>> {
        if self.shape.len() != 2 || self.shape.get(1) != Some(&2) {
            let what = format!("shape {:?}, expected [n, 2]", self.shape);
            return Err(file_fault(&self.name, what).into());
        }
        let ints = self.ints()?;
        let at = |i| ints.u32(i, &self.name);
        let pair = |i: usize| Ok((at(2 * i)?, at(2 * i + 1)?));
        Ok((0..ints.len() / 2).map(pair).collect::<Result<_, crate::InputError>>()?)
    }

    /// All numbers of a float array, in C order.
    ///
    /// # Errors
    /// The array holds integers.
    pub fn floats(&self) -> Result<Floats<'_>> {
        self.view().floats()
    }

    /// All numbers of an int8 array, in C order.
    ///
    /// # Errors
    /// The array holds another type.
    pub fn i8s(&self) -> Result<&[i8]> {
        self.view().i8s()
    }

    fn view(&self) -> View<'_> {
        View { name: &self.name, dtype: self.dtype, bytes: self.body.as_slice() }
    }
}

impl fmt::Debug for NpyArray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NpyArray")
            .field("name", &self.name)
            .field("dtype", &self.dtype)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
