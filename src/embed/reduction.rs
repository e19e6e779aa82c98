//! Fewer token rows per document: pooling of rows that say the same, and leaving out rows of
//! tokens that say little.

use super::numbers::Ints;
use super::pooling::{STRETCH, ward};
use super::sparse::same_length;
use super::tokens::{TokenBatch, TokenMatrix, in_document};
use crate::error::{Fault, InputError, Result};
use crate::limits::MAX_DIM;
use crate::schema::{ModelFingerprint, Normalization, Schema, TokenOptions};

/// What errors are said of, before there is a field.
const NAME: &str = "token matrix";
/// The largest pooling factor.
const MAX_POOL: usize = 64;

/// Makes the token matrices of documents smaller before they are handed in; queries stay whole.
///
/// **Pooling** (Clavié, Chaffin, Adams, "Reducing the Footprint of Multi-Vector Retrieval with
/// Minimal Performance Impact via Token Pooling", arXiv 2409.14683) makes clusters of rows that
/// point the same way, one for every `factor` rows, by Ward's criterion on rows of unit length, and
/// keeps of each its mean, scaled to the mean length of its rows. **Skipping** leaves out the rows of
/// tokens that the caller names: punctuation, say, or the most frequent ones.
///
/// What is kept depends on nothing but the rows and ids of the document. What it costs and saves
/// on real vectors: `cargo bench --bench tokens -- reduced`.
///
/// ```
/// use lateen::{TokenMatrix, TokenReduction};
///
/// let rows = [1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let reduction = TokenReduction::new().pool(2).protect(0);
/// let reduced = reduction.reduce(&TokenMatrix::new(&rows, 8), None)?;
/// assert_eq!((reduced.len(), reduced.given()), (1, 2));
/// // document.tokens(&field, reduced.matrix())?
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TokenReduction {
    factor: usize,
    protected: usize,
    /// Ascending.
    skipped: Vec<u32>,
}

impl Default for TokenReduction {
    fn default() -> Self {
        Self { factor: 1, protected: 1, skipped: Vec::new() }
    }
}

impl TokenReduction {
    /// One that keeps everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps one row for every `factor` rows, rounded up: 1, which pools nothing, to 64. Documents
    /// of more than 512 rows are pooled in stretches of so many.
    #[must_use]
    pub fn pool(mut self, factor: usize) -> Self {
        self.factor = factor;
        self
    }

    /// Rows at the start of each document that are kept as they are: 1, the model's mark of the
    /// start, unless said otherwise.
    #[must_use]
    pub fn protect(mut self, rows: usize) -> Self {
        self.protected = rows;
        self
    }

    /// Leaves out rows of these tokens, protected rows excepted; added to those named before. A
    /// document of which nothing would be left keeps all its rows.
    #[must_use]
    pub fn skip(mut self, ids: impl IntoIterator<Item = u32>) -> Self {
        self.skipped.extend(ids);
        self.skipped.sort_unstable();
        self.skipped.dedup();
        self
    }

    /// Reduces one document's matrix. `ids` are the tokens of its rows, which skipping needs.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input): a factor out of range, tokens to skip but no ids, as
    /// many ids as rows not; a dimension that is no multiple of 8 up to 4,096, a partial row, more
    /// than 65,535 rows, a number that is not finite.
    pub fn reduce(&self, matrix: &TokenMatrix<'_>, ids: Option<&[u32]>) -> Result<ReducedTokens> {
        let reduced = self.reduced(matrix, ids.map(Ints::from), 0)?;
        if let Some(ids) = ids {
            same_length(NAME, "ids beside the rows", ids.len(), reduced.given)?;
        }
        Ok(reduced)
    }

