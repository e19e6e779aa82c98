//! Numbers of a query, handles of another schema, models, and kernel levels.

use lateen::{
    Document, Effort, Error, Fault, Filter, Index, IndexWriter, KernelLevel, KeyKind,
    ModelFingerprint, Query, Schema, SchemaError, SparseBatch, SparseOptions, SparseVector,
    TokenBatch, TokenMatrix, TokenOptions,
};

use super::{Fields, fields, good, refused, rows};

const NONE: super::Place = (None, None);

fn index(fields: &Fields) -> Index {
    let mut writer = IndexWriter::in_memory(fields.schema.clone()).unwrap();
    writer.add(&good("a", fields)).unwrap();
    writer.commit().unwrap();
    writer.reader().unwrap()
}

fn outside(value: &str, range: &str) -> Fault {
    Fault::Parameter { value: value.into(), range: range.into() }
}

#[test]
fn numbers_out_of_range() {
    let fields = fields(KeyKind::Str);
    let index = index(&fields);
    let values = rows(1);
    let query = || Query::sparse(&fields.sparse, &[(7, 1.0)]).unwrap();
    let rerank = |count| {
        query().rerank(&fields.checked, TokenMatrix::new(&values, 8)).unwrap().candidates(count)
    };
    let tops = "1..=10000";
    let counts = "1..=1000000";
    let shares = "above 0, at most 1";
    let efforts = "0 to 1";
    let cases = [
        (query().top(0), "top", outside("0", tops)),
        (query().top(10_001), "top", outside("10001", tops)),
        (query().top(usize::MAX), "top", outside(&usize::MAX.to_string(), tops)),
        (rerank(0), "candidates", outside("0", counts)),
        (rerank(1_000_001), "candidates", outside("1000001", counts)),
        (query().effort(Effort::Recall(0.0)), "recall", outside("0", shares)),
        (query().effort(Effort::Recall(1.5)), "recall", outside("1.5", shares)),
        (query().effort(Effort::Recall(f32::NAN)), "recall", outside("NaN", shares)),
        (query().effort(Effort::Level(-0.5)), "effort", outside("-0.5", efforts)),
        (query().effort(Effort::Level(1.5)), "effort", outside("1.5", efforts)),
        (query().effort(Effort::Level(f32::NAN)), "effort", outside("NaN", efforts)),
    ];
    for (bad, name, what) in cases {
        refused(index.search(&bad), name, NONE, what.clone());
        for threads in [0, 1, 2] {
            let batch = index.search_batch(&[query(), bad.clone(), query().top(0)], threads);
            refused(batch, name, NONE, what.clone());
        }
    }
    for good in [query().top(1), query().top(10_000), rerank(1), rerank(1_000_000)] {
        assert_eq!(index.search(&good).unwrap().len(), 1);
    }
    assert_eq!(index.search_batch(&[], 4).unwrap().len(), 0);
}

#[track_caller]
fn foreign<T>(result: Result<T, Error>, field: &str) {
    match result.err() {
        Some(Error::Schema(SchemaError::Foreign { name })) => assert_eq!(name, field),
        other => panic!("{field}: {other:?}"),
    }
}

/// Every handle of another schema is told, wherever it comes in.
#[test]
fn handles_of_another_schema() {
    let own = fields(KeyKind::Str);
    let index = index(&own);
    let mut other = Schema::builder();
    // The same names and kinds at other places, or with other settings.
    let checked = other.tokens("checked", 16);
    let as_is = other.tokens("as is", 8);
    let splade = other.sparse("splade");
    let (open, price, size) = (other.bool("open"), other.f64("price"), other.u64("size"));
    let (year, lang) = (other.i64("year"), other.keyword("lang"));

    let values = rows(2);
    let query = || Query::sparse(&own.sparse, &[(7, 1.0)]).unwrap();
    foreign(index.search(&Query::sparse(&splade, &[(7, 1.0)]).unwrap()), "splade");
    let by_other = Query::tokens(&as_is, TokenMatrix::new(&values, 8)).unwrap();
    foreign(index.search(&by_other), "as is");
    let mut wide = vec![0.0f32; 16];
    wide[3] = 1.0;
    let by_other = Query::tokens(&checked, TokenMatrix::new(&wide, 16)).unwrap();
    foreign(index.search(&by_other), "checked");
    let reranked = query().rerank(&checked, TokenMatrix::new(&wide, 16)).unwrap();
    foreign(index.search(&reranked), "checked");
    let filters: [(Filter, &str); 8] = [
        (lang.eq("en"), "lang"),
        (lang.exists(), "lang"),
        (year.eq(1), "year"),
        (size.range(1..), "size"),
        (!price.exists(), "price"),
        (open.eq(true) | own.lang.exists(), "open"),
        (Filter::all([Filter::keys(["a"]), year.any_of([1, 2])]), "year"),
        (Filter::any([Filter::keys(["b"]), !!open.exists()]), "open"),
    ];
    for (filter, name) in filters {
        foreign(index.search(&query().filter(filter)), name);
    }
    let hits = index.search(&query()).unwrap();
    let hit = &hits[0];
    foreign(hit.sparse(&splade), "splade");
    foreign(hit.tokens(&checked), "checked");
    foreign(hit.keywords(&lang), "lang");
    foreign(hit.i64(&year), "year");
    foreign(hit.u64(&size), "size");
    foreign(hit.f64(&price), "price");
    foreign(hit.bool(&open), "open");
    foreign(index.explain(&Query::sparse(&splade, &[(7, 1.0)]).unwrap(), hit), "splade");
    // Handles that the stored schema gives are its own; so are those of an equal schema.
    let stored = index.schema();
    assert_eq!(hit.keywords(&stored.keyword("lang").unwrap()).unwrap().len(), 0);
    assert_eq!(hit.i64(&fields(KeyKind::Str).year).unwrap(), None);
}

