//! One document on its way in.

use std::borrow::Cow;

use super::sparse::{CleanSparse, SparseVector};
use super::tokens::{CleanTokens, TokenMatrix};
use crate::error::{Error, Fault, InputError, Result};
use crate::id::Key;
use crate::limits::{MAX_KEY_BYTES, MAX_KEYWORD_BYTES, MAX_KEYWORDS, MAX_PAYLOAD_BYTES};
use crate::schema::{
    BoolField, F64Field, I64Field, KeyKind, KeywordField, Schema, SparseField, TokenField, U64Field,
};

/// A document: a key, and vectors, attributes and a payload as it has them. Everything is checked
/// as it is handed in; vectors are borrowed, not copied. A field that is not given is *absent*,
/// which is not the same as zero: the document is no candidate of that field's searches.
///
/// ```
/// use lateen::{Document, Schema};
///
/// let mut schema = Schema::builder();
/// let splade = schema.sparse("splade");
/// let year = schema.i64("year");
/// let document = Document::new("wiki-Lipid#0")
///     .sparse(&splade, &[(2054u32, 1.5f32), (17, 0.25)])?
///     .i64(&year, 1823)?
///     .payload(b"Lipids are a broad group of organic compounds");
/// # let _ = document;
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Document<'a> {
    pub(crate) key: Key,
    pub(crate) sparse: Vec<(SparseField, CleanSparse<'a>)>,
    pub(crate) tokens: Vec<(TokenField, CleanTokens<'a>)>,
    pub(crate) attributes: Vec<Attribute<'a>>,
    pub(crate) payload: Option<Cow<'a, [u8]>>,
}

/// An attribute with its value.
#[derive(Clone, Debug)]
pub(crate) enum Attribute<'a> {
    Keyword(KeywordField, Cow<'a, str>),
    I64(I64Field, i64),
    U64(U64Field, u64),
    F64(F64Field, f64),
    Bool(BoolField, bool),
}

impl Attribute<'_> {
    /// The field's name, where it takes one value only.
    pub(super) fn single_name(&self) -> Option<&str> {
        match self {
            Self::Keyword(..) => None,
            Self::I64(field, _) => Some(field.name()),
            Self::U64(field, _) => Some(field.name()),
            Self::F64(field, _) => Some(field.name()),
            Self::Bool(field, _) => Some(field.name()),
        }
    }

    /// The ordinal of its field in a schema.
    pub(crate) fn resolve(&self, schema: &Schema) -> Result<usize> {
        Ok(match self {
            Self::Keyword(field, _) => schema.resolve(field),
            Self::I64(field, _) => schema.resolve(field),
            Self::U64(field, _) => schema.resolve(field),
            Self::F64(field, _) => schema.resolve(field),
            Self::Bool(field, _) => schema.resolve(field),
        }?)
    }
}

impl<'a> Document<'a> {
    /// A document with nothing but its key.
    pub fn new(key: impl Into<Key>) -> Self {
        Self {
            key: key.into(),
            sparse: Vec::new(),
            tokens: Vec::new(),
            attributes: Vec::new(),
            payload: None,
        }
    }

    /// The key.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Gives it a sparse vector. One that is empty, or empty once its zeros are dropped, leaves
    /// the field absent.
    ///
    /// # Errors
    /// [`Error::Input`] names the field and the position: NaN or an infinity, a negative weight, a
    /// term twice, counts that disagree, more than 65,536 terms, another model, a field given
    /// twice.
    pub fn sparse(
        mut self,
        field: &SparseField,
        vector: impl Into<SparseVector<'a>>,
    ) -> Result<Self> {
        once(field.name(), self.sparse.iter().any(|(other, _)| other == field))?;
        let vector = vector.into().clean(field)?;
        self.sparse.push((field.clone(), vector));
        Ok(self)
    }

    /// Gives it a token matrix. One of no rows leaves the field absent.
    ///
    /// # Errors
    /// [`Error::Input`] names the field, the row and the position: NaN or an infinity, another
    /// dimension than the field's, a partial row, more than 65,535 rows, a length that the field
    /// does not allow, another model, a field given twice.
    pub fn tokens(mut self, field: &TokenField, matrix: TokenMatrix<'a>) -> Result<Self> {
        once(field.name(), self.tokens.iter().any(|(other, _)| other == field))?;
        if let Some(rows) = matrix.clean(field)? {
            self.tokens.push((field.clone(), rows));
        }
        Ok(self)
    }

    /// Adds a value of a keyword attribute; call it once for each value.
    ///
    /// # Errors
    /// A value longer than 4,096 bytes, or more than 1,024 values of one field.
    pub fn keyword(mut self, field: &KeywordField, value: impl Into<Cow<'a, str>>) -> Result<Self> {
        let value = value.into();
        check_keyword(field.name(), &value)?;
        let same = |other: &&Attribute<'_>| matches!(other, Attribute::Keyword(f, _) if f == field);
        let held = self.attributes.iter().filter(same).count();
        if held >= MAX_KEYWORDS {
            return Err(too_many(field.name(), "values", held + 1, MAX_KEYWORDS).into());
        }
        self.attributes.push(Attribute::Keyword(field.clone(), value));
        Ok(self)
    }

