//! Sparse vectors as callers hand them in, one or many, and the door that makes them canonical:
//! terms ascending and distinct, weights finite and above zero.

use std::borrow::Cow;

use super::numbers::{Floats, Ints};
use crate::error::{Fault, InputError};
use crate::id::TermId;
use crate::limits::MAX_TERMS;
use crate::schema::{ModelFingerprint, SparseField};

/// One sparse vector, borrowed: term ids in any order and their weights.
///
/// ```
/// use lateen::SparseVector;
/// let from_arrays = SparseVector::new(&[7u32, 3], &[0.5f32, 1.25]);
/// let from_pairs = SparseVector::pairs(&[(7, 0.5), (3, 1.25)]);
/// # let _ = (from_arrays, from_pairs);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SparseVector<'a> {
    form: Form<'a>,
    model: Option<&'a ModelFingerprint>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Arrays(Ints<'a>, Floats<'a>),
    Pairs(&'a [(TermId, f32)]),
}

impl<'a> SparseVector<'a> {
    /// From term ids (of any integer type) and as many weights (f32 or f16).
    pub fn new(terms: impl Into<Ints<'a>>, weights: impl Into<Floats<'a>>) -> Self {
        Self { form: Form::Arrays(terms.into(), weights.into()), model: None }
    }

    /// From (term, weight) pairs.
    pub fn pairs(pairs: &'a [(TermId, f32)]) -> Self {
        Self { form: Form::Pairs(pairs), model: None }
    }

    /// Says which model made it; a field built with another model refuses it.
    #[must_use]
    pub fn model(mut self, model: &'a ModelFingerprint) -> Self {
        self.model = Some(model);
        self
    }

    /// Checks and canonicalises for a field.
    pub(crate) fn clean(&self, field: &SparseField) -> Result<CleanSparse<'a>, InputError> {
        let name = field.name();
        check_model(name, self.model, field.model())?;
        match self.form {
            Form::Arrays(terms, weights) => clean_arrays(name, terms, weights),
            Form::Pairs(pairs) => {
                clean_entries(name, pairs.len(), |i| Ok(pairs.get(i).copied().unwrap_or_default()))
            }
        }
    }
}

impl<'a> From<&'a [(TermId, f32)]> for SparseVector<'a> {
    fn from(pairs: &'a [(TermId, f32)]) -> Self {
        Self::pairs(pairs)
    }
}

impl<'a> From<&'a Vec<(TermId, f32)>> for SparseVector<'a> {
    fn from(pairs: &'a Vec<(TermId, f32)>) -> Self {
        Self::pairs(pairs)
    }
}

impl<'a, const N: usize> From<&'a [(TermId, f32); N]> for SparseVector<'a> {
    fn from(pairs: &'a [(TermId, f32); N]) -> Self {
        Self::pairs(pairs)
    }
}

pub(super) fn check_model(
    field: &str,
    found: Option<&ModelFingerprint>,
    expected: Option<&ModelFingerprint>,
) -> Result<(), InputError> {
    match (found, expected) {
        (Some(found), Some(expected)) if found != expected => Err(InputError::new(
            field,
            Fault::Model { found: found.to_string(), expected: expected.to_string() },
        )),
        _ => Ok(()),
    }
}

/// A vector past the door.
#[derive(Clone, Debug, Default)]
pub(crate) struct CleanSparse<'a> {
    /// Ascending, distinct.
    pub(crate) terms: Cow<'a, [TermId]>,
    /// Finite, above zero; as many as terms.
    pub(crate) weights: Cow<'a, [f32]>,
    /// Entries of weight zero that were dropped.
    pub(crate) zeros: u32,
}

fn clean_arrays<'a>(
    field: &str,
    terms: Ints<'a>,
    weights: Floats<'a>,
) -> Result<CleanSparse<'a>, InputError> {
    same_length(field, "weights beside the terms", weights.len(), terms.len())?;
    // What is canonical already is borrowed as it is.
    if let (Ints::U32(ids), Floats::F32(values)) = (terms, weights)
        && ids.len() <= MAX_TERMS
        && ids.windows(2).all(|pair| pair[0] < pair[1])
        && values.iter().all(|&w| w.is_finite() && w > 0.0)
    {
        return Ok(CleanSparse { terms: ids.into(), weights: values.into(), zeros: 0 });
    }
    clean_entries(field, terms.len(), |i| Ok((terms.u32(i, field)?, weights.get(i))))
}

