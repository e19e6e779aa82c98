//! Lateen: embedded search over neural representations.

mod codec;
mod docset;
mod embed;
mod error;
mod format;
mod id;
mod index;
mod kernel;
pub mod limits;
mod schema;
mod search;
mod segment;
mod sparse;
mod storage;
mod tokens;
mod topk;

pub use embed::{
    Batch, Document, Floats, Ints, Rows, SparseBatch, SparseVector, TokenBatch, TokenMatrix,
};
pub use error::{Corrupt, Error, Fault, InputError, Result, SchemaError};
pub use id::{Key, TermId};
pub use index::{
    Hit, Hits, Index, IndexOptions, IndexWriter, Snapshot, StoredDocument, WriterOptions,
};
pub use kernel::KernelLevel;
#[doc(hidden)]
pub use kernel::measure;
pub use schema::{
    BoolField, F64Field, Forward, I64Field, KeyKind, KeywordField, ModelFingerprint, Normalization,
    Schema, SchemaBuilder, SparseCodec, SparseField, SparseOptions, TokenCodec, TokenField,
    TokenOptions, U64Field,
};
pub use search::{Certainty, Effort, Explanation, Filter, Query, TermPart, TokenPart};
pub use storage::OpenMode;
