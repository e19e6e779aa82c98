//! Queries beside the limits of an index.

use crate::error::InputError;
use crate::limits::{Limits, over};
use crate::search::query::{Query, Stage};
use crate::sparse::SparseQuery;
use crate::tokens::TokenQuery;

impl Query {
    /// Checks everything that has a limit, of the query and of those inside of it.
    pub(crate) fn within(&self, limits: &Limits) -> Result<(), InputError> {
        over("query", "queries in one", self.parts(), limits.parts)?;
        self.each_within(limits)
    }

    /// Queries that it consists of, itself included; nesting is bounded where they are put together.
    fn parts(&self) -> usize {
        match &self.first {
            Stage::Fused(fused) => 1 + fused.parts.iter().map(Self::parts).sum::<usize>(),
            Stage::Sparse(..) | Stage::Tokens(..) => 1,
        }
    }

    fn each_within(&self, limits: &Limits) -> Result<(), InputError> {
        over("top", "hits", self.top, limits.top)?;
        if let Some(filter) = &self.filter {
            filter.within(limits)?;
        }
        let candidates = |count: Option<usize>| {
            over("candidates", "candidates", count.unwrap_or(0), limits.candidates)
        };
        if let Some(feedback) = &self.feedback {
            feedback.within(limits)?;
        }
        if let Some(diversify) = &self.diversify {
            diversify.within(limits)?;
        }
        if let Some(collapse) = &self.collapse {
            collapse.within(limits)?;
        }
        if let Some(second) = &self.rerank {
            candidates(second.candidates)?;
            rows(second.field.name(), &second.query, limits)?;
        }
        match &self.first {
            Stage::Sparse(field, vector) => terms(field.name(), vector, limits),
            Stage::Tokens(field, matrix) => rows(field.name(), matrix, limits),
            Stage::Fused(fused) => {
                candidates(fused.candidates)?;
                fused.parts.iter().try_for_each(|part| part.each_within(limits))
            }
        }
    }
}

fn terms(field: &str, vector: &SparseQuery, limits: &Limits) -> Result<(), InputError> {
    over(field, "terms of a vector", vector.entries().count(), limits.terms)
}

fn rows(field: &str, matrix: &TokenQuery, limits: &Limits) -> Result<(), InputError> {
    over(field, "rows of a query", matrix.rows(), limits.query_rows)
}
