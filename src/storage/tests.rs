//! Every storage keeps the same contract; each has its own besides.

use std::io::ErrorKind;
use std::sync::Arc;

use super::faulty::{Fault, FaultStorage};
use super::sim::{CrashPoint, SimStorage};
use super::*;

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

fn put(storage: &dyn Storage, name: &str, bytes: &[u8]) {
    let mut file = storage.create_new(name).unwrap();
    file.write_all(bytes).unwrap();
    file.sync().unwrap();
}

fn contract(storage: &dyn Storage) {
    let mut file = storage.create_new("b").unwrap();
    file.write_all(b"....").unwrap();
    file.write_all(b"efgh").unwrap();
    file.write_at(0, b"abcd").unwrap();
    file.write_all(b"ij").unwrap();
    file.sync().unwrap();
    drop(file);
    storage.sync_dir().unwrap();
    put(storage, "a", b"");

    assert_eq!(storage.list().unwrap(), ["a", "b"]);
    assert_eq!(storage.open("b").unwrap().as_slice(), b"abcdefghij");
    assert_eq!(storage.open("a").unwrap().len(), 0);
    assert_eq!(kind(storage.open("c")), Some(ErrorKind::NotFound));
    assert_eq!(kind(storage.create_new("a").map(drop)), Some(ErrorKind::AlreadyExists));

    assert_eq!(kind(storage.rename("a", "b")), Some(ErrorKind::AlreadyExists));
    assert_eq!(kind(storage.rename("c", "d")), Some(ErrorKind::NotFound));
    assert_eq!(storage.open("b").unwrap().len(), 10, "a refused renaming replaces nothing");
    storage.rename("b", "c").unwrap();
    assert_eq!(storage.list().unwrap(), ["a", "c"]);

    let bytes = storage.open("c").unwrap();
    storage.remove("c").unwrap();
    assert_eq!(bytes.as_slice(), b"abcdefghij", "bytes outlive the name");
    assert_eq!(kind(storage.remove("c")), Some(ErrorKind::NotFound));
    assert_eq!(storage.list().unwrap(), ["a"]);
    assert!(!storage.place().is_empty());
}

fn lock_contract(storage: &dyn Storage) {
    let lock = storage.try_lock().unwrap().expect("free");
    assert!(storage.try_lock().unwrap().is_none());
    drop(lock);
    assert!(storage.try_lock().unwrap().is_some());
}

#[test]
fn memory_keeps_the_contract() {
    contract(&MemStorage::new());
    lock_contract(&MemStorage::new());
}

#[test]
fn simulation_keeps_the_contract() {
    contract(&SimStorage::new());
}

#[test]
fn the_faultless_faulty_keeps_the_contract() {
    contract(&FaultStorage::new(MemStorage::new(), u64::MAX, Fault::Device));
}

#[test]
fn an_interrupted_call_is_done_again() {
    for at in 0..30 {
        contract(&FaultStorage::new(MemStorage::new(), at, Fault::Interrupted));
    }
}

#[test]
fn the_file_system_keeps_the_contract() {
    for mode in [OpenMode::Map, OpenMode::Heap, OpenMode::Read] {
        let dir = tempfile::tempdir().unwrap();
        let storage = FsStorage::new(dir.path().join("deep/er"), mode);
        assert_eq!(kind(storage.list()), Some(ErrorKind::NotFound));
        storage.create_dir().unwrap();
        storage.create_dir().unwrap();
        contract(&storage);
        lock_contract(&storage);
        assert_eq!(storage.list().unwrap(), [LOCK, "a"], "the lock file stays");
    }
}

#[test]
fn names_with_a_path_in_them_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let storage = FsStorage::new(dir.path(), OpenMode::Map);
    for name in ["", ".", "..", "../x", "a/b", "a\\b", ".hidden", "a\0b", "ä", &"x".repeat(256)] {
        assert!(!is_plain_name(name));
        assert_eq!(kind(storage.open(name)), Some(ErrorKind::InvalidFilename), "{name:?}");
        assert_eq!(
            kind(storage.create_new(name).map(drop)),
            Some(ErrorKind::InvalidFilename),
            "{name:?}"
        );
    }
    assert!(is_plain_name("manifest-0000000000000001.tmp"));
}

