//! A forward row: one document's vector, its terms as gaps between ordinals.
//!
//! ```text
//! row     := count widths lows highs more weights
//! count   := u16, the number of terms less 1
//! widths  := one bit a term, eight to a byte, lowest first: 0 for a narrow gap, 1 for a wide one
//! lows    := per term the low byte of its gap: the ordinals skipped since the one before (since
//!            −1 for the first)
//! highs   := per wide gap its second byte; a gap of 65,535 or more counts as 65,535 so far
//! more    := per gap that counts as 65,535, u32: the gap itself
//! weights := per term f16 or f32
//! ```
//!
//! Low and high bytes lie apart so that sixteen gaps can be read at once.
//!
//! Gaps count ordinals, not term ids, so they stay short whatever the ids are; with the 30,522
//! word pieces of the sets measured, four gaps in five are narrow. A document that lacks the field
//! has an empty row, without even a count.

use crate::kernel::postings::{RowGaps, RowHits};

use super::build::Weights;

/// Appends a row: ascending ordinals, and as many weights (1 to 65,536).
pub(super) fn encode(
    ordinals: impl Iterator<Item = u32>,
    row_weights: &[f32],
    kept: Weights,
    out: &mut Vec<u8>,
) {
    let Some(last) = row_weights.len().checked_sub(1) else { return };
    let count = u16::try_from(last).expect("the door lets in 65,536 terms at most");
    out.extend_from_slice(&count.to_le_bytes());
    // Widths and lows have their places; highs follow as they come.
    let widths = out.len();
    let lows = widths + row_weights.len().div_ceil(8);
    out.resize(lows + row_weights.len(), 0);
    let mut more = Vec::new();
    let mut next = 0u32;
    for (at, ordinal) in ordinals.enumerate() {
        // Ordinals ascend, unless a damaged file is merged.
        let gap = ordinal.wrapping_sub(next);
        next = ordinal.saturating_add(1);
        let short = u16::try_from(gap).unwrap_or(u16::MAX);
        let [low, high] = short.to_le_bytes();
        out[lows + at] = low;
        if high > 0 {
            out[widths + at / 8] |= 1 << (at % 8);
            out.push(high);
        }
        if short == u16::MAX {
            more.extend_from_slice(&gap.to_le_bytes());
        }
    }
    out.extend_from_slice(&more);
    for &weight in row_weights {
        match kept {
            Weights::None => {}
            Weights::F16 => out.extend_from_slice(&Weights::half(weight).to_le_bytes()),
            Weights::F32 => out.extend_from_slice(&weight.to_le_bytes()),
        }
    }
}

/// An encoded row, split into its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowView<'a> {
    gaps: RowGaps<'a>,
    more: &'a [u8],
    weights: RowWeights<'a>,
}

