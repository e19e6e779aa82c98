//! How a generation becomes the newest, durably, and how what it left behind goes away.
//!
//! The order, each step only after the one before: the files of the generation are written and
//! synced under fresh names; the directory is synced; the manifest is written under a temporary
//! name and synced; it is renamed; the directory is synced. A crash at any point leaves the old
//! manifest or the new one, never a torn one, and every file that either names is whole.

use std::collections::BTreeSet;
use std::io;

use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::format::{FileName, manifest_temporary};
use crate::storage::Storage;

/// Publishes a generation whose files are written and synced. When this returns, the generation
/// survives any crash.
///
/// # Errors
/// `Io`. If the renaming was reached, a later reader may or may not find the new generation; the
/// caller must not go on from what it believes to be there.
pub(crate) fn publish(storage: &dyn Storage, manifest: &Manifest) -> Result<()> {
    let sync = || storage.sync_dir().map_err(|error| Error::io("sync", storage.place(), error));
    sync()?;
    let temporary = manifest_temporary(manifest.generation);
    // One that an earlier attempt left.
    match storage.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", temporary, error));
        }
        _ => {}
    }
    let renamed = manifest.write(storage, &temporary).and_then(|_| {
        let rename = storage.rename(&temporary, &manifest.file());
        rename.map_err(|error| Error::io("publish", manifest.file(), error))
    });
    if renamed.is_err() {
        // On a full disk this is what makes room again; if it fails, garbage collection will.
        let _ = storage.remove(&temporary);
        return renamed;
    }
    sync()
}

/// The generations that have a manifest, ascending.
///
/// # Errors
/// `NotAnIndex` where there is no directory; `Io`.
pub(crate) fn generations(storage: &dyn Storage) -> Result<Vec<u64>> {
    let names = storage.list().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Error::NotAnIndex { place: storage.place(), what: "no such directory".to_owned() }
        }
        _ => Error::io("list", storage.place(), error),
    })?;
    let mut generations: Vec<u64> = names
        .iter()
        .filter_map(|name| match FileName::parse(name) {
            Some(FileName::Manifest(generation)) => Some(generation),
            _ => None,
        })
        .collect();
    generations.sort_unstable();
    Ok(generations)
}

/// The newest generation. A manifest was whole before it got its name, so one that cannot be read
/// is damage and is reported; an older one is never taken in its stead.
///
/// # Errors
/// `NotAnIndex` where there is no manifest, else as [`Manifest::read`].
pub(crate) fn newest(storage: &dyn Storage) -> Result<Manifest> {
    Manifest::read(storage, newest_generation(storage)?)
}

/// The number of the newest generation, whose manifest is not read.
///
/// # Errors
/// `NotAnIndex` where there is no manifest; `Io`.
pub(crate) fn newest_generation(storage: &dyn Storage) -> Result<u64> {
    generations(storage)?.last().copied().ok_or_else(|| Error::NotAnIndex {
        place: storage.place(),
        what: "no manifest in the directory".to_owned(),
    })
}

/// The first file ordinal that a writer may use: beyond those of the manifest, and beyond those
/// of files that a crash left and that could not be removed.
///
/// # Errors
/// `Io`
pub(crate) fn free_ordinal(storage: &dyn Storage, manifest: &Manifest) -> Result<u64> {
    let names = storage.list().map_err(|error| Error::io("list", storage.place(), error))?;
    let used = names.iter().filter_map(|name| match FileName::parse(name) {
        Some(FileName::Segment(ordinal) | FileName::Tombstones(ordinal)) => Some(ordinal),
        _ => None,
    });
    let beyond = used.max().map_or(0, |last| last.saturating_add(1));
    Ok(manifest.next_ordinal.max(beyond))
}

/// Removes the files of ours that none of the generations in `keep` names: the newest two, of
/// which the newest is published, and `in_flight`, a file that is being written for a later one.
/// The caller holds the lock. Files that are not ours are left
/// alone; what cannot be listed or removed now (an open file on Windows) is tried again next time.
pub(crate) fn collect_garbage(storage: &dyn Storage, keep: &[Manifest], in_flight: Option<&str>) {
    let kept: BTreeSet<String> = keep.iter().flat_map(Manifest::files).collect();
    let newest = keep.iter().map(|manifest| manifest.generation).max();
    let Ok(names) = storage.list() else { return };
    let parsed = || names.iter().filter_map(|name| Some((name, FileName::parse(name)?)));
    // A generation that the caller does not know of: its files are not ours to judge.
    let unknown =
        |file| matches!(file, FileName::Manifest(generation) if Some(generation) > newest);
    if parsed().any(|(_, file)| unknown(file)) {
        return;
    }
    let spared = |name: &str| kept.contains(name) || in_flight == Some(name);
    for (name, _) in parsed().filter(|(name, _)| !spared(name)) {
        let _ = storage.remove(name);
    }
}

/// The generation and, where it can still be read, the one it was made from: what garbage
/// collection leaves alone.
pub(crate) fn kept(storage: &dyn Storage, newest: &Manifest) -> Vec<Manifest> {
    let parent = Manifest::read(storage, newest.parent).ok();
    std::iter::once(newest.clone()).chain(parent).collect()
}

#[cfg(test)]
mod tests;
