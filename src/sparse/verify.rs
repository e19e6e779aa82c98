//! The semantic walk: whether every number of the field means what the format says, checksums
//! aside.

use crate::error::Result;

use crate::kernel::postings::SPAN;

use super::agreement::Agreement;
use super::directory::{DirectoryView, Form, Term, cell_parts};
use super::index::{Rows, SparseIndex};
use super::layout::{Impacts, KTH, WINDOW, WINDOW_BITS};
use super::transpose::WindowRows;
use super::write::MASK;

impl SparseIndex {
    /// Walks everything: terms ascend, postings of a term lie end to end with those before, ascend
    /// and stay inside the segment, maxima and k-th impacts are those of the postings, rows lie end
    /// to end, weights are finite and above zero, points of the curve are in range, and each row
    /// has exactly the postings that the inverted index has of its document.
    ///
    /// # Errors
    /// `Corrupt` at the first thing that does not hold.
    pub(crate) fn verify(&self) -> Result<()> {
        let postings = self.postings_view();
        if !postings.term_ids().is_sorted_by(|a, b| a < b) {
            return Err(self.corrupt("term ids do not ascend"));
        }
        self.verify_directory(&postings)?;
        self.curve()?;
        let (found, entries, left) = match self.rows_view() {
            Some(rows) => {
                self.verify_places(&rows)?;
                let mut agreement = Agreement::new(postings, rows)?;
                agreement.check()?;
                (agreement.found, agreement.entries, agreement.left)
            }
            None => count(postings)?,
        };
        if found != u64::from(self.head().rows) {
            return Err(self.corrupt("another number of rows"));
        }
        if entries != self.head().entries {
            return Err(self.corrupt("another number of entries"));
        }
        for (ordinal, (entry, left)) in self.directory().entries.iter().zip(left).enumerate() {
            if entry.left != left {
                return Err(postings.bad_entry(ordinal, "largest impact left out is another"));
            }
        }
        Ok(())
    }

    /// Entries one by one, and that they use up the sections in order.
    fn verify_directory(&self, postings: &DirectoryView<'_>) -> Result<()> {
        let (mut lists, mut list_first, mut tiny_first) = (0usize, 0u64, 0u64);
        let (mut dense, mut dense_first, mut dense_postings) = (0usize, 0u64, 0u64);
        let mut scratch = Vec::new();
        for (ordinal, entry) in self.directory().entries.iter().enumerate() {
            let term = postings.term(ordinal)?;
            let corrupt = |what: &str| Err(postings.bad_entry(ordinal, what));
            let next = match term.form {
                Form::List { slot, .. } => {
                    if slot != lists {
                        return corrupt("list out of its order");
                    }
                    lists += 1;
                    &mut list_first
                }
                Form::Dense { slot, .. } => {
                    if slot != dense {
                        return corrupt("dense term out of its order");
                    }
                    dense += 1;
                    dense_postings += u64::from(entry.docs);
                    &mut dense_first
                }
                Form::Tiny { .. } => &mut tiny_first,
            };
            if entry.first != *next {
                return corrupt("postings do not follow those before");
            }
            if matches!(term.form, Form::Tiny { .. }) && entry.slot != 0 {
                return corrupt("reserved bytes are not zero");
            }
            let mut tally = Tally::new(&term);
            *next += verify_postings(postings, &term, &mut tally, &mut scratch)?;
            if tally.least == Some(0) {
                return corrupt("posting with impact 0");
            }
            if !tally.agrees(&term) {
                return corrupt("largest impacts are not those of the postings");
            }
        }
        if lists != self.head().lists as usize
            || dense != self.head().dense as usize
            || tiny_first != self.head().tiny_postings
            || dense_postings != self.head().dense_postings
            || list_first + tiny_first + dense_postings != self.head().postings
        {
            return Err(self.corrupt("counts are not those of the terms"));
        }
        let pad =
            usize::try_from(dense_first).ok().and_then(|end| postings.cell_bytes().get(end..));
        let padded = if dense == 0 { pad == Some(&[]) } else { pad == Some(&[0; SPAN][..]) };
        if !padded {
            return Err(self.corrupt("cells do not end in zeros"));
        }
        Ok(())
    }

    /// That rows use up their section in order.
    fn verify_places(&self, rows: &Rows<'_>) -> Result<()> {
        let bases = rows.bases();
        let ends_of = |window: usize| rows.ends().chunks(1 << WINDOW_BITS).nth(window);
        let mut at = 0u64;
        for (window, &base) in bases.iter().enumerate() {
            let ends = ends_of(window).unwrap_or_default();
            if base != at || !ends.is_sorted() {
                return Err(self.corrupt("rows do not lie end to end"));
            }
            at += u64::from(ends.last().copied().unwrap_or(0));
        }
        if at != rows.len() as u64 {
            return Err(self.corrupt("bytes after the last row"));
        }
        Ok(())
    }
}

/// What there is of a field without forward rows: documents, postings, and per term that nothing is
/// left out.
fn count(postings: DirectoryView<'_>) -> Result<(u64, u64, Vec<u8>)> {
    let (mut found, mut entries) = (0, 0);
    let left = vec![0; postings.term_ids().len()];
    let mut windows = WindowRows::new(postings)?;
    while windows.advance()? {
        for (_, held) in windows.rows() {
            found += u64::from(!held.is_empty());
            entries += held.len() as u64;
        }
    }
    Ok((found, entries, left))
}

