//! Every operation of a workload fails in every way.

use super::*;
use crate::storage::MemStorage;
use crate::storage::faulty::{Fault, FaultStorage};

/// Works until something fails; what was acknowledged, what may be found, and the error.
fn run(
    storage: FaultStorage,
    disk: &MemStorage,
    merges: Merges,
    rounds: u64,
) -> (u64, BTreeMap<u64, Content>, Option<Error>) {
    let storage: Arc<dyn Storage> = Arc::new(storage);
    let first = BTreeMap::from([(1, Content::new())]);
    let mut work = match Work::new(&storage, merges) {
        Ok(work) => work,
        Err(error) => return (0, first, Some(error)),
    };
    let mut acknowledged = 1;
    for round in 0..rounds {
        match work.round(round) {
            Ok(generation) => acknowledged = generation,
            Err(error) => {
                // Nothing more is written by a writer that does not know what is on the disk.
                if let Err(again) = work.writer.commit() {
                    assert!(matches!(again, Error::Poisoned { .. } | Error::Io { .. }), "{again}");
                } else {
                    // A round that was cut short between two changes, by a rollback that could not
                    // read: what it had done by then is committed, and is what it is.
                    acknowledged = work.writer.snapshot().commit();
                    let index = Index::start(Arc::new(disk.clone()), None).unwrap();
                    work.tried.insert(acknowledged, content(&index).unwrap());
                }
                return (acknowledged, work.tried, Some(error));
            }
        }
    }
    (acknowledged, work.tried, None)
}

#[test]
fn every_operation_of_a_workload_may_fail_in_every_way() {
    let (failed, swallowed) = fail_each(Merges::AtCommit, 11, 1);
    assert!(failed > 2 * swallowed, "{failed} {swallowed}");
}

/// Which operation is the k-th depends on who was faster.
#[test]
fn every_operation_beside_a_merge_may_fail_in_every_way() {
    let (failed, swallowed) = fail_each(Merges::Background, 11, 3);
    assert!(failed > 300, "{failed} {swallowed}");
}

/// Each `step`-th operation of a workload that spills in the background fails in each way: how often
/// the workload got an error, and how often none.
fn fail_each(merges: Merges, rounds: u64, step: usize) -> (u32, u32) {
    let count = FaultStorage::new(MemStorage::new(), u64::MAX, Fault::Device);
    assert!(run(count.clone(), &MemStorage::new(), merges, rounds).2.is_none());
    let operations = count.operations();
    assert!(operations > 700, "{operations}");
    let (mut failed, mut swallowed) = (0, 0);
    for at in (0..operations).step_by(step) {
        for fault in Fault::ALL {
            let disk = MemStorage::new();
            let storage = FaultStorage::new(disk.clone(), at, fault);
            let (acknowledged, tried, error) = run(storage, &disk, merges, rounds);
            let place = format!("operation {at}, {fault:?}");
            match &error {
                Some(Error::Io { .. } | Error::Poisoned { .. }) => {
                    assert_ne!(fault, Fault::Interrupted, "{place}: {error:?}");
                    failed += 1;
                }
                Some(error) => panic!("{place}: {error}"),
                None => swallowed += 1,
            }
            let there = found(Arc::new(disk.clone()), &tried);
            assert!(there.unwrap_or(0) >= acknowledged, "{place}: {there:?} of {acknowledged}");
            // The next writer goes on, and nothing temporary is left.
            let disk_storage: Arc<dyn Storage> = Arc::new(disk.clone());
            let mut writer = start(&disk_storage, there.is_none(), Merges::AtCommit).unwrap();
            put(&mut writer, 1000, 1).unwrap();
            writer.commit().unwrap();
            let expected = expected_files(&disk, &writer);
            assert_eq!(disk.list().unwrap(), expected, "{place}");
        }
    }
    (failed, swallowed)
}
