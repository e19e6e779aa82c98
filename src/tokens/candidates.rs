//! Candidates without looking at every row: which documents have rows near the centroids that are
//! near the query's rows.
//!
//! The query meets every centroid once, by the integer kernel, or where there are very many only
//! those of the best [`groups`](super::groups). What a centroid gives a query row
//! is kept as one byte, and a document's rank is the sum over the query's rows of the largest
//! byte among its rows' centroids. Either every document is ranked so (the *flood*), or only
//! those in the lists of the few best centroids of each query row (the *probes*), and of many such
//! those whose lists promise most, whichever costs less; what costs what was measured on AMD Zen 4.

use crate::docset::DocSet;
use crate::id::DocId;
use crate::kernel::tokens::{Int8Rows, KernelScratch, Probes};
use crate::kernel::{Kernels, prefetch};
use crate::stop::Stop;

use super::centroids::{CentroidView, Lie};
use super::groups::GroupScratch;
use super::query::TokenQuery;

/// Centroids that the query meets at a time.
pub(super) const BLOCK: usize = 64;
/// How many documents ahead the centroids of a document's rows are asked for.
const AHEAD: usize = 8;
/// Most centroids looked up for one query row.
const MOST_PROBES: usize = 64;
/// Queries of more rows look at every document: their tables would not stay in the caches, and
/// their scores take so long that candidates save little.
pub(super) const MOST_ROWS: usize = 128;

/// Of the documents in lists so many for each that is wanted, and so many more, are ranked: those
/// that were met with the best centroids. Measured with AVX-512 by
/// `cargo bench --bench tokens -- large`, for steps of the dial from .90 to .99, beside ranking all of
/// them: of 519,176 real rows, .93 to 1.04 of the time with queries of 5 to 14 rows and .82 to .95
/// with 32, .000 to .003 of recall@10 less; of five million, made of these, .83 to .91 and .76 to
/// .81, and .015 to .020 less, which the next step gives back for a tenth more time.
const MET: usize = 4;
const MET_MORE: usize = 256;

/// How hard to look for candidates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Centroids looked up for each query row.
    pub(super) probes: usize,
    /// Documents wanted.
    pub(super) wanted: usize,
}

/// What is known of a document from the lists that it was met in.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    /// The query row in whose lists it was met last, from 1.
    row: u16,
    /// What its rank is at least: at most 255 for each row.
    sum: u16,
}

/// Working memory: a byte per centroid and lane, twelve bytes per document at most, and counters.
#[derive(Debug, Default)]
pub(super) struct CandidateScratch {
    /// Scores of a block of centroids.
    pub(super) block: Vec<f32>,
    pub(super) factors: Vec<f32>,
    /// A byte for each centroid and lane.
    pub(super) table: Vec<u8>,
    pub(super) probes: Probes,
    pub(super) groups: GroupScratch,
    met: Vec<Met>,
    docs: Vec<DocId>,
    ranks: Vec<u32>,
    counts: Vec<u32>,
    /// The documents found, ascending.
    pub(super) chosen: Vec<DocId>,
}

