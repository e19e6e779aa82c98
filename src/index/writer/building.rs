//! A full arena becomes a segment on a thread of its own, while the next one fills.
//!
//! One arena is written at a time: who fills the next one before that is done waits for it, so
//! there are never more than two. Names and numbers are given out when an arena is handed over, and
//! segments are taken back in that order, so what is written does not depend on who was faster.
//! What happens meanwhile to a document that is being written is remembered, and done to the segment
//! when it is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, bounded};
use roaring::RoaringBitmap;

use super::{Held, IndexWriter};
use crate::error::{Error, Result};
use crate::format::segment_name;
use crate::id::Key;
use crate::index::manifest::SegmentEntry;
use crate::schema::Schema;
use crate::segment::{Arena, Segment, Writing};
use crate::storage::Storage;
use crate::trace::span;

/// An arena that is being written.
pub(in crate::index) struct Building {
    /// Its documents that live, by key.
    live: HashMap<Key, u32>,
    /// Those that were deleted or replaced since it was handed over.
    dead: Vec<Key>,
    name: String,
    result: Receiver<Result<Held>>,
    thread: Option<JoinHandle<()>>,
}

/// What it takes to write an arena.
struct Job {
    arena: Arena,
    storage: Arc<dyn Storage>,
    schema: Schema,
    generation: u64,
    ordinal: u64,
    how: Writing,
}

impl Job {
    fn run(&self) -> Result<Held> {
        let docs = self.arena.live();
        let _span = span!(INFO, "segment", documents = docs);
        let name = segment_name(self.ordinal);
        let storage = self.storage.as_ref();
        let Self { generation, ordinal, how, .. } = *self;
        let pin = self.arena.write(storage, &name, generation, ordinal, how)?;
        let entry = SegmentEntry { ordinal: self.ordinal, pin, docs, tombstones: None };
        let segment = Arc::new(Segment::open(entry.open(storage)?, &self.schema)?);
        Ok(Held { entry, segment, dead: RoaringBitmap::new(), dirty: false })
    }
}

impl Building {
    fn begin(job: Job, live: HashMap<Key, u32>) -> Self {
        let (send, result) = bounded(1);
        let name = segment_name(job.ordinal);
        let job = Arc::new(job);
        let (its_job, its_send) = (Arc::clone(&job), send.clone());
        let work = move || {
            let built = its_job.run();
            drop(its_job); // the arena's memory, before the segment is known to be there
            let _ = its_send.send(built); // nobody waits for it any more: let it go
        };
        let started = std::thread::Builder::new().name("lateen build".to_owned()).spawn(work);
        if started.is_err() {
            // No thread is to be had: then it is done here.
            let _ = send.send(job.run());
        }
        Self { live, dead: Vec::new(), name, result, thread: started.ok() }
    }

    /// Whether a document that lives is being written.
    pub(super) fn holds(&self, key: &Key) -> bool {
        self.live.contains_key(key)
    }

    /// Documents that live.
    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    /// Remembers that a document lives no more; whether it did.
    pub(super) fn bury(&mut self, key: &Key) -> bool {
        let lived = self.live.remove(key).is_some();
        if lived {
            self.dead.push(key.clone());
        }
        lived
    }

    /// Whether its segment can be had without waiting.
    pub(in crate::index) fn ready(&self) -> bool {
        !self.result.is_empty()
    }

    /// Waits for the segment, without the dead.
    fn join(mut self) -> Result<Held> {
        let result = self.result.recv();
        self.end();
        let mut held = result.unwrap_or_else(|_| {
            // It has panicked.
            let cause = std::io::Error::other("the thread that wrote it has ended");
            Err(Error::io("write", &*self.name, cause))
        })?;
        for key in &self.dead {
            if let Some(doc) = held.segment.keys().find(key)? {
                held.dirty = true;
                held.dead.insert(doc);
            }
        }
        Ok(held)
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there is an error for whoever waits for the segment
        }
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        self.end();
    }
}

impl IndexWriter {
    /// What was gathered, to be written; none where nothing lives in it. A new arena begins.
    fn gathered(&mut self) -> Option<(Job, HashMap<Key, u32>)> {
        let live = std::mem::take(&mut self.pending);
        let arena = std::mem::replace(&mut self.arena, Arena::new(&self.schema));
        if arena.live() == 0 {
            return None;
        }
        let job = Job {
            arena,
            storage: Arc::clone(&self.storage),
            schema: self.schema.clone(),
            generation: self.committed.commit() + 1,
            ordinal: self.take_ordinal(),
            // What is not alone is packed with the others.
            how: self
                .options
                .writing(self.packing(self.packs.filter(|_| self.segments.is_empty()))),
        };
        Some((job, live))
    }

    /// Begins to write what was gathered; waits until the arena before it is written.
    pub(super) fn hand_over(&mut self) -> Result<()> {
        self.take_built(true)?;
        if let Some((job, live)) = self.gathered() {
            self.building = Some(Building::begin(job, live));
        }
        Ok(())
    }

    /// Writes what was gathered as a segment; afterwards everything is in segments.
    pub(in crate::index) fn spill(&mut self) -> Result<()> {
        self.take_built(true)?;
        if let Some((job, _)) = self.gathered() {
            self.segments.push(job.run()?);
        }
        Ok(())
    }

    /// Takes over the segment that is being written, if it is ready or should be waited for.
    pub(super) fn take_built(&mut self, wait: bool) -> Result<()> {
        if let Some(building) = self.building.take_if(|building| wait || building.ready()) {
            self.segments.push(building.join()?);
        }
        Ok(())
    }
}
