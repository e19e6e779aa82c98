//! The term directory and the postings behind it, read in place and believed only as far as
//! checked: each look-up costs a few comparisons, and what it returns lies inside the sections.

use crate::codec::impact::Scale;
use crate::error::{Error, Result};
use crate::format::{Array, Section};
use crate::id::{DocId, TermId};

use crate::kernel::postings::{DenseRow, SPAN};
use crate::kernel::prefetch;

use super::layout::{
    GROUP, GROUPS, Head, Impacts, KIND_DENSE, KIND_LIST, KIND_TINY, TermEntry, WINDOW, WINDOW_BITS,
    windows,
};

/// The sections of the inverted index.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) docs: u32,
    pub(super) windows: usize,
    /// How many list terms there are, and dense ones.
    pub(super) lists: usize,
    pub(super) denses: usize,
    pub(super) term_ids: Array<u32>,
    pub(super) entries: Array<TermEntry>,
    pub(super) impacts: Impacts,
    pub(super) list_starts: ListStarts,
    pub(super) list_maxima: Array<u8>,
    pub(super) list_postings: Section,
    pub(super) tiny_docs: Array<u32>,
    pub(super) tiny_impacts: Array<u8>,
    /// None where no term is dense.
    pub(super) dense: Option<Dense>,
}

/// How many terms are looked up at the same time.
pub(super) const TOGETHER: usize = 16;
/// How many bytes of a term's first postings are asked of the memory when it is looked up.
const POSTINGS_AHEAD: usize = 256;

/// The window directory of lists, as wide as the longest needs it.
#[derive(Debug)]
pub(super) enum ListStarts {
    Narrow(Array<u16>),
    Wide(Array<u32>),
}

impl ListStarts {
    pub(super) fn section(&self) -> &Section {
        match self {
            Self::Narrow(starts) => starts.section(),
            Self::Wide(starts) => starts.section(),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Narrow(starts) => starts.count(),
            Self::Wide(starts) => starts.count(),
        }
    }

    fn view(&self) -> StartsView<'_> {
        match self {
            Self::Narrow(starts) => StartsView::Narrow(starts),
            Self::Wide(starts) => StartsView::Wide(starts),
        }
    }
}

/// The same as a plain slice.
#[derive(Clone, Copy, Debug)]
enum StartsView<'a> {
    Narrow(&'a [u16]),
    Wide(&'a [u32]),
}

impl StartsView<'_> {
    #[inline]
    fn get(self, at: usize) -> Option<usize> {
        match self {
            Self::Narrow(starts) => starts.get(at).map(|&start| usize::from(start)),
            Self::Wide(starts) => starts.get(at).map(|&start| start as usize),
        }
    }

    /// Asks the memory for a place.
    #[inline]
    fn fetch(self, at: usize) {
        match self {
            Self::Narrow(starts) => prefetch(starts.get(at..).unwrap_or_default(), 4),
            Self::Wide(starts) => prefetch(starts.get(at..).unwrap_or_default(), 8),
        }
    }
}

/// The sections of dense terms.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) starts: Array<u32>,
    pub(super) offsets: Array<u16>,
    pub(super) maxima: Array<u8>,
    pub(super) cells: Section,
}

/// The same as plain slices: what a search takes once and looks things up in.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectoryView<'a> {
    directory: &'a Directory,
    docs: u32,
    windows: usize,
    /// How many list terms there are, and dense ones.
    lists: usize,
    denses: usize,
    term_ids: &'a [TermId],
    entries: &'a [TermEntry],
    impacts: Impacts,
    list_starts: StartsView<'a>,
    list_maxima: &'a [u8],
    list_postings: &'a [u8],
    tiny_docs: &'a [u32],
    tiny_impacts: &'a [u8],
    dense_starts: &'a [u32],
    dense_offsets: &'a [[u16; GROUPS]],
    dense_maxima: &'a [[u8; GROUPS]],
    dense_cells: &'a [u8],
}

