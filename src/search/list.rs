//! The final list: diversified, collapsed, sorted.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::error::{InputError, Result};
use crate::id::DocId;
use crate::limits::{Limits, MAX_CANDIDATES, MAX_TOP, over};
use crate::ordered::keep_best;
use crate::schema::{
    BoolField, F64Field, Handle, I64Field, KeyKind, KeywordField, Schema, TokenField, U64Field,
};
use crate::search::feedback::dot;
use crate::search::plan::Plan;
use crate::search::query::{Query, refuse};
use crate::search::run::{Candidate, View};
use crate::segment::AttributeTable;

/// Maximal marginal relevance (Carbonell and Goldstein 1998) over a token field, of which a dense
/// vector is the case of one row: each next hit is the one with the largest
/// λ · relevance − (1 − λ) · (largest similarity to a hit before it).
///
/// Relevance is the score, scaled to 0 to 1 over the pool. Similarity is the cosine of the
/// documents' rows' means; a document that lacks the field is similar to none. Hits keep their
/// scores, which therefore need not descend.
#[derive(Clone, Debug)]
pub struct Diversify {
    field: TokenField,
    lambda: f32,
    pool: Option<usize>,
}

/// Documents that hits are diversified from, unless said otherwise.
const USUAL_POOL: usize = 100;

impl Diversify {
    /// With λ from 0, unlike each other at any price, to 1, the order of scores. Hits are taken
    /// from the best 100, or as many as are asked for where that is more.
    pub fn new(field: &TokenField, lambda: f32) -> Self {
        Self { field: field.clone(), lambda, pool: None }
    }

    /// Takes hits from so many of the best, 1 to 10,000.
    #[must_use]
    pub fn pool(mut self, count: usize) -> Self {
        self.pool = Some(count);
        self
    }

    fn pooled(&self) -> usize {
        self.pool.unwrap_or(USUAL_POOL)
    }

    pub(crate) fn check(&self) -> Result<(), InputError> {
        if !(0.0..=1.0).contains(&self.lambda) {
            return refuse("lambda", self.lambda.to_string(), "0 to 1");
        }
        let pool = self.pooled();
        if pool == 0 || pool > MAX_TOP {
            return refuse("pool", pool.to_string(), "1..=10000");
        }
        Ok(())
    }

    /// Checks the pool against the limits, where one was asked for.
    pub(super) fn within(&self, limits: &Limits) -> Result<(), InputError> {
        let pool = self.pool.unwrap_or(0);
        over("diversify", "candidates", pool, limits.candidates)?;
        let components = pool.saturating_mul(self.field.dim());
        over("diversify", "components of rows' means", components, limits.row_values)
    }
}

/// One hit for each parent: the best of its documents, with the next best inside
/// ([`Hit::inside`](crate::Hit::inside)).
#[derive(Clone, Debug)]
pub struct Collapse {
    by: Parent,
    inside: usize,
    pool: usize,
}

#[derive(Clone, Debug)]
enum Parent {
    Keyword(KeywordField),
    I64(I64Field),
    U64(U64Field),
    Prefix(char),
}

impl Collapse {
    /// By a keyword attribute: of several values, the first in byte order.
    pub fn keyword(field: &KeywordField) -> Self {
        Self { by: Parent::Keyword(field.clone()), inside: 0, pool: 0 }
    }

    /// By a signed integer attribute.
    pub fn i64(field: &I64Field) -> Self {
        Self { by: Parent::I64(field.clone()), inside: 0, pool: 0 }
    }

    /// By an unsigned integer attribute.
    pub fn u64(field: &U64Field) -> Self {
        Self { by: Parent::U64(field.clone()), inside: 0, pool: 0 }
    }

    /// By what stands in a string key before the last occurrence of a character: the passages
    /// `page#0` and `page#1` of one page. A key without
    /// it names the parent itself.
    pub fn key_prefix(separator: char) -> Self {
        Self { by: Parent::Prefix(separator), inside: 0, pool: 0 }
    }

    /// Gives so many documents of each parent inside its hit, the hit itself included, best first,
    /// as far as they are in the [`pool`](Self::pool); 0, none, unless said otherwise, and at most 1,000.
    #[must_use]
    pub fn inside(mut self, count: usize) -> Self {
        self.inside = count;
        self
    }

    /// Collapses so many of the best documents, at most 1,000,000, or as many more as it takes to
    /// fill the answer: what is not among them is inside no hit. Four times the hits asked for and
    /// some more, unless said otherwise or with 0.
    #[must_use]
    pub fn pool(mut self, count: usize) -> Self {
        self.pool = count;
        self
    }

