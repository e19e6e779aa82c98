//! A writer that adds, replaces, deletes and merges, beside readers in threads and processes: each
//! snapshot holds what its commit held, and nothing that a process has grows with time.
//!
//! `LATEEN_SOAK` is for how many seconds; 15 where it is not set.

#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lateen::{Document, Index, IndexWriter, KeyKind, Query, Schema, TokenMatrix};

const CHILD: &str = "LATEEN_SOAK_CHILD";
const KEYS: u64 = 1500;
/// The document that says what all the others are.
const DIGEST: u64 = u64::MAX;

fn schema() -> Schema {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    schema.sparse("terms");
    schema.tokens("rows", 16);
    schema.i64("version");
    schema.build().unwrap()
}

fn mix(key: u64, version: i64) -> u64 {
    let mut hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ version.cast_unsigned();
    hash ^= hash >> 29;
    hash = hash.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash ^ (hash >> 32)
}

/// A document whose every part tells its version.
fn put(writer: &mut IndexWriter, key: u64, version: i64, payload: Vec<u8>) {
    let schema = writer.schema().clone();
    let (terms, rows) = (schema.sparse("terms").unwrap(), schema.tokens("rows").unwrap());
    let entries = [(1u32, (version % 1000 + 1) as f32), (2 + (key % 300) as u32, 0.5)];
    let mut row = [0f32; 16];
    row[(version % 16) as usize] = 1.0;
    let document = Document::new(key).sparse(&terms, &entries).unwrap();
    let document = document.tokens(&rows, TokenMatrix::new(&row, 16)).unwrap();
    let document = document.i64(&schema.i64("version").unwrap(), version).unwrap();
    writer.upsert(&document.payload(payload)).unwrap();
}

/// Looks at a snapshot from one end to the other; gives its commit.
fn look(index: &Index) -> u64 {
    let snapshot = index.snapshot();
    let schema = snapshot.schema();
    let (terms, version) = (schema.sparse("terms").unwrap(), schema.i64("version").unwrap());
    let rows = schema.tokens("rows").unwrap();
    let (mut count, mut digest, mut said) = (0u64, 0u64, None);
    for document in snapshot.documents() {
        let document = document.unwrap();
        let key = document.key().as_u64().unwrap();
        let payload = document.payload().unwrap().unwrap();
        if key == DIGEST {
            said = Some(String::from_utf8(payload).unwrap());
            continue;
        }
        let version = document.i64(&version).unwrap().unwrap();
        assert_eq!(payload, version.to_string().into_bytes());
        assert_eq!(document.sparse(&terms).unwrap().unwrap()[0], (1, (version % 1000 + 1) as f32));
        let row = document.tokens(&rows).unwrap().unwrap();
        assert!(row[(version % 16) as usize] > 0.9, "{row:?}");
        (count, digest) = (count + 1, digest ^ mix(key, version));
    }
    if let Some(said) = said {
        assert_eq!(said, format!("{count} {digest}"), "commit {}", snapshot.commit());
        let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap().top(10_000);
        assert_eq!(snapshot.search(&query).unwrap().len() as u64, count + 1);
    }
    snapshot.commit()
}

/// The child: reads until its standard input ends. Run as a test of its own it does nothing.
#[test]
fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::Read::read_to_end(&mut std::io::stdin(), &mut Vec::new());
            ended.store(true, Ordering::Relaxed);
        });
        let index = Index::open(Path::new(&path)).unwrap();
        let mut last = 0;
        let mut looks = 0;
        while !ended.load(Ordering::Relaxed) || looks < 3 {
            index.refresh().unwrap();
            let commit = look(&index);
            assert!(commit >= last);
            (last, looks) = (commit, looks + 1);
        }
    });
}

fn reader(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture", "--test-threads", "1"])
        .env(CHILD, path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Open files, maps, and KiB of anonymous memory of this process.
fn held() -> [u64; 3] {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let anonymous = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    let kib = anonymous.split_whitespace().nth(1).unwrap().parse().unwrap();
    let files = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    [files, maps.lines().filter(|line| line.contains(".seg")).count() as u64, kib]
}

#[test]
fn an_index_is_lived_in() {
    let seconds = std::env::var_os("LATEEN_SOAK")
        .map_or(15, |text| text.into_string().unwrap().parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut writer = IndexWriter::create(&path, schema()).unwrap();
    let done = AtomicBool::new(false);
    let looks = AtomicU64::new(0);
    let mut children: Vec<Child> = (0..2).map(|_| reader(&path)).collect();
    let mut seen = Vec::new();
    let mut commits = 0u64;
    std::thread::scope(|scope| {
        for at in 0..4 {
            let (path, done, looks) = (&path, &done, &looks);
            scope.spawn(move || {
                let mut index = Index::open(path).unwrap();
                while !done.load(Ordering::Relaxed) {
                    if at == 0 {
                        index = Index::open(path).unwrap();
                    } else if at < 3 || looks.load(Ordering::Relaxed) % 64 == 0 {
                        index.refresh().unwrap(); // the last one holds on to old snapshots
                    }
                    look(&index);
                    looks.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut model = std::collections::BTreeMap::new();
        let mut random = 0x2545_F491_4F6C_DD1Du64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) % below
        };
        let start = Instant::now();
        let mut version = 0i64;
        while start.elapsed() < Duration::from_secs(seconds) {
            for _ in 0..=next(40) {
                version += 1;
                let key = next(KEYS);
                put(&mut writer, key, version, version.to_string().into_bytes());
                model.insert(key, version);
            }
            for _ in 0..next(30) {
                let key = next(KEYS);
                let deleted = writer.delete(key).unwrap().documents;
                assert_eq!(deleted, u64::from(model.remove(&key).is_some()));
            }
            if next(50) == 0 {
                let bound = version - 400;
                let field = writer.schema().i64("version").unwrap();
                writer.delete_where(&field.range(..bound)).unwrap();
                model.retain(|_, version| *version >= bound);
            }
            let digest = model.iter().fold(0, |digest, (&key, &at)| digest ^ mix(key, at));
            let said = format!("{} {digest}", model.len()).into_bytes();
            put(&mut writer, DIGEST, version, said);
            writer.commit().unwrap();
            commits += 1;
            if next(100) == 0 {
                writer.force_merge(1 + next(4) as usize, |_| {}).unwrap();
            }
            if commits.is_multiple_of(20) {
                seen.push(held());
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    for child in &mut children {
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success(), "a reader of another process failed");
    }
    let index = Index::open(&path).unwrap();
    index.verify().unwrap();
    look(&index);
    let segments = index.info().segments.len();
    println!(
        "{commits} commits, {} looks, {segments} segments, {:?}",
        looks.into_inner(),
        seen.last()
    );
    assert!(segments <= 50, "{segments} segments");
    // The largest of the second third, and of the last.
    let (middle, last) = seen[seen.len() / 3..].split_at(seen.len() / 3);
    let largest =
        |of: &[[u64; 3]], what: usize| of.iter().map(|held| held[what]).max().unwrap_or(0);
    for (what, name, slack) in [(0, "open files", 30), (1, "maps", 150), (2, "KiB", 16_384)] {
        let (then, now) = (largest(middle, what), largest(last, what));
        assert!(now <= then + then / 2 + slack, "{name}: {then}, then {now}");
    }
    let files = std::fs::read_dir(&path).unwrap().count();
    assert!(files <= 4 * 50, "{files} files");
}
