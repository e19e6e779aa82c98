//! Files of vectors and texts as producers write them. `.npy` is always read; JSON lines,
//! safetensors, gzip and whole embedding sets come with the feature `readers`.
//!
//! Everything here lends out the borrowed views that batches take ([`Ints`](crate::Ints),
//! [`Floats`](crate::Floats), [`SparseBatch`](crate::SparseBatch),
//! [`TokenBatch`](crate::TokenBatch)), and refuses a malformed file with
//! [`Error::Input`](crate::Error::Input), whose field is the file's path.

mod array;
mod bytes;
#[cfg(feature = "readers")]
mod jsonl;
mod lines;
mod npy;
#[cfg(feature = "readers")]
mod safetensors;
#[cfg(feature = "readers")]
mod set;

#[cfg(feature = "readers")]
pub use self::jsonl::{JsonLines, Record};
#[cfg(feature = "readers")]
pub use self::safetensors::{SafeTensorsFile, Tensor};
#[cfg(feature = "readers")]
pub use self::set::{
    DocumentChunk, DocumentChunks, EmbeddingSet, SetDocuments, SetQueries, SetQuery,
};
pub(crate) use lines::{Lines, syntax};
pub use npy::{NpyArray, NpyValues, NpyWriter};

use crate::error::{Fault, InputError};

/// The fault of a file as a whole.
fn file_fault(name: &str, what: impl Into<String>) -> InputError {
    InputError::new(name, Fault::File { what: what.into() })
}
