//! Every single-bit flip, every byte made another, every truncation and every swap of two unequal
//! blocks, in every file that the live manifest reaches: a verification finds all of them, and
//! nothing ever panics. The same in the golden indexes, of which some are tried, unless
//! `LATEEN_SWEEP` is set.

#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/mend.rs"]
mod mend;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/sample.rs"]
mod sample;

use std::fs;
use std::io::{Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use lateen::{
    Document, Index, IndexWriter, OpenMode, Query, Schema, TokenCodec, TokenMatrix, TokenOptions,
    TokenTier,
};

const DIM: usize = 8;

/// A unit row that differs with `seed`.
fn row(seed: u8) -> [f32; DIM] {
    let mut row = [0.1f32; DIM];
    row[usize::from(seed) % DIM] = 1.0 + f32::from(seed) / 16.0;
    let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.map(|x| x / length)
}

/// A small index with every kind of part: every kind of codec, every attribute, payloads, tombstones.
fn build(path: &Path) {
    let mut schema = Schema::builder();
    let sparse = schema.sparse("sparse");
    let half = schema.tokens("half", TokenOptions::new(DIM).codec(TokenCodec::F16));
    let bytes = schema.tokens("bytes", TokenOptions::new(DIM).codec(TokenCodec::Int8));
    let packed = TokenOptions::new(DIM).codec(TokenCodec::Residual2).tier(TokenTier::F16);
    let packed = schema.tokens("packed", packed);
    let product = TokenCodec::Product { subspaces: 2, bits: 4 };
    let product = schema.tokens("product", TokenOptions::new(DIM).codec(product));
    let lang = schema.keyword("lang");
    let (year, size, price, open) =
        (schema.i64("year"), schema.u64("size"), schema.f64("price"), schema.bool("open"));
    let mut writer = IndexWriter::create(path, schema.build().unwrap()).unwrap();
    for i in 0u8..6 {
        let terms = [(u32::from(i), 1.0 + f32::from(i)), (100, 0.5), (200 + u32::from(i % 2), 2.0)];
        let rows = [row(i), row(i + 3)].concat();
        let payload = format!("payload of document {i}");
        let document = Document::new(format!("doc-{i}"))
            .sparse(&sparse, &terms)
            .and_then(|doc| {
                doc.tokens(&half, TokenMatrix::new(&rows, DIM).spans(&[(0, 3), (4, 9)]))
            })
            .and_then(|doc| doc.tokens(&bytes, TokenMatrix::new(&rows, DIM)))
            .and_then(|doc| doc.tokens(&packed, TokenMatrix::new(&rows, DIM)))
            .and_then(|doc| doc.tokens(&product, TokenMatrix::new(&rows, DIM)))
            .and_then(|doc| doc.keyword(&lang, if i < 3 { "en" } else { "fr" }))
            .and_then(|doc| doc.i64(&year, 1990 + i64::from(i)))
            .and_then(|doc| doc.u64(&size, u64::from(i)))
            .and_then(|doc| doc.f64(&price, f64::from(i) / 2.0))
            .and_then(|doc| doc.bool(&open, i % 2 == 0))
            .unwrap()
            .payload(payload.into_bytes());
        writer.add(&document).unwrap();
    }
    writer.commit_packed(|_| {}).unwrap();
    writer.delete("doc-2").unwrap();
    writer.commit().unwrap();
}

/// Searches in every way and reads what comes out; errors are answers too.
fn use_it(index: &Index) {
    let schema = index.schema();
    let sparse = schema.sparse("sparse").unwrap();
    let terms = [(1u32, 1.0f32), (100, 1.0), (201, 0.5)];
    let query_row = row(1);
    let mut queries = vec![
        Query::sparse(&sparse, &terms).unwrap().exact(),
        Query::sparse(&sparse, &terms).unwrap().filter(
            schema.keyword("lang").unwrap().eq("fr") | schema.i64("year").unwrap().eq(1990),
        ),
    ];
    for name in ["half", "bytes", "packed", "product"] {
        let field = schema.tokens(name).unwrap();
        let rows = TokenMatrix::new(&query_row, DIM);
        queries.push(Query::tokens(&field, rows).unwrap().exact());
        queries.push(Query::sparse(&sparse, &terms).unwrap().rerank(&field, rows).unwrap());
    }
    for query in &queries {
        if let Ok(hits) = index.search(query) {
            for hit in &hits {
                let _ = hit.payload();
                let _ = index.explain(query, hit);
            }
        }
    }
    let _ = index.get("doc-1").map(|found| found.map(|doc| doc.payload()));
    for document in index.snapshot().documents().take(10).flatten() {
        let _ = document.keywords(&schema.keyword("lang").unwrap());
        let _ = document.sparse(&sparse);
        let _ = document.tokens(&schema.tokens("bytes").unwrap());
    }
}

/// What came of one damage.
struct Verdict {
    found: bool,
    panicked: bool,
}

fn judge(open: impl FnOnce() -> lateen::Result<Index>, use_it: fn(&Index)) -> Verdict {
    let result = catch_unwind(AssertUnwindSafe(|| {
        let Ok(index) = open() else { return true };
        // The checksums alone find it; `verify` begins with them.
        let found = index.verify_checksums().is_err();
        use_it(&index);
        found
    }));
    Verdict { found: *result.as_ref().unwrap_or(&false), panicked: result.is_err() }
}

/// Gives every damage of a file to `check`, with a name.
fn damages(good: &[u8], mut check: impl FnMut(&[u8], String)) {
    let mut bad = good.to_vec();
    for bit in 0..good.len() * 8 {
        bad[bit / 8] ^= 1 << (bit % 8);
        check(&bad, format!("bit {bit} flipped"));
        bad[bit / 8] ^= 1 << (bit % 8);
    }
    for at in 0..good.len() {
        for value in [0, !good[at]] {
            if value != good[at] {
                bad[at] = value;
                check(&bad, format!("byte {at} is {value:#x}"));
            }
        }
        bad[at] = good[at];
    }
    for length in 0..good.len() {
        check(&good[..length], format!("cut to {length} bytes"));
    }
    bad.push(0);
    check(&bad, "a byte more".to_owned());
    bad.pop();
    let blocks = good.len() / 64;
    for a in 0..blocks {
        for b in a + 1..blocks {
            let (x, y) = (a * 64..a * 64 + 64, b * 64..b * 64 + 64);
            if good[x.clone()] == good[y.clone()] {
                continue;
            }
            bad[x.clone()].copy_from_slice(&good[y.clone()]);
            bad[y.clone()].copy_from_slice(&good[x.clone()]);
            check(&bad, format!("blocks {a} and {b} swapped"));
            bad[x.clone()].copy_from_slice(&good[x]);
            bad[y.clone()].copy_from_slice(&good[y]);
        }
    }
}

/// The files that the newest manifest reaches, itself included. (The generation before it is kept
/// too, and is not asked for.)
fn reached(path: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |file: &PathBuf| file.file_name().unwrap().to_str().unwrap().to_owned();
    let newest = files.iter().map(name).filter(|name| name.starts_with("manifest-")).max().unwrap();
    files.retain(|file| {
        let name = name(file);
        name == newest || name.starts_with("seg-") || name.starts_with("del-")
    });
    files
}

#[test]
fn every_damage_to_a_directory_is_found_and_survived() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    build(&path);
    Index::open(&path).unwrap().verify().unwrap();
    let files = reached(&path);
    assert_eq!(files.len(), 3, "a manifest, a segment and its tombstones: {files:?}");
    let mut damaged = 0;
    for file in files {
        let good = fs::read(&file).unwrap();
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        #[allow(clippy::permissions_set_readonly_false, reason = "a scratch file")]
        permissions.set_readonly(false);
        fs::set_permissions(&file, permissions).unwrap();
        // Written over in place: a file that is emptied first is flushed to the disk each time.
        let mut scratch = fs::OpenOptions::new().write(true).open(&file).unwrap();
        damages(&good, |bad, what| {
            scratch.rewind().unwrap();
            scratch.write_all(bad).unwrap();
            scratch.set_len(bad.len() as u64).unwrap();
            let verdict = judge(|| Index::options().mode(OpenMode::Heap).open(&path), use_it);
            assert!(!verdict.panicked, "{}: {what}: a panic", file.display());
            assert!(verdict.found, "{}: {what}: not found", file.display());
            damaged += 1;
        });
        fs::write(&file, &good).unwrap();
    }
    Index::open(&path).unwrap().verify().unwrap();
    assert!(damaged > 50_000, "only {damaged} damages were tried");
}

