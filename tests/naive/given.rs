//! Documents and queries as a caller has them, and how they are handed to the library.

use std::ops::Bound;

use lateen::{
    Batch, Document, Error, Filter, Key, Query, SparseBatch, SparseVector, TokenBatch, TokenMatrix,
    Update,
};

use super::Fields;
use super::score::{Terms, canonical};

/// What a document is made of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Given {
    /// Per sparse field: terms in any order, zeros among them.
    pub(crate) sparse: Vec<Option<Terms>>,
    /// Per token field: rows one after another.
    pub(crate) tokens: Vec<Option<Vec<f32>>>,
    /// Per token field: text spans.
    pub(crate) spans: Vec<Option<Vec<(u32, u32)>>>,
    pub(crate) lang: Vec<String>,
    pub(crate) year: Option<i64>,
    pub(crate) size: Option<u64>,
    pub(crate) price: Option<f64>,
    pub(crate) open: Option<bool>,
    pub(crate) payload: Option<Vec<u8>>,
}

impl Given {
    /// As a document of its own.
    pub(crate) fn document(&self, key: &Key, fields: &Fields) -> Result<Document<'_>, Error> {
        let mut document = Document::new(key);
        for (sparse, terms) in fields.sparse.iter().zip(&self.sparse) {
            if let Some(terms) = terms {
                document = document.sparse(&sparse.field, SparseVector::pairs(terms))?;
            }
        }
        for (i, tokens) in fields.tokens.iter().enumerate() {
            if self.tokens[i].is_some() {
                document = document.tokens(&tokens.field, self.matrix(i, tokens.dim))?;
            }
        }
        for value in &self.lang {
            document = document.keyword(&fields.lang, value.as_str())?;
        }
        if let Some(value) = self.year {
            document = document.i64(&fields.year, value)?;
        }
        if let Some(value) = self.size {
            document = document.u64(&fields.size, value)?;
        }
        if let Some(value) = self.price {
            document = document.f64(&fields.price, value)?;
        }
        if let Some(value) = self.open {
            document = document.bool(&fields.open, value)?;
        }
        if let Some(payload) = &self.payload {
            document = document.payload(payload.as_slice());
        }
        Ok(document)
    }

    /// As an update of those of the five attributes, and the payload, that are named.
    pub(crate) fn update(
        &self,
        key: &Key,
        fields: &Fields,
        which: [bool; 6],
    ) -> Result<Update<'_>, Error> {
        let mut update = Update::new(key);
        if which[0] {
            update = update.keywords(&fields.lang, self.lang.iter().map(String::as_str))?;
        }
        if which[1] {
            update = update.i64(&fields.year, self.year)?;
        }
        if which[2] {
            update = update.u64(&fields.size, self.size)?;
        }
        if which[3] {
            update = update.f64(&fields.price, self.price)?;
        }
        if which[4] {
            update = update.bool(&fields.open, self.open)?;
        }
        Ok(match &self.payload {
            _ if !which[5] => update,
            Some(payload) => update.payload(payload.as_slice()),
            None => update.no_payload(),
        })
    }

    /// Takes what [`update`](Self::update) changes from another.
    pub(crate) fn take_over(&mut self, other: &Self, which: [bool; 6]) {
        if which[0] {
            self.lang.clone_from(&other.lang);
        }
        if which[1] {
            self.year = other.year;
        }
        if which[2] {
            self.size = other.size;
        }
        if which[3] {
            self.price = other.price;
        }
        if which[4] {
            self.open = other.open;
        }
        if which[5] {
            self.payload.clone_from(&other.payload);
        }
    }

    /// The rows of the i-th token field; none where it is absent.
    fn matrix(&self, i: usize, dim: usize) -> TokenMatrix<'_> {
        let rows = self.tokens[i].as_deref().unwrap_or_default();
        let matrix = TokenMatrix::new(rows, dim);
        match &self.spans[i] {
            Some(spans) if !rows.is_empty() => matrix.spans(spans),
            _ => matrix,
        }
    }
}

