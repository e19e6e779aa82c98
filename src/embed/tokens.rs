//! Token matrices as callers hand them in, one or many, and the door that checks them: shape,
//! finiteness, and the length that the field promises.

use half::f16;

use super::numbers::{Floats, Ints};
use super::sparse::{check_model, same_length};
use crate::error::{Fault, InputError};
use crate::limits::{MAX_DOCUMENT_TOKENS, MAX_QUERY_TOKENS};
use crate::schema::{
    ModelFingerprint, Normalization, TokenCodec, TokenField, TokenOptions, TokenTier,
};

/// How far from 1 the length of a row of a `Checked` field may be: 8-bit rows stay within it.
pub(crate) const LENGTH_TOLERANCE: f32 = 0.02;

/// From here on a component rounds to no finite f16.
const LARGEST_F16: f32 = 65_520.0;
/// From here on a row's largest component needs a scale that f16 does not hold, at 127 steps.
const LARGEST_INT8: f32 = 127.0 * 65_504.0;

/// The numbers of token rows, row after row.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Rows<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 16-bit floats.
    F16(&'a [f16]),
    /// 8-bit integers with one scale per row: component = code × scale.
    I8 {
        /// The codes, row after row.
        codes: &'a [i8],
        /// One scale per row, finite.
        scales: &'a [f32],
    },
}

impl<'a> From<Floats<'a>> for Rows<'a> {
    fn from(floats: Floats<'a>) -> Self {
        match floats {
            Floats::F32(s) => Self::F32(s),
            Floats::F16(s) => Self::F16(s),
        }
    }
}

macro_rules! rows_from {
    ($($variant:ident($t:ty)),*) => {$(
        impl<'a> From<&'a [$t]> for Rows<'a> {
            fn from(slice: &'a [$t]) -> Self {
                Self::$variant(slice)
            }
        }

        impl<'a> From<&'a Vec<$t>> for Rows<'a> {
            fn from(vec: &'a Vec<$t>) -> Self {
                Self::$variant(vec)
            }
        }

        impl<'a, const N: usize> From<&'a [$t; N]> for Rows<'a> {
            fn from(array: &'a [$t; N]) -> Self {
                Self::$variant(array)
            }
        }
    )*};
}
rows_from!(F32(f32), F16(f16));

impl Rows<'_> {
    fn values(&self) -> usize {
        match self {
            Self::F32(s) => s.len(),
            Self::F16(s) => s.len(),
            Self::I8 { codes, .. } => codes.len(),
        }
    }

    fn slice(&self, rows: std::ops::Range<usize>, dim: usize) -> Option<Self> {
        let range = rows.start.checked_mul(dim)?..rows.end.checked_mul(dim)?;
        Some(match *self {
            Self::F32(s) => Self::F32(s.get(range)?),
            Self::F16(s) => Self::F16(s.get(range)?),
            Self::I8 { codes, scales } => {
                Self::I8 { codes: codes.get(range)?, scales: scales.get(rows)? }
            }
        })
    }

    /// Row `i` as `f32`; `out` has one place per component.
    fn decode(&self, i: usize, out: &mut [f32]) {
        let dim = out.len();
        let range = i * dim..(i + 1) * dim;
        match *self {
            Self::F32(s) => out.copy_from_slice(&s[range]),
            Self::F16(s) => {
                for (out, x) in out.iter_mut().zip(&s[range]) {
                    *out = x.to_f32();
                }
            }
            Self::I8 { codes, scales } => {
                for (out, &code) in out.iter_mut().zip(&codes[range]) {
                    *out = f32::from(code) * scales[i];
                }
            }
        }
    }
}

/// One token matrix, borrowed: n rows of `dim` components.
///
/// ```
/// use lateen::TokenMatrix;
/// let rows = [0.6f32, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let one_token = TokenMatrix::new(&rows, 8);
/// # let _ = one_token;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TokenMatrix<'a> {
    rows: Rows<'a>,
    dim: usize,
    spans: Option<&'a [(u32, u32)]>,
    model: Option<&'a ModelFingerprint>,
}

impl<'a> TokenMatrix<'a> {
    /// Rows of `dim` components, one after another, as f32, f16 or i8 with scales.
    pub fn new(rows: impl Into<Rows<'a>>, dim: usize) -> Self {
        Self { rows: rows.into(), dim, spans: None, model: None }
    }

    /// For each row, the bytes `start..end` of the document's text that it stands for. Kept with
    /// the rows, and given back where a match is explained.
    #[must_use]
    pub fn spans(mut self, spans: &'a [(u32, u32)]) -> Self {
        self.spans = Some(spans);
        self
    }

    /// Says which model made it; a field built with another model refuses it.
    #[must_use]
    pub fn model(mut self, model: &'a ModelFingerprint) -> Self {
        self.model = Some(model);
        self
    }