#[test]
fn every_damage_to_a_packed_file_is_found_and_survived() {
    let place = tempfile::tempdir().unwrap();
    build(&place.path().join("index"));
    let packed = place.path().join("packed");
    Index::open(place.path().join("index")).unwrap().pack(&packed).unwrap();
    let good = fs::read(&packed).unwrap();
    Index::options().from_bytes(&good).unwrap().verify().unwrap();
    damages(&good, |bad, what| {
        let verdict = judge(|| Index::options().from_bytes(bad), use_it);
        assert!(!verdict.panicked, "{what}: a panic");
        assert!(verdict.found, "{what}: not found");
    });
}

/// The golden indexes of each format, as the paths of what is opened.
fn golden() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for version in fs::read_dir(all).unwrap() {
        let version = version.unwrap().path();
        for name in ["plain", "deletes", "merged", "packed.lateen", "codecs"] {
            found.push(version.join(name));
        }
    }
    found
}

/// A copy of a golden index that may be written to.
fn copied(golden: &Path, place: &Path) -> PathBuf {
    let path = place.join(golden.file_name().unwrap());
    if golden.is_file() {
        fs::copy(golden, &path).unwrap();
        return path;
    }
    fs::create_dir(&path).unwrap();
    for entry in fs::read_dir(golden).unwrap() {
        let entry = entry.unwrap();
        fs::write(path.join(entry.file_name()), fs::read(entry.path()).unwrap()).unwrap();
    }
    path
}

