//! Many sparse vectors as callers hand them in, and the door that makes them canonical.

use std::borrow::Cow;

use super::numbers::{Floats, Ints};
use super::sparse::{CleanSparse, Entries, canonical, check_model, is_canonical, same_length};
use crate::error::{Fault, InputError};
use crate::id::TermId;
use crate::schema::{ModelFingerprint, SparseField};

/// What is counted where a column is held against the documents.
const BESIDE: &str = "rows beside the keys";

/// Many sparse vectors, borrowed. A row with no entries is a document that lacks the field.
#[derive(Clone, Copy, Debug)]
pub struct SparseBatch<'a> {
    form: BatchForm<'a>,
    model: Option<&'a ModelFingerprint>,
}

#[derive(Clone, Copy, Debug)]
enum BatchForm<'a> {
    Csr { indptr: Ints<'a>, terms: Ints<'a>, weights: Floats<'a> },
    Coo { rows: Ints<'a>, terms: Ints<'a>, weights: Floats<'a>, count: usize },
    Pairs(&'a [Vec<(TermId, f32)>]),
}

impl<'a> SparseBatch<'a> {
    /// Compressed sparse rows, as SciPy keeps them: row `i` is the entries
    /// `indptr[i]..indptr[i + 1]`. Nothing is copied where terms are `u32`, weights `f32` and each
    /// row is in order.
    pub fn csr(
        indptr: impl Into<Ints<'a>>,
        terms: impl Into<Ints<'a>>,
        weights: impl Into<Floats<'a>>,
    ) -> Self {
        let form =
            BatchForm::Csr { indptr: indptr.into(), terms: terms.into(), weights: weights.into() };
        Self { form, model: None }
    }

    /// Coordinates (row, term, weight), rows ascending, as a coalesced PyTorch sparse tensor keeps
    /// them. `count` is the number of rows, since the last ones may be empty.
    pub fn coo(
        rows: impl Into<Ints<'a>>,
        terms: impl Into<Ints<'a>>,
        weights: impl Into<Floats<'a>>,
        count: usize,
    ) -> Self {
        let form = BatchForm::Coo {
            rows: rows.into(),
            terms: terms.into(),
            weights: weights.into(),
            count,
        };
        Self { form, model: None }
    }

    /// One list of (term, weight) pairs per row.
    pub fn pairs(rows: &'a [Vec<(TermId, f32)>]) -> Self {
        Self { form: BatchForm::Pairs(rows), model: None }
    }

    /// Says which model made them.
    #[must_use]
    pub fn model(mut self, model: &'a ModelFingerprint) -> Self {
        self.model = Some(model);
        self
    }

    /// Checks the shape, that there is a row for each document, and every row.
    pub(crate) fn clean(
        &self,
        field: &SparseField,
        documents: usize,
    ) -> Result<CleanSparseRows<'a>, InputError> {
        let name = field.name();
        check_model(name, self.model, field.model())?;
        let (ends, terms, weights) = match self.form {
            BatchForm::Pairs(rows) => {
                same_length(name, BESIDE, rows.len(), documents)?;
                return clean_pairs(field, rows);
            }
            BatchForm::Csr { indptr, terms, weights } => {
                (offsets(name, indptr, terms.len())?, terms, weights)
            }
            BatchForm::Coo { rows, terms, weights, count } => {
                // Before anything is made as large as the number says.
                same_length(name, BESIDE, count, documents)?;
                same_length(name, "row coordinates beside the terms", rows.len(), terms.len())?;
                (row_offsets(name, rows, count)?, terms, weights)
            }
        };
        same_length(name, BESIDE, ends.len().saturating_sub(1), documents)?;
        same_length(name, "weights beside the terms", weights.len(), terms.len())?;
        // What is canonical already is borrowed as it is.
        let last = field.last_term();
        if let (Ints::U32(ids), Floats::F32(values)) = (terms, weights)
            && ends
                .windows(2)
                .all(|row| is_canonical(&ids[row[0]..row[1]], &values[row[0]..row[1]], last))
        {
            return Ok(CleanSparseRows {
                ends,
                terms: ids.into(),
                weights: values.into(),
                zeros: 0,
            });
        }
        let mut out = Owned::with_capacity(ends.len(), terms.len());
        for (row, range) in ends.windows(2).enumerate() {
            let start = range[0];
            let entry = |i: usize| {
                let term = terms.u32(start + i, name).map_err(|error| error.at(i))?;
                Ok((term, weights.get(start + i)))
            };
            out.push(field, row, range[1] - start, entry)?;
        }
        Ok(out.finish())
    }
}

fn clean_pairs<'a>(
    field: &SparseField,
    rows: &[Vec<(TermId, f32)>],
) -> Result<CleanSparseRows<'a>, InputError> {
    let mut out = Owned::with_capacity(rows.len(), rows.iter().map(Vec::len).sum());
    for (row, pairs) in rows.iter().enumerate() {
        let entry = |i: usize| Ok(pairs.get(i).copied().unwrap_or_default());
        out.push(field, row, pairs.len(), entry)?;
    }
    Ok(out.finish())
}

