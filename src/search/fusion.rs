//! Several answers made one: what each list of candidates says of a document, added up.

use std::collections::HashMap;

use crate::error::{Fault, InputError, Result};
use crate::id::DocId;
use crate::ordered::{MAX_CUT, in_order, keep_best};
use crate::search::Certainty;
use crate::search::plan::Plan;
use crate::search::query::{Query, Stage, refuse};
use crate::search::run::{Candidate, Candidates, Scratch};
use crate::stop::Stop;

/// Most queries of one fusion.
const MAX_PARTS: usize = 64;
/// Documents united, or summed, between two looks at the clock.
const CHECK: usize = 1024;
/// Entries of a table of documents: one of so many grows in a fraction of a millisecond.
const TABLE: usize = 1 << 14;
/// How deep fusions may be nested.
const MAX_DEPTH: usize = 8;

/// How the answers of several queries become one.
///
/// Lists are counted from 1. Sums are taken in the order of the queries, in f64.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fusion {
    /// Reciprocal rank fusion (Cormack, Clarke and Büttcher 2009): a document gets 1 / (k + rank)
    /// from each list that it is in. Scores do not matter, only their order. `k` is finite and 0
    /// or more.
    ReciprocalRank {
        /// How little the first ranks are set apart: 60 in the paper.
        k: f32,
    },
    /// A document gets from each list where its score stands between the list's lowest, 0, and
    /// highest, 1 (1 as well where all are equal), and nothing from a list that it is not in.
    RelativeScore,
    /// A document gets from each query a weight times its calibrated score: how many standard
    /// deviations of the list's scores it is above their mean. A document that is in one list is
    /// given its true score in the others, where a query is a plain search of one field; where it
    /// lacks the field, or the query is more than that, it gets the lowest calibrated score that
    /// any candidate has there. One finite weight for each query.
    Weighted(Vec<f32>),
}

impl Default for Fusion {
    /// Reciprocal rank fusion with k = 60.
    fn default() -> Self {
        Self::ReciprocalRank { k: 60.0 }
    }
}

/// How the parts of a query become one.
#[derive(Clone, Debug)]
pub(crate) enum How {
    /// Candidates only; what stands behind decides.
    Union,
    Fusion(Fusion),
}

/// Several queries and how they become one.
#[derive(Clone, Debug)]
pub(crate) struct Fused {
    pub(crate) how: How,
    pub(crate) parts: Vec<Query>,
    pub(crate) candidates: Option<usize>,
}

/// What a part says of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Say {
    /// Its rank in the part's list, from 1.
    pub(crate) rank: Option<usize>,
    /// Its score by the part, where it is known.
    pub(crate) score: Option<f32>,
    /// What the part adds to the fused score.
    pub(crate) contribution: f64,
}

impl Fused {
    pub(crate) fn new(how: How, parts: Vec<Query>) -> Result<Self> {
        let fused = Self { how, parts, candidates: None };
        fused.check()?;
        Ok(fused)
    }

    pub(crate) fn is_union(&self) -> bool {
        matches!(self.how, How::Union)
    }

    fn depth(&self) -> usize {
        let of = |part: &Query| match &part.first {
            Stage::Fused(fused) => fused.depth(),
            _ => 0,
        };
        1 + self.parts.iter().map(of).max().unwrap_or(0)
    }

