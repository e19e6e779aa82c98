//! Segments become fewer while the writer goes on.
//!
//! A merge runs on a thread of its own and sees the documents that were live when it began. What is
//! deleted meanwhile is carried over when its result takes the place of its inputs; a commit then
//! publishes it like any other change. Until then nothing names the file, so a merge that fails, or
//! that nobody waits for, leaves the index as it was.
//!
//! Small segments are merged within the commit that brings one too many: that takes about as long
//! as it took to write them, keeps them few while a long merge runs beside, and leaves the other
//! core to those who search.

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
use crate::index::IndexInfo;
use crate::index::commit::kept;
use crate::index::manifest::SegmentEntry;
use crate::index::policy::{self, Size};
use crate::schema::{FieldKind, Schema};
use crate::segment::{Merging, Packing, Places, Segment, SegmentView, Target, merge};
use crate::storage::Storage;
use crate::trace::span;

/// When a writer merges segments on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Merges {
    /// On a thread of its own, beside whatever is done; a commit takes over what is ready, merges
    /// small segments itself (into 4 MiB at most), and waits only where segments come faster than they
    /// can be merged.
    ///
    /// A merge that fails leaves the index as it was: its inputs stay, and nothing is lost but time.
    /// It is told by [`IndexWriter::last_merge_error`], and tried again after later commits: after
    /// the next one, then ever more rarely, each failure in a row doubling the number of commits
    /// between tries, up to 1,024. One that succeeds ends that, and so does
    /// [`IndexWriter::wait_merges`], which tries at once and returns the error.
    #[default]
    Background,
    /// Within each commit, before it is published. Slower, but the same calls then write the same
    /// files.
    AtCommit,
    /// Only when [asked to](IndexWriter::force_merge).
    Manual,
}

/// Bytes of memory that rows are packed in at least, so that those of half a million rows are packed
/// together whatever the writer keeps to otherwise.
const PACKED_IN: u64 = 64 << 20;

/// How far [`IndexWriter::force_merge`] or [`IndexWriter::compact`] is.
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

/// What it takes to merge segments.
struct Job {
    /// The ordinals of its inputs, in order.
    inputs: Vec<u64>,
    views: Vec<SegmentView>,
    ordinal: u64,
    generation: u64,
    storage: Arc<dyn Storage>,
    schema: Schema,
    threads: usize,
    memory: usize,
    packing: Packing,
    merging: Arc<Merging>,
}

impl Job {
    fn run(&self) -> Result<Merged> {
        let _span = span!(INFO, "merge", segments = self.views.len());
        let (storage, name) = (self.storage.as_ref(), segment_name(self.ordinal));
        let Self { generation, ordinal, memory, packing, .. } = *self;
        let target = Target { storage, name: &name, generation, ordinal, memory, packing };
        let (pin, places) = merge(&self.views, &self.schema, target, self.threads, &self.merging)?;
        let entry = SegmentEntry { ordinal, pin, docs: places.docs(), tombstones: None };
        let segment = Arc::new(Segment::open(entry.open(storage)?, &self.schema)?);
        Ok(Merged { entry, segment, places })
    }
}

/// How merges that nobody has asked for fared: their inputs are still there when they fail, so they
/// are tried again, but ever more rarely.
#[derive(Default)]
pub(super) struct Attempts {
    /// Failures in a row.
    failures: u32,
    /// The commit at which the last one was known.
    known: u64,
    error: Option<Error>,
}

impl Attempts {
    fn failed(&mut self, error: Error, commit: u64) {
        self.failures = self.failures.saturating_add(1);
        (self.known, self.error) = (commit, Some(error));
    }