/// Counts of a term's impacts: enough to tell whether its largest and k-th are those of its entry.
struct Tally {
    kth: [u8; 3],
    /// Impacts of at least the k-th, where that is not 0, and of more.
    reach: [usize; 3],
    over: [usize; 3],
    most: u8,
    least: Option<u8>,
    count: usize,
}

impl Tally {
    fn new(term: &Term) -> Self {
        let none = [0; 3];
        Self { kth: term.kth, reach: none, over: none, most: 0, least: None, count: 0 }
    }

    fn add(&mut self, impacts: &[u8]) {
        // So few that a byte counts them: many are compared by one instruction.
        for part in impacts.chunks(255) {
            for (&kth, (reach, over)) in
                self.kth.iter().zip(self.reach.iter_mut().zip(&mut self.over))
            {
                *reach += usize::from(part.iter().fold(0u8, |n, &i| n + u8::from(i >= kth)));
                *over += usize::from(part.iter().fold(0u8, |n, &i| n + u8::from(i > kth)));
            }
            self.most = part.iter().fold(self.most, |most, &impact| most.max(impact));
            let least = part.iter().fold(u8::MAX, |least, &impact| least.min(impact));
            self.least = Some(self.least.map_or(least, |before| before.min(least)));
        }
        self.count += impacts.len();
    }

    /// Whether the entry has the largest impact, and as k-th those that k impacts reach and fewer
    /// exceed; 0 where there are fewer than k.
    fn agrees(&self, term: &Term) -> bool {
        let mut kth = KTH.iter().zip(self.kth).zip(self.reach.iter().zip(&self.over));
        self.most == term.max
            && kth.all(|((&k, value), (&reach, &over))| match value {
                0 => self.count < k,
                _ => reach >= k && over < k,
            })
    }
}

/// Counts the impacts of a term, its runs starting at 0, following each other and agreeing with
/// their maxima; gives by how much the next term of its form begins later. That documents ascend is
/// checked where windows are read.
fn verify_postings(
    postings: &DirectoryView<'_>,
    term: &Term,
    tally: &mut Tally,
    scratch: &mut Vec<u8>,
) -> Result<u64> {
    match term.form {
        Form::Tiny { first } => {
            tally.add(postings.tiny(term, first).1);
            Ok(u64::from(term.docs))
        }
        Form::Dense { slot, start } => {
            let corrupt = |window, what| Err(postings.bad_cells(slot, window, what));
            let mut size = 0;
            for (window, maxima) in postings.group_maxima(slot).iter().enumerate() {
                let row = postings.dense(slot, start, window)?;
                if postings.dense_start(slot, window) != Some(size) {
                    return corrupt(window, "windows do not follow each other");
                }
                let mut at = 0;
                scratch.clear();
                for (group, (&max, &offset)) in maxima.iter().zip(row.offsets).enumerate() {
                    if usize::from(offset) != at {
                        return corrupt(window, "cells do not follow each other");
                    }
                    let (mask, held) = cell_parts(row.cell(group));
                    let count = mask.count_ones() as usize;
                    let from = scratch.len();
                    match postings.impacts() {
                        Impacts::U8 => {
                            scratch.extend_from_slice(held.get(..count).unwrap_or_default());
                        }
                        Impacts::U4 => scratch
                            .extend((0..count).filter_map(|at| postings.cell_impact(held, at))),
                    }
                    let of_group = scratch.get(from..).unwrap_or_default();
                    if of_group.iter().fold(0, |most: u8, &impact| most.max(impact)) != max {
                        return corrupt(window, "largest impact of a group is another");
                    }
                    let odd = postings.impacts() == Impacts::U4 && count % 2 == 1;
                    if odd && postings.cell_impact(held, count) != Some(0) {
                        return corrupt(window, "half a byte at a cell's end is not zero");
                    }
                    at += MASK + postings.impacts().cell_bytes(count);
                }
                tally.add(scratch);
                size += at;
            }
            if tally.count != term.docs as usize {
                return corrupt(0, "another number of documents than the term's");
            }
            Ok(size as u64)
        }
        Form::List { slot, start } => {
            scratch.clear();
            for (window, &max) in postings.maxima(slot).iter().enumerate() {
                let run = postings.run(term, slot, start, window)?;
                let from = scratch.len();
                match postings.impacts() {
                    Impacts::U8 => scratch.extend_from_slice(run.impacts),
                    Impacts::U4 => scratch.extend(run.iter().map(|(_, impact)| impact)),
                }
                let of_run = scratch.get(from..).unwrap_or_default();
                if of_run.iter().fold(0, |most: u8, &impact| most.max(impact)) != max {
                    return Err(postings.bad_local(slot, window));
                }
                // Many runs are short, and counting takes its time to begin.
                if scratch.len() >= WINDOW {
                    tally.add(scratch);
                    scratch.clear();
                }
            }
            tally.add(scratch);
            // Runs end at the term's last posting: with all of them read, they began at its first.
            if tally.count != term.docs as usize {
                return Err(postings.bad_local(slot, 0));
            }
            Ok(u64::from(term.docs))
        }
    }
}
