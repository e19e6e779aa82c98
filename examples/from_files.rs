//! Vectors from the files that producers write: `.npy` arrays and a `.safetensors` file.
//!
//! `cargo run --release --features readers --example from_files`

use lateen::readers::{NpyArray, SafeTensorsFile};
use lateen::{
    Batch, IndexWriter, Query, Schema, SparseBatch, TokenBatch, TokenMatrix, TokenOptions,
};
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let place = tempfile::tempdir()?;

    // What a sparse encoder leaves: compressed sparse rows, as SciPy keeps them.
    let (indptr, terms, weights) = (vec![0i64, 2, 3], vec![7i32, 3, 7], vec![0.5f32, 1.0, 2.0]);
    NpyArray::write(place.path().join("indptr.npy"), &indptr, &[3])?;
    NpyArray::write(place.path().join("indices.npy"), &terms, &[3])?;
    NpyArray::write(place.path().join("data.npy"), &weights, &[3])?;

    // What a late-interaction encoder leaves: the rows of all documents, and how many each has.
    let rows: Vec<u8> = [1.0f32, 0.0, 0.6, 0.8, 0.0, 1.0].iter().flat_map(|x| pad(*x)).collect();
    let lengths: Vec<u8> = [2i64, 4].iter().flat_map(|n| n.to_le_bytes()).collect();
    let tensors = place.path().join("tokens.safetensors");
    serialize_to_file(
        [
            ("rows", TensorView::new(Dtype::F32, vec![6, 8], &rows)?),
            ("lengths", TensorView::new(Dtype::I64, vec![2], &lengths)?),
        ],
        None,
        &tensors,
    )?;

    let mut schema = Schema::builder();
    let sparse = schema.sparse("sparse");
    let tokens = schema.tokens("tokens", TokenOptions::new(8));
    let mut writer = IndexWriter::in_memory(schema.build()?)?;

    let open = |name: &str| NpyArray::open(place.path().join(name));
    let (indptr, terms, weights) = (open("indptr.npy")?, open("indices.npy")?, open("data.npy")?);
    let file = SafeTensorsFile::open(&tensors)?;
    let (rows, lengths) = (file.tensor("rows")?, file.tensor("lengths")?);
    let batch = Batch::new(["first", "second"])
        .sparse(&sparse, &SparseBatch::csr(indptr.ints()?, terms.ints()?, weights.floats()?))?
        .tokens(&tokens, &TokenBatch::flat(rows.floats()?, lengths.ints()?, 8))?;
    writer.add_batch(&batch)?;
    writer.commit()?;

    let index = writer.reader()?;
    let row = [0.0f32, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let query = Query::tokens(&tokens, TokenMatrix::new(&row, 8))?;
    for hit in &index.search(&query)? {
        println!("{} {:.2}", hit.key(), hit.score());
    }
    Ok(())
}

/// A unit row of eight components whose first is `x`, as bytes.
fn pad(x: f32) -> Vec<u8> {
    let row = [x, (1.0 - x * x).sqrt(), 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    row.iter().flat_map(|x| x.to_le_bytes()).collect()
}
