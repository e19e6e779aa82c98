//! Kernels that score token rows: MaxSim of one query against one document per call.
//!
//! Two families. The **float** kernels define scores; the **integer** kernel only selects who may
//! be worth a score. All levels give the same bits, by these rules:
//!
//! - *Dot product of two f32 rows*: sixteen lanes, lane `i` adding the products of the components
//!   `i`, `i + 16`, `i + 32`, … in that order to a zero, each product rounded before it is added
//!   (no fused multiply-add); missing components count as zero. Then the lanes are folded in
//!   halves: lane `i` plus lane `i + 8`, plus `i + 4`, plus `i + 2`, plus `i + 1`.
//! - *A row of f16* is widened to f32, which is exact. *A row of int8 codes* with scale `s` has
//!   the dot product `s × dot(query row, codes as f32)`: the scale is applied once, after.
//! - *Largest over a document's rows*: a value replaces the largest so far when it compares
//!   greater, starting from −∞; so NaN (which only overflow or a hostile file can bring about) is
//!   passed over. A zero result is always +0.0.
//! - *Integer dot products* are exact in i32 (a dimension is at most 4,096, a product at most
//!   255 × 127); the nearest f32 to it times the row's scale is what the largest is taken of.

mod expand;
mod parts;
mod query;
mod rows;
mod scan;
mod single;

#[cfg(target_arch = "x86_64")]
pub(super) mod amx;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;
#[cfg(test)]
mod tests;

pub(crate) use expand::{Book, PackedRows, Steps, expand};
pub(crate) use parts::PartTables;
pub(crate) use query::{FloatQuery, LaneQuery};
pub(crate) use rows::{F16Rows, F32Rows, Int8Rows};
pub(crate) use scan::Probes;
pub(crate) use single::select_one;

/// Query rows and document rows that the float kernels work on at a time.
const TILE: usize = 4;
/// Sums that are held at a time where they do not stay in registers: 32 rows of 32 lanes.
const SUMS: usize = 32 * 32;
/// Document rows that are widened to 16 bits at a time where the integers have no faster way.
const WIDE_ROWS: usize = 8;

