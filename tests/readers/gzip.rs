//! Compressed lines.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use lateen::readers::{JsonLines, Record};

#[test]
fn gzip_is_read_and_its_damage_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.jsonl.gz");
    let mut bytes = Vec::new();
    for part in ["{\"id\": 1}\n{\"id\": 2}\n", "{\"id\": 3}\n"] {
        let mut encoder = GzEncoder::new(&mut bytes, Compression::default());
        encoder.write_all(part.as_bytes()).unwrap();
        encoder.finish().unwrap();
    }
    std::fs::write(&path, &bytes).unwrap();
    let records: Vec<Record> = JsonLines::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(records, ["1", "2", "3"].map(Record::new));

    std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
    let error = JsonLines::open(&path).unwrap().find_map(Result::err).expect("the cut is noticed");
    assert!(error.to_string().contains("x.jsonl.gz: damaged gzip"), "{error}");
}
