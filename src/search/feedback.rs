//! Pseudo-relevance feedback: the query's own best documents are taken to be relevant, and what
//! they have in common is added to the query.
//!
//! Sparse: Rocchio (1971) without a negative part, over the forward rows. Late interaction: the
//! rows of the documents are clustered, and the clusters' means become further query rows, as in
//! ColBERT-PRF (Wang, Macdonald, Tonellotto and Ounis 2021). There a row is weighted by the rarity
//! of its nearest token; here, where tokens have no names, by how much nearer the feedback
//! documents come to it than documents at large.

use crate::error::{Error, InputError, Result};
use crate::id::{DocId, Key, TermId};
use crate::limits::{Limits, MAX_QUERY_TOKENS, MAX_TERMS, over};
use crate::ordered::{in_order, keep_best};
use crate::schema::TokenField;
use crate::search::Certainty;
use crate::search::plan::{Allowed, Plan};
use crate::search::query::{Query, Stage, refuse};
use crate::search::run::{Candidate, Scratch, View, check_filters};
use crate::sparse::SparseQuery;
use crate::stop::Stop;
use crate::tokens::TokenQuery;
use crate::trace::span;

/// Most documents that feedback is taken from.
const MAX_DOCS: usize = 100;
/// Most terms and most rows that it adds.
const MAX_ADDED: usize = 1000;
/// Most rows of the documents that are clustered, and most of their components: a mebibyte of floats,
/// however coarse the codes are that they come from.
const MAX_CLUSTERED: usize = 2048;
const MAX_COMPONENTS: usize = 1 << 18;
/// Rows that are held against a document between two looks at the clock.
const ROWS_AT_ONCE: usize = 256;
/// Documents at large that a row is held against.
const SAMPLE: u32 = 256;
/// Rounds of the clustering; it has settled by then on the sets measured.
const ROUNDS: usize = 6;
/// Clusters for each row that is to be added: the best of them are taken.
const CLUSTERS_PER_ROW: usize = 2;
/// Products of components between two looks at the clock: a quarter of a millisecond at most.
const CHECK: usize = 1 << 20;

/// How a query is widened. The same for all its parts: sparse vectors get terms, token matrices
/// get rows, from the best documents of the whole.
///
/// Scores are then those of the widened query. It costs a second search, and what is
/// [guaranteed](crate::Certainty) of the answer is no more than of the search for the documents.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feedback {
    docs: usize,
    terms: usize,
    rows: usize,
    weight: f32,
}

impl Default for Feedback {
    /// From the best 5 documents at most 30 terms, weighing 0.3 of the query in all, and at most 8
    /// rows, the heaviest weighing 0.3 of a row.
    fn default() -> Self {
        Self { docs: 5, terms: 30, rows: 8, weight: 0.3 }
    }
}

impl Feedback {
    /// So many documents: 1 to 100.
    #[must_use]
    pub fn docs(mut self, count: usize) -> Self {
        self.docs = count;
        self
    }

    /// So many terms at most: 0 to 1,000.
    #[must_use]
    pub fn terms(mut self, count: usize) -> Self {
        self.terms = count;
        self
    }

    /// So many rows at most: 0 to 1,000.
    #[must_use]
    pub fn rows(mut self, count: usize) -> Self {
        self.rows = count;
        self
    }

    /// How much the terms weigh together beside those of the query, and the heaviest row beside a
    /// row of the query: above 0, at most 10.
    #[must_use]
    pub fn weight(mut self, weight: f32) -> Self {
        self.weight = weight;
        self
    }

    pub(crate) fn check(&self) -> Result<(), InputError> {
        if self.docs == 0 || self.docs > MAX_DOCS {
            return refuse("feedback docs", self.docs.to_string(), "1..=100");
        }
        for (name, count) in [("feedback terms", self.terms), ("feedback rows", self.rows)] {
            if count > MAX_ADDED {
                return refuse(name, count.to_string(), "0..=1000");
            }
        }
        if !(self.weight > 0.0 && self.weight <= 10.0) {
            return refuse("feedback weight", self.weight.to_string(), "above 0, at most 10");
        }
        Ok(())
    }