/// One term of the directory, checked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    /// Documents that have it in the inverted index: at most the segment's documents, and 0 only
    /// where all are left out.
    pub(super) docs: u32,
    /// Its scale.
    pub(super) scale: Scale,
    /// Its largest impact, at least 1 where it has documents.
    pub(super) max: u8,
    /// Its 10th, 100th and 1,000th largest impacts.
    pub(super) kth: [u8; 3],
    /// The largest impact that a document has of it without being among its documents; 0 for none.
    pub(super) left: u8,
    /// Where its postings are.
    pub(super) form: Form,
}

/// Where the postings of a term are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// The `docs` documents from the `first`-th of the tiny postings on.
    Tiny { first: usize },
    /// A run per window: its row of the window directory, and the byte of its first run.
    List { slot: usize, start: usize },
    /// A cell per group: its rows of the directory of dense terms, and the byte of its first cell.
    Dense { slot: usize, start: usize },
}

/// The postings of a list term in one window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    /// Places in the window, little-endian: ascending in a file of ours. With impacts of four bits
    /// only the lower twelve bits are the place, the others the impact.
    pub(super) locals: &'a [[u8; 2]],
    /// As many impacts, where they have eight bits.
    pub(super) impacts: &'a [u8],
    /// What follows in the section: the term's run in the next window, if there is one.
    pub(super) after: &'a [u8],
    /// How impacts are kept.
    pub(super) kept: Impacts,
}

impl<'a> Run<'a> {
    /// The largest place, where they ascend.
    #[inline]
    pub(super) fn last(&self) -> Option<u16> {
        let word = u16::from_le_bytes(*self.locals.last()?);
        Some(match self.kept {
            Impacts::U8 => word,
            Impacts::U4 => word % (1 << WINDOW_BITS),
        })
    }

    /// Places and impacts.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, u8)> + use<'a> {
        let Self { locals, impacts, kept, .. } = *self;
        locals.iter().enumerate().map(move |(at, word)| {
            let word = u16::from_le_bytes(*word);
            match kept {
                Impacts::U8 => (word, impacts.get(at).copied().unwrap_or(0)),
                Impacts::U4 => {
                    let [_, high] = word.to_le_bytes();
                    (word % (1 << WINDOW_BITS), high >> 4)
                }
            }
        })
    }

    /// The impact of a place, if it is there.
    fn impact(&self, local: u16) -> Option<u8> {
        let place = |word: &[u8; 2]| match self.kept {
            Impacts::U8 => u16::from_le_bytes(*word),
            Impacts::U4 => u16::from_le_bytes(*word) % (1 << WINDOW_BITS),
        };
        let at = self.locals.binary_search_by_key(&local, place).ok()?;
        match self.kept {
            Impacts::U8 => self.impacts.get(at).copied(),
            Impacts::U4 => self.locals.get(at).map(|[_, high]| high >> 4),
        }
    }
}

impl Directory {
    /// The sections as slices.
    pub(super) fn postings(&self) -> DirectoryView<'_> {
        // As many as the head says, or none where they could not be read.
        let there = |of_windows: usize, count: usize| if of_windows == 0 { 0 } else { count };
        let dense_maxima: &[[u8; GROUPS]] =
            self.dense.as_ref().map_or(&[], |dense| dense.maxima.as_chunks().0);
        let list_maxima: &[u8] = &self.list_maxima;
        DirectoryView {
            directory: self,
            docs: self.docs,
            windows: self.windows,
            lists: there(list_maxima.len(), self.lists),
            denses: there(dense_maxima.len(), self.denses),
            term_ids: &self.term_ids,
            entries: &self.entries,
            impacts: self.impacts,
            list_starts: self.list_starts.view(),
            list_maxima,
            list_postings: self.list_postings.bytes(),
            tiny_docs: &self.tiny_docs,
            tiny_impacts: &self.tiny_impacts,
            dense_starts: self.dense.as_ref().map_or(&[], |dense| &dense.starts),
            dense_offsets: self.dense.as_ref().map_or(&[], |dense| dense.offsets.as_chunks().0),
            dense_maxima,
            dense_cells: self.dense.as_ref().map_or(&[], |dense| dense.cells.bytes()),
        }
    }
}

