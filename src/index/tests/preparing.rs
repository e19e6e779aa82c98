//! A commit that was prepared: what is left for the commit to do, and what comes in between.

use super::*;
use crate::storage::MemStorage;
use crate::storage::sim::{CrashPoint, SimStorage};

/// A writer with two commits of five documents each, keys 0 to 9, and what the second holds.
fn two_commits(storage: &dyn Fn() -> Arc<dyn Storage>) -> (IndexWriter, Content) {
    let mut writer = start(&storage(), true, Merges::Manual).unwrap();
    writer.options.least = 1 << 20;
    for half in 0..2 {
        (5 * half..5 * half + 5).for_each(|key| put(&mut writer, key, 1).unwrap());
        writer.commit().unwrap();
    }
    (writer, (0..10).map(|key| (key, 1)).collect())
}

fn in_memory(storage: &MemStorage) -> impl Fn() -> Arc<dyn Storage> + use<> {
    let storage = storage.clone();
    move || Arc::new(storage.clone())
}

fn committed(writer: &IndexWriter) -> Content {
    content(&writer.reader().unwrap()).unwrap()
}

fn new_files(storage: &MemStorage, before: &[String]) -> Vec<String> {
    storage.list().unwrap().into_iter().filter(|name| !before.contains(name)).collect()
}

#[test]
fn the_commit_after_it_only_publishes() {
    let storage = MemStorage::new();
    let (mut writer, mut live) = two_commits(&in_memory(&storage));
    let before = storage.list().unwrap();
    put(&mut writer, 10, 1).unwrap();
    writer.delete(3u64).unwrap();
    assert_eq!(new_files(&storage, &before), [""; 0]);
    writer.prepare_commit().unwrap();
    let prepared = new_files(&storage, &before);
    assert!(matches!(&prepared[..], [name] if name.starts_with("seg-")), "{prepared:?}");
    // Not seen yet, by this process or another.
    assert_eq!((writer.snapshot().len(), writer.len()), (10, 10));
    assert_eq!(committed(&writer), live);
    // A second time there is nothing to do.
    writer.prepare_commit().unwrap();
    assert_eq!(new_files(&storage, &before), prepared);
    let commit = writer.snapshot().commit();
    assert_eq!(writer.commit().unwrap(), commit + 1);
    let written = new_files(&storage, &before);
    let segments: Vec<_> = written.iter().filter(|name| name.starts_with("seg-")).collect();
    assert_eq!(segments, prepared.iter().collect::<Vec<_>>(), "no other segment");
    live.remove(&3);
    live.insert(10, 1);
    assert_eq!(committed(&writer), live);
    // Where nothing has changed, nothing is prepared, and no commit comes of it.
    let before = storage.list().unwrap();
    writer.prepare_commit().unwrap();
    assert_eq!((writer.commit().unwrap(), storage.list().unwrap()), (commit + 1, before));
}

#[test]
fn what_comes_after_it_is_committed_with_it() {
    let storage = MemStorage::new();
    let (mut writer, mut live) = two_commits(&in_memory(&storage));
    for key in 10..14 {
        put(&mut writer, key, 1).unwrap();
        live.insert(key, 1);
    }
    writer.prepare_commit().unwrap();
    let sequence = writer.sequence();
    // One that was prepared is deleted, one is replaced, one that was committed is deleted.
    for key in [11u64, 2] {
        assert_eq!(writer.delete(key).unwrap().documents, 1);
        live.remove(&key);
    }
    for (key, version) in [(12, 2), (20, 1)] {
        put(&mut writer, key, version).unwrap();
        live.insert(key, version);
    }
    assert_eq!((writer.len(), writer.sequence()), (live.len() as u64, sequence + 4));
    let commit = writer.snapshot().commit();
    assert_eq!(writer.commit().unwrap(), commit + 1, "one commit of all");
    assert_eq!(committed(&writer), live);
    assert_eq!(storage.list().unwrap(), expected_files(&storage, &writer));
}

