//! Read by position: every read of every question fails in every way.

use super::*;
use crate::embed::TokenMatrix;
use crate::schema::{Centroids, Normalization, TokenCodec, TokenOptions, TokenTier};
use crate::search::Query;
use crate::storage::MemStorage;
use crate::storage::faulty::{Fault, FaultStorage};

const DIM: usize = 8;

/// Every kind of field.
fn every_field() -> Schema {
    let mut schema = Schema::builder();
    schema.sparse("terms");
    let tokens = TokenOptions::new(DIM).normalization(Normalization::AsIs);
    schema.tokens("packed", tokens.clone().codec(TokenCodec::Residual4).tier(TokenTier::Int8));
    schema.tokens("listed", tokens.centroids(Centroids::Count(5)));
    schema.keyword("lang");
    schema.i64("year");
    schema.build().unwrap()
}

fn rows(seed: u64, count: usize) -> Vec<f32> {
    let mut numbers = crate::mix::Numbers(seed);
    (0..count * DIM).map(|_| numbers.unit()).collect()
}

/// Two segments, one of them with tombstones.
fn build(storage: &MemStorage) {
    let storage: Arc<dyn Storage> = Arc::new(storage.clone());
    let options = WriterOptions::default().merges(Merges::Manual);
    let mut writer =
        IndexWriter::start(storage, Path::new("storage"), Some(every_field()), options).unwrap();
    let schema = writer.schema().clone();
    for half in 0..2u64 {
        for at in 30 * half..30 * half + 30 {
            let own = rows(at, 1 + at as usize % 4);
            let entries = [(1u32, at as f32 + 1.0), (2 + at as u32 % 7, 0.5)];
            let document = Document::new(format!("key {at}"))
                .sparse(&schema.sparse("terms").unwrap(), &entries)
                .unwrap()
                .tokens(&schema.tokens("packed").unwrap(), TokenMatrix::new(&own, DIM))
                .unwrap()
                .tokens(&schema.tokens("listed").unwrap(), TokenMatrix::new(&own, DIM))
                .unwrap()
                .keyword(&schema.keyword("lang").unwrap(), if at % 3 == 0 { "en" } else { "de" })
                .unwrap()
                .i64(&schema.i64("year").unwrap(), 1990 + at as i64)
                .unwrap();
            writer.add(&document.payload(format!("payload {at}").into_bytes())).unwrap();
        }
        writer.commit().unwrap();
    }
    writer.delete("key 3").unwrap();
    writer.commit().unwrap();
}

type Question = Box<dyn Fn(&Index) -> Result<String>>;

/// What can be asked of an index, each with all that it gives.
fn questions() -> Vec<(&'static str, Question)> {
    fn hits(index: &Index, query: Result<Query>) -> Result<String> {
        let hits = index.search(&query.unwrap().top(7))?;
        let bare = |hit: &crate::Hit| format!("{} {:08x}", hit.key(), hit.score().to_bits());
        Ok(format!("{:?} {:?}", hits.iter().map(bare).collect::<Vec<_>>(), hits.certainty()))
    }
    let sparse = |index: &Index| {
        Query::sparse(&index.schema().sparse("terms").unwrap(), &[(1u32, 1.0f32), (4, 3.0)])
    };
    let tokens = |index: &Index, name: &str| {
        let field = index.schema().tokens(name).unwrap();
        Query::tokens(&field, TokenMatrix::new(&rows(99, 3), DIM))
    };
    let document = |index: &Index| Ok::<_, Error>(index.get("key 41")?.expect("it lives"));
    vec![
        ("sparse", Box::new(move |i| hits(i, sparse(i)))),
        ("exact", Box::new(move |i| hits(i, sparse(i).map(Query::exact)))),
        ("packed", Box::new(move |i| hits(i, tokens(i, "packed")))),
        ("listed", Box::new(move |i| hits(i, tokens(i, "listed")))),
        ("listed exact", Box::new(move |i| hits(i, tokens(i, "listed").map(Query::exact)))),
        (
            "filtered",
            Box::new(move |i| {
                let lang = i.schema().keyword("lang").unwrap();
                let year = i.schema().i64("year").unwrap();
                let filter = lang.eq("en") & year.range(1995..2040);
                hits(i, sparse(i).map(|query| query.filter(filter)))
            }),
        ),
        (
            "reranked",
            Box::new(move |i| {
                let field = i.schema().tokens("packed").unwrap();
                let rows = rows(98, 2);
                hits(i, sparse(i).and_then(|q| q.rerank(&field, TokenMatrix::new(&rows, DIM))))
            }),
        ),
        (
            "batch",
            Box::new(move |i| {
                let queries = vec![sparse(i).unwrap(), tokens(i, "packed").unwrap()];
                let answers = i.search_batch(&queries, 2)?;
                Ok(answers.iter().map(|hits| hits.len().to_string()).collect())
            }),
        ),
        (
            "facets",
            Box::new(|i| {
                let lang = i.schema().keyword("lang").unwrap();
                Ok(format!("{:?}", i.facets(None, &lang, 5)?))
            }),
        ),
        ("contains", Box::new(|i| Ok(i.contains("key 3")?.to_string()))),
        ("payload", Box::new(move |i| Ok(format!("{:?}", document(i)?.payload()?)))),
        (
            "keywords",
            Box::new(move |i| {
                let lang = i.schema().keyword("lang").unwrap();
                Ok(format!("{:?}", document(i)?.keywords(&lang)?))
            }),
        ),
        (
            "number",
            Box::new(move |i| {
                let year = i.schema().i64("year").unwrap();
                Ok(format!("{:?}", document(i)?.i64(&year)?))
            }),
        ),
        (
            "weights",
            Box::new(move |i| {
                let terms = i.schema().sparse("terms").unwrap();
                Ok(format!("{:?}", document(i)?.sparse(&terms)?))
            }),
        ),
        (
            "rows",
            Box::new(move |i| {
                let packed = i.schema().tokens("packed").unwrap();
                Ok(format!("{:?}", document(i)?.tokens(&packed)?))
            }),
        ),
        (
            "documents",
            Box::new(|i| {
                let snapshot = i.snapshot();
                let keys = snapshot.documents().map(|d| Ok(d?.key().to_string()));
                Ok(keys.collect::<Result<Vec<String>>>()?.join(","))
            }),
        ),
        (
            "explained",
            Box::new(move |i| {
                let query = sparse(i).unwrap();
                let hits = i.search(&query)?;
                Ok(format!("{:?}", i.explain(&query, &hits[0])?))
            }),
        ),
        ("verified", Box::new(|i| i.verify().map(|()| String::new()))),
    ]
}

