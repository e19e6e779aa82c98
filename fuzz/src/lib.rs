//! What the fuzz targets do, for the targets and for `cargo test` of the library.

pub mod bodies;
pub mod drive;
pub mod mend;
pub mod sample;
