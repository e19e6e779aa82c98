//! What is written is read back; what is wrong is refused under its right name.

use super::*;
use crate::error::Error;
use crate::format::layout::{BLOCK_BYTES, Footer, Header, MAJOR, MAX_SECTIONS, RECORD, read_at};
use crate::format::reseal::{reseal, write_record};

#[test]
fn sections_come_back_in_place() {
    let (bytes, pin) = small();
    let container = open(&bytes, Some(&pin)).unwrap();
    container.verify().unwrap();
    assert_eq!(container.pin(), pin);
    assert_eq!(pin.len, bytes.len() as u64);

    let head = container.section(SectionKind::SEGMENT_HEAD, NO_FIELD).unwrap();
    assert_eq!(&*head.array::<u64>().unwrap(), [1, 2, 3]);
    assert_eq!(head.bytes().as_ptr().align_offset(64), 0);
    assert_eq!(container.section(SectionKind::KEYS, NO_FIELD).unwrap().bytes(), b"alphabetagamma");
    let empty = container.section(SectionKind::KEY_ORDER, NO_FIELD).unwrap();
    assert!(empty.array_of::<u32>(0).unwrap().is_empty());
    let second = container.section(SectionKind::ATTR_VALUES, 1).unwrap();
    assert_eq!(&*second.array_of::<f32>(17).unwrap(), [0.5; 17]);

    let all: Vec<_> = container.sections().map(|(kind, field, len)| (kind.0, field, len)).collect();
    let none = NO_FIELD;
    assert_eq!(all, [(16, none, 24), (17, none, 14), (19, none, 0), (33, 0, 64), (33, 1, 68)]);
    assert!(container.find(SectionKind::ATTR_VALUES, 2).is_none());
}

#[test]
fn arrays_of_another_shape_are_refused() {
    let (bytes, _) = small();
    let container = open(&bytes, None).unwrap();
    let head = container.section(SectionKind::SEGMENT_HEAD, NO_FIELD).unwrap();
    assert!(head.array::<u32>().is_err(), "another element size");
    assert!(head.array_of::<u64>(4).is_err(), "another count");
    assert!(head.one::<u64>().is_err());
    let error = head.corrupt_element(2, "what").to_string();
    assert_eq!(error, "x: corrupt: SEGMENT_HEAD at byte 16: what");
    assert_eq!(head.file(), "x");
    let error = container.section(SectionKind::ATTR_VALUES, 9).unwrap_err().to_string();
    assert!(error.contains("no ATTR_VALUES of field 9"), "{error}");
}

#[test]
fn streamed_and_whole_sections_are_the_same_bytes() {
    let data: Vec<u8> = (0..3 * BLOCK_BYTES as u32 + 17)
        .map(|i| (i.wrapping_mul(0x9E37_79B9) >> 24) as u8)
        .collect();
    let (whole, pin) = written(ContainerKind::Segment, |writer| {
        writer.section(SectionKind::KEYS, NO_FIELD, &data)?;
        writer.section(SectionKind::KEY_ORDER, NO_FIELD, &data)
    });
    for step in [1000, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES + 5] {
        let (streamed, _) = written(ContainerKind::Segment, |writer| {
            for kind in [SectionKind::KEYS, SectionKind::KEY_ORDER] {
                writer.begin(kind, NO_FIELD, 1)?;
                data.chunks(step).try_for_each(|part| writer.write(part))?;
                writer.end()?;
            }
            Ok(())
        });
        assert!(streamed == whole, "in steps of {step}");
    }
    let container = open(&whole, Some(&pin)).unwrap();
    container.verify().unwrap();
    assert!(container.section(SectionKind::KEY_ORDER, NO_FIELD).unwrap().bytes() == data);
}

#[test]
fn a_container_without_sections_is_one() {
    let (bytes, pin) = written(ContainerKind::Segment, |_| Ok(()));
    assert_eq!(bytes.len(), 128);
    open(&bytes, Some(&pin)).unwrap().verify().unwrap();
}

#[test]
fn the_writer_reports_misuse() {
    let storage = MemStorage::new();
    let file = storage.create_new("x").unwrap();
    let mut writer = ContainerWriter::create(file, "x".into(), ContainerKind::Segment).unwrap();
    assert_eq!(format!("{writer:?}"), "ContainerWriter(x, 64 bytes)");
    assert!(writer.write(b"x").is_err(), "no section is open");
    assert!(writer.end().is_err());
    assert!(writer.begin(SectionKind::KEYS, NO_FIELD, 0).is_err(), "no size");
    writer.begin(SectionKind::KEYS, NO_FIELD, 4).unwrap();
    assert!(writer.begin(SectionKind::KEY_ORDER, NO_FIELD, 1).is_err(), "one is open");
    writer.write(b"12345").unwrap();
    assert!(writer.end().is_err(), "no whole number of elements");
    writer.write(b"678").unwrap();
    writer.end().unwrap();
    assert!(writer.write(b"9").is_err() && writer.end().is_err(), "it is closed");
    assert!(writer.begin(SectionKind::KEYS, NO_FIELD, 1).is_err(), "twice");
    writer.begin(SectionKind::KEYS, 0, 1).unwrap();
    assert!(writer.finish(1, 1).is_err(), "one is open");
}

