//! What callers hand in: borrowed views of vectors in every form that producers emit, documents
//! and batches. Everything is checked once, here; what is past this door is canonical.

mod batch;
mod document;
mod numbers;
mod pooling;
pub mod readers;
mod reduction;
mod sparse;
mod sparse_batch;
mod tokens;
mod update;
mod within;

pub use batch::Batch;
pub use document::Document;
pub(crate) use document::{Attribute, check_key_kind};
pub use numbers::{Floats, Ints};
pub use reduction::{ReducedTokens, TokenReduction};
pub(crate) use sparse::CleanSparse;
pub use sparse::SparseVector;
pub use sparse_batch::SparseBatch;
pub(crate) use tokens::CleanTokens;
pub use tokens::{Rows, TokenBatch, TokenMatrix};
pub use update::Update;
pub(crate) use update::{Change, NewPayload};
