//! Accidents: every bit, every length, every pair of blocks. All are found.

use super::*;
use crate::format::layout::BLOCK_BYTES;

/// Whether opening as the pinned file and checking all of it finds something wrong.
fn found(bytes: &[u8], pin: &Pin) -> bool {
    open(bytes, Some(pin)).and_then(|container| container.verify()).is_err()
}

/// The same without a pin: what stands in the file alone.
fn found_alone(bytes: &[u8]) -> bool {
    open(bytes, None).and_then(|container| container.verify()).is_err()
}

#[test]
fn every_flipped_bit_is_found() {
    let (mut bytes, pin) = small();
    assert!(!found(&bytes, &pin));
    for i in 0..bytes.len() {
        for bit in 0..8 {
            bytes[i] ^= 1 << bit;
            assert!(found(&bytes, &pin), "byte {i} bit {bit}");
            assert!(found_alone(&bytes), "byte {i} bit {bit}, without a pin");
            bytes[i] ^= 1 << bit;
        }
    }
    assert!(!found(&bytes, &pin), "restored");
}

#[test]
fn every_byte_set_to_an_end_of_its_range_is_found() {
    let (bytes, pin) = small();
    for (i, value) in (0..bytes.len()).flat_map(|i| [(i, 0), (i, 0xFF)]) {
        let mut changed = bytes.clone();
        changed[i] = value;
        assert_eq!(found(&changed, &pin), changed != bytes, "byte {i} set to {value}");
    }
}

#[test]
fn every_truncation_and_extension_is_found() {
    let (bytes, pin) = small();
    for len in 0..bytes.len() {
        assert!(found(&bytes[..len], &pin), "cut to {len}");
        assert!(found_alone(&bytes[..len]), "cut to {len}, without a pin");
    }
    for more in 1..200 {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + more, 0);
        assert!(found_alone(&longer), "{more} bytes more");
        // A second footer at the end does not help either.
        longer.extend_from_slice(&bytes[bytes.len() - 64..]);
        assert!(found_alone(&longer), "{more} bytes and a footer more");
    }
}

#[test]
fn every_swap_of_unequal_lines_is_found() {
    let (bytes, pin) = small();
    let lines = bytes.len() / 64;
    let mut swaps = 0;
    for (i, j) in (0..lines).flat_map(|i| (i + 1..lines).map(move |j| (i, j))) {
        let mut swapped = bytes.clone();
        let (left, right) = swapped.split_at_mut(j * 64);
        left[i * 64..i * 64 + 64].swap_with_slice(&mut right[..64]);
        if swapped != bytes {
            swaps += 1;
            assert!(found(&swapped, &pin), "lines {i} and {j}");
            assert!(found_alone(&swapped), "lines {i} and {j}, without a pin");
        }
    }
    assert!(swaps > 50);
}

#[test]
fn whole_blocks_that_changed_places_are_found() {
    // Blocks of equal content too may not stand for one another once one of them is damaged, so
    // the sums of equal blocks differ; blocks of different content must not be interchangeable.
    let data: Vec<u8> = (0..4u8).flat_map(|i| vec![i; BLOCK_BYTES]).collect();
    let (bytes, pin) = written(ContainerKind::Segment, |writer| {
        writer.section(SectionKind::KEYS, NO_FIELD, &data)?;
        writer.section(SectionKind::KEY_ORDER, NO_FIELD, &data)
    });
    assert!(!found(&bytes, &pin));
    let blocks = 2 * data.len() / BLOCK_BYTES;
    for (i, j) in (0..blocks).flat_map(|i| (i + 1..blocks).map(move |j| (i, j))) {
        let place = |i: usize| 64 + i * BLOCK_BYTES;
        let mut swapped = bytes.clone();
        let (left, right) = swapped.split_at_mut(place(j));
        left[place(i)..place(i) + BLOCK_BYTES].swap_with_slice(&mut right[..BLOCK_BYTES]);
        assert_eq!(found(&swapped, &pin), swapped != bytes, "blocks {i} and {j}");
    }
    // The last block's padding and each block's last byte.
    for at in (1..=blocks).map(|i| 64 + i * BLOCK_BYTES - 1) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(found(&changed, &pin), "byte {at}");
    }
}

#[test]
fn sums_of_equal_blocks_differ_by_place() {
    use crate::format::layout::block_seed;
    let mut seeds: Vec<u64> = [0, 1, 2, 255, 65_535]
        .into_iter()
        .flat_map(|s| (0..300).map(move |b| block_seed(s, b)))
        .collect();
    seeds.sort_unstable();
    seeds.dedup();
    assert_eq!(seeds.len(), 1500);
}
