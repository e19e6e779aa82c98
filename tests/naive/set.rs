//! Embedding sets: folders of real vectors, as `CONTRIBUTING.md` describes them.

#![allow(dead_code, reason = "each suite uses its part")]

use std::path::{Path, PathBuf};

use half::f16;
use lateen::readers::NpyArray;
use lateen::{
    Batch, Floats, IndexWriter, KeyKind, Schema, SparseBatch, SparseField, SparseVector,
    TokenBatch, TokenCodec, TokenField, TokenMatrix, TokenOptions, WriterOptions,
};

/// The set that is part of the project.
pub(crate) fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini")
}

/// A larger set, from the folder that `LATEEN_SETS` names; says so where it is not there.
pub(crate) fn larger(name: &str) -> Option<PathBuf> {
    let Some(sets) = std::env::var_os("LATEEN_SETS") else {
        eprintln!("skipped: {name} (LATEEN_SETS is not set)");
        return None;
    };
    let folder = PathBuf::from(sets).join(name);
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

fn array(folder: &Path, name: &str) -> NpyArray {
    NpyArray::open(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Sparse vectors as compressed rows.
pub(crate) struct Csr {
    ends: Vec<usize>,
    terms: NpyArray,
    weights: NpyArray,
}

impl Csr {
    fn open(folder: &Path, of: &str) -> Self {
        let part = |part: &str| array(folder, &format!("sparse_{of}_{part}.npy"));
        let ends = part("indptr").usizes().unwrap();
        Self { ends, terms: part("indices"), weights: part("values") }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    pub(crate) fn row(&self, i: usize) -> SparseVector<'_> {
        let range = self.ends[i]..self.ends[i + 1];
        let terms = self.terms.ints().unwrap().slice(range.clone()).unwrap();
        SparseVector::new(terms, self.weights.floats().unwrap().slice(range).unwrap())
    }

    /// The offsets of some rows, from 0 on; and those of their first and last entry.
    fn offsets(&self, rows: &std::ops::Range<usize>) -> (Vec<u64>, std::ops::Range<usize>) {
        let first = self.ends[rows.start];
        let ends = self.ends[rows.start..=rows.end].iter().map(|end| (end - first) as u64);
        (ends.collect(), first..self.ends[rows.end])
    }
}

/// Token rows of many texts.
pub(crate) struct Ragged {
    ends: Vec<usize>,
    rows: NpyArray,
    pub(crate) dim: usize,
}

impl Ragged {
    fn open(folder: &Path, rows: &str, lengths: impl Fn(usize) -> Vec<usize>) -> Self {
        let rows = array(folder, rows);
        let dim = rows.shape()[rows.shape().len() - 1];
        let mut ends = vec![0];
        for length in lengths(rows.floats().unwrap().len() / dim) {
            ends.push(ends[ends.len() - 1] + length);
        }
        Self { ends, rows, dim }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len() - 1
    }

    /// The rows of some texts.
    pub(crate) fn halves(&self, texts: std::ops::Range<usize>) -> &[f16] {
        let Floats::F16(all) = self.rows.floats().unwrap() else { panic!("rows are f16") };
        &all[self.ends[texts.start] * self.dim..self.ends[texts.end] * self.dim]
    }

    pub(crate) fn matrix(&self, i: usize) -> TokenMatrix<'_> {
        TokenMatrix::new(self.halves(i..i + 1), self.dim)
    }
}

/// The exact answers to a set's queries: rows and scores, best first.
pub(crate) struct Truth(pub(crate) Vec<Vec<(u64, f32)>>);

impl Truth {
    fn open(folder: &Path, name: &str) -> Self {
        let (ids, scores) = (
            array(folder, &format!("{name}_ids.npy")),
            array(folder, &format!("{name}_scores.npy")),
        );
        let width = ids.shape()[1];
        let lateen::Ints::I32(ids) = ids.ints().unwrap() else { panic!("ids are i32") };
        let Floats::F32(scores) = scores.floats().unwrap() else { panic!("scores are f32") };
        let row = |(ids, scores): (&[i32], &[f32])| {
            let held = ids.iter().zip(scores).take_while(|(id, _)| **id >= 0);
            held.map(|(&id, &score)| (u64::try_from(id).unwrap(), score)).collect()
        };
        Self(ids.chunks(width).zip(scores.chunks(width)).map(row).collect())
    }
}

/// A set.
pub(crate) struct Set {
    folder: PathBuf,
    pub(crate) sparse: Csr,
    pub(crate) sparse_queries: Csr,
    /// Token rows of documents and queries, where the set has them.
    pub(crate) tokens: Option<(Ragged, Ragged)>,
}

impl Set {
    pub(crate) fn open(folder: &Path) -> Self {
        let ragged = |rows: &str, lengths: &str| {
            Ragged::open(folder, rows, |_| array(folder, lengths).usizes().unwrap())
        };
        let has_tokens = folder.join("tok_docs.npy").is_file();
        let tokens = has_tokens.then(|| {
            (
                ragged("tok_docs.npy", "tok_doclens.npy"),
                ragged("tok_queries.npy", "tok_querylens.npy"),
            )
        });
        Self {
            folder: folder.to_owned(),
            sparse: Csr::open(folder, "docs"),
            sparse_queries: Csr::open(folder, "queries"),
            tokens,
        }
    }

    pub(crate) fn truth(&self, name: &str) -> Truth {
        Truth::open(&self.folder, name)
    }

    /// The queries of exactly 32 rows, where the set has them.
    pub(crate) fn long_queries(&self) -> Option<Ragged> {
        let name = "tok_queries32.npy";
        let even = |rows: usize| vec![32; rows / 32];
        self.folder.join(name).is_file().then(|| Ragged::open(&self.folder, name, even))
    }

    /// Hands all documents to a writer, in batches; keys are row numbers.
    pub(crate) fn add_to(&self, writer: &mut IndexWriter, fields: &SetFields, chunk: usize) {
        for start in (0..self.sparse.len()).step_by(chunk) {
            let texts = start..(start + chunk).min(self.sparse.len());
            let (offsets, entries) = self.sparse.offsets(&texts);
            let terms = self.sparse.terms.ints().unwrap().slice(entries.clone()).unwrap();
            let weights = self.sparse.weights.floats().unwrap().slice(entries).unwrap();
            let rows = SparseBatch::csr(&offsets, terms, weights);
            let mut batch = Batch::new(texts.clone().map(|row| row as u64));
            batch = batch.sparse(&fields.sparse, &rows).unwrap();
            if let Some((documents, _)) = &self.tokens {
                let ends = &documents.ends[texts.start..=texts.end];
                let lengths: Vec<u64> =
                    ends.windows(2).map(|pair| (pair[1] - pair[0]) as u64).collect();
                let rows = TokenBatch::flat(documents.halves(texts), &lengths, documents.dim);
                for field in [&fields.f16, &fields.int8].into_iter().flatten() {
                    batch = batch.tokens(field, &rows).unwrap();
                }
                writer.add_batch(&batch).unwrap();
            } else {
                writer.add_batch(&batch).unwrap();
            }
        }
    }
}

/// A schema for a set: its token rows in both codecs.
pub(crate) struct SetFields {
    pub(crate) schema: Schema,
    pub(crate) sparse: SparseField,
    pub(crate) f16: Option<TokenField>,
    pub(crate) int8: Option<TokenField>,
}

impl SetFields {
    pub(crate) fn of(set: &Set) -> Self {
        let mut schema = Schema::builder();
        schema.keys(KeyKind::U64);
        let sparse = schema.sparse("sparse");
        let mut field = |name: &str, codec: TokenCodec| {
            let (documents, _) = set.tokens.as_ref()?;
            Some(schema.tokens(name, TokenOptions::new(documents.dim).codec(codec)))
        };
        let (f16, int8) = (field("f16", TokenCodec::F16), field("int8", TokenCodec::Int8));
        Self { schema: schema.build().unwrap(), sparse, f16, int8 }
    }

    /// A writer of an index in an empty folder.
    pub(crate) fn writer(&self, path: &Path, options: WriterOptions) -> IndexWriter {
        options.create(path, self.schema.clone()).unwrap()
    }
}
