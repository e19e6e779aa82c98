//! The ways of asking that the command offers.

use std::path::Path;

use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use lateen::readers::{SetQueries, SetQuery};
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

impl Mode {
    /// All that an index and the queries of a set have both.
    fn of(index: &Index, queries: &SetQueries) -> Self {
        let schema = index.schema();
        let sparse = schema.sparse(&vector_field(&schema, "sparse")).is_ok();
        let tokens = schema.tokens(&vector_field(&schema, "tokens")).is_ok();
        match (sparse && queries.has_sparse(), tokens && queries.dim().is_some()) {
            (true, true) => Self::Union,
            (false, true) => Self::Tokens,
            // Where there is neither, what is missing is said of the sparse half.
            _ => Self::Sparse,
        }
    }

    /// As it is written after `--mode`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sparse => "sparse",
            Self::Tokens => "tokens",
            Self::Rerank => "rerank",
            Self::Union => "union",
            Self::Rrf => "rrf",
            Self::Weighted => "weighted",
        }
    }
}

/// The flags that say how to ask.
#[derive(Debug, clap::Args)]
pub(crate) struct Asking {
    /// How to search [default: `union`, or what index and queries have of `sparse` and `tokens`]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Candidates that a rerank orders, and that each search of a fusion gives [default: 100, or K
    /// where that is more]; `sparse` and `tokens` have none
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    candidates: Option<usize>,
    /// The true top, proven
    #[arg(long, conflicts_with_all = ["effort", "recall"])]
    exact: bool,
    /// How hard to look, from 0, the fastest, to 1, exact
    #[arg(long, value_name = "E", value_parser = effort, conflicts_with = "recall")]
    #[arg(allow_negative_numbers = true)] // for an error that speaks of the range
    effort: Option<f32>,
    /// Find this share of the true top on average, above 0 and at most 1 [default: 0.98]
    #[arg(long, value_name = "R", value_parser = recall, allow_negative_numbers = true)]
    recall: Option<f32>,
    /// Weights of the sparse and the token search in `--mode weighted` [default: 1,1]
    #[arg(long, value_name = "S,T", value_parser = weights)]
    weights: Option<[f32; 2]>,
    /// Look only through documents that pass: `lang in (en, fr) and not exists(year)`; also `<`,
    /// `>=` and their kin, `or`, parentheses, and `key`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Widen each query by its own best documents, and ask again
    #[arg(long)]
    feedback: bool,
}

impl Asking {
    /// Candidates of each search, for as few hits as are ever asked for.
    pub(crate) fn candidates(&self) -> usize {
        self.candidates.unwrap_or(100)
    }

    /// The mode that was asked for, or fits. Flags that it has no use for are an error: whoever
    /// gives them expects another search.
    pub(crate) fn mode(&self, index: &Index, queries: &SetQueries) -> Result<Mode, Failure> {
        let mode = self.mode.unwrap_or_else(|| Mode::of(index, queries));
        let refuse = |flag: &str, modes: &str| {
            let what = format!("{flag} has no meaning in --mode {}", mode.name());
            Err(Failure::new(Code::Usage, what).next(format!("leave it out, or take {modes}")))
        };
        let alone = matches!(mode, Mode::Sparse | Mode::Tokens);
        if self.weights.is_some() && mode != Mode::Weighted {
            return refuse("--weights", "--mode weighted");
        }
        if self.candidates.is_some() && alone {
            return refuse("--candidates", "rerank, union, rrf or weighted");
        }
        Ok(mode)
    }

    /// What the flags say, for so many hits.
    pub(crate) fn settings(&self, top: usize) -> Settings {
        Settings {
            candidates: self.candidates,
            weights: self.weights.unwrap_or([1.0, 1.0]),
            filter: self.filter.clone(),
            feedback: self.feedback,
            effort: match (self.exact, self.effort, self.recall) {
                (true, _, _) => Effort::Exact,
                (_, Some(level), _) => Effort::Level(level),
                (_, _, Some(share)) => Effort::Recall(share),
                _ => Effort::default(),
            },
            top,
        }
    }
}

pub(crate) fn effort(text: &str) -> Result<f32, String> {
    number(text).filter(|level| (0.0..=1.0).contains(level)).ok_or("0 to 1 is needed".to_owned())
}

fn recall(text: &str) -> Result<f32, String> {
    let share = number(text).filter(|&share| share > 0.0 && share <= 1.0);
    share.ok_or("a number above 0 and at most 1 is needed".to_owned())
}

fn weights(text: &str) -> Result<[f32; 2], String> {
    let parts = text.split_once(',').and_then(|(sparse, tokens)| {
        let number = |text: &str| number(text.trim()).filter(|number| number.is_finite());
        Some([number(sparse)?, number(tokens)?])
    });
    parts.ok_or("two numbers with a comma between are needed".to_owned())
}

fn number(text: &str) -> Option<f32> {
    text.parse().ok()
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
        let lacking =
            |error: lateen::SchemaError| Failure::field(&schema, error).at(place.display());
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
            let what =
                format!("the queries have no {files}, which --mode {} needs", self.mode.name());
            Failure::new(Code::Input, what).next("take another --mode, or another --set")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn efforts_have_their_range() {
        assert!(effort("0").is_ok() && effort("1").is_ok() && recall("1").is_ok());
        for text in ["-0.1", "1.01", "nan", "x", ""] {
            assert!(effort(text).is_err() && recall(text).is_err(), "{text}");
        }
        assert!(recall("0").is_err());
    }
}
