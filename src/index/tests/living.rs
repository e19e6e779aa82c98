//! Merges beside everything else: what each commit holds is what the model says.

use super::*;
use crate::storage::MemStorage;

/// Many rounds with merges in every way; snapshots taken on the way stay what they were.
fn work(storage: &MemStorage, merges: Merges, rounds: u64) -> Work {
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let mut work = Work::new(&shared, merges).unwrap();
    let mut held: Vec<(Index, Content)> = Vec::new();
    for round in 0..rounds {
        work.round(round).unwrap();
        let index = work.writer.reader().unwrap();
        assert_eq!(content(&index).unwrap(), work.live, "round {round}");
        if round % 5 == 0 {
            held.push((index, work.live.clone()));
        }
    }
    for (index, was) in held {
        assert_eq!(content(&index).unwrap(), was);
    }
    work
}

#[test]
fn every_commit_holds_what_it_should_however_merging_is_done() {
    for merges in [Merges::Background, Merges::AtCommit, Merges::Manual] {
        let storage = MemStorage::new();
        let mut work = work(&storage, merges, 60);
        work.writer.wait_merges().unwrap();
        assert_eq!(content(&work.writer.reader().unwrap()).unwrap(), work.live);
        let segments = work.writer.snapshot().info().segments.len();
        assert!(segments <= 10, "{segments} segments, {merges:?}");
    }
}

/// Where an open file can be neither removed nor renamed, what readers hold stays until they let
/// it go, and then goes.
#[test]
fn an_index_lives_where_open_files_cannot_be_removed() {
    for merges in [Merges::Background, Merges::AtCommit] {
        let storage = MemStorage::refusing_in_use();
        let mut work = work(&storage, merges, 40);
        let snapshot = work.writer.reader().unwrap();
        let was = work.live.clone();
        for round in 40..50 {
            work.round(round).unwrap();
        }
        assert_eq!(content(&snapshot).unwrap(), was);
        drop(snapshot);
        work.writer.compact(|_| {}).unwrap();
        for version in 1..4 {
            put(&mut work.writer, 500, version).unwrap();
            work.writer.commit().unwrap();
        }
        // What is left is what the last two generations name.
        let expected = expected_files(&storage, &work.writer);
        assert_eq!(storage.list().unwrap(), expected);
    }
}

/// What is deleted or replaced while a merge runs is not there afterwards, though its input had it.
#[test]
fn deletions_during_a_merge_are_carried_over() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let mut writer = start(&storage, true, Merges::Background).unwrap();
    let mut live = Content::new();
    for part in 0..40u64 {
        for at in 0..50 {
            let key = part * 50 + at;
            put(&mut writer, key, 1).unwrap();
            live.insert(key, 1);
        }
        writer.commit().unwrap(); // now and then a merge begins, and goes on during what follows
        for key in (0..part * 50).step_by(7 + part as usize % 5) {
            let deleted = writer.delete(key).unwrap();
            assert_eq!(deleted.documents, u64::from(live.remove(&key).is_some()));
        }
        let again = part * 25;
        put(&mut writer, again, 2).unwrap();
        live.insert(again, 2);
    }
    writer.wait_merges().unwrap();
    assert_eq!(content(&writer.reader().unwrap()).unwrap(), live);
    let info = writer.snapshot().info();
    assert!(info.segments.len() < 20, "{} segments", info.segments.len());
    // All of it deleted while it is merged: nothing is left of it.
    let all: Vec<u64> = live.keys().copied().collect();
    assert_eq!(
        writer.delete_batch(all.iter().chain(&all).copied()).unwrap().documents,
        all.len() as u64
    );
    writer.wait_merges().unwrap();
    assert_eq!(writer.snapshot().info().segments.len(), 0);
}

#[test]
fn a_rollback_forgets_a_merge_that_was_not_committed() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let mut writer = start(&storage, true, Merges::Background).unwrap();
    let mut live = Content::new();
    for key in 0..80 {
        put(&mut writer, key, 1).unwrap();
        live.insert(key, 1);
        writer.commit().unwrap();
        writer.delete(key / 2).unwrap();
        writer.rollback().unwrap();
    }
    drop(writer); // with whatever runs
    let mut writer = start(&storage, false, Merges::Background).unwrap();
    assert_eq!(content(&writer.reader().unwrap()).unwrap(), live);
    writer.wait_merges().unwrap();
    assert_eq!(content(&writer.reader().unwrap()).unwrap(), live);
}

