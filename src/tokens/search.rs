//! Exact MaxSim: over all documents of a segment, or over candidates.
//!
//! With f16 rows every document is scored. With int8 rows an integer scan gives each document an
//! upper bound of its score, proved in [`query`](super::query); documents are then scored from
//! the highest bound downwards, until the bound of the next is below the k-th score found. Either
//! way the answer is the true top of the stored rows.
//!
//! Where less than that will do and the segment has centroids, only the
//! [`candidates`](super::candidates) are looked at: by integers, and the best of them by floats.

use half::f16;

use crate::docset::DocSet;
use crate::error::{Fault, InputError, Result};
use crate::id::DocId;
use crate::kernel::Kernels;
use crate::kernel::tokens::{F32Rows, KernelScratch};
use crate::ordered::{in_front, in_order};
use crate::schema::{TokenCodec, TokenOptions, TokenTier};
use crate::stop::Stop;
use crate::topk::TopK;

use super::candidates::{CandidateScratch, MOST_ROWS, Plan};
use super::centroids::CurvePoint;
use super::layout::TokenRows;
use super::narrow::Narrow;
use super::query::TokenQuery;
use super::rows::{Coded, expanded_bytes};
use super::store::{TokenStore, View};

/// Candidates that are put in order at a time.
const SHORTLIST: usize = 1024;
/// Documents whose bounds are passed between two looks at the clock.
const PASSED: usize = 1 << 15;
/// Products of components between two looks at the clock: a quarter of a millisecond where each
/// takes a sixteenth of a nanosecond.
const CHECK: usize = 1 << 22;

/// Working memory of a token search, used again by the next.
#[derive(Debug, Default)]
pub(crate) struct TokenScratch {
    pub(super) kernel: KernelScratch,
    /// One result per lane.
    pub(super) largest: Vec<f32>,
    /// The same for a part of a document.
    pub(super) partial: Vec<f32>,
    /// A part of a document, made int8 rows.
    pub(super) expanded: Vec<u8>,
    /// One upper bound per document that is looked at.
    pub(super) bounds: Vec<f32>,
    pub(super) narrow: Narrow,
    shortlist: Vec<Candidate>,
    candidates: CandidateScratch,
}

/// How hard to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TokenEffort {
    /// The true top, proven.
    Exact,
    /// This share of the true top, by what was measured when the segment was written; the true
    /// top where nothing less was measured to reach it.
    Recall(f32),
    /// From 0, the fastest that was measured, to 1, exact.
    Level(f32),
}

/// A document that may be among the best.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    /// What its score does not exceed.
    bound: f32,
    /// Its place among the documents that are looked at.
    place: usize,
    doc: DocId,
}

/// What is guaranteed of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Whether bounds prove that it is the true top of the stored rows.
    pub(crate) certified: bool,
}

impl TokenScratch {
    /// Makes room for a query.
    pub(super) fn fit(&mut self, query: &TokenQuery) {
        self.kernel.fit(query.floats());
        self.kernel.fit_lanes(query.lanes());
        let places = query.floats().out_len().max(query.lanes().out_len());
        if self.largest.len() < places {
            self.largest.resize(places, 0.0);
            self.partial.resize(places, 0.0);
        }
        let bytes = expanded_bytes(query.dim());
        if self.expanded.len() < bytes {
            self.expanded.resize(bytes, 0);
        }
    }
}

