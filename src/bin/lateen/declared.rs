//! What the index is to hold: the fields, as flags, a set or a file declare them, and the chunks of
//! documents that go into them.

use std::collections::BTreeMap;
use std::path::Path;

use clap::ValueEnum;
use lateen::{
    Batch, BoolField, F64Field, Forward, I64Field, IndexWriter, Key, KeyKind, KeywordField,
    ReducedTokens, Schema, SparseBatch, SparseCodec, SparseField, SparseOptions, TokenBatch,
    TokenCodec, TokenField, TokenMatrix, TokenOptions, TokenTier, U64Field,
};
use serde::Deserialize;
use serde_json::Value;

use crate::codecs::{self, Rows, Tier};
use crate::failure::{Code, Failure};
use crate::pooling::Pooling;

/// A schema before it is one.
#[derive(Clone, Debug)]
pub(crate) struct Declared {
    pub(crate) keys: KeyKind,
    pub(crate) sparse: Option<(String, SparseOptions)>,
    pub(crate) tokens: Option<(String, TokenOptions)>,
    /// Name and kind of each attribute.
    pub(crate) attributes: Vec<(String, Kind)>,
}

/// The kinds of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Strings, any number of them
    Keyword,
    /// A signed integer
    I64,
    /// An unsigned integer
    U64,
    /// A float
    F64,
    /// True or false
    Bool,
}

