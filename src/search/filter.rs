//! Which documents a query looks through.

use std::ops::{BitAnd, BitOr, Bound, Not, RangeBounds};
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::docset::DocSet;
use crate::embed::check_key_kind;
use crate::error::{Fault, InputError, Result};
use crate::id::Key;
use crate::kernel::Kernels;
use crate::limits::{Limits, MAX_FILTER_DEPTH, over};
use crate::schema::{BoolField, F64Field, I64Field, KeywordField, Schema, U64Field};
use crate::segment::{AttributeTable, Segment};
use crate::stop::Stop;

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
///
/// Filters joined by the same operator lie side by side, however many they are. Alternating
/// operators nest, `a & (b | (c & …))`: at most [`MAX_FILTER_DEPTH`] levels of `&` and `|`, else
/// the search refuses the filter. Cloning copies no keys and no keywords.
#[derive(Clone, Debug)]
pub struct Filter {
    node: Node,
    /// Levels of `And` and `Or`, the sum that was asked for even where it is beyond the limit.
    /// `Not` does not count: two of them never stand together.
    depth: u64,
}

#[derive(Clone, Debug)]
enum Node {
    /// More levels than the limit. The tree itself is not kept: whoever walks one, were it only to
    /// drop it, goes as deep as it is.
    TooDeep,
    Keywords(KeywordField, Arc<[String]>),
    HasKeyword(KeywordField),
    I64(I64Field, Bound<i64>, Bound<i64>),
    U64(U64Field, Bound<u64>, Bound<u64>),
    F64(F64Field, Bound<f64>, Bound<f64>),
    Bool(BoolField, Option<bool>),
    Keys(Arc<[Key]>),
    Bitmap(Arc<RoaringTreemap>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
}

/// Keys looked up between two questions for the time: some tens of microseconds.
const LOOK_UPS: usize = 256;

impl Filter {
    /// A predicate without operators.
    fn leaf(node: Node) -> Self {
        Self { node, depth: 0 }
    }

    /// A predicate of so many levels, which is let go where they are too many.
    fn levels(node: Node, depth: u64) -> Self {
        let node = if depth > MAX_FILTER_DEPTH { Node::TooDeep } else { node };
        Self { node, depth }
    }

    /// The documents with one of these keys.
    pub fn keys<K: Into<Key>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::leaf(Node::Keys(keys.into_iter().map(Into::into).collect()))
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
        Self::leaf(Node::Bitmap(keys.into()))
    }

    /// The documents that pass every one of them; all documents where there are none.
    pub fn all(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::list(filters, Node::And)
    }

    /// The documents that pass at least one of them; no document where there are none.
    pub fn any(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::list(filters, Node::Or)
    }

    fn list(filters: impl IntoIterator<Item = Self>, operator: fn(Vec<Node>) -> Node) -> Self {
        let mut depth = 0;
        let nodes = filters.into_iter().map(|filter| {
            depth = filter.depth.max(depth);
            filter.node
        });
        let nodes = nodes.collect();
        Self::levels(operator(nodes), depth.saturating_add(1))
    }

    /// One list of both, where either is a list of the operator already: filters built in a loop
    /// do not nest. The order of a list means nothing, so the shorter one is added to the longer.
    fn join(
        one: Self,
        other: Self,
        list: fn(Node) -> Result<Vec<Node>, Node>,
        operator: fn(Vec<Node>) -> Node,
    ) -> Self {
        let parts = |filter: Self| match list(filter.node) {
            Ok(nodes) => (nodes, filter.depth),
            Err(node) => (vec![node], filter.depth.saturating_add(1)),
        };
        let ((mut nodes, depth), (mut more, other_depth)) = (parts(one), parts(other));
        if more.len() > nodes.len() {
            std::mem::swap(&mut nodes, &mut more);
        }
        nodes.append(&mut more);
        Self::levels(operator(nodes), depth.max(other_depth))
    }

