//! Keys, attributes, payloads, and what spans a document or a batch; then that a refusal leaves
//! nothing behind.

use lateen::{
    Batch, Document, Error, Fault, Index, IndexWriter, Key, KeyKind, Query, SchemaError,
    SparseBatch, TokenMatrix,
};

use super::{Fields, counts, fields, good, refused, rows};

const NONE: super::Place = (None, None);

fn writer(fields: &Fields) -> IndexWriter {
    IndexWriter::in_memory(fields.schema.clone()).unwrap()
}

fn too_many(what: &'static str, found: u64, limit: u64) -> Fault {
    Fault::TooMany { what, found, limit }
}

#[test]
fn keys() {
    let of_text = fields(KeyKind::Str);
    let mut writer_of_text = writer(&of_text);
    let longest = "k".repeat(512);
    let long = "k".repeat(513);
    assert!(writer_of_text.add(&good(&longest, &of_text)).is_ok());
    let result = writer_of_text.add(&good(&long, &of_text));
    refused(result, "key", NONE, too_many("bytes", 513, 512));
    let empty = Fault::Empty { what: "a key of no bytes" };
    refused(writer_of_text.add(&good("", &of_text)), "key", NONE, empty);
    let number = Document::new(5u64).sparse(&of_text.sparse, &[(1u32, 1.0f32)]).unwrap();
    let kind = Fault::KeyKind { key: "5".into(), expected: "a string" };
    refused(writer_of_text.upsert(&number), "key", NONE, kind);

    let of_numbers = fields(KeyKind::U64);
    let kind = Fault::KeyKind { key: "five".into(), expected: "a number" };
    let result = writer(&of_numbers).add(&good("five", &of_numbers));
    refused(result, "key", NONE, kind.clone());
    let list = [vec![(1u32, 1.0f32)], vec![(2, 1.0)]];
    let batch = Batch::new([Key::from(1u64), Key::from("five")])
        .sparse(&of_numbers.sparse, &SparseBatch::pairs(&list))
        .unwrap();
    refused(writer(&of_numbers).add_batch(&batch), "key", (Some(1), None), kind);
}

#[test]
fn attributes() {
    let fields = fields(KeyKind::Str);
    let document = || Document::new("a");
    let nan = || Fault::NotFinite { value: f64::NAN };
    refused(document().f64(&fields.price, f64::NAN), "price", NONE, nan());
    assert!(document().f64(&fields.price, f64::INFINITY).is_ok());
    let twice = document().i64(&fields.year, 1).unwrap().i64(&fields.year, 1);
    refused(twice, "year", NONE, Fault::Twice);
    let twice = document().u64(&fields.size, 1).unwrap().u64(&fields.size, 2);
    refused(twice, "size", NONE, Fault::Twice);
    let twice = document().f64(&fields.price, 1.0).unwrap().f64(&fields.price, 2.0);
    refused(twice, "price", NONE, Fault::Twice);
    let twice = document().bool(&fields.open, true).unwrap().bool(&fields.open, true);
    refused(twice, "open", NONE, Fault::Twice);
    let long = "v".repeat(4097);
    let result = document().keyword(&fields.lang, &long[..4096]).unwrap();
    refused(result.keyword(&fields.lang, &*long), "lang", NONE, too_many("bytes", 4097, 4096));
    let mut full = document();
    for _ in 0..1024 {
        full = full.keyword(&fields.lang, "en").unwrap();
    }
    refused(full.keyword(&fields.lang, "en"), "lang", NONE, too_many("values", 1025, 1024));
}

