//! The writer as a whole, in storage that crashes, fails, and forbids what Windows forbids.

mod building;
mod counting;
mod crash;
mod detached;
mod faults;
mod living;
mod preparing;
mod reading;
mod refreshing;
mod telling;
mod watching;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::embed::{Batch, Document, SparseBatch, Update};
use crate::error::{Error, Result};
use crate::index::commit::kept;
use crate::index::manifest::Manifest;
use crate::index::{Change, Index, IndexWriter, Merges, WriterOptions};
use crate::schema::{KeyKind, Schema};
use crate::storage::Storage;

/// What a commit holds: the version of each live document.
type Content = BTreeMap<u64, i64>;

fn schema() -> Schema {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    schema.sparse("terms");
    schema.i64("version");
    schema.build().unwrap()
}

/// A writer that spills every few documents and merges very small segments within its commits.
fn start(storage: &Arc<dyn Storage>, new: bool, merges: Merges) -> Result<IndexWriter> {
    let mut options = WriterOptions::default().merges(merges).memory(0);
    (options.least, options.at_once) = (600, 24_000);
    let place = Path::new("storage");
    IndexWriter::start(Arc::clone(storage), place, new.then(schema), options)
}

/// A document whose version stands in its attribute, its payload and its weights.
fn put(writer: &mut IndexWriter, key: u64, version: i64) -> Result<()> {
    let (terms, field) = (writer.schema().sparse("terms")?, writer.schema().i64("version")?);
    let entries = [(1u32, (version % 100 + 1) as f32), (2 + (key % 5) as u32, 0.5)];
    let document = Document::new(key).sparse(&terms, &entries)?.i64(&field, version)?;
    writer.upsert(&document.payload(version.to_string().into_bytes())).map(drop)
}

/// What an index holds, read and checked: every document's parts agree.
fn content(index: &Index) -> Result<Content> {
    index.verify()?;
    let field = index.schema().i64("version")?;
    let snapshot = index.snapshot();
    let mut content = Content::new();
    for document in snapshot.documents() {
        let document = document?;
        let version = document.i64(&field)?.expect("every document has one");
        let payload = document.payload()?.expect("every document has one");
        assert_eq!(payload, version.to_string().into_bytes());
        let key = document.key().as_u64().expect("keys are numbers");
        assert_eq!(content.insert(key, version), None, "{key} twice");
    }
    assert_eq!(snapshot.len(), content.len() as u64);
    Ok(content)
}

/// A writer and what its commits hold.
struct Work {
    writer: IndexWriter,
    live: Content,
    /// What each generation that may be found holds, those tried in vain included.
    tried: BTreeMap<u64, Content>,
    version: i64,
    /// Arenas handed over in the last round, to be written in the background.
    built: u64,
}

impl Work {
    fn new(storage: &Arc<dyn Storage>, merges: Merges) -> Result<Self> {
        let writer = start(storage, true, merges)?;
        let tried = BTreeMap::from([(1, Content::new())]);
        Ok(Self { writer, live: Content::new(), tried, version: 0, built: 0 })
    }

    /// What the next generations hold, whichever of them is reached.
    fn expect(&mut self) {
        let last = self.writer.snapshot().commit();
        for generation in last + 1..last + 12 {
            self.tried.insert(generation, self.live.clone());
        }
    }

    /// One round of changes and a commit of some kind; its number.
    fn round(&mut self, round: u64) -> Result<u64> {
        self.built = 0;
        for at in 0..3 + round % 4 {
            self.version += 1;
            let key = (round * 7 + at * 5) % 40;
            put(&mut self.writer, key, self.version)?;
            self.live.insert(key, self.version);
            self.built += u64::from(self.writer.pending.is_empty());
        }
        for key in [round * 3 % 40, (round * 11 + 1) % 40] {
            let was = self.writer.delete(key)?;
            assert_eq!(was.documents, u64::from(self.live.remove(&key).is_some()));
        }
        if round % 3 == 1
            && let Some(&key) = self.live.keys().nth(round as usize % self.live.len().max(1))
        {
            self.version += 1;
            let field = self.writer.schema().i64("version")?;
            let payload = self.version.to_string().into_bytes();
            let update = Update::new(key).i64(&field, self.version)?.payload(payload);
            assert_eq!(self.writer.update(&update)?.documents, 1);
            self.live.insert(key, self.version);
        }
        if round % 7 == 5 {
            let field = self.writer.schema().i64("version")?;
            let bound = self.version - 20;
            self.writer.delete_where(&field.range(..bound))?;
            self.live.retain(|_, version| *version >= bound);
        }
        if round % 6 == 4 {
            let before = self.writer.snapshot().commit();
            self.writer.rollback()?;
            self.live.clone_from(&self.tried[&before]);
            put(&mut self.writer, 99, 0)?;
            self.live.insert(99, 0);
        }
        if round % 4 == 2 {
            // Nothing is published by this, so a crash from here on finds the commit before.
            self.writer.prepare_commit()?;
        }
        if round % 8 == 2 {
            self.version += 1;
            put(&mut self.writer, 98, self.version)?;
            self.live.insert(98, self.version);
        }
        self.expect();
        match round % 10 {
            6 => self.writer.force_merge(2, |_| {}),
            9 => self.writer.compact(|_| {}),
            _ => self.writer.commit(),
        }
    }
}

/// Holds what is in a storage to what was tried; the generation found. `None` for no index.
fn found(storage: Arc<dyn Storage>, tried: &BTreeMap<u64, Content>) -> Option<u64> {
    let index = match Index::start(storage, None) {
        Ok(index) => index,
        Err(Error::NotAnIndex { .. }) => return None,
        Err(error) => panic!("does not open: {error}"),
    };
    let commit = index.snapshot().commit();
    let content = content(&index).unwrap_or_else(|error| panic!("commit {commit}: {error}"));
    assert_eq!(Some(&content), tried.get(&commit), "commit {commit}");
    Some(commit)
}

/// The files that the newest two generations name, ascending: what should be there, and no other.
fn expected_files(storage: &dyn Storage, writer: &IndexWriter) -> Vec<String> {
    let kept = kept(storage, writer.snapshot().manifest());
    let mut names: Vec<String> = kept.iter().flat_map(Manifest::files).collect();
    names.sort();
    names.dedup();
    names
}
