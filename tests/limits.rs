//! Each limit at its edge: as many as it says are taken, one more is refused by name, with the
//! number found and the limit; and a limit beyond what the format has room for counts as that.

use lateen::limits::{self, Limits};
use lateen::{
    Batch, Collapse, Diversify, Document, Error, Feedback, Filter, Fusion, Index, IndexWriter,
    Merges, Query, Schema, SparseBatch, SparseField, TokenBatch, TokenField, TokenMatrix,
    TokenOptions, Update, WriterOptions,
};

const DIM: usize = 8;

/// A vector of one term.
const ONE: &[(u32, f32)] = &[(0, 1.0)];

/// One field of each kind that a limit speaks of.
fn schema() -> (Schema, SparseField, TokenField) {
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let rows = schema.tokens("rows", TokenOptions::new(DIM));
    schema.keyword("lang");
    (schema.build().unwrap(), terms, rows)
}

fn options(limits: &Limits) -> WriterOptions {
    IndexWriter::options().merges(Merges::Manual).limits(limits.clone())
}

fn vector(terms: usize) -> Vec<(u32, f32)> {
    (0..u32::try_from(terms).unwrap()).map(|term| (term, 1.0)).collect()
}

fn matrix(rows: usize) -> Vec<f32> {
    vec![(1.0 / DIM as f32).sqrt(); rows * DIM]
}

/// What an error says of the number found and of the limit.
fn says(error: &Error, place: &str, what: &str, found: u64, limit: u64) {
    let text = error.to_string();
    let end = format!("{place}: {found} {what}, the limit is {limit}");
    assert!(text.ends_with(&end) || text.contains(&end), "{text:?} does not say {end:?}");
}

/// `call` is right with `limit`, and refused in those words with one more.
fn edge<T>(limit: u64, place: &str, what: &str, mut call: impl FnMut(usize) -> lateen::Result<T>) {
    let at = usize::try_from(limit).unwrap();
    if at > 1 {
        assert!(call(at - 1).is_ok(), "{place}: {what}, one below");
    }
    assert!(call(at).is_ok(), "{place}: {what}, at the limit: {:?}", call(at).err());
    let error = call(at + 1).err().unwrap_or_else(|| panic!("{place}: {what}, one above"));
    says(&error, place, what, limit + 1, limit);
}

/// A writer with limits, and what is added to it.
fn add(limits: &Limits, document: &Document<'_>) -> lateen::Result<()> {
    let (schema, ..) = schema();
    let mut writer = options(limits).in_memory(schema).unwrap();
    let result = writer.add(document).map(drop);
    // What was refused has left nothing behind, and the writer goes on.
    assert_eq!(writer.len(), u64::from(result.is_ok()));
    writer.commit().unwrap();
    result
}

#[test]
fn what_a_document_may_have() {
    let (schema, terms, rows) = schema();
    let lang = schema.keyword("lang").unwrap();
    let base = || Document::new("a").sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
    edge(3, "terms", "terms of a vector", |n| {
        add(&Limits::default().terms(3), &Document::new("a").sparse(&terms, &vector(n)).unwrap())
    });
    edge(3, "rows", "rows of a document", |n| {
        let values = matrix(n);
        let document = Document::new("a").tokens(&rows, TokenMatrix::new(&values, DIM)).unwrap();
        add(&Limits::default().rows(3), &document)
    });
    let values_of = |n: usize, limits: &Limits| {
        let values = matrix(n);
        add(limits, &Document::new("a").tokens(&rows, TokenMatrix::new(&values, DIM)).unwrap())
    };
    values_of(3, &Limits::default().row_values(24)).unwrap();
    let error = values_of(4, &Limits::default().row_values(31)).unwrap_err();
    says(&error, "rows", "components of a document's rows", 32, 31);
    edge(5, "key", "bytes", |n| {
        let document = Document::new("k".repeat(n)).sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
        add(&Limits::default().key_bytes(5), &document)
    });
    edge(5, "lang", "bytes", |n| {
        let document = base().keyword(&lang, "v".repeat(n)).unwrap();
        add(&Limits::default().keyword_bytes(5), &document)
    });
    edge(5, "lang", "values", |n| {
        let values = (0..n).map(|i| i.to_string());
        let document = values.fold(base(), |doc, value| doc.keyword(&lang, value).unwrap());
        add(&Limits::default().keywords(5), &document)
    });
    edge(5, "payload", "bytes", |n| {
        add(&Limits::default().payload_bytes(5), &base().payload(vec![7; n]))
    });
}

