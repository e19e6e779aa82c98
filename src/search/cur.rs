//! Budgeted search with an expensive scorer: the scores of a new query, guessed for all documents
//! from a few exact ones.
//!
//! A matrix of exact scores, anchor queries × documents, is made once. A new query's scores are
//! taken to be a combination of its rows, whose coefficients are fitted to the few documents that
//! are scored exactly (ANNCUR, Yadav et al. 2022); the documents with the best guesses are scored
//! next, and the fit made again (ADACUR, 2023). The scores of a cheap first search take part as one
//! more row, of more weight, so that what it knows is not thrown away. The fit is a ridge regression,
//! so that it holds with fewer calls than anchors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::{Fault, InputError, Result};
use crate::search::outside::Stopped;
use crate::search::query::refuse;
use crate::stop::Stop;

/// Most exact calls of one search: the fit takes time with their cube.
const MAX_CALLS: usize = 2000;
/// Most entries of a matrix.
const MAX_ENTRIES: usize = 1 << 32;
/// Documents guessed, or selected from, between two looks at the clock.
const PIECE: usize = 1 << 14;
/// What the first search weighs in the fit: as much as a quarter of the anchors, or so many where
/// they are few. As one row among many it would be shrunk away by the few calls that are all there
/// are, and the guesses be worse than its own order.
const FIRST: f32 = 5.0;
/// Rows of the fit between two looks at the clock, each a product of as many entries as calls.
const ROWS: usize = 64;

/// Exact scores of anchor queries for every document: row after row, a column for each document.
#[derive(Clone, Debug)]
pub struct AnchorScores<'a> {
    scores: &'a [f32],
    anchors: usize,
    documents: usize,
    /// For each row what brings it to mean 0 and deviation 1: subtract, then multiply.
    scales: Vec<(f32, f32)>,
}

/// How a search goes about its calls.
#[derive(Clone, Debug)]
pub struct CurOptions {
    calls: usize,
    start: f32,
    rounds: usize,
    ridge: f32,
    deadline: Option<Instant>,
    cancel: Option<Arc<AtomicBool>>,
}

impl CurOptions {
    /// So many exact calls, 1 to 2,000. Six in ten go to the best of the first search, the others,
    /// in 10 rounds, to the best guesses; the ridge is 10 times the mean of the matrix's diagonal.
    /// So strong a ridge was measured to be best where anchors are few and their scores noisy for
    /// the purpose; where the matrix tells nearly all, a weak one is.
    pub fn calls(calls: usize) -> Self {
        Self { calls, start: 0.6, rounds: 10, ridge: 10.0, deadline: None, cancel: None }
    }

    /// No call begins after this time, and the search ends within a millisecond of it, or with the
    /// call that is under way.
    #[must_use]
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Ends the search once the flag is raised, like [`deadline`](Self::deadline).
    #[must_use]
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Why a search ended that was told to.
    fn why<E>(&self) -> Stopped<E> {
        let raised = self.cancel.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
        if raised { Stopped::Cancelled } else { Stopped::Deadline }
    }

    /// The share of the calls that goes to the best of the first search, above 0, at most 1: with
    /// 1 it is a plain rerank.
    #[must_use]
    pub fn start(mut self, share: f32) -> Self {
        self.start = share;
        self
    }

    /// In how many rounds the others are spent, 1 to 100.
    #[must_use]
    pub fn rounds(mut self, rounds: usize) -> Self {
        self.rounds = rounds;
        self
    }

    /// The ridge, above 0.
    #[must_use]
    pub fn ridge(mut self, ridge: f32) -> Self {
        self.ridge = ridge;
        self
    }

