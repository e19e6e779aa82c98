//! Search of one segment: integer scores window by window, then the score itself for the
//! candidates that the integers leave.
//!
//! In a window the list and tiny terms are added up first, document by document. Then only those
//! groups are completed with the dense terms, most of the postings, in which some document's sum
//! and the largest impacts of the group together reach what is needed.

use std::ops::Range;

use crate::docset::DocSet;
use crate::error::Result;
use crate::kernel::postings::{GROUPS, Hope, PostingKernels, Quad, RowHits};
use crate::kernel::{Kernels, prefetch};
use crate::shared::Floor;
use crate::topk::TopK;

use super::bound::Bound;
use super::candidates::Candidates;
use super::curve::LEAST_DOCS;
use super::directory::{DirectoryView, Run};
use super::effort::SparseEffort;
use super::index::{Exactness, SparseIndex};
use super::layout::{GROUP, Impacts, KTH, WINDOW, WINDOW_BITS};
use super::plan::{Plan, QUADS};
use super::query::{Membership, SparseQuery};
use super::score::{QueryTerm, RowScorer, Scorer};

/// How many bytes of a run are asked of the memory before its turn: most runs are shorter.
const RUN_AHEAD: usize = 1024;
/// How many groups before its turn the cells of a group are asked of the memory.
const CELLS_AHEAD: usize = 4;

/// How many documents are scored one by one between two looks at the clock.
const CHECK: u32 = 256;

/// How many list terms are added between two looks at the clock: a window of a query of a thousand
/// terms takes a millisecond.
const LISTS: usize = 64;

/// How many windows a thread of its own is worth: starting one takes as long as a few windows.
const WINDOWS_A_THREAD: usize = 24;

/// Integer scores of a window.
type Sums = [i32; WINDOW];

/// What a search works in; reused, it hardly allocates.
#[derive(Debug)]
pub(crate) struct SparseScratch {
    sums: Box<Sums>,
    pub(super) terms: Vec<QueryTerm>,
    pub(super) members: Membership,
    /// Integer weight of each term.
    weights: Vec<i32>,
    plan: Plan,
    /// Candidates.
    held: Vec<(i32, u32)>,
    /// Terms of one document.
    pub(super) hits: RowHits,
}

impl Default for SparseScratch {
    fn default() -> Self {
        Self {
            sums: Box::new([0; WINDOW]),
            terms: Vec::new(),
            members: Membership::default(),
            weights: Vec::new(),
            plan: Plan::default(),
            held: Vec::new(),
            hits: RowHits::default(),
        }
    }
}

/// How to go about a search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    /// How hard to look.
    pub(crate) effort: SparseEffort,
    /// How many threads share the windows, at least 1; with an effort that is not exact it is one,
    /// since what is missed would depend on which thread is faster.
    pub(crate) threads: usize,
}

