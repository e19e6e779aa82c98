//! The life of an index: what a generation consists of, and how it comes to be.

pub(crate) mod commit;
pub(crate) mod manifest;
