//! What comes out: hits, and documents as they are stored.

use std::fmt;

use crate::error::Result;
use crate::id::{DocId, Key, TermId};
use crate::index::snapshot::Snapshot;
use crate::limits::beyond;
use crate::schema::{
    BoolField, F64Field, I64Field, KeywordField, SparseField, TokenField, U64Field,
};
use crate::search::{Answer, Certainty, Found};
use crate::segment::{AttributeTable, Segment};

/// A document of a snapshot. It keeps the snapshot, and reads from the map when asked.
#[derive(Clone)]
pub struct StoredDocument {
    snapshot: Snapshot,
    segment: usize,
    doc: DocId,
    key: Key,
}

impl fmt::Debug for StoredDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredDocument").field("key", &self.key).finish_non_exhaustive()
    }
}

impl StoredDocument {
    pub(crate) fn new(snapshot: Snapshot, segment: usize, doc: DocId, key: Key) -> Self {
        Self { snapshot, segment, doc, key }
    }

    fn part<T>(&self, make: impl FnOnce(&Segment) -> Result<T>) -> Result<T> {
        self.snapshot.read_one(self.segment, make)
    }

    /// Its key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Its payload, decompressed.
    ///
    /// # Errors
    /// [`Error::Corrupt`](crate::Error::Corrupt) where the stored bytes are damaged; so for every
    /// getter here. A handle of another schema is [`Error::Schema`](crate::Error::Schema).
    pub fn payload(&self) -> Result<Option<Vec<u8>>> {
        self.part(|part| part.payload(self.doc))
    }

    /// Its values of a keyword attribute: distinct, in byte order.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub fn keywords(&self, field: &KeywordField) -> Result<Vec<String>> {
        let at = self.snapshot.schema().resolve(field)?;
        self.part(|part| match part.attribute(at) {
            Some(AttributeTable::Keyword(table)) => {
                Ok(table.get(self.doc)?.into_iter().map(str::to_owned).collect())
            }
            _ => Ok(Vec::new()),
        })
    }

    fn bits(&self, at: usize) -> Result<Option<u64>> {
        self.part(|part| match part.attribute(at) {
            Some(AttributeTable::Number(table)) => Ok(table.get(self.doc)),
            _ => Ok(None),
        })
    }

    /// Its value of a signed integer attribute.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub fn i64(&self, field: &I64Field) -> Result<Option<i64>> {
        let at = self.snapshot.schema().resolve(field)?;
        Ok(self.bits(at)?.map(u64::cast_signed))
    }

    /// Its value of an unsigned integer attribute.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub fn u64(&self, field: &U64Field) -> Result<Option<u64>> {
        self.bits(self.snapshot.schema().resolve(field)?)
    }

    /// Its value of a float attribute.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub fn f64(&self, field: &F64Field) -> Result<Option<f64>> {
        Ok(self.bits(self.snapshot.schema().resolve(field)?)?.map(f64::from_bits))
    }

    /// Its value of a boolean attribute.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub fn bool(&self, field: &BoolField) -> Result<Option<bool>> {
        Ok(self.bits(self.snapshot.schema().resolve(field)?)?.map(|bits| bits != 0))
    }

    /// Its sparse vector as stored, terms ascending; `None` where it lacks the field, or where the
    /// field keeps no forward rows.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub fn sparse(&self, field: &SparseField) -> Result<Option<Vec<(TermId, f32)>>> {
        let at = self.snapshot.schema().resolve(field)?;
        self.part(|part| {
            let Some(index) = part.sparse(at) else { return Ok(None) };
            Ok(index.row(self.doc)?.map(|row| row.iter().collect()))
        })
    }

    /// Its token rows as stored, decoded, one after another; `None` where it lacks the field.
    ///
    /// # Errors
    /// As [`payload`](Self::payload); [`Error::Limit`](crate::Error::Limit) where they have more
    /// components than [`Limits::row_values`](crate::limits::Limits::row_values).
    pub fn tokens(&self, field: &TokenField) -> Result<Option<Vec<f32>>> {
        let at = self.snapshot.schema().resolve(field)?;
        let most = self.snapshot.limits().row_values;
        self.part(|part| {
            let Some(store) = part.tokens(at) else { return Ok(None) };
            let rows = store.stored(self.doc)?.map_or(0, |rows| rows.coded.len());
            let values = (rows as u64).saturating_mul(field.dim() as u64);
            beyond(field.name(), "components of a document's rows", values, most)?;
            store.doc_rows(self.doc)
        })
    }

    /// The bytes `start..end` of its text that each of its token rows stands for; `None` where it
    /// lacks the field, or where some row has none.
    ///
    /// # Errors
    /// As [`payload`](Self::payload).
    pub fn spans(&self, field: &TokenField) -> Result<Option<Vec<(u32, u32)>>> {
        let at = self.snapshot.schema().resolve(field)?;
        self.part(|part| {
            let Some(store) = part.tokens(at) else { return Ok(None) };
            let Some(rows) = store.stored(self.doc)? else { return Ok(None) };
            Ok((0..rows.coded.len()).map(|row| rows.spans.get(row)).collect())
        })
    }
}

