//! `kill -9` of a process that writes and merges, at random moments: what was acknowledged is there
//! afterwards.
//!
//! Only the process dies here, the system's caches survive; what a power cut leaves is replayed
//! by the simulated storage in the crate's own tests.

#![cfg(unix)]

mod random;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lateen::{Document, Index, IndexWriter, KeyKind, Schema};
use random::Draw;

const CHILD: &str = "LATEEN_CRASH_CHILD";
/// How often it is killed; `LATEEN_KILLS` asks for more, 10,000 before a release.
const CYCLES: u64 = 300;

/// What commit `n` holds: document `i` of `1..=n` was added by commit `i`, and every third one is
/// deleted again by the commit after it. Each document says when it was written.
fn holds(commit: u64, key: u64) -> bool {
    (1..=commit).contains(&key) && !(key.is_multiple_of(3) && key < commit)
}

/// The child: opens the index and commits for ever, printing each commit once it is acknowledged.
/// Run as a test of its own it does nothing.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut writer = IndexWriter::open(path).unwrap();
    let terms = writer.schema().sparse("terms").unwrap();
    println!("ready");
    loop {
        let next = writer.snapshot().commit(); // the first commit is the empty index
        let vector = [(1u32, 1.0f32), (u32::try_from(next % 50).unwrap() + 2, 0.5)];
        let payload = next.to_string().into_bytes();
        writer.add(&Document::new(next).sparse(&terms, &vector).unwrap().payload(payload)).unwrap();
        if next > 1 && (next - 1).is_multiple_of(3) {
            assert_eq!(writer.delete(next - 1).unwrap().documents, 1);
        }
        println!("acknowledged {}", writer.commit().unwrap() - 1);
    }
}

/// Checks that the index is exactly at some commit from `acknowledged` on; gives the commit.
fn check(path: &Path, acknowledged: u64) -> u64 {
    let index = Index::open(path).expect("an index opens after a crash");
    index.verify().expect("an index is sound after a crash");
    let snapshot = index.snapshot();
    let commit = snapshot.commit() - 1;
    assert!(commit >= acknowledged, "commit {acknowledged} was acknowledged, {commit} is there");
    let expected: Vec<u64> = (1..=commit).filter(|&key| holds(commit, key)).collect();
    let mut found: Vec<u64> = snapshot
        .documents()
        .map(|document| {
            let document = document.unwrap();
            let key = document.key().as_u64().unwrap();
            assert_eq!(document.payload().unwrap().unwrap(), key.to_string().into_bytes());
            key
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, expected, "the content of commit {commit}");
    commit
}

#[test]
fn no_acknowledged_commit_is_lost_to_kill_9() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    schema.sparse("terms");
    drop(IndexWriter::create(&path, schema.build().unwrap()).unwrap());

    let cycles = std::env::var_os("LATEEN_KILLS")
        .map_or(CYCLES, |text| text.into_string().unwrap().parse().unwrap());
    let mut acknowledged = 0;
    let mut total = 0;
    let mut merged = 0;
    // How long a commit takes here, as far as is known.
    let mut pace = Duration::from_millis(5);
    let mut draw = Draw::new(1);
    for cycle in 0..cycles {
        // Merges keep the segments few; the documents add up all the same: start anew now and then.
        if cycle > 0 && cycle.is_multiple_of(60) {
            std::fs::remove_dir_all(&path).unwrap();
            let mut schema = Schema::builder();
            schema.keys(KeyKind::U64);
            schema.sparse("terms");
            drop(IndexWriter::create(&path, schema.build().unwrap()).unwrap());
            acknowledged = 0;
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads", "1"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next().expect("the child speaks").unwrap();
            if line.contains("ready") {
                break;
            }
        }
        // Anywhere in the time that the disk takes for a few commits, or in 25 ms if that is more.
        let within = u64::try_from(4 * pace.as_micros()).unwrap().max(25_000);
        let moment = Duration::from_micros(draw.next() % within);
        let start = Instant::now();
        let before = total;
        let killer = std::thread::spawn(move || {
            std::thread::sleep(moment);
            child.kill().unwrap(); // SIGKILL
            child.wait().unwrap();
        });
        for line in lines {
            let line = line.unwrap();
            // A line that the kill cut short was not acknowledged in full.
            if let Some(number) = line.strip_prefix("acknowledged ")
                && let Ok(commit) = number.parse::<u64>()
                && commit == acknowledged + 1
            {
                acknowledged = commit;
                total += 1;
                pace = start.elapsed() / u32::try_from(total - before).unwrap();
            }
        }
        killer.join().unwrap();
        if total == before {
            pace = (2 * pace).min(Duration::from_secs(1));
        }
        acknowledged = check(&path, acknowledged);
        let segments = Index::open(&path).unwrap().info().segments.len() as u64;
        assert!(segments < 60, "{segments} segments");
        merged += u64::from(segments < acknowledged / 2);
        // The lock went with the process, and what it left unfinished is cleaned up.
        drop(IndexWriter::open(&path).unwrap());
        let names: Vec<String> = std::fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(!names.iter().any(|name| name.contains(".tmp")), "left behind: {names:?}");
    }
    println!("{cycles} kills, {total} acknowledged commits, none lost; {merged} after a merge");
    assert!(merged > 0, "nothing was ever merged");
    assert!(total > cycles / 4, "the kills came too early: {total} commits in all");
}
