//! Changes to a document that leave its vectors alone.

use std::borrow::Cow;

use super::document::{check_f64, check_keyword, check_payload};
use crate::error::{Fault, InputError, Result};
use crate::id::Key;
use crate::limits::MAX_KEYWORDS;
use crate::schema::{BoolField, F64Field, I64Field, KeywordField, Schema, U64Field};

/// New values for some attributes, or the payload, of the document of a key. What is not named
/// stays as it is, vectors always do.
///
/// ```
/// use lateen::{Schema, Update};
///
/// let mut schema = Schema::builder();
/// # schema.sparse("splade");
/// let lang = schema.keyword("lang");
/// let year = schema.i64("year");
/// let update = Update::new("wiki-Lipid#0")
///     .keywords(&lang, ["en", "fr"])? // in place of those it had
///     .i64(&year, None)?; // no longer has one
/// # let _ = update;
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Update<'a> {
    pub(crate) key: Key,
    pub(crate) changes: Vec<Change<'a>>,
    pub(crate) payload: NewPayload<'a>,
}

/// What becomes of the payload.
#[derive(Clone, Debug)]
pub(crate) enum NewPayload<'a> {
    Kept,
    Removed,
    Given(Cow<'a, [u8]>),
}

/// An attribute with the values that take the place of those it has.
#[derive(Clone, Debug)]
pub(crate) enum Change<'a> {
    Keywords(KeywordField, Vec<Cow<'a, str>>),
    I64(I64Field, Option<i64>),
    U64(U64Field, Option<u64>),
    F64(F64Field, Option<f64>),
    Bool(BoolField, Option<bool>),
}

impl Change<'_> {
    fn name(&self) -> &str {
        match self {
            Self::Keywords(field, _) => field.name(),
            Self::I64(field, _) => field.name(),
            Self::U64(field, _) => field.name(),
            Self::F64(field, _) => field.name(),
            Self::Bool(field, _) => field.name(),
        }
    }

    /// The ordinal of its field in a schema.
    pub(crate) fn resolve(&self, schema: &Schema) -> Result<usize> {
        Ok(match self {
            Self::Keywords(field, _) => schema.resolve(field),
            Self::I64(field, _) => schema.resolve(field),
            Self::U64(field, _) => schema.resolve(field),
            Self::F64(field, _) => schema.resolve(field),
            Self::Bool(field, _) => schema.resolve(field),
        }?)
    }

    /// The 64 bits of a number or a truth value, if there is one.
    pub(crate) fn bits(&self) -> Option<u64> {
        match self {
            Self::Keywords(..) => None,
            Self::I64(_, value) => value.map(i64::cast_unsigned),
            Self::U64(_, value) => *value,
            Self::F64(_, value) => value.map(f64::to_bits),
            Self::Bool(_, value) => value.map(u64::from),
        }
    }
}

impl<'a> Update<'a> {
    /// Changes nothing yet.
    pub fn new(key: impl Into<Key>) -> Self {
        Self { key: key.into(), changes: Vec::new(), payload: NewPayload::Kept }
    }

    /// The key of the document to be changed.
    pub fn key(&self) -> &Key {
        &self.key
    }

    fn with(mut self, change: Change<'a>) -> Result<Self> {
        if self.changes.iter().any(|other| other.name() == change.name()) {
            return Err(InputError::new(change.name(), Fault::Twice).into());
        }
        self.changes.push(change);
        Ok(self)
    }

    /// Replaces all values of a keyword attribute; by none where none are given.
    ///
    /// # Errors
    /// A value longer than 4,096 bytes, more than 1,024 values, or the field given twice.
    pub fn keywords<S: Into<Cow<'a, str>>>(
        self,
        field: &KeywordField,
        values: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let values: Vec<Cow<'a, str>> = values.into_iter().map(Into::into).collect();
        if values.len() > MAX_KEYWORDS {
            let (found, limit) = (values.len() as u64, MAX_KEYWORDS as u64);
            let fault = Fault::TooMany { what: "values", found, limit };
            return Err(InputError::new(field.name(), fault).into());
        }
        values.iter().try_for_each(|value| check_keyword(field.name(), value))?;
        self.with(Change::Keywords(field.clone(), values))
    }

    /// Sets, or with `None` removes, a signed integer attribute.
    ///
    /// # Errors
    /// Given twice; so for the other single-valued attributes.
    pub fn i64(self, field: &I64Field, value: impl Into<Option<i64>>) -> Result<Self> {
        self.with(Change::I64(field.clone(), value.into()))
    }

    /// Sets, or with `None` removes, an unsigned integer attribute.
    ///
    /// # Errors
    /// Given twice.
    pub fn u64(self, field: &U64Field, value: impl Into<Option<u64>>) -> Result<Self> {
        self.with(Change::U64(field.clone(), value.into()))
    }

    /// Sets, or with `None` removes, a float attribute.
    ///
    /// # Errors
    /// NaN, or given twice.
    pub fn f64(self, field: &F64Field, value: impl Into<Option<f64>>) -> Result<Self> {
        let value = value.into();
        value.map_or(Ok(()), |value| check_f64(field.name(), value))?;
        self.with(Change::F64(field.clone(), value))
    }

    /// Sets, or with `None` removes, a boolean attribute.
    ///
    /// # Errors
    /// Given twice.
    pub fn bool(self, field: &BoolField, value: impl Into<Option<bool>>) -> Result<Self> {
        self.with(Change::Bool(field.clone(), value.into()))
    }

    /// Replaces the payload; at most 16 MiB, checked when the change is made.
    #[must_use]
    pub fn payload(mut self, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        self.payload = NewPayload::Given(bytes.into());
        self
    }

    /// Removes the payload.
    #[must_use]
    pub fn no_payload(mut self) -> Self {
        self.payload = NewPayload::Removed;
        self
    }

    /// Checks what was not checked at once.
    pub(crate) fn check(&self) -> Result<(), InputError> {
        match &self.payload {
            NewPayload::Given(bytes) => check_payload(bytes),
            NewPayload::Kept | NewPayload::Removed => Ok(()),
        }
    }
}
