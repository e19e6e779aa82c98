//! The largest of everything: what the format has room for and what is refused at the door.

/// Longest string key, in bytes.
pub const MAX_KEY_BYTES: usize = 512;
/// Most fields a schema may have, of all kinds together.
pub const MAX_FIELDS: usize = 256;
/// Longest field name, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Largest dimension of a token row; every dimension is a multiple of 8.
pub const MAX_DIM: usize = 4096;
/// Most terms in one sparse vector, of a document or a query.
pub const MAX_TERMS: usize = 65_536;
/// Largest weight in a sparse vector, of a document or a query. With this every score is finite:
/// [`MAX_TERMS`] products of two such weights come to 6.6 · 10³⁶, a fiftieth of the largest `f32`.
pub const MAX_WEIGHT: f32 = 1e16;
/// Most token rows in one document.
pub const MAX_DOCUMENT_TOKENS: usize = 65_535;
/// Most token rows in one query.
pub const MAX_QUERY_TOKENS: usize = 10_000;
/// Longest keyword value, in bytes.
pub const MAX_KEYWORD_BYTES: usize = 4096;
/// Most values of one keyword attribute in one document.
pub const MAX_KEYWORDS: usize = 1024;
/// Largest payload, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;
/// Most documents in one segment.
pub const MAX_SEGMENT_DOCS: u32 = 1 << 30;
/// Most words of a vocabulary.
pub const MAX_VOCABULARY: usize = 1 << 24;
/// Longest word of a vocabulary, in bytes.
pub const MAX_WORD_BYTES: usize = 255;
/// Most hits of one answer.
pub const MAX_TOP: usize = 10_000;
/// Most candidates of one rerank.
pub const MAX_CANDIDATES: usize = 1_000_000;
/// Most levels of alternating `&` and `|` in one filter. Each level may hold one bit per document
/// of a segment while the filter is applied, and a few hundred bytes of stack.
pub const MAX_FILTER_DEPTH: u64 = 64;
