//! Documents, batches and changes beside the limits of a writer.

use super::document::Attribute;
use super::update::Change;
use super::{Batch, CleanTokens, Document, NewPayload, Update};
use crate::error::InputError;
use crate::id::Key;
use crate::limits::{Limits, over};
use crate::schema::TokenField;

fn key(key: &Key, limits: &Limits) -> Result<(), InputError> {
    over("key", "bytes", key.as_str().map_or(0, str::len), limits.key_bytes)
}

fn payload(bytes: &[u8], limits: &Limits) -> Result<(), InputError> {
    over("payload", "bytes", bytes.len(), limits.payload_bytes)
}

fn value(field: &str, value: &str, limits: &Limits) -> Result<(), InputError> {
    over(field, "bytes", value.len(), limits.keyword_bytes)
}

fn terms(field: &str, count: usize, limits: &Limits) -> Result<(), InputError> {
    over(field, "terms of a vector", count, limits.terms)
}

fn rows(field: &TokenField, count: usize, limits: &Limits) -> Result<(), InputError> {
    over(field.name(), "rows of a document", count, limits.rows)?;
    let values = count.saturating_mul(field.dim());
    over(field.name(), "components of a document's rows", values, limits.row_values)
}

/// The values of each keyword attribute of a document, whose attributes these are.
fn attributes<'a>(
    all: impl Iterator<Item = &'a Attribute<'a>>,
    limits: &Limits,
) -> Result<(), InputError> {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for attribute in all {
        let Attribute::Keyword(field, text) = attribute else { continue };
        value(field.name(), text, limits)?;
        let count =
            if let Some((_, count)) = counts.iter_mut().find(|(name, _)| *name == field.name()) {
                *count += 1;
                *count
            } else {
                counts.push((field.name(), 1));
                1
            };
        over(field.name(), "values", count, limits.keywords)?;
    }
    Ok(())
}

impl Document<'_> {
    /// Checks everything that has a limit.
    pub(crate) fn within(&self, limits: &Limits) -> Result<(), InputError> {
        key(&self.key, limits)?;
        for (field, vector) in &self.sparse {
            terms(field.name(), vector.terms.len(), limits)?;
        }
        for (field, matrix) in &self.tokens {
            rows(field, matrix.len(), limits)?;
        }
        attributes(self.attributes.iter(), limits)?;
        self.payload.as_deref().map_or(Ok(()), |bytes| payload(bytes, limits))
    }
}

impl Batch<'_> {
    /// Checks everything that has a limit, document by document.
    pub(crate) fn within(&self, limits: &Limits) -> Result<(), InputError> {
        // What is as the format has it was checked where it was handed in.
        if *limits == Limits::default() {
            return Ok(());
        }
        let at = |row: usize| move |error: InputError| error.row(row);
        for (row, id) in self.keys.iter().enumerate() {
            key(id, limits).map_err(at(row))?;
            for (field, vectors) in &self.sparse {
                terms(field.name(), vectors.terms_of(row), limits).map_err(at(row))?;
            }
            for (field, matrices) in &self.tokens {
                let count = matrices.get(row).and_then(Option::as_ref).map_or(0, CleanTokens::len);
                rows(field, count, limits).map_err(at(row))?;
            }
            let bytes = self.payloads.as_ref().and_then(|all| all.get(row)?.as_deref());
            bytes.map_or(Ok(()), |bytes| payload(bytes, limits)).map_err(at(row))?;
        }
        let mut all: Vec<&(usize, Attribute<'_>)> = self.attributes.iter().collect();
        all.sort_by_key(|(row, _)| *row);
        for of_one in all.chunk_by(|(a, _), (b, _)| a == b) {
            let row = of_one.first().map_or(0, |(row, _)| *row);
            attributes(of_one.iter().map(|(_, attribute)| attribute), limits).map_err(at(row))?;
        }
        Ok(())
    }
}

impl Update<'_> {
    /// Checks everything that has a limit.
    pub(crate) fn within(&self, limits: &Limits) -> Result<(), InputError> {
        for change in &self.changes {
            if let Change::Keywords(field, values) = change {
                over(field.name(), "values", values.len(), limits.keywords)?;
                values.iter().try_for_each(|text| value(field.name(), text, limits))?;
            }
        }
        match &self.payload {
            NewPayload::Given(bytes) => payload(bytes, limits),
            NewPayload::Kept | NewPayload::Removed => Ok(()),
        }
    }
}