/// The weights of a row, as bytes.
#[derive(Clone, Copy, Debug)]
enum RowWeights<'a> {
    F16(&'a [[u8; 2]]),
    F32(&'a [[u8; 4]]),
}

impl<'a> RowView<'a> {
    /// Splits the bytes of a row; `None` where they are empty. The error says what is wrong.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "what it gives is large, and taken apart at once")]
    pub(super) fn new(bytes: &'a [u8], kept: Weights) -> Result<Option<Self>, &'static str> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let (count, rest) = bytes.split_first_chunk::<2>().ok_or("row ends in its count")?;
        let count = usize::from(u16::from_le_bytes(*count)) + 1;
        let (widths, rest) =
            rest.split_at_checked(count.div_ceil(8)).ok_or("row ends in its gap widths")?;
        let size = match kept {
            Weights::None => return Err("row in a field without rows"),
            Weights::F16 => 2,
            Weights::F32 => 4,
        };
        let (eights, ones) = widths.as_chunks::<8>();
        let wide: u32 = eights.iter().map(|bits| u64::from_le_bytes(*bits).count_ones()).sum();
        let wide = wide + ones.iter().map(|bits| bits.count_ones()).sum::<u32>();
        let split = rest.split_at_checked(count);
        let (lows, rest) = split.ok_or("row ends in its gaps")?;
        let (highs, rest) = rest.split_at_checked(wide as usize).ok_or("row ends in its gaps")?;
        let more = rest.len().checked_sub(count * size).ok_or("row ends in its weights")?;
        let (more, weights) = rest.split_at(more);
        let weights = match kept {
            Weights::F32 => RowWeights::F32(weights.as_chunks().0),
            _ => RowWeights::F16(weights.as_chunks().0),
        };
        Ok(Some(Self { gaps: RowGaps { widths, lows, highs }, more, weights }))
    }

    /// How many terms, at least 1.
    pub(super) fn count(&self) -> usize {
        self.gaps.lows.len()
    }

    /// The gaps, where none is too large for two bytes.
    #[inline]
    pub(super) fn short_gaps(&self) -> Option<&RowGaps<'a>> {
        self.more.is_empty().then_some(&self.gaps)
    }

    /// Calls `take` with each term's ordinal, ascending, and its place in the row.
    #[inline]
    pub(super) fn each(&self, mut take: impl FnMut(u64, usize)) -> Result<(), &'static str> {
        let RowGaps { widths, lows, highs } = self.gaps;
        let (mut highs, mut more) = (highs.iter(), self.more);
        let mut next = 0u64;
        for (at, &low) in lows.iter().enumerate() {
            let wide = widths.get(at / 8).is_some_and(|bits| bits >> (at % 8) & 1 == 1);
            let high = if wide { *highs.next().ok_or("row ends in its gaps")? } else { 0 };
            let mut gap = u32::from(u16::from_le_bytes([low, high]));
            if gap == u32::from(u16::MAX) {
                let (whole, after) = more.split_first_chunk::<4>().ok_or("row ends in its gaps")?;
                (gap, more) = (u32::from_le_bytes(*whole), after);
            }
            let ordinal = next + u64::from(gap);
            next = ordinal + 1;
            take(ordinal, at);
        }
        if more.is_empty() && highs.next().is_none() {
            Ok(())
        } else {
            Err("bytes between gaps and weights")
        }
    }

    /// The gaps, where all are of two bytes at most and nothing stands between them and the weights:
    /// what [`each`](Self::each) would find no fault with.
    #[inline]
    pub(super) fn sound_gaps(&self) -> Option<&RowGaps<'a>> {
        let gaps = self.short_gaps()?;
        let used = gaps.lows.len() % 8;
        let over = gaps.widths.last().is_some_and(|bits| used > 0 && bits >> used != 0);
        // There are as many high bytes as widths have bits. A gap of 65,535 has another form.
        let most = gaps.highs.iter().fold(0, |most, &high| high.max(most));
        (!over && most < u8::MAX).then_some(gaps)
    }

    /// Appends all weights, which must be finite and above zero.
    pub(super) fn weights(&self, out: &mut Vec<f32>) {
        match self.weights {
            RowWeights::F16(values) => {
                out.extend(values.iter().map(|&bytes| wide(bytes)));
            }
            RowWeights::F32(values) => {
                out.extend(values.iter().map(|&bytes| f32::from_le_bytes(bytes)));
            }
        }
    }

    /// The sum over hits of a query's weight (0: not in the query) times the row's, in their order;
    /// `None` where none is in the query. What is not is added as 0, which changes nothing and
    /// needs no branch.
    #[inline]
    pub(super) fn dot(&self, hits: &RowHits, query: impl Fn(u32) -> f32) -> Option<f32> {
        let (mut score, mut any) = (0f32, 0u32);
        let mut add = |ordinal: u32, stored: f32| {
            let weight = query(ordinal);
            any |= weight.to_bits();
            // Not by the product alone: what a damaged file stores may not be finite.
            let there = 0u32.wrapping_sub(u32::from(weight.to_bits() != 0));
            score += f32::from_bits((weight * stored).to_bits() & there);
        };
        match self.weights {
            RowWeights::F16(values) => hits.iter().for_each(|(ordinal, at)| {
                add(ordinal, values.get(at).map_or(0.0, |&bytes| wide(bytes)));
            }),
            RowWeights::F32(values) => hits.iter().for_each(|(ordinal, at)| {
                let value = values.get(at).map_or(0.0, |&bytes| f32::from_le_bytes(bytes));
                add(ordinal, value);
            }),
        }
        (any != 0).then_some(score)
    }

    /// The weight at a place of the row; 0 beyond its end.
    #[inline]
    pub(super) fn weight(&self, at: usize) -> f32 {
        match self.weights {
            RowWeights::F16(values) => values.get(at).map_or(0.0, |&bytes| wide(bytes)),
            RowWeights::F32(values) => {
                values.get(at).map_or(0.0, |&bytes| f32::from_le_bytes(bytes))
            }
        }
    }
}