#[test]
fn a_directory_is_no_file() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("x")).unwrap();
    let storage = FsStorage::new(dir.path(), OpenMode::Map);
    assert!(storage.open("x").is_err());
}

#[cfg(unix)]
#[test]
fn a_finished_file_cannot_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    put(&FsStorage::new(dir.path(), OpenMode::Map), "a", b"x");
    let mode = std::fs::metadata(dir.path().join("a")).unwrap().permissions().mode();
    assert_eq!(mode & 0o222, 0);
}

#[test]
fn large_files_come_back_in_every_mode() {
    let dir = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..1_000_003u32).map(|i| i.to_le_bytes()[i as usize % 3]).collect();
    put(&FsStorage::new(dir.path(), OpenMode::Map), "a", &content);
    for mode in [OpenMode::Map, OpenMode::Heap] {
        let bytes = FsStorage::new(dir.path(), mode).open("a").unwrap();
        assert_eq!(bytes.as_slice(), content);
        assert_eq!(bytes.as_slice().as_ptr().align_offset(64), 0);
    }
    let storage = FsStorage::new(dir.path(), OpenMode::Read);
    assert_eq!(storage.open("a").unwrap().as_slice(), content);
    let parts = storage.open_parts("a").unwrap();
    assert_eq!((parts.len(), parts.as_slice()), (content.len(), &[][..]));
    let inner = parts.slice(1000..900_000).unwrap();
    assert_eq!(&*inner.read(5..70_005).unwrap(), &content[1005..71_005]);
    assert_eq!(inner.whole_file().unwrap().as_slice(), &content[1000..900_000]);
    assert!(inner.read(0..899_001).is_err() && inner.slice(0..899_001).is_none());
    let mut copy = Vec::new();
    parts
        .each(|step| {
            copy.extend_from_slice(step);
            Ok(())
        })
        .unwrap();
    assert_eq!(copy, content);
}

#[test]
fn bytes_slice_within_and_never_beyond() {
    let bytes = Bytes::from_vec(b"0123456789");
    let part = bytes.slice(2..8).unwrap();
    assert_eq!(part.as_slice(), b"234567");
    assert_eq!(part.slice(1..3).unwrap().as_slice(), b"34");
    assert_eq!(part.slice(6..6).unwrap().len(), 0);
    let (start, end) = (4, 3);
    for range in [0..7, 7..7, start..end, usize::MAX - 1..usize::MAX, 1..usize::MAX] {
        assert!(part.slice(range).is_none());
    }
}

#[test]
fn static_bytes_are_aligned_whatever_they_were() {
    #[repr(align(8))]
    struct Aligned8([u8; 24]);
    static BYTES: Aligned8 = Aligned8(*b"0123456789abcdefghijklmn");
    for skip in 0..9 {
        let bytes = Bytes::from_static(&BYTES.0[skip..]);
        assert_eq!(bytes.as_slice(), &BYTES.0[skip..]);
        assert_eq!(bytes.as_slice().as_ptr().align_offset(8), 0);
    }
}

#[test]
fn an_aligned_buffer_grows_with_zeros() {
    let mut buffer = Aligned::default();
    buffer.extend(b"abc").unwrap();
    buffer.write_at(70, b"x").unwrap();
    buffer.write_at(1, b"B").unwrap();
    assert_eq!(buffer.len(), 71);
    assert_eq!(&buffer.as_slice()[..4], b"aBc\0");
    assert_eq!(buffer.as_slice()[70], b'x');
    assert_eq!(buffer.as_slice().as_ptr().align_offset(64), 0);
    assert!(buffer.write_at(usize::MAX, b"xx").is_err());
    assert!(Aligned::zeroed(usize::MAX).is_err());
}

