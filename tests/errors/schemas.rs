//! Schemas that cannot be, fields that are not there, and files of vectors that cannot be read.

use lateen::eval::{Qrels, Run};
use lateen::readers::NpyArray;
use lateen::{
    Error, Fault, KeyKind, ModelFingerprint, Schema, SchemaBuilder, SchemaError, SparseCodec,
    SparseOptions, TokenCodec, TokenOptions, TokenTier,
};

use super::fields;

/// What building says of a schema with a sparse field and whatever is added.
fn built(add: impl FnOnce(&mut SchemaBuilder)) -> Result<Schema, SchemaError> {
    let mut schema = Schema::builder();
    schema.sparse("splade");
    add(&mut schema);
    schema.build()
}

#[test]
fn names() {
    let long = "n".repeat(256);
    for (name, what) in [
        ("", "is empty"),
        ("splade", "is taken"),
        ("tab\there", "holds a control character"),
        (long.as_str(), "is longer than 255 bytes"),
    ] {
        let found = built(|schema| drop(schema.keyword(name))).unwrap_err();
        assert_eq!(found, SchemaError::Name { name: name.to_owned(), what });
        assert!(Error::from(found).to_string().contains(what));
    }
    assert!(built(|schema| drop(schema.keyword(&long[1..]))).is_ok());
}

#[test]
fn settings() {
    for dim in [0, 4, 7, 12, 4104, usize::MAX & !7] {
        let found = built(|schema| drop(schema.tokens("colbert", dim))).unwrap_err();
        let want = SchemaError::Setting {
            name: "colbert".into(),
            what: "dimension",
            value: dim as u64,
            range: "a multiple of 8 in 8..=4096",
        };
        assert_eq!(found, want);
    }
    for dim in [8, 4096] {
        assert!(built(|schema| drop(schema.tokens("colbert", dim))).is_ok());
    }
    for percent in [0, 100, 255] {
        let options = SparseOptions::default().codec(SparseCodec::Pruned(percent));
        let found = built(|schema| drop(schema.sparse_with("pruned", options))).unwrap_err();
        let want = SchemaError::Setting {
            name: "pruned".into(),
            what: "percent of a document's weight to keep",
            value: percent.into(),
            range: "1..=99",
        };
        assert_eq!(found, want);
    }
    for percent in [1, 99] {
        let options = SparseOptions::default().codec(SparseCodec::Pruned(percent));
        assert!(built(|schema| drop(schema.sparse_with("pruned", options))).is_ok());
    }
    let models = [
        ModelFingerprint::new("m".repeat(300), 8, ""),
        ModelFingerprint::new("m", 8, "n".repeat(300)),
    ];
    for model in models {
        let of_sparse = SparseOptions::default().model(model.clone());
        let of_tokens = TokenOptions::new(8).model(model);
        for result in [
            built(|schema| drop(schema.sparse_with("field", of_sparse))),
            built(|schema| drop(schema.tokens("field", of_tokens))),
        ] {
            let Err(SchemaError::Setting { name, value: 300, .. }) = result else {
                panic!("{result:?}");
            };
            assert_eq!(name, "field");
        }
    }
}

#[test]
fn codecs_that_do_not_suit() {
    let product = |subspaces, bits| TokenCodec::Product { subspaces, bits };
    let with = |codec, tier| {
        built(|schema| {
            drop(schema.tokens("field", TokenOptions::new(24).codec(codec).tier(tier)));
        })
    };
    for (subspaces, bits) in [(1, 8), (2, 4), (24, 8), (24, 4), (6, 4), (3, 8)] {
        assert!(with(product(subspaces, bits), TokenTier::None).is_ok(), "{subspaces} {bits}");
    }
    for (subspaces, bits) in [(0, 8), (5, 8), (48, 8), (1, 4), (3, 4), (2, 5), (2, 0), (2, 255)] {
        let refused = with(product(subspaces, bits), TokenTier::None).unwrap_err();
        let expected = u64::from(subspaces);
        assert!(
            matches!(refused, SchemaError::Setting { value, .. } if value == expected),
            "{refused}"
        );
    }
    for (codec, int8, f16) in [
        (TokenCodec::F16, false, false),
        (TokenCodec::Int8, false, true),
        (TokenCodec::Residual4, true, true),
        (product(2, 4), true, true),
    ] {
        assert_eq!(with(codec, TokenTier::Int8).is_ok(), int8, "{codec}");
        assert_eq!(with(codec, TokenTier::F16).is_ok(), f16, "{codec}");
    }
}