fn opened(storage: &FaultStorage) -> Result<Index> {
    Index::start(Arc::new(storage.clone()), None)
}

#[test]
fn every_read_may_fail_in_every_way() {
    let disk = MemStorage::new();
    build(&disk);
    let mapped = Index::start(Arc::new(disk.clone()), None).unwrap();
    let (mut failed, mut answered) = (0, 0);
    for (what, ask) in questions() {
        let truth = ask(&mapped).unwrap();
        let count = FaultStorage::by_position(disk.clone(), u64::MAX, Fault::Device);
        let index = opened(&count).unwrap();
        let opening = count.operations();
        assert_eq!(ask(&index).unwrap(), truth, "{what}");
        assert_eq!(ask(&index).unwrap(), truth, "{what}, again");
        let operations = count.operations();
        assert!(operations > opening, "{what}: nothing was read");
        for at in 0..operations {
            for fault in Fault::ALL {
                let place = format!("{what}: operation {at} of {operations}, {fault:?}");
                let storage = FaultStorage::by_position(disk.clone(), at, fault);
                let told = |error: Error| {
                    assert!(matches!(error, Error::Io { .. }), "{place}: {error}");
                    assert_ne!(fault, Fault::Interrupted, "{place}: {error}");
                };
                let index = match opened(&storage) {
                    Ok(index) => index,
                    Err(error) => {
                        told(error);
                        failed += 1;
                        continue;
                    }
                };
                match ask(&index) {
                    Ok(found) => {
                        assert_eq!(found, truth, "{place}");
                        answered += 1;
                    }
                    Err(error) => {
                        told(error);
                        failed += 1;
                        // Nothing is believed of this snapshot any more, until it is opened anew.
                        if what != "verified" {
                            assert!(ask(&index).is_err(), "{place}: forgotten");
                        }
                        if fault == Fault::Device {
                            index.refresh().unwrap();
                            assert_eq!(ask(&index).unwrap(), truth, "{place}: opened anew");
                        }
                    }
                }
            }
        }
    }
    assert!(failed > 1000 && answered > 100, "{failed} {answered}");
}

#[test]
fn what_is_not_asked_for_is_not_read() {
    let disk = MemStorage::new();
    build(&disk);
    let all: usize = disk.list().unwrap().iter().map(|name| disk.open(name).unwrap().len()).sum();
    let storage = FaultStorage::by_position(disk.clone(), u64::MAX, Fault::Device);
    let index = opened(&storage).unwrap();
    let before = storage.operations();
    assert!(index.contains("key 41").unwrap() && !index.contains("key 3").unwrap());
    let few = storage.operations() - before;
    index.verify().unwrap();
    let many = storage.operations() - before - few;
    assert!(few * 4 < many, "{few} reads for a key, {many} for all of {all} bytes");
}
