//! Lateen: embedded search over neural representations.

mod docset;
mod embed;
mod error;
mod format;
mod id;
mod kernel;
mod schema;
mod storage;
mod topk;

pub use error::{Corrupt, Error, Fault, InputError, Result, SchemaError};
pub use id::{Key, MAX_KEY_BYTES, TermId};
pub use kernel::KernelLevel;
pub use schema::{
    BoolField, F64Field, Forward, I64Field, KeyKind, KeywordField, ModelFingerprint, Normalization,
    Schema, SchemaBuilder, SparseCodec, SparseField, SparseOptions, TokenCodec, TokenField,
    TokenOptions, U64Field,
};
