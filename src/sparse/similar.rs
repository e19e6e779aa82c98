//! Documents that share terms, brought together.
//!
//! A search completes the groups of 64 documents in which the largest impacts of all terms leave
//! hope. Where a group's documents are about the same, these come from the same documents, and
//! fewer groups do: of 80,000 passages in the order of their sources 736 of 1,250 groups can reach
//! the tenth score, in this order 290 (the mean of 288 queries, in a prototype). Each document is sketched as a
//! short vector whose products stand for those of the documents (Weinberger et al., "Feature
//! Hashing for Large Scale Multitask Learning", 2009), and the documents are cut in two by their
//! sketches, again and again, until a group is left (in the manner of Dhulipala et al.,
//! "Compressing Graphs and Indexes with Recursive Graph Bisection", 2016, with the means of
//! both halves in place of the gaps of postings).
//!
//! All is integers but the directions, which are computed in a fixed order: the same documents
//! come in the same order everywhere.

use std::cmp::Reverse;

use simsimd::SpatialSimilarity;

use crate::error::Result;
use crate::mix::mix;

use super::layout::{GROUP, WINDOW};
use super::rows::RowStore;

/// Components of a sketch. With a quarter as many a third more groups are left, with twice as many
/// 6 % less.
const SKETCH: usize = 512;
/// Documents that are brought together at a time: their sketches take 16 MiB, and all at once
/// would leave 8 % less groups.
const RUN: usize = 8 * WINDOW;
/// Documents from which is told where to cut. With four times as many 1 % less groups are left.
const SAMPLE: usize = 512;
/// How often that is told anew from the halves it made. Once more leaves 2 % less groups.
const ROUNDS: usize = 3;
/// Documents that are worth a thread of their own.
const SHARED: usize = WINDOW;

type Sketch = [i8; SKETCH];

/// Puts slots, ascending, into an order in which those whose documents share terms lie together;
/// slots without terms come last. The order does not depend on `threads`.
///
/// # Errors
/// `Io`, where rows that were set aside cannot be read.
pub(super) fn bring_together(rows: &RowStore, slots: &mut [u32], threads: usize) -> Result<()> {
    let (with, without): (Vec<u32>, Vec<u32>) = slots.iter().partition(|&&slot| rows.has(slot));
    let mut ordered = slots.iter_mut();
    for run in with.chunks(RUN) {
        let sketches = sketch_all(rows, run)?;
        let mut places: Vec<u32> = (0..).take(run.len()).collect();
        bisect(&sketches, &mut places, threads);
        for (&place, to) in places.iter().zip(ordered.by_ref()) {
            *to = run[place as usize];
        }
    }
    without.iter().zip(ordered).for_each(|(&slot, to)| *to = slot);
    Ok(())
}

fn sketch_all(rows: &RowStore, slots: &[u32]) -> Result<Vec<Sketch>> {
    let mut reader = rows.reader(true);
    let (mut terms, mut weights) = (Vec::new(), Vec::new());
    let mut sketches = Vec::with_capacity(slots.len());
    for &slot in slots {
        let found = reader.read(slot, &mut terms, &mut weights)?;
        sketches.push(if found { sketch(&terms, &weights) } else { [0; SKETCH] });
    }
    Ok(sketches)
}

/// Each term adds its weight to a component of its own, with a sign of its own.
fn sketch(terms: &[u32], weights: &[f32]) -> Sketch {
    let mut sums = [0f32; SKETCH];
    for (&term, &weight) in terms.iter().zip(weights) {
        let hash = mix(term.into());
        let [low, high, .., sign] = hash.to_le_bytes();
        let sum = &mut sums[usize::from(u16::from_le_bytes([low, high])) % SKETCH];
        *sum += if sign < 128 { weight } else { -weight };
    }
    in_bytes(&sums)
}