#[test]
fn what_a_batch_or_a_change_may_have() {
    let (schema, terms, rows) = schema();
    let lang = schema.keyword("lang").unwrap();
    let take = |limits: &Limits, batch: Batch<'_>| {
        let mut writer = options(limits).in_memory(schema.clone()).unwrap();
        let result = writer.add_batch(&batch);
        assert_eq!(writer.len(), if result.is_ok() { 2 } else { 0 });
        result
    };
    let pairs = vec![vector(1); 2];
    let base = || Batch::new(["a", "b"]).sparse(&terms, &SparseBatch::pairs(&pairs)).unwrap();
    // The second document is the one that is too large.
    edge(3, "terms, row 1", "terms of a vector", |n| {
        let pairs = [vector(1), vector(n)].to_vec();
        let rows = SparseBatch::pairs(&pairs);
        let batch = Batch::new(["a", "b"]).sparse(&terms, &rows).unwrap();
        take(&Limits::default().terms(3), batch)
    });
    edge(3, "rows, row 1", "rows of a document", |n| {
        let (values, lengths) = (matrix(n + 1), [1u64, n as u64]);
        let batch = TokenBatch::flat(&values, &lengths, DIM);
        let batch = Batch::new(["a", "b"]).tokens(&rows, &batch).unwrap();
        take(&Limits::default().rows(3), batch)
    });
    edge(5, "key, row 1", "bytes", |n| {
        let batch = Batch::new(["a".to_owned(), "k".repeat(n)]);
        let batch = batch.sparse(&terms, &SparseBatch::pairs(&pairs)).unwrap();
        take(&Limits::default().key_bytes(5), batch)
    });
    edge(5, "payload, row 1", "bytes", |n| {
        let payloads = [vec![], vec![1; n]];
        take(&Limits::default().payload_bytes(5), base().payloads(&payloads).unwrap())
    });
    edge(2, "lang, row 1", "values", |n| {
        let values = [vec!["x".to_owned()], (0..n).map(|i| i.to_string()).collect()];
        take(&Limits::default().keywords(2), base().keywords(&lang, &values).unwrap())
    });
    edge(5, "lang, row 1", "bytes", |n| {
        let values = [vec!["x".to_owned()], vec!["v".repeat(n)]];
        take(&Limits::default().keyword_bytes(5), base().keywords(&lang, &values).unwrap())
    });

    let change = |limits: &Limits, update: &Update<'_>| {
        let mut writer = options(limits).in_memory(schema.clone()).unwrap();
        let document = Document::new("a").sparse(&terms, ONE).unwrap();
        writer.add(&document).unwrap();
        writer.update(update).map(|change| assert_eq!(change.documents, 1))
    };
    edge(2, "lang", "values", |n| {
        let values = (0..n).map(|i| i.to_string());
        change(&Limits::default().keywords(2), &Update::new("a").keywords(&lang, values).unwrap())
    });
    edge(5, "payload", "bytes", |n| {
        change(&Limits::default().payload_bytes(5), &Update::new("a").payload(vec![1; n]))
    });
}

/// An index of so many documents, each a segment of its own.
fn index(documents: usize) -> IndexWriter {
    let (schema, terms, rows) = schema();
    let mut writer = options(&Limits::default()).in_memory(schema).unwrap();
    let values = matrix(1);
    for i in 0..documents {
        let document = Document::new(i.to_string())
            .sparse(&terms, ONE)
            .unwrap()
            .tokens(&rows, TokenMatrix::new(&values, DIM))
            .unwrap();
        writer.add(&document.payload(format!("payload {i}").into_bytes())).unwrap();
        writer.commit().unwrap();
    }
    writer
}

