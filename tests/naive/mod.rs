//! The reference model: a clear, slow account of everything that an index is to answer. Documents
//! stand in a map by key; scores are computed one product after another from the stored values,
//! by the definitions of the documentation and not by the code of the library.
//!
//! `score` has the numbers (quantisers, dot products, MaxSim), `model` the documents and the
//! search, `given` what is handed in, `make` draws all of it from a seed, `check` compares, `play`
//! plays a sequence of changes on both. `set` reads real vectors, and is used apart from these.

#![allow(dead_code, reason = "each suite uses its part of the model")]

pub(crate) mod check;
pub(crate) mod given;
pub(crate) mod make;
pub(crate) mod model;
pub(crate) mod play;
#[path = "../random/mod.rs"]
pub(crate) mod random;
pub(crate) mod score;

use lateen::{
    BoolField, F64Field, Forward, I64Field, KeyKind, KeywordField, Normalization, Schema,
    SparseField, SparseOptions, TokenCodec, TokenField, TokenOptions, TokenTier, U64Field,
};

/// A sparse field and what the model needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Sparse {
    pub(crate) field: SparseField,
    pub(crate) forward: Forward,
}

/// A token field and what the model needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    pub(crate) field: TokenField,
    pub(crate) dim: usize,
    pub(crate) codec: TokenCodec,
    pub(crate) normalization: Normalization,
}

/// A schema with every kind of field in every setting, and its handles.
#[derive(Clone, Debug)]
pub(crate) struct Fields {
    pub(crate) schema: Schema,
    pub(crate) sparse: Vec<Sparse>,
    pub(crate) tokens: Vec<Tokens>,
    pub(crate) lang: KeywordField,
    pub(crate) year: I64Field,
    pub(crate) size: U64Field,
    pub(crate) price: F64Field,
    pub(crate) open: BoolField,
}

/// Every setting of a sparse field.
pub(crate) const FORWARDS: [Forward; 4] =
    [Forward::Auto, Forward::F32, Forward::F16, Forward::None];

/// Dimensions that are and are not a multiple of the sixteen lanes, each codec, each promise.
pub(crate) const TOKENS: [(usize, TokenCodec, Normalization); 8] = [
    (16, TokenCodec::F16, Normalization::Checked),
    (24, TokenCodec::Int8, Normalization::Checked),
    (8, TokenCodec::F16, Normalization::AsIs),
    (40, TokenCodec::Int8, Normalization::Normalize),
    (72, TokenCodec::Int8, Normalization::AsIs),
    (16, TokenCodec::Int8, Normalization::Checked),
    (8, TokenCodec::F16, Normalization::AsIs),
    (24, TokenCodec::F16, Normalization::Normalize),
];

/// First tiers of some of these, whose own codec is then that of the second: what the first one is
/// must not show.
const FIRST: [(usize, TokenCodec); 3] = [
    (5, TokenCodec::Residual2),
    (6, TokenCodec::Product { subspaces: 4, bits: 4 }),
    (7, TokenCodec::Int8),
];

impl Fields {
    /// All fields.
    pub(crate) fn all(keys: KeyKind) -> Self {
        Self::with_tiers(keys, &FORWARDS, &TOKENS, &FIRST)
    }

    /// These vector fields, and all attributes.
    pub(crate) fn some(
        keys: KeyKind,
        forwards: &[Forward],
        tokens: &[(usize, TokenCodec, Normalization)],
    ) -> Self {
        Self::with_tiers(keys, forwards, tokens, &[])
    }

    fn with_tiers(
        keys: KeyKind,
        forwards: &[Forward],
        tokens: &[(usize, TokenCodec, Normalization)],
        first: &[(usize, TokenCodec)],
    ) -> Self {
        let mut schema = Schema::builder();
        schema.keys(keys);
        let sparse = forwards.iter().enumerate().map(|(i, &forward)| {
            let options = SparseOptions::default().forward(forward);
            Sparse { field: schema.sparse_with(&format!("sparse {i}"), options), forward }
        });
        let sparse: Vec<Sparse> = sparse.collect();
        let tokens = tokens.iter().enumerate().map(|(i, &(dim, codec, normalization))| {
            let mut options = TokenOptions::new(dim).codec(codec).normalization(normalization);
            if let Some((_, first)) = first.iter().find(|(at, _)| *at == i) {
                let f16 = codec == TokenCodec::F16;
                let tier = if f16 { TokenTier::F16 } else { TokenTier::Int8 };
                options = options.codec(*first).tier(tier);
            }
            Tokens {
                field: schema.tokens(&format!("tokens {i}"), options),
                dim,
                codec,
                normalization,
            }
        });
        let tokens: Vec<Tokens> = tokens.collect();
        let lang = schema.keyword("lang");
        let year = schema.i64("year");
        let size = schema.u64("size");
        let price = schema.f64("price");
        let open = schema.bool("open");
        let schema = schema.build().expect("a valid schema");
        Self { schema, sparse, tokens, lang, year, size, price, open }
    }
}
