//! What is counted, and what changes nothing.

use super::*;
use crate::embed::TokenMatrix;
use crate::index::{DriftInfo, Vocabulary};
use crate::schema::{SparseCodec, SparseOptions};
use crate::storage::MemStorage;
use crate::{KernelLevel, Query};

/// A writer with two commits of five documents each, keys 0 to 9.
fn two_segments(storage: &MemStorage) -> IndexWriter {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let mut writer = start(&storage, true, Merges::Manual).unwrap();
    writer.options.least = 1 << 20;
    for half in 0..2 {
        (5 * half..5 * half + 5).for_each(|key| put(&mut writer, key, 1).unwrap());
        writer.commit().unwrap();
    }
    writer
}

fn segments(writer: &IndexWriter) -> usize {
    writer.snapshot().segments().len()
}

#[test]
fn a_segment_of_which_nothing_lives_is_gone_with_the_commit() {
    let storage = MemStorage::new();
    let mut writer = two_segments(&storage);
    writer.delete_batch(0u64..4).unwrap();
    writer.commit().unwrap();
    assert_eq!((segments(&writer), writer.len()), (2, 6));
    writer.delete(4u64).unwrap();
    writer.commit().unwrap();
    assert_eq!((segments(&writer), writer.len()), (1, 5));
    writer.delete_batch(5u64..10).unwrap();
    assert!(writer.is_empty() && !writer.snapshot().is_empty());
    writer.commit().unwrap();
    assert_eq!(segments(&writer), 0);
    let index = writer.reader().unwrap();
    assert!(index.is_empty() && index.snapshot().is_empty());
}

#[test]
fn what_a_filter_deletes_stays_deleted() {
    let storage = MemStorage::new();
    let mut writer = two_segments(&storage);
    let version = writer.schema().i64("version").unwrap();
    // In each of the two something stays: keys 0, 1 and 9 are of a segment of their own.
    for key in [0, 1, 9] {
        put(&mut writer, key, 2 + key as i64).unwrap();
    }
    let commit = writer.commit().unwrap();
    for key in [2, 8] {
        put(&mut writer, key, 50).unwrap();
    }
    // What no document passes makes no commit.
    assert_eq!(writer.commit().unwrap(), commit + 1);
    assert_eq!(writer.delete_where(&version.range(51..)).unwrap().documents, 0);
    assert_eq!(writer.commit().unwrap(), commit + 1);
    // Clean segments of which a part goes, and a part stays.
    assert_eq!(writer.delete_where(&version.range(..3)).unwrap().documents, 6);
    assert_eq!(writer.delete_where(&version.range(3..4)).unwrap().documents, 1);
    assert_eq!(writer.commit().unwrap(), commit + 2);
    drop(writer);
    let index = Index::start(Arc::new(storage), None).unwrap();
    assert_eq!(content(&index).unwrap(), Content::from([(2, 50), (8, 50), (9, 11)]));
}

#[test]
fn merging_what_is_merged_makes_no_commit() {
    let storage = MemStorage::new();
    let mut writer = two_segments(&storage);
    let before = writer.snapshot().commit();
    let merged = writer.force_merge(1, |_| {}).unwrap();
    assert!(merged > before);
    assert_eq!(storage.list().unwrap(), expected_files(&storage, &writer));
    // The generation before names no other segment: what was merged is gone.
    let named = |name: &String| name.starts_with("seg-");
    assert_eq!(storage.list().unwrap().iter().filter(|name| named(name)).count(), 1);
    assert_eq!(writer.force_merge(1, |_| {}).unwrap(), merged);
    assert_eq!(writer.compact(|_| {}).unwrap(), merged);
}

#[test]
fn info_counts_what_lies_in_the_files() {
    let storage = MemStorage::new();
    let mut writer = two_segments(&storage);
    writer.delete(1u64).unwrap();
    writer.commit().unwrap();
    let snapshot = writer.snapshot();
    let len = |name: &str| storage.open(name).unwrap().len() as u64;
    for (entry, info) in snapshot.manifest().segments.iter().zip(snapshot.info().segments) {
        let dead = entry.tombstones.map(|dead| crate::format::tombstones_name(dead.ordinal));
        assert_eq!(dead.is_some(), info.deleted > 0);
        assert_eq!(info.bytes, len(&info.file) + dead.map_or(0, |name| len(&name)));
    }
}

