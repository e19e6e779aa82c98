//! What a reader looks at to come to the newest commit, and what it makes of files that are gone.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::storage::faulty::{Fault, FaultStorage};
use crate::storage::{Bytes, Lock, MemStorage, StorageFile};

/// A writer with so many commits of one document.
fn committed(storage: &MemStorage, commits: u64) -> IndexWriter {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let mut writer = start(&storage, true, Merges::Manual).unwrap();
    for key in 0..commits {
        put(&mut writer, key, 1).unwrap();
        writer.commit().unwrap();
    }
    writer
}

#[test]
fn a_refresh_opens_what_is_new_and_no_more() {
    let disk = MemStorage::new();
    let mut writer = committed(&disk, 9);
    let counting = FaultStorage::new(disk, u64::MAX, Fault::Device);
    let index = Index::start(Arc::new(counting.clone()), None).unwrap();
    let refresh = || {
        let before = counting.operations();
        (index.refresh().unwrap(), counting.operations() - before)
    };
    // A look at the names, and the manifest.
    assert_eq!(refresh(), (false, 2));
    put(&mut writer, 9, 1).unwrap();
    writer.commit().unwrap();
    // And the one new segment.
    assert_eq!(refresh(), (true, 3));
    assert_eq!(refresh(), (false, 2));
    assert_eq!(index.len(), 10);
}

#[test]
fn a_refresh_reads_no_document_unless_nobody_is_trusted() {
    let disk = MemStorage::new();
    let mut writer = committed(&disk, 1);
    let index = Index::start(Arc::new(disk.clone()), None).unwrap();
    put(&mut writer, 7, 4_444).unwrap();
    writer.commit().unwrap();
    let name = writer.snapshot().manifest().segments[1].file();
    let mut bytes = disk.open(&name).unwrap().as_slice().to_vec();
    let at = bytes.windows(4).position(|window| window == b"4444").unwrap();
    bytes[at] ^= 1;
    disk.put(&name, &bytes);
    assert!(index.refresh().unwrap());
    assert_eq!(index.len(), 2);
    assert!(matches!(index.verify(), Err(Error::Corrupt(_))));
    assert!(matches!(index.verify_checksums(), Err(Error::Corrupt(_))));
}

#[test]
fn tombstones_are_verified_with_the_rest() {
    let disk = MemStorage::new();
    let mut writer = committed(&disk, 2);
    (2..5).for_each(|key| put(&mut writer, key, 1).unwrap());
    writer.commit().unwrap();
    writer.delete(3u64).unwrap();
    writer.commit().unwrap();
    let index = Index::start(Arc::new(disk.clone()), None).unwrap();
    index.verify_checksums().unwrap();
    let dead = disk.list().unwrap().into_iter().find(|name| name.starts_with("del-")).unwrap();
    let bytes = disk.open(&dead).unwrap().as_slice().to_vec();
    let mut changed = bytes.clone();
    changed[64] ^= 1;
    disk.put(&dead, &changed);
    assert!(matches!(index.verify_checksums(), Err(Error::Corrupt(_))));
    disk.put(&dead, &bytes);
    index.verify_checksums().unwrap();
    // Once later commits have taken the files away, the rest is verified all the same.
    for key in 10..13 {
        put(&mut writer, key, 1).unwrap();
        writer.delete(key - 6).unwrap();
        writer.commit().unwrap();
    }
    assert!(disk.open(&dead).is_err());
    index.verify_checksums().unwrap();
    // A newest manifest that is gone is no commit that was taken away.
    let newest = writer.snapshot().manifest().file();
    index.refresh().unwrap();
    disk.remove(&newest).unwrap();
    assert!(index.verify_checksums().is_err());
}

/// A place that is another one as soon as somebody asks for a file that is not there.
#[derive(Debug)]
struct Moving {
    places: Vec<MemStorage>,
    now: AtomicUsize,
}

impl Moving {
    fn new(places: Vec<MemStorage>) -> Arc<Self> {
        Arc::new(Self { places, now: AtomicUsize::new(0) })
    }

    fn now(&self) -> &MemStorage {
        &self.places[self.now.load(Ordering::Relaxed)]
    }
}

impl Storage for Moving {
    fn open(&self, name: &str) -> io::Result<Bytes> {
        let opened = self.now().open(name);
        let now = self.now.load(Ordering::Relaxed);
        if opened.is_err() && now + 1 < self.places.len() {
            self.now.store(now + 1, Ordering::Relaxed);
        }
        opened
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.now().create_new(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.now().rename(from, to)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.now().sync_dir()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.now().list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.now().remove(name)
    }

    fn try_lock(&self) -> io::Result<Option<Lock>> {
        self.now().try_lock()
    }

    fn place(&self) -> String {
        self.now().place()
    }
}

/// A place where nothing is left of an index but its newest manifest.
fn bare(writer: &IndexWriter, disk: &MemStorage) -> MemStorage {
    let name = writer.snapshot().manifest().file();
    let place = MemStorage::new();
    place.put(&name, disk.open(&name).unwrap().as_slice());
    place
}

#[test]
fn a_reader_that_is_left_behind_looks_again() {
    let disk = MemStorage::new();
    let writer = committed(&disk, 3);
    // A later commit took the files away.
    let index = Index::start(Moving::new(vec![bare(&writer, &disk), disk.clone()]), None);
    assert!(matches!(index, Err(Error::Io { .. } | Error::Corrupt(_))), "the same commit");
    let before = bare(&writer, &disk);
    let mut writer = writer;
    put(&mut writer, 3, 1).unwrap();
    writer.commit().unwrap();
    let index = Index::start(Moving::new(vec![before.clone(), disk.clone()]), None).unwrap();
    assert_eq!(index.len(), 4);
    // Another index with a commit of the same number has come.
    let other = MemStorage::new();
    let mut second = committed(&other, 0);
    (0..7).for_each(|key| put(&mut second, key, 2).unwrap());
    second.commit().unwrap();
    put(&mut second, 7, 2).unwrap();
    second.commit().unwrap();
    put(&mut second, 8, 2).unwrap();
    assert_eq!(second.commit().unwrap(), 4);
    let index = Index::start(Moving::new(vec![before, other]), None).unwrap();
    assert_eq!(index.len(), 9);
}

#[test]
fn a_reader_that_is_always_left_behind_gives_up() {
    let disk = MemStorage::new();
    let mut writer = committed(&disk, 1);
    let mut places = Vec::new();
    for version in 0..30 {
        put(&mut writer, 0, version).unwrap();
        writer.commit().unwrap();
        places.push(bare(&writer, &disk));
    }
    let moving = Moving::new(places);
    assert!(Index::start(Arc::<Moving>::clone(&moving), None).is_err());
    assert_eq!(moving.now.load(Ordering::Relaxed), 10);
}
