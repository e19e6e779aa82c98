//! Queries in the order in which the kernels read them: packed once, used for every document.

use super::{Line, TILE};

/// Query rows for the float kernels: each row zero-padded to a multiple of 16 components, and the
/// rows to a multiple of 4, on cache-line boundaries.
#[derive(Clone, Debug)]
pub(crate) struct FloatQuery {
    lines: Vec<Line>,
    rows: usize,
    dim: usize,
}

impl FloatQuery {
    /// Packs rows of `dim` components that lie one after another; a last incomplete row is
    /// dropped.
    pub(crate) fn new(flat: &[f32], dim: usize) -> Self {
        let dim = dim.max(1);
        let rows = flat.len() / dim;
        let lines_per_row = dim.div_ceil(16);
        let mut lines = vec![Line::default(); rows.next_multiple_of(TILE) * lines_per_row];
        let floats = bytemuck::must_cast_slice_mut::<Line, f32>(&mut lines);
        for (to, from) in floats.chunks_exact_mut(16 * lines_per_row).zip(flat.chunks_exact(dim)) {
            to[..dim].copy_from_slice(from);
        }
        Self { lines, rows, dim }
    }

    /// Query rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Components of a row.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// A row as it was given; empty where there is none.
    pub(crate) fn row(&self, at: usize) -> &[f32] {
        let start = at.saturating_mul(self.stride());
        let end = start.saturating_add(self.dim);
        if at < self.rows { self.floats().get(start..end).unwrap_or_default() } else { &[] }
    }

    /// Places that the kernels need for results: the rows, rounded up to a multiple of 4.
    pub(crate) fn out_len(&self) -> usize {
        self.rows.next_multiple_of(TILE)
    }

    /// Floats from one packed row to the next: a multiple of 16.
    pub(super) fn stride(&self) -> usize {
        self.dim.next_multiple_of(16)
    }

    /// The packed rows: [`out_len`](Self::out_len) × [`stride`](Self::stride) floats, at a
    /// multiple of 64 bytes.
    pub(super) fn floats(&self) -> &[f32] {
        bytemuck::must_cast_slice::<Line, f32>(&self.lines)
    }
}

/// Query rows as int8 in the lanes of the integer kernel.
///
/// The rows are dealt to *passes* of 32, 16 or 8 lanes, a query row a lane; rows that are left
/// over leave lanes of zeros. A pass of `w` lanes over `dim` components is `dim / 4` groups of
/// `w` × 4 bytes: lane `l` of group `g` holds the components `4g … 4g + 3` of its row.
#[derive(Clone, Debug)]
pub(crate) struct LaneQuery {
    lines: Vec<Line>,
    /// For each lane −128 × the sum of its codes: what the bias of the documents' codes adds.
    offsets: Vec<i32>,
    /// The codes as they are where there is one row alone, else none.
    single: Vec<i8>,
    rows: usize,
    dim: usize,
}

impl LaneQuery {
    /// Packs rows of `dim` codes in −127..=127 that lie one after another; `dim` is a multiple of
    /// 8, at most 4,096.
    pub(crate) fn new(codes: &[i8], dim: usize) -> Self {
        debug_assert!(dim.is_multiple_of(8) && dim <= crate::limits::MAX_DIM);
        let dim = dim.max(8) / 8 * 8;
        let rows = codes.len() / dim;
        let lanes: usize = passes(rows).map(|(_, width)| width).sum();
        let mut lines = vec![Line::default(); (lanes * dim).div_ceil(64)];
        let mut offsets = vec![0; lanes];
        let bytes = bytemuck::must_cast_slice_mut::<Line, i8>(&mut lines);
        for (first, width) in passes(rows) {
            let pass = &mut bytes[first * dim..(first + width) * dim];
            for (lane, row) in codes.chunks_exact(dim).skip(first).take(width).enumerate() {
                for (group, four) in row.chunks_exact(4).enumerate() {
                    pass[(group * width + lane) * 4..][..4].copy_from_slice(four);
                }
                offsets[first + lane] = -128 * row.iter().map(|&code| i32::from(code)).sum::<i32>();
            }
        }
        let single = if rows == 1 { codes[..dim].to_vec() } else { Vec::new() };
        Self { lines, offsets, single, rows, dim }
    }

    /// The codes of the only row; `None` where there are more.
    pub(super) fn single(&self) -> Option<&[i8]> {
        (self.rows == 1).then_some(&*self.single)
    }

    /// The codes of one lane, in their order, as 16-bit numbers.
    pub(crate) fn widened(&self, lane: usize, out: &mut Vec<i16>) {
        out.clear();
        let passes = self.passes().map(|pass| (pass.first, pass.offsets.len(), pass.codes));
        let mine =
            |&(first, width, _): &(usize, usize, &[i8])| (first..first + width).contains(&lane);
        let Some((first, width, codes)) = passes.into_iter().find(mine) else { return };
        let groups = codes.as_chunks::<4>().0.iter().skip(lane - first).step_by(width);
        out.extend(groups.flatten().map(|&code| i16::from(code)));
    }

    /// Query rows.
    #[cfg(test)]
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Components of a row: a multiple of 8.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Places that the kernel needs for results: all lanes, those of zeros included.
    pub(crate) fn out_len(&self) -> usize {
        self.offsets.len()
    }

    /// The passes with their packed codes (width × dim, starting at a multiple of 64 bytes) and
    /// the offset of each lane.
    pub(super) fn passes(&self) -> impl Iterator<Item = Pass<'_>> {
        let codes = bytemuck::must_cast_slice::<Line, i8>(&self.lines);
        passes(self.rows).map(move |(first, width)| Pass {
            first,
            codes: &codes[first * self.dim..(first + width) * self.dim],
            offsets: &self.offsets[first..first + width],
        })
    }
}

/// One pass of the integer kernel over a document: 32, 16 or 8 lanes, as many as there are
/// offsets.
pub(super) struct Pass<'a> {
    /// The query row in its first lane.
    pub(super) first: usize,
    /// Packed codes: lanes × dim.
    pub(super) codes: &'a [i8],
    /// One for each lane.
    pub(super) offsets: &'a [i32],
}

/// How rows are dealt to passes: (first row, lanes).
fn passes(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).step_by(32).map(move |first| match rows - first {
        ..=8 => (first, 8),
        9..=16 => (first, 16),
        _ => (first, 32),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_fit_the_rows() {
        let widths = |rows| passes(rows).map(|(_, width)| width).collect::<Vec<_>>();
        assert!(widths(0).is_empty());
        assert_eq!(widths(7), [8]);
        assert_eq!(widths(9), [16]);
        assert_eq!(widths(17), [32]);
        assert_eq!(widths(70), [32, 32, 8]);
    }

    #[test]
    fn packing_starts_on_cache_lines() {
        let query = LaneQuery::new(&[1; 70 * 8], 8);
        for pass in query.passes() {
            assert_eq!(pass.codes.as_ptr() as usize % 64, 0);
            assert_eq!(pass.codes.len(), pass.offsets.len() * 8);
        }
        assert_eq!(FloatQuery::new(&[1.0; 24], 8).floats().as_ptr() as usize % 64, 0);
    }
}
