//! Indexes of each released format, as they were written then: they are read for ever, and the
//! writer writes the same bytes until the format's version says otherwise.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes those of the format that is being written.
//! That is right while the version is unreleased, and for a new version, whose folder is a new one;
//! for a version of [`RELEASED`] it is refused.

#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/mend.rs"]
mod mend;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use lateen::{
    Centroids, Document, DocumentOrder, Error, Index, KeyKind, Normalization, Schema, TokenMatrix,
    TokenOptions,
};

/// The version that is written, as the headers have it.
const WRITTEN: &str = "1.0";

/// The versions that a release has written: their golden indexes stay as they are for ever. A release
/// adds the version that it writes.
const RELEASED: &[&str] = &[];

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Writes the golden indexes into a folder.
fn write(folder: &Path) {
    let create =
        |name: &str| sample::options().create(folder.join(name), sample::schema()).unwrap();
    sample::plain(&mut create("plain")).unwrap();
    let mut writer = create("deletes");
    sample::plain(&mut writer).unwrap();
    sample::deletes(&mut writer).unwrap();
    drop(writer);
    let index = Index::open(folder.join("deletes")).unwrap();
    index.pack(folder.join("packed.lateen")).unwrap();
    let mut writer = create("merged");
    sample::plain(&mut writer).unwrap();
    sample::deletes(&mut writer).unwrap();
    writer.force_merge(1, |_| {}).unwrap();
    drop(writer);
    let options = sample::options().threads(1);
    sample::rich(
        &mut options.clone().create(folder.join("codecs"), sample::rich_schema()).unwrap(),
    )
    .unwrap();
    let large = tempfile::tempdir().unwrap();
    for (name, order) in [("curve", DocumentOrder::Given), ("similar", DocumentOrder::Similar)] {
        let sums = curve(&large.path().join(name), order);
        fs::write(folder.join(name).with_extension("txt"), sums).unwrap();
    }
    fs::write(folder.join("wide.txt"), wide(&large.path().join("wide"))).unwrap();
    // Packed rows and rows that wait, merged.
    let path = large.path().join("joined");
    let mut writer = options.create(&path, sample::rich_schema()).unwrap();
    sample::rich(&mut writer).unwrap();
    writer.force_merge(1, |_| {}).unwrap();
    drop(writer);
    fs::write(folder.join("joined.txt"), sums(&path)).unwrap();
    for name in ["plain", "deletes", "merged", "codecs"] {
        let index = Index::open(folder.join(name)).unwrap();
        fs::write(folder.join(format!("{name}.txt")), account(&index)).unwrap();
    }
}

