//! Segments that are written while the writer goes on: a storage that holds them up for as long as
//! a test wants, so that what happens meanwhile is sure to happen meanwhile.

use std::io;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::*;
use crate::storage::{Bytes, Lock, MemStorage, StorageFile};

#[derive(Debug, PartialEq)]
enum Gate {
    Open,
    Shut,
    /// Whoever comes fails.
    Broken,
}

/// A directory in memory in which new files wait at a gate.
#[derive(Clone, Debug)]
struct Gated {
    inner: MemStorage,
    gate: Arc<(Mutex<Gate>, Condvar)>,
}

impl Gated {
    fn new() -> Self {
        Self { inner: MemStorage::new(), gate: Arc::new((Mutex::new(Gate::Open), Condvar::new())) }
    }

    fn set(&self, gate: Gate) {
        *self.gate.0.lock().unwrap() = gate;
        self.gate.1.notify_all();
    }

    /// Sets the gate a little later, while somebody waits for it.
    fn set_later(&self, gate: Gate) -> std::thread::JoinHandle<()> {
        let storage = self.clone();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            storage.set(gate);
        })
    }
}

impl Storage for Gated {
    fn open(&self, name: &str) -> io::Result<Bytes> {
        self.inner.open(name)
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let gate = self.gate.0.lock().unwrap();
        let gate = self.gate.1.wait_while(gate, |gate| *gate == Gate::Shut).unwrap();
        match *gate {
            Gate::Broken => Err(io::ErrorKind::StorageFull.into()),
            _ => self.inner.create_new(name),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.inner.sync_dir()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn try_lock(&self) -> io::Result<Option<Lock>> {
        self.inner.try_lock()
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

/// A writer with a commit of two documents, 900 and 901, and an arena of documents from 0 on that
/// is being written and held up at the gate. Also how many documents that are.
fn held_up() -> (Gated, Arc<dyn Storage>, IndexWriter, u64) {
    let gated = Gated::new();
    let storage: Arc<dyn Storage> = Arc::new(gated.clone());
    let mut writer = start(&storage, true, Merges::Manual).unwrap();
    (900..902).for_each(|key| put(&mut writer, key, 1).unwrap());
    writer.commit().unwrap();
    gated.set(Gate::Shut);
    writer.options.least = 1200;
    let mut count = 0;
    while writer.building.is_none() {
        put(&mut writer, count, 1).unwrap();
        count += 1;
    }
    assert!(count > 4 && writer.pending.is_empty(), "{count}");
    writer.options.least = 1 << 20; // the next arena is not full so soon
    (gated, storage, writer, count)
}

fn update(writer: &mut IndexWriter, key: u64, version: i64) -> Change {
    let field = writer.schema().i64("version").unwrap();
    let update = Update::new(key).i64(&field, version).unwrap();
    writer.update(&update.payload(version.to_string().into_bytes())).unwrap()
}

#[test]
fn what_happens_to_a_document_that_is_being_written_is_done_to_it() {
    let (gated, _, mut writer, count) = held_up();
    assert_eq!(writer.len(), count + 2);
    assert!(writer.contains(0u64).unwrap() && !writer.contains(count).unwrap());
    let field = writer.schema().sparse("terms").unwrap();
    let again = Document::new(1u64).sparse(&field, &[(1u32, 1.0f32)]).unwrap();
    assert!(matches!(writer.add(&again), Err(Error::DuplicateKey { .. })));
    assert_eq!([0u64; 2].map(|key| writer.delete(key).unwrap().documents), [1, 0]);
    put(&mut writer, 1, 2).unwrap();
    assert_eq!(writer.delete_batch([1u64, 2, 2, 777]).unwrap().documents, 2);
    put(&mut writer, 2, 3).unwrap(); // after it was deleted
    put(&mut writer, 900, 4).unwrap();
    assert_eq!(writer.len(), count);
    assert!(writer.building.is_some(), "all of that waited for nothing");
    let opening = gated.set_later(Gate::Open);
    // What is stored is wanted: it is waited for.
    assert_eq!(update(&mut writer, 3, 5).documents, 1);
    assert!(writer.building.is_none());
    assert_eq!(update(&mut writer, 0, 6).documents, 0);
    opening.join().unwrap();
    writer.commit().unwrap();
    let mut expected: Content = (4..count).map(|key| (key, 1)).collect();
    expected.extend([(2, 3), (3, 5), (900, 4), (901, 1)]);
    assert_eq!(content(&writer.reader().unwrap()).unwrap(), expected);
}

#[test]
fn a_second_arena_waits_for_the_first() {
    let (gated, _, mut writer, count) = held_up();
    writer.options.least = 600;
    let opening = gated.set_later(Gate::Open);
    for key in count..8 * count {
        put(&mut writer, key, 1).unwrap();
        assert!(writer.arena.bytes() < 300);
    }
    opening.join().unwrap();
    let field = writer.schema().i64("version").unwrap();
    assert_eq!(writer.delete_where(&field.range(..2)).unwrap().documents, 8 * count + 2);
    writer.commit().unwrap();
    assert!(writer.reader().unwrap().is_empty());
}

#[test]
fn a_build_that_fails_is_told_by_the_next_call() {
    type Call = fn(&mut IndexWriter) -> Result<()>;
    let calls: [Call; 6] = [
        |writer| put(writer, 777, 1),
        |writer| writer.delete(901u64).map(drop),
        |writer| writer.commit().map(drop),
        |writer| writer.rollback(),
        |writer| writer.compact(|_| {}).map(drop),
        |writer| {
            let mut more = writer.schema().extend();
            more.i64("more");
            writer.set_schema(more.build().unwrap()).map(drop)
        },
    ];
    for call in calls {
        let (gated, storage, mut writer, _) = held_up();
        gated.set(Gate::Broken);
        // Until the thread has ended; what waits for it need not.
        while !writer.building.as_ref().unwrap().ready() {
            std::thread::yield_now();
        }
        let result = call(&mut writer);
        assert!(matches!(result, Err(Error::Io { .. })), "{result:?}");
        for call in calls {
            assert!(matches!(call(&mut writer), Err(Error::Poisoned { .. })));
        }
        gated.set(Gate::Open);
        drop(writer);
        let writer = start(&storage, false, Merges::Manual).unwrap();
        let expected = Content::from([(900, 1), (901, 1)]);
        assert_eq!(content(&writer.reader().unwrap()).unwrap(), expected);
        assert_eq!(gated.inner.list().unwrap(), expected_files(&gated.inner, &writer));
    }
}

#[test]
fn a_rollback_waits_for_what_is_written_and_forgets_it() {
    let (gated, _, mut writer, _) = held_up();
    put(&mut writer, 901, 7).unwrap();
    let opening = gated.set_later(Gate::Open);
    let before = writer.sequence();
    writer.rollback().unwrap();
    opening.join().unwrap();
    let committed = writer.snapshot().sequence();
    assert_eq!((writer.len(), writer.sequence(), committed), (2, before, 2));
    assert_eq!(gated.inner.list().unwrap(), expected_files(&gated.inner, &writer));
    put(&mut writer, 0, 9).unwrap();
    writer.commit().unwrap();
    let expected = Content::from([(0, 9), (900, 1), (901, 1)]);
    assert_eq!(content(&writer.reader().unwrap()).unwrap(), expected);
}

#[test]
fn the_lock_is_held_until_nothing_is_written_any_more() {
    let (gated, storage, writer, _) = held_up();
    let dropping = std::thread::spawn(move || drop(writer));
    std::thread::sleep(Duration::from_millis(20));
    assert!(matches!(start(&storage, false, Merges::Manual), Err(Error::Locked { .. })));
    gated.set(Gate::Open);
    dropping.join().unwrap();
    let writer = start(&storage, false, Merges::Manual).unwrap();
    assert_eq!(writer.len(), 2);
    assert_eq!(gated.inner.list().unwrap(), expected_files(&gated.inner, &writer));
}

/// Every way of being slow gives the same files.
#[test]
fn who_is_faster_does_not_show() {
    let files = |slow: bool, threads: usize| {
        let gated = Gated::new();
        let storage: Arc<dyn Storage> = Arc::new(gated.clone());
        let mut work = Work::new(&storage, Merges::Manual).unwrap();
        work.writer.options.threads = threads;
        for round in 0..18 {
            let opening = slow.then(|| {
                gated.set(Gate::Shut);
                gated.set_later(Gate::Open)
            });
            work.round(round).unwrap();
            if let Some(opening) = opening {
                opening.join().unwrap();
            }
        }
        let list = gated.inner.list().unwrap();
        list.iter()
            .map(|name| gated.inner.open(name).unwrap().as_slice().to_vec())
            .collect::<Vec<_>>()
    };
    let fast = files(false, 1);
    assert!(fast.len() > 3);
    assert!(files(true, 1) == fast && files(true, 2) == fast);
}

/// Damage in what is to be merged, by the writer alone: it is told, commits go on, and when the
/// damage is gone so is the trouble.
#[test]
fn a_merge_that_fails_is_not_kept_secret() {
    for at_once in [0, u64::MAX] {
        let disk = MemStorage::new();
        let storage: Arc<dyn Storage> = Arc::new(disk.clone());
        let mut writer = start(&storage, true, Merges::Background).unwrap();
        writer.options.at_once = at_once;
        put(&mut writer, 0, 1).unwrap();
        writer.commit().unwrap();
        let name = writer.snapshot().info().segments[0].file.clone();
        let good = disk.open(&name).unwrap().as_slice().to_vec();
        drop(writer);
        // Somewhere where an open does not look.
        let unseen = (64..good.len()).find(|&at| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            disk.put(&name, &bad);
            let opened = Index::start(Arc::clone(&storage), None);
            opened.is_ok_and(|index| matches!(index.verify(), Err(Error::Corrupt(_))))
        });
        assert!(unseen.is_some());
        let mut writer = start(&storage, false, Merges::Background).unwrap();
        writer.options.at_once = at_once;
        assert!(writer.last_merge_error().is_none() && writer.info().merge_error.is_none());
        let mut known = 0;
        for key in 1..40 {
            put(&mut writer, key, 1).unwrap();
            writer.commit().unwrap();
            while writer.merge_goes_on() {
                std::thread::sleep(Duration::from_micros(100));
            }
            if let Some(error) = writer.last_merge_error() {
                assert!(matches!(error, Error::Corrupt(_)), "{error}");
                assert_eq!(writer.info().merge_error, Some(error.to_string()));
                known += 1;
            }
        }
        assert!(known > 5, "{known}");
        assert_eq!(writer.len(), 40);
        // Asked for, it is an error; and what is committed stays.
        assert!(matches!(writer.wait_merges(), Err(Error::Corrupt(_))));
        assert_eq!(Index::start(Arc::clone(&storage), None).unwrap().len(), 40);
        drop(writer);
        disk.put(&name, &good);
        let mut writer = start(&storage, false, Merges::Background).unwrap();
        writer.wait_merges().unwrap();
        assert!(writer.last_merge_error().is_none());
        let expected: Content = (0..40).map(|key| (key, 1)).collect();
        assert_eq!(content(&writer.reader().unwrap()).unwrap(), expected);
        assert!(writer.info().segments.len() < 8);
    }
}

/// The watcher is called while a merge goes on, however long that takes.
#[test]
fn a_merge_that_takes_long_is_told_of_meanwhile() {
    let storage = Gated::new();
    let shared: Arc<dyn Storage> = Arc::new(storage.clone());
    let mut writer = start(&shared, true, Merges::Manual).unwrap();
    for key in 0..2 {
        put(&mut writer, key, 1).unwrap();
        writer.commit().unwrap();
    }
    storage.set(Gate::Shut);
    let mut calls = Vec::new();
    writer
        .force_merge(1, |progress| {
            calls.push((progress.segments, progress.segments_done));
            if calls.len() == 3 {
                storage.set(Gate::Open);
            }
        })
        .unwrap();
    assert!(calls.len() >= 4, "{calls:?}");
    let (last, before) = calls.split_last().unwrap();
    assert!(*last == (1, 1) && before.iter().all(|call| *call == (1, 0)), "{calls:?}");
}
