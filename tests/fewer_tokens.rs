//! Fewer components and fewer rows, on real vectors: truncated queries and reduced documents are
//! scored as a slow account of them says, and what cannot be is refused.

#[path = "naive/set.rs"]
mod set;

use half::f16;
use lateen::{
    Batch, Document, Error, Fault, Feedback, Index, IndexWriter, KeyKind, Normalization, Query,
    Reranker, Rows, Schema, TokenBatch, TokenCodec, TokenField, TokenMatrix, TokenOptions,
    TokenReduction, maxsim,
};
use set::{Ragged, Set, committed};

const DIM: usize = 128;

fn floats(rows: &[f16]) -> Vec<f32> {
    rows.iter().map(|x| x.to_f32()).collect()
}

/// The sum of the largest dot products, in 64 bits, of rows with their first `dim` components.
fn naive(query: &[f32], document: &[f32], dim: usize) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).take(dim).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    let largest = |q: &[f32]| document.chunks(DIM).map(|d| dot(q, d)).fold(f64::MIN, f64::max);
    query.chunks(DIM).map(largest).sum()
}

/// A query cut to `dim`, its rows scaled to length 1 again.
fn cut(query: &[f32], dim: usize) -> Vec<f32> {
    let mut query = query.to_vec();
    for row in query.chunks_mut(DIM) {
        row[dim..].fill(0.0);
        let length: f32 = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in row {
            *x /= length;
        }
    }
    query
}

fn index(
    matrices: &[TokenMatrix<'_>],
    codec: TokenCodec,
) -> (tempfile::TempDir, Index, TokenField) {
    let place = tempfile::tempdir().unwrap();
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let field = schema.tokens("t", TokenOptions::new(DIM).codec(codec));
    let path = place.path().join("index");
    let mut writer = IndexWriter::create(&path, schema.build().unwrap()).unwrap();
    let batch = Batch::new(0..matrices.len() as u64);
    writer.add_batch(&batch.tokens(&field, &TokenBatch::matrices(matrices)).unwrap()).unwrap();
    writer.commit().unwrap();
    drop(writer);
    let index = Index::open(&path).unwrap();
    (place, index, field)
}

fn tokens() -> (Ragged, Ragged) {
    Set::open(&committed()).tokens.unwrap()
}

fn all(rows: &Ragged) -> Vec<TokenMatrix<'_>> {
    (0..rows.len()).map(|at| rows.matrix(at)).collect()
}

#[test]
fn truncated_queries_find_what_the_account_says() {
    let (documents, queries) = tokens();
    let (_place, index, field) = index(&all(&documents), TokenCodec::F16);
    let rows: Vec<Vec<f32>> =
        (0..documents.len()).map(|at| floats(documents.halves(at..at + 1))).collect();
    for dim in [8, 40, 64, 128] {
        for at in 0..10 {
            let matrix = queries.matrix(at).truncated_to(dim);
            let query = floats(queries.halves(at..at + 1));
            let query = if dim < DIM { cut(&query, dim) } else { query };
            let mut truth: Vec<f64> = rows.iter().map(|rows| naive(&query, rows, dim)).collect();
            let asked = Query::tokens(&field, matrix).unwrap().exact();
            let hits = index.search(&asked).unwrap();
            for hit in &hits {
                let score = truth[hit.key().as_u64().unwrap() as usize];
                assert!((f64::from(hit.score()) - score).abs() < 1e-3, "{dim}, query {at}");
            }
            truth.sort_by(|a, b| b.total_cmp(a));
            for (hit, score) in hits.iter().zip(&truth) {
                assert!((f64::from(hit.score()) - score).abs() < 1e-3, "{dim}, query {at}");
            }
            assert_eq!(hits.len(), 10);
            // A rerank gives a document the same score, and an explanation adds up to it.
            let reranked = index.search(&asked.clone().rerank(&field, matrix).unwrap()).unwrap();
            for (a, b) in hits.iter().zip(&reranked) {
                assert_eq!((a.key(), a.score()), (b.key(), b.score()));
            }
            let best = hits.iter().next().unwrap();
            let told = index.snapshot().explain(&asked, best).unwrap();
            assert_eq!(told.tokens.iter().map(|part| part.score).sum::<f32>(), best.score());
            // Feedback widens it by rows as long as its own.
            let wide = asked.clone().feedback(Feedback::default());
            assert_eq!(index.search(&wide).unwrap().len(), 10);
        }
    }
}

#[test]
fn matrices_in_no_index_are_truncated_alike() {
    let (documents, queries) = tokens();
    let query = floats(queries.halves(0..1));
    for dim in [16, 64] {
        let mut reranker = Reranker::new(queries.matrix(0).truncated_to(dim)).unwrap();
        for at in 0..20 {
            let score = reranker.score(documents.matrix(at).truncated_to(dim)).unwrap();
            let expected = naive(&query, &floats(documents.halves(at..at + 1)), dim);
            assert!((f64::from(score) - expected).abs() < 1e-3, "as they are, not scaled");
        }
        let whole = reranker.score(documents.matrix(0));
        let found = Fault::Dimension { found: 128, expected: dim as u64 };
        assert!(matches!(whole, Err(Error::Input(error)) if error.what == found));
    }
    assert!(maxsim(queries.matrix(0).truncated_to(64), documents.matrix(0)).is_err());
}

