//! Field definitions and the typed handles that stand for them.

use std::sync::Arc;

use super::options::{ModelFingerprint, SparseOptions, TokenOptions};

/// One field of a schema.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FieldDef {
    pub(crate) name: String,
    pub(crate) kind: FieldKind,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Sparse(SparseOptions),
    Tokens(TokenOptions),
    Keyword,
    I64,
    U64,
    F64,
    Bool,
}

impl FieldKind {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sparse(_) => "sparse",
            Self::Tokens(_) => "tokens",
            Self::Keyword => "keyword",
            Self::I64 => "i64",
            Self::U64 => "u64",
            Self::F64 => "f64",
            Self::Bool => "bool",
        }
    }
}

/// A typed handle: a place in a schema and the definition that stood there.
pub(crate) trait Handle: Sized {
    /// The kind in words.
    const KIND: &'static str;
    /// The handle of a field, if the field is of this kind.
    fn from_def(ordinal: usize, def: &Arc<FieldDef>) -> Option<Self>;
    /// Place and definition.
    fn parts(&self) -> (usize, &Arc<FieldDef>);
}

macro_rules! handle {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $pattern:pat) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name {
            ordinal: usize,
            def: Arc<FieldDef>,
        }

        impl $name {
            /// The field's name.
            pub fn name(&self) -> &str {
                &self.def.name
            }
        }

        impl Handle for $name {
            const KIND: &'static str = $kind;

            fn from_def(ordinal: usize, def: &Arc<FieldDef>) -> Option<Self> {
                matches!(def.kind, $pattern).then(|| Self { ordinal, def: Arc::clone(def) })
            }

            fn parts(&self) -> (usize, &Arc<FieldDef>) {
                (self.ordinal, &self.def)
            }
        }
    };
}

handle!(
    /// A field of learned sparse vectors.
    SparseField, "sparse", FieldKind::Sparse(_)
);
handle!(
    /// A field of token matrices, searched by MaxSim.
    TokenField, "tokens", FieldKind::Tokens(_)
);
handle!(
    /// A keyword attribute: any number of strings per document.
    KeywordField, "keyword", FieldKind::Keyword
);
handle!(
    /// A signed integer attribute.
    I64Field, "i64", FieldKind::I64
);
handle!(
    /// An unsigned integer attribute.
    U64Field, "u64", FieldKind::U64
);
handle!(
    /// A float attribute; NaN is refused.
    F64Field, "f64", FieldKind::F64
);
handle!(
    /// A boolean attribute.
    BoolField, "bool", FieldKind::Bool
);

impl SparseField {
    pub(crate) fn model(&self) -> Option<&ModelFingerprint> {
        match &self.def.kind {
            FieldKind::Sparse(options) => options.model.as_ref(),
            _ => None,
        }
    }

    /// The largest term that the field's model has, where that is known: otherwise any may come.
    pub(crate) fn last_term(&self) -> u32 {
        let size = self.model().map_or(0, |model| model.dimension);
        size.checked_sub(1).unwrap_or(u32::MAX)
    }
}

impl TokenField {
    /// The settings; a handle of this type only ever stands for a token field.
    pub(crate) fn options(&self) -> &TokenOptions {
        match &self.def.kind {
            FieldKind::Tokens(options) => options,
            _ => unreachable!("a TokenField is made from a token field only"),
        }
    }

    /// Components of a row.
    pub fn dim(&self) -> usize {
        self.options().dim
    }
}
