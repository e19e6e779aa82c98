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
        work.writer.compact().unwrap();
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
            assert_eq!(writer.delete(key).unwrap(), live.remove(&key).is_some());
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
    assert_eq!(writer.delete_batch(all.iter().chain(&all).copied()).unwrap(), all.len() as u64);
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
    writer.compact().unwrap();
    assert_eq!((writer.sequence(), writer.snapshot().sequence()), (6, 6));
}
