//! The largest of everything: what the format has room for and what is refused at the door, and
//! what a program sets that takes less than that ([`Limits`]).

use crate::error::{Error, Fault, InputError, Result};

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
/// Most segments of an index.
pub const MAX_SEGMENTS: usize = 65_536;
/// Most bytes that a block of payloads may unpack to: the largest payload, and what may stand
/// before it.
pub const MAX_UNPACKED_BYTES: usize = MAX_PAYLOAD_BYTES + (16 << 10);
/// Most operators, values and keys of one filter; a bitmap counts as one.
pub const MAX_FILTER_SIZE: usize = 1 << 24;
/// Most queries in one query, those inside of others included.
pub const MAX_QUERY_PARTS: usize = 4096;

macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $most:expr, $tight:expr;)*) => {
        /// How much of everything is taken: what a program sets that deals with files, documents
        /// or queries of others. Each limit is at most what the format has room for, the constants
        /// of [this module](self): a larger number counts as that. What is beyond a limit is an
        /// error that names it, the number found and the limit.
        ///
        /// They hold where they are handed in: [`WriterOptions::limits`](crate::WriterOptions::limits)
        /// for what is added, [`IndexOptions::limits`](crate::IndexOptions::limits) for what is
        /// opened and what it is asked.
        ///
        /// ```
        /// use lateen::limits::Limits;
        /// use lateen::{Error, IndexWriter, Query, Schema};
        ///
        /// let mut schema = Schema::builder();
        /// let terms = schema.sparse("terms");
        /// let limits = Limits::default().terms(2).top(100);
        /// let options = IndexWriter::options().limits(limits.clone());
        /// let writer = options.in_memory(schema.build()?)?;
        ///
        /// let index = writer.reader()?;
        /// let query = Query::sparse(&terms, &[(1u32, 1.0f32), (2, 1.0), (3, 1.0)])?;
        /// let error = index.search(&query).unwrap_err();
        /// assert_eq!(error.to_string(), "terms: 3 terms of a vector, the limit is 2");
        /// # Ok::<(), Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(pub(crate) $name: u64,)*
        }

        impl Limits {
            /// Those of the format.
            const FORMAT: Self = Self { $($name: $most as u64,)* };

            /// For strangers: far above what search needs, far below what the format has room for.
            #[must_use]
            pub const fn untrusted() -> Self {
                Self { $($name: $tight as u64,)* }
            }

            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(mut self, most: u64) -> Self {
                    self.$name = most.min(Self::FORMAT.$name);
                    self
                }
            )*
        }
    };
}

limits! {
    /// Bytes of one file, checked when an index is opened and when segments are published.
    file_bytes: u64::MAX, 4u64 << 30;
    /// Segments of an index, checked at opening and before documents are added.
    segments: MAX_SEGMENTS, 4096;
    /// Documents of an index: at opening those in its files, deleted ones included; at adding the
    /// live ones.
    documents: MAX_SEGMENTS as u64 * MAX_SEGMENT_DOCS as u64, 1u64 << 28;
    /// Fields of the schema, at opening and when a writer is given a schema.
    fields: MAX_FIELDS, 64;
    /// Components of a token field's rows, at opening and when a writer is given a schema.
    dim: MAX_DIM, MAX_DIM;
    /// Terms of a sparse vector, of a document that is added and of a query; also those that feedback
    /// is to add.
    terms: MAX_TERMS, 16_384;
    /// Token rows of a document that is added, in one field.
    rows: MAX_DOCUMENT_TOKENS, 16_384;
    /// Components of all token rows of a document, in one field: of one that is added, and of one
    /// whose rows are read as floats, which take four bytes each whatever the codec. Also those of
    /// the means of rows that hits are diversified by, one for each document of a pool that is asked for.
    row_values: MAX_DOCUMENT_TOKENS * MAX_DIM, 1u64 << 22;
    /// Token rows of a query, in one part of it; also those that feedback is to add.
    query_rows: MAX_QUERY_TOKENS, 1024;
    /// Bytes of a string key that is added.
    key_bytes: MAX_KEY_BYTES, MAX_KEY_BYTES;
    /// Bytes of a keyword value that is added.
    keyword_bytes: MAX_KEYWORD_BYTES, 1024;
    /// Values of one keyword attribute in a document that is added.
    keywords: MAX_KEYWORDS, 256;
    /// Bytes of a payload that is added.
    payload_bytes: MAX_PAYLOAD_BYTES, 1 << 20;
    /// Bytes that one block of payloads may unpack to, checked before it is unpacked: when a
    /// payload is read, and when an index is verified.
    unpacked_bytes: MAX_UNPACKED_BYTES, (1 << 20) + (16 << 10);
    /// Hits of one answer; also those inside of one hit where hits are collapsed.
    top: MAX_TOP, 1000;
    /// Candidates of one rerank or fusion, the best that hits are diversified from, and documents
    /// that feedback is taken from, where a query says how many; the best that hits are collapsed
    /// from, also where it does not.
    candidates: MAX_CANDIDATES, 10_000;
    /// Values of one facet count.
    facets: u64::MAX, 10_000;
    /// Levels of alternating operators in a filter.
    filter_depth: MAX_FILTER_DEPTH, 16;
    /// Operators, values and keys of a filter; a bitmap counts as one.
    filter_size: MAX_FILTER_SIZE, 65_536;
    /// Queries in one query, those inside of others and itself included.
    parts: MAX_QUERY_PARTS, 64;
}

impl Default for Limits {
    /// What the format has room for.
    fn default() -> Self {
        Self::FORMAT
    }
}

/// The fault of a value that is beyond a limit; none where it is not.
pub(crate) fn over(
    field: &str,
    what: &'static str,
    found: usize,
    limit: u64,
) -> Result<(), InputError> {
    let found = found as u64;
    if found <= limit {
        return Ok(());
    }
    Err(InputError::new(field, Fault::TooMany { what, found, limit }))
}

/// The same of what a file has.
pub(crate) fn beyond(place: &str, what: &'static str, found: u64, limit: u64) -> Result<()> {
    if found <= limit {
        return Ok(());
    }
    Err(Error::Limit { place: place.to_owned(), what, found, limit })
}