#[test]
fn truncation_is_asked_for_and_checked() {
    let mut schema = Schema::builder();
    let field = schema.tokens("t", TokenOptions::new(16));
    let lengths = schema.tokens("n", TokenOptions::new(16).normalization(Normalization::Normalize));
    let mut rows = vec![0.0f32; 32];
    (rows[0], rows[31]) = (1.0, 1.0);
    let fault = |result: Result<Query, Error>| match result.map(drop) {
        Err(Error::Input(error)) => error.what,
        other => panic!("{other:?}"),
    };
    let range = |of: usize| format!("a multiple of 8, 8 to {of}, which the rows have");
    let parameter =
        |value: &str, of| Fault::Parameter { value: value.to_owned(), range: range(of) };
    // Smaller, but not said to be.
    let smaller = TokenMatrix::new(&rows[..8], 8);
    assert_eq!(fault(Query::tokens(&field, smaller)), Fault::Dimension { found: 8, expected: 16 });
    assert!(Query::tokens(&field, smaller.truncated_to(8)).is_ok());
    for (dim, cut) in [(16, 0), (16, 12), (16, 24), (8, 16)] {
        let matrix = TokenMatrix::new(&rows[..16], dim).truncated_to(cut);
        assert_eq!(fault(Query::tokens(&field, matrix)), parameter(&cut.to_string(), dim));
    }
    let wider = TokenMatrix::new(&rows, 32).truncated_to(24);
    assert_eq!(fault(Query::tokens(&lengths, wider)), Fault::Dimension { found: 24, expected: 16 });
    // The second row has nothing among its first eight components.
    for field in [&field, &lengths] {
        let matrix = TokenMatrix::new(&rows, 16).truncated_to(8);
        assert_eq!(fault(Query::tokens(field, matrix)), Fault::ZeroRow);
    }
    // A document must come out as wide as the field.
    let document = |cut| {
        Document::new("a").tokens(&lengths, TokenMatrix::new(&rows[..32], 32).truncated_to(cut))
    };
    assert!(document(16).is_ok());
    assert!(document(8).is_err());
    let codes = [1i8; 16];
    let scales = [0.25f32];
    let int8 = TokenMatrix::new(Rows::I8 { codes: &codes, scales: &scales }, 16).truncated_to(8);
    assert!(Query::tokens(&field, int8).is_ok());
}

#[test]
fn reduced_documents_are_scored_by_what_is_kept() {
    let (documents, queries) = tokens();
    let whole: u64 =
        (0..documents.len()).map(|at| (documents.halves(at..at + 1).len() / DIM) as u64).sum();
    let reduction = TokenReduction::new().pool(2);
    let reduced = reduction.reduce_batch(&TokenBatch::matrices(&all(&documents)), None).unwrap();
    let kept: usize = reduced.iter().map(lateen::ReducedTokens::len).sum();
    assert!((0.5..0.52).contains(&(kept as f64 / whole as f64)), "{kept} of {whole}");
    let matrices: Vec<TokenMatrix<'_>> =
        reduced.iter().map(lateen::ReducedTokens::matrix).collect();
    let (_place, index, field) = index(&matrices, TokenCodec::Int8);
    let (_other, full, _) = self::index(&all(&documents), TokenCodec::Int8);
    let mut same = 0;
    for at in 0..queries.len() {
        let query = Query::tokens(&field, queries.matrix(at)).unwrap().exact();
        let hits = index.search(&query).unwrap();
        for hit in &hits {
            let rows = matrices[hit.key().as_u64().unwrap() as usize];
            let score = maxsim(queries.matrix(at), rows).unwrap();
            assert!((hit.score() - score).abs() < 0.02 * score.abs(), "{} {score}", hit.score());
        }
        let whole = full.search(&query).unwrap();
        same +=
            hits.iter().filter(|hit| whole.iter().any(|other| other.key() == hit.key())).count();
    }
    // Half of the rows say most of it.
    assert!(same * 10 >= queries.len() * 10 * 7, "{same} of {}", queries.len() * 10);
}

#[test]
fn the_longest_query_is_answered() {
    let (documents, _) = tokens();
    let (_place, index, field) = index(&all(&documents)[..5], TokenCodec::Int8);
    let rows: Vec<f32> = floats(&documents.halves(0..documents.len())[..10_000 * DIM]);
    let query = Query::tokens(&field, TokenMatrix::new(&rows, DIM)).unwrap();
    let hits = index.search(&query).unwrap();
    assert_eq!(hits.len(), 5);
    let best = hits.iter().next().unwrap();
    let at = best.key().as_u64().unwrap() as usize;
    let expected = naive(&rows, &floats(documents.halves(at..at + 1)), DIM);
    assert!((f64::from(best.score()) / expected - 1.0).abs() < 0.02);
}
