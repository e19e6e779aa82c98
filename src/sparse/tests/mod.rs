//! The sparse field against a model that cannot be wrong: every document scored, everything sorted.

#![allow(clippy::cast_possible_truncation)] // what tests count is small

mod adversarial;
mod codecs;
mod curve;
mod exact;
mod example;
mod hostile;
mod merge;
mod real;
mod ways;

use std::cmp::Ordering;

use super::*;
use crate::docset::DocSet;
use crate::embed::CleanSparse;
use crate::format::{Container, ContainerKind, ContainerWriter};
use crate::id::{DocId, better};
use crate::kernel::{self, Kernels};
use crate::schema::{Forward, SparseCodec, SparseOptions};
use crate::storage::{MemStorage, Storage};
use crate::topk::{KeyOrder, Scored, TopK};

/// The plainest way to search.
const EXACT: Way = Way { effort: SparseEffort::Exact, threads: 1 };

/// One vector.
type Vector = Vec<(u32, f32)>;

/// Keys in an order that is not the documents'.
pub(super) struct Shuffled;

impl KeyOrder for Shuffled {
    fn cmp_keys(&self, a: DocId, b: DocId) -> Ordering {
        let key = |doc: DocId| doc.wrapping_mul(0x9E37_79B1).rotate_left(7);
        key(a).cmp(&key(b))
    }
}

fn clean(vector: &[(u32, f32)]) -> CleanSparse<'static> {
    CleanSparse {
        terms: vector.iter().map(|entry| entry.0).collect(),
        weights: vector.iter().map(|entry| entry.1).collect(),
        zeros: 0,
    }
}

fn query(vector: &[(u32, f32)]) -> SparseQuery {
    SparseQuery::new(&clean(vector))
}

fn options(forward: Forward) -> SparseOptions {
    SparseOptions::default().forward(forward)
}

/// Every codec.
const CODECS: [SparseCodec; 4] =
    [SparseCodec::U8, SparseCodec::U4, SparseCodec::Pruned(90), SparseCodec::Pruned(40)];

/// The file of a segment with one sparse field.
fn written(docs: &[Vector], order: &[u32], forward: Forward, threads: usize) -> MemStorage {
    written_as(docs, order, &options(forward), threads, 1 << 20)
}

/// The same by settings, turned over in so many bytes.
fn written_as(
    docs: &[Vector],
    order: &[u32],
    options: &SparseOptions,
    threads: usize,
    memory: usize,
) -> MemStorage {
    let mut column = SparseColumn::new(options);
    for (slot, vector) in (0u32..).zip(docs) {
        column.push(slot, &clean(vector));
    }
    let storage = MemStorage::new();
    let file = storage.create_new("segment").unwrap();
    let mut out = ContainerWriter::create(file, "segment".into(), ContainerKind::Segment).unwrap();
    column.write(order, 3, threads, memory, &mut out).unwrap();
    out.finish(1, 0).unwrap();
    storage
}

fn container(storage: &MemStorage) -> Container {
    let bytes = storage.open("segment").unwrap();
    Container::open(bytes, "segment", ContainerKind::Segment, None).unwrap()
}

/// The index of some documents in their order, by settings.
fn index_as(docs: &[Vector], options: &SparseOptions) -> SparseIndex {
    let order: Vec<u32> = (0u32..).take(docs.len()).collect();
    let storage = written_as(docs, &order, options, 1, 1 << 20);
    let docs = u32::try_from(docs.len()).unwrap();
    let index = SparseIndex::open(&container(&storage), 3, docs, options).unwrap();
    index.expect("some document has the field")
}

/// The index of some documents in their order.
fn index(docs: &[Vector], forward: Forward) -> SparseIndex {
    let order: Vec<u32> = (0u32..).take(docs.len()).collect();
    let storage = written(docs, &order, forward, 1);
    let docs = u32::try_from(docs.len()).unwrap();
    let index = SparseIndex::open(&container(&storage), 3, docs, &options(forward)).unwrap();
    index.expect("some document has the field")
}

