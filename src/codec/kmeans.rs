//! Centroids of token rows: two-level k-means by direction, on the integer kernel.
//!
//! A row belongs to the centroid with the largest dot product of directions; a centroid is the
//! sum of its rows, scaled to length 1. With few centroids that is repeated from evenly spread
//! rows on. With many, rows are first split into about the square root of as many groups, each
//! group then gets its share of centroids from its own rows, and one round over all centroids
//! mends the seams: a row then meets about twice the square root of the centroids a round, and
//! all of them but once.
//!
//! Nothing depends on the number of threads or on the instruction set: integer dot products are
//! exact, each row's choice is its own, and each sum is added up by one thread in the order of
//! the rows.
#![deny(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]

use half::f16;

use super::int8;
use crate::kernel::Kernels;
use crate::kernel::tokens::{Int8Rows, KernelScratch, LaneQuery};
use crate::mix::mix;

/// Rounds of assigning and summing on each level.
const ROUNDS: usize = 6;
/// Up to so many centroids are trained in one level.
const FLAT: usize = 256;
/// Rows that are looked at for each of the groups of the first level.
const ROWS_PER_GROUP: usize = 128;
/// Rows that are assigned together: the lanes of the integer kernel.
const LANES: usize = 32;
/// Centroids that they meet at a time: their codes and the dot products stay in the first cache.
const BLOCK: usize = 64;

/// Int8 rows, one after another; centroids have length 1.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CodeRows {
    /// `count` × `dim` codes.
    pub(crate) codes: Vec<u8>,
    /// f16 scales.
    pub(crate) scales: Vec<u16>,
}

/// How the work is done: what decides time and nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crew {
    /// The kernels.
    pub(crate) kernels: &'static Kernels,
    /// How many threads, at least 1.
    pub(crate) threads: usize,
}

impl CodeRows {
    /// The same as borrowed rows; `None` where there are none.
    pub(crate) fn rows(&self) -> Option<Int8Rows<'_>> {
        let dim = self.codes.len().checked_div(self.scales.len())?;
        Int8Rows::new(&self.codes, &self.scales, dim)
    }
}

/// Trains `count` centroids, or as many as there are rows where those are fewer. Holds a copy of
/// the rows besides them.
pub(crate) fn train(rows: &Int8Rows<'_>, count: usize, crew: Crew) -> CodeRows {
    let count = count.min(rows.len());
    if count <= FLAT {
        return lloyd(rows, spread(rows, count), ROUNDS, crew);
    }
    let groups = count.isqrt();
    let few = pick(rows, evenly(rows.len(), groups.saturating_mul(ROWS_PER_GROUP)));
    let Some(few) = few.rows() else { return CodeRows::default() };
    let coarse = lloyd(&few, spread(&few, groups), ROUNDS, crew);
    let members = Members::of(&assign_to(&coarse, rows, crew), coarse.scales.len());
    let shares = shares(&members, count);
    let work: Vec<(usize, usize)> = shares.iter().copied().enumerate().collect();
    let own = Crew { threads: 1, ..crew };
    let parts = in_parallel(&work, crew.threads, |&(group, share)| {
        let part = pick(rows, members.get(group).iter().map(|&row| place(row)));
        part.rows()
            .map_or_else(CodeRows::default, |part| lloyd(&part, spread(&part, share), ROUNDS, own))
    });
    let mut all = CodeRows::default();
    for part in parts {
        all.codes.extend(part.codes);
        all.scales.extend(part.scales);
    }
    lloyd(rows, all, 1, crew)
}

/// For each row the centroid whose direction is nearest, the first of equals.
pub(crate) fn assign(centroids: &Int8Rows<'_>, rows: &Int8Rows<'_>, crew: Crew) -> Vec<u16> {
    let mut out = vec![0; rows.len()];
    let share = rows.len().div_ceil(crew.threads.max(1)).next_multiple_of(LANES).max(LANES);
    if share >= rows.len() {
        assign_run(centroids, rows, crew.kernels, &mut out);
        return out;
    }
    std::thread::scope(|scope| {
        for (from, out) in (0..).step_by(share).zip(out.chunks_mut(share)) {
            let run = rows.range(from..from.saturating_add(out.len()));
            scope.spawn(move || {
                if let Some(run) = run {
                    assign_run(centroids, &run, crew.kernels, out);
                }
            });
        }
    });
    out
}

fn assign_to(centroids: &CodeRows, rows: &Int8Rows<'_>, crew: Crew) -> Vec<u16> {
    centroids.rows().map_or_else(Vec::new, |centroids| assign(&centroids, rows, crew))
}

