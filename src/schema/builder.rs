//! Making a schema.

use std::sync::Arc;

use super::field::{FieldDef, FieldKind, Handle};
use super::options::{SparseOptions, TokenCodec, TokenOptions, TokenTier};
use super::{
    BoolField, F64Field, I64Field, KeyKind, KeywordField, Schema, SparseField, TokenField, U64Field,
};
use crate::error::SchemaError;
use crate::limits::{MAX_FIELDS, MAX_NAME_BYTES};

/// Collects fields; each call returns the field's handle. Mistakes are reported by
/// [`build`](Self::build).
#[derive(Debug, Default)]
pub struct SchemaBuilder {
    keys: KeyKind,
    fields: Vec<Arc<FieldDef>>,
}

impl SchemaBuilder {
    /// Goes on from these fields.
    pub(super) fn of(keys: KeyKind, fields: Vec<Arc<FieldDef>>) -> Self {
        Self { keys, fields }
    }

    /// The kind of the keys; strings unless said otherwise.
    pub fn keys(&mut self, kind: KeyKind) -> &mut Self {
        self.keys = kind;
        self
    }

    /// A sparse field with the default settings.
    pub fn sparse(&mut self, name: &str) -> SparseField {
        self.sparse_with(name, SparseOptions::default())
    }

    /// A sparse field.
    pub fn sparse_with(&mut self, name: &str, options: SparseOptions) -> SparseField {
        self.push(name, FieldKind::Sparse(options))
    }

    /// A token field: from a dimension alone, or from [`TokenOptions`].
    pub fn tokens(&mut self, name: &str, options: impl Into<TokenOptions>) -> TokenField {
        self.push(name, FieldKind::Tokens(options.into()))
    }

    /// A keyword attribute, with any number of values per document.
    pub fn keyword(&mut self, name: &str) -> KeywordField {
        self.push(name, FieldKind::Keyword)
    }

    /// A signed integer attribute.
    pub fn i64(&mut self, name: &str) -> I64Field {
        self.push(name, FieldKind::I64)
    }

    /// An unsigned integer attribute.
    pub fn u64(&mut self, name: &str) -> U64Field {
        self.push(name, FieldKind::U64)
    }

    /// A float attribute.
    pub fn f64(&mut self, name: &str) -> F64Field {
        self.push(name, FieldKind::F64)
    }

    /// A boolean attribute.
    pub fn bool(&mut self, name: &str) -> BoolField {
        self.push(name, FieldKind::Bool)
    }

    fn push<H: Handle>(&mut self, name: &str, kind: FieldKind) -> H {
        let def = Arc::new(FieldDef { name: name.to_owned(), kind });
        let handle = H::from_def(self.fields.len(), &def);
        self.fields.push(def);
        handle.expect("the kind pushed is the kind of the handle asked for")
    }

    /// The finished schema.
    ///
    /// # Errors
    /// A name that is empty, longer than 255 bytes, holds a control character or is taken; a
    /// dimension that is no multiple of 8 in 8..=4096; a codec that does not suit the dimension; a second
    /// tier that is no larger than the first; a model fingerprint's text longer than 255
    /// bytes; more than 256 fields; no vector field.
    pub fn build(self) -> Result<Schema, SchemaError> {
        Schema::from_parts(self.keys, self.fields)
    }
}

/// Everything that must hold for a schema, whether it was built or read.
pub(super) fn check(fields: &[Arc<FieldDef>]) -> Result<(), SchemaError> {
    if fields.len() > MAX_FIELDS {
        return Err(SchemaError::TooManyFields { found: fields.len(), limit: MAX_FIELDS });
    }
    for (i, field) in fields.iter().enumerate() {
        let refuse = |what| Err(SchemaError::Name { name: field.name.clone(), what });
        if field.name.is_empty() {
            return refuse("is empty");
        }
        if field.name.len() > MAX_NAME_BYTES {
            return refuse("is longer than 255 bytes");
        }
        if field.name.chars().any(char::is_control) {
            return refuse("holds a control character");
        }
        if fields.iter().take(i).any(|other| other.name == field.name) {
            return refuse("is taken");
        }
        let model = match &field.kind {
            FieldKind::Sparse(options) => options.model.as_ref(),
            FieldKind::Tokens(options) => options.model.as_ref(),
            _ => None,
        };
        if let Some(model) = model {
            let longest = model.name.len().max(model.normalization.len());
            if longest > MAX_NAME_BYTES {
                return Err(SchemaError::Setting {
                    name: field.name.clone(),
                    what: "length of the model fingerprint's texts",
                    value: longest as u64,
                    range: "at most 255 bytes each",
                });
            }
        }
        if let FieldKind::Sparse(options) = &field.kind
            && let Some(percent) = options.codec.percent()
            && !(1..=99).contains(&percent)
        {
            return Err(SchemaError::Setting {
                name: field.name.clone(),
                what: "percent of a document's weight to keep",
                value: percent.into(),
                range: "1..=99",
            });
        }
        if let FieldKind::Tokens(options) = &field.kind
            && !options.dim_is_valid()
        {
            return Err(SchemaError::Setting {
                name: field.name.clone(),
                what: "dimension",
                value: options.dim as u64,
                range: "a multiple of 8 in 8..=4096",
            });
        }
        if let FieldKind::Tokens(options) = &field.kind
            && let TokenCodec::Product { subspaces, .. } = options.codec
            && !options.codec_is_valid()
        {
            return Err(SchemaError::Setting {
                name: field.name.clone(),
                what: "number of sub-spaces",
                value: subspaces.into(),
                range: "a divisor of the dimension, with codes of 8 bits, or an even one with 4",
            });
        }
        if let FieldKind::Tokens(options) = &field.kind
            && !options.tier_is_valid()
        {
            return Err(SchemaError::Setting {
                name: field.name.clone(),
                what: "bits of the second tier",
                value: if options.tier == TokenTier::F16 { 16 } else { 8 },
                range: "more than those of the codec",
            });
        }
        if let FieldKind::Tokens(options) = &field.kind
            && let Some(model) = &options.model
            && model.dimension as usize != options.dim
        {
            return Err(SchemaError::Setting {
                name: field.name.clone(),
                what: "dimension of the model fingerprint",
                value: model.dimension.into(),
                range: "the dimension of the field",
            });
        }
    }
    let vectors =
        |field: &Arc<FieldDef>| matches!(field.kind, FieldKind::Sparse(_) | FieldKind::Tokens(_));
    if fields.iter().any(vectors) { Ok(()) } else { Err(SchemaError::NoVectors) }
}
