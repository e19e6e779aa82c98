//! The attributes of documents, read one by one: what models of filters, facets and orders go by.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use lateen::{Index, Key, Schema, StoredDocument};

use super::both;

/// What a document has of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// In byte order, at least one.
    Texts(Vec<String>),
    /// A signed number.
    I64(i64),
    /// An unsigned one.
    U64(u64),
    /// A float.
    F64(f64),
    /// A truth.
    Bool(bool),
}

impl Value {
    /// The order by which answers are sorted: of several values the first counts.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Texts(a), Self::Texts(b)) => a.first().cmp(&b.first()),
            (Self::I64(a), Self::I64(b)) => a.cmp(b),
            (Self::U64(a), Self::U64(b)) => a.cmp(b),
            (Self::F64(a), Self::F64(b)) => a.total_cmp(b),
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            _ => panic!("{self:?} beside {other:?}"),
        }
    }
}

/// The attributes of a schema: names and kinds.
pub fn names(schema: &Schema) -> Vec<(String, &'static str)> {
    let fields = schema.field_names().filter(|(_, kind)| !matches!(*kind, "sparse" | "tokens"));
    fields.map(|(name, kind)| (name.to_owned(), kind)).collect()
}

/// What a document has of an attribute; `None` where it lacks it.
///
/// # Errors
/// As the reading of it.
pub fn value(
    schema: &Schema,
    document: &StoredDocument,
    name: &str,
) -> lateen::Result<Option<Value>> {
    let kind = schema.field_names().find(|(own, _)| *own == name).map_or("", |field| field.1);
    Ok(match kind {
        "keyword" => {
            let texts = document.keywords(&schema.keyword(name)?)?;
            (!texts.is_empty()).then_some(Value::Texts(texts))
        }
        "i64" => document.i64(&schema.i64(name)?)?.map(Value::I64),
        "u64" => document.u64(&schema.u64(name)?)?.map(Value::U64),
        "f64" => document.f64(&schema.f64(name)?)?.map(Value::F64),
        "bool" => document.bool(&schema.bool(name)?)?.map(Value::Bool),
        _ => None,
    })
}

/// The attributes that a document has, by name.
pub type Row = BTreeMap<String, Value>;

/// Those of every live document of the two sample indexes, read once.
pub fn rows(which: usize) -> &'static BTreeMap<Key, Row> {
    static ROWS: OnceLock<[BTreeMap<Key, Row>; 2]> = OnceLock::new();
    &ROWS.get_or_init(|| both::indexes().each_ref().map(read))[which]
}

fn read(index: &Index) -> BTreeMap<Key, Row> {
    let schema = index.schema();
    let names = names(&schema);
    let row = |document: lateen::Result<StoredDocument>| {
        let document = document.expect("readable");
        let value = |(name, _): &(String, &str)| {
            let value = value(&schema, &document, name).expect("readable")?;
            Some((name.clone(), value))
        };
        (document.key().clone(), names.iter().filter_map(value).collect())
    };
    index.snapshot().documents().map(row).collect()
}
