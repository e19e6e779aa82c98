//! A merged segment is the one that its documents would have made had they come together.

use std::sync::Arc;

use crate::docset::DocSet;
use crate::embed::{Document, TokenMatrix};
use crate::format::{Container, ContainerKind};
use crate::schema::{
    Centroids, Forward, KeyKind, Normalization, Schema, SparseOptions, TokenCodec, TokenOptions,
};
use crate::segment::tests::writing;
use crate::segment::{Arena, Merging, Places, Segment, SegmentView, Target, merge};
use crate::storage::{MemStorage, Storage};
use crate::tokens::Packing;

/// A small generator of numbers, the same on every run.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 8
    }

    fn below(&mut self, n: u64) -> u32 {
        u32::try_from(self.next() % n).unwrap()
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.next().is_multiple_of(n)
    }

    fn value(&mut self) -> f32 {
        self.below(20_000) as f32 / 10_000.0 - 1.0
    }
}

/// Every kind of field; forward rows in every form that keeps weights exactly. No centroids: those
/// that a merge keeps are not those that it would train.
fn schema(keys: KeyKind) -> Schema {
    let mut schema = Schema::builder();
    schema.keys(keys);
    for (name, forward) in [("auto", Forward::Auto), ("f32", Forward::F32), ("f16", Forward::F16)] {
        schema.sparse_with(name, SparseOptions::default().forward(forward));
    }
    let tokens = TokenOptions::new(16).normalization(Normalization::AsIs);
    schema.tokens("halves", tokens.clone().codec(TokenCodec::F16));
    schema.tokens("bytes", tokens.clone().codec(TokenCodec::Int8).centroids(Centroids::None));
    schema.keyword("k");
    schema.i64("i");
    schema.bool("b");
    schema.build().unwrap()
}

/// A document by its number; a field is absent now and then, and in some runs of documents always.
fn document(schema: &Schema, number: u64) -> Document<'static> {
    let mut draw = Draw(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    (0..8).for_each(|_| _ = draw.next());
    let mut out = match schema.key_kind() {
        KeyKind::Str => Document::new(format!("key-{}", number.wrapping_mul(7919) % 100_003)),
        KeyKind::U64 => Document::new(number.wrapping_mul(7919) % 100_003),
    };
    let run = number / 50;
    for (at, name) in ["auto", "f32", "f16"].iter().enumerate() {
        let field = schema.sparse(name).unwrap();
        if draw.one_in(4) || run % 5 == at as u64 {
            continue;
        }
        let mut entries: Vec<(u32, f32)> = (0..=draw.below(30))
            .map(|_| (draw.below(200), (draw.below(1000) + 1) as f32 / 256.0))
            .collect();
        entries.sort_by_key(|entry| entry.0);
        entries.dedup_by_key(|entry| entry.0);
        if run == 3 {
            entries[0].1 = 0.1; // not exact in f16
        }
        let (terms, weights): (Vec<u32>, Vec<f32>) = entries.into_iter().unzip();
        let vector = crate::embed::SparseVector::new(&*terms.leak(), &*weights.leak());
        out = out.sparse(&field, vector).unwrap();
    }
    for name in ["halves", "bytes"] {
        let field = schema.tokens(name).unwrap();
        if name == "bytes" || !draw.one_in(3) {
            let rows = draw.below(6) as usize + 1;
            let values: Vec<f32> = (0..rows * 16).map(|_| draw.value()).collect();
            let mut matrix = TokenMatrix::new(values.leak() as &[f32], 16);
            if draw.one_in(2) || run % 2 == 1 {
                let wide = if run == 4 { 70_000 } else { 10 };
                let spans: Vec<(u32, u32)> =
                    (0..rows as u32).map(|row| (row, row + wide)).collect();
                matrix = matrix.spans(&*spans.leak());
            }
            out = out.tokens(&field, matrix).unwrap();
        }
    }
    for _ in 0..draw.below(4) {
        let value = format!("value {}", draw.below(12) + 5 * u32::try_from(run).unwrap());
        out = out.keyword(&schema.keyword("k").unwrap(), value).unwrap();
    }
    if !draw.one_in(3) {
        out = out.i64(&schema.i64("i").unwrap(), i64::from(draw.below(99)) - 50).unwrap();
    }
    if run != 2 && draw.one_in(2) {
        out = out.bool(&schema.bool("b").unwrap(), draw.one_in(2)).unwrap();
    }
    if run != 1 && !draw.one_in(3) {
        let size = if draw.one_in(40) { 40_000 } else { draw.below(900) as usize };
        out = out.payload((0..size).map(|at| (at * at % 251) as u8).collect::<Vec<u8>>());
    }
    out
}

