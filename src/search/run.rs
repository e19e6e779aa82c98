//! Running a query over the segments of a snapshot.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::docset::DocSet;
use crate::error::Result;
use crate::id::{DocId, Key, better};
use crate::kernel::Kernels;
use crate::schema::Schema;
use crate::search::query::{Effort, Query, Rerank, Stage};
use crate::search::{Certainty, Filter};
use crate::segment::SegmentView;
use crate::sparse::{Exactness, SparseEffort, SparseScratch, Way};
use crate::tokens::{TokenEffort, TokenScratch};
use crate::topk::{Scored, TopK};

/// What a search sees: one snapshot, from first to last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) segments: &'a [SegmentView],
    pub(crate) kernels: &'static Kernels,
}

/// Working memory of one search, used again by the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) sparse: SparseScratch,
    pub(crate) tokens: TokenScratch,
}

/// A document of the answer.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) segment: usize,
    pub(crate) doc: DocId,
    pub(crate) key: Key,
    pub(crate) score: f32,
}

/// The best documents, in order, and what is guaranteed of them.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) found: Vec<Found>,
    pub(crate) certainty: Certainty,
}

/// Answers a query.
pub(crate) fn search(view: View<'_>, query: &Query, scratch: &mut Scratch) -> Result<Answer> {
    query.check()?;
    if let Some(filter) = &query.filter {
        filter.check(view.schema)?;
    }
    match &query.rerank {
        None => first_stage(view, query, query.top, query.at_least, scratch),
        Some(second) => {
            let first =
                first_stage(view, query, query.candidate_count(), f32::NEG_INFINITY, scratch)?;
            let mut answer = rerank(view, second, &first, query.top, query.at_least, scratch)?;
            answer.found.truncate(query.top);
            Ok(answer)
        }
    }
}

/// The documents of a segment that a query looks through; `None` where it is all of them.
fn allowed<'a>(
    view: View<'a>,
    segment: &'a SegmentView,
    filter: Option<&Filter>,
) -> Result<Option<Cow<'a, DocSet>>> {
    let alive = segment.alive.as_deref();
    let Some(filter) = filter else { return Ok(alive.map(Cow::Borrowed)) };
    let mut set = filter.select(view.schema, &segment.segment)?;
    if let Some(alive) = alive {
        set.intersect(alive);
    }
    Ok(Some(Cow::Owned(set)))
}

/// The best `k` of the first stage among those that score `least` or more.
fn first_stage(
    view: View<'_>,
    query: &Query,
    k: usize,
    least: f32,
    scratch: &mut Scratch,
) -> Result<Answer> {
    let place = match &query.first {
        Stage::Sparse(field, _) => view.schema.resolve(field)?,
        Stage::Tokens(field, _) => view.schema.resolve(field)?,
    };
    let mut merge = Merge::new(k, least);
    let mut certainty = Certainty::Certified;
    for (at, part) in view.segments.iter().enumerate() {
        let alive = allowed(view, part, query.filter.as_ref())?;
        if alive.as_ref().is_some_and(|alive| alive.count() == 0) {
            continue;
        }
        let alive = alive.as_deref();
        let mut top = TopK::new(k, merge.floor(), part.segment.keys());
        let held = match &query.first {
            Stage::Sparse(_, vector) => match part.segment.sparse(place) {
                None => continue,
                Some(index) => match index.search(
                    vector,
                    view.kernels,
                    Way { effort: sparse_effort(query.effort), threads: query.threads },
                    alive,
                    &mut top,
                    &mut scratch.sparse,
                )? {
                    Exactness::Approximate => Certainty::Approximate,
                    Exactness::Certified => Certainty::Certified,
                    Exactness::OnQuantised => Certainty::ExactOnQuantised,
                },
            },
            Stage::Tokens(_, rows) => match part.segment.tokens(place) {
                None => continue,
                Some(store) => {
                    let effort = token_effort(query.effort);
                    let scratch = &mut scratch.tokens;
                    let outcome =
                        store.search(rows, view.kernels, effort, alive, &mut top, scratch)?;
                    if outcome.certified { Certainty::Certified } else { Certainty::Approximate }
                }
            },
        };
        certainty = certainty.min(held);
        merge.add(view, at, top.finish())?;
    }
    Ok(Answer { found: merge.finish(), certainty })
}

/// The effort as the inverted index understands it: a share of the true hits is promised by finding
/// all of them.
fn sparse_effort(effort: Effort) -> SparseEffort {
    match effort {
        Effort::Exact | Effort::Recall(_) => SparseEffort::Exact,
        Effort::Level(level) => SparseEffort::Level(level),
    }
}

/// The effort as the token store understands it.
fn token_effort(effort: Effort) -> TokenEffort {
    match effort {
        Effort::Exact => TokenEffort::Exact,
        Effort::Recall(share) => TokenEffort::Recall(share),
        Effort::Level(level) => TokenEffort::Level(level),
    }
}

fn rerank(
    view: View<'_>,
    second: &Rerank,
    first: &Answer,
    k: usize,
    least: f32,
    scratch: &mut Scratch,
) -> Result<Answer> {
    let place = view.schema.resolve(&second.field)?;
    let mut by_segment: BTreeMap<usize, Vec<DocId>> = BTreeMap::new();
    for found in &first.found {
        by_segment.entry(found.segment).or_default().push(found.doc);
    }
    let mut merge = Merge::new(k, least);
    let mut certainty = first.certainty;
    for (at, mut docs) in by_segment {
        let part = &view.segments[at];
        docs.sort_unstable(); // tokens lie in this order
        let store = part.segment.tokens(place);
        if let Some(store) = store {
            let mut top = TopK::new(k, merge.floor(), part.segment.keys());
            let outcome =
                store.rerank(&second.query, view.kernels, &docs, &mut top, &mut scratch.tokens)?;
            if !outcome.certified {
                certainty = Certainty::Approximate;
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
struct Merge {
    k: usize,
    /// What scores less is no hit.
    least: f32,
    found: Vec<Found>,
}

impl Merge {
    fn new(k: usize, least: f32) -> Self {
        Self { k, least, found: Vec::new() }
    }

    /// The score below which (strictly) no document can enter any more.
    fn floor(&self) -> f32 {
        match self.found.get(self.k - 1) {
            Some(last) => last.score,
            None => self.least,
        }
    }

    fn add(&mut self, view: View<'_>, segment: usize, scored: Vec<Scored>) -> Result<()> {
        let keys = view.segments[segment].segment.keys();
        let reaches = |hit: &Scored| hit.score.total_cmp(&self.least).is_ge();
        for Scored { doc, score } in scored.into_iter().filter(reaches) {
            self.found.push(Found { segment, doc, key: keys.key(doc)?, score });
        }
        self.found.sort_by(|a, b| better(a.score, b.score, || a.key.cmp(&b.key)));
        self.found.truncate(self.k);
        Ok(())
    }

    fn finish(self) -> Vec<Found> {
        self.found
    }
}
