//! A directory in one file.

use super::*;
use crate::error::Error;
use crate::format::layout::BLOCK_BYTES;
use crate::format::reseal::reseal;

/// A directory of three files, and their packed form.
fn packed(names: &[&str]) -> Vec<u8> {
    let storage = MemStorage::new();
    for name in names {
        storage.put(name, name.repeat(3 * BLOCK_BYTES / 11).as_bytes());
    }
    storage.put("empty", b"");
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.push("empty".to_owned());
    let open = |name: String| (name.clone(), storage.open(&name).unwrap());
    let files: Vec<_> = names.into_iter().map(open).collect();
    let out = MemStorage::new();
    let file = out.create_new("p").unwrap();
    write_pack(&files, 5, file, "p".to_owned()).unwrap();
    out.open("p").unwrap().as_slice().to_vec()
}

fn open_pack(bytes: &[u8]) -> Result<PackedStorage> {
    PackedStorage::open(Bytes::from_vec(bytes), "p")
}

#[test]
fn files_come_back_and_cannot_be_changed() {
    let storage = open_pack(&packed(&["seg-a", "manifest-b"])).unwrap();
    storage.verify().unwrap();
    assert_eq!(storage.list().unwrap(), ["empty", "manifest-b", "seg-a"]);
    let bytes = storage.open("seg-a").unwrap();
    assert!(bytes.as_slice() == "seg-a".repeat(3 * BLOCK_BYTES / 11).as_bytes());
    assert_eq!(bytes.as_slice().as_ptr().align_offset(64), 0);
    assert_eq!(storage.open("empty").unwrap().len(), 0);
    assert!(storage.open("seg-b").is_err());
    assert_eq!(storage.place(), "p");

    let kind = |error: std::io::Error| error.kind();
    let read_only = std::io::ErrorKind::ReadOnlyFilesystem;
    assert_eq!(kind(storage.create_new("x").map(drop).unwrap_err()), read_only);
    assert_eq!(kind(storage.rename("empty", "x").unwrap_err()), read_only);
    assert_eq!(kind(storage.remove("empty").unwrap_err()), read_only);
    assert_eq!(kind(storage.sync_dir().unwrap_err()), read_only);
    assert_eq!(kind(storage.try_lock().map(drop).unwrap_err()), read_only);
}

#[test]
fn every_flipped_bit_of_the_ends_and_some_of_the_middle_are_found() {
    let bytes = packed(&["a", "b"]);
    let ends = (0..2048).chain(bytes.len() - 2048..bytes.len());
    for i in ends.chain((2048..bytes.len()).step_by(9973)) {
        let mut changed = bytes.clone();
        changed[i] ^= 1 << (i % 8);
        assert!(open_pack(&changed).and_then(|storage| storage.verify()).is_err(), "byte {i}");
    }
}

#[test]
fn names_that_lie_are_refused() {
    let bytes = packed(&["one", "two"]);
    let listing = b"\x03\x00one\x03\x00two\x05\x00empty";
    let at = bytes.windows(listing.len()).position(|window| window == listing).unwrap();
    let lies: [&[u8; 17]; 6] = [
        b"\x03\x00one\x03\x00one\x05\x00empty",       // twice
        b"\x03\x00o/e\x03\x00two\x05\x00empty",       // a path
        b"\x03\x00one\x03\x00two\x06\x00empty",       // beyond the end
        b"\x03\x00one\x0A\x00twotwoempt",             // fewer names than files
        b"\x03\x00one\x03\x00two\x01\x00e\x02\x00mp", // more names than files
        b"\x00\x00\x01\x00e\x03\x00two\x05\x00empty", // an empty name
    ];
    for lie in lies {
        let mut changed = bytes.clone();
        changed[at..at + listing.len()].copy_from_slice(lie);
        reseal(&mut changed);
        let result = open_pack(&changed);
        assert!(matches!(result, Err(Error::Corrupt(_))), "{lie:?}: {result:?}");
    }
    let segment = small().0;
    assert!(matches!(open_pack(&segment), Err(Error::Corrupt(_))), "another kind");
}
