//! Which segments are to become one.
//!
//! Segments have levels by the size of what lives in them: small ones, of which there must be few
//! since each costs a search something whatever is in it, each level four times the one below; large
//! ones, which are dear to rewrite, eight times. As soon as so many neighbours of a level have come
//! together, with smaller ones between them, they are merged into one of the next. So each document
//! is rewritten about once a level, and there are few segments however many commits there were. Only
//! neighbours are merged: documents stay in the order in which they came.

use std::ops::Range;

/// What the choice looks at of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// Bytes of its file.
    pub(crate) bytes: u64,
    /// Documents, deleted ones included.
    pub(crate) docs: u64,
    /// Documents that live.
    pub(crate) live: u64,
    /// Bytes of memory that a merge takes for it.
    pub(crate) cost: u64,
    /// Whether token rows of it wait to be packed.
    pub(crate) waits: bool,
}

impl Size {
    /// Bytes of what lives, by its share of the documents.
    pub(crate) fn live_bytes(&self) -> u64 {
        let share = u128::from(self.bytes) * u128::from(self.live) / u128::from(self.docs.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    fn dead(&self) -> u64 {
        self.docs.saturating_sub(self.live)
    }
}

/// Up to this size all segments are of the lowest level: below, a segment costs what it costs to
/// be one, whatever is in it.
const FLOOR: u64 = 64 << 10;
/// Up to this size segments are small.
pub(crate) const SMALL: u64 = 4 << 20;
/// Small segments of a level that are merged, and how much larger the next level is.
const FEW: usize = 4;
/// The same of large ones.
const MANY: usize = 8;
/// No merge makes a segment larger than this, so that it stays a small share of a large index.
const MOST: u64 = 4 << 30;
/// Three documents in ten dead, and a segment is rewritten: they take room, and time in search.
const DEAD_SHARE: (u64, u64) = (3, 10);
/// From so many segments on a writer waits for merging before it makes more.
pub(crate) const CROWDED: usize = 48;

fn level(bytes: u64) -> u32 {
    let (mut level, mut size) = (0, FLOOR);
    while size < bytes {
        size = size.saturating_mul(factor(level) as u64);
        level += 1;
    }
    level
}

/// How many of a level become one of the next.
fn factor(level: u32) -> usize {
    if FLOOR << (2 * level.min(16)) <= SMALL { FEW } else { MANY }
}

/// The neighbours that should become one segment now, in `memory` bytes; none where all is well.
/// One alone is to be rewritten without its dead.
pub(crate) fn choose(sizes: &[Size], memory: u64) -> Option<Range<usize>> {
    choose_within(sizes, memory, MOST, 2).or_else(|| {
        let rewritten = (0..sizes.len())
            .filter(|&at| sizes[at].cost <= memory)
            .filter(|&at| sizes[at].dead() * DEAD_SHARE.1 > sizes[at].docs * DEAD_SHARE.0)
            .max_by_key(|&at| (sizes[at].dead(), std::cmp::Reverse(at)));
        rewritten.map(|at| at..at + 1)
    })
}

/// Several neighbours of which at most so many bytes are made: whole levels only, so that nothing is
/// rewritten more often than otherwise.
pub(crate) fn choose_small(sizes: &[Size], memory: u64, most: u64) -> Option<Range<usize>> {
    choose_within(sizes, memory, most, 1)
}

/// The choice where segments have at most `most` bytes, and of a level that would make larger ones a
/// `part` is merged.
fn choose_within(sizes: &[Size], memory: u64, most: u64, part: usize) -> Option<Range<usize>> {
    let levels: Vec<u32> = sizes.iter().map(|size| level(size.live_bytes())).collect();
    let highest = levels.iter().copied().max()?;
    for level in 0..=highest {
        let mut start = 0;
        for run in levels.split_inclusive(|&other| other > level) {
            let end = start + run.len();
            let run = start..if levels[end - 1] > level { end - 1 } else { end };
            start = end;
            let together = levels[run.clone()].iter().filter(|&&other| other == level).count();
            if together >= factor(level)
                && let Some(run) = bounded(sizes, run, memory, most, factor(level) / part)
            {
                return Some(run);
            }
        }
    }
    None
}

/// The first neighbours of a run that together make no segment of more than `most` bytes, and take
/// no more memory than there is; none where there are not at least `least` of them.
fn bounded(
    sizes: &[Size],
    run: Range<usize>,
    memory: u64,
    most: u64,
    least: usize,
) -> Option<Range<usize>> {
    let mut start = run.start;
    while start < run.end {
        let (mut bytes, mut cost) = (0u64, 0u64);
        let mut end = start;
        while end < run.end {
            bytes = bytes.saturating_add(sizes[end].live_bytes());
            cost = cost.saturating_add(sizes[end].cost);
            if bytes > most || cost > memory {
                break;
            }
            end += 1;
        }
        if end - start >= least {
            return Some(start..end);
        }
        start = end.max(start + 1);
    }
    None
}

/// Groups of neighbours, in order, that leave at most `most` segments, no dead document and no row
/// that waits to be packed: those to be merged, the rest stays as it is. Of all neighbours the
/// smallest pair is joined first.
pub(crate) fn groups(sizes: &[Size], most: usize) -> Vec<Range<usize>> {
    let mut groups: Vec<(Range<usize>, u64)> =
        sizes.iter().enumerate().map(|(at, size)| (at..at + 1, size.live_bytes())).collect();
    while groups.len() > most.max(1) {
        let pair = |at: &usize| groups[*at].1.saturating_add(groups[*at + 1].1);
        let Some(at) = (0..groups.len() - 1).min_by_key(pair) else { break };
        let (next, bytes) = groups.remove(at + 1);
        groups[at].0.end = next.end;
        groups[at].1 = groups[at].1.saturating_add(bytes);
    }
    let whole = |size: &Size| size.dead() == 0 && !size.waits;
    let stays = |run: &Range<usize>| run.len() == 1 && whole(&sizes[run.start]);
    groups.into_iter().map(|(run, _)| run).filter(|run| !stays(run)).collect()
}

/// Neighbours of which all wait to be packed, in order, as many together as `memory` allows: the
/// more rows are packed at once, the less is lost.
pub(crate) fn waiting(sizes: &[Size], memory: u64) -> Vec<Range<usize>> {
    let mut runs: Vec<(Range<usize>, u64)> = Vec::new();
    for (at, size) in sizes.iter().enumerate().filter(|(_, size)| size.waits) {
        match runs.last_mut() {
            Some((run, cost)) if run.end == at && cost.saturating_add(size.cost) <= memory => {
                run.end += 1;
                *cost += size.cost;
            }
            _ => runs.push((at..at + 1, size.cost)),
        }
    }
    runs.into_iter().map(|(run, _)| run).collect()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "groups are ranges")]
mod tests {
    use super::*;

