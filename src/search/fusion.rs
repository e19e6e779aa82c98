//! Several answers made one: what each list of candidates says of a document, added up.

use std::collections::HashMap;

use crate::error::{Fault, InputError, Result};
use crate::id::{DocId, better};
use crate::search::Certainty;
use crate::search::plan::Plan;
use crate::search::query::{Query, Stage, refuse};
use crate::search::run::{Answer, Found, Scratch};
use crate::stop::Stop;
use crate::topk::MAX_CUT;

/// Most queries of one fusion.
const MAX_PARTS: usize = 64;
/// Documents united between two looks at the clock.
const CHECK: usize = 256;
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

/// The documents of several lists and what each list says of them.
#[derive(Debug, Default)]
pub(crate) struct United {
    pub(crate) found: Vec<Found>,
    /// For each document one for each list.
    pub(crate) says: Vec<Vec<Say>>,
}

impl United {
    /// Unites lists, in the order in which documents come up. Where the time is up, what is left of
    /// the lists is left out.
    fn new(lists: &[Answer], stop: &Stop) -> Self {
        let mut united = Self::default();
        let mut places: HashMap<(usize, DocId), usize> = HashMap::new();
        for (list, answer) in lists.iter().enumerate() {
            for (rank, found) in (1usize..).zip(&answer.found) {
                if rank % CHECK == 0 && stop.reached() {
                    return united;
                }
                let place = *places.entry((found.segment, found.doc)).or_insert_with(|| {
                    united.found.push(found.clone());
                    united.says.push(vec![Say::default(); lists.len()]);
                    united.found.len() - 1
                });
                let say = &mut united.says[place][list];
                (say.rank, say.score) = (Some(rank), Some(found.score));
            }
        }
        united
    }
}

/// Fuses the lists of the parts. Scores are set and documents ordered by them, but for a union,
/// whose documents all have −∞.
pub(crate) fn fuse(
    plan: &Plan<'_>,
    fused: &Fused,
    lists: &[Answer],
    scratch: &mut Scratch,
) -> Result<(United, Certainty)> {
    let certainty = lists.iter().map(|list| list.certainty).min().unwrap_or(Certainty::Certified);
    let mut united = United::new(lists, plan.stop);
    let cut = |united: &mut United| {
        if plan.stop.reached() {
            united.found.truncate(MAX_CUT);
            united.says.truncate(MAX_CUT);
        }
    };
    cut(&mut united);
    match &fused.how {
        How::Union => {
            united.found.iter_mut().for_each(|found| found.score = f32::NEG_INFINITY);
            return Ok((united, certainty));
        }
        How::Fusion(Fusion::ReciprocalRank { k }) => {
            for say in united.says.iter_mut().flatten() {
                say.contribution = say.rank.map_or(0.0, |rank| 1.0 / (f64::from(*k) + rank as f64));
            }
        }
        How::Fusion(Fusion::RelativeScore) => {
            for (list, answer) in lists.iter().enumerate() {
                let (low, high) = range(answer);
                for says in &mut united.says {
                    let say = &mut says[list];
                    say.contribution = match say.score {
                        Some(score) if score.is_finite() && high > low => {
                            (f64::from(score) - low) / (high - low)
                        }
                        Some(score) if score.is_finite() => 1.0,
                        _ => 0.0,
                    };
                }
            }
        }
        How::Fusion(Fusion::Weighted(weights)) => {
            for (list, (answer, weight)) in lists.iter().zip(weights).enumerate() {
                complete(plan, &fused.parts[list], list, &mut united, scratch)?;
                let (mean, deviation) = spread(answer);
                let calibrated = |score: f32| {
                    if deviation > 0.0 { (f64::from(score) - mean) / deviation } else { 0.0 }
                };
                let known = |say: &Say| say.score.filter(|score| score.is_finite());
                let scores = united.says.iter().filter_map(|says| known(&says[list]));
                let lowest = scores.map(calibrated).fold(f64::INFINITY, f64::min);
                let lowest = if lowest.is_finite() { lowest } else { 0.0 };
                for says in &mut united.says {
                    let say = &mut says[list];
                    let value = known(say).map_or(lowest, calibrated);
                    say.contribution = f64::from(*weight) * value;
                }
            }
        }
    }
    cut(&mut united);
    for (found, says) in united.found.iter_mut().zip(&united.says) {
        let sum: f64 = says.iter().map(|say| say.contribution).sum();
        #[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
        let score = sum as f32;
        found.score = if score.is_nan() { f32::NEG_INFINITY } else { score };
    }
    let mut order: Vec<usize> = (0..united.found.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&united.found[a], &united.found[b]);
        better(a.score, b.score, || a.key.cmp(&b.key))
    });
    let mut says = std::mem::take(&mut united.says);
    united.says = order.iter().map(|&at| std::mem::take(&mut says[at])).collect();
    united.found = order.iter().map(|&at| united.found[at].clone()).collect();
    Ok((united, certainty))
}

/// The lowest and the highest score of a list, of those that are finite.
fn range(answer: &Answer) -> (f64, f64) {
    finite(answer).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), score| {
        (low.min(score), high.max(score))
    })
}

/// The mean of a list's scores and their standard deviation.
fn spread(answer: &Answer) -> (f64, f64) {
    let count = finite(answer).count().max(1) as f64;
    let mean = finite(answer).sum::<f64>() / count;
    let variance = finite(answer).map(|score| (score - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

fn finite(answer: &Answer) -> impl Iterator<Item = f64> + '_ {
    answer.found.iter().filter(|found| found.score.is_finite()).map(|found| f64::from(found.score))
}

/// Gives the documents that are not in a part's list their true score by it, where it is a plain
/// search: 0 by a sparse vector that they share no term with, none where they lack the field.
fn complete(
    plan: &Plan<'_>,
    part: &Query,
    list: usize,
    united: &mut United,
    scratch: &mut Scratch,
) -> Result<()> {
    if plan.stop.reached() {
        return Ok(());
    }
    if part.rerank.is_some() || part.filter.is_some() || part.at_least > f32::NEG_INFINITY {
        return Ok(());
    }
    let mut missing: Vec<(usize, DocId, usize)> = (0..)
        .zip(united.found.iter().zip(&united.says))
        .filter(|(_, (_, says))| says[list].rank.is_none())
        .map(|(place, (found, _))| (found.segment, found.doc, place))
        .collect();
    missing.sort_unstable();
    for group in missing.chunk_by(|a, b| a.0 == b.0) {
        let docs: Vec<DocId> = group.iter().map(|entry| entry.1).collect();
        plan.score(&part.first, group[0].0, &docs, scratch, |at, score| {
            united.says[group[at].2][list].score = score;
        })?;
    }
    Ok(())
}
