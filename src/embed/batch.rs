//! Many documents at once, column by column.

use std::borrow::Cow;

use super::document::{Attribute, check_f64, check_key, check_keyword, check_payload};
use super::sparse::same_length;
use super::sparse_batch::{CleanSparseRows, SparseBatch};
use super::tokens::{CleanTokens, TokenBatch};
use crate::error::{Fault, InputError, Result};
use crate::id::Key;
use crate::limits::MAX_KEYWORDS;
use crate::schema::{
    BoolField, F64Field, I64Field, KeyKind, KeywordField, SparseField, TokenField, U64Field,
};

/// Documents as columns: one key, and one row of each column, per document. All columns have as
/// many rows as there are keys; each is checked whole when it is handed in, and vectors are
/// borrowed, or gathered in one place where they must be put in order: no allocation per vector.
///
/// ```
/// use lateen::{Batch, Schema, SparseBatch};
///
/// let mut schema = Schema::builder();
/// let splade = schema.sparse("splade");
/// let (indptr, terms, weights) = ([0i64, 2, 3], [4u32, 9, 4], [0.5f32, 1.0, 2.0]);
/// let batch = Batch::new(["a", "b"])
///     .sparse(&splade, &SparseBatch::csr(&indptr, &terms, &weights))?;
/// assert_eq!(batch.len(), 2);
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch<'a> {
    pub(crate) keys: Vec<Key>,
    pub(crate) sparse: Vec<(SparseField, CleanSparseRows<'a>)>,
    pub(crate) tokens: Vec<(TokenField, Vec<Option<CleanTokens<'a>>>)>,
    /// (row, attribute), rows ascending within each call.
    pub(crate) attributes: Vec<(usize, Attribute<'a>)>,
    pub(crate) payloads: Option<Vec<Option<Cow<'a, [u8]>>>>,
}

impl<'a> Batch<'a> {
    /// A batch of these keys.
    pub fn new<K: Into<Key>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// How many documents.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn once(field: &str, given: bool) -> Result<(), InputError> {
        if given { Err(InputError::new(field, Fault::Twice)) } else { Ok(()) }
    }

    /// Gives every document a sparse vector; an empty row leaves the field absent.
    ///
    /// # Errors
    /// As [`Document::sparse`](crate::Document::sparse), with the row; or a number of rows that is
    /// not the number of keys.
    pub fn sparse(mut self, field: &SparseField, rows: &SparseBatch<'a>) -> Result<Self> {
        Self::once(field.name(), self.sparse.iter().any(|(other, _)| other == field))?;
        let rows = rows.clean(field, self.len())?;
        self.sparse.push((field.clone(), rows));
        Ok(self)
    }

    /// Gives every document a token matrix; a length of 0 leaves the field absent.
    ///
    /// # Errors
    /// As [`Document::tokens`](crate::Document::tokens), where `row` is the document and
    /// `position` its token row; or a number of rows that is not the number of keys.
    pub fn tokens(mut self, field: &TokenField, rows: &TokenBatch<'a>) -> Result<Self> {
        Self::once(field.name(), self.tokens.iter().any(|(other, _)| other == field))?;
        let rows = rows.clean(field)?;
        same_length(field.name(), "documents beside the keys", rows.len(), self.len())?;
        self.tokens.push((field.clone(), rows));
        Ok(self)
    }

    /// Gives every document its keywords: any number of them each.
    ///
    /// # Errors
    /// As [`Document::keyword`](crate::Document::keyword), with the row.
    pub fn keywords<S: AsRef<str>>(
        mut self,
        field: &KeywordField,
        rows: &'a [Vec<S>],
    ) -> Result<Self> {
        let same = |(_, other): &(usize, Attribute<'_>)| matches!(other, Attribute::Keyword(f, _) if f == field);
        Self::once(field.name(), self.attributes.iter().any(same))?;
        same_length(field.name(), "rows beside the keys", rows.len(), self.len())?;
        for (row, values) in rows.iter().enumerate() {
            if values.len() > MAX_KEYWORDS {
                let (found, limit) = (values.len() as u64, MAX_KEYWORDS as u64);
                let fault = Fault::TooMany { what: "values", found, limit };
                return Err(InputError::new(field.name(), fault).row(row).into());
            }
            for value in values {
                check_keyword(field.name(), value.as_ref()).map_err(|error| error.row(row))?;
                let value = Cow::Borrowed(value.as_ref());
                self.attributes.push((row, Attribute::Keyword(field.clone(), value)));
            }
        }
        Ok(self)
    }

    /// Sets a signed integer attribute where there is a value.
    ///
    /// # Errors
    /// A number of rows that is not the number of keys; so for the other columns.
    pub fn i64(self, field: &I64Field, rows: &[Option<i64>]) -> Result<Self> {
        self.column(field.name(), rows, |value| Ok(Attribute::I64(field.clone(), value)))
    }

    /// Sets an unsigned integer attribute where there is a value.
    ///
    /// # Errors
    /// A number of rows that is not the number of keys.
    pub fn u64(self, field: &U64Field, rows: &[Option<u64>]) -> Result<Self> {
        self.column(field.name(), rows, |value| Ok(Attribute::U64(field.clone(), value)))
    }

    /// Sets a float attribute where there is a value.
    ///
    /// # Errors
    /// NaN; a number of rows that is not the number of keys.
    pub fn f64(self, field: &F64Field, rows: &[Option<f64>]) -> Result<Self> {
        self.column(field.name(), rows, |value| {
            check_f64(field.name(), value)?;
            Ok(Attribute::F64(field.clone(), value))
        })
    }

    /// Sets a boolean attribute where there is a value.
    ///
    /// # Errors
    /// A number of rows that is not the number of keys.
    pub fn bool(self, field: &BoolField, rows: &[Option<bool>]) -> Result<Self> {
        self.column(field.name(), rows, |value| Ok(Attribute::Bool(field.clone(), value)))
    }

    fn column<T: Copy>(
        mut self,
        name: &str,
        rows: &[Option<T>],
        attribute: impl Fn(T) -> Result<Attribute<'a>, InputError>,
    ) -> Result<Self> {
        same_length(name, "rows beside the keys", rows.len(), self.len())?;
        for (row, value) in rows.iter().enumerate() {
            if let Some(value) = value {
                self.attributes.push((row, attribute(*value).map_err(|error| error.row(row))?));
            }
        }
        Ok(self)
    }

    /// Gives every document a payload.
    ///
    /// # Errors
    /// One longer than 16 MiB, or a number of rows that is not the number of keys.
    pub fn payloads<P: AsRef<[u8]>>(mut self, rows: &'a [P]) -> Result<Self> {
        same_length("payload", "rows beside the keys", rows.len(), self.len())?;
        Self::once("payload", self.payloads.is_some())?;
        let mut payloads = Vec::with_capacity(rows.len());
        for (row, bytes) in rows.iter().enumerate() {
            check_payload(bytes.as_ref()).map_err(|error| error.row(row))?;
            payloads.push(Some(Cow::Borrowed(bytes.as_ref())));
        }
        self.payloads = Some(payloads);
        Ok(self)
    }

    /// Weights of zero that were dropped from its sparse vectors.
    pub fn zeros_dropped(&self) -> u64 {
        self.sparse.iter().map(|(_, rows)| rows.zeros()).sum()
    }

    /// Checks what spans columns: the keys' kind, no key twice, no document without a vector, no
    /// single-valued attribute twice.
    pub(crate) fn check(&self, kind: KeyKind) -> Result<(), InputError> {
        let mut seen = std::collections::HashSet::with_capacity(self.len());
        for (row, key) in self.keys.iter().enumerate() {
            check_key(kind, key).map_err(|error| error.row(row))?;
            if !seen.insert(key) {
                return Err(InputError::new("key", Fault::Twice).row(row));
            }
            let sparse = self.sparse.iter().any(|(_, rows)| rows.has(row));
            let tokens =
                self.tokens.iter().any(|(_, rows)| rows.get(row).is_some_and(Option::is_some));
            if !sparse && !tokens {
                let fault = Fault::Empty { what: "a document without a vector" };
                return Err(InputError::new("document", fault).row(row));
            }
        }
        let mut single = std::collections::HashSet::new();
        for (row, attribute) in &self.attributes {
            if let Some(name) = attribute.single_name()
                && !single.insert((*row, name))
            {
                return Err(InputError::new(name, Fault::Twice).row(*row));
            }
        }
        Ok(())
    }
}
