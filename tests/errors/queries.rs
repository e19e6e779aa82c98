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
        Some(Error::Schema(SchemaError::Foreign { name, .. })) => assert_eq!(name, field),
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

/// Attributes that another schema has otherwise are told by name, with what they are here and what
/// was asked for, in every part of a query, whether it finds anything or not.
#[test]
fn attributes_of_another_kind() {
    let own = fields(KeyKind::Str);
    let index = index(&own);
    let mut other = Schema::builder();
    other.sparse("splade");
    let values = rows(1);
    let (year, lang) = (other.keyword("year"), other.u64("lang"));
    let (weight, rows) = (other.f64("weight"), other.tokens("checked", 16));
    let at = |query: Query| {
        let found = index.search(&query).map(drop).unwrap_err();
        assert!(matches!(found, Error::Schema(SchemaError::Foreign { .. })), "{found}");
        let fused = Query::fused(lateen::Fusion::default(), [query.clone()]);
        if let Ok(fused) = fused {
            assert_eq!(index.search(&fused).map(drop).unwrap_err().to_string(), found.to_string());
        }
        let hits = index.search(&Query::sparse(&own.sparse, &[(7, 1.0)]).unwrap()).unwrap();
        let told = index.explain(&query, &hits[0]).map(drop).unwrap_err();
        assert_eq!(told.to_string(), found.to_string());
        found.to_string()
    };
    for term in [7, 8] {
        let query = || Query::sparse(&own.sparse, &[(term, 1.0)]).unwrap();
        let by_rows = || Query::tokens(&own.checked, TokenMatrix::new(&values, 8)).unwrap();
        let keyword =
            "the handle of field \"year\", keyword, is from another schema: here it is i64";
        let number =
            "the handle of field \"lang\", u64, is from another schema: here it is keyword";
        let nothing = "the handle of field \"weight\", f64, is from another schema: \
                       here no field has this name";
        let place = "the handle of field \"checked\", tokens, is from another schema: \
                     here it has another place or other settings";
        for (query, words) in [
            (query().filter(year.eq("1")), keyword),
            (by_rows().filter(!year.exists()), keyword),
            (query().filter(lang.eq(1)), number),
            (query().filter(weight.range(..1.0)), nothing),
            (query().sort(year.ascending()), keyword),
            (query().sort(lang.descending()), number),
            (by_rows().sort(weight.ascending()), nothing),
            (query().collapse(lateen::Collapse::keyword(&year)), keyword),
            (query().collapse(lateen::Collapse::u64(&lang)), number),
            (query().diversify(lateen::Diversify::new(&rows, 0.5)), place),
        ] {
            let said = at(query);
            assert_eq!(said, format!("schema: {words}"));
        }
    }
    let facets = index.facets(None, &year, 3).unwrap_err().to_string();
    assert!(facets.contains("\"year\", keyword") && facets.contains("here it is i64"), "{facets}");
    let facets = index.facets(Some(&lang.eq(1)), &own.lang, 3).unwrap_err().to_string();
    assert!(facets.contains("\"lang\", u64") && facets.contains("here it is keyword"), "{facets}");
}

#[test]
fn prefixes_of_keys_that_are_numbers() {
    let fields = fields(KeyKind::U64);
    let index = IndexWriter::in_memory(fields.schema.clone()).unwrap().reader().unwrap();
    let query = Query::sparse(&fields.sparse, &[(7, 1.0)]).unwrap();
    let query = query.collapse(lateen::Collapse::key_prefix('#'));
    let what = outside("a prefix of keys", "what keys of numbers can be asked for");
    refused(index.search(&query), "collapse", NONE, what);
}

/// A model that is said to have so many terms has no others.
#[test]
fn terms_beyond_the_model() {
    let mut schema = Schema::builder();
    let model = ModelFingerprint::new("splade-v3", 8, "");
    let sparse = schema.sparse_with("s", SparseOptions::default().model(model));
    let open = ModelFingerprint::new("of any size", 0, "");
    let open = schema.sparse_with("open", SparseOptions::default().model(open));
    let far = [(7u32, 1.0f32), (8, 1.0)];
    let what = || Fault::BeyondVocabulary { term: 8, limit: 7 };
    let place = (None, Some(1));
    refused(Document::new("a").sparse(&sparse, &far), "s", place, what());
    refused(Query::sparse(&sparse, &far), "s", place, what());
    refused(Query::sparse(&sparse, SparseVector::pairs(&far).signed()), "s", place, what());
    let (terms, weights) = ([7u32, 8], [1.0f32, 1.0]);
    let arrays = || SparseVector::new(&terms, &weights);
    refused(Query::sparse(&sparse, arrays()), "s", place, what());
    refused(Query::sparse(&sparse, arrays().signed()), "s", place, what());
    let in_batch = (Some(1), Some(1));
    let pairs = [vec![(0u32, 1.0f32)], far.to_vec()];
    let batch = || lateen::Batch::new(["a", "b"]);
    refused(batch().sparse(&sparse, &SparseBatch::pairs(&pairs)), "s", in_batch, what());
    let (ends, terms, weights) = ([0u64, 1, 3], [0u32, 7, 8], [1.0f32; 3]);
    let csr = SparseBatch::csr(&ends, &terms, &weights);
    refused(batch().sparse(&sparse, &csr), "s", in_batch, what());
    assert!(Query::sparse(&sparse, &far[..1]).is_ok());
    assert!(batch().sparse(&open, &csr).is_ok() && Query::sparse(&open, &far).is_ok());
    assert_eq!(
        what().to_string(),
        "term 8 is beyond the vocabulary of the field's model, the last is 7"
    );
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
