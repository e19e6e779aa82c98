//! A filter as a tree, and which documents of a segment pass it.

use std::ops::Bound;
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::kept::{Kept, Passing};
use crate::docset::DocSet;
use crate::embed::check_key_kind;
use crate::error::{InputError, Result, SchemaError};
use crate::id::Key;
use crate::kernel::Kernels;
use crate::schema::{BoolField, F64Field, I64Field, KeywordField, Schema, U64Field};
use crate::search::query::refuse;
use crate::segment::{AttributeTable, Segment, WantedKeys, float_bits};
use crate::stop::Stop;

/// Values looked up between two questions for the time: some tens of microseconds.
const LOOK_UPS: usize = 256;

/// A predicate. Those that may hold many values, and so take long, have what they were evaluated to
/// kept: for whatever filter they become a part of.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// More levels than the limit. The tree itself is not kept: whoever walks one, were it only to
    /// drop it, goes as deep as it is.
    TooDeep,
    Keywords(KeywordField, Arc<[String]>, Kept),
    HasKeyword(KeywordField),
    I64(I64Field, Bound<i64>, Bound<i64>),
    U64(U64Field, Bound<u64>, Bound<u64>),
    F64(F64Field, Bound<f64>, Bound<f64>),
    /// Ascending as bits.
    Numbers(Numbered, Arc<[u64]>, Kept),
    Bool(BoolField, Option<bool>),
    /// Ascending.
    Keys(WantedKeys, Kept),
    Bitmap(Arc<RoaringTreemap>, Kept),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
}

/// A field of numbers.
#[derive(Clone, Debug)]
pub(super) enum Numbered {
    I64(I64Field),
    U64(U64Field),
    F64(F64Field),
}

impl Numbered {
    fn resolve(&self, schema: &Schema) -> Result<usize, SchemaError> {
        match self {
            Self::I64(field) => schema.resolve(field),
            Self::U64(field) => schema.resolve(field),
            Self::F64(field) => schema.resolve(field),
        }
    }
}

/// What a filter is evaluated with.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) schema: &'a Schema,
    pub(super) segment: &'a Arc<Segment>,
    pub(super) kernels: &'a Kernels,
    pub(super) stop: &'a Stop,
}

impl Look<'_> {
    /// What was kept, or else what is found now, which is kept unless it was cut.
    fn kept(&self, kept: &Kept, find: impl FnOnce() -> Result<DocSet>) -> Result<Arc<DocSet>> {
        if let Some(passing) = kept.get(self.segment) {
            return Ok(passing.set);
        }
        let passing = Passing::new(Arc::new(find()?));
        if !self.stop.was_reached() {
            kept.keep(self.segment, &passing);
        }
        Ok(passing.set)
    }

    /// The documents whose number is at most so much beyond the least of a range; none where there
    /// is no range, or the attribute holds no numbers.
    fn within(&self, at: usize, range: Option<(u64, u64)>) -> DocSet {
        match (self.segment.attribute(at), range) {
            (Some(AttributeTable::Number(table)), Some((low, width))) => {
                table.within(low, width, self.kernels, || self.stop.reached())
            }
            _ => DocSet::empty(self.segment.docs()),
        }
    }
}

/// An end of a range, itself included; `None` where nothing lies beyond what is excluded. What kind
/// of end it was is then not asked again for every number.
fn edge<T>(end: Bound<T>, last: T, inwards: impl Fn(T) -> Option<T>) -> Option<T> {
    match end {
        Bound::Included(value) => Some(value),
        Bound::Excluded(value) => inwards(value),
        Bound::Unbounded => Some(last),
    }
}

impl Node {
    /// One of the values with these bits, of the field's type.
    pub(super) fn numbers(field: Numbered, bits: impl Iterator<Item = u64>) -> Self {
        let mut bits: Vec<u64> = bits.collect();
        if matches!(field, Numbered::F64(_)) {
            // 0 and −0 are one number.
            let zeros = [0.0f64.to_bits(), (-0.0f64).to_bits()];
            if zeros.iter().any(|zero| bits.contains(zero)) {
                bits.extend(zeros);
            }
        }
        bits.sort_unstable();
        bits.dedup();
        Self::Numbers(field, bits.into(), Kept::default())
    }

