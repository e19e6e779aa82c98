//! Writing `.npy` files, byte for byte as `numpy.save` writes them.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use bytemuck::must_cast_slice;
use half::f16;

use super::header::MAGIC;
use crate::embed::numbers::{Floats, Ints};
use crate::embed::readers::file_fault;
use crate::embed::sparse::same_length;
use crate::error::{Error, Result};

/// The numbers of an array to be written.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum NpyValues<'a> {
    /// Integers.
    Ints(Ints<'a>),
    /// Floats.
    Floats(Floats<'a>),
    /// 8-bit codes.
    I8(&'a [i8]),
}

impl<'a> From<Ints<'a>> for NpyValues<'a> {
    fn from(ints: Ints<'a>) -> Self {
        Self::Ints(ints)
    }
}

impl<'a> From<Floats<'a>> for NpyValues<'a> {
    fn from(floats: Floats<'a>) -> Self {
        Self::Floats(floats)
    }
}

macro_rules! from_slices {
    ($($variant:ident($t:ty) $(in $kind:ident)?),*) => {$(
        impl<'a> From<&'a [$t]> for NpyValues<'a> {
            fn from(slice: &'a [$t]) -> Self {
                from_slices!(@ slice $variant $($kind)?)
            }
        }

        impl<'a> From<&'a Vec<$t>> for NpyValues<'a> {
            fn from(vec: &'a Vec<$t>) -> Self {
                from_slices!(@ vec $variant $($kind)?)
            }
        }

        impl<'a, const N: usize> From<&'a [$t; N]> for NpyValues<'a> {
            fn from(array: &'a [$t; N]) -> Self {
                from_slices!(@ array $variant $($kind)?)
            }
        }
    )*};
    (@ $slice:ident $variant:ident) => { Self::$variant($slice) };
    (@ $slice:ident $variant:ident $kind:ident) => { Self::$kind($kind::$variant($slice)) };
}
from_slices!(
    U16(u16) in Ints,
    U32(u32) in Ints,
    U64(u64) in Ints,
    I32(i32) in Ints,
    I64(i64) in Ints,
    F32(f32) in Floats,
    F16(f16) in Floats,
    I8(i8)
);

impl NpyValues<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Ints(ints) => ints.len(),
            Self::Floats(floats) => floats.len(),
            Self::I8(codes) => codes.len(),
        }
    }

    fn descr(&self) -> &'static str {
        match self {
            Self::Ints(Ints::U16(_)) => "<u2",
            Self::Ints(Ints::U32(_)) => "<u4",
            Self::Ints(Ints::U64(_)) => "<u8",
            Self::Ints(Ints::I32(_)) => "<i4",
            Self::Ints(Ints::I64(_)) => "<i8",
            Self::Floats(Floats::F32(_)) => "<f4",
            Self::Floats(Floats::F16(_)) => "<f2",
            Self::I8(_) => "|i1",
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Ints(Ints::U16(s)) => must_cast_slice(s),
            Self::Ints(Ints::U32(s)) => must_cast_slice(s),
            Self::Ints(Ints::U64(s)) => must_cast_slice(s),
            Self::Ints(Ints::I32(s)) => must_cast_slice(s),
            Self::Ints(Ints::I64(s)) => must_cast_slice(s),
            Self::Floats(Floats::F32(s)) => must_cast_slice(s),
            Self::Floats(Floats::F16(s)) => must_cast_slice(s),
            Self::I8(s) => must_cast_slice(s),
        }
    }
}

/// An array written piece by piece, so that none of it need be in memory at once: byte for byte
/// what [`NpyArray::write`](super::NpyArray::write) writes.
///
/// ```
/// use lateen::Ints;
/// use lateen::readers::{NpyArray, NpyWriter};
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("lengths.npy");
/// let mut writer = NpyWriter::create(&path, Ints::U32(&[]), &[3])?;
/// writer.push(&[7u32, 8])?;
/// writer.push(&[9u32])?;
/// writer.finish()?;
/// assert_eq!(NpyArray::open(&path)?.usizes()?, [7, 8, 9]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NpyWriter {
    name: String,
    file: BufWriter<File>,
    descr: &'static str,
    /// Values that the shape asks for, and those that came.
    expected: usize,
    found: usize,
}

