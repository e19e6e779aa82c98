//! Segments that are built without an index.

use super::*;
use crate::index::DetachedBuilder;

fn builder(place: &Path, least: usize) -> DetachedBuilder {
    let mut options = WriterOptions::default().memory(0);
    options.least = least;
    options.detached(place, &schema()).unwrap()
}

fn document(key: u64) -> Document<'static> {
    let schema = schema();
    let (terms, version) = (schema.sparse("terms").unwrap(), schema.i64("version").unwrap());
    let entries: &[(u32, f32)] = &[(1, 1.0)];
    let document = Document::new(key).sparse(&terms, entries).unwrap();
    document.i64(&version, 1).unwrap().payload(b"1".to_vec())
}

#[test]
fn full_memory_is_a_segment_and_each_key_is_there_once() {
    let place = tempfile::tempdir().unwrap();
    let mut few = builder(&place.path().join("few"), 2000);
    let mut one = builder(&place.path().join("one"), 1 << 20);
    for key in 0..100 {
        few.add(&document(key)).unwrap();
        one.add(&document(key)).unwrap();
        // What is gathered and what is written is known.
        for again in [0, key / 2, key] {
            for builder in [&mut few, &mut one] {
                let error = builder.add(&document(again)).unwrap_err();
                assert!(matches!(error, Error::DuplicateKey { .. }), "{again}: {error}");
            }
        }
    }
    let (few, one) = (few.finish().unwrap(), one.finish().unwrap());
    assert_eq!(one.len(), 1);
    assert!((3..50).contains(&few.len()), "{} segments", few.len());
    for segments in [&few, &one] {
        assert_eq!(segments.iter().map(|segment| segment.documents).sum::<u32>(), 100);
        let mut writer = IndexWriter::in_memory(schema()).unwrap();
        writer.publish(segments.iter().map(|segment| &segment.path)).unwrap();
        let keys: Content = (0..100).map(|key| (key, 1)).collect();
        assert_eq!(content(&writer.reader().unwrap()).unwrap(), keys);
    }
}

#[test]
fn a_place_that_is_gone_is_an_error_at_once() {
    let place = tempfile::tempdir().unwrap();
    let mut builder = builder(&place.path().join("gone"), 1 << 20);
    builder.add(&document(1)).unwrap();
    std::fs::remove_dir_all(place.path().join("gone")).unwrap();
    let error = builder.finish().unwrap_err();
    assert!(matches!(&error, Error::Io { place, .. } if place.contains("part-0.")), "{error}");
}
