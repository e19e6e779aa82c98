//! The life of an index: a directory of immutable files and a manifest, one writer, any number of
//! readers.

mod backup;
pub(crate) mod commit;
mod detached;
mod document;
mod info;
pub(crate) mod manifest;
mod policy;
mod pruning;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
mod snapshot;
mod vocabulary;
mod watch;
mod writer;

pub use detached::{DetachedBuilder, DetachedSegment};
pub use document::{Hit, Hits, StoredDocument};
pub use info::{DriftInfo, FieldInfo, IndexInfo, SectionInfo, SegmentInfo, VectorInfo};
pub use pruning::PruningLoss;
pub use snapshot::Snapshot;
pub use vocabulary::Vocabulary;
pub use watch::Watcher;
pub use writer::{Change, IndexWriter, MergeProgress, Merges, WriterOptions};

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::error::{Error, Result};
use crate::format::{Container, PackedStorage, write_pack};
use crate::id::Key;
use crate::index::commit::{generations, newest_generation};
use crate::index::manifest::Manifest;
use crate::kernel::{self, KernelLevel, Kernels};
use crate::limits::{Limits, beyond};
use crate::schema::{KeywordField, Schema, SparseField};
use crate::search::{Expansion, Explanation, Facet, Filter, Query};
use crate::shared::Allowance;
use crate::storage::{
    Bytes, Cache, FsStorage, OpenMode, Storage, open_parts, open_path, open_untrusted, publish_path,
};
use crate::trace::span;

/// How an index is opened for reading.
#[derive(Clone, Debug, Default)]
pub struct IndexOptions {
    mode: OpenMode,
    resident: Option<u64>,
    how: How,
}

/// How the commits of an open index are loaded, the first and every newer one.
#[derive(Clone, Debug, Default)]
struct How {
    kernel: Option<KernelLevel>,
    /// Bytes that an index which is not trusted may have.
    untrusted: Option<u64>,
    limits: Option<Limits>,
    subset: Option<Subset>,
}

impl How {
    /// The limits that were set, or those that go with the rest.
    fn limits(&self) -> Limits {
        match (&self.limits, self.untrusted) {
            (Some(limits), _) => limits.clone(),
            (None, Some(_)) => Limits::untrusted(),
            (None, None) => Limits::default(),
        }
    }
}

/// Which segments are taken.
#[derive(Clone)]
struct Subset(Arc<dyn Fn(&SegmentInfo) -> bool + Send + Sync>);

impl fmt::Debug for Subset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subset")
    }
}

impl IndexOptions {
    /// Mapped, unless said otherwise.
    #[must_use]
    pub fn mode(mut self, mode: OpenMode) -> Self {
        self.mode = mode;
        self
    }

    /// Most bytes that an index opened with [`OpenMode::Read`] holds of its segments, all its
    /// snapshots together, while nobody searches it; no limit without it. A search needs the
    /// sections of its fields at once, and these may be as many bytes too: what needs more is an
    /// error, [`Error::Io`], as a read that failed. So searches that run at the same time hold at
    /// most this each, what they share counting once, and let go of the rest when they end.
    /// [`IndexInfo::resident`] tells what is held. Not counted are keys and scores of searches, the
    /// manifest, tombstones, and what makes a filter faster.
    #[must_use]
    pub fn resident(mut self, bytes: u64) -> Self {
        self.resident = Some(bytes);
        self
    }

    /// The kernels to use, instead of the best that the CPU has. Answers are the same with all.
    #[must_use]
    pub fn kernel(mut self, level: KernelLevel) -> Self {
        self.how.kernel = Some(level);
        self
    }

    /// For files from a source that is not trusted: they are read into the heap, where nobody can
    /// change them any more, `bytes` in all at most, counting newer commits too; links and anything
    /// but plain files are refused; and every byte is checked, by sum and by meaning, before the
    /// index is there. Any bytes are safe in the other ways of opening as well: this one tells
    /// damage at once, and cannot be made to stop by a file that is cut short under its map. Unless
    /// others are [set](Self::limits), [`Limits::untrusted`] hold.
    #[must_use]
    pub fn untrusted(mut self, bytes: u64) -> Self {
        self.how.untrusted = Some(bytes);
        self
    }