    /// Checks the numbers against limits.
    pub(super) fn within(&self, limits: &Limits) -> Result<(), InputError> {
        over("feedback", "documents", self.docs, limits.candidates)?;
        over("feedback", "terms", self.terms, limits.terms)?;
        over("feedback", "rows", self.rows, limits.query_rows)
    }
}

/// What feedback adds to a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expansion {
    /// The documents it is taken from, best first.
    pub documents: Vec<Key>,
    /// For each sparse vector of the query, in their order, what is added to the weights of terms:
    /// ascending by term.
    pub terms: Vec<Vec<(TermId, f32)>>,
    /// For each token matrix of the query, in their order, the rows that are added behind its own,
    /// heaviest first.
    pub rows: Vec<Vec<ExpansionRow>>,
}

/// A row that feedback adds to a token matrix.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpansionRow {
    /// Its length, beside the length 1 that the query's own rows usually have.
    pub weight: f32,
    /// How near the feedback documents come to it: the mean of their largest dot products with its
    /// direction.
    pub support: f32,
    /// The same of documents at large.
    pub background: f32,
    /// How many rows of the documents it stands for.
    pub rows: usize,
}

/// What came of feedback.
pub(crate) struct Widened {
    /// The query as it is now, and what was added; `None` where nothing was found to widen it by.
    pub(crate) query: Option<(Query, Expansion)>,
    /// Of the documents that it was taken from: no answer is surer than what it was asked with.
    pub(crate) certainty: Certainty,
}

/// The query as feedback widens it.
pub(crate) fn widened(
    plan: &Plan<'_>,
    query: &Query,
    among: &Allowed,
    scratch: &mut Scratch,
) -> Result<Widened> {
    let certainty = Certainty::Certified;
    let Some(feedback) = &query.feedback else { return Ok(Widened { query: None, certainty }) };
    let _span = span!(DEBUG, "feedback", documents = feedback.docs);
    let mut first = plan.answer(query, feedback.docs.max(query.top), among, scratch)?;
    let certainty = first.certainty;
    first.found.truncate(feedback.docs);
    // What has no score was not found by its content.
    first.found.retain(|found| found.score.is_finite());
    if first.found.is_empty() || plan.stop.reached() {
        return Ok(Widened { query: None, certainty });
    }
    let documents = first.found.iter().map(|one| plan.view.key(one)).collect::<Result<_>>()?;
    let mut wide = Wide {
        plan,
        feedback,
        among,
        found: &first.found,
        expansion: Expansion { documents, ..Expansion::default() },
    };
    let mut query = query.clone();
    query.feedback = None;
    wide.widen(&mut query, scratch)?;
    // A query that was widened in part is not the one that was asked for.
    let query = (!plan.stop.reached()).then_some((query, wide.expansion));
    Ok(Widened { query, certainty })
}

/// What feedback adds to a query of a snapshot.
///
/// # Errors
/// `Interrupted` where the query's time is up.
pub(crate) fn expansion_of(
    view: View<'_>,
    query: &Query,
    scratch: &mut Scratch,
) -> Result<Option<Expansion>> {
    query.check()?;
    query.within(view.limits)?;
    check_filters(view.schema, query)?;
    let stop = Stop::new(query.deadline, query.cancel.clone());
    let whole =
        || if stop.reached() { Err(Error::Interrupted { what: "expansion" }) } else { Ok(()) };
    whole()?;
    let among = Allowed::new(view, query.filter.as_ref(), &stop)?;
    let widened = widened(&Plan { view, stop: &stop }, query, &among, scratch)?;
    whole()?;
    Ok(widened.query.map(|(_, added)| added))
}

/// Widening, under way.
struct Wide<'a> {
    plan: &'a Plan<'a>,
    feedback: &'a Feedback,
    among: &'a Allowed,
    found: &'a [Candidate],
    expansion: Expansion,
}

