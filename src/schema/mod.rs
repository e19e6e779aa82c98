//! What an index holds: fields of vectors, attributes to filter on, the kind of its keys. A
//! [`Schema`] is fixed when an index is made; its typed handles make it a compile error to hand a
//! sparse vector to a token field.

mod builder;
mod field;
mod options;

pub use builder::SchemaBuilder;
pub use field::{BoolField, F64Field, I64Field, KeywordField, SparseField, TokenField, U64Field};
pub(crate) use field::{FieldDef, FieldKind, Handle};
pub use options::{
    Centroids, Forward, ModelFingerprint, Normalization, SparseCodec, SparseOptions, TokenCodec,
    TokenOptions, TokenTier,
};

use std::sync::Arc;

use crate::error::SchemaError;

/// The kind of an index's keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeyKind {
    /// Numbers, ordered as numbers.
    U64,
    /// Strings of at most 512 bytes, ordered as bytes.
    #[default]
    Str,
}

/// The fixed description of an index. Cheap to clone.
///
/// ```
/// use lateen::Schema;
///
/// let mut schema = Schema::builder();
/// let splade = schema.sparse("splade");
/// let colbert = schema.tokens("colbert", 128);
/// let lang = schema.keyword("lang");
/// let schema = schema.build()?;
///
/// // The handles of an opened index are found by name.
/// assert_eq!(schema.sparse("splade")?, splade);
/// assert!(schema.tokens("splade").is_err()); // another kind
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    keys: KeyKind,
    fields: Vec<Arc<FieldDef>>,
}

impl Schema {
    /// Starts a schema.
    pub fn builder() -> SchemaBuilder {
        SchemaBuilder::default()
    }

    /// Builds from parts, as the builder and the reader of manifests do.
    pub(crate) fn from_parts(
        keys: KeyKind,
        fields: Vec<Arc<FieldDef>>,
    ) -> Result<Self, SchemaError> {
        builder::check(&fields)?;
        Ok(Self { inner: Arc::new(Inner { keys, fields }) })
    }

    /// The kind of the keys.
    pub fn key_kind(&self) -> KeyKind {
        self.inner.keys
    }

    /// All fields, in the order in which they were declared; a field's place is its ordinal.
    pub(crate) fn fields(&self) -> &[Arc<FieldDef>] {
        &self.inner.fields
    }

    /// The schema as it was when it had that many fields; `None` where it has not so many, or
    /// that was no schema.
    pub(crate) fn prefix(&self, fields: usize) -> Option<Self> {
        let fields = self.inner.fields.get(..fields)?;
        if fields.len() == self.inner.fields.len() {
            return Some(self.clone());
        }
        Self::from_parts(self.inner.keys, fields.to_vec()).ok()
    }

    /// Starts from this schema, for fields to be added to it: see
    /// [`IndexWriter::set_schema`](crate::IndexWriter::set_schema).
    pub fn extend(&self) -> SchemaBuilder {
        SchemaBuilder::of(self.inner.keys, self.inner.fields.clone())
    }

    /// The names of all fields, with their kinds in words, in the order of their declaration.
    pub fn field_names(&self) -> impl Iterator<Item = (&str, &'static str)> + '_ {
        self.inner.fields.iter().map(|field| (field.name.as_str(), field.kind.name()))
    }

    fn find<H: Handle>(&self, name: &str) -> Result<H, SchemaError> {
        let mut fields = self.inner.fields.iter().enumerate();
        let there = fields.find(|(_, def)| def.name == name);
        there.and_then(|(ordinal, def)| H::from_def(ordinal, def)).ok_or_else(|| {
            let found = there.map(|(_, def)| def.kind.name());
            SchemaError::NoField { name: name.to_owned(), kind: H::KIND, found }
        })
    }

    /// The sparse field of that name.
    ///
    /// # Errors
    /// [`SchemaError::NoField`] where there is none; so for every getter here.
    pub fn sparse(&self, name: &str) -> Result<SparseField, SchemaError> {
        self.find(name)
    }

    /// The token field of that name.
    ///
    /// # Errors
    /// [`SchemaError::NoField`]
    pub fn tokens(&self, name: &str) -> Result<TokenField, SchemaError> {
        self.find(name)
    }

    /// The keyword attribute of that name.
    ///
    /// # Errors
    /// [`SchemaError::NoField`]
    pub fn keyword(&self, name: &str) -> Result<KeywordField, SchemaError> {
        self.find(name)
    }

    /// The signed integer attribute of that name.
    ///
    /// # Errors
    /// [`SchemaError::NoField`]
    pub fn i64(&self, name: &str) -> Result<I64Field, SchemaError> {
        self.find(name)
    }

    /// The unsigned integer attribute of that name.
    ///
    /// # Errors
    /// [`SchemaError::NoField`]
    pub fn u64(&self, name: &str) -> Result<U64Field, SchemaError> {
        self.find(name)
    }

    /// The float attribute of that name.
    ///
    /// # Errors
    /// [`SchemaError::NoField`]
    pub fn f64(&self, name: &str) -> Result<F64Field, SchemaError> {
        self.find(name)
    }

    /// The boolean attribute of that name.
    ///
    /// # Errors
    /// [`SchemaError::NoField`]
    pub fn bool(&self, name: &str) -> Result<BoolField, SchemaError> {
        self.find(name)
    }

    /// The ordinal of a handle, if it belongs to this schema: the same name, kind and settings at
    /// the same place.
    pub(crate) fn resolve<H: Handle>(&self, handle: &H) -> Result<usize, SchemaError> {
        let (ordinal, def) = handle.parts();
        match self.inner.fields.get(ordinal) {
            Some(own) if Arc::ptr_eq(own, def) || **own == **def => Ok(ordinal),
            _ => {
                let own = self.inner.fields.iter().find(|own| own.name == def.name);
                let (name, found) = (def.name.clone(), own.map(|own| own.kind.name()));
                Err(SchemaError::Foreign { name, kind: def.kind.name(), found })
            }
        }
    }
}
