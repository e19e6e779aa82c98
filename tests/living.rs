//! An index that is lived in: merged, copied, watched, built in parts, extended.

mod naive;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lateen::limits::Limits;
use lateen::{
    DetachedSegment, Document, Error, Forward, Hits, Index, IndexWriter, Key, KeyKind, Merges,
    Normalization, OpenMode, Query, Schema, SparseField, TokenCodec, Watcher,
};
use naive::Fields;
use naive::given::{Columns, Given};
use naive::make::{ask, document};
use naive::random::Draw;

/// Fields that keep what they are given exactly.
fn fields() -> Fields {
    let tokens = [
        (16, TokenCodec::F16, Normalization::Checked),
        (24, TokenCodec::Int8, Normalization::Checked),
    ];
    Fields::some(KeyKind::U64, &[Forward::Auto, Forward::F16], &tokens)
}

fn documents(fields: &Fields, count: u64) -> Vec<(Key, Given)> {
    let mut draw = Draw::new(4711);
    (0..count).map(|at| (Key::from(at * 7919 % 100_003), document(&mut draw, fields))).collect()
}

fn add(writer: &mut IndexWriter, fields: &Fields, documents: &[(Key, Given)]) {
    let columns = Columns::new(fields, documents.to_vec());
    let matrices = columns.matrices(fields);
    writer.add_batch(&columns.batch(fields, &matrices).unwrap()).unwrap();
}

fn bare(hits: &Hits) -> Vec<(Key, u32)> {
    hits.iter().map(|hit| (hit.key().clone(), hit.score().to_bits())).collect()
}

fn queries(fields: &Fields) -> Vec<Query> {
    let mut draw = Draw::new(815);
    (0..120).map(|_| ask(&mut draw, fields).query(fields).unwrap()).collect()
}

/// Two indexes give the same answers.
fn same_answers(a: &Index, b: &Index, fields: &Fields) {
    assert_eq!(a.len(), b.len());
    for query in queries(fields) {
        let (a, b) = (a.search(&query).unwrap(), b.search(&query).unwrap());
        assert_eq!(bare(&a), bare(&b));
        assert_eq!(a.certainty(), b.certainty());
    }
}

