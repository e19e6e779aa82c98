//! Whole workloads, crashed at every moment.

use super::*;
use crate::mix::Numbers;
use crate::storage::sim::{CrashPoint, SimStorage};

/// Which of the effects in the air are kept: none, all, and by turns one lost, one alone, a
/// prefix, and some at random.
fn subsets(pending: usize, step: usize, bits: &mut Numbers) -> Vec<Vec<bool>> {
    let mut subsets = vec![vec![false; pending], vec![true; pending]];
    if pending == 0 {
        subsets.truncate(1);
        return subsets;
    }
    let one = step % pending;
    subsets.push((0..pending).map(|at| at != one).collect());
    subsets.push((0..pending).map(|at| at == one).collect());
    subsets.push((0..pending).map(|at| at < one).collect());
    // The newest effects are those about which a commit decides: the last few in every way.
    for way in 0..8u64 {
        let last = |at: usize| pending - at <= 3;
        subsets
            .push((0..pending).map(|at| !last(at) || way >> (pending - at - 1) & 1 == 1).collect());
    }
    for _ in 0..3 {
        subsets.push((0..pending).map(|_| !bits.next().is_multiple_of(4)).collect());
    }
    subsets
}

#[test]
fn no_crash_of_a_workload_loses_what_was_acknowledged() {
    let (images, recovered) = replay(Merges::AtCommit, 32);
    assert!(images >= 20_000 && recovered >= 1_500, "{images} images, {recovered} recovered");
}

/// Merges beside the workload write when they please: each run is another order of operations.
#[test]
fn no_crash_beside_a_merge_loses_what_was_acknowledged() {
    let (images, recovered) = replay(Merges::Background, 24);
    assert!(images >= 15_000 && recovered >= 1_000, "{images} images, {recovered} recovered");
}

/// A workload in the simulation, which spills in the background, then a crash at every moment; how
/// many images were looked at, and after how many of them a writer went on.
fn replay(merges: Merges, rounds: u64) -> (u32, u32) {
    let sim = SimStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(sim.clone());
    let mut work = Work::new(&storage, merges).unwrap();
    sim.acknowledge(1);
    let mut built = 0;
    for round in 0..rounds {
        let generation = work.round(round).unwrap();
        built += work.built;
        assert_eq!(content(&Index::start(Arc::clone(&storage), None).unwrap()).unwrap(), work.live);
        sim.acknowledge(generation);
    }
    assert!(built >= rounds / 2, "{built} segments were written in the background");
    let mut bits = Numbers(7);
    let mut point = CrashPoint::default();
    let (mut images, mut recovered) = (0u32, 0u32);
    let log = sim.log();
    for step in 0..=log.len() {
        let subsets = subsets(point.pending(), step, &mut bits);
        let torn = [(vec![true; point.pending()], bits.next() as usize % (point.last_write() + 1))];
        let whole = subsets.into_iter().map(|subset| (subset, usize::MAX));
        for (subset, tear) in whole.chain(torn) {
            let image = point.image(|at| subset[at], tear);
            let there = found(Arc::new(image.clone()), &work.tried);
            assert!(there.unwrap_or(0) >= point.acknowledged(), "step {step}: {there:?}");
            images += 1;
            if images % 11 == 0 {
                recover(&image, there, &work.tried);
                recovered += 1;
            }
        }
        if let Some(op) = log.get(step) {
            point.apply(op);
        }
    }
    (images, recovered)
}

/// A new writer goes on from what a crash left, and removes what nothing names.
fn recover(image: &crate::storage::MemStorage, there: Option<u64>, tried: &BTreeMap<u64, Content>) {
    let storage: Arc<dyn Storage> = Arc::new(image.clone());
    let mut writer = start(&storage, there.is_none(), Merges::AtCommit).unwrap();
    let mut live = there.map_or_else(Content::new, |there| tried[&there].clone());
    for version in 1..=2 {
        put(&mut writer, 1000 + version as u64, version).unwrap();
        live.insert(1000 + version as u64, version);
        writer.commit().unwrap();
    }
    assert_eq!(content(&writer.reader().unwrap()).unwrap(), live);
    let expected = expected_files(image, &writer);
    assert_eq!(image.list().unwrap(), expected);
}
