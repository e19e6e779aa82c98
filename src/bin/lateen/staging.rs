//! Where an index is built before it gets its name.
//!
//! For an index `wiki`, the directory `.wiki.building` beside it is filled and then renamed, so
//! that a build that fails or is killed leaves nothing under the name asked for. What a killed
//! build left is cleared by the next one; a build that still runs is told by its lock. Where an
//! index is replaced, it stays as it is until the new one is complete, and is then set aside as
//! `.wiki.replaced` for the moment between two renames. Folders above it that are not there are
//! made, and go again with a build that fails.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use lateen::{Error, Index};

use crate::beside::{Above, is_there, sync_names};
use crate::failure::{Code, Failure};
use crate::interrupt::{Clearing, Left};

/// The lock file of an index directory.
const LOCK: &str = "LOCK";

/// A place for an index that is not complete yet. Dropped before [`publish`](Self::publish), it is
/// cleared.
pub(crate) struct Staging {
    out: PathBuf,
    building: PathBuf,
    aside: PathBuf,
    /// Whether there is an index that will be replaced.
    replaces: bool,
    /// Its lock, where it has one.
    lock: Option<File>,
    done: bool,
    above: Above,
    clearing: Option<Clearing>,
}

impl Staging {
    /// Looks at the place asked for, and clears the one beside it. What is at `out` is an error
    /// unless `force` is set and it is an index, or an empty directory, that nobody writes to.
    pub(crate) fn begin(out: &Path, force: bool) -> Result<Self, Failure> {
        let Some(name) = out.file_name() else {
            let what = format!("{}: a name for the index is needed", out.display());
            return Err(Failure::new(Code::Usage, what));
        };
        let beside = |suffix: &str| {
            let mut hidden = OsString::from(".");
            hidden.push(name);
            hidden.push(suffix);
            out.with_file_name(hidden)
        };
        let (building, aside) = (beside(".building"), beside(".replaced"));
        if is_there(&aside) && !is_there(out) {
            // Killed between the two renames of a replacement: as if it had not begun.
            fs::rename(&aside, out).map_err(|e| Failure::io("restore", out.display(), &e))?;
        }
        let replaces = is_there(out);
        let lock = if replaces { replaceable(out, force)? } else { None };
        clear(&building)?;
        clear(&aside)?;
        // The last is cleared first.
        let above = Above::of(out);
        let clearing = Some(Clearing::of(Left::Building(building.clone())));
        let (out, done) = (out.to_owned(), false);
        Ok(Self { out, building, aside, replaces, lock, done, above, clearing })
    }

    /// The directory to build in; it is not there yet.
    pub(crate) fn path(&self) -> &Path {
        &self.building
    }

    /// Gives what was built its name, in place of what has it now. The writer must be closed.
    pub(crate) fn publish(mut self) -> Result<(), Failure> {
        let refused = |error: io::Error| Failure::io("write", self.out.display(), &error);
        self.clearing = None;
        // Windows renames no directory that has an open file in it, so the lock goes first.
        drop(self.lock.take());
        if self.replaces {
            fs::rename(&self.out, &self.aside).map_err(refused)?;
        } else if is_there(&self.out) {
            let what = format!("{}: appeared during the build; not replaced", self.out.display());
            return Err(Failure::new(Code::Exists, what));
        }
        if let Err(error) = fs::rename(&self.building, &self.out) {
            if self.replaces {
                let _ = fs::rename(&self.aside, &self.out);
            }
            return Err(refused(error));
        }
        self.done = true;
        self.above.keep();
        sync_names(&self.out).map_err(refused)?;
        // The new index is in place whether or not the old one can be removed.
        let _ = clear(&self.aside);
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.done {
            let _ = clear(&self.building);
        }
        // Until here whoever interrupts us clears it.
        self.clearing = None;
    }
}

/// Whether what is at the place may be replaced; takes its lock, where it has one.
fn replaceable(out: &Path, force: bool) -> Result<Option<File>, Failure> {
    let exists = |what: &str| Err(Failure::new(Code::Exists, format!("{}: {what}", out.display())));
    if !force {
        return exists("exists already; --force replaces it");
    }
    if !is_ours(out)? {
        return exists("exists and is no Lateen index: not replaced; remove it first");
    }
    take_lock(out, "locked by another writer")
}

/// Whether a path holds nothing but an index, whole or damaged: what may be deleted.
fn is_ours(path: &Path) -> Result<bool, Failure> {
    if path.is_dir() {
        let refused = |error| Failure::io("read", path.display(), &error);
        for entry in fs::read_dir(path).map_err(refused)? {
            if !is_index_file(&entry.map_err(refused)?.file_name()) {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    match Index::open(path) {
        Err(Error::NotAnIndex { .. } | Error::Io { .. }) => Ok(false),
        _ => Ok(true),
    }
}

/// Whether a file has a name that index directories use.
fn is_index_file(name: &OsStr) -> bool {
    let between = |name: &str, start, end| {
        name.strip_prefix(start).is_some_and(|rest| rest.strip_suffix(end).is_some())
    };
    name.to_str().is_some_and(|name| {
        name == LOCK
            || name.starts_with("manifest-")
            || between(name, "seg-", ".seg")
            || between(name, "del-", ".del")
    })
}

/// Takes the lock of an index directory, if it has one; `busy` is what to say where another
/// process has it.
fn take_lock(path: &Path, busy: &str) -> Result<Option<File>, Failure> {
    let place = path.join(LOCK);
    let file = match File::options().read(true).write(true).open(&place) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(Failure::io("open", place.display(), &error)),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            let what = format!("{}: {busy}; wait until it has ended", path.display());
            Err(Failure::new(Code::Locked, what))
        }
        Err(TryLockError::Error(error)) => Err(Failure::io("lock", place.display(), &error)),
    }
}

/// Removes what an earlier build left, unless it still runs or is none of ours.
pub(crate) fn clear(path: &Path) -> Result<(), Failure> {
    if !is_there(path) {
        return Ok(());
    }
    let refused = |error: io::Error| Failure::io("remove", path.display(), &error);
    if !fs::symlink_metadata(path).map_err(refused)?.is_dir() {
        return fs::remove_file(path).map_err(refused);
    }
    drop(take_lock(path, "another build is running")?);
    if !is_ours(path)? {
        let what = format!("{}: in the way, and no index; remove it first", path.display());
        return Err(Failure::new(Code::Exists, what));
    }
    fs::remove_dir_all(path).map_err(refused)
}