impl SparseIndex {
    /// Offers to `top` the documents that can be among its best, each with its score: afterwards
    /// `top` holds the true best `k` of the segment's documents that match the query and are
    /// `alive` (all, where `None`), cut by key among equals; with an effort that is not exact, most
    /// of them.
    ///
    /// # Errors
    /// `Corrupt` if something met on the way contradicts itself; `top` is then incomplete.
    pub(crate) fn search(
        &self,
        query: &SparseQuery,
        kernels: &Kernels,
        way: Way,
        alive: Option<&DocSet>,
        top: &mut TopK<'_>,
        scratch: &mut SparseScratch,
    ) -> Result<Exactness> {
        let SparseScratch { sums, terms, members, weights, plan, held, hits } = scratch;
        self.known(query, terms)?;
        let postings = self.postings_view();
        members
            .fill(postings.term_ids().len(), terms.iter().map(|term| (term.ordinal, term.weight)));
        let scorer = Scorer::new(self, terms, members);
        let mut rows = RowScorer::new(&scorer, kernels, hits);
        let exactness =
            if self.rows_view().is_some() { Exactness::Certified } else { Exactness::OnQuantised };
        weights.clear();
        let product = |term: &QueryTerm| f64::from(term.weight) * term.term.scale.value();
        let products = terms.iter().map(|term| (product(term), term.term.max));
        // What the inverted index leaves out and what weighs below zero is in no integer score.
        let left: f64 =
            terms.iter().map(|term| product(term).max(0.0) * f64::from(term.term.left)).sum();
        let below = terms.iter().map(|term| {
            product(term).min(0.0).abs() * f64::from(term.term.max.max(term.term.left))
        });
        let below: f64 = below.sum();
        let Some(mut bound) = Bound::weigh(products, |weight| weights.push(weight)) else {
            if below > 0.0 {
                self.offer_unmet(terms, &mut rows, alive, top)?;
            }
            return Ok(exactness);
        };
        bound = bound.and_left_out(left).and_below(below);
        let seed = if alive.is_none() { seed(terms, weights, top.k()) } else { None };
        let shortcut = match way.effort {
            // Of queries with weights below zero nothing was measured; of few windows nothing is
            // gained.
            SparseEffort::Recall(_) if below > 0.0 || few_windows(alive) => None,
            SparseEffort::Recall(_) => way.effort.shortcut(self.curve()?, top.k()),
            effort => effort.shortcut(&[], top.k()),
        };
        if let Some(shortcut) = &shortcut {
            bound = shortcut.apply(terms, weights, bound);
        }
        if top.stopped() {
            return Ok(exactness);
        }
        plan.fill(&postings, (terms, weights), kernels, alive, top);
        if let Some(shortcut) = &shortcut {
            plan.cut_bounds(shortcut);
        }

        let mut candidates = Candidates::new(top, bound, seed, held);
        let walk = Walk { postings: &postings, plan, kernels, alive, floor: &Floor::new() };
        let threads = way.threads.min(plan.windows() / WINDOWS_A_THREAD);
        if threads > 1 && shortcut.is_none() {
            walk.together(threads, sums, &mut candidates, &mut rows, &scorer, top)?;
        } else {
            walk.over(0..plan.windows(), sums, &mut candidates, &mut rows, top)?;
        }
        candidates.cut(top.stop());
        candidates.score(&mut rows, top)?;
        if left + below > 0.0 && shortcut.is_none() && bound.may_reach(0, top.floor()) {
            self.offer_unmet(terms, &mut rows, alive, top)?;
        }
        Ok(if shortcut.is_some() { Exactness::Approximate } else { exactness })
    }
}

/// A search on its way through the windows.
#[derive(Clone, Copy)]
struct Walk<'s, 'a> {
    postings: &'s DirectoryView<'a>,
    plan: &'s Plan,
    kernels: &'s Kernels,
    alive: Option<&'s DocSet>,
    /// What some thread has found to be needed: true for all, whoever found it.
    floor: &'s Floor,
}

impl Walk<'_, '_> {
    /// Takes in the candidates of some of the visits.
    fn over(
        &self,
        visits: Range<usize>,
        sums: &mut Sums,
        candidates: &mut Candidates<'_>,
        scorer: &mut RowScorer<'_>,
        top: &mut TopK<'_>,
    ) -> Result<()> {
        let Self { postings, plan, kernels, alive, floor } = *self;
        let mut quads = Vec::with_capacity(plan.dense.len().div_ceil(4));
        for at in visits {
            if top.stopped() {
                break;
            }
            let Some((window, reach)) = plan.visit(at) else { break };
            if let Some((next, _)) = plan.visit(at + 1)
                && next != window + 1
            {
                fetch_lists(postings, plan, next);
            }
            candidates.raise(floor.get());
            if reach < candidates.needed() {
                continue;
            }
            let window = Window::new(postings, plan, alive, window);
            let Some(passing) = window.passing(candidates.needed()) else { continue };
            // What a damaged file adds beyond the window's documents is never looked at.
            let groups = window.span.next_multiple_of(GROUP).min(WINDOW);
            sums[..groups].fill(0);
            if !window.scatter(sums, top)? {
                break;
            }
            window.finish(passing, sums, kernels, &mut quads, candidates, scorer, top)?;
            floor.raise(candidates.needed());
        }
        Ok(())
    }