    /// Components of a row, as said.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Checks a document's matrix for a field; `None` where it has no rows.
    pub(crate) fn clean(&self, field: &TokenField) -> Result<Option<CleanTokens<'a>>, InputError> {
        self.clean_with(field, &mut Vec::new())
    }

    /// The same with room for a row.
    fn clean_with(
        &self,
        field: &TokenField,
        row: &mut Vec<f32>,
    ) -> Result<Option<CleanTokens<'a>>, InputError> {
        check_model(field.name(), self.model, field.options().model.as_ref())?;
        let (what, limit) = ("rows of a document", MAX_DOCUMENT_TOKENS);
        clean_matrix(field, self.rows, self.dim, self.spans, (what, limit), row)
    }

    /// Checks a query's matrix for a field, and decodes it; at least one row.
    pub(crate) fn clean_query(&self, field: &TokenField) -> Result<Vec<f32>, InputError> {
        check_model(field.name(), self.model, field.options().model.as_ref())?;
        let limit = ("rows of a query", MAX_QUERY_TOKENS);
        let rows = clean_matrix(field, self.rows, self.dim, None, limit, &mut Vec::new())?
            .ok_or_else(|| {
                InputError::new(field.name(), Fault::Empty { what: "a query of no rows" })
            })?;
        let mut out = vec![0.0; rows.len() * rows.dim()];
        for (i, row) in out.chunks_exact_mut(rows.dim()).enumerate() {
            rows.row(i, row);
        }
        Ok(out)
    }
}

/// A document's rows past the door: at least one, finite, of the promised length.
#[derive(Clone, Debug)]
pub(crate) struct CleanTokens<'a> {
    rows: Rows<'a>,
    dim: usize,
    count: usize,
    normalize: bool,
    spans: Option<&'a [(u32, u32)]>,
}

impl CleanTokens<'_> {
    /// How many rows: at least one.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Components of a row.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Row `i < len()` as it is to be stored; `out` has `dim()` places.
    pub(crate) fn row(&self, i: usize, out: &mut [f32]) {
        self.rows.decode(i, out);
        if self.normalize {
            let length = length(out);
            for x in out {
                *x = nearest(f64::from(*x) / length);
            }
        }
    }

    /// The text bytes of each row, where they were given.
    pub(crate) fn spans(&self) -> Option<&[(u32, u32)]> {
        self.spans
    }
}

/// The nearest f32; a length of components that fit may itself not.
#[allow(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
fn nearest(x: f64) -> f32 {
    x as f32
}

/// Euclidean length, in one fixed order and wide enough for any row of finite f32.
fn length(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

fn clean_matrix<'a>(
    field: &TokenField,
    rows: Rows<'a>,
    dim: usize,
    spans: Option<&'a [(u32, u32)]>,
    (what, limit): (&'static str, usize),
    row: &mut Vec<f32>,
) -> Result<Option<CleanTokens<'a>>, InputError> {
    let name = field.name();
    let options = field.options();
    if dim != options.dim {
        let (found, expected) = (dim as u64, options.dim as u64);
        return Err(InputError::new(name, Fault::Dimension { found, expected }));
    }
    let found = rows.values();
    if !found.is_multiple_of(dim) {
        let fault = Fault::Ragged { found: found as u64, dim: dim as u64 };
        return Err(InputError::new(name, fault));
    }
    let count = found / dim;
    if count > limit {
        let (found, limit) = (count as u64, limit as u64);
        return Err(InputError::new(name, Fault::TooMany { what, found, limit }));
    }
    if let Rows::I8 { scales, .. } = rows {
        same_length(name, "scales beside the rows", scales.len(), count)?;
        if let Some(i) = scales.iter().position(|scale| !scale.is_finite()) {
            let fault = Fault::NotFinite { value: scales[i].into() };
            return Err(InputError::new(name, fault).row(i));
        }
    }
    if let Some(spans) = spans {
        same_length(name, "spans beside the rows", spans.len(), count)?;
        if let Some(i) = spans.iter().position(|&(start, end)| end < start) {
            let fault = Fault::Backwards { from: spans[i].0.into(), to: spans[i].1.into() };
            return Err(InputError::new(name, fault).row(i));
        }
    }
    row.clear();
    row.resize(dim, 0.0);
    for i in 0..count {
        rows.decode(i, row);
        check_row(options, row).map_err(|(position, what)| match position {
            Some(at) => InputError::new(name, what).row(i).at(at),
            None => InputError::new(name, what).row(i),
        })?;
    }
    let normalize = options.normalization == Normalization::Normalize;
    Ok((count > 0).then_some(CleanTokens { rows, dim, count, normalize, spans }))
}

