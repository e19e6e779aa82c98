//! What document-side pruning loses, measured before or while an index is built.

use crate::embed::{Document, SparseVector};
use crate::error::{Error, Result};
use crate::id::{Key, TermId};
use crate::index::IndexWriter;
use crate::schema::{Forward, KeyKind, Schema, SparseCodec, SparseField, SparseOptions};
use crate::search::{Query, heaviest_count};

/// One document in so many is no document of the measured index: it is asked.
const ASKED: usize = 16;
/// Most queries.
const MAX_QUERIES: usize = 200;
/// Terms of a query: the heaviest of a document, about as many as learned sparse queries have.
const QUERY_TERMS: usize = 24;

/// What is lost where only the strongest terms of each document are kept
/// ([`SparseCodec::Pruned`]) and there are no forward rows: the answers of such an index, beside
/// those of the whole vectors. With forward rows exact answers lose nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PruningLoss {
    /// Documents searched.
    pub documents: usize,
    /// Queries asked: the heaviest 24 terms of documents that are not searched.
    pub queries: usize,
    /// Entries kept, of all, 0 to 1.
    pub kept: f64,
    /// The share of the true ten best that is among the ten best found, 0 to 1.
    pub recall_10: f64,
    /// The same of a hundred.
    pub recall_100: f64,
}

impl PruningLoss {
    /// Measures on vectors of documents, or a sample of them: one in sixteen is asked, 200 at most,
    /// and the others are searched. It builds two indexes of them in memory and takes as long as
    /// that and the searches do. `percent`, 1 to 99, is the part of each document's weight that is
    /// kept.
    ///
    /// ```
    /// use lateen::{PruningLoss, SparseVector};
    ///
    /// let vectors: Vec<Vec<(u32, f32)>> = (0..64)
    ///     .map(|at| (0..20).map(|term| ((at * term) % 61, 1.0 / (term + 1) as f32)).collect())
    ///     .map(|mut vector: Vec<(u32, f32)>| {
    ///         vector.sort_by_key(|entry| entry.0);
    ///         vector.dedup_by_key(|entry| entry.0);
    ///         vector
    ///     })
    ///     .collect();
    /// let loss = PruningLoss::measure(90, vectors.iter().map(|vector| &vector[..]))?;
    /// assert!(loss.kept < 1.0 && loss.recall_10 <= 1.0);
    /// # Ok::<(), lateen::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Schema`] for a percentage out of range; [`Error::Input`] for a vector that a
    /// document cannot have.
    pub fn measure<'a, V: Into<SparseVector<'a>>>(
        percent: u8,
        documents: impl IntoIterator<Item = V>,
    ) -> Result<Self> {
        let (whole, mut all) = writer(SparseOptions::default())?;
        let options = SparseOptions::default().codec(SparseCodec::Pruned(percent));
        let (pruned, mut cut) = writer(options.forward(Forward::None))?;
        let mut asked: Vec<Vec<(TermId, f32)>> = Vec::new();
        let mut count = 0usize;
        let (mut entries, mut kept) = (0u64, 0u64);
        for (at, vector) in documents.into_iter().enumerate() {
            let vector = vector.into();
            let clean = vector.clean(&whole)?;
            let own = clean.terms.iter().copied().zip(clean.weights.iter().copied());
            let own: Vec<(TermId, f32)> = own.collect();
            if at % ASKED == ASKED - 1 && asked.len() < MAX_QUERIES {
                asked.push(own);
                continue;
            }
            entries += own.len() as u64;
            kept += heaviest_count(&own, f32::from(percent) / 100.0) as u64;
            all.add(&Document::new(at as u64).sparse(&whole, vector)?)?;
            cut.add(&Document::new(at as u64).sparse(&pruned, vector)?)?;
            count += 1;
        }
        all.commit()?;
        cut.commit()?;
        let (all, cut) = (all.reader()?, cut.reader()?);
        let mut shares = [(0usize, 0usize); 2];
        for vector in asked.iter().filter(|vector| !vector.is_empty()) {
            let best = |index: &crate::Index, field: &SparseField| -> Result<Vec<Key>> {
                let hits = index.search(
                    &Query::sparse(field, &vector[..])?.prune(QUERY_TERMS, 1.0).exact().top(100),
                )?;
                Ok(hits.iter().map(|hit| hit.key().clone()).collect())
            };
            let (truth, found) = (best(&all, &whole)?, best(&cut, &pruned)?);
            for ((hit, of), k) in shares.iter_mut().zip([10, 100]) {
                let truth = truth.get(..k.min(truth.len())).unwrap_or_default();
                *of += truth.len();
                *hit += found.iter().take(k).filter(|key| truth.contains(key)).count();
            }
        }
        let share = |(hit, of): (usize, usize)| if of == 0 { 1.0 } else { hit as f64 / of as f64 };
        Ok(Self {
            documents: count,
            queries: asked.len(),
            kept: if entries == 0 { 1.0 } else { kept as f64 / entries as f64 },
            recall_10: share(shares[0]),
            recall_100: share(shares[1]),
        })
    }
}

/// An index of one field in memory.
fn writer(options: SparseOptions) -> Result<(SparseField, IndexWriter)> {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let field = schema.sparse_with("sparse", options);
    let writer = IndexWriter::in_memory(schema.build().map_err(Error::from)?)?;
    Ok((field, writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_and_lost_is_counted() {
        // Ten terms each, of weights 10, 9 … 1: 55 in all, of which the first four hold 34.
        let documents: Vec<Vec<(TermId, f32)>> = (0..320u32)
            .map(|at| {
                let mut own: Vec<_> = (0..10u16)
                    .map(|i| (at * 7919 % 97 + 97 * u32::from(i), f32::from(10 - i)))
                    .collect();
                own.rotate_left(at as usize % 10);
                own.sort_unstable_by_key(|entry| entry.0);
                own
            })
            .collect();
        let measured =
            |percent| PruningLoss::measure(percent, documents.iter().map(|own| &own[..])).unwrap();
        let half = measured(60);
        assert_eq!((half.documents, half.queries), (300, 20));
        assert!((half.kept - 0.4).abs() < 1e-9, "{half:?}");
        let most = measured(99);
        assert!((most.kept - 1.0).abs() < 1e-9, "{most:?}");
        assert!((most.recall_10 - 1.0).abs() < 1e-9 && most.recall_100 >= half.recall_100);
        let bad = PruningLoss::measure(0, documents.iter().map(|own| &own[..]));
        assert!(matches!(bad, Err(Error::Schema(_))), "{bad:?}");
        // Each document has a heavy term of its own, and a light one that a tenth of all share: by
        // the light ones the whole vectors find others, and where they are cut off nothing does.
        let own: Vec<[(TermId, f32); 2]> =
            (0..(202 * ASKED) as u32).map(|at| [(at % 10, 1.0), (10 + at, 9.5)]).collect();
        let measured =
            |percent| PruningLoss::measure(percent, own.iter().map(|own| &own[..])).unwrap();
        let light = measured(90);
        assert_eq!((light.documents, light.queries), (202 * ASKED - MAX_QUERIES, MAX_QUERIES));
        assert_eq!((light.kept, light.recall_10, light.recall_100), (0.5, 0.0, 0.0));
        let all = measured(99);
        assert_eq!((all.kept, all.recall_10, all.recall_100), (1.0, 1.0, 1.0));
        let none: [&[(TermId, f32)]; 0] = [];
        let none = PruningLoss::measure(50, none).unwrap();
        assert_eq!((none.documents, none.queries), (0, 0));
    }
}
