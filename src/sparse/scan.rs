//! Search without the inverted index: each document's own row against the query. The way to take
//! where few documents are looked through, and to score documents that came from elsewhere.

use crate::docset::DocSet;
use crate::error::Result;
use crate::id::DocId;
use crate::kernel::Kernels;
use crate::topk::TopK;

use super::index::{Exactness, SparseIndex};
use super::query::SparseQuery;
use super::score::{RowScorer, Scorer};
use super::search::SparseScratch;

/// One document in so many is where a scan of rows begins to be faster than the inverted index:
/// measured on 80,000 documents of 124 terms each, queries of 24, AVX-512. A row takes 0.27 µs, so
/// 1 % of the documents take 216 µs, where the inverted index takes 88 with a random filter and 28
/// where they stand together; 0.1 % of them take 19.
const FEW: u32 = 512;
/// The same where there are no rows, and each term's postings are looked up instead: taken to be
/// four times as long, which was not measured.
const FEW_WITHOUT_ROWS: u32 = 2048;
/// How many documents are scored between two looks at the clock.
const CHECK: usize = 256;
/// How many documents before its turn a row is asked of the memory.
const AHEAD: usize = 4;

impl SparseIndex {
    /// Whether so few documents are looked through that their own rows are the faster way.
    pub(crate) fn scan_is_cheaper(&self, looked_through: u32) -> bool {
        let share = if self.rows_view().is_some() { FEW } else { FEW_WITHOUT_ROWS };
        looked_through <= self.docs() / share
    }

    /// What [`search`](Self::search) gives, document by document.
    ///
    /// # Errors
    /// `Corrupt` if a row cannot be read.
    pub(crate) fn scan(
        &self,
        query: &SparseQuery,
        kernels: &Kernels,
        docs: &DocSet,
        top: &mut TopK<'_>,
        scratch: &mut SparseScratch,
    ) -> Result<Exactness> {
        let docs: Vec<DocId> = docs.iter().take_while(|&doc| doc < self.docs()).collect();
        let mut stopped = false;
        self.score_each(query, kernels, &docs, scratch, |at, doc, score| {
            if let Some(score) = score {
                top.push(doc, score);
            }
            stopped = stopped || (at % CHECK == CHECK - 1 && top.stopped());
            !stopped
        })?;
        let exact = self.rows_view().is_some();
        Ok(if exact { Exactness::Certified } else { Exactness::OnQuantised })
    }

    /// Calls `take` with the place, document and score of each document, until it says `false`;
    /// one that shares no term with the query has no score.
    ///
    /// # Errors
    /// `Corrupt` if a row cannot be read.
    pub(crate) fn score_each(
        &self,
        query: &SparseQuery,
        kernels: &Kernels,
        docs: &[DocId],
        scratch: &mut SparseScratch,
        mut take: impl FnMut(usize, DocId, Option<f32>) -> bool,
    ) -> Result<()> {
        let SparseScratch { terms, members, hits, .. } = scratch;
        self.known(query, terms)?;
        let count = self.postings_view().term_ids().len();
        members.fill(count, terms.iter().map(|term| term.ordinal));
        let mut scorer = RowScorer::new(&Scorer::new(self, terms, members), kernels, hits);
        for (at, &doc) in docs.iter().enumerate() {
            if let Some(&later) = docs.get(at + 2 * AHEAD) {
                scorer.fetch_place(later);
            }
            if let Some(&later) = docs.get(at + AHEAD) {
                scorer.fetch_row(later);
            }
            if !take(at, doc, scorer.score(doc)?) {
                break;
            }
        }
        Ok(())
    }
}
