//! What a sparse field looks like on disk: the sections, their records and the sizes everything
//! else is measured in. `index-format.md`, "Sparse field", is the same in words.

use bytemuck::{Pod, Zeroable};

/// Documents in a window: its integer scores fill 16 KiB, which stays in the first cache.
pub(super) const WINDOW: usize = 4096;
/// log2 of [`WINDOW`].
pub(super) const WINDOW_BITS: u32 = 12;
/// Documents in a group: one word of a document set.
pub(super) const GROUP: usize = 64;
/// Bytes of a posting of a list term: a `u16` place in the window and a `u8` impact.
pub(super) const LIST_POSTING: usize = 3;
/// Which k the k-th impacts of a [`TermEntry`] are of.
pub(super) const KTH: [usize; 3] = [10, 100, 1000];

/// Number of windows of `docs` documents.
pub(super) fn windows(docs: u32) -> usize {
    (docs as usize).div_ceil(WINDOW)
}

/// The field's counts. 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Head {
    /// Documents of the segment.
    pub(super) docs: u32,
    /// Documents that have the field.
    pub(super) rows: u32,
    /// Postings: entries of all documents together.
    pub(super) postings: u64,
    /// Distinct terms.
    pub(super) terms: u32,
    /// How many of them are list terms.
    pub(super) lists: u32,
    /// Postings of tiny terms.
    pub(super) tiny_postings: u64,
    /// [`CODEC_U8`].
    pub(super) codec: u32,
    /// How forward weights are kept: [`FORWARD_NONE`], [`FORWARD_F16`] or [`FORWARD_F32`].
    pub(super) forward: u32,
    /// Zero.
    pub(super) reserved: [u32; 6],
}

/// Impacts of one byte.
pub(super) const CODEC_U8: u32 = 1;
/// No forward rows.
pub(super) const FORWARD_NONE: u32 = 0;
/// Forward weights as f16.
pub(super) const FORWARD_F16: u32 = 1;
/// Forward weights as f32.
pub(super) const FORWARD_F32: u32 = 2;

/// One term of the directory. 24 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct TermEntry {
    /// Its first posting: a list term's among the list postings, a tiny term's among the tiny.
    pub(super) first: u64,
    /// Documents that have it, at least 1.
    pub(super) docs: u32,
    /// A list term's row of the window directory; 0 of a tiny term.
    pub(super) slot: u32,
    /// Its scale, in eighths of an octave.
    pub(super) scale: i16,
    /// [`KIND_TINY`] or [`KIND_LIST`].
    pub(super) kind: u8,
    /// Its largest impact.
    pub(super) max: u8,
    /// Its 10th, 100th and 1,000th largest impact; 0 where it has fewer postings.
    pub(super) kth: [u8; 3],
    /// Zero.
    pub(super) reserved: u8,
}

/// A term in few documents: plain document ids.
pub(super) const KIND_TINY: u8 = 1;
/// A term with a run of postings per window.
pub(super) const KIND_LIST: u8 = 2;

/// Which form costs fewer bytes: a tiny posting takes 5, a list posting 3 and every window of a
/// list term 5 more in the directory.
pub(super) fn kind_of(docs: usize, windows: usize) -> u8 {
    if docs.saturating_mul(2) <= windows.saturating_mul(5) { KIND_TINY } else { KIND_LIST }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_have_their_written_sizes() {
        assert_eq!(size_of::<Head>(), 64);
        assert_eq!(size_of::<TermEntry>(), 24);
        assert_eq!(std::mem::offset_of!(Head, codec), 32);
        assert_eq!(std::mem::offset_of!(TermEntry, scale), 16);
        assert_eq!(WINDOW, 1 << WINDOW_BITS);
    }
}
