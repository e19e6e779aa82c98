//! Opening, creating, locking: what is in the way, what is not ours, what is damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lateen::{Error, Index, IndexWriter, KeyKind, OpenMode};

use super::{fields, good};

/// An index of one document, and the folder that holds it.
fn one() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let fields = fields(KeyKind::Str);
    let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
    writer.add(&good("a", &fields)).unwrap();
    writer.commit().unwrap();
    (place, path)
}

/// Opening for reading, with and without a map, and for writing.
fn opened(path: &Path) -> [Result<(), Error>; 3] {
    [
        Index::open(path).map(drop),
        Index::options().mode(OpenMode::Heap).open(path).map(drop),
        IndexWriter::open(path).map(drop),
    ]
}

fn is_no_index(result: Result<(), Error>, path: &Path) {
    let Err(Error::NotAnIndex { place, what }) = result else { panic!("{result:?}") };
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(place.contains(name), "{place} does not name {name}");
    assert!(!what.is_empty());
}

#[test]
fn what_is_no_index() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("foreign")).unwrap();
    fs::write(at("foreign").join("notes.txt"), "no index").unwrap();
    fs::write(at("foreign").join("manifest-old.bak"), "no manifest").unwrap();
    for name in ["nowhere", "empty", "foreign"] {
        for result in opened(&at(name)) {
            is_no_index(result, &at(name));
        }
    }
    // Looking has left nothing behind.
    assert!(!at("nowhere").exists());
    assert_eq!(fs::read_dir(at("empty")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(at("foreign")).unwrap().count(), 2);

    fs::write(at("zero"), "").unwrap();
    fs::write(at("text"), "Lateen is not written in here.\n").unwrap();
    fs::write(at("long"), vec![0x5a; 100_000]).unwrap();
    for name in ["zero", "text", "long"] {
        let [map, heap, writer] = opened(&at(name));
        is_no_index(map, &at(name));
        is_no_index(heap, &at(name));
        assert!(matches!(writer, Err(Error::ReadOnly { .. })), "{writer:?}");
        let bytes = fs::read(at(name)).unwrap();
        let from_bytes = Index::options().from_bytes(&bytes).map(drop);
        assert!(matches!(from_bytes, Err(Error::NotAnIndex { .. })), "{from_bytes:?}");
    }
}

/// A manifest that is no manifest: the directory is ours by its name only.
#[test]
fn manifests_that_are_none() {
    let (_place, path) = one();
    let manifest = newest_manifest(&path);
    let whole = fs::read(&manifest).unwrap();
    for bytes in [&b""[..], b"text", &whole[..1], &whole[..63], &whole[..64], &whole[..100]] {
        fs::write(&manifest, bytes).unwrap();
        for result in opened(&path) {
            assert!(
                matches!(result, Err(Error::NotAnIndex { .. } | Error::Corrupt(_))),
                "{} bytes: {result:?}",
                bytes.len()
            );
        }
    }
    fs::write(&manifest, &whole).unwrap();
    assert!(opened(&path).iter().all(Result::is_ok));
}

fn newest_manifest(path: &Path) -> PathBuf {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let is_manifest =
        |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with("manifest-");
    entries.filter(is_manifest).max().unwrap()
}

/// Every change of a byte of the header is an error: of another version where it says so.
#[test]
fn headers_of_another_version() {
    let (_place, path) = one();
    let packed = path.with_extension("packed");
    Index::open(&path).unwrap().pack(&packed).unwrap();
    for file in [newest_manifest(&path), packed.clone()] {
        let whole = fs::read(&file).unwrap();
        let root = if file == packed { &packed } else { &path };
        let open = |bytes: &[u8]| {
            fs::write(&file, bytes).unwrap();
            Index::open(root).map(drop)
        };
        for at in 0..64 {
            for change in [1, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                let result = open(&bytes);
                match at {
                    // The larger of the two version bytes, and most of the smaller.
                    9 => assert!(matches!(result, Err(Error::TooNew { .. })), "{result:?}"),
                    8 if bytes[8] == 0 => {
                        assert!(
                            matches!(result, Err(Error::TooOld { found: 0, .. })),
                            "{result:?}"
                        );
                    }
                    8 => assert!(matches!(result, Err(Error::TooNew { .. })), "{result:?}"),
                    _ => {
                        let told =
                            matches!(result, Err(Error::Corrupt(_) | Error::NotAnIndex { .. }));
                        assert!(told, "byte {at} ^ {change:#x}: {result:?}");
                    }
                }
            }
        }
        assert!(open(&whole).is_ok());
    }
}