#[test]
fn info_tells_of_every_vector_field() {
    let mut schema = Schema::builder();
    let pruned = SparseOptions::default().codec(SparseCodec::Pruned(60));
    let (whole, cut) = (schema.sparse("whole"), schema.sparse_with("cut", pruned));
    let tokens = schema.tokens("tokens", 8);
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    let row = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    for (at, key) in ["a", "b", "c"].into_iter().enumerate() {
        let rows = row.repeat(at + 1);
        let entries = [(1u32, 1.0f32), (2, 0.0), (3, 2.0)];
        let document = Document::new(key).sparse(&whole, &entries).unwrap();
        let document = document.sparse(&cut, &[(1u32, 1.0f32), (2, 0.0)]).unwrap();
        let document = document.tokens(&tokens, TokenMatrix::new(&rows, 8)).unwrap();
        writer.add(&document).unwrap();
        assert_eq!(writer.zeros_dropped(), 2 * (at as u64 + 1));
    }
    writer.commit().unwrap();
    let info = writer.snapshot().info();
    let percents: Vec<_> = info.fields.iter().map(|field| field.percent).collect();
    assert_eq!(percents, [None, Some(60), None]);
    let entries: Vec<_> =
        info.segments[0].vectors.iter().map(|v| (v.field.as_str(), v.entries)).collect();
    assert_eq!(entries, [("whole", 6), ("cut", 3), ("tokens", 6)]);
}

#[test]
fn zeros_of_batches_are_counted_with_the_others() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let mut writer = start(&storage, true, Merges::Manual).unwrap();
    let terms = writer.schema().sparse("terms").unwrap();
    let version = writer.schema().i64("version").unwrap();
    let one = Document::new(9u64).sparse(&terms, &[(1u32, 1.0f32), (5, 0.0)]).unwrap();
    writer.add(&one.i64(&version, 1).unwrap()).unwrap();
    let vectors =
        SparseBatch::csr(&[0u64, 2, 5], &[1u32, 2, 1, 2, 3], &[1.0f32, 0.0, 0.0, 0.0, 2.0]);
    let batch = Batch::new([1u64, 2]).sparse(&terms, &vectors).unwrap();
    writer.add_batch(&batch.i64(&version, &[Some(1), Some(1)]).unwrap()).unwrap();
    assert_eq!(writer.zeros_dropped(), 4);
}

#[test]
fn drift_is_how_many_times_as_far() {
    let ratio = |trained, now| DriftInfo { trained, now }.ratio();
    assert_eq!((ratio(0.25, 0.75), ratio(0.5, 0.25)), (3.0, 0.5));
    assert_eq!((ratio(0.3, 0.3), ratio(0.0, 0.0)), (1.0, 1.0));
}

#[test]
fn the_words_of_a_field_come_back() {
    let storage = MemStorage::new();
    let mut writer = two_segments(&storage);
    let terms = writer.schema().sparse("terms").unwrap();
    assert_eq!(writer.reader().unwrap().vocabulary(&terms).unwrap(), None);
    let words = Vocabulary::weighted([("fat", 1, 0.5), ("oil", 2, 1.5)]).unwrap();
    writer.set_vocabulary(&terms, &words).unwrap();
    writer.commit().unwrap();
    drop(writer);
    let index = Index::start(Arc::new(storage), None).unwrap();
    assert_eq!(index.vocabulary(&terms).unwrap().as_ref(), Some(&words));
    assert_eq!(index.snapshot().vocabulary(&terms).unwrap(), Some(words));
}

/// Answers are the same on every level, so that nothing else tells which one is used.
#[test]
fn the_kernels_asked_for_are_those_used() {
    let storage = MemStorage::new();
    drop(two_segments(&storage));
    let storage: Arc<dyn Storage> = Arc::new(storage);
    for level in KernelLevel::available() {
        let index = Index::start(Arc::clone(&storage), Some(level)).unwrap();
        assert_eq!(index.kernels.level, level);
        let limits = crate::limits::Limits::default();
        let index = Index::start_within(Arc::clone(&storage), Some(level), limits).unwrap();
        assert_eq!(index.kernels.level, level);
    }
}

/// Each option leaves the others as they were.
#[test]
fn options_add_up() {
    let place = tempfile::tempdir().unwrap();
    let (directory, packed) = (place.path().join("index"), place.path().join("packed"));
    let mut writer = IndexWriter::create(&directory, schema()).unwrap();
    (0..3).for_each(|key| put(&mut writer, key, 1).unwrap());
    writer.commit().unwrap();
    writer.reader().unwrap().pack(&packed).unwrap();
    let few = crate::limits::Limits::default().documents(2);
    for path in [&directory, &packed] {
        let options = || Index::options().limits(few.clone());
        let refused = |options: crate::IndexOptions| {
            matches!(options.open(path), Err(Error::Limit { found: 3, limit: 2, .. }))
        };
        assert!(refused(options()));
        assert!(refused(options().mode(crate::OpenMode::Heap)));
        assert!(refused(options().resident(1 << 20)));
        assert!(refused(options().kernel(KernelLevel::Portable)));
        assert!(refused(options().untrusted(1 << 20)));
        assert!(refused(options().subset(|_| true)));
        let none = Index::options().subset(|_| false).kernel(KernelLevel::Portable);
        let index = none.open(path).unwrap();
        assert_eq!((index.len(), index.kernels.level), (0, KernelLevel::Portable));
        let terms = index.schema().sparse("terms").unwrap();
        let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
        assert_eq!(index.search(&query).unwrap().into_iter().count(), 0);
    }
}