    /// Reduces the matrices of a batch, in their order. `ids` are the tokens of all rows, one
    /// document after another. The results go on as
    /// [`TokenBatch::matrices`].
    ///
    /// # Errors
    /// As [`reduce`](Self::reduce), with the document as the row and the row as the position; and as
    /// for a batch whose lengths do not fit its rows.
    pub fn reduce_batch(
        &self,
        batch: &TokenBatch<'_>,
        ids: Option<Ints<'_>>,
    ) -> Result<Vec<ReducedTokens>> {
        let mut first = 0;
        let mut out = Vec::new();
        for (document, matrix) in batch.split(NAME)?.iter().enumerate() {
            let reduced =
                self.reduced(matrix, ids, first).map_err(|error| in_document(error, document))?;
            first += reduced.given;
            out.push(reduced);
        }
        if let Some(ids) = ids {
            same_length(NAME, "ids beside the rows", ids.len(), first)?;
        }
        Ok(out)
    }

    /// Reduces a matrix whose ids start at `first`; with a whole matrix's ids, `first` is 0.
    fn reduced(
        &self,
        matrix: &TokenMatrix<'_>,
        ids: Option<Ints<'_>>,
        first: usize,
    ) -> Result<ReducedTokens, InputError> {
        if self.factor == 0 || self.factor > MAX_POOL {
            let (value, range) = (self.factor.to_string(), format!("1..={MAX_POOL}"));
            return Err(InputError::new("pool", Fault::Parameter { value, range }));
        }
        let dim = matrix.dim;
        let options = TokenOptions::new(dim).normalization(Normalization::AsIs);
        if !options.dim_is_valid() {
            let (value, range) = (dim.to_string(), format!("a multiple of 8, 8 to {MAX_DIM}"));
            return Err(InputError::new("dimension", Fault::Parameter { value, range }));
        }
        let field = Schema::builder().tokens(NAME, options);
        let mut whole = *matrix;
        (whole.truncated, whole.model) = (None, None);
        let clean = whole.clean(&field)?;
        let given = clean.as_ref().map_or(0, super::CleanTokens::len);
        let mut out = ReducedTokens {
            rows: Vec::new(),
            dim,
            truncated: matrix.truncated,
            spans: None,
            model: matrix.model.cloned(),
            given,
        };
        let Some(clean) = clean else { return Ok(out) };
        let mut rows = vec![0.0; given * dim];
        for (i, row) in rows.chunks_exact_mut(dim).enumerate() {
            clean.row(i, row);
        }
        let kept = self.kept(given, ids, first)?;
        out.spans = clean.spans().map(|_| Vec::new());
        let free = kept.partition_point(|&row| row < self.protected);
        for &row in &kept[..free] {
            out.push(&[row], &rows, clean.spans());
        }
        for stretch in kept[free..].chunks(STRETCH) {
            for cluster in self.clusters(stretch, &rows, dim) {
                out.push(&cluster, &rows, clean.spans());
            }
        }
        Ok(out)
    }

    /// The rows that are not skipped, ascending.
    fn kept(
        &self,
        given: usize,
        ids: Option<Ints<'_>>,
        first: usize,
    ) -> Result<Vec<usize>, InputError> {
        if self.skipped.is_empty() {
            return Ok((0..given).collect());
        }
        let Some(ids) = ids else {
            return Err(InputError::new(NAME, Fault::Empty { what: "ids of tokens to skip by" }));
        };
        if ids.len() < first + given {
            same_length(NAME, "ids beside the rows", ids.len(), first + given)?;
        }
        let mut kept = Vec::with_capacity(given);
        for row in 0..given {
            let id = ids.usize(first + row, NAME)?;
            let skipped = u32::try_from(id).is_ok_and(|id| self.skipped.binary_search(&id).is_ok());
            if row < self.protected || !skipped {
                kept.push(row);
            }
        }
        Ok(if kept.is_empty() { (0..given).collect() } else { kept })
    }

