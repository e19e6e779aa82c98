//! The queries of a set.

use std::collections::HashSet;
use std::path::Path;

use super::arrays::{SparseArrays, TokenArrays};
use crate::embed::readers::file_fault;
use crate::embed::readers::jsonl::JsonLines;
use crate::embed::sparse::{SparseVector, same_length};
use crate::embed::tokens::TokenMatrix;
use crate::error::{Fault, InputError, Result};

/// The queries of an [`EmbeddingSet`](super::EmbeddingSet).
#[derive(Debug)]
pub struct SetQueries {
    ids: Vec<String>,
    texts: Vec<String>,
    sparse: Option<SparseArrays>,
    tokens: Option<TokenArrays>,
    /// One per token row of all queries.
    spans: Option<Vec<(u32, u32)>>,
}

/// One query of a set.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SetQuery<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its text.
    pub text: &'a str,
    /// Its sparse vector, where the set has the sparse half.
    pub sparse: Option<SparseVector<'a>>,
    /// Its token rows, with text spans where there are some, where the set has the token half.
    pub tokens: Option<TokenMatrix<'a>>,
    /// The bytes of its text that each token row stands for, where the set says so.
    pub spans: Option<&'a [(u32, u32)]>,
}

impl SetQueries {
    pub(super) fn read(
        path: &Path,
        sparse: Option<SparseArrays>,
        tokens: Option<TokenArrays>,
    ) -> Result<Self> {
        let mut records = JsonLines::open(path)?;
        let name = records.name().to_owned();
        let (mut ids, mut texts, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        while let Some(record) = records.next().transpose()? {
            let row = ids.len();
            let text = record
                .text
                .ok_or_else(|| file_fault(&name, "an object without a `text`").row(row))?;
            if !seen.insert(record.id.clone()) {
                let what = format!("id {:?} appears twice", record.id);
                return Err(InputError::new(&name, Fault::File { what }).row(row).into());
            }
            ids.push(record.id);
            texts.push(text);
        }
        if let Some(sparse) = &sparse {
            let what = "queries for the rows of sparse_queries_indptr.npy";
            same_length(&name, what, ids.len(), sparse.len())?;
        }
        let mut spans = None;
        if let Some(tokens) = &tokens {
            let what = "queries for the entries of tok_querylens.npy";
            same_length(&name, what, ids.len(), tokens.len())?;
            spans = tokens.spans(0..ids.len(), texts.iter().map(String::len))?;
        }
        Ok(Self { ids, texts, sparse, tokens, spans })
    }

    /// How many queries.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Whether they have sparse vectors.
    pub fn has_sparse(&self) -> bool {
        self.sparse.is_some()
    }

    /// Components of a token row, where they have token rows.
    pub fn dim(&self) -> Option<usize> {
        self.tokens.as_ref().map(TokenArrays::dim)
    }

    /// All queries, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = SetQuery<'_>> {
        (0..self.len()).map(|i| self.at(i))
    }

    /// The query of a row, from 0.
    pub fn get(&self, row: usize) -> Option<SetQuery<'_>> {
        (row < self.len()).then(|| self.at(row))
    }

    fn at(&self, i: usize) -> SetQuery<'_> {
        let checked = "types and lengths were checked when the set was opened";
        let sparse = self.sparse.as_ref().map(|arrays| {
            let (_, terms, weights) = arrays.rows(i..i + 1).expect(checked);
            SparseVector::new(terms, weights)
        });
        let spans = self.tokens.as_ref().and_then(|arrays| {
            self.spans.as_ref().and_then(|spans| spans.get(arrays.range(i..i + 1)))
        });
        let tokens = self.tokens.as_ref().map(|arrays| {
            let range = arrays.range(i..i + 1);
            let matrix = TokenMatrix::new(arrays.rows(range.clone()).expect(checked), arrays.dim());
            match self.spans.as_ref().and_then(|spans| spans.get(range)) {
                Some(spans) => matrix.spans(spans),
                None => matrix,
            }
        });
        SetQuery { id: &self.ids[i], text: &self.texts[i], sparse, tokens, spans }
    }
}
