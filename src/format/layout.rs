//! The fixed structures of a container, byte for byte as `index-format.md` draws them.

use bytemuck::{AnyBitPattern, Pod, Zeroable};

/// First eight bytes of the header and of the footer: not text, survives no line-ending
/// conversion and no seven-bit channel.
pub(crate) const MAGIC: [u8; 8] = *b"\x89LATEEN\n";
/// The format this version writes.
pub(crate) const MAJOR: u16 = 1;
/// Additions since the major; readers ignore it.
pub(crate) const MINOR: u16 = 0;
/// The oldest major this version reads.
pub(crate) const OLDEST_MAJOR: u16 = 1;
/// The `incompat` bits this version understands.
pub(crate) const KNOWN_INCOMPAT: u64 = 0;
/// Sections start at multiples of this.
pub(crate) const ALIGN: u64 = 64;
/// Bytes of a header, a footer and a table entry, each.
pub(crate) const RECORD: u64 = 64;
/// Binary logarithm of the block that has one checksum.
pub(crate) const BLOCK_LOG2: u32 = 16;
/// Bytes of the block that has one checksum.
pub(crate) const BLOCK: u64 = 1 << BLOCK_LOG2;
/// [`BLOCK`] in memory.
pub(crate) const BLOCK_BYTES: usize = 1 << BLOCK_LOG2;
/// Most sections of a container.
pub(crate) const MAX_SECTIONS: u32 = 1 << 16;
/// The `field` of a section that belongs to no field.
pub(crate) const NO_FIELD: u32 = u32::MAX;
/// Section flag: a reader that does not know the kind must refuse the file.
pub(crate) const FLAG_REQUIRED: u32 = 1;
/// The section flags that a reader must understand; the rest it may ignore.
pub(crate) const FLAGS_MUST: u32 = 0xFFFF;

/// What a container holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum ContainerKind {
    /// Documents.
    Segment = 1,
    /// What a generation consists of.
    Manifest = 2,
    /// Which documents of a segment are deleted.
    Tombstones = 3,
    /// A whole index in one file.
    Packed = 4,
}

impl ContainerKind {
    /// The number on disk.
    pub(crate) const fn number(self) -> u32 {
        match self {
            Self::Segment => 1,
            Self::Manifest => 2,
            Self::Tombstones => 3,
            Self::Packed => 4,
        }
    }

    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Segment => "segment",
            Self::Manifest => "manifest",
            Self::Tombstones => "tombstones",
            Self::Packed => "packed index",
        }
    }
}

impl TryFrom<u32> for ContainerKind {
    type Error = u32;

    fn try_from(number: u32) -> Result<Self, u32> {
        [Self::Segment, Self::Manifest, Self::Tombstones, Self::Packed]
            .into_iter()
            .find(|kind| kind.number() == number)
            .ok_or(number)
    }
}

/// The first 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Header {
    /// [`MAGIC`].
    pub(crate) magic: [u8; 8],
    /// Format version; a reader refuses a larger one.
    pub(crate) major: u16,
    /// Additions that older readers of the same major may ignore.
    pub(crate) minor: u16,
    /// A [`ContainerKind`].
    pub(crate) kind: u32,
    /// Features that a reader must know.
    pub(crate) incompat: u64,
    /// Features that a reader may ignore.
    pub(crate) compat: u64,
    /// Hash of (generation, ordinal, table checksum, kind).
    pub(crate) file_id: [u8; 16],
    /// Bytes of the whole file.
    pub(crate) file_len: u64,
    /// xxh3-64 of the 56 bytes before.
    pub(crate) checksum: u64,
}

/// One section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SectionEntry {
    /// A section kind.
    pub(crate) kind: u32,
    /// [`FLAG_REQUIRED`].
    pub(crate) flags: u32,
    /// Schema field ordinal, or [`NO_FIELD`].
    pub(crate) field: u32,
    /// Bytes of one element, at least 1.
    pub(crate) elem_size: u32,
    /// Where it starts in the file.
    pub(crate) offset: u64,
    /// Its bytes, without padding.
    pub(crate) length: u64,
    /// Its elements: `length / elem_size`.
    pub(crate) count: u64,
    /// Place of its first block sum among all.
    pub(crate) first_sum: u64,
    /// xxh3-64 of its block sums as bytes.
    pub(crate) sums_checksum: u64,
    /// Zero.
    pub(crate) reserved: u64,
}

/// The last 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Footer {
    /// [`MAGIC`].
    pub(crate) magic: [u8; 8],
    /// Where the section table starts.
    pub(crate) table_offset: u64,
    /// Where the block sums start.
    pub(crate) sums_offset: u64,
    /// How many block sums.
    pub(crate) sums_count: u64,
    /// How many sections.
    pub(crate) sections: u32,
    /// [`BLOCK_LOG2`].
    pub(crate) block_log2: u32,
    /// xxh3-64 of the section table.
    pub(crate) table_checksum: u64,
    /// The header's checksum again.
    pub(crate) header_checksum: u64,
    /// xxh3-64 of the 56 bytes before.
    pub(crate) checksum: u64,
}

const _: () = {
    assert!(size_of::<Header>() == 64);
    assert!(size_of::<SectionEntry>() == 64);
    assert!(size_of::<Footer>() == 64);
};

/// What another file remembers of a container: enough to tell in O(1) that it is the same one,
/// since its footer's checksum covers its table's, that the block sums', and those the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pin {
    /// Bytes of the file.
    pub(crate) len: u64,
    /// The footer's checksum.
    pub(crate) footer: u64,
    /// The file's id.
    pub(crate) file_id: [u8; 16],
}

/// The seed of a block's checksum: different for every block of every section, so that blocks
/// that changed places are found.
pub(crate) fn block_seed(section: u32, block: u64) -> u64 {
    (u64::from(section) << 40) ^ block
}

/// The next multiple of [`ALIGN`].
pub(crate) fn align_up(offset: u64) -> Option<u64> {
    offset.checked_next_multiple_of(ALIGN)
}

/// How many blocks have a sum in a section of this length.
pub(crate) fn blocks(length: u64) -> u64 {
    length.div_ceil(BLOCK)
}

/// A file's id: no clock and no random number, so that the same input gives the same bytes.
pub(crate) fn file_id(generation: u64, ordinal: u64, table: u64, kind: ContainerKind) -> [u8; 16] {
    let mut bytes = Vec::with_capacity(28);
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&ordinal.to_le_bytes());
    bytes.extend_from_slice(&table.to_le_bytes());
    bytes.extend_from_slice(&kind.number().to_le_bytes());
    xxhash_rust::xxh3::xxh3_128(&bytes).to_le_bytes()
}

/// The checksum of a record: of all its bytes but the last eight.
pub(crate) fn record_checksum<T: Pod>(record: &T) -> u64 {
    let bytes = bytemuck::bytes_of(record);
    let covered = bytes.len().saturating_sub(8);
    xxhash_rust::xxh3::xxh3_64(bytes.get(..covered).unwrap_or_default())
}

/// A structure at an offset of a file; `None` if it does not lie within.
pub(crate) fn read_at<T: AnyBitPattern>(bytes: &[u8], offset: u64) -> Option<T> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(size_of::<T>())?;
    bytemuck::try_pod_read_unaligned(bytes.get(start..end)?).ok()
}