/// The vector that points the same way and whose largest component is 127.
fn in_bytes(vector: &[f32; SKETCH]) -> Sketch {
    let largest = vector.iter().fold(0f32, |largest, value| largest.max(value.abs()));
    let scale = if largest > 1e-30 && largest < f32::INFINITY { 127.0 / largest } else { 0.0 };
    // Rounding by a function would take as long as all else here.
    #[allow(clippy::cast_possible_truncation, reason = "from 1.5 to 255.5")]
    vector.map(|value| ((value * scale + 128.5) as u8 ^ 128).cast_signed())
}

/// The product of two sketches: exact on every CPU, since a double holds its 23 bits.
fn product(a: &Sketch, b: &Sketch) -> i32 {
    #[allow(clippy::cast_possible_truncation, reason = "512 products of bytes")]
    i8::dot(a, b).map_or(0, |product| product as i32)
}

/// Cuts the documents in two, those that are like each other on the same side, and goes on with
/// either side until it is a group.
fn bisect(sketches: &[Sketch], places: &mut [u32], threads: usize) {
    if places.len() <= GROUP {
        return;
    }
    // Where a window begins, or a group.
    let unit = if places.len() > WINDOW { WINDOW } else { GROUP };
    let left = (places.len() / 2).next_multiple_of(unit);
    let direction = direction(sketches, places, left);
    sort_along(&direction, sketches, places);
    let threads = if places.len() >= SHARED { threads } else { 1 };
    let (left, right) = places.split_at_mut(left);
    if threads <= 1 {
        bisect(sketches, left, 1);
        bisect(sketches, right, 1);
        return;
    }
    std::thread::scope(|scope| {
        scope.spawn(|| bisect(sketches, left, threads / 2));
        bisect(sketches, right, threads - threads / 2);
    });
}

/// The way from one half to the other, in which those that point furthest along it come first.
fn direction(sketches: &[Sketch], places: &[u32], left: usize) -> Sketch {
    let step = places.len().div_ceil(SAMPLE);
    let mut sample: Vec<u32> = places.iter().copied().step_by(step).collect();
    let left = (left / step).clamp(1, sample.len() - 1);
    // To begin with, from what is least like all to what is least like that.
    let least_like = |other: &Sketch| {
        let likeness = |&place: &u32| (product(other, &sketches[place as usize]), place);
        sample
            .iter()
            .min_by_key(|&place| likeness(place))
            .map_or([0; SKETCH], |&place| sketches[place as usize])
    };
    let one = least_like(&in_bytes(&mean(sketches, &sample)));
    let other = least_like(&one);
    let mut direction = between(&one.map(f32::from), &other.map(f32::from));
    for _ in 0..ROUNDS {
        sort_along(&direction, sketches, &mut sample);
        let (first, second) = sample.split_at(left);
        direction = between(&mean(sketches, first), &mean(sketches, second));
    }
    direction
}

/// Those that point furthest along a direction first, the smaller place first among equals.
fn sort_along(direction: &Sketch, sketches: &[Sketch], places: &mut [u32]) {
    places.sort_by_cached_key(|&place| {
        (Reverse(product(direction, &sketches[place as usize])), place)
    });
}

/// The mean of some sketches, of length 1.
fn mean(sketches: &[Sketch], places: &[u32]) -> [f32; SKETCH] {
    let mut sums = [0f32; SKETCH];
    // Sums of 256 bytes are words.
    for places in places.chunks(256) {
        let mut words = [0i16; SKETCH];
        for &place in places {
            for (word, &value) in words.iter_mut().zip(&sketches[place as usize]) {
                *word += i16::from(value);
            }
        }
        sums.iter_mut().zip(words).for_each(|(sum, word)| *sum += f32::from(word));
    }
    unit(&sums)
}

fn unit(vector: &[f32; SKETCH]) -> [f32; SKETCH] {
    let square: f32 = vector.iter().map(|value| value * value).sum();
    let length = square.sqrt().max(f32::MIN_POSITIVE);
    vector.map(|value| value / length)
}

