//! Exact search of one segment: integer scores window by window, then the score itself for the
//! candidates that the integers leave.

use crate::docset::DocSet;
use crate::error::Result;
use crate::topk::TopK;

use super::bound::Bound;
use super::candidates::Candidates;
use super::directory::{DirectoryView, Form, Run};
use super::index::{Exactness, SparseIndex};
use super::layout::{GROUP, KTH, WINDOW, WINDOW_BITS};
use super::query::{Membership, SparseQuery};
use super::score::{QueryTerm, Scorer};

/// How many of the most promising windows are visited before the rest follow in file order:
/// enough to raise the threshold early, few enough to keep reads sequential.
const SEEDS: usize = 4;

/// Integer scores of a window.
type Sums = [i32; WINDOW];

/// What a search works in; reused, it does not allocate.
#[derive(Debug)]
pub(crate) struct SparseScratch {
    sums: Box<Sums>,
    terms: Vec<QueryTerm>,
    members: Membership,
    /// Integer weight of each term.
    weights: Vec<i32>,
    /// Per window, the most that a document in it can have.
    bounds: Vec<i32>,
    /// Windows in the order of their visit.
    order: Vec<u32>,
    /// Candidates.
    held: Vec<(i32, u32)>,
}

impl Default for SparseScratch {
    fn default() -> Self {
        Self {
            sums: Box::new([0; WINDOW]),
            terms: Vec::new(),
            members: Membership::default(),
            weights: Vec::new(),
            bounds: Vec::new(),
            order: Vec::new(),
            held: Vec::new(),
        }
    }
}

