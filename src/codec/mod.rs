//! Pure value ⇄ bytes: quantisers and packings that know nothing of documents or files.

pub(crate) mod impact;
