//! Segments built anywhere, and published by the one writer of an index.
//!
//! Each is a file named after its content. The same documents in the same order make the same file,
//! so a builder that is killed, or run twice, is simply run again: what was made is there already.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::embed::{Batch, Document};
use crate::error::{Error, Result};
use crate::format::{Container, ContainerKind, Pin, segment_name};
use crate::id::Key;
use crate::index::manifest::SegmentEntry;
use crate::index::writer::{Held, IndexWriter, WriterOptions};
use crate::limits::{MAX_SEGMENT_DOCS, beyond};
use crate::schema::Schema;
use crate::segment::{Arena, Packing, Segment};
use crate::storage::{FsStorage, OpenMode, Storage, already_exists_kind};

/// A segment file that no index names yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DetachedSegment {
    /// Where it is. The name is made of its content.
    pub path: PathBuf,
    /// Documents in it.
    pub documents: u32,
    /// Bytes of the file.
    pub bytes: u64,
    /// The smallest and the largest of its keys.
    pub keys: (Key, Key),
}

/// Builds segments outside of an index, for [`IndexWriter::publish`]: on other threads, processes or
/// machines. Made by [`WriterOptions::detached`]. Rows of a packed codec [wait](crate::TokenCodec) in
/// small ones as they do elsewhere: after publishing, [`IndexWriter::commit_packed`] packs them.
///
/// ```
/// use lateen::{Document, IndexWriter, Schema};
///
/// # let dir = tempfile::tempdir()?;
/// # let (parts, path) = (dir.path().join("parts"), dir.path().join("index"));
/// let mut schema = Schema::builder();
/// let splade = schema.sparse("splade");
/// let schema = schema.build()?;
///
/// let mut builder = IndexWriter::options().detached(&parts, &schema)?; // anywhere
/// builder.add(&Document::new("a").sparse(&splade, &[(1u32, 0.5f32)])?)?;
/// let made = builder.finish()?;
///
/// let mut writer = IndexWriter::create(&path, schema)?; // in one place
/// writer.publish(made.iter().map(|segment| &segment.path))?;
/// assert_eq!(writer.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DetachedBuilder {
    storage: FsStorage,
    dir: PathBuf,
    schema: Schema,
    options: WriterOptions,
    arena: Arena,
    /// Keys of what is gathered; those of what is written stand in the segments.
    keys: HashSet<Key>,
    segments: Vec<Segment>,
    done: Vec<DetachedSegment>,
}

impl WriterOptions {
    /// Builds segments into a directory, which is made where it is missing; any number of builders
    /// may use the same.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn detached(self, dir: impl AsRef<Path>, schema: &Schema) -> Result<DetachedBuilder> {
        let dir = dir.as_ref().to_owned();
        let storage = FsStorage::new(&dir, OpenMode::Map);
        storage.create_dir().map_err(|e| Error::io("create", storage.place(), e))?;
        Ok(DetachedBuilder {
            storage,
            dir,
            schema: schema.clone(),
            options: self,
            arena: Arena::new(schema),
            keys: HashSet::new(),
            segments: Vec::new(),
            done: Vec::new(),
        })
    }
}

impl DetachedBuilder {
    fn fresh(&self, key: &Key, row: Option<u64>) -> Result<()> {
        let mut known = self.keys.contains(key);
        for segment in &self.segments {
            known = known || segment.keys().find(key)?.is_some();
        }
        if known {
            return Err(Error::DuplicateKey { key: key.clone(), row });
        }
        Ok(())
    }

    /// Adds a document. When the memory of the options is full, a segment is written.
    ///
    /// # Errors
    /// As [`IndexWriter::add`]; only keys of this builder are known to it.
    pub fn add(&mut self, document: &Document<'_>) -> Result<()> {
        document.check(self.schema.key_kind())?;
        document.within(&self.options.limits)?;
        self.fresh(document.key(), None)?;
        self.arena.push(document)?;
        self.keys.insert(document.key().clone());
        self.spill_if_full()
    }

    /// Adds a batch, all of it or nothing.
    ///
    /// # Errors
    /// As [`IndexWriter::add_batch`].
    pub fn add_batch(&mut self, batch: &Batch<'_>) -> Result<()> {
        batch.check(self.schema.key_kind())?;
        batch.within(&self.options.limits)?;
        (0u64..).zip(&batch.keys).try_for_each(|(row, key)| self.fresh(key, Some(row)))?;
        self.arena.push_batch(batch, self.options.threads)?;
        self.keys.extend(batch.keys.iter().cloned());
        self.spill_if_full()
    }

    fn spill_if_full(&mut self) -> Result<()> {
        self.arena.set_aside(&self.storage)?;
        let full = self.arena.bytes() >= self.options.gathered();
        if full || self.arena.slots() >= MAX_SEGMENT_DOCS { self.spill() } else { Ok(()) }
    }

