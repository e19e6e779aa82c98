//! A directory that remembers everything done to it, and can show what a crash would have left.
//!
//! The model is harsher than any file system. Until `sync` of the file, each write may be lost
//! alone, and the last one torn; until `sync_dir`, each creation and removal of a name may be lost
//! alone, and a renaming may have happened half: new name there and old name too, or neither.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Bytes, Lock, MemStorage, Storage, StorageFile, already_exists, not_found};

/// A file, whatever its name is at the moment.
type Inode = u64;

/// Something done to the directory.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Create {
        name: String,
        inode: Inode,
    },
    Write {
        inode: Inode,
        offset: usize,
        data: Vec<u8>,
    },
    Sync {
        inode: Inode,
    },
    Rename {
        from: String,
        to: String,
        inode: Inode,
    },
    Remove {
        name: String,
    },
    SyncDir,
    /// The user was told that this generation is durable.
    Acknowledge {
        generation: u64,
    },
}

/// A call that returns success and does nothing, as some disks do. To show that the replay finds
/// what it is there to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    FileSync,
    DirSync,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, Inode>,
    data: BTreeMap<Inode, Vec<u8>>,
    log: Vec<Op>,
    next: Inode,
    lie: Option<Lie>,
}

/// The recording directory. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimStorage(Arc<Mutex<State>>);

fn write_at(data: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if data.len() < end {
        data.resize(end, 0);
    }
    data[offset..end].copy_from_slice(bytes);
}

impl SimStorage {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A directory whose syncs lie.
    pub(crate) fn lying(lie: Lie) -> Self {
        let storage = Self::new();
        storage.state().lie = Some(lie);
        storage
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a commit returned.
    pub(crate) fn acknowledge(&self, generation: u64) {
        self.state().log.push(Op::Acknowledge { generation });
    }

    /// Everything done so far.
    pub(crate) fn log(&self) -> Vec<Op> {
        self.state().log.clone()
    }
}

impl Storage for SimStorage {
    fn open(&self, name: &str) -> io::Result<Bytes> {
        let state = self.state();
        let inode = state.names.get(name).ok_or_else(|| not_found(name))?;
        Ok(Bytes::from_vec(&state.data[inode]))
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let mut state = self.state();
        if state.names.contains_key(name) {
            return Err(already_exists(name));
        }
        let inode = state.next;
        state.next += 1;
        state.names.insert(name.to_owned(), inode);
        state.data.insert(inode, Vec::new());
        state.log.push(Op::Create { name: name.to_owned(), inode });
        Ok(Box::new(SimFile { storage: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        if state.names.contains_key(to) {
            return Err(already_exists(to));
        }
        let inode = state.names.remove(from).ok_or_else(|| not_found(from))?;
        state.names.insert(to.to_owned(), inode);
        state.log.push(Op::Rename { from: from.to_owned(), to: to.to_owned(), inode });
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.lie != Some(Lie::DirSync) {
            state.log.push(Op::SyncDir);
        }
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.names.remove(name).ok_or_else(|| not_found(name))?;
        state.log.push(Op::Remove { name: name.to_owned() });
        Ok(())
    }

    fn try_lock(&self) -> io::Result<Option<Lock>> {
        Ok(Some(Box::new(())))
    }

    fn place(&self) -> String {
        "simulation".to_owned()
    }
}

struct SimFile {
    storage: SimStorage,
    inode: Inode,
}

impl StorageFile for SimFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.storage.state().data[&self.inode].len();
        self.write_at(end as u64, bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.storage.state();
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        write_at(state.data.entry(self.inode).or_default(), offset, bytes);
        state.log.push(Op::Write { inode: self.inode, offset, data: bytes.to_vec() });
        Ok(())
    }

    fn read_back(&mut self) -> io::Result<Bytes> {
        Ok(Bytes::from_vec(&self.storage.state().data[&self.inode]))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.storage.state();
        if state.lie != Some(Lie::FileSync) {
            state.log.push(Op::Sync { inode: self.inode });
        }
        Ok(())
    }
}

/// What one operation may or may not have left behind.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Link { name: String, inode: Inode },
    Unlink { name: String },
    Write { inode: Inode, offset: usize, data: Vec<u8> },
}

/// The disk at a moment: what is certain, and what hangs in the air.
#[derive(Clone, Debug, Default)]
pub(crate) struct CrashPoint {
    names: BTreeMap<String, Inode>,
    data: BTreeMap<Inode, Vec<u8>>,
    pending: Vec<Effect>,
    acknowledged: u64,
}

impl CrashPoint {
    /// Moves on by one operation.
    pub(crate) fn apply(&mut self, op: &Op) {
        match op.clone() {
            Op::Create { name, inode } => self.pending.push(Effect::Link { name, inode }),
            Op::Write { inode, offset, data } => {
                self.pending.push(Effect::Write { inode, offset, data });
            }
            Op::Rename { from, to, inode } => {
                self.pending.push(Effect::Link { name: to, inode });
                self.pending.push(Effect::Unlink { name: from });
            }
            Op::Remove { name } => self.pending.push(Effect::Unlink { name }),
            Op::Sync { inode } => {
                self.settle(
                    |effect| matches!(effect, Effect::Write { inode: i, .. } if *i == inode),
                );
            }
            Op::SyncDir => self.settle(|effect| !matches!(effect, Effect::Write { .. })),
            Op::Acknowledge { generation } => self.acknowledged = generation,
        }
    }

    fn settle(&mut self, settled: impl Fn(&Effect) -> bool) {
        for effect in std::mem::take(&mut self.pending) {
            if settled(&effect) {
                land(&mut self.names, &mut self.data, &effect, usize::MAX);
            } else {
                self.pending.push(effect);
            }
        }
    }

    /// How many effects hang in the air.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Bytes of the last write that hangs in the air.
    pub(crate) fn last_write(&self) -> usize {
        let last = self.pending.iter().rev().find_map(|effect| match effect {
            Effect::Write { data, .. } => Some(data.len()),
            _ => None,
        });
        last.unwrap_or(0)
    }

    /// The newest generation that the user was told is durable; 0 for none.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// The directory after a crash here, with those effects that `keep` keeps, and of the last
    /// write at most `tear` bytes.
    pub(crate) fn image(&self, keep: impl Fn(usize) -> bool, tear: usize) -> MemStorage {
        let (mut names, mut data) = (self.names.clone(), self.data.clone());
        let last = self.pending.iter().rposition(|effect| matches!(effect, Effect::Write { .. }));
        for (i, effect) in self.pending.iter().enumerate().filter(|(i, _)| keep(*i)) {
            let most = if Some(i) == last { tear } else { usize::MAX };
            land(&mut names, &mut data, effect, most);
        }
        let storage = MemStorage::new();
        for (name, inode) in &names {
            storage.put(name, data.get(inode).map_or(&[], Vec::as_slice));
        }
        storage
    }
}

fn land(
    names: &mut BTreeMap<String, Inode>,
    data: &mut BTreeMap<Inode, Vec<u8>>,
    effect: &Effect,
    most: usize,
) {
    match effect {
        Effect::Link { name, inode } => {
            names.insert(name.clone(), *inode);
        }
        Effect::Unlink { name } => {
            names.remove(name);
        }
        Effect::Write { inode, offset, data: bytes } => {
            let bytes = &bytes[..bytes.len().min(most)];
            write_at(data.entry(*inode).or_default(), *offset, bytes);
        }
    }
}