#[test]
fn how_many() {
    let mut schema = Schema::builder();
    schema.keyword("lang");
    assert_eq!(schema.build().unwrap_err(), SchemaError::NoVectors);
    assert_eq!(Schema::builder().build().unwrap_err(), SchemaError::NoVectors);
    let with =
        |count: usize| built(|schema| (1..count).for_each(|i| drop(schema.i64(&i.to_string()))));
    assert!(with(256).is_ok());
    let found = with(257).unwrap_err();
    assert_eq!(found, SchemaError::TooManyFields { found: 257, limit: 256 });
}

#[test]
fn fields_that_are_not_there() {
    let schema = fields(KeyKind::Str).schema;
    let missing =
        |name: &str, kind, found| SchemaError::NoField { name: name.to_owned(), kind, found };
    assert_eq!(schema.sparse("nope").unwrap_err(), missing("nope", "sparse", None));
    let other = |name, kind, found| missing(name, kind, Some(found));
    assert_eq!(schema.sparse("checked").unwrap_err(), other("checked", "sparse", "tokens"));
    assert_eq!(schema.tokens("splade").unwrap_err(), other("splade", "tokens", "sparse"));
    assert_eq!(schema.keyword("year").unwrap_err(), other("year", "keyword", "i64"));
    assert_eq!(schema.i64("size").unwrap_err(), other("size", "i64", "u64"));
    assert_eq!(schema.u64("year").unwrap_err(), other("year", "u64", "i64"));
    assert_eq!(schema.f64("open").unwrap_err(), other("open", "f64", "bool"));
    assert_eq!(schema.bool("price").unwrap_err(), other("price", "bool", "f64"));
    assert!(schema.bool("open").is_ok());
    let said = |error: SchemaError| error.to_string();
    assert_eq!(said(schema.u64("year").unwrap_err()), "the field \"year\" is i64, not u64");
    assert_eq!(
        said(schema.u64("nope").unwrap_err()),
        "no u64 field named \"nope\": no field has this name"
    );
}

#[test]
fn files_of_vectors() {
    let unread = |bytes: &[u8]| match NpyArray::from_bytes("rows.npy", bytes).err() {
        Some(Error::Input(error)) => {
            assert_eq!(error.field, "rows.npy");
            assert!(matches!(error.what, Fault::File { .. }), "{error}");
        }
        other => panic!("{other:?}"),
    };
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("rows.npy");
    NpyArray::write(&path, &[0.5f32; 6], &[2, 3]).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert!(NpyArray::from_bytes("rows.npy", bytes.clone()).is_ok());
    for end in 0..bytes.len() {
        unread(&bytes[..end]);
    }
    unread(&[&bytes[..], &[0]].concat());
    unread(b"PK\x03\x04 an archive");
    let floats = NpyArray::open(&path).unwrap();
    assert!(matches!(floats.ints(), Err(Error::Input(_))));
    assert!(matches!(floats.i8s(), Err(Error::Input(_))));
    let missing = NpyArray::open(place.path().join("nope.npy"));
    assert!(matches!(missing.err(), Some(Error::Io { place, .. }) if place.contains("nope.npy")));
}

#[test]
fn lines_that_are_none() {
    let bad = |result: Result<(), Error>, name: &str, at: u64| match result.err() {
        Some(Error::Input(error)) => {
            assert_eq!(error.field, name);
            assert!(matches!(error.what, Fault::Syntax { line, .. } if line == at), "{error}");
        }
        other => panic!("{other:?}"),
    };
    let qrels = |text: &'static str| Qrels::parse("qrels.tsv", text.as_bytes()).map(drop);
    bad(qrels("query_id\tdoc_id\tgrade\nq1\td1\t1\nq1\td2\tmany\n"), "qrels.tsv", 3);
    let run = |text: &'static str| Run::parse("run", text.as_bytes()).map(drop);
    bad(run("q1 Q0 d1 1 0.5 lateen\nq1 Q0 d2\n"), "run", 2);
}
