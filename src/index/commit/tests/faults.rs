//! Every operation of a commit fails in every way; what was committed is still there.

use super::*;
use crate::storage::faulty::{Fault, FaultStorage};

/// Opens or makes an index and commits some times; stops at the first error, as a poisoned
/// writer does. Returns the newest generation that was acknowledged, and the error.
fn run(storage: &dyn Storage, commits: usize) -> (u64, Option<Error>) {
    let mut writer = match Writer::open(storage) {
        Ok(writer) => writer,
        Err(error) => return (0, Some(error)),
    };
    let mut acknowledged = writer.committed.last().unwrap().generation;
    for _ in 0..commits {
        match writer.commit() {
            Ok(generation) => acknowledged = generation,
            Err(error) => return (acknowledged, Some(error)),
        }
    }
    (acknowledged, None)
}

#[test]
fn every_operation_may_fail_in_every_way() {
    const COMMITS: usize = 9;
    let count = FaultStorage::new(MemStorage::new(), u64::MAX, Fault::Device);
    assert!(run(&count, COMMITS).1.is_none());
    let operations = count.operations();
    assert!(operations > 200, "{operations}");

    let (mut failures, mut swallowed) = (0, 0);
    for (at, fault) in (0..operations).flat_map(|at| Fault::ALL.map(|fault| (at, fault))) {
        let disk = MemStorage::new();
        let (acknowledged, error) = run(&FaultStorage::new(disk.clone(), at, fault), COMMITS);
        let place = format!("operation {at}, {fault:?}");
        match (&error, fault) {
            (Some(Error::Io { .. }), fault) => {
                assert_ne!(fault, Fault::Interrupted, "{place}: {error:?}");
                failures += 1;
            }
            (Some(error), _) => panic!("{place}: {error}"),
            // A signal is nobody's business; a file that could not be removed goes next time.
            (None, _) => swallowed += 1,
        }
        // What is on the disk opens: the newest acknowledged, or the one in flight.
        match newest(&disk) {
            Ok(manifest) => {
                let ahead = manifest.generation - acknowledged;
                assert!(ahead <= 1, "{place}: {ahead} ahead");
                check(&disk, &manifest).unwrap_or_else(|error| panic!("{place}: {error}"));
            }
            Err(Error::NotAnIndex { .. }) => assert_eq!(acknowledged, 0, "{place}"),
            Err(error) => panic!("{place}: {error}"),
        }
        // And a new writer goes on from it, and cleans up.
        let mut writer = Writer::open(&disk).unwrap();
        let before = writer.committed.last().unwrap().generation;
        assert_eq!(writer.commit().unwrap(), before + 1, "{place}");
        writer.commit().unwrap();
        check(&disk, &newest(&disk).unwrap()).unwrap();
        assert_eq!(disk.list().unwrap(), writer.expected(), "{place}: leftovers");
    }
    println!("{operations} operations, {failures} failures, {swallowed} swallowed");
    // One fault in five is a signal; most of the others stop the commit.
    assert!(failures > 2 * swallowed, "{failures} {swallowed}");
}

#[test]
fn a_failed_commit_leaves_no_temporary_manifest_behind() {
    let count = FaultStorage::new(MemStorage::new(), u64::MAX, Fault::Full);
    run(&count, 1);
    for at in 0..count.operations() {
        for fault in [Fault::Full, Fault::Short, Fault::Device] {
            let disk = MemStorage::new();
            run(&FaultStorage::new(disk.clone(), at, fault), 1);
            let left = disk.list().unwrap();
            assert!(!left.iter().any(|name| name.ends_with(".tmp")), "{at} {fault:?}: {left:?}");
        }
    }
}
