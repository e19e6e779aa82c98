//! A fixed view of an index: what every search sees from first to last.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::docset::DocSet;
use crate::embed::check_key_kind;
use crate::error::{Error, Result};
use crate::format::{Container, Pin, corrupt, tombstones_name};
use crate::id::Key;
use crate::index::document::{Hit, Hits, StoredDocument};
use crate::index::info::SegmentInfo;
use crate::index::manifest::Manifest;
use crate::index::vocabulary::Vocabulary;
use crate::kernel::Kernels;
use crate::limits::Limits;
use crate::schema::{KeywordField, Schema, SparseField};
use crate::search::{
    self, Expansion, Explanation, Facet, Filter, Query, Scratch, ScratchPool, View,
};
use crate::segment::{Segment, SegmentView};
use crate::storage::{Bytes, Storage};

/// One committed state of an index. It stays as it is, whatever is committed, merged or removed
/// afterwards; clones share it. `Send + Sync`: search it from as many threads as you like.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    segments: Vec<SegmentView>,
    /// The files that are read once, at opening: the manifest and the tombstones, by name. Later
    /// commits take their names away, but not these bytes.
    read: BTreeMap<String, Bytes>,
    /// Tells it from every other commit, those of other indexes included.
    identity: Pin,
    /// The directory of its files, where they are in one.
    origin: Option<PathBuf>,
    /// Whether segments of the commit were left out.
    partial: bool,
    kernels: &'static Kernels,
    limits: Limits,
    scratch: ScratchPool,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("commit", &self.commit())
            .field("documents", &self.len())
            .field("segments", &self.inner.segments.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn view<'a>(&'a self, segments: &'a [SegmentView]) -> View<'a> {
        let (schema, limits) = (&self.manifest.schema, &self.limits);
        View { schema, segments, kernels: self.kernels, limits }
    }
}

