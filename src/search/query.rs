//! What is asked.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::embed::{SparseVector, TokenMatrix};
use crate::error::{Fault, InputError, Result};
use crate::id::Key;
use crate::limits::{MAX_CANDIDATES, MAX_TOP};
use crate::schema::{SparseField, TokenField};
use crate::search::feedback::Feedback;
use crate::search::fusion::{Fused, Fusion, How};
use crate::search::list::{Collapse, Diversify, Sort};
use crate::search::{Filter, prune};
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
    /// centroids ([`Centroids`](crate::Centroids)) are answered so, and those of 32,768 documents or
    /// more with a sparse field that has forward rows, where at most ten hits are asked for; all
    /// others, and those where nothing less was measured to reach the share, are answered exactly.
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
    pub(crate) after: Option<(f32, Key)>,
    pub(crate) feedback: Option<Feedback>,
    pub(crate) diversify: Option<Diversify>,
    pub(crate) collapse: Option<Collapse>,
    pub(crate) sort: Option<Sort>,
    pub(crate) deadline: Option<Instant>,
    pub(crate) cancel: Option<Arc<AtomicBool>>,
    /// What a call that gives no error of its own was told wrong: the search says it.
    pub(crate) unfit: Option<InputError>,
}

/// A search of one field, or several searches made one.
#[derive(Clone, Debug)]
pub(crate) enum Stage {
    Sparse(SparseField, SparseQuery),
    Tokens(TokenField, TokenQuery),
    Fused(Fused),
}