#[test]
fn numbers_of_changes_go_on() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let mut writer = start(&storage, true, Merges::Manual).unwrap();
    (0..5).for_each(|key| put(&mut writer, key, 1).unwrap());
    writer.delete(3u64).unwrap();
    assert_eq!((writer.sequence(), writer.snapshot().sequence()), (6, 0));
    writer.commit().unwrap();
    writer.delete(4u64).unwrap();
    assert_eq!((writer.sequence(), writer.snapshot().sequence()), (7, 6));
    drop(writer);
    let mut writer = start(&storage, false, Merges::Manual).unwrap();
    assert_eq!(writer.sequence(), 6);
    writer.compact(|_| {}).unwrap();
    assert_eq!((writer.sequence(), writer.snapshot().sequence()), (6, 6));
}

#[test]
fn every_change_says_its_number() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let mut writer = start(&storage, true, Merges::Manual).unwrap();
    let field = writer.schema().i64("version").unwrap();
    let terms = writer.schema().sparse("terms").unwrap();
    let tell = |change: Change| (change.sequence, change.documents);
    let document = |key: u64| {
        let document = Document::new(key).sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
        document.i64(&field, i64::try_from(key).unwrap()).unwrap()
    };
    assert_eq!(tell(writer.add(&document(0)).unwrap()), (1, 1));
    assert_eq!(tell(writer.upsert(&document(0)).unwrap()), (2, 1));
    let rows: Vec<Option<i64>> = (0..9).map(Some).collect();
    let lists = vec![vec![(1u32, 1.0f32)]; 9];
    let form = SparseBatch::pairs(&lists);
    let batch = |keys: std::ops::Range<u64>| {
        Batch::new(keys).sparse(&terms, &form).unwrap().i64(&field, &rows).unwrap()
    };
    assert_eq!(tell(writer.upsert_batch(&batch(0..9)).unwrap()), (11, 9));
    assert_eq!(tell(writer.add_batch(&batch(10..19)).unwrap()), (20, 9));
    assert_eq!(tell(writer.delete(10u64).unwrap()), (21, 1));
    assert_eq!(tell(writer.delete(10u64).unwrap()), (21, 0));
    assert_eq!(tell(writer.delete_batch([11u64, 12, 12, 99]).unwrap()), (23, 2));
    writer.commit().unwrap();
    assert_eq!(writer.snapshot().sequence(), 23);
    let update = |key: u64| Update::new(key).i64(&field, 77).unwrap();
    assert_eq!(tell(writer.update(&update(13)).unwrap()), (24, 1));
    assert_eq!(tell(writer.update(&update(99)).unwrap()), (24, 0));
    assert_eq!(tell(writer.delete_where(&field.eq(77)).unwrap()), (25, 1));
    assert_eq!(tell(writer.delete_where(&field.eq(77)).unwrap()), (25, 0));
    // What is forgotten keeps its numbers to itself.
    writer.rollback().unwrap();
    assert_eq!((writer.sequence(), writer.snapshot().sequence()), (25, 23));
    let same = writer.schema().clone();
    assert_eq!(tell(writer.set_schema(same.clone()).unwrap()), (25, 0));
    let mut more = same.extend();
    more.bool("more");
    assert_eq!(tell(writer.set_schema(more.build().unwrap()).unwrap()), (26, 0));
    writer.commit().unwrap();
    assert_eq!(writer.snapshot().sequence(), 26);
    drop(writer);
    let writer = start(&storage, false, Merges::Manual).unwrap();
    assert_eq!((writer.sequence(), writer.len()), (26, 15));
}

#[test]
fn a_refresh_finds_another_index_of_the_same_number() {
    let storage = MemStorage::new();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let build = |version: i64| {
        storage.list().unwrap().iter().for_each(|name| storage.remove(name).unwrap());
        let mut writer = start(&shared, true, Merges::Manual).unwrap();
        put(&mut writer, 1, version).unwrap();
        writer.commit().unwrap()
    };
    let first = build(1);
    let index = Index::start(Arc::clone(&shared), None).unwrap();
    let held = index.snapshot();
    assert!(!index.refresh().unwrap());
    let before = content(&index).unwrap();
    assert_eq!(build(2), first);
    index.verify().unwrap(); // of what it has
    assert!(index.refresh().unwrap());
    let after = content(&index).unwrap();
    assert_ne!(before, after);
    assert_eq!(after, content(&Index::start(Arc::clone(&shared), None).unwrap()).unwrap());
    assert!(!index.refresh().unwrap());
    assert_eq!((held.commit(), index.snapshot().commit()), (first, first));
    // The same content under the same number is the same.
    build(2);
    assert!(!index.refresh().unwrap());
}
