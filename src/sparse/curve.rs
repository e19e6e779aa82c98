//! What each step of the effort finds, measured when a segment is written.
//!
//! Documents stand in for queries: each is cut to its strongest terms, as few as queries have, and
//! asked of the index that has just been written, exactly and at each step. The document itself is
//! no hit; the others that the exact answer has and a step does not are what that step misses. All
//! of it follows from the written index, so the bytes do not depend on threads or on memory.

use bytemuck::{Pod, Zeroable};

use crate::codec::kmeans::in_parallel;
use crate::error::Result;
use crate::id::{DocId, TermId};
use crate::kernel::{self, Kernels};
use crate::topk::{KeyOrder, Scored, TopK};

use super::effort::{LADDER, Shortcut, SparseEffort};
use super::index::SparseIndex;
use super::query::SparseQuery;
use super::search::{SparseScratch, Way};

/// From how many documents on a segment has a curve: below, an exact search takes a few hundredths
/// of a millisecond, and there is next to nothing to leave out.
pub(super) const LEAST_DOCS: u32 = 32_768;
/// Documents that are asked, and how few of them are too few to say anything.
const QUERIES: usize = 48;
/// Documents that one thread asks in turn.
const BATCH: usize = 4;
const FEWEST: usize = 16;
/// How many terms they keep, by turns.
const TERMS: [usize; 2] = [16, 32];
/// The hits that are asked for, the document itself counted in, and the most that the curve speaks
/// of. Steps save little or nothing where more are asked for: of 80,000 documents the exact hundred
/// best took 114 µs, and a step that found .961 of them 152, since what leaves out terms has more
/// rows to score.
pub(super) const HITS: usize = 10;
/// The steps that are measured: those before miss more of other sets than of a segment's own
/// documents, by a factor that is not known.
const FIRST: usize = 2;
const STEPS: usize = LADDER.len() - FIRST;
/// What a step misses counts half again, since documents are somewhat easier queries than queries
/// are. Of 80,000 documents the steps missed .026, .014, .007, .002 of theirs and .022, .008, .002,
/// .000 of 1,150 queries'; of 1,000,000 mixtures of these .019, .012, 0, 0 and .022, .004, .001, 0.
const MISSED: f64 = 1.5;
/// Points that a file may have.
pub(super) const MOST_POINTS: usize = 64;

/// A step and what it found. 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct SparsePoint {
    /// As in a [`Shortcut`]; so are the next two.
    pub(super) mass: f32,
    pub(super) alpha: u32,
    pub(super) band: f32,
    /// The mean share of the true ten best that was found, less half of what was missed.
    pub(super) recall: f32,
}

impl SparsePoint {
    /// What the step leaves out.
    pub(super) fn shortcut(&self) -> Shortcut {
        Shortcut { mass: self.mass, alpha: self.alpha, band: self.band }
    }

    /// Whether every number is in its range.
    pub(super) fn is_sound(&self) -> bool {
        self.shortcut().is_sound() && (0.0..=1.0).contains(&self.recall)
    }
}

/// Measures the ladder; nothing where the index is small, has no forward rows, or few documents.
pub(super) fn measure(index: &SparseIndex, threads: usize) -> Result<Vec<SparsePoint>> {
    if index.docs() < LEAST_DOCS || !index.has_rows() {
        return Ok(Vec::new());
    }
    let queries = queries(index)?;
    if queries.len() < FEWEST {
        return Ok(Vec::new());
    }
    let kernels = kernel::select(None)?;
    let batches: Vec<_> = queries.chunks(BATCH).collect();
    let found = in_parallel(&batches, threads, |batch| {
        let mut scratch = SparseScratch::default();
        let one =
            |(own, query): &(DocId, SparseQuery)| one(index, kernels, *own, query, &mut scratch);
        batch.iter().map(one).collect::<Result<Vec<_>>>()
    });
    let mut sums = [0.0; STEPS];
    for found in found {
        for missed in found? {
            sums.iter_mut().zip(missed).for_each(|(sum, missed)| *sum += missed);
        }
    }
    let point = |(Shortcut { mass, alpha, band }, sum): (Shortcut, f64)| {
        #[allow(clippy::cast_possible_truncation, reason = "a share, rounded")]
        let recall = (1.0 - MISSED * sum / queries.len() as f64).max(0.0) as f32;
        SparsePoint { mass, alpha, band, recall }
    };
    Ok(LADDER.into_iter().skip(FIRST).zip(sums).map(point).collect())
}

/// Documents from all over the segment, cut to the terms that weigh most; of equal ones the
/// smallest.
fn queries(index: &SparseIndex) -> Result<Vec<(DocId, SparseQuery)>> {
    let docs = index.docs();
    let mut queries = Vec::with_capacity(QUERIES);
    let start = |place: usize| {
        let place = u64::from(docs) * place as u64 / QUERIES as u64;
        DocId::try_from(place).unwrap_or(docs)
    };
    for place in 0..QUERIES {
        let (from, to) = (start(place), start(place + 1));
        // From the middle of its part on, the first that has the field.
        for doc in from + (to - from) / 2..to {
            let Some(row) = index.row(doc)? else { continue };
            let mut entries: Vec<(TermId, f32)> = row.iter().collect();
            entries.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            entries.truncate(TERMS[place % TERMS.len()]);
            entries.sort_unstable_by_key(|&(term, _)| term);
            queries.push((doc, SparseQuery::from_entries(&entries)));
            break;
        }
    }
    Ok(queries)
}

/// For each step that is measured the share of the best that it misses.
fn one(
    index: &SparseIndex,
    kernels: &Kernels,
    own: DocId,
    query: &SparseQuery,
    scratch: &mut SparseScratch,
) -> Result<[f64; STEPS]> {
    let mut ask = |effort: SparseEffort| -> Result<Vec<Scored>> {
        let mut top = TopK::new(HITS, f32::NEG_INFINITY, &Numbers);
        let way = Way { effort, threads: 1 };
        index.search(query, kernels, way, None, &mut top, scratch)?;
        Ok(top.finish())
    };
    let truth = ask(SparseEffort::Exact)?;
    // Any that scores as much as the last counts for it.
    let least = truth.last().map_or(f32::INFINITY, |last| last.score);
    let held = |found: &[Scored]| {
        found.iter().filter(|hit| hit.doc != own && hit.score >= least).count() as f64
    };
    let all = held(&truth);
    let mut missed = [0.0; STEPS];
    for (step, missed) in missed.iter_mut().enumerate().filter(|_| all > 0.0) {
        *missed = (1.0 - held(&ask(SparseEffort::Step(FIRST + step))?) / all).max(0.0);
    }
    Ok(missed)
}

/// Equal scores are cut by the documents' own numbers: which of them are hits is all the same here.
struct Numbers;

impl KeyOrder for Numbers {
    fn cmp_keys(&self, a: DocId, b: DocId) -> std::cmp::Ordering {
        a.cmp(&b)
    }
}