impl CentroidView<'_> {
    /// Finds the documents with the highest ranks, of equal ranks the first, into
    /// `scratch.chosen`. Documents that are not in `alive` are none.
    #[allow(clippy::too_many_arguments, reason = "the parts of one search, lent to its first step")]
    pub(super) fn candidates(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        alive: Option<&DocSet>,
        plan: Plan,
        kernel: &mut KernelScratch,
        scratch: &mut CandidateScratch,
        stop: Option<&Stop>,
    ) -> Result<(), Lie> {
        let docs = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        let living = alive.map_or(docs, DocSet::count);
        let probes = plan.probes.clamp(1, MOST_PROBES).min(self.rows.len());
        let probe = self.probing_is_cheaper(query.rows(), probes, living);
        let probed = probe.then_some(probes);
        match &self.groups {
            None => self.meet(query, kernels, probed, kernel, scratch, stop),
            Some(groups) => {
                self.meet_best(groups, query, kernels, probed, kernel, scratch, stop)?;
            }
        }
        scratch.docs.clear();
        if probe {
            let most = MET.saturating_mul(plan.wanted).saturating_add(MET_MORE);
            self.listed(alive, (query.rows(), query.lanes().out_len()), most, scratch)?;
        }
        if scratch.docs.len() < plan.wanted {
            scratch.docs.clear();
            match alive {
                None => scratch.docs.extend(0..docs),
                Some(alive) => scratch.docs.extend(alive.iter()),
            }
        }
        self.rank(query, kernels, scratch, stop)?;
        scratch.choose(plan.wanted, 255 * query.lanes().out_len());
        Ok(())
    }

    /// The cost of both ways, in nanoseconds: 0.45 for the centroid of a row in the flood and 10
    /// for a document, 0.1 to compare a centroid's score with a lane's best, 1 for a document in
    /// a list. The lists of the best centroids are taken to be half again as long as the others.
    fn probing_is_cheaper(&self, rows: usize, probes: usize, living: u32) -> bool {
        let (docs, living) = (self.ends.len().max(1) as f64, f64::from(living));
        let flood = 10.0 + 0.45 * self.ids.len() as f64 / docs;
        let list = self.lists.len() as f64 / self.rows.len().max(1) as f64;
        let listed = 1.5 * list * (rows * probes) as f64;
        let lanes = rows.next_multiple_of(8);
        let compared = match &self.groups {
            None => self.rows.len() * lanes,
            Some(groups) => groups.compared(rows, lanes),
        };
        let scan = 0.1 * compared as f64;
        scan + listed + (listed * living / docs).min(living) * flood < living * flood
    }

    /// Scores every centroid; keeps bytes, and the best of each query row where asked to.
    fn meet(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        probes: Option<usize>,
        kernel: &mut KernelScratch,
        scratch: &mut CandidateScratch,
        stop: Option<&Stop>,
    ) {
        scratch.fit(query, self.rows.len(), probes);
        let CandidateScratch { block, factors, table, probes: best, .. } = scratch;
        let best = probes.is_some().then_some(best);
        meet_rows(&self.rows, query, kernels, kernel, (block, factors), (table, best), stop);
    }

    /// The living documents in the lists of the centroids that were kept: the `most` that have the
    /// largest sum over the query's rows of what the best of its centroids gives in whose list they
    /// are, ascending. That is what their rank is, as far as lists tell, and takes one addition for
    /// each place in a list, where the rank looks at every row of a document.
    fn listed(
        &self,
        alive: Option<&DocSet>,
        (rows, width): (usize, usize),
        most: usize,
        scratch: &mut CandidateScratch,
    ) -> Result<(), Lie> {
        let CandidateScratch { probes, table, met, docs, counts, .. } = scratch;
        met.clear();
        met.resize(self.ends.len(), Met::default());
        for (row, lane) in (1u16..).zip(0..rows) {
            // The best centroid of the row first: a document counts where it is met first.
            for centroid in probes.of_lane(lane) {
                let centroid = centroid as usize;
                let byte = table.get(centroid * width + lane).copied().unwrap_or(0);
                let mut beyond = false;
                self.list(centroid, |doc| match met.get_mut(doc as usize) {
                    Some(met) if met.row == row => {}
                    Some(met) => {
                        if met.row == 0 {
                            docs.push(doc);
                        }
                        met.row = row;
                        met.sum += u16::from(byte);
                    }
                    None => beyond = true,
                })?;
                if beyond {
                    return Err(Lie::ListDoc(centroid));
                }
            }
        }
        if let Some(alive) = alive {
            docs.retain(|&doc| alive.contains(doc));
        }
        if docs.len() > most {
            let sum = |doc: DocId| met.get(doc as usize).map_or(0, |met| usize::from(met.sum));
            let least = least_of(docs.iter().map(|&doc| sum(doc)), most, 255 * rows, counts).0;
            // Of equals all come in, so that it does not matter in whose list a document was first.
            docs.retain(|&doc| sum(doc) >= least);
        }
        docs.sort_unstable();
        Ok(())
    }

    /// Ranks `scratch.docs`; those that lack the field are dropped.
    fn rank(
        &self,
        query: &TokenQuery,
        kernels: &Kernels,
        scratch: &mut CandidateScratch,
        stop: Option<&Stop>,
    ) -> Result<(), Lie> {
        let width = query.lanes().out_len();
        scratch.ranks.clear();
        let mut kept = 0;
        // Documents that share rows would make a small file as slow as a large one.
        let mut left = self.ids.len();
        for i in 0..scratch.docs.len() {
            if i % 1024 == 1023 && stop.is_some_and(Stop::reached) {
                break;
            }
            if let Some(&later) = scratch.docs.get(i + AHEAD)
                && let Ok(ids) = self.doc_ids(later)
            {
                prefetch(ids, 192);
            }
            let doc = scratch.docs[i];
            let ids = self.doc_ids(doc)?;
            if ids.is_empty() {
                continue;
            }
            left = left.checked_sub(ids.len()).ok_or(Lie::Rows(doc))?;
            let rank = (kernels.tokens.flood)(&scratch.table, width, ids).ok_or(Lie::Id(doc))?;
            scratch.ranks.push(rank);
            scratch.docs[kept] = doc;
            kept += 1;
        }
        scratch.docs.truncate(kept);
        Ok(())
    }
}

