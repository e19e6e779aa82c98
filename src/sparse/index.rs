//! A segment's sparse field, read in place.

use crate::error::{Error, Result};
use crate::format::{Array, Container, Section, SectionKind};
use crate::id::{DocId, TermId};
use crate::kernel::prefetch;
use crate::schema::{Forward, SparseOptions};

use super::build::Weights;
use super::curve::{MOST_POINTS, SparsePoint};
use super::directory::{Dense, Directory, DirectoryView, ListStarts, TOGETHER, check_sizes};
use super::forward::RowView;
use super::layout::{FORWARD_F16, FORWARD_F32, FORWARD_NONE, Head, Impacts, WINDOW_BITS, windows};
use super::query::{Membership, SparseQuery};
use super::score::{QueryTerm, Scorer};
use super::transpose::WindowRows;

/// How far an answer can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exactness {
    /// The true top k by the stored weights, proven.
    Certified,
    /// The true top k by the quantised weights: there are no forward rows to know better.
    OnQuantised,
    /// Something may have been missed.
    Approximate,
}

/// A document's vector as stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SparseRow {
    /// Ascending, distinct.
    pub(crate) terms: Vec<TermId>,
    /// As many weights, above zero.
    pub(crate) weights: Vec<f32>,
}

impl SparseRow {
    /// Terms and their weights.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TermId, f32)> + '_ {
        self.terms.iter().copied().zip(self.weights.iter().copied())
    }
}

/// The forward rows.
#[derive(Debug)]
pub(super) struct ForwardRows {
    kept: Weights,
    bases: Array<u64>,
    ends: Array<u32>,
    rows: Section,
}

/// The forward rows as plain slices: what a search takes once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    forward: &'a ForwardRows,
    bases: &'a [u64],
    ends: &'a [u32],
    bytes: &'a [u8],
}

/// A segment's sparse field. Opening looks at sizes only.
#[derive(Debug)]
pub(crate) struct SparseIndex {
    head: Head,
    head_section: Section,
    directory: Directory,
    forward: Option<ForwardRows>,
    /// None in a small segment, and in one that was written before there were any.
    curve: Option<Array<SparsePoint>>,
}