/// One in so many is tried, and lived with; with `LATEEN_SWEEP` set all are tried, and are to be found.
#[test]
fn damages_to_golden_indexes_are_found() {
    // Coprime to the eight bits of a byte and to the kinds of damage, so that each kind comes up. Of
    // a long file one in so many more, as each of its damages takes longer, too.
    let stride = |length: usize| if length < 100_000 { 1499 } else { 29_989 };
    let sweep = std::env::var_os("LATEEN_SWEEP").is_some();
    let place = tempfile::tempdir().unwrap();
    let mut damaged = 0;
    for golden in golden() {
        let path = copied(&golden, place.path());
        let open = || Index::options().mode(OpenMode::Heap).open(&path);
        open().unwrap().verify().unwrap();
        let files = if path.is_dir() { reached(&path) } else { vec![path.clone()] };
        for file in files {
            let good = fs::read(&file).unwrap();
            let mut scratch = fs::OpenOptions::new().write(true).open(&file).unwrap();
            let mut number = 0u64;
            damages(&good, |bad, what| {
                number += 1;
                let lived_with = number.is_multiple_of(stride(good.len()));
                if !lived_with && !sweep {
                    return;
                }
                scratch.rewind().unwrap();
                scratch.write_all(bad).unwrap();
                scratch.set_len(bad.len() as u64).unwrap();
                let use_it: fn(&Index) =
                    if lived_with { |index| _ = sample::use_all(index) } else { |_| () };
                let verdict = judge(open, use_it);
                assert!(!verdict.panicked, "{}: {what}: a panic", file.display());
                assert!(verdict.found, "{}: {what}: not found", file.display());
                damaged += 1;
            });
            fs::write(&file, &good).unwrap();
        }
        open().unwrap().verify().unwrap();
        println!("{}: {damaged} damages so far", golden.display());
    }
    assert!(damaged > 1000, "only {damaged} damages were tried");
}