impl Stage {
    /// The token field of a search, or the first of a fusion, that has no sparse vector.
    fn without_terms(&self) -> Option<&TokenField> {
        match self {
            Self::Sparse(..) => None,
            Self::Tokens(field, _) => Some(field),
            Self::Fused(fused) => {
                let mut fields = fused.parts.iter().map(|part| part.first.without_terms());
                let first = fields.next().flatten();
                first.filter(|_| fields.all(|field| field.is_some()))
            }
        }
    }
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
            after: None,
            feedback: None,
            diversify: None,
            collapse: None,
            sort: None,
            deadline: None,
            cancel: None,
            unfit: None,
        }
    }

    /// The documents with the largest dot product with a sparse vector. A document that shares no
    /// term with it is no hit; an empty vector has no hits.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input), as for a document's vector.
    pub fn sparse<'a>(field: &SparseField, vector: impl Into<SparseVector<'a>>) -> Result<Self> {
        let vector = vector.into().clean_query(field)?;
        Ok(Self::new(Stage::Sparse(field.clone(), SparseQuery::new(&vector))))
    }

    /// The documents with the largest MaxSim with a token matrix of at least one row: the sum,
    /// over the query's rows, of the largest dot product with a row of the document. A matrix that
    /// is [truncated](TokenMatrix::truncated_to) may have fewer components than the field; what
    /// [`Effort::Recall`] goes by was measured with whole rows.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input), as for a document's matrix; a matrix of no rows, or
    /// of more than 10,000.
    pub fn tokens(field: &TokenField, matrix: TokenMatrix<'_>) -> Result<Self> {
        let rows = matrix.clean_query(field)?;
        let query = TokenQuery::new(rows, matrix.dim()).of_rows(field.dim());
        Ok(Self::new(Stage::Tokens(field.clone(), query)))
    }

    /// The candidates of several queries, united; MaxSim with a token matrix decides between them.
    /// No weights are needed, and no scores of different kinds are compared. Each query gives its
    /// best [`candidates`](Self::candidates); those of them that lack the field come last, with a
    /// score of −∞.
    ///
    /// ```no_run
    /// # use lateen::{Index, Query, TokenMatrix};
    /// # let index = Index::open("wiki.index")?;
    /// # let splade = index.schema().sparse("splade")?;
    /// # let colbert = index.schema().tokens("colbert")?;
    /// # let (terms, rows) = ([(2054u32, 1.5f32)], vec![0.0f32; 128 * 8]);
    /// let matrix = TokenMatrix::new(&rows, 128);
    /// let parts = [Query::sparse(&splade, &terms)?, Query::tokens(&colbert, matrix)?];
    /// let query = Query::union(parts, &colbert, matrix)?.candidates(50);
    /// # Ok::<(), lateen::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`fused`](Self::fused) and [`tokens`](Self::tokens).
    pub fn union(
        parts: impl IntoIterator<Item = Self>,
        field: &TokenField,
        matrix: TokenMatrix<'_>,
    ) -> Result<Self> {
        let fused = Fused::new(How::Union, parts.into_iter().collect())?;
        Self::new(Stage::Fused(fused)).rerank(field, matrix)
    }

    /// The documents that several queries find, ordered by what all of them say. Each query gives
    /// its best [`candidates`](Self::candidates); what is asked of the whole (filter, effort,
    /// deadline) is asked of each, while the hits that a part asks for mean nothing.
    ///
    /// A document that lacks a part's field is none of its candidates and so stands, in that part,
    /// behind all that have it.
    ///
    /// ```no_run
    /// # use lateen::{Fusion, Index, Query, TokenMatrix};
    /// # let index = Index::open("wiki.index")?;
    /// # let splade = index.schema().sparse("splade")?;
    /// # let colbert = index.schema().tokens("colbert")?;
    /// # let (terms, rows) = ([(2054u32, 1.5f32)], vec![0.0f32; 128 * 8]);
    /// let parts = [
    ///     Query::sparse(&splade, &terms)?,
    ///     Query::tokens(&colbert, TokenMatrix::new(&rows, 128))?,
    /// ];
    /// let query = Query::fused(Fusion::default(), parts)?.top(10);
    /// # Ok::<(), lateen::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input): no query or more than 64; queries nested more than
    /// eight deep; a query with something that belongs to the whole (feedback, diversification,
    /// collapsing, sorting, paging, a deadline or a flag); a constant or weight out of range.
    pub fn fused(fusion: Fusion, parts: impl IntoIterator<Item = Self>) -> Result<Self> {
        let fused = Fused::new(How::Fusion(fusion), parts.into_iter().collect())?;
        Ok(Self::new(Stage::Fused(fused)))
    }

    /// Orders the best [`candidates`](Self::candidates) of the query so far by MaxSim with a token
    /// matrix. Candidates that lack the field come last, with a score of −∞.
    ///
    /// # Errors
    /// As [`Query::tokens`].
    pub fn rerank(mut self, field: &TokenField, matrix: TokenMatrix<'_>) -> Result<Self> {
        let rows = matrix.clean_query(field)?;
        let query = TokenQuery::new(rows, matrix.dim()).of_rows(field.dim());
        let candidates = self.rerank.and_then(|rerank| rerank.candidates);
        self.rerank = Some(Rerank { field: field.clone(), query, candidates });
        Ok(self)
    }

    /// How many candidates a rerank orders, or how many each query of a fusion or union gives, 1
    /// to 1,000,000: 100, or as many as hits are asked for where that is more, unless said
    /// otherwise. It speaks of what was put on last; without any of these it means nothing.
    #[must_use]
    pub fn candidates(mut self, count: usize) -> Self {
        match (&mut self.first, &mut self.rerank) {
            (Stage::Fused(fused), _) if fused.is_union() => fused.candidates = Some(count),
            (_, Some(rerank)) => rerank.candidates = Some(count),
            (Stage::Fused(fused), None) => fused.candidates = Some(count),
            _ => {}
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
    /// hits are the same with any number. Only an exact search of a sparse field has use for them
    /// ([`exact`](Self::exact); one that may miss something would miss other things),
    /// and only in segments of 200,000 documents or more; many queries are better shared out
    /// whole ([`Index::search_batch`](crate::Index::search_batch)).
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// How hard to look: `Recall(0.98)` unless said otherwise. Of a fusion or union, each part.
    #[must_use]
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        if let Stage::Fused(fused) = &mut self.first {
            for part in &mut fused.parts {
                *part = part.clone().effort(effort);
            }
        }
        self
    }

    /// The true top, proven: short for `effort(Effort::Exact)`.
    #[must_use]
    pub fn exact(self) -> Self {
        self.effort(Effort::Exact)
    }

    /// Only hits that stand behind a hit of this score and key: the next page, after the last hit
    /// of the one before. Pages neither overlap nor leave anything out, and cost more the deeper
    /// they are; of a rerank, fusion or union they end with the candidates.
    #[must_use]
    pub fn after(mut self, score: f32, key: impl Into<Key>) -> Self {
        self.after = Some((score, key.into()));
        self
    }

    /// Widens the query by what its own best documents say, and asks again.
    #[must_use]
    pub fn feedback(mut self, feedback: Feedback) -> Self {
        self.feedback = Some(feedback);
        self
    }

    /// Orders the answer so that hits are not all of a kind.
    #[must_use]
    pub fn diversify(mut self, diversify: Diversify) -> Self {
        self.diversify = Some(diversify);
        self
    }

    /// One hit for each parent, with its best documents inside.
    #[must_use]
    pub fn collapse(mut self, collapse: Collapse) -> Self {
        self.collapse = Some(collapse);
        self
    }

    /// Gives the best hits in the order of an attribute.
    #[must_use]
    pub fn sort(mut self, sort: Sort) -> Self {
        self.sort = Some(sort);
        self
    }

    /// Ends the search at this time, with what was found until then, of a list that could
    /// not be put in order at most 1,000 hits. The answer
    /// says so ([`Certainty::Incomplete`](crate::Certainty::Incomplete)). The clock is looked at
    /// several times a millisecond by everything that a search does. Lists are put in order from
    /// their front: one that is cut has its true beginning, or, where that was not known yet, some
    /// of its documents, in order. What has no use in part fails instead, with
    /// [`Error::Interrupted`](crate::Error::Interrupted): to explain a hit, to count facets beside a
    /// query, to tell what feedback adds.
    ///
    /// Not looked at is the clock while one document is scored, which a query of thousands of rows
    /// or a document of tens of thousands can make longer than a millisecond, and while hits are
    /// handed over, which does with more than some 10,000 documents
    /// [inside](crate::Collapse::inside) groups.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Ends the search as soon as the flag is raised, like [`deadline`](Self::deadline).
    #[must_use]
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Keeps the heaviest terms of every sparse vector of the query: at most `terms` of them, as
    /// long as those kept so far hold less than `mass` of the sum of all weights. Of equal weights the
    /// smaller term is kept first; at least one term stays. What is left out is no part of any score.
    /// A search with a query that was to keep no terms, or a mass that is not above 0 and at most 1,
    /// fails, and so does one that has no sparse vector at all.
    #[must_use]
    pub fn prune(mut self, terms: usize, mass: f32) -> Self {
        let refused = if terms == 0 {
            refuse::<()>("prune terms", terms.to_string(), "1 or more")
        } else if !(mass > 0.0 && mass <= 1.0) {
            refuse("prune mass", mass.to_string(), "above 0, at most 1")
        } else {
            self.first.without_terms().map_or(Ok(()), |field| {
                let range = "what a field of tokens can be asked for";
                refuse(field.name(), "to keep the heaviest terms".to_owned(), range)
            })
        };
        if let Err(error) = refused {
            self.unfit.get_or_insert(error);
            return self;
        }
        match &mut self.first {
            Stage::Sparse(_, vector) => *vector = prune::heaviest(vector, terms, mass),
            Stage::Tokens(..) => {}
            Stage::Fused(fused) => {
                let with_terms = |part: &&mut Self| part.first.without_terms().is_none();
                for part in fused.parts.iter_mut().filter(with_terms) {
                    *part = part.clone().prune(terms, mass);
                }
            }
        }
        self
    }

    /// The number of candidates that a rerank will order.
    pub(crate) fn candidate_count(&self) -> usize {
        let chosen = self.rerank.as_ref().and_then(|rerank| rerank.candidates);
        chosen.unwrap_or_else(|| self.top.max(100))
    }

    /// Checks the numbers.
    pub(crate) fn check(&self) -> Result<(), InputError> {
        if let Some(error) = &self.unfit {
            return Err(error.clone());
        }
        if self.top == 0 || self.top > MAX_TOP {
            return refuse("top", self.top.to_string(), "1..=10000");
        }
        let of_fused = match &self.first {
            Stage::Fused(fused) => fused.candidates,
            _ => None,
        };
        let of_rerank = self.rerank.as_ref().and_then(|rerank| rerank.candidates);
        for count in [of_fused, of_rerank].into_iter().flatten() {
            if count == 0 || count > MAX_CANDIDATES {
                return refuse("candidates", count.to_string(), "1..=1000000");
            }
        }
        if self.at_least.is_nan() {
            return refuse("at_least", self.at_least.to_string(), "any number");
        }
        if let Some((score, _)) = &self.after
            && score.is_nan()
        {
            return refuse("after", score.to_string(), "any number");
        }
        match self.effort {
            Effort::Recall(share) if !(share > 0.0 && share <= 1.0) => {
                return refuse("recall", share.to_string(), "above 0, at most 1");
            }
            Effort::Level(level) if !(0.0..=1.0).contains(&level) => {
                return refuse("effort", level.to_string(), "0 to 1");
            }
            _ => {}
        }
        if self.after.is_some() {
            let others = [
                ("diversify", self.diversify.is_some()),
                ("collapse", self.collapse.is_some()),
                ("sort", self.sort.is_some()),
            ];
            if let Some((name, _)) = others.iter().find(|(_, asked)| *asked) {
                return refuse(name, "asked beside `after`".to_owned(), "one or the other");
            }
        }
        if let Some(feedback) = &self.feedback {
            feedback.check()?;
        }
        if let Some(diversify) = &self.diversify {
            diversify.check()?;
        }
        if let Some(collapse) = &self.collapse {
            collapse.check()?;
        }
        match &self.first {
            Stage::Fused(fused) => fused.parts.iter().try_for_each(Self::check),
            _ => Ok(()),
        }
    }
}

/// A parameter outside its range.
pub(crate) fn refuse<T>(name: &str, value: String, range: &str) -> Result<T, InputError> {
    Err(InputError::new(name, Fault::Parameter { value, range: range.to_owned() }))
}
