//! The f32 baseline: for each document one matrix product, query × documentᵀ, then the largest of
//! each query row, then their sum. Three products, since the fastest counts.

use super::rerank::{GROUP, RerankQuery, RerankSet};
use super::{RerankEngine, SearchEngine, best};
use crate::Setting;
use crate::sets::{TokenQuery, TokenSet, Tokens};

/// Multiplies document rows with query rows: `products[d * queries + q]` is the dot product of
/// document row `d` and query row `q`, each of `dim` components.
type Product = fn(document: &[f32], query: &[f32], dim: usize, products: &mut [f32]);

/// Name, version and function.
type Kernel = (&'static str, &'static str, Product);

fn kernels() -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = vec![
        ("sgemm-matrixmultiply", "0.3.11", by_matrixmultiply),
        ("sgemm-gemm", "0.19.0", by_gemm),
    ];
    #[cfg(feature = "openblas")]
    kernels.push(("sgemm-openblas", "system", by_openblas));
    kernels
}

pub(super) fn searchers() -> Vec<SearchEngine> {
    let engine = |(name, version, product): Kernel| SearchEngine {
        name,
        version,
        build: None,
        keep: false,
        open: Box::new(move |set: &TokenSet, _| {
            let documents = Documents::of(set.documents()?);
            let mut products = Vec::new();
            Ok(vec![Setting::new("scan of all", move |query: &TokenQuery, k| {
                let all = 0..documents.starts.len() - 1;
                let scores = all
                    .map(|row| (row as u32, documents.score(row, query, product, &mut products)));
                Ok(best(scores, k))
            })])
        }),
        passes: 1,
    };
    kernels().into_iter().map(engine).collect()
}

pub(super) fn rerankers() -> Vec<RerankEngine> {
    let engine = |(name, version, product): Kernel| RerankEngine {
        name,
        version,
        build: None,
        keep: false,
        open: Box::new(move |set: &RerankSet, _| {
            let Tokens { dim, rows, lengths } = &set.documents;
            let copy = Tokens { dim: *dim, rows: rows.clone(), lengths: lengths.clone() };
            let documents = Documents::of(copy);
            let mut products = Vec::new();
            Ok(vec![Setting::new("f32 rows in memory", move |query: &RerankQuery, k| {
                let group = query.group * GROUP..(query.group + 1) * GROUP;
                let scores = group.map(|row| {
                    (row as u32, documents.score(row, &query.tokens, product, &mut products))
                });
                Ok(best(scores, k))
            })])
        }),
        passes: usize::MAX,
    };
    kernels().into_iter().map(engine).collect()
}

struct Documents {
    tokens: Tokens,
    /// Where each document begins in `tokens.rows`, and where the last ends.
    starts: Vec<usize>,
}

impl Documents {
    fn of(tokens: Tokens) -> Self {
        let mut starts = vec![0];
        for &length in &tokens.lengths {
            starts.push(starts[starts.len() - 1] + length as usize * tokens.dim);
        }
        Self { tokens, starts }
    }

    fn score(
        &self,
        row: usize,
        query: &TokenQuery,
        product: Product,
        products: &mut Vec<f32>,
    ) -> f32 {
        let (dim, count) = (query.dim, query.rows.len() / query.dim);
        let document = &self.tokens.rows[self.starts[row]..self.starts[row + 1]];
        products.resize(document.len() / dim * count, 0.0);
        product(document, &query.rows, dim, products);
        let mut largest = vec![f32::NEG_INFINITY; count];
        for row in products.chunks_exact(count) {
            for (largest, &dot) in largest.iter_mut().zip(row) {
                *largest = largest.max(dot);
            }
        }
        largest.iter().sum()
    }
}

/// Rows of documents and of the query, once the three slices are found to agree.
fn shape(document: &[f32], query: &[f32], dim: usize, products: &[f32]) -> (usize, usize) {
    let (rows, count) = (document.len() / dim, query.len() / dim);
    assert!(
        document.len() == rows * dim
            && query.len() == count * dim
            && products.len() == rows * count
    );
    (rows, count)
}

fn by_matrixmultiply(document: &[f32], query: &[f32], dim: usize, products: &mut [f32]) {
    let (rows, count) = shape(document, query, dim, products);
    let (wide, across) = (dim as isize, count as isize);
    // SAFETY: `shape` holds that the slices have rows × dim, count × dim and rows × count values;
    // the strides are those of row-major matrices of these shapes (the query read transposed), so
    // every access is inside its slice; `products` is borrowed uniquely and its rows do not alias.
    #[allow(unsafe_code, reason = "the crate has no safe interface")]
    unsafe {
        matrixmultiply::sgemm(
            rows,
            dim,
            count,
            1.0,
            document.as_ptr(),
            wide,
            1,
            query.as_ptr(),
            1,
            wide,
            0.0,
            products.as_mut_ptr(),
            across,
            1,
        );
    }
}

fn by_gemm(document: &[f32], query: &[f32], dim: usize, products: &mut [f32]) {
    let (rows, count) = shape(document, query, dim, products);
    let (wide, across) = (dim as isize, count as isize);
    // SAFETY: as in `by_matrixmultiply`; here the column strides come first. Alpha, the factor of
    // what `products` held, is not read.
    #[allow(unsafe_code, reason = "the crate has no safe interface")]
    unsafe {
        gemm::gemm(
            rows,
            count,
            dim,
            products.as_mut_ptr(),
            1,
            across,
            false,
            document.as_ptr(),
            1,
            wide,
            query.as_ptr(),
            wide,
            1,
            0.0,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(feature = "openblas")]
fn by_openblas(document: &[f32], query: &[f32], dim: usize, products: &mut [f32]) {
    use ndarray::linalg::general_mat_mul;
    use ndarray::{ArrayView2, ArrayViewMut2};

    let (rows, count) = shape(document, query, dim, products);
    let fits = "the shape was checked";
    let document = ArrayView2::from_shape((rows, dim), document).expect(fits);
    let query = ArrayView2::from_shape((count, dim), query).expect(fits);
    let mut products = ArrayViewMut2::from_shape((rows, count), products).expect(fits);
    general_mat_mul(1.0, &document, &query.t(), 0.0, &mut products);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kernel_multiplies() {
        let values = |seed: usize, n: usize| -> Vec<f32> {
            (0..n).map(|i| ((i * 7 + seed) % 11) as f32 - 5.0).collect()
        };
        let (dim, document, query) = (16, values(1, 5 * 16), values(4, 3 * 16));
        for (name, _, product) in kernels() {
            let mut products = vec![f32::NAN; 15];
            product(&document, &query, dim, &mut products);
            for (d, q) in (0..5).flat_map(|d| (0..3).map(move |q| (d, q))) {
                let pairs = document[d * dim..][..dim].iter().zip(&query[q * dim..][..dim]);
                let dot: f32 = pairs.map(|(a, b)| a * b).sum();
                assert_eq!(products[d * 3 + q], dot, "{name}, rows {d} and {q}");
            }
        }
    }
}
