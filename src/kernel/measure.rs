//! The kernels for the benches of this crate, which see no more of it than any other program:
//! no part of the public interface.

use super::tokens::{F16Rows, FloatQuery, Int8Rows, KernelScratch, LaneQuery, select_one};
use super::{KernelLevel, Kernels, select};
use crate::error::Result;

/// One query, packed for one level's kernels, with the working memory they need.
#[derive(Debug)]
pub struct TokenBench {
    kernels: &'static Kernels,
    floats: FloatQuery,
    lanes: LaneQuery,
    scratch: KernelScratch,
    out: Vec<f32>,
}

impl TokenBench {
    /// Packs query rows, given as floats and as codes, for a level.
    ///
    /// # Errors
    /// Where this CPU lacks the level.
    pub fn new(level: KernelLevel, rows: &[f32], codes: &[i8], dim: usize) -> Result<Self> {
        let kernels = select(Some(level))?;
        let floats = FloatQuery::new(rows, dim);
        let lanes = LaneQuery::new(codes, dim);
        let mut scratch = KernelScratch::default();
        scratch.fit(&floats);
        scratch.fit_lanes(&lanes);
        let out = vec![0.0; floats.out_len().max(lanes.out_len())];
        Ok(Self { kernels, floats, lanes, scratch, out })
    }

    /// Largest dot products with a document of f16 rows.
    pub fn max_f16(&mut self, bits: &[u16]) -> &[f32] {
        if let Some(doc) = F16Rows::new(bits, self.floats.dim()) {
            (self.kernels.tokens.max_f16)(&self.floats, &doc, &mut self.scratch, &mut self.out);
        }
        &self.out
    }

    /// Largest dot products with a document of int8 rows.
    pub fn max_int8(&mut self, codes: &[u8], scales: &[u16]) -> &[f32] {
        if let Some(doc) = Int8Rows::new(codes, scales, self.floats.dim()) {
            (self.kernels.tokens.max_int8)(&self.floats, &doc, &mut self.scratch, &mut self.out);
        }
        &self.out
    }

    /// Largest integer dot products with a document of int8 rows.
    pub fn select_int8(&mut self, codes: &[u8], scales: &[u16]) -> &[f32] {
        if let Some(doc) = Int8Rows::new(codes, scales, self.lanes.dim()) {
            (self.kernels.tokens.select_int8)(&self.lanes, &doc, &mut self.scratch, &mut self.out);
        }
        &self.out
    }

    /// The integer dot product of the only query row with a document of one row.
    pub fn select_one(&mut self, codes: &[u8], scales: &[u16]) -> Option<f32> {
        let doc = Int8Rows::new(codes, scales, self.lanes.dim())?;
        select_one(&self.lanes, &doc, &mut self.scratch)
    }
}