fn packed(writer: &IndexWriter) -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("packed");
    writer.reader().unwrap().pack(&path).unwrap();
    std::fs::read(path).unwrap()
}

fn open(bytes: &[u8], limits: Limits) -> lateen::Result<Index> {
    Index::options().limits(limits).from_bytes(bytes)
}

#[test]
fn what_an_index_may_have() {
    let bytes = packed(&index(3));
    let refuse = |limits: Limits, place: &str, what: &str, found: u64, limit: u64| {
        let error = open(&bytes, limits).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{error:?}");
        says(&error, place, what, found, limit);
    };
    let manifest = "manifest-0000000000000004";
    let size = bytes.len() as u64;
    open(&bytes, Limits::default().segments(3)).unwrap();
    refuse(Limits::default().segments(2), manifest, "segments", 3, 2);
    open(&bytes, Limits::default().documents(3)).unwrap();
    refuse(Limits::default().documents(2), manifest, "documents", 3, 2);
    open(&bytes, Limits::default().fields(3)).unwrap();
    refuse(Limits::default().fields(2), "schema", "fields", 3, 2);
    open(&bytes, Limits::default().dim(8)).unwrap();
    refuse(Limits::default().dim(7), "rows", "components of a row", 8, 7);
    open(&bytes, Limits::default().file_bytes(size)).unwrap();
    refuse(Limits::default().file_bytes(size - 1), "bytes in memory", "bytes", size, size - 1);

    // The same of a file, before it is read, and of the files of a directory.
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("packed");
    std::fs::write(&file, &bytes).unwrap();
    let with = |most: u64| Index::options().limits(Limits::default().file_bytes(most)).open(&file);
    with(size).unwrap();
    says(&with(size - 1).unwrap_err(), "packed", "bytes", size, size - 1);

    let path = place.path().join("index");
    let (schema, terms, _) = schema();
    let mut writer = options(&Limits::default()).create(&path, schema).unwrap();
    writer.add(&Document::new("a").sparse(&terms, &vector(500)).unwrap()).unwrap();
    writer.commit().unwrap();
    let mut largest = (0, String::new());
    for entry in std::fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        largest = largest.max((entry.metadata().unwrap().len(), name));
    }
    assert!(largest.1.starts_with("seg-"), "{largest:?}");
    let with = |most: u64| Index::options().limits(Limits::default().file_bytes(most)).open(&path);
    with(largest.0).unwrap();
    says(&with(largest.0 - 1).unwrap_err(), &largest.1, "bytes", largest.0, largest.0 - 1);
    let error = with(10).unwrap_err();
    assert!(matches!(&error, Error::Limit { place, .. } if place.starts_with("manifest-")));
}

#[test]
fn what_payloads_may_unpack_to() {
    let writer = index(1);
    let bytes = packed(&writer);
    // The block of the one payload, "payload 0".
    let index = open(&bytes, Limits::default().unpacked_bytes(9)).unwrap();
    assert_eq!(index.get("0").unwrap().unwrap().payload().unwrap().unwrap(), b"payload 0");
    index.verify().unwrap();
    let index = open(&bytes, Limits::default().unpacked_bytes(8)).unwrap();
    let error = index.get("0").unwrap().unwrap().payload().unwrap_err();
    assert!(
        error.to_string().contains("9 bytes of a block of payloads, the limit is 8"),
        "{error}"
    );
    assert!(matches!(index.verify(), Err(Error::Limit { found: 9, limit: 8, .. })));
}

#[test]
fn what_rows_may_unpack_to() {
    let bytes = packed(&index(1));
    let (_, _, rows) = schema();
    let read = |limits: Limits| {
        open(&bytes, limits).unwrap().get("0").unwrap().unwrap().tokens(&rows).map(Option::unwrap)
    };
    let all = read(Limits::default()).unwrap().len() as u64;
    assert_eq!(read(Limits::default().row_values(all)).unwrap().len() as u64, all);
    let error = read(Limits::default().row_values(all - 1)).unwrap_err();
    assert!(matches!(error, Error::Limit { .. }), "{error:?}");
    says(&error, "rows", "components of a document's rows", all, all - 1);
}