    /// Sets a signed integer attribute.
    ///
    /// # Errors
    /// Given twice; so for the other single-valued attributes.
    pub fn i64(self, field: &I64Field, value: i64) -> Result<Self> {
        self.single(field.name(), Attribute::I64(field.clone(), value))
    }

    /// Sets an unsigned integer attribute.
    ///
    /// # Errors
    /// Given twice.
    pub fn u64(self, field: &U64Field, value: u64) -> Result<Self> {
        self.single(field.name(), Attribute::U64(field.clone(), value))
    }

    /// Sets a float attribute.
    ///
    /// # Errors
    /// NaN, or given twice. Infinities are values like others.
    pub fn f64(self, field: &F64Field, value: f64) -> Result<Self> {
        check_f64(field.name(), value)?;
        self.single(field.name(), Attribute::F64(field.clone(), value))
    }

    /// Sets a boolean attribute.
    ///
    /// # Errors
    /// Given twice.
    pub fn bool(self, field: &BoolField, value: bool) -> Result<Self> {
        self.single(field.name(), Attribute::Bool(field.clone(), value))
    }

    fn single(mut self, name: &str, attribute: Attribute<'a>) -> Result<Self> {
        let same = |other: &Attribute<'_>| match (other, &attribute) {
            (Attribute::I64(a, _), Attribute::I64(b, _)) => a == b,
            (Attribute::U64(a, _), Attribute::U64(b, _)) => a == b,
            (Attribute::F64(a, _), Attribute::F64(b, _)) => a == b,
            (Attribute::Bool(a, _), Attribute::Bool(b, _)) => a == b,
            _ => false,
        };
        once(name, self.attributes.iter().any(same))?;
        self.attributes.push(attribute);
        Ok(self)
    }

    /// Sets the payload: bytes that are kept as they are and given back with a hit. At most
    /// 16 MiB; a longer one is refused when the document is added.
    #[must_use]
    pub fn payload(mut self, bytes: impl Into<Cow<'a, [u8]>>) -> Self {
        self.payload = Some(bytes.into());
        self
    }

    /// Checks what spans its parts: the key's kind, at least one vector, the payload's size.
    pub(crate) fn check(&self, kind: KeyKind) -> Result<(), InputError> {
        check_key(kind, &self.key)?;
        if self.tokens.is_empty() && self.sparse.iter().all(|(_, v)| v.terms.is_empty()) {
            let fault = Fault::Empty { what: "a document without a vector" };
            return Err(InputError::new("document", fault));
        }
        self.payload.as_deref().map_or(Ok(()), check_payload)
    }

    /// Weights of zero that were dropped from its sparse vectors.
    pub fn zeros_dropped(&self) -> u64 {
        self.sparse.iter().map(|(_, vector)| u64::from(vector.zeros)).sum()
    }
}

/// Checks a document's key: of the schema's kind, not empty, not too long.
pub(crate) fn check_key(kind: KeyKind, key: &Key) -> Result<(), InputError> {
    check_key_kind(kind, key)?;
    match key.as_str() {
        Some(s) if s.len() > MAX_KEY_BYTES => Err(too_many("key", "bytes", s.len(), MAX_KEY_BYTES)),
        Some("") => Err(InputError::new("key", Fault::Empty { what: "a key of no bytes" })),
        _ => Ok(()),
    }
}

/// Checks that a key is of the schema's kind: one that is not names no document of it, and to ask
/// for it is a mistake.
pub(crate) fn check_key_kind(kind: KeyKind, key: &Key) -> Result<(), InputError> {
    let expected = match (kind, key) {
        (KeyKind::U64, Key::U64(_)) | (KeyKind::Str, Key::Str(_)) => return Ok(()),
        (KeyKind::U64, Key::Str(_)) => "a number",
        (KeyKind::Str, Key::U64(_)) => "a string",
    };
    Err(InputError::new("key", Fault::KeyKind { key: key.to_string(), expected }))
}

pub(crate) fn check_payload(bytes: &[u8]) -> Result<(), InputError> {
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(too_many("payload", "bytes", bytes.len(), MAX_PAYLOAD_BYTES));
    }
    Ok(())
}

pub(super) fn check_keyword(field: &str, value: &str) -> Result<(), InputError> {
    if value.len() > MAX_KEYWORD_BYTES {
        return Err(too_many(field, "bytes", value.len(), MAX_KEYWORD_BYTES));
    }
    Ok(())
}

pub(super) fn check_f64(field: &str, value: f64) -> Result<(), InputError> {
    if value.is_nan() {
        return Err(InputError::new(field, Fault::NotFinite { value }));
    }
    Ok(())
}

fn too_many(field: &str, what: &'static str, found: usize, limit: usize) -> InputError {
    InputError::new(field, Fault::TooMany { what, found: found as u64, limit: limit as u64 })
}

fn once(field: &str, given: bool) -> Result<(), Error> {
    if given { Err(InputError::new(field, Fault::Twice).into()) } else { Ok(()) }
}