    /// Operators, values and keys.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Keywords(_, values, _) => values.len().max(1),
            Self::Numbers(_, values, _) => values.len().max(1),
            Self::Keys(keys, _) => keys.len().max(1),
            Self::And(nodes) | Self::Or(nodes) => {
                nodes.iter().map(Self::size).fold(1, usize::saturating_add)
            }
            Self::Not(node) => node.size().saturating_add(1),
            _ => 1,
        }
    }

    pub(super) fn check(&self, schema: &Schema) -> Result<()> {
        let place = match self {
            Self::TooDeep => return Ok(()), // refused by its depth
            Self::Keywords(field, ..) | Self::HasKeyword(field) => schema.resolve(field),
            Self::I64(field, ..) => schema.resolve(field),
            Self::U64(field, ..) => schema.resolve(field),
            Self::F64(field, low, high) => {
                let nan = |end: &Bound<f64>| matches!(end, Bound::Included(x) | Bound::Excluded(x) if x.is_nan());
                if nan(low) || nan(high) {
                    return Ok(not_a_number(field)?);
                }
                schema.resolve(field)
            }
            Self::Numbers(field, values, _) => {
                if let Numbered::F64(field) = field
                    && values.iter().any(|&bits| f64::from_bits(bits).is_nan())
                {
                    return Ok(not_a_number(field)?);
                }
                field.resolve(schema)
            }
            Self::Bool(field, _) => schema.resolve(field),
            Self::Keys(keys, _) => {
                let kind = schema.key_kind();
                let other = keys.other_than(kind);
                return Ok(other.map_or(Ok(()), |key| check_key_kind(kind, &key))?);
            }
            Self::Bitmap(..) => return Ok(check_key_kind(schema.key_kind(), &Key::U64(0))?),
            Self::And(nodes) | Self::Or(nodes) => {
                return nodes.iter().try_for_each(|node| node.check(schema));
            }
            Self::Not(node) => return node.check(schema),
        };
        Ok(place.map(drop)?)
    }

    /// The documents of a segment that pass; those come to where the time is up.
    pub(super) fn select(&self, look: &Look<'_>) -> Result<Arc<DocSet>> {
        let Look { schema, segment, kernels, stop } = *look;
        let docs = segment.docs();
        Ok(Arc::new(match self {
            Self::TooDeep => DocSet::empty(docs),
            Self::Keywords(field, values, kept) => {
                let at = schema.resolve(field)?;
                return look.kept(kept, || keywords(look, at, values));
            }
            Self::HasKeyword(field) => match segment.attribute(schema.resolve(field)?) {
                Some(AttributeTable::Keyword(table)) => table.present(|| stop.reached()),
                _ => DocSet::empty(docs),
            },
            Self::I64(field, low, high) => {
                let low = edge(*low, i64::MIN, |value| value.checked_add(1));
                let high = edge(*high, i64::MAX, |value| value.checked_sub(1));
                let range = low.zip(high).filter(|(low, high)| low <= high);
                let range = range.map(|(low, high)| {
                    (low.cast_unsigned(), high.wrapping_sub(low).cast_unsigned())
                });
                look.within(schema.resolve(field)?, range)
            }
            Self::U64(field, low, high) => {
                let low = edge(*low, u64::MIN, |value| value.checked_add(1));
                let high = edge(*high, u64::MAX, |value| value.checked_sub(1));
                let range = low.zip(high).filter(|(low, high)| low <= high);
                let range = range.map(|(low, high)| (low, high - low));
                look.within(schema.resolve(field)?, range)
            }
            Self::F64(field, low, high) => {
                let at = schema.resolve(field)?;
                let mut set = DocSet::empty(docs);
                for range in float_bits(*low, *high).into_iter().flatten() {
                    set.unite(&look.within(at, Some(range)));
                }
                set
            }
            Self::Numbers(field, values, kept) => {
                let at = field.resolve(schema)?;
                return look.kept(kept, || {
                    Ok(match segment.attribute(at) {
                        Some(AttributeTable::Number(table)) => {
                            table.any_of(values, kernels, || stop.reached())
                        }
                        _ => DocSet::empty(docs),
                    })
                });
            }
            Self::Bool(field, value) => {
                let range = match value {
                    None => (0, u64::MAX),
                    Some(true) => (1, u64::MAX - 1),
                    Some(false) => (0, 0),
                };
                look.within(schema.resolve(field)?, Some(range))
            }
            Self::Keys(keys, kept) => {
                return look.kept(kept, || segment.keys().of_keys(keys, || stop.reached()));
            }
            Self::Bitmap(keys, kept) => {
                return look.kept(kept, || segment.keys().of_bitmap(keys, || stop.reached()));
            }
            Self::And(nodes) => {
                let mut set = DocSet::full(docs);
                for node in nodes {
                    if stop.reached() {
                        break;
                    }
                    set.intersect(&*node.select(look)?);
                }
                set
            }
            Self::Or(nodes) => {
                let mut set = DocSet::empty(docs);
                for node in nodes {
                    if stop.reached() {
                        break;
                    }
                    set.unite(&*node.select(look)?);
                }
                set
            }
            Self::Not(node) => {
                let mut set = Arc::unwrap_or_clone(node.select(look)?);
                set.complement();
                set
            }
        }))
    }
}

/// The documents with one of these values of a keyword attribute.
fn keywords(look: &Look<'_>, at: usize, values: &[String]) -> Result<DocSet> {
    let mut set = DocSet::empty(look.segment.docs());
    if let Some(AttributeTable::Keyword(table)) = look.segment.attribute(at) {
        for (at, value) in values.iter().enumerate() {
            if at.is_multiple_of(LOOK_UPS) && look.stop.reached() {
                break;
            }
            table.select(value, &mut set, || look.stop.reached())?;
        }
    }
    Ok(set)
}

fn not_a_number(field: &F64Field) -> Result<(), InputError> {
    refuse(field.name(), "NaN".to_owned(), "what a filter can ask for: any other number")
}