    /// How much of everything the index may have, and how much a query of it may ask for: what the
    /// format has room for, unless said otherwise.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.how.limits = Some(limits);
        self
    }

    /// Opens only those segments of each commit that `choose` picks, by name, number of documents
    /// or size: what one server of several takes of an index. See [`Hits::merge`].
    #[must_use]
    pub fn subset(mut self, choose: impl Fn(&SegmentInfo) -> bool + Send + Sync + 'static) -> Self {
        self.how.subset = Some(Subset(Arc::new(choose)));
        self
    }

    /// Opens an index: a directory, or a packed file.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Index> {
        let path = path.as_ref();
        let resident = Arc::new(Cache::new(self.resident.unwrap_or(u64::MAX)));
        let storage: Arc<dyn Storage> = if path.is_dir() {
            Arc::new(match (self.how.untrusted, self.mode) {
                (Some(bytes), _) => FsStorage::untrusted(path, bytes),
                (None, OpenMode::Read) => FsStorage::reading(path, resident),
                (None, mode) => FsStorage::new(path, mode),
            })
        } else {
            let place = path.display().to_string();
            // Before it is read: where there is none, opening says so.
            if let Ok(metadata) = std::fs::metadata(path) {
                beyond(&place, "bytes", metadata.len(), self.how.limits().file_bytes)?;
            }
            let opened = match (self.how.untrusted, self.mode) {
                (Some(bytes), _) => open_untrusted(path, &Allowance::new(bytes)),
                (None, OpenMode::Read) => open_parts(path, &resident),
                (None, mode) => open_path(path, mode),
            };
            let bytes = opened.map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    let what = "no such file or directory".to_owned();
                    Error::NotAnIndex { place: place.clone(), what }
                }
                _ => Error::opening(place.clone(), error),
            })?;
            Arc::new(PackedStorage::open(bytes, &place)?)
        };
        Index::open_storage(storage, self.how)
    }

    /// Opens a packed index from a copy of its bytes.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn from_bytes(self, bytes: &[u8]) -> Result<Index> {
        self.packed(Bytes::from_vec(bytes))
    }

    /// Opens a packed index that is part of the program (`include_bytes!`). It is used where it
    /// lies if it is aligned to 8 bytes, and copied once otherwise.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn from_static(self, bytes: &'static [u8]) -> Result<Index> {
        self.packed(Bytes::from_static(bytes))
    }

    fn packed(self, bytes: Bytes) -> Result<Index> {
        let limits = self.how.limits();
        beyond("bytes in memory", "bytes", bytes.len() as u64, limits.file_bytes)?;
        Index::open_storage(Arc::new(PackedStorage::open(bytes, "bytes in memory")?), self.how)
    }
}

/// An index opened for reading. Opening reads the manifest and checks the structure of each file;
/// it touches no document. `Send + Sync`: share it between threads.
///
/// Searches go to the snapshot that was newest when the index was opened or
/// [refreshed](Self::refresh) last.
#[derive(Debug)]
pub struct Index {
    storage: Arc<dyn Storage>,
    kernels: &'static Kernels,
    how: How,
    current: RwLock<Snapshot>,
    /// One refreshes at a time, so that nobody goes back behind another.
    turn: Mutex<()>,
}