    /// Clusters of some of the rows, in the order of their first rows.
    fn clusters(&self, stretch: &[usize], rows: &[f32], dim: usize) -> Vec<Vec<usize>> {
        let wanted = stretch.len().div_ceil(self.factor);
        if wanted == stretch.len() {
            return stretch.iter().map(|&row| vec![row]).collect();
        }
        let mut units = Vec::with_capacity(stretch.len() * dim);
        for &row in stretch {
            let row = &rows[row * dim..(row + 1) * dim];
            let length = length(row);
            let by = if length > 0.0 { 1.0 / length } else { 0.0 };
            units.extend(row.iter().map(|&x| nearest(f64::from(x) * by)));
        }
        let mut clusters = vec![Vec::new(); wanted];
        for (&row, number) in stretch.iter().zip(ward(&units, dim, wanted)) {
            clusters[number].push(row);
        }
        clusters
    }
}

/// What a [`TokenReduction`] keeps of a document.
#[derive(Clone, Debug)]
pub struct ReducedTokens {
    rows: Vec<f32>,
    dim: usize,
    truncated: Option<usize>,
    spans: Option<Vec<(u32, u32)>>,
    model: Option<ModelFingerprint>,
    given: usize,
}

impl ReducedTokens {
    /// The rows that are kept, as a document's matrix; with spans, model and truncation where they
    /// were given. The span of a pooled row is that of the row nearest to it.
    pub fn matrix(&self) -> TokenMatrix<'_> {
        let mut matrix = TokenMatrix::new(&self.rows, self.dim);
        matrix.truncated = self.truncated;
        if let Some(spans) = &self.spans {
            matrix = matrix.spans(spans);
        }
        matrix.model = self.model.as_ref();
        matrix
    }

    /// How many rows are kept.
    pub fn len(&self) -> usize {
        self.rows.len() / self.dim
    }

    /// Whether there are none, as there were none to begin with.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows there were.
    pub fn given(&self) -> usize {
        self.given
    }

    /// Takes in a cluster of at least one row.
    fn push(&mut self, cluster: &[usize], rows: &[f32], spans: Option<&[(u32, u32)]>) {
        let dim = self.dim;
        let row = |at: usize| &rows[at * dim..(at + 1) * dim];
        let mut nearest_row = cluster[0];
        let start = self.rows.len();
        self.rows.extend_from_slice(row(nearest_row));
        if cluster.len() > 1 {
            let mut sum = vec![0.0f64; dim];
            let mut lengths = 0.0;
            for &at in cluster {
                sum.iter_mut().zip(row(at)).for_each(|(sum, &x)| *sum += f64::from(x));
                lengths += length(row(at));
            }
            let own = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
            // Rows that cancel each other out have no direction: the first stands for them.
            if own > 1e-6 * lengths {
                let by = lengths / cluster.len() as f64 / own;
                for (to, x) in self.rows[start..].iter_mut().zip(&sum) {
                    *to = nearest(x * by);
                }
            }
            let near = |at: usize| -> f64 {
                sum.iter().zip(row(at)).map(|(sum, &x)| sum * f64::from(x)).sum()
            };
            for &at in &cluster[1..] {
                if near(at) > near(nearest_row) {
                    nearest_row = at;
                }
            }
        }
        if let (Some(out), Some(spans)) = (&mut self.spans, spans) {
            out.push(spans[nearest_row]);
        }
    }
}

