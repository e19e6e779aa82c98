//! What the fuzz targets do, for the targets and for `cargo test` of the library.

pub mod bodies;
pub mod codecs;
#[cfg(feature = "simulation")]
pub mod crashes;
pub mod drive;
pub mod mend;
pub mod sample;
