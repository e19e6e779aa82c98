//! What the fuzz targets do, for the targets and for `cargo test` of the library.

pub mod answers;
pub mod asked;
pub mod attributes;
pub mod bodies;
pub mod both;
pub mod choices;
pub mod codecs;
#[cfg(feature = "simulation")]
pub mod crashes;
pub mod drive;
pub mod expressions;
pub mod filters;
pub mod mend;
pub mod sample;
#[cfg(feature = "simulation")]
pub mod writers;