impl Snapshot {
    /// Opens every file that a manifest, read from this one, names. A segment that `known` has open
    /// already is shared.
    pub(crate) fn open(
        storage: &dyn Storage,
        (manifest, file): (Manifest, Container),
        kernels: &'static Kernels,
        known: Option<&Self>,
    ) -> Result<Self> {
        let identity = file.pin();
        let mut read = BTreeMap::from([(manifest.file(), file.bytes().clone())]);
        let mut keep = |name: String| {
            let bytes = storage.open(&name).map_err(|error| Error::opening(&*name, error))?;
            read.insert(name, bytes);
            Ok::<_, Error>(())
        };
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            let shared = known.filter(|known| !known.has_failed()).and_then(|known| {
                let entries = known.inner.manifest.segments.iter();
                let at =
                    entries.zip(&known.inner.segments).find(|(other, _)| other.pin == entry.pin);
                at.map(|(_, view)| Arc::clone(&view.segment))
            });
            let segment = match shared {
                Some(segment) => segment,
                None => Arc::new(Segment::open(entry.open(storage)?, &manifest.schema)?),
            };
            let docs = segment.docs();
            if docs != entry.docs {
                let what = format!("{docs} documents, the manifest says {}", entry.docs);
                return Err(corrupt(&entry.file(), "SEGMENT_HEAD", 0, what));
            }
            let mut alive = None;
            if let Some(tombstones) = &entry.tombstones {
                let mut set = DocSet::full(docs);
                entry.deleted(storage)?.iter().for_each(|doc| set.remove(doc));
                keep(tombstones_name(tombstones.ordinal))?;
                alive = Some(Arc::new(set));
            }
            let live = entry.live();
            segments.push(SegmentView { segment, alive, live });
        }
        let origin = storage.directory().map(Path::to_owned);
        let (partial, scratch) = (false, ScratchPool::default());
        let limits = Limits::default();
        Ok(Self {
            inner: Arc::new(Inner {
                manifest,
                segments,
                read,
                identity,
                origin,
                partial,
                kernels,
                limits,
                scratch,
            }),
        })
    }

    /// The same commit with those segments only that are chosen, before anybody shares it.
    pub(crate) fn subset(mut self, choose: &dyn Fn(&SegmentInfo) -> bool) -> Self {
        let chosen: Vec<bool> = self.info().segments.iter().map(choose).collect();
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            let (mut these, mut also) = (chosen.iter(), chosen.iter());
            inner.manifest.segments.retain(|_| these.next().is_some_and(|&taken| taken));
            inner.segments.retain(|_| also.next().is_some_and(|&taken| taken));
            inner.partial = true;
        }
        self
    }

    /// The same with limits, before anybody shares it. Segments that an earlier snapshot has open
    /// have theirs.
    pub(crate) fn within(mut self, limits: &Limits) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.limits = limits.clone();
            for view in &mut inner.segments {
                if let Some(segment) = Arc::get_mut(&mut view.segment) {
                    segment.unpack_at_most(limits.unpacked_bytes);
                }
            }
        }
        self
    }

    /// Whether segments of the commit were left out.
    pub(crate) fn is_partial(&self) -> bool {
        self.inner.partial
    }

    pub(crate) fn origin(&self) -> Option<&Path> {
        self.inner.origin.as_deref()
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    /// Tells it from every other commit, those of other indexes included.
    pub(crate) fn identity(&self) -> &Pin {
        &self.inner.identity
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    pub(crate) fn segments(&self) -> &[SegmentView] {
        &self.inner.segments
    }

    /// Every file that it consists of: the manifest, then each segment and its tombstones.
    pub(crate) fn files(&self) -> Vec<(String, Bytes)> {
        let mut held = self.inner.read.clone();
        let entries = self.inner.manifest.segments.iter().zip(&self.inner.segments);
        held.extend(entries.map(|(entry, view)| (entry.file(), view.segment.bytes().clone())));
        let names = self.inner.manifest.files().into_iter();
        names.filter_map(|name| held.remove_entry(&name)).collect()
    }

    /// Whether bytes of it could not be read once: its files are better opened anew.
    pub(crate) fn has_failed(&self) -> bool {
        self.inner.segments.iter().any(|view| view.segment.bytes().has_failed())
    }

    /// Bytes that are held of files that are read by position, of all snapshots of the index.
    pub(crate) fn held(&self) -> u64 {
        self.inner.segments.first().map_or(0, |view| view.segment.bytes().held())
    }

    /// What a search makes of the segments. Where they are read by position, what it reads is held
    /// until it ends.
    fn read<T>(&self, make: impl FnOnce(View<'_>) -> Result<T>) -> Result<T> {
        let inner = &*self.inner;
        let by = inner.segments.first().and_then(|view| view.segment.reading());
        let Some(by) = by else { return make(inner.view(&inner.segments)) };
        let own = |view: &SegmentView| {
            let segment = Arc::new(view.segment.read_by(&by)?);
            Ok(SegmentView { segment, ..view.clone() })
        };
        let own: Result<Vec<SegmentView>> = inner.segments.iter().map(own).collect();
        by.ends(own.and_then(|segments| make(inner.view(&segments))))
    }

    /// What is made of one segment.
    pub(crate) fn read_one<T>(
        &self,
        segment: usize,
        make: impl FnOnce(&Segment) -> Result<T>,
    ) -> Result<T> {
        self.inner.segments[segment].segment.with(make)
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.inner.manifest.schema
    }

    /// The commit it shows; each commit has a higher number than the one before.
    pub fn commit(&self) -> u64 {
        self.inner.manifest.generation
    }

    /// The [sequence number](crate::IndexWriter::sequence) of the last change that it holds.
    pub fn sequence(&self) -> u64 {
        self.inner.manifest.sequence
    }

    /// Live documents.
    pub fn len(&self) -> u64 {
        self.inner.segments.iter().map(|view| u64::from(view.live)).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Answers a query.
    ///
    /// # Errors
    /// A number out of range or a handle of another schema; [`Error::Corrupt`](crate::Error::Corrupt)
    /// where the search comes upon damaged bytes.
    pub fn search(&self, query: &Query) -> Result<Hits> {
        let pool = &self.inner.scratch;
        let answer = pool.with(|scratch| self.read(|view| search::search(view, query, scratch)))?;
        Ok(Hits::new(self, answer))
    }

    /// Answers many queries with `threads` threads: the same answers, in the same order, as one
    /// search after another.
    ///
    /// # Errors
    /// The first error in the order of the queries.
    pub fn search_batch(&self, queries: &[Query], threads: usize) -> Result<Vec<Hits>> {
        let one = |query: &Query, scratch: &mut Scratch| {
            self.read(|view| search::search(view, query, scratch))
        };
        let answers = search::search_batch(queries, threads, &self.inner.scratch, &one)?;
        Ok(answers.into_iter().map(|answer| Hits::new(self, answer)).collect())
    }

    /// Where a hit's score comes from. `query` is the one that found it. It is explained in the
    /// snapshot that found it, so that the parts are those of its score whatever was deleted,
    /// changed or merged since.
    ///
    /// The query's deadline and flag hold here too, and parts that are not all there would not sum
    /// to the score: give a query whose time is up another [`deadline`](Query::deadline) first.
    ///
    /// # Errors
    /// A handle of another schema; [`Error::Interrupted`](crate::Error::Interrupted) by the query's
    /// deadline or flag; [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn explain(&self, query: &Query, hit: &Hit) -> Result<Explanation> {
        query.check()?;
        query.within(&self.inner.limits)?;
        let (found_in, segment, doc) = hit.place();
        found_in.inner.scratch.with(|scratch| {
            found_in.read(|view| search::explain(view, query, segment, doc, scratch))
        })
    }

    /// The vocabulary of a sparse field, where one was set.
    ///
    /// # Errors
    /// A handle of another schema.
    pub fn vocabulary(&self, field: &SparseField) -> Result<Option<Vocabulary>> {
        let at = u32::try_from(self.schema().resolve(field)?).unwrap_or(u32::MAX);
        Ok(self.inner.manifest.vocabularies.get(&at).cloned())
    }

    /// What [`Query::feedback`] adds to a query; `None` where it asks for none or finds nothing.
    ///
    /// # Errors
    /// As [`search`](Self::search); [`Error::Interrupted`](crate::Error::Interrupted) by the query's
    /// deadline or flag.
    pub fn expansion(&self, query: &Query) -> Result<Option<Expansion>> {
        let pool = &self.inner.scratch;
        pool.with(|scratch| self.read(|view| search::expansion_of(view, query, scratch)))
    }

    /// The `most` most frequent values of a keyword attribute among the live documents that pass a
    /// filter (all, where there is none), with their counts; of equally frequent values the first
    /// in byte order.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input): none asked for. A handle of another schema;
    /// [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn facets(
        &self,
        filter: Option<&Filter>,
        field: &KeywordField,
        most: usize,
    ) -> Result<Vec<Facet>> {
        self.read(|view| search::facets(view, filter, field, most))
    }

    /// The same among the live documents that pass a query's filter, whatever else it asks: what
    /// stands beside its hits. It ends with the query's deadline or flag.
    ///
    /// # Errors
    /// As [`facets`](Self::facets) and [`search`](Self::search);
    /// [`Error::Interrupted`](crate::Error::Interrupted) where it ended early, since a part of the
    /// counts would tell nothing.
    pub fn facets_of(
        &self,
        query: &Query,
        field: &KeywordField,
        most: usize,
    ) -> Result<Vec<Facet>> {
        self.read(|view| search::facets_of(view, query, field, most))
    }

    /// Segment and document of a live key, which must be of the schema's kind.
    pub(crate) fn place(&self, key: &Key) -> Result<Option<(usize, u32)>> {
        check_key_kind(self.schema().key_kind(), key)?;
        for (at, view) in self.inner.segments.iter().enumerate() {
            if let Some(doc) = view.segment.with(|segment| segment.keys().find(key))?
                && view.is_live(doc)
            {
                return Ok(Some((at, doc)));
            }
        }
        Ok(None)
    }

    /// The live document of a key.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for a key of another kind than the schema's;
    /// [`Error::Corrupt`](crate::Error::Corrupt) where the keys are damaged.
    pub fn get(&self, key: impl Into<Key>) -> Result<Option<StoredDocument>> {
        let key = key.into();
        let place = self.place(&key)?;
        Ok(place.map(|(segment, doc)| StoredDocument::new(self.clone(), segment, doc, key)))
    }

    /// Whether a live document has this key.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) for a key of another kind than the schema's;
    /// [`Error::Corrupt`](crate::Error::Corrupt) where the keys are damaged.
    pub fn contains(&self, key: impl Into<Key>) -> Result<bool> {
        Ok(self.place(&key.into())?.is_some())
    }

    /// All live documents, segment after segment, in the order in which they were added, or in
    /// that which their writer [gave](crate::WriterOptions::order) them.
    pub fn documents(&self) -> impl Iterator<Item = Result<StoredDocument>> + '_ {
        self.inner.segments.iter().enumerate().flat_map(move |(at, view)| {
            (0..view.segment.docs()).filter(|&doc| view.is_live(doc)).map(move |doc| {
                let key = view.segment.with(|segment| segment.keys().key(doc))?;
                Ok(StoredDocument::new(self.clone(), at, doc, key))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Document, IndexWriter, Query, Schema};

    #[test]
    fn searches_alone_and_in_batches_share_their_scratch() {
        let mut schema = Schema::builder();
        let sparse = schema.sparse("sparse");
        let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
        let document = Document::new("a").sparse(&sparse, &[(1u32, 1.0f32)]).unwrap();
        writer.add(&document).unwrap();
        writer.commit().unwrap();
        let index = writer.reader().unwrap();
        let snapshot = index.snapshot();
        let waiting = || snapshot.inner.scratch.waiting();
        let queries = vec![Query::sparse(&sparse, &[(1u32, 1.0f32)]).unwrap(); 50];
        assert_eq!(waiting(), 0);
        snapshot.search_batch(&queries, 1).unwrap();
        snapshot.search(&queries[0]).unwrap();
        assert_eq!(waiting(), 1);
        for _ in 0..3 {
            assert_eq!(snapshot.search_batch(&queries, 4).unwrap().len(), 50);
            assert!((1..=4).contains(&waiting()));
        }
    }
}
