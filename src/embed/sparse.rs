//! A sparse vector as callers hand it in, and the door that makes it canonical: terms ascending and
//! distinct, weights above zero and not so large that a score might not be finite.

use std::borrow::Cow;

use super::numbers::{Floats, Ints};
use crate::error::{Fault, InputError};
use crate::id::TermId;
use crate::limits::{MAX_TERMS, MAX_WEIGHT};
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
    signed: bool,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    Arrays(Ints<'a>, Floats<'a>),
    Pairs(&'a [(TermId, f32)]),
}

impl<'a> SparseVector<'a> {
    /// From term ids (of any integer type) and as many weights (f32 or f16).
    pub fn new(terms: impl Into<Ints<'a>>, weights: impl Into<Floats<'a>>) -> Self {
        Self { form: Form::Arrays(terms.into(), weights.into()), model: None, signed: false }
    }

    /// From (term, weight) pairs.
    pub fn pairs(pairs: &'a [(TermId, f32)]) -> Self {
        Self { form: Form::Pairs(pairs), model: None, signed: false }
    }

    /// Says which model made it; a field built with another model refuses it.
    #[must_use]
    pub fn model(mut self, model: &'a ModelFingerprint) -> Self {
        self.model = Some(model);
        self
    }

    /// Allows weights below zero, in a query: they lower the score of the documents that have the
    /// term, and answers are as exact as without them. A document is refused with such weights.
    ///
    /// Documents with weights below zero are stored by giving each term two ids, one for either
    /// sign; the query then weighs the two with opposite signs. The score is the dot product of
    /// the vectors as they were.
    ///
    /// ```
    /// use lateen::{Document, IndexWriter, Query, Schema, SparseVector};
    ///
    /// // Term t is stored as 2t where its weight is above zero, as 2t + 1 where it is below.
    /// let stored = |vector: &[(u32, f32)]| -> Vec<(u32, f32)> {
    ///     vector.iter().map(|&(t, w)| (2 * t + u32::from(w < 0.0), w.abs())).collect()
    /// };
    /// let asked = |vector: &[(u32, f32)]| -> Vec<(u32, f32)> {
    ///     vector.iter().flat_map(|&(t, w)| [(2 * t, w), (2 * t + 1, -w)]).collect()
    /// };
    /// let mut schema = Schema::builder();
    /// let field = schema.sparse("signed");
    /// let mut writer = IndexWriter::in_memory(schema.build()?)?;
    /// writer.add(&Document::new("a").sparse(&field, &stored(&[(7, 1.0), (9, -2.0)]))?)?;
    /// writer.add(&Document::new("b").sparse(&field, &stored(&[(7, -1.0), (9, 0.5)]))?)?;
    /// writer.commit()?;
    ///
    /// let vector = asked(&[(7, 0.5), (9, -1.0)]);
    /// let query = Query::sparse(&field, SparseVector::pairs(&vector).signed())?.exact();
    /// let hits = writer.reader()?.search(&query)?;
    /// let scores: Vec<f32> = hits.iter().map(|hit| hit.score()).collect();
    /// assert_eq!(scores, [0.5 + 2.0, -0.5 - 0.5]);
    /// # Ok::<(), lateen::Error>(())
    /// ```
    #[must_use]
    pub fn signed(mut self) -> Self {
        self.signed = true;
        self
    }

