//! Lateen: embedded search over neural representations.

mod docset;
mod embed;
mod error;
mod format;
mod id;
mod index;
mod kernel;
pub mod limits;
mod schema;
mod storage;
mod topk;

pub use embed::{
    Batch, Document, Floats, Ints, Rows, SparseBatch, SparseVector, TokenBatch, TokenMatrix,
};
pub use error::{Corrupt, Error, Fault, InputError, Result, SchemaError};
pub use id::{Key, TermId};
pub use schema::{
    BoolField, F64Field, Forward, I64Field, KeyKind, KeywordField, ModelFingerprint, Normalization,
    Schema, SchemaBuilder, SparseCodec, SparseField, SparseOptions, TokenCodec, TokenField,
    TokenOptions, U64Field,
};
pub use storage::OpenMode;
