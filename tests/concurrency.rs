//! Readers beside a writer: each sees whole commits only, and is never disturbed.

use std::sync::atomic::{AtomicBool, Ordering};

use lateen::{Document, Index, IndexWriter, KeyKind, Query, Schema};

/// Commit `n` (counted from 1, after the empty index) holds the documents `1..=n`, of which the
/// even ones below `n` are deleted: what a reader must find, whichever commit it sees.
fn expected(commit: u64) -> u64 {
    let documents = commit - 1;
    documents - documents.saturating_sub(1) / 2
}

#[test]
fn readers_see_whole_commits_while_a_writer_goes_on() {
    const COMMITS: u64 = 150;
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let terms = schema.sparse("terms");
    let mut writer = IndexWriter::create(&path, schema.build().unwrap()).unwrap();
    let done = AtomicBool::new(false);
    let look = |index: &Index| {
        let snapshot = index.snapshot();
        let commit = snapshot.commit();
        assert_eq!(snapshot.len(), expected(commit), "commit {commit}");
        let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap().top(1000);
        let hits = snapshot.search(&query).unwrap();
        assert_eq!(hits.len() as u64, expected(commit), "commit {commit}");
        assert!(hits.windows(2).all(|pair| pair[0].score() >= pair[1].score()));
    };
    std::thread::scope(|scope| {
        // One opens the index anew each time, one refreshes, one holds on to what it had.
        scope.spawn(|| {
            let mut opened = 0;
            while !done.load(Ordering::Relaxed) {
                look(&Index::open(&path).unwrap());
                opened += 1;
            }
            assert!(opened > 0);
        });
        scope.spawn(|| {
            let index = Index::open(&path).unwrap();
            let mut last = 0;
            while !done.load(Ordering::Relaxed) {
                index.refresh().unwrap();
                look(&index);
                assert!(index.snapshot().commit() >= last, "a refresh went back");
                last = index.snapshot().commit();
            }
        });
        scope.spawn(|| {
            let index = Index::open(&path).unwrap();
            let commit = index.snapshot().commit();
            while !done.load(Ordering::Relaxed) {
                look(&index);
                assert_eq!(index.snapshot().commit(), commit);
            }
        });
        for n in 1..=COMMITS {
            let weight = f32::from(u16::try_from(n).unwrap());
            writer.add(&Document::new(n).sparse(&terms, &[(1u32, weight)]).unwrap()).unwrap();
            if n > 1 && (n - 1).is_multiple_of(2) {
                assert_eq!(writer.delete(n - 1).unwrap().documents, 1);
            }
            writer.commit().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let index = Index::open(&path).unwrap();
    assert_eq!(index.snapshot().commit(), COMMITS + 1);
    look(&index);
    index.verify().unwrap();
}
