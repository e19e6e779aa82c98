//! Lateen: embedded search over neural representations.
//!
//! Two engines over one space of documents: an inverted index for *learned sparse vectors* (SPLADE
//! and its kin, uniCOIL, BM25 weights: any term id with any weight above zero), and a store of
//! *token vectors* for late interaction (ColBERT, ColPali; a single dense vector is the one-token
//! case) searched by MaxSim. Vectors come from elsewhere; Lateen keeps them in one documented file
//! format, maps it, and answers.
//!
//! ```
//! use lateen::{Document, Index, IndexWriter, Query, Schema, TokenMatrix};
//!
//! # let place = tempfile::tempdir()?;
//! # let path = place.path().join("wiki.index");
//! # let (terms, rows) = ([(2054u32, 1.5f32), (17, 0.25)], [0.25f32; 2 * 16]);
//! # let (query_terms, query_rows) = (terms, [0.25f32; 16]);
//! let mut schema = Schema::builder();
//! let splade = schema.sparse("splade");
//! let colbert = schema.tokens("colbert", 16);
//! let lang = schema.keyword("lang");
//!
//! let mut writer = IndexWriter::create(&path, schema.build()?)?;
//! writer.add(
//!     &Document::new("wiki-Lipid#0")
//!         .sparse(&splade, &terms)?
//!         .tokens(&colbert, TokenMatrix::new(&rows, 16))?
//!         .keyword(&lang, "en")?
//!         .payload(b"Lipids are a broad group of organic compounds"),
//! )?;
//! writer.commit()?; // durable, then visible
//!
//! let index = Index::open(&path)?; // mapped; a directory, or one packed file
//! let query = Query::sparse(&splade, &query_terms)?
//!     .rerank(&colbert, TokenMatrix::new(&query_rows, 16))?
//!     .filter(lang.eq("en"))
//!     .top(10);
//! for hit in &index.search(&query)? {
//!     println!("{} {:.3}", hit.key(), hit.score());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The seven things to know
//!
//! A [`Schema`] says what an index holds, and its typed handles make it a compile error to hand a
//! sparse vector to a token field. A [`Document`] (or a [`Batch`]) is checked as it is put
//! together: wrong input is an error that names field, row, position, value and limit, never a
//! wrong answer. The [`IndexWriter`] adds, replaces and deletes by key and commits atomically. An
//! [`Index`] is opened by mapping it; a [`Snapshot`] is one commit of it, held for as long as you
//! like. A [`Query`] asks, and each [`Hit`] answers with key, score, payload and attributes.
//!
//! # What is promised
//!
//! - **Real scores.** A score is the f32 dot product, or MaxSim, of the query with the best stored
//!   form of the document. It depends on nothing else in the index, so it is the same in every
//!   segment; ties are cut by key.
//! - **Exact is proven.** [`Hits::certified`] says that nothing better was missed; ask for it with
//!   [`Query::exact`].
//! - **The same bits everywhere.** The same calls write the same bytes, and the same query gets the
//!   same hits, with every instruction set and number of threads.
//! - **Any bytes, any crash.** Damaged files are errors; what was committed survives.
//!
//! # Where to read on
//!
//! The [guide] is a book in ten pages, from the [first index](guide::first_index) to
//! [security](guide::security); every piece of code in it is compiled and run. The file format is
//! described to the byte in `index-format.md`, and [in a page](guide::file_format) of the guide.

#![cfg_attr(
    not(test),
    deny(
        clippy::cast_possible_truncation,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

mod codec;
mod docset;
mod embed;
mod error;
pub mod eval;
mod format;
pub mod guide;
mod id;
mod index;
mod kernel;
pub mod limits;
mod mix;
mod ordered;
mod schema;
mod search;
mod segment;
mod shared;
mod sparse;
mod stop;
mod storage;
mod tokens;
mod topk;
mod trace;

pub use embed::{
    Batch, Document, Floats, Ints, ReducedTokens, Rows, SparseBatch, SparseVector, TokenBatch,
    TokenMatrix, TokenReduction, Update, readers,
};
pub use error::{Corrupt, Error, Fault, InputError, Result, SchemaError};
pub use id::{Key, TermId};
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use index::simulation;
pub use index::{
    Change, DetachedBuilder, DetachedSegment, DriftInfo, FieldInfo, Hit, Hits, Index, IndexInfo,
    IndexOptions, IndexWriter, MergeProgress, Merges, PruningLoss, SectionInfo, SegmentInfo,
    Snapshot, StoredDocument, VectorInfo, Vocabulary, Watcher, WriterOptions,
};
pub use kernel::KernelLevel;
#[doc(hidden)]
pub use kernel::measure;
/// The bitmaps that [`Filter::bitmap`] takes.
pub use roaring::RoaringTreemap;
pub use schema::{
    BoolField, Centroids, F64Field, Forward, I64Field, KeyKind, KeywordField, ModelFingerprint,
    Normalization, Schema, SchemaBuilder, SparseCodec, SparseField, SparseOptions, TokenCodec,
    TokenField, TokenOptions, TokenTier, U64Field,
};
pub use search::{
    AnchorScores, Certainty, Collapse, CurOptions, CurOutcome, Diversify, Effort, Expansion,
    ExpansionRow, Explanation, Facet, Feedback, Filter, Fusion, FusionPart, Highlight, Query,
    Reranker, Sort, TermPart, TokenPart, maxsim, outside,
};
pub use segment::DocumentOrder;
pub use storage::OpenMode;

/// The README's code is compiled with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
