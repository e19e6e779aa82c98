//! A directory in which the k-th operation goes wrong.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Bytes, Lock, MemStorage, Storage, StorageFile, retry};

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
}

impl FaultStorage {
    /// Operation number `at`, counted from 0, goes wrong.
    pub(crate) fn new(inner: MemStorage, at: u64, fault: Fault) -> Self {
        Self { inner, plan: Arc::new(Mutex::new(Plan { done: 0, at, fault })) }
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

    fn sync(&mut self) -> io::Result<()> {
        self.storage.gate()?;
        self.inner.sync()
    }
}
