use lateen::{Document, Error, Index, IndexWriter, Query, Schema, Vocabulary};

#[test]
fn a_vocabulary_lives_with_its_index() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut schema = Schema::builder();
    let (a, b) = (schema.sparse("a"), schema.sparse("b"));
    let schema = schema.build().unwrap();
    let mut writer = IndexWriter::create(&path, schema).unwrap();
    assert!(writer.reader().unwrap().vocabulary(&a).unwrap().is_none());

    let words: Vec<(String, u32, f32)> =
        (0..3000u32).map(|at| (format!("##{at}"), at * 2, 1.0 + at as f32)).collect();
    let first = Vocabulary::weighted(words).unwrap();
    writer.set_vocabulary(&a, &first).unwrap();
    writer.commit().unwrap();
    let vector = [(4u32, 1.5f32)];
    writer.add(&Document::new("x").sparse(&a, &vector).unwrap()).unwrap();
    writer.commit().unwrap(); // another generation, the same words
    let index = Index::open(&path).unwrap();
    index.verify().unwrap();
    assert_eq!(index.vocabulary(&a).unwrap().as_ref(), Some(&first));
    assert!(index.vocabulary(&b).unwrap().is_none());

    // Packed, and opened from bytes.
    let packed = place.path().join("packed");
    index.pack(&packed).unwrap();
    let bytes = std::fs::read(&packed).unwrap();
    let index = Index::options().from_bytes(&bytes).unwrap();
    index.verify().unwrap();
    let held = index.vocabulary(&a).unwrap().unwrap();
    let mut query = Vec::new();
    assert_eq!(held.query(["##2", "soap"], &mut query), 1);
    assert_eq!(index.search(&Query::sparse(&a, &query).unwrap()).unwrap()[0].score(), 4.5);

    // Rolled back, replaced, and after a reopening still there.
    let second = Vocabulary::new([("one", 1)]).unwrap();
    writer.set_vocabulary(&a, &second).unwrap();
    writer.rollback().unwrap();
    assert_eq!(writer.snapshot().vocabulary(&a).unwrap(), Some(first));
    writer.set_vocabulary(&a, &second).unwrap();
    writer.set_vocabulary(&b, &second).unwrap();
    writer.commit().unwrap();
    drop(writer);
    let mut writer = IndexWriter::open(&path).unwrap();
    writer.delete("x").unwrap();
    writer.commit().unwrap();
    for field in [&a, &b] {
        assert_eq!(writer.snapshot().vocabulary(field).unwrap().as_ref(), Some(&second));
    }
    let mut other = Schema::builder();
    let stranger = other.sparse("stranger");
    assert!(matches!(writer.set_vocabulary(&stranger, &second), Err(Error::Schema(_))));
}

#[test]
fn a_query_by_words_allocates_nothing() {
    let words = (0..30_522u32).map(|at| (format!("word{at}"), at, 2.0));
    let vocabulary = Vocabulary::weighted(words).unwrap();
    let asked: Vec<String> = (0..20).map(|at| format!("word{}", at * 1001)).collect();
    let mut vector = Vec::new();
    vocabulary.query(asked.iter().map(String::as_str), &mut vector); // makes room
    let count = allocation_counter::measure(|| {
        vocabulary.query(asked.iter().map(String::as_str), &mut vector);
    });
    assert_eq!((count.count_total, vector.len()), (0, 20));
}
