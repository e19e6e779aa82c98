//! Vectors as they come in, kept small, and set aside in a scratch file where they are many.
//!
//! A row is kept as a [forward row](super::forward) over term ids, with f16 weights where all of
//! them are exact in it: 3.4 bytes an entry on the sets measured, where terms and weights as they
//! come take 8. What is in memory is bounded by [`TAIL`], whatever the number of rows, but for
//! twelve bytes a row.

use crate::error::{Error, Result};
use crate::id::TermId;
use crate::storage::{Scratch, Storage};

use super::build::Weights;
use super::forward::{self, RowView};

/// Bytes of rows in memory, from which on they are set aside.
const TAIL: usize = 16 << 20;
/// Bytes read at once of what was set aside, where rows are read one after another.
const READ: usize = 1 << 20;

/// What is said before a row.
const HALVES: u8 = 1;
const SINGLES: u8 = 2;

/// Rows by slot, slots ascending.
#[derive(Debug, Default)]
pub(super) struct RowStore {
    /// Slots that have a row.
    slots: Vec<u32>,
    /// Where each row ends, of all bytes.
    ends: Vec<u64>,
    /// The rows set aside, as many bytes as `aside` says.
    file: Option<Box<dyn Scratch>>,
    aside: u64,
    /// The rows since.
    tail: Vec<u8>,
    /// Entries in the rows since.
    entries: usize,
}

impl RowStore {
    /// Takes in a row of at least one term.
    pub(super) fn push(&mut self, slot: u32, terms: &[TermId], weights: &[f32]) {
        let exact = weights.iter().all(|&weight| Weights::is_half(weight));
        let (mark, kept) = if exact { (HALVES, Weights::F16) } else { (SINGLES, Weights::F32) };
        self.tail.push(mark);
        forward::encode(terms.iter().copied(), weights, kept, &mut self.tail);
        self.entries += terms.len();
        self.slots.push(slot);
        self.ends.push(self.aside + self.tail.len() as u64);
    }

    /// Slot of the last row.
    pub(super) fn last(&self) -> Option<u32> {
        self.slots.last().copied()
    }

    /// Whether a slot has a row.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.slots.binary_search(&slot).is_ok()
    }

    /// How many rows, and how many entries of them are in memory.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.slots.len(), self.entries)
    }

    /// Sets rows aside where many are in memory and the storage has room for them.
    ///
    /// # Errors
    /// `Io`; the rows are then as they were.
    pub(super) fn set_aside(&mut self, storage: &dyn Storage) -> Result<()> {
        if self.tail.len() < TAIL {
            return Ok(());
        }
        self.move_tail(storage)
    }

    /// Sets all rows aside, where the storage has room for them.
    pub(super) fn move_tail(&mut self, storage: &dyn Storage) -> Result<()> {
        let failed =
            |error| Error::io("write", format!("{}: scratch file", storage.place()), error);
        if self.file.is_none() {
            self.file = storage.scratch().map_err(failed)?;
        }
        if let Some(file) = &mut self.file {
            file.append(&self.tail).map_err(failed)?;
            self.aside += self.tail.len() as u64;
            self.tail.clear();
            self.entries = 0;
        }
        Ok(())
    }

    /// Reads rows, most of them `ascending` or here and there; one reader for each thread.
    pub(super) fn reader(&self, ascending: bool) -> RowReader<'_> {
        let ahead = if ascending { READ } else { 0 };
        RowReader { store: self, next: 0, start: 0, held: Vec::new(), ahead }
    }
}

/// Reads rows, fastest in the order of their slots.
#[derive(Debug)]
pub(super) struct RowReader<'a> {
    store: &'a RowStore,
    /// The row after the one read last.
    next: usize,
    /// A piece of what was set aside, and where it starts.
    start: u64,
    held: Vec<u8>,
    /// Bytes that are read at least, where there are as many.
    ahead: usize,
}

impl RowReader<'_> {
    /// Puts the row of a slot in place of what was in `terms` and `weights`; whether it has one.
    pub(super) fn read(
        &mut self,
        slot: u32,
        terms: &mut Vec<TermId>,
        weights: &mut Vec<f32>,
    ) -> Result<bool> {
        let slots = &self.store.slots;
        let row = if slots.get(self.next) == Some(&slot) {
            self.next
        } else {
            match slots.binary_search(&slot) {
                Ok(row) => row,
                Err(_) => return Ok(false),
            }
        };
        self.next = row + 1;
        let damaged =
            |what: &str| Error::io("read", "scratch file", std::io::Error::other(what.to_owned()));
        let bytes = self.bytes(row)?;
        let (mark, bytes) = bytes.split_first().ok_or_else(|| damaged("empty row"))?;
        let kept = if *mark == HALVES { Weights::F16 } else { Weights::F32 };
        let view = RowView::new(bytes, kept).map_err(damaged)?;
        let view = view.ok_or_else(|| damaged("empty row"))?;
        terms.clear();
        weights.clear();
        terms.reserve(view.count());
        view.each(|term, _| terms.push(u32::try_from(term).unwrap_or(u32::MAX)))
            .map_err(damaged)?;
        view.weights(weights);
        Ok(true)
    }

    fn bytes(&mut self, row: usize) -> Result<&[u8]> {
        let store = self.store;
        let before = row.checked_sub(1).and_then(|before| store.ends.get(before));
        let from = before.copied().unwrap_or(0);
        let to = store.ends.get(row).copied().unwrap_or(from);
        // Rows are set aside whole.
        let (held, start) = if from >= store.aside {
            (&store.tail[..], store.aside)
        } else {
            if from < self.start || to > self.start + self.held.len() as u64 {
                let wanted = (to - from).max(self.ahead as u64).min(store.aside - from);
                self.held.resize(usize::try_from(wanted).unwrap_or(usize::MAX), 0);
                self.start = from;
                if let Some(file) = &store.file {
                    file.read_at(from, &mut self.held)
                        .map_err(|error| Error::io("read", "scratch file", error))?;
                }
            }
            (&self.held[..], self.start)
        };
        let place = |at: u64| usize::try_from(at - start).unwrap_or(usize::MAX);
        Ok(held.get(place(from)..place(to)).unwrap_or_default())
    }
}