impl SparseIndex {
    /// Offers to `top` the documents that can be among its best, each with its score: afterwards
    /// `top` holds the true best `k` of the segment's documents that match the query and are
    /// `alive` (all, where `None`), cut by key among equals.
    ///
    /// # Errors
    /// `Corrupt` if something met on the way contradicts itself; `top` is then incomplete.
    pub(crate) fn search(
        &self,
        query: &SparseQuery,
        alive: Option<&DocSet>,
        top: &mut TopK<'_>,
        scratch: &mut SparseScratch,
    ) -> Result<Exactness> {
        let SparseScratch { sums, terms, members, weights, bounds, order, held } = scratch;
        self.known(query, terms)?;
        let postings = self.postings_view();
        members.fill(postings.term_ids().len(), terms.iter().map(|term| term.ordinal));
        let scorer = Scorer::new(self, terms, members);
        let exactness =
            if self.rows_view().is_some() { Exactness::Certified } else { Exactness::OnQuantised };
        weights.clear();
        let products = terms
            .iter()
            .map(|term| (f64::from(term.weight) * term.term.scale.value(), term.term.max));
        let Some(bound) = Bound::weigh(products, |weight| weights.push(weight)) else {
            return Ok(exactness);
        };
        let seed = if alive.is_none() { seed(terms, weights, top.k()) } else { None };
        let mut candidates = Candidates::new(top, bound, seed, held);

        window_bounds(&postings, terms, weights, bounds);
        order_windows(bounds, order);
        for &window in &*order {
            let window = window as usize;
            let reach = bounds.get(window).copied().unwrap_or(0);
            if reach < candidates.needed() {
                continue;
            }
            let groups = window * (WINDOW / GROUP);
            let words = match alive {
                None => None,
                Some(set) => match set.words().get(groups..) {
                    Some(words) if words.iter().take(WINDOW / GROUP).any(|&word| word != 0) => {
                        Some(words)
                    }
                    _ => continue,
                },
            };
            sums.fill(0);
            add_window(&postings, terms, weights, window, sums)?;
            let base = u32::try_from(window << WINDOW_BITS).unwrap_or(u32::MAX);
            for (group, first) in sums.as_chunks::<GROUP>().0.iter().zip((base..).step_by(GROUP)) {
                let needed = candidates.needed();
                let most = group.iter().fold(i32::MIN, |most, &sum| most.max(sum));
                if most < needed {
                    continue;
                }
                let word = match words {
                    None => u64::MAX,
                    Some(words) => words.get((first - base) as usize / GROUP).copied().unwrap_or(0),
                };
                for (&sum, bit) in group.iter().zip(0u32..) {
                    if sum >= needed && word >> bit & 1 == 1 {
                        candidates.push(sum, first + bit);
                    }
                }
                candidates.settle(&scorer, top)?;
            }
        }
        candidates.cut();
        candidates.score(&scorer, top)?;
        Ok(exactness)
    }
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

/// Per window the sum of the largest impacts, weighted: no document in it has more.
fn window_bounds(
    postings: &DirectoryView<'_>,
    terms: &[QueryTerm],
    weights: &[i32],
    bounds: &mut Vec<i32>,
) {
    bounds.clear();
    bounds.resize(postings.windows(), 0);
    for (term, &weight) in terms.iter().zip(weights) {
        match term.term.form {
            Form::List { slot, .. } => {
                for (bound, &max) in bounds.iter_mut().zip(postings.maxima(slot)) {
                    *bound = bound.wrapping_add(weight * i32::from(max));
                }
            }
            Form::Tiny { first } => {
                let (docs, impacts) = postings.tiny(&term.term, first);
                let mut last = (usize::MAX, 0);
                for (&doc, &impact) in docs.iter().zip(impacts) {
                    let window = (doc >> WINDOW_BITS) as usize;
                    let Some(bound) = bounds.get_mut(window) else { continue };
                    // Only what an impact adds to the largest before it in the same window.
                    let before = if last.0 == window { last.1 } else { 0 };
                    if impact > before {
                        *bound = bound.wrapping_add(weight * i32::from(impact - before));
                        last = (window, impact);
                    }
                }
            }
        }
    }
}

/// The few windows of the largest bounds first, then the others as they lie.
fn order_windows(bounds: &[i32], order: &mut Vec<u32>) {
    order.clear();
    order.extend((0u32..).take(bounds.len()));
    let bound = |window: u32| bounds.get(window as usize).copied().unwrap_or(0);
    let best_first = |a: &u32, b: &u32| bound(*b).cmp(&bound(*a)).then(a.cmp(b));
    if order.len() > SEEDS {
        order.select_nth_unstable_by(SEEDS, best_first);
    }
    let (seeds, rest) = order.split_at_mut(SEEDS.min(bounds.len()));
    seeds.sort_unstable_by(best_first);
    rest.sort_unstable();
}

/// Adds the postings of all terms in a window.
fn add_window(
    postings: &DirectoryView<'_>,
    terms: &[QueryTerm],
    weights: &[i32],
    window: usize,
    sums: &mut Sums,
) -> Result<()> {
    let span = postings.span(window);
    for (term, &weight) in terms.iter().zip(weights) {
        match term.term.form {
            Form::List { slot, start } => {
                let run = postings.run(&term.term, slot, start, window)?;
                if add_run(&run, weight, sums) > span {
                    return Err(postings.bad_local(slot, window));
                }
            }
            Form::Tiny { first } => {
                let (docs, impacts) = postings.tiny(&term.term, first);
                let from = docs.partition_point(|&doc| ((doc >> WINDOW_BITS) as usize) < window);
                for (&doc, &impact) in docs.iter().zip(impacts).skip(from) {
                    if (doc >> WINDOW_BITS) as usize != window {
                        break;
                    }
                    let local = doc as usize % WINDOW;
                    if local >= span {
                        return Err(postings.bad_tiny(first));
                    }
                    sums[local] = sums[local].wrapping_add(weight * i32::from(impact));
                }
            }
        }
    }
    Ok(())
}

/// Adds a run; gives one more than the largest place in it. A place beyond the window, which only
/// a damaged file has, lands somewhere in it: the caller sees the result and throws the sums away.
/// Sums wrap there, and only there ([`Bound`]).
#[inline]
fn add_run(run: &Run<'_>, weight: i32, sums: &mut Sums) -> usize {
    let mut largest = 0;
    for (local, &impact) in run.locals.iter().zip(run.impacts) {
        let local = u16::from_le_bytes(*local);
        largest = largest.max(usize::from(local) + 1);
        let sum = &mut sums[usize::from(local) % WINDOW];
        *sum = sum.wrapping_add(weight * i32::from(impact));
    }
    largest
}
