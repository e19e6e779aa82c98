//! What a crash at any moment may leave is opened, and nothing acknowledged is gone.

use super::*;
use crate::mix::Numbers;
use crate::storage::sim::{CrashPoint, Lie, SimStorage};

/// The subsets of `pending` effects that are tried: all of them where there are at most eight,
/// else none, all, each one lost, each one alone, every prefix, and some at random.
fn subsets(pending: usize, bits: &mut Numbers) -> Vec<u64> {
    assert!(pending < 64, "{pending} effects hang in the air");
    if pending <= 8 {
        return (0..1 << pending).collect();
    }
    let all = (1u64 << pending) - 1;
    let mut subsets = vec![0, all];
    for i in 0..pending {
        subsets.extend([all & !(1 << i), 1 << i, (1 << i) - 1]);
    }
    subsets.extend((0..100).map(|_| bits.next() & all));
    subsets.extend((0..100).map(|_| (bits.next() | bits.next()) & all));
    subsets
}

#[derive(Debug, Default)]
struct Replay {
    prefixes: usize,
    images: usize,
    recoveries: usize,
}

/// What is wrong with an image, if anything is.
fn judge(
    image: &MemStorage,
    point: &CrashPoint,
    tried: &BTreeMap<u64, Manifest>,
) -> Result<(), String> {
    let manifest = match newest(image) {
        Ok(manifest) => manifest,
        Err(Error::NotAnIndex { .. }) if point.acknowledged() == 0 => return Ok(()),
        Err(error) => return Err(format!("does not open: {error}")),
    };
    if manifest.generation < point.acknowledged() {
        let (found, acknowledged) = (manifest.generation, point.acknowledged());
        return Err(format!("generation {found} of {acknowledged} acknowledged"));
    }
    if tried.get(&manifest.generation) != Some(&manifest) {
        return Err(format!("generation {} was never that", manifest.generation));
    }
    check(image, &manifest).map_err(|error| error.to_string())
}

/// Commits in the simulation, then crashes at every moment in every way.
fn replay(storage: &SimStorage, commits: usize) -> Result<Replay, String> {
    let mut writer = Writer::open(storage).unwrap();
    storage.acknowledge(1);
    for _ in 0..commits {
        let generation = writer.commit().unwrap();
        storage.acknowledge(generation);
    }
    let mut done = Replay::default();
    let mut bits = Numbers(7);
    let mut point = CrashPoint::default();
    let log = storage.log();
    for step in 0..=log.len() {
        let subsets = subsets(point.pending(), &mut bits);
        let whole = subsets.iter().map(|subset| (*subset, usize::MAX));
        let torn = (0..point.last_write()).step_by(512).map(|tear| (u64::MAX, tear));
        for (subset, tear) in whole.chain(torn) {
            let image = point.image(|i| subset >> i & 1 == 1, tear);
            let place = || format!("step {step}, effects {subset:b}, torn at {tear}");
            judge(&image, &point, &writer.tried).map_err(|what| format!("{}: {what}", place()))?;
            done.images += 1;
            // A writer finds its way on from here: a sample, since it costs two commits each.
            if done.images % 7 == 0 {
                recover(&image).map_err(|what| format!("{}: {what}", place()))?;
                done.recoveries += 1;
            }
        }
        done.prefixes += 1;
        if let Some(op) = log.get(step) {
            point.apply(op);
        }
    }
    Ok(done)
}

/// Opens a writer on what a crash left, and commits twice.
fn recover(image: &MemStorage) -> Result<(), String> {
    let go = || -> crate::Result<()> {
        let mut writer = Writer::open(image)?;
        writer.commit()?;
        writer.commit()?;
        check(image, &newest(image)?)?;
        assert_eq!(image.list().unwrap(), writer.expected(), "leftovers of the crash are gone");
        Ok(())
    };
    go().map_err(|error| format!("no way on: {error}"))
}

#[test]
fn no_crash_loses_what_was_acknowledged() {
    let done = replay(&SimStorage::new(), 32).unwrap();
    assert!(done.images >= 100_000, "{done:?}");
    assert!(done.recoveries >= 10_000, "{done:?}");
}

/// The replay would notice: a disk that ignores one of the two syncs loses commits.
#[test]
fn the_replay_finds_syncs_that_lie() {
    for lie in [Lie::FileSync, Lie::DirSync] {
        let found = replay(&SimStorage::lying(lie), 2);
        assert!(found.is_err(), "{lie:?} was not noticed: {found:?}");
    }
}
