//! The single-vector case: one query row against a document of one row, as dense retrieval has
//! it.
//!
//! The tiles of the other kernels compute seven lanes of zeros here and wait for one chain of
//! additions. SimSIMD's dot product of bytes was measured at 40 ns a document of 128 components,
//! where the tiles take 40 with AVX-512, 190 with AVX2 and 235 without. It chooses its own
//! instructions, and its sums of integers are exact on all of them, so the result is the very one
//! of [`select_int8`](super::TokenKernels::select_int8).

use half::f16;
use simsimd::SpatialSimilarity;

use super::{Int8Rows, KernelScratch, LaneQuery};

/// What [`select_int8`](super::TokenKernels::select_int8) gives for the only query row and the
/// only document row; `None` where either has more.
pub(crate) fn select_one(
    query: &LaneQuery,
    doc: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
) -> Option<f32> {
    let (row, &[scale]) = (query.single()?, doc.scales()) else { return None };
    let codes = doc.codes().get(..row.len())?;
    let signed = &mut scratch.bytes()[..row.len()];
    for (to, &code) in signed.iter_mut().zip(codes) {
        *to = (code ^ 128).cast_signed(); // code − 128 in two's complement
    }
    // Exact: a sum of at most 4,096 products of bytes is an integer that any float of 64 bits
    // holds, and fits in the 32 bits in which it is added up.
    #[allow(clippy::cast_possible_truncation, reason = "an integer below 2^27 in magnitude")]
    let sum = i8::dot(row, signed)? as i32;
    let value = sum as f32 * f16::from_bits(scale).to_f32();
    Some(if value > f32::NEG_INFINITY { value + 0.0 } else { f32::NEG_INFINITY })
}
