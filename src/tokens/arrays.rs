//! The sections that hold rows, of either tier: opened, cut to a document's rows, checked.

use std::sync::OnceLock;

use half::f16;

use crate::codec::levels;
use crate::codec::product::pair_up;
use crate::error::Result;
use crate::format::{Array, Container, Section, SectionKind};
use crate::kernel::tokens::{Book, F16Rows, Int8Rows, PackedRows, Steps};
use crate::schema::{TokenCodec, TokenTier};

use super::centroids::CentroidArrays;
use super::rows::Coded;

/// Rows of one tier, as they lie in the file.
#[derive(Debug)]
pub(super) enum CodeArrays {
    F16(Array<u16>),
    Int8 { codes: Array<u8>, scales: Array<u16> },
    Packed { codes: Array<u8>, scales: Array<u16>, book: BookArray },
}

/// What codes mean, as it lies in the file.
#[derive(Debug)]
pub(super) struct BookArray {
    numbers: Array<i8>,
    codec: TokenCodec,
    /// The tables of 4-bit codes two by two, since two share a byte: made when first needed.
    pairs: OnceLock<Vec<i8>>,
}

impl CodeArrays {
    /// The first tier: `rows` rows of `dim` components. Sizes are compared, nothing is touched.
    pub(super) fn open(
        container: &Container,
        field: u32,
        codec: TokenCodec,
        rows: usize,
        dim: usize,
    ) -> Result<Self> {
        let sized = |kind| container.section(kind, field);
        let codes = sized(SectionKind::TOKENS_CODES)?;
        let many = |bytes: usize| {
            rows.checked_mul(bytes).ok_or_else(|| codes.corrupt(0, "more than can be"))
        };
        let scales = || sized(SectionKind::TOKENS_SCALES)?.array_of(rows);
        Ok(match codec {
            TokenCodec::F16 => Self::F16(codes.array_of(many(dim)?)?),
            TokenCodec::Int8 => {
                Self::Int8 { codes: codes.array_of(many(dim)?)?, scales: scales()? }
            }
            packed => Self::Packed {
                codes: codes.array_of(many(packed.row_bytes(dim))?)?,
                scales: scales()?,
                book: BookArray {
                    numbers: sized(SectionKind::TOKENS_BOOK)?.array_of(book_len(packed, dim))?,
                    codec: packed,
                    pairs: OnceLock::new(),
                },
            },
        })
    }

    /// The second tier, where there is one.
    pub(super) fn open_tier(
        container: &Container,
        field: u32,
        tier: TokenTier,
        rows: usize,
        dim: usize,
    ) -> Result<Option<Self>> {
        if tier == TokenTier::None {
            return Ok(None);
        }
        let codes = container.section(SectionKind::TOKENS_TIER, field)?;
        let values = rows.checked_mul(dim).ok_or_else(|| codes.corrupt(0, "more than can be"))?;
        Ok(Some(if tier == TokenTier::F16 {
            Self::F16(codes.array_of(values)?)
        } else {
            let scales = container.section(SectionKind::TOKENS_TIER_SCALES, field)?;
            Self::Int8 { codes: codes.array_of(values)?, scales: scales.array_of(rows)? }
        }))
    }

