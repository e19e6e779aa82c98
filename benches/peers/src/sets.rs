//! The embedding sets, as the comparison uses them: documents are read only by those who build,
//! queries and ground truth by those who search.

use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::npy::Npy;

/// The exact best rows of each query, best first, at most 100, with their scores; ties by row.
#[derive(Default)]
pub struct Truth {
    /// Rows.
    pub ids: Vec<Vec<u32>>,
    /// Their exact scores in f32.
    pub scores: Vec<Vec<f32>>,
}

impl Truth {
    fn read(dir: &Path, stem: &str) -> Outcome<Self> {
        let ids = Npy::read(&dir.join(format!("{stem}_ids.npy")))?;
        let wide = *ids.shape.get(1).ok_or("ground truth is not a table")?;
        let scores = Npy::read(&dir.join(format!("{stem}_scores.npy")))?.f32s()?;
        let ids = ids.u32s()?;
        Ok(Self {
            ids: ids.chunks(wide).map(<[u32]>::to_vec).collect(),
            scores: scores.chunks(wide).map(<[f32]>::to_vec).collect(),
        })
    }
}

/// Sparse vectors, one after another.
pub struct Csr {
    /// Row `i` is `indptr[i]..indptr[i + 1]`.
    pub indptr: Vec<u32>,
    /// Term ids, ascending in each row.
    pub terms: Vec<u32>,
    /// Weights, above zero.
    pub weights: Vec<f32>,
}

impl Csr {
    fn read(dir: &Path, what: &str) -> Outcome<Self> {
        let part = |part: &str| Npy::read(&dir.join(format!("sparse_{what}_{part}.npy")));
        let csr = Self {
            indptr: part("indptr")?.u32s()?,
            terms: part("indices")?.u32s()?,
            weights: part("values")?.f32s()?,
        };
        let postings = csr.indptr.last().map_or(0, |&n| n as usize);
        if csr.terms.len() != postings || csr.weights.len() != postings {
            return Err(format!("sparse_{what}: indptr, indices and values do not agree").into());
        }
        Ok(csr)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Terms and weights of a row.
    pub fn row(&self, i: usize) -> (&[u32], &[f32]) {
        let row = self.indptr[i] as usize..self.indptr[i + 1] as usize;
        (&self.terms[row.clone()], &self.weights[row])
    }
}

/// A sparse query.
pub struct SparseQuery {
    /// Term ids, ascending.
    pub terms: Vec<u32>,
    /// Their weights.
    pub weights: Vec<f32>,
}

/// The sparse half of a set.
pub struct SparseSet {
    dir: PathBuf,
    /// Name of its folder.
    pub name: String,
    /// Its queries.
    pub queries: Vec<SparseQuery>,
    /// The exact answers.
    pub truth: Truth,
    /// Number of postings of its documents.
    pub postings: u64,
}

impl SparseSet {
    /// Opens a set.
    ///
    /// # Errors
    /// Files that are missing or do not agree.
    pub fn open(dir: &Path) -> Outcome<Self> {
        let queries = Csr::read(dir, "queries")?;
        let row = |i| {
            let (terms, weights) = queries.row(i);
            SparseQuery { terms: terms.to_vec(), weights: weights.to_vec() }
        };
        let indptr = Npy::read(&dir.join("sparse_docs_indptr.npy"))?.u32s()?;
        Ok(Self {
            dir: dir.to_owned(),
            name: name(dir),
            queries: (0..queries.len()).map(row).collect(),
            truth: Truth::read(dir, "gt_sparse")?,
            postings: u64::from(*indptr.last().ok_or("no documents")?),
        })
    }