/// A batch past the door: canonical rows one after another, in three allocations at most.
#[derive(Clone, Debug)]
pub(crate) struct CleanSparseRows<'a> {
    /// Row `i` is `ends[i]..ends[i + 1]`.
    ends: Vec<usize>,
    terms: Cow<'a, [TermId]>,
    weights: Cow<'a, [f32]>,
    zeros: u64,
}

impl CleanSparseRows<'_> {
    /// How many terms a row has.
    pub(super) fn terms_of(&self, row: usize) -> usize {
        let end = |at: usize| self.ends.get(at).copied().unwrap_or(0);
        end(row + 1).saturating_sub(end(row))
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.ends.len().saturating_sub(1)
    }

    /// Row `i < len()`; one without terms lacks the field.
    pub(crate) fn row(&self, i: usize) -> CleanSparse<'_> {
        let range = self.ends[i]..self.ends[i + 1];
        CleanSparse {
            terms: self.terms[range.clone()].into(),
            weights: self.weights[range].into(),
            zeros: 0,
        }
    }

    /// Whether row `i` has terms.
    pub(crate) fn has(&self, i: usize) -> bool {
        self.ends.get(i).zip(self.ends.get(i + 1)).is_some_and(|(start, end)| start < end)
    }

    /// Entries of weight zero that were dropped, in all rows.
    pub(crate) fn zeros(&self) -> u64 {
        self.zeros
    }
}

/// Rows that had to be made canonical, gathered in one place.
struct Owned {
    ends: Vec<usize>,
    terms: Vec<TermId>,
    weights: Vec<f32>,
    zeros: u64,
    entries: Entries,
}

impl Owned {
    fn with_capacity(rows: usize, entries: usize) -> Self {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Self {
            ends,
            terms: Vec::with_capacity(entries),
            weights: Vec::with_capacity(entries),
            zeros: 0,
            entries: Entries::new(),
        }
    }

    fn push(
        &mut self,
        field: &SparseField,
        row: usize,
        count: usize,
        entry: impl Fn(usize) -> Result<(TermId, f32), InputError>,
    ) -> Result<(), InputError> {
        let zeros = canonical(field, count, entry, &mut self.entries, false)
            .map_err(|error| error.row(row))?;
        self.zeros += u64::from(zeros);
        self.terms.extend(self.entries.iter().map(|&(term, _, _)| term));
        self.weights.extend(self.entries.iter().map(|&(_, weight, _)| weight));
        self.ends.push(self.terms.len());
        Ok(())
    }

    fn finish<'a>(self) -> CleanSparseRows<'a> {
        let Self { ends, terms, weights, zeros, .. } = self;
        CleanSparseRows { ends, terms: terms.into(), weights: weights.into(), zeros }
    }
}

/// Offsets from ascending row coordinates.
fn row_offsets(field: &str, rows: Ints<'_>, count: usize) -> Result<Vec<usize>, InputError> {
    let mut ends = Vec::with_capacity(count + 1);
    ends.push(0);
    let mut last = 0;
    for i in 0..rows.len() {
        let row = rows.usize(i, field)?;
        if row < last {
            let fault = Fault::Backwards { from: last as u64, to: row as u64 };
            return Err(InputError::new(field, fault).at(i));
        }
        if row >= count {
            let (value, limit) = (row.to_string(), count.saturating_sub(1) as u64);
            return Err(InputError::new(field, Fault::OutOfRange { value, limit }).at(i));
        }
        ends.resize(row + 1, i);
        last = row;
    }
    ends.resize(count + 1, rows.len());
    Ok(ends)
}

/// Offsets of a ragged batch: from 0 to `total`, never backwards.
pub(super) fn offsets(
    field: &str,
    indptr: Ints<'_>,
    total: usize,
) -> Result<Vec<usize>, InputError> {
    let mut ends = Vec::with_capacity(indptr.len());
    let mut last = 0usize;
    for i in 0..indptr.len() {
        let end = indptr.usize(i, field)?;
        if end < last {
            let fault = Fault::Backwards { from: last as u64, to: end as u64 };
            return Err(InputError::new(field, fault).at(i));
        }
        last = end;
        ends.push(end);
    }
    match ends.first() {
        None => {
            Err(InputError::new(field, Fault::Empty { what: "no offsets, not even a first 0" }))
        }
        Some(&first) if first != 0 => {
            let fault = Fault::Counts { what: "first offset", found: first as u64, expected: 0 };
            Err(InputError::new(field, fault))
        }
        Some(_) => {
            same_length(field, "entries up to the last offset", last, total)?;
            Ok(ends)
        }
    }
}