    fn check(&self) -> Result<(), InputError> {
        if self.calls == 0 || self.calls > MAX_CALLS {
            return refuse("calls", self.calls.to_string(), "1..=2000");
        }
        if !(self.start > 0.0 && self.start <= 1.0) {
            return refuse("start", self.start.to_string(), "above 0, at most 1");
        }
        if self.rounds == 0 || self.rounds > 100 {
            return refuse("rounds", self.rounds.to_string(), "1..=100");
        }
        if !(self.ridge > 0.0 && self.ridge.is_finite()) {
            return refuse("ridge", self.ridge.to_string(), "above 0");
        }
        Ok(())
    }
}

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub struct CurOutcome<E> {
    /// Documents and their exact scores, best first, of equal scores the first document. All that
    /// were scored are here.
    pub scored: Vec<(usize, f32)>,
    /// How often the scorer was called.
    pub calls: usize,
    /// Why it ended early, where it did: what was scored until then is still in `scored`.
    pub stopped: Option<Stopped<E>>,
}

impl<'a> AnchorScores<'a> {
    /// A matrix of `anchors` rows: `scores.len() / anchors` documents.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input): no anchor, no document or more than 2³² entries, not
    /// a whole number of rows, a score that is not finite.
    pub fn new(scores: &'a [f32], anchors: usize) -> Result<Self> {
        let refused = |what| Err(InputError::new("anchor scores", what).into());
        if anchors == 0 || scores.is_empty() {
            return refused(Fault::Empty { what: "no anchors or no documents" });
        }
        if scores.len() > MAX_ENTRIES {
            let (found, limit) = (scores.len() as u64, MAX_ENTRIES as u64);
            return refused(Fault::TooMany { what: "scores", found, limit });
        }
        if !scores.len().is_multiple_of(anchors) {
            let (found, dim) = (scores.len() as u64, anchors as u64);
            return refused(Fault::Ragged { found, dim });
        }
        if let Some(at) = scores.iter().position(|score| !score.is_finite()) {
            let what = Fault::NotFinite { value: scores[at].into() };
            return Err(InputError::new("anchor scores", what).at(at).into());
        }
        let documents = scores.len() / anchors;
        let scales = scores.chunks_exact(documents).map(scale).collect();
        Ok(Self { scores, anchors, documents, scales })
    }

    /// How many documents there are.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Finds documents with large exact scores. `first` is what a cheap search found, best first:
    /// documents, as columns of the matrix, and their scores by it; `exact` scores a document.
    ///
    /// ```
    /// use lateen::{AnchorScores, CurOptions};
    ///
    /// // Two anchors, six documents; the new query is like the second anchor.
    /// let matrix = [1.0f32, 0.0, 0.5, 0.2, 0.1, 0.3, 0.1, 0.9, 0.2, 0.8, 0.0, 0.1];
    /// let truth = [0.2f32, 1.8, 0.4, 1.6, 0.0, 0.2];
    /// let anchors = AnchorScores::new(&matrix, 2)?;
    /// let found = anchors.search(&[(0, 3.0), (1, 2.0)], CurOptions::calls(3), |document| {
    ///     Ok::<_, std::io::Error>(truth[document])
    /// })?;
    /// assert_eq!(found.scored[0], (1, 1.8));
    /// assert_eq!(found.scored[1], (3, 1.6)); // which the first search did not find
    /// # Ok::<(), lateen::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input): options out of range; in `first` a document that
    /// there is not, one twice, or a score that is not finite; a score of `exact` that is not
    /// finite. An error of `exact` itself is no error here: it ends the search.
    #[allow(clippy::needless_pass_by_value, reason = "options are made where they are handed over")]
    pub fn search<E>(
        &self,
        first: &[(usize, f32)],
        options: CurOptions,
        mut exact: impl FnMut(usize) -> Result<f32, E>,
    ) -> Result<CurOutcome<E>> {
        options.check()?;
        let stop = Stop::new(options.deadline, options.cancel.clone());
        let cheap = self.cheap(first, &stop)?;
        let mut known = Known {
            scored: Vec::new(),
            there: vec![false; self.documents],
            calls: 0,
            stopped: None,
        };
        let mut ask = |known: &mut Known<E>, document: usize| {
            if known.stopped.is_none() && stop.reached() {
                known.stopped = Some(options.why());
            }
            known.ask(document, &mut exact)
        };
        let calls = options.calls.min(self.documents);
        #[allow(clippy::cast_possible_truncation, reason = "a share of a small number")]
        let start = ((calls as f32 * options.start).ceil() as usize).clamp(1, calls);
        let start = if options.start >= 1.0 { calls } else { start };
        // Where the first search found too little, columns spread evenly stand in.
        let spread = (0..self.documents).step_by((self.documents / start).max(1));
        let begin: Vec<usize> =
            first.iter().map(|entry| entry.0).take(start).chain(spread).take(2 * start).collect();
        for document in begin {
            if known.len() < start && !known.has(document) {
                ask(&mut known, document)?;
            }
        }
        let mut columns = Vec::new();
        let round = (calls - known.len().min(calls)).div_ceil(options.rounds).max(1);
        while known.len() < calls && known.stopped.is_none() {
            let wanted = round.min(calls - known.len());
            let guesses =
                self.guess(&known.scored, &mut columns, cheap.as_deref(), options.ridge, &stop);
            let best = guesses.and_then(|guesses| best_guesses(&guesses, &known, wanted, &stop));
            let Some(best) = best else {
                known.stopped = Some(options.why());
                break;
            };
            if best.is_empty() {
                break;
            }
            for document in best {
                ask(&mut known, document)?;
            }
        }
        let mut scored = known.scored;
        scored.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(CurOutcome { scored, calls: known.calls, stopped: known.stopped })
    }

