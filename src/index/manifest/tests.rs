//! Manifests come back; those that cannot be are refused.

use bytemuck::Zeroable;
use proptest::prelude::*;

use super::*;
use crate::format::book::{check_dump, check_structure, layout};
use crate::format::reseal::reseal;
use crate::format::write_tombstones;
use crate::storage::{Bytes, MemStorage};

fn schema() -> Schema {
    let mut schema = Schema::builder();
    schema.sparse("splade");
    schema.tokens("colbert", 128);
    schema.keyword("lang");
    schema.build().unwrap()
}

/// The manifest of the book's example.
fn example() -> Manifest {
    // The book's example of a container.
    let deleted = [1, 3].into_iter().collect();
    let pin = write_tombstones(&MemStorage::new(), 2, 5, &deleted).unwrap();
    let tombstones = TombstonesEntry { ordinal: 5, pin, deleted: 2 };
    let segment = SegmentEntry {
        ordinal: 3,
        pin: Pin { len: 4096, footer: 0x1122_3344_5566_7788, file_id: [0xA5; 16] },
        docs: 4,
        tombstones: Some(tombstones),
    };
    Manifest {
        generation: 2,
        parent: 1,
        schema: schema(),
        next_ordinal: 6,
        sequence: 9,
        segments: vec![segment],
        vocabularies: std::collections::BTreeMap::new(),
    }
}

/// The example with another segment, without tombstones.
fn two_segments() -> Manifest {
    let mut manifest = example();
    let mut second = manifest.segments[0].clone();
    second.ordinal = 4;
    second.docs = 7;
    second.tombstones = None;
    manifest.segments.push(second);
    manifest
}

fn bytes_of(manifest: &Manifest) -> Vec<u8> {
    let storage = MemStorage::new();
    manifest.write(&storage, "m").unwrap();
    storage.open("m").unwrap().as_slice().to_vec()
}

fn parse(bytes: &[u8]) -> Result<Manifest> {
    let bytes = Bytes::from_vec(bytes);
    Manifest::parse(&Container::open(bytes, "m", ContainerKind::Manifest, None)?)
}

#[test]
fn structures_are_as_drawn() {
    let head = layout!(
        ManifestHead: generation, parent, schema_hash, next_ordinal, live_docs, total_docs,
        sequence
    );
    check_structure("ManifestHead", &head);
    let record = layout!(
        SegmentRecord: ordinal, len, footer, file_id, docs, deleted, tombstones_ordinal,
        tombstones_len, tombstones_footer, tombstones_id,
    );
    check_structure("SegmentRecord", &record);
}

#[test]
fn the_worked_example_is_what_the_writer_writes() {
    let bytes = bytes_of(&example());
    let container =
        Container::open(Bytes::from_vec(&bytes), "m", ContainerKind::Manifest, None).unwrap();
    let section = |kind| container.section(kind, NO_FIELD).unwrap();
    check_dump("manifest-head", section(SectionKind::MANIFEST_HEAD).bytes());
    check_dump("schema", section(SectionKind::SCHEMA).bytes());
    check_dump("manifest-segments", section(SectionKind::SEGMENTS).bytes());
}

#[test]
fn manifests_come_back() {
    for manifest in [Manifest::first(schema()), example(), two_segments()] {
        assert_eq!(parse(&bytes_of(&manifest)).unwrap(), manifest);
    }
    let manifest = two_segments();
    assert_eq!((manifest.live_docs(), manifest.total_docs()), (9, 11));
    assert_eq!(
        manifest.files(),
        [
            "manifest-0000000000000002",
            "seg-0000000000000003.seg",
            "del-0000000000000005.del",
            "seg-0000000000000004.seg"
        ]
    );
    let first = Manifest::first(schema());
    assert_eq!((first.files().len(), first.live_docs()), (1, 0));
}

#[test]
fn every_flipped_bit_and_every_truncation_is_found() {
    let mut bytes = bytes_of(&two_segments());
    for i in 0..bytes.len() {
        for bit in 0..8 {
            bytes[i] ^= 1 << bit;
            assert!(parse(&bytes).is_err(), "byte {i} bit {bit}");
            bytes[i] ^= 1 << bit;
        }
        assert!(parse(&bytes[..i]).is_err(), "cut to {i}");
    }
}

