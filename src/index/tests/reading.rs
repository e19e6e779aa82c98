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
                        // The device that failed once is asked again, one that is dead as well.
                        match fault {
                            Fault::Dead => assert!(ask(&index).is_err(), "{place}: forgotten"),
                            Fault::Short => drop(ask(&index)),
                            _ => assert_eq!(ask(&index).unwrap(), truth, "{place}: asked again"),
                        }
                        if matches!(fault, Fault::Device | Fault::Short) {
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
    // What opening has read stays: heads, and nothing that grows with the documents.
    assert!(storage.cache().held() < 1000, "{:?}", storage.cache());
    let before = storage.operations();
    assert!(index.contains("key 41").unwrap() && !index.contains("key 3").unwrap());
    let few = storage.operations() - before;
    index.verify().unwrap();
    let many = storage.operations() - before - few;
    assert!(few * 4 < many, "{few} reads for a key, {many} for all of {all} bytes");
}

/// However little may be held, every question has its answer as long as what it needs itself fits,
/// and else is told so; never is more held than what may be, or what the one who asks needs.
#[test]
fn what_is_held_is_bounded_and_answers_are_the_same() {
    let disk = MemStorage::new();
    build(&disk);
    let mapped = Index::start(Arc::new(disk.clone()), None).unwrap();
    let all: u64 = disk.list().unwrap().iter().map(|f| disk.open(f).unwrap().len() as u64).sum();
    let questions = questions();
    let truths: Vec<String> = questions.iter().map(|(_, ask)| ask(&mapped).unwrap()).collect();
    let holding = |most: u64| {
        let storage = FaultStorage::by_position(disk.clone(), u64::MAX, Fault::Device);
        let storage = storage.holding(most);
        (opened(&storage), storage)
    };
    let (mut refused, mut fitting) = (0, None);
    for most in (1..=40).map(|part| all * part / 40) {
        let (index, storage) = holding(most);
        let index = index.unwrap();
        let mut fits = true;
        for round in 0..2 {
            for ((what, ask), truth) in questions.iter().zip(&truths) {
                match ask(&index) {
                    Ok(found) => assert_eq!(found, *truth, "{what}, {most}"),
                    Err(Error::Io { source, .. }) => {
                        assert_eq!(source.kind(), std::io::ErrorKind::FileTooLarge, "{what}");
                        fits = false;
                        refused += 1;
                    }
                    Err(error) => panic!("{what}, {most}: {error}"),
                }
                let held = index.info().resident;
                assert!(held <= most, "{what}, {round}: {held} of {most} bytes");
            }
        }
        // A batch is two searches at a time.
        assert!(storage.cache().peak() <= 2 * most, "{:?} of {most}", storage.cache());
        if fits && fitting.is_none() {
            fitting = Some(most);
        }
    }
    // Most of the file is never needed at once.
    let fitting = fitting.unwrap();
    assert!(refused > 0 && fitting < all * 3 / 4, "{fitting} of {all} bytes");
    // What fits is read again where it was let go, and not where there is room.
    let reads = |most| {
        let (index, storage) = holding(most);
        let index = index.unwrap();
        for (_, ask) in &questions {
            ask(&index).unwrap();
        }
        let before = storage.operations();
        questions.iter().take(17).for_each(|(_, ask)| drop(ask(&index).unwrap()));
        storage.operations() - before
    };
    assert_eq!(reads(u64::MAX), 0);
    assert!(reads(fitting) > 0);
    // Other questions at the same time change nothing of that.
    let (index, storage) = holding(fitting);
    let index = index.unwrap();
    std::thread::scope(|scope| {
        for first in 0..4 {
            let (index, truths) = (&index, &truths);
            scope.spawn(move || {
                let questions = super::reading::questions();
                for at in (0..40).map(|at| (at * 5 + first) % truths.len()) {
                    assert_eq!((questions[at].1)(index).unwrap(), truths[at]);
                }
            });
        }
    });
    assert!(storage.cache().peak() <= 8 * fitting);
    assert!(index.info().resident <= fitting);
    // What is closed is let go.
    drop(index);
    assert_eq!(storage.cache().held(), 0);
}

/// Keys that are numbers lie elsewhere than the order in which they are looked up.
#[test]
fn keys_that_are_numbers_may_be_out_of_reach() {
    let disk = MemStorage::new();
    let storage: Arc<dyn Storage> = Arc::new(disk.clone());
    let mut writer = start(&storage, true, Merges::Manual).unwrap();
    for key in 0..500 {
        put(&mut writer, key * 3, 1).unwrap();
    }
    writer.commit().unwrap();
    drop(writer);
    let count = FaultStorage::by_position(disk.clone(), u64::MAX, Fault::Device);
    let index = opened(&count).unwrap();
    let first = count.operations();
    assert!(index.contains(6u64).unwrap() && !index.contains(7u64).unwrap());
    let mut failed = 0;
    for at in first..count.operations() {
        let storage = FaultStorage::by_position(disk.clone(), at, Fault::Device);
        let index = opened(&storage).unwrap();
        match index.get(6u64) {
            Ok(found) => assert!(found.is_some()),
            Err(error) => {
                assert!(matches!(error, Error::Io { .. }), "{error}");
                failed += 1;
            }
        }
        assert!(index.contains(6u64).unwrap(), "asked again");
    }
    assert!(failed > 1, "{failed}");
}