/// `NAME:KIND`, as a flag gives it.
pub(crate) fn attribute(text: &str) -> Result<(String, Kind), String> {
    let known = "NAME:KIND with KIND one of keyword, i64, u64, f64, bool";
    let (name, kind) = text.rsplit_once(':').ok_or(known)?;
    let kind = Kind::from_str(kind, false).map_err(|_| known)?;
    if name.is_empty() { Err(known.to_owned()) } else { Ok((name.to_owned(), kind)) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    keys: Keys,
    #[serde(default)]
    field: Vec<Field>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Keys {
    #[default]
    String,
    U64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Field {
    name: String,
    kind: FieldKind,
    dim: Option<usize>,
    codec: Option<String>,
    tier: Option<String>,
    forward: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FieldKind {
    Sparse,
    Tokens,
    Keyword,
    I64,
    U64,
    F64,
    Bool,
}

/// What to do about a declaration that is wrong.
const HELP: &str = "`lateen build --help` says what a schema may have";

impl Declared {
    /// Reads the declaration in a file of TOML.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let place = path.display();
        let refuse = |what: String| Failure::new(Code::Input, format!("{place}: {what}"));
        let text = std::fs::read_to_string(path)
            .map_err(|error| refuse(error.to_string()).next("check the path"))?;
        let file: File = toml::from_str(&text).map_err(|error| {
            let at = error.span().map(|span| {
                let before = text.get(..span.start).unwrap_or(&text);
                let line = before.matches('\n').count() + 1;
                let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
                format!("line {line}, column {column}: ")
            });
            refuse(format!("{}{}", at.unwrap_or_default(), error.message())).next(HELP)
        })?;
        let mut declared =
            Self { keys: KeyKind::Str, sparse: None, tokens: None, attributes: Vec::new() };
        if let Keys::U64 = file.keys {
            declared.keys = KeyKind::U64;
        }
        for field in file.field {
            let name = field.name.clone();
            declared
                .take(field)
                .map_err(|what| refuse(format!("field {name:?}: {what}")).next(HELP))?;
        }
        Ok(declared)
    }

    fn take(&mut self, field: Field) -> Result<(), String> {
        let value = |given: Option<String>, default: &str| given.unwrap_or(default.to_owned());
        let stray = |there: bool, what: &str| {
            if there { Err(format!("{what} does not belong to its kind")) } else { Ok(()) }
        };
        let vectors = matches!(field.kind, FieldKind::Sparse | FieldKind::Tokens);
        stray(field.codec.is_some() && !vectors, "`codec`")?;
        stray(field.tier.is_some() && field.kind != FieldKind::Tokens, "`tier`")?;
        stray(field.dim.is_some() && field.kind != FieldKind::Tokens, "`dim`")?;
        stray(field.forward.is_some() && field.kind != FieldKind::Sparse, "`forward`")?;
        let kind = match field.kind {
            FieldKind::Sparse => {
                let codec = codecs::sparse(&value(field.codec, "u8"))?;
                let forward = Rows::from_str(&value(field.forward, "f16"), false)?;
                let options = SparseOptions::default().codec(codec).forward(forward.into());
                let twice = self.sparse.replace((field.name, options)).is_some();
                return if twice { Err("a second sparse field".to_owned()) } else { Ok(()) };
            }
            FieldKind::Tokens => {
                let dim = field.dim.ok_or("`dim` is missing")?;
                let codec = codecs::tokens(&value(field.codec, "int8"))?;
                let tier = Tier::from_str(&value(field.tier, "none"), false)?;
                let options = TokenOptions::new(dim).codec(codec).tier(tier.into());
                let twice = self.tokens.replace((field.name, options)).is_some();
                return if twice { Err("a second tokens field".to_owned()) } else { Ok(()) };
            }
            FieldKind::Keyword => Kind::Keyword,
            FieldKind::I64 => Kind::I64,
            FieldKind::U64 => Kind::U64,
            FieldKind::F64 => Kind::F64,
            FieldKind::Bool => Kind::Bool,
        };
        self.attributes.push((field.name, kind));
        Ok(())
    }

    /// What flags say of an index whose documents have these halves.
    pub(crate) fn from_flags(
        sparse: Option<(SparseCodec, Forward)>,
        tokens: Option<(usize, TokenCodec, TokenTier)>,
        attributes: Vec<(String, Kind)>,
    ) -> Self {
        let sparse = sparse.map(|(codec, forward)| {
            ("sparse".to_owned(), SparseOptions::default().codec(codec).forward(forward))
        });
        let tokens = tokens.map(|(dim, codec, tier)| {
            ("tokens".to_owned(), TokenOptions::new(dim).codec(codec).tier(tier))
        });
        let mut all = vec![("src".to_owned(), Kind::Keyword)];
        all.extend(attributes);
        Self { keys: KeyKind::Str, sparse, tokens, attributes: all }
    }

    /// The schema, with the fields in it.
    pub(crate) fn build(self) -> Result<(Schema, Fields), Failure> {
        let mut schema = Schema::builder();
        schema.keys(self.keys);
        let sparse = self.sparse.map(|(name, options)| schema.sparse_with(&name, options));
        let tokens = self.tokens.map(|(name, options)| schema.tokens(&name, options));
        for (name, kind) in &self.attributes {
            match kind {
                Kind::Keyword => drop(schema.keyword(name)),
                Kind::I64 => drop(schema.i64(name)),
                Kind::U64 => drop(schema.u64(name)),
                Kind::F64 => drop(schema.f64(name)),
                Kind::Bool => drop(schema.bool(name)),
            }
        }
        let schema = schema.build()?;
        let mut fields = Fields::of(&schema)?;
        (fields.sparse, fields.tokens) = (sparse, tokens);
        Ok((schema, fields))
    }
}

/// The only field of a kind in a schema, or the one of the name that `build` gives it.
pub(crate) fn vector_field(schema: &Schema, kind: &str) -> String {
    let mut names = schema.field_names().filter(|(_, of)| *of == kind).map(|(name, _)| name);
    match (names.next(), names.next()) {
        (Some(only), None) => only.to_owned(),
        _ => kind.to_owned(),
    }
}

/// The fields of an index that documents go into.
#[derive(Debug)]
pub(crate) struct Fields {
    keys: KeyKind,
    pub(crate) sparse: Option<SparseField>,
    pub(crate) tokens: Option<TokenField>,
    attributes: Vec<Attribute>,
    /// What becomes of token rows on their way in; nothing where `None`.
    pub(crate) pooling: Option<Pooling>,
}

#[derive(Clone, Debug)]
pub(crate) enum Attribute {
    Keyword(KeywordField),
    I64(I64Field),
    U64(U64Field),
    F64(F64Field),
    Bool(BoolField),
}

impl Attribute {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Keyword(field) => field.name(),
            Self::I64(field) => field.name(),
            Self::U64(field) => field.name(),
            Self::F64(field) => field.name(),
            Self::Bool(field) => field.name(),
        }
    }

    /// Whether it can hold a value.
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::Keyword(_) => strings(value).is_some(),
            Self::I64(_) => value.as_i64().is_some(),
            Self::U64(_) => value.as_u64().is_some(),
            Self::F64(_) => value.as_f64().is_some(),
            Self::Bool(_) => value.as_bool().is_some(),
        }
    }

    /// The attributes of a schema.
    pub(crate) fn of(schema: &Schema) -> Result<Vec<Self>, lateen::SchemaError> {
        let mut all = Vec::new();
        for (name, kind) in schema.field_names() {
            all.push(match kind {
                "keyword" => Self::Keyword(schema.keyword(name)?),
                "i64" => Self::I64(schema.i64(name)?),
                "u64" => Self::U64(schema.u64(name)?),
                "f64" => Self::F64(schema.f64(name)?),
                "bool" => Self::Bool(schema.bool(name)?),
                _ => continue,
            });
        }
        Ok(all)
    }
}

