//! Which documents a query looks through.

use std::ops::{BitAnd, BitOr, Bound, Not, RangeBounds};
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::docset::DocSet;
use crate::embed::check_key_kind;
use crate::error::Result;
use crate::id::Key;
use crate::schema::{BoolField, F64Field, I64Field, KeywordField, Schema, U64Field};
use crate::segment::{AttributeTable, Segment};

/// A predicate over a document's key and attributes. A document that lacks an attribute passes no
/// test of it but a negated one.
///
/// ```
/// # use lateen::{Filter, Schema};
/// # let mut schema = Schema::builder();
/// # schema.sparse("s");
/// let lang = schema.keyword("lang");
/// let year = schema.i64("year");
/// let filter = lang.any_of(["en", "fr"]) & year.range(1990..2000) & !Filter::keys(["wiki-1"]);
/// # let _ = filter;
/// ```
#[derive(Clone, Debug)]
pub struct Filter(Node);

#[derive(Clone, Debug)]
enum Node {
    Keywords(KeywordField, Vec<String>),
    HasKeyword(KeywordField),
    I64(I64Field, Bound<i64>, Bound<i64>),
    U64(U64Field, Bound<u64>, Bound<u64>),
    F64(F64Field, Bound<f64>, Bound<f64>),
    Bool(BoolField, Option<bool>),
    Keys(Vec<Key>),
    Bitmap(Arc<RoaringTreemap>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
}

impl Filter {
    /// The documents with one of these keys.
    pub fn keys<K: Into<Key>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self(Node::Keys(keys.into_iter().map(Into::into).collect()))
    }

    /// The documents whose number keys are in a bitmap: sets of any size that come from elsewhere.
    /// The bitmap is shared, not copied.
    ///
    /// ```
    /// use lateen::{Filter, RoaringTreemap};
    ///
    /// let bitmap: RoaringTreemap = (1000u64..2000).collect();
    /// let filter = Filter::bitmap(bitmap);
    /// # let _ = filter;
    /// ```
    pub fn bitmap(keys: impl Into<Arc<RoaringTreemap>>) -> Self {
        Self(Node::Bitmap(keys.into()))
    }

    /// The documents that pass every one of them; all documents where there are none.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        Self(Node::And(filters.into_iter().map(|filter| filter.0).collect()))
    }

    /// The documents that pass at least one of them; no document where there are none.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        Self(Node::Or(filters.into_iter().map(|filter| filter.0).collect()))
    }

    /// Checks that every field belongs to the schema, and that every key is of its kind.
    pub(crate) fn check(&self, schema: &Schema) -> Result<()> {
        self.0.check(schema)
    }

    /// The documents of a segment that pass.
    pub(crate) fn select(&self, schema: &Schema, segment: &Segment) -> Result<DocSet> {
        self.0.select(schema, segment)
    }
}

impl BitAnd for Filter {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        // One list, however many are joined: filters built in a loop do not nest.
        let (mut nodes, other) = match (self.0, other.0) {
            (Node::And(nodes), other) => (nodes, other),
            (node, other) => (vec![node], other),
        };
        match other {
            Node::And(more) => nodes.extend(more),
            node => nodes.push(node),
        }
        Self(Node::And(nodes))
    }
}

impl BitOr for Filter {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        let (mut nodes, other) = match (self.0, other.0) {
            (Node::Or(nodes), other) => (nodes, other),
            (node, other) => (vec![node], other),
        };
        match other {
            Node::Or(more) => nodes.extend(more),
            node => nodes.push(node),
        }
        Self(Node::Or(nodes))
    }
}

impl Not for Filter {
    type Output = Self;
    fn not(self) -> Self {
        match self.0 {
            Node::Not(node) => Self(*node),
            node => Self(Node::Not(Box::new(node))),
        }
    }
}

impl KeywordField {
    /// Has this value among its values.
    pub fn eq(&self, value: impl Into<String>) -> Filter {
        self.any_of([value])
    }

    /// Has at least one of these values.
    pub fn any_of<S: Into<String>>(&self, values: impl IntoIterator<Item = S>) -> Filter {
        Filter(Node::Keywords(self.clone(), values.into_iter().map(Into::into).collect()))
    }

    /// Has any value.
    pub fn exists(&self) -> Filter {
        Filter(Node::HasKeyword(self.clone()))
    }
}

macro_rules! numeric {
    ($field:ident, $variant:ident, $type:ty) => {
        impl $field {
            /// Has this value.
            pub fn eq(&self, value: $type) -> Filter {
                self.range(value..=value)
            }

            /// Has a value in the range.
            pub fn range(&self, range: impl RangeBounds<$type>) -> Filter {
                let (low, high) = (range.start_bound().cloned(), range.end_bound().cloned());
                Filter(Node::$variant(self.clone(), low, high))
            }

            /// Has one of these values.
            pub fn any_of(&self, values: impl IntoIterator<Item = $type>) -> Filter {
                Filter::any(values.into_iter().map(|value| self.eq(value)))
            }

            /// Has any value.
            pub fn exists(&self) -> Filter {
                self.range(..)
            }
        }
    };
}
numeric!(I64Field, I64, i64);
numeric!(U64Field, U64, u64);
numeric!(F64Field, F64, f64);

