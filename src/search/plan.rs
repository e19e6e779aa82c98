//! A query's stages, run over the segments of a snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::docset::DocSet;
use crate::error::Result;
use crate::id::{DocId, better};
use crate::search::fusion::{Fused, United, fuse};
use crate::search::query::{Query, Rerank, Stage};
use crate::search::run::{Answer, Found, Scratch, View, first_stage};
use crate::search::{Certainty, Filter};
use crate::stop::Stop;
use crate::topk::{Scored, TopK};
use crate::trace::span;

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
    ) -> Result<Answer> {
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
    ) -> Result<Answer> {
        let Stage::Fused(fused) = &query.first else {
            return first_stage(self, query, k, least, among, scratch);
        };
        let (united, certainty) = self.united(fused, query.top, among, scratch)?;
        let mut found = united.found;
        found.retain(|found| found.score.total_cmp(&least).is_ge());
        found.truncate(k);
        Ok(Answer { found, certainty })
    }

    /// The parts' lists, fused, for a query that asks for so many hits.
    pub(crate) fn united(
        &self,
        fused: &Fused,
        top: usize,
        among: &Allowed,
        scratch: &mut Scratch,
    ) -> Result<(United, Certainty)> {
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
        fuse(self, fused, &lists, scratch)
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
    first: &Answer,
    k: usize,
    least: f32,
    scratch: &mut Scratch,
) -> Result<Answer> {
    let view = plan.view;
    let place = view.schema.resolve(&second.field)?;
    let mut by_segment: BTreeMap<usize, Vec<DocId>> = BTreeMap::new();
    for found in &first.found {
        by_segment.entry(found.segment).or_default().push(found.doc);
    }
    let _span = span!(DEBUG, "rerank", candidates = first.found.len());
    let mut merge = Merge::new(k, least);
    let mut certainty = first.certainty;
    for (at, mut docs) in by_segment {
        let part = &view.segments[at];
        docs.sort_unstable(); // tokens lie in this order
        let store = part.segment.tokens(place);
        if let Some(store) = store {
            let mut top = TopK::new(k, merge.floor(), part.segment.keys()).until(plan.stop);
            let outcome =
                store.rerank(&second.query, view.kernels, &docs, &mut top, &mut scratch.tokens)?;
            if !outcome.certified {
                certainty = certainty.min(Certainty::Approximate);
            }
            merge.add(view, at, top.finish())?;
        }
        // Absent is not zero: what lacks the field stands behind all that has it.
        let lacking: Vec<Scored> = docs
            .iter()
            .filter(|&&doc| store.is_none_or(|store| !store.contains(doc)))
            .map(|&doc| Scored { doc, score: f32::NEG_INFINITY })
            .collect();
        merge.add(view, at, lacking)?;
    }
    Ok(Answer { found: merge.finish(), certainty })
}

/// The exact merge of segments' answers: scores are in real units, ties break by key.
pub(crate) struct Merge {
    k: usize,
    /// What scores less is no hit.
    least: f32,
    found: Vec<Found>,
}

impl Merge {
    pub(crate) fn new(k: usize, least: f32) -> Self {
        Self { k: k.max(1), least, found: Vec::new() }
    }

    /// The score below which (strictly) no document can enter any more.
    pub(crate) fn floor(&self) -> f32 {
        match self.found.get(self.k - 1) {
            Some(last) => last.score,
            None => self.least,
        }
    }

    pub(crate) fn add(
        &mut self,
        view: View<'_>,
        segment: usize,
        scored: Vec<Scored>,
    ) -> Result<()> {
        let keys = view.segments[segment].segment.keys();
        let reaches = |hit: &Scored| hit.score.total_cmp(&self.least).is_ge();
        for Scored { doc, score } in scored.into_iter().filter(reaches) {
            let key = keys.key(doc)?;
            self.found.push(Found { segment, doc, key, score, inside: Vec::new() });
        }
        self.found.sort_by(|a, b| better(a.score, b.score, || a.key.cmp(&b.key)));
        self.found.truncate(self.k);
        Ok(())
    }

    pub(crate) fn finish(self) -> Vec<Found> {
        self.found
    }
}
