//! The vectors of one sparse field while a segment is gathered.

use crate::embed::CleanSparse;
use crate::error::Result;
use crate::format::ContainerWriter;
use crate::id::TermId;
use crate::schema::SparseOptions;

use super::build::Inverted;
use super::write;

/// Vectors by slot, in one arena: no allocation per document.
#[derive(Debug)]
pub(crate) struct SparseColumn {
    options: SparseOptions,
    /// Slots that have the field, ascending.
    slots: Vec<u32>,
    /// Where each of their rows ends.
    ends: Vec<usize>,
    terms: Vec<TermId>,
    weights: Vec<f32>,
}

impl SparseColumn {
    /// An empty column of a field with these settings.
    pub(crate) fn new(options: &SparseOptions) -> Self {
        Self {
            options: options.clone(),
            slots: Vec::new(),
            ends: Vec::new(),
            terms: Vec::new(),
            weights: Vec::new(),
        }
    }

    /// Takes in the vector of a slot; slots must come in ascending order. A slot with no terms,
    /// or never pushed, lacks the field.
    pub(crate) fn push(&mut self, slot: u32, row: &CleanSparse<'_>) {
        debug_assert!(self.slots.last().is_none_or(|&last| last < slot), "slots ascend");
        debug_assert_eq!(row.terms.len(), row.weights.len());
        if row.terms.is_empty() {
            return;
        }
        self.terms.extend_from_slice(&row.terms);
        self.weights.extend_from_slice(&row.weights);
        self.slots.push(slot);
        self.ends.push(self.terms.len());
    }

    /// Input bytes taken in: 8 per entry and 12 per row. Spills are decided by this, not by what
    /// the allocator gave.
    pub(crate) fn bytes(&self) -> usize {
        self.terms.len() * 8 + self.slots.len() * 12
    }

    /// The vector of a slot: terms ascending, and their weights.
    pub(crate) fn row(&self, slot: u32) -> Option<(&[TermId], &[f32])> {
        self.entry(self.slots.binary_search(&slot).ok()?)
    }

    /// The `index`-th vector taken in.
    fn entry(&self, index: usize) -> Option<(&[TermId], &[f32])> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        let range = start.unwrap_or(0)..end;
        Some((self.terms.get(range.clone())?, self.weights.get(range)?))
    }

    /// Writes the field's sections of a segment in which document `i` is slot `order[i]`. Writes
    /// nothing where no such slot has the field. The bytes do not depend on `threads`.
    pub(crate) fn write(
        &self,
        order: &[u32],
        field: u32,
        threads: usize,
        out: &mut ContainerWriter,
    ) -> Result<()> {
        let rows: Vec<(&[TermId], &[f32])> =
            order.iter().map(|&slot| self.row(slot).unwrap_or_default()).collect();
        let inverted = Inverted::new(&rows, self.options.forward);
        write::sections(&inverted, &rows, field, threads, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back() {
        let mut column = SparseColumn::new(&SparseOptions::default());
        let row = |terms: &[u32], weights: &[f32]| CleanSparse {
            terms: terms.to_vec().into(),
            weights: weights.to_vec().into(),
            zeros: 0,
        };
        column.push(2, &row(&[1, 7], &[0.5, 2.0]));
        column.push(3, &row(&[], &[]));
        column.push(9, &row(&[u32::MAX], &[1.0]));
        assert_eq!(column.row(2), Some((&[1, 7][..], &[0.5, 2.0][..])));
        assert_eq!(column.row(9), Some((&[u32::MAX][..], &[1.0][..])));
        assert_eq!((column.row(3), column.row(0), column.row(10)), (None, None, None));
        assert_eq!(column.bytes(), 3 * 8 + 2 * 12);
    }
}
