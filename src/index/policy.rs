//! Which segments are to become one.
//!
//! Segments have levels by the size of what lives in them, each level eight times the one below. As
//! soon as eight neighbours of a level have come together, with smaller ones between them, they are
//! merged into one of the next. So each document is rewritten once a level, and there are few
//! segments however many commits there were. Only neighbours are merged: documents stay in the
//! order in which they came.

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

/// Segments of a level that are merged, and how much larger the next level is.
const FACTOR: usize = 8;
/// Up to this size all segments are of the lowest level: below, a segment costs what it costs to
/// be one, whatever is in it.
const FLOOR: u64 = 1 << 20;
/// No merge makes a segment larger than this, so that it stays a small share of a large index.
const MOST: u64 = 4 << 30;
/// Three documents in ten dead, and a segment is rewritten: they take room, and time in search.
const DEAD_SHARE: (u64, u64) = (3, 10);
/// From so many segments on a writer waits for merging before it makes more.
pub(crate) const CROWDED: usize = 6 * FACTOR;

fn level(bytes: u64) -> u32 {
    let (mut level, mut size) = (0, FLOOR);
    while size < bytes {
        level += 1;
        size = size.saturating_mul(FACTOR as u64);
    }
    level
}

/// The neighbours that should become one segment now, in `memory` bytes; none where all is well.
/// One alone is to be rewritten without its dead.
pub(crate) fn choose(sizes: &[Size], memory: u64) -> Option<Range<usize>> {
    let levels: Vec<u32> = sizes.iter().map(|size| level(size.live_bytes())).collect();
    let highest = levels.iter().copied().max()?;
    for level in 0..=highest {
        let mut start = 0;
        for run in levels.split_inclusive(|&other| other > level) {
            let end = start + run.len();
            let run = start..if levels[end - 1] > level { end - 1 } else { end };
            start = end;
            if levels[run.clone()].iter().filter(|&&other| other == level).count() >= FACTOR
                && let Some(run) = bounded(sizes, run, memory)
            {
                return Some(run);
            }
        }
    }
    let rewritten = (0..sizes.len())
        .filter(|&at| sizes[at].cost <= memory)
        .filter(|&at| sizes[at].dead() * DEAD_SHARE.1 > sizes[at].docs * DEAD_SHARE.0)
        .max_by_key(|&at| (sizes[at].dead(), std::cmp::Reverse(at)));
    rewritten.map(|at| at..at + 1)
}

/// The first neighbours of a run that together make no segment that is too large, and take no more
/// memory than there is: half as many as make a level, or all of a run of fewer; none where there
/// are not so many.
fn bounded(sizes: &[Size], run: Range<usize>, memory: u64) -> Option<Range<usize>> {
    let mut start = run.start;
    while start < run.end {
        let (mut bytes, mut cost) = (0u64, 0u64);
        let mut end = start;
        while end < run.end {
            bytes = bytes.saturating_add(sizes[end].live_bytes());
            cost = cost.saturating_add(sizes[end].cost);
            if bytes > MOST || cost > memory {
                break;
            }
            end += 1;
        }
        if end - start >= FACTOR / 2 {
            return Some(start..end);
        }
        start = end.max(start + 1);
    }
    None
}

/// Groups of neighbours, in order, that leave at most `most` segments and no dead document: those
/// to be merged, the rest stays as it is. Of all neighbours the smallest pair is joined first.
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
    let stays = |run: &Range<usize>| run.len() == 1 && sizes[run.start].dead() == 0;
    groups.into_iter().map(|(run, _)| run).filter(|run| !stays(run)).collect()
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "groups are ranges")]
mod tests {
    use super::*;

    fn sizes(bytes: &[u64]) -> Vec<Size> {
        bytes.iter().map(|&bytes| Size { bytes, docs: 100, live: 100, cost: bytes }).collect()
    }

    #[test]
    fn eight_of_a_level_become_one() {
        assert_eq!(choose(&[], u64::MAX), None);
        assert_eq!(choose(&sizes(&[100; 7]), u64::MAX), None);
        assert_eq!(choose(&sizes(&[100; 8]), u64::MAX), Some(0..8));
        let big = 3 * FLOOR;
        assert_eq!(choose(&sizes(&[big, 1, 2, 3, 4, 5, 6, 7]), u64::MAX), None);
        assert_eq!(choose(&sizes(&[big, 1, 2, 3, 4, 5, 6, 7, 8]), u64::MAX), Some(1..9));
        // Small ones between large ones go with them.
        let mut mixed = vec![big, 5];
        mixed.extend([big; 7]);
        assert_eq!(choose(&sizes(&mixed), u64::MAX), Some(0..9));
    }

    #[test]
    fn many_commits_make_few_segments_and_little_writing() {
        let mut held: Vec<u64> = Vec::new();
        let mut written = 0;
        let mut most = 0;
        for _ in 0..20_000 {
            held.push(FLOOR / 4);
            while let Some(run) = choose(&sizes(&held), u64::MAX) {
                let merged: u64 = held[run.clone()].iter().sum();
                written += merged;
                held.splice(run, [merged]);
            }
            most = most.max(held.len());
        }
        let total = 20_000 * FLOOR / 4;
        assert_eq!(held.iter().sum::<u64>(), total);
        assert!(most <= 40, "{most} segments");
        assert!(written < 8 * total, "{} times all was rewritten", written / total);
        assert!(*held.iter().max().unwrap() <= MOST);
    }

    #[test]
    fn a_segment_of_many_dead_is_rewritten() {
        let mut held = sizes(&[100 * FLOOR; 3]);
        held[1].live = 71;
        assert_eq!(choose(&held, u64::MAX), None);
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
        assert_eq!(choose(&held, 399), None);
        held[2].cost = 5000;
        assert_eq!(choose(&held, 1000), Some(3..13));
        held[2].live = 10;
        held[4..].iter_mut().for_each(|size| size.bytes = 9 * FLOOR);
        assert_eq!(choose(&held[..8], 1000), None);
        assert_eq!(choose(&held[..8], 5000), Some(2..3));
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
    }
}
