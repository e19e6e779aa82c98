//! A fixed view of an index: what every search sees from first to last.

use std::fmt;
use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

use crate::docset::DocSet;
use crate::embed::check_key_kind;
use crate::error::Result;
use crate::format::corrupt;
use crate::id::Key;
use crate::index::document::{Hit, Hits, StoredDocument};
use crate::index::manifest::Manifest;
use crate::kernel::Kernels;
use crate::index::vocabulary::Vocabulary;
use crate::schema::{KeywordField, Schema, SparseField};
use crate::search::{self, Expansion, Explanation, Facet, Filter, Query, Scratch, View};
use crate::segment::{Segment, SegmentView};
use crate::storage::Storage;

/// Scratch memory kept for the next search; more threads than this make their own.
const POOLED: usize = 16;

/// One committed state of an index. It stays as it is, whatever is committed, merged or removed
/// afterwards; clones share it. `Send + Sync`: search it from as many threads as you like.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    segments: Vec<SegmentView>,
    kernels: &'static Kernels,
    scratch: ArrayQueue<Scratch>,
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

impl Snapshot {
    /// Opens every file that a manifest names. A segment that `known` has open already is shared.
    pub(crate) fn open(
        storage: &dyn Storage,
        manifest: Manifest,
        kernels: &'static Kernels,
        known: Option<&Self>,
    ) -> Result<Self> {
        let mut segments = Vec::with_capacity(manifest.segments.len());
        for entry in &manifest.segments {
            let shared = known.and_then(|known| {
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
            if entry.tombstones.is_some() {
                let mut set = DocSet::full(docs);
                entry.deleted(storage)?.iter().for_each(|doc| set.remove(doc));
                alive = Some(Arc::new(set));
            }
            let live = entry.live();
            segments.push(SegmentView { segment, alive, live });
        }
        let scratch = ArrayQueue::new(POOLED);
        Ok(Self { inner: Arc::new(Inner { manifest, segments, kernels, scratch }) })
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.inner.manifest
    }

    pub(crate) fn segments(&self) -> &[SegmentView] {
        &self.inner.segments
    }

    fn view(&self) -> View<'_> {
        View {
            schema: &self.inner.manifest.schema,
            segments: &self.inner.segments,
            kernels: self.inner.kernels,
        }
    }

    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let mut scratch = self.inner.scratch.pop().unwrap_or_default();
        let out = work(&mut scratch);
        drop(self.inner.scratch.push(scratch)); // full: let it go
        out
    }

    /// The schema.
    pub fn schema(&self) -> &Schema {
        &self.inner.manifest.schema
    }

    /// The commit it shows; each commit has a higher number than the one before.
    pub fn commit(&self) -> u64 {
        self.inner.manifest.generation
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
        let answer = self.with_scratch(|scratch| search::search(self.view(), query, scratch))?;
        Ok(Hits::new(self, answer))
    }

    /// Answers many queries with `threads` threads: the same answers, in the same order, as one
    /// search after another.
    ///
    /// # Errors
    /// The first error in the order of the queries.
    pub fn search_batch(&self, queries: &[Query], threads: usize) -> Result<Vec<Hits>> {
        let answers = search::search_batch(self.view(), queries, threads)?;
        Ok(answers.into_iter().map(|answer| Hits::new(self, answer)).collect())
    }

    /// Where a hit's score comes from. `query` is the one that found it.
    ///
    /// # Errors
    /// A handle of another schema; [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn explain(&self, query: &Query, hit: &Hit) -> Result<Explanation> {
        let Some((segment, doc)) = self.place(hit.key())? else {
            return Ok(Explanation::default());
        };
        self.with_scratch(|scratch| search::explain(self.view(), query, segment, doc, scratch))
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
    /// As [`search`](Self::search).
    pub fn expansion(&self, query: &Query) -> Result<Option<Expansion>> {
        self.with_scratch(|scratch| search::expansion_of(self.view(), query, scratch))
    }

    /// The `most` most frequent values of a keyword attribute among the live documents that pass a
    /// filter (all, where there is none), with their counts; of equally frequent values the first
    /// in byte order.
    ///
    /// # Errors
    /// A handle of another schema; [`Error::Corrupt`](crate::Error::Corrupt).
    pub fn facets(
        &self,
        filter: Option<&Filter>,
        field: &KeywordField,
        most: usize,
    ) -> Result<Vec<Facet>> {
        search::facets(self.view(), filter, field, most)
    }

    /// Segment and document of a live key, which must be of the schema's kind.
    pub(crate) fn place(&self, key: &Key) -> Result<Option<(usize, u32)>> {
        check_key_kind(self.schema().key_kind(), key)?;
        for (at, view) in self.inner.segments.iter().enumerate() {
            if let Some(doc) = view.segment.keys().find(key)?
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

    /// All live documents, segment after segment, in the order in which they were added.
    pub fn documents(&self) -> impl Iterator<Item = Result<StoredDocument>> + '_ {
        self.inner.segments.iter().enumerate().flat_map(move |(at, view)| {
            (0..view.segment.docs()).filter(|&doc| view.is_live(doc)).map(move |doc| {
                let key = view.segment.keys().key(doc)?;
                Ok(StoredDocument::new(self.clone(), at, doc, key))
            })
        })
    }
}