/// A document of an answer, with its score. Everything a [`StoredDocument`] gives, it gives.
#[derive(Clone, Debug)]
pub struct Hit {
    document: StoredDocument,
    score: f32,
    inside: Vec<Hit>,
}

impl Hit {
    fn new(snapshot: &Snapshot, found: Found) -> Self {
        let Found { segment, doc, key, score, inside } = found;
        let document = StoredDocument::new(snapshot.clone(), segment, doc, key);
        let inside = inside.into_iter().map(|found| Self::new(snapshot, found)).collect();
        Self { document, score, inside }
    }

    /// The best documents of its parent, best first and itself among them, where hits are
    /// collapsed and this many were asked for ([`Collapse::inside`](crate::Collapse::inside)).
    pub fn inside(&self) -> &[Hit] {
        &self.inside
    }

    /// The snapshot that found it, and where in there it is.
    pub(crate) fn place(&self) -> (&Snapshot, usize, DocId) {
        let StoredDocument { snapshot, segment, doc, .. } = &self.document;
        (snapshot, *segment, *doc)
    }

    /// The score, in the units of the vectors; how it is defined stands with [`Query`](crate::Query).
    pub fn score(&self) -> f32 {
        self.score
    }
}

impl std::ops::Deref for Hit {
    type Target = StoredDocument;

    fn deref(&self) -> &StoredDocument {
        &self.document
    }
}

/// An answer: hits in order (score descending, key ascending), and what is guaranteed of them.
#[derive(Clone, Debug)]
pub struct Hits {
    hits: Vec<Hit>,
    certainty: Certainty,
}

impl Hits {
    pub(crate) fn new(snapshot: &Snapshot, answer: Answer) -> Self {
        let found = answer.found.into_iter();
        let hits = found.map(|found| Hit::new(snapshot, found)).collect();
        Self { hits, certainty: answer.certainty }
    }

    /// The best `top` of several answers to one query, from indexes or subsets that have no key in
    /// common: score descending, then key ascending. Scores depend on nothing but the document, so
    /// this is the answer that one index of all the documents would have given; what is guaranteed
    /// is the least of what each part guarantees.
    #[must_use]
    pub fn merge(parts: impl IntoIterator<Item = Self>, top: usize) -> Self {
        let mut merged = Self { hits: Vec::new(), certainty: Certainty::Certified };
        for part in parts {
            merged.certainty = merged.certainty.min(part.certainty);
            merged.hits.extend(part.hits);
        }
        let order =
            |a: &Hit, b: &Hit| b.score.total_cmp(&a.score).then_with(|| a.key().cmp(b.key()));
        merged.hits.sort_by(order);
        merged.hits.truncate(top);
        merged
    }

    /// What is guaranteed.
    pub fn certainty(&self) -> Certainty {
        self.certainty
    }

    /// Whether everything was looked at that the query asked for: not so where its deadline or
    /// flag ended the search.
    pub fn complete(&self) -> bool {
        self.certainty != Certainty::Incomplete
    }

    /// The hits in another order, such as one of a [`reranker from outside`](crate::outside). A
    /// place that is named twice counts once; hits that are not named follow as they were.
    #[must_use]
    pub fn reordered(&self, order: &[usize]) -> Self {
        let mut left: Vec<Option<&Hit>> = self.hits.iter().map(Some).collect();
        let named = order.iter().filter_map(|&place| left.get_mut(place)?.take().cloned());
        let mut hits: Vec<Hit> = named.collect();
        hits.extend(left.into_iter().flatten().cloned());
        Self { hits, certainty: self.certainty }
    }

    /// Whether this is proven to be the true top. After a rerank: that the candidates are the true
    /// ones of the first stage, and stand in the true order; not that no document outside of them
    /// has a larger MaxSim.
    pub fn certified(&self) -> bool {
        self.certainty == Certainty::Certified
    }
}

impl std::ops::Deref for Hits {
    type Target = [Hit];

    fn deref(&self) -> &[Hit] {
        &self.hits
    }
}

impl IntoIterator for Hits {
    type Item = Hit;
    type IntoIter = std::vec::IntoIter<Hit>;

    fn into_iter(self) -> Self::IntoIter {
        self.hits.into_iter()
    }
}

impl<'a> IntoIterator for &'a Hits {
    type Item = &'a Hit;
    type IntoIter = std::slice::Iter<'a, Hit>;

    fn into_iter(self) -> Self::IntoIter {
        self.hits.iter()
    }
}