impl Wide<'_> {
    fn widen(&mut self, query: &mut Query, scratch: &mut Scratch) -> Result<()> {
        match &mut query.first {
            Stage::Sparse(field, vector) => {
                let place = self.plan.view.schema.resolve(field)?;
                *vector = self.sparse(place, vector)?;
            }
            Stage::Tokens(field, rows) => *rows = self.tokens(field, rows, scratch)?,
            Stage::Fused(fused) => {
                for part in &mut fused.parts {
                    self.widen(part, scratch)?;
                }
            }
        }
        if let Some(second) = &mut query.rerank {
            second.query = self.tokens(&second.field, &second.query, scratch)?;
        }
        Ok(())
    }

    /// The vector and the heaviest terms of the documents' mean.
    fn sparse(&mut self, place: usize, vector: &SparseQuery) -> Result<SparseQuery> {
        let stop = self.plan.stop;
        // Of each document in turn, which is the order in which a term's weights are added up.
        let mut weights: Vec<(TermId, usize, f32)> = Vec::new();
        for (at, found) in self.found.iter().enumerate() {
            if stop.reached() {
                break;
            }
            let segment = &self.plan.view.segments[found.segment].segment;
            let row = segment.sparse(place).map(|index| index.row(found.doc)).transpose()?;
            if let Some(row) = row.flatten() {
                weights.extend(row.iter().map(|(term, weight)| (term, at, weight)));
            }
        }
        let all = weights.len();
        in_order(&mut weights, all, Some(stop), |a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let mut added: Vec<(TermId, f64)> = Vec::new();
        for own in weights.chunk_by(|a, b| a.0 == b.0) {
            let sum = own.iter().fold(0.0, |sum, entry| sum + f64::from(entry.2));
            added.push((own[0].0, sum));
        }
        let order = |a: &(TermId, f64), b: &(TermId, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        keep_best(&mut added, self.feedback.terms, Some(stop), order);
        if stop.reached() {
            return Ok(vector.clone());
        }
        let own: f64 = vector.entries().map(|entry| f64::from(entry.1.abs())).sum();
        let all: f64 = added.iter().map(|entry| entry.1).sum();
        let scale = f64::from(self.feedback.weight) * own / all;
        let mut wide: std::collections::BTreeMap<TermId, f32> = vector.entries().collect();
        let mut parts = Vec::with_capacity(added.len());
        for (term, sum) in added {
            #[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
            let weight = (sum * scale) as f32;
            if weight.is_finite() && weight > 0.0 && (wide.len() < MAX_TERMS) {
                *wide.entry(term).or_default() += weight;
                parts.push((term, weight));
            }
        }
        parts.sort_unstable_by_key(|part| part.0);
        self.expansion.terms.push(parts);
        let entries: Vec<(TermId, f32)> =
            wide.into_iter().map(|(term, weight)| (term, weight.min(f32::MAX))).collect();
        Ok(SparseQuery::from_entries(&entries))
    }

    /// The rows and the means of the clusters that set the documents apart.
    fn tokens(
        &mut self,
        field: &TokenField,
        query: &TokenQuery,
        scratch: &mut Scratch,
    ) -> Result<TokenQuery> {
        let place = self.plan.view.schema.resolve(field)?;
        // A truncated query is widened by parts of rows as long as its own.
        let (stored_dim, dim) = (field.dim(), query.dim());
        let rows = self.directions(place, dim)?;
        let room = MAX_QUERY_TOKENS.saturating_sub(query.rows()).min(self.feedback.rows);
        let clusters = cluster(&rows, dim, room.saturating_mul(CLUSTERS_PER_ROW), self.plan.stop);
        let mut flat = query.flat();
        let mut parts = Vec::new();
        if room > 0 && !clusters.is_empty() {
            let means: Vec<TokenQuery> = clusters
                .chunks(ROWS_AT_ONCE)
                .map(|piece| {
                    let means = piece.iter().flat_map(|cluster| cluster.mean.clone()).collect();
                    TokenQuery::new(means, dim).of_rows(stored_dim)
                })
                .collect();
            let own: Vec<(usize, DocId)> =
                self.found.iter().map(|found| (found.segment, found.doc)).collect();
            let support = self.nearness(place, &means, &own, scratch)?;
            let background = self.nearness(place, &means, &self.sample(), scratch)?;
            let mut order: Vec<usize> = (0..clusters.len()).collect();
            let gain = |at: usize| support[at] - background[at];
            order.sort_by(|&a, &b| gain(b).total_cmp(&gain(a)).then(a.cmp(&b)));
            order.truncate(room);
            let most = order.first().map_or(0.0, |&at| gain(at));
            for at in order {
                let weight = self.feedback.weight * gain(at) / most;
                if !(weight.is_finite() && weight > 0.0) {
                    break;
                }
                flat.extend(clusters[at].mean.iter().map(|x| x * weight));
                let (support, background) = (support[at], background[at]);
                parts.push(ExpansionRow { weight, support, background, rows: clusters[at].rows });
            }
        }
        self.expansion.rows.push(parts);
        Ok(TokenQuery::new(flat, dim).of_rows(stored_dim))
    }

    /// The directions of the documents' rows, or of their first `dim` components, one after another;
    /// of more than can be clustered evenly many from everywhere. Rows of no length have none.
    fn directions(&self, place: usize, dim: usize) -> Result<Vec<f32>> {
        let stored = |found: &Candidate| {
            let store = self.plan.view.segments[found.segment].segment.tokens(place)?;
            Some((store, found.doc))
        };
        let mut all = 0;
        for (store, doc) in self.found.iter().filter_map(stored) {
            all += store.row_count(doc)?;
        }
        let most = MAX_CLUSTERED.min(MAX_COMPONENTS / dim.max(1)).max(1);
        let step = all.div_ceil(most).max(1);
        let mut directions = Vec::with_capacity(all.div_ceil(step) * dim);
        // Where the next row lies behind the start of a document.
        let mut next = 0;
        for (store, doc) in self.found.iter().filter_map(stored) {
            if self.plan.stop.reached() {
                break;
            }
            store.each_row(doc, (next..).step_by(step), |row| {
                let row = row.get(..dim).unwrap_or(row);
                let length = dot(row, row).sqrt();
                if length.is_finite() && length > 0.0 {
                    directions.extend(row.iter().map(|x| x / length));
                }
                true
            })?;
            let count = store.row_count(doc)?;
            next += count.saturating_sub(next).div_ceil(step) * step;
            next -= count;
        }
        Ok(directions)
    }

    /// For each row the mean, over documents that have the field, of the largest dot product.
    fn nearness(
        &self,
        place: usize,
        pieces: &[TokenQuery],
        docs: &[(usize, DocId)],
        scratch: &mut Scratch,
    ) -> Result<Vec<f32>> {
        let mut means = Vec::new();
        for rows in pieces {
            let mut sums = vec![0.0f32; rows.rows()];
            let mut count = 0.0f32;
            for &(segment, doc) in docs {
                let Some(store) = self.plan.view.segments[segment].segment.tokens(place) else {
                    continue;
                };
                if self.plan.stop.reached() {
                    break;
                }
                let kernels = self.plan.view.kernels;
                if let Some(best) = store.largest(rows, kernels, doc, &mut scratch.tokens)? {
                    sums.iter_mut().zip(best).for_each(|(sum, best)| *sum += best);
                    count += 1.0;
                }
            }
            means.extend(sums.into_iter().map(|sum| sum / count.max(1.0)));
        }
        Ok(means)
    }

    /// Documents at large: spread evenly over all that may be found.
    fn sample(&self) -> Vec<(usize, DocId)> {
        let all: u64 = self.among.0.iter().map(|among| u64::from(among.count)).sum();
        let step = all.div_ceil(u64::from(SAMPLE)).max(1);
        let mut sample = Vec::new();
        // Ranks among all of them: of the next that is taken, and of the first of a segment.
        let (mut next, mut first) = (0u64, 0u64);
        for (at, among) in self.among.0.iter().enumerate() {
            let end = first + u64::from(among.count);
            match &among.set {
                Some(set) => {
                    let mut before = first;
                    for (base, &word) in (0u32..).step_by(64).zip(set.words()) {
                        let (mut rest, upto) = (word, before + u64::from(word.count_ones()));
                        while next < upto {
                            // The lowest bits are those of the ranks before the next.
                            (before..next).for_each(|_| rest &= rest - 1);
                            before = next;
                            sample.push((at, base + rest.trailing_zeros()));
                            next += step;
                        }
                        before = upto;
                    }
                }
                None => {
                    while next < end {
                        sample.push((at, DocId::try_from(next - first).unwrap_or(DocId::MAX)));
                        next += step;
                    }
                }
            }
            first = end;
        }
        sample
    }
}

/// A cluster of rows.
struct Cluster {
    /// Of length 1.
    mean: Vec<f32>,
    rows: usize,
}

/// Clusters directions by Lloyd's rounds from some that are as far apart as can be: always the same
/// clusters for the same rows. None where the time is up.
fn cluster(directions: &[f32], dim: usize, wanted: usize, stop: &Stop) -> Vec<Cluster> {
    let mut work = 0;
    let mut ended = |products: usize| {
        work += products;
        let look = work > CHECK;
        work = if look { 0 } else { work };
        look && stop.reached()
    };
    let rows = || directions.chunks_exact(dim.max(1));
    let wanted = wanted.min(rows().len());
    if wanted == 0 {
        return Vec::new();
    }
    let mut means: Vec<Vec<f32>> = Vec::with_capacity(wanted);
    let mut nearest = vec![f32::NEG_INFINITY; rows().len()];
    let mut next = 0;
    while means.len() < wanted {
        if ended(directions.len()) {
            return Vec::new();
        }
        let added = &directions[next * dim..(next + 1) * dim];
        nearest.iter_mut().zip(rows()).for_each(|(near, row)| *near = near.max(dot(added, row)));
        means.push(added.to_vec());
        let farthest = nearest.iter().enumerate().min_by(|a, b| a.1.total_cmp(b.1));
        next = farthest.map_or(0, |(at, _)| at);
    }
    let mut counts = vec![0; wanted];
    let mut sums = vec![0.0f32; wanted * dim];
    for _ in 0..ROUNDS {
        sums.fill(0.0);
        counts.fill(0);
        for row in rows() {
            if ended(wanted * dim) {
                return Vec::new();
            }
            let to = (0..wanted)
                .map(|at| (at, dot(&means[at], row)))
                .reduce(|best, other| if other.1 > best.1 { other } else { best })
                .map_or(0, |best| best.0);
            counts[to] += 1;
            sums[to * dim..(to + 1) * dim].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
        }
        for (mean, sum) in means.iter_mut().zip(sums.chunks_exact(dim)) {
            if ended(4 * dim) {
                return Vec::new();
            }
            let length = dot(sum, sum).sqrt();
            if length.is_finite() && length > 0.0 {
                mean.iter_mut().zip(sum).for_each(|(mean, sum)| *mean = sum / length);
            }
        }
    }
    let clusters = means.into_iter().zip(counts);
    clusters.filter(|(_, rows)| *rows > 0).map(|(mean, rows)| Cluster { mean, rows }).collect()
}

/// In sixteen sums side by side, then the sums and what is left over: always in this order, and many
/// times as fast as one sum.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_left), (b, b_left)) = (a.as_chunks::<16>(), b.as_chunks::<16>());
    let mut sums = [0.0f32; 16];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let left = a_left.iter().zip(b_left).map(|(a, b)| a * b);
    sums.into_iter().chain(left).fold(0.0, |sum, x| sum + x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_are_directions() {
        let rows = [[1.0f32, 0.1], [1.0, 0.0], [0.1, 3.0], [0.0, 1.0], [-1.0, 0.0]];
        let rows = rows.map(|[x, y]| [x / x.hypot(y), y / x.hypot(y)]).concat();
        let clusters = cluster(&rows, 2, 3, &Stop::default());
        let mut counts: Vec<usize> = clusters.iter().map(|cluster| cluster.rows).collect();
        counts.sort_unstable();
        assert_eq!(counts, [1, 2, 2]);
        for cluster in &clusters {
            assert!((dot(&cluster.mean, &cluster.mean) - 1.0).abs() < 1e-6);
        }
        assert!(cluster(&[], 2, 3, &Stop::default()).is_empty());
        let each = cluster(&rows, 2, 100, &Stop::default());
        assert_eq!(each.iter().map(|cluster| cluster.rows).sum::<usize>(), 5);
    }
}
