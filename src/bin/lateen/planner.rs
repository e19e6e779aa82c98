//! The ways of asking that the command offers.

use std::path::Path;

use clap::ValueEnum;
use lateen::readers::SetQuery;
use lateen::{Effort, Feedback, Filter, Fusion, Index, Query, SparseField, TokenField};

use crate::declared::vector_field;
use crate::failure::{Code, Failure};

/// How to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// Learned sparse vectors
    Sparse,
    /// Late interaction (MaxSim) over all documents
    Tokens,
    /// The candidates of the sparse search, ordered by MaxSim
    Rerank,
    /// The candidates of both searches, ordered by MaxSim
    Union,
    /// Both searches, fused by reciprocal rank
    Rrf,
    /// Both searches, fused by a weighted sum of calibrated scores
    Weighted,
}

/// What is asked beside the mode.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) candidates: Option<usize>,
    /// Of the sparse and the token search, where they are weighted.
    pub(crate) weights: [f32; 2],
    pub(crate) filter: Option<String>,
    pub(crate) feedback: bool,
    pub(crate) effort: Effort,
    pub(crate) top: usize,
}

/// Makes the library's queries from those of a set.
pub(crate) struct Planner {
    mode: Mode,
    sparse: Option<SparseField>,
    tokens: Option<TokenField>,
    filter: Option<Filter>,
    settings: Settings,
}

impl Planner {
    /// Finds the fields that the mode needs in an index, which stands at a place.
    pub(crate) fn new(
        index: &Index,
        place: &Path,
        mode: Mode,
        settings: Settings,
    ) -> Result<Self, Failure> {
        let schema = index.schema();
        let lacking = |error: lateen::SchemaError| Failure::from(error).at(place.display());
        let sparse = match mode {
            Mode::Tokens => None,
            _ => Some(schema.sparse(&vector_field(&schema, "sparse")).map_err(lacking)?),
        };
        let tokens = match mode {
            Mode::Sparse => None,
            _ => Some(schema.tokens(&vector_field(&schema, "tokens")).map_err(lacking)?),
        };
        let filter = settings.filter.as_ref().map(|text| Filter::parse(&schema, text));
        Ok(Self { mode, sparse, tokens, filter: filter.transpose()?, settings })
    }

    /// The query that the mode makes of one of a set.
    pub(crate) fn query(&self, asked: &SetQuery<'_>) -> Result<Query, Failure> {
        let of_query =
            |error: lateen::Error| Failure::from(error).at(format!("query {}", asked.id));
        let lacking = |files: &str| {
            Failure::new(Code::Input, format!("the queries have no {files}, which --mode needs"))
        };
        let sparse =
            || asked.sparse.ok_or_else(|| lacking("sparse vectors (sparse_queries_*.npy)"));
        let tokens = || asked.tokens.ok_or_else(|| lacking("token rows (tok_queries.npy)"));
        let mut parts = Vec::new();
        if let Some(field) = &self.sparse {
            parts.push(Query::sparse(field, sparse()?).map_err(of_query)?);
        }
        if let Some(field) = &self.tokens
            && self.mode != Mode::Rerank
        {
            parts.push(Query::tokens(field, tokens()?).map_err(of_query)?);
        }
        let mut query = match (self.mode, &self.tokens) {
            (Mode::Union, Some(field)) => Query::union(parts, field, tokens()?),
            (Mode::Rrf, _) => Query::fused(Fusion::default(), parts),
            (Mode::Weighted, _) => {
                Query::fused(Fusion::Weighted(self.settings.weights.to_vec()), parts)
            }
            (Mode::Rerank, Some(field)) => parts.remove(0).rerank(field, tokens()?),
            _ => Ok(parts.remove(0)),
        }
        .map_err(of_query)?;
        if let Some(count) = self.settings.candidates {
            query = query.candidates(count);
        }
        if let Some(filter) = &self.filter {
            query = query.filter(filter.clone());
        }
        if self.settings.feedback {
            query = query.feedback(Feedback::default());
        }
        Ok(query.effort(self.settings.effort).top(self.settings.top))
    }
}