impl NpyWriter {
    /// Begins a file, over one that is there, for values of the type of `like`, whose values are
    /// not looked at.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); a shape of more values than can be counted.
    pub fn create<'a>(
        path: impl AsRef<Path>,
        like: impl Into<NpyValues<'a>>,
        shape: &[usize],
    ) -> Result<Self> {
        let (path, descr) = (path.as_ref(), like.into().descr());
        let name = path.display().to_string();
        let product = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
        let expected = product.unwrap_or(usize::MAX);
        same_length(&name, "values that can be counted", expected, product.unwrap_or(0))?;
        let io = |source| Error::io("write", &name, source);
        let mut file = BufWriter::with_capacity(1 << 16, File::create(path).map_err(io)?);
        file.write_all(&head(descr, shape)).map_err(io)?;
        Ok(Self { name, file, descr, expected, found: 0 })
    }

    /// Appends values.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); values of another type than at the beginning.
    pub fn push<'a>(&mut self, values: impl Into<NpyValues<'a>>) -> Result<()> {
        let values = values.into();
        if values.descr() != self.descr {
            let what = format!("values of type {}, expected {}", values.descr(), self.descr);
            return Err(file_fault(&self.name, what).into());
        }
        self.found = self.found.saturating_add(values.len());
        let written = self.file.write_all(values.bytes());
        written.map_err(|source| Error::io("write", &self.name, source))
    }

    /// Ends the file.
    ///
    /// # Errors
    /// Another number of values than the shape's; [`Error::Io`](crate::Error::Io).
    pub fn finish(mut self) -> Result<()> {
        same_length(&self.name, "values for the shape", self.found, self.expected)?;
        self.file.flush().map_err(|source| Error::io("write", &self.name, source))
    }
}

/// Writes the file, over one that is there.
pub(super) fn write(path: &Path, values: NpyValues<'_>, shape: &[usize]) -> Result<()> {
    let name = path.display().to_string();
    let product = shape.iter().try_fold(1usize, |product, &n| product.checked_mul(n));
    same_length(&name, "values for the shape", values.len(), product.unwrap_or(usize::MAX))?;
    let io = |source| Error::io("write", &name, source);
    let mut file = File::create(path).map_err(io)?;
    file.write_all(&head(values.descr(), shape)).map_err(io)?;
    file.write_all(values.bytes()).map_err(io)
}

/// Magic, version 1.0, length and dictionary, spaces up to a multiple of 64 bytes, a line end.
fn head(descr: &str, shape: &[usize]) -> Vec<u8> {
    let mut dictionary = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (");
    for (i, n) in shape.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(dictionary, "{}{n}", if i == 0 { "" } else { " " });
        if shape.len() == 1 || i + 1 < shape.len() {
            dictionary.push(',');
        }
    }
    dictionary.push_str("), }");
    // NumPy leaves room for the first dimension to grow to 21 digits in place.
    if let Some(first) = shape.first() {
        let digits = first.to_string().len();
        dictionary.extend(std::iter::repeat_n(' ', 21usize.saturating_sub(digits)));
    }
    let fixed = MAGIC.len() + 2 + 2;
    let whole = (fixed + dictionary.len() + 1).next_multiple_of(64);
    dictionary.extend(std::iter::repeat_n(' ', whole - fixed - dictionary.len() - 1));
    dictionary.push('\n');

    let mut head = Vec::with_capacity(whole);
    head.extend_from_slice(MAGIC);
    head.extend([1, 0]);
    let length = u16::try_from(dictionary.len()).expect("64 dimensions of 20 digits are < 2 KiB");
    head.extend(length.to_le_bytes());
    head.extend_from_slice(dictionary.as_bytes());
    head
}
