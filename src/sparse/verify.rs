//! The semantic walk: whether every number of the field means what the format says, checksums
//! aside.

use crate::error::Result;

use crate::kernel::postings::SPAN;

use super::directory::{DirectoryView, Form, Term, cell_parts};
use super::index::{Rows, SparseIndex};
use super::layout::{Impacts, WINDOW_BITS};
use super::transpose::WindowRows;
use super::write::{MASK, largest};

impl SparseIndex {
    /// Walks everything: terms ascend, postings of a term lie end to end with those before, ascend
    /// and stay inside the segment, maxima and k-th impacts are those of the postings, rows lie end
    /// to end, weights are finite and above zero, and each row has exactly the postings that the
    /// inverted index has of its document.
    ///
    /// # Errors
    /// `Corrupt` at the first thing that does not hold.
    pub(crate) fn verify(&self) -> Result<()> {
        let postings = self.postings_view();
        if !postings.term_ids().is_sorted_by(|a, b| a < b) {
            return Err(self.corrupt("term ids do not ascend"));
        }
        self.verify_directory(&postings)?;
        let mut windows = WindowRows::new(postings)?;
        let rows = self.rows_view();
        if let Some(rows) = &rows {
            self.verify_places(rows)?;
        }
        let (mut found, mut entries) = (0u64, 0u64);
        // Per term the largest impact that was found to be left out.
        let mut left = vec![0u8; postings.term_ids().len()];
        while windows.advance()? {
            for (doc, held) in windows.rows() {
                found += u64::from(!held.is_empty());
                entries += match &rows {
                    Some(rows) => verify_row(&windows, rows, doc, held, &mut left)?,
                    None => held.len() as u64,
                };
            }
        }
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
            let (impacts, size) = verify_postings(postings, &term)?;
            *next += size;
            if impacts.contains(&0) {
                return corrupt("posting with impact 0");
            }
            if largest(&impacts) != (term.max, term.kth) {
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

/// The impacts of a term, its runs starting at 0, following each other and agreeing with their
/// maxima, and by how much the next term of its form begins later. That documents ascend is
/// checked where windows are read.
fn verify_postings(postings: &DirectoryView<'_>, term: &Term) -> Result<(Vec<u8>, u64)> {
    match term.form {
        Form::Tiny { first } => Ok((postings.tiny(term, first).1.to_vec(), u64::from(term.docs))),
        Form::Dense { slot, start } => {
            let corrupt = |window, what| Err(postings.bad_cells(slot, window, what));
            let mut impacts = Vec::with_capacity(term.docs as usize);
            let mut size = 0;
            for (window, maxima) in postings.group_maxima(slot).iter().enumerate() {
                let row = postings.dense(slot, start, window)?;
                if postings.dense_start(slot, window) != Some(size) {
                    return corrupt(window, "windows do not follow each other");
                }
                let mut at = 0;
                for (group, (&max, &offset)) in maxima.iter().zip(row.offsets).enumerate() {
                    if usize::from(offset) != at {
                        return corrupt(window, "cells do not follow each other");
                    }
                    let (mask, held) = cell_parts(row.cell(group));
                    let count = mask.count_ones() as usize;
                    let from = impacts.len();
                    impacts.extend((0..count).filter_map(|at| postings.cell_impact(held, at)));
                    let of_group = impacts.get(from..).unwrap_or_default();
                    if of_group.iter().copied().max().unwrap_or(0) != max {
                        return corrupt(window, "largest impact of a group is another");
                    }
                    let odd = postings.impacts() == Impacts::U4 && count % 2 == 1;
                    if odd && postings.cell_impact(held, count) != Some(0) {
                        return corrupt(window, "half a byte at a cell's end is not zero");
                    }
                    at += MASK + postings.impacts().cell_bytes(count);
                }
                size += at;
            }
            if impacts.len() != term.docs as usize {
                return corrupt(0, "another number of documents than the term's");
            }
            Ok((impacts, size as u64))
        }
        Form::List { slot, start } => {
            let mut impacts = Vec::with_capacity(term.docs as usize);
            for (window, &max) in postings.maxima(slot).iter().enumerate() {
                let run = postings.run(term, slot, start, window)?;
                if run.iter().map(|(_, impact)| impact).max().unwrap_or(0) != max {
                    return Err(postings.bad_local(slot, window));
                }
                impacts.extend(run.iter().map(|(_, impact)| impact));
            }
            // Runs end at the term's last posting: with all of them read, they began at its first.
            if impacts.len() != term.docs as usize {
                return Err(postings.bad_local(slot, 0));
            }
            Ok((impacts, u64::from(term.docs)))
        }
    }
}

/// That a row has these postings and no others, but for what is left out. Gives its entries.
fn verify_row(
    windows: &WindowRows<'_>,
    rows: &Rows<'_>,
    doc: u32,
    held: &[(u32, u8)],
    left: &mut [u8],
) -> Result<u64> {
    let Some(view) = rows.row(doc)? else {
        if held.is_empty() {
            return Ok(0);
        }
        return Err(rows.corrupt(doc, "no row, but postings"));
    };
    let mut posted = held.iter().peekable();
    let mut agrees = true;
    view.each(|ordinal, at| {
        let weight = view.weight(at);
        agrees &= weight.is_finite() && weight > 0.0;
        match posted.next_if(|(posted, _)| u64::from(*posted) == ordinal) {
            Some(&(posted, impact)) => agrees &= windows.scale(posted).impact(weight) == impact,
            None => match windows.left(ordinal) {
                Some((scale, most)) if scale.impact(weight) <= most => {
                    if let Some(left) = left.get_mut(usize::try_from(ordinal).unwrap_or(usize::MAX))
                    {
                        *left = scale.impact(weight).max(*left);
                    }
                }
                _ => agrees = false,
            },
        }
    })
    .map_err(|what| rows.corrupt(doc, what))?;
    if agrees && posted.next().is_none() && !held.is_empty() {
        Ok(view.count() as u64)
    } else {
        Err(rows.corrupt(doc, "not the postings of the document"))
    }
}
