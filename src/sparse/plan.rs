//! What a search does with each term of a query: its form, its integer weight, and the most that
//! it can add anywhere.

use crate::docset::DocSet;
use crate::kernel::Kernels;
use crate::kernel::postings::{DenseRow, GROUPS, MaximaQuad, Quad};
use crate::topk::TopK;

use super::directory::{DirectoryView, Form, Term};
use super::effort::Shortcut;
use super::layout::WINDOW_BITS;
use super::score::QueryTerm;

/// How many of the most promising windows are visited before the rest follow in file order:
/// enough to raise the threshold early, few enough to keep reads sequential.
const SEEDS: usize = 4;

/// From so many quads of dense terms on, the clock is looked at before each group is completed and
/// before each window gets its bounds.
pub(super) const QUADS: usize = 32;

/// A list term of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListTerm {
    pub(super) term: Term,
    pub(super) slot: usize,
    pub(super) start: usize,
    pub(super) weight: i32,
}

/// A tiny term of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct TinyTerm {
    pub(super) term: Term,
    pub(super) first: usize,
    pub(super) weight: i32,
}

/// A dense term of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct DenseTerm {
    pub(super) slot: usize,
    pub(super) start: usize,
    pub(super) weight: u8,
    /// What it can add to a document.
    most: u16,
}

/// The terms of a query by form, and bounds of all windows.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) lists: Vec<ListTerm>,
    pub(super) tiny: Vec<TinyTerm>,
    pub(super) dense: Vec<DenseTerm>,
    /// Per window, the most that the dense terms can add in each group.
    pub(super) groups: Vec<[i32; GROUPS]>,
    /// Per window, the most that the list and tiny terms can add.
    pub(super) rest: Vec<i32>,
    /// Per window, the most that a document in it can have.
    reach: Vec<i32>,
    /// Windows in the order of their visit.
    order: Vec<u32>,
}

impl Plan {
    /// Sorts the terms by form and computes the bounds of the windows that have documents alive
    /// (all, where `None`). Terms of the weight 0 are left out. No window is visited where `top` had
    /// to end before that was done.
    pub(super) fn fill(
        &mut self,
        postings: &DirectoryView<'_>,
        (terms, weights): (&[QueryTerm], &[i32]),
        kernels: &Kernels,
        alive: Option<&DocSet>,
        top: &TopK<'_>,
    ) {
        self.lists.clear();
        self.tiny.clear();
        self.dense.clear();
        // Terms that weigh below zero, or are left out, have 0: no integer score has a part of theirs.
        let weighed = terms.iter().zip(weights).filter(|&(_, &weight)| weight > 0);
        for (&QueryTerm { term, .. }, &weight) in weighed {
            match term.form {
                Form::List { slot, start } => {
                    self.lists.push(ListTerm { term, slot, start, weight });
                }
                Form::Tiny { first } => self.tiny.push(TinyTerm { term, first, weight }),
                Form::Dense { slot, start } => {
                    // Integer weights are 1 to 127 (`Bound`).
                    let weight = u8::try_from(weight).unwrap_or(127);
                    let most = u16::from(weight) * u16::from(term.max);
                    self.dense.push(DenseTerm { slot, start, weight, most });
                }
            }
        }
        // Those that can add most come first, so that the hope for a document is soon settled.
        self.dense.sort_unstable_by_key(|term| (std::cmp::Reverse(term.most), term.slot));
        self.order.clear();
        self.order.extend((0u32..).take(postings.windows()).filter(|&window| {
            alive.is_none_or(|set| {
                let words = set.words().get(window as usize * GROUPS..).unwrap_or_default();
                words.iter().take(GROUPS).any(|&word| word != 0)
            })
        }));
        if !self.bound_groups(postings, kernels, top) {
            self.order.clear();
        }
        self.bound_rest(postings);
        self.reach.clear();
        self.reach.extend(self.groups.iter().zip(&self.rest).map(|(groups, &rest)| {
            rest.wrapping_add(groups.iter().fold(0, |most, &bound| most.max(bound)))
        }));
        self.order();
    }

