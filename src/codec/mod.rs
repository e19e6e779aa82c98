//! Pure value ⇄ bytes: how numbers are stored, with no notion of documents or files.

pub(crate) mod f16;
pub(crate) mod int8;
