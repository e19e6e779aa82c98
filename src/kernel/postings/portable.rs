//! Plain Rust: the specification of the other levels.

use super::{
    ABREAST, FEW, GROUP, GROUPS, Hope, MaximaQuad, PostingKernels, Quad, RowFilter, RowGaps,
    RowHits, WINDOW, complete_few,
};

pub(in crate::kernel) const KERNELS: PostingKernels =
    PostingKernels { group_bounds, live_groups, complete, complete_u4, row_hits };

fn group_bounds(quads: &[MaximaQuad<'_>], bounds: &mut [i32; GROUPS]) {
    bounds.fill(0);
    for quad in quads {
        for (maxima, &weight) in quad.maxima.iter().zip(&quad.weights) {
            for (bound, &max) in bounds.iter_mut().zip(*maxima) {
                *bound = bound.wrapping_add(i32::from(weight) * i32::from(max));
            }
        }
    }
}

fn live_groups(sums: &[i32; WINDOW], bounds: &[i32; GROUPS], needed: i32) -> u64 {
    let (groups, _) = sums.as_chunks::<GROUP>();
    let mut live = 0;
    for ((group, &bound), bit) in groups.iter().zip(bounds).zip(0u32..) {
        let most = group.iter().fold(i32::MIN, |most, &sum| most.max(sum));
        live |= u64::from(most >= needed.wrapping_sub(bound)) << bit;
    }
    live
}

fn complete(quads: &[Quad<'_>], group: usize, sums: &mut [i32; GROUP], hope: Hope) -> u64 {
    complete_by::<false, 1>(quads, group, sums, hope, |byte| [byte])
}

fn complete_u4(quads: &[Quad<'_>], group: usize, sums: &mut [i32; GROUP], hope: Hope) -> u64 {
    complete_by::<true, 2>(quads, group, sums, hope, |two| [two & 15, two >> 4])
}

/// Term by term, until there is hope for a few documents only; a byte of a cell holds `N` impacts.
#[inline]
fn complete_by<const HALVES: bool, const N: usize>(
    quads: &[Quad<'_>],
    group: usize,
    sums: &mut [i32; GROUP],
    Hope { needed, mut alive }: Hope,
    impacts_of: impl Fn(u8) -> [u8; N],
) -> u64 {
    let mut rest: i32 = quads.iter().map(|quad| quad.most(group)).sum();
    for (at, quad) in quads.iter().enumerate() {
        alive &= reached(sums, needed.wrapping_sub(rest));
        if alive.count_ones() <= FEW {
            let quads = quads.get(at..).unwrap_or_default();
            return complete_few::<HALVES>(quads, group, sums, (Hope { needed, alive }, rest));
        }
        rest = rest.wrapping_sub(quad.most(group));
        for (row, &weight) in quad.rows.iter().zip(&quad.most.weights) {
            let cell = row.cell(group);
            let Some((mask, impacts)) = cell.split_first_chunk::<8>() else { continue };
            let mut mask = u64::from_le_bytes(*mask);
            for impact in impacts.iter().flat_map(|&byte| impacts_of(byte)) {
                if mask == 0 {
                    break;
                }
                let sum = &mut sums[mask.trailing_zeros() as usize % GROUP];
                *sum = sum.wrapping_add(i32::from(weight) * i32::from(impact));
                mask &= mask - 1;
            }
        }
    }
    alive & reached(sums, needed)
}

/// Which sums are at least `needed`.
fn reached(sums: &[i32; GROUP], needed: i32) -> u64 {
    sums.iter().zip(0u32..).fold(0, |word, (&sum, bit)| word | u64::from(sum >= needed) << bit)
}

fn row_hits(gaps: &RowGaps<'_>, filter: &RowFilter, hits: &mut RowHits) {
    hits.begin(gaps.lows.len());
    let RowHits { ordinals, passing } = hits;
    let mut highs = gaps.highs.iter();
    let mut next = 0u32;
    for (eight, lows) in gaps.lows.chunks(8).enumerate() {
        let mut widths = gaps.widths.get(eight).copied().unwrap_or(0);
        for (at, &low) in lows.iter().enumerate() {
            let high = if widths & 1 == 1 { highs.next().copied().unwrap_or(0) } else { 0 };
            widths >>= 1;
            let ordinal = next.wrapping_add(u32::from(u16::from_le_bytes([low, high])));
            next = ordinal.wrapping_add(1);
            let place = eight * 8 + at;
            let passes = filter[ordinal as usize / 32 % 32] >> (ordinal % 32) & 1;
            if let Some(line) = ordinals.get_mut(place / ABREAST)
                && let Some(word) = passing.get_mut(place / ABREAST)
            {
                line.0[place % ABREAST] = ordinal;
                *word |= u16::from(passes == 1) << (place % ABREAST);
            }
        }
    }
}
