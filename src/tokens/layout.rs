//! What lies in a segment for one token field, and a document's share of it.

use bytemuck::{Pod, Zeroable};

use crate::schema::{Normalization, TokenCodec, TokenTier};

use super::rows::Coded;

/// The numbers of a token field in a segment, the first of its sections.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct TokenHead {
    /// How rows are stored: 1 f16, 2 int8, 3 to 5 residuals of 4, 2 and 1 bits, 6 product codes,
    /// with their bits from bit 8 on and the number of sub-spaces from bit 16 on.
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
    /// The second tier: 0 none, 1 f16, 2 int8.
    pub(crate) tier: u32,
}

/// What is known of a document's stored rows, both as f16 and never too small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct RowBounds {
    /// The largest Euclidean length of a stored row, of either tier.
    pub(crate) norm: u16,
    /// The largest distance between a row as it was given and as its best tier holds it.
    pub(crate) error: u16,
}

/// The codec's number in [`TokenHead`].
pub(super) fn codec_number(codec: TokenCodec) -> u32 {
    match codec {
        TokenCodec::F16 => 1,
        TokenCodec::Int8 => 2,
        TokenCodec::Residual4 => 3,
        TokenCodec::Residual2 => 4,
        TokenCodec::Residual1 => 5,
        TokenCodec::Product { subspaces, bits } => {
            6 | u32::from(bits) << 8 | u32::from(subspaces) << 16
        }
    }
}

/// The second tier's number in [`TokenHead`].
pub(super) fn tier_number(tier: TokenTier) -> u32 {
    match tier {
        TokenTier::None => 0,
        TokenTier::F16 => 1,
        TokenTier::Int8 => 2,
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
    /// The rows of the best tier: what scores are made of.
    pub(crate) coded: Coded<'a>,
    /// The rows that are scanned, where those are others.
    pub(crate) scan: Option<Coded<'a>>,
    /// The largest distance between a row of the one and of the other, as f16, never too small.
    pub(crate) gap: u16,
    /// What is known of them.
    pub(crate) bounds: RowBounds,
    /// Their places in the text.
    pub(crate) spans: Spans<'a>,
}

impl<'a> TokenRows<'a> {
    /// The rows that are scanned.
    pub(crate) fn first(&self) -> &Coded<'a> {
        self.scan.as_ref().unwrap_or(&self.coded)
    }
}
