//! Kernels of the inverted index: what turns dense terms of one window into integer scores.
//!
//! A window has 4,096 documents, 64 groups of 64. A dense term keeps, per group, a **cell**: a
//! mask of which documents have it, and their impacts, packed. Four terms make a [`Quad`], since
//! the instructions multiply and add four bytes at a time.
//!
//! Sums are i32 and wrap; in a well-formed index none overflows, because 65,536 terms of at most
//! 255 · 127 each stay below 2^31. A cell is read as its mask says, from the 72 bytes at its offset,
//! and offsets beyond the last place a cell can have count as that place, so no kernel can read
//! outside the arrays it is given. All levels give the same bits where no impact is larger than its
//! group's largest; where one is, which only a damaged file can say, some may miss its document.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
pub(super) mod portable;
#[cfg(test)]
mod tests;

/// Documents in a group.
pub(crate) const GROUP: usize = 64;
/// Groups in a window.
pub(crate) const GROUPS: usize = 64;
/// Documents in a window.
pub(crate) const WINDOW: usize = GROUP * GROUPS;
/// Most bytes of a cell: a mask and 64 impacts.
pub(crate) const CELL: usize = 8 + GROUP;
/// Most bytes of the cells of one term in one window.
pub(crate) const SPAN: usize = GROUPS * CELL;

/// The largest offset that leaves room for a whole cell.
const LAST: usize = SPAN - CELL;

/// A dense term in one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DenseRow<'a> {
    /// Where each group's cell begins in `cells`.
    pub(crate) offsets: &'a [u16; GROUPS],
    /// The cells and, after them, whatever follows in the file.
    pub(crate) cells: &'a [u8; SPAN],
}

impl DenseRow<'static> {
    /// A term that no document has: what fills up the last quad.
    pub(crate) const EMPTY: Self = Self { offsets: &[0; GROUPS], cells: &[0; SPAN] };
}

impl<'a> DenseRow<'a> {
    /// The bytes from the beginning of a group's cell on; `group` is taken modulo 64.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call in the innermost loop costs AVX2 a fifth")]
    pub(crate) fn cell(&self, group: usize) -> &'a [u8; CELL] {
        let at = usize::from(self.offsets[group % GROUPS]).min(LAST);
        let cells: &'a [u8; SPAN] = self.cells;
        // The range has `CELL` bytes and ends at `SPAN` at the latest, so this never falls back.
        cells.get(at..at + CELL).and_then(|cell| cell.first_chunk()).unwrap_or(&[0; CELL])
    }
}

/// The largest impacts of four dense terms in each group of a window, with their integer weights: 1
/// to 127, or 0 of a place filled up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MaximaQuad<'a> {
    pub(crate) maxima: [&'a [u8; GROUPS]; 4],
    pub(crate) weights: [u8; 4],
}

impl MaximaQuad<'static> {
    /// Of no terms.
    pub(crate) const EMPTY: Self = Self { maxima: [&[0; GROUPS]; 4], weights: [0; 4] };
}

/// Four dense terms in one window; [`DenseRow::EMPTY`] where there are fewer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quad<'a> {
    pub(crate) rows: [DenseRow<'a>; 4],
    pub(crate) most: MaximaQuad<'a>,
}

impl Quad<'_> {
    /// What the terms can add to a document of a group.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a part of the loops of each level")]
    fn most(&self, group: usize) -> i32 {
        let MaximaQuad { maxima, weights } = &self.most;
        let most = maxima.iter().zip(weights);
        most.map(|(maxima, &weight)| i32::from(maxima[group % GROUPS]) * i32::from(weight)).sum()
    }
}

/// Up to so many documents of a group are completed one by one.
const FEW: u32 = 8;

/// Completes the documents that count one by one, to whom the quads can add `rest` at most.
#[inline(always)]
#[allow(clippy::inline_always, reason = "bits are counted by an instruction that AVX2 implies")]
fn complete_few<const HALVES: bool>(
    quads: &[Quad<'_>],
    group: usize,
    sums: &mut [i32; GROUP],
    (Hope { needed, mut alive }, rest): (Hope, i32),
) -> u64 {
    let mut reached = 0;
    while alive != 0 {
        let doc = alive.trailing_zeros() as usize % GROUP;
        alive &= alive - 1;
        let (mut sum, mut rest) = (sums[doc], rest);
        let hope = quads.iter().all(|quad| {
            for (row, &weight) in quad.rows.iter().zip(&quad.most.weights) {
                let impact = impact_of::<HALVES>(row.cell(group), doc);
                sum = sum.wrapping_add(i32::from(weight) * i32::from(impact));
            }
            rest = rest.wrapping_sub(quad.most(group));
            sum.wrapping_add(rest) >= needed
        });
        sums[doc] = sum;
        reached |= u64::from(hope && sum >= needed) << doc;
    }
    reached
}

/// A document's impact in a cell, 0 where it has none; two to a byte with `HALVES`.
#[inline(always)]
#[allow(clippy::inline_always, reason = "as `complete_few`")]
fn impact_of<const HALVES: bool>(cell: &[u8; CELL], doc: usize) -> u8 {
    let mask = cell.first_chunk().map_or(0, |mask| u64::from_le_bytes(*mask));
    let before = (mask & !(u64::MAX << (doc % GROUP))).count_ones() as usize;
    let impacts: &[u8; GROUP] = cell.last_chunk().unwrap_or(&[0; GROUP]);
    let impact = if HALVES {
        impacts[before / 2 % GROUP] >> (4 * (before % 2)) & 15
    } else {
        impacts[before % GROUP]
    };
    impact * u8::from(mask >> (doc % GROUP) & 1 == 1)
}

/// The ordinals of a forward row: per term the number of ordinals skipped since the one before, or
/// since −1. Gaps have one byte or two; the bit of a term in `widths` says which.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowGaps<'a> {
    /// One bit a term, lowest first.
    pub(crate) widths: &'a [u8],
    /// The low byte of each term's gap: there are as many terms.
    pub(crate) lows: &'a [u8],
    /// The second byte of each wide gap; where one is missing it counts as 0.
    pub(crate) highs: &'a [u8],
}

