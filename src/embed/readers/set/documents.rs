//! The documents of a set, in chunks.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use super::arrays::{SparseArrays, TokenArrays};
use crate::embed::SparseBatch;
use crate::embed::numbers::{Floats, Ints};
use crate::embed::readers::file_fault;
use crate::embed::readers::jsonl::{JsonLines, Record};
use crate::embed::sparse::{SparseVector, same_length};
use crate::embed::tokens::TokenBatch;
use crate::error::Result;

/// The documents of an [`EmbeddingSet`](super::EmbeddingSet). The texts are read as they are asked
/// for, so the set's own copy in memory is of the arrays only.
#[derive(Debug)]
pub struct SetDocuments {
    pub(super) texts: PathBuf,
    pub(super) len: usize,
    pub(super) sparse: Option<SparseArrays>,
    pub(super) tokens: Option<TokenArrays>,
}

impl SetDocuments {
    /// How many documents the arrays have.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether they have none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the set has the sparse half.
    pub fn has_sparse(&self) -> bool {
        self.sparse.is_some()
    }

    /// The sparse vector of a document by its row, from 0, where the set has the sparse half and
    /// the row.
    pub fn vector(&self, row: usize) -> Option<SparseVector<'_>> {
        let arrays = self.sparse.as_ref().filter(|_| row < self.len)?;
        let (_, terms, weights) = arrays.rows(row..row + 1).ok()?;
        Some(SparseVector::new(terms, weights))
    }

    /// Components of a token row, where the set has the token half.
    pub fn dim(&self) -> Option<usize> {
        self.tokens.as_ref().map(TokenArrays::dim)
    }

    /// All documents in order, `size` at a time (at least 1).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), when the texts cannot be opened. The chunks give an error
    /// for a malformed line, a text span beyond its text, or another number of texts than of
    /// vectors; it is the last that they give.
    pub fn chunks(&self, size: usize) -> Result<DocumentChunks<'_>> {
        let records = JsonLines::open(&self.texts)?;
        Ok(DocumentChunks { documents: self, records, size: size.max(1), next: 0, done: false })
    }

    /// Reads the texts of some rows; fewer are there only at the end of the file.
    fn chunk(&self, rows: Range<usize>, records: &mut JsonLines) -> Result<DocumentChunk<'_>> {
        let (mut ids, mut texts, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows.clone() {
            let Some(record) = records.next().transpose()? else {
                return Err(self.count(records.name(), row));
            };
            let Record { id, text, src, .. } = record;
            let text = text
                .ok_or_else(|| file_fault(records.name(), "an object without a `text`").row(row))?;
            ids.push(id);
            texts.push(text);
            sources.push(src);
        }
        let sparse = self.sparse.as_ref().map(|sparse| sparse.rows(rows.clone())).transpose()?;
        let tokens = match &self.tokens {
            Some(tokens) => {
                let range = tokens.range(rows.clone());
                Some(TokenPart {
                    rows: tokens.rows(range.clone())?,
                    lengths: tokens.lengths(rows.clone()),
                    dim: tokens.dim(),
                    ids: tokens.ids(range)?,
                    spans: tokens.spans(rows.clone(), texts.iter().map(String::len))?,
                })
            }
            None => None,
        };
        Ok(DocumentChunk { first: rows.start, ids, texts, sources, sparse, tokens })
    }

    /// The error of a file with another number of texts than the arrays have.
    fn count(&self, name: &str, found: usize) -> crate::Error {
        let what = if self.sparse.is_some() {
            "texts for the rows of sparse_docs_indptr.npy"
        } else {
            "texts for the entries of tok_doclens.npy"
        };
        match same_length(name, what, found, self.len) {
            Err(error) => error.into(),
            Ok(()) => file_fault(name, "another number of texts than of vectors").into(),
        }
    }
}

/// The chunks of [`SetDocuments::chunks`].
#[derive(Debug)]
pub struct DocumentChunks<'a> {
    documents: &'a SetDocuments,
    records: JsonLines,
    size: usize,
    next: usize,
    done: bool,
}

impl<'a> DocumentChunks<'a> {
    fn step(&mut self) -> Result<Option<DocumentChunk<'a>>> {
        let rows = self.next..self.next.saturating_add(self.size).min(self.documents.len);
        if !rows.is_empty() {
            self.next = rows.end;
            return self.documents.chunk(rows, &mut self.records).map(Some);
        }
        let mut more = 0;
        while self.records.next().transpose()?.is_some() {
            more += 1;
        }
        if more > 0 {
            return Err(self.documents.count(self.records.name(), self.documents.len + more));
        }
        Ok(None)
    }
}

impl<'a> Iterator for DocumentChunks<'a> {
    type Item = Result<DocumentChunk<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = self.step().transpose();
        self.done = !matches!(next, Some(Ok(_)));
        next
    }
}

/// Some documents of a set, one after another.
pub struct DocumentChunk<'a> {
    first: usize,
    ids: Vec<String>,
    texts: Vec<String>,
    sources: Vec<Option<String>>,
    sparse: Option<(Vec<u64>, Ints<'a>, Floats<'a>)>,
    tokens: Option<TokenPart<'a>>,
}

struct TokenPart<'a> {
    rows: Floats<'a>,
    lengths: Vec<u64>,
    dim: usize,
    ids: Option<Ints<'a>>,
    spans: Option<Vec<(u32, u32)>>,
}

impl DocumentChunk<'_> {
    /// The set's row of the first of them.
    pub fn first(&self) -> usize {
        self.first
    }

    /// How many they are: at least one.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none, which does not happen.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Their ids.
    pub fn ids(&self) -> &[String] {
        &self.ids
    }

    /// Their texts.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Where their texts are from, as `src` says.
    pub fn sources(&self) -> &[Option<String>] {
        &self.sources
    }

    /// Their sparse vectors, where the set has the sparse half.
    pub fn sparse(&self) -> Option<SparseBatch<'_>> {
        self.sparse
            .as_ref()
            .map(|(indptr, terms, weights)| SparseBatch::csr(indptr, *terms, *weights))
    }

    /// Their token matrices, with text spans where there are some, where the set has that half.
    pub fn tokens(&self) -> Option<TokenBatch<'_>> {
        self.tokens.as_ref().map(|part| {
            let batch = TokenBatch::flat(part.rows, &part.lengths, part.dim);
            match &part.spans {
                Some(spans) => batch.spans(spans),
                None => batch,
            }
        })
    }

    /// The bytes `start..end` of its text that each token row stands for, where the set says so.
    pub fn spans(&self) -> Option<&[(u32, u32)]> {
        self.tokens.as_ref()?.spans.as_deref()
    }

    /// The vocabulary's id of each token row, where the set says so.
    pub fn token_ids(&self) -> Option<Ints<'_>> {
        self.tokens.as_ref()?.ids
    }
}

impl fmt::Debug for DocumentChunk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentChunk")
            .field("first", &self.first)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}