    pub(crate) fn check(&self) -> Result<(), InputError> {
        if self.pool > MAX_CANDIDATES {
            return refuse("pool", self.pool.to_string(), "0..=1000000");
        }
        if self.inside > 1000 {
            return refuse("inside", self.inside.to_string(), "0..=1000");
        }
        Ok(())
    }

    /// Checks the numbers against limits.
    pub(super) fn within(&self, limits: &Limits) -> Result<(), InputError> {
        over("collapse", "candidates", self.pool, limits.candidates)?;
        over("collapse", "hits inside of one", self.inside, limits.top)
    }
}

/// The order of an attribute; of equal values, that of the scores. Documents without a value come
/// last. Made by the fields: `year.ascending()`, `lang.descending()`.
#[derive(Clone, Debug)]
pub struct Sort {
    by: By,
    descending: bool,
}

#[derive(Clone, Debug)]
enum By {
    Keyword(KeywordField),
    I64(I64Field),
    U64(U64Field),
    F64(F64Field),
    Bool(BoolField),
}

macro_rules! sortable {
    ($($field:ident, $variant:ident;)*) => {$(
        impl $field {
            /// The order of its values, smallest first; of several values of one document the
            /// first counts.
            pub fn ascending(&self) -> Sort {
                Sort { by: By::$variant(self.clone()), descending: false }
            }

            /// The order of its values, largest first; of several values of one document the
            /// first counts.
            pub fn descending(&self) -> Sort {
                Sort { by: By::$variant(self.clone()), descending: true }
            }
        }
    )*};
}
sortable! {
    KeywordField, Keyword;
    I64Field, I64;
    U64Field, U64;
    F64Field, F64;
    BoolField, Bool;
}

/// Documents looked at between two questions for the time.
const CHECK: usize = 256;

/// Checks that the fields which order the final list belong to the schema, and that keys can be cut
/// where they are to be: of every query, also of one that finds nothing.
pub(crate) fn check(schema: &Schema, query: &Query) -> Result<()> {
    if let Some(diversify) = &query.diversify {
        schema.resolve(&diversify.field)?;
    }
    match query.collapse.as_ref().map(|collapse| &collapse.by) {
        Some(Parent::Keyword(field)) => drop(schema.resolve(field)?),
        Some(Parent::I64(field)) => drop(schema.resolve(field)?),
        Some(Parent::U64(field)) => drop(schema.resolve(field)?),
        Some(Parent::Prefix(_)) if schema.key_kind() == KeyKind::U64 => {
            let range = "what keys of numbers can be asked for";
            return Ok(refuse("collapse", "a prefix of keys".to_owned(), range)?);
        }
        Some(Parent::Prefix(_)) | None => {}
    }
    match query.sort.as_ref().map(|sort| &sort.by) {
        Some(By::Keyword(field)) => drop(schema.resolve(field)?),
        Some(By::I64(field)) => drop(schema.resolve(field)?),
        Some(By::U64(field)) => drop(schema.resolve(field)?),
        Some(By::F64(field)) => drop(schema.resolve(field)?),
        Some(By::Bool(field)) => drop(schema.resolve(field)?),
        None => {}
    }
    Ok(())
}

/// How many of the best the final list is made of, to begin with.
pub(crate) fn pool(query: &Query) -> usize {
    let mut pool = query.top;
    if query.after.is_some() {
        pool = pool.saturating_mul(2).saturating_add(64);
    }
    if let Some(collapse) = &query.collapse {
        let usual =
            pool.saturating_mul(4.max(collapse.inside.saturating_add(2))).saturating_add(64);
        pool = if collapse.pool > 0 { pool.max(collapse.pool) } else { usual };
    }
    if let Some(diversify) = &query.diversify {
        pool = pool.max(diversify.pooled());
    }
    pool.min(MAX_CANDIDATES)
}

/// A document of the final list.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) best: Candidate,
    /// The best of its group, where hits are collapsed.
    pub(crate) inside: Vec<Candidate>,
}

/// Collapses, diversifies, cuts and sorts, in this order.
pub(crate) fn finish(
    plan: &Plan<'_>,
    query: &Query,
    mut found: Vec<Candidate>,
) -> Result<Vec<Shown>> {
    // More than this is not looked at by what comes after.
    let wanted =
        query.diversify.as_ref().map_or(query.top, |diversify| diversify.pooled().max(query.top));
    let mut shown = if let Some(collapse) = &query.collapse {
        collapsed(plan, collapse, wanted, &found)?
    } else {
        found.truncate(wanted);
        found.into_iter().map(|best| Shown { best, inside: Vec::new() }).collect()
    };
    if let Some(diversify) = &query.diversify {
        shown = diversified(plan, diversify, query.top, shown)?;
    }
    if let Some(sort) = &query.sort {
        shown.truncate(query.top);
        shown = sorted(plan, sort, shown)?;
    }
    Ok(shown)
}

