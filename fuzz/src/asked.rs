//! Queries of every kind that the interface has, made of bytes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use lateen::{
    Collapse, Diversify, Effort, Feedback, Filter, Fusion, Key, KeyKind, ModelFingerprint, Query,
    Rows, Schema, Sort, SparseVector, TokenField, TokenMatrix,
};

use super::attributes::names;
use super::choices::Choices;
use super::filters::any_filter;

/// How deep searches are made of others, but for those that are to be too deep.
const DEEP: usize = 2;

/// A query, and what was asked with it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// All of it but how the list is finished.
    pub plain: Query,
    /// How the list is finished.
    pub list: List,
    /// How many hits.
    pub top: usize,
    /// What hits have to score.
    pub at_least: f32,
    /// The filter of the whole.
    pub filter: Option<Filter>,
    /// Whether the whole was asked for the true top.
    pub exact: bool,
    /// Whether it is one search of one field and nothing more.
    pub leaf: bool,
    /// Whether it may be ended before its time.
    pub ended: bool,
}

/// How the list of hits is finished.
#[derive(Clone, Debug)]
pub enum List {
    /// By their scores, from the best on.
    Scores,
    /// From behind a hit on.
    After(f32, Key),
    /// One hit for each parent, unlike each other, in another order: each or not.
    Shaped {
        /// What they are collapsed by, and how many are inside.
        collapse: Option<(Parent, usize, usize)>,
        /// Diversified so.
        diversify: Option<Diversify>,
        /// By this attribute; whether it descends.
        sort: Option<(String, bool)>,
    },
}

/// What hits have in common that are collapsed.
#[derive(Clone, Debug)]
pub enum Parent {
    /// A value of this attribute.
    Attribute(String),
    /// What stands in the key before this character.
    Prefix(char),
}

impl Asked {
    /// A query of an index's fields, or the error of what it was to be made of.
    ///
    /// # Errors
    /// Of what does not fit: few are refused.
    pub fn of(schema: &Schema, choices: &mut Choices<'_>) -> lateen::Result<Self> {
        // First, so that there are bytes left for it.
        let top = choices.below(30);
        let list = List::of(schema, choices)?;
        let flag = choices.byte();
        let (plain, one) = search(schema, choices, 0)?;
        let filter = if choices.one_in(2) { Some(any_filter(schema, choices, 12)?) } else { None };
        let mut asked = Self {
            plain,
            list,
            top,
            at_least: f32::NEG_INFINITY,
            filter,
            exact: false,
            leaf: one,
            ended: matches!(flag, 254 | 255),
        };
        if let Some(filter) = &asked.filter {
            asked.plain = asked.plain.filter(filter.clone());
        }
        if choices.one_in(3) {
            asked.leaf = false;
            asked.plain = reranked(asked.plain, schema, choices)?;
        }
        if choices.one_in(4) {
            asked.at_least = f32::from(choices.byte()) / 16.0 - 2.0;
            asked.plain = asked.plain.at_least(asked.at_least);
        }
        if choices.one_in(6) {
            asked.leaf = false;
            let (docs, added) = (1 + choices.below(12), choices.below(20));
            let feedback = Feedback::default().docs(docs).terms(added).rows(added);
            asked.plain = asked.plain.feedback(feedback.weight(weight(choices, 32)));
        }
        let (query, exact) = with_effort(asked.plain, choices);
        asked.exact = exact;
        asked.plain = match flag {
            255 => query.cancel(Arc::new(AtomicBool::new(true))),
            254 => query.deadline(Instant::now()),
            253 => query.cancel(Arc::default()).threads(2),
            _ => query,
        };
        asked.plain = asked.plain.top(top);
        Ok(asked)
    }

    /// All of it.
    ///
    /// # Errors
    /// For a field that the schema lacks.
    pub fn whole(&self, schema: &Schema) -> lateen::Result<Query> {
        self.list.finish(schema, self.plain.clone())
    }
}