/// The same on this thread.
fn assign_run(centroids: &Int8Rows<'_>, rows: &Int8Rows<'_>, kernels: &Kernels, out: &mut [u16]) {
    let dim = rows.dim();
    let mut scratch = KernelScratch::default();
    let group = dim.saturating_mul(LANES);
    let mut signed = vec![0i8; group];
    let mut dots = [0.0; LANES * BLOCK];
    for (codes, out) in rows.codes().chunks(group).zip(out.chunks_mut(LANES)) {
        for (to, &code) in signed.iter_mut().zip(codes) {
            *to = (code ^ int8::ZERO).cast_signed();
        }
        // A row's own scale is left out: it changes no comparison between centroids.
        let lanes = LaneQuery::new(signed.get(..codes.len()).unwrap_or_default(), dim);
        scratch.fit_lanes(&lanes);
        let width = lanes.out_len();
        let mut best = [f32::NEG_INFINITY; LANES];
        let mut at = [0u32; LANES];
        for first in (0..centroids.len()).step_by(BLOCK) {
            let end = first.saturating_add(BLOCK).min(centroids.len());
            let Some(block) = centroids.range(first..end) else { break };
            let Some(dots) = dots.get_mut(..width.saturating_mul(block.len())) else { break };
            let (Some(best), Some(at)) = (best.get_mut(..width), at.get_mut(..width)) else {
                break;
            };
            (kernels.tokens.dots_int8)(&lanes, &block, &mut scratch, dots);
            let first = u32::try_from(first).unwrap_or(u32::MAX);
            (kernels.tokens.raise)(dots, first, best, at);
        }
        for (out, at) in out.iter_mut().zip(at) {
            *out = u16::try_from(at).unwrap_or(u16::MAX);
        }
    }
}

/// Assigns and sums, from the centroids given on.
fn lloyd(rows: &Int8Rows<'_>, mut centroids: CodeRows, rounds: usize, crew: Crew) -> CodeRows {
    for _ in 0..rounds {
        let members = Members::of(&assign_to(&centroids, rows, crew), centroids.scales.len());
        centroids = means(rows, &members, &centroids, crew);
    }
    centroids
}

/// The direction of each centroid's rows. One that has none takes the middle row of one that has
/// many, the largest first, so that no centroid is wasted.
fn means(rows: &Int8Rows<'_>, members: &Members, old: &CodeRows, crew: Crew) -> CodeRows {
    let count = old.scales.len();
    let mut by_size: Vec<usize> = (0..count).collect();
    by_size.sort_by_key(|&c| std::cmp::Reverse(members.get(c).len())); // stable: ties by number
    let mut largest = by_size.into_iter();
    // What a centroid was, and the rows that say what it becomes.
    let mut work: Vec<(&[u8], u16, &[u32])> = Vec::with_capacity(count);
    let before = old.codes.chunks_exact(rows.dim()).zip(&old.scales);
    for (c, (codes, &scale)) in before.enumerate() {
        let own = members.get(c);
        let taken = if own.is_empty() {
            let many = largest.next().map_or(&[][..], |c| members.get(c));
            many.get(many.len() / 2..).and_then(|half| half.get(..1)).unwrap_or_default()
        } else {
            own
        };
        work.push((codes, scale, taken));
    }
    let means = in_parallel(&work, crew.threads, |&(before, scale, members)| {
        let mut codes = before.to_vec();
        let scale = direction(rows, members, &mut codes).unwrap_or(scale);
        (codes, scale)
    });
    let mut centroids = CodeRows::default();
    for (codes, scale) in means {
        centroids.codes.extend(codes);
        centroids.scales.push(scale);
    }
    centroids
}

/// The sum of some rows, scaled to length 1, as codes; gives their scale. `None` where the sum
/// has no direction.
fn direction(rows: &Int8Rows<'_>, members: &[u32], codes: &mut [u8]) -> Option<u16> {
    let mut sum = vec![0.0f32; rows.dim()];
    for &member in members {
        let Some(row) = rows.row(place(member)) else { continue };
        let Some(&scale) = row.scales().first() else { continue };
        let scale = f16::from_bits(scale).to_f32();
        for (sum, &code) in sum.iter_mut().zip(row.codes()) {
            *sum += scale * (f32::from(code) - f32::from(int8::ZERO));
        }
    }
    let length = sum.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return None;
    }
    for x in &mut sum {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::as_conversions,
            reason = "rounded on purpose, and only a cast does it"
        )]
        let unit = (f64::from(*x) / length) as f32;
        *x = unit;
    }
    Some(int8::encode(&sum, codes).0)
}

