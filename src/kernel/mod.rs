//! The only SIMD of the crate, behind one small table of functions.
