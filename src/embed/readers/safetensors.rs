//! Tensors by name from a `.safetensors` file.

use std::fmt;
use std::path::Path;

use ::safetensors::tensor::{Dtype as FileDtype, Metadata};

use super::array::{Dtype, View, bytes_of};
use super::bytes::FileBytes;
use super::file_fault;
use crate::embed::numbers::{Floats, Ints};
use crate::error::{InputError, Result};
use crate::storage::Bytes;

/// Bytes before the header: its length.
const PREFIX: usize = 8;

/// A `.safetensors` file, whose tensors are lent out by name as slices of the file's bytes.
///
/// ```no_run
/// use lateen::{TokenMatrix, readers::SafeTensorsFile};
///
/// let file = SafeTensorsFile::open("colbert.safetensors")?;
/// let rows = file.tensor("embeddings")?;
/// let matrix = TokenMatrix::new(rows.floats()?, rows.shape()[1]);
/// # let _ = matrix;
/// # Ok::<(), lateen::Error>(())
/// ```
pub struct SafeTensorsFile {
    file: FileBytes,
    header: Metadata,
    /// Where the numbers begin.
    body: usize,
}

impl SafeTensorsFile {
    /// Reads a file and checks its header: every tensor lies within the file, and has the length
    /// that its shape and type ask for.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), or [`Error::Input`](crate::Error::Input) that says what is
    /// wrong with the header.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(FileBytes::open(path.as_ref())?)
    }

    /// Reads a file's bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(name: &str, bytes: impl AsRef<[u8]>) -> Result<Self> {
        Self::read(FileBytes::from_vec(name, bytes.as_ref()))
    }

    fn read(file: FileBytes) -> Result<Self> {
        let refuse = |what: String| file_fault(file.name(), what);
        let short = || refuse("not a .safetensors file: shorter than its header".into());
        let (length, rest) = file.bytes().split_first_chunk::<PREFIX>().ok_or_else(short)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| short())?;
        let text = rest.get(..length).ok_or_else(short)?;
        // Numbers of one digit would take thirty times their bytes while they are read.
        let commas = text.split(|&byte| byte == b',').count();
        if commas > text.len() / 4 + 64 {
            return Err(refuse("malformed header: shapes of too many numbers".into()).into());
        }
        let header: Metadata = serde_json::from_slice(text)
            .map_err(|error| refuse(format!("malformed header: {error}")))?;
        let (needed, found) = (header.data_len(), rest.len() - length);
        if needed != found {
            let what = format!("the tensors need {needed} bytes, the file has {found}");
            return Err(refuse(what).into());
        }
        Ok(Self { header, body: PREFIX + length, file })
    }

    /// The names of the tensors, in the order in which they lie in the file.
    pub fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// A tensor of F32, F16, I8, I32, I64, U16, U32 or U64.
    ///
    /// # Errors
    /// No tensor of this name, or one of another type; the message lists the names there are.
    pub fn tensor(&self, name: &str) -> Result<Tensor<'_>> {
        let label = format!("{}, tensor {name:?}", self.file.name());
        let info = self.header.info(name).ok_or_else(|| self.no_tensor(name))?;
        let dtype = match info.dtype {
            FileDtype::F16 => Dtype::F16,
            FileDtype::F32 => Dtype::F32,
            FileDtype::I8 => Dtype::I8,
            FileDtype::I32 => Dtype::I32,
            FileDtype::I64 => Dtype::I64,
            FileDtype::U16 => Dtype::U16,
            FileDtype::U32 => Dtype::U32,
            FileDtype::U64 => Dtype::U64,
            other => {
                let advice = "save it as F16 or F32, I8, I32, I64, U16, U32 or U64";
                return Err(file_fault(&label, format!("{other:?} is not read; {advice}")).into());
            }
        };
        let refuse = |what: String| file_fault(&label, what);
        let (from, to) = info.data_offsets;
        let bytes = self
            .file
            .bytes()
            .get(self.body..)
            .and_then(|body| body.get(from..to))
            .ok_or_else(|| refuse("lies beyond the file".into()))?;
        if bytes_of(&info.shape, dtype.size()).map_err(refuse)? != bytes.len() {
            return Err(refuse("has another length than its shape".into()).into());
        }
        let aligned = View { name: &label, dtype, bytes }.aligned();
        let body = if aligned { Body::InFile(bytes) } else { Body::Copied(Bytes::from_vec(bytes)) };
        Ok(Tensor { label, dtype, shape: &info.shape, body })
    }

    fn no_tensor(&self, name: &str) -> InputError {
        let mut names = self.names();
        let more = if names.len() > 10 { ", …" } else { "" };
        names.truncate(10);
        let what = format!("no tensor {name:?}; it has {}{more}", names.join(", "));
        file_fault(self.file.name(), what)
    }
}

impl fmt::Debug for SafeTensorsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SafeTensorsFile")
            .field("name", &self.file.name())
            .field("tensors", &self.names())
            .finish_non_exhaustive()
    }
}

/// One tensor of a [`SafeTensorsFile`].
pub struct Tensor<'a> {
    label: String,
    dtype: Dtype,
    shape: &'a [usize],
    body: Body<'a>,
}

enum Body<'a> {
    InFile(&'a [u8]),
    /// A copy at an address that is fit for the type.
    Copied(Bytes),
}

impl Tensor<'_> {
    /// The length of each dimension.
    pub fn shape(&self) -> &[usize] {
        self.shape
    }

    /// All numbers of an integer tensor, in C order.
    ///
    /// # Errors
    /// The tensor holds floats or 8-bit codes.
    pub fn ints(&self) -> Result<Ints<'_>> {
        self.view().ints()
    }

    /// All numbers of a float tensor, in C order.
    ///
    /// # Errors
    /// The tensor holds integers.
    pub fn floats(&self) -> Result<Floats<'_>> {
        self.view().floats()
    }

    /// All numbers of an I8 tensor, in C order.
    ///
    /// # Errors
    /// The tensor holds another type.
    pub fn i8s(&self) -> Result<&[i8]> {
        self.view().i8s()
    }

    fn view(&self) -> View<'_> {
        let bytes = match &self.body {
            Body::InFile(bytes) => bytes,
            Body::Copied(copy) => copy.as_slice(),
        };
        View { name: &self.label, dtype: self.dtype, bytes }
    }
}

impl fmt::Debug for Tensor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensor")
            .field("label", &self.label)
            .field("dtype", &self.dtype)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
