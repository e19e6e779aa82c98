//! The documents that may still be in the answer, by integer score: the band that quantisation
//! leaves open.
//!
//! Memory is bounded whatever the scores are. The band is cut each time it has grown by half of
//! `k`; where even the cut band is too large (many equal scores), its documents are scored at
//! once, which raises the floor of the answer, and the band starts empty again.

use std::cmp::Ordering;

use crate::error::Result;
use crate::id::DocId;
use crate::ordered::{in_front, in_order};
use crate::stop::Stop;
use crate::topk::TopK;

use super::bound::Bound;
use super::score::RowScorer;

/// How many candidates more than 4 k are held before they are scored.
const HELD: usize = 8192;
/// How many candidates before its turn a row is asked of the memory: a row takes a tenth of a
/// microsecond to score, and about as long to come from memory.
const AHEAD: usize = 4;
/// How many rows are scored between two looks at the clock.
const CHECK: usize = 256;

/// What a search, or a part of it, starts with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    k: usize,
    bound: Bound,
    needed: i32,
}

/// Best integer first.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "what sorting calls")]
fn order(a: &(i32, DocId), b: &(i32, DocId)) -> Ordering {
    b.0.cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Candidates of one search.
#[derive(Debug)]
pub(super) struct Candidates<'a> {
    k: usize,
    bound: Bound,
    /// (integer score, document), in no order.
    held: &'a mut Vec<(i32, DocId)>,
    /// The integer score needed to be of interest.
    needed: i32,
    /// Cut when this many are held.
    cut_at: usize,
}

impl<'a> Candidates<'a> {
    /// No candidates; `seed` is an integer score that at least `k` documents reach, if known.
    pub(super) fn new(
        top: &TopK<'_>,
        bound: Bound,
        seed: Option<i32>,
        held: &'a mut Vec<(i32, DocId)>,
    ) -> Self {
        let k = top.k();
        let floor = bound.needed(f64::from(top.floor()));
        let needed = seed.map_or(floor, |seed| floor.max(bound.rival(seed)));
        Self::started(Start { k, bound, needed }, held)
    }

    /// No candidates, of a part of a search.
    pub(super) fn started(start: Start, held: &'a mut Vec<(i32, DocId)>) -> Self {
        held.clear();
        let Start { k, bound, needed } = start;
        Self { k, bound, held, needed, cut_at: k + k / 2 + 32 }
    }

    /// What a part of this search starts with.
    pub(super) fn start(&self) -> Start {
        Start { k: self.k, bound: self.bound, needed: self.needed }
    }

    /// The integer score that a document needs (equal is enough), at least 1.
    #[inline]
    pub(super) fn needed(&self) -> i32 {
        self.needed
    }

    /// Makes at least this needed, as found elsewhere.
    pub(super) fn raise(&mut self, needed: i32) {
        self.needed = self.needed.max(needed);
    }

    /// Takes in candidates held elsewhere.
    pub(super) fn extend(&mut self, held: &[(i32, DocId)]) {
        self.held.extend_from_slice(held);
    }

    /// Takes in a document that has what is needed.
    #[inline]
    pub(super) fn push(&mut self, integer: i32, doc: DocId) {
        self.held.push((integer, doc));
    }

    /// To be called now and then, at least every few thousand pushes: raises what is needed and
    /// keeps memory bounded.
    #[inline]
    pub(super) fn settle(&mut self, scorer: &mut RowScorer<'_>, top: &mut TopK<'_>) -> Result<()> {
        if self.held.len() >= self.cut_at {
            self.cut(top.stop());
            if self.held.len() > 4 * self.k + HELD {
                self.score(scorer, top)?;
            }
            self.cut_at = self.held.len() + self.k / 2 + 32;
        }
        Ok(())
    }

    /// Drops what cannot be among the best `k` any more.
    pub(super) fn cut(&mut self, stop: Option<&Stop>) {
        if self.held.len() >= self.k && in_front(self.held, self.k, stop, order) {
            let kth = self.held.iter().take(self.k).map(|held| held.0).min();
            self.needed = self.needed.max(kth.map_or(i32::MIN, |kth| self.bound.rival(kth)));
        }
        let needed = self.needed;
        self.held.retain(|&(integer, _)| integer >= needed);
    }

    /// Scores the candidates, best integer first, until what is left cannot reach the floor.
    pub(super) fn score(&mut self, scorer: &mut RowScorer<'_>, top: &mut TopK<'_>) -> Result<()> {
        let count = self.held.len();
        let known = in_order(self.held, count, top.stop(), order);
        self.held.truncate(known);
        let pause = (self.k / 8).clamp(4, 64);
        let ahead = |at: usize| self.held.get(at).map(|&(_, doc)| doc);
        (0..2 * AHEAD).filter_map(ahead).for_each(|doc| scorer.fetch_place(doc));
        (0..AHEAD).filter_map(ahead).for_each(|doc| scorer.fetch_row(doc));
        for (at, &(integer, doc)) in self.held.iter().enumerate() {
            if let Some(doc) = ahead(at + 2 * AHEAD) {
                scorer.fetch_place(doc);
            }
            if let Some(doc) = ahead(at + AHEAD) {
                scorer.fetch_row(doc);
            }
            if at >= self.k && at.is_multiple_of(pause) {
                top.shrink();
                self.needed = self.needed.max(self.bound.needed(f64::from(top.floor())));
            }
            if at % CHECK == CHECK - 1 && top.stopped() {
                break;
            }
            if integer < self.needed {
                break;
            }
            if let Some(score) = scorer.score(doc)? {
                top.push(doc, score);
            }
        }
        top.shrink();
        self.needed = self.needed.max(self.bound.needed(f64::from(top.floor())));
        self.held.clear();
        Ok(())
    }
}
