//! Accidents around an index: files that are gone or another's, what a crash left lying about,
//! readers that stayed behind, keys of the wrong kind. Each has an answer or an error of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lateen::readers::NpyArray;
use lateen::{
    Batch, Document, Error, Fault, Filter, Index, IndexWriter, KernelLevel, KeyKind, OpenMode,
    Query, Result, Schema, SparseField, TokenMatrix,
};

fn schema(keys: KeyKind) -> (Schema, SparseField) {
    let mut schema = Schema::builder();
    schema.keys(keys);
    let terms = schema.sparse("terms");
    schema.keyword("lang");
    (schema.build().unwrap(), terms)
}

fn document<'a>(key: &str, terms: &SparseField) -> Document<'a> {
    Document::new(key).sparse(terms, &[(1u32, 1.0f32)]).unwrap()
}

fn query(terms: &SparseField) -> Query {
    Query::sparse(terms, &[(1u32, 1.0f32)]).unwrap()
}

/// An index of a few documents with one deleted, so that every kind of file is there.
fn build(path: &Path) {
    let (schema, terms) = schema(KeyKind::Str);
    let mut writer = IndexWriter::create(path, schema).unwrap();
    for key in ["a", "b", "c"] {
        writer.add(&document(key, &terms)).unwrap();
    }
    writer.commit().unwrap();
    writer.delete("b").unwrap();
    writer.commit().unwrap();
}

/// The last file of a kind.
fn find(path: &Path, prefix: &str) -> PathBuf {
    let paths = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let of_kind = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(prefix);
    paths.filter(of_kind).max().unwrap()
}

/// Puts other bytes in a file's place; published files are not writable.
fn replace(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[track_caller]
fn damaged(path: &Path, what: &str) {
    let map = Index::open(path).map(drop);
    let heap = Index::options().mode(OpenMode::Heap).open(path).map(drop);
    for result in [map, heap, IndexWriter::open(path).map(drop)] {
        assert!(matches!(result, Err(Error::Corrupt(_))), "{what}: {result:?}");
    }
}

#[test]
fn a_file_that_is_gone_or_another() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    build(&path);
    // An index of the same schema, with its own files under the same names.
    let other = place.path().join("other");
    build(&other);
    let mut writer = IndexWriter::open(&other).unwrap();
    let terms = writer.schema().sparse("terms").unwrap();
    writer.upsert(&document("c", &terms)).unwrap();
    writer.commit().unwrap();
    drop(writer);
    for prefix in ["seg-", "del-"] {
        let file = find(&path, prefix);
        let name = file.file_name().unwrap().to_str().unwrap();
        let good = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        damaged(&path, "gone");
        match Index::open(&path) {
            Err(Error::Corrupt(corrupt)) => assert_eq!(corrupt.file, name),
            other => panic!("{other:?}"),
        }
        fs::write(&file, b"").unwrap();
        for bytes in [
            &b"something else\n"[..],
            &good[..good.len() - 1],
            &fs::read(find(&path, "manifest-")).unwrap(),
            &fs::read(find(&other, prefix)).unwrap(),
        ] {
            damaged(&path, prefix);
            replace(&file, bytes);
        }
        damaged(&path, "of another index");
        replace(&file, &good);
        Index::open(&path).unwrap().verify().unwrap();
    }
    // The newest manifest counts: an older one is never taken in its stead.
    let newest = find(&path, "manifest-");
    let good = fs::read(&newest).unwrap();
    replace(&newest, &good[..good.len() - 1]);
    damaged(&path, "a manifest that is cut off");
    replace(&newest, b"");
    assert!(Index::open(&path).is_err() && IndexWriter::open(&path).is_err());
    replace(&newest, &good);
    Index::open(&path).unwrap().verify().unwrap();
}

/// Opening a pipe waits for whoever writes to it; here nobody does.
#[cfg(unix)]
#[test]
fn damage_is_not_packed() {
    let place = tempfile::tempdir().unwrap();
    let (index, packed) = (place.path().join("index"), place.path().join("packed"));
    build(&index);
    let segment = find(&index, "seg-");
    let mut bytes = fs::read(&segment).unwrap();
    // Behind the header lie sections, which an open does not read.
    bytes[200] ^= 1;
    replace(&segment, &bytes);
    let result = Index::open(&index).unwrap().pack(&packed);
    assert!(matches!(result, Err(Error::Corrupt(_))), "{result:?}");
    assert!(!packed.exists());
    bytes[200] ^= 1;
    replace(&segment, &bytes);
    Index::open(&index).unwrap().pack(&packed).unwrap();
}

