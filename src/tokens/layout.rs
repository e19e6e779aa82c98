//! What lies in a segment for one token field, and a document's share of it.

use bytemuck::{Pod, Zeroable};

use crate::codec::{f16, int8};
use crate::kernel::tokens::{F16Rows, Int8Rows};
use crate::schema::{Normalization, TokenCodec};

/// The numbers of a token field in a segment, the first of its sections.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct TokenHead {
    /// How rows are stored: 1 f16, 2 int8.
    pub(crate) codec: u32,
    /// Components of a row.
    pub(crate) dim: u32,
    /// What the field promises of its rows: 0 `Checked`, 1 `Normalize`, 2 `AsIs`.
    pub(crate) normalization: u32,
    /// Bytes of one end of a span: 2 or 4; 0 where no document has spans.
    pub(crate) span_bytes: u32,
    /// Rows of all documents together.
    pub(crate) rows: u64,
    /// Documents that have the field.
    pub(crate) docs: u32,
    /// Zero.
    pub(crate) reserved: u32,
}

/// What is known of a document's stored rows, both as f16 and never too small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RowBounds {
    /// The largest Euclidean length of a stored row.
    pub(crate) norm: u16,
    /// The largest distance between a row as it was given and as it is stored.
    pub(crate) error: u16,
}

/// The codec's number in [`TokenHead`].
pub(super) fn codec_number(codec: TokenCodec) -> u32 {
    match codec {
        TokenCodec::F16 => 1,
        TokenCodec::Int8 => 2,
    }
}

/// The normalisation's number in [`TokenHead`].
pub(super) fn normalization_number(normalization: Normalization) -> u32 {
    match normalization {
        Normalization::Checked => 0,
        Normalization::Normalize => 1,
        Normalization::AsIs => 2,
    }
}

/// The mark of a row without a span: it starts after it ends.
pub(super) const NO_SPAN: (u32, u32) = (1, 0);

/// The text spans of a document's rows, in the width in which they lie.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spans<'a> {
    /// None given.
    None,
    /// As gathered, or as stored where some end is beyond 65,535.
    Wide(&'a [[u32; 2]]),
    /// As stored where all ends fit.
    Narrow(&'a [[u16; 2]]),
}

impl Spans<'_> {
    /// The span of a row, if it has one.
    pub(crate) fn get(&self, row: usize) -> Option<(u32, u32)> {
        let (start, end) = match self {
            Self::None => return None,
            Self::Wide(spans) => spans.get(row).map(|&[start, end]| (start, end))?,
            Self::Narrow(spans) => {
                spans.get(row).map(|&[start, end]| (start.into(), end.into()))?
            }
        };
        (start <= end).then_some((start, end))
    }
}

/// A document's rows as they are stored: at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenRows<'a> {
    /// The rows.
    pub(crate) coded: Coded<'a>,
    /// What is known of them.
    pub(crate) bounds: RowBounds,
    /// Their places in the text.
    pub(crate) spans: Spans<'a>,
}

/// Rows in one of the codecs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coded<'a> {
    /// 16-bit floats.
    F16(F16Rows<'a>),
    /// 8-bit integers with scales.
    Int8(Int8Rows<'a>),
}

impl Coded<'_> {
    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F16(rows) => rows.len(),
            Self::Int8(rows) => rows.len(),
        }
    }

    /// Writes a row as floats; `false` beyond the last. `out` has `dim` places.
    pub(crate) fn decode(&self, row: usize, out: &mut [f32]) -> bool {
        match self {
            Self::F16(rows) => match rows.row(row) {
                Some(row) => f16::decode(row.bits(), out),
                None => return false,
            },
            Self::Int8(rows) => match rows.row(row) {
                Some(row) => int8::decode(row.codes(), row.scales()[0], out),
                None => return false,
            },
        }
        true
    }

    /// The Euclidean length of a stored row; zero beyond the last.
    pub(crate) fn norm(&self, row: usize) -> f64 {
        match self {
            Self::F16(rows) => rows.row(row).map_or(0.0, |row| f16::norm(row.bits())),
            Self::Int8(rows) => {
                rows.row(row).map_or(0.0, |row| int8::norm(row.codes(), row.scales()[0]))
            }
        }
    }
}