/// Evenly spread rows as first centroids: one out of each of `count` runs of equal length, where
/// in the run is decided by the run's number alone.
fn spread(rows: &Int8Rows<'_>, count: usize) -> CodeRows {
    let starts = || evenly(rows.len(), count);
    let ends = starts().skip(1).chain([rows.len()]);
    let places = (0u64..).zip(starts().zip(ends)).map(|(run, (from, to))| {
        let length = to.saturating_sub(from).max(1);
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        let place = mix(run).checked_rem(length).unwrap_or(0);
        from.saturating_add(usize::try_from(place).unwrap_or(0)) // below `to`, which is a usize
    });
    let picked = pick(rows, places);
    // Their directions: a centroid has length 1.
    let mut out = picked.clone();
    if let Some(picked) = picked.rows() {
        let codes = out.codes.chunks_exact_mut(rows.dim());
        for ((i, codes), scale) in (0u32..).zip(codes).zip(&mut out.scales) {
            *scale = direction(&picked, &[i], codes).unwrap_or(*scale);
        }
    }
    out
}

/// A row's number as a place.
fn place(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

/// At most `count` places out of `rows`, evenly spread.
pub(crate) fn evenly(rows: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(rows);
    (0..count).map(move |i| i.saturating_mul(rows).checked_div(count).unwrap_or(0))
}

/// A copy of some rows.
pub(crate) fn pick(rows: &Int8Rows<'_>, places: impl Iterator<Item = usize>) -> CodeRows {
    let mut out = CodeRows::default();
    for row in places.filter_map(|place| rows.row(place)) {
        out.codes.extend_from_slice(row.codes());
        out.scales.extend_from_slice(row.scales());
    }
    out
}

/// How many centroids each group gets: in proportion to its rows, at least one and at most as
/// many as it has rows.
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "`order` holds the places of `sizes`, and counts are compared before they change"
)]
fn shares(members: &Members, count: usize) -> Vec<usize> {
    let sizes: Vec<usize> = (0..members.groups()).map(|group| members.get(group).len()).collect();
    let rows = sizes.iter().sum::<usize>().max(1);
    let mut shares: Vec<usize> =
        sizes.iter().map(|&size| (count.saturating_mul(size) / rows).max(1).min(size)).collect();
    // What rounding left over, or took too much of, is settled with the largest groups first.
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&group| std::cmp::Reverse(sizes[group]));
    let mut given: usize = shares.iter().sum();
    while given != count {
        let before = given;
        for &group in &order {
            if given < count && shares[group] < sizes[group] {
                shares[group] += 1;
                given += 1;
            } else if given > count && shares[group] > 1 {
                shares[group] -= 1;
                given -= 1;
            }
        }
        if given == before {
            break;
        }
    }
    shares
}

/// The rows of each centroid, ascending.
struct Members {
    /// Where each centroid's rows end.
    ends: Vec<usize>,
    rows: Vec<u32>,
}

impl Members {
    #[allow(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a counting sort: every assignment is below `groups`, every sum at most the rows"
    )]
    fn of(assigned: &[u16], groups: usize) -> Self {
        let mut ends = vec![0usize; groups];
        for &group in assigned {
            ends[usize::from(group)] += 1;
        }
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total); // now where the group starts
        }
        let mut rows = vec![0; assigned.len()];
        for (row, &group) in (0u32..).zip(assigned) {
            let at = &mut ends[usize::from(group)];
            rows[*at] = row;
            *at += 1; // and in the end where it ends
        }
        Self { ends, rows }
    }

    fn groups(&self) -> usize {
        self.ends.len()
    }

    fn get(&self, group: usize) -> &[u32] {
        let end = |group: usize| self.ends.get(group).copied();
        let start = group.checked_sub(1).and_then(end).unwrap_or(0);
        end(group).and_then(|end| self.rows.get(start..end)).unwrap_or_default()
    }
}

