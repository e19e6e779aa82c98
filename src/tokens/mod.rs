//! The token store: rows of late-interaction models, kept doc-major in one of several codecs and
//! searched by MaxSim, over whole segments or over candidates.
//!
//! A document's score is the sum over the query's rows of the largest dot product with the stored
//! rows, in f32 and in the one order that [`kernel::tokens`](crate::kernel::tokens) lays down.

mod align;
mod arrays;
mod candidates;
mod centroids;
mod column;
mod encode;
mod groups;
mod keep;
mod layout;
mod narrow;
mod query;
mod rows;
mod search;
mod store;
mod train;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use column::TokenColumn;
pub(crate) use layout::TokenRows;
pub(crate) use query::TokenQuery;
pub(crate) use search::{TokenEffort, TokenScratch, score_floats};
pub(crate) use store::TokenStore;
pub(crate) use write::{Packing, TokenSource, write_tokens};
