//! Documents × terms turned over: the postings of each term, in document order, as impacts.
//!
//! Memory stays bounded whatever the number of documents: a first pass over the rows counts and
//! takes maxima ([`survey`]), and then each batch of terms gets its postings in a pass of its own
//! ([`Shape::fill`]). Batches decide how often rows are read, never what is written.

use std::collections::HashMap;
use std::ops::Range;

use half::f16;

use crate::codec::impact::{Quantizer, Scale};
use crate::error::Result;
use crate::id::{DocId, TermId};
use crate::schema::{Forward, SparseCodec, SparseOptions};

/// What is given each document: its terms and weights.
pub(super) type Take<'t> = dyn FnMut(DocId, &[TermId], &[f32]) + 't;

/// Documents in their order, read as often as it takes.
pub(super) trait RowSource: Sync {
    /// How many documents there are, those without the field included.
    fn docs(&self) -> u32;

    /// Calls `take` with each document of a range that has the field, ascending: its terms,
    /// ascending, and as many weights above zero.
    fn each(&self, docs: Range<DocId>, take: &mut Take<'_>) -> Result<()>;

    /// Whether what is to be left out of documents is left out of these already.
    fn is_cut(&self) -> bool {
        false
    }

    /// The scale of a term, where it does not follow from its weights.
    fn scale(&self, _term: TermId) -> Result<Option<Scale>> {
        Ok(None)
    }

    /// Appends the postings of a term on a scale, where they are at hand as they shall be; whether
    /// they are.
    fn postings(
        &self,
        _term: TermId,
        _scale: Scale,
        _docs: &mut Vec<DocId>,
        _impacts: &mut Vec<u8>,
    ) -> Result<bool> {
        Ok(false)
    }
}

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
    /// The f16 kept for a weight: the nearest, but never 0 and never infinite, so that what was a
    /// finite weight above zero stays one.
    pub(super) fn half(weight: f32) -> f16 {
        f16::from_f32(weight).clamp(f16::from_bits(1), f16::MAX)
    }

    /// Whether a weight is exact in f16: told from its bits where it is neither large nor small.
    #[inline]
    pub(super) fn is_half(weight: f32) -> bool {
        let bits = weight.to_bits();
        if (113 << 23..143 << 23).contains(&bits) {
            bits.trailing_zeros() >= 13
        } else {
            f16::from_f32(weight).to_f32() == weight
        }
    }
}

/// The value that is kept of a weight, and that impacts must bound: the weight itself, unless f16
/// is asked for.
fn kept(forward: Forward, weight: f32) -> f32 {
    if forward == Forward::F16 { Weights::half(weight).to_f32() } else { weight }
}

/// Term ids to ordinals.
#[derive(Debug, Default)]
struct Ordinals {
    /// Of ids below [`TABLE`], as far as there are some.
    low: Vec<u32>,
    /// Of the others.
    high: HashMap<TermId, u32>,
}

/// Ids that are looked up in a table: any vocabulary of word pieces, and 4 MiB at most.
const TABLE: u32 = 1 << 20;
/// No ordinal.
const NONE: u32 = u32::MAX;

impl Ordinals {
    /// The number of a term, a new one where it has none.
    #[inline]
    fn number(&mut self, term: TermId, terms: &mut Vec<TermId>) -> usize {
        let number = if term < TABLE {
            let at = term as usize;
            if at >= self.low.len() {
                self.low.resize(at + 1, NONE);
            }
            &mut self.low[at]
        } else {
            self.high.entry(term).or_insert(NONE)
        };
        if *number == NONE {
            *number = u32::try_from(terms.len()).unwrap_or(NONE);
            terms.push(term);
        }
        *number as usize
    }

    #[inline]
    fn get(&self, term: TermId) -> u32 {
        if term < TABLE {
            self.low.get(term as usize).copied().unwrap_or(NONE)
        } else {
            self.high.get(&term).copied().unwrap_or(NONE)
        }
    }
}

/// The weakest posting of a document that the inverted index keeps: its weight and its term.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut(f32, TermId);

impl Cut {
    /// Everything is kept.
    const NOTHING: Self = Self(0.0, TermId::MAX);

    /// Keeps the strongest postings, the smaller term first among equals, as few as hold `percent`
    /// of the weight of all. `order` is working memory.
    pub(super) fn of(terms: &[TermId], weights: &[f32], percent: u8, order: &mut Vec<u32>) -> Self {
        order.clear();
        order.extend((0u32..).take(terms.len()));
        let weight = |at: u32| weights.get(at as usize).copied().unwrap_or(0.0);
        // Terms ascend, so places do as well.
        order.sort_unstable_by(|&a, &b| weight(b).total_cmp(&weight(a)).then(a.cmp(&b)));
        let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let mut held = 0.0;
        for &at in &*order {
            held += f64::from(weight(at));
            if held * 100.0 >= total * f64::from(percent) {
                return Self(weight(at), terms.get(at as usize).copied().unwrap_or(TermId::MAX));
            }
        }
        Self::NOTHING
    }