impl List {
    fn of(schema: &Schema, choices: &mut Choices<'_>) -> lateen::Result<Self> {
        let how = choices.byte() % 12;
        if how == 0 {
            let wild = choices.one_in(8);
            let score = if wild { choices.f32() } else { f32::from(choices.byte()) / 8.0 - 4.0 };
            let number = choices.below(400);
            let key = match schema.key_kind() {
                KeyKind::U64 => Key::U64(number as u64),
                KeyKind::Str => format!("doc-{:02}", number % 20).into(),
            };
            return Ok(Self::After(score, key));
        }
        let (mut collapse, mut diversify, mut sort) = (None, None, None);
        if matches!(how, 1 | 2 | 4) {
            let parent = match choices.byte() % 5 {
                0 if schema.key_kind() == KeyKind::Str => {
                    Parent::Prefix(choices.pick(&['-', '0', '1']))
                }
                1 => Parent::Attribute("year".to_owned()),
                2 if schema.u64("size").is_ok() => Parent::Attribute("size".to_owned()),
                _ => Parent::Attribute("lang".to_owned()),
            };
            collapse = Some((parent, choices.below(4), choices.below(40)));
        }
        if matches!(how, 2 | 3 | 5) {
            let made =
                Diversify::new(&token_field(schema, choices)?, f32::from(choices.byte()) / 255.0);
            diversify =
                Some(if choices.one_in(2) { made } else { made.pool(1 + choices.below(40)) });
        }
        if matches!(how, 4..=6) {
            let names = names(schema);
            let (name, _) = &names[usize::from(choices.byte()) % names.len()];
            sort = Some((name.clone(), choices.one_in(2)));
        }
        Ok(match (&collapse, &diversify, &sort) {
            (None, None, None) => Self::Scores,
            _ => Self::Shaped { collapse, diversify, sort },
        })
    }

    /// Whether hits stand in the order of their scores.
    pub fn by_scores(&self) -> bool {
        !matches!(
            self,
            Self::Shaped { diversify: Some(_), .. } | Self::Shaped { sort: Some(_), .. }
        )
    }

    /// A query whose list is finished so.
    ///
    /// # Errors
    /// For a field that the schema lacks.
    pub fn finish(&self, schema: &Schema, mut query: Query) -> lateen::Result<Query> {
        match self {
            Self::Scores => {}
            Self::After(score, key) => query = query.after(*score, key.clone()),
            Self::Shaped { collapse, diversify, sort } => {
                if let Some((parent, inside, pool)) = collapse {
                    let by = match parent {
                        Parent::Prefix(separator) => Collapse::key_prefix(*separator),
                        Parent::Attribute(name) if name == "year" => {
                            Collapse::i64(&schema.i64(name)?)
                        }
                        Parent::Attribute(name) if name == "size" => {
                            Collapse::u64(&schema.u64(name)?)
                        }
                        Parent::Attribute(name) => Collapse::keyword(&schema.keyword(name)?),
                    };
                    query = query.collapse(by.inside(*inside).pool(*pool));
                }
                if let Some(diversify) = diversify {
                    query = query.diversify(diversify.clone());
                }
                if let Some((name, descends)) = sort {
                    query = query.sort(order_of(schema, name, *descends)?);
                }
            }
        }
        Ok(query)
    }
}

/// The order of an attribute.
fn order_of(schema: &Schema, name: &str, descends: bool) -> lateen::Result<Sort> {
    macro_rules! order {
        ($field:expr) => {{
            let field = $field?;
            if descends { field.descending() } else { field.ascending() }
        }};
    }
    let kind = schema.field_names().find(|(own, _)| *own == name).map_or("", |field| field.1);
    Ok(match kind {
        "keyword" => order!(schema.keyword(name)),
        "i64" => order!(schema.i64(name)),
        "u64" => order!(schema.u64(name)),
        "f64" => order!(schema.f64(name)),
        _ => order!(schema.bool(name)),
    })
}

/// A weight: one of so many is any float, or the largest.
fn weight(choices: &mut Choices<'_>, wild: u8) -> f32 {
    if !choices.one_in(wild) {
        return f32::from(1 + choices.byte() % 64) / 16.0;
    }
    if choices.one_in(2) { f32::MAX } else { choices.f32() }
}