    /// Checks that it is not nested too deeply, that every field belongs to the schema, and that
    /// every key is of its kind.
    pub(crate) fn check(&self, schema: &Schema) -> Result<()> {
        if self.depth > MAX_FILTER_DEPTH {
            let (what, found) = ("levels of operators", self.depth);
            let fault = Fault::TooMany { what, found, limit: MAX_FILTER_DEPTH };
            return Err(InputError::new("filter", fault).into());
        }
        self.node.check(schema)
    }

    /// Checks its depth and size.
    pub(crate) fn within(&self, limits: &Limits) -> Result<(), InputError> {
        // A tree that is too deep is not there to be counted; `check` has refused it.
        let depth = usize::try_from(self.depth).unwrap_or(usize::MAX);
        over("filter", "levels of operators", depth, limits.filter_depth)?;
        over("filter", "operators and values", self.node.size(), limits.filter_size)
    }

    /// The documents of a segment that pass; none where there is not the time to say.
    pub(crate) fn select(
        &self,
        schema: &Schema,
        segment: &Segment,
        kernels: &Kernels,
        stop: &Stop,
    ) -> Result<DocSet> {
        let set = self.node.select(schema, segment, kernels, stop)?;
        // What was cut says nothing: the complement of too few is too many.
        Ok(if stop.was_reached() { DocSet::empty(segment.docs()) } else { set })
    }
}

impl BitAnd for Filter {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        let list = |node| match node {
            Node::And(nodes) => Ok(nodes),
            node => Err(node),
        };
        Self::join(self, other, list, Node::And)
    }
}

impl BitOr for Filter {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        let list = |node| match node {
            Node::Or(nodes) => Ok(nodes),
            node => Err(node),
        };
        Self::join(self, other, list, Node::Or)
    }
}

impl Not for Filter {
    type Output = Self;
    fn not(self) -> Self {
        let node = match self.node {
            Node::Not(node) => *node,
            node => Node::Not(Box::new(node)),
        };
        Self { node, depth: self.depth }
    }
}

impl KeywordField {
    /// Has this value among its values.
    pub fn eq(&self, value: impl Into<String>) -> Filter {
        self.any_of([value])
    }

    /// Has at least one of these values.
    pub fn any_of<S: Into<String>>(&self, values: impl IntoIterator<Item = S>) -> Filter {
        Filter::leaf(Node::Keywords(self.clone(), values.into_iter().map(Into::into).collect()))
    }

    /// Has any value.
    pub fn exists(&self) -> Filter {
        Filter::leaf(Node::HasKeyword(self.clone()))
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
                Filter::leaf(Node::$variant(self.clone(), low, high))
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
        Filter::leaf(Node::Bool(self.clone(), Some(value)))
    }

    /// Has any value.
    pub fn exists(&self) -> Filter {
        Filter::leaf(Node::Bool(self.clone(), None))
    }
}

/// The documents whose number is at most so much beyond the least of a range; none where there is
/// no range, or the attribute holds no numbers.
fn within(
    segment: &Segment,
    at: usize,
    range: Option<(u64, u64)>,
    kernels: &Kernels,
    stop: &Stop,
) -> DocSet {
    match (segment.attribute(at), range) {
        (Some(AttributeTable::Number(table)), Some((low, width))) => {
            table.within(low, width, kernels, || stop.reached())
        }
        _ => DocSet::empty(segment.docs()),
    }
}