impl Index {
    /// Opens an index: a directory, or a packed file.
    ///
    /// The files are mapped: nobody may truncate or rewrite them while the index is open. Lateen
    /// itself never does. Where others might, open with [`OpenMode::Heap`] or [`OpenMode::Read`].
    ///
    /// # Errors
    /// [`Error::NotAnIndex`], [`Error::TooNew`], [`Error::TooOld`], [`Error::Corrupt`], or
    /// [`Error::Io`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().open(path)
    }

    /// Opens with other settings than the usual.
    pub fn options() -> IndexOptions {
        IndexOptions::default()
    }

    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn start(storage: Arc<dyn Storage>, level: Option<KernelLevel>) -> Result<Self> {
        Self::open_storage(storage, How { kernel: level, ..How::default() })
    }

    /// The same with limits.
    pub(crate) fn start_within(
        storage: Arc<dyn Storage>,
        kernel: Option<KernelLevel>,
        limits: Limits,
    ) -> Result<Self> {
        Self::open_storage(storage, How { kernel, limits: Some(limits), ..How::default() })
    }

    fn open_storage(storage: Arc<dyn Storage>, how: How) -> Result<Self> {
        let _span = span!(INFO, "open");
        let kernels = kernel::select(how.kernel)?;
        let current = load(storage.as_ref(), kernels, &how, None)?;
        let index =
            Self { storage, kernels, how, current: RwLock::new(current), turn: Mutex::default() };
        if index.how.untrusted.is_some() {
            index.verify()?;
        }
        Ok(index)
    }

    /// Opens an index from a source that is not trusted, of at most 4 GiB; see
    /// [`IndexOptions::untrusted`].
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Corrupt`] for the first damage.
    pub fn open_untrusted(path: impl AsRef<Path>) -> Result<Self> {
        Self::options().untrusted(4 << 30).open(path)
    }

    /// The snapshot that searches go to.
    pub fn snapshot(&self) -> Snapshot {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Goes to the newest commit; whether it is another than before, be it newer or one of another
    /// index that stands in the same place by now, whatever its number. Snapshots taken earlier
    /// stay as they are.
    ///
    /// # Errors
    /// As [`open`](Self::open); the index then stays where it was.
    pub fn refresh(&self) -> Result<bool> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot();
        let _span = span!(DEBUG, "refresh", commit = before.commit());
        let newest = load(self.storage.as_ref(), self.kernels, &self.how, Some(&before))?;
        let another = newest.identity() != before.identity();
        if !another && !before.has_failed() {
            return Ok(false);
        }
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = newest;
        Ok(another)
    }

    /// The schema.
    pub fn schema(&self) -> Schema {
        self.snapshot().schema().clone()
    }

    /// Live documents.
    pub fn len(&self) -> u64 {
        self.snapshot().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Answers a query.
    ///
    /// # Errors
    /// As [`Snapshot::search`].
    pub fn search(&self, query: &Query) -> Result<Hits> {
        self.snapshot().search(query)
    }

    /// Answers many queries with `threads` threads.
    ///
    /// # Errors
    /// As [`Snapshot::search_batch`].
    pub fn search_batch(&self, queries: &[Query], threads: usize) -> Result<Vec<Hits>> {
        self.snapshot().search_batch(queries, threads)
    }

    /// Where a hit's score comes from.
    ///
    /// # Errors
    /// As [`Snapshot::explain`].
    pub fn explain(&self, query: &Query, hit: &Hit) -> Result<Explanation> {
        self.snapshot().explain(query, hit)
    }

    /// The vocabulary of a sparse field, where one was set.
    ///
    /// # Errors
    /// A handle of another schema.
    pub fn vocabulary(&self, field: &SparseField) -> Result<Option<Vocabulary>> {
        self.snapshot().vocabulary(field)
    }

    /// What feedback adds to a query.
    ///
    /// # Errors
    /// As [`Snapshot::expansion`].
    pub fn expansion(&self, query: &Query) -> Result<Option<Expansion>> {
        self.snapshot().expansion(query)
    }

    /// The most frequent values of a keyword attribute among the documents that pass a filter.
    ///
    /// # Errors
    /// As [`Snapshot::facets`].
    pub fn facets(
        &self,
        filter: Option<&Filter>,
        field: &KeywordField,
        most: usize,
    ) -> Result<Vec<Facet>> {
        self.snapshot().facets(filter, field, most)
    }

    /// The same among the documents that pass a query's filter, in the query's time.
    ///
    /// # Errors
    /// As [`Snapshot::facets_of`].
    pub fn facets_of(
        &self,
        query: &Query,
        field: &KeywordField,
        most: usize,
    ) -> Result<Vec<Facet>> {
        self.snapshot().facets_of(query, field, most)
    }

    /// The live document of a key.
    ///
    /// # Errors
    /// As [`Snapshot::get`].
    pub fn get(&self, key: impl Into<Key>) -> Result<Option<StoredDocument>> {
        self.snapshot().get(key)
    }

    /// Whether a live document has this key.
    ///
    /// # Errors
    /// As [`Snapshot::contains`].
    pub fn contains(&self, key: impl Into<Key>) -> Result<bool> {
        self.snapshot().contains(key)
    }

    /// What the current snapshot consists of: counts, fields, and the bytes of every section.
    pub fn info(&self) -> IndexInfo {
        self.snapshot().info()
    }

    /// Reads every byte that the current snapshot reaches: all checksums and padding, then the
    /// meaning of every part. What passes holds no accidental damage, and nothing that a search
    /// could not make sense of.
    ///
    /// # Errors
    /// The first damage found, with its place.
    pub fn verify(&self) -> Result<()> {
        self.verify_checksums()?;
        let snapshot = self.snapshot();
        let manifest = snapshot.manifest();
        manifest.verify_vocabularies()?;
        snapshot.segments().iter().try_for_each(|view| view.segment.verify_meaning())
    }

    /// Reads every byte that the current snapshot reaches and compares it with its checksum, padding
    /// with zero: finds whatever a disk or a network changed, several times faster than
    /// [`verify`](Self::verify), and nothing of what a hostile writer has made with right checksums.
    ///
    /// # Errors
    /// The first damage found, with its place.
    pub fn verify_checksums(&self) -> Result<()> {
        let _span = span!(INFO, "verify");
        self.storage.verify()?;
        let snapshot = self.snapshot();
        let storage = self.storage.as_ref();
        // Reading a manifest or tombstones checks all of them.
        let commit = snapshot.commit();
        let manifest = Manifest::open(storage, commit).and_then(|file| {
            let manifest = Manifest::of(&file, commit, &Limits::default())?;
            let same = file.pin() == *snapshot.identity();
            let mut own = manifest.segments.iter().take_while(|_| same);
            own.try_for_each(|entry| entry.deleted(storage).map(drop))
        });
        if let Err(error) = manifest {
            // Later commits took the files away; they were checked whole when they were opened.
            let there = generations(storage)?;
            if there.contains(&commit) || there.last() < Some(&commit) {
                return Err(error);
            }
        }
        snapshot.segments().iter().try_for_each(|view| view.segment.verify_checksums())
    }

    /// Writes the current snapshot as one file, which opens like the directory. The file appears
    /// complete or not at all. What is written are the bytes that the snapshot sees, whatever
    /// later commits have taken away in the directory.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] where there is something; [`Error::Corrupt`] for damage, of which no
    /// copy is made; [`Error::Io`].
    pub fn pack(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if path.exists() {
            return Err(Error::AlreadyExists { path: path.to_owned() });
        }
        let snapshot = self.snapshot();
        let _span = span!(INFO, "pack", documents = snapshot.len());
        if snapshot.is_partial() {
            let cause = "a subset of an index is not packed; back it up, and pack the copy";
            let cause = std::io::Error::new(std::io::ErrorKind::Unsupported, cause);
            return Err(Error::io("pack", path.display().to_string(), cause));
        }
        snapshot.segments().iter().try_for_each(|view| view.segment.verify())?;
        publish_path(path, |file, place| {
            write_pack(&snapshot.files(), snapshot.commit(), file, place).map(drop)
        })
    }
}

/// How often a reader looks again before it takes a missing file for damage.
const TRIES: usize = 10;

/// Opens the newest commit. A file that a writer's garbage collection took away after its name was
/// read means that there is a newer commit: look again.
fn load(
    storage: &dyn Storage,
    kernels: &'static Kernels,
    how: &How,
    known: Option<&Snapshot>,
) -> Result<Snapshot> {
    let mut tries = 0;
    let limits = how.limits();
    loop {
        let generation = newest_generation(storage)?;
        let file = Manifest::open(storage, generation);
        let seen = file.as_ref().ok().map(Container::pin);
        let opened = file.and_then(|file| {
            if let Some(known) = known
                && seen == Some(*known.identity())
                && !known.has_failed()
            {
                return Ok(known.clone());
            }
            let manifest = Manifest::of(&file, generation, &limits)?;
            let snapshot = Snapshot::open(storage, (manifest, file), kernels, known)?;
            let snapshot = snapshot.within(&limits);
            let snapshot = match &how.subset {
                Some(Subset(choose)) => snapshot.subset(choose.as_ref()),
                None => snapshot,
            };
            // The first one is checked with all that surrounds it when the index is there.
            if how.untrusted.is_some() && known.is_some() {
                snapshot.segments().iter().try_for_each(|view| view.segment.verify())?;
            }
            Ok(snapshot)
        });
        tries += 1;
        let limited = matches!(opened, Err(Error::Limit { .. }));
        if opened.is_ok() || limited || tries >= TRIES {
            return opened;
        }
        // Another index with a commit of this number may have come as well.
        let same = || Manifest::open(storage, generation).ok().map(|file| file.pin()) == seen;
        if newest_generation(storage)? == generation && same() {
            return opened;
        }
    }
}

/// What is shared between threads can be.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Index>();
    shared::<IndexWriter>();
    shared::<Snapshot>();
    shared::<Hits>();
    shared::<Query>();
    shared::<crate::Filter>();
    shared::<Error>();
};

#[cfg(test)]
mod tests;