impl TokenStore {
    /// Offers every document that has the field, or every such document of a set, with its score,
    /// except for those that cannot be among the best: provably, or as far as the effort goes.
    ///
    /// # Errors
    /// `Corrupt` where a document's place is not in the store, `Input` where the query has another
    /// dimension; so for every call here.
    pub(crate) fn search(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        effort: TokenEffort,
        alive: Option<&DocSet>,
        top: &mut TopK<'_>,
        scratch: &mut TokenScratch,
    ) -> Result<Outcome> {
        let run = self.run(query, kernels, top.stop())?;
        if let Some((view, curve)) = self.centroids()
            && query.rows() <= MOST_ROWS
            && let Some(plan) = plan(curve, effort, top.k(), self.margin())
            && alive.map_or(run.view.docs(), DocSet::count) as usize > plan.wanted
        {
            scratch.fit(query);
            let (kernel, candidates) = (&mut scratch.kernel, &mut scratch.candidates);
            view.candidates(query, kernels, alive, plan, kernel, candidates, top.stop())
                .map_err(|lie| self.lie(lie))?;
            run.best_of_candidates(top, scratch)?;
            return Ok(Outcome { certified: false });
        }
        match alive {
            None => run.best_of(|| 0..run.view.docs(), top, scratch),
            Some(alive) => run.best_of(|| alive.iter(), top, scratch),
        }
    }

    /// The same over candidates, each named once. One that lacks the field is passed over.
    pub(crate) fn rerank(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        docs: &[DocId],
        top: &mut TopK<'_>,
        scratch: &mut TokenScratch,
    ) -> Result<Outcome> {
        let run = self.run(query, kernels, top.stop())?;
        if docs.len() <= top.k() {
            scratch.fit(query);
            run.score_all(docs.iter().copied(), top, scratch)?;
            return Ok(Outcome { certified: true });
        }
        run.best_of(|| docs.iter().copied(), top, scratch)
    }

    /// A document's score; `None` where it lacks the field.
    pub(crate) fn score(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        doc: DocId,
        scratch: &mut TokenScratch,
    ) -> Result<Option<f32>> {
        self.check_dim(query)?;
        scratch.fit(query);
        let Some(rows) = self.stored(doc)? else { return Ok(None) };
        Ok(Some(score(query, kernels, &rows.coded, norm(&rows), scratch)))
    }

    /// For each query row the largest dot product with the document's rows; `None` where it lacks
    /// the field.
    pub(crate) fn largest<'a>(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        doc: DocId,
        scratch: &'a mut TokenScratch,
    ) -> Result<Option<&'a [f32]>> {
        self.check_dim(query)?;
        scratch.fit(query);
        let Some(rows) = self.stored(doc)? else { return Ok(None) };
        rows.coded.largest_dots(query, kernels, norm(&rows), scratch);
        Ok(scratch.largest.get(..query.rows()))
    }
}

impl TokenStore {
    /// Refuses a query of another dimension.
    pub(super) fn check_dim(&self, query: &TokenQuery) -> Result<()> {
        if query.stored_dim() == self.dim() {
            return Ok(());
        }
        let (found, expected) = (query.stored_dim() as u64, self.dim() as u64);
        Err(InputError::new("query", Fault::Dimension { found, expected }).into())
    }

    fn run<'a>(
        &'a self,
        query: &'a TokenQuery,
        kernels: &'a Kernels,
        stop: Option<&'a Stop>,
    ) -> Result<Run<'a>> {
        self.check_dim(query)?;
        Ok(Run { view: self.view(), query, kernels, margin: self.margin(), stop })
    }
}

/// What the curve says for an effort and a number of hits; `None` where everything is to be
/// looked at. Above ten hits the share of the hundred best decides, and above a hundred the
/// shortlist grows with them.
fn plan(curve: &[CurvePoint], effort: TokenEffort, k: usize, margin: Margin) -> Option<Plan> {
    let reached = |point: &CurvePoint| if k <= 10 { point.recall_10 } else { point.recall_100 };
    let point = match effort {
        TokenEffort::Exact => return None,
        TokenEffort::Recall(share) if share >= 1.0 => return None,
        TokenEffort::Recall(share) => curve.iter().find(|point| reached(point) >= share)?,
        TokenEffort::Level(level) if level >= 1.0 => return None,
        #[allow(clippy::cast_possible_truncation, reason = "rounded down on purpose")]
        TokenEffort::Level(level) => curve.get((level * curve.len() as f32) as usize)?,
    };
    let wanted = (point.shortlist as usize).saturating_mul(k.div_ceil(100));
    Some(Plan { probes: point.probes as usize, wanted: wanted.max(margin.of_hits(k)) })
}