    /// Whether there was the time for it.
    fn bound_groups(
        &mut self,
        postings: &DirectoryView<'_>,
        kernels: &Kernels,
        top: &TopK<'_>,
    ) -> bool {
        self.groups.clear();
        self.groups.resize(postings.windows(), [0; GROUPS]);
        let quads = self.dense.len().div_ceil(4);
        let mut rows = Vec::with_capacity(quads);
        for window in self.order.iter().map(|&window| window as usize) {
            let Some(bounds) = self.groups.get_mut(window) else { break };
            if self.dense.is_empty() {
                break;
            }
            // Of a query of a thousand terms each window takes a while.
            if quads >= QUADS && top.stopped() {
                return false;
            }
            rows.clear();
            rows.extend(self.dense.chunks(4).map(|four| most(postings, four, window)));
            (kernels.postings.group_bounds)(&rows, bounds);
        }
        true
    }

    fn bound_rest(&mut self, postings: &DirectoryView<'_>) {
        self.rest.clear();
        self.rest.resize(postings.windows(), 0);
        for list in &self.lists {
            for (bound, &max) in self.rest.iter_mut().zip(postings.maxima(list.slot)) {
                *bound = bound.wrapping_add(list.weight * i32::from(max));
            }
        }
        for tiny in &self.tiny {
            let (docs, impacts) = postings.tiny(&tiny.term, tiny.first);
            let mut last = (usize::MAX, 0);
            for (&doc, &impact) in docs.iter().zip(impacts) {
                let window = (doc >> WINDOW_BITS) as usize;
                let Some(bound) = self.rest.get_mut(window) else { continue };
                // Only what an impact adds to the largest before it in the same window.
                let before = if last.0 == window { last.1 } else { 0 };
                if impact > before {
                    *bound = bound.wrapping_add(tiny.weight * i32::from(impact - before));
                    last = (window, impact);
                }
            }
        }
    }

    /// The few windows of the largest bounds first, then the others as they lie.
    fn order(&mut self) {
        let Self { order, reach, .. } = self;
        let bound = |window: u32| reach.get(window as usize).copied().unwrap_or(0);
        let best_first = |a: &u32, b: &u32| bound(*b).cmp(&bound(*a)).then(a.cmp(b));
        if order.len() > SEEDS {
            order.select_nth_unstable_by(SEEDS, best_first);
        }
        let seeds = SEEDS.min(order.len());
        let (seeds, rest) = order.split_at_mut(seeds);
        seeds.sort_unstable_by(best_first);
        rest.sort_unstable();
    }

    /// Lets all bounds count for less, where what may be missed is allowed to be.
    pub(super) fn cut_bounds(&mut self, shortcut: &Shortcut) {
        let groups = self.groups.iter_mut().flatten();
        for bound in groups.chain(&mut self.rest).chain(&mut self.reach) {
            *bound = shortcut.of(*bound);
        }
    }

    /// How many windows are to be visited.
    pub(super) fn windows(&self) -> usize {
        self.order.len()
    }

    /// The window of the `at`-th visit, and the most that a document in it can have.
    #[inline]
    pub(super) fn visit(&self, at: usize) -> Option<(usize, i32)> {
        let window = *self.order.get(at)? as usize;
        Some((window, *self.reach.get(window)?))
    }

    /// Puts the dense terms' cells in a window into `quads`.
    ///
    /// # Errors
    /// `Corrupt` where they lie outside their section.
    pub(super) fn cells<'a>(
        &self,
        postings: &DirectoryView<'a>,
        window: usize,
        quads: &mut Vec<Quad<'a>>,
    ) -> crate::error::Result<()> {
        quads.clear();
        for four in self.dense.chunks(4) {
            let mut rows = [DenseRow::EMPTY; 4];
            for (term, row) in four.iter().zip(&mut rows) {
                *row = postings.dense(term.slot, term.start, window)?;
            }
            quads.push(Quad { rows, most: most(postings, four, window) });
        }
        Ok(())
    }
}

/// The largest impacts of up to four terms in the groups of a window.
#[inline]
fn most<'a>(postings: &DirectoryView<'a>, terms: &[DenseTerm], window: usize) -> MaximaQuad<'a> {
    let mut quad = MaximaQuad::EMPTY;
    for ((term, maxima), weight) in terms.iter().zip(&mut quad.maxima).zip(&mut quad.weights) {
        if let Some(row) = postings.group_maxima(term.slot).get(window) {
            (*maxima, *weight) = (row, term.weight);
        }
    }
    quad
}