fn write(storage: &MemStorage, schema: &Schema, name: &str, numbers: &[u64]) -> Arc<Segment> {
    let mut arena = Arena::new(schema);
    for &number in numbers {
        arena.push(&document(schema, number)).unwrap();
    }
    arena.write(storage, name, 7, 9, writing()).unwrap();
    open(storage, schema, name)
}

fn open(storage: &MemStorage, schema: &Schema, name: &str) -> Arc<Segment> {
    let bytes = storage.open(name).unwrap();
    let container = Container::open(bytes, name, ContainerKind::Segment, None).unwrap();
    Arc::new(Segment::open(container, schema).unwrap())
}

/// A view in which the documents that `dead` picks are deleted.
fn view(segment: &Arc<Segment>, dead: impl Fn(u32) -> bool) -> SegmentView {
    let docs = segment.docs();
    let mut alive = DocSet::full(docs);
    (0..docs).filter(|&doc| dead(doc)).for_each(|doc| alive.remove(doc));
    let live = alive.count();
    let alive = (live < docs).then(|| Arc::new(alive));
    SegmentView { segment: Arc::clone(segment), alive, live }
}

/// Where a merge goes that packs all rows, with the numbers that [`write`] gives a segment.
fn target<'a>(storage: &'a MemStorage, name: &'a str) -> Target<'a> {
    let packing = Packing::Now(u64::MAX);
    Target { storage, name, generation: 7, ordinal: 9, memory: 1 << 14, packing }
}

fn merged(storage: &MemStorage, schema: &Schema, inputs: &[SegmentView], name: &str) -> Places {
    let target = target(storage, name);
    let merging = Merging::default();
    let (_, places) = merge(inputs, schema, target, 1, &merging).unwrap();
    let (done, total) = merging.progress();
    assert_eq!(done, total, "all that was to be done was counted");
    places
}

#[test]
fn a_merged_segment_is_the_one_written_at_once() {
    for keys in [KeyKind::Str, KeyKind::U64] {
        let schema = schema(keys);
        let dead = |number: u64| number.is_multiple_of(7) || (100..140).contains(&number);
        for bounds in [vec![0, 1, 60, 61, 300], vec![0, 300], vec![0, 150, 170, 300]] {
            let storage = MemStorage::new();
            let ranges: Vec<Vec<u64>> =
                bounds.windows(2).map(|pair| (pair[0]..pair[1]).collect()).collect();
            let mut inputs = Vec::new();
            for (at, numbers) in ranges.iter().enumerate() {
                let segment = write(&storage, &schema, &format!("part {at}"), numbers);
                inputs.push(view(&segment, |doc| dead(numbers[doc as usize])));
            }
            let places = merged(&storage, &schema, &inputs, "merged");
            let live: Vec<u64> = (0..300).filter(|&number| !dead(number)).collect();
            let at_once = write(&storage, &schema, "at once", &live);
            open(&storage, &schema, "merged").verify().unwrap();

            let (a, b) = (storage.open("merged").unwrap(), storage.open("at once").unwrap());
            assert!(a.as_slice() == b.as_slice(), "{keys:?} {bounds:?}");

            // Where each document went, and back.
            assert_eq!(places.docs() as usize, live.len());
            for (place, &number) in (0u32..).zip(&live) {
                let (input, doc) = places.source(place).unwrap();
                assert_eq!(ranges[input][doc as usize], number);
                assert_eq!(places.place(input, doc), Some(place));
                let key = at_once.keys().key(place).unwrap();
                assert_eq!(inputs[input].segment.keys().key(doc).unwrap(), key);
            }
            assert_eq!(places.source(places.docs()), None);
            for (input, numbers) in ranges.iter().enumerate() {
                for (doc, &number) in (0u32..).zip(numbers) {
                    assert_eq!(places.place(input, doc).is_none(), dead(number));
                }
                assert_eq!(places.place(input, numbers.len() as u32), None);
            }
        }
    }
}

