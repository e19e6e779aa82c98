//! Files in memory: for indexes that need no disk, and for tests.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::shared::Claim;

use super::{Aligned, Bytes, Lock, Storage, StorageFile, already_exists, not_found};

/// A directory in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemStorage {
    files: Arc<Mutex<BTreeMap<String, Arc<Mutex<Content>>>>>,
    locked: Arc<Claim>,
    refuse_in_use: bool,
}

/// A file: being written, or read at least once and from then on fixed.
#[derive(Debug)]
enum Content {
    Growing(Aligned),
    Fixed(Arc<Aligned>),
}

impl Content {
    fn in_use(&self) -> bool {
        matches!(self, Self::Fixed(buffer) if Arc::strong_count(buffer) > 1)
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemStorage {
    /// An empty directory.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An empty directory that behaves as Windows does: a file whose bytes somebody holds can be
    /// neither removed nor renamed.
    #[cfg(test)]
    pub(crate) fn refusing_in_use() -> Self {
        Self { refuse_in_use: true, ..Self::default() }
    }

    /// Puts a file with these bytes, over any that is there.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let content = Content::Growing(Aligned::copy_of(bytes));
        hold(&self.files).insert(name.to_owned(), Arc::new(Mutex::new(content)));
    }

    fn check_use(&self, name: &str, file: &Mutex<Content>) -> io::Result<()> {
        if self.refuse_in_use && hold(file).in_use() {
            let what = format!("{name} is in use");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        Ok(())
    }
}

impl Storage for MemStorage {
    fn open(&self, name: &str) -> io::Result<Bytes> {
        let file = Arc::clone(hold(&self.files).get(name).ok_or_else(|| not_found(name))?);
        let mut content = hold(&file);
        let buffer = match &mut *content {
            Content::Fixed(buffer) => Arc::clone(buffer),
            Content::Growing(buffer) => {
                let buffer = Arc::new(std::mem::take(buffer));
                *content = Content::Fixed(Arc::clone(&buffer));
                buffer
            }
        };
        Ok(Bytes::from_aligned(buffer))
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut files = hold(&self.files);
        if files.contains_key(name) {
            return Err(already_exists(name));
        }
        let file = Arc::new(Mutex::new(Content::Growing(Aligned::default())));
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(Box::new(MemFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = hold(&self.files);
        if files.contains_key(to) {
            return Err(already_exists(to));
        }
        self.check_use(from, files.get(from).ok_or_else(|| not_found(from))?)?;
        if let Some(file) = files.remove(from) {
            files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(hold(&self.files).keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut files = hold(&self.files);
        self.check_use(name, files.get(name).ok_or_else(|| not_found(name))?)?;
        files.remove(name);
        Ok(())
    }

    fn try_lock(&self) -> io::Result<Option<Lock>> {
        if !self.locked.take() {
            return Ok(None);
        }
        Ok(Some(Box::new(MemLock(Arc::clone(&self.locked)))))
    }

    fn place(&self) -> String {
        "memory".to_owned()
    }
}

struct MemLock(Arc<Claim>);

impl Drop for MemLock {
    fn drop(&mut self) {
        self.0.release();
    }
}

struct MemFile(Arc<Mutex<Content>>);

impl MemFile {
    fn write(&self, act: impl FnOnce(&mut Aligned) -> io::Result<()>) -> io::Result<()> {
        match &mut *hold(&self.0) {
            Content::Growing(buffer) => act(buffer),
            Content::Fixed(_) => Err(io::Error::other("written after it was opened for reading")),
        }
    }
}

impl StorageFile for MemFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write(|buffer| buffer.extend(bytes))
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.write(|buffer| buffer.write_at(offset, bytes))
    }

    fn read_back(&mut self) -> io::Result<Bytes> {
        match &*hold(&self.0) {
            Content::Growing(buffer) => Ok(Bytes::from_vec(buffer.as_slice())),
            Content::Fixed(buffer) => Ok(Bytes::from_aligned(Arc::clone(buffer))),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