fn check_row(options: &TokenOptions, row: &[f32]) -> Result<(), (Option<usize>, Fault)> {
    if let Some(at) = row.iter().position(|x| !x.is_finite()) {
        return Err((Some(at), Fault::NotFinite { value: row[at].into() }));
    }
    match options.normalization {
        Normalization::AsIs => {
            let int8 = options.codec == TokenCodec::Int8 && options.tier == TokenTier::None;
            let largest = if int8 { LARGEST_INT8 } else { LARGEST_F16 };
            if let Some(at) = row.iter().position(|x| x.abs() >= largest) {
                return Err((Some(at), Fault::TooLarge { value: row[at], limit: largest }));
            }
        }
        Normalization::Normalize => {
            if row.iter().all(|&x| x == 0.0) {
                return Err((None, Fault::ZeroRow));
            }
        }
        Normalization::Checked => {
            let norm = nearest(length(row));
            if (norm - 1.0).abs() > LENGTH_TOLERANCE {
                let tolerance = LENGTH_TOLERANCE;
                return Err((None, Fault::NotNormalized { norm, tolerance }));
            }
        }
    }
    Ok(())
}

/// Many token matrices, borrowed. A document of no rows lacks the field.
#[derive(Clone, Copy, Debug)]
pub struct TokenBatch<'a> {
    form: BatchForm<'a>,
    spans: Option<&'a [(u32, u32)]>,
    model: Option<&'a ModelFingerprint>,
}

#[derive(Clone, Copy, Debug)]
enum BatchForm<'a> {
    Flat { rows: Rows<'a>, lengths: Ints<'a>, dim: usize },
    Matrices(&'a [TokenMatrix<'a>]),
}

impl<'a> TokenBatch<'a> {
    /// The rows of all documents one after another, and how many each document has. Nothing is
    /// copied.
    pub fn flat(rows: impl Into<Rows<'a>>, lengths: impl Into<Ints<'a>>, dim: usize) -> Self {
        let form = BatchForm::Flat { rows: rows.into(), lengths: lengths.into(), dim };
        Self { form, spans: None, model: None }
    }

    /// One matrix per document.
    pub fn matrices(matrices: &'a [TokenMatrix<'a>]) -> Self {
        Self { form: BatchForm::Matrices(matrices), spans: None, model: None }
    }

    /// One text span per row of a flat batch; matrices carry their own.
    #[must_use]
    pub fn spans(mut self, spans: &'a [(u32, u32)]) -> Self {
        self.spans = Some(spans);
        self
    }

    /// Says which model made them.
    #[must_use]
    pub fn model(mut self, model: &'a ModelFingerprint) -> Self {
        self.model = Some(model);
        self
    }

    /// Checks shape and every row; one entry per document.
    pub(crate) fn clean(
        &self,
        field: &TokenField,
    ) -> Result<Vec<Option<CleanTokens<'a>>>, InputError> {
        let name = field.name();
        check_model(name, self.model, field.options().model.as_ref())?;
        match self.form {
            BatchForm::Matrices(_) if self.spans.is_some() => {
                let what = "spans of a batch of matrices, which carry their own".to_owned();
                Err(InputError::new(name, Fault::Parameter { value: "spans".into(), range: what }))
            }
            BatchForm::Matrices(matrices) => {
                let mut row = Vec::new();
                let mut clean = |(document, matrix): (usize, &TokenMatrix<'a>)| {
                    matrix.clean_with(field, &mut row).map_err(|error| in_document(error, document))
                };
                matrices.iter().enumerate().map(&mut clean).collect()
            }
            BatchForm::Flat { rows, lengths, dim } => {
                let total = rows.values();
                if dim == 0 || !total.is_multiple_of(dim) {
                    let fault = Fault::Ragged { found: total as u64, dim: dim as u64 };
                    return Err(InputError::new(name, fault));
                }
                let count = total / dim;
                if let Rows::I8 { scales, .. } = rows {
                    same_length(name, "scales beside the rows", scales.len(), count)?;
                }
                if let Some(spans) = self.spans {
                    same_length(name, "spans beside the rows", spans.len(), count)?;
                }
                let mut out = Vec::with_capacity(lengths.len());
                let mut start = 0usize;
                let mut row = Vec::new();
                for document in 0..lengths.len() {
                    let length =
                        lengths.usize(document, name).map_err(|error| error.row(document))?;
                    let end = start.saturating_add(length);
                    let Some(part) = rows.slice(start..end, dim) else {
                        let (found, expected) = (end as u64, count as u64);
                        let what = "rows up to this length";
                        let fault = Fault::Counts { what, found, expected };
                        return Err(InputError::new(name, fault).row(document));
                    };
                    let spans = self.spans.and_then(|spans| spans.get(start..end));
                    let limit = ("rows of a document", MAX_DOCUMENT_TOKENS);
                    out.push(
                        clean_matrix(field, part, dim, spans, limit, &mut row)
                            .map_err(|error| in_document(error, document))?,
                    );
                    start = end;
                }
                same_length(name, "rows of all lengths together", start, count)?;
                Ok(out)
            }
        }
    }
}

/// The fault of a document of a batch: `row` names the document, `position` the token row.
fn in_document(mut error: InputError, document: usize) -> InputError {
    if error.row.is_some() {
        error.position = error.row;
    }
    error.row = Some(document as u64);
    error
}