/// The query's dot products with rows, a block at a time: bytes of them, by each lane's factor, and the
/// best of each query row where they are asked for.
pub(super) fn meet_rows(
    rows: &Int8Rows<'_>,
    query: &TokenQuery,
    kernels: &Kernels,
    kernel: &mut KernelScratch,
    (block, factors): (&mut [f32], &[f32]),
    (bytes, mut best): (&mut [u8], Option<&mut Probes>),
    stop: Option<&Stop>,
) {
    let width = query.lanes().out_len();
    for first in (0..rows.len()).step_by(BLOCK) {
        let end = (first + BLOCK).min(rows.len());
        if stop.is_some_and(Stop::reached) {
            break;
        }
        let Some(rows) = rows.range(first..end) else { break };
        let dots = &mut block[..rows.len() * width];
        (kernels.tokens.dots_int8)(query.lanes(), &rows, kernel, dots);
        (kernels.tokens.quantise)(dots, factors, &mut bytes[first * width..end * width]);
        if let Some(best) = &mut best {
            (kernels.tokens.probe)(dots, u32::try_from(first).unwrap_or(u32::MAX), best);
        }
    }
}

impl CandidateScratch {
    /// Makes room for a query and so many centroids, of which so many are kept for each row where
    /// any are; gives how many lanes the query has.
    pub(super) fn fit(
        &mut self,
        query: &TokenQuery,
        centroids: usize,
        probes: Option<usize>,
    ) -> usize {
        let width = query.lanes().out_len();
        self.factors.clear();
        // No score of a centroid, whose length is 1, exceeds the longest row's length.
        let per_byte = 255.0 / query.longest();
        self.factors.extend(query.steps().iter().map(|step| step * per_byte));
        self.table.resize(centroids * width, 0);
        self.block.resize(BLOCK * width, 0.0);
        if let Some(probes) = probes {
            self.probes.reset(width, query.rows(), probes);
        }
        width
    }

    /// The `wanted` documents with the highest ranks, none of which exceeds `most`: by counting.
    fn choose(&mut self, wanted: usize, most: usize) {
        self.chosen.clear();
        if self.docs.len() <= wanted {
            self.chosen.extend_from_slice(&self.docs);
            return;
        }
        let ranks = self.ranks.iter().map(|&rank| rank as usize);
        let (least, mut room) = least_of(ranks, wanted, most, &mut self.counts);
        for (&doc, &rank) in self.docs.iter().zip(&self.ranks) {
            let rank = rank as usize;
            if rank > least {
                self.chosen.push(doc);
            } else if rank == least && room > 0 {
                self.chosen.push(doc);
                room -= 1;
            }
        }
    }
}

/// The lowest of some ranks, none of which exceeds `most`, that is still among the `wanted` highest,
/// and how many of that rank are: by counting.
fn least_of(
    ranks: impl Iterator<Item = usize>,
    wanted: usize,
    most: usize,
    counts: &mut Vec<u32>,
) -> (usize, usize) {
    counts.clear();
    counts.resize(most + 1, 0);
    for rank in ranks {
        counts[rank] += 1;
    }
    let (mut least, mut room) = (most, wanted);
    while least > 0 && (counts[least] as usize) < room {
        room -= counts[least] as usize;
        least -= 1;
    }
    (least, room)
}
