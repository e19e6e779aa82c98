//! What is asked.

use crate::embed::{SparseVector, TokenMatrix};
use crate::error::{Fault, InputError, Result};
use crate::limits::{MAX_CANDIDATES, MAX_TOP};
use crate::schema::{SparseField, TokenField};
use crate::search::Filter;
use crate::sparse::SparseQuery;
use crate::tokens::TokenQuery;

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Effort {
    /// The true top, proven.
    Exact,
    /// At least this share of the true top on average, by what was measured on the index itself
    /// when its segments were written; above 0, at most 1. Segments of token rows that have
    /// centroids ([`Centroids`](crate::Centroids)) are answered so; all others, and those where
    /// nothing less was measured to reach the share, are answered exactly: sparse fields always.
    Recall(f32),
    /// From 0, the fastest, to 1, exact; what has no faster way is answered exactly. On a sparse
    /// field, what is below 1 leaves the weakest terms of the query to those documents that the
    /// others find, and believes bounds to be less than they are.
    Level(f32),
}

impl Default for Effort {
    /// `Recall(0.98)`
    fn default() -> Self {
        Self::Recall(0.98)
    }
}

/// A query: what to look for, what to look through, how many hits to give.
///
/// ```no_run
/// use lateen::{Index, Query, TokenMatrix};
///
/// let index = Index::open("wiki.index")?;
/// let splade = index.schema().sparse("splade")?;
/// let colbert = index.schema().tokens("colbert")?;
/// let lang = index.schema().keyword("lang")?;
/// # let rows = vec![0.0f32; 128 * 8];
/// let query = Query::sparse(&splade, &[(2054u32, 1.5f32), (17, 0.25)])?
///     .rerank(&colbert, TokenMatrix::new(&rows, 128))?
///     .filter(lang.eq("en"))
///     .top(10);
/// for hit in &index.search(&query)? {
///     println!("{} {:.3}", hit.key(), hit.score());
/// }
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Query {
    pub(crate) first: Stage,
    pub(crate) rerank: Option<Rerank>,
    pub(crate) filter: Option<Filter>,
    pub(crate) top: usize,
    pub(crate) effort: Effort,
    pub(crate) at_least: f32,
    pub(crate) threads: usize,
}

/// A search of one field.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Sparse(SparseField, SparseQuery),
    Tokens(TokenField, TokenQuery),
}

/// A second stage that orders the candidates of the first by MaxSim.
#[derive(Clone, Debug)]
pub(crate) struct Rerank {
    pub(crate) field: TokenField,
    pub(crate) query: TokenQuery,
    pub(crate) candidates: Option<usize>,
}

impl Query {
    fn new(first: Stage) -> Self {
        Self {
            first,
            rerank: None,
            filter: None,
            top: 10,
            effort: Effort::default(),
            at_least: f32::NEG_INFINITY,
            threads: 1,
        }
    }

    /// The documents with the largest dot product with a sparse vector. A document that shares no
    /// term with it is no hit; an empty vector has no hits.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input), as for a document's vector.
    pub fn sparse<'a>(field: &SparseField, vector: impl Into<SparseVector<'a>>) -> Result<Self> {
        let vector = vector.into().clean(field)?;
        Ok(Self::new(Stage::Sparse(field.clone(), SparseQuery::new(&vector))))
    }

    /// The documents with the largest MaxSim with a token matrix of at least one row: the sum,
    /// over the query's rows, of the largest dot product with a row of the document.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input), as for a document's matrix; a matrix of no rows, or
    /// of more than 10,000.
    pub fn tokens(field: &TokenField, matrix: TokenMatrix<'_>) -> Result<Self> {
        let rows = matrix.clean_query(field)?;
        let query = TokenQuery::new(rows, field.dim());
        Ok(Self::new(Stage::Tokens(field.clone(), query)))
    }

    /// Orders the best [`candidates`](Self::candidates) of the query so far by MaxSim with a token
    /// matrix. Candidates that lack the field come last, with a score of −∞.
    ///
    /// # Errors
    /// As [`Query::tokens`].
    pub fn rerank(mut self, field: &TokenField, matrix: TokenMatrix<'_>) -> Result<Self> {
        let rows = matrix.clean_query(field)?;
        let query = TokenQuery::new(rows, field.dim());
        let candidates = self.rerank.and_then(|rerank| rerank.candidates);
        self.rerank = Some(Rerank { field: field.clone(), query, candidates });
        Ok(self)
    }

    /// How many candidates a rerank orders, 1 to 1,000,000: 100, or as many as hits are asked for
    /// where that is more, unless said otherwise. Without a rerank it means nothing.
    #[must_use]
    pub fn candidates(mut self, count: usize) -> Self {
        if let Some(rerank) = &mut self.rerank {
            rerank.candidates = Some(count);
        }
        self
    }

    /// Looks only through documents that pass; applied before anything is scored.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(match self.filter.take() {
            Some(held) => held & filter,
            None => filter,
        });
        self
    }

    /// How many hits: 10 unless said otherwise, 1 to 10,000.
    #[must_use]
    pub fn top(mut self, count: usize) -> Self {
        self.top = count;
        self
    }

    /// Only hits that score this or more, in the units of [`Hit::score`](crate::Hit::score): a
    /// search by range. [`top`](Self::top) still says how many at most. The higher the score asked
    /// for, the less is looked at.
    #[must_use]
    pub fn at_least(mut self, score: f32) -> Self {
        self.at_least = score;
        self
    }

    /// How many threads may share this one search; 1 unless said otherwise, and 0 counts as 1. The
    /// hits are the same with any number. Only an exact search of a sparse field has use for them,
    /// and only in segments of 200,000 documents or more; many queries are better shared out
    /// whole ([`Index::search_batch`](crate::Index::search_batch)).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How hard to look: `Recall(0.98)` unless said otherwise.
    #[must_use]
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// The true top, proven: short for `effort(Effort::Exact)`.
    #[must_use]
    pub fn exact(self) -> Self {
        self.effort(Effort::Exact)
    }

    /// The number of candidates that a rerank will order.
    pub(crate) fn candidate_count(&self) -> usize {
        let chosen = self.rerank.as_ref().and_then(|rerank| rerank.candidates);
        chosen.unwrap_or_else(|| self.top.max(100))
    }

    /// Checks the numbers.
    pub(crate) fn check(&self) -> Result<(), InputError> {
        let refuse = |name: &str, value: String, range: &str| {
            Err(InputError::new(name, Fault::Parameter { value, range: range.to_owned() }))
        };
        if self.top == 0 || self.top > MAX_TOP {
            return refuse("top", self.top.to_string(), "1..=10000");
        }
        let candidates = self.rerank.as_ref().and_then(|rerank| rerank.candidates);
        if let Some(count) = candidates
            && (count == 0 || count > MAX_CANDIDATES)
        {
            return refuse("candidates", count.to_string(), "1..=1000000");
        }
        if self.at_least.is_nan() {
            return refuse("at_least", self.at_least.to_string(), "any number");
        }
        match self.effort {
            Effort::Recall(share) if !(share > 0.0 && share <= 1.0) => {
                refuse("recall", share.to_string(), "above 0, at most 1")
            }
            Effort::Level(level) if !(0.0..=1.0).contains(&level) => {
                refuse("effort", level.to_string(), "0 to 1")
            }
            _ => Ok(()),
        }
    }
}