/// What stands first: a search of one field, or several made one; and whether it is one.
fn search(
    schema: &Schema,
    choices: &mut Choices<'_>,
    depth: usize,
) -> lateen::Result<(Query, bool)> {
    let most = if depth < DEEP { 10 } else { 6 };
    let query = match choices.byte() % most {
        0..=2 => pruned(sparse(schema, choices)?, choices),
        3..=5 => {
            let field = token_field(schema, choices)?;
            let matrix = Matrix::of(field.dim(), choices);
            Query::tokens(&field, matrix.view())?
        }
        shape => {
            let fused = several(schema, choices, depth, shape == 9)?;
            return Ok((if choices.byte() == 9 { pruned(fused, choices) } else { fused }, false));
        }
    };
    Ok((query, true))
}

/// With its heaviest terms alone, or with all.
fn pruned(query: Query, choices: &mut Choices<'_>) -> Query {
    let terms = match choices.byte() {
        255 => 0, // refused
        how if how % 6 == 5 => 1 + choices.below(5),
        _ => return query,
    };
    query.prune(terms, f32::from(1 + choices.byte() / 2) / 128.0)
}

/// Several queries made one: a union, or a fusion of any kind.
fn several(
    schema: &Schema,
    choices: &mut Choices<'_>,
    depth: usize,
    union: bool,
) -> lateen::Result<Query> {
    let odd = choices.byte();
    let mut parts = Vec::new();
    for _ in 0..=choices.below(3) {
        parts.push(part(schema, choices, depth + 1)?);
    }
    match odd {
        0 => parts.clear(),
        1 => parts.resize(65, parts[0].clone()),
        _ => {}
    }
    let mut query = if union {
        let field = token_field(schema, choices)?;
        Query::union(parts, &field, Matrix::of(field.dim(), choices).view())?
    } else {
        let how = match choices.byte() % 4 {
            0 => Fusion::default(),
            1 => Fusion::ReciprocalRank { k: weight(choices, 16) },
            2 => Fusion::RelativeScore,
            _ => {
                let one_more = usize::from(odd == 2);
                let mut weights = Vec::new();
                for _ in 0..parts.len() + one_more {
                    let sign = if choices.one_in(4) { -1.0 } else { 1.0 };
                    weights.push(sign * weight(choices, 16));
                }
                Fusion::Weighted(weights)
            }
        };
        Query::fused(how, parts)?
    };
    if choices.one_in(2) {
        query = query.candidates(if odd == 4 { 0 } else { 1 + choices.below(24) });
    }
    if odd == 3 {
        // Ten deep, which is deeper than may be; or as deep as may be.
        for _ in 0..choices.below(10) {
            query = Query::fused(Fusion::default(), [query])?;
        }
    }
    Ok(query)
}

/// A part of several.
fn part(schema: &Schema, choices: &mut Choices<'_>, depth: usize) -> lateen::Result<Query> {
    let (mut query, _) = search(schema, choices, depth)?;
    let more = choices.byte();
    if more.is_multiple_of(3) {
        query = query.filter(any_filter(schema, choices, 4)?);
    }
    if more.is_multiple_of(4) {
        query = reranked(query, schema, choices)?;
    }
    if more.is_multiple_of(5) {
        query = query.at_least(f32::from(choices.byte()) / 16.0 - 2.0);
    }
    if more.is_multiple_of(7) {
        query = with_effort(query, choices).0;
    }
    // What belongs to the whole is refused of a part.
    Ok(if more == 1 { query.feedback(Feedback::default()) } else { query })
}

fn reranked(query: Query, schema: &Schema, choices: &mut Choices<'_>) -> lateen::Result<Query> {
    let field = token_field(schema, choices)?;
    let matrix = Matrix::of(field.dim(), choices);
    let query = query.rerank(&field, matrix.view())?;
    Ok(if choices.one_in(4) { query } else { query.candidates(1 + choices.below(20)) })
}

/// With an effort or the usual; and whether it is the exact one.
fn with_effort(query: Query, choices: &mut Choices<'_>) -> (Query, bool) {
    match choices.byte() % 4 {
        0 => (query.exact(), true),
        1 => (query.effort(Effort::Level(f32::from(choices.byte()) / 255.0)), false),
        2 => (query.effort(Effort::Recall(f32::from(choices.byte()) / 255.0)), false),
        _ => (query, false),
    }
}