/// An 8-bit field without forward rows has nothing but impacts: they stand for weights, and those
/// are quantised anew.
#[test]
fn impacts_without_rows_are_merged_as_the_weights_they_stand_for() {
    let mut schema = Schema::builder();
    let field = schema.sparse_with("s", SparseOptions::default().forward(Forward::None));
    let schema = schema.build().unwrap();
    let storage = MemStorage::new();
    let part = |name: &str, first: u32| {
        let mut arena = Arena::new(&schema);
        for i in 0..100u32 {
            let entries = [(1u32, (i + first + 1) as f32), (2 + i % 3, 0.25), (50 + i, 1.0)];
            let document = Document::new(format!("{first}-{i}")).sparse(&field, &entries).unwrap();
            arena.push(&document).unwrap();
        }
        arena.write(&storage, name, 1, 1, writing()).unwrap();
        view(&open(&storage, &schema, name), |doc| doc == 5)
    };
    let inputs = [part("a", 0), part("b", 400)];
    merged(&storage, &schema, &inputs, "merged");
    let segment = open(&storage, &schema, "merged");
    segment.verify().unwrap();
    let mut rows = 0;
    segment
        .sparse(0)
        .unwrap()
        .each_row(|doc, terms, weights| {
            let (first, i) = if doc < 99 { (0, doc) } else { (400, doc - 99) };
            let i = if i < 5 { i } else { i + 1 };
            assert_eq!(terms, [1, 2 + i % 3, 50 + i]);
            // Two roundings of at most one step each, of the scale of the largest weight.
            let (was, step) = ((i + first + 1) as f32, 500.0 / 255.0 * 1.1);
            assert!((weights[0] - was).abs() <= 1.5 * step, "{} for {was}", weights[0]);
            rows += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(rows, 198);
}

#[test]
fn documents_of_an_older_schema_lack_the_new_fields() {
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let old = schema.build().unwrap();
    let mut schema = old.extend();
    let (kind, more) = (schema.keyword("kind"), schema.tokens("more", 8));
    let new = schema.build().unwrap();
    let storage = MemStorage::new();
    let mut arena = Arena::new(&old);
    arena.push(&Document::new("a").sparse(&terms, &[(1u32, 1.0f32)]).unwrap()).unwrap();
    arena.write(&storage, "old", 1, 1, writing()).unwrap();
    let mut arena = Arena::new(&new);
    let row = [0.353_553_4f32; 8];
    let document = Document::new("b").keyword(&kind, "x").unwrap();
    arena.push(&document.tokens(&more, TokenMatrix::new(&row, 8)).unwrap()).unwrap();
    arena.write(&storage, "new", 1, 2, writing()).unwrap();
    let inputs = [
        view(&open(&storage, &new, "old"), |_| false),
        view(&open(&storage, &new, "new"), |_| false),
    ];
    inputs[0].segment.verify().unwrap();
    assert!(inputs[0].segment.attribute(1).is_none() && inputs[0].segment.tokens(2).is_none());
    merged(&storage, &new, &inputs, "merged");
    let segment = open(&storage, &new, "merged");
    segment.verify().unwrap();
    assert_eq!(segment.docs(), 2);
    assert!(segment.sparse(0).unwrap().row(0).unwrap().is_some());
    assert!(segment.tokens(2).unwrap().stored(0).unwrap().is_none());
    assert!(segment.tokens(2).unwrap().stored(1).unwrap().is_some());
}

#[test]
fn damage_is_not_merged_and_leaves_nothing_behind() {
    let schema = schema(KeyKind::U64);
    let storage = MemStorage::new();
    write(&storage, &schema, "good", &[1, 2, 3]);
    let bytes = storage.open("good").unwrap().as_slice().to_vec();
    for at in (64..bytes.len() - 64).step_by(97) {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        storage.put("bad", &bad);
        let bad = storage.open("bad").unwrap();
        let Ok(container) = Container::open(bad, "bad", ContainerKind::Segment, None) else {
            continue;
        };
        let Ok(segment) = Segment::open(container, &schema) else { continue };
        let target = target(&storage, "merged");
        let views = [view(&Arc::new(segment), |_| false)];
        let result = merge(&views, &schema, target, 1, &Merging::default());
        assert!(matches!(result, Err(crate::Error::Corrupt(_))), "byte {at}");
        assert!(storage.open("merged").is_err());
    }
}

#[test]
fn a_key_in_two_inputs_is_damage_unless_one_is_dead() {
    let schema = schema(KeyKind::Str);
    let storage = MemStorage::new();
    let a = write(&storage, &schema, "a", &[1, 2, 3]);
    let b = write(&storage, &schema, "b", &[3, 4]);
    let target = target(&storage, "merged");
    let both = [view(&a, |_| false), view(&b, |_| false)];
    let result = merge(&both, &schema, target, 1, &Merging::default());
    assert!(matches!(result, Err(crate::Error::Corrupt(_))));
    merged(&storage, &schema, &[view(&a, |doc| doc == 2), view(&b, |_| false)], "merged");
    assert_eq!(open(&storage, &schema, "merged").docs(), 4);
}

#[test]
fn a_merge_that_is_no_longer_wanted_ends() {
    let schema = schema(KeyKind::U64);
    let storage = MemStorage::new();
    let inputs = [view(&write(&storage, &schema, "a", &[1, 2, 3]), |_| false)];
    let merging = Merging::default();
    merging.cancel();
    let target = target(&storage, "merged");
    assert!(merge(&inputs, &schema, target, 1, &merging).is_err());
    assert_eq!(storage.list().unwrap(), ["a"]);
}
