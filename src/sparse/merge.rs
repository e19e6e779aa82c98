//! Segments put together.
//!
//! A merged field is, byte for byte, what writing the same documents in the same order anew would
//! give, wherever there are forward rows: scales, forms and the places of all things follow from
//! the documents alone. What is saved is turning documents over: a term whose scale stays what it
//! was in every segment keeps its impacts, which are copied from its postings; only the others are
//! gathered from the rows. Scales lie on a coarse grid, so that is most postings.
//!
//! Without forward rows the weights that impacts stand for are all there is. A term takes the
//! largest of its scales; impacts on it stay what they are, others move to it, and that is the
//! only time a merge changes what is stored.

use std::ops::Range;

use crate::codec::impact::Scale;
use crate::docset::DocSet;
use crate::error::Result;
use crate::format::ContainerWriter;
use crate::id::{DocId, TermId};
use crate::schema::{Forward, SparseOptions};

use super::build::{RowSource, Take};
use super::index::{SparseIndex, SparseRow};
use super::write;

/// A segment's part in a merge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MergePart<'a> {
    /// Its field; `None` where no document of it has the field.
    pub(crate) index: Option<&'a SparseIndex>,
    /// Documents of the segment, dead ones included.
    pub(crate) docs: u32,
    /// The documents to take; `None` for all.
    pub(crate) alive: Option<&'a DocSet>,
}

/// Writes the sections of a field that holds the living documents of all parts, part after part;
/// nothing where none of them has it. All parts must be of these settings. The bytes do not depend
/// on `threads`, nor on the `memory` that documents are turned over in. `wanted` is asked now and
/// then, and ends the merge with its error.
///
/// # Errors
/// `Corrupt` if something of a part cannot be read; `Io`; what `wanted` returns.
pub(crate) fn merge(
    parts: &[MergePart<'_>],
    options: &SparseOptions,
    field: u32,
    (threads, memory): (usize, usize),
    wanted: &(dyn Fn() -> Result<()> + Sync),
    out: &mut ContainerWriter,
) -> Result<()> {
    let source = Merged::new(parts, options.forward == Forward::None, wanted);
    write::field(&source, options, field, threads, memory.min(write::MEMORY), out)
}

/// One part, and where its documents come to lie.
#[derive(Debug)]
struct Part<'a> {
    index: Option<&'a SparseIndex>,
    alive: Option<&'a DocSet>,
    docs: u32,
    /// The new number of its first document, and of the first after it.
    new: Range<DocId>,
    /// Living documents before each word of `alive`.
    before: Vec<u32>,
}

impl<'a> Part<'a> {
    fn new(part: MergePart<'a>, base: DocId) -> Self {
        let MergePart { index, docs, alive } = part;
        let mut before = Vec::new();
        let mut living = 0;
        for word in alive.map_or(&[][..], DocSet::words) {
            before.push(living);
            living += word.count_ones();
        }
        let living = if alive.is_some() { living } else { docs };
        Self { index, alive, docs, new: base..base.saturating_add(living), before }
    }

    /// The new number of a document, if it lives.
    #[inline]
    fn place(&self, doc: DocId) -> Option<DocId> {
        let before = match self.alive {
            None => doc,
            Some(alive) => {
                let at = doc as usize / 64;
                let (word, bit) = (*alive.words().get(at)?, 1u64 << (doc % 64));
                if word & bit == 0 {
                    return None;
                }
                self.before.get(at)? + (word & (bit - 1)).count_ones()
            }
        };
        Some(self.new.start + before)
    }

    /// Its first document whose new number is at least so large, or one shortly before.
    fn first(&self, new: DocId) -> DocId {
        let skip = new.saturating_sub(self.new.start);
        if self.alive.is_none() {
            return skip;
        }
        let word = self.before.partition_point(|&before| before <= skip);
        u32::try_from(word.saturating_sub(1) * 64).unwrap_or(u32::MAX)
    }
}

/// The living documents of all parts.
struct Merged<'a> {
    parts: Vec<Part<'a>>,
    docs: u32,
    /// Whether impacts are all there is.
    quantised: bool,
    wanted: &'a (dyn Fn() -> Result<()> + Sync),
}

impl<'a> Merged<'a> {
    fn new(
        parts: &[MergePart<'a>],
        quantised: bool,
        wanted: &'a (dyn Fn() -> Result<()> + Sync),
    ) -> Self {
        let mut docs = 0;
        let part = |&part: &MergePart<'a>| {
            let part = Part::new(part, docs);
            docs = part.new.end;
            part
        };
        let parts = parts.iter().map(part).collect();
        Self { parts, docs, quantised, wanted }
    }
}

impl RowSource for Merged<'_> {
    fn docs(&self) -> u32 {
        self.docs
    }

    fn each(&self, docs: Range<DocId>, take: &mut Take<'_>) -> Result<()> {
        let mut row = SparseRow::default();
        for part in &self.parts {
            let Some(index) = part.index else { continue };
            if part.new.end <= docs.start || part.new.start >= docs.end {
                continue;
            }
            let Some(rows) = index.rows_view() else {
                index.each_row(|doc, terms, weights| {
                    if let Some(new) = part.place(doc).filter(|new| docs.contains(new)) {
                        take(new, terms, weights);
                    }
                    Ok(())
                })?;
                continue;
            };
            for doc in part.first(docs.start)..part.docs {
                if doc.is_multiple_of(4096) {
                    (self.wanted)()?;
                }
                let Some(new) = part.place(doc) else { continue };
                if new >= docs.end {
                    break;
                }
                if new >= docs.start && index.read_row(&rows, doc, &mut row)? {
                    take(new, &row.terms, &row.weights);
                }
            }
        }
        Ok(())
    }

    fn is_cut(&self) -> bool {
        self.quantised
    }

    fn scale(&self, term: TermId) -> Result<Option<Scale>> {
        if !self.quantised {
            return Ok(None);
        }
        let mut largest = None;
        for index in self.parts.iter().filter_map(|part| part.index) {
            let postings = index.postings_view();
            if let Some(ordinal) = postings.find(term) {
                largest = largest.max(Some(postings.term(ordinal)?.scale));
            }
        }
        Ok(largest)
    }

    fn postings(
        &self,
        term: TermId,
        scale: Scale,
        docs: &mut Vec<DocId>,
        impacts: &mut Vec<u8>,
    ) -> Result<bool> {
        (self.wanted)()?;
        for part in &self.parts {
            let Some(index) = part.index else { continue };
            let postings = index.postings_view();
            let Some(ordinal) = postings.find(term) else { continue };
            let held = postings.term(ordinal)?;
            if held.docs == 0 {
                continue;
            }
            if held.scale != scale && !self.quantised {
                return Ok(false);
            }
            let stays = held.scale == scale;
            let moved = |impact| {
                if stays { impact } else { scale.impact(held.scale.weight(impact)) }
            };
            let mut ascends = true;
            postings.each_posting(&held, |doc, impact| {
                if let Some(new) = part.place(doc) {
                    ascends &= docs.last().is_none_or(|&last| last < new);
                    docs.push(new);
                    impacts.push(moved(impact));
                }
            })?;
            if !ascends {
                return Err(postings.bad_entry(ordinal, "documents do not ascend"));
            }
        }
        Ok(true)
    }
}