fn token_field(schema: &Schema, choices: &mut Choices<'_>) -> lateen::Result<TokenField> {
    let name = field_of(schema, "tokens", choices);
    Ok(schema.tokens(&name)?)
}

/// A field of a kind.
fn field_of(schema: &Schema, kind: &str, choices: &mut Choices<'_>) -> String {
    let names: Vec<&str> =
        schema.field_names().filter(|field| field.1 == kind).map(|field| field.0).collect();
    names[usize::from(choices.byte()) % names.len()].to_owned()
}

/// A search of a sparse field, with terms that there are or with any.
fn sparse(schema: &Schema, choices: &mut Choices<'_>) -> lateen::Result<Query> {
    let field = schema.sparse(&field_of(schema, "sparse", choices))?;
    let how = choices.byte();
    let (wild, signed) = (how % 16 == 15, how % 4 == 1);
    let (mut terms, mut weights) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for _ in 0..=choices.below(7) {
        let term = match choices.byte() {
            _ if wild => choices.u32(),
            frequent if frequent < 100 => 7,
            own if own < 180 => 70_000 + u32::from(choices.byte()),
            some => 100 + u32::from(some % 8),
        };
        let weight = if wild { choices.f32() } else { 0.5 + f32::from(choices.byte()) / 32.0 };
        // Named twice, it is refused.
        if seen.insert(term) || how == 32 {
            terms.push(term);
            weights.push(if signed && choices.one_in(3) { -weight } else { weight });
        }
    }
    let pairs: Vec<(u32, f32)> = terms.iter().copied().zip(weights.iter().copied()).collect();
    let vector = if how.is_multiple_of(2) {
        SparseVector::new(&terms[..], &weights[..])
    } else {
        SparseVector::pairs(&pairs)
    };
    let vector = if signed { vector.signed() } else { vector };
    let model = ModelFingerprint::new("a model", if how < 8 { 7 } else { 100_000 }, "none");
    Query::sparse(&field, if how % 16 == 3 { vector.model(&model) } else { vector })
}

/// Rows of a query, and how they are handed over.
struct Matrix {
    floats: Vec<f32>,
    /// Rows of codes instead, with a scale each.
    codes: Vec<i8>,
    scales: Vec<f32>,
    dim: usize,
    kept: Option<usize>,
}

impl Matrix {
    fn of(dim: usize, choices: &mut Choices<'_>) -> Self {
        let how = choices.byte();
        // Rows that are longer than the field's, and cut to them; rows that are cut further.
        let (dim, kept) = match how % 16 {
            0 => (dim + 8, Some(dim)),
            1 | 2 => (dim, Some(8)),
            3 => (dim, Some(choices.below(3 * dim))),
            _ => (dim, None),
        };
        let count = 1 + choices.below(3);
        let (wild, unit) = (how % 32 == 4, how % 8 != 7);
        let mut floats = Vec::with_capacity(count * dim);
        for _ in 0..count {
            let row: Vec<f32> = (0..dim)
                .map(|_| if wild { choices.f32() } else { f32::from(choices.byte()) / 256.0 - 0.5 })
                .collect();
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            let by = if unit && length.is_normal() { length } else { 1.0 };
            floats.extend(row.into_iter().map(|x| x / by));
        }
        let (mut codes, mut scales) = (Vec::new(), Vec::new());
        if how % 16 == 8 {
            codes = floats.iter().map(|x| (x * 127.0) as i8).collect();
            scales = vec![1.0 / 127.0; count];
        }
        Self { floats, codes, scales, dim, kept }
    }

    fn view(&self) -> TokenMatrix<'_> {
        let rows = if self.codes.is_empty() {
            Rows::F32(&self.floats)
        } else {
            Rows::I8 { codes: &self.codes, scales: &self.scales }
        };
        let matrix = TokenMatrix::new(rows, self.dim);
        self.kept.map_or(matrix, |kept| matrix.truncated_to(kept))
    }
}