    /// The same for all visits, shared out among threads; the first share is this thread's. What
    /// the threads find is put together, so the answer is the same.
    fn together(
        &self,
        threads: usize,
        sums: &mut Sums,
        candidates: &mut Candidates<'_>,
        rows: &mut RowScorer<'_>,
        scorer: &Scorer<'_>,
        top: &mut TopK<'_>,
    ) -> Result<()> {
        let visits = self.plan.windows();
        let share = visits.div_ceil(threads);
        let part = top.part();
        let start = candidates.start();
        let found: Vec<Result<_>> = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|thread| {
                    let range = (thread * share).min(visits)..((thread + 1) * share).min(visits);
                    let mut top = part.part();
                    scope.spawn(move || {
                        let mut sums = Box::new([0; WINDOW]);
                        let (mut held, mut hits) = (Vec::new(), RowHits::default());
                        let mut candidates = Candidates::started(start, &mut held);
                        let mut rows = RowScorer::new(scorer, self.kernels, &mut hits);
                        self.over(range, &mut sums, &mut candidates, &mut rows, &mut top)?;
                        Ok((held, top.finish()))
                    })
                })
                .collect();
            let own = self.over(0..share, sums, candidates, rows, top);
            let others = others.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            std::iter::once(own.map(|()| Default::default())).chain(others).collect()
        });
        candidates.raise(self.floor.get());
        for found in found {
            let (held, scored) = found?;
            candidates.extend(&held);
            for hit in scored {
                top.push(hit.doc, hit.score);
            }
        }
        Ok(())
    }
}

impl SparseIndex {
    /// Offers the documents whose integer score is 0 although they match the query: by what the
    /// inverted index leaves out, or by weights below zero. Every forward row is read. It comes to
    /// that where fewer documents than are asked for score more than such a document can.
    fn offer_unmet(
        &self,
        terms: &[QueryTerm],
        scorer: &mut RowScorer<'_>,
        alive: Option<&DocSet>,
        top: &mut TopK<'_>,
    ) -> Result<()> {
        let postings = self.postings_view();
        let docs = self.directory().docs;
        for doc in (0..docs).filter(|&doc| alive.is_none_or(|alive| alive.contains(doc))) {
            if doc % CHECK == CHECK - 1 && top.stopped() {
                break;
            }
            let Some(score) = scorer.score(doc)? else { continue };
            let mut met = false;
            for term in terms.iter().filter(|term| term.weight > 0.0) {
                met = met || postings.impact(&term.term, doc)?.is_some();
            }
            if !met {
                top.push(doc, score);
            }
        }
        top.shrink();
        Ok(())
    }
}

/// Whether documents are alive in fewer windows than a segment has that is worth a curve.
fn few_windows(alive: Option<&DocSet>) -> bool {
    alive.is_some_and(|alive| {
        let windows = alive.words().chunks(GROUPS);
        let living = windows.filter(|words| words.iter().any(|&word| word != 0));
        living.take(LEAST_DOCS as usize / WINDOW).count() < LEAST_DOCS as usize / WINDOW
    })
}

/// An integer score that at least `k` documents reach: from one term alone, the impact that `k` of
/// its documents have. True of all documents together, so not where some are not alive.
fn seed(terms: &[QueryTerm], weights: &[i32], k: usize) -> Option<i32> {
    let at = KTH.iter().position(|&kth| kth >= k)?;
    terms
        .iter()
        .zip(weights)
        .filter_map(|(term, weight)| Some(weight * i32::from(*term.term.kth.get(at)?)))
        .max()
        .filter(|&seed| seed > 0)
}

/// Asks the memory for the runs of a window to come. One that cannot be found is no matter here:
/// it is met again when it is read.
fn fetch_lists(postings: &DirectoryView<'_>, plan: &Plan, window: usize) {
    for list in &plan.lists {
        if let Ok(run) = postings.run(&list.term, list.slot, list.start, window) {
            prefetch(run.locals, RUN_AHEAD);
            prefetch(run.impacts, RUN_AHEAD);
        }
    }
}

/// One window of a search.
struct Window<'s, 'a> {
    postings: &'s DirectoryView<'a>,
    plan: &'s Plan,
    number: usize,
    /// Its documents.
    span: usize,
    /// The alive documents of its groups, where not all are.
    alive: Option<&'s [u64]>,
    /// Whether it is quicker to look at these one by one than at all.
    few: bool,
    /// What the dense terms can add in each group.
    bounds: &'s [i32; GROUPS],
}