    fn check(&self) -> Result<(), InputError> {
        if self.parts.is_empty() {
            return Err(InputError::new("fusion", Fault::Empty { what: "no query to fuse" }));
        }
        if self.parts.len() > MAX_PARTS {
            let (found, limit) = (self.parts.len() as u64, MAX_PARTS as u64);
            return Err(InputError::new(
                "fusion",
                Fault::TooMany { what: "queries", found, limit },
            ));
        }
        if self.depth() > MAX_DEPTH {
            return refuse("fusion", format!("depth {}", self.depth()), "at most 8 deep");
        }
        for part in &self.parts {
            let whole = [
                ("feedback", part.feedback.is_some()),
                ("diversify", part.diversify.is_some()),
                ("collapse", part.collapse.is_some()),
                ("sort", part.sort.is_some()),
                ("after", part.after.is_some()),
                ("deadline", part.deadline.is_some()),
                ("cancel", part.cancel.is_some()),
            ];
            if let Some((name, _)) = whole.iter().find(|(_, asked)| *asked) {
                return refuse(name, "asked of a part".to_owned(), "what the whole may ask");
            }
        }
        match &self.how {
            How::Fusion(Fusion::ReciprocalRank { k }) if !(k.is_finite() && *k >= 0.0) => {
                refuse("k", k.to_string(), "finite, 0 or more")
            }
            How::Fusion(Fusion::Weighted(weights)) => {
                if weights.len() != self.parts.len() {
                    let (found, expected) = (weights.len() as u64, self.parts.len() as u64);
                    let what = "weights beside the queries";
                    let fault = Fault::Counts { what, found, expected };
                    return Err(InputError::new("fusion", fault));
                }
                match weights.iter().find(|weight| !weight.is_finite()) {
                    Some(weight) => refuse("weight", weight.to_string(), "finite"),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}

/// The documents of several lists, each once, in the order in which they come up.
struct United {
    found: Vec<Candidate>,
    /// For each list the place in `found` of each of its documents.
    places: Vec<Vec<u32>>,
}

impl United {
    /// Where the time is up, what is left of the lists is left out, and so is all but the first of
    /// what was found until then.
    fn new(lists: &[Candidates], stop: &Stop) -> Self {
        // Several small tables: the larger one, the longer it takes when it grows.
        let all: usize = lists.iter().map(|list| list.found.len()).sum();
        let mut tables: Vec<HashMap<(usize, DocId), u32>> = vec![HashMap::new(); 1 + all / TABLE];
        let of = tables.len();
        let mut found = Vec::new();
        let mut places = Vec::with_capacity(lists.len());
        let mut ended = false;
        for list in lists {
            let mut own = Vec::new();
            for (at, one) in list.found.iter().enumerate() {
                ended = ended || (at % CHECK == CHECK - 1 && stop.reached());
                if ended {
                    break;
                }
                let next = u32::try_from(found.len()).unwrap_or(u32::MAX);
                let table = &mut tables[one.doc as usize % of];
                let place = *table.entry((one.segment, one.doc)).or_insert(next);
                if place == next {
                    found.push(*one);
                }
                own.push(place);
            }
            places.push(own);
        }
        if stop.was_reached() {
            found.truncate(MAX_CUT);
        }
        Self { found, places }
    }
}

/// Fuses the lists of the parts: the best `k`, in order, but for a union, which has all of them, as
/// they come up and with −∞. And what each part says of one of the documents.
pub(crate) fn fuse(
    plan: &Plan<'_>,
    fused: &Fused,
    lists: &[Candidates],
    k: usize,
    about: Option<(usize, DocId)>,
    scratch: &mut Scratch,
) -> Result<(Candidates, Vec<Say>)> {
    let certainty = lists.iter().map(|list| list.certainty).min().unwrap_or(Certainty::Certified);
    let United { mut found, places } = United::new(lists, plan.stop);
    let place =
        about.and_then(|about| found.iter().position(|one| (one.segment, one.doc) == about));
    let sums = vec![0.0; found.len()];
    let said = vec![Say::default(); lists.len()];
    let mut sum = Sum { stop: plan.stop, sums, place, said };
    for (at, (list, places)) in lists.iter().zip(&places).enumerate() {
        if plan.stop.reached() {
            // What is left of the lists is looked at for these alone.
            found.truncate(MAX_CUT);
            sum.sums.truncate(MAX_CUT);
        }
        match &fused.how {
            How::Union => sum.add(at, list, places, |_, _| 0.0),
            How::Fusion(Fusion::ReciprocalRank { k }) => {
                sum.add(at, list, places, |rank, _| 1.0 / (f64::from(*k) + rank as f64));
            }
            How::Fusion(Fusion::RelativeScore) => {
                let (low, high) = range(list, plan.stop);
                sum.add(at, list, places, |_, score| {
                    let score = f64::from(score);
                    match score.is_finite() {
                        true if high > low => (score - low) / (high - low),
                        true => 1.0,
                        false => 0.0,
                    }
                });
            }
            How::Fusion(Fusion::Weighted(weights)) => {
                let mut scores = known(list, places, found.len(), plan.stop);
                complete(plan, &fused.parts[at], &found, &mut scores, scratch)?;
                let (mean, deviation) = spread(list, plan.stop);
                let weight = weights.get(at).copied().map_or(0.0, f64::from);
                sum.add(at, list, places, |_, _| 0.0); // for the rank
                sum.add_calibrated(at, &scores, weight, |score| {
                    if deviation > 0.0 { (f64::from(score) - mean) / deviation } else { 0.0 }
                });
            }
        }
    }
    let Sum { sums, said, .. } = sum;
    let ranked = places.iter().map(Vec::len).sum();
    plan.stop.let_go(places, ranked);
    if fused.is_union() {
        for one in &mut found {
            one.score = f32::NEG_INFINITY;
        }
        return Ok((Candidates { found, certainty }, said));
    }
    for (at, (one, sum)) in found.iter_mut().zip(sums).enumerate() {
        if at % CHECK == CHECK - 1 && plan.stop.reached() && at >= MAX_CUT {
            break;
        }
        // Weights may be as large as an f32 can be; a score is a number all the same.
        #[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
        let score = sum.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        one.score = if score.is_nan() { f32::NEG_INFINITY } else { score };
    }
    if plan.stop.was_reached() {
        found.truncate(MAX_CUT);
    }
    keep_best(&mut found, k, Some(plan.stop), |a, b| plan.view.order(a, b));
    Ok((Candidates { found, certainty }, said))
}

/// Sums under way, of each document over the lists.
struct Sum<'a> {
    stop: &'a Stop,
    sums: Vec<f64>,
    /// The place of the document of which it is kept what is said.
    place: Option<usize>,
    said: Vec<Say>,
}

impl Sum<'_> {
    /// Whether to end with the document at this place; not among the first, whose sums are whole
    /// whenever the time is up.
    fn ended(&self, at: usize) -> bool {
        at % CHECK == CHECK - 1 && self.stop.reached() && at >= MAX_CUT
    }

    /// Adds what a list gives its documents by rank and score.
    fn add(
        &mut self,
        at: usize,
        list: &Candidates,
        places: &[u32],
        contribution: impl Fn(usize, f32) -> f64,
    ) {
        for ((rank, one), &place) in (1usize..).zip(&list.found).zip(places) {
            if self.ended(rank) {
                break;
            }
            let contribution = contribution(rank, one.score);
            let Some(sum) = self.sums.get_mut(place as usize) else { continue };
            *sum += contribution;
            if self.place == Some(place as usize) {
                self.said[at] = Say { rank: Some(rank), score: Some(one.score), contribution };
            }
        }
    }

    /// Adds a weight times each document's calibrated score, or the lowest where it has none.
    fn add_calibrated(
        &mut self,
        at: usize,
        scores: &[f32],
        weight: f64,
        calibrated: impl Fn(f32) -> f64,
    ) {
        let mut lowest = f64::INFINITY;
        for (place, score) in scores.iter().enumerate() {
            if self.ended(place) {
                break;
            }
            if score.is_finite() {
                lowest = lowest.min(calibrated(*score));
            }
        }
        let lowest = if lowest.is_finite() { lowest } else { 0.0 };
        for (place, &score) in scores.iter().enumerate() {
            if self.ended(place) {
                break;
            }
            let value = if score.is_finite() { calibrated(score) } else { lowest };
            self.sums[place] += weight * value;
            if self.place == Some(place) {
                self.said[at].contribution = weight * value;
                self.said[at].score = (!score.is_nan()).then_some(score);
            }
        }
    }
}

/// The lowest and the highest score of a list, of those that are finite.
fn range(list: &Candidates, stop: &Stop) -> (f64, f64) {
    finite(list, stop).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
        (low.min(score), high.max(score))
    })
}