impl SparseIndex {
    /// Opens the sparse field `field` of a segment of `docs` documents; `None` where no document
    /// has it.
    ///
    /// # Errors
    /// `Corrupt` if a section is missing or the counts contradict each other or the schema.
    pub(crate) fn open(
        container: &Container,
        field: u32,
        docs: u32,
        options: &SparseOptions,
    ) -> Result<Option<Self>> {
        let Some(head_section) = container.find(SectionKind::SPARSE_HEAD, field) else {
            return Ok(None);
        };
        let head: Head = head_section.one()?;
        let corrupt = |what: &str| head_section.corrupt(0, what);
        let kept = match head.forward {
            FORWARD_NONE => Weights::None,
            FORWARD_F16 => Weights::F16,
            FORWARD_F32 => Weights::F32,
            _ => return Err(corrupt("unknown kind of forward weights")),
        };
        let fits = match options.forward {
            Forward::Auto => kept != Weights::None,
            Forward::F16 => kept == Weights::F16,
            Forward::F32 => kept == Weights::F32,
            Forward::None => kept == Weights::None,
        };
        let impacts = Impacts::of(options.codec);
        let percent = options.codec.percent().map_or(0, u16::from);
        let leaves_out = percent > 0 && kept != Weights::None;
        let checks = [
            (head.docs == docs, "another number of documents than the segment"),
            (head.rows >= 1 && head.rows <= docs, "more rows than documents, or none"),
            (head.codec == impacts.number(), "other impacts than the schema says"),
            (head.percent == percent, "another part left out than the schema says"),
            (matches!(head.start_bytes, 2 | 4), "window directory of an unknown width"),
            (head.entries >= head.postings, "more postings than entries"),
            (head.entries == head.postings || leaves_out, "fewer postings than entries"),
            (fits, "other forward weights than the schema says"),
            (u64::from(head.terms) <= head.entries, "more terms than entries"),
        ];
        if let Some((_, what)) = checks.iter().find(|(holds, _)| !holds) {
            return Err(corrupt(what));
        }
        let terms = head.terms as usize;
        let section = |kind| container.section(kind, field);
        let directory = Directory {
            docs,
            windows: windows(docs),
            lists: head.lists as usize,
            denses: head.dense as usize,
            term_ids: section(SectionKind::SPARSE_TERM_IDS)?.array_of(terms)?,
            entries: section(SectionKind::SPARSE_TERMS)?.array_of(terms)?,
            impacts,
            list_starts: match head.start_bytes {
                2 => ListStarts::Narrow(section(SectionKind::SPARSE_LIST_STARTS)?.array()?),
                _ => ListStarts::Wide(section(SectionKind::SPARSE_LIST_STARTS)?.array()?),
            },
            list_maxima: section(SectionKind::SPARSE_LIST_MAXIMA)?.array()?,
            list_postings: section(SectionKind::SPARSE_LIST_POSTINGS)?,
            tiny_docs: section(SectionKind::SPARSE_TINY_DOCS)?.array()?,
            tiny_impacts: section(SectionKind::SPARSE_TINY_IMPACTS)?.array()?,
            dense: if head.dense == 0 {
                None
            } else {
                Some(Dense {
                    starts: section(SectionKind::SPARSE_DENSE_STARTS)?.array()?,
                    offsets: section(SectionKind::SPARSE_DENSE_OFFSETS)?.array()?,
                    maxima: section(SectionKind::SPARSE_DENSE_MAXIMA)?.array()?,
                    cells: section(SectionKind::SPARSE_DENSE_CELLS)?,
                })
            },
        };
        check_sizes(&head, &directory, corrupt)?;
        let forward = if kept == Weights::None {
            None
        } else {
            Some(ForwardRows {
                kept,
                bases: section(SectionKind::SPARSE_ROW_BASES)?.array_of(windows(docs) + 1)?,
                ends: section(SectionKind::SPARSE_ROW_ENDS)?.array_of(docs as usize)?,
                rows: section(SectionKind::SPARSE_ROWS)?,
            })
        };
        let curve = container.find(SectionKind::SPARSE_CURVE, field);
        let curve = curve.map(|section| section.array::<SparsePoint>()).transpose()?;
        if let Some(curve) = &curve
            && curve.section().len() > MOST_POINTS * size_of::<SparsePoint>()
        {
            return Err(curve.section().corrupt(0, "more than 64 points"));
        }
        Ok(Some(Self { head, head_section, directory, forward, curve }))
    }

    /// Entries of all documents together.
    pub(crate) fn entries(&self) -> u64 {
        self.head.entries
    }

    /// What the steps of the effort were measured to find, the fastest first; none where nothing was
    /// measured.
    ///
    /// # Errors
    /// `Corrupt` where a number is out of its range.
    pub(super) fn curve(&self) -> Result<&[SparsePoint]> {
        let Some(curve) = &self.curve else { return Ok(&[]) };
        match curve.iter().position(|point| !point.is_sound()) {
            Some(at) => Err(curve.section().corrupt_element(at, "not a point")),
            None => Ok(curve),
        }
    }

    /// The shares of the ten best that were found at each step, as they stand in the file, and of
    /// the hundred best: all, as no step is taken where more than ten are asked for.
    pub(crate) fn recall_curve(&self) -> Vec<(f32, f32)> {
        self.curve.as_deref().unwrap_or_default().iter().map(|point| (point.recall, 1.0)).collect()
    }

    /// Bytes of the inverted index, and of the forward rows.
    #[cfg(test)]
    pub(crate) fn tier_bytes(&self) -> (u64, u64) {
        let directory = &self.directory;
        let inverted = size_of::<Head>()
            + size_of_val(&*directory.term_ids)
            + size_of_val(&*directory.entries)
            + directory.list_starts.section().len()
            + directory.list_maxima.len()
            + directory.list_postings.len()
            + size_of_val(&*directory.tiny_docs)
            + directory.tiny_impacts.len()
            + directory.dense.as_ref().map_or(0, |dense| {
                size_of_val(&*dense.starts)
                    + size_of_val(&*dense.offsets)
                    + dense.maxima.len()
                    + dense.cells.len()
            });
        let forward = self.forward.as_ref().map_or(0, |forward| {
            size_of_val(&*forward.bases) + size_of_val(&*forward.ends) + forward.rows.len()
        });
        (inverted as u64, forward as u64)
    }

