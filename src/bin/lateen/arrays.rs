//! Vectors in arrays that flags name: `.npy` files, or tensors of a `.safetensors` file.

use std::ops::Range;
use std::path::{Path, PathBuf};

use lateen::readers::{NpyArray, SafeTensorsFile, Tensor};
use lateen::{Floats, Ints, SparseBatch, TokenBatch};

use crate::failure::{Code, Failure};

enum File {
    Npy(NpyArray),
    Tensors(SafeTensorsFile),
}

impl File {
    fn open(path: &Path) -> Result<Self, Failure> {
        let end = path.extension().unwrap_or_default();
        if end.eq_ignore_ascii_case("npy") {
            NpyArray::open(path).map(Self::Npy).map_err(Failure::input)
        } else if end.eq_ignore_ascii_case("safetensors") {
            SafeTensorsFile::open(path).map(Self::Tensors).map_err(Failure::input)
        } else {
            let what =
                format!("{}: a name that ends in .npy or .safetensors is needed", path.display());
            Err(Failure::new(Code::Usage, what))
        }
    }
}

enum Array<'a> {
    Npy(&'a NpyArray),
    Tensor(Box<Tensor<'a>>),
}

impl Array<'_> {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Npy(array) => array.shape(),
            Self::Tensor(tensor) => tensor.shape(),
        }
    }

    fn ints(&self) -> Result<Ints<'_>, Failure> {
        match self {
            Self::Npy(array) => array.ints(),
            Self::Tensor(tensor) => tensor.ints(),
        }
        .map_err(Failure::input)
    }

    fn floats(&self) -> Result<Floats<'_>, Failure> {
        match self {
            Self::Npy(array) => array.floats(),
            Self::Tensor(tensor) => tensor.floats(),
        }
        .map_err(Failure::input)
    }
}

fn refused(what: impl Into<String>) -> Failure {
    Failure::new(Code::Input, what)
}

/// Whole numbers of any type as counts.
fn counts(ints: Ints<'_>, what: &str) -> Result<Vec<usize>, Failure> {
    fn all<T: Copy + TryInto<usize>>(ints: &[T]) -> Option<Vec<usize>> {
        ints.iter().map(|&n| n.try_into().ok()).collect()
    }
    let counts = match ints {
        Ints::U16(ints) => all(ints),
        Ints::U32(ints) => all(ints),
        Ints::U64(ints) => all(ints),
        Ints::I32(ints) => all(ints),
        Ints::I64(ints) => all(ints),
        _ => None,
    };
    counts.ok_or_else(|| refused(format!("{what}: a number below zero, or of an unknown type")))
}

/// Offsets from 0 on that never go back, up to `end`.
fn checked(starts: Vec<usize>, end: usize, what: &str) -> Result<Vec<usize>, Failure> {
    if starts.first() != Some(&0) || !starts.is_sorted() {
        return Err(refused(format!("{what}: offsets begin with 0 and never go back")));
    }
    match starts.last() {
        Some(&last) if last == end => Ok(starts),
        last => {
            let last = last.copied().unwrap_or_default();
            Err(refused(format!("{what}: offsets end at {last}, there are {end} entries")))
        }
    }
}

/// The files of compressed sparse rows.
pub(crate) struct SparseFiles {
    files: Vec<File>,
    starts: Vec<usize>,
}

impl SparseFiles {
    /// Opens the files of `--sparse`, where there are some.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Option<Self>, Failure> {
        if paths.is_empty() {
            return Ok(None);
        }
        let files = paths.iter().map(|path| File::open(path)).collect::<Result<Vec<_>, _>>()?;
        let mut opened = Self { files, starts: Vec::new() };
        let [starts, terms, weights] = opened.parts()?;
        let (starts, terms) = (counts(starts.ints()?, "--sparse")?, terms.ints()?.len());
        let weights = weights.floats()?.len();
        if terms != weights {
            return Err(refused(format!("--sparse: {terms} term ids, {weights} weights")));
        }
        opened.starts = checked(starts, terms, "--sparse")?;
        Ok(Some(opened))
    }

    fn parts(&self) -> Result<[Array<'_>; 3], Failure> {
        match self.files.as_slice() {
            [File::Npy(starts), File::Npy(terms), File::Npy(weights)] => {
                Ok([Array::Npy(starts), Array::Npy(terms), Array::Npy(weights)])
            }
            [File::Tensors(file)] => {
                let tensor = |name| file.tensor(name).map(|t| Array::Tensor(Box::new(t)));
                let parts = [tensor("indptr"), tensor("indices"), tensor("values")];
                let [starts, terms, weights] = parts.map(|part| part.map_err(Failure::input));
                Ok([starts?, terms?, weights?])
            }
            _ => {
                let what =
                    "--sparse takes three .npy (offsets, term ids, weights), or one .safetensors";
                Err(Failure::new(Code::Usage, what))
            }
        }
    }

    /// How many documents.
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(crate) fn arrays(&self) -> Result<SparseArrays<'_>, Failure> {
        let [_, terms, weights] = self.parts()?;
        Ok(SparseArrays { starts: &self.starts, terms, weights })
    }
}

pub(crate) struct SparseArrays<'a> {
    starts: &'a [usize],
    terms: Array<'a>,
    weights: Array<'a>,
}

