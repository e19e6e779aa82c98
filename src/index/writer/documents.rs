//! Documents come, go and are found: one by one and in batches.

use super::{Change, IndexWriter};
use crate::embed::{Batch, Document, check_key_kind};
use crate::error::{Error, Result};
use crate::id::{DocId, Key};
use crate::limits::{Limits, MAX_SEGMENT_DOCS, beyond};

/// Where a live document is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Nowhere,
    /// In a slot of the arena.
    Slot(u32),
    /// In the arena that is being written.
    Building,
    /// In a written segment, by its place in the list.
    Segment(usize, DocId),
}

impl IndexWriter {
    /// Adds a document under a key that no live document has. Gives the
    /// [sequence number](Change::sequence) of the change, as all changes do.
    ///
    /// # Errors
    /// [`Error::DuplicateKey`], [`Error::Input`], [`Error::Schema`]: nothing was added.
    /// [`Error::Io`] where memory was full and a segment could not be written, or one that was
    /// handed over by an earlier call: the writer is then poisoned, and the index stays at the last
    /// commit.
    pub fn add(&mut self, document: &Document<'_>) -> Result<Change> {
        self.take(document, false)
    }

    /// Adds a document, in place of the live one of the same key if there is one.
    ///
    /// # Errors
    /// As [`add`](Self::add), without `DuplicateKey`.
    pub fn upsert(&mut self, document: &Document<'_>) -> Result<Change> {
        self.take(document, true)
    }

    fn take(&mut self, document: &Document<'_>, replace: bool) -> Result<Change> {
        self.healthy()?;
        document.check(self.schema().key_kind())?;
        document.within(&self.options.limits)?;
        let before = self.find(document.key(), replace)?;
        self.room(u64::from(before == At::Nowhere))?;
        let slot = self.arena.push(document)?;
        self.bury(document.key(), before);
        self.pending.insert(document.key().clone(), slot);
        self.zeros += document.zeros_dropped();
        self.step();
        self.spill_if_full()?;
        Ok(self.change(1))
    }

    /// Whether so many documents more, and one segment more, are within the limits.
    pub(super) fn room(&self, documents: u64) -> Result<()> {
        let limits = &self.options.limits;
        let place = self.storage.place();
        beyond(&place, "segments", self.segments() + 1, limits.segments)?;
        if limits.documents == Limits::default().documents {
            return Ok(()); // as many as so many segments hold: not worth counting each time
        }
        beyond(&place, "documents", self.len().saturating_add(documents), limits.documents)
    }

    /// Adds a batch, all of it or nothing: each document counts one in the sequence. A batch is
    /// taken whole before memory is looked at, so hand in parts of a size that memory can bear.
    ///
    /// # Errors
    /// As [`add`](Self::add); where the fault is of one document, with its row.
    pub fn add_batch(&mut self, batch: &Batch<'_>) -> Result<Change> {
        self.take_batch(batch, false)
    }

    /// Adds a batch, all of it or nothing, in place of the live documents of the same keys.
    ///
    /// # Errors
    /// As [`add_batch`](Self::add_batch), without `DuplicateKey`.
    pub fn upsert_batch(&mut self, batch: &Batch<'_>) -> Result<Change> {
        self.take_batch(batch, true)
    }

    fn take_batch(&mut self, batch: &Batch<'_>, replace: bool) -> Result<Change> {
        self.healthy()?;
        batch.check(self.schema().key_kind())?;
        batch.within(&self.options.limits)?;
        let before = (0u64..)
            .zip(&batch.keys)
            .map(|(at, key)| {
                self.find(key, replace).map_err(|error| match error {
                    Error::DuplicateKey { key, .. } => Error::DuplicateKey { key, row: Some(at) },
                    other => other,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        self.room(before.iter().filter(|&&at| at == At::Nowhere).count() as u64)?;
        let first = self.arena.push_batch(batch, self.options.threads)?;
        for ((slot, key), before) in (first..).zip(&batch.keys).zip(before) {
            self.bury(key, before);
            self.pending.insert(key.clone(), slot);
            self.step();
        }
        self.zeros += batch.zeros_dropped();
        self.spill_if_full()?;
        Ok(self.change(batch.keys.len() as u64))
    }

    /// Deletes the live document of a key, if there is one.
    ///
    /// # Errors
    /// [`Error::Input`] for a key of another kind than the schema's; [`Error::Corrupt`] where the
    /// keys of a segment are damaged.
    pub fn delete(&mut self, key: impl Into<Key>) -> Result<Change> {
        self.healthy()?;
        let key = key.into();
        check_key_kind(self.schema().key_kind(), &key)?;
        let at = self.find(&key, true)?;
        let was = at != At::Nowhere;
        self.bury(&key, at);
        if was {
            self.step();
        }
        Ok(self.change(was.into()))
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
    pub(super) fn find(&self, key: &Key, replace: bool) -> Result<At> {
        let at = match self.pending.get(key) {
            Some(&slot) => At::Slot(slot),
            None if self.building.as_ref().is_some_and(|building| building.holds(key)) => {
                At::Building
            }
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
    pub(super) fn bury(&mut self, key: &Key, at: At) -> bool {
        match at {
            At::Nowhere => false,
            At::Slot(slot) => {
                self.arena.kill(slot);
                self.pending.remove(key).is_some()
            }
            At::Building => self.building.as_mut().is_some_and(|building| building.bury(key)),
            At::Segment(segment, doc) => self.segments.get_mut(segment).is_some_and(|held| {
                held.dirty = true;
                held.dead.insert(doc)
            }),
        }
    }

    pub(super) fn spill_if_full(&mut self) -> Result<()> {
        let aside = self.arena.set_aside(self.storage.as_ref());
        self.guard(aside)?;
        let full = self.arena.bytes() >= self.options.arena();
        if full || self.arena.slots() >= MAX_SEGMENT_DOCS {
            let handed = self.hand_over();
            return self.guard(handed);
        }
        Ok(())
    }
}