impl<'s, 'a> Window<'s, 'a> {
    fn new(
        postings: &'s DirectoryView<'a>,
        plan: &'s Plan,
        alive: Option<&'s DocSet>,
        window: usize,
    ) -> Self {
        let groups = window * GROUPS;
        let alive = alive.map(|set| set.words().get(groups..).unwrap_or_default());
        let few = alive.is_some_and(|words| {
            let counts = words.iter().take(GROUPS).map(|word| word.count_ones());
            counts.sum::<u32>() as usize <= WINDOW / 8
        });
        Self {
            postings,
            plan,
            number: window,
            span: postings.span(window),
            alive,
            few,
            bounds: plan.groups.get(window).unwrap_or(&[0; GROUPS]),
        }
    }

    /// The documents of a group that may be hits: those there are, and alive.
    #[inline]
    fn word(&self, group: usize) -> u64 {
        let there = self.span.saturating_sub(group * GROUP).min(GROUP);
        let there = if there == 0 { 0 } else { u64::MAX >> (GROUP - there) };
        match self.alive {
            None => there,
            Some(words) => there & words.get(group).copied().unwrap_or(0),
        }
    }

    /// One bit per group that has documents alive and, with what all terms can add, reaches what
    /// is needed; `None` where no group does.
    fn passing(&self, needed: i32) -> Option<u64> {
        let rest = self.plan.rest.get(self.number).copied().unwrap_or(0);
        let mut passing = 0;
        for (group, &bound) in self.bounds.iter().enumerate() {
            let passes = bound.wrapping_add(rest) >= needed && self.word(group) != 0;
            passing |= u64::from(passes) << group;
        }
        (passing != 0).then_some(passing)
    }

    /// Adds the postings of list and tiny terms; whether there was the time for all of them.
    fn scatter(&self, sums: &mut Sums, top: &TopK<'_>) -> Result<bool> {
        for (at, list) in self.plan.lists.iter().enumerate() {
            if at % LISTS == LISTS - 1 && top.stopped() {
                return Ok(false);
            }
            let run = self.postings.run(&list.term, list.slot, list.start, self.number)?;
            // The next window is most often the one that comes next.
            let bytes = run.locals.len() * self.postings.impacts().list_posting();
            prefetch(run.after, (bytes + 64).min(RUN_AHEAD));
            match run.kept {
                Impacts::U8 => add_run(&run, list.weight, sums),
                Impacts::U4 => add_run_u4(&run, list.weight, sums),
            }
            // Places ascend, so the last is the largest; where they do not, what is added beyond
            // the window's documents is never looked at (`word`).
            if run.last().is_some_and(|last| usize::from(last) >= self.span) {
                return Err(self.postings.bad_local(list.slot, self.number));
            }
        }
        for tiny in &self.plan.tiny {
            let (docs, impacts) = self.postings.tiny(&tiny.term, tiny.first);
            let of = |doc: u32| (doc >> WINDOW_BITS) as usize;
            let from = match self.number {
                0 => 0,
                number => docs.partition_point(|&doc| of(doc) < number),
            };
            for (&doc, &impact) in docs.iter().zip(impacts).skip(from) {
                if of(doc) != self.number {
                    break;
                }
                let local = doc as usize % WINDOW;
                if local >= self.span {
                    return Err(self.postings.bad_tiny(tiny.first));
                }
                sums[local] = sums[local].wrapping_add(tiny.weight * i32::from(impact));
            }
        }
        Ok(true)
    }

    /// Of some groups, those in which some document's sum and what dense terms can add reach what
    /// is needed. Where few documents are alive, they alone are looked at.
    fn live(&self, groups: u64, sums: &Sums, kernels: &PostingKernels, needed: i32) -> u64 {
        if self.few {
            let mut live = 0;
            for group in each_bit(groups) {
                let (group, bit) = (group as usize, 1 << group);
                let bound = self.bounds.get(group).copied().unwrap_or(0);
                let least = needed.wrapping_sub(bound);
                let sums = sums.as_chunks::<GROUP>().0.get(group).unwrap_or(&[0; GROUP]);
                let mut docs = each_bit(self.word(group));
                if docs.any(|doc| sums[doc as usize % GROUP] >= least) {
                    live |= bit;
                }
            }
            return live;
        }
        groups & (kernels.live_groups)(sums, self.bounds, needed)
    }

