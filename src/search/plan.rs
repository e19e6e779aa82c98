//! A query's stages, run over the segments of a snapshot.

use std::sync::Arc;

use crate::docset::DocSet;
use crate::error::Result;
use crate::id::DocId;
use crate::ordered::{in_order, keep_best};
use crate::search::fusion::{Fused, Say, fuse};
use crate::search::query::{Query, Rerank, Stage};
use crate::search::run::{Candidate, Candidates, Scratch, View, first_stage};
use crate::search::{Certainty, Filter};
use crate::stop::Stop;
use crate::topk::{KeyOrder, Scored, TopK};
use crate::trace::span;

/// Candidates passed between two looks at the clock.
const CHECK: usize = 4096;

/// What one search works on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) view: View<'a>,
    pub(crate) stop: &'a Stop,
}

/// The documents that a query looks through, segment by segment.
#[derive(Clone, Debug)]
pub(crate) struct Allowed(pub(crate) Vec<Among>);

/// The same of one segment.
#[derive(Clone, Debug)]
pub(crate) struct Among {
    /// `None` where it is all of them.
    pub(crate) set: Option<Arc<DocSet>>,
    /// How many.
    pub(crate) count: u32,
}

impl Allowed {
    /// What lives and passes.
    pub(crate) fn new(view: View<'_>, filter: Option<&Filter>, stop: &Stop) -> Result<Self> {
        let live =
            view.segments.iter().map(|part| Among { set: part.alive.clone(), count: part.live });
        let live = Self(live.collect());
        match filter {
            Some(filter) => live.narrow(view, filter, stop),
            None => Ok(live),
        }
    }

    /// What passes of these as well. Segments that there is no time for have none.
    pub(crate) fn narrow(&self, view: View<'_>, filter: &Filter, stop: &Stop) -> Result<Self> {
        let _span = span!(DEBUG, "filter", segments = self.0.len());
        let mut narrowed = Vec::with_capacity(self.0.len());
        for (part, among) in view.segments.iter().zip(&self.0) {
            if among.count == 0 || stop.reached() {
                let none = Arc::new(DocSet::empty(part.segment.docs()));
                narrowed.push(Among { set: Some(none), count: 0 });
                continue;
            }
            let passing = filter.select(view.schema, &part.segment, view.kernels, stop)?;
            narrowed.push(match &among.set {
                None => Among { set: Some(passing.set), count: passing.count },
                Some(wider) => {
                    let mut set = Arc::unwrap_or_clone(passing.set);
                    set.intersect(wider);
                    Among { count: set.count(), set: Some(Arc::new(set)) }
                }
            });
        }
        Ok(Self(narrowed))
    }
}

impl Plan<'_> {
    /// The best `k` of a query among these documents, of those that score as much as it asks for.
    pub(crate) fn answer(
        &self,
        query: &Query,
        k: usize,
        among: &Allowed,
        scratch: &mut Scratch,
    ) -> Result<Candidates> {
        match &query.rerank {
            None => self.first(query, k, query.at_least, among, scratch),
            Some(second) => {
                // Every candidate of a union is scored.
                let count = match &query.first {
                    Stage::Fused(fused) if fused.is_union() => usize::MAX,
                    _ => query.candidate_count(),
                };
                let first = self.first(query, count, f32::NEG_INFINITY, among, scratch)?;
                rerank(self, second, &first, k, query.at_least, scratch)
            }
        }
    }

    /// The best `k` of what stands before a rerank.
    fn first(
        &self,
        query: &Query,
        k: usize,
        least: f32,
        among: &Allowed,
        scratch: &mut Scratch,
    ) -> Result<Candidates> {
        let Stage::Fused(fused) = &query.first else {
            return first_stage(self, query, k, least, among, scratch);
        };
        let lists = self.lists(fused, query.top, among, scratch)?;
        let mut fused = fuse(self, fused, &lists, k, None, scratch)?.0;
        let found = lists.iter().map(|list| list.found.len()).sum();
        self.stop.let_go(lists, found);
        let reach = fused.found.partition_point(|one| one.score.total_cmp(&least).is_ge());
        fused.found.truncate(reach);
        Ok(fused)
    }

    /// What each part of a fusion says of a document, for a query that asks for so many hits.
    pub(crate) fn says(
        &self,
        fused: &Fused,
        top: usize,
        among: &Allowed,
        about: (usize, DocId),
        scratch: &mut Scratch,
    ) -> Result<Vec<Say>> {
        let lists = self.lists(fused, top, among, scratch)?;
        Ok(fuse(self, fused, &lists, 0, Some(about), scratch)?.1)
    }

    /// The parts' lists, for a query that asks for so many hits.
    fn lists(
        &self,
        fused: &Fused,
        top: usize,
        among: &Allowed,
        scratch: &mut Scratch,
    ) -> Result<Vec<Candidates>> {
        let depth = fused.candidates.unwrap_or_else(|| top.max(100));
        let _span = span!(DEBUG, "fusion", parts = fused.parts.len(), depth = depth);
        let mut lists = Vec::with_capacity(fused.parts.len());
        for part in &fused.parts {
            lists.push(match &part.filter {
                None => self.answer(part, depth, among, scratch)?,
                Some(filter) => {
                    let narrowed = among.narrow(self.view, filter, self.stop)?;
                    self.answer(part, depth, &narrowed, scratch)?
                }
            });
        }
        Ok(lists)
    }

    /// Calls `take` with each place and the document's score by a plain search: 0 where a sparse
    /// vector shares no term with it, none where it lacks the field or the search is none of these.
    pub(crate) fn score(
        &self,
        stage: &Stage,
        segment: usize,
        docs: &[DocId],
        scratch: &mut Scratch,
        mut take: impl FnMut(usize, Option<f32>),
    ) -> Result<()> {
        let part = &self.view.segments[segment].segment;
        match stage {
            Stage::Sparse(field, vector) => {
                let Some(index) = part.sparse(self.view.schema.resolve(field)?) else {
                    return Ok(());
                };
                let kernels = self.view.kernels;
                index.score_each(vector, kernels, docs, &mut scratch.sparse, |at, _, score| {
                    take(at, Some(score.unwrap_or(0.0)));
                    !self.stop.reached()
                })
            }
            Stage::Tokens(field, rows) => {
                let Some(store) = part.tokens(self.view.schema.resolve(field)?) else {
                    return Ok(());
                };
                for (at, &doc) in docs.iter().enumerate() {
                    if self.stop.reached() {
                        break;
                    }
                    take(at, store.score(rows, self.view.kernels, doc, &mut scratch.tokens)?);
                }
                Ok(())
            }
            Stage::Fused(_) => Ok(()),
        }
    }
}

