//! Documents × terms turned over: the postings of each term, in document order, as impacts.

use std::collections::HashMap;

use half::f16;

use crate::codec::impact::Scale;
use crate::id::TermId;
use crate::schema::Forward;

/// A document's vector: terms ascending and their weights; empty where it lacks the field.
pub(super) type Row<'a> = (&'a [TermId], &'a [f32]);

/// How forward weights are kept, decided for a whole segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    /// Nowhere.
    None,
    /// As f16.
    F16,
    /// As f32.
    F32,
}

impl Weights {
    /// What the option asks for, given the weights there are.
    fn choose(forward: Forward, rows: &[Row<'_>]) -> Self {
        let fits = |&w: &f32| f16::from_f32(w).to_f32() == w;
        match forward {
            Forward::None => Self::None,
            Forward::F16 => Self::F16,
            Forward::Auto if rows.iter().all(|(_, weights)| weights.iter().all(fits)) => Self::F16,
            Forward::F32 | Forward::Auto => Self::F32,
        }
    }

    /// The f16 kept for a weight: the nearest, but never 0 and never infinite, so that what was a
    /// finite weight above zero stays one.
    pub(super) fn half(weight: f32) -> f16 {
        f16::from_f32(weight).clamp(f16::from_bits(1), f16::MAX)
    }

    /// The value that is kept of a weight, and that impacts must bound.
    fn kept(self, weight: f32) -> f32 {
        match self {
            Self::None | Self::F32 => weight,
            Self::F16 => Self::half(weight).to_f32(),
        }
    }
}

/// Term ids to ordinals.
enum Ordinals {
    /// By id, where ids are not much larger than there are postings.
    Table(Vec<u32>),
    /// By look-up.
    Map(HashMap<TermId, u32>),
}

impl Ordinals {
    /// The distinct terms of the rows, ascending, and the way back.
    fn of(rows: &[Row<'_>]) -> (Vec<TermId>, Self) {
        let postings: usize = rows.iter().map(|(terms, _)| terms.len()).sum();
        let largest = rows.iter().filter_map(|(terms, _)| terms.last()).max().copied().unwrap_or(0);
        let all = rows.iter().flat_map(|(terms, _)| terms.iter().copied());
        if largest as usize <= 2 * postings + (1 << 16) {
            let mut table = vec![0u32; largest as usize + 1];
            for term in all {
                table[term as usize] = 1;
            }
            let mut terms = Vec::new();
            for (term, seen) in (0u32..).zip(&mut table) {
                if *seen == 1 {
                    *seen = ordinal(terms.len());
                    terms.push(term);
                }
            }
            (terms, Self::Table(table))
        } else {
            let mut map: HashMap<TermId, u32> = HashMap::new();
            for term in all {
                map.insert(term, 0);
            }
            let mut terms: Vec<TermId> = map.keys().copied().collect();
            terms.sort_unstable();
            for (at, term) in terms.iter().enumerate() {
                map.insert(*term, ordinal(at));
            }
            (terms, Self::Map(map))
        }
    }

    /// The ordinal of a term that is among the rows'.
    #[inline]
    fn get(&self, term: TermId) -> u32 {
        match self {
            Self::Table(table) => table[term as usize],
            Self::Map(map) => map[&term],
        }
    }
}

/// A count of terms as an ordinal.
fn ordinal(count: usize) -> u32 {
    u32::try_from(count).expect("term ids are u32, so distinct ones are at most 2^32, less 1 here")
}

/// The postings of all terms.
pub(super) struct Inverted {
    /// Distinct terms, ascending.
    pub(super) terms: Vec<TermId>,
    /// Their scales.
    pub(super) scales: Vec<Scale>,
    /// How forward weights are kept.
    pub(super) weights: Weights,
    /// Where each term's postings start, and where the last end.
    starts: Vec<usize>,
    docs: Vec<u32>,
    impacts: Vec<u8>,
    ordinals: Ordinals,
}

impl Inverted {
    /// Turns over the rows of documents 0, 1, 2, …: a counting sort by term.
    pub(super) fn new(rows: &[Row<'_>], forward: Forward) -> Self {
        let weights = Weights::choose(forward, rows);
        let (terms, ordinals) = Ordinals::of(rows);
        let mut counts = vec![0usize; terms.len()];
        let mut largest = vec![0f32; terms.len()];
        for (row, row_weights) in rows {
            for (&term, &weight) in row.iter().zip(*row_weights) {
                let at = ordinals.get(term) as usize;
                counts[at] += 1;
                largest[at] = largest[at].max(weights.kept(weight));
            }
        }
        let scales: Vec<Scale> = largest.iter().map(|&max| Scale::for_largest(max)).collect();
        let mut starts = Vec::with_capacity(terms.len() + 1);
        let mut total = 0;
        for count in &counts {
            starts.push(total);
            total += count;
        }
        starts.push(total);

        let mut next = starts.clone();
        let mut docs = vec![0u32; total];
        let mut impacts = vec![0u8; total];
        for (doc, (row, row_weights)) in (0u32..).zip(rows) {
            for (&term, &weight) in row.iter().zip(*row_weights) {
                let at = ordinals.get(term) as usize;
                docs[next[at]] = doc;
                impacts[next[at]] = scales[at].impact(weights.kept(weight));
                next[at] += 1;
            }
        }
        Self { terms, scales, weights, starts, docs, impacts, ordinals }
    }

    /// Entries of all documents together.
    pub(super) fn postings(&self) -> usize {
        self.docs.len()
    }

    /// Documents that have the term of an ordinal.
    pub(super) fn count(&self, ordinal: usize) -> usize {
        self.starts[ordinal + 1] - self.starts[ordinal]
    }

    /// Its documents, ascending, and their impacts.
    pub(super) fn term(&self, ordinal: usize) -> (&[u32], &[u8]) {
        let range = self.starts[ordinal]..self.starts[ordinal + 1];
        (&self.docs[range.clone()], &self.impacts[range])
    }

    /// The ordinal of a term of the rows.
    #[inline]
    pub(super) fn ordinal(&self, term: TermId) -> u32 {
        self.ordinals.get(term)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_ordinals_agree() {
        for top in [9u32, u32::MAX] {
            let rows: [Row<'_>; 3] =
                [(&[3, 5, top], &[1.0, 0.25, 3.0]), (&[], &[]), (&[5], &[0.5])];
            let inverted = Inverted::new(&rows, Forward::Auto);
            assert_eq!(inverted.terms, [3, 5, top]);
            assert_eq!(matches!(inverted.ordinals, Ordinals::Map(_)), top == u32::MAX);
            assert_eq!(
                (inverted.ordinal(3), inverted.ordinal(5), inverted.ordinal(top)),
                (0, 1, 2)
            );
            assert_eq!(inverted.term(1).0, [0, 2]);
            let scale = Scale::for_largest(0.5);
            assert_eq!(inverted.term(1).1, [scale.impact(0.25), scale.impact(0.5)]);
        }
    }

    #[test]
    fn halves_are_taken_only_where_exact() {
        let exact: [Row<'_>; 1] = [(&[1, 2], &[0.5, 65504.0])];
        assert_eq!(Weights::choose(Forward::Auto, &exact), Weights::F16);
        for weight in [0.1, 65520.0, 1e-30] {
            let weights = [weight];
            let rows: [Row<'_>; 1] = [(&[1], &weights)];
            assert_eq!(Weights::choose(Forward::Auto, &rows), Weights::F32);
            let kept = Weights::F16.kept(weight);
            assert!(kept > 0.0 && kept.is_finite());
        }
    }
}