    /// Whether it keeps a posting.
    #[inline]
    pub(super) fn keeps(self, term: TermId, weight: f32) -> bool {
        weight > self.0 || (weight == self.0 && term <= self.1)
    }
}

/// What all rows together are, before any of them is turned over.
#[derive(Debug)]
pub(super) struct Shape {
    /// Documents that have the field.
    pub(super) rows: u32,
    /// Entries of all documents together.
    pub(super) entries: u64,
    /// How forward weights are kept.
    pub(super) weights: Weights,
    /// Distinct terms, ascending.
    pub(super) terms: Vec<TermId>,
    /// Per term, how many postings the inverted index keeps.
    pub(super) counts: Vec<u32>,
    /// Per term, the scale.
    pub(super) scales: Vec<Scale>,
    /// Per term, the largest impact of what the inverted index leaves out; 0 for nothing.
    pub(super) left: Vec<u8>,
    ordinals: Ordinals,
    forward: Forward,
    /// Per document, where postings are left out.
    cuts: Vec<Cut>,
}

/// The largest impact of a codec.
pub(super) fn top_impact(codec: SparseCodec) -> u8 {
    match codec {
        SparseCodec::U8 | SparseCodec::Pruned(_) => u8::MAX,
        SparseCodec::U4 => 15,
    }
}

/// Reads all rows once.
pub(super) fn survey(source: &dyn RowSource, options: &SparseOptions) -> Result<Shape> {
    let forward = options.forward;
    let percent = options.codec.percent().filter(|_| !source.is_cut());
    let mut terms: Vec<TermId> = Vec::new();
    let mut ordinals = Ordinals::default();
    let mut tallies: Vec<Tally> = Vec::new();
    let mut cuts = Vec::new();
    if percent.is_some() {
        cuts.resize(source.docs() as usize, Cut::NOTHING);
    }
    let (mut rows, mut entries, mut halves) = (0u32, 0u64, true);
    let (mut order, mut values) = (Vec::new(), Vec::new());
    source.each(0..source.docs(), &mut |doc, row, weights| {
        rows += 1;
        let weights = if forward == Forward::F16 {
            values.clear();
            values.extend(weights.iter().map(|&weight| kept(forward, weight)));
            &values[..]
        } else {
            weights
        };
        let mut cut = Cut::NOTHING;
        if let Some(percent) = percent {
            cut = Cut::of(row, weights, percent, &mut order);
            cuts[doc as usize] = cut;
        }
        for (&term, &weight) in row.iter().zip(weights) {
            let keep = cut.keeps(term, weight);
            if !keep && forward == Forward::None {
                continue;
            }
            entries += 1;
            halves = halves && Weights::is_half(weight);
            let number = ordinals.number(term, &mut terms);
            if number == tallies.len() {
                tallies.push(Tally::default());
            }
            let tally = &mut tallies[number];
            tally.largest = tally.largest.max(weight);
            if keep {
                tally.count += 1;
            } else {
                tally.left = tally.left.max(weight);
            }
        }
    })?;

    // From the order of coming to that of ids.
    let mut by_id: Vec<u32> = (0u32..).take(terms.len()).collect();
    by_id.sort_unstable_by_key(|&number| terms[number as usize]);
    let tallies: Vec<Tally> = by_id.iter().map(|&number| tallies[number as usize]).collect();
    terms.sort_unstable();
    for (ordinal, &term) in (0u32..).zip(&terms) {
        if term < TABLE {
            ordinals.low[term as usize] = ordinal;
        } else {
            ordinals.high.insert(term, ordinal);
        }
    }
    let top = top_impact(options.codec);
    let scale = |(&term, tally): (&TermId, &Tally)| {
        Ok(source.scale(term)?.unwrap_or_else(|| Scale::for_largest(tally.largest, top)))
    };
    let scales: Vec<Scale> = terms.iter().zip(&tallies).map(scale).collect::<Result<_>>()?;
    let left = |(tally, scale): (&Tally, &Scale)| match tally.left {
        0.0 => 0,
        left => scale.impact(left),
    };
    Ok(Shape {
        rows,
        entries,
        weights: match forward {
            Forward::None => Weights::None,
            Forward::F16 => Weights::F16,
            Forward::Auto if halves => Weights::F16,
            Forward::F32 | Forward::Auto => Weights::F32,
        },
        counts: tallies.iter().map(|tally| tally.count).collect(),
        left: tallies.iter().zip(&scales).map(left).collect(),
        terms,
        scales,
        ordinals,
        forward,
        cuts,
    })
}

