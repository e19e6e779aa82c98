//! What a change is; and changes to what is there already: by filter, in batches, in part.

use super::IndexWriter;
use super::documents::At;
use crate::embed::{Update, check_key_kind};
use crate::error::Result;
use crate::id::Key;
use crate::search::Filter;
use crate::stop::Stop;

/// What a call to the writer has changed.
///
/// ```
/// # use lateen::{Document, IndexWriter, Schema};
/// # let mut schema = Schema::builder();
/// # let splade = schema.sparse("splade");
/// # let mut writer = IndexWriter::in_memory(schema.build()?)?;
/// let added = writer.add(&Document::new("a").sparse(&splade, &[(1u32, 0.5f32)])?)?;
/// assert_eq!((added.sequence, added.documents), (1, 1));
/// let deleted = writer.delete("unknown")?;
/// assert_eq!((deleted.sequence, deleted.documents), (1, 0));
/// writer.commit()?;
/// assert!(writer.snapshot().sequence() >= added.sequence); // what was added is durable
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The sequence number of the last change that the call made; where it made none, that of the
    /// last one before it.
    ///
    /// It counts up by one with every document that is added, replaced, changed or deleted, with
    /// each vocabulary, and with new fields. It never goes back while a writer lives, and is stored
    /// with each commit: [`Snapshot::sequence`](crate::Snapshot::sequence) is that of the commit's
    /// last change, and the commit holds all changes up to that number but those that were
    /// [rolled back](IndexWriter::rollback). A writer that is opened goes on from the last commit,
    /// so a log of changes can be taken up after the last one that was made durable; numbers of
    /// what was lost with the writer before it are given again.
    pub sequence: u64,
    /// Documents that were added, replaced, changed or deleted.
    pub documents: u64,
}

impl IndexWriter {
    /// What a call has come to that changed so many documents.
    pub(super) fn change(&self, documents: u64) -> Change {
        Change { sequence: self.sequence, documents }
    }

    /// Deletes the live documents of these keys, as far as there are any. All keys are looked up
    /// before the first is deleted: a key of the wrong kind deletes nothing.
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    pub fn delete_batch<K: Into<Key>>(
        &mut self,
        keys: impl IntoIterator<Item = K>,
    ) -> Result<Change> {
        self.healthy()?;
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        keys.iter().try_for_each(|key| check_key_kind(self.schema.key_kind(), key))?;
        let places = keys.iter().map(|key| self.find(key, true)).collect::<Result<Vec<_>>>()?;
        let mut deleted = 0;
        for (key, place) in keys.iter().zip(places) {
            // A key that was named twice is found nowhere the second time.
            if place != At::Nowhere && self.bury(key, place) {
                self.step();
                deleted += 1;
            }
        }
        Ok(self.change(deleted))
    }

    /// Deletes every live document that passes, those not yet committed included.
    /// Documents gathered so far are written as a segment first.
    ///
    /// # Errors
    /// [`Error::Schema`](crate::Error::Schema) for a field of another schema,
    /// [`Error::Input`](crate::Error::Input) for a key of another kind than the schema's: nothing
    /// is deleted. Else as [`commit`](Self::commit), [`Error::Corrupt`](crate::Error::Corrupt)
    /// where a segment cannot be read.
    pub fn delete_where(&mut self, filter: &Filter) -> Result<Change> {
        self.healthy()?;
        filter.check(&self.schema)?;
        filter.within(&self.options.limits)?;
        let spilled = self.spill();
        self.guard(spilled)?;
        let mut passing = Vec::with_capacity(self.segments.len());
        for held in &self.segments {
            passing.push(filter.select(
                &self.schema,
                &held.segment,
                self.kernels,
                &Stop::default(),
            )?);
        }
        let mut deleted = 0;
        for (held, passing) in self.segments.iter_mut().zip(passing) {
            let fresh = passing.set.iter().filter(|&doc| held.dead.insert(doc)).count() as u64;
            held.dirty |= fresh > 0;
            deleted += fresh;
        }
        if deleted > 0 {
            self.sequence += deleted;
            self.changed = true;
        }
        Ok(self.change(deleted))
    }

    /// Changes attributes or the payload of the live document of a key, which keeps its vectors as
    /// they are stored: nothing is quantised anew, but in a sparse field without forward rows. Where
    /// no live document has the key, nothing is changed.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) and [`Error::Schema`](crate::Error::Schema): nothing
    /// was changed. [`Error::Corrupt`](crate::Error::Corrupt) where what is stored cannot be read;
    /// [`Error::Io`](crate::Error::Io) where memory was full and a segment could not be written.
    pub fn update(&mut self, update: &Update<'_>) -> Result<Change> {
        self.healthy()?;
        update.check()?;
        update.within(&self.options.limits)?;
        check_key_kind(self.schema.key_kind(), update.key())?;
        if self.building.as_ref().is_some_and(|building| building.holds(update.key())) {
            // Its vectors are taken from where they are stored.
            let built = self.take_built(true);
            self.guard(built)?;
        }
        let changes = self.arena.changes(update)?;
        match self.find(update.key(), true)? {
            At::Nowhere | At::Building => return Ok(self.change(0)),
            At::Slot(slot) => self.arena.change(slot, &changes),
            At::Segment(segment, doc) => {
                self.room(0)?;
                let stored = std::sync::Arc::clone(&self.segments[segment].segment);
                let slot = self.arena.push_changed(&stored, doc, &changes)?;
                self.bury(update.key(), At::Segment(segment, doc));
                self.pending.insert(update.key().clone(), slot);
            }
        }
        self.step();
        self.spill_if_full()?;
        Ok(self.change(1))
    }
}
