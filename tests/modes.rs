//! The ways of opening: by map, in the heap, by position, and from a stranger.

#[path = "naive/set.rs"]
mod set;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use lateen::{Error, Index, IndexOptions, IndexWriter, Merges, OpenMode, Query};

use set::{Set, SetFields};

/// The committed set as an index in three segments, and its queries.
fn index(place: &Path) -> (PathBuf, Vec<Query>) {
    let set = Set::open(&set::committed());
    let fields = SetFields::of(&set);
    let path = place.join("index");
    let mut writer = fields.writer(&path, IndexWriter::options().merges(Merges::Manual));
    set.add_to(&mut writer, &fields, 150);
    writer.commit().unwrap();
    writer.delete_batch([7u64, 130, 399]).unwrap();
    writer.commit().unwrap();
    let (int8, f16) = (fields.int8.as_ref().unwrap(), fields.f16.as_ref().unwrap());
    let (_, rows) = set.tokens.as_ref().unwrap();
    let mut queries = Vec::new();
    for i in 0..set.sparse_queries.len() {
        let sparse = || Query::sparse(&fields.sparse, set.sparse_queries.row(i)).unwrap();
        queries.push(sparse().top(10));
        queries.push(sparse().rerank(int8, rows.matrix(i)).unwrap().top(10));
        queries.push(Query::tokens(int8, rows.matrix(i)).unwrap().top(10));
        queries.push(Query::tokens(f16, rows.matrix(i)).unwrap().top(5).exact());
    }
    (path, queries)
}

fn answers(index: &Index, queries: &[Query]) -> Vec<String> {
    let one = |query| {
        let hits = index.search(query).unwrap();
        let bare = |hit: &lateen::Hit| format!("{} {:08x}", hit.key(), hit.score().to_bits());
        format!("{:?} {:?}", hits.iter().map(bare).collect::<Vec<_>>(), hits.certainty())
    };
    queries.iter().map(one).collect()
}

fn segment(path: &Path) -> PathBuf {
    let paths = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|ext| ext == "seg"));
    segments.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}

fn reading() -> IndexOptions {
    Index::options().mode(OpenMode::Read)
}

#[test]
fn every_mode_gives_the_same_hits() {
    let place = tempfile::tempdir().unwrap();
    let (path, queries) = index(place.path());
    let packed = place.path().join("packed");
    let mapped = Index::open(&path).unwrap();
    let truth = answers(&mapped, &queries);
    mapped.pack(&packed).unwrap();
    for at in [&path, &packed] {
        for mode in [OpenMode::Map, OpenMode::Heap, OpenMode::Read] {
            let index = Index::options().mode(mode).open(at).unwrap();
            assert!(answers(&index, &queries) == truth, "{mode:?} {}", at.display());
            index.verify().unwrap();
            let batch = index.search_batch(&queries, 3).unwrap();
            assert_eq!(batch.len(), queries.len());
            // What is copied from it is the same again.
            let copy = place.path().join("copy");
            index.pack(&copy).unwrap();
            assert!(fs::read(&copy).unwrap() == fs::read(&packed).unwrap(), "{mode:?}");
            fs::remove_file(&copy).unwrap();
            index.snapshot().backup(&copy).unwrap();
            assert!(answers(&Index::open(&copy).unwrap(), &queries) == truth);
            fs::remove_dir_all(&copy).unwrap();
            assert!(index.snapshot().warm() > 1_000_000);
        }
        let stranger = Index::open_untrusted(at).unwrap();
        assert!(answers(&stranger, &queries) == truth);
    }
}

/// Whoever holds an index by position is told when its files are cut short or changed.
#[cfg(unix)]
#[test]
fn files_that_change_under_a_reader_are_an_error() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().unwrap();
    let (path, queries) = index(place.path());
    let packed = place.path().join("packed");
    Index::open(&path).unwrap().pack(&packed).unwrap();
    for (at, file) in [(&path, segment(&path)), (&packed, packed.clone())] {
        let good = fs::read(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let heap = Index::options().mode(OpenMode::Heap).open(at).unwrap();
        let truth = answers(&heap, &queries);
        for share in [0, 1, 50, 90, 99] {
            let (before, after) = (reading().open(at).unwrap(), reading().open(at).unwrap());
            before.snapshot().warm();
            let file = fs::OpenOptions::new().write(true).open(&file).unwrap();
            file.set_len(good.len() as u64 * share / 100).unwrap();
            // What was read before is there; what was not is told.
            assert!(answers(&before, &queries) == truth, "{share}");
            let mut failed = 0;
            for (query, truth) in queries.iter().zip(&truth) {
                match after.search(query) {
                    Err(Error::Io { source, .. }) => {
                        assert_eq!(source.kind(), ErrorKind::UnexpectedEof);
                        failed += 1;
                    }
                    Err(error) => panic!("{share}: {error}"),
                    Ok(_) => assert_eq!(answers(&after, std::slice::from_ref(query))[0], *truth),
                }
            }
            assert!(failed > 0 || share == 99, "{share}");
            assert!(answers(&heap, &queries) == truth);
            fs::write(if at.is_dir() { segment(at) } else { at.clone() }, &good).unwrap();
            // Whoever was told comes back when the file does.
            assert!(answers(&after, &queries) == truth, "{share}");
        }
        // Other bytes in the same place.
        let index = reading().open(at).unwrap();
        let mut bad = good.clone();
        bad[4096..].iter_mut().step_by(5000).for_each(|byte| *byte ^= 4);
        fs::write(&file, &bad).unwrap();
        let errors = queries.iter().filter_map(|query| index.search(query).err());
        let errors: Vec<Error> = errors.collect();
        assert_eq!(errors.len(), queries.len());
        assert!(errors.iter().all(|error| matches!(error, Error::Corrupt(_))), "{errors:?}");
        fs::write(&file, &good).unwrap();
        assert!(answers(&index, &queries) == truth);
        index.refresh().unwrap();
        assert!(answers(&index, &queries) == truth);
    }
}

