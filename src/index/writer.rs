//! The one writer of an index: add, replace, delete, commit.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::embed::{Batch, Document, check_key_kind};
use crate::error::{Error, Result, SchemaError};
use crate::format::{Pin, segment_name, write_tombstones};
use crate::id::{DocId, Key};
use crate::index::Index;
use crate::index::commit::{collect_garbage, free_ordinal, generations, kept, newest, publish};
use crate::index::manifest::{Manifest, SegmentEntry, TombstonesEntry};
use crate::index::snapshot::Snapshot;
use crate::index::vocabulary::Vocabulary;
use crate::kernel::{self, Kernels};
use crate::limits::MAX_SEGMENT_DOCS;
use crate::schema::{Schema, SparseField};
use crate::segment::{Arena, Segment};
use crate::storage::{Lock, Storage};
use crate::trace::span;

mod change;
mod merges;
mod options;

pub use merges::{MergeProgress, Merges};
pub use options::WriterOptions;

use merges::Running;

/// The writer of an index: there is one at a time, held by a lock that ends with it. What is added
/// is durable and visible once [`commit`](Self::commit) returns; what is not committed is gone
/// with the writer.
///
/// ```
/// use lateen::{Document, Index, IndexWriter, Query, Schema};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("index");
/// let mut schema = Schema::builder();
/// let splade = schema.sparse("splade");
/// let mut writer = IndexWriter::create(&path, schema.build()?)?;
/// writer.add(&Document::new("a").sparse(&splade, &[(1u32, 0.5f32), (7, 1.5)])?)?;
/// writer.add(&Document::new("b").sparse(&splade, &[(7u32, 1.0f32)])?)?;
/// writer.commit()?;
///
/// let index = Index::open(&path)?;
/// let hits = index.search(&Query::sparse(&splade, &[(7u32, 2.0f32)])?.top(1))?;
/// assert_eq!(hits[0].key().as_str(), Some("a"));
/// assert_eq!(hits[0].score(), 3.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct IndexWriter {
    /// The merge in the background; before the lock, which is let go only when it has ended.
    running: Option<Running>,
    /// Merges that failed, one after another.
    merge_failures: u32,
    storage: Arc<dyn Storage>,
    _lock: Lock,
    options: WriterOptions,
    kernels: &'static Kernels,
    /// The schema as the next commit will have it.
    schema: Schema,
    /// The last commit.
    committed: Snapshot,
    /// Segments of the commit and those spilled since, with their dead.
    segments: Vec<Held>,
    arena: Arena,
    /// Slots of the arena by key.
    pending: HashMap<Key, u32>,
    /// As the next commit will have them.
    vocabularies: BTreeMap<u32, Vocabulary>,
    next_ordinal: u64,
    sequence: u64,
    changed: bool,
    zeros: u64,
    poison: Option<String>,
}

/// Where a live document is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Nowhere,
    /// In a slot of the arena.
    Slot(u32),
    /// In a written segment, by its place in the list.
    Segment(usize, DocId),
}

/// A segment as the next commit will have it.
pub(super) struct Held {
    pub(super) entry: SegmentEntry,
    pub(super) segment: Arc<Segment>,
    pub(super) dead: RoaringBitmap,
    /// Whether `dead` is not what `entry.tombstones` says.
    pub(super) dirty: bool,
}

impl fmt::Debug for IndexWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexWriter")
            .field("storage", &self.storage)
            .field("commit", &self.committed.commit())
            .field("pending", &self.arena.live())
            .finish_non_exhaustive()
    }
}

impl IndexWriter {
    /// Makes a new index in a directory that is not there yet, or is empty but for what an attempt
    /// left that was cut off.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where there is something; [`Error::Locked`]; [`Error::Io`].
    pub fn create(path: impl AsRef<Path>, schema: Schema) -> Result<Self> {
        WriterOptions::default().create(path, schema)
    }