/// A way in which a manifest cannot be.
type Lie = fn(&mut Manifest);

fn deleted(manifest: &mut Manifest, count: u32) {
    manifest.segments[0].tombstones.as_mut().unwrap().deleted = count;
}

#[test]
fn segments_have_as_many_documents_as_they_may() {
    let mut manifest = two_segments();
    manifest.segments[1].docs = MAX_SEGMENT_DOCS;
    assert_eq!(parse(&bytes_of(&manifest)).unwrap(), manifest);
    // All of them may be deleted, as long as nobody has merged them away.
    deleted(&mut manifest, 4);
    assert_eq!(parse(&bytes_of(&manifest)).unwrap(), manifest);
    assert_eq!(manifest.live_docs(), u64::from(MAX_SEGMENT_DOCS));
}

#[test]
fn vocabularies_are_of_sparse_fields() {
    let words = Vocabulary::weighted([("fat", 7, 0.5), ("oil", 3, 1.5)]).unwrap();
    let mut manifest = example();
    manifest.vocabularies.insert(0, words.clone());
    assert_eq!(parse(&bytes_of(&manifest)).unwrap(), manifest);
    for field in [1, 2] {
        let mut manifest = example();
        manifest.vocabularies.insert(field, words.clone());
        let error = parse(&bytes_of(&manifest)).unwrap_err().to_string();
        assert!(error.contains("of a field that is not sparse"), "{error}");
    }
}

/// A way to set a limit.
type Set = fn(Limits, u64) -> Limits;