/// Some documents, one after another, whatever they came from.
pub(crate) struct Chunk<'a> {
    pub(crate) ids: &'a [String],
    pub(crate) texts: Option<&'a [String]>,
    /// What each document has beside text and vectors, as JSON has it: those entries only that the
    /// schema declares.
    pub(crate) entries: &'a [BTreeMap<String, Value>],
    pub(crate) sparse: Option<SparseBatch<'a>>,
    pub(crate) tokens: Option<TokenBatch<'a>>,
}

impl Fields {
    /// Those of a schema; vectors have yet to be asked for.
    pub(crate) fn of(schema: &Schema) -> Result<Self, Failure> {
        let attributes = Attribute::of(schema)?;
        Ok(Self { keys: schema.key_kind(), sparse: None, tokens: None, attributes, pooling: None })
    }

    /// Those of an index that is there, which must have the halves that come in.
    pub(crate) fn in_schema(schema: &Schema, sparse: bool, tokens: bool) -> Result<Self, Failure> {
        let mut fields = Self::of(schema)?;
        if sparse {
            let field = schema.sparse(&vector_field(schema, "sparse"));
            fields.sparse = Some(field.map_err(|error| Failure::field(schema, error))?);
        }
        if tokens {
            let field = schema.tokens(&vector_field(schema, "tokens"));
            fields.tokens = Some(field.map_err(|error| Failure::field(schema, error))?);
        }
        Ok(fields)
    }