#[test]
fn a_rollback_after_it_forgets_it() {
    let storage = MemStorage::new();
    let (mut writer, mut live) = two_commits(&in_memory(&storage));
    let before = storage.list().unwrap();
    put(&mut writer, 10, 1).unwrap();
    writer.delete(3u64).unwrap();
    writer.prepare_commit().unwrap();
    put(&mut writer, 11, 1).unwrap();
    writer.rollback().unwrap();
    assert_eq!((storage.list().unwrap(), writer.len()), (before.clone(), 10));
    assert_eq!(writer.commit().unwrap(), writer.snapshot().commit());
    assert_eq!(committed(&writer), live);
    // And what comes then is as if nothing had been.
    put(&mut writer, 10, 7).unwrap();
    live.insert(10, 7);
    writer.prepare_commit().unwrap();
    writer.commit().unwrap();
    assert_eq!(committed(&writer), live);
    // A writer that ends before it commits leaves files that the next one removes.
    let before = storage.list().unwrap();
    put(&mut writer, 12, 1).unwrap();
    writer.prepare_commit().unwrap();
    drop(writer);
    assert_eq!(new_files(&storage, &before).len(), 1);
    let writer = start(&in_memory(&storage)(), false, Merges::Manual).unwrap();
    assert_eq!((storage.list().unwrap(), committed(&writer)), (before, live));
}

/// Small segments are merged by it, so that the commit need not.
#[test]
fn merges_are_done_by_it() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    let mut writer = start(&storage, true, Merges::AtCommit).unwrap();
    for key in 0..40 {
        put(&mut writer, key, 1).unwrap();
        writer.prepare_commit().unwrap();
        let prepared = writer.segments();
        writer.commit().unwrap();
        assert_eq!(writer.segments(), prepared, "after {key}");
    }
    assert!(writer.segments() < 10);
    assert_eq!(committed(&writer), (0..40).map(|key| (key, 1)).collect());
}

/// Whatever is left of it after a crash, the index is at the commit before until the next is
/// acknowledged, and at one of the two in between.
#[test]
fn a_crash_after_it_finds_the_commit_before() {
    let sim = SimStorage::new();
    let (mut writer, before) = two_commits(&|| Arc::new(sim.clone()));
    sim.acknowledge(writer.snapshot().commit());
    let begun = sim.log().len();
    put(&mut writer, 10, 1).unwrap();
    writer.delete(3u64).unwrap();
    writer.prepare_commit().unwrap();
    let prepared = sim.log().len();
    assert!(prepared > begun, "something is written");
    let mut after = before.clone();
    after.remove(&3);
    after.insert(10, 1);
    let commit = writer.commit().unwrap();
    sim.acknowledge(commit);
    let tried = BTreeMap::from([(commit - 1, before), (commit, after)]);
    let (mut point, log) = (CrashPoint::default(), sim.log());
    let (mut images, mut seen) = (0, [0; 2]);
    for step in 0..=log.len() {
        let pending = point.pending();
        let none_and_all = [vec![false; pending], vec![true; pending]];
        let lost = (0..pending).map(|one| (0..pending).map(|at| at != one).collect());
        let alone = (0..pending).map(|one| (0..pending).map(|at| at == one).collect());
        for kept in none_and_all.into_iter().chain(lost).chain(alone).filter(|_| step >= begun) {
            let image = point.image(|at: usize| kept[at], usize::MAX);
            let there = found(Arc::new(image.clone()), &tried).unwrap();
            assert!(there >= point.acknowledged(), "step {step}: {there}");
            assert!(step > prepared || there < commit, "step {step}: published by a preparation");
            seen[usize::from(there == commit)] += 1;
            images += 1;
            // A writer goes on from there, and clears what was prepared.
            let storage: Arc<dyn Storage> = Arc::new(image.clone());
            let mut writer = start(&storage, false, Merges::Manual).unwrap();
            assert_eq!(committed(&writer), tried[&there]);
            put(&mut writer, 30, 1).unwrap();
            writer.prepare_commit().unwrap();
            writer.commit().unwrap();
            assert_eq!(image.list().unwrap(), expected_files(&image, &writer));
        }
        if let Some(op) = log.get(step) {
            point.apply(op);
        }
    }
    assert!(images > 100 && seen.iter().all(|&seen| seen > 10), "{images} images, {seen:?}");
}
