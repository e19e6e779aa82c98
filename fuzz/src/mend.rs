//! Taking containers apart and putting them together, by the letter of `index-format.md` and with
//! nothing of the library: so that bytes which were changed get their checksums right again, and
//! the change reaches what stands behind the checksums.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// First eight bytes of header and footer.
pub const MAGIC: [u8; 8] = *b"\x89LATEEN\n";
/// Bytes of a header, a footer and a table entry, each.
pub const RECORD: usize = 64;
/// Bytes of the block that has one checksum.
const BLOCK: usize = 1 << 16;
/// The kinds of container and section that hold other files, or say what they are.
const MANIFEST: u32 = 2;
const PACKED: u32 = 4;
const SEGMENTS: u32 = 3;
const PACK_NAMES: u32 = 251;
const PACK_FILE: u32 = 252;
/// Bytes of a `SegmentRecord`.
const SEGMENT_RECORD: usize = 88;

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn usize_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64_at(bytes, at)?).ok()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Option<()> {
    bytes.get_mut(at..at.checked_add(value.len())?)?.copy_from_slice(value);
    Some(())
}

/// One section as the table has it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Where the entry stands in the file.
    pub at: usize,
    /// Its section kind.
    pub kind: u32,
    /// Its schema field, or all ones.
    pub field: u32,
    /// Bytes of an element.
    pub elem_size: usize,
    /// Where the section starts.
    pub offset: usize,
    /// Its bytes.
    pub length: usize,
}

/// The sections, as far as the footer's account of the table lies in the file.
pub fn entries(bytes: &[u8]) -> Vec<Entry> {
    let entry = |at: usize| {
        Some(Entry {
            at,
            kind: u32_at(bytes, at)?,
            field: u32_at(bytes, at + 8)?,
            elem_size: u32_at(bytes, at + 12)? as usize,
            offset: usize_at(bytes, at + 16)?,
            length: usize_at(bytes, at + 24)?,
        })
    };
    let table = || {
        let footer = bytes.len().checked_sub(RECORD)?;
        let start = usize_at(bytes, footer + 8)?;
        let sections = u32_at(bytes, footer + 32)? as usize;
        let end = sections.checked_mul(RECORD)?.checked_add(start)?;
        (end <= footer).then_some(start..end)
    };
    let Some(table) = table() else { return Vec::new() };
    table.step_by(RECORD).filter_map(entry).collect()
}

/// The bytes of a section, if it lies in the file.
pub fn data<'a>(bytes: &'a [u8], entry: &Entry) -> Option<&'a [u8]> {
    bytes.get(entry.offset..entry.offset.checked_add(entry.length)?)
}

/// Mends the checksums of one container, where the places of what they cover lie in the file.
pub fn reseal(bytes: &mut [u8]) -> Option<()> {
    let footer = bytes.len().checked_sub(RECORD)?;
    let sums_offset = usize_at(bytes, footer + 16)?;
    let all = entries(bytes);
    for (ordinal, entry) in (0u64..).zip(&all) {
        let mut seal = || {
            let end = entry.offset.checked_add(entry.length)?.checked_next_multiple_of(64)?;
            let blocks = bytes.get(entry.offset..end)?.chunks(BLOCK);
            let sums: Vec<u8> = (0u64..)
                .zip(blocks)
                .flat_map(|(b, block)| xxh3_64_with_seed(block, (ordinal << 40) ^ b).to_le_bytes())
                .collect();
            let first = usize_at(bytes, entry.at + 40)?.checked_mul(8)?;
            put(bytes, first.checked_add(sums_offset)?, &sums)?;
            put(bytes, entry.at + 48, &xxh3_64(&sums).to_le_bytes())
        };
        let _ = seal();
    }
    let header = xxh3_64(bytes.get(..56)?).to_le_bytes();
    put(bytes, 56, &header)?;
    if let (Some(first), Some(last)) = (all.first(), all.last()) {
        let table = xxh3_64(bytes.get(first.at..last.at + RECORD)?).to_le_bytes();
        put(bytes, footer + 40, &table)?;
    }
    put(bytes, footer + 48, &header)?;
    let sum = xxh3_64(bytes.get(footer..footer + 56)?).to_le_bytes();
    put(bytes, footer + 56, &sum)
}

/// The files of a packed index: names, and where each lies.
pub fn files(bytes: &[u8]) -> Vec<(String, std::ops::Range<usize>)> {
    let all = entries(bytes);
    let names = || {
        let mut rest = data(bytes, all.iter().find(|entry| entry.kind == PACK_NAMES)?)?;
        let mut names = Vec::new();
        while let Some((length, after)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_le_bytes(*length));
            names.push(String::from_utf8_lossy(after.get(..length)?).into_owned());
            rest = after.get(length..)?;
        }
        Some(names)
    };
    let place = |at: u32| {
        let entry = all.iter().find(|entry| entry.kind == PACK_FILE && entry.field == at)?;
        data(bytes, entry).map(|_| entry.offset..entry.offset + entry.length)
    };
    let named = (0u32..).zip(names().unwrap_or_default());
    named.filter_map(|(at, name)| Some((name, place(at)?))).collect()
}

