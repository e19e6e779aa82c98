//! Which query row met which document row: for the few documents of an answer.

use crate::error::Result;
use crate::id::DocId;
use crate::kernel::Kernels;

use super::query::TokenQuery;
use super::search::TokenScratch;
use super::store::TokenStore;

/// What a query row met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct TokenMatch {
    /// The query's row.
    pub(crate) query_row: usize,
    /// The document's row with the largest dot product, the first of equals.
    pub(crate) doc_row: usize,
    /// That dot product. The sum in row order is the document's score.
    pub(crate) score: f32,
    /// The bytes of the text that the document's row stands for, where they are known.
    pub(crate) span: Option<(u32, u32)>,
}

impl TokenStore {
    /// What each query row met, in row order; `None` where the document lacks the field. The
    /// kernels that score are asked for one document row at a time, so the dot products are the
    /// very ones of the score.
    ///
    /// # Errors
    /// `Corrupt` where the document's place is not in the store.
    pub(crate) fn align(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        doc: DocId,
        scratch: &mut TokenScratch,
    ) -> Result<Option<Vec<TokenMatch>>> {
        self.check_dim(query)?;
        let Some(rows) = self.stored(doc)? else { return Ok(None) };
        scratch.fit(query);
        let none =
            |query_row| TokenMatch { query_row, doc_row: 0, score: f32::NEG_INFINITY, span: None };
        let mut matches: Vec<_> = (0..query.rows()).map(none).collect();
        for doc_row in 0..rows.coded.len() {
            let Some(row) = rows.coded.row(doc_row) else { break };
            row.largest_dots(query, kernels, f64::INFINITY, scratch);
            for (met, &score) in matches.iter_mut().zip(&scratch.largest) {
                if score > met.score {
                    (met.doc_row, met.score) = (doc_row, score);
                }
            }
        }
        for met in &mut matches {
            met.span = rows.spans.get(met.doc_row);
        }
        Ok(Some(matches))
    }
}
