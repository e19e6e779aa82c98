//! Which documents a query looks through.

mod kept;
mod node;

use std::ops::{BitAnd, BitOr, Not, RangeBounds};
use std::sync::Arc;

use roaring::RoaringTreemap;

use self::kept::Kept;
pub(crate) use self::kept::Passing;
use self::node::{Look, Node, Numbered};
use crate::docset::DocSet;
use crate::error::{Fault, InputError, Result};
use crate::id::Key;
use crate::kernel::Kernels;
use crate::limits::{Limits, MAX_FILTER_DEPTH, over};
use crate::schema::{BoolField, F64Field, I64Field, KeywordField, Schema, U64Field};
use crate::segment::{Segment, WantedKeys};
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
///
/// A filter keeps what its first query found of it: for each segment, one bit for each document,
/// 16 MiB at most (the documents of 128 million), in memory that its clones share. So ask with
/// clones of one filter, and it is evaluated once: a set of keys, a bitmap or many values, however
/// many, cost the later queries nothing, alone or as a part of other filters. What is kept is let
/// go with the last clone, and that of a segment which is gone when the filter is next evaluated.
/// What a deadline cut short is not kept.
#[derive(Clone, Debug)]
pub struct Filter {
    node: Node,
    /// What it was evaluated to.
    kept: Kept,
    /// Levels of `And` and `Or`, the sum that was asked for even where it is beyond the limit.
    /// `Not` does not count: two of them never stand together.
    depth: u64,
}

impl Filter {
    /// A predicate without operators.
    fn leaf(node: Node) -> Self {
        Self { node, kept: Kept::default(), depth: 0 }
    }

    /// A predicate of so many levels, which is let go where they are too many.
    fn levels(node: Node, depth: u64) -> Self {
        let node = if depth > MAX_FILTER_DEPTH { Node::TooDeep } else { node };
        Self { node, kept: Kept::default(), depth }
    }

    /// The documents with one of these keys, which are put in order here, once. The first query
    /// finds them in time that grows with the smaller of the two, the keys and a segment's documents:
    /// some tens to hundreds of nanoseconds a key; where many numbers are asked for, and an index's
    /// numbers lie close together, a nanosecond or less for each document and key, and of documents
    /// that are numbered as they were added for each key alone.
    pub fn keys<K: Into<Key>>(keys: impl IntoIterator<Item = K>) -> Self {
        let keys = WantedKeys::new(keys.into_iter().map(Into::into));
        Self::leaf(Node::Keys(keys, Kept::default()))
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
        Self::leaf(Node::Bitmap(keys.into(), Kept::default()))
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
        segment: &Arc<Segment>,
        kernels: &Kernels,
        stop: &Stop,
    ) -> Result<Passing> {
        if let Some(passing) = self.kept.get(segment) {
            return Ok(passing);
        }
        let set = self.node.select(&Look { schema, segment, kernels, stop })?;
        // What was cut says nothing: the complement of too few is too many.
        if stop.was_reached() {
            return Ok(Passing::new(Arc::new(DocSet::empty(segment.docs()))));
        }
        let passing = Passing::new(set);
        self.kept.keep(segment, &passing);
        Ok(passing)
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
        Self { node, kept: Kept::default(), depth: self.depth }
    }
}

impl KeywordField {
    /// Has this value among its values.
    pub fn eq(&self, value: impl Into<String>) -> Filter {
        self.any_of([value])
    }

    /// Has at least one of these values.
    pub fn any_of<S: Into<String>>(&self, values: impl IntoIterator<Item = S>) -> Filter {
        let values = values.into_iter().map(Into::into).collect();
        Filter::leaf(Node::Keywords(self.clone(), values, Kept::default()))
    }

    /// Has any value.
    pub fn exists(&self) -> Filter {
        Filter::leaf(Node::HasKeyword(self.clone()))
    }
}

macro_rules! numeric {
    ($field:ident, $variant:ident, $type:ty, $bits:expr) => {
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
                let field = Numbered::$variant(self.clone());
                Filter::leaf(Node::numbers(field, values.into_iter().map($bits)))
            }

            /// Has any value.
            pub fn exists(&self) -> Filter {
                self.range(..)
            }
        }
    };
}
numeric!(I64Field, I64, i64, i64::cast_unsigned);
numeric!(U64Field, U64, u64, |value| value);
numeric!(F64Field, F64, f64, f64::to_bits);

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