/// Bytes of all files of a directory.
fn bytes(path: &Path) -> u64 {
    fs::read_dir(path).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn after_deleting_nine_in_ten_nothing_is_left_of_them() {
    nothing_is_left_after_deleting(100);
    // One segment: it is being rewritten in the background when it is to be compacted.
    nothing_is_left_after_deleting(1200);
}

fn nothing_is_left_after_deleting(a_commit: usize) {
    let fields = fields();
    let all = documents(&fields, 1200);
    let kept: Vec<_> = all.iter().step_by(10).cloned().collect();
    let place = tempfile::tempdir().unwrap();
    let (path, fresh) = (place.path().join("lived"), place.path().join("fresh"));
    let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
    for part in all.chunks(a_commit) {
        add(&mut writer, &fields, part);
        writer.commit().unwrap();
    }
    let gone = all.iter().enumerate().filter(|(at, _)| at % 10 != 0);
    let gone: Vec<Key> = gone.map(|(_, (key, _))| key.clone()).collect();
    assert_eq!(writer.delete_batch(gone).unwrap().documents, 1080);
    writer.commit().unwrap();
    writer.compact(|_| {}).unwrap();
    let lived = writer.reader().unwrap();
    assert_eq!(lived.info().deleted, 0);

    let mut writer = IndexWriter::create(&fresh, fields.schema.clone()).unwrap();
    add(&mut writer, &fields, &kept);
    writer.commit().unwrap();
    let (lived_bytes, fresh_bytes) = (bytes(&path), bytes(&fresh));
    assert!(lived_bytes * 10 <= fresh_bytes * 11, "{lived_bytes} bytes, afresh {fresh_bytes}");
    same_answers(&lived, &writer.reader().unwrap(), &fields);
}

#[test]
fn another_index_in_the_same_place_is_found_though_its_commits_are_as_many() {
    let fields = fields();
    let all = documents(&fields, 120);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let build = |documents| {
        let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
        add(&mut writer, &fields, documents);
        writer.commit().unwrap();
        writer.reader().unwrap()
    };
    build(&all[..50]);
    let open = |mode| Arc::new(Index::options().mode(mode).open(&path).unwrap());
    let readers = [OpenMode::Map, OpenMode::Heap, OpenMode::Read].map(open);
    let (send, seen) = channel();
    let watched = open(OpenMode::Map);
    let seeing = move |commit| send.send(commit).unwrap();
    let _watcher = watched.watch(Duration::from_millis(1), seeing).unwrap();
    let before = readers[0].snapshot();
    fs::remove_dir_all(&path).unwrap();
    let other = build(&all[50..]);
    assert_eq!(other.snapshot().commit(), before.commit());
    for reader in readers {
        assert!(reader.refresh().unwrap() && !reader.refresh().unwrap());
        reader.verify().unwrap();
        same_answers(&reader, &other, &fields);
    }
    // While there is none, a look is an error; then comes the other, up to the same number.
    let last = before.commit();
    assert!(seen.iter().any(|found| matches!(found, Ok(commit) if commit == last)));
    same_answers(&watched, &other, &fields);
    assert_eq!(before.len(), 50);
}

#[test]
fn a_backup_is_of_what_is_read_where_another_index_stands_by_now() {
    let fields = fields();
    let all = documents(&fields, 120);
    let place = tempfile::tempdir().unwrap();
    let (path, copy) = (place.path().join("index"), place.path().join("copy"));
    let build = |documents| {
        let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
        add(&mut writer, &fields, documents);
        writer.commit().unwrap();
    };
    build(&all[..50]);
    let reader = Index::open(&path).unwrap();
    fs::rename(&path, place.path().join("before")).unwrap();
    build(&all[50..]);
    reader.snapshot().backup(&copy).unwrap();
    let copy = Index::open(&copy).unwrap();
    copy.verify().unwrap();
    same_answers(&reader, &copy, &fields);
}

#[test]
fn a_backup_is_the_commit_it_was_taken_of() {
    let fields = fields();
    let all = documents(&fields, 300);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
    add(&mut writer, &fields, &all[..200]);
    writer.commit().unwrap();
    writer.delete_batch(all[..200].iter().step_by(3).map(|(key, _)| key)).unwrap();
    writer.commit().unwrap();
    let then = writer.reader().unwrap();
    let snapshot = then.snapshot();
    assert_eq!(snapshot.warm(), {
        let files = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
        let segments = files.filter(|path| path.extension().is_some_and(|ext| ext == "seg"));
        segments.map(|path| fs::metadata(path).unwrap().len()).sum::<u64>()
    });
    let at_once = place.path().join("at once");
    snapshot.backup(&at_once).unwrap();
    assert!(matches!(snapshot.backup(&at_once), Err(Error::AlreadyExists { .. })));
    // Its files go: what is copied then comes from the map.
    for part in all[200..].chunks(20) {
        add(&mut writer, &fields, part);
        writer.commit().unwrap();
    }
    writer.compact(|_| {}).unwrap();
    writer.delete(all[1].0.clone()).unwrap();
    writer.commit().unwrap();
    let later = place.path().join("later");
    snapshot.backup(&later).unwrap();
    drop(writer);
    fs::remove_dir_all(&path).unwrap();
    for copy in [at_once, later] {
        let index = Index::open(&copy).unwrap();
        index.verify().unwrap();
        assert_eq!(index.snapshot().commit(), snapshot.commit());
        same_answers(&index, &then, &fields);
        // And it goes on from there.
        let mut writer = IndexWriter::open(&copy).unwrap();
        add(&mut writer, &fields, &all[200..]);
        writer.force_merge(1, |_| {}).unwrap();
        assert_eq!(writer.len(), index.len() + 100);
    }
}

#[test]
fn a_watcher_may_be_dropped_by_its_own_callback() {
    let fields = fields();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
    let index = Arc::new(Index::open(&path).unwrap());
    let held: Arc<Mutex<Option<Watcher>>> = Arc::default();
    let (send, seen) = channel();
    let own = Arc::clone(&held);
    let watcher = index.watch(Duration::from_millis(1), move |_| {
        // Not before the watcher is there.
        while own.lock().unwrap().take().is_none() {
            std::thread::yield_now();
        }
        send.send(()).unwrap();
    });
    *held.lock().unwrap() = Some(watcher.unwrap());
    add(&mut writer, &fields, &documents(&fields, 3));
    writer.commit().unwrap();
    seen.recv_timeout(Duration::from_secs(30)).unwrap();
    // The thread has ended: the other end of the channel went with its callback.
    assert!(seen.recv_timeout(Duration::from_secs(30)).is_err());
    assert_eq!(index.len(), 3);
}

#[test]
fn a_watcher_finds_newer_commits() {
    let fields = fields();
    let all = documents(&fields, 30);
    let mut writer = IndexWriter::in_memory(fields.schema.clone()).unwrap();
    let index = Arc::new(writer.reader().unwrap());
    let (send, seen) = channel();
    let watcher = index
        .watch(Duration::from_millis(1), move |commit| send.send(commit.unwrap()).unwrap())
        .unwrap();
    for part in all.chunks(10) {
        add(&mut writer, &fields, part);
        let commit = writer.commit().unwrap();
        assert_eq!(seen.recv().unwrap(), commit);
        assert_eq!(index.snapshot().commit(), commit);
    }
    assert_eq!(index.len(), 30);
    drop(watcher);
    assert!(seen.recv().is_err(), "the thread has ended with its watcher");
    // And with its index.
    let index = Arc::new(writer.reader().unwrap());
    let (send, seen) = channel::<u64>();
    let _watcher = index.watch(Duration::from_millis(1), move |_| drop(send.clone())).unwrap();
    drop(index);
    assert!(seen.recv().is_err());
}

/// Builds a part of the documents.
fn part(dir: &Path, fields: &Fields, documents: &[(Key, Given)]) -> Vec<DetachedSegment> {
    let options = IndexWriter::options().memory(3 << 20);
    let mut builder = options.detached(dir, &fields.schema).unwrap();
    for chunk in documents.chunks(40) {
        let columns = Columns::new(fields, chunk.to_vec());
        let matrices = columns.matrices(fields);
        builder.add_batch(&columns.batch(fields, &matrices).unwrap()).unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn segments_built_apart_are_published_as_one_index() {
    let fields = fields();
    let all = documents(&fields, 400);
    let place = tempfile::tempdir().unwrap();
    let parts = place.path().join("parts");
    let halves: Vec<_> = all.chunks(200).map(|half| part(&parts, &fields, half)).collect();
    let made: Vec<PathBuf> = halves.iter().flatten().map(|made| made.path.clone()).collect();
    assert_eq!(halves.iter().flatten().map(|made| u64::from(made.documents)).sum::<u64>(), 400);
    for made in halves.iter().flatten() {
        assert!(
            made.keys.0 <= made.keys.1 && fs::metadata(&made.path).unwrap().len() == made.bytes
        );
    }
    // Built again, as after a kill: the same files.
    fs::write(parts.join("part-0.building"), b"of a builder that was killed").unwrap();
    assert_eq!(part(&parts, &fields, &all[200..]), halves[1]);
    fs::remove_file(parts.join("part-0.building")).unwrap();
    assert_eq!(fs::read_dir(&parts).unwrap().count(), made.len());

    let path = place.path().join("index");
    let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
    let first = writer.publish(&made).unwrap();
    assert_eq!(writer.publish(&made).unwrap(), first, "publishing again changes nothing");
    fs::remove_dir_all(&parts).unwrap();
    let mut direct = IndexWriter::in_memory(fields.schema.clone()).unwrap();
    add(&mut direct, &fields, &all);
    direct.commit().unwrap();
    let index = Index::open(&path).unwrap();
    index.verify().unwrap();
    same_answers(&index, &direct.reader().unwrap(), &fields);
    assert_eq!(writer.sequence(), 400);

    // A key that lives already, damage, another schema: nothing is taken in.
    let more = part(&parts, &fields, &all[390..395]);
    let known = writer.publish(more.iter().map(|made| &made.path));
    assert!(matches!(known, Err(Error::DuplicateKey { row: Some(0), .. })), "{known:?}");
    for (key, _) in &all[390..395] {
        assert_eq!(writer.delete(key).unwrap().documents, 1);
    }
    let file = &more[0].path;
    let mut damaged = fs::read(file).unwrap();
    damaged[100] ^= 1;
    let bad = parts.join("bad.seg");
    fs::write(&bad, damaged).unwrap();
    let refused = writer.publish([&bad]);
    assert!(matches!(refused, Err(Error::Corrupt(_))), "{refused:?}");
    assert_eq!(writer.len(), 395);
    let mut other = Schema::builder();
    other.keys(KeyKind::U64);
    other.sparse("other");
    let mut other = IndexWriter::in_memory(other.build().unwrap()).unwrap();
    assert!(matches!(other.publish([file]), Err(Error::Corrupt(_))));
    writer.publish([file]).unwrap();
    assert_eq!(writer.len(), 400);
}

#[test]
fn subsets_together_answer_like_the_whole() {
    let fields = fields();
    let all = documents(&fields, 500);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let options = IndexWriter::options().merges(Merges::Manual);
    let mut writer = options.create(&path, fields.schema.clone()).unwrap();
    for part in all.chunks(45) {
        add(&mut writer, &fields, part);
        writer.commit().unwrap();
    }
    writer.delete_batch(all.iter().step_by(9).map(|(key, _)| key)).unwrap();
    writer.commit().unwrap();
    let whole = Index::open(&path).unwrap();
    for shards in [1u32, 2, 3, 7, 20] {
        let open = |shard: u32| {
            let own = move |segment: &lateen::SegmentInfo| {
                let digits = segment.file.trim_start_matches("seg-").trim_end_matches(".seg");
                u32::from_str_radix(digits, 16).unwrap() % shards == shard
            };
            Index::options().subset(own).open(&path).unwrap()
        };
        let parts: Vec<Index> = (0..shards).map(open).collect();
        assert_eq!(parts.iter().map(Index::len).sum::<u64>(), whole.len());
        for query in queries(&fields)
            .into_iter()
            .filter(|query| !format!("{query:?}").contains("rerank: Some"))
        {
            let query = query.top(10).exact();
            let answers = parts.iter().rev().map(|part| part.search(&query).unwrap());
            let merged = Hits::merge(answers, 10);
            let want = whole.search(&query).unwrap();
            assert_eq!(bare(&merged), bare(&want));
            assert_eq!(merged.certainty(), want.certainty());
        }
        for part in &parts {
            part.verify().unwrap();
            part.refresh().unwrap();
        }
        let copy = place.path().join(format!("copy {shards}"));
        let packed = parts[0].pack(&copy);
        assert!(packed.is_err() && !copy.exists());
        parts[0].snapshot().backup(&copy).unwrap();
        assert_eq!(Index::open(&copy).unwrap().len(), parts[0].len());
    }
}

#[test]
fn what_is_not_trusted_is_read_once_and_whole() {
    let fields = fields();
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
    add(&mut writer, &fields, &documents(&fields, 50));
    writer.commit().unwrap();
    // Its files are not trusted; the queries below are, and ask for as many hits as there can be.
    let options = Index::options().untrusted(1 << 30).limits(Limits::untrusted().top(10_000));
    let index = options.open(&path).unwrap();
    let size = bytes(&path);
    Index::options().untrusted(2 * size).open(&path).unwrap();
    let small = Index::options().untrusted(size / 4).open(&path).unwrap_err();
    assert!(small.to_string().contains("more than are left"), "{small}");
    let packed = place.path().join("packed");
    index.pack(&packed).unwrap();
    assert_eq!(Index::open_untrusted(&packed).unwrap().len(), 50);
    assert!(Index::options().untrusted(1000).open(&packed).is_err());

    let segment = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path());
    let segment = segment.into_iter().find(|path| path.extension().is_some_and(|e| e == "seg"));
    let segment = segment.unwrap();
    let good = fs::read(&segment).unwrap();
    let mut bad = good.clone();
    let at = bad.len() / 2;
    bad[at] ^= 4;
    fs::remove_file(&segment).unwrap();
    fs::write(&segment, &bad).unwrap();
    assert!(matches!(Index::open_untrusted(&path), Err(Error::Corrupt(_))));
    // What was opened before holds its own copy.
    same_answers(&index, &Index::open(&packed).unwrap(), &fields);
    #[cfg(unix)]
    {
        fs::remove_file(&segment).unwrap();
        fs::write(place.path().join("elsewhere"), &good).unwrap();
        std::os::unix::fs::symlink(place.path().join("elsewhere"), &segment).unwrap();
        assert!(Index::open(&path).is_ok());
        assert!(matches!(Index::open_untrusted(&path), Err(Error::NotAnIndex { .. })));
    }
}

#[test]
fn fields_are_added_to_an_index_that_lives() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let terms: SparseField = schema.sparse("terms");
    let first = schema.build().unwrap();
    let mut writer = IndexWriter::create(&path, first.clone()).unwrap();
    let put = |key: u64| Document::new(key).sparse(&terms, &[(1u32, 1.0f32)]);
    (0..20).for_each(|key| _ = writer.add(&put(key).unwrap()).unwrap());
    writer.commit().unwrap();
    let index = Index::open(&path).unwrap();
    writer.add(&put(20).unwrap()).unwrap();

    // Nothing may change or go.
    let mut other = Schema::builder();
    other.keys(KeyKind::U64);
    other.sparse("others");
    assert!(matches!(writer.set_schema(other.build().unwrap()), Err(Error::Schema(_))));
    let mut schema = writer.schema().extend();
    let year = schema.i64("year");
    let more = schema.sparse("more");
    let second = schema.build().unwrap();
    writer.set_schema(second.clone()).unwrap();
    assert!(matches!(writer.set_schema(first.clone()), Err(Error::Schema(_))));
    let document = put(21).unwrap().i64(&year, 1999).unwrap();
    writer.add(&document.sparse(&more, &[(5u32, 2.0f32)]).unwrap()).unwrap();
    // Rolled back, the field is gone, and can be added again.
    writer.rollback().unwrap();
    assert_eq!(writer.schema(), &first);
    assert!(writer.add(&put(21).unwrap().i64(&year, 1999).unwrap()).is_err());
    writer.set_schema(second.clone()).unwrap();
    let document = put(21).unwrap().i64(&year, 1999).unwrap();
    writer.add(&document.sparse(&more, &[(5u32, 2.0f32)]).unwrap()).unwrap();
    let update = lateen::Update::new(3u64).i64(&year, 1888).unwrap();
    assert_eq!(writer.update(&update).unwrap().documents, 1);
    writer.commit().unwrap();
    // A reader of the commit before does not know it.
    let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap().top(100);
    assert!(index.search(&query.clone().filter(year.exists())).is_err());
    assert_eq!(index.schema(), first);
    for merged in [false, true] {
        if merged {
            writer.force_merge(1, |_| {}).unwrap();
        }
        index.refresh().unwrap();
        assert_eq!(index.schema(), second);
        assert_eq!(index.search(&query).unwrap().len(), 21);
        let dated = index.search(&query.clone().filter(year.exists())).unwrap();
        let keys: Vec<_> = dated.iter().map(|hit| hit.key().as_u64().unwrap()).collect();
        assert_eq!(keys, [3, 21]);
        let undated = index.search(&query.clone().filter(!year.exists())).unwrap();
        assert_eq!(undated.len(), 19);
        let found = index.search(&Query::sparse(&more, &[(5u32, 1.0f32)]).unwrap()).unwrap();
        assert_eq!(bare(&found), [(Key::from(21u64), 2.0f32.to_bits())]);
        assert_eq!(index.get(4u64).unwrap().unwrap().i64(&year).unwrap(), None);
        index.verify().unwrap();
        // Opened anew, and from a packed file.
        let packed = place.path().join(format!("packed {merged}"));
        index.pack(&packed).unwrap();
        assert_eq!(Index::open(&packed).unwrap().search(&query).unwrap().len(), 21);
    }
    drop(writer);
    assert_eq!(IndexWriter::open(&path).unwrap().schema(), &second);
}