    /// The names of the attributes.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.attributes.iter().map(Attribute::name).collect()
    }

    /// What is wrong with the entries of a document, and the name of the one.
    pub(crate) fn misfit(&self, entries: &BTreeMap<String, Value>) -> Option<(&str, String)> {
        self.attributes.iter().find_map(|attribute| {
            let name = attribute.name();
            let value = entries.get(name).filter(|value| !value.is_null())?;
            (!attribute.holds(value)).then(|| (name, misfit(name, value)))
        })
    }

    /// What is wrong with an id.
    pub(crate) fn no_key(&self, id: &str) -> Option<&'static str> {
        (self.keys == KeyKind::U64 && id.parse::<u64>().is_err())
            .then_some("the id is no whole number, as those of this index are")
    }

    /// Hands documents to a writer.
    pub(crate) fn add(
        &self,
        writer: &mut IndexWriter,
        chunk: &Chunk<'_>,
        replace: bool,
    ) -> Result<(), Refused> {
        let keys = chunk.ids.iter().enumerate().map(|(row, id)| self.key(row, id));
        let mut batch = Batch::new(keys.collect::<Result<Vec<Key>, _>>()?);
        if let Some(texts) = chunk.texts {
            batch = batch.payloads(texts)?;
        }
        let keywords: Vec<(&KeywordField, Vec<Vec<String>>)> = self
            .attributes
            .iter()
            .filter_map(|attribute| match attribute {
                Attribute::Keyword(field) => Some(field),
                _ => None,
            })
            .map(|field| {
                let rows = column(chunk, field.name(), strings)?;
                Ok((field, rows.into_iter().map(Option::unwrap_or_default).collect()))
            })
            .collect::<Result<_, Refused>>()?;
        for (field, rows) in &keywords {
            batch = batch.keywords(field, rows)?;
        }
        for attribute in &self.attributes {
            batch = match attribute {
                Attribute::Keyword(_) => batch,
                Attribute::I64(field) => {
                    batch.i64(field, &column(chunk, field.name(), Value::as_i64)?)?
                }
                Attribute::U64(field) => {
                    batch.u64(field, &column(chunk, field.name(), Value::as_u64)?)?
                }
                Attribute::F64(field) => {
                    batch.f64(field, &column(chunk, field.name(), Value::as_f64)?)?
                }
                Attribute::Bool(field) => {
                    batch.bool(field, &column(chunk, field.name(), Value::as_bool)?)?
                }
            };
        }
        let reduced = match (&self.pooling, &chunk.tokens) {
            (Some(pooling), Some(rows)) => Some(pooling.reduce(rows)?),
            _ => None,
        };
        let matrices: Option<Vec<TokenMatrix<'_>>> =
            reduced.as_ref().map(|reduced| reduced.iter().map(ReducedTokens::matrix).collect());
        let pooled = matrices.as_ref().map(|rows| TokenBatch::matrices(rows));
        if let (Some(field), Some(rows)) = (&self.sparse, &chunk.sparse) {
            batch = batch.sparse(field, rows)?;
        }
        if let (Some(field), Some(rows)) = (&self.tokens, pooled.as_ref().or(chunk.tokens.as_ref()))
        {
            batch = batch.tokens(field, rows)?;
        }
        if replace { writer.upsert_batch(&batch) } else { writer.add_batch(&batch) }?;
        Ok(())
    }

    fn key(&self, row: usize, id: &str) -> Result<Key, Refused> {
        match (self.no_key(id), self.keys) {
            (Some(what), _) => Err(Refused::Row(row, what.to_owned())),
            (None, KeyKind::U64) => Ok(Key::from(id.parse::<u64>().unwrap_or_default())),
            (None, KeyKind::Str) => Ok(Key::from(id)),
        }
    }
}

/// Why documents were not taken in.
pub(crate) enum Refused {
    /// What the library says.
    Error(lateen::Error),
    /// What is wrong with a row of the chunk.
    Row(usize, String),
}

impl From<lateen::Error> for Refused {
    fn from(error: lateen::Error) -> Self {
        Self::Error(error)
    }
}

/// The values of an entry, a row each; nothing where a row lacks it.
fn column<T>(
    chunk: &Chunk<'_>,
    name: &str,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<Option<T>>, Refused> {
    let value = |(row, entries): (usize, &BTreeMap<String, Value>)| match entries.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => read(value).map(Some).ok_or_else(|| Refused::Row(row, misfit(name, value))),
    };
    chunk.entries.iter().enumerate().map(value).collect()
}

fn misfit(name: &str, value: &Value) -> String {
    let shown: String = value.to_string().chars().take(60).collect();
    format!("{name}: {shown} is not what the field holds")
}

/// A string, or a list of strings.
fn strings(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text.clone()]),
        Value::Array(list) => list.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_have_a_name_and_a_kind() {
        assert_eq!(attribute("year:i64").unwrap(), ("year".to_owned(), Kind::I64));
        assert_eq!(attribute("a:b:bool").unwrap(), ("a:b".to_owned(), Kind::Bool));
        for text in ["year", ":i64", "year:i32", "year:"] {
            assert!(attribute(text).is_err(), "{text}");
        }
    }
}