    /// Writes what was gathered; the file gets its name when it is complete and durable.
    fn spill(&mut self) -> Result<()> {
        let documents = self.arena.live();
        if documents == 0 {
            return Ok(());
        }
        let packing = Packing::WhenLarge(self.options.merged() as u64);
        let how = self.options.writing(packing);
        let mut attempt = 0u32;
        let (temporary, pin) = loop {
            // Other builders may be at work here, or have been killed.
            let name = format!("part-{attempt}.building");
            match self.arena.write(&self.storage, &name, 0, 0, how) {
                Err(error) if already_exists_kind(&error) && attempt < 10_000 => attempt += 1,
                result => break (name, result?),
            }
        };
        let mut name = "part-".to_owned();
        for byte in pin.file_id {
            let _ = write!(name, "{byte:02x}"); // to a string: cannot fail
        }
        name.push_str(".seg");
        match self.storage.rename(&temporary, &name) {
            // The same content: an earlier attempt has made it.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.storage
                    .remove(&temporary)
                    .map_err(|error| Error::io("remove", &*temporary, error))?;
            }
            result => result.map_err(|error| Error::io("rename", &*temporary, error))?,
        }
        self.storage.sync_dir().map_err(|e| Error::io("sync", self.storage.place(), e))?;
        let path = self.dir.join(&name);
        let (segment, _) = open(&self.storage, &name, &self.schema)?;
        let key = |doc: Option<u32>| segment.keys().key(doc.unwrap_or(0));
        let keys = (key(segment.keys().first())?, key(segment.keys().last())?);
        self.done.push(DetachedSegment { path, documents, bytes: pin.len, keys });
        self.arena = Arena::new(&self.schema);
        self.keys = HashSet::new();
        self.segments.push(segment);
        Ok(())
    }

    /// Writes what is left; gives all segments that were made.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub fn finish(mut self) -> Result<Vec<DetachedSegment>> {
        self.spill()?;
        Ok(self.done)
    }
}

fn open(storage: &dyn Storage, name: &str, schema: &Schema) -> Result<(Segment, Pin)> {
    let bytes = storage.open(name).map_err(|error| Error::opening(name, error))?;
    let container = Container::open(bytes, name, ContainerKind::Segment, None)?;
    let pin = container.pin();
    Ok((Segment::open(container, schema)?, pin))
}

impl IndexWriter {
    /// Takes segments into the index that a [`DetachedBuilder`] has made with the same schema, and
    /// commits, with all other changes. Each is checked in full first. One that the index holds
    /// already is passed over, so that publishing again changes nothing, as long as it has not been
    /// merged with others: then its keys are there already. Files are hard links where
    /// the file system allows it, copies elsewhere; they are no longer needed afterwards. Gives the
    /// commit's number.
    ///
    /// # Errors
    /// [`Error::DuplicateKey`] where a live document, or one of another segment, has a key of a
    /// segment, with the document's number in its segment as the row; [`Error::Corrupt`] for
    /// damage, or another schema: nothing is taken in. Else as [`commit`](Self::commit).
    pub fn publish<P: AsRef<Path>>(&mut self, paths: impl IntoIterator<Item = P>) -> Result<u64> {
        self.healthy()?;
        let mut found: Vec<(PathBuf, Segment, Pin)> = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let dir = path.parent().unwrap_or(Path::new("."));
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let (segment, pin) = open(&FsStorage::new(dir, OpenMode::Map), name, self.schema())?;
            if self.holds(&pin) || found.iter().any(|(_, _, other)| *other == pin) {
                continue;
            }
            self.room_for(name, &segment, &pin, &found)?;
            segment.verify()?;
            for doc in 0..segment.docs() {
                let key = segment.keys().key(doc)?;
                let others = || found.iter().map(|(_, other, _)| other.keys().find(&key));
                let elsewhere = others().any(|found| !matches!(found, Ok(None)));
                if elsewhere || self.contains(&key)? {
                    return Err(Error::DuplicateKey { key, row: Some(doc.into()) });
                }
            }
            found.push((path.to_owned(), segment, pin));
        }
        // Segments stand in the order in which their documents came.
        let spilled = self.spill();
        self.guard(spilled)?;
        for (path, segment, pin) in found {
            let taken = self.take_in(&path, segment.docs(), pin);
            self.guard(taken)?;
        }
        self.commit()
    }

    /// Whether a segment is within the limits, beside those that were found before it.
    fn room_for(
        &self,
        name: &str,
        segment: &Segment,
        pin: &Pin,
        found: &[(PathBuf, Segment, Pin)],
    ) -> Result<()> {
        let limits = self.limits();
        beyond(name, "bytes", pin.len, limits.file_bytes)?;
        let segments = self.segments() + found.len() as u64 + 1;
        beyond(name, "segments", segments, limits.segments)?;
        let before: u64 = found.iter().map(|(_, other, _)| u64::from(other.docs())).sum();
        let documents = self.len() + before + u64::from(segment.docs());
        beyond(name, "documents", documents, limits.documents)
    }

    fn take_in(&mut self, path: &Path, docs: u32, pin: Pin) -> Result<()> {
        let ordinal = self.take_ordinal();
        let name = segment_name(ordinal);
        let io = |op| move |error| Error::io(op, path.display().to_string(), error);
        // Its bytes may not be on the disk yet, if somebody has copied it.
        File::open(path).and_then(|file| file.sync_all()).map_err(io("sync"))?;
        self.storage().import(path, &name).map_err(io("take in"))?;
        let entry = SegmentEntry { ordinal, pin, docs, tombstones: None };
        let segment = Arc::new(Segment::open(entry.open(self.storage())?, self.schema())?);
        self.hold(Held { entry, segment, dead: RoaringBitmap::new(), dirty: false });
        Ok(())
    }
}