    /// Documents of the segment, those that lack the field included.
    pub(super) fn docs(&self) -> u32 {
        self.head.docs
    }

    pub(super) fn head(&self) -> &Head {
        &self.head
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn postings_view(&self) -> DirectoryView<'_> {
        self.directory.postings()
    }

    pub(super) fn rows_view(&self) -> Option<Rows<'_>> {
        self.forward.as_ref().map(ForwardRows::view)
    }

    /// Damage of the field as a whole.
    pub(super) fn corrupt(&self, what: &str) -> Error {
        self.head_section.corrupt(0, what)
    }

    /// A document's vector from the forward rows; `None` if it lacks the field, or the field has no
    /// forward rows (see [`each_row`](Self::each_row)).
    ///
    /// # Errors
    /// `Corrupt` if the row cannot be read.
    pub(crate) fn row(&self, doc: DocId) -> Result<Option<SparseRow>> {
        let mut row = SparseRow::default();
        let Some(rows) = self.rows_view() else { return Ok(None) };
        Ok(self.read_row(&rows, doc, &mut row)?.then_some(row))
    }

    /// Reads a forward row into `out`; whether there is one.
    pub(super) fn read_row(
        &self,
        rows: &Rows<'_>,
        doc: DocId,
        out: &mut SparseRow,
    ) -> Result<bool> {
        out.terms.clear();
        out.weights.clear();
        let Some(view) = rows.row(doc)? else { return Ok(false) };
        let ids = self.postings_view().term_ids();
        let mut known = true;
        view.each(|ordinal, at| {
            match usize::try_from(ordinal).ok().and_then(|ordinal| ids.get(ordinal)) {
                Some(&term) => {
                    out.terms.push(term);
                    out.weights.push(view.weight(at));
                }
                None => known = false,
            }
        })
        .map_err(|what| rows.corrupt(doc, what))?;
        if !known {
            return Err(rows.corrupt(doc, "term beyond the directory"));
        }
        Ok(true)
    }

    /// Whether there are forward rows.
    pub(crate) fn has_rows(&self) -> bool {
        self.forward.is_some()
    }

    /// Calls `take` with every document that has the field, ascending, and its stored vector: from
    /// the forward rows, or, where there are none, from the postings with the weights that impacts
    /// stand for. What merging reads.
    ///
    /// # Errors
    /// `Corrupt` if something cannot be read, or whatever `take` returns.
    pub(crate) fn each_row(
        &self,
        mut take: impl FnMut(DocId, &[TermId], &[f32]) -> Result<()>,
    ) -> Result<()> {
        let mut row = SparseRow::default();
        if let Some(rows) = self.rows_view() {
            for doc in 0..self.head.docs {
                if self.read_row(&rows, doc, &mut row)? {
                    take(doc, &row.terms, &row.weights)?;
                }
            }
            return Ok(());
        }
        let ids = self.postings_view().term_ids();
        let mut windows = WindowRows::new(self.postings_view())?;
        while windows.advance()? {
            for (doc, postings) in windows.rows() {
                row.terms.clear();
                row.weights.clear();
                for &(ordinal, impact) in postings {
                    row.terms.extend(ids.get(ordinal as usize));
                    row.weights.push(windows.scale(ordinal).weight(impact));
                }
                if !postings.is_empty() {
                    take(doc, &row.terms, &row.weights)?;
                }
            }
        }
        Ok(())
    }

    /// The terms of a query that the segment knows, ascending.
    pub(super) fn known(&self, query: &SparseQuery, terms: &mut Vec<QueryTerm>) -> Result<()> {
        terms.clear();
        let postings = self.postings_view();
        for (ids, weights) in query.chunks(TOGETHER) {
            let (mut found, mut count) = ([(0, 0.0); TOGETHER], 0);
            for (&id, &weight) in ids.iter().zip(weights) {
                if let Some(ordinal) = postings.find(id) {
                    postings.fetch_entry(ordinal);
                    found[count % TOGETHER] = (ordinal, weight);
                    count += 1;
                }
            }
            for &(ordinal, weight) in &found[..count] {
                let term = postings.term(ordinal)?;
                postings.fetch_term(&term);
                terms.push(QueryTerm { ordinal, weight, term });
            }
        }
        Ok(())
    }

    /// The score of a document; `None` if it matches no term of the query.
    ///
    /// # Errors
    /// `Corrupt` if the row cannot be read.
    #[cfg(test)]
    pub(crate) fn score(&self, query: &SparseQuery, doc: DocId) -> Result<Option<f32>> {
        let (terms, members) = self.prepared(query)?;
        Scorer::new(self, &terms, &members).score(doc)
    }

    /// The parts of a document's score: per matched term its id, its weight in the query and its
    /// stored weight, ascending by term. Their products, added in this order, are the score.
    ///
    /// # Errors
    /// `Corrupt` if the row cannot be read.
    pub(crate) fn explain(
        &self,
        query: &SparseQuery,
        doc: DocId,
    ) -> Result<Vec<(TermId, f32, f32)>> {
        let (terms, members) = self.prepared(query)?;
        let ids = self.postings_view().term_ids();
        let mut parts = Vec::new();
        Scorer::new(self, &terms, &members).matches(doc, |place, stored| {
            if let Some(term) = terms.get(place)
                && let Some(&id) = ids.get(term.ordinal)
            {
                parts.push((id, term.weight, stored));
            }
        })?;
        Ok(parts)
    }

    fn prepared(&self, query: &SparseQuery) -> Result<(Vec<QueryTerm>, Membership)> {
        let (mut terms, mut members) = (Vec::new(), Membership::default());
        self.known(query, &mut terms)?;
        members.fill(
            self.directory.term_ids.len(),
            terms.iter().map(|term| (term.ordinal, term.weight)),
        );
        Ok((terms, members))
    }
}