#[test]
fn vectors_of_another_model() {
    let model = ModelFingerprint::new("splade-v3", 8, "");
    let other = ModelFingerprint::new("splade-v2", 8, "log1p");
    let mut schema = Schema::builder();
    let sparse = schema.sparse_with("s", SparseOptions::default().model(model.clone()));
    let tokens = schema.tokens("t", TokenOptions::new(8).model(model.clone()));
    let fault =
        || Fault::Model { found: "splade-v2/8/log1p".into(), expected: "splade-v3/8".into() };
    let (pairs, values) = ([(1u32, 1.0f32)], rows(1));
    let vector = |model| SparseVector::pairs(&pairs).model(model);
    let matrix = |model| TokenMatrix::new(&values, 8).model(model);
    refused(Document::new("a").sparse(&sparse, vector(&other)), "s", NONE, fault());
    refused(Document::new("a").tokens(&tokens, matrix(&other)), "t", NONE, fault());
    refused(Query::sparse(&sparse, vector(&other)), "s", NONE, fault());
    refused(Query::tokens(&tokens, matrix(&other)), "t", NONE, fault());
    let query = Query::sparse(&sparse, vector(&model)).unwrap();
    refused(query.rerank(&tokens, matrix(&other)), "t", NONE, fault());
    let list = [pairs.to_vec()];
    let form = SparseBatch::pairs(&list).model(&other);
    refused(lateen::Batch::new(["a"]).sparse(&sparse, &form), "s", NONE, fault());
    let list = [matrix(&model)];
    let form = TokenBatch::matrices(&list).model(&other);
    refused(lateen::Batch::new(["a"]).tokens(&tokens, &form), "t", NONE, fault());
    let flat = TokenBatch::flat(&values, &[1i32], 8).model(&other);
    refused(lateen::Batch::new(["a"]).tokens(&tokens, &flat), "t", NONE, fault());
    // One matrix among many.
    let list = [matrix(&model), matrix(&other)];
    let form = TokenBatch::matrices(&list);
    let batch = lateen::Batch::new(["a", "b"]).tokens(&tokens, &form);
    refused(batch, "t", (Some(1), None), fault());
    assert!(Query::tokens(&tokens, matrix(&model)).is_ok());

    // A field stored with a model refuses after it was opened, too.
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    writer.add(&Document::new("a").sparse(&sparse, vector(&model)).unwrap()).unwrap();
    writer.commit().unwrap();
    let stored = writer.reader().unwrap().schema().sparse("s").unwrap();
    refused(Query::sparse(&stored, vector(&other)), "s", NONE, fault());
}

#[test]
fn kernel_levels_that_are_none() {
    for name in ["sse9", "", "AVX2"] {
        let what = outside(name, "portable, avx2, avx512, amx");
        refused(name.parse::<KernelLevel>(), "kernel level", NONE, what);
    }
    let fields = fields(KeyKind::Str);
    for level in [KernelLevel::Portable, KernelLevel::Avx2, KernelLevel::Avx512, KernelLevel::Amx] {
        let result = IndexWriter::options().kernel(level).in_memory(fields.schema.clone());
        assert_eq!(result.is_ok(), KernelLevel::available().contains(&level), "{level}");
    }
}