    /// Checks and canonicalises a query for a field: as [`clean`](Self::clean), but for weights
    /// below zero where they are allowed.
    pub(crate) fn clean_query(&self, field: &SparseField) -> Result<CleanSparse<'a>, InputError> {
        if !self.signed {
            return self.clean(field);
        }
        let name = field.name();
        check_model(name, self.model, field.model())?;
        match self.form {
            Form::Arrays(terms, weights) => {
                same_length(name, "weights beside the terms", weights.len(), terms.len())?;
                let entry = |i| Ok((terms.u32(i, name)?, weights.get(i)));
                clean_entries(field, terms.len(), entry, true)
            }
            Form::Pairs(pairs) => {
                let entry = |i| Ok(pairs.get(i).copied().unwrap_or_default());
                clean_entries(field, pairs.len(), entry, true)
            }
        }
    }

    /// Checks and canonicalises for a field.
    pub(crate) fn clean(&self, field: &SparseField) -> Result<CleanSparse<'a>, InputError> {
        let name = field.name();
        check_model(name, self.model, field.model())?;
        match self.form {
            Form::Arrays(terms, weights) => clean_arrays(field, terms, weights),
            Form::Pairs(pairs) => {
                let entry = |i| Ok(pairs.get(i).copied().unwrap_or_default());
                clean_entries(field, pairs.len(), entry, false)
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
    /// Above zero, at most [`MAX_WEIGHT`]; as many as terms.
    pub(crate) weights: Cow<'a, [f32]>,
    /// Entries of weight zero that were dropped.
    pub(crate) zeros: u32,
}

/// Whether a vector is in the form that is stored, of terms up to `last`.
pub(super) fn is_canonical(terms: &[TermId], weights: &[f32], last: TermId) -> bool {
    terms.len() <= MAX_TERMS
        && terms.last().is_none_or(|&term| term <= last)
        && terms.windows(2).all(|pair| pair[0] < pair[1])
        && weights.iter().all(|&weight| weight > 0.0 && weight <= MAX_WEIGHT)
}

fn clean_arrays<'a>(
    field: &SparseField,
    terms: Ints<'a>,
    weights: Floats<'a>,
) -> Result<CleanSparse<'a>, InputError> {
    let name = field.name();
    same_length(name, "weights beside the terms", weights.len(), terms.len())?;
    // What is canonical already is borrowed as it is.
    if let (Ints::U32(ids), Floats::F32(values)) = (terms, weights)
        && is_canonical(ids, values, field.last_term())
    {
        return Ok(CleanSparse { terms: ids.into(), weights: values.into(), zeros: 0 });
    }
    clean_entries(field, terms.len(), |i| Ok((terms.u32(i, name)?, weights.get(i))), false)
}

/// Entries on their way to canonical form: term, weight, position as given.
pub(super) type Entries = Vec<(TermId, f32, usize)>;

fn clean_entries<'a>(
    field: &SparseField,
    count: usize,
    entry: impl Fn(usize) -> Result<(TermId, f32), InputError>,
    signed: bool,
) -> Result<CleanSparse<'a>, InputError> {
    let mut entries = Entries::with_capacity(count.min(MAX_TERMS));
    let zeros = canonical(field, count, entry, &mut entries, signed)?;
    Ok(CleanSparse {
        terms: entries.iter().map(|&(term, _, _)| term).collect(),
        weights: entries.iter().map(|&(_, weight, _)| weight).collect(),
        zeros,
    })
}

/// Fills `entries` with the canonical form of a vector, weights below zero allowed where `signed`;
/// gives the zeros that were dropped.
pub(super) fn canonical(
    field: &SparseField,
    count: usize,
    entry: impl Fn(usize) -> Result<(TermId, f32), InputError>,
    entries: &mut Entries,
    signed: bool,
) -> Result<u32, InputError> {
    let (field, last) = (field.name(), field.last_term());
    if count > MAX_TERMS {
        return Err(InputError::new(
            field,
            Fault::TooMany { what: "terms", found: count as u64, limit: MAX_TERMS as u64 },
        ));
    }
    entries.clear();
    let mut zeros = 0;
    for i in 0..count {
        let (term, weight) = entry(i)?;
        let refuse = |what| Err(InputError::new(field, what).at(i));
        if term > last {
            return refuse(Fault::BeyondVocabulary { term, limit: last });
        }
        if !weight.is_finite() {
            return refuse(Fault::NotFinite { value: weight.into() });
        }
        if weight < 0.0 && !signed {
            return refuse(Fault::Negative { value: weight.into() });
        }
        if weight.abs() > MAX_WEIGHT {
            return refuse(Fault::TooHeavy { value: weight, limit: MAX_WEIGHT });
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
    Ok(zeros)
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
