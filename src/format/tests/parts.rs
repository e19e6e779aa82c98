//! Schema, cursor, names, tombstones: the smaller readers.

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::*;
use crate::error::Error;
use crate::format::tombstones::decode;
use crate::limits::MAX_FIELDS;
use crate::schema::{
    Centroids, Forward, KeyKind, ModelFingerprint, Normalization, Schema, SparseCodec,
    SparseOptions, TokenCodec, TokenOptions, TokenTier,
};
use crate::storage::faulty::{Fault, FaultStorage};

fn rich_schema() -> Schema {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let model = ModelFingerprint::new("splade-v3", 30_522, "");
    schema.sparse_with("splade", SparseOptions::default().forward(Forward::F16).model(model));
    schema.sparse("Ünïcode name");
    let model = ModelFingerprint::new("colbert", 128, "unit length");
    let options = TokenOptions::new(128).codec(TokenCodec::F16);
    schema.tokens("colbert", options.normalization(Normalization::AsIs).model(model));
    schema.tokens("wide", TokenOptions::new(4096).centroids(Centroids::Count(65_536)));
    schema.tokens("flat", TokenOptions::new(8).centroids(Centroids::None));
    let product = TokenCodec::Product { subspaces: 4, bits: 4 };
    schema.tokens("product", TokenOptions::new(8).codec(product).tier(TokenTier::F16));
    schema.keyword("lang");
    schema.i64("i");
    schema.u64("u");
    schema.f64("f");
    schema.bool("b");
    schema.build().unwrap()
}

fn decode_bytes(bytes: &[u8]) -> Result<Schema> {
    decode_schema(Cursor::new(bytes, "x", "SCHEMA"))
}

#[test]
fn schemas_come_back() {
    let schema = rich_schema();
    let bytes = encode_schema(&schema);
    assert_eq!(decode_bytes(&bytes).unwrap(), schema);
    let ways = [
        (SparseCodec::U8, Forward::Auto, TokenCodec::F16, Normalization::Checked),
        (SparseCodec::U4, Forward::F32, TokenCodec::Int8, Normalization::Normalize),
        (SparseCodec::Pruned(1), Forward::F16, TokenCodec::F16, Normalization::AsIs),
        (SparseCodec::Pruned(99), Forward::None, TokenCodec::Int8, Normalization::Checked),
        (SparseCodec::U8, Forward::Auto, TokenCodec::Residual4, Normalization::Checked),
        (SparseCodec::U8, Forward::Auto, TokenCodec::Residual2, Normalization::Checked),
        (SparseCodec::U8, Forward::Auto, TokenCodec::Residual1, Normalization::Checked),
    ];
    for (sparse, forward, codec, normalization) in ways {
        let mut schema = Schema::builder();
        schema.sparse_with("s", SparseOptions::default().codec(sparse).forward(forward));
        schema.tokens("t", TokenOptions::new(8).codec(codec).normalization(normalization));
        let schema = schema.build().unwrap();
        let other = encode_schema(&schema);
        assert_eq!(decode_bytes(&other).unwrap(), schema);
        assert_ne!(schema_hash(&schema), schema_hash(&rich_schema()));
    }
}

#[test]
fn a_model_text_that_the_encoding_has_no_room_for_is_refused_at_the_door() {
    for (len, taken) in [(255, true), (256, false), (70_000, false)] {
        let model = ModelFingerprint::new("m".repeat(len), 1, "");
        let mut schema = Schema::builder();
        schema.sparse_with("s", SparseOptions::default().model(model));
        assert_eq!(schema.build().is_ok(), taken, "{len}");
    }
}

