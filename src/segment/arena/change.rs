//! Documents that get other attributes or another payload and keep their vectors.

use super::{Arena, Column};
use crate::embed::{Change, CleanSparse, NewPayload, Update};
use crate::error::Result;
use crate::id::DocId;
use crate::segment::{AttributeTable, Segment};
use crate::sparse::SparseIndex;

/// The changes of an update, by the ordinals of their fields.
pub(crate) struct Changes<'a> {
    by_field: Vec<(usize, &'a Change<'a>)>,
    update: &'a Update<'a>,
}

impl Changes<'_> {
    fn of_field(&self, at: usize) -> Option<&Change<'_>> {
        self.by_field.iter().find(|(field, _)| *field == at).map(|(_, change)| *change)
    }
}

impl Arena {
    /// Finds where the changes belong; nothing is changed yet.
    ///
    /// # Errors
    /// A handle of another schema.
    pub(crate) fn changes<'a>(&self, update: &'a Update<'a>) -> Result<Changes<'a>> {
        let place = |change: &'a Change<'a>| Ok((change.resolve(&self.schema)?, change));
        let by_field = update.changes.iter().map(place).collect::<Result<_>>()?;
        Ok(Changes { by_field, update })
    }

    /// Changes a document that was taken in.
    pub(crate) fn change(&mut self, slot: u32, changes: &Changes<'_>) {
        for &(at, change) in &changes.by_field {
            if let Some(Column::Attribute(column)) = self.columns.get_mut(at) {
                self.bytes += column.set(slot, change);
            }
        }
        match &changes.update.payload {
            NewPayload::Kept => {}
            NewPayload::Removed => self.payloads.set(slot, None),
            NewPayload::Given(bytes) => {
                self.payloads.set(slot, Some(bytes));
                self.bytes += bytes.len();
            }
        }
    }

    /// Takes in a document of a written segment, with changes: vectors as they are stored there.
    /// Nothing is taken in where it cannot be read.
    ///
    /// # Errors
    /// `Corrupt`
    pub(crate) fn push_changed(
        &mut self,
        segment: &Segment,
        doc: DocId,
        changes: &Changes<'_>,
    ) -> Result<u32> {
        let mut sparse = Vec::new();
        let mut tokens = Vec::new();
        let mut texts = Vec::new();
        let mut bits = Vec::new();
        for (at, column) in self.columns.iter().enumerate() {
            match column {
                Column::Sparse(_) => {
                    if let Some(index) = segment.sparse(at)
                        && let Some(row) = stored_row(index, doc)?
                    {
                        sparse.push((at, row));
                    }
                }
                Column::Tokens(_) => {
                    if let Some(store) = segment.tokens(at)
                        && let Some(rows) = store.stored(doc)?
                    {
                        tokens.push((at, rows));
                    }
                }
                Column::Attribute(_) if changes.of_field(at).is_some() => {}
                Column::Attribute(_) => match segment.attribute(at) {
                    Some(AttributeTable::Keyword(table)) => texts.push((at, table.get(doc)?)),
                    Some(AttributeTable::Number(table)) => {
                        bits.extend(table.get(doc).map(|bits| (at, bits)));
                    }
                    None => {}
                },
            }
        }
        let held = match &changes.update.payload {
            NewPayload::Kept => segment.payload(doc)?,
            NewPayload::Removed | NewPayload::Given(_) => None,
        };
        let slot = self.open_slot(&changes.update.key, held.as_deref());
        for (at, row) in sparse {
            self.push_sparse(at, slot, &row);
        }
        for (at, rows) in tokens {
            if let Some(Column::Tokens(column)) = self.columns.get_mut(at) {
                let before = column.bytes();
                column.push_stored(slot, &rows);
                self.bytes += super::tokens_need(column.bytes() - before);
            }
        }
        for (at, texts) in texts {
            if let Some(Column::Attribute(column)) = self.columns.get_mut(at) {
                self.bytes += texts.iter().map(|text| column.push_text(slot, text)).sum::<usize>();
            }
        }
        for (at, bits) in bits {
            if let Some(Column::Attribute(column)) = self.columns.get_mut(at) {
                self.bytes += column.push_bits(slot, bits);
            }
        }
        self.change(slot, changes);
        Ok(slot)
    }
}

/// A document's vector. Where there are no forward rows it is put together from the postings of
/// the whole field, which takes as long as there are postings.
fn stored_row(index: &SparseIndex, doc: DocId) -> Result<Option<CleanSparse<'static>>> {
    let clean = |terms: &[u32], weights: &[f32]| CleanSparse {
        terms: terms.to_vec().into(),
        weights: weights.to_vec().into(),
        zeros: 0,
    };
    if let Some(row) = index.row(doc)? {
        return Ok(Some(clean(&row.terms, &row.weights)));
    }
    let mut found = None;
    if !index.has_rows() {
        index.each_row(|of, terms, weights| {
            if of == doc {
                found = Some(clean(terms, weights));
            }
            Ok(())
        })?;
    }
    Ok(found)
}