    /// Reads the documents.
    ///
    /// # Errors
    /// Files that are missing or do not agree.
    pub fn documents(&self) -> Outcome<Csr> {
        Csr::read(&self.dir, "docs")
    }
}

/// The token rows of one text.
#[derive(Clone)]
pub struct TokenQuery {
    /// Rows of `dim` components, one after another.
    pub rows: Vec<f32>,
    /// Components of a row.
    pub dim: usize,
}

/// The token rows of many texts.
pub struct Tokens {
    /// Components of a row.
    pub dim: usize,
    /// All rows, one after another.
    pub rows: Vec<f32>,
    /// Rows of each text.
    pub lengths: Vec<u32>,
}

impl Tokens {
    /// The rows of each text.
    pub fn texts(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest = self.rows.as_slice();
        self.lengths.iter().map(move |&length| {
            let (text, after) = rest.split_at(length as usize * self.dim);
            rest = after;
            text
        })
    }
}

/// The token half of a set, with one of its sets of queries.
pub struct TokenSet {
    dir: PathBuf,
    /// Name of its folder.
    pub name: String,
    /// Its queries.
    pub queries: Vec<TokenQuery>,
    /// What the queries are: `real`, or `32-row`.
    pub query_kind: &'static str,
    /// The exact answers.
    pub truth: Truth,
    /// Number of token rows of its documents.
    pub tokens: u64,
}

impl TokenSet {
    /// Opens a set with its real queries (5 to 14 rows).
    ///
    /// # Errors
    /// Files that are missing or do not agree.
    pub fn open(dir: &Path) -> Outcome<Self> {
        let rows = Npy::read(&dir.join("tok_queries.npy"))?;
        let lengths = Npy::read(&dir.join("tok_querylens.npy"))?.u32s()?;
        let dim = *rows.shape.get(1).ok_or("tok_queries.npy is not a table")?;
        let tokens = Tokens { dim, rows: rows.f32s()?, lengths };
        let queries = tokens.texts().map(|rows| TokenQuery { rows: rows.to_vec(), dim }).collect();
        Self::with(dir, "real", queries, Truth::read(dir, "gt_maxsim")?)
    }

    /// Opens a set with its queries of 32 rows.
    ///
    /// # Errors
    /// Files that are missing or do not agree.
    pub fn open32(dir: &Path) -> Outcome<Self> {
        let rows = Npy::read(&dir.join("tok_queries32.npy"))?;
        let dim = *rows.shape.last().ok_or("tok_queries32.npy is not a table")?;
        let queries = rows
            .f32s()?
            .chunks(32 * dim)
            .map(|rows| TokenQuery { rows: rows.to_vec(), dim })
            .collect();
        Self::with(dir, "32-row", queries, Truth::read(dir, "gt_maxsim32")?)
    }

    fn with(
        dir: &Path,
        query_kind: &'static str,
        queries: Vec<TokenQuery>,
        truth: Truth,
    ) -> Outcome<Self> {
        if queries.len() != truth.ids.len() {
            return Err("as many queries as ground truth rows are needed".into());
        }
        let lengths = Npy::read(&dir.join("tok_doclens.npy"))?.u32s()?;
        let tokens = lengths.iter().map(|&length| u64::from(length)).sum();
        Ok(Self { dir: dir.to_owned(), name: name(dir), queries, query_kind, truth, tokens })
    }

    /// Reads the documents.
    ///
    /// # Errors
    /// Files that are missing or do not agree.
    pub fn documents(&self) -> Outcome<Tokens> {
        let rows = Npy::read(&self.dir.join("tok_docs.npy"))?;
        let dim = *rows.shape.get(1).ok_or("tok_docs.npy is not a table")?;
        let lengths = Npy::read(&self.dir.join("tok_doclens.npy"))?.u32s()?;
        let tokens = Tokens { dim, rows: rows.f32s()?, lengths };
        let rows: usize = tokens.lengths.iter().map(|&length| length as usize).sum();
        if rows * dim != tokens.rows.len() {
            return Err("tok_docs.npy and tok_doclens.npy do not agree".into());
        }
        Ok(tokens)
    }
}

fn name(dir: &Path) -> String {
    dir.file_name()
        .map_or_else(|| dir.display().to_string(), |name| name.to_string_lossy().into_owned())
}