    fn sizes(bytes: &[u64]) -> Vec<Size> {
        bytes
            .iter()
            .map(|&bytes| Size { bytes, docs: 100, live: 100, cost: bytes, waits: false })
            .collect()
    }

    #[test]
    fn neighbours_of_a_level_become_one() {
        assert_eq!(choose(&[], u64::MAX), None);
        assert_eq!(choose(&sizes(&[100; 3]), u64::MAX), None);
        assert_eq!(choose(&sizes(&[100; 4]), u64::MAX), Some(0..4));
        let big = 3 * FLOOR;
        assert_eq!(choose(&sizes(&[big, 1, 2, 3]), u64::MAX), None);
        assert_eq!(choose(&sizes(&[big, 1, 2, 3, 4]), u64::MAX), Some(1..5));
        // Small ones between large ones go with them.
        assert_eq!(choose(&sizes(&[big, 5, big, big, big]), u64::MAX), Some(0..5));
        // A large one behind them stays as it is.
        assert_eq!(choose(&sizes(&[1, 2, 3, 4, big]), u64::MAX), Some(0..4));
        // Of large ones it takes more.
        let large = 4 * SMALL + 1;
        assert_eq!(choose(&sizes(&[large; 7]), u64::MAX), None);
        assert_eq!(choose(&sizes(&[large; 8]), u64::MAX), Some(0..8));
    }

    #[test]
    fn levels_grow_by_their_factors() {
        let ends = [FLOOR, 4 * FLOOR, 16 * FLOOR, 64 * FLOOR, 256 * FLOOR, 2048 * FLOOR];
        for (at, end) in (0u32..).zip(ends) {
            assert_eq!((level(end), level(end + 1)), (at, at + 1));
        }
        assert_eq!((level(0), 64 * FLOOR), (0, SMALL));
        assert_eq!([0, 1, 2, 3, 4, 5, 40].map(factor), [FEW, FEW, FEW, FEW, MANY, MANY, MANY]);
        level(u64::MAX);
    }