/// How many documents are scored by floats for a number of hits, where integers have ordered them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Margin {
    /// Documents for each hit, in quarters.
    quarters: usize,
    /// More than the hits at least.
    least: usize,
}

impl Margin {
    /// Integers of the rows that give the score were measured to order .997 of the true ten best
    /// into their own ten; those of a coarser first tier need more room, the more the coarser.
    pub(super) fn of(options: &TokenOptions) -> Self {
        let (quarters, least) = match (options.tier, options.codec) {
            (TokenTier::None, _) | (_, TokenCodec::F16 | TokenCodec::Int8) => (5, 8),
            (_, TokenCodec::Residual4) => (6, 14),
            (_, TokenCodec::Residual2 | TokenCodec::Product { .. }) => (8, 30),
            (_, TokenCodec::Residual1) => (16, 50),
        };
        Self { quarters, least }
    }

    /// The documents for `k` hits.
    pub(super) fn of_hits(self, k: usize) -> usize {
        (k * self.quarters / 4).max(k + self.least)
    }
}

/// The score by integers: near the true one. f16 rows have none, and give the true one.
pub(super) fn estimate(
    query: &TokenQuery,
    kernels: &Kernels,
    coded: &Coded<'_>,
    scratch: &mut TokenScratch,
) -> f32 {
    if coded.select(query, kernels, scratch) {
        query.upper_bound(&scratch.largest, 0.0, 0.0)
    } else {
        score(query, kernels, coded, f64::INFINITY, scratch)
    }
}

/// No row of a document is longer.
fn norm(rows: &TokenRows<'_>) -> f64 {
    f16::from_bits(rows.bounds.norm).to_f64()
}

/// The score: the sum over the query's rows, in their order, of the largest dot product with the
/// stored rows. One that is no number, which takes components near the end of the range of f32,
/// counts as −∞.
fn score(
    query: &TokenQuery,
    kernels: &Kernels,
    coded: &Coded<'_>,
    norm: f64,
    scratch: &mut TokenScratch,
) -> f32 {
    coded.largest_dots(query, kernels, norm, scratch);
    sum(query, scratch)
}

/// The score of a document that is in no store: its rows as floats, one after another.
pub(crate) fn score_floats(
    query: &TokenQuery,
    kernels: &Kernels,
    rows: &[f32],
    scratch: &mut TokenScratch,
) -> f32 {
    scratch.fit(query);
    let Some(rows) = F32Rows::new(rows, query.dim()) else { return f32::NEG_INFINITY };
    let (kernel, largest) = (&mut scratch.kernel, &mut scratch.largest);
    (kernels.tokens.max_f32)(query.floats(), &rows, kernel, largest);
    sum(query, scratch)
}

/// The sum of what each query row met.
fn sum(query: &TokenQuery, scratch: &TokenScratch) -> f32 {
    let sum: f32 = scratch.largest.iter().take(query.rows()).fold(0.0, |sum, x| sum + x);
    if sum.is_nan() { f32::NEG_INFINITY } else { sum }
}

/// The rows that bound a document's score best, and how far they are from those that make it: a
/// second tier of int8 bounds itself, and takes no longer than a coarser first tier whose bounds
/// would leave a good part of the documents to be scored.
fn tight<'a>(rows: &TokenRows<'a>) -> (Coded<'a>, u16) {
    match (&rows.coded, &rows.scan) {
        (Coded::F16(_), Some(scan)) => (*scan, rows.gap),
        _ => (rows.coded, 0),
    }
}

