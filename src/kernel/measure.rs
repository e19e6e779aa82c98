//! The kernels for the benches of this crate, which see no more of it than any other program:
//! no part of the public interface.

use super::tokens::{
    Book, F16Rows, FloatQuery, Int8Rows, KernelScratch, LaneQuery, PackedRows, Steps, select_one,
};
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

    /// Largest integer dot products with a document of packed rows, which are made int8 rows in
    /// `room` first: by levels of `bits` bits, or by parts of `entries` where there are any.
    pub fn select_packed(&mut self, doc: &PackedDoc<'_>, room: &mut [u8]) -> &[f32] {
        let dim = self.lanes.dim();
        let steps = match doc.entries {
            [] => Steps::Levels { bits: doc.bits, levels: doc.levels },
            entries => {
                let parts = 8 * doc.codes.len() / doc.ids.len().max(1) / doc.bits.max(1);
                Steps::Parts { entries, parts, bits: doc.bits }
            }
        };
        let rows = Book::new(doc.centroids, dim, steps)
            .and_then(|book| PackedRows::new(doc.codes, doc.scales, doc.ids, book));
        if let Some(rows) = rows
            && let Some(room) = room.get_mut(..rows.len() * dim)
        {
            (self.kernels.tokens.expand)(&rows, 0, room);
            if let Some(doc) = Int8Rows::new(room, doc.scales, dim) {
                let (scratch, out) = (&mut self.scratch, &mut self.out);
                (self.kernels.tokens.select_int8)(&self.lanes, &doc, scratch, out);
            }
        }
        &self.out
    }

    /// The integer dot product of the only query row with a document of one row.
    pub fn select_one(&mut self, codes: &[u8], scales: &[u16]) -> Option<f32> {
        let doc = Int8Rows::new(codes, scales, self.lanes.dim())?;
        select_one(&self.lanes, &doc, &mut self.scratch)
    }
}

/// A document of packed rows and what its codes mean.
#[derive(Clone, Copy, Debug)]
pub struct PackedDoc<'a> {
    /// The code of each row.
    pub codes: &'a [u8],
    /// The scale of each row, f16 bits.
    pub scales: &'a [u16],
    /// The centroid of each row.
    pub ids: &'a [u16],
    /// The centroids' bytes.
    pub centroids: &'a [u8],
    /// Bits of a code.
    pub bits: usize,
    /// What those stand for.
    pub levels: [i8; 16],
    /// What codes by parts stand for; none where codes are levels.
    pub entries: &'a [i8],
}
