//! The bodies of the fuzz targets, over the committed corpus and over changed valid inputs,
//! without a fuzzer.

#[allow(unreachable_pub, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/bodies.rs"]
mod bodies;
mod random;

use std::path::Path;

use lateen::{Document, IndexWriter, Schema, TokenMatrix};
use random::Draw;

/// Runs a body over the files of its corpus.
fn corpus(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {}", folder.display());
}

/// Runs a body over a valid input with up to four bytes changed, many times.
fn changed(good: &[u8], times: u64, body: fn(&[u8])) {
    body(good);
    let mut draw = Draw::new(1);
    let mut next = || usize::try_from(draw.next() >> 1).unwrap();
    for _ in 0..times {
        let mut bad = good.to_vec();
        for _ in 0..=next() % 4 {
            let at = next() % bad.len();
            bad[at] = u8::try_from(next() % 256).unwrap();
        }
        bad.truncate(bad.len() - if next() % 8 == 0 { next() % bad.len() } else { 0 });
        body(&bad);
    }
}

/// A small packed index.
fn packed() -> Vec<u8> {
    let mut schema = Schema::builder();
    let (sparse, tokens) = (schema.sparse("sparse"), schema.tokens("tokens", 8));
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    for i in 1u8..=20 {
        let terms = [(1u32, f32::from(i)), (2, 0.5), (69_990 + u32::from(i), 1.0)];
        let row = [1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let document = Document::new(format!("doc-{i}"))
            .sparse(&sparse, &terms)
            .and_then(|document| document.tokens(&tokens, TokenMatrix::new(&row, 8)))
            .unwrap();
        writer.add(&document.payload(vec![i; 40])).unwrap();
    }
    writer.commit().unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("packed");
    writer.reader().unwrap().pack(&file).unwrap();
    std::fs::read(file).unwrap()
}

#[test]
fn open_packed() {
    corpus("open_packed", bodies::open_packed);
    changed(&packed(), 3000, bodies::open_packed);
}

#[test]
fn npy() {
    corpus("npy", bodies::npy);
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini");
    changed(&std::fs::read(set.join("tok_doclens.npy")).unwrap(), 3000, bodies::npy);
}

#[test]
fn ingest() {
    corpus("ingest", bodies::ingest);
    let floats: Vec<u8> = (0u16..512).flat_map(|i| (f32::from(i) / 7.0).to_le_bytes()).collect();
    changed(&floats, 300, bodies::ingest);
}

/// `UPDATE_CORPUS=1 cargo test --test fuzz_bodies` writes the seeds anew.
#[test]
fn seeds() {
    if std::env::var_os("UPDATE_CORPUS").is_none() {
        return;
    }
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini");
    let floats: Vec<u8> = (0u16..64).flat_map(|i| (f32::from(i) / 7.0).to_le_bytes()).collect();
    let lengths = std::fs::read(set.join("tok_doclens.npy")).unwrap();
    for (target, name, bytes) in [
        ("open_packed", "small", packed()),
        ("open_packed", "empty", Vec::new()),
        ("npy", "lengths", lengths),
        ("ingest", "floats", floats),
        ("ingest", "nan", [0xFF; 64].to_vec()),
    ] {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}