/// What documents have in common.
#[derive(PartialEq, Eq, Hash)]
enum Group<'a> {
    Text(&'a str),
    Number(u64),
    /// A document without a parent.
    Alone(usize, DocId),
}

/// The best of the first `wanted` groups.
fn collapsed(
    plan: &Plan<'_>,
    collapse: &Collapse,
    wanted: usize,
    found: &[Candidate],
) -> Result<Vec<Shown>> {
    let view = plan.view;
    let group = |one: &Candidate| -> Result<Group<'_>> {
        let alone = || Group::Alone(one.segment, one.doc);
        Ok(match &collapse.by {
            Parent::Keyword(field) => {
                text(view, field, one)?.map_or_else(alone, |text| Group::Text(text.value))
            }
            Parent::I64(field) => bits(view, field, one)?.map_or_else(alone, Group::Number),
            Parent::U64(field) => bits(view, field, one)?.map_or_else(alone, Group::Number),
            Parent::Prefix(separator) => {
                match view.segments[one.segment].segment.keys().text(one.doc)? {
                    Some(key) => {
                        Group::Text(key.rsplit_once(*separator).map_or(key, |parts| parts.0))
                    }
                    None => alone(), // refused before
                }
            }
        })
    };
    let mut places: HashMap<Group<'_>, usize> = HashMap::new();
    let mut shown: Vec<Shown> = Vec::new();
    for (at, one) in found.iter().enumerate() {
        if at % CHECK == CHECK - 1 && plan.stop.reached() {
            break;
        }
        if shown.len() == wanted && collapse.inside == 0 {
            break;
        }
        let place = match places.entry(group(one)?) {
            Entry::Occupied(place) => *place.get(),
            Entry::Vacant(_) if shown.len() == wanted => continue,
            Entry::Vacant(place) => {
                shown.push(Shown { best: *one, inside: Vec::new() });
                *place.insert(shown.len() - 1)
            }
        };
        let inside = &mut shown[place].inside;
        if inside.len() < collapse.inside {
            inside.push(*one);
        }
    }
    Ok(shown)
}

fn diversified(
    plan: &Plan<'_>,
    diversify: &Diversify,
    top: usize,
    mut found: Vec<Shown>,
) -> Result<Vec<Shown>> {
    let place = plan.view.schema.resolve(&diversify.field)?;
    found.truncate(diversify.pooled().max(top));
    let dim = diversify.field.dim();
    // One after another; of those that lack the field, none.
    let mut means = Vec::with_capacity(found.len() * dim);
    let mut mean_of = Vec::with_capacity(found.len());
    for Shown { best, .. } in &found {
        if plan.stop.reached() {
            return Ok(Vec::new());
        }
        let start = means.len();
        means.resize(start + dim, 0.0f32);
        let mut has = false;
        if let Some(store) = plan.view.segments[best.segment].segment.tokens(place) {
            store.each_row(best.doc, 0.., |row| {
                means[start..].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                has = true;
                true
            })?;
        }
        to_unit(&mut means[start..]);
        mean_of.push(has.then_some(start..start + dim));
    }
    let mean_of = |at: usize| mean_of[at].clone().and_then(|range| means.get(range));
    let finite = || found.iter().map(|one| one.best.score).filter(|score| score.is_finite());
    let (low, high) = (finite().fold(f32::MAX, f32::min), finite().fold(f32::MIN, f32::max));
    // Halves of what is further apart than the largest float.
    let by = if (high - low).is_finite() { 1.0 } else { 0.5 };
    let relevance = |score: f32| {
        if !score.is_finite() {
            0.0
        } else if high > low {
            (score * by - low * by) / (high * by - low * by)
        } else {
            1.0
        }
    };
    let lambda = diversify.lambda;
    let mut nearest = vec![0.0f32; found.len()];
    let mut left: Vec<usize> = (0..found.len()).collect();
    let mut chosen: Vec<usize> = Vec::with_capacity(top.min(found.len()));
    while chosen.len() < top && !left.is_empty() && !plan.stop.reached() {
        let worth = |at: usize| {
            // Without a first hit there is nothing to be like.
            let like = if chosen.is_empty() { 0.0 } else { nearest[at] };
            lambda * relevance(found[at].best.score) - (1.0 - lambda) * like
        };
        let mut best = 0;
        for place in 1..left.len() {
            if worth(left[place]).total_cmp(&worth(left[best])) == Ordering::Greater {
                best = place;
            }
        }
        let at = left.remove(best); // the order of scores is kept among the others
        for (count, &other) in left.iter().enumerate() {
            if count % CHECK == CHECK - 1 && plan.stop.reached() {
                break; // and no other is chosen
            }
            let like = match (mean_of(at), mean_of(other)) {
                (Some(a), Some(b)) => dot(a, b),
                _ => 0.0,
            };
            nearest[other] = if chosen.is_empty() { like } else { nearest[other].max(like) };
        }
        chosen.push(at);
    }
    Ok(chosen.into_iter().map(|at| found[at].clone()).collect())
}

