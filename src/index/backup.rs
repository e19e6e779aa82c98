//! A commit copied while the writer goes on, and brought into memory before it is asked.

use std::path::Path;

use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::format::write_tombstones;
use crate::index::commit::publish;
use crate::index::snapshot::Snapshot;
use crate::segment::SegmentView;
use crate::storage::{FsStorage, OpenMode, Storage};

impl Snapshot {
    /// Writes this commit into a directory of its own, which is an index like any other. Segment
    /// files are hard links where the file system allows it (they are never changed), copies
    /// elsewhere, and copies too where the file of that name is no longer the one that is read
    /// here. A writer may go on meanwhile. The manifest comes last: what was cut off is no index,
    /// never a part of one. Bytes are taken as they are: [`Index::verify`](crate::Index::verify) of
    /// the copy reads them all.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where there is something; [`Error::Io`].
    pub fn backup(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if path.exists() {
            return Err(Error::AlreadyExists { path: path.to_owned() });
        }
        let storage = FsStorage::new(path, OpenMode::Map);
        storage.create_dir().map_err(|e| Error::io("create", storage.place(), e))?;
        let mut manifest = self.manifest().clone();
        let generation = manifest.generation;
        for (entry, view) in manifest.segments.iter_mut().zip(self.segments()) {
            let name = entry.file();
            let linked = self.origin().is_some_and(|origin| {
                std::fs::hard_link(origin.join(&name), path.join(&name)).is_ok()
            });
            // Another index may stand in that place by now.
            let other = linked && entry.open(&storage).is_err();
            if other {
                let removed = storage.remove(&name);
                removed.map_err(|error| Error::io("remove", name.clone(), error))?;
            }
            if !linked || other {
                let io = |op| {
                    let place = name.clone();
                    move |error| Error::io(op, place, error)
                };
                // The map outlives the file's name.
                let mut file = storage.create_new(&name).map_err(io("create"))?;
                view.segment.bytes().each(|step| file.write_all(step)).map_err(io("copy"))?;
                file.sync().map_err(io("sync"))?;
            }
            // The file of the tombstones may be gone, what it said is known.
            if let Some(tombstones) = &mut entry.tombstones {
                let dead = dead_of(view);
                tombstones.pin = write_tombstones(&storage, generation, tombstones.ordinal, &dead)?;
            }
        }
        publish(&storage, &manifest)
    }

    /// Reads every page of this commit's files once, so that the searches that follow do not wait
    /// for the disk, where there is memory for them. Gives the bytes.
    pub fn warm(&self) -> u64 {
        self.segments().iter().map(|view| view.segment.warm()).sum()
    }
}

/// The documents of a view that are deleted.
fn dead_of(view: &SegmentView) -> RoaringBitmap {
    let docs = view.segment.docs();
    view.alive.as_ref().map_or_else(RoaringBitmap::new, |alive| {
        (0..docs).filter(|&doc| !alive.contains(doc)).collect()
    })
}
