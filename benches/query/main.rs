//! Queries through the public interface: how late an answer is, what a filter saves, how long words
//! take, and what guessed scores find.
//!
//! `LATEEN_SETS=sets cargo bench --features readers --bench query -- [PART…]`, where `sets` is a
//! folder of embedding sets and a part is `deadlines`, `filters`, `words` or `cur`; all where none
//! is named; `LATEEN_ONLY=words` takes only the deadlines of what is called so. `LATEEN_INDEX=folder`
//! keeps the indexes there for the next run. Each part says what it prints. Without sets only `words`
//! has something to measure.

#![allow(clippy::disallowed_methods, reason = "the switches of a bench")]

mod cur;
mod deadlines;
mod filters;
mod words;

use std::path::{Path, PathBuf};
use std::time::Instant;

use lateen::readers::{EmbeddingSet, SetQueries, SetQuery};
use lateen::{
    Batch, Index, IndexWriter, KeyKind, KeywordField, Query, Schema, SparseField, TokenField,
    TokenMatrix, U64Field,
};

/// The shares of documents that filters pass.
const SHARES: [f64; 4] = [0.5, 0.05, 0.005, 0.0001];

/// How many are a share of so many.
#[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
fn part(of: u64, share: f64) -> u64 {
    (of as f64 * share).ceil() as u64
}

/// An embedding set as an index: keys are row numbers.
struct Built {
    name: String,
    index: Index,
    queries: SetQueries,
    sparse: SparseField,
    tokens: Option<TokenField>,
    /// The row number.
    place: U64Field,
    /// 24 bits, evenly drawn.
    random: U64Field,
    /// The numbers of the shares in which a document is: `random 0`, `place 2`.
    share: KeywordField,
    /// A text for each document, in no order.
    name_of: KeywordField,
    documents: u64,
}

impl Built {
    fn new(sets: &Path, name: &str, kept: &Path) -> Self {
        let set = EmbeddingSet::open(sets.join(name)).expect("a set");
        let documents = set.documents().expect("its documents");
        let mut schema = Schema::builder();
        schema.keys(KeyKind::U64);
        let sparse = schema.sparse("sparse");
        let tokens = documents.dim().map(|dim| schema.tokens("tokens", dim));
        let (place, random) = (schema.u64("place"), schema.u64("random"));
        let share = schema.keyword("share");
        let name_of = schema.keyword("name");
        let count = documents.len() as u64;
        let schema = schema.build().expect("a schema");
        let path = kept.join(format!("query-{name}"));
        if !path.exists() {
            let start = Instant::now();
            let mut writer = IndexWriter::create(&path, schema).expect("a writer");
            for chunk in documents.chunks(512).expect("its documents") {
                let chunk = chunk.expect("documents");
                let rows = (chunk.first() as u64..).take(chunk.len());
                let places: Vec<_> = rows.clone().map(Some).collect();
                let drawn: Vec<_> = rows.clone().map(|row| Some(draw(row) >> 40)).collect();
                let shares: Vec<_> = rows.clone().map(|row| shares(row, count)).collect();
                let names: Vec<_> =
                    rows.clone().map(|row| vec![format!("name {}", draw(row))]).collect();
                let mut batch = Batch::new(rows);
                batch = batch.keywords(&share, &shares).expect("keywords");
                batch = batch.keywords(&name_of, &names).expect("keywords");
                batch = batch.u64(&place, &places).expect("a number for each");
                batch = batch.u64(&random, &drawn).expect("a number for each");
                if let Some(vectors) = &chunk.sparse() {
                    batch = batch.sparse(&sparse, vectors).expect("vectors");
                }
                if let (Some(field), Some(matrices)) = (&tokens, &chunk.tokens()) {
                    batch = batch.tokens(field, matrices).expect("matrices");
                }
                writer.add_batch(&batch).expect("room");
            }
            writer.commit().expect("a commit");
            println!("{name}: built in {:.1?}", start.elapsed());
        }
        let index = Index::open(&path).expect("the index");
        let queries = set.queries().expect("its queries");
        let documents = documents.len() as u64;
        Self {
            name: name.to_owned(),
            index,
            queries,
            sparse,
            tokens,
            place,
            random,
            share,
            name_of,
            documents,
        }
    }

    fn asked(&self, at: usize) -> SetQuery<'_> {
        self.queries.get(at % self.queries.len()).expect("a query")
    }

    fn terms(&self, at: usize) -> Query {
        let vector = self.asked(at).sparse.expect("a vector");
        Query::sparse(&self.sparse, vector).expect("a query").exact()
    }

    /// A token search, and the field and rows to rerank by.
    fn rows(&self, at: usize) -> Option<(Query, &TokenField, TokenMatrix<'_>)> {
        let (field, matrix) = (self.tokens.as_ref()?, self.asked(at).tokens?);
        Some((Query::tokens(field, matrix).expect("a query"), field, matrix))
    }
}

/// The shares of so many documents in which a row is.
fn shares(row: u64, count: u64) -> Vec<String> {
    let mut shares = Vec::new();
    for (at, share) in SHARES.into_iter().enumerate() {
        if draw(row) >> 40 < part(1 << 24, share) {
            shares.push(format!("random {at}"));
        }
        if (count / 3..count / 3 + part(count, share)).contains(&row) {
            shares.push(format!("place {at}"));
        }
    }
    shares
}

/// Numbers that repeat: splitmix64.
fn draw(at: u64) -> u64 {
    let mut z = at.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn us(seconds: f64) -> f64 {
    seconds * 1e6
}

fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    if wants("words") {
        words::run();
    }
    let Some(sets) = std::env::var_os("LATEEN_SETS").map(PathBuf::from) else {
        println!("nothing else is measured: LATEEN_SETS names no folder of sets");
        return;
    };
    let place = tempfile::tempdir().expect("a place for the indexes");
    let kept = std::env::var_os("LATEEN_INDEX").map(PathBuf::from);
    let place = kept.as_deref().unwrap_or(place.path());
    std::fs::create_dir_all(place).expect("a place for the indexes");
    for name in ["mixed", "wiki"].into_iter().filter(|name| sets.join(name).is_dir()) {
        if wants("deadlines") || wants("filters") || (wants("cur") && name == "wiki") {
            let built = Built::new(&sets, name, place);
            if wants("deadlines") {
                deadlines::run(&built);
            }
            if wants("filters") {
                filters::run(&built);
            }
            if wants("cur") && name == "wiki" {
                cur::run(&built);
            }
        }
    }
}