/// Columns that a batch borrows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Columns {
    pub(crate) keys: Vec<Key>,
    pub(crate) given: Vec<Given>,
    pairs: Vec<Vec<Terms>>,
    indptr: Vec<Vec<i64>>,
    rows: Vec<Vec<i32>>,
    terms: Vec<Vec<u32>>,
    weights: Vec<Vec<f32>>,
    flat: Vec<Vec<f32>>,
    lengths: Vec<Vec<i32>>,
    langs: Vec<Vec<String>>,
    payloads: Vec<Vec<u8>>,
}

impl Columns {
    /// The columns of these documents. In a batch all have a payload or none has: here, all.
    pub(crate) fn new(fields: &Fields, documents: Vec<(Key, Given)>) -> Self {
        let mut columns = Self::default();
        for (key, mut given) in documents {
            given.payload.get_or_insert_default();
            columns.keys.push(key);
            columns.langs.push(given.lang.clone());
            columns.payloads.push(given.payload.clone().unwrap_or_default());
            columns.given.push(given);
        }
        for i in 0..fields.sparse.len() {
            let vectors: Vec<Terms> = columns
                .given
                .iter()
                .map(|given| given.sparse[i].clone().unwrap_or_default())
                .collect();
            let mut indptr = vec![0i64];
            let mut rows = Vec::new();
            for (row, vector) in (0i32..).zip(&vectors) {
                indptr.push(indptr[indptr.len() - 1] + vector.len() as i64);
                rows.extend(vector.iter().map(|_| row));
            }
            columns.indptr.push(indptr);
            columns.rows.push(rows);
            columns.terms.push(vectors.iter().flatten().map(|entry| entry.0).collect());
            columns.weights.push(vectors.iter().flatten().map(|entry| entry.1).collect());
            columns.pairs.push(vectors);
        }
        for (i, tokens) in fields.tokens.iter().enumerate() {
            let rows = |given: &Given| given.tokens[i].clone().unwrap_or_default();
            columns.flat.push(columns.given.iter().flat_map(rows).collect());
            let length = |given: &Given| (rows(given).len() / tokens.dim) as i32;
            columns.lengths.push(columns.given.iter().map(length).collect());
        }
        columns
    }

    /// As a batch; each vector field comes in another of the forms there are.
    pub(crate) fn batch<'a>(
        &'a self,
        fields: &Fields,
        matrices: &'a [Vec<TokenMatrix<'a>>],
    ) -> Result<Batch<'a>, Error> {
        let mut batch = Batch::new(&self.keys);
        for (i, sparse) in fields.sparse.iter().enumerate() {
            let (terms, weights) = (&self.terms[i], &self.weights[i]);
            let rows = match i % 3 {
                0 => SparseBatch::csr(&self.indptr[i], terms, weights),
                1 => SparseBatch::coo(&self.rows[i], terms, weights, self.keys.len()),
                _ => SparseBatch::pairs(&self.pairs[i]),
            };
            batch = batch.sparse(&sparse.field, &rows)?;
        }
        for (i, tokens) in fields.tokens.iter().enumerate() {
            let rows = match i % 2 {
                0 => TokenBatch::matrices(&matrices[i]),
                _ => TokenBatch::flat(&self.flat[i], &self.lengths[i], tokens.dim),
            };
            batch = batch.tokens(&tokens.field, &rows)?;
        }
        let column =
            |get: fn(&Given) -> Option<i64>| self.given.iter().map(get).collect::<Vec<_>>();
        let sizes: Vec<Option<u64>> = self.given.iter().map(|given| given.size).collect();
        let prices: Vec<Option<f64>> = self.given.iter().map(|given| given.price).collect();
        let open: Vec<Option<bool>> = self.given.iter().map(|given| given.open).collect();
        batch
            .keywords(&fields.lang, &self.langs)?
            .i64(&fields.year, &column(|given| given.year))?
            .u64(&fields.size, &sizes)?
            .f64(&fields.price, &prices)?
            .bool(&fields.open, &open)?
            .payloads(&self.payloads)
    }

    /// Per token field, one matrix per document.
    pub(crate) fn matrices(&self, fields: &Fields) -> Vec<Vec<TokenMatrix<'_>>> {
        let of =
            |i: usize, dim: usize| self.given.iter().map(|given| given.matrix(i, dim)).collect();
        fields.tokens.iter().enumerate().map(|(i, tokens)| of(i, tokens.dim)).collect()
    }
}

