//! Borrowed number slices in every type that producers of embeddings emit.

use half::f16;

use crate::error::{Fault, InputError};

/// Integers as they come: term ids, offsets, lengths, coordinates.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Ints<'a> {
    /// Unsigned 16 bit.
    U16(&'a [u16]),
    /// Unsigned 32 bit.
    U32(&'a [u32]),
    /// Unsigned 64 bit.
    U64(&'a [u64]),
    /// Signed 32 bit, as NumPy and SciPy make them.
    I32(&'a [i32]),
    /// Signed 64 bit, as NumPy and PyTorch make them.
    I64(&'a [i64]),
}

/// Real numbers as they come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Floats<'a> {
    /// 32 bit.
    F32(&'a [f32]),
    /// 16 bit.
    F16(&'a [f16]),
}

macro_rules! from_slices {
    ($target:ident: $($variant:ident($t:ty)),*) => {$(
        impl<'a> From<&'a [$t]> for $target<'a> {
            fn from(slice: &'a [$t]) -> Self {
                Self::$variant(slice)
            }
        }

        impl<'a> From<&'a Vec<$t>> for $target<'a> {
            fn from(vec: &'a Vec<$t>) -> Self {
                Self::$variant(vec)
            }
        }

        impl<'a, const N: usize> From<&'a [$t; N]> for $target<'a> {
            fn from(array: &'a [$t; N]) -> Self {
                Self::$variant(array)
            }
        }
    )*};
}
from_slices!(Ints: U16(u16), U32(u32), U64(u64), I32(i32), I64(i64));
from_slices!(Floats: F32(f32), F16(f16));

impl Ints<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U16(s) => s.len(),
            Self::U32(s) => s.len(),
            Self::U64(s) => s.len(),
            Self::I32(s) => s.len(),
            Self::I64(s) => s.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The i-th, wide enough for every type; 0 beyond the end.
    fn get(&self, i: usize) -> i128 {
        match self {
            Self::U16(s) => s.get(i).map_or(0, |&n| n.into()),
            Self::U32(s) => s.get(i).map_or(0, |&n| n.into()),
            Self::U64(s) => s.get(i).map_or(0, |&n| n.into()),
            Self::I32(s) => s.get(i).map_or(0, |&n| n.into()),
            Self::I64(s) => s.get(i).map_or(0, |&n| n.into()),
        }
    }

    /// The i-th as `u32`.
    pub(crate) fn u32(&self, i: usize, field: &str) -> Result<u32, InputError> {
        if let Self::U32(s) = self
            && let Some(&n) = s.get(i)
        {
            return Ok(n);
        }
        let value = self.get(i);
        u32::try_from(value).map_err(|_| {
            InputError::new(field, Fault::OutOfRange { value, limit: u32::MAX.into() }).at(i)
        })
    }

    /// The i-th as `usize`.
    pub(crate) fn usize(&self, i: usize, field: &str) -> Result<usize, InputError> {
        let value = self.get(i);
        usize::try_from(value)
            .map_err(|_| InputError::new(field, Fault::OutOfRange { value, limit: u64::MAX }).at(i))
    }

    /// A part, or `None` beyond the end.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Option<Self> {
        Some(match *self {
            Self::U16(s) => Self::U16(s.get(range)?),
            Self::U32(s) => Self::U32(s.get(range)?),
            Self::U64(s) => Self::U64(s.get(range)?),
            Self::I32(s) => Self::I32(s.get(range)?),
            Self::I64(s) => Self::I64(s.get(range)?),
        })
    }
}

impl Floats<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::F32(s) => s.len(),
            Self::F16(s) => s.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The i-th as `f32`; 0 beyond the end.
    pub(crate) fn get(&self, i: usize) -> f32 {
        match self {
            Self::F32(s) => s.get(i).copied().unwrap_or(0.0),
            Self::F16(s) => s.get(i).map_or(0.0, |x| x.to_f32()),
        }
    }

    /// A part, or `None` beyond the end.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Option<Self> {
        Some(match *self {
            Self::F32(s) => Self::F32(s.get(range)?),
            Self::F16(s) => Self::F16(s.get(range)?),
        })
    }
}
