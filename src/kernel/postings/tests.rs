//! Every level against sums made one document at a time, on cells as they are written and on
//! noise.

#![allow(clippy::cast_possible_truncation)] // what tests count is small

use super::*;
use crate::kernel::available;
use crate::mix::Numbers;

impl Numbers {
    fn weights(&mut self) -> [u8; 4] {
        [(); 4]
            .map(|()| if self.next().is_multiple_of(4) { 127 } else { (self.next() % 128) as u8 })
    }
}

/// A term's cells in a window, and what they say: the impact of each document.
struct Term {
    offsets: [u16; GROUPS],
    cells: [u8; SPAN],
    impacts: Vec<u8>,
}

impl Term {
    /// Of every 16 documents about `share` have it.
    fn new(random: &mut Numbers, share: u64) -> Self {
        let mut term = Self { offsets: [0; GROUPS], cells: [0xee; SPAN], impacts: Vec::new() };
        let mut at = 0;
        for offset in &mut term.offsets {
            *offset = at as u16;
            let mut mask = 0u64;
            let mut packed = Vec::new();
            for bit in 0..64 {
                let has = random.next() % 16 < share;
                let impact =
                    if random.next().is_multiple_of(3) { 255 } else { random.next() as u8 };
                term.impacts.push(if has { impact } else { 0 });
                if has {
                    mask |= 1 << bit;
                    packed.push(impact);
                }
            }
            term.cells[at..at + 8].copy_from_slice(&mask.to_le_bytes());
            term.cells[at + 8..at + 8 + packed.len()].copy_from_slice(&packed);
            at += 8 + packed.len();
        }
        term
    }

    /// The same documents with impacts of four bits.
    fn halved(&self) -> Self {
        let mut term = Self {
            offsets: [0; GROUPS],
            cells: [0xee; SPAN],
            impacts: self.impacts.iter().map(|impact| impact >> 4).collect(),
        };
        let mut at = 0;
        for (group, offset) in term.offsets.iter_mut().enumerate() {
            *offset = at as u16;
            let cell = &self.cells[usize::from(self.offsets[group])..];
            let mask = u64::from_le_bytes(cell[..8].try_into().unwrap());
            let count = mask.count_ones() as usize;
            term.cells[at..at + 8].copy_from_slice(&mask.to_le_bytes());
            at += 8;
            for two in cell[8..8 + count].chunks(2) {
                term.cells[at] = two[0] >> 4 | two.get(1).map_or(0, |high| high & 0xf0);
                at += 1;
            }
        }
        term
    }

    /// The largest impact of each group.
    fn maxima(&self) -> [u8; GROUPS] {
        let mut maxima = [0; GROUPS];
        for (most, group) in maxima.iter_mut().zip(self.impacts.chunks(GROUP)) {
            *most = group.iter().copied().max().unwrap_or(0);
        }
        maxima
    }

    fn row(&self) -> DenseRow<'_> {
        DenseRow { offsets: &self.offsets, cells: &self.cells }
    }
}

#[test]
fn completed_sums_are_those_of_the_documents() {
    let mut random = Numbers(1);
    for quads in [0, 1, 2, 9] {
        for share in [0, 1, 5, 15, 16] {
            let terms: Vec<Term> = (0..quads * 4).map(|_| Term::new(&mut random, share)).collect();
            completes(&mut random, &terms, |kernels| kernels.complete);
            let halved: Vec<Term> = terms.iter().map(Term::halved).collect();
            completes(&mut random, &halved, |kernels| kernels.complete_u4);
        }
    }
}

/// A kernel of every level, on groups of these terms, four to a quad.
fn completes(random: &mut Numbers, terms: &[Term], kernel: fn(&PostingKernels) -> Complete) {
    let (fours, _) = terms.as_chunks::<4>();
    let weights: Vec<[u8; 4]> = fours.iter().map(|_| random.weights()).collect();
    let maxima: Vec<[[u8; GROUPS]; 4]> =
        fours.iter().map(|four| four.each_ref().map(Term::maxima)).collect();
    let quads: Vec<Quad<'_>> = fours
        .iter()
        .zip(&weights)
        .zip(&maxima)
        .map(|((four, &weights), maxima)| Quad {
            rows: four.each_ref().map(Term::row),
            most: MaximaQuad { maxima: maxima.each_ref(), weights },
        })
        .collect();
    for group in 0..GROUPS {
        let start = [(); GROUP].map(|()| (random.next() % 100_000) as i32);
        let mut want = start;
        for (term, weight) in terms.iter().zip(weights.as_flattened()) {
            for (sum, &impact) in want.iter_mut().zip(&term.impacts[group * GROUP..]) {
                *sum += i32::from(*weight) * i32::from(impact);
            }
        }
        let mut order = want;
        order.sort_unstable();
        // All, some, and so few that they are completed one by one.
        for needed in [1, order[17], order[40], order[58], order[63], i32::MAX] {
            for alive in [u64::MAX, random.next(), random.next() & random.next() & random.next()] {
                let reached = (0..64).filter(|&bit| want[bit] >= needed);
                let reached = alive & reached.fold(0u64, |word, bit| word | 1 << bit);
                for kernels in available() {
                    let mut sums = start;
                    let complete = kernel(&kernels.postings);
                    let got = complete(&quads, group, &mut sums, Hope { needed, alive });
                    assert_eq!(got, reached, "{}", kernels.level);
                    let right = |bit: usize| reached >> bit & 1 == 0 || sums[bit] == want[bit];
                    assert!((0..64).all(right), "{}", kernels.level);
                }
            }
        }
    }
}

