//! Hybrid search: two searches of one document space, three ways to make them one answer, and why
//! a document is where it is.
//!
//! `cargo run --release --example hybrid`

use lateen::{Document, Fusion, IndexWriter, Query, Schema, TokenMatrix, Vocabulary};

/// A model of two components, padded: what a text is about, and how it says so.
fn rows(pairs: &[[f32; 2]]) -> Vec<f32> {
    pairs.iter().flat_map(|&[a, b]| [a, b, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]).collect()
}

pub(crate) fn main() -> Result<(), lateen::Error> {
    let mut schema = Schema::builder();
    let splade = schema.sparse("splade");
    let colbert = schema.tokens("colbert", 8);
    let kind = schema.keyword("kind");
    let mut writer = IndexWriter::in_memory(schema.build()?)?;

    // The words of the sparse model: queries need no model then.
    let words = Vocabulary::weighted([("fat", 1, 1.0), ("lipid", 2, 3.0), ("soap", 3, 2.0)])?;
    writer.set_vocabulary(&splade, &words)?;
    for (key, says, terms, means) in [
        ("lipid", "article", [(1u32, 0.5f32), (2, 2.0)], rows(&[[0.6, 0.8], [0.8, 0.6]])),
        ("soap", "article", [(1, 0.7), (3, 2.5)], rows(&[[0.0, 1.0], [0.6, 0.8]])),
        ("butter", "recipe", [(1, 2.0), (3, 0.1)], rows(&[[1.0, 0.0], [0.6, 0.8]])),
    ] {
        let document = Document::new(key).sparse(&splade, &terms)?.keyword(&kind, says)?;
        writer.add(&document.tokens(&colbert, TokenMatrix::new(&means, 8))?)?;
    }
    writer.commit()?;
    let index = writer.reader()?;

    let mut terms = Vec::new();
    if let Some(vocabulary) = index.vocabulary(&splade)? {
        vocabulary.query(["fat", "lipid"], &mut terms);
    }
    let means = rows(&[[1.0, 0.0], [0.6, 0.8]]);
    let matrix = TokenMatrix::new(&means, 8);
    let parts = || -> Result<[Query; 2], lateen::Error> {
        Ok([Query::sparse(&splade, &terms)?, Query::tokens(&colbert, matrix)?])
    };
    for (name, query) in [
        ("candidates of both, MaxSim decides", Query::union(parts()?, &colbert, matrix)?),
        ("reciprocal rank", Query::fused(Fusion::default(), parts()?)?),
        ("weighted", Query::fused(Fusion::Weighted(vec![0.3, 0.7]), parts()?)?),
    ] {
        println!("{name}");
        let query = query.filter(kind.any_of(["article", "recipe"])).top(3);
        for hit in &index.search(&query)? {
            let told = index.explain(&query, hit)?;
            let ranks: Vec<_> = told.parts.iter().map(|part| part.rank).collect();
            println!("  {:6.3}  {:<7} ranks {ranks:?}", hit.score(), hit.key());
        }
    }
    for facet in index.facets(None, &kind, 10)? {
        println!("{} {}", facet.count, facet.value);
    }
    Ok(())
}