/// The mean of a list's scores and their standard deviation.
fn spread(list: &Candidates, stop: &Stop) -> (f64, f64) {
    let (count, sum) =
        finite(list, stop).fold((0usize, 0.0), |(count, sum), score| (count + 1, sum + score));
    let count = count.max(1) as f64;
    let mean = sum / count;
    let variance = finite(list, stop).map(|score| (score - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// The finite scores of a list; where the time is up, of its first.
fn finite<'a>(list: &'a Candidates, stop: &'a Stop) -> impl Iterator<Item = f64> + 'a {
    let pieces = list.found.chunks(MAX_CUT).enumerate();
    let scores =
        pieces.take_while(|(at, _)| *at == 0 || !stop.reached()).flat_map(|(_, piece)| piece);
    scores.map(|one| f64::from(one.score)).filter(|score| score.is_finite())
}

/// The score of each of `count` documents by a list; NaN where it is not in there.
fn known(list: &Candidates, places: &[u32], count: usize, stop: &Stop) -> Vec<f32> {
    let mut scores = vec![f32::NAN; count];
    for (at, (one, &place)) in list.found.iter().zip(places).enumerate() {
        if at % CHECK == CHECK - 1 && stop.reached() && at >= MAX_CUT {
            break;
        }
        if let Some(score) = scores.get_mut(place as usize) {
            *score = one.score;
        }
    }
    scores
}

/// Gives the documents that are not in a part's list their true score by it, where it is a plain
/// search: 0 by a sparse vector that they share no term with, none where they lack the field.
fn complete(
    plan: &Plan<'_>,
    part: &Query,
    found: &[Candidate],
    scores: &mut [f32],
    scratch: &mut Scratch,
) -> Result<()> {
    if part.rerank.is_some() || part.filter.is_some() || part.at_least > f32::NEG_INFINITY {
        return Ok(());
    }
    let mut missing: Vec<(usize, DocId, usize)> = Vec::new();
    for (place, (one, score)) in found.iter().zip(&*scores).enumerate() {
        if place % CHECK == 0 && plan.stop.reached() {
            return Ok(());
        }
        if score.is_nan() {
            missing.push((one.segment, one.doc, place));
        }
    }
    let count = missing.len();
    let in_place = in_order(&mut missing, count, Some(plan.stop), Ord::cmp);
    missing.truncate(in_place);
    for group in missing.chunk_by(|a, b| a.0 == b.0) {
        let docs: Vec<DocId> = group.iter().map(|entry| entry.1).collect();
        plan.score(&part.first, group[0].0, &docs, scratch, |at, score| {
            scores[group[at].2] = score.unwrap_or(f32::NAN);
        })?;
    }
    Ok(())
}