#[test]
fn noise_gives_the_same_on_every_level() {
    let mut random = Numbers(2);
    for _ in 0..200 {
        let offsets = [(); GROUPS].map(|()| random.next() as u16);
        let cells = [(); SPAN].map(|()| random.next() as u8);
        let row = DenseRow { offsets: &offsets, cells: &cells };
        // Maxima that no impact exceeds, whatever it is.
        let most = MaximaQuad { maxima: [&[255; GROUPS]; 4], weights: random.weights() };
        let quad = Quad { rows: [row; 4], most };
        let group = (random.next() % 64) as usize;
        let start = [(); GROUP].map(|()| random.next() as i32 / 2);
        let hope = Hope { needed: 5, alive: random.next() & random.next() };
        let [first, rest @ ..] = &available()[..] else { return };
        let mut want = start;
        let reached = (first.postings.complete)(&[quad; 3], group, &mut want, hope);
        let mut want_u4 = start;
        let reached_u4 = (first.postings.complete_u4)(&[quad; 3], group, &mut want_u4, hope);
        let same = |reached: u64, a: &[i32; GROUP], b: &[i32; GROUP]| {
            (0..64).all(|bit| reached >> bit & 1 == 0 || a[bit] == b[bit])
        };
        for kernels in rest {
            let mut sums = start;
            let got = (kernels.postings.complete)(&[quad; 3], group, &mut sums, hope);
            assert!(got == reached && same(got, &sums, &want), "{}", kernels.level);
            let mut sums = start;
            let got = (kernels.postings.complete_u4)(&[quad; 3], group, &mut sums, hope);
            assert!(got == reached_u4 && same(got, &sums, &want_u4), "{}", kernels.level);
        }
    }
}

#[test]
fn bounds_and_live_groups() {
    let mut random = Numbers(3);
    for count in [0, 1, 2, 7] {
        let rows: Vec<[[u8; GROUPS]; 4]> = (0..count)
            .map(|_| [(); 4].map(|()| [(); GROUPS].map(|()| random.next() as u8)))
            .collect();
        let weights: Vec<[u8; 4]> = (0..count).map(|_| random.weights()).collect();
        let quads: Vec<MaximaQuad<'_>> = rows
            .iter()
            .zip(&weights)
            .map(|(rows, &weights)| MaximaQuad { maxima: rows.each_ref(), weights })
            .collect();
        let mut want = [0; GROUPS];
        for (rows, weights) in rows.iter().zip(&weights) {
            for (row, &weight) in rows.iter().zip(weights) {
                for (bound, &max) in want.iter_mut().zip(row) {
                    *bound += i32::from(weight) * i32::from(max);
                }
            }
        }
        let mut sums = Box::new([0; WINDOW]);
        for _ in 0..300 {
            sums[(random.next() % WINDOW as u64) as usize] = (random.next() % 90_000) as i32;
        }
        for needed in [1, 60_000, 89_000, 120_000 * count, i32::MAX] {
            let most = |group: usize| *sums[group * GROUP..][..GROUP].iter().max().unwrap();
            let live = (0..64)
                .filter(|&group| most(group) + want[group] >= needed)
                .fold(0u64, |word, bit| word | 1 << bit);
            for kernels in available() {
                let mut bounds = [7; GROUPS];
                (kernels.postings.group_bounds)(&quads, &mut bounds);
                assert_eq!(bounds, want, "{}", kernels.level);
                let got = (kernels.postings.live_groups)(&sums, &bounds, needed);
                assert_eq!(got, live, "{}", kernels.level);
            }
        }
    }
}

#[test]
fn hits_of_rows() {
    let (mut random, mut hits) = (Numbers(4), RowHits::default());
    for count in [1usize, 2, 15, 16, 17, 33, 124, 1000, 65_536] {
        for shift in [48, 56, 60] {
            let (mut widths, mut lows, mut highs) = (vec![0u8; count.div_ceil(8)], vec![], vec![]);
            let mut filter: RowFilter = [0; 32];
            (0..30)
                .for_each(|_| filter[(random.next() % 32) as usize] |= 1 << (random.next() % 32));
            let (mut want, mut next) = (Vec::new(), 0u64);
            for at in 0..count {
                let gap = (random.next() >> shift) as u16;
                let [low, high] = gap.to_le_bytes();
                lows.push(low);
                // Two bytes even where one would do.
                if high > 0 || random.next().is_multiple_of(5) {
                    widths[at / 8] |= 1 << (at % 8);
                    highs.push(high);
                }
                let ordinal = next + u64::from(gap);
                next = ordinal + 1;
                if filter[ordinal as usize / 32 % 32] >> (ordinal % 32) & 1 == 1 {
                    let ordinal = u32::try_from(ordinal).unwrap();
                    want.push((ordinal, at));
                }
            }
            // What is missing at the end counts as zero, on every level.
            for missing in [0, 1, highs.len()] {
                let highs = &highs[..highs.len().saturating_sub(missing)];
                let gaps = RowGaps { widths: &widths, lows: &lows, highs };
                let mut first = Vec::new();
                for kernels in available() {
                    (kernels.postings.row_hits)(&gaps, &filter, &mut hits);
                    let hits: Vec<_> = hits.iter().collect();
                    if missing == 0 {
                        assert_eq!(hits, want, "{}", kernels.level);
                    } else if kernels.level == crate::kernel::KernelLevel::Portable {
                        first = hits;
                    } else {
                        assert_eq!(hits, first, "{}", kernels.level);
                    }
                }
            }
        }
    }
}
