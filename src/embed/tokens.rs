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

    /// The first components of row `i`, of `dim` in all, as `f32`: as many as `out` has places.
    fn decode(&self, i: usize, dim: usize, out: &mut [f32]) {
        let range = i * dim..i * dim + out.len();
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
    pub(super) dim: usize,
    pub(super) truncated: Option<usize>,
    spans: Option<&'a [(u32, u32)]>,
    pub(super) model: Option<&'a ModelFingerprint>,
}

impl<'a> TokenMatrix<'a> {
    /// Rows of `dim` components, one after another, as f32, f16 or i8 with scales.
    pub fn new(rows: impl Into<Rows<'a>>, dim: usize) -> Self {
        Self { rows: rows.into(), dim, truncated: None, spans: None, model: None }
    }

    /// Lets only the first `dim` components of each row count: what models trained for it
    /// (Matryoshka representations, arXiv 2205.13147) are made for. `dim` is a multiple of 8, at
    /// most the dimension of the rows.
    ///
    /// A **query** may then have fewer components than the field it is asked of, which it may not
    /// otherwise: each of its rows meets the first `dim` components of the stored rows, as they
    /// are stored. A score is the sum of the largest such dot products, whatever is left of the
    /// length of a stored row, and exact answers are exact by that score. Without this call a
    /// query of another dimension than the field's is refused.
    ///
    /// A **document** so cut fits a field of `dim` components.
    ///
    /// Rows are held to what the field says of their length as they are given. Where it says that
    /// the length is 1 ([`Checked`](crate::Normalization::Checked) and
    /// [`Normalize`](crate::Normalization::Normalize)), what is left of a row that was cut is scaled
    /// to length 1; with [`AsIs`](crate::Normalization::AsIs), and in a
    /// [`Reranker`](crate::Reranker), it stays as it is.
    ///
    /// ```
    /// use lateen::{TokenMatrix, maxsim};
    ///
    /// let query = [0.6f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    /// let document = [1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0];
    /// let document = TokenMatrix::new(&document, 16).truncated_to(8);
    /// assert_eq!(maxsim(TokenMatrix::new(&query, 8), document)?, 0.6);
    /// # Ok::<(), lateen::Error>(())
    /// ```
    #[must_use]
    pub fn truncated_to(mut self, dim: usize) -> Self {
        self.truncated = Some(dim);
        self
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

    /// Components of a row that count, as said.
    pub(crate) fn dim(&self) -> usize {
        self.truncated.unwrap_or(self.dim)
    }

    /// How much of the rows counts; refused where that is no part of them.
    fn shape(&self, field: &TokenField) -> Result<Shape, InputError> {
        let (dim, kept) = (self.dim, self.dim());
        if self.truncated.is_some() && (kept == 0 || !kept.is_multiple_of(8) || kept > dim) {
            let range = format!("a multiple of 8, 8 to {dim}, which the rows have");
            let fault = Fault::Parameter { value: kept.to_string(), range };
            return Err(InputError::new(field.name(), fault));
        }
        Ok(Shape { stride: dim, kept })
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
        let shape = self.shape(field)?;
        same_dim(field, shape.kept)?;
        let limit = ("rows of a document", MAX_DOCUMENT_TOKENS);
        clean_matrix(field, self.rows, shape, self.spans, limit, row)
    }

    /// Checks a query's matrix for a field, and decodes it: at least one row, of [`dim`](Self::dim)
    /// components, which are those of the field unless the matrix is truncated.
    pub(crate) fn clean_query(&self, field: &TokenField) -> Result<Vec<f32>, InputError> {
        check_model(field.name(), self.model, field.options().model.as_ref())?;
        let shape = self.shape(field)?;
        if self.truncated.is_none() || shape.kept > field.dim() {
            same_dim(field, shape.kept)?;
        }
        let limit = ("rows of a query", MAX_QUERY_TOKENS);
        let rows = clean_matrix(field, self.rows, shape, None, limit, &mut Vec::new())?
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

/// Components of a row, and how many of them, from the first, count.
#[derive(Clone, Copy, Debug)]
struct Shape {
    stride: usize,
    kept: usize,
}

/// A document's rows past the door: at least one, finite, of the promised length.
#[derive(Clone, Debug)]
pub(crate) struct CleanTokens<'a> {
    rows: Rows<'a>,
    shape: Shape,
    count: usize,
    normalize: bool,
    spans: Option<&'a [(u32, u32)]>,
}

impl CleanTokens<'_> {
    /// How many rows: at least one.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Components of a row that count.
    pub(crate) fn dim(&self) -> usize {
        self.shape.kept
    }

    /// Row `i < len()` as it is to be stored; `out` has `dim()` places.
    pub(crate) fn row(&self, i: usize, out: &mut [f32]) {
        self.rows.decode(i, self.shape.stride, out);
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

/// Refuses another dimension than the field's.
fn same_dim(field: &TokenField, dim: usize) -> Result<(), InputError> {
    if dim == field.dim() {
        return Ok(());
    }
    let (found, expected) = (dim as u64, field.dim() as u64);
    Err(InputError::new(field.name(), Fault::Dimension { found, expected }))
}

fn clean_matrix<'a>(
    field: &TokenField,
    rows: Rows<'a>,
    shape: Shape,
    spans: Option<&'a [(u32, u32)]>,
    (what, limit): (&'static str, usize),
    row: &mut Vec<f32>,
) -> Result<Option<CleanTokens<'a>>, InputError> {
    let name = field.name();
    let options = field.options();
    let Shape { stride: dim, kept } = shape;
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
        rows.decode(i, dim, row);
        check_row(options, row, kept).map_err(|(position, what)| match position {
            Some(at) => InputError::new(name, what).row(i).at(at),
            None => InputError::new(name, what).row(i),
        })?;
    }
    let normalize = match options.normalization {
        Normalization::AsIs => false,
        Normalization::Checked => kept < dim,
        Normalization::Normalize => true,
    };
    Ok((count > 0).then_some(CleanTokens { rows, shape, count, normalize, spans }))
}

/// Checks a row, of which the first `kept` components count.
fn check_row(
    options: &TokenOptions,
    row: &[f32],
    kept: usize,
) -> Result<(), (Option<usize>, Fault)> {
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
        Normalization::Normalize => {}
        Normalization::Checked => {
            let norm = nearest(length(row));
            if (norm - 1.0).abs() > LENGTH_TOLERANCE {
                let tolerance = LENGTH_TOLERANCE;
                return Err((None, Fault::NotNormalized { norm, tolerance }));
            }
        }
    }
    let scaled = options.normalization != Normalization::AsIs;
    if scaled && row.iter().take(kept).all(|&x| x == 0.0) {
        return Err((None, Fault::ZeroRow));
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
        check_model(field.name(), self.model, field.options().model.as_ref())?;
        let mut row = Vec::new();
        let mut clean = |(document, matrix): (usize, TokenMatrix<'a>)| {
            matrix.clean_with(field, &mut row).map_err(|error| in_document(error, document))
        };
        self.split(field.name())?.into_iter().enumerate().map(&mut clean).collect()
    }