    /// The scores of the first search as a row of the matrix, scaled; what it did not find has its
    /// lowest. None where the time is up.
    fn cheap(&self, first: &[(usize, f32)], stop: &Stop) -> Result<Option<Vec<f32>>> {
        let mut seen = vec![false; self.documents];
        for (at, &(document, score)) in first.iter().enumerate() {
            let refused = |what| Err(InputError::new("first", what).row(at).into());
            if at % PIECE == PIECE - 1 && stop.reached() {
                return Ok(None);
            }
            if document >= self.documents {
                let (value, limit) = (document.to_string(), self.documents as u64 - 1);
                return refused(Fault::OutOfRange { value, limit });
            }
            if !score.is_finite() {
                return refused(Fault::NotFinite { value: score.into() });
            }
            if std::mem::replace(&mut seen[document], true) {
                return refused(Fault::Twice);
            }
        }
        if first.is_empty() {
            return Ok(None);
        }
        let lowest = first.iter().map(|entry| entry.1).fold(f32::INFINITY, f32::min);
        let rest = (self.documents - first.len()) as f64;
        let scores = || first.iter().map(|entry| f64::from(entry.1));
        let (mean, factor) = centred(scores, f64::from(lowest), rest);
        let factor = factor * (self.anchors as f32 / 4.0).max(FIRST).sqrt();
        let mut row = Vec::with_capacity(self.documents);
        while row.len() < self.documents {
            if stop.reached() {
                return Ok(None);
            }
            row.resize((row.len() + PIECE).min(self.documents), (lowest - mean) * factor);
        }
        for &(document, score) in first {
            row[document] = (score - mean) * factor;
        }
        Ok(Some(row))
    }

