//! From a [`Query`] to hits: the plan, its run over the segments, and the exact merge.
//!
//! A query is a small tree of searches. `run` answers the whole and searches one field, `plan` runs
//! the stages over the documents that `filter` leaves, `fusion` makes one list of several,
//! `feedback` widens a query by its own answer, `list` gives the answer its last order. `explain`
//! takes a score apart again. What stands apart from the index: `maxsim`, `outside` (models the
//! engine does not run) and `cur` (their scores, guessed from few).

mod batch;
mod cur;
mod explain;
mod expression;
mod facets;
mod feedback;
mod filter;
mod fusion;
mod list;
mod maxsim;
pub mod outside;
mod plan;
mod pool;
mod prune;
mod query;
mod run;
mod within;

pub(crate) use batch::search_batch;
pub use cur::{AnchorScores, CurOptions, CurOutcome};
pub(crate) use explain::explain;
pub use explain::{Explanation, FusionPart, Highlight, TermPart, TokenPart};
pub use facets::Facet;
pub(crate) use facets::{facets, facets_of};
pub(crate) use feedback::expansion_of;
pub use feedback::{Expansion, ExpansionRow, Feedback};
pub use filter::Filter;
pub use fusion::Fusion;
pub use list::{Collapse, Diversify, Sort};
pub use maxsim::{Reranker, maxsim};
pub(crate) use pool::ScratchPool;
pub(crate) use prune::heaviest_count;
pub use query::{Effort, Query};
pub(crate) use run::{Answer, Found, Scratch, View, search};

/// What an answer guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// The search was ended by its deadline or flag: what is here is right, but anything may be
    /// missing. (The score of a fusion is that of its parts' lists as far as they had come.)
    Incomplete,
    /// Something that belongs in the answer may be missing from it.
    Approximate,
    /// The true top of the quantised impacts: a sparse field without forward rows has no better.
    ExactOnQuantised,
    /// Proven to be the true top by the stored vectors, in order; after a rerank or a fusion, the
    /// true order of the true candidates.
    Certified,
}