    /// Whether there may be another try.
    fn may(&self, commit: u64) -> bool {
        let patience = 1u64 << self.failures.saturating_sub(1).min(10);
        self.failures == 0 || commit.saturating_sub(self.known) >= patience
    }
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
            let (cost, waits) = (held.segment.merge_cost(), held.segment.waits());
            Size { bytes: held.entry.pin.len, docs, live, cost, waits }
        };
        self.segments.iter().map(size).collect()
    }

    /// Whether a merge has not come to its end yet.
    #[cfg(test)]
    pub(in crate::index) fn merge_goes_on(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.result.is_empty())
    }

    /// Bytes that inputs of a merge may take that nobody has asked for: all there are, but half
    /// where sparse vectors have to be turned over beside.
    fn memory_of_inputs(&self) -> u64 {
        let mut kinds = self.schema.fields().iter().map(|field| &field.kind);
        let sparse = kinds.any(|kind| matches!(kind, FieldKind::Sparse(_)));
        self.options.merged() as u64 / if sparse { 2 } else { 1 }
    }

    /// When token rows are packed of what is written.
    pub(super) fn packing(&self, now: Option<u64>) -> Packing {
        now.map_or(Packing::WhenLarge(self.memory_of_inputs()), Packing::Now)
    }

    /// The neighbours that should be merged now, if any should.
    fn due(&self) -> Option<Range<usize>> {
        policy::choose(&self.sizes(), self.memory_of_inputs())
    }

    /// Small neighbours that should be merged now, none of which is being merged already.
    fn due_at_once(&self) -> Option<Range<usize>> {
        let merged = |held: &Held| {
            let inputs = self.running.as_ref().map(|running| &running.inputs);
            inputs.is_some_and(|inputs| inputs.contains(&held.entry.ordinal))
        };
        // What comes goes to the end: what stands before a merge that runs can wait for it.
        let first = self.segments.iter().rposition(merged).map_or(0, |last| last + 1);
        let sizes = self.sizes().split_off(first);
        let run = policy::choose_small(&sizes, self.memory_of_inputs() / 4, self.options.at_once)?;
        Some(run.start + first..run.end + first)
    }

    /// What it takes to merge neighbours.
    fn job(&mut self, run: Range<usize>) -> Job {
        let chosen = self.segments.get(run).unwrap_or_default();
        let inputs = chosen.iter().map(|held| held.entry.ordinal).collect();
        let views = chosen.iter().map(Held::view).collect();
        Job {
            inputs,
            views,
            ordinal: self.take_ordinal(),
            generation: self.committed.commit() + 1,
            storage: Arc::clone(&self.storage),
            schema: self.schema.clone(),
            threads: self.options.threads,
            memory: self.options.merged() / 2,
            packing: self.packing(self.packs),
            merging: Arc::default(),
        }
    }

    /// Merges neighbours here and now.
    fn merge_now(&mut self, run: Range<usize>) -> Result<()> {
        let job = self.job(run);
        let merged = job.run()?;
        self.take_over(&job.inputs, merged);
        Ok(())
    }

    /// Begins to merge neighbours.
    fn begin(&mut self, run: Range<usize>) -> Result<()> {
        let job = self.job(run);
        let (inputs, name) = (job.inputs.clone(), segment_name(job.ordinal));
        let merging = Arc::clone(&job.merging);
        let (send, result) = bounded(1);
        let work = move || {
            let merged = job.run();
            drop(job); // before its result is known to be there
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
        if !wait && running.wait(Duration::ZERO).is_err() {
            return Ok(());
        }
        let Some(running) = self.running.take() else { return Ok(()) };
        let inputs = running.inputs.clone();
        let merged = running.join()?;
        self.take_over(&inputs, merged);
        self.beside = Attempts::default();
        Ok(())
    }

    /// Before a commit: what is ready is taken over, small segments are merged, and where segments
    /// are crowded, or all merging is part of committing, that is done first.
    pub(super) fn merge_before_commit(&mut self) -> Result<()> {
        match self.options.merges {
            Merges::Background => {
                let crowded = self.segments.len() >= policy::CROWDED;
                let commit = self.committed.commit();
                if let Err(error) = self.finish(crowded) {
                    self.beside.failed(error, commit);
                }
                while self.changed
                    && self.at_once.may(commit)
                    && let Some(run) = self.due_at_once()
                {
                    match self.merge_now(run) {
                        Ok(()) => self.at_once = Attempts::default(),
                        Err(error) => self.at_once.failed(error, commit),
                    }
                }
            }
            Merges::AtCommit => {
                while let Some(run) = self.due() {
                    self.merge_now(run)?;
                }
            }
            Merges::Manual => {}
        }
        Ok(())
    }

    /// After a commit: a merge begins where one is due.
    pub(super) fn merge_after_commit(&mut self) {
        let commit = self.committed.commit();
        if self.options.merges == Merges::Background
            && self.running.is_none()
            && self.beside.may(commit)
            && let Some(run) = self.due()
            && let Err(error) = self.begin(run)
        {
            self.beside.failed(error, commit);
        }
    }

    /// Why the last merge that nobody had asked for failed; `None` where it has not, or one has
    /// succeeded since. The index is then as sound as before, but its segments add up until a merge
    /// succeeds: [`Error::Corrupt`] names a damaged file, [`Error::Io`] may pass by itself, such as a
    /// full disk. How it is tried again stands with [`Merges::Background`].
    pub fn last_merge_error(&self) -> Option<&Error> {
        self.beside.error.as_ref().or(self.at_once.error.as_ref())
    }

    /// What the last commit consists of, as [`Snapshot::info`](crate::Snapshot::info), with what
    /// only the writer knows: [`IndexInfo::merge_error`].
    pub fn info(&self) -> IndexInfo {
        let mut info = self.committed.info();
        info.merge_error = self.last_merge_error().map(Error::to_string);
        info
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
        (self.beside, self.at_once) = Default::default();
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
    /// afterwards the index takes no more room than one that was built afresh, and no row waits to be
    /// packed. `watch` is called now and then with how far it is. Gives the commit's number.
    ///
    /// What is found then is what a fresh build finds, where fields keep whole rows or a second tier
    /// ([`TokenTier`](crate::TokenTier)). Packed rows without one are all there is of themselves:
    /// the [guide](crate::guide::updating) says what their merging costs, and how that is measured.
    ///
    /// # Errors
    /// As [`force_merge`](Self::force_merge).
    pub fn compact(&mut self, watch: impl FnMut(MergeProgress)) -> Result<u64> {
        // As many segments as the policy would leave of these documents, written in a row.
        let live: u64 = self.sizes().iter().map(Size::live_bytes).sum();
        let most = usize::try_from(live / (256 << 20)).unwrap_or(usize::MAX).saturating_add(1);
        self.force_merge(most, watch)
    }

    /// Commits, then merges until there are at most `most` segments (1 where 0 is given) and none
    /// holds deleted documents or rows that wait to be packed, and commits again. `watch` is called
    /// now and then with how far it is, and once when all segments are written and none is committed
    /// yet. Gives the commit's number.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`Error::Corrupt`] for damage in a segment, each of which is
    /// checked in full before it is merged; [`Error::Io`]. What was committed stays as it is.
    pub fn force_merge(
        &mut self,
        most: usize,
        mut watch: impl FnMut(MergeProgress),
    ) -> Result<u64> {
        self.merge_as_asked(|sizes| policy::groups(sizes, most), u64::MAX, &mut watch)
    }

    /// Commits as [`commit`](Self::commit) does, and packs the token rows that wait for it: with
    /// this a build ends. Neighbouring segments that wait are packed together, as many as the
    /// writer's [memory](super::WriterOptions::memory), or 64 MiB where that is less, has room for;
    /// what does not wait stays as it is. `watch` is called as by
    /// [`force_merge`](Self::force_merge). Gives the commit's number.
    ///
    /// ```
    /// use lateen::{Document, IndexWriter, Schema, TokenCodec, TokenMatrix, TokenOptions};
    ///
    /// let mut schema = Schema::builder();
    /// let rows = schema.tokens("rows", TokenOptions::new(8).codec(TokenCodec::Residual4));
    /// let mut writer = IndexWriter::in_memory(schema.build()?)?;
    /// let row = [0.5f32, -0.5, 0.5, -0.5, 0.0, 0.0, 0.0, 0.0];
    /// writer.add(&Document::new("a").tokens(&rows, TokenMatrix::new(&row, 8))?)?;
    /// writer.commit()?;
    /// let stored = |writer: &IndexWriter| writer.info().segments[0].vectors[0].codec.clone();
    /// assert_eq!(stored(&writer).as_deref(), Some("int8")); // the rows wait
    /// writer.commit_packed(|_| {})?;
    /// assert_eq!(stored(&writer).as_deref(), Some("residual4"));
    /// # Ok::<(), lateen::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`force_merge`](Self::force_merge).
    pub fn commit_packed(&mut self, mut watch: impl FnMut(MergeProgress)) -> Result<u64> {
        let memory = (self.options.memory as u64).max(PACKED_IN);
        // What is sampled is the larger part by far, and can be less than all rows.
        let choose = |sizes: &[Size]| policy::waiting(sizes, memory / 4 * 5);
        self.merge_as_asked(choose, memory / 3 * 2, &mut watch)
    }

    /// Commits, merges the neighbours that are chosen then, packing what they hold after training
    /// on so many bytes of it, and commits.
    fn merge_as_asked(
        &mut self,
        choose: impl FnOnce(&[Size]) -> Vec<Range<usize>>,
        sampled: u64,
        watch: &mut dyn FnMut(MergeProgress),
    ) -> Result<u64> {
        self.healthy()?;
        self.finish(true)?;
        let merges = std::mem::replace(&mut self.options.merges, Merges::Manual);
        self.packs = Some(sampled);
        Asked { writer: self, merges }.writer.merge_chosen(choose, watch)
    }

    fn merge_chosen(
        &mut self,
        choose: impl FnOnce(&[Size]) -> Vec<Range<usize>>,
        watch: &mut dyn FnMut(MergeProgress),
    ) -> Result<u64> {
        self.commit()?;
        let groups = choose(&self.sizes());
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
        let all = MergeProgress { segments, segments_done: segments, steps: 0, steps_done: 0 };
        watch(all);
        let mut commit = self.commit()?;
        let kept = kept(self.storage.as_ref(), self.committed.manifest());
        if kept.iter().flat_map(|kept| &kept.segments).any(|entry| !self.holds(&entry.pin)) {
            // The generation before still names what was merged, by this merge or by one in the
            // background: with one more, that can go.
            self.changed = true;
            commit = self.commit()?;
        }
        Ok(commit)
    }
}

/// A writer that merges as it is told, and then as it did before, a panic of its watcher or not.
struct Asked<'a> {
    writer: &'a mut IndexWriter,
    merges: Merges,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.writer.options.merges = self.merges;
        self.writer.packs = None;
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

#[cfg(test)]
mod tests;
