//! Indexes of each released format, as they were written then: they are read for ever, and the
//! writer writes the same bytes until the format's version says otherwise.
//!
//! `UPDATE_GOLDEN=1 cargo test --test golden` writes those of the format that is being written.
//! That is right while the version is unreleased, and for a new version, whose folder is a new one;
//! for a version of [`RELEASED`] it is refused.

#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/mend.rs"]
mod mend;
#[path = "random/mod.rs"]
mod random;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/sample.rs"]
mod sample;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use lateen::{
    Centroids, Document, Error, Index, IndexWriter, KeyKind, Normalization, Schema, SparseCodec,
    SparseOptions, SparseVector, TokenCodec, TokenMatrix, TokenOptions, TokenTier, Vocabulary,
};
use random::Draw;

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
    codecs(&folder.join("codecs"));
    for name in ["plain", "deletes", "merged"] {
        let index = Index::open(folder.join(name)).unwrap();
        fs::write(folder.join(format!("{name}.txt")), account(&index)).unwrap();
    }
}

/// An index of what the others lack: number keys, dense and four-bit terms, packed rows, a second
/// tier, lists of centroids with their curve, rows that wait to be packed, and a vocabulary.
fn codecs(path: &Path) {
    const DIM: usize = 16;
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let bytes = schema.sparse("bytes");
    let halves = schema.sparse_with("halves", SparseOptions::default().codec(SparseCodec::U4));
    let options = || TokenOptions::new(DIM).normalization(Normalization::Normalize);
    let tokens = [
        schema.tokens("lists", options().centroids(Centroids::Count(12))),
        schema.tokens("tiers", options().codec(TokenCodec::Residual2).tier(TokenTier::Int8)),
        schema.tokens("parts", options().codec(TokenCodec::Product { subspaces: 4, bits: 4 })),
    ];
    let mut writer =
        IndexWriter::options().threads(1).create(path, schema.build().unwrap()).unwrap();
    let mut draw = Draw::new(7);
    for key in 0..400u32 {
        // In all documents, in a seventh, and in this one alone.
        let terms = [1, 10 + key % 7, 1000 + key];
        let weights = [0; 3].map(|_| 0.25 + draw.below(512) as f32 / 64.0);
        let rows: Vec<f32> = (0..3 * DIM).map(|_| draw.below(201) as f32 / 100.0 - 1.0).collect();
        let vector = || SparseVector::new(&terms[..], &weights[..]);
        let mut document = Document::new(u64::from(key)).sparse(&bytes, vector()).unwrap();
        document = document.sparse(&halves, vector()).unwrap();
        for field in &tokens {
            document = document.tokens(field, TokenMatrix::new(&rows[..], DIM)).unwrap();
        }
        writer.add(&document).unwrap();
        if key == 379 {
            writer.commit_packed(|_| {}).unwrap();
        }
    }
    let words = [("oil", 1, 0.5), ("fat", 12, 2.0), ("wax", 1000, 1.25)];
    writer.set_vocabulary(&bytes, &Vocabulary::weighted(words).unwrap()).unwrap();
    writer.commit().unwrap();
}

/// Everything that is read from an index, with every bit of every number.
fn account(index: &Index) -> String {
    let schema = index.schema();
    let mut out = String::new();
    for document in index.snapshot().documents() {
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
        ] {
            let index = Index::open(folder.join(index)).unwrap();
            index.verify().unwrap();
            let expected = fs::read_to_string(folder.join(format!("{text}.txt"))).unwrap();
            assert!(account(&index) == expected, "{}: {text}", folder.display());
            read += 1;
        }
        let index = Index::open(folder.join("codecs")).unwrap();
        index.verify().unwrap();
        assert_eq!(index.len(), 400);
        let info = index.info();
        let stored = |segment: usize| info.segments[segment].vectors[4].codec.as_deref();
        assert_eq!([stored(0), stored(1)], [Some("pq4x4"), Some("int8")]);
    }
    assert!(read >= 4);
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