#[test]
fn a_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    build(&path);
    let pipe = |at: &Path| {
        let made = Command::new("mkfifo").arg(at).status();
        made.is_ok_and(|status| status.success())
    };
    let packed = place.path().join("packed");
    if !pipe(&packed) {
        println!("skipped: no mkfifo here");
        return;
    }
    let segment = find(&path, "seg-");
    fs::remove_file(&segment).unwrap();
    assert!(pipe(&segment));
    for at in [&packed, &path] {
        let error = Index::open(at).unwrap_err();
        assert!(error.to_string().ends_with("not a regular file"), "{error}");
    }
    let error = NpyArray::open(&packed).unwrap_err();
    assert!(error.to_string().ends_with("not a regular file"), "{error}");
}

/// A crash leaves a lock and half-written files: what was to be made can then be made.
#[test]
fn what_a_crash_left_is_in_nobodys_way() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let create = |name: &str| IndexWriter::create(at(name), schema(KeyKind::Str).0);
    fs::create_dir(at("cut off")).unwrap();
    fs::write(at("cut off/LOCK"), "").unwrap();
    fs::write(at("cut off/manifest-0000000000000001.tmp"), "half").unwrap();
    drop(create("cut off").unwrap());
    Index::open(at("cut off")).unwrap().verify().unwrap();
    // But not where there is more, nor while another is at it.
    let result = create("cut off");
    assert!(matches!(result, Err(Error::AlreadyExists { .. })), "{result:?}");
    fs::create_dir(at("locked")).unwrap();
    let lock = fs::File::create(at("locked/LOCK")).unwrap();
    lock.lock().unwrap();
    let result = create("locked");
    assert!(matches!(result, Err(Error::Locked { .. })), "{result:?}");

    build(&at("index"));
    let index = Index::open(at("index")).unwrap();
    fs::write(at("packed.tmp"), "half").unwrap();
    index.pack(at("packed")).unwrap();
    Index::open(at("packed")).unwrap().verify().unwrap();
    assert_eq!(fs::read(at("packed.tmp")).unwrap(), b"half", "it may be another's");
}

/// A reader that does not refresh keeps what it has, and what it has is sound.
#[test]
fn a_reader_that_stays_behind() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    build(&path);
    for mode in [OpenMode::Map, OpenMode::Heap] {
        let index = Index::options().mode(mode).open(&path).unwrap();
        let mut writer = IndexWriter::open(&path).unwrap();
        let terms = writer.schema().sparse("terms").unwrap();
        let before = index.search(&query(&terms)).unwrap().len();
        let at = |when: &str| place.path().join(format!("{mode:?}-{when}"));
        index.pack(at("early")).unwrap();
        // Each commit replaces everything, so that every file of the first is collected.
        for _ in 0..4 {
            for key in ["a", "b", "c"] {
                writer.upsert(&document(key, &terms)).unwrap();
            }
            writer.commit().unwrap();
            index.verify().unwrap();
            assert_eq!(index.search(&query(&terms)).unwrap().len(), before);
            assert!(index.get("a").unwrap().is_some());
        }
        index.pack(at("late")).unwrap();
        assert!(fs::read(at("late")).unwrap() == fs::read(at("early")).unwrap());
        let packed = Index::open(at("late")).unwrap();
        packed.verify().unwrap();
        assert_eq!(packed.search(&query(&terms)).unwrap().len(), before);
        assert!(index.refresh().unwrap());
        assert_eq!(index.search(&query(&terms)).unwrap().len(), 3);
        index.verify().unwrap();
        // Where nothing newer explains it, a manifest that is gone is no index any more.
        drop(writer);
        let manifest = find(&path, "manifest-");
        let bytes = fs::read(&manifest).unwrap();
        fs::remove_file(&manifest).unwrap();
        assert!(index.verify().is_err());
        fs::write(&manifest, bytes).unwrap();
    }
}