    /// As slices. Packed rows need the centroids; without them there are none.
    pub(super) fn slices<'a>(
        &'a self,
        centroids: Option<&'a CentroidArrays>,
        dim: usize,
    ) -> CodeSlices<'a> {
        match self {
            Self::F16(bits) => CodeSlices::F16(bits),
            Self::Int8 { codes, scales } => CodeSlices::Int8 { codes, scales },
            Self::Packed { codes, scales, book } => CodeSlices::Packed {
                codes,
                scales,
                ids: centroids.map_or(&[], CentroidArrays::ids),
                book: centroids.and_then(|centroids| {
                    Book::new(centroids.codes(), dim, book.steps(dim, codes.len()))
                }),
            },
        }
    }

    /// Checks the numbers of a document's rows, the first of which is the row `at` of the store:
    /// what no checksum can say.
    pub(super) fn verify(&self, rows: &Coded<'_>, at: usize, dim: usize) -> Result<()> {
        let check_scales = |scales: &[u16], section: &Section| {
            let bad = |&bits: &u16| {
                let scale = f16::from_bits(bits);
                !scale.is_finite() || scale.is_sign_negative()
            };
            match scales.iter().position(bad) {
                Some(i) => Err(section.corrupt_element(at + i, "not a scale")),
                None => Ok(()),
            }
        };
        match (rows, self) {
            (Coded::F16(rows), Self::F16(array)) => {
                let bad = |&bits: &u16| !f16::from_bits(bits).is_finite();
                if let Some(i) = rows.bits().iter().position(bad) {
                    return Err(array
                        .section()
                        .corrupt_element(at * dim + i, "not a finite number"));
                }
            }
            (Coded::Int8(rows), Self::Int8 { codes, scales }) => {
                check_scales(rows.scales(), scales.section())?;
                if let Some(i) = rows.codes().iter().position(|&code| code == 0) {
                    return Err(codes.section().corrupt_element(at * dim + i, "not a code"));
                }
            }
            (Coded::Packed(rows), Self::Packed { scales, .. }) => {
                check_scales(rows.scales(), scales.section())?;
            }
            _ => {}
        }
        Ok(())
    }

    /// The numbers of the book; none where rows are not packed.
    pub(super) fn book(&self) -> &[i8] {
        match self {
            Self::Packed { book, .. } => &book.numbers,
            Self::F16(_) | Self::Int8 { .. } => &[],
        }
    }

    /// Checks what codes mean.
    pub(super) fn verify_book(&self) -> Result<()> {
        let Self::Packed { book, .. } = self else { return Ok(()) };
        let bad = |&number: &i8| i32::from(number).abs() > levels::MOST;
        match book.numbers.iter().position(bad) {
            Some(at) => Err(book.numbers.section().corrupt_element(at, "not a step")),
            None => Ok(()),
        }
    }
}

/// Numbers that a book has.
pub(super) fn book_len(codec: TokenCodec, dim: usize) -> usize {
    match codec {
        TokenCodec::F16 | TokenCodec::Int8 => 0,
        TokenCodec::Residual4 => 16,
        TokenCodec::Residual2 => 4,
        TokenCodec::Residual1 => 2,
        TokenCodec::Product { bits, .. } => dim << bits.min(8),
    }
}

/// What the codes of a codec look up, from the numbers of its book.
pub(super) fn steps(codec: TokenCodec, numbers: &[i8]) -> Steps<'_> {
    if let TokenCodec::Product { subspaces, bits } = codec {
        return Steps::Parts { entries: numbers, parts: subspaces.into(), bits: bits.into() };
    }
    let mut levels = [0; 16];
    for (level, &number) in levels.iter_mut().zip(numbers) {
        *level = number;
    }
    let bits = match codec {
        TokenCodec::Residual4 => 4,
        TokenCodec::Residual2 => 2,
        _ => 1,
    };
    Steps::Levels { bits, levels }
}

impl BookArray {
    /// The same for so many bytes of codes. Looked up two by two, codes of 4 bits take a quarter
    /// less time, and sixteen times the memory of their tables: not worth it, and more than the file
    /// justifies, where there are few.
    fn steps(&self, dim: usize, bytes: usize) -> Steps<'_> {
        match steps(self.codec, &self.numbers) {
            Steps::Parts { parts, bits: 4, .. } if bytes.saturating_mul(2) >= 256 * dim => {
                let make = || pair_up(&self.numbers, dim / parts.max(1));
                let entries = &**self.pairs.get_or_init(make);
                Steps::Parts { entries, parts: parts / 2, bits: 8 }
            }
            steps => steps,
        }
    }
}

/// Rows of one tier as slices.
#[derive(Clone, Copy, Debug)]
pub(super) enum CodeSlices<'a> {
    F16(&'a [u16]),
    Int8 { codes: &'a [u8], scales: &'a [u16] },
    Packed { codes: &'a [u8], scales: &'a [u16], ids: &'a [u16], book: Option<Book<'a>> },
}

impl<'a> CodeSlices<'a> {
    /// Some rows of `dim` components; `None` where they are not there or have a centroid that is
    /// not.
    #[inline]
    pub(super) fn rows(&self, start: usize, end: usize, dim: usize) -> Option<Coded<'a>> {
        match *self {
            Self::F16(bits) => F16Rows::new(bits.get(start * dim..end * dim)?, dim).map(Coded::F16),
            Self::Int8 { codes, scales } => {
                let codes = codes.get(start * dim..end * dim)?;
                Int8Rows::new(codes, scales.get(start..end)?, dim).map(Coded::Int8)
            }
            Self::Packed { codes, scales, ids, book } => {
                let book = book?;
                let bytes = book.row_bytes();
                let codes = codes.get(start * bytes..end * bytes)?;
                let (scales, ids) = (scales.get(start..end)?, ids.get(start..end)?);
                PackedRows::new(codes, scales, ids, book).map(Coded::Packed)
            }
        }
    }
}
