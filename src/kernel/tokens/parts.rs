//! The nearest entries of product quantisation, for rows that are being encoded.
//!
//! Entries lie in the order of components, so that a component meets a register full of entries;
//! every entry's value is added up in one order, so each level compiles the same code for its own
//! instructions and finds the same entries.
#![allow(
    clippy::inline_always,
    reason = "what is not inlined is compiled for the least CPU, not for its caller's instructions"
)]

/// Tables of entries, one for each run of a row's components.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartTables<'a> {
    /// For each run, for each of its components, `entries` values.
    pub(crate) values: &'a [f32],
    /// For each run, for each entry, minus half its squared length.
    pub(crate) halves: &'a [f32],
    /// Entries of a table: at most 256.
    pub(crate) entries: usize,
    /// Components of a run.
    pub(crate) width: usize,
}

/// For each run of `width` components the entry at the least distance, the first of equals: the one
/// with the largest dot product less half its squared length. Entries are a multiple of 16.
#[inline(always)]
pub(super) fn nearest(tables: &PartTables<'_>, row: &[f32], codes: &mut [u8]) {
    let (width, entries) = (tables.width.max(1), tables.entries.clamp(16, 256));
    let runs = row.chunks_exact(width).zip(tables.values.chunks_exact(entries * width));
    for (((run, values), halves), code) in runs.zip(tables.halves.chunks_exact(entries)).zip(codes)
    {
        // Sixteen entries at a time: for each of their places the best so far, and where.
        let mut best = [f32::NEG_INFINITY; 16];
        let mut at = [0u32; 16];
        for (block, halves) in (0u32..).zip(halves.as_chunks::<16>().0) {
            let mut gains = *halves;
            let from = 16 * block as usize;
            for (&x, values) in run.iter().zip(values.chunks_exact(entries)) {
                let Some(values) = values.get(from..).and_then(|values| values.first_chunk::<16>())
                else {
                    return;
                };
                for (gain, value) in gains.iter_mut().zip(values) {
                    *gain += x * value;
                }
            }
            for ((best, at), gain) in best.iter_mut().zip(&mut at).zip(gains) {
                let above = gain > *best;
                *best = if above { gain } else { *best };
                *at = if above { block } else { *at };
            }
        }
        let most = best.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
        let entry = (0u32..).zip(best.iter().zip(at)).filter(|(_, (best, _))| **best >= most);
        let first = entry.map(|(lane, (_, block))| 16 * block + lane).min();
        *code = first.and_then(|entry| u8::try_from(entry).ok()).unwrap_or(0);
    }
}
