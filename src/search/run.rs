//! Running a query over the segments of a snapshot.

use std::cmp::Ordering;

use crate::embed::check_key_kind;
use crate::error::Result;
use crate::id::{DocId, Key, better};
use crate::kernel::Kernels;
use crate::limits::{Limits, MAX_CANDIDATES};
use crate::schema::Schema;
use crate::search::Certainty;
use crate::search::list::Shown;
use crate::search::plan::{Allowed, Merge, Plan};
use crate::search::query::{Effort, Query, Stage};
use crate::search::{feedback, list};
use crate::segment::SegmentView;
use crate::sparse::{Exactness, SparseEffort, SparseScratch, Way};
use crate::stop::Stop;
use crate::tokens::{TokenEffort, TokenScratch};
use crate::topk::TopK;
use crate::trace::span;

/// What a search sees: one snapshot, from first to last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    pub(crate) schema: &'a Schema,
    pub(crate) segments: &'a [SegmentView],
    pub(crate) kernels: &'static Kernels,
    pub(crate) limits: &'a Limits,
}

/// Working memory of one search, used again by the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) sparse: SparseScratch,
    pub(crate) tokens: TokenScratch,
}

/// A document on its way into the answer. Its key is read at the end, for those that are given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) segment: usize,
    pub(crate) doc: DocId,
    pub(crate) score: f32,
}

/// Candidates in order, and what is guaranteed of them.
#[derive(Clone, Debug)]
pub(crate) struct Candidates {
    pub(crate) found: Vec<Candidate>,
    pub(crate) certainty: Certainty,
}

impl View<'_> {
    /// The order of an answer: score descending, then key ascending. Keys that cannot be read are
    /// as empty: the answer then fails where they are read.
    pub(crate) fn order(&self, a: &Candidate, b: &Candidate) -> Ordering {
        better(a.score, b.score, || {
            let keys = |one: &Candidate| self.segments[one.segment].segment.keys();
            keys(a).cmp_between(a.doc, keys(b), b.doc)
        })
    }

    pub(crate) fn key(&self, one: &Candidate) -> Result<Key> {
        self.segments[one.segment].segment.keys().key(one.doc)
    }
}

/// A document of the answer.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) segment: usize,
    pub(crate) doc: DocId,
    pub(crate) key: Key,
    pub(crate) score: f32,
    /// The best of its group, where hits are collapsed.
    pub(crate) inside: Vec<Found>,
}

/// The best documents, in order, and what is guaranteed of them.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) found: Vec<Found>,
    pub(crate) certainty: Certainty,
}

/// Keys read between two looks at the clock.
const CHECK: usize = 256;

/// Answers a query.
pub(crate) fn search(view: View<'_>, query: &Query, scratch: &mut Scratch) -> Result<Answer> {
    let _span = span!(DEBUG, "search", top = query.top, segments = view.segments.len());
    query.check()?;
    query.within(view.limits)?;
    check_filters(view.schema, query)?;
    let stop = Stop::new(query.deadline, query.cancel.clone());
    // Of many queries with one deadline, those that it has passed take next to no time.
    if stop.reached() {
        return Ok(Answer { found: Vec::new(), certainty: Certainty::Incomplete });
    }
    let plan = Plan { view, stop: &stop };
    let among = Allowed::new(view, query.filter.as_ref(), &stop)?;
    let widened = feedback::widened(&plan, query, &among, scratch)?;
    let query = widened.query.as_ref().map_or(query, |(query, _)| query);

    // Groups are looked for among as many as a query may ask to be collapsed.
    let most = match query.collapse {
        Some(_) => usize::try_from(view.limits.candidates).unwrap_or(MAX_CANDIDATES).max(query.top),
        None => MAX_CANDIDATES,
    };
    let mut k = list::pool(query).min(most);
    loop {
        let mut answer = plan.answer(query, k, &among, scratch)?;
        let full = answer.found.len() >= k;
        if let Some((score, key)) = &query.after {
            let before = answer.found.partition_point(|one| {
                let keys = view.segments[one.segment].segment.keys();
                better(one.score, *score, || keys.cmp_key(one.doc, key)).is_le()
            });
            answer.found.drain(..before);
        }
        let mut shown = list::finish(&plan, query, answer.found)?;
        // A page or groups may need more than was thought; what is full has no more to give.
        if shown.len() >= query.top || !full || k >= most || stop.reached() {
            shown.truncate(query.top);
            let found = keyed(&plan, &shown)?;
            let cut = stop.was_reached();
            let certainty = answer.certainty.min(widened.certainty);
            let certainty = if cut { Certainty::Incomplete } else { certainty };
            return Ok(Answer { found, certainty });
        }
        k = k.saturating_mul(4).min(most);
    }
}

