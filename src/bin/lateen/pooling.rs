//! Token rows pooled on their way in.

use std::cell::Cell;

use lateen::{ReducedTokens, TokenBatch, TokenReduction};
use serde_json::{Value, json};

use crate::text;

/// What becomes of token rows, and how many of them stay.
#[derive(Debug)]
pub(crate) struct Pooling {
    reduction: TokenReduction,
    given: Cell<usize>,
    kept: Cell<usize>,
}

impl Pooling {
    /// `None` where every row is kept.
    pub(crate) fn by(factor: usize) -> Option<Self> {
        let reduction = TokenReduction::new().pool(factor);
        (factor > 1).then_some(Self { reduction, given: Cell::new(0), kept: Cell::new(0) })
    }

    /// Reduces the matrices of a chunk.
    pub(crate) fn reduce(&self, batch: &TokenBatch<'_>) -> lateen::Result<Vec<ReducedTokens>> {
        let reduced = self.reduction.reduce_batch(batch, None)?;
        let add = |to: &Cell<usize>, rows: usize| to.set(to.get() + rows);
        add(&self.given, reduced.iter().map(ReducedTokens::given).sum());
        add(&self.kept, reduced.iter().map(ReducedTokens::len).sum());
        Ok(reduced)
    }

    /// The same as data.
    pub(crate) fn data(&self) -> Value {
        json!({ "rows_given": self.given.get(), "rows_kept": self.kept.get() })
    }

    /// A line that says what share was kept.
    pub(crate) fn summary(&self) -> String {
        let (kept, given) = (self.kept.get(), self.given.get());
        let share = 100.0 * kept as f64 / given.max(1) as f64;
        let (kept, given) = (text::count(kept as u64), text::count(given as u64));
        format!("{kept} of {given} token rows kept ({share:.1} %)\n")
    }
}
