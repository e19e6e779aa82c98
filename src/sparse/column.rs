//! The vectors of one sparse field while a segment is gathered.

use std::ops::Range;

use crate::embed::CleanSparse;
use crate::error::Result;
use crate::format::ContainerWriter;
use crate::id::DocId;
use crate::schema::SparseOptions;
use crate::storage::Storage;

use super::build::{RowSource, Take};
use super::rows::RowStore;
use super::similar::bring_together;
use super::write;

/// Vectors by slot: no allocation per document, and little memory.
#[derive(Debug)]
pub(crate) struct SparseColumn {
    options: SparseOptions,
    rows: RowStore,
}

impl SparseColumn {
    /// An empty column of a field with these settings.
    pub(crate) fn new(options: &SparseOptions) -> Self {
        Self { options: options.clone(), rows: RowStore::default() }
    }

    /// Takes in the vector of a slot; slots must come in ascending order. A slot with no terms,
    /// or never pushed, lacks the field.
    pub(crate) fn push(&mut self, slot: u32, row: &CleanSparse<'_>) {
        debug_assert!(self.rows.last().is_none_or(|last| last < slot), "slots ascend");
        debug_assert_eq!(row.terms.len(), row.weights.len());
        if !row.terms.is_empty() {
            self.rows.push(slot, &row.terms, &row.weights);
        }
    }

    /// Input bytes taken in and not set aside: 8 per entry, and 12 per row in any case. Spills are
    /// decided by this, not by what the allocator gave.
    pub(crate) fn bytes(&self) -> usize {
        let (rows, entries) = self.rows.counts();
        entries * 8 + rows * 12
    }

    /// Where much is in memory, moves it to a scratch file of the storage, if that has such.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn set_aside(&mut self, storage: &dyn Storage) -> Result<()> {
        self.rows.set_aside(storage)
    }

    /// Moves all to a scratch file.
    #[cfg(test)]
    pub(super) fn set_all_aside(&mut self, storage: &dyn Storage) -> Result<()> {
        self.rows.move_tail(storage)
    }

    /// Puts slots, ascending, into an order in which those whose vectors share terms lie together;
    /// those without come last. The order does not depend on `threads`, nor on what was set aside.
    ///
    /// # Errors
    /// `Io`, where what was set aside cannot be read.
    pub(crate) fn bring_together(&self, slots: &mut [u32], threads: usize) -> Result<()> {
        bring_together(&self.rows, slots, threads)
    }

    /// Writes the field's sections of a segment in which document `i` is slot `order[i]`. Writes
    /// nothing where no such slot has the field. The bytes do not depend on `threads`, nor on the
    /// `memory` that documents are turned over in, nor on what was set aside.
    pub(crate) fn write(
        &self,
        order: &[u32],
        field: u32,
        threads: usize,
        memory: usize,
        out: &mut ContainerWriter,
    ) -> Result<()> {
        let memory = memory.min(write::MEMORY);
        let source = Ordered { rows: &self.rows, order, ascending: order.is_sorted() };
        write::field(&source, &self.options, field, threads, memory, out)
    }
}

/// Rows in the order of a segment's documents.
#[derive(Debug)]
struct Ordered<'a> {
    rows: &'a RowStore,
    order: &'a [u32],
    ascending: bool,
}

impl RowSource for Ordered<'_> {
    fn docs(&self) -> u32 {
        u32::try_from(self.order.len()).unwrap_or(u32::MAX)
    }

    fn each(&self, docs: Range<DocId>, take: &mut Take<'_>) -> Result<()> {
        let mut reader = self.rows.reader(self.ascending);
        let (mut terms, mut weights) = (Vec::new(), Vec::new());
        let slots = self.order.get(docs.start as usize..docs.end as usize).unwrap_or_default();
        for (doc, &slot) in docs.zip(slots) {
            if reader.read(slot, &mut terms, &mut weights)? {
                take(doc, &terms, &weights);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{FsStorage, OpenMode};

    fn clean(terms: &[u32], weights: &[f32]) -> CleanSparse<'static> {
        CleanSparse { terms: terms.to_vec().into(), weights: weights.to_vec().into(), zeros: 0 }
    }

    #[test]
    fn rows_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FsStorage::new(dir.path(), OpenMode::Map);
        let mut column = SparseColumn::new(&SparseOptions::default());
        let mut expected = Vec::new();
        for slot in (0..6000u32).step_by(2) {
            let terms: Vec<u32> = (0..slot % 200).map(|t| t * 70_000 / (slot % 7 + 1)).collect();
            // Some rows are exact in f16, some are not.
            let part = if slot % 3 == 0 { 0.3 } else { 0.25 };
            let weights: Vec<f32> = (1..=terms.len()).map(|w| w as f32 * part).collect();
            column.push(slot, &clean(&terms, &weights));
            if slot % 1000 == 0 {
                column.set_all_aside(&storage).unwrap();
            }
            expected.push((slot, terms, weights));
        }
        column.push(u32::MAX, &clean(&[u32::MAX], &[f32::MAX]));
        let (mut terms, mut weights) = (vec![7], vec![7.0]);
        let mut reader = column.rows.reader(true);
        for (slot, want_terms, want_weights) in expected.iter().chain(expected.iter().rev()) {
            let found = reader.read(*slot, &mut terms, &mut weights).unwrap();
            assert_eq!(found, !want_terms.is_empty());
            assert!(!reader.read(slot + 1, &mut vec![], &mut vec![]).unwrap());
            if found {
                assert_eq!((&terms, &weights), (want_terms, want_weights));
            }
        }
        assert!(reader.read(u32::MAX, &mut terms, &mut weights).unwrap());
        assert_eq!((&terms[..], &weights[..]), (&[u32::MAX][..], &[f32::MAX][..]));
    }

    #[test]
    fn only_what_is_in_memory_counts() {
        let dir = tempfile::tempdir().unwrap();
        let storage = FsStorage::new(dir.path(), OpenMode::Map);
        let mut column = SparseColumn::new(&SparseOptions::default());
        column.push(2, &clean(&[1, 7], &[0.5, 2.0]));
        column.push(3, &clean(&[], &[]));
        column.push(9, &clean(&[u32::MAX], &[1.0]));
        assert_eq!(column.bytes(), 3 * 8 + 2 * 12);
        column.set_aside(&storage).unwrap(); // too little to be worth it
        assert_eq!(column.bytes(), 3 * 8 + 2 * 12);
        column.set_all_aside(&storage).unwrap();
        column.push(10, &clean(&[3], &[1.0]));
        assert_eq!(column.bytes(), 8 + 3 * 12);
    }
}
