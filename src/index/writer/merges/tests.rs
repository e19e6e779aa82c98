//! What merges take, and when they are tried.

use crossbeam::channel::Sender;

use super::*;
use crate::embed::{Document, TokenMatrix};
use crate::index::WriterOptions;
use crate::schema::{KeyKind, Schema};

/// With one vector field, of the one kind or of the other.
fn writer(sparse: bool, options: WriterOptions) -> IndexWriter {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    if sparse {
        schema.sparse("field");
    } else {
        schema.tokens("field", 8);
    }
    options.in_memory(schema.build().unwrap()).unwrap()
}

/// A commit of so many documents, from a key on, with one entry or one row each.
fn commit(writer: &mut IndexWriter, from: u64, count: u64) {
    let row = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let (sparse, tokens) = (writer.schema().sparse("field"), writer.schema().tokens("field"));
    for key in from..from + count {
        let document = match (&sparse, &tokens) {
            (Ok(field), _) => Document::new(key).sparse(field, &[(1u32, 1.0f32)]).unwrap(),
            (_, Ok(field)) => Document::new(key).tokens(field, TokenMatrix::new(&row, 8)).unwrap(),
            _ => panic!("neither"),
        };
        writer.add(&document).unwrap();
    }
    writer.commit().unwrap();
}

#[test]
fn a_merge_on_its_own_takes_half_of_the_memory() {
    for (sparse, memory) in [(false, 64 << 20), (true, 64 << 20), (true, 12_345_678)] {
        let mut writer = writer(sparse, WriterOptions::default().memory(memory));
        let turned = if sparse { writer.job(0..0).memory } else { 0 };
        let taken = writer.memory_of_inputs() + turned as u64;
        assert!(taken.abs_diff(memory as u64 / 2) <= 2, "{sparse} {memory}: {taken}");
    }
}

#[test]
fn a_merge_within_a_commit_takes_a_quarter_of_that() {
    // By account 24 bytes a document, and a row as many as it has components, and ten.
    for (sparse, cost, within, beyond) in [(true, 24, 1360, 1370), (false, 42, 1555, 1565)] {
        for (count, merged) in [(within, true), (beyond, false)] {
            let mut options = WriterOptions::default().memory(0);
            options.least = 1 << 26;
            let mut writer = writer(sparse, options);
            (0..4).for_each(|at| commit(&mut writer, at * count, count));
            let costs = writer.sizes().iter().map(|size| size.cost).sum::<u64>();
            assert_eq!(costs, 4 * count * cost);
            let segments = writer.snapshot().segments().len();
            assert_eq!(segments, if merged { 1 } else { 4 }, "{count} documents, sparse {sparse}");
        }
    }
}

/// After the first failure with the next commit, then after 2, 4 … 1,024 commits.
#[test]
fn what_fails_is_tried_ever_more_rarely() {
    let mut attempts = Attempts::default();
    assert!(attempts.may(0) && attempts.may(7));
    let mut commit = 7;
    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1024, 1024] {
        attempts.failed(Error::Replaced { place: "x".to_owned() }, commit);
        assert!(attempts.error.is_some());
        let first = (commit..commit + 5000).find(|&commit| attempts.may(commit));
        assert_eq!(first, Some(commit + wait));
        commit += wait;
    }
}

/// A merge that somebody else says the end of.
fn running(inputs: Vec<u64>, name: &str) -> (Running, Sender<Result<Merged>>) {
    let (send, result) = bounded(1);
    let merging = Arc::default();
    (Running { inputs, name: name.to_owned(), merging, result, thread: None }, send)
}

#[test]
fn a_commit_waits_for_no_merge_and_leaves_its_file_alone() {
    let mut writer = writer(true, WriterOptions::default());
    commit(&mut writer, 0, 1);
    let name = segment_name(0xFFFF);
    writer.storage.create_new(&name).unwrap().write_all(b"not whole yet").unwrap();
    let (merge, end) = running(vec![0xAAAA], &name);
    writer.running = Some(merge);
    for key in 1..5 {
        commit(&mut writer, key, 1);
        assert!(writer.running.is_some() && writer.last_merge_error().is_none());
        assert!(writer.storage.list().unwrap().contains(&name));
    }
    let waited = |writer: &IndexWriter| writer.running.as_ref().unwrap().wait(Duration::ZERO);
    assert_eq!(waited(&writer), Err(RecvTimeoutError::Timeout));
    drop(end);
    assert_eq!(waited(&writer), Ok(()));
    // Its end is known at the next commit, and what it left is taken away.
    commit(&mut writer, 5, 1);
    assert!(writer.running.is_none() && writer.last_merge_error().is_some());
    assert!(!writer.storage.list().unwrap().contains(&name));
}

#[test]
fn what_is_being_merged_is_not_merged_within_a_commit() {
    let mut writer = writer(true, WriterOptions::default().merges(Merges::Manual));
    for (count, due) in [(5, None), (6, Some(2..6)), (7, Some(2..7))] {
        while writer.segments.len() < count {
            let key = writer.len();
            commit(&mut writer, key, 1);
        }
        let inputs = writer.segments[..2].iter().map(|held| held.entry.ordinal).collect();
        let (merge, _end) = running(inputs, "x");
        writer.running = Some(merge);
        assert_eq!(writer.due_at_once(), due, "{count} segments");
        writer.running = None;
        assert_eq!(writer.due_at_once(), Some(0..count));
    }
}

#[test]
fn a_merge_that_is_dropped_has_ended() {
    let (mut merge, _end) = running(Vec::new(), "x");
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let own = Arc::clone(&done);
    merge.thread = Some(std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        own.store(true, std::sync::atomic::Ordering::SeqCst);
    }));
    drop(merge);
    assert!(done.load(std::sync::atomic::Ordering::SeqCst));
}

/// What is deleted while its segment is merged, the whole segment included, does not live again.
#[test]
fn what_died_meanwhile_is_dead_in_what_was_merged() {
    let mut writer = writer(true, WriterOptions::default().merges(Merges::Manual));
    commit(&mut writer, 0, 3);
    commit(&mut writer, 10, 4);
    let job = writer.job(0..2);
    let merged = job.run().unwrap();
    // Its file is that of a merge that goes on.
    let (merge, _end) = running(job.inputs.clone(), &segment_name(job.ordinal));
    writer.running = Some(merge);
    writer.delete(1u64).unwrap();
    writer.delete_batch(10u64..14).unwrap();
    writer.commit().unwrap();
    assert_eq!(writer.segments.len(), 1, "of the second nothing lives");
    writer.running = None;
    writer.take_over(&job.inputs, merged);
    writer.commit().unwrap();
    assert_eq!((writer.segments.len(), writer.len()), (1, 2));
    let snapshot = writer.snapshot();
    let living: Vec<u64> = (0..20).filter(|&key| snapshot.contains(key).unwrap()).collect();
    assert_eq!(living, [0, 2]);
}

#[test]
fn a_merge_of_nothing_that_lives_leaves_no_segment() {
    let mut writer = writer(true, WriterOptions::default().merges(Merges::Manual));
    commit(&mut writer, 0, 3);
    commit(&mut writer, 10, 4);
    writer.delete_batch((0..3).chain(10u64..14)).unwrap();
    writer.merge_now(0..2).unwrap();
    assert_eq!((writer.segments.len(), writer.len()), (0, 0));
    writer.commit().unwrap();
    assert!(writer.snapshot().is_empty());
}
