//! The one writer of an index: add, replace, delete, commit.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::error::{Error, Result, SchemaError};
use crate::format::{Pin, write_tombstones};
use crate::id::Key;
use crate::index::Index;
use crate::index::commit::{
    collect_garbage, free_ordinal, generations, kept, newest, newest_generation, publish,
};
use crate::index::manifest::{self, Manifest, SegmentEntry, TombstonesEntry};
use crate::index::snapshot::Snapshot;
use crate::index::vocabulary::Vocabulary;
use crate::kernel::{self, Kernels};
use crate::limits::Limits;
use crate::schema::{Schema, SparseField};
use crate::segment::{Arena, Segment};
use crate::storage::{Lock, Storage};
use crate::trace::span;

mod building;
mod change;
mod documents;
mod merges;
mod options;

pub use change::Change;
pub use merges::{MergeProgress, Merges};
pub use options::WriterOptions;

use building::Building;
use merges::{Attempts, Running};

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
    /// The arena before this one, while it is written; before the lock as well.
    pub(in crate::index) building: Option<Building>,
    /// How merges fared, those in the background and those within commits.
    beside: Attempts,
    at_once: Attempts,
    storage: Arc<dyn Storage>,
    _lock: Lock,
    pub(in crate::index) options: WriterOptions,
    kernels: &'static Kernels,
    /// The schema as the next commit will have it.
    schema: Schema,
    /// The last commit.
    committed: Snapshot,
    /// Segments of the commit and those spilled since, with their dead.
    segments: Vec<Held>,
    pub(in crate::index) arena: Arena,
    /// Slots of the arena by key.
    pub(in crate::index) pending: HashMap<Key, u32>,
    /// As the next commit will have them.
    vocabularies: BTreeMap<u32, Vocabulary>,
    next_ordinal: u64,
    sequence: u64,
    changed: bool,
    zeros: u64,
    /// Whether what is written now has its token rows packed, however few: trained for on so many
    /// bytes of them at most.
    packs: Option<u64>,
    poison: Option<String>,
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
        let limits = self.options.limits.clone();
        Index::start_within(Arc::clone(&self.storage), self.options.kernel, limits)
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
    pub fn set_schema(&mut self, schema: Schema) -> Result<Change> {
        self.healthy()?;
        if schema.prefix(self.schema.fields().len()).as_ref() != Some(&self.schema) {
            return Err(SchemaError::Changed.into());
        }
        if schema == self.schema {
            return Ok(self.change(0));
        }
        manifest::within(&schema, &self.options.limits)?;
        // A merge that runs writes with the schema it knows, which stays readable.
        let result = self.spill();
        self.guard(result)?;
        self.arena = Arena::new(&schema);
        self.schema = schema;
        self.step();
        Ok(self.change(0))
    }

    /// Locks, then makes the first commit where a schema is given, or reads the newest.
    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        path: &Path,
        schema: Option<Schema>,
        options: WriterOptions,
    ) -> Result<Self> {
        let kernels = kernel::select(options.kernel)?;
        schema.as_ref().map_or(Ok(()), |schema| manifest::within(schema, &options.limits))?;
        let lock = storage
            .try_lock()
            .map_err(|e| Error::io("lock", storage.place(), e))?
            .ok_or_else(|| Error::Locked { path: path.to_owned() })?;
        let manifest = match schema {
            None => {
                let manifest = newest(storage.as_ref())?;
                manifest.within(&options.limits)?;
                // What this writer writes on must not be damage with a new checksum.
                manifest.verify_vocabularies()?;
                manifest
            }
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
        let file = Manifest::open(storage.as_ref(), manifest.generation)?;
        let committed = Snapshot::open(storage.as_ref(), (manifest, file), kernels, None)?;
        collect_garbage(storage.as_ref(), &kept(storage.as_ref(), committed.manifest()), None);
        let sequence = committed.sequence();
        let next_ordinal = free_ordinal(storage.as_ref(), committed.manifest())?;
        let mut writer = Self {
            running: None,
            building: None,
            beside: Attempts::default(),
            at_once: Attempts::default(),
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
            sequence,
            changed: false,
            zeros: 0,
            packs: None,
            poison: None,
        };
        writer.reset()?;
        Ok(writer)
    }

    /// Back to the last commit.
    fn reset(&mut self) -> Result<()> {
        self.building = None; // waits for it
        let manifest = self.committed.manifest();
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for (entry, view) in manifest.segments.iter().zip(self.committed.segments()) {
            let dead = entry.deleted(self.storage.as_ref())?;
            let segment = Arc::clone(&view.segment);
            segments.push(Held { entry: entry.clone(), segment, dead, dirty: false });
        }
        self.segments = segments;
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

    /// The [sequence number](Change::sequence) of the last change.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// Segments of the next commit, but for what is gathered.
    pub(super) fn segments(&self) -> u64 {
        self.segments.len() as u64
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
        let building = self.building.as_ref().map_or(0, Building::len);
        held + building + u64::from(self.arena.live())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all has gone well so far, with the segment that was written meanwhile.
    pub(super) fn healthy(&mut self) -> Result<()> {
        if let Some(cause) = &self.poison {
            return Err(Error::Poisoned { cause: cause.clone() });
        }
        let built = self.take_built(false);
        self.guard(built)
    }

    /// After a failure of storage what is on disk is unknown: nothing more is written.
    pub(super) fn guard<T>(&mut self, result: Result<T>) -> Result<T> {
        if let Err(error) = &result {
            self.poison = Some(error.to_string());
        }
        result
    }

    /// Gives a sparse field a vocabulary, in place of the one it has. It comes into force with the
    /// next commit.
    ///
    /// # Errors
    /// A handle of another schema.
    pub fn set_vocabulary(&mut self, field: &SparseField, words: &Vocabulary) -> Result<Change> {
        self.healthy()?;
        let at = u32::try_from(self.schema().resolve(field)?).unwrap_or(u32::MAX);
        self.vocabularies.insert(at, words.clone());
        self.step();
        Ok(self.change(0))
    }

    pub(super) fn step(&mut self) {
        self.sequence += 1;
        self.changed = true;
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
    /// [`Error::Io`]: the index stays at the last commit, or is at the new one where it failed after
    /// that was published; the writer is poisoned, since what a failed sync left behind cannot be
    /// known. Open it again. [`Error::Replaced`] where another index stands in its place.
    pub fn commit(&mut self) -> Result<u64> {
        self.healthy()?;
        let _span = span!(INFO, "commit", documents = self.len(), segments = self.segments.len());
        let result = self.try_commit();
        self.guard(result)
    }

    /// Does beforehand what takes long of a [`commit`](Self::commit): documents in memory become
    /// segments, and small ones are merged. Nothing is visible by that, and
    /// [`rollback`](Self::rollback) forgets it. The commit that follows, if nothing was added in
    /// between, only publishes: this is the place to ask whether it is still wanted, or to wait for
    /// others that commit at the same moment.
    ///
    /// ```
    /// use lateen::{Document, IndexWriter, Schema};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// let mut schema = Schema::builder();
    /// let terms = schema.sparse("terms");
    /// let mut writer = IndexWriter::create(dir.path().join("index"), schema.build()?)?;
    /// writer.add(&Document::new("a").sparse(&terms, &[(3u32, 0.5f32)])?)?;
    /// writer.prepare_commit()?;
    /// assert_eq!(writer.snapshot().len(), 0);
    /// writer.rollback()?;
    /// assert_eq!(writer.len(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn prepare_commit(&mut self) -> Result<()> {
        self.healthy()?;
        let result = self.prepare();
        self.guard(result)
    }

    fn prepare(&mut self) -> Result<()> {
        if self.changed {
            self.spill()?;
        }
        self.merge_before_commit()
    }

    fn try_commit(&mut self) -> Result<u64> {
        self.prepare()?;
        if self.changed {
            self.write_commit()?;
            self.merge_after_commit();
        }
        Ok(self.committed.commit())
    }

    /// Whether what stands on the disk is what the next commit is made of. The lock holds off other
    /// writers, but not those who move directories, or who remove its file.
    fn in_place(&self) -> Result<()> {
        let storage = self.storage.as_ref();
        let newest = newest_generation(storage)?;
        if newest != self.committed.commit()
            || Manifest::open(storage, newest)?.pin() != *self.committed.identity()
        {
            return Err(Error::Replaced { place: storage.place() });
        }
        Ok(())
    }

    fn write_commit(&mut self) -> Result<()> {
        // Before a file is written among those of others, and again at the last moment.
        self.in_place()?;
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
            self.in_place()?;
            publish(self.storage.as_ref(), &manifest)?;
        }
        let before = self.committed.manifest().clone();
        let storage = self.storage.as_ref();
        let read = (manifest, Manifest::open(storage, generation)?);
        self.committed = Snapshot::open(storage, read, self.kernels, Some(&self.committed))?;
        self.changed = false;
        collect_garbage(storage, &[self.committed.manifest().clone(), before], self.in_flight());
        Ok(())
    }

    /// The file that is being written in the background.
    fn in_flight(&self) -> Option<&str> {
        self.running.as_ref().map(Running::name)
    }

    /// Forgets everything since the last commit. A segment that is being written is waited for.
    /// Sequence numbers go on: those of what is forgotten are not given again.
    ///
    /// # Errors
    /// [`Error::Corrupt`] or [`Error::Io`] where the tombstones of the last commit cannot be read.
    pub fn rollback(&mut self) -> Result<()> {
        self.healthy()?;
        self.reset()?;
        if self.in_place().is_ok() {
            let storage = self.storage.as_ref();
            collect_garbage(storage, &kept(storage, self.committed.manifest()), self.in_flight());
        }
        Ok(())
    }
}
