//! Lies: files whose checksums are all right. Nothing panics, and structures that cannot be are
//! refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;

use super::book::{entry_layout, footer_layout, header_layout};
use super::*;
use crate::format::layout::RECORD;
use crate::format::reseal::{reseal, reseal_structure, table};

/// Everything a reader does with a container.
fn read_all(bytes: &[u8]) -> Result<()> {
    let container = open(bytes, None)?;
    let sections: Vec<_> = container.sections().collect();
    for (kind, field, len) in sections {
        let section = container.section(kind, field)?;
        assert_eq!(section.len() as u64, len);
        let _ = section.array::<u8>().map(|array| array.len());
        let _ =
            section.array::<u32>().map(|array| array.iter().map(|v| u64::from(*v)).sum::<u64>());
        let _ = section.array::<u64>().map(|array| array.first().copied());
        let _ = section.cursor().u64();
    }
    container.verify()
}

/// Values at which arithmetic goes wrong.
fn boundaries() -> Vec<u64> {
    let mut values = vec![0, 1, 2, 63, 64, 65, 127, 128, 255, 256, 65_535, 65_536, 65_537];
    for shift in [31, 32, 40, 47, 56, 61, 63] {
        let power = 1u64 << shift;
        values.extend([power - 64, power - 1, power, power + 1, power + 64]);
    }
    values.extend((0..130).map(|less| u64::MAX - less));
    values
}

/// Offsets and sizes of every field of header, table and footer.
fn fields(bytes: &[u8]) -> Vec<(String, usize, usize)> {
    let (footer, footer_offset, _) = table(bytes).unwrap();
    let mut all = Vec::new();
    let mut add = |prefix: String, base: u64, layout: &[(&str, usize, usize)]| {
        for (name, offset, size) in layout {
            all.push((format!("{prefix}.{name}"), base as usize + offset, *size));
        }
    };
    add("header".to_owned(), 0, &header_layout());
    for i in 0..u64::from(footer.sections) {
        let base = footer.table_offset + i * RECORD;
        add(format!("entry {i}"), base, &entry_layout());
    }
    add("footer".to_owned(), footer_offset, &footer_layout());
    all
}

#[test]
fn every_field_at_every_boundary_is_refused_or_harmless() {
    let (bytes, _) = small();
    // A reader neither knows nor needs these; everything else must be noticed.
    let harmless = ["header.minor", "header.compat", "header.file_id"];
    let mut tried = 0;
    let mut accepted = std::collections::BTreeSet::new();
    for (name, offset, size) in fields(&bytes) {
        let own: Vec<u64> = fields(&bytes)
            .iter()
            .filter(|(.., size)| *size == 8)
            .flat_map(|(_, at, _)| {
                let value = u64::from_le_bytes(bytes[*at..*at + 8].try_into().unwrap());
                [value, value.wrapping_add(1), value.wrapping_sub(1), value.wrapping_add(64)]
            })
            .collect();
        for value in boundaries().into_iter().chain(own) {
            let mut changed = bytes.clone();
            let width = size.min(8);
            changed[offset..offset + width].copy_from_slice(&value.to_le_bytes()[..width]);
            if changed == bytes {
                continue;
            }
            for sums in [false, true] {
                let mut lie = changed.clone();
                if sums {
                    reseal(&mut lie)
                } else {
                    reseal_structure(&mut lie)
                }
                if lie == bytes {
                    continue; // it was a checksum, and is mended
                }
                tried += 1;
                let result = catch_unwind(AssertUnwindSafe(|| read_all(&lie)));
                match result {
                    Err(_) => panic!("{name} = {value:#x} panics"),
                    Ok(Ok(())) => _ = accepted.insert(name.clone()),
                    Ok(Err(_)) => {}
                }
            }
        }
    }
    assert!(tried > 10_000, "{tried}");
    // Kind, field and flags of a section are free to be others; sizes and places are not.
    let free = |name: &str| {
        harmless.contains(&name)
            || [".kind", ".field", ".flags", ".elem_size", ".count"]
                .iter()
                .any(|end| name.ends_with(end))
                && name.starts_with("entry")
    };
    let wrong: Vec<_> = accepted.iter().filter(|name| !free(name)).collect();
    assert!(wrong.is_empty(), "accepted with another value: {wrong:?}");
    // Elements and their size can only be others where there are none.
    for name in accepted.iter().filter(|n| n.ends_with("elem_size") || n.ends_with("count")) {
        assert!(name.starts_with("entry 2"), "{name}");
    }
}

#[test]
fn two_sections_of_one_kind_and_field_are_refused() {
    let (mut bytes, _) = small();
    let (footer, ..) = table(&bytes).unwrap();
    // The second ATTR_VALUES of field 1 becomes one of field 0.
    let place = (footer.table_offset + 4 * RECORD + 8) as usize;
    bytes[place] = 0;
    reseal(&mut bytes);
    let error = open(&bytes, None).unwrap_err().to_string();
    assert!(error.contains("ATTR_VALUES of field 0 twice"), "{error}");
}

#[test]
fn padding_that_is_not_zero_is_found_though_its_sum_is_right() {
    let (bytes, _) = small();
    let (footer, ..) = table(&bytes).unwrap();
    let sums_end = (footer.sums_offset + 8 * footer.sums_count) as usize;
    // After SEGMENT_HEAD's 24 bytes, after KEYS' 14, after the last section, after the sums.
    for at in [64 + 24, 128 + 14, footer.sums_offset as usize - 1, sums_end] {
        assert_eq!(bytes[at], 0);
        let mut changed = bytes.clone();
        changed[at] = 1;
        reseal(&mut changed);
        let error = read_all(&changed).unwrap_err().to_string();
        assert!(error.contains("not zero"), "{at}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut with_magic = crate::format::layout::MAGIC.to_vec();
        with_magic.extend_from_slice(&bytes);
        let _ = read_all(&bytes);
        let _ = read_all(&with_magic);
        reseal(&mut with_magic);
        let _ = read_all(&with_magic);
    }

    #[test]
    fn mended_mutations_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in 0usize..3,
    ) {
        let mut bytes = small().0;
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        bytes.truncate(bytes.len() - cut * 64);
        reseal(&mut bytes);
        let _ = read_all(&bytes);
    }
}