/// A filter of which the model knows what it means.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Lang(Vec<String>),
    Year(Bound<i64>, Bound<i64>),
    Size(Bound<u64>, Bound<u64>),
    Price(Bound<f64>, Bound<f64>),
    Years(Vec<i64>),
    Open(bool),
    /// Has the attribute of this place among the five.
    Has(usize),
    Keys(Vec<Key>),
    All(Vec<Test>),
    Any(Vec<Test>),
    And(Box<Test>, Box<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
}

impl Test {
    pub(crate) fn filter(&self, fields: &Fields) -> Filter {
        match self {
            Self::Lang(values) if values.len() == 1 => fields.lang.eq(values[0].clone()),
            Self::Lang(values) => fields.lang.any_of(values),
            Self::Year(low, high) => fields.year.range((*low, *high)),
            Self::Size(low, high) => fields.size.range((*low, *high)),
            Self::Price(low, high) => fields.price.range((*low, *high)),
            Self::Years(values) => fields.year.any_of(values.iter().copied()),
            Self::Open(value) => fields.open.eq(*value),
            Self::Has(0) => fields.lang.exists(),
            Self::Has(1) => fields.year.exists(),
            Self::Has(2) => fields.size.exists(),
            Self::Has(3) => fields.price.exists(),
            Self::Has(_) => fields.open.exists(),
            Self::Keys(keys) => Filter::keys(keys),
            Self::All(tests) => Filter::all(tests.iter().map(|test| test.filter(fields))),
            Self::Any(tests) => Filter::any(tests.iter().map(|test| test.filter(fields))),
            Self::And(a, b) => a.filter(fields) & b.filter(fields),
            Self::Or(a, b) => a.filter(fields) | b.filter(fields),
            Self::Not(test) => !test.filter(fields),
        }
    }
}

/// A first stage.
#[derive(Clone, Debug)]
pub(crate) enum First {
    /// Place of the field, terms in any order, zeros among them.
    Sparse(usize, Terms),
    /// Place of the field, rows.
    Tokens(usize, Vec<f32>),
}

/// A query of which the model knows the answer.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) first: First,
    /// Place of the token field, rows, candidates.
    pub(crate) rerank: Option<(usize, Vec<f32>, Option<usize>)>,
    pub(crate) test: Option<Test>,
    pub(crate) top: usize,
}

impl Ask {
    pub(crate) fn query(&self, fields: &Fields) -> Result<Query, Error> {
        let mut query = match &self.first {
            First::Sparse(at, terms) => Query::sparse(&fields.sparse[*at].field, terms)?,
            First::Tokens(at, rows) => {
                let tokens = &fields.tokens[*at];
                Query::tokens(&tokens.field, TokenMatrix::new(rows, tokens.dim))?
            }
        };
        if let Some((at, rows, candidates)) = &self.rerank {
            let tokens = &fields.tokens[*at];
            query = query.rerank(&tokens.field, TokenMatrix::new(rows, tokens.dim))?;
            if let Some(candidates) = candidates {
                query = query.candidates(*candidates);
            }
        }
        query = match &self.test {
            // A second filter narrows the first.
            Some(Test::And(a, b)) => query.filter(a.filter(fields)).filter(b.filter(fields)),
            Some(test) => query.filter(test.filter(fields)),
            None => query,
        };
        Ok(query.top(self.top).exact())
    }

    /// The terms of a sparse first stage, ascending, without zeros.
    pub(crate) fn terms(&self) -> Terms {
        match &self.first {
            First::Sparse(_, terms) => canonical(terms),
            First::Tokens(..) => Terms::new(),
        }
    }
}