    /// A score guessed for every document; `None` where the time is up. `columns` has those of the
    /// first of the documents that are known, and gets the others.
    fn guess(
        &self,
        known: &[(usize, f32)],
        columns: &mut Vec<Vec<f64>>,
        cheap: Option<&[f32]>,
        ridge: f32,
        stop: &Stop,
    ) -> Option<Vec<f64>> {
        let count = known.len();
        for &(document, _) in &known[columns.len()..] {
            if stop.reached() {
                return None;
            }
            columns.push(self.column(document, cheap));
        }
        let mean = known.iter().map(|entry| f64::from(entry.1)).sum::<f64>() / count as f64;
        let mut kernel = vec![0.0f64; count * count];
        for i in 0..count {
            for j in 0..=i {
                if j % ROWS == 0 && stop.reached() {
                    return None;
                }
                let dot = dot(&columns[i], &columns[j]);
                kernel[i * count + j] = dot;
                kernel[j * count + i] = dot;
            }
        }
        let trace: f64 = (0..count).map(|i| kernel[i * count + i]).sum();
        let ridge = f64::from(ridge) * (trace / count as f64).max(1e-9);
        (0..count).for_each(|i| kernel[i * count + i] += ridge);
        let mut alpha: Vec<f64> = known.iter().map(|entry| f64::from(entry.1) - mean).collect();
        solve(&mut kernel, &mut alpha, stop)?;
        // Coefficients of the rows, then the rows' combination.
        let rows = self.anchors + usize::from(cheap.is_some());
        let mut coefficients = vec![0.0f64; rows];
        for (column, alpha) in columns.iter().zip(&alpha) {
            if stop.reached() {
                return None;
            }
            coefficients.iter_mut().zip(column).for_each(|(sum, x)| *sum += alpha * x);
        }
        let mut all = Vec::with_capacity(self.documents);
        while all.len() < self.documents {
            let range = all.len()..(all.len() + PIECE).min(self.documents);
            all.resize(range.end, mean);
            let guesses = &mut all[range.clone()];
            let scaled = self.scores.chunks_exact(self.documents).zip(&self.scales);
            for ((row, &(centre, factor)), &coefficient) in scaled.zip(&coefficients) {
                if stop.reached() {
                    return None;
                }
                let by = coefficient * f64::from(factor);
                let centre = f64::from(centre);
                let row = &row[range.clone()];
                guesses.iter_mut().zip(row).for_each(|(g, &x)| *g += by * (f64::from(x) - centre));
            }
            if let (Some(cheap), Some(&coefficient)) = (cheap, coefficients.last()) {
                let cheap = &cheap[range];
                guesses.iter_mut().zip(cheap).for_each(|(g, &x)| *g += coefficient * f64::from(x));
            }
        }
        Some(all)
    }

    /// What is known of a document: its column, scaled.
    fn column(&self, document: usize, cheap: Option<&[f32]>) -> Vec<f64> {
        let scaled = self.scores.chunks_exact(self.documents).zip(&self.scales);
        let column =
            scaled.map(|(row, &(mean, factor))| f64::from((row[document] - mean) * factor));
        column.chain(cheap.map(|cheap| f64::from(cheap[document]))).collect()
    }
}

/// What brings a row to mean 0 and deviation 1.
fn scale(row: &[f32]) -> (f32, f32) {
    centred(|| row.iter().map(|&x| f64::from(x)), 0.0, 0.0)
}

/// The same of a row of which so many more entries are all the same.
#[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
fn centred<I: Iterator<Item = f64>>(row: impl Fn() -> I, same: f64, more: f64) -> (f32, f32) {
    let count = row().count() as f64 + more;
    let mean = (row().sum::<f64>() + more * same) / count;
    let variance = row().map(|x| (x - mean).powi(2)).sum::<f64>() + more * (same - mean).powi(2);
    let variance = variance / count;
    let factor = if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
    (mean as f32, if factor.is_finite() { factor as f32 } else { 0.0 })
}

/// In eight sums side by side: always in this order, and several times as fast as one.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_left), (b, b_left)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut sums = [0.0f64; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let left = a_left.iter().zip(b_left).map(|(a, b)| a * b);
    sums.into_iter().chain(left).fold(0.0, |sum, x| sum + x)
}