#[test]
fn ids_differ_by_all_that_goes_into_them() {
    let id = |generation, ordinal, content: &[u8], kind| {
        let storage = MemStorage::new();
        let file = storage.create_new("x").unwrap();
        let mut writer = ContainerWriter::create(file, "x".into(), kind).unwrap();
        writer.section(SectionKind::KEYS, NO_FIELD, content).unwrap();
        writer.finish(generation, ordinal).unwrap().file_id
    };
    let base = id(1, 1, b"a", ContainerKind::Segment);
    assert_eq!(base, id(1, 1, b"a", ContainerKind::Segment));
    assert_ne!(base, id(2, 1, b"a", ContainerKind::Segment));
    assert_ne!(base, id(1, 2, b"a", ContainerKind::Segment));
    assert_ne!(base, id(1, 1, b"b", ContainerKind::Segment));
    assert_ne!(base, id(1, 1, b"a", ContainerKind::Packed));
}

#[test]
fn what_is_not_ours_is_told_from_what_is_damaged() {
    for bytes in [&b""[..], b"\x89LATEEN", b"PK\x03\x04 some archive", &[0; 4096]] {
        assert!(matches!(open(bytes, None), Err(Error::NotAnIndex { .. })), "{bytes:?}");
        let pin = small().1;
        assert!(matches!(open(bytes, Some(&pin)), Err(Error::Corrupt(_))), "{bytes:?}");
    }
    let (bytes, _) = small();
    assert!(matches!(open(&bytes[..100], None), Err(Error::Corrupt(_))));
    let other = Container::open(Bytes::from_vec(&bytes), "x", ContainerKind::Manifest, None);
    let error = other.unwrap_err().to_string();
    assert!(error.contains("a segment, expected a manifest"), "{error}");
}

#[test]
fn another_file_under_the_same_name_is_refused() {
    let (bytes, pin) = small();
    let (other, other_pin) = written(ContainerKind::Segment, |writer| {
        writer.section(SectionKind::KEYS, NO_FIELD, b"another")
    });
    open(&other, Some(&other_pin)).unwrap();
    assert!(matches!(open(&other, Some(&pin)), Err(Error::Corrupt(_))));
    for wrong in [
        Pin { len: pin.len + 64, ..pin },
        Pin { footer: pin.footer ^ 1, ..pin },
        Pin { file_id: [0; 16], ..pin },
    ] {
        assert!(matches!(open(&bytes, Some(&wrong)), Err(Error::Corrupt(_))));
    }
}

#[test]
fn a_file_has_as_many_sections_as_it_may() {
    let (bytes, _) = small();
    let at = bytes.len() as u64 - RECORD;
    for (sections, what) in [
        (MAX_SECTIONS, "does not end at the footer"),
        (MAX_SECTIONS + 1, "too many sections"),
        (u32::MAX, "too many sections"),
    ] {
        let mut bytes = bytes.clone();
        let mut footer: Footer = read_at(&bytes, at).unwrap();
        footer.sections = sections;
        write_record(&mut bytes, at, &footer);
        reseal(&mut bytes);
        let error = open(&bytes, None).unwrap_err().to_string();
        assert!(error.contains(what), "{sections}: {error}");
    }
}

/// The small container with its header or its first entry changed and all sums mended.
fn changed(change: impl FnOnce(&mut Header)) -> Vec<u8> {
    let mut bytes = small().0;
    let mut header: Header = read_at(&bytes, 0).unwrap();
    change(&mut header);
    write_record(&mut bytes, 0, &header);
    reseal(&mut bytes);
    bytes
}

#[test]
fn versions_and_features_have_their_own_errors() {
    let too_new = |bytes: &[u8]| matches!(open(bytes, None), Err(Error::TooNew { .. }));
    assert!(too_new(&changed(|header| header.major = MAJOR + 1)));
    assert!(too_new(&changed(|header| header.incompat = 1 << 63)));
    let old = open(&changed(|header| header.major = 0), None);
    assert!(matches!(old, Err(Error::TooOld { found: 0, oldest: 1, .. })));
    // What a reader may ignore.
    open(&changed(|header| header.minor = 9), None).unwrap().verify().unwrap();
    open(&changed(|header| header.compat = u64::MAX), None).unwrap().verify().unwrap();
}

#[test]
fn unknown_sections_are_skipped_unless_required() {
    let (bytes, _) = written(ContainerKind::Segment, |writer| {
        writer.section(SectionKind(9999), NO_FIELD, b"from the future")?;
        writer.section(SectionKind::KEYS, NO_FIELD, b"known")
    });
    let container = open(&bytes, None).unwrap();
    container.verify().unwrap();
    assert_eq!(container.section(SectionKind::KEYS, NO_FIELD).unwrap().bytes(), b"known");

    let place = crate::format::reseal::table(&bytes).unwrap().0.table_offset;
    for flags in [1, 2, 1 << 15] {
        let mut bytes = bytes.clone();
        let mut entry: crate::format::layout::SectionEntry = read_at(&bytes, place).unwrap();
        assert_eq!(entry.flags, 0);
        entry.flags = flags;
        write_record(&mut bytes, place, &entry);
        reseal(&mut bytes);
        assert!(matches!(open(&bytes, None), Err(Error::TooNew { .. })), "flags {flags:#x}");
    }
}