/// One search over one store.
#[derive(Clone, Copy)]
struct Run<'a> {
    view: View<'a>,
    query: &'a TokenQuery,
    kernels: &'a Kernels,
    margin: Margin,
    stop: Option<&'a Stop>,
}

impl<'a> Run<'a> {
    /// Offers what may be among the best of the documents that `docs` gives, the same each time.
    fn best_of<I: Iterator<Item = DocId>>(
        &self,
        docs: impl Fn() -> I,
        top: &mut TopK<'_>,
        scratch: &mut TokenScratch,
    ) -> Result<Outcome> {
        scratch.fit(self.query);
        if self.view.has_integers() {
            self.bound_all(docs(), scratch)?;
            while shortlist(docs(), top.floor(), self.stop, scratch) {
                if self.score_shortlist(top, scratch)? {
                    break;
                }
            }
        } else {
            self.score_all(docs(), top, scratch)?;
        }
        Ok(Outcome { certified: true })
    }

    /// Calls `each` with every document's rows, what it will read of the next document's already on
    /// its way.
    fn for_each(
        &self,
        docs: impl Iterator<Item = DocId>,
        read: impl Fn(&TokenRows<'a>) -> Coded<'a>,
        mut each: impl FnMut(DocId, Option<TokenRows<'a>>),
    ) -> Result<()> {
        let mut pending = None;
        // Products since the last look at the clock.
        let mut work = 0usize;
        let per_row = self.query.rows() * self.query.dim();
        let mut left = self.view.rows_total();
        for doc in docs {
            let rows = self.view.rows(doc)?;
            let count = rows.as_ref().map_or(0, |rows| rows.coded.len());
            left = self.view.without_shared(left, count, doc)?;
            work += 64 + count * per_row;
            if work > CHECK {
                work = 0;
                if self.stopped() {
                    return Ok(());
                }
            }
            if let Some(rows) = &rows {
                read(rows).prefetch();
            }
            if let Some((doc, rows)) = pending.replace((doc, rows)) {
                each(doc, rows);
            }
        }
        if let Some((doc, rows)) = pending {
            each(doc, rows);
        }
        Ok(())
    }

    /// Whether the search has to end.
    fn stopped(&self) -> bool {
        self.stop.is_some_and(Stop::reached)
    }

    /// Scores everything.
    fn score_all(
        &self,
        docs: impl Iterator<Item = DocId>,
        top: &mut TopK<'_>,
        scratch: &mut TokenScratch,
    ) -> Result<()> {
        self.for_each(
            docs,
            |rows| rows.coded,
            |doc, rows| {
                if let Some(rows) = rows {
                    top.push(doc, self.score(&rows, scratch));
                }
            },
        )
    }

    fn score(&self, rows: &TokenRows<'_>, scratch: &mut TokenScratch) -> f32 {
        score(self.query, self.kernels, &rows.coded, norm(rows), scratch)
    }

    /// What a document's score does not exceed, by integers.
    fn bound(&self, rows: &TokenRows<'_>, scratch: &mut TokenScratch) -> f32 {
        let (scan, gap) = tight(rows);
        if !scan.select(self.query, self.kernels, scratch) {
            return f32::INFINITY;
        }
        let [norm, gap] = [rows.bounds.norm, gap].map(|bits| f16::from_bits(bits).to_f64());
        self.query.upper_bound(&scratch.largest, norm, gap)
    }

    /// Gives every document its upper bound; −∞ where it lacks the field.
    fn bound_all(
        &self,
        docs: impl Iterator<Item = DocId>,
        scratch: &mut TokenScratch,
    ) -> Result<()> {
        scratch.bounds.clear();
        self.for_each(
            docs,
            |rows| tight(rows).0,
            |_, rows| {
                let bound = rows.map_or(f32::NEG_INFINITY, |rows| self.bound(&rows, scratch));
                scratch.bounds.push(bound);
            },
        )
    }

    /// Offers the best of the candidates: by integers where there are any, and by floats as many
    /// as are asked for and some more.
    fn best_of_candidates(&self, top: &mut TopK<'_>, scratch: &mut TokenScratch) -> Result<()> {
        let docs = std::mem::take(&mut scratch.candidates.chosen);
        let result = self.best_of_docs(&docs, top, scratch);
        scratch.candidates.chosen = docs;
        result
    }

    fn best_of_docs(
        &self,
        docs: &[DocId],
        top: &mut TopK<'_>,
        scratch: &mut TokenScratch,
    ) -> Result<()> {
        let count = self.margin.of_hits(top.k());
        if !self.view.has_integers() || docs.len() <= count {
            return self.score_all(docs.iter().copied(), top, scratch);
        }
        let mut list = std::mem::take(&mut scratch.shortlist);
        list.clear();
        self.for_each(
            docs.iter().copied(),
            |rows| *rows.first(),
            |doc, rows| {
                if let Some(rows) = rows {
                    let bound = estimate(self.query, self.kernels, rows.first(), scratch);
                    list.push(Candidate { bound, place: list.len(), doc });
                }
            },
        )?;
        let order =
            |a: &Candidate, b: &Candidate| b.bound.total_cmp(&a.bound).then(a.place.cmp(&b.place));
        in_front(&mut list, count, self.stop, order);
        list.truncate(count);
        let len = list.len();
        let known = in_order(&mut list, len, self.stop, |a, b| a.place.cmp(&b.place));
        list.truncate(known);
        let result = self.score_all(list.iter().map(|candidate| candidate.doc), top, scratch);
        scratch.shortlist = list;
        result
    }

    /// Scores the shortlist in its order; `true` where a bound fell below the k-th score, so that
    /// nothing that is left can be among the best.
    fn score_shortlist(&self, top: &mut TopK<'_>, scratch: &mut TokenScratch) -> Result<bool> {
        // To raise the floor costs as much as `top` holds, to score a document far more.
        let every = (top.k() / 32).max(1);
        for i in 0..scratch.shortlist.len() {
            let Candidate { bound, place, doc } = scratch.shortlist[i];
            if self.stopped() {
                return Ok(true);
            }
            if i % every == 0 {
                top.shrink();
            }
            if bound < top.floor() {
                return Ok(true);
            }
            if let Some(next) = scratch.shortlist.get(i + 1)
                && let Some(rows) = self.view.rows(next.doc)?
            {
                rows.coded.prefetch();
            }
            if let Some(rows) = self.view.rows(doc)? {
                top.push(doc, self.score(&rows, scratch));
            }
            scratch.bounds[place] = f32::NEG_INFINITY;
        }
        top.shrink();
        Ok(false)
    }
}

/// Lists the documents with the highest bounds at or above `floor` that were not scored yet,
/// in descending order; `false` where there are none, or no time.
fn shortlist(
    docs: impl Iterator<Item = DocId>,
    floor: f32,
    stop: Option<&Stop>,
    scratch: &mut TokenScratch,
) -> bool {
    let list = &mut scratch.shortlist;
    list.clear();
    let order =
        |a: &Candidate, b: &Candidate| b.bound.total_cmp(&a.bound).then(a.place.cmp(&b.place));
    let mut least = floor;
    for (place, (&bound, doc)) in scratch.bounds.iter().zip(docs).enumerate() {
        if place % PASSED == PASSED - 1 && stop.is_some_and(Stop::reached) {
            return false;
        }
        if bound < least || bound == f32::NEG_INFINITY {
            continue;
        }
        list.push(Candidate { bound, place, doc });
        if list.len() == 2 * SHORTLIST {
            list.select_nth_unstable_by(SHORTLIST - 1, order);
            list.truncate(SHORTLIST);
            least = list.last().map_or(least, |last| last.bound);
        }
    }
    list.sort_unstable_by(order);
    list.truncate(SHORTLIST);
    !list.is_empty()
}