fn clean_entries<'a>(
    field: &str,
    count: usize,
    entry: impl Fn(usize) -> Result<(TermId, f32), InputError>,
) -> Result<CleanSparse<'a>, InputError> {
    if count > MAX_TERMS {
        return Err(InputError::new(
            field,
            Fault::TooMany { what: "terms", found: count as u64, limit: MAX_TERMS as u64 },
        ));
    }
    let mut entries: Vec<(TermId, f32, usize)> = Vec::with_capacity(count);
    let mut zeros = 0;
    for i in 0..count {
        let (term, weight) = entry(i)?;
        let refuse = |what| Err(InputError::new(field, what).at(i));
        if !weight.is_finite() {
            return refuse(Fault::NotFinite { value: weight.into() });
        }
        if weight < 0.0 {
            return refuse(Fault::Negative { value: weight.into() });
        }
        if weight == 0.0 {
            zeros += 1;
        }
        entries.push((term, weight, i));
    }
    entries.sort_unstable_by_key(|&(term, _, i)| (term, i));
    for pair in entries.windows(2) {
        if pair[0].0 == pair[1].0 {
            return Err(
                InputError::new(field, Fault::DuplicateTerm { term: pair[1].0 }).at(pair[1].2)
            );
        }
    }
    entries.retain(|&(_, weight, _)| weight != 0.0);
    Ok(CleanSparse {
        terms: entries.iter().map(|&(term, _, _)| term).collect(),
        weights: entries.iter().map(|&(_, weight, _)| weight).collect(),
        zeros,
    })
}

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

    /// Checks the shape and every row, and gives the rows one after another. An error leaves
    /// whatever `take` did to the caller to undo.
    pub(crate) fn clean(&self, field: &SparseField) -> Result<Vec<CleanSparse<'a>>, InputError> {
        let name = field.name();
        check_model(name, self.model, field.model())?;
        let mut out = Vec::new();
        match self.form {
            BatchForm::Csr { indptr, terms, weights } => {
                same_length(name, "weights beside the terms", weights.len(), terms.len())?;
                let ends = offsets(name, indptr, terms.len())?;
                for (row, pair) in ends.windows(2).enumerate() {
                    let range = pair[0]..pair[1];
                    out.push(clean_row(name, terms, weights, range, row)?);
                }
            }
            BatchForm::Coo { rows, terms, weights, count } => {
                same_length(name, "weights beside the terms", weights.len(), terms.len())?;
                same_length(name, "row coordinates beside the terms", rows.len(), terms.len())?;
                let mut start = 0;
                let mut last = 0;
                for i in 0..rows.len() {
                    let row = rows.usize(i, name)?;
                    if row < last {
                        let fault = Fault::Backwards { from: last as u64, to: row as u64 };
                        return Err(InputError::new(name, fault).at(i));
                    }
                    if row >= count {
                        let (value, limit) = (row.to_string(), count.saturating_sub(1) as u64);
                        return Err(InputError::new(name, Fault::OutOfRange { value, limit }).at(i));
                    }
                    while last < row {
                        out.push(clean_row(name, terms, weights, start..i, last)?);
                        start = i;
                        last += 1;
                    }
                }
                while last < count {
                    out.push(clean_row(name, terms, weights, start..terms.len(), last)?);
                    start = terms.len();
                    last += 1;
                }
            }
            BatchForm::Pairs(rows) => {
                for (row, pairs) in rows.iter().enumerate() {
                    let entry = |i: usize| Ok(pairs.get(i).copied().unwrap_or_default());
                    out.push(clean_entries(name, pairs.len(), entry).map_err(|e| e.row(row))?);
                }
            }
        }
        Ok(out)
    }
}

fn clean_row<'a>(
    field: &str,
    terms: Ints<'a>,
    weights: Floats<'a>,
    range: std::ops::Range<usize>,
    row: usize,
) -> Result<CleanSparse<'a>, InputError> {
    let beyond = || {
        let (found, expected) = (range.end as u64, terms.len() as u64);
        InputError::new(field, Fault::Counts { what: "entries of the rows", found, expected })
    };
    let ids = terms.slice(range.clone()).ok_or_else(beyond)?;
    let values = weights.slice(range.clone()).ok_or_else(beyond)?;
    clean_arrays(field, ids, values).map_err(|error| error.row(row))
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

/// Two counts that must agree.
pub(super) fn same_length(
    field: &str,
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), InputError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found as u64, expected as u64);
    Err(InputError::new(field, Fault::Counts { what, found, expected }))
}
