//! Mends every checksum of a container whose bytes were changed, so that tests reach what stands
//! behind the checksums: a file that lies consistently.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytemuck::Pod;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::layout::{
    BLOCK_BYTES, Footer, Header, RECORD, SectionEntry, align_up, block_seed, read_at,
    record_checksum,
};

/// Overwrites the structure at an offset.
pub(crate) fn write_record<T: Pod>(bytes: &mut [u8], offset: u64, record: &T) {
    let start = usize::try_from(offset).unwrap();
    bytes[start..start + size_of::<T>()].copy_from_slice(bytemuck::bytes_of(record));
}

/// The section table's place and length, if the footer's account of it lies in the file.
pub(crate) fn table(bytes: &[u8]) -> Option<(Footer, u64, u64)> {
    let footer_offset = u64::try_from(bytes.len()).ok()?.checked_sub(RECORD)?;
    let footer: Footer = read_at(bytes, footer_offset)?;
    let end = u64::from(footer.sections).checked_mul(RECORD)?.checked_add(footer.table_offset)?;
    (end <= footer_offset).then_some((footer, footer_offset, end))
}

/// Recomputes block sums from the data, where the table's account of them lies in the file.
pub(crate) fn reseal_sums(bytes: &mut [u8]) {
    let Some((footer, _, end)) = table(bytes) else { return };
    for (ordinal, at) in (0u32..).zip((footer.table_offset..end).step_by(64)) {
        let mut entry: SectionEntry = read_at(bytes, at).unwrap();
        let Some(stop) = entry.offset.checked_add(entry.length).and_then(align_up) else {
            continue;
        };
        let range = usize::try_from(entry.offset).unwrap()..usize::try_from(stop).unwrap();
        let Some(data) = bytes.get(range) else { continue };
        let sums: Vec<u64> = (0u64..)
            .zip(data.chunks(BLOCK_BYTES))
            .map(|(number, block)| xxh3_64_with_seed(block, block_seed(ordinal, number)))
            .collect();
        let start =
            entry.first_sum.checked_mul(8).and_then(|at| at.checked_add(footer.sums_offset));
        let Some(start) = start.and_then(|start| usize::try_from(start).ok()) else { continue };
        let Some(stop) = start.checked_add(sums.len() * 8) else { continue };
        let Some(place) = bytes.get_mut(start..stop) else { continue };
        place.copy_from_slice(bytemuck::must_cast_slice(&sums));
        entry.sums_checksum = xxh3_64(bytemuck::must_cast_slice(&sums));
        write_record(bytes, at, &entry);
    }
}

/// Recomputes the checksums of table, header and footer.
pub(crate) fn reseal_structure(bytes: &mut [u8]) {
    let Some(mut header) = read_at::<Header>(bytes, 0) else { return };
    header.checksum = record_checksum(&header);
    write_record(bytes, 0, &header);
    let Some(footer_offset) = u64::try_from(bytes.len()).unwrap().checked_sub(RECORD) else {
        return;
    };
    let Some(mut footer) = read_at::<Footer>(bytes, footer_offset) else { return };
    if let Some((_, _, end)) = table(bytes) {
        let range = usize::try_from(footer.table_offset).unwrap()..usize::try_from(end).unwrap();
        footer.table_checksum = xxh3_64(&bytes[range]);
    }
    footer.header_checksum = header.checksum;
    footer.checksum = record_checksum(&footer);
    write_record(bytes, footer_offset, &footer);
}

/// Both.
pub(crate) fn reseal(bytes: &mut [u8]) {
    reseal_sums(bytes);
    reseal_structure(bytes);
}