/// Solves a symmetric positive definite system in place, by Cholesky; `None` where the time is up.
fn solve(matrix: &mut [f64], vector: &mut [f64], stop: &Stop) -> Option<()> {
    let n = vector.len();
    for j in 0..n {
        let (before, from) = matrix.split_at_mut(j * n + j);
        let of_j = &before[j * n..];
        // Rows from the j-th on, each from its j-th entry; what stands before it is of the row.
        let own = (from[0] - dot(of_j, of_j)).max(1e-12).sqrt();
        from[0] = own;
        let of_j: Vec<f64> = of_j.to_vec();
        for i in j + 1..n {
            if i % ROWS == 0 && stop.reached() {
                return None;
            }
            let row = &mut matrix[i * n..=i * n + j];
            row[j] = (row[j] - dot(&row[..j], &of_j)) / own;
        }
    }
    for i in 0..n {
        vector[i] = (vector[i] - dot(&matrix[i * n..i * n + i], &vector[..i])) / matrix[i * n + i];
    }
    for i in (0..n).rev() {
        if stop.reached() {
            return None;
        }
        let dot: f64 = (i + 1..n).map(|k| matrix[k * n + i] * vector[k]).sum();
        vector[i] = (vector[i] - dot) / matrix[i * n + i];
    }
    Some(())
}

/// The documents with the best guesses of those not scored yet, best first, of equal guesses the
/// first; `None` where the time is up.
fn best_guesses<E>(
    guesses: &[f64],
    known: &Known<E>,
    wanted: usize,
    stop: &Stop,
) -> Option<Vec<usize>> {
    let best = |a: &usize, b: &usize| guesses[*b].total_cmp(&guesses[*a]).then(a.cmp(b));
    let mut kept: Vec<usize> = Vec::with_capacity(2 * wanted);
    let mut least = f64::NEG_INFINITY;
    for (document, &guess) in guesses.iter().enumerate() {
        if document % PIECE == PIECE - 1 && stop.reached() {
            return None;
        }
        if guess < least || known.has(document) {
            continue;
        }
        kept.push(document);
        if kept.len() == 2 * wanted {
            kept.select_nth_unstable_by(wanted - 1, best);
            kept.truncate(wanted);
            least = kept.last().map_or(least, |&last| guesses[last]);
        }
    }
    kept.sort_unstable_by(best);
    kept.truncate(wanted);
    Some(kept)
}

/// The documents scored so far.
struct Known<E> {
    scored: Vec<(usize, f32)>,
    there: Vec<bool>,
    calls: usize,
    stopped: Option<Stopped<E>>,
}

impl<E> Known<E> {
    fn len(&self) -> usize {
        self.scored.len()
    }

    fn has(&self, document: usize) -> bool {
        self.there[document]
    }

