//! Segments become fewer while the writer goes on.
//!
//! A merge runs on a thread of its own and sees the documents that were live when it began. What is
//! deleted meanwhile is carried over when its result takes the place of its inputs; a commit then
//! publishes it like any other change. Until then nothing names the file, so a merge that fails, or
//! that nobody waits for, leaves the index as it was.

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, bounded};
use roaring::RoaringBitmap;

use super::{Held, IndexWriter};
use crate::docset::DocSet;
use crate::error::{Error, Result};
use crate::format::segment_name;
use crate::index::manifest::SegmentEntry;
use crate::index::policy::{self, Size};
use crate::segment::{Merging, Places, Segment, SegmentView, Target, merge};
use crate::trace::span;

/// When a writer merges segments on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Merges {
    /// On a thread of its own, beside whatever is done; a commit takes over what is ready, and
    /// waits only where segments come faster than they can be merged.
    #[default]
    Background,
    /// Within each commit, before it is published. Slower, but the same calls then write the same
    /// files.
    AtCommit,
    /// Only when [asked to](IndexWriter::force_merge).
    Manual,
}

/// How far [`IndexWriter::force_merge`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MergeProgress {
    /// Segments that will be written, and how many of them are.
    pub segments: usize,
    /// Segments that are written.
    pub segments_done: usize,
    /// Steps of the one that is being written: about one for each document of each field.
    pub steps: u64,
    /// Steps that are done.
    pub steps_done: u64,
}

/// A merge that goes on.
pub(super) struct Running {
    /// The ordinals of its inputs, in order.
    inputs: Vec<u64>,
    name: String,
    merging: Arc<Merging>,
    result: Receiver<Result<Merged>>,
    thread: Option<JoinHandle<()>>,
}

/// What came of a merge.
struct Merged {
    entry: SegmentEntry,
    segment: Arc<Segment>,
    places: Places,
}

impl Running {
    /// The name of the file that is being written.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Waits for its end.
    fn join(mut self) -> Result<Merged> {
        let result = self.result.recv();
        self.end();
        result.unwrap_or_else(|_| Err(ended(&self.name)))
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there has dropped the sender: whoever waits gets an error.
            let _ = thread.join();
        }
    }
}

fn ended(name: &str) -> Error {
    Error::io("merge into", name, std::io::Error::other("the merging thread has ended"))
}

impl Drop for Running {
    fn drop(&mut self) {
        self.merging.cancel();
        self.end();
    }
}

impl IndexWriter {
    /// The sizes of the segments, in order.
    fn sizes(&self) -> Vec<Size> {
        let size = |held: &Held| {
            let docs = u64::from(held.entry.docs);
            let live = docs.saturating_sub(held.dead.len());
            Size { bytes: held.entry.pin.len, docs, live, cost: held.segment.merge_cost() }
        };
        self.segments.iter().map(size).collect()
    }

    /// The neighbours that should be merged now, if any should.
    fn due(&self) -> Option<Range<usize>> {
        policy::choose(&self.sizes(), self.options.merged())
    }

    /// Begins to merge neighbours.
    fn begin(&mut self, run: Range<usize>) -> Result<()> {
        let chosen = self.segments.get(run).unwrap_or_default();
        let inputs: Vec<u64> = chosen.iter().map(|held| held.entry.ordinal).collect();
        let views: Vec<SegmentView> = chosen.iter().map(Held::view).collect();
        let ordinal = self.take_ordinal();
        let name = segment_name(ordinal);
        let generation = self.committed.commit() + 1;
        let (storage, schema) = (Arc::clone(&self.storage), self.schema.clone());
        let threads = self.options.threads;
        let merging = Arc::new(Merging::default());
        let (send, result) = bounded(1);
        let (of_thread, its_name) = (Arc::clone(&merging), name.clone());
        let work = move || {
            let _span = span!(INFO, "merge", segments = views.len());
            let storage = storage.as_ref();
            let target = Target { storage, name: &its_name, generation, ordinal };
            let merged = merge(&views, &schema, target, threads, &of_thread).and_then(|done| {
                let (pin, places) = done;
                let entry = SegmentEntry { ordinal, pin, docs: places.docs(), tombstones: None };
                let segment = Arc::new(Segment::open(entry.open(storage)?, &schema)?);
                Ok(Merged { entry, segment, places })
            });
            let _ = send.send(merged); // nobody waits for it any more: let it go
        };
        let thread = std::thread::Builder::new()
            .name("lateen merge".to_owned())
            .spawn(work)
            .map_err(|error| Error::io("start a thread to", "merge", error))?;
        self.running = Some(Running { inputs, name, merging, result, thread: Some(thread) });
        Ok(())
    }

    /// Takes over what a merge has made.
    fn take_over(&mut self, inputs: &[u64], merged: Merged) {
        let Merged { mut entry, segment, places } = merged;
        let mut dead = RoaringBitmap::new();
        let mut at = None;
        for (input, &ordinal) in inputs.iter().enumerate() {
            let Some(found) = self.segments.iter().position(|held| held.entry.ordinal == ordinal)
            else {
                // A commit has dropped it, since all of it was deleted.
                dead.extend((0..places.docs()).filter(|&place| {
                    places.source(place).is_some_and(|(source, _)| source == input)
                }));
                continue;
            };
            let held = self.segments.remove(found);
            at = Some(at.unwrap_or(found));
            dead.extend(held.dead.iter().filter_map(|doc| places.place(input, doc)));
        }
        entry.tombstones = None;
        let dirty = !dead.is_empty();
        if let Some(at) = at.filter(|_| entry.docs > 0) {
            self.segments.insert(at, Held { entry, segment, dead, dirty });
        }
        self.changed = true;
    }

