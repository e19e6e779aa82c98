//! The postings turned back into documents, a window at a time: what verifies them against the
//! forward rows, and what stands in for these where there are none.

use crate::codec::impact::Scale;
use crate::error::Result;
use crate::id::DocId;

use super::directory::{DirectoryView, Form, Term, cell_parts};
use super::layout::{GROUP, GROUPS, WINDOW, WINDOW_BITS};

/// Calls `take` with the postings of a term in a window: place in the window, ascending, and
/// impact. `passed` counts the documents of a tiny term that earlier windows had; windows are asked
/// for in order.
///
/// # Errors
/// `Corrupt` where documents do not ascend or are beyond the segment.
#[inline]
pub(super) fn each_in_window(
    postings: &DirectoryView<'_>,
    term: &Term,
    window: usize,
    passed: &mut u32,
    mut take: impl FnMut(u16, u8),
) -> Result<()> {
    let span = postings.span(window);
    match term.form {
        Form::List { slot, start } => {
            let run = postings.run(term, slot, start, window)?;
            let mut least = 0;
            for (local, impact) in run.iter() {
                if local < least || usize::from(local) >= span {
                    return Err(postings.bad_local(slot, window));
                }
                least = local + 1;
                take(local, impact);
            }
        }
        Form::Dense { slot, start } => {
            let row = postings.dense(slot, start, window)?;
            for group in 0..GROUPS {
                let (mut mask, impacts) = cell_parts(row.cell(group));
                let room = span.saturating_sub(group * GROUP);
                if room < GROUP && mask >> room != 0 {
                    let what = "cell with a document beyond the segment";
                    return Err(postings.bad_cells(slot, window, what));
                }
                let base = u16::try_from(group * GROUP).unwrap_or(0);
                for at in 0..mask.count_ones() as usize {
                    let impact = postings.cell_impact(impacts, at).unwrap_or(0);
                    take(base + u16::try_from(mask.trailing_zeros()).unwrap_or(0), impact);
                    mask &= mask.wrapping_sub(1);
                }
            }
        }
        Form::Tiny { first } => {
            let (docs, impacts) = postings.tiny(term, first);
            let mut least = window << WINDOW_BITS;
            for (&doc, &impact) in docs.iter().zip(impacts).skip(*passed as usize) {
                if (doc >> WINDOW_BITS) as usize > window {
                    break;
                }
                let local = u16::try_from(doc as usize % WINDOW);
                match local {
                    Ok(local) if doc as usize >= least && usize::from(local) < span => {
                        take(local, impact);
                    }
                    _ => return Err(postings.bad_tiny(first)),
                }
                least = doc as usize + 1;
                *passed += 1;
            }
            if window + 1 == postings.windows() && (*passed as usize) < docs.len() {
                return Err(postings.bad_tiny(first));
            }
        }
    }
    Ok(())
}

/// The documents of one window with their postings. Memory: the directory and one window.
#[derive(Debug)]
pub(super) struct WindowRows<'a> {
    postings: DirectoryView<'a>,
    terms: Vec<Term>,
    /// Per tiny term how many of its documents were passed.
    passed: Vec<u32>,
    /// The next window.
    next: usize,
    /// (place in the window, ordinal, impact), term by term.
    staged: Vec<(u16, u32, u8)>,
    /// (ordinal, impact), document by document.
    sorted: Vec<(u32, u8)>,
    /// Where each document's end.
    ends: Vec<usize>,
}

impl<'a> WindowRows<'a> {
    /// Stands before the first window.
    pub(super) fn new(postings: DirectoryView<'a>) -> Result<Self> {
        let terms: Vec<Term> =
            (0..postings.term_ids().len()).map(|at| postings.term(at)).collect::<Result<_>>()?;
        Ok(Self {
            postings,
            passed: vec![0; terms.len()],
            terms,
            next: 0,
            staged: Vec::new(),
            sorted: Vec::new(),
            ends: Vec::new(),
        })
    }

    /// The scale of a term.
    pub(super) fn scale(&self, ordinal: u32) -> Scale {
        self.terms.get(ordinal as usize).map_or(Scale::MIN, |term| term.scale)
    }

    /// Reads the next window, if there is one.
    ///
    /// # Errors
    /// `Corrupt` where documents do not ascend or are beyond the segment.
    pub(super) fn advance(&mut self) -> Result<bool> {
        let window = self.next;
        if window >= self.postings.windows() {
            return Ok(false);
        }
        self.next += 1;
        self.staged.clear();
        let staged = &mut self.staged;
        for ((ordinal, term), passed) in (0u32..).zip(&self.terms).zip(&mut self.passed) {
            let stage = |local, impact| staged.push((local, ordinal, impact));
            each_in_window(&self.postings, term, window, passed, stage)?;
        }
        self.sort(window);
        Ok(true)
    }

    /// Counting sort by document; within one, terms stay ascending.
    fn sort(&mut self, window: usize) {
        self.ends.clear();
        self.ends.resize(self.postings.span(window), 0);
        for &(local, _, _) in &self.staged {
            self.ends[usize::from(local)] += 1;
        }
        let mut total = 0;
        for end in &mut self.ends {
            let count = *end;
            *end = total;
            total += count;
        }
        self.sorted.clear();
        self.sorted.resize(total, (0, 0));
        for &(local, ordinal, impact) in &self.staged {
            // Each start moves to the end of its document as its postings come.
            let at = &mut self.ends[usize::from(local)];
            self.sorted[*at] = (ordinal, impact);
            *at += 1;
        }
    }

    /// The documents of the window, each with its (ordinal, impact), ascending.
    pub(super) fn rows(&self) -> impl Iterator<Item = (DocId, &[(u32, u8)])> {
        let window = self.next.saturating_sub(1);
        let base = u32::try_from(window << WINDOW_BITS).unwrap_or(u32::MAX);
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        (base..)
            .zip(starts.zip(&self.ends))
            .map(|(doc, (start, &end))| (doc, self.sorted.get(start..end).unwrap_or_default()))
    }
}