/// The token kernels of one level. Each call scores a whole document of at least one row; the
/// query's dimension may be less than the document's, whose rows then count with their first
/// components. `out` needs [`FloatQuery::out_len`] or [`LaneQuery::out_len`] places, of which the
/// first [`rows`](FloatQuery::rows) are filled with each query row's result and the rest are
/// left in an unspecified state.
#[derive(Debug)]
pub(crate) struct TokenKernels {
    /// For each query row the largest dot product with the document's f32 rows.
    pub(crate) max_f32: fn(&FloatQuery, &F32Rows<'_>, &mut KernelScratch, out: &mut [f32]),
    /// For each query row the largest dot product with the document's f16 rows.
    pub(crate) max_f16: fn(&FloatQuery, &F16Rows<'_>, &mut KernelScratch, out: &mut [f32]),
    /// For each query row the largest scaled dot product with the document's int8 rows.
    pub(crate) max_int8: fn(&FloatQuery, &Int8Rows<'_>, &mut KernelScratch, out: &mut [f32]),
    /// For each query row, itself quantised to int8 and without its own scale, the largest scaled
    /// integer dot product with the document's int8 rows.
    pub(crate) select_int8: fn(&LaneQuery, &Int8Rows<'_>, &mut KernelScratch, out: &mut [f32]),
    /// The scaled integer dot products of every lane with every row, row after row: `out` holds
    /// rows × [`LaneQuery::out_len`].
    pub(crate) dots_int8: fn(&LaneQuery, &Int8Rows<'_>, &mut KernelScratch, out: &mut [f32]),
    /// The scaled integer dot products of one lane, its codes [widened](LaneQuery::widened), with
    /// every row: the very values that [`dots_int8`](Self::dots_int8) gives the lane. Made for lanes
    /// that meet rows of their own each.
    pub(crate) dots_lane: fn(&[i16], &Int8Rows<'_>, out: &mut [f32]),
    /// Writes packed rows from a first one on as int8 rows, as many as `out` has places for.
    pub(crate) expand: fn(&PackedRows<'_>, first: usize, out: &mut [u8]),
    /// For each run of `width` floats the entry of its own table that is nearest: see
    /// [`nearest`](parts::nearest).
    pub(crate) nearest: fn(&PartTables<'_>, row: &[f32], codes: &mut [u8]),
    /// Takes rows of one value per lane into each lane's largest and the number of the row where
    /// it was met first; `first` is the number of the first row.
    pub(crate) raise: fn(values: &[f32], first: u32, best: &mut [f32], at: &mut [u32]),
    /// Offers rows of one value per lane to the best rows of each lane.
    pub(crate) probe: fn(values: &[f32], first: u32, probes: &mut Probes),
    /// Values, row after row, times their lane's factor, as the nearest of 0 to 255.
    pub(crate) quantise: fn(values: &[f32], factors: &[f32], bytes: &mut [u8]),
    /// The sum over lanes of the largest byte in the rows `ids` of a table of that many lanes;
    /// `None` where an id is beyond the table.
    pub(crate) flood: fn(table: &[u8], lanes: usize, ids: &[u16]) -> Option<u32>,
}

/// Sixteen floats, or what else fits, on a cache line of their own.
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// Working memory of the kernels, owned by the caller and reused; a few tiles of rows.
#[derive(Debug, Default)]
pub(crate) struct KernelScratch {
    lines: Vec<Line>,
}

impl KernelScratch {
    /// Makes room for calls with this query; to be called before the kernels are. Nothing is
    /// allocated where there is room already.
    pub(crate) fn fit(&mut self, query: &FloatQuery) {
        let need = TILE * query.stride() + TILE * query.out_len();
        self.grow(need.div_ceil(16));
    }

    /// The same for the integer kernel.
    pub(crate) fn fit_lanes(&mut self, query: &LaneQuery) {
        let wide = ((query.out_len() + WIDE_ROWS) * query.dim()).div_ceil(32);
        self.grow(wide.max(SUMS.div_ceil(16)));
    }

    fn grow(&mut self, lines: usize) {
        if self.lines.len() < lines {
            self.lines.resize(lines, Line::default());
        }
    }

    /// Room for sums of the integer kernel, eight lanes at a time.
    ///
    /// # Panics
    /// As [`wide`](Self::wide).
    #[cfg(target_arch = "x86_64")]
    fn sums(&mut self) -> &mut [[i32; 8]] {
        let sums = bytemuck::must_cast_slice_mut::<Line, [i32; 8]>(&mut self.lines);
        &mut sums[..SUMS / 8]
    }

    /// A row of bytes.
    ///
    /// # Panics
    /// As [`wide`](Self::wide).
    fn bytes(&mut self) -> &mut [i8] {
        bytemuck::must_cast_slice_mut::<Line, i8>(&mut self.lines)
    }

    /// A tile of four rows of `stride` floats, and the running maxima of `rows` query rows, four
    /// document rows each.
    ///
    /// # Panics
    /// Where [`fit`](Self::fit) was not called with this query: a mistake of this crate's.
    fn tile(&mut self, query: &FloatQuery) -> (&mut [f32], &mut [f32]) {
        let floats = bytemuck::must_cast_slice_mut::<Line, f32>(&mut self.lines);
        let (tile, rest) = floats.split_at_mut(TILE * query.stride());
        (tile, &mut rest[..TILE * query.out_len()])
    }

    /// Room for the codes of a query's lanes as 16-bit numbers, and for a tile of eight
    /// document rows alike.
    ///
    /// # Panics
    /// Where [`fit_lanes`](Self::fit_lanes) was not called with this query.
    fn wide(&mut self, query: &LaneQuery) -> (&mut [i16], &mut [i16]) {
        let numbers = bytemuck::must_cast_slice_mut::<Line, i16>(&mut self.lines);
        let (wide, rest) = numbers.split_at_mut(query.out_len() * query.dim());
        (wide, &mut rest[..WIDE_ROWS * query.dim()])
    }
}
