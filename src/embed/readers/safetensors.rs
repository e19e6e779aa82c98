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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with this header and this many zero bytes of numbers.
    fn file(header: &str, body: usize) -> Vec<u8> {
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend((0..body).map(|i| u8::try_from(i % 251).unwrap()));
        file
    }

    fn open(header: &str, body: usize) -> Result<SafeTensorsFile> {
        SafeTensorsFile::from_bytes("x.safetensors", file(header, body))
    }

    #[test]
    fn shapes_of_a_few_numbers_are_read() {
        let header = |numbers: usize| {
            let shape = vec!["1"; numbers].join(",");
            format!(r#"{{"x":{{"dtype":"I8","shape":[{shape}],"data_offsets":[0,1]}}}}"#)
        };
        assert_eq!(open(&header(32), 1).unwrap().tensor("x").unwrap().shape(), [1; 32]);
        let error = open(&header(1000), 1).unwrap_err().to_string();
        assert!(error.contains("shapes of too many numbers"), "{error}");
    }

    #[test]
    fn lends_tensors_by_name() {
        // Of odd length, so that some tensor lies at an odd address whatever the buffer's is.
        for pad in ["", " ", "  ", "   "] {
            let header = [
                r#"{"rows":{"dtype":"F16","shape":[3,2],"data_offsets":[0,12]},"#,
                r#""codes":{"dtype":"I8","shape":[3],"data_offsets":[12,15]},"#,
                r#""lengths":{"dtype":"I64","shape":[1],"data_offsets":[15,23]},"#,
                r#""brain":{"dtype":"BF16","shape":[1],"data_offsets":[23,25]}}"#,
                pad,
            ]
            .concat();
            let file = open(&header, 25).unwrap();
            assert_eq!(file.names(), ["rows", "codes", "lengths", "brain"]);
            let rows = file.tensor("rows").unwrap();
            assert_eq!(rows.shape(), [3, 2]);
            assert!(matches!(rows.floats().unwrap(), Floats::F16(s)
                if s[5].to_bits() == u16::from_le_bytes([10, 11])));
            assert!(rows.ints().unwrap_err().to_string().contains("tensor \"rows\": float16"));
            assert_eq!(file.tensor("codes").unwrap().i8s().unwrap(), [12, 13, 14]);
            assert!(matches!(file.tensor("lengths").unwrap().ints().unwrap(), Ints::I64([n])
                if n.to_le_bytes() == [15, 16, 17, 18, 19, 20, 21, 22]));
            assert!(file.tensor("brain").unwrap_err().to_string().contains("BF16"));
            let missing = file.tensor("row").unwrap_err().to_string();
            assert!(missing.contains("no tensor \"row\"; it has rows, codes"), "{missing}");
        }
    }

    #[test]
    fn what_the_crate_writes_is_read() {
        let numbers: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = ::safetensors::tensor::TensorView::new(FileDtype::F32, vec![2], &numbers);
        let bytes = ::safetensors::serialize([("x", view.unwrap())], None).unwrap();
        let file = SafeTensorsFile::from_bytes("x.safetensors", bytes).unwrap();
        let x = file.tensor("x").unwrap();
        assert!(matches!(x.floats().unwrap(), Floats::F32([1.5, -2.0])));
    }

    #[test]
    fn headers_that_lie_are_refused() {
        let tensor = |shape: &str, from: u64, to: u64| {
            format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
        };
        let half = 1u64 << 63;
        let cases = [
            (tensor("[2]", 0, 8), 7),
            (tensor("[2]", 0, 8), 9),
            (tensor("[3]", 0, 8), 8),
            (tensor("[2]", 8, 0), 8),
            (tensor("[2]", 4, 12), 12),
            (tensor(&format!("[{half}, 2]"), 0, 0), 0),
            (tensor("[2305843009213693951]", 0, 4 * 2_305_843_009_213_693_951), 0),
            (tensor("[-1]", 0, 4), 4),
            ("{".into(), 0),
            ("[]".into(), 0),
            (r#"{"x":{"dtype":"F3","shape":[],"data_offsets":[0,0]}}"#.into(), 0),
        ];
        for (header, body) in cases {
            let error = open(&header, body).unwrap_err().to_string();
            assert!(error.starts_with("x.safetensors: "), "{header}: {error}");
        }
        // Tensors whose lengths add up to more than can be counted.
        let eighth = (1u64 << 61) - 1;
        let many: Vec<String> = (0..9)
            .map(|i: u64| {
                let (from, to) = (i.wrapping_mul(eighth), (i + 1).wrapping_mul(eighth));
                format!(r#""{i}":{{"dtype":"I8","shape":[{eighth}],"data_offsets":[{from},{to}]}}"#)
            })
            .collect();
        assert!(open(&format!("{{{}}}", many.join(",")), 0).is_err());
        assert!(SafeTensorsFile::from_bytes("x", u64::MAX.to_le_bytes()).is_err());
        assert!(SafeTensorsFile::from_bytes("x", vec![0; 7]).is_err());
    }

    #[test]
    fn no_prefix_and_no_changed_byte_panics() {
        let header = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let whole = file(header, 8);
        for end in 0..whole.len() {
            assert!(SafeTensorsFile::from_bytes("x", &whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for byte in (0..=255).step_by(3) {
                let mut changed = whole.clone();
                changed[at] = byte;
                if let Ok(file) = SafeTensorsFile::from_bytes("x", changed) {
                    for name in file.names() {
                        let _ = file.tensor(&name).map(|tensor| tensor.floats().is_ok());
                    }
                }
            }
        }
    }
}