    #[test]
    fn what_is_merged_at_once_is_small() {
        let small = |bytes: &[u64]| choose_small(&sizes(bytes), u64::MAX, SMALL);
        assert_eq!(small(&[SMALL / 4; 3]), None);
        assert_eq!(small(&[SMALL / 4; 5]), Some(0..4));
        assert_eq!(small(&[SMALL / 4 + 1; 9]), None, "a part of a level is left to others");
        assert_eq!(choose(&sizes(&[SMALL / 4 + 1; 9]), u64::MAX), Some(0..9));
        // One alone is left to others.
        let mut held = sizes(&[FLOOR]);
        held[0].live = 10;
        assert_eq!(choose_small(&held, u64::MAX, SMALL), None);
        assert_eq!(choose(&held, u64::MAX), Some(0..1));
    }

    /// How many segments there are at most, and how often each byte is written again, over so many
    /// commits of one size.
    fn lived(commits: u64, bytes: u64) -> (usize, f64) {
        let mut held: Vec<u64> = Vec::new();
        let (mut written, mut most) = (0, 0);
        for _ in 0..commits {
            held.push(bytes);
            while let Some(run) = choose(&sizes(&held), u64::MAX) {
                let merged: u64 = held[run.clone()].iter().sum();
                written += merged;
                held.splice(run, [merged]);
            }
            most = most.max(held.len());
        }
        assert_eq!(held.iter().sum::<u64>(), commits * bytes);
        assert!(*held.iter().max().unwrap() <= MOST);
        (most, written as f64 / (commits * bytes) as f64)
    }

    #[test]
    fn many_commits_make_few_segments_and_little_writing() {
        for (commits, bytes) in [(20_000, 4 * FLOOR), (20_000, 200_000), (5_000, 1 << 20)] {
            let (most, written) = lived(commits, bytes);
            assert!(most <= 30, "{most} segments of commits of {bytes} bytes");
            assert!(written < 5.0, "commits of {bytes} bytes: rewritten {written} times");
        }
        // Below the floor a segment is rewritten with every few that come.
        let (most, written) = lived(20_000, 1000);
        assert!(most <= 20 && written < 16.0, "{most} segments, {written} times");
    }

    #[test]
    fn a_segment_of_many_dead_is_rewritten() {
        let mut held = sizes(&[100 * FLOOR; 3]);
        for live in [71, 70] {
            held[1].live = live;
            assert_eq!(choose(&held, u64::MAX), None, "{live} live");
        }
        held[1].live = 69;
        assert_eq!(choose(&held, u64::MAX), Some(1..2));
        held[2].live = 10;
        assert_eq!(choose(&held, u64::MAX), Some(2..3));
    }

    #[test]
    fn no_merge_takes_more_memory_than_there_is() {
        let mut held = sizes(&[100; 16]);
        assert_eq!(choose(&held, 1600), Some(0..16));
        assert_eq!(choose(&held, 1000), Some(0..10));
        assert_eq!(choose(&held, 199), None);
        held[1].cost = 5000;
        assert_eq!(choose(&held, 1000), Some(2..12));
        held[1].live = 10;
        assert_eq!(choose(&held[..3], 1000), None);
        assert_eq!(choose(&held[..3], 5000), Some(1..2));
    }

    #[test]
    fn groups_leave_as_many_as_asked_for() {
        let mut held = sizes(&[10, 20, 1, 1, 30]);
        assert_eq!(groups(&held, 1), [0..5]);
        assert_eq!(groups(&held, 3), [1..4]);
        assert!(groups(&held, 9).is_empty());
        held[4].live = 99;
        assert_eq!(groups(&held, 9), [4..5]);
        assert_eq!(groups(&held, 0), [0..5]);
        assert!(groups(&[], 1).is_empty());
        held[1].waits = true;
        assert_eq!(groups(&held, 9), [1..2, 4..5]);
    }

    #[test]
    fn what_waits_is_packed_together() {
        let mut held = sizes(&[10, 20, 1, 1, 30]);
        assert!(waiting(&held, 100).is_empty() && waiting(&[], 100).is_empty());
        for at in [0, 1, 3, 4] {
            held[at].waits = true;
        }
        assert_eq!(waiting(&held, 31), [0..2, 3..5]);
        assert_eq!(waiting(&held, 30), [0..2, 3..4, 4..5]);
        assert_eq!(waiting(&held, 0), [0..1, 1..2, 3..4, 4..5]);
    }
}