fn between(one: &[f32; SKETCH], other: &[f32; SKETCH]) -> Sketch {
    let (mut way, other) = (unit(one), unit(other));
    way.iter_mut().zip(&other).for_each(|(way, other)| *way -= other);
    in_bytes(&way)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::Numbers;
    use crate::storage::{FsStorage, OpenMode};

    /// Documents of so many subjects in turn, each with twelve terms of forty of its own; every
    /// seventh slot has none.
    fn rows(count: u32, subjects: u32) -> RowStore {
        let mut rows = RowStore::default();
        let mut numbers = Numbers(5);
        for slot in (0..count).filter(|slot| slot % 7 != 3) {
            let first = slot % subjects * 1000;
            let mut terms: Vec<u32> = (0..40).collect();
            while terms.len() > 12 {
                terms.remove(numbers.below(terms.len()));
            }
            let weights: Vec<f32> = terms.iter().map(|_| numbers.unit().abs() + 0.1).collect();
            let terms: Vec<u32> = terms.iter().map(|term| first + term).collect();
            rows.push(slot, &terms, &weights);
        }
        rows
    }

    fn order(rows: &RowStore, slots: &[u32], threads: usize) -> Vec<u32> {
        let mut slots = slots.to_vec();
        bring_together(rows, &mut slots, threads).unwrap();
        slots
    }

    #[test]
    fn subjects_come_apart() {
        let count = 6 * 1024;
        let rows = rows(count, 6);
        let slots: Vec<u32> = (0..count).collect();
        let ordered = order(&rows, &slots, 1);
        let there = slots.iter().filter(|slot| rows.has(**slot)).count();
        let (with, without) = ordered.split_at(there);
        assert!(without.iter().all(|&slot| !rows.has(slot)) && without.is_sorted());
        // All groups but those in which a subject ends are of one.
        let mixed =
            with.chunks(GROUP).filter(|group| group.iter().any(|slot| slot % 6 != group[0] % 6));
        let mixed = mixed.count();
        assert!(mixed <= 12, "{mixed} groups of {}", there.div_ceil(GROUP));
        let mut sorted = ordered.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, slots);
    }

    #[test]
    fn neither_threads_nor_what_is_set_aside_change_it() {
        // More than one run, some slots dead, others without a row.
        let count = u32::try_from(RUN).unwrap() * 7 / 5;
        let mut rows = rows(count, 9);
        let slots: Vec<u32> = (0..count).filter(|slot| slot % 11 != 5).collect();
        let first = order(&rows, &slots, 1);
        assert_ne!(first, slots);
        for threads in [2, 3, 8] {
            assert!(order(&rows, &slots, threads) == first, "{threads} threads");
        }
        let dir = tempfile::tempdir().unwrap();
        rows.move_tail(&FsStorage::new(dir.path(), OpenMode::Map)).unwrap();
        assert!(order(&rows, &slots, 1) == first, "set aside");
    }

    #[test]
    fn weights_of_any_size_and_documents_that_are_the_same_are_no_trouble() {
        let mut rows = RowStore::default();
        for slot in 0..300 {
            match slot % 3 {
                0 => rows.push(slot, &[1, 2, u32::MAX], &[f32::MAX, f32::MAX, f32::MAX]),
                1 => rows.push(slot, &[7], &[f32::from_bits(1)]),
                _ => rows.push(slot, &[7, 9], &[0.5, 0.25]),
            }
        }
        let slots: Vec<u32> = (0..300).collect();
        let mut ordered = order(&rows, &slots, 2);
        ordered.sort_unstable();
        assert_eq!(ordered, slots);
        for few in 0..70 {
            let mut ordered = order(&rows, &slots[..few], 1);
            ordered.sort_unstable();
            assert_eq!(ordered, slots[..few]);
        }
    }
}
