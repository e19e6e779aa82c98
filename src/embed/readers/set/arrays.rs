//! The arrays of one side of a set, documents or queries, checked against each other.

use std::ops::Range;
use std::path::Path;

use crate::embed::numbers::{Floats, Ints};
use crate::embed::readers::{NpyArray, file_fault};
use crate::embed::sparse::same_length;
use crate::embed::sparse_batch::offsets;
use crate::error::{Error, Fault, InputError, Result};

/// Which half of the files.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Documents,
    Queries,
}

/// Compressed sparse rows of a whole side.
#[derive(Debug)]
pub(super) struct SparseArrays {
    /// Where each row begins, and where the last one ends.
    starts: Vec<usize>,
    terms: NpyArray,
    weights: NpyArray,
}

impl SparseArrays {
    /// Opens the three files; `None` where none of them is there.
    pub(super) fn open(dir: &Path, side: Side) -> Result<Option<Self>> {
        let side = match side {
            Side::Documents => "docs",
            Side::Queries => "queries",
        };
        let name = |part| format!("sparse_{side}_{part}.npy");
        let names = [name("indptr"), name("indices"), name("values")];
        let Some([indptr, terms, weights]) = all_or_none(dir, &names)? else { return Ok(None) };

        list(&indptr)?;
        list(&terms)?;
        list(&weights)?;
        let count = terms.ints()?.len();
        let floats = weights.floats()?;
        same_length(weights.name(), "weights beside the terms", floats.len(), count)?;
        let starts = offsets(indptr.name(), indptr.ints()?, count)?;
        Ok(Some(Self { starts, terms, weights }))
    }

    /// How many rows.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Some rows: where each begins within the part, its terms and its weights.
    pub(super) fn rows(&self, rows: Range<usize>) -> Result<(Vec<u64>, Ints<'_>, Floats<'_>)> {
        let starts = self.starts.get(rows.start..=rows.end).unwrap_or(&[0]);
        let (first, last) = (starts[0], starts[starts.len() - 1]);
        let beyond = || file_fault(self.terms.name(), "shorter than its offsets say");
        let terms = self.terms.ints()?.slice(first..last).ok_or_else(beyond)?;
        let weights = self.weights.floats()?.slice(first..last).ok_or_else(beyond)?;
        Ok((starts.iter().map(|&start| (start - first) as u64).collect(), terms, weights))
    }
}

/// Token rows of a whole side.
#[derive(Debug)]
pub(super) struct TokenArrays {
    lengths_name: String,
    /// Where each text's rows begin, and where the last one's end.
    starts: Vec<usize>,
    rows: NpyArray,
    dim: usize,
    ids: Option<NpyArray>,
    spans: Option<NpyArray>,
}

impl TokenArrays {
    /// Opens the files; `None` where none of the two that are needed is there.
    pub(super) fn open(dir: &Path, side: Side) -> Result<Option<Self>> {
        let (rows, one) = match side {
            Side::Documents => ("tok_docs.npy", "doc"),
            Side::Queries => ("tok_queries.npy", "query"),
        };
        let names = [rows.to_owned(), format!("tok_{one}lens.npy")];
        let Some([rows, lengths]) = all_or_none(dir, &names)? else { return Ok(None) };

        rows.floats()?;
        let &[count, dim] = rows.shape() else { return Err(dimensions(&rows, 2)) };
        list(&lengths)?;
        let ints = lengths.ints()?;
        let mut starts = Vec::with_capacity(ints.len() + 1);
        let mut start = 0usize;
        starts.push(start);
        for text in 0..ints.len() {
            start = start.saturating_add(ints.usize(text, lengths.name())?);
            starts.push(start);
        }
        same_length(rows.name(), "rows for all lengths together", count, start)?;

        let ids = optional(dir, &format!("tok_{one}_ids.npy"))?;
        if let Some(ids) = &ids {
            list(ids)?;
            same_length(ids.name(), "ids beside the rows", ids.ints()?.len(), count)?;
        }
        let spans = optional(dir, &format!("tok_{one}_offsets.npy"))?;
        if let Some(spans) = &spans {
            spans.ints()?;
            if spans.shape() != [count, 2] {
                let what = format!("shape {:?}, expected [{count}, 2]", spans.shape());
                return Err(file_fault(spans.name(), what).into());
            }
        }
        let lengths_name = lengths.name().to_owned();
        Ok(Some(Self { lengths_name, starts, rows, dim, ids, spans }))
    }

