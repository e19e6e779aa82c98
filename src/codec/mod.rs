//! Pure value ⇄ bytes: quantisers and packings that know nothing of documents or files.

pub(crate) mod f16;
pub(crate) mod impact;
pub(crate) mod int8;
pub(crate) mod kmeans;
pub(crate) mod levels;
pub(crate) mod product;