/// The score as the book defines it.
fn dot(query: &[(u32, f32)], doc: &[(u32, f32)]) -> Option<f32> {
    let mut any = false;
    let mut score = 0f32;
    for &(term, weight) in query {
        if let Ok(at) = doc.binary_search_by_key(&term, |entry| entry.0) {
            score += weight * doc[at].1;
            any = true;
        }
    }
    // A sum of infinities of both signs is no number.
    any.then_some(if score.is_nan() { f32::NEG_INFINITY } else { score })
}

/// The best `k` by scoring everything.
fn model(docs: &[Vector], query: &[(u32, f32)], alive: Option<&DocSet>, k: usize) -> Vec<Scored> {
    let mut all: Vec<Scored> = (0u32..)
        .zip(docs)
        .filter(|(doc, _)| alive.is_none_or(|alive| alive.contains(*doc)))
        .filter_map(|(doc, vector)| Some(Scored { doc, score: dot(query, vector)? }))
        .collect();
    all.sort_by(|a, b| better(a.score, b.score, || Shuffled.cmp_keys(a.doc, b.doc)));
    all.truncate(k);
    all
}

/// The best `k` by searching, the same on every level.
fn search(
    index: &SparseIndex,
    vector: &[(u32, f32)],
    alive: Option<&DocSet>,
    k: usize,
    scratch: &mut SparseScratch,
) -> Vec<Scored> {
    let mut on = |kernels: &Kernels| {
        let mut top = TopK::new(k, f32::NEG_INFINITY, &Shuffled);
        index.search(&query(vector), kernels, EXACT, alive, &mut top, scratch).unwrap();
        top.finish()
    };
    let best = on(kernel::best());
    for kernels in kernel::available() {
        assert_eq!(on(kernels), best, "{}", kernels.level);
    }
    best
}

/// Searches and compares with the model, bit for bit. Gives how many were found.
fn check(docs: &[Vector], index: &SparseIndex, vector: &[(u32, f32)], k: usize) -> usize {
    let mut scratch = SparseScratch::default();
    let want = model(docs, vector, None, k);
    let got = search(index, vector, None, k, &mut scratch);
    assert_eq!(got, want, "k = {k}");
    let count = u32::try_from(docs.len()).unwrap();
    let mut half = DocSet::empty(count);
    (0..count)
        .filter(|doc| doc.wrapping_mul(2_654_435_761) >> 31 == 1)
        .for_each(|d| half.insert(d));
    let want = model(docs, vector, Some(&half), k);
    assert_eq!(search(index, vector, Some(&half), k, &mut scratch), want, "filtered, k = {k}");
    for hit in got.iter().take(20) {
        assert_eq!(index.score(&query(vector), hit.doc).unwrap(), Some(hit.score));
        let parts = index.explain(&query(vector), hit.doc).unwrap();
        let sum = parts.iter().fold(0f32, |sum, (_, a, b)| sum + a * b);
        assert!(sum == hit.score || (sum.is_nan() && hit.score == f32::NEG_INFINITY));
    }
    got.len()
}

/// Small random numbers, the same on every run.
pub(super) struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let x = self.0 ^ (self.0 >> 33);
        x.wrapping_mul(0xFF51_AFD7_ED55_8CCD) ^ (x >> 29)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 11).unwrap() % n.max(1)
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A vector of up to `terms` terms, small ids far more often than large ones.
    fn vector(&mut self, terms: usize, vocabulary: u32) -> Vector {
        let mut map = std::collections::BTreeMap::new();
        for _ in 0..self.below(terms + 1) {
            // The least of three draws.
            let draw = |random: &mut Self| random.below(vocabulary as usize);
            let term = draw(self).min(draw(self)).min(draw(self));
            let term = u32::try_from(term).unwrap();
            map.insert(term, self.unit() * 2.5 + 0.01);
        }
        map.into_iter().collect()
    }
}