/// The bits of the floats in a range, as the least and how far the largest is beyond it: of those
/// below zero, −0 among them, whose bits descend, and of the others.
fn float_bits(low: Bound<f64>, high: Bound<f64>) -> [Option<(u64, u64)>; 2] {
    const SIGN: u64 = 1 << 63;
    // In the order of the numbers; −0 and 0 are one number, and NaN is in no range.
    let rank = |bits: u64| if bits & SIGN == 0 { bits | SIGN } else { !bits };
    let end = |end: Bound<f64>, last: f64, zero: f64, inwards: fn(u64) -> Option<u64>| {
        let number = |value: f64| if value == 0.0 { zero } else { value };
        match end {
            Bound::Included(value) | Bound::Excluded(value) if value.is_nan() => None,
            Bound::Included(value) => Some(rank(number(value).to_bits())),
            Bound::Excluded(value) => inwards(rank((-number(-value)).to_bits())),
            Bound::Unbounded => Some(rank(last.to_bits())),
        }
    };
    let low = end(low, f64::NEG_INFINITY, -0.0, |rank| rank.checked_add(1));
    let high = end(high, f64::INFINITY, 0.0, |rank| rank.checked_sub(1));
    let Some((low, high)) = low.zip(high).filter(|(low, high)| low <= high) else {
        return [None, None];
    };
    let below = (low < SIGN).then(|| {
        let high = high.min(SIGN - 1);
        (!high, high - low)
    });
    let above = (high >= SIGN).then(|| {
        let low = low.max(SIGN);
        (low - SIGN, high - low)
    });
    [below, above]
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
    /// Operators, values and keys.
    fn size(&self) -> usize {
        match self {
            Self::Keywords(_, values) => values.len().max(1),
            Self::Keys(keys) => keys.len().max(1),
            Self::And(nodes) | Self::Or(nodes) => {
                nodes.iter().map(Self::size).fold(1, usize::saturating_add)
            }
            Self::Not(node) => node.size().saturating_add(1),
            _ => 1,
        }
    }

    fn check(&self, schema: &Schema) -> Result<()> {
        let place = match self {
            Self::TooDeep => return Ok(()), // refused by its depth
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

    fn select(
        &self,
        schema: &Schema,
        segment: &Segment,
        kernels: &Kernels,
        stop: &Stop,
    ) -> Result<DocSet> {
        let docs = segment.docs();
        Ok(match self {
            Self::TooDeep => DocSet::empty(docs),
            Self::Keywords(field, values) => {
                let mut set = DocSet::empty(docs);
                if let Some(AttributeTable::Keyword(table)) =
                    segment.attribute(schema.resolve(field)?)
                {
                    for (at, value) in values.iter().enumerate() {
                        if at.is_multiple_of(LOOK_UPS) && stop.reached() {
                            break;
                        }
                        table.select(value, &mut set, || stop.reached())?;
                    }
                }
                set
            }
            Self::HasKeyword(field) => match segment.attribute(schema.resolve(field)?) {
                Some(AttributeTable::Keyword(table)) => table.present(),
                _ => DocSet::empty(docs),
            },
            Self::I64(field, low, high) => {
                let low = edge(*low, i64::MIN, |value| value.checked_add(1));
                let high = edge(*high, i64::MAX, |value| value.checked_sub(1));
                let range = low.zip(high).filter(|(low, high)| low <= high);
                let range = range.map(|(low, high)| {
                    (low.cast_unsigned(), high.wrapping_sub(low).cast_unsigned())
                });
                within(segment, schema.resolve(field)?, range, kernels, stop)
            }
            Self::U64(field, low, high) => {
                let low = edge(*low, u64::MIN, |value| value.checked_add(1));
                let high = edge(*high, u64::MAX, |value| value.checked_sub(1));
                let range = low.zip(high).filter(|(low, high)| low <= high);
                let range = range.map(|(low, high)| (low, high - low));
                within(segment, schema.resolve(field)?, range, kernels, stop)
            }
            Self::F64(field, low, high) => {
                let at = schema.resolve(field)?;
                let mut set = DocSet::empty(docs);
                for range in float_bits(*low, *high).into_iter().flatten() {
                    set.unite(&within(segment, at, Some(range), kernels, stop));
                }
                set
            }
            Self::Bool(field, value) => {
                let range = match value {
                    None => (0, u64::MAX),
                    Some(true) => (1, u64::MAX - 1),
                    Some(false) => (0, 0),
                };
                within(segment, schema.resolve(field)?, Some(range), kernels, stop)
            }
            Self::Keys(keys) => {
                let mut set = DocSet::empty(docs);
                for keys in keys.chunks(LOOK_UPS) {
                    if stop.reached() {
                        break;
                    }
                    for key in keys {
                        if let Some(doc) = segment.keys().find(key)? {
                            set.insert(doc);
                        }
                    }
                }
                set
            }
            Self::Bitmap(keys) => {
                let mut set = DocSet::empty(docs);
                // A look-up by key costs several by document.
                if keys.len() < u64::from(docs / 8) {
                    for (at, key) in keys.iter().enumerate() {
                        if at % LOOK_UPS == 0 && stop.reached() {
                            break;
                        }
                        if let Some(doc) = segment.keys().find(&Key::U64(key))? {
                            set.insert(doc);
                        }
                    }
                } else {
                    for doc in 0..docs {
                        if (doc as usize).is_multiple_of(LOOK_UPS) && stop.reached() {
                            break;
                        }
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
                    if stop.was_reached() {
                        break;
                    }
                    set.intersect(&node.select(schema, segment, kernels, stop)?);
                }
                set
            }
            Self::Or(nodes) => {
                let mut set = DocSet::empty(docs);
                for node in nodes {
                    if stop.was_reached() {
                        break;
                    }
                    set.unite(&node.select(schema, segment, kernels, stop)?);
                }
                set
            }
            Self::Not(node) => {
                let mut set = node.select(schema, segment, kernels, stop)?;
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
    fn bits_of_floats_are_those_in_the_range() {
        let edges = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -1.0,
            -f64::MIN_POSITIVE,
            -1e-320,
            -0.0,
            0.0,
            1e-320,
            f64::MIN_POSITIVE,
            1.0,
            1.5,
            f64::MAX,
            f64::INFINITY,
            f64::NAN,
        ];
        let ends: Vec<Bound<f64>> = edges
            .iter()
            .flat_map(|&edge| [Bound::Included(edge), Bound::Excluded(edge)])
            .chain([Bound::Unbounded])
            .collect();
        for &low in &ends {
            for &high in &ends {
                for value in edges.into_iter().filter(|value| !value.is_nan()) {
                    let bits = value.to_bits();
                    let ranges = float_bits(low, high).into_iter().flatten();
                    let found = ranges.filter(|&(low, width)| bits.wrapping_sub(low) <= width);
                    let want = usize::from((low, high).contains(&value));
                    assert_eq!(found.count(), want, "{value} in {low:?}, {high:?}");
                }
            }
        }
    }

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

    #[test]
    fn a_million_levels_are_refused_and_walked_by_nobody() {
        let mut schema = Schema::builder();
        schema.sparse("s");
        let (k, b) = (schema.keyword("k"), schema.bool("b"));
        let schema = schema.build().unwrap();
        let alternate = |levels: u64| {
            (0..levels).fold(b.eq(true), |filter, level| match level % 2 {
                0 => !(k.eq("x") & filter),
                _ => b.exists() | filter,
            })
        };
        let (deepest, too_deep) = (alternate(MAX_FILTER_DEPTH), alternate(1_000_000));
        deepest.check(&schema).unwrap();
        assert!(!format!("{deepest:?}").contains("TooDeep"));
        // Not does not count, and is undone by itself on any level.
        (!!deepest.clone()).check(&schema).unwrap();
        let refused = [
            (too_deep.clone(), 1_000_000),
            (!!too_deep.clone(), 1_000_000),
            (Filter::any([k.eq("x"), too_deep.clone()]), 1_000_001),
            (Filter::all([deepest.clone()]), MAX_FILTER_DEPTH + 1),
            (k.eq("x") & deepest, MAX_FILTER_DEPTH + 1),
        ];
        for (filter, levels) in refused {
            let limit = MAX_FILTER_DEPTH;
            let words = format!("filter: {levels} levels of operators, the limit is {limit}");
            assert_eq!(filter.check(&schema).unwrap_err().to_string(), words);
            assert!(format!("{:?}", filter.clone()).contains("TooDeep"));
        }
    }
}
