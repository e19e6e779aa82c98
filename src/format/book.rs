//! Reads `index-format.md`, so that tests can hold the code against it.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::panic)]

/// The book.
pub(crate) const BOOK: &str = include_str!("../../index-format.md");

/// Name, offset and size of each field of a structure, in order.
pub(crate) type Layout = Vec<(&'static str, usize, usize)>;

/// The layout of a `#[repr(C)]` structure: `layout!(Header: magic, major, …)`. A field that is
/// left out is noticed: the sizes must add up.
macro_rules! layout {
    ($type:ty: $($field:ident),* $(,)?) => {{
        let zero = <$type as bytemuck::Zeroable>::zeroed();
        let layout = vec![$(
            (stringify!($field), std::mem::offset_of!($type, $field), size_of_val(&zero.$field))
        ),*];
        let sum: usize = layout.iter().map(|(.., size)| *size).sum();
        assert_eq!(sum, size_of::<$type>(), "a field of {} is left out", stringify!($type));
        layout
    }};
}
pub(crate) use layout;

/// The rows of the first table after a heading whose text is this, cells trimmed, without the
/// two rows of the table's head.
pub(crate) fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let mut lines = BOOK.lines();
    lines
        .find(|line| line.starts_with('#') && line.trim_start_matches('#').trim() == heading)
        .unwrap_or_else(|| panic!("index-format.md has no heading {heading}"));
    lines
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect()
}

/// The size of a type as the book writes it.
fn type_size(text: &str) -> usize {
    match text {
        "u8" | "i8" => 1,
        "u16" | "f16" => 2,
        "u32" | "i32" | "f32" => 4,
        "u64" | "i64" | "f64" => 8,
        other => {
            let inner = other.trim_start_matches('[').trim_end_matches(']');
            let (element, count) =
                inner.split_once(';').unwrap_or_else(|| panic!("no type of the book: {other}"));
            type_size(element) * count.trim().parse::<usize>().unwrap()
        }
    }
}

/// Holds a structure against the book's table under the heading `` `name` ``, whose columns are
/// offset, size, type, field and meaning.
pub(crate) fn check_structure(name: &str, layout: &Layout) {
    let rows = table(&format!("`{name}`"));
    let written: Vec<_> = rows
        .iter()
        .map(|row| {
            let [offset, size, kind, field, _] = row[..] else {
                panic!("{name}: five columns, not {row:?}")
            };
            let size: usize = size.parse().unwrap();
            assert_eq!(type_size(kind.trim_matches('`')), size, "{name}.{field}");
            (field.trim_matches('`'), offset.parse().unwrap(), size)
        })
        .collect();
    assert_eq!(written, *layout, "{name}: the book on the left, the code on the right");
}

/// Holds bytes against the book's dump of that name: a fenced block opened by ```` ```hex name ````,
/// of lines `offset  bytes`, sixteen bytes each; text after two more spaces is a remark.
pub(crate) fn check_dump(name: &str, bytes: &[u8]) {
    let mut lines = BOOK.lines();
    let fence = format!("```hex {name}");
    let dump: Vec<&str> = match lines.find(|line| *line == fence) {
        Some(_) => lines.take_while(|line| !line.starts_with("```")).collect(),
        None => panic!("index-format.md has no dump {name}"),
    };
    let written: Vec<String> = dump
        .iter()
        .map(|line| {
            line.splitn(3, "  ").take(2).collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect();
    let actual: Vec<String> = bytes
        .chunks(16)
        .enumerate()
        .map(|(i, line)| {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{:04x}  {}", i * 16, hex.join(" "))
        })
        .collect();
    assert!(
        written == actual,
        "the dump {name} of index-format.md should be\n{}\nbut is\n{}",
        actual.join("\n"),
        written.join("\n")
    );
}