/// What the first pass gathers of a term.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    count: u32,
    largest: f32,
    left: f32,
}

/// The postings of some terms.
#[derive(Debug)]
pub(super) struct Postings {
    /// Where each term's start, and where the last end.
    starts: Vec<usize>,
    docs: Vec<DocId>,
    impacts: Vec<u8>,
}

impl Postings {
    /// The documents of the `at`-th of the terms, ascending, and their impacts.
    pub(super) fn term(&self, at: usize) -> (&[DocId], &[u8]) {
        let range = self.starts[at]..self.starts[at + 1];
        (&self.docs[range.clone()], &self.impacts[range])
    }
}

impl Shape {
    /// The ordinal of a term of the rows.
    #[inline]
    pub(super) fn ordinal(&self, term: TermId) -> u32 {
        self.ordinals.get(term)
    }

    /// Gathers the postings of some terms, of these ordinals.
    pub(super) fn fill(&self, source: &dyn RowSource, terms: &[u32]) -> Result<Postings> {
        let mut starts = Vec::with_capacity(terms.len() + 1);
        let mut total = 0;
        for &ordinal in terms {
            starts.push(total);
            total += self.counts[ordinal as usize] as usize;
        }
        starts.push(total);
        let mut docs = vec![0; total];
        let mut impacts = vec![0; total];
        // Where the next posting of each term goes; NONE for a term of another batch.
        let mut next = vec![NONE; self.terms.len()];
        let mut places = Places { low: vec![NONE; self.ordinals.low.len()], last: 0 };
        let mut waiting = false;
        let (mut ready_docs, mut ready_impacts) = (Vec::new(), Vec::new());
        for (&ordinal, &start) in terms.iter().zip(&starts) {
            let at = ordinal as usize;
            let count = self.counts[at] as usize;
            ready_docs.clear();
            ready_impacts.clear();
            let (term, scale) = (self.terms[at], self.scales[at]);
            let ready = source.postings(term, scale, &mut ready_docs, &mut ready_impacts)?;
            if ready && ready_docs.len() == count && ready_impacts.len() == count {
                docs[start..start + count].copy_from_slice(&ready_docs);
                impacts[start..start + count].copy_from_slice(&ready_impacts);
            } else {
                // A batch has fewer postings than 2^32 unless one term has more, and none has.
                next[at] = u32::try_from(start).unwrap_or(NONE);
                places.wait(term, ordinal);
                waiting = true;
            }
        }
        if waiting {
            let quantizers: Vec<Quantizer> =
                self.scales.iter().map(|&scale| Quantizer::new(scale)).collect();
            source.each(0..source.docs(), &mut |doc, row, weights| {
                let cut = self.cuts.get(doc as usize).copied().unwrap_or(Cut::NOTHING);
                for (&term, &weight) in row.iter().zip(weights) {
                    if term > places.last {
                        break;
                    }
                    let ordinal = places.ordinal(term, &self.ordinals) as usize;
                    let Some(place) = next.get_mut(ordinal).filter(|place| **place != NONE) else {
                        continue;
                    };
                    let weight = kept(self.forward, weight);
                    if !cut.keeps(term, weight) {
                        continue;
                    }
                    let at = *place as usize;
                    docs[at] = doc;
                    impacts[at] = quantizers[ordinal].impact(weight);
                    *place += 1;
                }
            })?;
        }
        Ok(Postings { starts, docs, impacts })
    }
}

/// The terms of a batch that wait for their postings.
struct Places {
    /// By id, as [`Ordinals::low`]: NONE for a term that does not wait.
    low: Vec<u32>,
    /// The largest of them: what comes after it in a row is passed over.
    last: TermId,
}

impl Places {
    fn wait(&mut self, term: TermId, ordinal: u32) {
        if let Some(low) = self.low.get_mut(term as usize) {
            *low = ordinal;
        }
        self.last = self.last.max(term);
    }

