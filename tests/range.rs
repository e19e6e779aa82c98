//! Searches by range: every document that scores so much, and none that scores less.

use lateen::{Document, Index, IndexWriter, KeyKind, Query, Schema, SparseField, TokenMatrix};

fn index(path: &std::path::Path) -> (Index, SparseField, lateen::TokenField) {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let (terms, rows) = (schema.sparse("terms"), schema.tokens("rows", 8));
    let mut writer = IndexWriter::create(path, schema.build().unwrap()).unwrap();
    for part in 0..3u16 {
        for at in 0..2000u16 {
            let vector = [(1u32, f32::from(at % 500 + 1) / 4.0), (2, 1.0)];
            let mut row = [0.0; 8];
            row[usize::from(at / 2 % 8)] = 1.0;
            let key = u64::from(part) * 2000 + u64::from(at);
            let mut document = Document::new(key).sparse(&terms, &vector).unwrap();
            if at % 2 == 0 {
                document = document.tokens(&rows, TokenMatrix::new(&row, 8)).unwrap();
            }
            writer.add(&document).unwrap();
        }
        writer.commit().unwrap(); // a segment each
    }
    (Index::open(path).unwrap(), terms, rows)
}

#[test]
fn a_range_is_every_document_that_scores_so_much() {
    let place = tempfile::tempdir().unwrap();
    let (index, terms, rows) = index(&place.path().join("index"));
    let query = || Query::sparse(&terms, &[(1u32, 2.0f32)]).unwrap().top(10_000);
    // Scores are 0.5, 1.0, … 250, each of 12 documents.
    for (least, count) in [
        (f32::NEG_INFINITY, 6000),
        (0.0, 6000),
        (0.6, 5988),
        (100.0, 301 * 12),
        (250.0, 12),
        (250.1, 0),
    ] {
        let hits = index.search(&query().at_least(least)).unwrap();
        assert_eq!(hits.len(), count, "{least}");
        assert!(hits.certified() && hits.into_iter().all(|hit| hit.score() >= least));
    }
    let few = index.search(&query().at_least(100.0).top(7)).unwrap();
    assert!(few.len() == 7 && few.into_iter().all(|hit| hit.score() == 250.0));
    assert!(index.search(&query().at_least(f32::NAN)).is_err());
    // With a second stage its scores count, and what lacks the field has none.
    let mut row = [0.0; 8];
    row[0] = 1.0;
    let ranked =
        query().candidates(6000).rerank(&rows, TokenMatrix::new(&row, 8)).unwrap().candidates(6000);
    assert_eq!(index.search(&ranked).unwrap().len(), 6000);
    let hits = index.search(&ranked.at_least(0.5)).unwrap();
    assert_eq!(hits.len(), 375);
    assert!(hits.into_iter().all(|hit| hit.score() > 0.9));
}