/// To ask for a key of the other kind is a mistake, not a question for a key that is not there.
#[test]
fn keys_of_the_other_kind() {
    #[track_caller]
    fn refused<T>(result: Result<T>, key: &str, expected: &'static str) {
        let Err(Error::Input(error)) = result else { panic!("{key} was taken") };
        let fault = Fault::KeyKind { key: key.to_owned(), expected };
        assert_eq!((error.field.as_str(), error.what), ("key", fault));
    }
    let (of_text, terms) = schema(KeyKind::Str);
    let mut writer = IndexWriter::in_memory(of_text).unwrap();
    writer.add(&document("7", &terms)).unwrap();
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    refused(index.get(7u64), "7", "a string");
    refused(index.contains(7u64), "7", "a string");
    refused(writer.contains(7u64), "7", "a string");
    refused(writer.delete(7u64), "7", "a string");
    let lang = index.schema().keyword("lang").unwrap();
    for filter in [Filter::keys([7u64]), !(lang.eq("en") | Filter::keys([7u64]))] {
        refused(index.search(&query(&terms).filter(filter)), "7", "a string");
    }
    refused(index.search(&query(&terms).after(1.0, 7u64)), "7", "a string");
    assert!(index.contains("7").unwrap());
    assert_eq!(writer.delete("7").unwrap().documents, 1);

    let (of_numbers, _) = schema(KeyKind::U64);
    let mut writer = IndexWriter::in_memory(of_numbers).unwrap();
    let index = writer.reader().unwrap();
    refused(index.get("7"), "7", "a number");
    refused(writer.delete("7"), "7", "a number");
    refused(index.search(&query(&terms).filter(Filter::keys(["7"]))), "7", "a number");
}

/// A query is checked whole, whatever the index holds: here, nothing.
#[test]
fn queries_of_an_empty_index() {
    let (own, terms) = schema(KeyKind::Str);
    let index = IndexWriter::in_memory(own).unwrap().reader().unwrap();
    let hits = index.search(&query(&terms)).unwrap();
    assert!(hits.is_empty() && hits.certified());
    let mut other = Schema::builder();
    let (lang, rows) = (other.keyword("lang"), other.tokens("terms", 8));
    let row = [1.0f32, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let matrix = TokenMatrix::new(&row, 8);
    for foreign in [
        query(&terms).filter(lang.exists()),
        query(&terms).rerank(&rows, matrix).unwrap(),
        Query::tokens(&rows, matrix).unwrap(),
    ] {
        let result = index.search(&foreign);
        assert!(matches!(result, Err(Error::Schema(_))), "{result:?}");
    }
}

#[test]
fn a_column_of_keywords_given_twice() {
    let (schema, _) = schema(KeyKind::Str);
    let lang = schema.keyword("lang").unwrap();
    let column = [vec![], vec!["en"]];
    let once = Batch::new(["a", "b"]).keywords(&lang, &column).unwrap();
    match once.keywords(&lang, &column) {
        Err(Error::Input(error)) => {
            assert_eq!((error.field.as_str(), error.what), ("lang", Fault::Twice));
        }
        other => panic!("{other:?}"),
    }
}

/// Where the child looks for its index.
const CHILD: &str = "LATEEN_ACCIDENTS_INDEX";

/// The child; run as a test of its own it does nothing.
#[test]
fn a_child_opens() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let said = Index::open(path).map(|index| index.len().to_string());
    // The harness writes the name of the test and no end of line before this.
    println!("\nsaid: {}", said.unwrap_or_else(|error| error.to_string()));
}

#[test]
fn the_switch_of_the_kernels() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    build(&path);
    let child = |level: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_child_opens", "--nocapture", "--test-threads", "1"])
            .env(CHILD, &path)
            .env("LATEEN_KERNEL", level)
            .stderr(Stdio::null())
            .output()
            .unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let said = output.lines().find_map(|line| line.strip_prefix("said: "));
        said.unwrap_or_else(|| panic!("the child did not speak: {output}")).to_owned()
    };
    for level in KernelLevel::available() {
        assert_eq!(child(&level.to_string()), "2");
    }
    assert_eq!(child(""), "2", "empty is not set");
    let said = child("sse9");
    assert!(said.contains("LATEEN_KERNEL") && said.contains("sse9"), "{said}");
}