    /// The ordinal of a term, NONE where one that has a place in the table does not wait.
    #[inline]
    fn ordinal(&self, term: TermId, all: &Ordinals) -> u32 {
        match self.low.get(term as usize) {
            Some(&ordinal) => ordinal,
            None => all.get(term),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows<'a> = Vec<(&'a [TermId], &'a [f32])>;

    impl RowSource for Rows<'_> {
        fn docs(&self) -> u32 {
            u32::try_from(self.len()).unwrap()
        }

        fn each(&self, docs: Range<DocId>, take: &mut Take<'_>) -> Result<()> {
            for doc in docs {
                let (terms, weights) = self[doc as usize];
                if !terms.is_empty() {
                    take(doc, terms, weights);
                }
            }
            Ok(())
        }
    }

    fn options(codec: SparseCodec, forward: Forward) -> SparseOptions {
        SparseOptions::default().codec(codec).forward(forward)
    }

    #[test]
    fn terms_of_any_id() {
        for top in [9u32, TABLE, u32::MAX] {
            let wide = [3, 5, top];
            let rows: Rows<'_> = vec![(&wide, &[1.0, 0.25, 3.0]), (&[], &[]), (&[5], &[0.5])];
            for codec in [SparseCodec::U8, SparseCodec::U4] {
                let shape = survey(&rows, &options(codec, Forward::Auto)).unwrap();
                assert_eq!((shape.rows, shape.entries), (2, 4));
                assert_eq!(
                    (&shape.terms[..], &shape.counts[..]),
                    (&[3, 5, top][..], &[1, 2, 1][..])
                );
                assert_eq!(
                    (shape.ordinal(3), shape.ordinal(5), shape.ordinal(top), shape.ordinal(4)),
                    (0, 1, 2, NONE)
                );
                let scale = Scale::for_largest(0.5, top_impact(codec));
                let postings = shape.fill(&rows, &[1, 2]).unwrap();
                let impacts = [scale.impact(0.25), scale.impact(0.5)];
                assert_eq!(postings.term(0), (&[0, 2][..], &impacts[..]));
                assert_eq!(postings.term(1).0, [0]);
                assert!(impacts[1] <= top_impact(codec));
            }
        }
    }

    #[test]
    fn halves_are_taken_only_where_exact() {
        let weights = |weight: f32, forward| {
            let weight = [weight];
            let rows: Rows<'_> = vec![(&[1], &weight)];
            let shape = survey(&rows, &options(SparseCodec::U8, forward)).unwrap();
            let postings = shape.fill(&rows, &[0]).unwrap();
            assert!(postings.term(0).1[0] > 0);
            shape.weights
        };
        for weight in [0.5, 65504.0] {
            assert_eq!(weights(weight, Forward::Auto), Weights::F16);
        }
        for weight in [0.1, 65520.0, 1e-30] {
            assert_eq!(weights(weight, Forward::Auto), Weights::F32);
            assert_eq!(weights(weight, Forward::F16), Weights::F16);
            let kept = kept(Forward::F16, weight);
            assert!(kept > 0.0 && kept.is_finite());
        }
    }

    #[test]
    fn cuts_keep_the_strongest() {
        let mut order = Vec::new();
        let mut kept = |weights: &[f32], percent| {
            let terms: Vec<u32> = (10..).take(weights.len()).collect();
            let cut = Cut::of(&terms, weights, percent, &mut order);
            let all = terms.iter().zip(weights);
            all.filter(|&(&t, &w)| cut.keeps(t, w)).map(|(&t, _)| t - 10).collect::<Vec<_>>()
        };
        assert_eq!(kept(&[1.0, 5.0, 2.0, 2.0], 50), [1]);
        assert_eq!(kept(&[1.0, 5.0, 2.0, 2.0], 51), [1, 2]);
        assert_eq!(kept(&[1.0, 5.0, 2.0, 2.0], 71), [1, 2, 3]);
        assert_eq!(kept(&[1.0, 5.0, 2.0, 2.0], 99), [0, 1, 2, 3]);
        assert_eq!(kept(&[3.0], 1), [0]);
        assert_eq!(kept(&[f32::MAX, f32::from_bits(1)], 99), [0]);
    }

    #[test]
    fn what_is_left_out_is_bounded_by_its_term() {
        let rows: Rows<'_> = vec![(&[1, 2], &[9.0, 0.5]), (&[2, 3], &[4.0, 0.25])];
        let shape = survey(&rows, &options(SparseCodec::Pruned(90), Forward::Auto)).unwrap();
        assert_eq!((&shape.counts[..], shape.entries), (&[1, 1, 0][..], 4));
        let scale = shape.scales[1];
        assert_eq!(shape.left, [0, scale.impact(0.5), shape.scales[2].impact(0.25)]);
        assert_eq!(
            shape.fill(&rows, &[0, 1, 2]).unwrap().term(1),
            (&[1][..], &[scale.impact(4.0)][..])
        );
        // Without rows what is left out is nowhere.
        let shape = survey(&rows, &options(SparseCodec::Pruned(90), Forward::None)).unwrap();
        assert_eq!((&shape.terms[..], shape.entries), (&[1, 2][..], 2));
        assert_eq!(shape.left, [0, 0]);
    }
}
