//! From a [`Query`] to hits: the plan, its run over the segments, and the exact merge.

mod batch;
mod explain;
mod filter;
mod maxsim;
mod pool;
mod query;
mod run;

pub(crate) use batch::search_batch;
pub(crate) use explain::explain;
pub use explain::{Explanation, TermPart, TokenPart};
pub use filter::Filter;
pub use maxsim::{Reranker, maxsim};
pub(crate) use pool::ScratchPool;
pub use query::{Effort, Query};
pub(crate) use run::{Answer, Scratch, View, search};

/// What an answer guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// Something that belongs in the answer may be missing from it.
    Approximate,
    /// The true top of the quantised impacts: a sparse field without forward rows has no better.
    ExactOnQuantised,
    /// Proven to be the true top by the stored vectors, in order; after a rerank, the true order of
    /// the true candidates.
    Certified,
}