    /// A matrix for each document; `name` is what errors are said of.
    pub(super) fn split(&self, name: &str) -> Result<Vec<TokenMatrix<'a>>, InputError> {
        let (rows, lengths, dim) = match self.form {
            BatchForm::Matrices(_) if self.spans.is_some() => {
                let what = "spans of a batch of matrices, which carry their own".to_owned();
                let fault = Fault::Parameter { value: "spans".into(), range: what };
                return Err(InputError::new(name, fault));
            }
            BatchForm::Matrices(matrices) => return Ok(matrices.to_vec()),
            BatchForm::Flat { rows, lengths, dim } => (rows, lengths, dim),
        };
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
        for document in 0..lengths.len() {
            let length = lengths.usize(document, name).map_err(|error| error.row(document))?;
            let end = start.saturating_add(length);
            let Some(part) = rows.slice(start..end, dim) else {
                let (found, expected) = (end as u64, count as u64);
                let what = "rows up to this length";
                let fault = Fault::Counts { what, found, expected };
                return Err(InputError::new(name, fault).row(document));
            };
            let spans = self.spans.and_then(|spans| spans.get(start..end));
            let model = self.model;
            out.push(TokenMatrix { rows: part, dim, truncated: None, spans, model });
            start = end;
        }
        same_length(name, "rows of all lengths together", start, count)?;
        Ok(out)
    }
}

/// The fault of a document of a batch: `row` names the document, `position` the token row.
pub(super) fn in_document(mut error: InputError, document: usize) -> InputError {
    if error.row.is_some() {
        error.position = error.row;
    }
    error.row = Some(document as u64);
    error
}
