//! How vectors are kept, and in which order, by the names that flags and files give.

use clap::ValueEnum;
use lateen::{DocumentOrder, Forward, SparseCodec, TokenCodec, TokenTier};

/// Reads a token codec as its name is written.
pub(crate) fn tokens(name: &str) -> Result<TokenCodec, String> {
    let product = || {
        let (subspaces, bits) = name.strip_prefix("pq")?.split_once('x')?;
        Some(TokenCodec::Product { subspaces: subspaces.parse().ok()?, bits: bits.parse().ok()? })
    };
    let scalar = [
        TokenCodec::F16,
        TokenCodec::Int8,
        TokenCodec::Residual4,
        TokenCodec::Residual2,
        TokenCodec::Residual1,
    ];
    let known =
        || "f16, int8, residual4, residual2, residual1 or pq<SUBSPACES>x<4 or 8>".to_owned();
    let found = scalar.into_iter().find(|codec| codec.to_string() == name).or_else(product);
    found.ok_or_else(known)
}

/// `u8`, `u4` or `pruned:MASS`.
pub(crate) fn sparse(text: &str) -> Result<SparseCodec, String> {
    let percent = |mass: &str| {
        // Two decimals at most: what the index can say.
        let digits = mass.strip_prefix("0.").or_else(|| mass.strip_prefix('.'))?;
        let percent = match digits.len() {
            1 => digits.parse::<u8>().ok()?.checked_mul(10)?,
            2 => digits.parse::<u8>().ok()?,
            _ => return None,
        };
        (1..=99).contains(&percent).then_some(SparseCodec::Pruned(percent))
    };
    match text {
        "u8" => Ok(SparseCodec::U8),
        "u4" => Ok(SparseCodec::U4),
        _ => text
            .strip_prefix("pruned:")
            .and_then(percent)
            .ok_or_else(|| "u8, u4, or pruned:MASS with MASS from 0.01 to 0.99".to_owned()),
    }
}

/// A second tier of token rows.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Tier {
    /// None: the rows that search give the scores
    None,
    /// 8-bit integers with a scale per row
    Int8,
    /// 16-bit floats
    F16,
}

impl From<Tier> for TokenTier {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::None => Self::None,
            Tier::Int8 => Self::Int8,
            Tier::F16 => Self::F16,
        }
    }
}

/// Each document's own sparse vector.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Rows {
    /// 16-bit floats where they lose nothing
    F16,
    /// 32-bit floats
    F32,
    /// Nothing
    None,
}

impl From<Rows> for Forward {
    fn from(rows: Rows) -> Self {
        match rows {
            Rows::F16 => Self::Auto,
            Rows::F32 => Self::F32,
            Rows::None => Self::None,
        }
    }
}

/// The order of documents.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Order {
    /// As they are read
    Given,
    /// Those that share terms together
    Similar,
}

impl From<Order> for DocumentOrder {
    fn from(order: Order) -> Self {
        match order {
            Order::Given => Self::Given,
            Order::Similar => Self::Similar,
        }
    }
}