impl<'a> DirectoryView<'a> {
    /// Term ids by ordinal.
    pub(super) fn term_ids(&self) -> &'a [TermId] {
        self.term_ids
    }

    /// How impacts of list and dense terms are kept.
    pub(super) fn impacts(&self) -> Impacts {
        self.impacts
    }

    /// How many windows the segment has.
    pub(super) fn windows(&self) -> usize {
        self.windows
    }

    /// The ordinal of a term id.
    pub(super) fn find(&self, term: TermId) -> Option<usize> {
        self.term_ids.binary_search(&term).ok()
    }

    /// Asks the memory for the entry of a term.
    #[inline]
    pub(super) fn fetch_entry(&self, ordinal: usize) {
        prefetch(self.entries.get(ordinal..).unwrap_or_default(), size_of::<TermEntry>());
    }

    /// Asks the memory for what a search comes upon first of a term.
    #[inline]
    pub(super) fn fetch_term(&self, term: &Term) {
        match term.form {
            Form::Tiny { first } => {
                let (docs, impacts) = self.tiny(term, first);
                prefetch(docs, POSTINGS_AHEAD);
                prefetch(impacts, POSTINGS_AHEAD);
            }
            Form::List { slot, start } => {
                let bytes = (term.docs as usize).saturating_mul(self.impacts.list_posting());
                let postings = self.list_postings.get(start..).unwrap_or_default();
                prefetch(postings, bytes.min(POSTINGS_AHEAD));
                prefetch(self.maxima(slot), 64);
                self.list_starts.fetch(slot.saturating_mul(self.windows));
            }
            Form::Dense { slot, .. } => prefetch(self.group_maxima(slot), 64),
        }
    }

    /// The term of an ordinal.
    ///
    /// # Errors
    /// `Corrupt` if its entry contradicts the sections.
    pub(super) fn term(&self, ordinal: usize) -> Result<Term> {
        let corrupt = |what: &str| self.bad_entry(ordinal, what);
        let entry = self.entries.get(ordinal).ok_or_else(|| corrupt("no such term"))?;
        let none = entry.docs == 0;
        if (none && entry.left == 0) || entry.docs > self.docs {
            return Err(corrupt("document count outside the segment"));
        }
        if (entry.max == 0) != none {
            return Err(corrupt("largest impact is 0"));
        }
        if none && entry.kind != KIND_TINY {
            return Err(corrupt("list or dense term of no document"));
        }
        let scale = Scale::from_steps(entry.scale).ok_or_else(|| corrupt("scale off the grid"))?;
        let first = usize::try_from(entry.first).map_err(|_| corrupt("first posting too far"))?;
        let slot = entry.slot as usize;
        let (size, held, form) = match entry.kind {
            KIND_TINY => {
                (1, self.tiny_docs.len().min(self.tiny_impacts.len()), Form::Tiny { first })
            }
            KIND_LIST => {
                if slot >= self.lists {
                    return Err(corrupt("no such list"));
                }
                let size = self.impacts.list_posting();
                let start = first.saturating_mul(size);
                (size, self.list_postings.len(), Form::List { slot, start })
            }
            KIND_DENSE => {
                if slot >= self.denses {
                    return Err(corrupt("no such dense term"));
                }
                (1, self.dense_cells.len(), Form::Dense { slot, start: first })
            }
            _ => return Err(corrupt("unknown form of term")),
        };
        let start = first.checked_mul(size).ok_or_else(|| corrupt("first posting too far"))?;
        let least = match form {
            Form::Dense { .. } => self.impacts.cell_bytes(entry.docs as usize),
            _ => entry.docs as usize * size,
        };
        let end = start.checked_add(least);
        if end.is_none_or(|end| end > held) {
            return Err(corrupt("postings beyond their section"));
        }
        let TermEntry { docs, max, kth, left, .. } = *entry;
        Ok(Term { docs, scale, max, kth, left, form })
    }

    /// Damage of a term's entry.
    #[cold]
    pub(super) fn bad_entry(&self, ordinal: usize, what: &str) -> Error {
        let offset = (ordinal as u64).saturating_mul(size_of::<TermEntry>() as u64);
        self.directory.entries.section().corrupt(offset, what)
    }

    /// How many documents a window has: 4,096 but for the last.
    pub(super) fn span(&self, window: usize) -> usize {
        (self.docs as usize).saturating_sub(window << WINDOW_BITS).min(WINDOW)
    }

    /// The largest impacts of a list by window.
    pub(super) fn maxima(&self, slot: usize) -> &'a [u8] {
        let from = slot.saturating_mul(self.windows);
        self.list_maxima.get(from..from.saturating_add(self.windows)).unwrap_or_default()
    }

    /// The run of a list term in a window.
    ///
    /// # Errors
    /// `Corrupt` if the directory leads outside the term's postings or to more than the window
    /// has documents.
    #[inline]
    pub(super) fn run(
        &self,
        term: &Term,
        slot: usize,
        start: usize,
        window: usize,
    ) -> Result<Run<'a>> {
        let at = slot.saturating_mul(self.windows).saturating_add(window);
        let run = (|| {
            let from = self.list_starts.get(at)?;
            let to = if window + 1 < self.windows {
                self.list_starts.get(at + 1)?
            } else {
                term.docs as usize
            };
            let count = to.checked_sub(from)?;
            if count > self.span(window) || to > term.docs as usize {
                return None;
            }
            let size = self.impacts.list_posting();
            let from = start.checked_add(from.checked_mul(size)?)?;
            let to = from.checked_add(count * size)?;
            let (bytes, after) = self.list_postings.get(from..)?.split_at_checked(to - from)?;
            let (locals, impacts) = bytes.split_at(count * 2);
            Some(Run { locals: locals.as_chunks().0, impacts, after, kept: self.impacts })
        })();
        run.ok_or_else(|| self.bad_run(at))
    }

    /// Asks the memory for the run of a list term in a window.
    #[inline]
    pub(super) fn fetch_run(&self, slot: usize, start: usize, window: usize) {
        let at = slot.saturating_mul(self.windows).saturating_add(window);
        let from = self.list_starts.get(at).unwrap_or(0);
        let from = from.saturating_mul(self.impacts.list_posting()).saturating_add(start);
        prefetch(self.list_postings.get(from..).unwrap_or_default(), 128);
    }

    #[cold]
    fn bad_run(&self, at: usize) -> Error {
        let section = self.directory.list_starts.section();
        section.corrupt_element(at, "run outside its term or window")
    }

    /// The largest impacts of a dense term in the groups of each window.
    pub(super) fn group_maxima(&self, slot: usize) -> &'a [[u8; GROUPS]] {
        let from = slot.saturating_mul(self.windows);
        self.dense_maxima.get(from..from.saturating_add(self.windows)).unwrap_or_default()
    }

    /// A dense term in a window.
    ///
    /// # Errors
    /// `Corrupt` if the directory leads outside the cells.
    #[inline]
    pub(super) fn dense(&self, slot: usize, start: usize, window: usize) -> Result<DenseRow<'a>> {
        let at = slot.saturating_mul(self.windows).saturating_add(window);
        let row = (|| {
            let offsets = self.dense_offsets.get(at)?;
            let from = start.checked_add(*self.dense_starts.get(at)? as usize)?;
            let cells = self.dense_cells.get(from..)?.first_chunk::<SPAN>()?;
            Some(DenseRow { offsets, cells })
        })();
        row.ok_or_else(|| self.bad_cells(slot, window, "cells outside their section"))
    }

    /// Where the cells of a dense term in a window begin, from its first.
    pub(super) fn dense_start(&self, slot: usize, window: usize) -> Option<usize> {
        let at = slot.checked_mul(self.windows)?.checked_add(window)?;
        usize::try_from(*self.dense_starts.get(at)?).ok()
    }

    /// Damage of the cells of a dense term in a window.
    #[cold]
    pub(super) fn bad_cells(&self, slot: usize, window: usize, what: &str) -> Error {
        let at = slot.saturating_mul(self.windows).saturating_add(window) as u64;
        match &self.directory.dense {
            Some(dense) => dense.starts.section().corrupt(at.saturating_mul(4), what),
            None => self.directory.entries.section().corrupt(0, what),
        }
    }

    /// Bytes of all cells.
    pub(super) fn cell_bytes(&self) -> &'a [u8] {
        self.dense_cells
    }

    /// What to say of a run with a place at or beyond the window's documents.
    #[cold]
    pub(super) fn bad_local(&self, slot: usize, window: usize) -> Error {
        let section = self.directory.list_starts.section();
        let at = slot.saturating_mul(self.windows).saturating_add(window);
        section.corrupt_element(at, "run with a posting beyond its window's documents")
    }

    /// What to say of a tiny term's documents.
    #[cold]
    pub(super) fn bad_tiny(&self, first: usize) -> Error {
        let section = self.directory.tiny_docs.section();
        section.corrupt(first as u64 * 4, "documents not ascending or beyond the segment")
    }

    /// The documents and impacts of a tiny term.
    pub(super) fn tiny(&self, term: &Term, first: usize) -> (&'a [u32], &'a [u8]) {
        let range = first..first.saturating_add(term.docs as usize);
        (
            self.tiny_docs.get(range.clone()).unwrap_or_default(),
            self.tiny_impacts.get(range).unwrap_or_default(),
        )
    }

    /// Calls `take` with each document of a term, ascending in a file of ours, and its impact.
    ///
    /// # Errors
    /// `Corrupt` where the directory leads astray or a document is beyond the segment.
    pub(super) fn each_posting(&self, term: &Term, mut take: impl FnMut(DocId, u8)) -> Result<()> {
        let doc = |window: usize, local: usize| {
            let there = local < self.span(window);
            u32::try_from((window << WINDOW_BITS) + local).ok().filter(|_| there)
        };
        match term.form {
            Form::Tiny { first } => {
                let (docs, impacts) = self.tiny(term, first);
                for (&doc, &impact) in docs.iter().zip(impacts) {
                    if doc >= self.docs {
                        return Err(self.bad_tiny(first));
                    }
                    take(doc, impact);
                }
            }
            Form::List { slot, start } => {
                for window in 0..self.windows {
                    for (local, impact) in self.run(term, slot, start, window)?.iter() {
                        let doc = doc(window, usize::from(local));
                        take(doc.ok_or_else(|| self.bad_local(slot, window))?, impact);
                    }
                }
            }
            Form::Dense { slot, start } => {
                for window in 0..self.windows {
                    let row = self.dense(slot, start, window)?;
                    for group in 0..GROUPS {
                        let (mut mask, impacts) = cell_parts(row.cell(group));
                        for at in 0..mask.count_ones() as usize {
                            let local = group * GROUP + mask.trailing_zeros() as usize;
                            mask &= mask.wrapping_sub(1);
                            let doc = doc(window, local).ok_or_else(|| {
                                let what = "cell with a document beyond the segment";
                                self.bad_cells(slot, window, what)
                            })?;
                            take(doc, self.cell_impact(impacts, at).unwrap_or(0));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The impact of a term in a document, if it is there.
    pub(super) fn impact(&self, term: &Term, doc: DocId) -> Result<Option<u8>> {
        match term.form {
            Form::Tiny { first } => {
                let (docs, impacts) = self.tiny(term, first);
                Ok(docs.binary_search(&doc).ok().and_then(|at| impacts.get(at)).copied())
            }
            Form::List { slot, start } => {
                let window = (doc >> WINDOW_BITS) as usize;
                if window >= self.windows {
                    return Ok(None);
                }
                let run = self.run(term, slot, start, window)?;
                let local = u16::try_from(doc as usize % WINDOW).unwrap_or(u16::MAX);
                Ok(run.impact(local))
            }
            Form::Dense { slot, start } => {
                let window = (doc >> WINDOW_BITS) as usize;
                if window >= self.windows {
                    return Ok(None);
                }
                let row = self.dense(slot, start, window)?;
                let (mask, impacts) = cell_parts(row.cell(doc as usize % WINDOW / GROUP));
                let bit = 1u64 << (doc as usize % GROUP);
                let before = (mask & (bit - 1)).count_ones() as usize;
                Ok((mask & bit != 0).then(|| self.cell_impact(impacts, before)).flatten())
            }
        }
    }
}

impl DirectoryView<'_> {
    /// The impact at a place of a cell.
    #[inline]
    pub(super) fn cell_impact(&self, bytes: &[u8], at: usize) -> Option<u8> {
        match self.impacts {
            Impacts::U8 => bytes.get(at).copied(),
            Impacts::U4 => bytes.get(at / 2).map(|two| two >> (4 * (at % 2)) & 15),
        }
    }
}

/// The mask of a cell and the bytes of its impacts, of which there are as many as bits set.
pub(super) fn cell_parts(cell: &[u8]) -> (u64, &[u8]) {
    match cell.split_first_chunk::<8>() {
        Some((mask, impacts)) => (u64::from_le_bytes(*mask), impacts),
        None => (0, &[]),
    }
}

/// Checks that the sections of the inverted index have the sizes the head says: their contents
/// are not looked at.
pub(super) fn check_sizes(
    head: &Head,
    directory: &Directory,
    corrupt: impl Fn(&str) -> Error,
) -> Result<()> {
    let lists = (head.lists as usize).checked_mul(windows(head.docs));
    let dense = (head.dense as usize).checked_mul(windows(head.docs));
    let groups = dense.and_then(|rows| rows.checked_mul(GROUPS));
    let held = directory.dense.as_ref();
    let held = held.map_or((0, 0, 0), |d| (d.starts.count(), d.offsets.count(), d.maxima.count()));
    let checks = [
        (
            u64::from(head.lists) + u64::from(head.dense) <= u64::from(head.terms),
            "more lists and dense terms than terms",
        ),
        (dense == Some(held.0), "dense directory of another size"),
        (groups == Some(held.1), "dense offsets of another size"),
        (groups == Some(held.2), "dense maxima of another size"),
        (lists == Some(directory.list_starts.count()), "window directory of another size"),
        (lists == Some(directory.list_maxima.count()), "window maxima of another size"),
        (
            directory.tiny_docs.count() as u64 == head.tiny_postings,
            "tiny documents of another number",
        ),
        (
            directory.tiny_impacts.count() as u64 == head.tiny_postings,
            "tiny impacts of another number",
        ),
        (
            head.postings
                .checked_sub(head.tiny_postings)
                .and_then(|n| n.checked_sub(head.dense_postings))
                .and_then(|n| n.checked_mul(directory.impacts.list_posting() as u64))
                == Some(directory.list_postings.len() as u64),
            "list postings of another number",
        ),
    ];
    match checks.iter().find(|(holds, _)| !holds) {
        Some((_, what)) => Err(corrupt(what)),
        None => Ok(()),
    }
}