#[test]
fn damaged_schemas_are_corrupt_or_others() {
    let bytes = encode_schema(&rich_schema());
    for len in 0..bytes.len() {
        assert!(matches!(decode_bytes(&bytes[..len]), Err(Error::Corrupt(_))), "cut to {len}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(decode_bytes(&longer).is_err());
    for (i, value) in (0..bytes.len()).flat_map(|i| (0..=255u8).map(move |v| (i, v))) {
        let mut changed = bytes.clone();
        changed[i] = value;
        // Another schema is possible; then these are exactly its bytes.
        if let Ok(schema) = decode_bytes(&changed) {
            assert_eq!(encode_schema(&schema), changed, "byte {i} = {value}");
        }
    }
}

#[test]
fn a_schema_has_as_many_fields_as_it_may() {
    let mut schema = Schema::builder();
    schema.sparse("terms");
    (1..MAX_FIELDS).for_each(|at| drop(schema.i64(&format!("field {at}"))));
    let schema = schema.build().unwrap();
    let mut bytes = encode_schema(&schema);
    assert_eq!(decode_bytes(&bytes).unwrap(), schema);
    // The count, behind the encoding and the kind of keys, is refused before any field is read.
    assert_eq!(bytes[2..4], u16::try_from(MAX_FIELDS).unwrap().to_le_bytes());
    for more in [MAX_FIELDS + 1, usize::from(u16::MAX)] {
        bytes[2..4].copy_from_slice(&u16::try_from(more).unwrap().to_le_bytes());
        let error = decode_bytes(&bytes).unwrap_err().to_string();
        assert!(error.ends_with(&format!("{more} fields, the limit is {MAX_FIELDS}")), "{error}");
    }
}

#[test]
fn a_field_has_as_many_centroids_as_it_may() {
    let mut schema = Schema::builder();
    schema.tokens("t", TokenOptions::new(8).centroids(Centroids::Count(Centroids::MOST)));
    let bytes = encode_schema(&schema.build().unwrap());
    let count = Centroids::MOST.to_le_bytes();
    let at = bytes.windows(4).position(|window| window == count).unwrap();
    for (count, taken) in [(Centroids::MOST, true), (Centroids::MOST + 1, false), (!1, false)] {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&count.to_le_bytes());
        assert_eq!(decode_bytes(&changed).is_ok(), taken, "{count} centroids");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_schema_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(schema) = decode_bytes(&bytes) {
            prop_assert_eq!(encode_schema(&schema), bytes);
        }
    }

    #[test]
    fn arbitrary_bitmaps_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), run: bool) {
        let _ = decode(&tombstones_section(&bytes), 1000);
        let mut with_cookie = if run { 12347u32 } else { 12346 }.to_le_bytes().to_vec();
        with_cookie.extend_from_slice(&bytes);
        let _ = decode(&tombstones_section(&with_cookie), 1000);
    }
}

#[test]
fn cursors_stop_at_the_end_and_say_where() {
    let bytes = [1, 2, 0, 3, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 2, 0, b'h', b'i', 9];
    let mut cursor = Cursor::new(&bytes, "f", "S");
    assert_eq!(cursor.u8().unwrap(), 1);
    assert_eq!(cursor.u16().unwrap(), 2);
    assert_eq!(cursor.u32().unwrap(), 3);
    assert_eq!(cursor.u64().unwrap(), 4);
    assert_eq!(cursor.str16().unwrap(), "hi");
    assert_eq!((cursor.offset(), cursor.remaining()), (19, 1));
    let error = cursor.clone().finish().unwrap_err().to_string();
    assert_eq!(error, "f: corrupt: S at byte 19: 1 bytes too many");
    assert!(cursor.u16().is_err());
    assert_eq!(cursor.offset(), 19, "a step that fails does not move");
    assert!(cursor.take(usize::MAX).is_err());
    assert_eq!(cursor.take(1).unwrap(), [9]);
    cursor.finish().unwrap();
    assert!(Cursor::new(&[1, 0, 0xFF], "f", "S").str16().is_err(), "no UTF-8");
}