#[test]
fn what_a_writer_takes_of_an_index() {
    let (schema, terms, _) = schema();
    let document = |key: usize| Document::new(key.to_string()).sparse(&terms, ONE).unwrap();
    edge(3, "memory", "documents", |n| {
        let mut writer = options(&Limits::default().documents(3)).in_memory(schema.clone())?;
        for i in 0..n {
            writer.add(&document(i))?;
        }
        // In place of another there is always room.
        writer.upsert(&document(0))
    });
    edge(3, "memory", "segments", |n| {
        let mut writer = options(&Limits::default().segments(3)).in_memory(schema.clone())?;
        for i in 0..n {
            writer.add(&document(i))?;
            writer.commit()?;
        }
        Ok(())
    });
    // With segments merged there is room again.
    let mut writer = options(&Limits::default().segments(2)).in_memory(schema.clone()).unwrap();
    for i in 0..2 {
        writer.add(&document(i)).unwrap();
        writer.commit().unwrap();
    }
    writer.add(&document(3)).unwrap_err();
    writer.force_merge(1, |_| {}).unwrap();
    writer.add(&document(3)).unwrap();
    writer.commit().unwrap();

    let create = |limits: Limits| options(&limits).in_memory(schema.clone());
    create(Limits::default().fields(3)).unwrap();
    says(&create(Limits::default().fields(2)).unwrap_err(), "schema", "fields", 3, 2);
    create(Limits::default().dim(8)).unwrap();
    says(&create(Limits::default().dim(7)).unwrap_err(), "rows", "components of a row", 8, 7);
    let mut writer = create(Limits::default().fields(3)).unwrap();
    let mut more = writer.schema().extend();
    more.bool("more");
    says(&writer.set_schema(more.build().unwrap()).unwrap_err(), "schema", "fields", 4, 3);
}

#[test]
fn what_is_published_is_within_the_limits() {
    let (schema, terms, _) = schema();
    let place = tempfile::tempdir().unwrap();
    let mut made = Vec::new();
    for i in 0..2 {
        let parts = place.path().join(i.to_string());
        let mut builder = IndexWriter::options().detached(parts, &schema).unwrap();
        let key = format!("key {i}");
        builder.add(&Document::new(key).sparse(&terms, &vector(1)).unwrap()).unwrap();
        made.extend(builder.finish().unwrap());
    }
    let publish = |limits: Limits| {
        let mut writer = options(&limits).in_memory(schema.clone()).unwrap();
        let result = writer.publish(made.iter().map(|segment| &segment.path));
        assert_eq!(writer.len(), if result.is_ok() { 2 } else { 0 });
        result
    };
    let bytes = made.iter().map(|segment| segment.bytes).max().unwrap();
    for (right, wrong) in [
        (Limits::default().segments(2), Limits::default().segments(1)),
        (Limits::default().documents(2), Limits::default().documents(1)),
        (Limits::default().file_bytes(bytes), Limits::default().file_bytes(bytes - 1)),
    ] {
        publish(right).unwrap();
        assert!(matches!(publish(wrong), Err(Error::Limit { .. })));
    }
    let limits = Limits::default().terms(1);
    let parts = place.path().join("limited");
    let mut builder = IndexWriter::options().limits(limits).detached(parts, &schema).unwrap();
    builder.add(&Document::new("a").sparse(&terms, &vector(1)).unwrap()).unwrap();
    let two = vector(2);
    let two = Document::new("b").sparse(&terms, &two).unwrap();
    says(&builder.add(&two).unwrap_err(), "terms", "terms of a vector", 2, 1);
}