    /// Scores a document, unless the search has ended.
    fn ask(
        &mut self,
        document: usize,
        exact: &mut impl FnMut(usize) -> Result<f32, E>,
    ) -> Result<(), InputError> {
        if self.stopped.is_some() {
            return Ok(());
        }
        self.calls += 1;
        match exact(document) {
            Ok(score) if score.is_finite() => {
                self.there[document] = true;
                self.scored.push((document, score));
            }
            Ok(score) => {
                let fault = Fault::NotFinite { value: score.into() };
                return Err(InputError::new("score of the callback", fault).row(document));
            }
            Err(error) => self.stopped = Some(Stopped::Failed(error)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    /// Scores of rank two: 40 anchors and a new query over 500 documents.
    fn low_rank() -> (Vec<f32>, Vec<f32>) {
        let factor =
            |at: usize, which: usize| ((at * 7919 + which * 31 + 17) % 1009) as f32 / 1009.0;
        let score =
            |a: usize, d: usize| factor(a, 0) * factor(d, 1) + factor(a, 2) * factor(d + 5000, 3);
        let matrix = (0..40).flat_map(|a| (0..500).map(move |d| score(a, d))).collect();
        (matrix, (0..500).map(|d| score(777, d)).collect())
    }

    fn best(truth: &[f32], k: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..truth.len()).collect();
        order.sort_by(|&a, &b| truth[b].total_cmp(&truth[a]));
        order.truncate(k);
        order
    }

    #[test]
    fn scores_of_low_rank_are_found_with_few_calls() {
        let (matrix, truth) = low_rank();
        let anchors = AnchorScores::new(&matrix, 40).unwrap();
        assert_eq!(anchors.documents(), 500);
        let mut calls = 0;
        let options = CurOptions::calls(40).ridge(1e-6);
        let found = anchors.search(&[], options, |document| {
            calls += 1;
            Ok::<_, ()>(truth[document])
        });
        let found = found.unwrap();
        assert!(found.calls == 40 && calls == 40 && found.scored.len() == 40);
        let top: Vec<usize> = found.scored.iter().map(|entry| entry.0).take(10).collect();
        assert_eq!(top, best(&truth, 10));
        // All of the calls for the first search: a plain rerank.
        let first: Vec<(usize, f32)> = (0..50).map(|d| (d, 1.0)).collect();
        let plain = anchors.search(&first, CurOptions::calls(30).start(1.0), |document| {
            Ok::<_, ()>(truth[document])
        });
        assert!(plain.unwrap().scored.iter().all(|entry| entry.0 < 30));
    }

    #[test]
    fn what_goes_wrong_is_said() {
        let (matrix, truth) = low_rank();
        let refused = |scores: &[f32], anchors| AnchorScores::new(scores, anchors).is_err();
        assert!(refused(&matrix, 0) && refused(&[], 3) && refused(&matrix, 3));
        assert!(refused(&[f32::NAN], 1));
        let anchors = AnchorScores::new(&matrix, 40).unwrap();
        let ask = |first: &[(usize, f32)], options, score: Result<f32, ()>| {
            anchors.search(first, options, |_| score)
        };
        let some = CurOptions::calls(5);
        let input = |result: Result<CurOutcome<()>>| matches!(result, Err(Error::Input(_)));
        assert!(input(ask(&[(500, 1.0)], some.clone(), Ok(1.0))));
        assert!(input(ask(&[(1, f32::NAN)], some.clone(), Ok(1.0))));
        assert!(input(ask(&[(1, 1.0), (1, 1.0)], some.clone(), Ok(1.0))));
        assert!(input(ask(&[], CurOptions::calls(0), Ok(1.0))));
        assert!(input(ask(&[], some.clone().start(0.0), Ok(1.0))));
        assert!(input(ask(&[], some.clone().rounds(0), Ok(1.0))));
        assert!(input(ask(&[], some.clone().ridge(0.0), Ok(1.0))));
        assert!(input(ask(&[], some.clone(), Ok(f32::NAN))));
        let past = some.clone().deadline(Instant::now());
        let late = ask(&[], past, Ok(1.0)).unwrap();
        assert_eq!((late.calls, late.stopped), (0, Some(Stopped::Deadline)));
        // Raised during the fourth call: what was scored until then is kept.
        let flag = Arc::new(AtomicBool::new(false));
        let mut calls = 0;
        let raised = anchors.search(&[], some.clone().cancel(Arc::clone(&flag)), |_| {
            calls += 1;
            flag.store(calls == 4, Ordering::Relaxed);
            Ok::<_, ()>(1.0)
        });
        let raised = raised.unwrap();
        assert_eq!((raised.calls, raised.scored.len()), (4, 4));
        assert_eq!(raised.stopped, Some(Stopped::Cancelled));
        let failed = ask(&[], some, Err(())).unwrap();
        assert_eq!((failed.calls, failed.stopped), (1, Some(Stopped::Failed(()))));
        let all = anchors.search(&[], CurOptions::calls(2000), |d| Ok::<_, ()>(truth[d])).unwrap();
        assert_eq!(all.scored.len(), 500);
    }
}