#[test]
fn columns_of_attributes() {
    let fields = fields(KeyKind::Str);
    let batch = || Batch::new(["a", "b"]);
    let beside = || counts("rows beside the keys", 1, 2);
    refused(batch().i64(&fields.year, &[Some(1)]), "year", NONE, beside());
    refused(batch().u64(&fields.size, &[None]), "size", NONE, beside());
    refused(batch().bool(&fields.open, &[None]), "open", NONE, beside());
    refused(batch().f64(&fields.price, &[None]), "price", NONE, beside());
    refused(batch().payloads(&[b"p"]), "payload", NONE, beside());
    let words: [Vec<String>; 1] = [vec![]];
    refused(batch().keywords(&fields.lang, &words), "lang", NONE, beside());
    let nan = Fault::NotFinite { value: f64::NAN };
    let prices = [None, Some(f64::NAN)];
    refused(batch().f64(&fields.price, &prices), "price", (Some(1), None), nan);
    let words = [vec![], vec!["v".repeat(4097)]];
    let long = too_many("bytes", 4097, 4096);
    refused(batch().keywords(&fields.lang, &words), "lang", (Some(1), None), long);
    let words = [vec!["en"; 1025], vec![]];
    let many = too_many("values", 1025, 1024);
    refused(batch().keywords(&fields.lang, &words), "lang", (Some(0), None), many);
    let payloads = [vec![0u8; 3], vec![0; (16 << 20) + 1]];
    let long = too_many("bytes", (16 << 20) + 1, 16 << 20);
    refused(batch().payloads(&payloads), "payload", (Some(1), None), long);
    let once = batch().payloads(&[b"a", b"b"]).unwrap();
    refused(once.payloads(&[b"a", b"b"]), "payload", NONE, Fault::Twice);
}

#[test]
fn whole_documents() {
    let fields = fields(KeyKind::Str);
    let mut writer = writer(&fields);
    let empty = || Fault::Empty { what: "a document without a vector" };
    refused(writer.add(&Document::new("a")), "document", NONE, empty());
    // Nothing but zeros, and a matrix without rows.
    let zeros = Document::new("a").sparse(&fields.sparse, &[(1u32, 0.0f32)]).unwrap();
    let none: [f32; 0] = [];
    let zeros = zeros.tokens(&fields.checked, TokenMatrix::new(&none, 8)).unwrap();
    refused(writer.upsert(&zeros), "document", NONE, empty());
    let payload = vec![7u8; (16 << 20) + 1];
    let result = writer.add(&good("a", &fields).payload(&payload[1..]));
    assert!(result.is_ok(), "16 MiB are allowed");
    let result = writer.add(&good("b", &fields).payload(payload.as_slice()));
    refused(result, "payload", NONE, too_many("bytes", (16 << 20) + 1, 16 << 20));
    assert_eq!(writer.len(), 1);
}

#[test]
fn whole_batches() {
    let fields = fields(KeyKind::Str);
    let mut writer = writer(&fields);
    let list = [vec![(1u32, 1.0f32)], vec![(2, 0.0)], vec![(3, 1.0)]];
    let form = SparseBatch::pairs(&list);
    let empty = Fault::Empty { what: "a document without a vector" };
    let batch = Batch::new(["a", "b", "c"]).sparse(&fields.sparse, &form).unwrap();
    refused(writer.add_batch(&batch), "document", (Some(1), None), empty.clone());
    refused(writer.add_batch(&Batch::new(["a"])), "document", (Some(0), None), empty);
    let list = [vec![(1u32, 1.0f32)], vec![(2, 1.0)], vec![(3, 1.0)]];
    let form = SparseBatch::pairs(&list);
    let twice = Batch::new(["a", "b", "a"]).sparse(&fields.sparse, &form).unwrap();
    refused(writer.upsert_batch(&twice), "key", (Some(2), None), Fault::Twice);
    let years = [None, Some(1), Some(2)];
    let twice = Batch::new(["a", "b", "c"]).sparse(&fields.sparse, &form).unwrap();
    let twice = twice.i64(&fields.year, &years).unwrap().i64(&fields.year, &years).unwrap();
    refused(writer.add_batch(&twice), "year", (Some(1), None), Fault::Twice);
    assert!(writer.is_empty());
}