#[test]
fn limits_hold_what_a_manifest_says() {
    let manifest = two_segments();
    let tombstones = manifest.segments[0].tombstones.unwrap().pin.len;
    assert!(tombstones < 4096, "smaller than the segments");
    let limits: [(&str, u64, Set); 5] = [
        ("segments", 2, Limits::segments),
        ("documents", 11, Limits::documents),
        ("bytes", 4096, Limits::file_bytes),
        ("fields", 3, Limits::fields),
        ("components of a row", 128, Limits::dim),
    ];
    for (name, most, set) in limits {
        manifest.within(&set(Limits::default(), most)).unwrap();
        let error = manifest.within(&set(Limits::default(), most - 1)).unwrap_err();
        assert!(matches!(error, Error::Limit { .. }), "{name}: {error}");
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    // Tombstones are files like others.
    let mut small = manifest;
    small.segments.iter_mut().for_each(|segment| segment.pin.len = 64);
    small.within(&Limits::default().file_bytes(tombstones)).unwrap();
    assert!(small.within(&Limits::default().file_bytes(tombstones - 1)).is_err());
}

#[test]
fn manifests_that_cannot_be_are_refused() {
    let lies: [(&str, Lie); 16] = [
        ("generation 0", |m| m.generation = 0),
        ("its own parent", |m| m.parent = m.generation),
        ("a later parent", |m| m.parent = 3),
        ("an ordinal not given out", |m| m.next_ordinal = 5),
        ("no ordinal", |m| m.segments[1].ordinal = 0),
        ("the same segment twice", |m| m.segments[1].ordinal = 3),
        ("a segment that is a tombstones file", |m| m.segments[1].ordinal = 5),
        ("no documents", |m| m.segments[1].docs = 0),
        ("too many documents", |m| m.segments[1].docs = MAX_SEGMENT_DOCS + 1),
        ("all documents there can be", |m| m.segments[1].docs = u32::MAX),
        ("more deleted than there are", |m| deleted(m, 5)),
        ("nothing deleted", |m| deleted(m, 0)),
        ("everything deleted, and more", |m| deleted(m, u32::MAX)),
        ("tombstones without a name", |m| {
            m.segments[0].tombstones.as_mut().unwrap().ordinal = 0;
        }),
        ("tombstones of the same name twice", |m| {
            m.segments[1].tombstones = m.segments[0].tombstones;
        }),
        ("an ordinal without a successor", |m| m.segments[1].ordinal = u64::MAX),
    ];
    for (what, lie) in lies {
        let mut manifest = two_segments();
        lie(&mut manifest);
        let result = parse(&bytes_of(&manifest));
        assert!(matches!(result, Err(Error::Corrupt(_))), "{what}: {result:?}");
    }
}

#[test]
fn counts_and_hashes_that_do_not_fit_the_rest_are_refused() {
    let bytes = bytes_of(&two_segments());
    // The head starts at 64: schema hash, live documents, total documents.
    for field in [16, 32, 40] {
        let mut changed = bytes.clone();
        changed[64 + field] ^= 1;
        reseal(&mut changed);
        assert!(matches!(parse(&changed), Err(Error::Corrupt(_))), "byte {field} of the head");
    }
    // Tombstone bytes of the segment that has none: the last record's last 40 bytes.
    let container =
        Container::open(Bytes::from_vec(&bytes), "m", ContainerKind::Manifest, None).unwrap();
    let records = container.section(SectionKind::SEGMENTS, NO_FIELD).unwrap();
    let start = records.bytes().as_ptr().addr() - container_start(&container);
    for at in [44, 48, 56, 64, 72, 87] {
        let mut changed = bytes.clone();
        changed[start + 88 + at] = 1;
        reseal(&mut changed);
        assert!(matches!(parse(&changed), Err(Error::Corrupt(_))), "byte {at} of the record");
    }
}

/// The address of the container's first byte: its first section starts at 64.
fn container_start(container: &Container) -> usize {
    container.section(SectionKind::MANIFEST_HEAD, NO_FIELD).unwrap().bytes().as_ptr().addr() - 64
}

#[test]
fn a_manifest_of_many_segments_comes_back_and_one_of_too_many_does_not() {
    let mut manifest = Manifest::first(schema());
    let segment = |ordinal| SegmentEntry {
        ordinal,
        pin: Pin { len: 1, footer: 2, file_id: [3; 16] },
        docs: 1,
        tombstones: None,
    };
    manifest.segments = (1..=65_536).map(segment).collect();
    manifest.next_ordinal = 70_000;
    assert_eq!(parse(&bytes_of(&manifest)).unwrap(), manifest);
    manifest.segments.push(segment(65_537));
    assert!(parse(&bytes_of(&manifest)).is_err());
}

#[test]
fn tombstones_are_as_many_as_the_manifest_says() {
    let storage = MemStorage::new();
    let deleted = [1, 3].into_iter().collect();
    write_tombstones(&storage, 2, 5, &deleted).unwrap();
    let mut segment = example().segments.remove(0);
    assert_eq!(segment.deleted(&storage).unwrap(), deleted);
    segment.tombstones.as_mut().unwrap().deleted = 3;
    assert!(matches!(segment.deleted(&storage), Err(Error::Corrupt(_))));
    segment.tombstones = None;
    assert!(segment.deleted(&storage).unwrap().is_empty());
    assert!(matches!(segment.open(&storage), Err(Error::Corrupt(_))), "it is not there");
}

#[test]
fn a_record_of_zeros_names_nothing() {
    assert!(segment(&SegmentRecord::zeroed()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mended_mutations_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = bytes_of(&two_segments());
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        reseal(&mut bytes);
        // What is accepted is written as it was read.
        if let Ok(manifest) = parse(&bytes) {
            prop_assert_eq!(parse(&bytes_of(&manifest)).unwrap(), manifest);
        }
    }
}

/// What has counted as far as can be read is written, and nothing beyond it.
#[test]
fn a_manifest_that_nobody_could_read_is_not_written() {
    let storage = MemStorage::new();
    let mut manifest = Manifest::first(schema());
    (manifest.next_ordinal, manifest.sequence) = (1 << 62, 1 << 62);
    let name = manifest.file();
    manifest.write(&storage, &name).unwrap();
    Manifest::read(&storage, manifest.generation).unwrap();
    storage.remove(&name).unwrap();
    for more in [(1, 0), (0, 1)] {
        (manifest.next_ordinal, manifest.sequence) = ((1 << 62) + more.0, (1 << 62) + more.1);
        let error = manifest.write(&storage, &name).unwrap_err();
        assert!(error.to_string().contains(TOO_FAR), "{error}");
        assert!(storage.list().unwrap().is_empty());
    }
}
