//! What a sparse field looks like on disk: the sections, their records and the sizes everything
//! else is measured in. `index-format.md`, "Sparse field", is the same in words.

use bytemuck::{Pod, Zeroable};

use crate::kernel::postings;
use crate::schema::SparseCodec;

/// Documents in a window: its integer scores fill 16 KiB, which stays in the first cache.
pub(super) const WINDOW: usize = postings::WINDOW;
/// log2 of [`WINDOW`].
pub(super) const WINDOW_BITS: u32 = 12;
/// Documents in a group: one word of a document set.
pub(super) const GROUP: usize = postings::GROUP;
/// Groups in a window.
pub(super) const GROUPS: usize = postings::GROUPS;
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
    /// Postings of the inverted index.
    pub(super) postings: u64,
    /// Distinct terms.
    pub(super) terms: u32,
    /// How many of them are list terms.
    pub(super) lists: u32,
    /// Postings of tiny terms.
    pub(super) tiny_postings: u64,
    /// How impacts are kept: [`Impacts`] as a number.
    pub(super) codec: u32,
    /// How forward weights are kept: [`FORWARD_NONE`], [`FORWARD_F16`] or [`FORWARD_F32`].
    pub(super) forward: u32,
    /// How many of the terms are dense.
    pub(super) dense: u32,
    /// Bytes of an element of the window directory of lists: 2, or 4 where a list term has more
    /// than 65,535 documents.
    pub(super) start_bytes: u16,
    /// Percent of each document's weight in the inverted index; 0 for all.
    pub(super) percent: u16,
    /// Postings of dense terms.
    pub(super) dense_postings: u64,
    /// Entries of all documents together: more than postings where some are left out.
    pub(super) entries: u64,
}

/// How the impacts of list and dense terms are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Impacts {
    /// One byte: 1 to 255. A list posting is a `u16` place and the impact.
    U8,
    /// Half a byte: 1 to 15. A list posting is one `u16`: twelve bits of place, four of impact.
    U4,
}

impl Impacts {
    /// Those of a codec.
    pub(super) fn of(codec: SparseCodec) -> Self {
        match codec {
            SparseCodec::U8 | SparseCodec::Pruned(_) => Self::U8,
            SparseCodec::U4 => Self::U4,
        }
    }

    /// As the head says it.
    pub(super) fn number(self) -> u32 {
        match self {
            Self::U8 => 1,
            Self::U4 => 2,
        }
    }

    /// Bytes of a posting of a list term.
    pub(super) fn list_posting(self) -> usize {
        match self {
            Self::U8 => 3,
            Self::U4 => 2,
        }
    }

    /// Bytes of the impacts of so many postings in one cell.
    pub(super) fn cell_bytes(self, postings: usize) -> usize {
        match self {
            Self::U8 => postings,
            Self::U4 => postings.div_ceil(2),
        }
    }
}

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
    /// Documents that have it in the inverted index: at least 1, unless all are left out.
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
    /// The largest impact of what is left out of the inverted index; 0 for nothing.
    pub(super) left: u8,
}

/// A term in few documents: plain document ids.
pub(super) const KIND_TINY: u8 = 1;
/// A term with a run of postings per window.
pub(super) const KIND_LIST: u8 = 2;

/// A term with a mask and packed impacts per group.
pub(super) const KIND_DENSE: u8 = 3;

/// Which form a term has.
///
/// Between tiny and list, bytes decide: a tiny posting takes 5, a list posting 3 (2 in four bits),
/// and every window of a list term 3 more in the directory. So do they between list and dense: a
/// dense term takes 11 bytes for each group, those without any counted, and 1 for a posting (half
/// a byte in four bits), which makes 5.5 postings a group (7.33).
///
/// Time is flat around that. Measured on 80,000 documents of 124 terms each, 1,150 queries of 24,
/// exact top 10, median, dense from 4 and from 5.5 on: AVX-512 71 and 70 µs, AVX2 145 and 126,
/// portable 268 and 215. Completing a group costs as much as four to five postings of a list with
/// AVX-512, more below, but most groups are never completed.
pub(super) fn kind_of(docs: usize, windows: usize, impacts: Impacts) -> u8 {
    let groups = windows * GROUPS;
    let (tiny, dense) = match impacts {
        Impacts::U8 => {
            (docs.saturating_mul(2) <= windows * 3, docs.saturating_mul(2) >= groups * 11)
        }
        Impacts::U4 => (docs <= windows, docs.saturating_mul(3) >= groups * 22),
    };
    if tiny {
        KIND_TINY
    } else if dense {
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
