//! The engines of the late-interaction comparison: search over all documents, and rerank of
//! documents that are given.

#[cfg(feature = "lateen")]
mod lateen;
#[cfg(feature = "next-plaid")]
mod next_plaid;
#[cfg(feature = "numkong")]
mod numkong;
pub mod rerank;
#[cfg(feature = "sgemm")]
mod sgemm;

use crate::sets::{TokenQuery, TokenSet};
use crate::{Engine, Found};
use rerank::{RerankQuery, RerankSet};

#[cfg(feature = "lateen")]
pub(crate) use lateen::{LATEEN_VERSION, found};

/// An engine that searches all documents.
pub type SearchEngine = Engine<TokenSet, TokenQuery>;

/// An engine that scores given documents.
pub type RerankEngine = Engine<RerankSet, RerankQuery>;

/// All searchers that this build has, Lateen first.
pub fn searchers() -> Vec<SearchEngine> {
    let mut engines = Vec::new();
    #[cfg(feature = "lateen")]
    engines.extend(lateen::searchers());
    #[cfg(feature = "next-plaid")]
    engines.extend(next_plaid::searchers());
    #[cfg(feature = "numkong")]
    engines.extend(numkong::searchers());
    #[cfg(feature = "sgemm")]
    engines.extend(sgemm::searchers());
    engines
}

/// All rerankers that this build has, Lateen first.
pub fn rerankers() -> Vec<RerankEngine> {
    let mut engines = Vec::new();
    #[cfg(feature = "lateen")]
    engines.extend(lateen::rerankers());
    #[cfg(feature = "numkong")]
    engines.extend(numkong::rerankers());
    #[cfg(feature = "sgemm")]
    engines.extend(sgemm::rerankers());
    engines
}

/// The best `k` of all scores: by score, then by row.
pub(crate) fn best(scores: impl Iterator<Item = (u32, f32)>, k: usize) -> Found {
    let mut found: Found = scores.collect();
    let order = |a: &(u32, f32), b: &(u32, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if k < found.len() {
        found.select_nth_unstable_by(k, order);
        found.truncate(k);
    }
    found.sort_unstable_by(order);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_are_ordered_and_ties_go_to_the_smaller_row() {
        let scores = [(0, 1.0), (1, 3.0), (2, 1.0), (3, 2.0), (4, 1.0)];
        assert_eq!(best(scores.into_iter(), 3), [(1, 3.0), (3, 2.0), (0, 1.0)]);
        assert_eq!(best(scores.into_iter(), 9).len(), 5);
    }
}
