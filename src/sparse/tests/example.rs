//! The worked example of the book, byte by byte.

use super::*;
use crate::format::SectionKind;

#[test]
fn the_bytes_are_those_of_the_book() {
    let docs =
        vec![vec![(3, 1.0), (5, 0.25)], vec![], vec![(5, 0.5), (700_000, 2.0)], vec![(5, 0.125)]];
    let storage = written(&docs, &[0, 1, 2, 3], Forward::Auto, 1);
    let container = container(&storage);
    let hex = |kind: SectionKind| -> String {
        let section = container.section(kind, 3).unwrap();
        section.bytes().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    let book = [
        (
            SectionKind::SPARSE_HEAD,
            "0400000003000000050000000000000003000000010000000200000000000000\
             0100000001000000000000000200000000000000000000000500000000000000",
        ),
        (SectionKind::SPARSE_TERM_IDS, "030000000500000060ae0a00"),
        (SectionKind::SPARSE_LIST_POSTINGS, "00000200030076eb3b"),
        (SectionKind::SPARSE_TINY_DOCS, "0000000002000000"),
        (SectionKind::SPARSE_TINY_IMPACTS, "ebeb"),
        (SectionKind::SPARSE_LIST_STARTS, "0000"),
        (SectionKind::SPARSE_LIST_MAXIMA, "eb"),
        (
            SectionKind::SPARSE_TERMS,
            "00000000000000000100000000000000c1ff01eb00000000\
             00000000000000000300000000000000b9ff02eb00000000\
             01000000000000000100000000000000c9ff01eb00000000",
        ),
        (SectionKind::SPARSE_ROWS, "0100000000003c0034010000010000380040000000010030"),
        (SectionKind::SPARSE_ROW_BASES, "00000000000000001800000000000000"),
        (SectionKind::SPARSE_ROW_ENDS, "09000000090000001200000018000000"),
    ];
    let kinds: Vec<SectionKind> = container.sections().map(|(kind, _, _)| kind).collect();
    assert_eq!(kinds, book.map(|(kind, _)| kind));
    for (kind, bytes) in book {
        assert_eq!(hex(kind), bytes, "{}", kind.name());
    }
}