impl BoolField {
    /// Has this value.
    pub fn eq(&self, value: bool) -> Filter {
        Filter(Node::Bool(self.clone(), Some(value)))
    }

    /// Has any value.
    pub fn exists(&self) -> Filter {
        Filter(Node::Bool(self.clone(), None))
    }
}

impl Node {
    fn check(&self, schema: &Schema) -> Result<()> {
        let place = match self {
            Self::Keywords(field, _) | Self::HasKeyword(field) => schema.resolve(field),
            Self::I64(field, ..) => schema.resolve(field),
            Self::U64(field, ..) => schema.resolve(field),
            Self::F64(field, ..) => schema.resolve(field),
            Self::Bool(field, _) => schema.resolve(field),
            Self::Keys(keys) => {
                return Ok(keys
                    .iter()
                    .try_for_each(|key| check_key_kind(schema.key_kind(), key))?);
            }
            Self::Bitmap(_) => return Ok(check_key_kind(schema.key_kind(), &Key::U64(0))?),
            Self::And(nodes) | Self::Or(nodes) => {
                return nodes.iter().try_for_each(|node| node.check(schema));
            }
            Self::Not(node) => return node.check(schema),
        };
        Ok(place.map(drop)?)
    }

    fn select(&self, schema: &Schema, segment: &Segment) -> Result<DocSet> {
        let docs = segment.docs();
        let numbers = |at: usize, pass: &dyn Fn(u64) -> bool| match segment.attribute(at) {
            Some(AttributeTable::Number(table)) => table.select(pass),
            _ => DocSet::empty(docs),
        };
        Ok(match self {
            Self::Keywords(field, values) => {
                let mut set = DocSet::empty(docs);
                if let Some(AttributeTable::Keyword(table)) =
                    segment.attribute(schema.resolve(field)?)
                {
                    for value in values {
                        table.select(value, &mut set)?;
                    }
                }
                set
            }
            Self::HasKeyword(field) => match segment.attribute(schema.resolve(field)?) {
                Some(AttributeTable::Keyword(table)) => table.present(),
                _ => DocSet::empty(docs),
            },
            Self::I64(field, low, high) => {
                numbers(schema.resolve(field)?, &|bits| (*low, *high).contains(&bits.cast_signed()))
            }
            Self::U64(field, low, high) => {
                numbers(schema.resolve(field)?, &|bits| (*low, *high).contains(&bits))
            }
            Self::F64(field, low, high) => numbers(schema.resolve(field)?, &|bits| {
                (*low, *high).contains(&f64::from_bits(bits))
            }),
            Self::Bool(field, value) => numbers(schema.resolve(field)?, &|bits| {
                value.is_none_or(|value| (bits != 0) == value)
            }),
            Self::Keys(keys) => {
                let mut set = DocSet::empty(docs);
                for key in keys {
                    if let Some(doc) = segment.keys().find(key)? {
                        set.insert(doc);
                    }
                }
                set
            }
            Self::Bitmap(keys) => {
                let mut set = DocSet::empty(docs);
                // A look-up by key costs several by document.
                if keys.len() < u64::from(docs / 8) {
                    for key in keys.iter() {
                        if let Some(doc) = segment.keys().find(&Key::U64(key))? {
                            set.insert(doc);
                        }
                    }
                } else {
                    for doc in 0..docs {
                        if segment.keys().key(doc)?.as_u64().is_some_and(|key| keys.contains(key)) {
                            set.insert(doc);
                        }
                    }
                }
                set
            }
            Self::And(nodes) => {
                let mut set = DocSet::full(docs);
                for node in nodes {
                    set.intersect(&node.select(schema, segment)?);
                }
                set
            }
            Self::Or(nodes) => {
                let mut set = DocSet::empty(docs);
                for node in nodes {
                    set.unite(&node.select(schema, segment)?);
                }
                set
            }
            Self::Not(node) => {
                let mut set = node.select(schema, segment)?;
                set.complement();
                set
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_joined_in_a_loop_do_not_nest() {
        let mut schema = Schema::builder();
        schema.sparse("s");
        let k = schema.keyword("k");
        let schema = schema.build().unwrap();
        let (mut any, mut all, mut not) = (k.eq("x"), k.eq("x"), k.eq("x"));
        for i in 0..100_000 {
            any = any | k.eq(i.to_string());
            all = k.eq(i.to_string()) & all;
            not = !not;
        }
        for filter in [any, all, not] {
            filter.check(&schema).unwrap();
            drop(filter.clone());
        }
    }
}