/// What a finite f16 above zero is. In the bits of an f32 it is 2^112 times too small, and the
/// product is exact; asking the processor whether it can convert takes longer.
#[inline]
fn wide(bytes: [u8; 2]) -> f32 {
    let scale = f32::from_bits((127 + 112) << 23);
    f32::from_bits(u32::from(u16::from_le_bytes(bytes) & 0x7fff) << 13) * scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round(ordinals: &[u32], kept: Weights) -> Vec<u8> {
        let weights: Vec<f32> = (0..ordinals.len()).map(|w| (w % 512 + 1) as f32 * 0.25).collect();
        let mut bytes = Vec::new();
        encode(ordinals.iter().copied(), &weights, kept, &mut bytes);
        let row = RowView::new(&bytes, kept).unwrap().unwrap();
        let mut back = Vec::new();
        row.each(|ordinal, at| back.push((ordinal, row.weight(at)))).unwrap();
        let put: Vec<_> = ordinals.iter().map(|&o| u64::from(o)).zip(weights).collect();
        assert_eq!(back, put);
        bytes
    }

    #[test]
    fn gaps_of_every_width() {
        let edges = [0, 255, 256, 511, 768, 66_302, 131_838, 131_839, 400_000, u32::MAX];
        assert_eq!(round(&edges[..2], Weights::F16).len(), 2 + 1 + 2 + 4);
        round(&edges, Weights::F32);
        round(&[u32::MAX], Weights::F16);
        let all: Vec<u32> = (0..65_536).collect();
        assert_eq!(round(&all, Weights::F16).len(), 2 + 8192 + 65_536 * 3);
    }

    #[test]
    fn an_absent_row_is_no_bytes() {
        let mut bytes = Vec::new();
        encode([].into_iter(), &[], Weights::F16, &mut bytes);
        assert!(bytes.is_empty() && RowView::new(&bytes, Weights::F16).unwrap().is_none());
    }

    #[test]
    fn every_cut_is_noticed() {
        let bytes = round(&[1, 300, 301, 90_000], Weights::F16);
        for cut in 1..bytes.len() {
            let read = RowView::new(&bytes[..cut], Weights::F16)
                .and_then(|row| row.unwrap().each(|_, _| ()));
            assert!(read.is_err(), "cut to {cut}");
        }
    }

    proptest! {
        #[test]
        fn rows_round_trip(set in prop::collection::btree_set(0u32..200_000, 1..300)) {
            let ordinals: Vec<u32> = set.into_iter().collect();
            round(&ordinals, Weights::F16);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            for kept in [Weights::None, Weights::F16, Weights::F32] {
                if let Ok(Some(row)) = RowView::new(&bytes, kept) {
                    let mut found = Vec::new();
                    let read = row.each(|ordinal, at| {
                        assert!(found.last() < Some(&ordinal));
                        found.push(ordinal);
                        let _ = row.weight(at);
                    });
                    prop_assert!(row.sound_gaps().is_none() || read.is_ok());
                    // Most rows are sound, or it were of no use.
                    let short = found.iter().zip(found.iter().skip(1)).all(|(a, b)| b - a < 0xFF00);
                    let short = short && found.first().is_none_or(|first| *first < 0xFF00);
                    prop_assert!(read.is_err() || !short || row.sound_gaps().is_some());
                }
            }
        }
    }
}