/// The same direction with length 1, where it has a length.
fn to_unit(row: &mut [f32]) {
    let length = row.iter().fold(0.0, |all, x| all + x * x).sqrt();
    if length > 0.0 {
        for x in row {
            *x /= length;
        }
    }
}

fn table<'a, H: Handle>(
    view: View<'a>,
    field: &H,
    one: &Candidate,
) -> Result<Option<&'a AttributeTable>> {
    let schema: &Schema = view.schema;
    Ok(view.segments[one.segment].segment.attribute(schema.resolve(field)?))
}

fn bits<H: Handle>(view: View<'_>, field: &H, one: &Candidate) -> Result<Option<u64>> {
    Ok(match table(view, field, one)? {
        Some(AttributeTable::Number(numbers)) => numbers.get(one.doc),
        _ => None,
    })
}

/// A document's first keyword: where the same segment has it, ordinals have the order of texts.
#[derive(Clone, Copy, Debug)]
struct Text<'a> {
    segment: usize,
    ordinal: u32,
    value: &'a str,
}

impl Text<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.segment == other.segment {
            self.ordinal.cmp(&other.ordinal)
        } else {
            self.value.cmp(other.value)
        }
    }
}

fn text<'a>(view: View<'a>, field: &KeywordField, one: &Candidate) -> Result<Option<Text<'a>>> {
    let Some(AttributeTable::Keyword(table)) = table(view, field, one)? else { return Ok(None) };
    let Some(&ordinal) = table.ordinals(one.doc)?.first() else { return Ok(None) };
    let value = table.value(ordinal as usize)?;
    Ok(Some(Text { segment: one.segment, ordinal, value }))
}

/// An attribute's value as it is compared.
#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Text(Text<'a>),
    I64(i64),
    U64(u64),
    F64(f64),
}

impl Value<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::I64(a), Self::I64(b)) => a.cmp(b),
            (Self::U64(a), Self::U64(b)) => a.cmp(b),
            (Self::F64(a), Self::F64(b)) => a.total_cmp(b),
            _ => Ordering::Equal, // of one attribute all are of one type
        }
    }
}

/// In the order of an attribute; where the time is up, some of the best.
fn sorted(plan: &Plan<'_>, sort: &Sort, shown: Vec<Shown>) -> Result<Vec<Shown>> {
    let view = plan.view;
    let mut valued = Vec::with_capacity(shown.len());
    for (at, Shown { best: one, .. }) in shown.iter().enumerate() {
        if at % CHECK == CHECK - 1 && plan.stop.reached() {
            break;
        }
        let value = match &sort.by {
            By::Keyword(field) => text(view, field, one)?.map(Value::Text),
            By::I64(field) => bits(view, field, one)?.map(|bits| Value::I64(bits.cast_signed())),
            By::U64(field) => bits(view, field, one)?.map(Value::U64),
            By::F64(field) => bits(view, field, one)?.map(|bits| Value::F64(f64::from_bits(bits))),
            By::Bool(field) => bits(view, field, one)?.map(Value::U64),
        };
        valued.push((value, at));
    }
    let (all, stop) = (valued.len(), Some(plan.stop));
    // Equal values stay in the order of the scores.
    keep_best(&mut valued, all, stop, |(a, at_a), (b, at_b)| {
        let by_value = match (a, b) {
            (Some(a), Some(b)) if sort.descending => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        };
        by_value.then(at_a.cmp(at_b))
    });
    let mut shown: Vec<Option<Shown>> = shown.into_iter().map(Some).collect();
    Ok(valued.into_iter().filter_map(|(_, at)| shown[at].take()).collect())
}