/// Whatever is refused, by whichever call: the writer and the next commit are as if it had not
/// been handed in.
#[test]
fn a_refusal_leaves_nothing_behind() {
    let fields = fields(KeyKind::Str);
    let mut other = lateen::Schema::builder();
    other.tokens("another", 8); // so that its fields stand elsewhere
    let foreign = other.sparse("splade");
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
    writer.add(&good("kept", &fields)).unwrap();
    let zeros = writer.zeros_dropped();

    let values = rows(1);
    let bad = |key: &str| {
        Document::new(key)
            .sparse(&fields.sparse, &[(40u32, 1.0f32), (41, 0.0)])
            .unwrap()
            .tokens(&fields.checked, TokenMatrix::new(&values, 8))
            .unwrap()
            .keyword(&fields.lang, "bad")
            .unwrap()
    };
    let duplicate = |result: Result<lateen::Change, Error>| match result {
        Err(Error::DuplicateKey { key, .. }) => assert_eq!(key, Key::from("kept")),
        other => panic!("{other:?}"),
    };
    let is_foreign = |result: Result<lateen::Change, Error>| match result {
        Err(Error::Schema(SchemaError::Foreign { name, .. })) => assert_eq!(name, "splade"),
        other => panic!("{other:?}"),
    };
    duplicate(writer.add(&bad("kept")));
    is_foreign(writer.add(&bad("new").sparse(&foreign, &[(42u32, 1.0f32)]).unwrap()));
    is_foreign(writer.upsert(&bad("kept").sparse(&foreign, &[(42u32, 1.0f32)]).unwrap()));
    assert!(writer.add(&bad(&"k".repeat(600))).is_err());
    assert!(writer.upsert(&bad("kept").payload(vec![0; 17 << 20])).is_err());

    let list = [vec![(40u32, 1.0f32), (41, 0.0)], vec![(43, 1.0)]];
    let form = SparseBatch::pairs(&list);
    let batch = |keys: [&str; 2]| Batch::new(keys).sparse(&fields.sparse, &form).unwrap();
    duplicate(writer.add_batch(&batch(["new", "kept"])));
    assert!(writer.upsert_batch(&batch(["kept", "kept"])).is_err());
    assert!(writer.upsert_batch(&batch(["kept", ""])).is_err());
    is_foreign(writer.upsert_batch(&batch(["kept", "new"]).sparse(&foreign, &form).unwrap()));

    assert_eq!((writer.len(), writer.zeros_dropped()), (1, zeros));
    assert!(!writer.contains("new").unwrap());
    // The writer goes on, and counts on from the one change there was.
    assert_eq!(writer.add(&good("next", &fields)).unwrap().sequence, 2);
    writer.commit().unwrap();
    duplicate(writer.add(&bad("kept")));
    assert_eq!(writer.commit().unwrap(), writer.commit().unwrap(), "nothing has changed");

    let index = Index::open(&path).unwrap();
    index.verify().unwrap();
    let keys: Vec<Key> =
        index.snapshot().documents().map(|document| document.unwrap().key().clone()).collect();
    assert_eq!(keys, [Key::from("kept"), Key::from("next")]);
    let kept = index.get("kept").unwrap().unwrap();
    assert_eq!(kept.sparse(&fields.sparse).unwrap().unwrap(), [(7, 1.0)]);
    assert_eq!(kept.tokens(&fields.checked).unwrap(), None);
    assert_eq!(kept.payload().unwrap(), None);
    let terms: Vec<(u32, f32)> = (40..44).map(|term| (term, 1.0)).collect();
    let query = Query::sparse(&fields.sparse, &terms).unwrap().exact();
    assert!(index.search(&query).unwrap().is_empty());
    let query = Query::tokens(&fields.checked, TokenMatrix::new(&values, 8)).unwrap().exact();
    assert!(index.search(&query).unwrap().is_empty());
    let query = Query::sparse(&fields.sparse, &[(7, 1.0)]).unwrap().exact();
    assert!(index.search(&query.filter(fields.lang.exists())).unwrap().is_empty());
}