#[test]
fn no_more_is_held_than_allowed() {
    let place = tempfile::tempdir().unwrap();
    let (path, queries) = index(place.path());
    let truth = answers(&Index::open(&path).unwrap(), &queries);
    let size: u64 = Index::open(&path).unwrap().info().bytes();
    let index = reading().resident(size).open(&path).unwrap();
    assert!(answers(&index, &queries) == truth);
    // Sparse sections alone are a fraction of it.
    let few = reading().resident(size / 4).open(&path).unwrap();
    assert!(answers(&few, &queries[..1]) == truth[..1]);
    let error = queries.iter().find_map(|query| few.search(query).err()).unwrap();
    let Error::Io { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), ErrorKind::FileTooLarge);
    assert!(answers(&few, &queries[..1]) == truth[..1]);
    assert!(few.info().resident <= size / 4);
    // Each query has room by itself, all together have none: what another needed goes.
    let less = reading().resident(size * 2 / 3).open(&path).unwrap();
    let (mut most, mut sum) = (0, 0);
    for _ in 0..2 {
        for (query, truth) in queries.iter().zip(&truth) {
            assert_eq!(answers(&less, std::slice::from_ref(query))[0], *truth);
            most = most.max(less.info().resident);
        }
    }
    for query in &queries[..4] {
        let alone = reading().open(&path).unwrap();
        alone.search(query).unwrap();
        sum += alone.info().resident;
    }
    assert!(most <= size * 2 / 3 && sum > size * 2 / 3, "{most}, {sum} of {size}");
    less.verify().unwrap();
    assert!(less.snapshot().warm() > 1_000_000);
    assert!(less.info().resident <= size * 2 / 3);
    let batch = less.search_batch(&queries, 2).unwrap();
    let keys = |hits: &lateen::Hits| hits.iter().map(|hit| hit.key().clone()).collect::<Vec<_>>();
    let alone: Vec<_> = queries.iter().map(|query| keys(&index.search(query).unwrap())).collect();
    assert_eq!(batch.iter().map(keys).collect::<Vec<_>>(), alone);
    assert!(matches!(reading().resident(10).open(&path), Err(Error::Io { .. })));
}

/// Folders and pipes are no files of ours, wherever they stand.
#[test]
fn what_is_no_file_is_no_index() {
    let place = tempfile::tempdir().unwrap();
    let (path, _) = index(place.path());
    let no_index = |path: &Path| {
        let modes = [OpenMode::Map, OpenMode::Heap, OpenMode::Read];
        let modes = modes.map(|mode| Index::options().mode(mode).open(path).map(drop));
        let stranger = Index::open_untrusted(path).map(drop);
        for result in modes.into_iter().chain([stranger]) {
            let Err(Error::NotAnIndex { what, .. }) = result else { panic!("{result:?}") };
            assert_eq!(what, "not a regular file");
        }
    };
    let names = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    let newest = names.iter().filter(|name| name.starts_with("manifest-")).max().unwrap();
    for name in names.iter().filter(|name| *name == newest || !name.starts_with("manifest-")) {
        if name == "LOCK" {
            continue;
        }
        let (file, aside) = (path.join(name), place.path().join("aside"));
        fs::rename(&file, &aside).unwrap();
        fs::create_dir(&file).unwrap();
        no_index(&path);
        fs::remove_dir(&file).unwrap();
        #[cfg(unix)]
        {
            let made = std::process::Command::new("mkfifo").arg(&file).status();
            if made.is_ok_and(|status| status.success()) {
                no_index(&path);
                fs::remove_file(&file).unwrap();
            }
        }
        fs::rename(&aside, &file).unwrap();
    }
    Index::open(&path).unwrap().verify().unwrap();
}