    /// Completes the groups that can still reach what is needed, and takes in their documents.
    #[allow(clippy::too_many_arguments, reason = "the parts of one search, lent to its inner loop")]
    fn finish(
        &self,
        passing: u64,
        sums: &mut Sums,
        kernels: &Kernels,
        quads: &mut Vec<Quad<'a>>,
        candidates: &mut Candidates<'_>,
        scorer: &mut RowScorer<'_>,
        top: &mut TopK<'_>,
    ) -> Result<()> {
        let kernels = &kernels.postings;
        let complete = match self.postings.impacts() {
            Impacts::U8 => kernels.complete,
            Impacts::U4 => kernels.complete_u4,
        };
        let mut needed = candidates.needed();
        let mut live = self.live(passing, sums, kernels, needed);
        if live == 0 {
            return Ok(());
        }
        self.plan.cells(self.postings, self.number, quads)?;
        let base = u32::try_from(self.number << WINDOW_BITS).unwrap_or(u32::MAX);
        let mut ahead = live;
        for _ in 0..CELLS_AHEAD {
            fetch_cells(quads, ahead);
            ahead &= ahead.wrapping_sub(1);
        }
        while live != 0 {
            let group = live.trailing_zeros() as usize;
            live &= live - 1;
            fetch_cells(quads, ahead);
            ahead &= ahead.wrapping_sub(1);
            if quads.len() >= QUADS && top.stopped() {
                break;
            }
            let Some(of_group) = sums.as_chunks_mut::<GROUP>().0.get_mut(group) else { break };
            let mut found =
                complete(quads, group, of_group, Hope { needed, alive: self.word(group) });
            let first = base.wrapping_add(u32::try_from(group * GROUP).unwrap_or(u32::MAX));
            while found != 0 {
                let bit = found.trailing_zeros();
                found &= found - 1;
                candidates.push(of_group[bit as usize % GROUP], first.wrapping_add(bit));
            }
            candidates.settle(scorer, top)?;
            if candidates.needed() > needed && live != 0 {
                needed = candidates.needed();
                live = self.live(live, sums, kernels, needed);
                ahead &= live;
            }
        }
        Ok(())
    }
}

/// The places of the bits that are set, ascending.
#[inline]
fn each_bit(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let bit = word.trailing_zeros();
            word &= word - 1;
            bit
        })
    })
}

/// Asks the memory for the cells of the first group of a set.
#[inline]
fn fetch_cells(quads: &[Quad<'_>], groups: u64) {
    if groups == 0 {
        return;
    }
    let group = groups.trailing_zeros() as usize;
    for row in quads.iter().flat_map(|quad| &quad.rows) {
        prefetch(row.cell(group), 64);
    }
}

/// Adds a run. A place beyond the window, which only a damaged file has, lands somewhere in it.
/// Sums wrap there, and only there ([`Bound`]).
#[inline]
fn add_run(run: &Run<'_>, weight: i32, sums: &mut Sums) {
    // The plainest loop. Products made by vectors first, and places read four at a time, take a third
    // longer on an Emerald Rapids, and 3 % less on a Zen 4.
    for (&local, &impact) in run.locals.iter().zip(run.impacts) {
        let sum = &mut sums[usize::from(u16::from_le_bytes(local)) % WINDOW];
        *sum = sum.wrapping_add(weight * i32::from(impact));
    }
}

/// The same with impacts of four bits. No place can lie beyond the window.
#[inline]
fn add_run_u4(run: &Run<'_>, weight: i32, sums: &mut Sums) {
    let mut add = |word: [u8; 2]| {
        let word = u16::from_le_bytes(word);
        let sum = &mut sums[usize::from(word) % WINDOW];
        *sum = sum.wrapping_add(weight * i32::from(word >> WINDOW_BITS));
    };
    let (words, left) = run.locals.as_chunks::<8>();
    for words in words {
        for &word in words {
            add(word);
        }
    }
    for &word in left {
        add(word);
    }
}
