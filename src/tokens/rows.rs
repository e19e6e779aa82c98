//! A document's rows in one of the codecs: the one place that knows how each is read, scanned and
//! scored.
//!
//! f16 rows have float scores only. int8 rows have integer and float kernels of their own. Packed
//! rows, which are residual and product codes, are made int8 rows first, a cache's worth at a
//! time, and are int8 rows from there on: the same integers, the same floats, the same bounds.

use crate::codec::{f16, int8};
use crate::kernel::tokens::{F16Rows, Int8Rows, KernelScratch, PackedRows, expand, select_one};
use crate::kernel::{Kernels, prefetch};

use super::narrow;
use super::query::TokenQuery;
use super::search::TokenScratch;

/// Bytes of rows that are expanded at a time, at least eight rows: half of a small first cache.
const EXPAND_BYTES: usize = 16 << 10;
const EXPAND_ROWS: usize = 8;
/// Bytes of the next document that are asked for while one is being scored; from there on the
/// memory's own prediction takes over.
const PREFETCH_BYTES: usize = 2048;

/// Rows in one of the codecs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Coded<'a> {
    /// 16-bit floats.
    F16(F16Rows<'a>),
    /// 8-bit integers with scales.
    Int8(Int8Rows<'a>),
    /// Centroids and codes for what is left.
    Packed(PackedRows<'a>),
}

impl Coded<'_> {
    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::F16(rows) => rows.len(),
            Self::Int8(rows) => rows.len(),
            Self::Packed(rows) => rows.len(),
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
            Self::Packed(rows) => match rows.row(row) {
                Some(row) => int8::decode(&expanded(&row), row.scales()[0], out),
                None => return false,
            },
        }
        true
    }

    /// What one step of a row's numbers is worth; `None` where rows are floats or a row is zero.
    pub(super) fn step(&self, row: usize) -> Option<f32> {
        let bits = match self {
            Self::F16(_) => return None,
            Self::Int8(rows) => *rows.scales().get(row)?,
            Self::Packed(rows) => *rows.scales().get(row)?,
        };
        Some(half::f16::from_bits(bits).to_f32()).filter(|&step| step > 0.0)
    }

    /// The Euclidean length of a stored row; zero beyond the last.
    pub(crate) fn norm(&self, row: usize) -> f64 {
        match self {
            Self::F16(rows) => rows.row(row).map_or(0.0, |row| f16::norm(row.bits())),
            Self::Int8(rows) => {
                rows.row(row).map_or(0.0, |row| int8::norm(row.codes(), row.scales()[0]))
            }
            Self::Packed(rows) => {
                rows.row(row).map_or(0.0, |row| int8::norm(&expanded(&row), row.scales()[0]))
            }
        }
    }

    /// One row alone; `None` beyond the last.
    pub(super) fn row(&self, row: usize) -> Option<Self> {
        match self {
            Self::F16(rows) => rows.row(row).map(Coded::F16),
            Self::Int8(rows) => rows.row(row).map(Coded::Int8),
            Self::Packed(rows) => rows.row(row).map(Coded::Packed),
        }
    }

    /// Asks the memory for the rows.
    #[inline]
    pub(super) fn prefetch(&self) {
        match self {
            Self::F16(rows) => prefetch(rows.bits(), PREFETCH_BYTES),
            Self::Int8(rows) => {
                prefetch(rows.scales(), PREFETCH_BYTES);
                prefetch(rows.codes(), PREFETCH_BYTES);
            }
            Self::Packed(rows) => {
                prefetch(rows.ids(), PREFETCH_BYTES);
                prefetch(rows.scales(), PREFETCH_BYTES);
                prefetch(rows.codes(), PREFETCH_BYTES);
            }
        }
    }

    /// For each lane the largest integer dot product, into `scratch.largest`, which must fit the
    /// query; `false` where the rows have no integers.
    pub(super) fn select(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        scratch: &mut TokenScratch,
    ) -> bool {
        match self {
            Self::F16(_) => false,
            Self::Int8(rows) => {
                select(query, kernels, rows, &mut scratch.kernel, &mut scratch.largest);
                true
            }
            Self::Packed(rows) => {
                by_parts(rows, kernels, scratch, |rows, kernel, largest| {
                    select(query, kernels, rows, kernel, largest);
                });
                true
            }
        }
    }

    /// For each query row the largest dot product, into `scratch.largest`, which must fit the
    /// query. No row is longer than `norm`; infinite where that is not known.
    pub(super) fn largest_dots(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        norm: f64,
        scratch: &mut TokenScratch,
    ) {
        let mut held = std::mem::take(&mut scratch.narrow);
        let (kernel, largest) = (&mut scratch.kernel, &mut scratch.largest);
        let rows_of = query.floats().out_len();
        match self {
            Self::F16(rows) => (kernels.tokens.max_f16)(query.floats(), rows, kernel, largest),
            Self::Int8(rows) => {
                let largest = &mut largest[..rows_of];
                narrow::largest(query, kernels, rows, norm, kernel, &mut held, largest);
            }
            Self::Packed(rows) => by_parts(rows, kernels, scratch, |rows, kernel, largest| {
                let largest = &mut largest[..rows_of];
                narrow::largest(query, kernels, rows, norm, kernel, &mut held, largest);
            }),
        }
        scratch.narrow = held;
    }
}

/// Room that the parts of a packed document need.
pub(super) fn expanded_bytes(dim: usize) -> usize {
    EXPAND_BYTES.max(EXPAND_ROWS * dim)
}

/// The bytes of one row.
fn expanded(row: &PackedRows<'_>) -> Vec<u8> {
    let mut bytes = vec![0; row.dim()];
    expand(row, 0, &mut bytes);
    bytes
}

/// For each lane the largest integer dot product with a document's rows.
#[inline]
fn select(
    query: &TokenQuery,
    kernels: &Kernels,
    rows: &Int8Rows<'_>,
    kernel: &mut KernelScratch,
    largest: &mut [f32],
) {
    if let Some(dot) = select_one(query.lanes(), rows, kernel) {
        largest[0] = dot; // the other lanes have no rows, and so no part in the score
    } else {
        (kernels.tokens.select_int8)(query.lanes(), rows, kernel, largest);
    }
}

/// Expands a document's rows part by part; the largest of what `each` finds in the parts comes
/// into `scratch.largest`.
fn by_parts(
    rows: &PackedRows<'_>,
    kernels: &Kernels,
    scratch: &mut TokenScratch,
    mut each: impl FnMut(&Int8Rows<'_>, &mut KernelScratch, &mut [f32]),
) {
    let TokenScratch { kernel, largest, partial, expanded, .. } = scratch;
    let dim = rows.dim();
    let count = (expanded.len() / dim).max(1);
    for first in (0..rows.len()).step_by(count) {
        let end = (first + count).min(rows.len());
        let bytes = &mut expanded[..(end - first) * dim];
        (kernels.tokens.expand)(rows, first, bytes);
        let Some(part) = Int8Rows::new(bytes, &rows.scales()[first..end], dim) else { return };
        if first == 0 {
            each(&part, kernel, largest);
            continue;
        }
        each(&part, kernel, partial);
        for (best, &value) in largest.iter_mut().zip(&*partial) {
            if value > *best {
                *best = value;
            }
        }
    }
}