/// What an index of many documents is on the disk, file by file: too large to be kept, and the only
/// one that has a recall curve of a sparse field.
fn curve(path: &Path, order: DocumentOrder) -> String {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let sparse = schema.sparse("sparse");
    let options = sample::options().threads(1).order(order);
    let mut writer = options.create(path, schema.build().unwrap()).unwrap();
    for i in 0..32_768u32 {
        let weight = |of: u32| 0.25 + ((i + 1).wrapping_mul(of) >> 24) as f32 / 64.0;
        let terms = [
            (i % 5, weight(0x9E37_79B1)),
            (10 + i % 61, weight(0x85EB_CA6B)),
            (100 + i % 997, weight(0xC2B2_AE35)),
        ];
        writer.add(&Document::new(u64::from(i)).sparse(&sparse, &terms).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    let out = sums(path);
    assert!(out.contains("  section 83:"), "no recall curve");
    out
}

/// The same of more documents than lists of centroids count in two bytes.
fn wide(path: &Path) -> String {
    const DOCS: u32 = 65_537;
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let options = TokenOptions::new(sample::DIM).centroids(Centroids::Count(4));
    let rows = schema.tokens("rows", options.normalization(Normalization::Normalize));
    let options = sample::options().threads(1);
    let mut writer = options.create(path, schema.build().unwrap()).unwrap();
    for i in 0..DOCS {
        let drawn = |at: u32| ((i * 8 + at + 1).wrapping_mul(0x9E37_79B1) >> 16) as f32 - 32_767.5;
        let row: [f32; sample::DIM] = std::array::from_fn(|at| drawn(at as u32));
        let matrix = TokenMatrix::new(&row, sample::DIM);
        writer.add(&Document::new(u64::from(i)).tokens(&rows, matrix).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    // A document each, of four bytes.
    let out = sums(path);
    assert!(out.contains(&format!("  section 139: {} bytes", 4 * DOCS)), "{out}");
    out
}

/// The files of an index and their sections: what is too large to be kept.
fn sums(path: &Path) -> String {
    let mut out = String::new();
    let mut line = |what: String, bytes: &[u8]| {
        let sum = xxhash_rust::xxh3::xxh3_64(bytes);
        writeln!(out, "{what}: {} bytes, xxh3 {sum:016x}", bytes.len()).unwrap();
    };
    for (name, bytes) in content(path) {
        line(name.display().to_string(), &bytes);
        for entry in mend::entries(&bytes) {
            let section = &bytes[entry.offset..entry.offset + entry.length];
            line(format!("  section {}", entry.kind), section);
        }
    }
    out
}

/// What is read from an index, with every bit of every number: of some documents where there are many.
fn account(index: &Index) -> String {
    let schema = index.schema();
    let mut out = String::new();
    let step = if index.len() > 100 { 37 } else { 1 };
    for document in index.snapshot().documents().step_by(step) {
        let document = document.unwrap();
        let payload = document.payload().unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
        writeln!(out, "{}: {payload:?}", document.key()).unwrap();
        for (name, kind) in schema.field_names() {
            let value = match kind {
                "sparse" => {
                    let vector = document.sparse(&schema.sparse(name).unwrap()).unwrap();
                    let bits =
                        |(term, weight): (u32, f32)| format!("{term}:{:08x}", weight.to_bits());
                    format!("{:?}", vector.map(|v| v.into_iter().map(bits).collect::<Vec<_>>()))
                }
                "tokens" => {
                    let rows = document.tokens(&schema.tokens(name).unwrap()).unwrap();
                    let bits = |x: f32| format!("{:08x}", x.to_bits());
                    format!("{:?}", rows.map(|rows| rows.into_iter().map(bits).collect::<String>()))
                }
                "keyword" => {
                    format!("{:?}", document.keywords(&schema.keyword(name).unwrap()).unwrap())
                }
                "i64" => format!("{:?}", document.i64(&schema.i64(name).unwrap()).unwrap()),
                "u64" => format!("{:?}", document.u64(&schema.u64(name).unwrap()).unwrap()),
                "f64" => format!("{:?}", document.f64(&schema.f64(name).unwrap()).unwrap()),
                "bool" => format!("{:?}", document.bool(&schema.bool(name).unwrap()).unwrap()),
                other => panic!("a field of kind {other}"),
            };
            writeln!(out, "  {name} {value}").unwrap();
        }
    }
    for (at, query) in sample::queries(&schema).iter().enumerate() {
        let hits = index.search(query).unwrap();
        let hit = |hit: &lateen::Hit| format!("{} {:08x}", hit.key(), hit.score().to_bits());
        let hits: Vec<String> = hits.iter().map(hit).collect();
        writeln!(out, "query {at}: {}", hits.join(", ")).unwrap();
    }
    out
}

/// Every file of a folder and of those in it, by its path.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_path_buf();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

#[test]
fn the_writer_writes_what_it_always_wrote() {
    let place = tempfile::tempdir().unwrap();
    write(place.path());
    let (new, folder) = (content(place.path()), golden().join(WRITTEN));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let released = RELEASED.contains(&WRITTEN);
        assert!(
            !released,
            "a release has written {WRITTEN}: what changes its bytes has a new version"
        );
        let _ = fs::remove_dir_all(&folder);
        for (name, bytes) in &new {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
    let old = content(&folder);
    assert_eq!(old.keys().collect::<Vec<_>>(), new.keys().collect::<Vec<_>>());
    for (name, bytes) in &old {
        let name_of = name.display();
        assert!(
            *bytes == new[name],
            "{name_of} has changed: a format that was released changes its version with its \
             bytes; see the head of this file"
        );
    }
    let size: usize = old.values().map(Vec::len).sum();
    assert!(size < 1 << 20, "{size} bytes");
}

#[test]
fn every_format_that_was_written_is_read() {
    let mut read = 0;
    for version in fs::read_dir(golden()).unwrap() {
        let folder = version.unwrap().path();
        for (index, text) in [
            ("plain", "plain"),
            ("deletes", "deletes"),
            ("packed.lateen", "deletes"),
            ("merged", "merged"),
            ("codecs", "codecs"),
        ] {
            let index = Index::open(folder.join(index)).unwrap();
            index.verify().unwrap();
            let expected = fs::read_to_string(folder.join(format!("{text}.txt"))).unwrap();
            assert!(account(&index) == expected, "{}: {text}", folder.display());
            read += 1;
        }
        // Rows that are packed, and rows that wait for it.
        let info = Index::open(folder.join("codecs")).unwrap().info();
        let of_parts = |segment: usize| {
            let own = info.segments[segment].vectors.iter().find(|own| own.field == "parts");
            own.and_then(|own| own.codec.clone())
        };
        assert_eq!([of_parts(0).unwrap(), of_parts(1).unwrap()], ["pq4x4", "int8"]);
    }
    assert!(read >= 5);
}

/// The packed golden index with one of its files made anew.
fn with_file(part: &str, change: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let good = fs::read(golden().join(WRITTEN).join("packed.lateen")).unwrap();
    let names = mend::files(&good);
    let mut parts = mend::parts(&good);
    let (at, (_, place)) =
        names.iter().enumerate().find(|(_, (name, _))| name.starts_with(part)).unwrap();
    // The first section is the list of names; the files follow in its order.
    parts[at + 1].data = change(&good[place.clone()]);
    parts[at + 1].elem_size = 1;
    let mut bytes = mend::container(&good, &parts);
    mend::reseal_index(&mut bytes);
    bytes
}

const FILES: [&str; 3] = ["manifest-", "seg-", "del-"];

#[test]
fn what_is_put_together_again_is_the_same() {
    let good = fs::read(golden().join(WRITTEN).join("packed.lateen")).unwrap();
    for part in FILES {
        assert!(
            with_file(part, |file| mend::container(file, &mend::parts(file))) == good,
            "{part}"
        );
    }
}

#[test]
fn additions_that_may_be_ignored_are() {
    let extra = mend::Part { kind: 99, flags: 1 << 16, field: 5, elem_size: 2, data: vec![7; 10] };
    for part in FILES {
        let bytes = with_file(part, |file| {
            let mut header = file.to_vec();
            header[10] = 9; // a later minor
            header[24] = 0b101; // features that may be ignored
            let mut parts = mend::parts(file);
            parts.insert(1, extra.clone());
            parts.push(mend::Part { kind: 98, flags: 0, ..extra.clone() });
            mend::container(&header, &parts)
        });
        let index = Index::options().from_bytes(&bytes).unwrap();
        index.verify().unwrap();
        let folder = golden().join(WRITTEN);
        let expected = fs::read_to_string(folder.join("deletes.txt")).unwrap();
        assert!(account(&index) == expected, "{part}");
    }
}

#[test]
fn what_must_be_understood_and_is_not_is_refused() {
    let header = |at: usize, value: u8| {
        move |file: &[u8]| {
            let mut file = file.to_vec();
            file[at] = value;
            file
        }
    };
    let section = |kind: u32, flags: u32| {
        move |file: &[u8]| {
            let mut parts = mend::parts(file);
            parts.push(mend::Part { kind, flags, field: 0, elem_size: 1, data: vec![1] });
            mend::container(file, &parts)
        }
    };
    let flags = |file: &[u8]| {
        let mut parts = mend::parts(file);
        parts[0].flags |= 1 << 7; // reserved: must be understood
        mend::container(file, &parts)
    };
    for part in FILES {
        let too_new = [
            ("a later major", with_file(part, header(8, 2))),
            ("a feature", with_file(part, header(16, 1))),
            ("the last feature", with_file(part, header(23, 0x80))),
            ("a section", with_file(part, section(99, 1))),
            ("a flag", with_file(part, flags)),
        ];
        for (what, bytes) in too_new {
            let error = Index::options().from_bytes(&bytes).unwrap_err();
            assert!(matches!(error, Error::TooNew { .. }), "{part}, {what}: {error}");
            assert!(error.to_string().contains("too new"), "{error}");
        }
        let too_old = with_file(part, header(8, 0));
        let error = Index::options().from_bytes(&too_old).unwrap_err();
        assert!(matches!(error, Error::TooOld { found: 0, .. }), "{part}: {error}");
    }
}