    /// How many texts.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Components of a row.
    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    /// The rows that belong to some texts.
    pub(super) fn range(&self, texts: Range<usize>) -> Range<usize> {
        let start = |i: usize| self.starts.get(i).copied().unwrap_or_default();
        start(texts.start)..start(texts.end)
    }

    /// Rows per text.
    pub(super) fn lengths(&self, texts: Range<usize>) -> Vec<u64> {
        let starts = self.starts.get(texts.start..=texts.end).unwrap_or_default();
        starts.windows(2).map(|pair| (pair[1] - pair[0]) as u64).collect()
    }

    /// The numbers of some rows.
    pub(super) fn rows(&self, rows: Range<usize>) -> Result<Floats<'_>> {
        let beyond = || file_fault(self.rows.name(), "shorter than its lengths say");
        let range = rows.start * self.dim..rows.end * self.dim;
        Ok(self.rows.floats()?.slice(range).ok_or_else(beyond)?)
    }

    /// The vocabulary's id of each of some rows, where the set has them.
    pub(super) fn ids(&self, rows: Range<usize>) -> Result<Option<Ints<'_>>> {
        self.ids.as_ref().map_or(Ok(None), |ids| Ok(ids.ints()?.slice(rows)))
    }

    /// The text bytes of each row of some texts, where the set has them, checked to lie within
    /// the texts. `text_bytes` has the length of each of them.
    pub(super) fn spans(
        &self,
        texts: Range<usize>,
        text_bytes: impl Iterator<Item = usize>,
    ) -> Result<Option<Vec<(u32, u32)>>> {
        let Some(array) = &self.spans else { return Ok(None) };
        let (name, ints) = (array.name(), array.ints()?);
        let mut spans = Vec::with_capacity(self.range(texts.clone()).len());
        for (text, bytes) in texts.zip(text_bytes) {
            for row in self.range(text..text + 1) {
                let placed = |mut error: InputError| {
                    error.position = None;
                    error.row(row)
                };
                let start = ints.u32(2 * row, name).map_err(placed)?;
                let end = ints.u32(2 * row + 1, name).map_err(placed)?;
                if end < start {
                    let fault = Fault::Backwards { from: start.into(), to: end.into() };
                    return Err(placed(InputError::new(name, fault)).into());
                }
                if end as usize > bytes {
                    let (value, limit) = (end.to_string(), bytes as u64);
                    let fault = Fault::OutOfRange { value, limit };
                    return Err(placed(InputError::new(name, fault)).into());
                }
                spans.push((start, end));
            }
        }
        Ok(Some(spans))
    }

    /// Checks that both halves have as many texts.
    pub(super) fn same_texts_as(&self, sparse: &SparseArrays) -> Result<()> {
        let what = "texts beside the sparse rows";
        same_length(&self.lengths_name, what, self.len(), sparse.len())?;
        Ok(())
    }
}

/// All of these files, or none of them where none is there.
fn all_or_none<const N: usize>(dir: &Path, names: &[String; N]) -> Result<Option<[NpyArray; N]>> {
    let there: Vec<bool> = names.iter().map(|name| dir.join(name).exists()).collect();
    let Some(present) = there.iter().position(|&there| there) else { return Ok(None) };
    if let Some(absent) = there.iter().position(|&there| !there) {
        let path = dir.join(&names[absent]).display().to_string();
        let what = format!("missing, though {} is there", names[present]);
        return Err(file_fault(&path, what).into());
    }
    let mut arrays = Vec::with_capacity(N);
    for name in names {
        arrays.push(NpyArray::open(dir.join(name))?);
    }
    Ok(arrays.try_into().ok())
}

fn optional(dir: &Path, name: &str) -> Result<Option<NpyArray>> {
    let path = dir.join(name);
    path.exists().then(|| NpyArray::open(path)).transpose()
}

/// Checks that an array is a plain list.
fn list(array: &NpyArray) -> Result<()> {
    if array.shape().len() == 1 { Ok(()) } else { Err(dimensions(array, 1)) }
}

fn dimensions(array: &NpyArray, expected: usize) -> Error {
    let what = format!("shape {:?}, expected {expected} dimension(s)", array.shape());
    file_fault(array.name(), what).into()
}
