//! The kinds of sections: one table, from which everything else follows.

/// The number of a section kind, as it stands in the section table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SectionKind(pub(crate) u32);

/// Makes the constants, the names and the required flags from the lines
/// `NAME = number, required or optional, "what it holds";`. The name in messages and in the book
/// is the constant's.
macro_rules! section_kinds {
    ($($name:ident = $number:literal, $need:ident, $doc:literal;)*) => {
        impl SectionKind {
            $(#[doc = $doc] pub(crate) const $name: Self = Self($number);)*

            /// Every kind this version knows, with its name and whether a reader must know it.
            pub(crate) const ALL: &[(Self, &'static str, bool)] =
                &[$((Self::$name, stringify!($name), section_kinds!(@$need))),*];
        }
    };
    (@required) => { true };
    (@optional) => { false };
}

section_kinds! {
    // 1–15: manifest
    MANIFEST_HEAD = 1, required, "One `ManifestHead`.";
    SCHEMA = 2, required, "The encoded schema.";
    SEGMENTS = 3, required, "One `SegmentRecord` per segment.";
    VOCABULARY = 4, required, "The words of a sparse field.";
    // 16–63: segment
    SEGMENT_HEAD = 16, required, "What the segment holds, in numbers.";
    KEYS = 17, required, "Document keys: numbers, or string bytes end to end.";
    KEY_OFFSETS = 18, required, "Where each string key starts.";
    KEY_ORDER = 19, required, "Documents in ascending order of their keys.";
    PAYLOAD_DATA = 24, required, "Payloads, in blocks, compressed where it pays.";
    PAYLOAD_BLOCKS = 25, required, "One `PayloadBlock` per block.";
    PAYLOAD_ENDS = 26, required, "Where each document's payload ends in its block.";
    PAYLOAD_PRESENT = 27, required, "Which documents have a payload, one bit each.";
    ATTR_PRESENT = 32, required, "Which documents have a value, one bit each.";
    ATTR_VALUES = 33, required, "One number per document.";
    ATTR_DICT = 34, required, "Different keyword values end to end, ascending.";
    ATTR_DICT_OFFSETS = 35, required, "Where each value starts.";
    ATTR_POSTINGS = 36, required, "The documents of each value, ascending.";
    ATTR_POSTING_OFFSETS = 37, required, "Where each value's documents start.";
    ATTR_ORDINALS = 38, required, "The values of each document, as places in the dictionary.";
    ATTR_ORDINAL_OFFSETS = 39, required, "Where each document's values start.";
    // 64–127: sparse fields
    SPARSE_HEAD = 64, required, "What the field holds, in numbers.";
    SPARSE_TERM_IDS = 65, required, "Term ids, ascending; a place here is an ordinal.";
    SPARSE_TERMS = 66, required, "One `TermEntry` per term.";
    SPARSE_LIST_STARTS = 67, required, "First posting of each list term in each window.";
    SPARSE_LIST_MAXIMA = 68, required, "Largest impact of each list term in each window.";
    SPARSE_LIST_POSTINGS = 69, required, "Postings of list terms: runs of places and impacts.";
    SPARSE_TINY_DOCS = 70, required, "Documents of tiny terms.";
    SPARSE_TINY_IMPACTS = 71, required, "Impacts of tiny terms.";
    SPARSE_DENSE_STARTS = 72, required, "First cell of each dense term in each window.";
    SPARSE_DENSE_OFFSETS = 73, required, "Where each cell of a dense term begins in its window.";
    SPARSE_DENSE_MAXIMA = 74, required, "Largest impact of each dense term in each group.";
    SPARSE_DENSE_CELLS = 75, required, "Cells of dense terms: a mask and impacts.";
    SPARSE_ROW_BASES = 80, required, "Where the forward rows of each window start.";
    SPARSE_ROW_ENDS = 81, required, "Where each forward row ends in its window.";
    SPARSE_ROWS = 82, required, "Forward rows: gaps between ordinals, and weights.";
    SPARSE_CURVE = 83, optional, "Recall by effort, one `SparsePoint` each.";
    // 128–191: token fields
    TOKENS_HEAD = 128, required, "One `TokenHead`.";
    TOKENS_ENDS = 129, required, "Where each document's rows end.";
    TOKENS_CODES = 130, required, "The stored rows, document after document.";
    TOKENS_SCALES = 131, required, "One f16 scale for each row of codes.";
    TOKENS_BOUNDS = 132, required, "One `RowBounds` per document.";
    TOKENS_SPANS = 133, required, "The text bytes of each row, start and end.";
    TOKENS_CENTROID_HEAD = 134, required, "One `CentroidHead`.";
    TOKENS_CENTROID_CODES = 135, required, "Centroids as int8 rows.";
    TOKENS_CENTROID_SCALES = 136, required, "One f16 scale per centroid.";
    TOKENS_CENTROID_IDS = 137, required, "The nearest centroid of each row.";
    TOKENS_LIST_ENDS = 138, required, "Where each centroid's documents end.";
    TOKENS_LISTS = 139, required, "The documents of each centroid, ascending.";
    TOKENS_CURVE = 140, required, "Recall by effort, one `CurvePoint` each.";
    TOKENS_BOOK = 141, required, "What the codes of packed rows add to their centroids.";
    TOKENS_TIER = 142, required, "The rows of the second tier, document after document.";
    TOKENS_TIER_SCALES = 143, required, "One f16 scale for each row of an int8 second tier.";
    TOKENS_GAPS = 144, required, "How far the two tiers of each document are apart.";
    TOKENS_DRIFT = 145, optional, "How far rows are from their centroids: one `Drift`.";
    TOKENS_GROUP_ENDS = 146, optional, "Where each group of centroids ends.";
    TOKENS_GROUP_CODES = 147, optional, "The groups' means as int8 rows.";
    TOKENS_GROUP_SCALES = 148, optional, "One f16 scale per group.";
    // 250–255: small containers
    TOMBSTONES = 250, required, "Deleted documents, a portable Roaring bitmap.";
    PACK_NAMES = 251, required, "The names of the packed files.";
    PACK_FILE = 252, required, "One packed file.";
}

impl SectionKind {
    fn row(self) -> Option<&'static (Self, &'static str, bool)> {
        Self::ALL.iter().find(|(kind, _, _)| *kind == self)
    }

    /// The name in messages and in the book.
    pub(crate) fn name(self) -> String {
        self.row().map_or_else(|| format!("kind {}", self.0), |(_, name, _)| (*name).to_owned())
    }

    /// Whether this version knows the kind.
    pub(crate) fn is_known(self) -> bool {
        self.row().is_some()
    }

    /// Whether a reader must know the kind; one that is unknown here is not.
    pub(crate) fn is_required(self) -> bool {
        self.row().is_some_and(|(_, _, required)| *required)
    }
}