#[test]
fn what_is_in_the_way() {
    let (place, path) = one();
    let schema = || fields(KeyKind::Str).schema;
    let occupied = |path: &Path| match IndexWriter::create(path, schema()).map(drop) {
        Err(Error::AlreadyExists { path: named }) => assert_eq!(named, path),
        other => panic!("{other:?}"),
    };
    occupied(&path);
    let file = place.path().join("file");
    fs::write(&file, "something").unwrap();
    occupied(&file);
    let full = place.path().join("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("notes.txt"), "mine").unwrap();
    occupied(&full);
    assert_eq!(fs::read(full.join("notes.txt")).unwrap(), b"mine");
    let empty = place.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(IndexWriter::create(&empty, schema()).is_ok());

    let index = Index::open(&path).unwrap();
    for taken in [&file, &full] {
        let result = index.pack(taken);
        assert!(matches!(result, Err(Error::AlreadyExists { path }) if path == *taken));
    }
    assert_eq!(fs::read(&file).unwrap(), b"something");
    let inside = IndexWriter::create(file.join("index"), schema()).map(drop);
    assert!(matches!(inside, Err(Error::Io { .. })), "{inside:?}");
    let nowhere = index.pack(place.path().join("no/such/folder"));
    assert!(matches!(nowhere, Err(Error::Io { .. })), "{nowhere:?}");
}

#[test]
fn packed_files_are_read_only() {
    let (_place, path) = one();
    let packed = path.with_extension("packed");
    Index::open(&path).unwrap().pack(&packed).unwrap();
    let result = IndexWriter::open(&packed).map(drop);
    assert!(matches!(&result, Err(Error::ReadOnly { what }) if !what.is_empty()), "{result:?}");
    assert_eq!(Index::open(&packed).unwrap().len(), 1);
}

/// Where the lock test's child looks.
const CHILD: &str = "LATEEN_TEST_LOCKED_INDEX";

#[test]
fn a_second_writer_is_locked_out() {
    let (_place, path) = one();
    let holder = IndexWriter::open(&path).unwrap();
    let locked = |result: Result<IndexWriter, Error>| match result.map(drop) {
        Err(Error::Locked { path: named }) => assert_eq!(named, path),
        other => panic!("{other:?}"),
    };
    locked(IndexWriter::open(&path));
    locked(IndexWriter::open(&path));
    // Readers need no lock.
    assert_eq!(Index::open(&path).unwrap().len(), 1);
    let child = || {
        let program = std::env::current_exe().unwrap();
        let test = ["--exact", "life::a_child_reports", "--nocapture"];
        let output = Command::new(program).args(test).env(CHILD, &path).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("child: "), "{text}");
        text
    };
    assert!(child().contains("child: locked"));
    drop(holder);
    assert!(child().contains("child: open"));
    assert!(IndexWriter::open(&path).is_ok());
}

/// The child of the test before: on its own it has nothing to do.
#[test]
fn a_child_reports() {
    if let Some(path) = std::env::var_os(CHILD) {
        match IndexWriter::open(PathBuf::from(path)).map(drop) {
            Ok(()) => println!("child: open"),
            Err(Error::Locked { .. }) => println!("child: locked"),
            Err(other) => println!("child: {other:?}"),
        }
    }
}

/// After a failure of the disk a writer refuses everything, and the last commit stands.
#[cfg(unix)]
#[test]
fn a_failure_poisons() {
    let (place, path) = one();
    let fields = fields(KeyKind::Str);
    let mut writer = IndexWriter::open(&path).unwrap();
    writer.add(&good("b", &fields)).unwrap();
    let aside = place.path().join("aside");
    fs::rename(&path, &aside).unwrap(); // so that no file can be made
    let failed = writer.commit();
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    fs::rename(&aside, &path).unwrap();
    let poisoned = [
        writer.commit().map(drop),
        writer.add(&good("c", &fields)).map(drop),
        writer.upsert(&good("a", &fields)).map(drop),
        writer.delete("a").map(drop),
        writer.rollback(),
    ];
    for result in poisoned {
        assert!(
            matches!(&result, Err(Error::Poisoned { cause }) if !cause.is_empty()),
            "{result:?}"
        );
    }
    drop(writer);
    let mut writer = IndexWriter::open(&path).unwrap();
    assert_eq!((writer.len(), writer.contains("b").unwrap()), (1, false));
    writer.add(&good("b", &fields)).unwrap();
    writer.commit().unwrap();
    assert_eq!(Index::open(&path).unwrap().len(), 2);
}