/// Mends a packed index from the inside out: each file, the manifest's account of the files, the
/// whole. Any other container is mended by itself.
pub fn reseal_index(bytes: &mut [u8]) {
    if u32_at(bytes, 12) == Some(PACKED) {
        let all = files(bytes);
        let is_manifest = |bytes: &[u8], place: &std::ops::Range<usize>| {
            u32_at(&bytes[place.clone()], 12) == Some(MANIFEST)
        };
        for (_, place) in &all {
            if !is_manifest(bytes, place) {
                let _ = reseal(&mut bytes[place.clone()]);
            }
        }
        for (_, place) in &all {
            if is_manifest(bytes, place) {
                let mut manifest = bytes[place.clone()].to_vec();
                let _ = repin(&mut manifest, bytes, &all);
                let _ = reseal(&mut manifest);
                bytes[place.clone()].copy_from_slice(&manifest);
            }
        }
    }
    let _ = reseal(bytes);
}

/// Makes a manifest pin the files as they are now.
fn repin(
    manifest: &mut [u8],
    bytes: &[u8],
    all: &[(String, std::ops::Range<usize>)],
) -> Option<()> {
    let segments = entries(manifest).into_iter().find(|entry| entry.kind == SEGMENTS)?;
    data(manifest, &segments)?;
    let pin = |name: String| {
        let (_, place) = all.iter().find(|(other, _)| *other == name)?;
        let file = &bytes[place.clone()];
        let mut pin = Vec::with_capacity(32);
        pin.extend_from_slice(&(file.len() as u64).to_le_bytes());
        pin.extend_from_slice(file.get(file.len().checked_sub(8)?..)?);
        pin.extend_from_slice(file.get(32..48)?);
        Some(pin)
    };
    let end = segments.offset + segments.length;
    for record in (segments.offset..end).step_by(SEGMENT_RECORD) {
        let segment = u64_at(manifest, record)?;
        if let Some(pin) = pin(format!("seg-{segment:016x}.seg")) {
            put(manifest, record + 8, &pin);
        }
        let tombstones = u64_at(manifest, record + 48)?;
        if tombstones > 0
            && let Some(pin) = pin(format!("del-{tombstones:016x}.del"))
        {
            put(manifest, record + 56, &pin);
        }
    }
    Some(())
}

/// A section to be written.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its section kind.
    pub kind: u32,
    /// Bit 0: whoever does not know the kind refuses the file.
    pub flags: u32,
    /// Its schema field, or all ones.
    pub field: u32,
    /// Bytes of an element.
    pub elem_size: u32,
    /// Its content.
    pub data: Vec<u8>,
}

/// The sections of a container, to be changed and written again.
pub fn parts(bytes: &[u8]) -> Vec<Part> {
    let part = |entry: &Entry| {
        Some(Part {
            kind: entry.kind,
            flags: u32_at(bytes, entry.at + 4)?,
            field: entry.field,
            elem_size: u32_at(bytes, entry.at + 12)?,
            data: data(bytes, entry)?.to_vec(),
        })
    };
    entries(bytes).iter().filter_map(part).collect()
}

/// Writes a container of sections, with the header's first 48 bytes as they are given.
pub fn container(header: &[u8], parts: &[Part]) -> Vec<u8> {
    let mut bytes = header[..48].to_vec();
    bytes.resize(RECORD, 0);
    let mut table = Vec::new();
    let mut sums = 0u64;
    for part in parts {
        let blocks = (part.data.len().next_multiple_of(64) as u64).div_ceil(BLOCK as u64);
        for number in [part.kind, part.flags, part.field, part.elem_size] {
            table.extend_from_slice(&number.to_le_bytes());
        }
        let count = part.data.len() as u64 / u64::from(part.elem_size);
        for number in [bytes.len() as u64, part.data.len() as u64, count, sums, 0, 0] {
            table.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&part.data);
        bytes.resize(bytes.len().next_multiple_of(64), 0);
        sums += blocks;
    }
    let sums_offset = bytes.len() as u64;
    bytes.resize((bytes.len() + 8 * usize::try_from(sums).unwrap_or(0)).next_multiple_of(64), 0);
    let table_offset = bytes.len() as u64;
    bytes.extend_from_slice(&table);
    bytes.extend_from_slice(&MAGIC);
    for number in [table_offset, sums_offset, sums] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&u32::try_from(parts.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&16u32.to_le_bytes());
    bytes.resize(bytes.len() + 24, 0);
    let length = bytes.len() as u64;
    bytes[48..56].copy_from_slice(&length.to_le_bytes());
    let _ = reseal(&mut bytes);
    bytes
}
