//! A directory in which the k-th operation goes wrong.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Bytes, Cache, Lock, MemStorage, ReadAt, ReadFile, Storage, StorageFile, retry};

/// How it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device fails once.
    Device,
    /// The disk is full, once.
    Full,
    /// Half of a write is done, then the disk is full; other operations just fail.
    Short,
    /// A signal comes between; the layer below retries, as the file system's does.
    Interrupted,
    /// The device fails and stays so.
    Dead,
}

impl Fault {
    pub(crate) const ALL: [Self; 5] =
        [Self::Device, Self::Full, Self::Short, Self::Interrupted, Self::Dead];

    fn error(self) -> io::Error {
        match self {
            Self::Device | Self::Dead => io::Error::other("input/output error"),
            Self::Full | Self::Short => io::ErrorKind::StorageFull.into(),
            Self::Interrupted => io::ErrorKind::Interrupted.into(),
        }
    }
}

#[derive(Debug)]
struct Plan {
    done: u64,
    at: u64,
    fault: Fault,
}

/// The failing directory, over one in memory.
#[derive(Clone, Debug)]
pub(crate) struct FaultStorage {
    inner: MemStorage,
    plan: Arc<Mutex<Plan>>,
    /// Whether containers are read by position.
    by_position: bool,
    /// What is held of them.
    cache: Arc<Cache>,
}

impl FaultStorage {
    /// Operation number `at`, counted from 0, goes wrong.
    pub(crate) fn new(inner: MemStorage, at: u64, fault: Fault) -> Self {
        let plan = Arc::new(Mutex::new(Plan { done: 0, at, fault }));
        Self { inner, plan, by_position: false, cache: Arc::new(Cache::new(u64::MAX)) }
    }

    /// The same, where containers are read by position: each such read is an operation, of which a
    /// short one gives half of what was asked for, and nothing more from then on.
    pub(crate) fn by_position(inner: MemStorage, at: u64, fault: Fault) -> Self {
        Self { by_position: true, ..Self::new(inner, at, fault) }
    }

    /// The same, where so many bytes are held beside what is being read.
    pub(crate) fn holding(self, most: u64) -> Self {
        Self { cache: Arc::new(Cache::new(most)), ..self }
    }

    /// What is held of what is read by position.
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// How many operations were tried.
    pub(crate) fn operations(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).done
    }

    /// Counts one operation; the fault, if it is its turn.
    fn step(&self) -> Result<(), Fault> {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let number = plan.done;
        plan.done += 1;
        let hit = number == plan.at || (plan.fault == Fault::Dead && number > plan.at);
        if hit { Err(plan.fault) } else { Ok(()) }
    }

    fn gate(&self) -> io::Result<()> {
        retry(|| self.step().map_err(Fault::error))
    }
}

impl Storage for FaultStorage {
    fn open(&self, name: &str) -> io::Result<Bytes> {
        self.gate()?;
        self.inner.open(name)
    }

    fn open_parts(&self, name: &str) -> io::Result<Bytes> {
        let bytes = self.open(name)?;
        if !self.by_position {
            return Ok(bytes);
        }
        let (place, len) = (name.to_owned(), bytes.len() as u64);
        let source = FaultReads { bytes, storage: self.clone(), end: AtomicU64::new(u64::MAX) };
        Bytes::from_file(ReadFile::new(Box::new(source), place, len, &self.cache))
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.gate()?;
        let inner = self.inner.create_new(name)?;
        Ok(Box::new(FaultFile { inner, storage: self.clone() }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.gate()?;
        self.inner.rename(from, to)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.gate()?;
        self.inner.sync_dir()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.gate()?;
        self.inner.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.gate()?;
        self.inner.remove(name)
    }

    fn try_lock(&self) -> io::Result<Option<Lock>> {
        self.gate()?;
        self.inner.try_lock()
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

/// A file that is read by position.
struct FaultReads {
    bytes: Bytes,
    storage: FaultStorage,
    /// Where it ends since it was cut short.
    end: AtomicU64,
}

impl ReadAt for FaultReads {
    fn read_at(&self, to: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut wanted = to.len() as u64;
        match self.storage.step() {
            Ok(()) => {}
            Err(Fault::Short) => {
                wanted = to.len() as u64 / 2;
                self.end.store(offset + wanted, Ordering::Relaxed);
            }
            Err(fault) => return Err(fault.error()),
        }
        let end = self.end.load(Ordering::Relaxed).min(self.bytes.len() as u64);
        let count = wanted.min(end.saturating_sub(offset)) as usize;
        let from = offset as usize;
        to[..count].copy_from_slice(&self.bytes.as_slice()[from..from + count]);
        Ok(count)
    }
}

struct FaultFile {
    inner: Box<dyn StorageFile>,
    storage: FaultStorage,
}

impl FaultFile {
    fn write(
        &mut self,
        bytes: &[u8],
        write: impl Fn(&mut dyn StorageFile, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        loop {
            match self.storage.step() {
                Ok(()) => return write(&mut *self.inner, bytes),
                Err(Fault::Interrupted) => {}
                Err(Fault::Short) => {
                    write(&mut *self.inner, &bytes[..bytes.len() / 2])?;
                    return Err(Fault::Short.error());
                }
                Err(fault) => return Err(fault.error()),
            }
        }
    }
}

impl StorageFile for FaultFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, |file, bytes| file.write_all(bytes))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(bytes, |file, bytes| file.write_at(offset, bytes))
    }

    fn read_back(&mut self) -> io::Result<Bytes> {
        self.storage.gate()?;
        self.inner.read_back()
    }

    fn sync(&mut self) -> io::Result<()> {
        self.storage.gate()?;
        self.inner.sync()
    }
}
