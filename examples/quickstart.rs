//! The main job on real data: 400 Wikipedia leads with their sparse and token vectors become an
//! index; it is committed, opened again through its map, and searched in three ways.
//!
//! `cargo run --release --example quickstart`

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use lateen::readers::NpyArray;
use lateen::{
    Batch, Hits, Index, IndexWriter, Query, Schema, SparseBatch, SparseVector, TokenBatch,
    TokenMatrix,
};
use serde_json::Value;

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini");
    let array = |name: &str| NpyArray::open(set.join(name));
    let place = tempfile::tempdir()?;
    let path = place.path().join("wiki.index");

    // 1. A schema: a field of learned sparse vectors and one of token matrices.
    let mut schema = Schema::builder();
    let sparse = schema.sparse("sparse");
    let tokens = schema.tokens("tokens", 128);
    let mut writer = IndexWriter::create(&path, schema.build()?)?;

    // 2. The documents, as their producers left them: arrays in files, handed in without a copy.
    let texts = lines(&set.join("texts.jsonl"))?;
    let keys: Vec<&str> = texts.iter().map(|text| field(text, "id")).collect();
    let bodies: Vec<&str> = texts.iter().map(|text| field(text, "text")).collect();
    let (indptr, terms, weights) = (
        array("sparse_docs_indptr.npy")?,
        array("sparse_docs_indices.npy")?,
        array("sparse_docs_values.npy")?,
    );
    let (rows, lengths) = (array("tok_docs.npy")?, array("tok_doclens.npy")?);
    let offsets = array("tok_doc_offsets.npy")?;
    let spans = offsets.pairs()?;
    let batch = Batch::new(keys.iter().copied())
        .sparse(&sparse, &SparseBatch::csr(indptr.ints()?, terms.ints()?, weights.floats()?))?
        .tokens(&tokens, &TokenBatch::flat(rows.floats()?, lengths.ints()?, 128).spans(&spans))?
        .payloads(&bodies)?;
    let start = Instant::now();
    writer.add_batch(&batch)?;
    writer.commit()?; // durable, then visible
    println!("built   {} documents in {:.1?}", keys.len(), start.elapsed());
    drop(writer);

    // 3. Open it: the file is mapped, nothing is read yet.
    let start = Instant::now();
    let index = Index::open(&path)?;
    println!("opened  {} documents in {:.1?}\n", index.len(), start.elapsed());

    // 4. A query, by its two vectors.
    let number = 20;
    let queries = lines(&set.join("queries.jsonl"))?;
    let (q_indptr, q_terms, q_weights) = (
        array("sparse_queries_indptr.npy")?,
        array("sparse_queries_indices.npy")?,
        array("sparse_queries_values.npy")?,
    );
    let (q_rows, q_lengths) = (array("tok_queries.npy")?, array("tok_querylens.npy")?);
    let entries = q_indptr.usizes()?[number]..q_indptr.usizes()?[number + 1];
    let q_terms = q_terms.ints()?.slice(entries.clone()).ok_or("a short file")?;
    let q_weights = q_weights.floats()?.slice(entries).ok_or("a short file")?;
    let first: usize = q_lengths.usizes()?[..number].iter().sum();
    let values = first * 128..(first + q_lengths.usizes()?[number]) * 128;
    let q_rows = q_rows.floats()?.slice(values).ok_or("a short file")?;
    println!("query   {:?}\n", field(&queries[number], "text"));

    // 5. Three ways to ask.
    let vector = SparseVector::new(q_terms, q_weights);
    let matrix = TokenMatrix::new(q_rows, 128);
    let by_terms = Query::sparse(&sparse, vector)?.top(3);
    let by_tokens = Query::tokens(&tokens, matrix)?.top(3);
    let both = Query::sparse(&sparse, vector)?.rerank(&tokens, matrix)?.candidates(50).top(3);
    for (name, query) in [
        ("sparse: the largest dot product", by_terms),
        ("late interaction: the largest MaxSim", by_tokens),
        ("both: 50 candidates by terms, ordered by MaxSim", both),
    ] {
        let start = Instant::now();
        let hits = index.search(&query)?;
        println!("{name} ({:.0?}, certified: {})", start.elapsed(), hits.certified());
        show(&index, &query, &hits)?;
    }
    Ok(())
}

/// Prints each hit with the words of it that met the query best.
fn show(index: &Index, query: &Query, hits: &Hits) -> Result<(), Box<dyn Error>> {
    for hit in hits {
        let text = String::from_utf8(hit.payload()?.unwrap_or_default())?;
        let title = text.split_inclusive([',', '.', '(']).next().unwrap_or_default();
        println!("  {:7.3}  {:<28} {}", hit.score(), hit.key(), title);
        let mut met = index.explain(query, hit)?.tokens;
        met.sort_by(|a, b| b.score.total_cmp(&a.score));
        let words: Vec<String> = met
            .iter()
            .take(4)
            .filter_map(|part| {
                part.span.map(|(start, end)| (start as usize..end as usize, part.score))
            })
            .filter_map(|(span, score)| text.get(span).map(|word| format!("{word} {score:.2}")))
            .collect();
        if !words.is_empty() {
            println!("           best-matching words: {}", words.join(", "));
        }
    }
    println!();
    Ok(())
}

fn lines(path: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    Ok(std::fs::read_to_string(path)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?)
}

fn field<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}