/// The documents with their keys; those come to before the time is up.
fn keyed(plan: &Plan<'_>, shown: &[Shown]) -> Result<Vec<Found>> {
    let mut read = 0;
    let mut found = Vec::with_capacity(shown.len());
    for one in shown {
        read += 1 + one.inside.len();
        if read >= CHECK {
            read = 0;
            if plan.stop.reached() {
                break;
            }
        }
        let with_key = |one: &Candidate| -> Result<Found> {
            let Candidate { segment, doc, score } = *one;
            Ok(Found { segment, doc, key: plan.view.key(one)?, score, inside: Vec::new() })
        };
        let mut best = with_key(&one.best)?;
        best.inside = one.inside.iter().map(with_key).collect::<Result<_>>()?;
        found.push(best);
    }
    Ok(found)
}

/// Checks the fields, filters and keys of a query and its parts against the schema.
pub(crate) fn check_filters(schema: &Schema, query: &Query) -> Result<()> {
    if let Some((_, key)) = &query.after {
        check_key_kind(schema.key_kind(), key)?;
    }
    if let Some(filter) = &query.filter {
        filter.check(schema)?;
    }
    if let Some(second) = &query.rerank {
        schema.resolve(&second.field)?;
    }
    list::check(schema, query)?;
    match &query.first {
        Stage::Fused(fused) => fused.parts.iter().try_for_each(|part| check_filters(schema, part)),
        Stage::Sparse(field, _) => Ok(schema.resolve(field).map(drop)?),
        Stage::Tokens(field, _) => Ok(schema.resolve(field).map(drop)?),
    }
}

/// The best `k` of the first stage among those that score `least` or more.
pub(crate) fn first_stage(
    plan: &Plan<'_>,
    query: &Query,
    k: usize,
    least: f32,
    among: &Allowed,
    scratch: &mut Scratch,
) -> Result<Candidates> {
    let view = plan.view;
    let _span = span!(DEBUG, "first stage", engine = engine(&query.first), k = k);
    let place = match &query.first {
        Stage::Sparse(field, _) => view.schema.resolve(field)?,
        Stage::Tokens(field, _) => view.schema.resolve(field)?,
        Stage::Fused(_) => {
            return Ok(Candidates { found: Vec::new(), certainty: Certainty::Certified });
        }
    };
    let mut merge = Merge::new(plan, k, least);
    let mut certainty = Certainty::Certified;
    for (at, (part, among)) in view.segments.iter().zip(&among.0).enumerate() {
        if among.count == 0 {
            continue;
        }
        if plan.stop.reached() {
            break;
        }
        let alive = among.set.as_deref();
        let mut top = TopK::new(k, merge.floor(), part.segment.keys()).until(plan.stop);
        let certain = match &query.first {
            Stage::Fused(_) => continue,
            Stage::Sparse(_, vector) => match (part.segment.sparse(place), alive) {
                (None, _) => continue,
                // So few that their own rows are the faster way, and exact whatever the effort.
                (Some(index), Some(alive)) if index.scan_is_cheaper(alive, among.count) => {
                    let scratch = &mut scratch.sparse;
                    held(index.scan(vector, view.kernels, alive, &mut top, scratch)?)
                }
                (Some(index), alive) => held(index.search(
                    vector,
                    view.kernels,
                    Way { effort: sparse_effort(query.effort), threads: query.threads },
                    alive,
                    &mut top,
                    &mut scratch.sparse,
                )?),
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
        certainty = certainty.min(certain);
        merge.add(at, &top.finish());
    }
    Ok(Candidates { found: merge.finish(), certainty })
}

/// What searches a stage, in a word.
fn engine(stage: &Stage) -> &'static str {
    match stage {
        Stage::Sparse(..) => "sparse",
        Stage::Tokens(..) => "tokens",
        Stage::Fused(_) => "fusion",
    }
}

/// The effort as the inverted index understands it.
fn sparse_effort(effort: Effort) -> SparseEffort {
    match effort {
        Effort::Exact => SparseEffort::Exact,
        Effort::Recall(share) => SparseEffort::Recall(share),
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

/// What an index holds its answer for.
fn held(exactness: Exactness) -> Certainty {
    match exactness {
        Exactness::Approximate => Certainty::Approximate,
        Exactness::Certified => Certainty::Certified,
        Exactness::OnQuantised => Certainty::ExactOnQuantised,
    }
}
