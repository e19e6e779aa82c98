//! Number types of array files, and the borrowed slices that batches take from them.

use bytemuck::{AnyBitPattern, try_cast_slice};

use super::file_fault;
use crate::embed::numbers::{Floats, Ints};
use crate::error::{InputError, Result};

/// A number type that is read without conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dtype {
    F16,
    F32,
    I8,
    I32,
    I64,
    U16,
    U32,
    U64,
}

impl Dtype {
    /// Bytes of one number, which is its alignment too.
    pub(super) fn size(self) -> usize {
        match self {
            Self::I8 => 1,
            Self::F16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::I64 | Self::U64 => 8,
        }
    }

    /// NumPy's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::F32 => "float32",
            Self::I8 => "int8",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
        }
    }
}

/// The bytes of one array, whose length has been checked against its shape.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) name: &'a str,
    pub(super) dtype: Dtype,
    pub(super) bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// Whether the bytes lie at an address that is fit for the type.
    pub(super) fn aligned(&self) -> bool {
        self.bytes.as_ptr().addr().is_multiple_of(self.dtype.size())
    }

    /// The numbers of an integer array of 16 bits and more.
    pub(super) fn ints(&self) -> Result<Ints<'a>> {
        Ok(match self.dtype {
            Dtype::U16 => Ints::U16(self.cast()?),
            Dtype::U32 => Ints::U32(self.cast()?),
            Dtype::U64 => Ints::U64(self.cast()?),
            Dtype::I32 => Ints::I32(self.cast()?),
            Dtype::I64 => Ints::I64(self.cast()?),
            Dtype::F16 | Dtype::F32 | Dtype::I8 => {
                let wanted = "integers are needed here (uint16, uint32, uint64, int32 or int64)";
                return Err(self.other(wanted).into());
            }
        })
    }

    /// The numbers of a float array.
    pub(super) fn floats(&self) -> Result<Floats<'a>> {
        Ok(match self.dtype {
            Dtype::F16 => Floats::F16(self.cast()?),
            Dtype::F32 => Floats::F32(self.cast()?),
            _ => return Err(self.other("float16 or float32 is needed here").into()),
        })
    }

    /// The codes of an 8-bit array.
    pub(super) fn i8s(&self) -> Result<&'a [i8]> {
        match self.dtype {
            Dtype::I8 => self.cast(),
            _ => Err(self.other("int8 is needed here").into()),
        }
    }

    fn cast<T: AnyBitPattern>(&self) -> Result<&'a [T]> {
        Ok(try_cast_slice(self.bytes)
            .map_err(|error| file_fault(self.name, format!("unreadable in place: {error}")))?)
    }

    fn other(&self, wanted: &str) -> InputError {
        file_fault(self.name, format!("{}, {wanted}", self.dtype.name()))
    }
}

/// The number of values of a shape and the bytes they take, or what is wrong with it.
pub(super) fn bytes_of(shape: &[usize], size: usize) -> Result<usize, String> {
    // As NumPy has it, beside a zero too: whoever multiplies the numbers of a shape in any order gets
    // what can be counted.
    let bytes = shape.iter().try_fold(size, |product, &n| product.checked_mul(n.max(1)));
    let counted = || format!("shape {shape:?} has more values than can be counted");
    let bytes = bytes.ok_or_else(counted)?;
    Ok(if shape.contains(&0) { 0 } else { bytes })
}