impl SparseArrays<'_> {
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    pub(crate) fn rows(&self, rows: Range<usize>) -> Result<SparsePart<'_>, Failure> {
        let starts = &self.starts[rows.start..=rows.end];
        let (first, last) = (starts[0], starts[starts.len() - 1]);
        let (terms, weights) = (self.terms.ints()?, self.weights.floats()?);
        let (Some(terms), Some(weights)) = (terms.slice(first..last), weights.slice(first..last))
        else {
            return Err(refused("--sparse: shorter than its offsets say"));
        };
        let starts = starts.iter().map(|start| (start - first) as u64).collect();
        Ok(SparsePart { starts, terms, weights })
    }
}

/// Some sparse rows.
pub(crate) struct SparsePart<'a> {
    starts: Vec<u64>,
    terms: Ints<'a>,
    weights: Floats<'a>,
}

impl SparsePart<'_> {
    pub(crate) fn batch(&self) -> SparseBatch<'_> {
        SparseBatch::csr(&self.starts, self.terms, self.weights)
    }
}

/// The files of token rows.
pub(crate) struct TokenFiles {
    files: Vec<File>,
    starts: Vec<usize>,
    dim: usize,
}

impl TokenFiles {
    /// Opens the files of `--tokens`, where there are some.
    pub(crate) fn open(paths: &[PathBuf]) -> Result<Option<Self>, Failure> {
        if paths.is_empty() {
            return Ok(None);
        }
        let files = paths.iter().map(|path| File::open(path)).collect::<Result<Vec<_>, _>>()?;
        let mut opened = Self { files, starts: Vec::new(), dim: 0 };
        let (rows, lengths) = opened.parts()?;
        let (starts, count, dim) = match (rows.shape(), lengths) {
            (&[count, dim], Some(lengths)) => {
                let mut starts = vec![0usize];
                let mut end = 0usize;
                for length in counts(lengths.ints()?, "--tokens")? {
                    end = end.saturating_add(length);
                    starts.push(end);
                }
                (starts, count, dim)
            }
            (&[documents, each, dim], None) => {
                let starts = (0..=documents).map(|at| at.saturating_mul(each)).collect();
                (starts, documents.saturating_mul(each), dim)
            }
            (shape, lengths) => {
                let expected = match lengths {
                    Some(_) => "[T, dim] beside lengths",
                    None => "[documents, rows, dim] without lengths",
                };
                return Err(refused(format!("--tokens: shape {shape:?}, expected {expected}")));
            }
        };
        rows.floats()?;
        let starts = checked(starts, count, "--tokens")?;
        opened.starts = starts;
        opened.dim = dim;
        Ok(Some(opened))
    }

    fn parts(&self) -> Result<(Array<'_>, Option<Array<'_>>), Failure> {
        match self.files.as_slice() {
            [File::Npy(rows)] => Ok((Array::Npy(rows), None)),
            [File::Npy(rows), File::Npy(lengths)] => {
                Ok((Array::Npy(rows), Some(Array::Npy(lengths))))
            }
            [File::Tensors(file)] => {
                let tensor = |name| {
                    let tensor = file.tensor(name).map_err(Failure::input)?;
                    Ok::<_, Failure>(Array::Tensor(Box::new(tensor)))
                };
                let lengths = file.names().iter().any(|name| name == "lengths");
                Ok((tensor("rows")?, lengths.then(|| tensor("lengths")).transpose()?))
            }
            _ => {
                let what =
                    "--tokens takes one or two .npy (rows, rows per document), or one .safetensors";
                Err(Failure::new(Code::Usage, what))
            }
        }
    }

    /// How many documents.
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Components of a row.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn arrays(&self) -> Result<TokenArrays<'_>, Failure> {
        let (rows, _) = self.parts()?;
        Ok(TokenArrays { starts: &self.starts, rows, dim: self.dim })
    }
}

pub(crate) struct TokenArrays<'a> {
    starts: &'a [usize],
    rows: Array<'a>,
    dim: usize,
}

impl TokenArrays<'_> {
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// How many documents from `first` on take so many bytes as f32, of `most`; one at least.
    pub(crate) fn fit(&self, first: usize, most: usize, bytes: usize) -> usize {
        let rows = bytes / (4 * self.dim.max(1));
        let rest = self.starts.get(first..).unwrap_or_default();
        let Some((&start, ends)) = rest.split_first() else { return 1 };
        ends.iter().take(most).take_while(|&&end| end - start <= rows).count().max(1)
    }

    pub(crate) fn rows(&self, documents: Range<usize>) -> Result<TokenPart<'_>, Failure> {
        let starts = &self.starts[documents.start..=documents.end];
        let (first, last) = (starts[0], starts[starts.len() - 1]);
        let rows = self.rows.floats()?.slice(first * self.dim..last * self.dim);
        let rows = rows.ok_or_else(|| refused("--tokens: shorter than its lengths say"))?;
        let lengths = starts.windows(2).map(|pair| (pair[1] - pair[0]) as u64).collect();
        Ok(TokenPart { rows, lengths, dim: self.dim })
    }
}

/// The token rows of some documents.
pub(crate) struct TokenPart<'a> {
    rows: Floats<'a>,
    lengths: Vec<u64>,
    dim: usize,
}

impl TokenPart<'_> {
    pub(crate) fn batch(&self) -> TokenBatch<'_> {
        TokenBatch::flat(self.rows, &self.lengths, self.dim)
    }
}
