//! The inverted index over learned sparse vectors, with each document's own vector beside it.
//!
//! Two tiers, so that search can be fast and still be right. The first is the **inverted index**:
//! per term the documents that hold it and 8-bit [impacts](crate::codec::impact), in windows of
//! 4,096 documents, summed as integers. It is a split index: a frequent (dense) term keeps a mask
//! and packed impacts per group of 64 documents, any other a list. The second is the **forward rows**: each document's terms
//! and weights. The integer sums, whose error is bounded ([`bound`]), say which documents can
//! still be in the answer; forward rows give those their score. The answer is therefore the true
//! top k of the stored weights, and the integers never show.
//!
//! `effort` says what a search that need not be exact leaves out, `curve` measures what that finds.
//! `layout` names what is on disk, `column` and `rows` gather, `similar` brings documents together,
//! `build` and `write` produce it,
//! `index` and `directory` read it, `query`, `bound` and `plan` prepare a query, `search` runs it,
//! `verify` walks everything (`agreement`: that rows and postings say the same), `merge` puts
//! segments together.

mod agreement;
mod bound;
mod build;
mod candidates;
mod column;
mod curve;
mod directory;
mod effort;
mod forward;
mod index;
mod layout;
mod merge;
mod plan;
mod query;
mod rows;
mod scan;
mod score;
mod search;
mod similar;
mod transpose;
mod verify;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use column::SparseColumn;
pub(crate) use effort::SparseEffort;
pub(crate) use index::{Exactness, SparseIndex};
pub(crate) use merge::{MergePart, merge};
pub(crate) use query::SparseQuery;
pub(crate) use search::{SparseScratch, Way};