#[test]
fn what_a_query_may_ask_for() {
    let bytes = packed(&index(2));
    let (schema, terms, rows) = schema();
    let lang = schema.keyword("lang").unwrap();
    let ask = |limits: Limits, query: &Query| {
        let index = open(&bytes, limits).unwrap();
        let found = index.search(query).map(drop);
        let batch = index.search_batch(std::slice::from_ref(query), 2).map(drop);
        assert_eq!(batch.is_ok(), found.is_ok());
        assert_eq!(index.expansion(query).is_ok(), found.is_ok());
        let usual = Query::sparse(&terms, &vector(1)).unwrap();
        if let Some(hit) = index.search(&usual.top(1))?.first() {
            assert_eq!(index.explain(query, hit).is_ok(), found.is_ok());
        }
        found
    };
    let sparse = |n: usize| Query::sparse(&terms, &vector(n)).unwrap();
    edge(3, "terms", "terms of a vector", |n| ask(Limits::default().terms(3), &sparse(n)));
    edge(3, "rows", "rows of a query", |n| {
        let values = matrix(n);
        let query = Query::tokens(&rows, TokenMatrix::new(&values, DIM)).unwrap();
        ask(Limits::default().query_rows(3), &query)
    });
    edge(3, "rows", "rows of a query", |n| {
        let values = matrix(n);
        let query = sparse(1).rerank(&rows, TokenMatrix::new(&values, DIM)).unwrap();
        ask(Limits::default().query_rows(3), &query)
    });
    edge(7, "top", "hits", |n| ask(Limits::default().top(7), &sparse(1).top(n)));
    let one = matrix(1);
    let reranked = sparse(1).rerank(&rows, TokenMatrix::new(&one, DIM)).unwrap();
    edge(7, "candidates", "candidates", |n| {
        ask(Limits::default().candidates(7), &reranked.clone().candidates(n))
    });
    edge(7, "diversify", "candidates", |n| {
        let diversify = Diversify::new(&rows, 0.5).pool(n);
        ask(Limits::default().candidates(7), &sparse(1).diversify(diversify))
    });
    let means = |pool: usize, limit: u64| {
        let diversify = Diversify::new(&rows, 0.5).pool(pool);
        ask(Limits::default().row_values(limit), &sparse(1).diversify(diversify))
    };
    means(3, 24).unwrap();
    let error = means(4, 31).unwrap_err();
    says(&error, "diversify", "components of rows' means", 32, 31);
    // What nobody asked for is within each limit.
    ask(Limits::default().candidates(7), &sparse(1).diversify(Diversify::new(&rows, 0.5))).unwrap();
    let collapse = || Collapse::keyword(&lang);
    edge(7, "collapse", "candidates", |n| {
        ask(Limits::default().candidates(7), &sparse(1).top(1).collapse(collapse().pool(n)))
    });
    edge(7, "collapse", "hits inside of one", |n| {
        ask(Limits::default().top(7), &sparse(1).top(1).collapse(collapse().inside(n)))
    });
    let feedback = || Feedback::default().docs(1).terms(1).rows(1);
    edge(7, "feedback", "documents", |n| {
        ask(Limits::default().candidates(7), &sparse(1).feedback(feedback().docs(n)))
    });
    edge(7, "feedback", "terms", |n| {
        ask(Limits::default().terms(7), &sparse(1).feedback(feedback().terms(n)))
    });
    edge(7, "feedback", "rows", |n| {
        ask(Limits::default().query_rows(7), &sparse(1).feedback(feedback().rows(n)))
    });
    edge(7, "lang", "facets", |n| {
        open(&bytes, Limits::default().facets(7)).unwrap().facets(None, &lang, n)
    });
    let fused = |n: usize| Query::fused(Fusion::default(), (0..n).map(|_| sparse(1))).unwrap();
    edge(7, "candidates", "candidates", |n| {
        ask(Limits::default().candidates(7), &fused(2).candidates(n))
    });
    // The whole counts as one.
    edge(5, "query", "queries in one", |n| ask(Limits::default().parts(5), &fused(n - 1)));
    // What holds of the whole holds of each part.
    edge(3, "terms", "terms of a vector", |n| {
        let query = Query::fused(Fusion::default(), [sparse(1), sparse(n)]).unwrap();
        ask(Limits::default().terms(3), &query)
    });

    let nested = |levels: usize| {
        (0..levels).fold(lang.exists(), |filter, level| {
            if level % 2 == 0 { filter & lang.eq("x") } else { filter | lang.eq("y") }
        })
    };
    edge(3, "filter", "levels of operators", |n| {
        ask(Limits::default().filter_depth(3), &sparse(1).filter(nested(n)))
    });
    // One operator, and as many values as are left.
    edge(6, "filter", "operators and values", |n| {
        let filter = lang.any_of((1..n - 1).map(|i| i.to_string())) & lang.exists();
        ask(Limits::default().filter_size(6), &sparse(1).filter(filter))
    });
    edge(6, "filter", "operators and values", |n| {
        let filter = Filter::keys((0..n).map(|i| i.to_string()));
        ask(Limits::default().filter_size(6), &sparse(1).filter(filter))
    });
    edge(6, "filter", "operators and values", |n| {
        let filter = Filter::keys((0..n).map(|i| i.to_string()));
        let index = open(&bytes, Limits::default().filter_size(6)).unwrap();
        index.facets(Some(&filter), &lang, 5)
    });
    edge(6, "filter", "operators and values", |n| {
        let mut writer =
            options(&Limits::default().filter_size(6)).in_memory(schema.clone()).unwrap();
        writer.delete_where(&Filter::keys((0..n).map(|i| i.to_string())))
    });
    // A writer's own reader has the writer's limits.
    edge(3, "top", "hits", |n| {
        let writer = options(&Limits::default().top(3)).in_memory(schema.clone()).unwrap();
        writer.reader().unwrap().search(&sparse(1).top(n))
    });
}

