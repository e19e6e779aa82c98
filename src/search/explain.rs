//! Where a score comes from.

use crate::error::Result;
use crate::id::{DocId, TermId};
use crate::search::query::{Query, Stage};
use crate::search::run::{Scratch, View};
use crate::tokens::TokenQuery;

/// The parts of a document's score, taken from the same stored values as the score.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Terms that query and document share, where a sparse vector decides or chose the
    /// candidates; in ascending term id. The sum of [`TermPart::contribution`] is the score of the
    /// sparse search.
    pub terms: Vec<TermPart>,
    /// What each query row met, where MaxSim decides; in row order. The sum of
    /// [`TokenPart::score`] is the score.
    pub tokens: Vec<TokenPart>,
}

/// What a shared term gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TermPart {
    /// The term.
    pub term: TermId,
    /// Its weight in the query.
    pub query_weight: f32,
    /// Its stored weight in the document.
    pub document_weight: f32,
}

impl TermPart {
    /// What it adds to the score.
    pub fn contribution(&self) -> f32 {
        self.query_weight * self.document_weight
    }
}

/// What a query row met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenPart {
    /// The query's row.
    pub query_row: usize,
    /// The document's row that it met: the one with the largest dot product, the first of equals.
    pub document_row: usize,
    /// That dot product: what it adds to the score.
    pub score: f32,
    /// The bytes of the document's text that the row stands for, where they were given.
    pub span: Option<(u32, u32)>,
}

/// Explains a document's score for a query.
pub(crate) fn explain(
    view: View<'_>,
    query: &Query,
    segment: usize,
    doc: DocId,
    scratch: &mut Scratch,
) -> Result<Explanation> {
    let mut explanation = Explanation { terms: Vec::new(), tokens: Vec::new() };
    let part = &view.segments[segment].segment;
    let mut align = |at: usize, rows: &TokenQuery| -> Result<Vec<TokenPart>> {
        let Some(store) = part.tokens(at) else { return Ok(Vec::new()) };
        let matches = store.align(rows, view.kernels, doc, &mut scratch.tokens)?;
        Ok(matches
            .unwrap_or_default()
            .into_iter()
            .map(|met| TokenPart {
                query_row: met.query_row,
                document_row: met.doc_row,
                score: met.score,
                span: met.span,
            })
            .collect())
    };
    match &query.first {
        Stage::Sparse(field, vector) => {
            if let Some(index) = part.sparse(view.schema.resolve(field)?) {
                explanation.terms = index
                    .explain(vector, doc)?
                    .into_iter()
                    .map(|(term, query_weight, document_weight)| TermPart {
                        term,
                        query_weight,
                        document_weight,
                    })
                    .collect();
            }
        }
        Stage::Tokens(field, rows) => {
            explanation.tokens = align(view.schema.resolve(field)?, rows)?;
        }
    }
    if let Some(second) = &query.rerank {
        explanation.tokens = align(view.schema.resolve(&second.field)?, &second.query)?;
    }
    Ok(explanation)
}
