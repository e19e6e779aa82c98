//! The score of one document: f32, in ascending term id, multiply then add.

use crate::error::Result;
use crate::id::DocId;
use crate::kernel::Kernels;
use crate::kernel::postings::{PostingKernels, RowHits};

use super::directory::{DirectoryView, Term};
use super::index::{Rows, SparseIndex};
use super::query::Membership;

/// A term of a query that the segment knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueryTerm {
    /// Its place in the segment's directory.
    pub(super) ordinal: usize,
    /// Its weight in the query.
    pub(super) weight: f32,
    /// Its entry.
    pub(super) term: Term,
}

/// Scores documents against one query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scorer<'a> {
    rows: Option<Rows<'a>>,
    postings: DirectoryView<'a>,
    terms: &'a [QueryTerm],
    members: &'a Membership,
}

impl<'a> Scorer<'a> {
    /// For the known terms of a query, ascending, and the same as a membership.
    pub(super) fn new(
        index: &'a SparseIndex,
        terms: &'a [QueryTerm],
        members: &'a Membership,
    ) -> Self {
        Self { rows: index.rows_view(), postings: index.postings_view(), terms, members }
    }

    /// Calls `take` with the place among the terms and the stored weight of each term that the
    /// document matches, ascending. Without forward rows the stored weight is the one its impact
    /// stands for.
    #[inline]
    pub(super) fn matches(&self, doc: DocId, mut take: impl FnMut(usize, f32)) -> Result<()> {
        let Some(rows) = &self.rows else {
            for (place, term) in self.terms.iter().enumerate() {
                if let Some(impact) = self.postings.impact(&term.term, doc)? {
                    take(place, term.term.scale.weight(impact));
                }
            }
            return Ok(());
        };
        let Some(row) = rows.row(doc)? else { return Ok(()) };
        let mut last = 0;
        row.each(|ordinal, at| {
            last = ordinal;
            if let Some(place) = self.members.place(ordinal) {
                take(place, row.weight(at));
            }
        })
        .map_err(|what| rows.corrupt(doc, what))?;
        if last >= self.postings.term_ids().len() as u64 {
            return Err(rows.corrupt(doc, "term beyond the directory"));
        }
        Ok(())
    }

    /// The score of a document, if it matches any term.
    pub(super) fn score(&self, doc: DocId) -> Result<Option<f32>> {
        let mut score = 0f32;
        let mut any = false;
        self.matches(doc, |place, stored| {
            if let Some(term) = self.terms.get(place) {
                score += term.weight * stored;
                any = true;
            }
        })?;
        Ok(any.then(|| number(score)))
    }
}

/// A sum of infinities of both signs, which only weights below zero can give, counts as −∞.
fn number(score: f32) -> f32 {
    if score.is_nan() { f32::NEG_INFINITY } else { score }
}

/// Scores many documents against one query: what [`Scorer`] says, faster.
#[derive(Debug)]
pub(super) struct RowScorer<'a> {
    scorer: Scorer<'a>,
    kernels: &'a PostingKernels,
    hits: &'a mut RowHits,
}

impl<'a> RowScorer<'a> {
    /// `hits` is working memory.
    pub(super) fn new(scorer: &Scorer<'a>, kernels: &'a Kernels, hits: &'a mut RowHits) -> Self {
        Self { scorer: *scorer, kernels: &kernels.postings, hits }
    }

    /// Asks the memory for where a document's row lies.
    #[inline]
    pub(super) fn fetch_place(&self, doc: DocId) {
        if let Some(rows) = &self.scorer.rows {
            rows.fetch_place(doc);
        }
    }

    /// Asks the memory for a document's row, whose place should have come by now.
    #[inline]
    pub(super) fn fetch_row(&self, doc: DocId) {
        if let Some(rows) = &self.scorer.rows {
            rows.fetch_row(doc);
        }
    }

    /// The score of a document, if it matches any term.
    pub(super) fn score(&mut self, doc: DocId) -> Result<Option<f32>> {
        let Scorer { rows: Some(rows), terms, members, .. } = &self.scorer else {
            return self.scorer.score(doc);
        };
        let Some(row) = rows.row(doc)? else { return Ok(None) };
        let Some(gaps) = row.short_gaps() else { return self.scorer.score(doc) };
        (self.kernels.row_hits)(gaps, members.filter(), self.hits);
        let score = match members.slots() {
            Some(slots) => row.dot(self.hits, |ordinal| slots.weight(ordinal)),
            None => row.dot(self.hits, |ordinal| {
                let place = members.place(u64::from(ordinal));
                place.and_then(|place| terms.get(place)).map_or(0.0, |term| term.weight)
            }),
        };
        Ok(score.map(number))
    }
}
