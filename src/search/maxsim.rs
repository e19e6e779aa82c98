//! MaxSim of matrices that are in no index.

use crate::embed::TokenMatrix;
use crate::error::{Fault, InputError, Result};
use crate::kernel::{Kernels, select};
use crate::limits::MAX_DIM;
use crate::schema::{Normalization, Schema, TokenField, TokenOptions};
use crate::tokens::{TokenQuery, TokenScratch, score_floats};

/// The MaxSim of a query and a document, neither of them in an index: the sum, over the query's
/// rows, of the largest dot product with a row of the document, in the crate's one float order.
/// For more than one document a [`Reranker`] packs the query once.
///
/// ```
/// use lateen::{TokenMatrix, maxsim};
///
/// let query = [1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let document = [0.6f32, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let score = maxsim(TokenMatrix::new(&query, 8), TokenMatrix::new(&document, 8))?;
/// assert_eq!(score, 0.6);
/// # Ok::<(), lateen::Error>(())
/// ```
///
/// # Errors
/// As [`Reranker::new`] and [`Reranker::score`].
pub fn maxsim(query: TokenMatrix<'_>, document: TokenMatrix<'_>) -> Result<f32> {
    Reranker::new(query)?.score(document)
}

/// Scores documents that are in no index by MaxSim with one query.
///
/// ```
/// use lateen::{Reranker, TokenMatrix};
///
/// let query = [1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let far = [0.0f32, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let near = [0.6f32, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
/// let mut reranker = Reranker::new(TokenMatrix::new(&query, 8))?;
/// let ranked = reranker.rank([TokenMatrix::new(&far, 8), TokenMatrix::new(&near, 8)])?;
/// assert_eq!(ranked, [(1, 0.6), (0, 0.0)]);
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Debug)]
pub struct Reranker {
    query: TokenQuery,
    /// What documents are checked as.
    field: TokenField,
    kernels: &'static Kernels,
    scratch: TokenScratch,
    /// The rows of a document.
    rows: Vec<f32>,
}

impl Reranker {
    /// Packs a query of at least one row, as f32, f16 or int8; its dimension is a multiple of 8,
    /// at most 4,096. Rows are taken as they are, whatever their length. To score by a part of the
    /// components, query and documents are [truncated](TokenMatrix::truncated_to) alike.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input): no rows or more than 10,000, another dimension than
    /// said, a number that is not finite.
    pub fn new(query: TokenMatrix<'_>) -> Result<Self> {
        let dim = query.dim();
        let options = TokenOptions::new(dim).normalization(Normalization::AsIs);
        if !options.dim_is_valid() {
            let range = format!("a multiple of 8, 8 to {MAX_DIM}");
            let fault = Fault::Parameter { value: dim.to_string(), range };
            return Err(InputError::new("dimension", fault).into());
        }
        let mut fields = Schema::builder();
        let rows = query.clean_query(&fields.tokens("query", options.clone()))?;
        Ok(Self {
            query: TokenQuery::new(rows, dim),
            field: fields.tokens("document", options),
            kernels: select(None)?,
            scratch: TokenScratch::default(),
            rows: Vec::new(),
        })
    }

    /// The MaxSim of a document; −∞ where it has no rows. Rows of f16 and int8 are widened to f32.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input): another dimension than the query's, more than
    /// 65,535 rows, a number that is not finite.
    pub fn score(&mut self, document: TokenMatrix<'_>) -> Result<f32> {
        let Some(rows) = document.clean(&self.field)? else { return Ok(f32::NEG_INFINITY) };
        self.rows.resize(rows.len() * rows.dim(), 0.0);
        for (i, row) in self.rows.chunks_exact_mut(rows.dim()).enumerate() {
            rows.row(i, row);
        }
        Ok(score_floats(&self.query, self.kernels, &self.rows, &mut self.scratch))
    }

    /// The places of the documents and their scores, the best first, of equal scores the first.
    ///
    /// # Errors
    /// As [`score`](Self::score), at the first document that is refused.
    pub fn rank<'a>(
        &mut self,
        documents: impl IntoIterator<Item = TokenMatrix<'a>>,
    ) -> Result<Vec<(usize, f32)>> {
        let mut ranked = Vec::new();
        for (place, document) in documents.into_iter().enumerate() {
            ranked.push((place, self.score(document)?));
        }
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(ranked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use half::f16;

    #[test]
    fn documents_of_every_kind_get_their_score() {
        let rows: Vec<f32> = (0..5 * 24).map(|i| ((i * 37 % 101) as f32 - 50.0) / 64.0).collect();
        let halves: Vec<f16> = rows.iter().map(|&x| f16::from_f32(x)).collect();
        let codes: Vec<i8> = (0..5 * 24).map(|i| (i * 37 % 101) as i8 - 50).collect();
        let scales = [1.0 / 64.0; 5];
        let query: Vec<f32> = (0..3 * 24).map(|i| ((i * 53 % 89) as f32 - 44.0) / 64.0).collect();
        // Multiples of 1/4096 below 2^24 in all: every order of adding them up is exact.
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let expected: f32 = query
            .chunks(24)
            .map(|q| rows.chunks(24).map(|d| dot(q, d)).fold(f32::NEG_INFINITY, f32::max))
            .sum();
        let mut reranker = Reranker::new(TokenMatrix::new(&query, 24)).unwrap();
        let int8 = crate::embed::Rows::I8 { codes: &codes, scales: &scales };
        for document in
            [TokenMatrix::new(&rows, 24), TokenMatrix::new(&halves, 24), TokenMatrix::new(int8, 24)]
        {
            assert_eq!(reranker.score(document).unwrap(), expected);
        }
        let none: [f32; 0] = [];
        let ranked =
            reranker.rank([TokenMatrix::new(&none, 24), TokenMatrix::new(&rows, 24)]).unwrap();
        assert_eq!(ranked, [(1, expected), (0, f32::NEG_INFINITY)]);
    }

    #[test]
    fn bad_matrices_are_refused() {
        let refused = |query: &[f32], dim, document: &[f32], other| {
            let query = TokenMatrix::new(query, dim);
            matches!(maxsim(query, TokenMatrix::new(document, other)), Err(Error::Input(_)))
        };
        let row = [1.0f32; 16];
        assert!(refused(&row[..7], 7, &row[..7], 7), "no multiple of 8");
        assert!(refused(&row[..0], 0, &row[..0], 0));
        assert!(refused(&row, 8, &row, 16), "another dimension");
        assert!(refused(&row[..0], 8, &row, 8), "a query of no rows");
        assert!(refused(&row[..9], 8, &row, 8));
        assert!(refused(&[f32::NAN; 8], 8, &row, 8));
        assert!(refused(&row, 8, &[f32::INFINITY; 8], 8));
        let long = vec![0.0f32; 8 * 65_536];
        assert!(refused(&row, 8, &long, 8));
        assert!(!refused(&row, 8, &row, 8));
    }
}
