//! A schema as bytes, and back.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::Cursor;
use crate::error::Result;
use crate::limits::MAX_FIELDS;
use crate::schema::{
    Centroids, FieldDef, FieldKind, Forward, KeyKind, ModelFingerprint, Normalization, Schema,
    SparseCodec, SparseOptions, TokenCodec, TokenOptions, TokenTier,
};

/// The encoding's own version.
const VERSION: u8 = 1;

/// The schema's bytes: the same schema always gives the same.
pub(crate) fn encode_schema(schema: &Schema) -> Vec<u8> {
    let mut out = vec![
        VERSION,
        match schema.key_kind() {
            KeyKind::U64 => 1,
            KeyKind::Str => 2,
        },
    ];
    let count = u16::try_from(schema.fields().len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&count.to_le_bytes());
    for field in schema.fields() {
        put_str(&mut out, &field.name);
        match &field.kind {
            FieldKind::Sparse(options) => {
                out.push(1);
                match options.codec {
                    SparseCodec::U8 => out.push(1),
                    SparseCodec::U4 => out.push(2),
                    SparseCodec::Pruned(percent) => out.extend_from_slice(&[3, percent]),
                }
                out.push(match options.forward {
                    Forward::Auto => 1,
                    Forward::F32 => 2,
                    Forward::F16 => 3,
                    Forward::None => 4,
                });
                put_model(&mut out, options.model.as_ref());
            }
            FieldKind::Tokens(options) => {
                out.push(2);
                let dim = u16::try_from(options.dim).unwrap_or(u16::MAX);
                out.extend_from_slice(&dim.to_le_bytes());
                let codec = match options.codec {
                    TokenCodec::F16 => 1,
                    TokenCodec::Int8 => 2,
                    TokenCodec::Residual4 => 3,
                    TokenCodec::Residual2 => 4,
                    TokenCodec::Residual1 => 5,
                    TokenCodec::Product { .. } => 6,
                };
                let tier = match options.tier {
                    TokenTier::None => 0,
                    TokenTier::F16 => 1,
                    TokenTier::Int8 => 2,
                };
                out.push(codec | tier << 4);
                if let TokenCodec::Product { subspaces, bits } = options.codec {
                    out.extend_from_slice(&subspaces.to_le_bytes());
                    out.push(bits);
                }
                out.push(match options.normalization {
                    Normalization::Checked => 1,
                    Normalization::Normalize => 2,
                    Normalization::AsIs => 3,
                });
                let centroids = match options.centroids {
                    Centroids::Auto => 0,
                    Centroids::Count(count) => count,
                    Centroids::None => u32::MAX,
                };
                out.extend_from_slice(&centroids.to_le_bytes());
                put_model(&mut out, options.model.as_ref());
            }
            FieldKind::Keyword => out.push(3),
            FieldKind::I64 => out.push(4),
            FieldKind::U64 => out.push(5),
            FieldKind::F64 => out.push(6),
            FieldKind::Bool => out.push(7),
        }
    }
    out
}

/// The schema in the bytes of a cursor, which must hold nothing else.
///
/// # Errors
/// `Corrupt` for anything that [`encode_schema`] would not have written.
pub(crate) fn decode_schema(mut from: Cursor<'_>) -> Result<Schema> {
    match from.u8()? {
        VERSION => {}
        other => return Err(from.corrupt(format!("schema encoding {other}"))),
    }
    let keys = match from.u8()? {
        1 => KeyKind::U64,
        2 => KeyKind::Str,
        other => return Err(from.corrupt(format!("key kind {other}"))),
    };
    let count = usize::from(from.u16()?);
    if count > MAX_FIELDS {
        return Err(from.corrupt(format!("{count} fields, the limit is {MAX_FIELDS}")));
    }
    let mut fields = Vec::new();
    for _ in 0..count {
        let name = from.str16()?.to_owned();
        let kind = match from.u8()? {
            1 => FieldKind::Sparse(sparse_options(&mut from)?),
            2 => FieldKind::Tokens(token_options(&mut from)?),
            3 => FieldKind::Keyword,
            4 => FieldKind::I64,
            5 => FieldKind::U64,
            6 => FieldKind::F64,
            7 => FieldKind::Bool,
            other => return Err(from.corrupt(format!("field kind {other}"))),
        };
        fields.push(Arc::new(FieldDef { name, kind }));
    }
    let schema =
        Schema::from_parts(keys, fields).map_err(|error| from.corrupt(error.to_string()))?;
    from.finish()?;
    Ok(schema)
}

/// The hash by which segments and manifests say which schema they were written for.
pub(crate) fn schema_hash(schema: &Schema) -> u64 {
    xxh3_64(&encode_schema(schema))
}

/// Lengths are held to limits far below 65,536 before a schema exists.
fn put_str(out: &mut Vec<u8>, text: &str) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(text.as_bytes().get(..usize::from(len)).unwrap_or_default());
}

fn put_model(out: &mut Vec<u8>, model: Option<&ModelFingerprint>) {
    let Some(model) = model else {
        out.push(0);
        return;
    };
    out.push(1);
    put_str(out, &model.name);
    out.extend_from_slice(&model.dimension.to_le_bytes());
    put_str(out, &model.normalization);
}

fn model(from: &mut Cursor<'_>) -> Result<Option<ModelFingerprint>> {
    match from.u8()? {
        0 => Ok(None),
        1 => {
            let name = from.str16()?.to_owned();
            let dimension = from.u32()?;
            let normalization = from.str16()?.to_owned();
            Ok(Some(ModelFingerprint { name, dimension, normalization }))
        }
        other => Err(from.corrupt(format!("model mark {other}"))),
    }
}

fn sparse_options(from: &mut Cursor<'_>) -> Result<SparseOptions> {
    let codec = match from.u8()? {
        1 => SparseCodec::U8,
        2 => SparseCodec::U4,
        3 => SparseCodec::Pruned(from.u8()?),
        other => return Err(from.corrupt(format!("sparse codec {other}"))),
    };
    let forward = match from.u8()? {
        1 => Forward::Auto,
        2 => Forward::F32,
        3 => Forward::F16,
        4 => Forward::None,
        other => return Err(from.corrupt(format!("forward rows {other}"))),
    };
    Ok(SparseOptions { codec, forward, model: model(from)? })
}

fn token_options(from: &mut Cursor<'_>) -> Result<TokenOptions> {
    let dim = usize::from(from.u16()?);
    let byte = from.u8()?;
    let codec = match byte % 16 {
        1 => TokenCodec::F16,
        2 => TokenCodec::Int8,
        3 => TokenCodec::Residual4,
        4 => TokenCodec::Residual2,
        5 => TokenCodec::Residual1,
        6 => TokenCodec::Product { subspaces: from.u16()?, bits: from.u8()? },
        other => return Err(from.corrupt(format!("token codec {other}"))),
    };
    let tier = match byte / 16 {
        0 => TokenTier::None,
        1 => TokenTier::F16,
        2 => TokenTier::Int8,
        other => return Err(from.corrupt(format!("second tier {other}"))),
    };
    let normalization = match from.u8()? {
        1 => Normalization::Checked,
        2 => Normalization::Normalize,
        3 => Normalization::AsIs,
        other => return Err(from.corrupt(format!("normalisation {other}"))),
    };
    let centroids = match from.u32()? {
        0 => Centroids::Auto,
        u32::MAX => Centroids::None,
        count if count <= Centroids::MOST => Centroids::Count(count),
        other => return Err(from.corrupt(format!("{other} centroids"))),
    };
    Ok(TokenOptions { dim, codec, tier, normalization, centroids, model: model(from)? })
}
