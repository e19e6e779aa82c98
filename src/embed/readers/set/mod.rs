//! Embedding sets: a folder of texts, queries and their vectors, in files of fixed names.

mod arrays;
mod documents;
mod queries;

use std::path::{Path, PathBuf};

use super::file_fault;
use crate::error::{Error, Result};
use arrays::{Side, SparseArrays, TokenArrays};

pub use documents::{DocumentChunk, DocumentChunks, SetDocuments};
pub use queries::{SetQueries, SetQuery};

/// A folder that holds texts, perhaps queries, and vectors of both. Row `i` of every array belongs
/// to line `i` of the texts, and the sparse half or the token half may be missing:
///
/// | file | content |
/// | --- | --- |
/// | `texts.jsonl`, `queries.jsonl`, or `….jsonl.gz` | one object a line: `id`, `text`, `src` |
/// | `qrels.tsv` | `query_id`, `doc_id`, `grade` |
/// | `sparse_docs_{indptr,indices,values}.npy`, `sparse_queries_…` | compressed sparse rows |
/// | `tok_docs.npy`, `tok_queries.npy` | `[T, dim]`, the rows of all texts one after another |
/// | `tok_doclens.npy`, `tok_querylens.npy` | rows per text |
/// | `tok_doc_ids.npy`, `tok_query_ids.npy` | optional: the vocabulary's id of each row |
/// | `tok_doc_offsets.npy`, `tok_query_offsets.npy` | optional: `[T, 2]`, each row's bytes in the text |
///
/// ```
/// use lateen::readers::EmbeddingSet;
///
/// let set = EmbeddingSet::open("tests/data/wiki-mini")?;
/// let documents = set.documents()?;
/// assert_eq!((documents.len(), documents.dim()), (400, Some(128)));
/// for chunk in documents.chunks(100)? {
///     let chunk = chunk?;
///     assert_eq!(chunk.ids().len(), 100);
///     assert!(chunk.sparse().is_some() && chunk.tokens().is_some());
/// }
/// assert_eq!(set.queries()?.len(), 60);
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct EmbeddingSet {
    dir: PathBuf,
}

impl EmbeddingSet {
    /// Opens a folder. Nothing is read yet but its directory: what a search does not need, it does
    /// not load.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no such folder.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        std::fs::read_dir(&dir)
            .map_err(|source| Error::io("open", dir.display().to_string(), source))?;
        Ok(Self { dir })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the judgements are, if there are any: [`Qrels`](crate::eval::Qrels) reads them.
    pub fn qrels(&self) -> Option<PathBuf> {
        Some(self.dir.join("qrels.tsv")).filter(|path| path.is_file())
    }

    /// Reads the documents' arrays and checks them against each other.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Input`] that names the file: one that is missing beside its
    /// sisters, one that is malformed, two whose counts disagree, offsets that go backwards; or
    /// the folder, where it holds no texts or neither half.
    pub fn documents(&self) -> Result<SetDocuments> {
        let texts = self.texts("texts.jsonl")?;
        let (sparse, tokens) = self.arrays(Side::Documents)?;
        let len = sparse
            .as_ref()
            .map(SparseArrays::len)
            .or_else(|| tokens.as_ref().map(TokenArrays::len))
            .ok_or_else(|| {
                let what = "no vectors: neither sparse_docs_indptr.npy nor tok_docs.npy is there";
                file_fault(&self.dir.display().to_string(), what)
            })?;
        Ok(SetDocuments { texts, len, sparse, tokens })
    }

    /// Reads the queries, texts and arrays, and checks them against each other.
    ///
    /// # Errors
    /// As [`documents`](Self::documents); also a query id that appears twice.
    pub fn queries(&self) -> Result<SetQueries> {
        let texts = self.texts("queries.jsonl")?;
        let (sparse, tokens) = self.arrays(Side::Queries)?;
        SetQueries::read(&texts, sparse, tokens)
    }

    fn arrays(&self, side: Side) -> Result<(Option<SparseArrays>, Option<TokenArrays>)> {
        let sparse = SparseArrays::open(&self.dir, side)?;
        let tokens = TokenArrays::open(&self.dir, side)?;
        if let (Some(sparse), Some(tokens)) = (&sparse, &tokens) {
            tokens.same_texts_as(sparse)?;
        }
        Ok((sparse, tokens))
    }

    /// The one file of texts, plain or compressed.
    fn texts(&self, name: &str) -> Result<PathBuf> {
        let plain = self.dir.join(name);
        let compressed = self.dir.join(format!("{name}.gz"));
        let refuse = |what: String| Err(file_fault(&self.dir.display().to_string(), what).into());
        match (plain.is_file(), compressed.is_file()) {
            (true, false) => Ok(plain),
            (false, true) => Ok(compressed),
            (true, true) => refuse(format!("both {name} and {name}.gz; remove one of them")),
            (false, false) => refuse(format!("no {name} and no {name}.gz")),
        }
    }
}