#[test]
fn in_use_is_refused_where_asked_for() {
    let storage = MemStorage::refusing_in_use();
    put(&storage, "a", b"x");
    let bytes = storage.open("a").unwrap();
    assert_eq!(kind(storage.remove("a")), Some(ErrorKind::PermissionDenied));
    assert_eq!(kind(storage.rename("a", "b")), Some(ErrorKind::PermissionDenied));
    drop(bytes);
    storage.rename("a", "b").unwrap();
    storage.remove("b").unwrap();
}

#[test]
fn storages_are_shared_between_threads() {
    let storage: Arc<dyn Storage> = Arc::new(MemStorage::new());
    std::thread::scope(|scope| {
        for i in 0..4 {
            let storage = Arc::clone(&storage);
            scope.spawn(move || put(&*storage, &format!("f{i}"), &[i]));
        }
    });
    assert_eq!(storage.list().unwrap().len(), 4);
}

/// The disk after everything in the log of a storage.
fn crash(storage: &SimStorage) -> CrashPoint {
    let mut point = CrashPoint::default();
    storage.log().iter().for_each(|op| point.apply(op));
    point
}

#[test]
fn a_crash_loses_what_was_not_synced() {
    let storage = SimStorage::new();
    let mut file = storage.create_new("a").unwrap();
    file.write_all(&[1; 600]).unwrap();
    file.write_all(&[2; 600]).unwrap();

    let point = crash(&storage);
    assert_eq!((point.pending(), point.last_write()), (3, 600));
    let everything = point.image(|_| true, usize::MAX);
    assert_eq!(everything.open("a").unwrap().len(), 1200);
    assert!(point.image(|_| false, usize::MAX).list().unwrap().is_empty());
    // The name without the bytes, the second write without the first, a torn second write.
    assert_eq!(point.image(|i| i == 0, usize::MAX).open("a").unwrap().len(), 0);
    let hole = point.image(|i| i != 1, usize::MAX).open("a").unwrap();
    assert_eq!((hole.as_slice()[0], hole.as_slice()[600], hole.len()), (0, 2, 1200));
    assert_eq!(point.image(|_| true, 512).open("a").unwrap().len(), 1112);

    // Synced bytes are certain, their name is not.
    file.sync().unwrap();
    let point = crash(&storage);
    assert_eq!(point.pending(), 1);
    assert!(point.image(|_| false, usize::MAX).list().unwrap().is_empty());
    storage.sync_dir().unwrap();
    assert_eq!(crash(&storage).image(|_| false, 0).open("a").unwrap().len(), 1200);

    // A renaming may be half done, in both ways.
    storage.rename("a", "b").unwrap();
    let point = crash(&storage);
    let names = |keep: &dyn Fn(usize) -> bool| point.image(keep, 0).list().unwrap();
    assert_eq!(names(&|_| false), ["a"]);
    assert_eq!(names(&|_| true), ["b"]);
    assert_eq!(names(&|i| i == 0), ["a", "b"]);
    assert!(names(&|i| i == 1).is_empty());
}

#[test]
fn faults_come_at_their_turn() {
    for (at, fault) in (0..4).flat_map(|at| Fault::ALL.map(|fault| (at, fault))) {
        let inner = MemStorage::new();
        let storage = FaultStorage::new(inner.clone(), at, fault);
        let run = || -> io::Result<()> {
            let mut file = storage.create_new("a")?;
            file.write_all(b"12345678")?;
            file.sync()?;
            storage.sync_dir()
        };
        assert_eq!(run().is_ok(), fault == Fault::Interrupted, "{at} {fault:?}");
        if (at, fault) == (1, Fault::Short) {
            assert_eq!(inner.open("a").unwrap().as_slice(), b"1234");
        }
        let stays = storage.list().is_err();
        assert_eq!(stays, fault == Fault::Dead);
    }
}