/// Euclidean length, in one fixed order.
fn length(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// The nearest f32.
#[allow(clippy::cast_possible_truncation, reason = "rounding is what is wanted")]
fn nearest(x: f64) -> f32 {
    x as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::mix::Numbers;

    fn numbers(count: usize) -> Vec<f32> {
        let mut numbers = Numbers(3);
        (0..count).map(|_| numbers.unit()).collect()
    }

    fn rows_of(reduced: &ReducedTokens) -> Vec<&[f32]> {
        reduced.rows.chunks_exact(reduced.dim).collect()
    }

    #[test]
    fn pooled_rows_are_means_of_the_mean_length() {
        // Protected row, then two directions, each twice and of two lengths.
        let (mut a, mut b) = ([0.0f32; 8], [0.0f32; 8]);
        (a[0], b[3]) = (1.0, 1.0);
        let scaled = |row: [f32; 8], by: f32| row.map(|x| x * by);
        let rows = [a, a, b, scaled(a, 3.0), scaled(b, 2.0)].concat();
        let spans = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)];
        let matrix = TokenMatrix::new(&rows, 8).spans(&spans);
        let reduced = TokenReduction::new().pool(2).reduce(&matrix, None).unwrap();
        assert_eq!(rows_of(&reduced), [a, scaled(a, 2.0), scaled(b, 1.5)]);
        assert_eq!(reduced.spans.as_deref().unwrap(), [(0, 1), (3, 4), (4, 5)]);
        assert_eq!((reduced.len(), reduced.given()), (3, 5));
        // What cancels out is stood for by its first.
        let rows = [a, scaled(a, -1.0)].concat();
        let none = TokenReduction::new().protect(0).pool(2);
        let reduced = none.reduce(&TokenMatrix::new(&rows, 8), None).unwrap();
        assert_eq!(rows_of(&reduced), [a]);
    }

    #[test]
    fn named_tokens_are_left_out_but_never_all() {
        let rows = numbers(5 * 8);
        let matrix = TokenMatrix::new(&rows, 8);
        let reduction = TokenReduction::new().skip([7, 9]);
        let reduced = reduction.reduce(&matrix, Some(&[7, 9, 4, 7, 5])).unwrap();
        let row = |at: usize| &rows[at * 8..(at + 1) * 8];
        assert_eq!(rows_of(&reduced), [row(0), row(2), row(4)]);
        let all = reduction.clone().protect(0).reduce(&matrix, Some(&[7; 5])).unwrap();
        assert_eq!(all.rows, rows);
        assert!(reduction.reduce(&matrix, None).is_err());
        assert!(reduction.reduce(&matrix, Some(&[7; 4])).is_err());
        assert!(reduction.reduce(&matrix, Some(&[7; 6])).is_err());
    }

    #[test]
    fn every_document_keeps_its_share() {
        let lengths = [0usize, 1, 2, 7, 513, 1100];
        let rows = numbers(lengths.iter().sum::<usize>() * 8);
        let counts: Vec<u64> = lengths.iter().map(|&length| length as u64).collect();
        let batch = TokenBatch::flat(&rows, &counts, 8);
        for factor in [1, 2, 3, 64] {
            let reduced = TokenReduction::new().pool(factor).reduce_batch(&batch, None).unwrap();
            for (reduced, &length) in reduced.iter().zip(&lengths) {
                let free = length.saturating_sub(1);
                let kept = free / STRETCH * STRETCH.div_ceil(factor)
                    + (free % STRETCH).div_ceil(factor)
                    + length.min(1);
                assert_eq!((reduced.len(), reduced.given()), (kept, length));
            }
            if factor == 1 {
                let same: Vec<f32> = reduced.iter().flat_map(|one| one.rows.clone()).collect();
                assert_eq!(same, rows);
            }
        }
    }

    #[test]
    fn what_cannot_be_reduced_is_refused() {
        let mut rows = numbers(4 * 8);
        rows[20] = f32::NAN;
        let reduction = TokenReduction::new().pool(2).protect(0);
        let refused = |reduction: &TokenReduction, rows: &[f32], dim| match reduction
            .reduce(&TokenMatrix::new(rows, dim), None)
        {
            Err(Error::Input(error)) => error,
            other => panic!("{other:?}"),
        };
        let error = refused(&reduction, &rows, 8);
        assert_eq!((error.row, error.position), (Some(2), Some(4)));
        refused(&reduction, &rows[..12], 8);
        refused(&reduction, &rows[..16], 4);
        refused(&reduction, &[], 0);
        refused(&reduction, &vec![0.5; 65_536 * 8], 8);
        refused(&TokenReduction::new().pool(0), &rows[..16], 8);
        refused(&TokenReduction::new().pool(65), &rows[..16], 8);
        let lengths = [1u64, 3];
        let batch = TokenBatch::flat(&rows, &lengths, 8);
        match reduction.reduce_batch(&batch, None) {
            Err(Error::Input(error)) => {
                assert_eq!((error.row, error.position), (Some(1), Some(1)));
            }
            other => panic!("{other:?}"),
        }
    }
}