fn rerank(
    plan: &Plan<'_>,
    second: &Rerank,
    first: &Candidates,
    k: usize,
    least: f32,
    scratch: &mut Scratch,
) -> Result<Candidates> {
    let view = plan.view;
    let place = view.schema.resolve(&second.field)?;
    let _span = span!(DEBUG, "rerank", candidates = first.found.len());
    // By segment, and in the order in which tokens lie.
    let mut docs: Vec<(usize, DocId)> = Vec::with_capacity(first.found.len());
    for piece in first.found.chunks(CHECK) {
        if plan.stop.reached() {
            break;
        }
        docs.extend(piece.iter().map(|one| (one.segment, one.doc)));
    }
    let (count, stop) = (docs.len(), Some(plan.stop));
    let known = in_order(&mut docs, count, stop, Ord::cmp);
    docs.truncate(known);
    let mut merge = Merge::new(plan, k, least);
    let mut certainty = first.certainty;
    for docs in docs.chunk_by(|a, b| a.0 == b.0) {
        let at = docs[0].0;
        let docs: Vec<DocId> = docs.iter().map(|one| one.1).collect();
        let part = &view.segments[at];
        let (keys, store) = (part.segment.keys(), part.segment.tokens(place));
        if let Some(store) = store {
            let mut top = TopK::new(k, merge.floor(), keys).until(plan.stop);
            let outcome =
                store.rerank(&second.query, view.kernels, &docs, &mut top, &mut scratch.tokens)?;
            if !outcome.certified {
                certainty = certainty.min(Certainty::Approximate);
            }
            merge.add(at, &top.finish());
        }
        // Absent is not zero: what lacks the field stands behind all that has it.
        let mut lacking = Vec::new();
        for piece in docs.chunks(CHECK) {
            if plan.stop.reached() {
                break;
            }
            let lacks = |doc: &DocId| store.is_none_or(|store| !store.contains(*doc));
            let piece = piece.iter().copied().filter(lacks);
            lacking.extend(piece.map(|doc| Scored { doc, score: f32::NEG_INFINITY }));
        }
        keep_best(&mut lacking, k, stop, |a, b| keys.cmp_keys(a.doc, b.doc));
        merge.add(at, &lacking);
    }
    Ok(Candidates { found: merge.finish(), certainty })
}

/// The exact merge of segments' answers: scores are in real units, ties break by key.
pub(crate) struct Merge<'a> {
    plan: &'a Plan<'a>,
    k: usize,
    /// What scores less is no hit.
    least: f32,
    found: Vec<Candidate>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(plan: &'a Plan<'a>, k: usize, least: f32) -> Self {
        Self { plan, k: k.max(1), least, found: Vec::new() }
    }

    /// The score below which (strictly) no document can enter any more.
    pub(crate) fn floor(&self) -> f32 {
        match self.found.get(self.k - 1) {
            Some(last) => last.score,
            None => self.least,
        }
    }

    /// Takes in a segment's documents, which are in order. Where the time is up, the first of all
    /// are kept.
    pub(crate) fn add(&mut self, segment: usize, scored: &[Scored]) {
        let reach = scored.partition_point(|hit| hit.score.total_cmp(&self.least).is_ge());
        let new = |hit: &Scored| Candidate { segment, doc: hit.doc, score: hit.score };
        let (mut held, mut added) = (self.found.iter(), scored[..reach].iter().map(new));
        let (mut left, mut right) = (held.next(), added.next());
        let count = self.k.min(self.found.len() + reach);
        let mut found = Vec::with_capacity(count);
        while found.len() < count {
            if found.len() % CHECK == CHECK - 1 && self.plan.stop.reached() {
                break;
            }
            let from_held = match (left, &right) {
                (Some(a), Some(b)) => self.plan.view.order(a, b).is_le(),
                (a, _) => a.is_some(),
            };
            if from_held {
                found.extend(left.copied());
                left = held.next();
            } else {
                found.extend(right);
                right = added.next();
            }
        }
        self.found = found;
    }

    pub(crate) fn finish(self) -> Vec<Candidate> {
        self.found
    }
}