    /// Opens an index for writing, and removes what an interrupted writer left behind.
    ///
    /// # Errors
    /// [`Error::NotAnIndex`], [`Error::Locked`], [`Error::ReadOnly`] for a packed file, and those
    /// of opening it for reading.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        WriterOptions::default().open(path)
    }

    /// Makes a new index in memory: gone with the writer and its readers, unless a reader packs it.
    ///
    /// # Errors
    /// None that can be met with the usual settings.
    pub fn in_memory(schema: Schema) -> Result<Self> {
        WriterOptions::default().in_memory(schema)
    }

    /// Opens the index of this writer for reading, at its last commit.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn reader(&self) -> Result<Index> {
        Index::start(Arc::clone(&self.storage), self.options.kernel)
    }

    /// A writer with other settings than the usual.
    pub fn options() -> WriterOptions {
        WriterOptions::default()
    }

    /// Adds fields: the schema must be the writer's with more of them, made by
    /// [`Schema::extend`]. Documents that are there lack the new fields. It is committed like any
    /// other change; a reader knows the new fields once it has refreshed.
    ///
    /// ```
    /// # use lateen::{Document, IndexWriter, Schema};
    /// # let mut schema = Schema::builder();
    /// # let splade = schema.sparse("splade");
    /// # let mut writer = IndexWriter::in_memory(schema.build()?)?;
    /// let mut schema = writer.schema().extend();
    /// let year = schema.i64("year");
    /// writer.set_schema(schema.build()?)?;
    /// writer.add(&Document::new("a").sparse(&splade, &[(1u32, 0.5f32)])?.i64(&year, 1823)?)?;
    /// writer.commit()?;
    /// # Ok::<(), lateen::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Schema`] where a field of the writer's schema is missing or has changed;
    /// [`Error::Io`] where the documents gathered so far could not be written.
    pub fn set_schema(&mut self, schema: Schema) -> Result<()> {
        self.healthy()?;
        if schema.prefix(self.schema.fields().len()).as_ref() != Some(&self.schema) {
            return Err(SchemaError::Changed.into());
        }
        if schema == self.schema {
            return Ok(());
        }
        // A merge that runs writes with the schema it knows, which stays readable.
        let result = self.spill();
        self.guard(result)?;
        self.arena = Arena::new(&schema);
        self.schema = schema;
        self.changed = true;
        Ok(())
    }

    /// Locks, then makes the first commit where a schema is given, or reads the newest.
    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        path: &Path,
        schema: Option<Schema>,
        options: WriterOptions,
    ) -> Result<Self> {
        let kernels = kernel::select(options.kernel)?;
        let lock = storage
            .try_lock()
            .map_err(|e| Error::io("lock", storage.place(), e))?
            .ok_or_else(|| Error::Locked { path: path.to_owned() })?;
        let manifest = match schema {
            None => newest(storage.as_ref())?,
            Some(schema) => {
                // Somebody may have come between the look at the place and the lock.
                if !generations(storage.as_ref())?.is_empty() {
                    return Err(Error::AlreadyExists { path: path.to_owned() });
                }
                let manifest = Manifest::first(schema);
                publish(storage.as_ref(), &manifest)?;
                manifest
            }
        };
        let committed = Snapshot::open(storage.as_ref(), manifest, kernels, None)?;
        collect_garbage(storage.as_ref(), &kept(storage.as_ref(), committed.manifest()), None);
        let next_ordinal = free_ordinal(storage.as_ref(), committed.manifest())?;
        let mut writer = Self {
            running: None,
            merge_failures: 0,
            arena: Arena::new(committed.schema()),
            schema: committed.schema().clone(),
            next_ordinal,
            storage,
            _lock: lock,
            options,
            kernels,
            committed,
            segments: Vec::new(),
            pending: HashMap::new(),
            vocabularies: BTreeMap::new(),
            sequence: 0,
            changed: false,
            zeros: 0,
            poison: None,
        };
        writer.reset()?;
        Ok(writer)
    }

    /// Back to the last commit.
    fn reset(&mut self) -> Result<()> {
        let manifest = self.committed.manifest();
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for (entry, view) in manifest.segments.iter().zip(self.committed.segments()) {
            let dead = entry.deleted(self.storage.as_ref())?;
            let segment = Arc::clone(&view.segment);
            segments.push(Held { entry: entry.clone(), segment, dead, dirty: false });
        }
        self.segments = segments;
        self.sequence = manifest.sequence;
        self.vocabularies.clone_from(&manifest.vocabularies);
        self.schema = self.committed.schema().clone();
        self.arena = Arena::new(&self.schema);
        self.pending.clear();
        self.changed = false;
        Ok(())
    }

    /// The schema, with the fields that were [added](Self::set_schema) and not committed yet.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The last commit, for reading.
    pub fn snapshot(&self) -> &Snapshot {
        &self.committed
    }

    /// Weights of zero that were dropped from sparse vectors since this writer was made.
    pub fn zeros_dropped(&self) -> u64 {
        self.zeros
    }

    /// The sequence number of the last change: it counts up by one with every document that is
    /// added, replaced, changed or deleted, goes on where the writer is opened again, and is stored
    /// with each commit ([`Snapshot::sequence`]), so that a log of changes can be taken up after
    /// the last one that was made durable.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// Whether a segment of the next commit is this file.
    pub(super) fn holds(&self, pin: &Pin) -> bool {
        self.segments.iter().any(|held| held.entry.pin == *pin)
    }

    /// Takes a written segment into the next commit.
    pub(super) fn hold(&mut self, held: Held) {
        self.sequence += u64::from(held.entry.docs);
        self.changed = true;
        self.segments.push(held);
    }

    /// Live documents, those not yet committed included.
    pub fn len(&self) -> u64 {
        let held: u64 =
            self.segments.iter().map(|held| u64::from(held.entry.docs) - held.dead.len()).sum();
        held + u64::from(self.arena.live())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn healthy(&self) -> Result<()> {
        match &self.poison {
            Some(cause) => Err(Error::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    /// After a failure of storage what is on disk is unknown: nothing more is written.
    pub(super) fn guard<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.poison = Some(error.to_string());
        }
        result
    }

    fn step(&mut self) -> u64 {
        self.sequence += 1;
        self.changed = true;
        self.sequence
    }

    /// Adds a document under a key that no live document has. Gives the sequence number of the
    /// change, which counts up by one with each; so do the other changes.
    ///
    /// # Errors
    /// [`Error::DuplicateKey`], [`Error::Input`], [`Error::Schema`]: nothing was added.
    /// [`Error::Io`] where memory was full and a segment could not be written.
    pub fn add(&mut self, document: &Document<'_>) -> Result<u64> {
        self.take(document, false)
    }

    /// Adds a document, in place of the live one of the same key if there is one.
    ///
    /// # Errors
    /// As [`add`](Self::add), without `DuplicateKey`.
    pub fn upsert(&mut self, document: &Document<'_>) -> Result<u64> {
        self.take(document, true)
    }

    fn take(&mut self, document: &Document<'_>, replace: bool) -> Result<u64> {
        self.healthy()?;
        document.check(self.schema().key_kind())?;
        let before = self.find(document.key(), replace)?;
        let slot = self.arena.push(document)?;
        self.bury(document.key(), before);
        self.pending.insert(document.key().clone(), slot);
        self.zeros += document.zeros_dropped();
        let sequence = self.step();
        self.spill_if_full()?;
        Ok(sequence)
    }

    /// Adds a batch, all of it or nothing. Gives the sequence number of its last document. A batch
    /// is taken whole before memory is looked at, so hand in parts of a size that memory can bear.
    ///
    /// # Errors
    /// As [`add`](Self::add); where the fault is of one document, with its row.
    pub fn add_batch(&mut self, batch: &Batch<'_>) -> Result<u64> {
        self.take_batch(batch, false)
    }

    /// Adds a batch, all of it or nothing, in place of the live documents of the same keys.
    ///
    /// # Errors
    /// As [`add_batch`](Self::add_batch), without `DuplicateKey`.
    pub fn upsert_batch(&mut self, batch: &Batch<'_>) -> Result<u64> {
        self.take_batch(batch, true)
    }

    fn take_batch(&mut self, batch: &Batch<'_>, replace: bool) -> Result<u64> {
        self.healthy()?;
        batch.check(self.schema().key_kind())?;
        let before = (0u64..)
            .zip(&batch.keys)
            .map(|(at, key)| {
                self.find(key, replace).map_err(|error| match error {
                    Error::DuplicateKey { key, .. } => Error::DuplicateKey { key, row: Some(at) },
                    other => other,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let first = self.arena.push_batch(batch, self.options.threads)?;
        for ((slot, key), before) in (first..).zip(&batch.keys).zip(before) {
            self.bury(key, before);
            self.pending.insert(key.clone(), slot);
            self.step();
        }
        self.zeros += batch.zeros_dropped();
        self.spill_if_full()?;
        Ok(self.sequence)
    }

    /// Deletes the live document of a key; whether there was one.
    ///
    /// # Errors
    /// [`Error::Input`] for a key of another kind than the schema's; [`Error::Corrupt`] where the
    /// keys of a segment are damaged.
    pub fn delete(&mut self, key: impl Into<Key>) -> Result<bool> {
        self.healthy()?;
        let key = key.into();
        check_key_kind(self.schema().key_kind(), &key)?;
        let at = self.find(&key, true)?;
        let was = at != At::Nowhere;
        self.bury(&key, at);
        if was {
            self.step();
        }
        Ok(was)
    }

    /// Gives a sparse field a vocabulary, in place of the one it has. It comes into force with the
    /// next commit.
    ///
    /// # Errors
    /// A handle of another schema.
    pub fn set_vocabulary(&mut self, field: &SparseField, words: &Vocabulary) -> Result<u64> {
        self.healthy()?;
        let at = u32::try_from(self.schema().resolve(field)?).unwrap_or(u32::MAX);
        self.vocabularies.insert(at, words.clone());
        Ok(self.step())
    }

    /// Whether a live document has this key, those not yet committed included.
    ///
    /// # Errors
    /// [`Error::Input`] for a key of another kind than the schema's; [`Error::Corrupt`] where the
    /// keys of a segment are damaged.
    pub fn contains(&self, key: impl Into<Key>) -> Result<bool> {
        let key = key.into();
        check_key_kind(self.schema().key_kind(), &key)?;
        Ok(self.find(&key, true)? != At::Nowhere)
    }

    /// Where the live document of a key is; that there is one is an error unless it may be
    /// replaced.
    fn find(&self, key: &Key, replace: bool) -> Result<At> {
        let at = match self.pending.get(key) {
            Some(&slot) => At::Slot(slot),
            None => self.find_written(key)?,
        };
        if at != At::Nowhere && !replace {
            return Err(Error::DuplicateKey { key: key.clone(), row: None });
        }
        Ok(at)
    }

    fn find_written(&self, key: &Key) -> Result<At> {
        for (segment, held) in self.segments.iter().enumerate() {
            if let Some(doc) = held.segment.keys().find(key)?
                && !held.dead.contains(doc)
            {
                return Ok(At::Segment(segment, doc));
            }
        }
        Ok(At::Nowhere)
    }

    /// Marks the document at a place dead; whether one lived there.
    fn bury(&mut self, key: &Key, at: At) -> bool {
        match at {
            At::Nowhere => false,
            At::Slot(slot) => {
                self.arena.kill(slot);
                self.pending.remove(key).is_some()
            }
            At::Segment(segment, doc) => self.segments.get_mut(segment).is_some_and(|held| {
                held.dirty = true;
                held.dead.insert(doc)
            }),
        }
    }

    fn spill_if_full(&mut self) -> Result<()> {
        let aside = self.arena.set_aside(self.storage.as_ref());
        self.guard(aside)?;
        let full = self.arena.bytes() >= self.options.gathered();
        if full || self.arena.slots() >= MAX_SEGMENT_DOCS {
            let result = self.spill();
            return self.guard(result);
        }
        Ok(())
    }

    /// Writes what was gathered as a segment.
    fn spill(&mut self) -> Result<()> {
        let docs = self.arena.live();
        if docs > 0 {
            let _span = span!(INFO, "segment", documents = docs);
            let ordinal = self.take_ordinal();
            let name = segment_name(ordinal);
            let generation = self.committed.commit() + 1;
            let storage = self.storage.as_ref();
            let (threads, memory) = (self.options.threads, self.options.turned());
            let pin = self.arena.write(storage, &name, generation, ordinal, threads, memory)?;
            let entry = SegmentEntry { ordinal, pin, docs, tombstones: None };
            let segment = Arc::new(Segment::open(entry.open(storage)?, &self.schema)?);
            self.segments.push(Held { entry, segment, dead: RoaringBitmap::new(), dirty: false });
        }
        self.arena = Arena::new(&self.schema);
        self.pending.clear();
        Ok(())
    }

    pub(super) fn take_ordinal(&mut self) -> u64 {
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        ordinal
    }

    /// Makes all changes durable, then visible to whoever opens or refreshes the index. Gives the
    /// commit's number; where nothing has changed, that of the last one.
    ///
    /// # Errors
    /// [`Error::Io`]: the index stays at the last commit, and the writer is poisoned, since what a
    /// failed sync left behind cannot be known. Open it again.
    pub fn commit(&mut self) -> Result<u64> {
        self.healthy()?;
        let _span = span!(INFO, "commit", documents = self.len(), segments = self.segments.len());
        let result = self.try_commit();
        self.guard(result)
    }

    fn try_commit(&mut self) -> Result<u64> {
        if self.changed && self.options.merges == Merges::AtCommit {
            self.spill()?;
        }
        self.merge_before_commit()?;
        if self.changed {
            self.write_commit()?;
            self.merge_after_commit();
        }
        Ok(self.committed.commit())
    }

    fn write_commit(&mut self) -> Result<()> {
        self.spill()?;
        let generation = self.committed.commit() + 1;
        self.segments.retain(|held| held.dead.len() < u64::from(held.entry.docs));
        for at in 0..self.segments.len() {
            if !self.segments[at].dirty {
                continue;
            }
            let ordinal = self.take_ordinal();
            let held = &mut self.segments[at];
            let pin = write_tombstones(self.storage.as_ref(), generation, ordinal, &held.dead)?;
            let deleted = u32::try_from(held.dead.len()).unwrap_or(u32::MAX);
            held.entry.tombstones = Some(TombstonesEntry { ordinal, pin, deleted });
            held.dirty = false;
        }
        let manifest = Manifest {
            generation,
            parent: self.committed.commit(),
            sequence: self.sequence,
            schema: self.schema.clone(),
            next_ordinal: self.next_ordinal,
            segments: self.segments.iter().map(|held| held.entry.clone()).collect(),
            vocabularies: self.vocabularies.clone(),
        };
        {
            let _span = span!(INFO, "publish", commit = generation);
            publish(self.storage.as_ref(), &manifest)?;
        }
        let before = self.committed.manifest().clone();
        let storage = self.storage.as_ref();
        self.committed = Snapshot::open(storage, manifest, self.kernels, Some(&self.committed))?;
        self.changed = false;
        collect_garbage(storage, &[self.committed.manifest().clone(), before], self.in_flight());
        Ok(())
    }

    /// The file that is being written in the background.
    fn in_flight(&self) -> Option<&str> {
        self.running.as_ref().map(Running::name)
    }

    /// Forgets everything since the last commit.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Io`] where the tombstones of the last commit cannot be read.
    pub fn rollback(&mut self) -> Result<()> {
        self.healthy()?;
        self.reset()?;
        let storage = self.storage.as_ref();
        collect_garbage(storage, &kept(storage, self.committed.manifest()), self.in_flight());
        Ok(())
    }
}