    /// Takes over the running merge; waits for it where asked to.
    fn finish(&mut self, wait: bool) -> Result<()> {
        let Some(running) = &self.running else { return Ok(()) };
        if !wait && running.result.is_empty() {
            return Ok(());
        }
        let Some(running) = self.running.take() else { return Ok(()) };
        let inputs = running.inputs.clone();
        let merged = running.join()?;
        self.take_over(&inputs, merged);
        Ok(())
    }

    /// Before a commit: what is ready is taken over, and where segments are crowded, or merging is
    /// part of committing, it is waited for.
    pub(super) fn merge_before_commit(&mut self) -> Result<()> {
        match self.options.merges {
            Merges::Background => {
                let wait = self.segments.len() >= policy::CROWDED;
                // The inputs are still there: what failed is tried again another time, but for
                // damage, which a caller must learn of. It is told where it asks for a merge.
                if self.finish(wait).is_err() {
                    self.merge_failures += 1;
                }
            }
            Merges::AtCommit => {
                while let Some(run) = self.due() {
                    self.begin(run)?;
                    self.finish(true)?;
                }
            }
            Merges::Manual => {}
        }
        Ok(())
    }

    /// After a commit: a merge begins where one is due.
    pub(super) fn merge_after_commit(&mut self) {
        // After failures it is tried ever more rarely.
        let patience = 1u64 << self.merge_failures.min(10);
        let due = self.committed.commit().is_multiple_of(patience);
        if self.options.merges == Merges::Background
            && self.running.is_none()
            && due
            && let Some(run) = self.due()
            && self.begin(run).is_err()
        {
            self.merge_failures += 1;
        }
    }

    /// Waits for the merge that runs in the background, if one does, and commits what came of it
    /// together with all other changes. Merges on while more is due. Gives the commit's number.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Corrupt`] for damage in a segment that was to be
    /// merged: the index stays as it is.
    pub fn wait_merges(&mut self) -> Result<u64> {
        self.healthy()?;
        self.finish(true)?;
        self.merge_failures = 0;
        let mut commit = self.commit()?;
        while self.options.merges != Merges::Manual {
            self.finish(true)?;
            let Some(run) = self.due() else { break };
            if self.running.is_none() {
                self.begin(run)?;
            }
            self.finish(true)?;
            commit = self.commit()?;
        }
        self.finish(true)?;
        Ok(commit.max(self.commit()?))
    }

    /// Rewrites every segment that holds deleted documents, small neighbours together, and commits:
    /// afterwards the index takes no more room than one that was built afresh. Gives the commit's
    /// number.
    ///
    /// # Errors
    /// As [`force_merge`](Self::force_merge).
    pub fn compact(&mut self) -> Result<u64> {
        // As many segments as the policy would leave of these documents, written in a row.
        let live: u64 = self.sizes().iter().map(Size::live_bytes).sum();
        let most = usize::try_from(live / (256 << 20)).unwrap_or(usize::MAX).saturating_add(1);
        self.force_merge(most, |_| {})
    }

    /// Commits, then merges until there are at most `most` segments (1 where 0 is given) and none
    /// holds deleted documents, and commits again. `watch` is called now and then with how far it
    /// is. Gives the commit's number.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Corrupt`] for damage in a segment, each of which is
    /// checked in full before it is merged; [`Error::Io`]. What was committed stays as it is.
    pub fn force_merge(
        &mut self,
        most: usize,
        mut watch: impl FnMut(MergeProgress),
    ) -> Result<u64> {
        self.healthy()?;
        self.finish(true)?;
        let merges = std::mem::replace(&mut self.options.merges, Merges::Manual);
        let result = self.merge_to(most, &mut watch);
        self.options.merges = merges;
        result
    }

    fn merge_to(&mut self, most: usize, watch: &mut dyn FnMut(MergeProgress)) -> Result<u64> {
        self.commit()?;
        let groups = policy::groups(&self.sizes(), most);
        let segments = groups.len();
        // From the last to the first, so that places stay what they were.
        for (segments_done, run) in groups.into_iter().rev().enumerate() {
            self.begin(run)?;
            while let Some(running) = &self.running {
                let (steps_done, steps) = running.merging.progress();
                watch(MergeProgress { segments, segments_done, steps, steps_done });
                // The result is left where it is, for `finish`.
                match running.wait(Duration::from_millis(100)) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => break,
                }
            }
            self.finish(true)?;
        }
        let mut commit = self.commit()?;
        if segments > 0 {
            // The generation before still names what was merged: with one more, that can go.
            self.changed = true;
            commit = self.commit()?;
        }
        watch(MergeProgress { segments, segments_done: segments, steps: 0, steps_done: 0 });
        Ok(commit)
    }
}

impl Running {
    /// Waits a while for the result, which stays to be taken.
    fn wait(&self, a_while: Duration) -> std::result::Result<(), RecvTimeoutError> {
        let mut select = crossbeam::channel::Select::new();
        select.recv(&self.result);
        select.ready_timeout(a_while).map(drop).map_err(|_| RecvTimeoutError::Timeout)
    }
}

impl Held {
    /// The segment with the documents that live in it now.
    pub(super) fn view(&self) -> SegmentView {
        let docs = self.segment.docs();
        let alive = (!self.dead.is_empty()).then(|| {
            let mut alive = DocSet::full(docs);
            self.dead.iter().for_each(|doc| alive.remove(doc));
            Arc::new(alive)
        });
        let live = alive.as_ref().map_or(docs, |alive| alive.count());
        SegmentView { segment: Arc::clone(&self.segment), alive, live }
    }
}
