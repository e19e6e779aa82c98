//! `index-format.md` says what the code does, and the code does what it says.

use super::*;
use crate::format::book::{BOOK, Layout, check_dump, check_structure, layout, table};
use crate::format::layout::{Footer, Header, SectionEntry};

pub(super) fn header_layout() -> Layout {
    layout!(Header: magic, major, minor, kind, incompat, compat, file_id, file_len, checksum)
}

pub(super) fn entry_layout() -> Layout {
    layout!(
        SectionEntry: kind, flags, field, elem_size, offset, length, count, first_sum,
        sums_checksum, reserved,
    )
}

pub(super) fn footer_layout() -> Layout {
    layout!(
        Footer: magic, table_offset, sums_offset, sums_count, sections, block_log2,
        table_checksum, header_checksum, checksum,
    )
}

#[test]
fn structures_are_as_drawn() {
    check_structure("Header", &header_layout());
    check_structure("SectionEntry", &entry_layout());
    check_structure("Footer", &footer_layout());
}

#[test]
fn every_section_kind_is_listed_and_no_other() {
    let written: Vec<(u32, String, bool)> = table("Section kinds")
        .iter()
        .map(|row| {
            let required = match row[2] {
                "required" => true,
                "optional" => false,
                other => panic!("required or optional, not {other}"),
            };
            (row[0].parse().unwrap(), row[1].trim_matches('`').to_owned(), required)
        })
        .collect();
    let actual: Vec<(u32, String, bool)> = SectionKind::ALL
        .iter()
        .map(|(kind, name, required)| (kind.0, (*name).to_owned(), *required))
        .collect();
    assert_eq!(written, actual, "the book on the left, the code on the right");
    assert!(actual.windows(2).all(|pair| pair[0].0 < pair[1].0), "ascending, each number once");
}

#[test]
fn container_kinds_are_as_listed() {
    let written: Vec<(u32, &str)> =
        table("Container kinds").iter().map(|row| (row[0].parse().unwrap(), row[1])).collect();
    for (number, name) in &written {
        assert_eq!(ContainerKind::try_from(*number).unwrap().name(), *name);
    }
    assert_eq!(written.len(), 4);
    assert_eq!(ContainerKind::try_from(0), Err(0));
    assert_eq!(ContainerKind::try_from(5), Err(5));
}

#[test]
fn the_worked_example_of_a_container_is_what_the_writer_writes() {
    let storage = MemStorage::new();
    let deleted = [1, 3].into_iter().collect();
    let pin = write_tombstones(&storage, 2, 5, &deleted).unwrap();
    let bytes = storage.open(&tombstones_name(5)).unwrap();
    assert_eq!(pin.len, 320);
    check_dump("tombstones", bytes.as_slice());
}

#[test]
fn the_worked_example_of_a_schema_is_what_the_encoder_writes() {
    let mut schema = crate::schema::Schema::builder();
    schema.sparse("splade");
    schema.tokens("colbert", 128);
    schema.keyword("lang");
    check_dump("schema", &encode_schema(&schema.build().unwrap()));
}

#[test]
fn the_numbers_of_the_schema_encoding_are_all_in_the_book() {
    for (heading, count) in [("Field kinds", 7), ("Setting bytes", 17)] {
        assert_eq!(table(heading).len(), count, "{heading}");
    }
    assert!(BOOK.contains("## Segment") && BOOK.contains("## Sparse field"));
    assert!(BOOK.contains("## Token field"));
}