impl ForwardRows {
    fn view(&self) -> Rows<'_> {
        Rows { forward: self, bases: &self.bases, ends: &self.ends, bytes: self.rows.bytes() }
    }
}

impl<'a> Rows<'a> {
    /// The bytes of a document's row, empty where it lacks the field.
    #[inline]
    pub(super) fn bytes(&self, doc: DocId) -> Result<&'a [u8]> {
        let at = doc as usize;
        let place = || {
            let base = usize::try_from(*self.bases.get(at >> WINDOW_BITS)?).ok()?;
            let end = *self.ends.get(at)? as usize;
            // The first row of a window starts at its base, another where the one before ends.
            let start = if at.is_multiple_of(1 << WINDOW_BITS) {
                0
            } else {
                *self.ends.get(at - 1)? as usize
            };
            self.bytes.get(base.checked_add(start)?..base.checked_add(end)?)
        };
        place().ok_or_else(|| self.corrupt(doc, "row outside the rows"))
    }

    /// Asks the memory for where a document's row lies.
    #[inline]
    pub(super) fn fetch_place(&self, doc: DocId) {
        prefetch(self.ends.get(doc as usize..).unwrap_or_default(), 4);
    }

    /// Asks the memory for a document's row.
    #[inline]
    pub(super) fn fetch_row(&self, doc: DocId) {
        if let Ok(bytes) = self.bytes(doc) {
            prefetch(bytes, 1024);
        }
    }

    /// A document's row; `None` where it lacks the field.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "what it gives is large, and taken apart at once")]
    pub(super) fn row(&self, doc: DocId) -> Result<Option<RowView<'a>>> {
        RowView::new(self.bytes(doc)?, self.forward.kept).map_err(|what| self.corrupt(doc, what))
    }

    /// Where the rows of each window start, and where the last end.
    pub(super) fn bases(&self) -> &'a [u64] {
        self.bases
    }

    /// Where each row ends, from its window's base.
    pub(super) fn ends(&self) -> &'a [u32] {
        self.ends
    }

    /// Bytes of all rows.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Damage of a document's row.
    #[cold]
    pub(super) fn corrupt(&self, doc: DocId, what: &str) -> Error {
        self.forward.rows.corrupt(0, format!("document {doc}: {what}"))
    }
}
