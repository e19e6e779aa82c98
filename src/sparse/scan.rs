//! Search without the inverted index: each document's own row against the query. The way to take
//! where few documents are looked through, and to score documents that came from elsewhere.

use crate::docset::DocSet;
use crate::error::Result;
use crate::id::DocId;
use crate::kernel::Kernels;
use crate::kernel::postings::GROUPS;
use crate::topk::TopK;

use super::index::{Exactness, SparseIndex};
use super::query::SparseQuery;
use super::score::{RowScorer, Scorer};
use super::search::SparseScratch;

/// Up to so many documents for each window that has any, a scan of rows is faster than the inverted
/// index, which visits the window for one document as it does for many: measured on 80,000
/// documents of 124 terms each, queries of 24, AVX-512. There a row takes 0.14 to 0.19 µs, the more
/// the further they lie apart, and a window with few documents two.
const FEW: usize = 12;
/// The same where there are no rows, and each term's postings are looked up instead: taken to be
/// four times as long, which was not measured.
const FEW_WITHOUT_ROWS: usize = 3;
/// How many documents are scored between two looks at the clock.
const CHECK: usize = 256;
/// How many documents before its turn a row is asked of the memory.
const AHEAD: usize = 4;

impl SparseIndex {
    /// Whether the documents that are looked through, `count` of them, are so few where they lie that
    /// their own rows are the faster way.
    pub(crate) fn scan_is_cheaper(&self, docs: &DocSet, count: u32) -> bool {
        let few = if self.rows_view().is_some() { FEW } else { FEW_WITHOUT_ROWS };
        let windows =
            docs.words().chunks(GROUPS).filter(|words| words.iter().any(|&word| word != 0));
        // Most filters leave more than the windows that there are can make cheaper.
        let all = docs.words().len().div_ceil(GROUPS);
        count as usize <= few * all && count as usize <= few * windows.count()
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
        members.fill(count, terms.iter().map(|term| (term.ordinal, term.weight)));
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
