//! One query for everything: fusions, filters, feedback, final lists, bounded time, explanation,
//! each held against an account of its own on real vectors.

#[path = "../random/mod.rs"]
mod random;
#[path = "../naive/set.rs"]
mod set;

mod budget;
mod explaining;
mod filters;
mod fusion;
mod kept;
mod lists;
mod refused;
mod time;
mod words;

use lateen::{
    BoolField, Document, Index, IndexWriter, KeywordField, Query, Schema, SparseField, TokenField,
    U64Field,
};
use set::{Set, committed};

/// The committed set as an index, with holes: every fifth document lacks its sparse vector, every
/// seventh of the others its token rows.
pub(crate) struct Wiki {
    pub(crate) set: Set,
    pub(crate) index: Index,
    pub(crate) sparse: SparseField,
    pub(crate) tokens: TokenField,
    pub(crate) colour: KeywordField,
    pub(crate) number: U64Field,
    pub(crate) odd: BoolField,
}

pub(crate) const COLOURS: [&str; 3] = ["red", "green", "blue"];

pub(crate) fn has_sparse(row: u64) -> bool {
    row % 5 != 4
}

pub(crate) fn has_tokens(row: u64) -> bool {
    row % 7 != 6 || !has_sparse(row)
}

pub(crate) fn key(row: u64) -> String {
    format!("page {}#{}", row / 3, row % 3)
}

pub(crate) fn row_of(key: &lateen::Key) -> u64 {
    let key = key.as_str().unwrap().strip_prefix("page ").unwrap();
    let (page, passage) = key.split_once('#').unwrap();
    page.parse::<u64>().unwrap() * 3 + passage.parse::<u64>().unwrap()
}

impl Wiki {
    /// In so many segments.
    pub(crate) fn new(segments: usize) -> Self {
        Self::of(segments, |_| true)
    }

    /// The documents of some rows alone.
    pub(crate) fn of(segments: usize, keep: impl Fn(u64) -> bool) -> Self {
        let set = Set::open(&committed());
        let mut schema = Schema::builder();
        let sparse = schema.sparse("sparse");
        let tokens = schema.tokens("tokens", 128);
        let colour = schema.keyword("colour");
        let number = schema.u64("number");
        let odd = schema.bool("odd");
        let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
        let count = set.sparse.len();
        let (rows, _) = set.tokens.as_ref().unwrap();
        for at in 0..count {
            let row = at as u64;
            let mut document = Document::new(key(row)).u64(&number, row * row % 101).unwrap();
            document = document.keyword(&colour, COLOURS[at % 3]).unwrap();
            if at % 4 == 0 {
                document = document.keyword(&colour, "grey").unwrap();
            }
            if at % 11 != 0 {
                document = document.bool(&odd, at % 2 == 1).unwrap();
            }
            if has_sparse(row) {
                document = document.sparse(&sparse, set.sparse.row(at)).unwrap();
            }
            if has_tokens(row) {
                document = document.tokens(&tokens, rows.matrix(at)).unwrap();
            }
            if keep(row) {
                writer.add(&document).unwrap();
            }
            if (at + 1) % count.div_ceil(segments) == 0 {
                writer.commit().unwrap();
            }
        }
        writer.delete(key(17)).unwrap();
        writer.commit().unwrap();
        let index = writer.reader().unwrap();
        Self { set, index, sparse, tokens, colour, number, odd }
    }

    pub(crate) fn queries(&self) -> usize {
        self.set.sparse_queries.len()
    }

    pub(crate) fn by_terms(&self, query: usize) -> Query {
        Query::sparse(&self.sparse, self.set.sparse_queries.row(query)).unwrap().exact()
    }

    pub(crate) fn by_tokens(&self, query: usize) -> Query {
        Query::tokens(&self.tokens, self.matrix(query)).unwrap().exact()
    }

    pub(crate) fn matrix(&self, query: usize) -> lateen::TokenMatrix<'_> {
        self.set.tokens.as_ref().unwrap().1.matrix(query)
    }

    /// Rows and scores of an answer.
    pub(crate) fn ask(&self, query: &Query) -> Vec<(u64, f32)> {
        let hits = self.index.search(query).unwrap();
        hits.iter().map(|hit| (row_of(hit.key()), hit.score())).collect()
    }
}

/// By score descending, then by key.
pub(crate) fn sort(found: &mut [(u64, f32)]) {
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| key(a.0).cmp(&key(b.0))));
}
