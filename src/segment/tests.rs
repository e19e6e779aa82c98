//! The segment's own parts: the book, and bytes that lie although every checksum is right.

mod merge;

use crate::embed::{Document, SparseVector};
use crate::format::book::{check_structure, layout};
use crate::format::reseal::reseal;
use crate::format::{Container, ContainerKind, SectionKind};
use crate::schema::Schema;
use crate::segment::payloads::PayloadBlock;
use crate::segment::{Arena, AttributeTable, DocumentOrder, Segment, SegmentHead, Writing};
use crate::storage::{Bytes, MemStorage, Storage};
use crate::tokens::Packing;

#[test]
fn structures_are_those_of_the_book() {
    check_structure("SegmentHead", &layout!(SegmentHead: schema, docs, key_kind, fields, reserved));
    let block = layout!(PayloadBlock: offset, stored, raw, first, reserved);
    check_structure("PayloadBlock", &block);
}

/// As documents came, and all rows packed.
fn writing() -> Writing {
    Writing {
        order: DocumentOrder::Given,
        threads: 1,
        memory: 1 << 20,
        packing: Packing::Now(u64::MAX),
    }
}

fn schema() -> Schema {
    let mut schema = Schema::builder();
    schema.sparse("s");
    schema.keyword("k");
    schema.i64("n");
    schema.build().unwrap()
}

/// A segment of five documents with keywords, numbers and payloads, as bytes.
fn bytes() -> Vec<u8> {
    let schema = schema();
    let mut arena = Arena::new(&schema);
    let (s, k, n) =
        (schema.sparse("s").unwrap(), schema.keyword("k").unwrap(), schema.i64("n").unwrap());
    for i in 0u8..5 {
        let terms = [(u32::from(i), 1.0f32), (9, 0.5)];
        let text = "payload ".repeat(usize::from(i) * 40);
        let document = Document::new(format!("key-{}", 9 - i))
            .sparse(&s, SparseVector::pairs(&terms))
            .unwrap()
            .keyword(&k, if i % 2 == 0 { "even" } else { "odd" })
            .unwrap()
            .i64(&n, i64::from(i) - 2)
            .unwrap()
            .payload(text.into_bytes());
        arena.push(&document).unwrap();
    }
    let storage = MemStorage::new();
    arena.write(&storage, "a.seg", 1, 1, writing()).unwrap();
    storage.open("a.seg").unwrap().as_slice().to_vec()
}

fn open(bytes: &[u8]) -> crate::Result<Segment> {
    let container = Container::open(Bytes::from_vec(bytes), "a.seg", ContainerKind::Segment, None)?;
    Segment::open(container, &schema())
}

/// Reads all that a segment has; errors are fine, panics are not.
fn read_all(segment: &Segment) {
    let _ = segment.verify();
    for doc in 0..segment.docs().min(100) {
        if let Ok(key) = segment.keys().key(doc) {
            let _ = segment.keys().find(&key);
        }
        let _ = segment.payload(doc);
        if let Some(AttributeTable::Keyword(table)) = segment.attribute(1) {
            let _ = table.get(doc);
        }
        if let Some(AttributeTable::Number(table)) = segment.attribute(2) {
            let _ = table.get(doc);
        }
    }
    if let Some(AttributeTable::Keyword(table)) = segment.attribute(1) {
        let mut set = table.present(|| false);
        let _ = table.select("odd", &mut set, || false);
    }
}

#[test]
fn what_is_written_is_read() {
    let segment = open(&bytes()).unwrap();
    segment.verify().unwrap();
    assert_eq!(segment.docs(), 5);
    for doc in 0u8..5 {
        let key = segment.keys().key(doc.into()).unwrap();
        assert_eq!(key.to_string(), format!("key-{}", 9 - doc));
        assert_eq!(segment.keys().find(&key).unwrap(), Some(doc.into()));
        let text = "payload ".repeat(usize::from(doc) * 40);
        assert_eq!(segment.payload(doc.into()).unwrap(), Some(text.into_bytes()));
    }
    assert_eq!(segment.keys().find(&"key-1".into()).unwrap(), None);
}

#[test]
fn every_damaged_word_with_right_checksums_is_an_error_or_an_answer() {
    let good = bytes();
    let container =
        Container::open(Bytes::from_vec(&good), "a.seg", ContainerKind::Segment, None).unwrap();
    let end: u64 = container.sections().map(|(_, _, len)| len.next_multiple_of(64)).sum();
    let end = 64 + usize::try_from(end).unwrap();
    let mut refused = 0;
    for at in (64..end).step_by(4) {
        for value in [0u32, 1, 5, 0x7FFF_FFFF, 0x8000_0000, u32::MAX] {
            let mut bad = good.clone();
            bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
            if bad == good {
                continue;
            }
            reseal(&mut bad);
            match open(&bad) {
                Ok(segment) => {
                    read_all(&segment);
                    refused += usize::from(segment.verify().is_err());
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 1000, "only {refused} lies were noticed");
}

#[test]
fn a_small_file_cannot_ask_for_a_large_payload() {
    let good = bytes();
    let container =
        Container::open(Bytes::from_vec(&good), "a.seg", ContainerKind::Segment, None).unwrap();
    let blocks = container.section(SectionKind::PAYLOAD_BLOCKS, crate::format::NO_FIELD).unwrap();
    let at = good.windows(24).position(|window| window == &blocks.bytes()[..24]).unwrap();
    for claim in [(1u32 << 20) + 1, 16 << 20, u32::MAX] {
        let mut bad = good.clone();
        bad[at + 12..at + 16].copy_from_slice(&claim.to_le_bytes());
        reseal(&mut bad);
        let error = open(&bad).unwrap().payload(4).unwrap_err();
        assert!(error.to_string().contains("claims too much"), "{error}");
    }
}