/// Terms that are looked at together.
pub(crate) const ABREAST: usize = 16;

/// The ordinals of as many terms of a row, in a line of memory of their own.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
pub(crate) struct Abreast(pub(crate) [u32; ABREAST]);

/// The ordinals of a row, and which of its terms may be in a query. All ordinals are kept where they
/// stand, since moving those that pass together takes longer than going from bit to bit.
#[derive(Clone, Debug, Default)]
pub(crate) struct RowHits {
    ordinals: Vec<Abreast>,
    /// One bit a term, lowest first: as many words as all ordinals have, and up to three more of 0.
    passing: Vec<u16>,
}

impl RowHits {
    /// Room for a row of so many terms, none of which passes.
    #[inline]
    fn begin(&mut self, terms: usize) {
        let lines = terms.div_ceil(ABREAST);
        if self.ordinals.len() < lines {
            self.ordinals.resize(lines, Abreast::default());
        }
        self.passing.clear();
        self.passing.resize(lines.next_multiple_of(4), 0);
    }

    /// All ordinals of the row, [`ABREAST`] at a time; the last is filled up with what comes.
    #[inline]
    pub(crate) fn all(&self) -> impl Iterator<Item = &[u32; ABREAST]> {
        self.ordinals.iter().map(|line| &line.0)
    }

    /// Each ordinal that passes with its place in the row, ascending.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        let (fours, _) = self.passing.as_chunks::<4>();
        let words = fours.iter().map(|&[a, b, c, d]| {
            u64::from(a) | u64::from(b) << 16 | u64::from(c) << 32 | u64::from(d) << 48
        });
        words
            .zip((0..).step_by(64))
            .flat_map(|(mut word, first)| {
                std::iter::from_fn(move || {
                    (word != 0).then(|| {
                        let place = first + word.trailing_zeros() as usize;
                        word &= word - 1;
                        place
                    })
                })
            })
            .map(|place| {
                let line = self.ordinals.get(place / ABREAST);
                (line.map_or(0, |line| line.0[place % ABREAST]), place)
            })
    }
}

/// Which ordinals are worth a look: bit `ordinal mod 1024`. The words are two registers.
pub(crate) type RowFilter = [u32; 32];

/// What is looked for in a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hope {
    /// The sum that a document needs.
    pub(crate) needed: i32,
    /// One bit for each document that counts.
    pub(crate) alive: u64,
}

/// Adds the postings of a group to the sums of its documents. One bit per document that counts: whether
/// its sum is now what is needed. What the sums of others are afterwards is not said: those that the
/// largest impacts leave no hope may be given up half-way.
pub(crate) type Complete = fn(&[Quad<'_>], group: usize, &mut [i32; GROUP], Hope) -> u64;

/// The kernels of one level.
#[derive(Debug)]
pub(crate) struct PostingKernels {
    /// Per group of a window the weighted sum of the largest impacts, written to `bounds`.
    pub(crate) group_bounds: fn(&[MaximaQuad<'_>], bounds: &mut [i32; GROUPS]),
    /// One bit per group: whether some document of it has a sum of at least `needed` less the
    /// group's bound (bounds are not negative).
    pub(crate) live_groups: fn(sums: &[i32; WINDOW], bounds: &[i32; GROUPS], needed: i32) -> u64,
    /// Adds the postings of a group to its documents' sums.
    pub(crate) complete: Complete,
    /// The same for cells whose impacts take four bits: two to a byte, the lower half first.
    pub(crate) complete_u4: Complete,
    /// The ordinals of a row, and which of them pass the filter, in place of what `hits` held. They
    /// are taken modulo 2^32; a row of at most 65,536 terms stays below.
    pub(crate) row_hits: fn(&RowGaps<'_>, &RowFilter, hits: &mut RowHits),
}