#[test]
fn no_limit_is_beyond_the_format() {
    let wide = Limits::default()
        .file_bytes(u64::MAX)
        .segments(u64::MAX)
        .documents(u64::MAX)
        .fields(u64::MAX)
        .dim(u64::MAX)
        .terms(u64::MAX)
        .rows(u64::MAX)
        .row_values(u64::MAX)
        .facets(u64::MAX)
        .query_rows(u64::MAX)
        .key_bytes(u64::MAX)
        .keyword_bytes(u64::MAX)
        .keywords(u64::MAX)
        .payload_bytes(u64::MAX)
        .unpacked_bytes(u64::MAX)
        .top(u64::MAX)
        .candidates(u64::MAX)
        .filter_depth(u64::MAX)
        .filter_size(u64::MAX)
        .parts(u64::MAX);
    assert_eq!(wide, Limits::default());
    assert_eq!(
        Limits::default().terms(limits::MAX_TERMS as u64 + 1),
        Limits::default().terms(limits::MAX_TERMS as u64)
    );
    assert_ne!(Limits::default().terms(limits::MAX_TERMS as u64 - 1), Limits::default());
    assert_ne!(Limits::untrusted(), Limits::default());
}

#[test]
fn an_index_that_is_not_trusted_has_tight_limits() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("packed");
    std::fs::write(&file, packed(&index(1))).unwrap();
    let (_, terms, _) = schema();
    let ask = |index: &Index, top| {
        index.search(&Query::sparse(&terms, &vector(1)).unwrap().top(top)).map(|hits| hits.len())
    };
    let index = Index::open_untrusted(&file).unwrap();
    assert_eq!(ask(&index, 1000).unwrap(), 1);
    says(&ask(&index, 1001).unwrap_err(), "top", "hits", 1001, 1000);
    // Others can be set, in any order.
    let index = Index::options().limits(Limits::default()).untrusted(1 << 20).open(&file).unwrap();
    assert_eq!(ask(&index, 10_000).unwrap(), 1);
    // A trusted one has those of the format.
    assert_eq!(ask(&Index::open(&file).unwrap(), 10_000).unwrap(), 1);
    assert!(ask(&Index::open(&file).unwrap(), 10_001).is_err());
}
