//! The main job on real data: 400 Wikipedia leads with their sparse and token vectors become an
//! index; it is committed, opened again through its map, and searched in three ways.
//!
//! `cargo run --release --example quickstart`

use std::path::Path;
use std::time::Instant;

use lateen::readers::NpyArray;
use lateen::{Batch, Index, IndexWriter, Query, Schema, SparseBatch, SparseVector};
use lateen::{TokenBatch, TokenMatrix};

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini");
    let array = |name: &str| NpyArray::open(set.join(format!("{name}.npy")));
    let lines = |name: &str| -> Result<Vec<serde_json::Value>, Box<dyn std::error::Error>> {
        let text = std::fs::read_to_string(set.join(name))?;
        Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
    };
    let place = tempfile::tempdir()?;

    // 1. A schema: a field of learned sparse vectors and one of token matrices.
    let mut schema = Schema::builder();
    let (sparse, tokens) = (schema.sparse("sparse"), schema.tokens("tokens", 128));
    let path = place.path().join("wiki.index");
    let mut writer = IndexWriter::create(&path, schema.build()?)?;

    // 2. The documents, as their producers left them: arrays in files, handed in without a copy.
    let texts = lines("texts.jsonl")?;
    let keys = texts.iter().filter_map(|text| text["id"].as_str());
    let bodies: Vec<&str> = texts.iter().filter_map(|text| text["text"].as_str()).collect();
    let (ends, weights) = (array("sparse_docs_indptr")?, array("sparse_docs_values")?);
    let terms = array("sparse_docs_indices")?;
    let (rows, lengths) = (array("tok_docs")?, array("tok_doclens")?);
    let spans = array("tok_doc_offsets")?.pairs()?;
    let batch = Batch::new(keys)
        .sparse(&sparse, &SparseBatch::csr(ends.ints()?, terms.ints()?, weights.floats()?))?
        .tokens(&tokens, &TokenBatch::flat(rows.floats()?, lengths.ints()?, 128).spans(&spans))?
        .payloads(&bodies)?;
    let start = Instant::now();
    writer.add_batch(&batch)?;
    writer.commit()?; // durable, then visible
    println!("built   {} documents in {:.1?}", batch.len(), start.elapsed());

    // 3. Open it: the file is mapped, nothing is read yet.
    let index = Index::open(&path)?;
    println!("opened  {} documents", index.len());

    // 4. A query, by its two vectors.
    let number = 20;
    let (ends, lengths) = (array("sparse_queries_indptr")?, array("tok_querylens")?);
    let (terms, weights) = (array("sparse_queries_indices")?, array("sparse_queries_values")?);
    let rows = array("tok_queries")?;
    let entries = ends.usizes()?[number]..ends.usizes()?[number + 1];
    let first = lengths.usizes()?[..number].iter().sum::<usize>() * 128;
    let last = first + lengths.usizes()?[number] * 128;
    let weights = weights.floats()?.slice(entries.clone()).ok_or("a short file")?;
    let vector = SparseVector::new(terms.ints()?.slice(entries).ok_or("a short file")?, weights);
    let matrix = TokenMatrix::new(rows.floats()?.slice(first..last).ok_or("a short file")?, 128);
    println!("query   {}", lines("queries.jsonl")?[number]["text"]);
    // 5. Three ways to ask.
    let by_terms = Query::sparse(&sparse, vector)?.top(3);
    let by_tokens = Query::tokens(&tokens, matrix)?.top(3);
    let both = by_terms.clone().rerank(&tokens, matrix)?.candidates(50);
    for (name, query) in [("terms", by_terms), ("late interaction", by_tokens), ("both", both)] {
        let start = Instant::now();
        let hits = index.search(&query)?;
        println!("{name} ({:.0?}, certified: {})", start.elapsed(), hits.certified());
        for hit in &hits {
            let text = String::from_utf8(hit.payload()?.unwrap_or_default())?;
            let mut met = index.explain(&query, hit)?.highlights(); // the words that met the query
            met.sort_by(|a, b| b.score.total_cmp(&a.score));
            let bytes = met.iter().map(|met| met.bytes.start as usize..met.bytes.end as usize);
            let words: Vec<&str> = bytes.take(4).filter_map(|bytes| text.get(bytes)).collect();
            println!("  {:7.3}  {:<28} {}", hit.score(), hit.key(), words.join(", "));
        }
    }
    Ok(())
}
