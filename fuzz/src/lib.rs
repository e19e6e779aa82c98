//! The bodies of the fuzz targets; `cargo test` of the library runs them too.

pub mod bodies;