/// What `each` makes of every piece of work, in the order of the work; on as many threads as
/// asked for.
pub(crate) fn in_parallel<T: Sync, R: Send>(
    work: &[T],
    threads: usize,
    each: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let threads = threads.clamp(1, work.len().max(1));
    if threads == 1 {
        return work.iter().map(each).collect();
    }
    // Dealt in turn, so that long pieces that lie together are shared.
    let each = &each;
    let dealt: Vec<Vec<R>> = std::thread::scope(|scope| {
        let hands: Vec<_> = (0..threads)
            .map(|hand| {
                scope.spawn(move || work.iter().skip(hand).step_by(threads).map(each).collect())
            })
            .collect();
        hands
            .into_iter()
            .map(|hand| hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut dealt: Vec<_> = dealt.into_iter().map(Vec::into_iter).collect();
    // One from each hand in turn, as they were dealt; the first that is empty was the last turn's.
    let mut done = Vec::with_capacity(work.len());
    while done.len() < work.len() {
        let before = done.len();
        done.extend(dealt.iter_mut().filter_map(Iterator::next));
        if done.len() == before {
            break; // cannot happen: every piece is in some hand
        }
    }
    done
}

#[cfg(test)]
#[allow(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic
)]
mod tests {
    use super::*;
    use crate::kernel::{available, best};

    /// Rows around `centres` directions, of various lengths.
    fn cloud(count: usize, centres: usize, dim: usize) -> CodeRows {
        let unit = |i: usize| (mix(i as u64) >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        let mut out = CodeRows::default();
        for i in 0..count {
            let centre = (mix(i as u64 + 77) % centres as u64) as usize;
            let row: Vec<f32> = (0..dim)
                .map(|d| {
                    (unit(1_000_000 + centre * dim + d) + 0.2 * unit(i * dim + d))
                        * (1.0 + (i % 3) as f32)
                })
                .collect();
            let mut codes = vec![0; dim];
            out.scales.push(int8::encode(&row, &mut codes).0);
            out.codes.extend(codes);
        }
        out
    }

    /// The mean cosine between a row and its centroid, and the naive check of each choice.
    fn quality(centroids: &CodeRows, rows: &Int8Rows<'_>) -> f64 {
        let assigned = assign_to(centroids, rows, Crew { kernels: best(), threads: 1 });
        let centroids = centroids.rows().unwrap();
        let number = |codes: &[u8], d: usize| i64::from(codes[d]) - 128;
        let mut sum = 0.0;
        for (i, &c) in assigned.iter().enumerate() {
            let row = rows.row(i).unwrap();
            let value = |c: usize| {
                let centroid = centroids.row(c).unwrap();
                let dot = |d| number(row.codes(), d) * number(centroid.codes(), d);
                let dot: i64 = (0..rows.dim()).map(dot).sum();
                dot as f32 * f16::from_bits(centroid.scales()[0]).to_f32()
            };
            let own = value(usize::from(c));
            for other in 0..centroids.len() {
                assert!(value(other) < own || value(other) == own && other >= usize::from(c));
            }
            let length = int8::norm(row.codes(), row.scales()[0]);
            sum += f64::from(own) * f16::from_bits(row.scales()[0]).to_f64() / length;
        }
        sum / rows.len() as f64
    }

    #[test]
    fn clusters_are_found() {
        let data = cloud(2000, 40, 24);
        let rows = data.rows().unwrap();
        let centroids = train(&rows, 40, Crew { kernels: best(), threads: 2 });
        assert_eq!(centroids.scales.len(), 40);
        for i in 0..40 {
            let row = centroids.rows().unwrap().row(i).unwrap();
            assert!((int8::norm(row.codes(), row.scales()[0]) - 1.0).abs() < 0.01);
        }
        assert!(quality(&centroids, &rows) > 0.85);
        // As many as there are centres beats fewer.
        let few = train(&rows, 10, Crew { kernels: best(), threads: 1 });
        assert!(quality(&few, &rows) < 0.8);
    }

    #[test]
    fn two_levels_train_all_the_centroids_there_are_to_be() {
        let data = cloud(3000, 300, 16);
        let rows = data.rows().unwrap();
        let centroids = train(&rows, 400, Crew { kernels: best(), threads: 2 });
        assert_eq!(centroids.scales.len(), 400);
        assert!(quality(&centroids, &rows) > 0.95);
    }

    #[test]
    fn threads_and_levels_do_not_show() {
        let data = cloud(1500, 100, 16);
        let rows = data.rows().unwrap();
        for count in [33, 300] {
            let one = train(&rows, count, Crew { kernels: best(), threads: 1 });
            for kernels in available() {
                for threads in [2, 5] {
                    assert_eq!(train(&rows, count, Crew { kernels, threads }), one);
                }
            }
        }
    }

    #[test]
    fn strange_rows_are_survived() {
        let crew = Crew { kernels: best(), threads: 2 };
        // All alike; all zero; fewer than centroids; none.
        let one = cloud(1, 1, 8);
        let same = CodeRows { codes: one.codes.repeat(700), scales: one.scales.repeat(700) };
        let zero = CodeRows { codes: vec![128; 8 * 400], scales: vec![0; 400] };
        for data in [&same, &zero, &one] {
            let rows = data.rows().unwrap();
            for count in [1, 3, 300] {
                let centroids = train(&rows, count, crew);
                assert_eq!(centroids.scales.len(), count.min(rows.len()));
                let assigned = assign_to(&centroids, &rows, crew);
                assert!(assigned.iter().all(|&c| usize::from(c) < centroids.scales.len()));
            }
        }
        let none = Int8Rows::new(&[], &[], 8).unwrap();
        assert_eq!(train(&none, 5, crew), CodeRows::default());
    }

    #[test]
    fn work_comes_back_in_order() {
        let work: Vec<usize> = (0..23).collect();
        for threads in [0, 1, 2, 7, 100] {
            let done = in_parallel(&work, threads, |i| i * 2);
            assert_eq!(done, work.iter().map(|i| i * 2).collect::<Vec<_>>());
        }
        assert!(in_parallel(&[0; 0], 3, |i| *i).is_empty());
    }
}
