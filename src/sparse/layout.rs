//! What a sparse field looks like on disk: the sections, their records and the sizes everything
//! else is measured in. `index-format.md`, "Sparse field", is the same in words.

use bytemuck::{Pod, Zeroable};

use crate::kernel::postings;

/// Documents in a window: its integer scores fill 16 KiB, which stays in the first cache.
pub(super) const WINDOW: usize = postings::WINDOW;
/// log2 of [`WINDOW`].
pub(super) const WINDOW_BITS: u32 = 12;
/// Documents in a group: one word of a document set.
pub(super) const GROUP: usize = postings::GROUP;
/// Groups in a window.
pub(super) const GROUPS: usize = postings::GROUPS;
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
    /// How many of the terms are dense.
    pub(super) dense: u32,
    /// Zero.
    pub(super) reserved: u32,
    /// Postings of dense terms.
    pub(super) dense_postings: u64,
    /// Zero.
    pub(super) spare: u64,
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
    /// Its first posting: a list term's among the list postings, a tiny term's among the tiny. A
    /// dense term's first byte among the cells.
    pub(super) first: u64,
    /// Documents that have it, at least 1.
    pub(super) docs: u32,
    /// A list or dense term's row of its directory; 0 of a tiny term.
    pub(super) slot: u32,
    /// Its scale, in eighths of an octave.
    pub(super) scale: i16,
    /// [`KIND_TINY`], [`KIND_LIST`] or [`KIND_DENSE`].
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

/// A term with a mask and packed impacts per group.
pub(super) const KIND_DENSE: u8 = 3;

/// A term is dense from this many halves of a posting per group on, groups without any counted.
///
/// At 5.5 postings a group both forms take the same bytes: a dense term spends 11 on a group and 1
/// on a posting, a list 3 on a posting. Time is flat around it. Measured on 80,000 documents of
/// 124 terms each, 1,150 queries of 24, exact top 10, median, dense from 4 and from 5.5 on:
/// AVX-512 71 and 70 µs, AVX2 145 and 126, portable 268 and 215. Completing a group costs as much
/// as four to five postings of a list with AVX-512, more below, but most groups are never
/// completed.
pub(super) const DENSE_FROM_HALVES: usize = 11;

/// Which form a term has. Between tiny and list, bytes decide: a tiny posting takes 5, a list
/// posting 3 and every window of a list term 5 more in the directory.
pub(super) fn kind_of(docs: usize, windows: usize) -> u8 {
    if docs.saturating_mul(2) <= windows.saturating_mul(5) {
        KIND_TINY
    } else if docs.saturating_mul(2) >= DENSE_FROM_HALVES.saturating_mul(windows * GROUPS) {
        KIND_DENSE
    } else {
        KIND_LIST
    }
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