#[test]
fn names_are_taken_apart_exactly() {
    for number in [0, 1, 0xABCD, u64::MAX] {
        let names = [
            (manifest_name(number), FileName::Manifest(number)),
            (manifest_temporary(number), FileName::ManifestTemporary(number)),
            (segment_name(number), FileName::Segment(number)),
            (tombstones_name(number), FileName::Tombstones(number)),
        ];
        for (name, parsed) in names {
            assert_eq!(FileName::parse(&name), Some(parsed));
            assert!(crate::storage::is_plain_name(&name));
        }
    }
    for name in [
        "LOCK",
        "manifest-",
        "manifest-1",
        "manifest-000000000000000A",
        "manifest-+00000000000000a",
        "manifest-00000000000000010",
        "manifest-0000000000000001.bak",
        "manifest-0000000000000001.tmp.tmp",
        "seg-0000000000000001",
        "seg-0000000000000001.del",
        "del-0000000000000001.seg",
        "seg-0000000000000001.seg~",
        "xseg-0000000000000001.seg",
    ] {
        assert_eq!(FileName::parse(name), None, "{name}");
    }
}

fn tombstones_section(bytes: &[u8]) -> Section {
    let (file, _) = written(ContainerKind::Tombstones, |writer| {
        writer.section(SectionKind::TOMBSTONES, NO_FIELD, bytes)
    });
    let container =
        Container::open(Bytes::from_vec(&file), "x", ContainerKind::Tombstones, None).unwrap();
    container.section(SectionKind::TOMBSTONES, NO_FIELD).unwrap()
}

#[test]
fn tombstones_come_back() {
    let mut runs: RoaringBitmap = (100..90_000).collect();
    runs.optimize();
    let sets: [RoaringBitmap; 4] = [
        RoaringBitmap::new(),
        [0, 5, 99_999].into_iter().collect(),
        (0..100_000).step_by(2).collect(),
        runs,
    ];
    for (ordinal, deleted) in (1..).zip(sets) {
        let storage = MemStorage::new();
        let pin = write_tombstones(&storage, 2, ordinal, &deleted).unwrap();
        assert_eq!(storage.list().unwrap(), [tombstones_name(ordinal)]);
        assert_eq!(read_tombstones(&storage, ordinal, &pin, 100_000).unwrap(), deleted);
        let fewer = read_tombstones(&storage, ordinal, &pin, 99_999);
        assert_eq!(fewer.is_ok(), deleted.max().is_none_or(|last| last < 99_999));
        let wrong = Pin { footer: !pin.footer, ..pin };
        assert!(read_tombstones(&storage, ordinal, &wrong, 100_000).is_err());
        // The manifest names it: that it is not there is damage, not a failure of the disk.
        let gone = read_tombstones(&storage, ordinal + 1, &pin, 100_000);
        assert!(matches!(gone, Err(Error::Corrupt(_))), "{gone:?}");
    }
}

#[test]
fn bitmaps_that_claim_more_than_they_have_are_refused_before_any_room_is_made() {
    let claims: [&[u8]; 6] = [
        b"",
        b"\x3A\x30",
        b"\x00\x00\x00\x00\x01\x00\x00\x00",
        b"\x3A\x30\x00\x00\xFF\xFF\x00\x00", // 65,535 containers in no bytes
        b"\x3A\x30\x00\x00\xFF\xFF\xFF\xFF",
        b"\x3B\x30\xFF\xFF", // 65,536 run containers in no bytes
    ];
    for bytes in claims {
        assert!(
            matches!(decode(&tombstones_section(bytes), 10), Err(Error::Corrupt(_))),
            "{bytes:?}"
        );
    }
    let mut bytes = Vec::new();
    RoaringBitmap::from_iter([1, 2, 3]).serialize_into(&mut bytes).unwrap();
    assert!(decode(&tombstones_section(&bytes), 10).is_ok());
    bytes.push(0);
    let error = decode(&tombstones_section(&bytes), 10).unwrap_err().to_string();
    assert!(error.contains("bytes after the bitmap"), "{error}");
}

#[test]
fn failing_writes_come_out_as_io() {
    let deleted: RoaringBitmap = (0..10).collect();
    for at in 0..9 {
        let storage = FaultStorage::new(MemStorage::new(), at, Fault::Full);
        let result = write_tombstones(&storage, 1, 1, &deleted);
        assert!(matches!(result, Err(Error::Io { .. })), "{at}: {result:?}");
    }
}
