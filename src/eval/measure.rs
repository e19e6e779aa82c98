//! The measures, of one ranking and of a whole run.

use std::fmt;
use std::str::FromStr;

use super::qrels::Qrels;
use super::run::{Ranked, Run};
use crate::error::{Error, Fault, InputError};

/// Of the relevant documents, how many stand among the first `k`. `grades` are those of the
/// ranking, best first, 0 for what is not relevant; `relevant` is how many relevant documents there
/// are. 0 where there are none.
pub fn recall(grades: &[u32], relevant: usize, k: usize) -> f64 {
    if relevant == 0 {
        return 0.0;
    }
    grades.iter().take(k).filter(|&&grade| grade > 0).count() as f64 / relevant as f64
}

/// Normalised discounted cumulative gain of the first `k`: the grade at rank r counts
/// grade / log₂(r + 1), and the sum is divided by that of `ideal`, the grades of all relevant
/// documents, largest first. 0 where there are none.
///
/// ```
/// use lateen::eval::ndcg;
///
/// assert_eq!(ndcg(&[2, 0, 1], &[2, 1], 10), (2.0 + 0.5) / (2.0 + 1.0 / f64::log2(3.0)));
/// ```
pub fn ndcg(grades: &[u32], ideal: &[u32], k: usize) -> f64 {
    let gain = |grades: &[u32]| -> f64 {
        let discounted = |(i, &grade): (usize, &u32)| f64::from(grade) / ((i + 2) as f64).log2();
        grades.iter().take(k).enumerate().map(discounted).fold(0.0, |sum, gain| sum + gain)
    };
    let best = gain(ideal);
    if best > 0.0 { gain(grades) / best } else { 0.0 }
}

/// One over the rank of the first relevant document; 0 where the ranking has none.
pub fn reciprocal_rank(grades: &[u32]) -> f64 {
    grades.iter().position(|&grade| grade > 0).map_or(0.0, |i| 1.0 / (i + 1) as f64)
}

/// The mean, over all relevant documents, of the precision at their ranks; one that the ranking
/// lacks counts 0. 0 where there are none.
pub fn average_precision(grades: &[u32], relevant: usize) -> f64 {
    if relevant == 0 {
        return 0.0;
    }
    let mut found = 0u32;
    let mut sum = 0.0;
    for (i, _) in grades.iter().enumerate().filter(|&(_, &grade)| grade > 0) {
        found += 1;
        sum += f64::from(found) / (i + 1) as f64;
    }
    sum / relevant as f64
}

/// What is measured. As text: `ndcg@10`, `recall@100`, `mrr`, `mrr@10`, `map`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// [`ndcg`] of the first so many.
    Ndcg(usize),
    /// [`recall`] of the first so many.
    Recall(usize),
    /// [`reciprocal_rank`], within the first so many or wherever it is; the mean is the MRR.
    ReciprocalRank(Option<usize>),
    /// [`average_precision`] of the whole ranking; the mean is the MAP.
    AveragePrecision,
}

impl Measure {
    /// The value for one ranking; see the functions for what the arguments are.
    pub fn of(&self, grades: &[u32], ideal: &[u32]) -> f64 {
        match *self {
            Self::Ndcg(k) => ndcg(grades, ideal, k),
            Self::Recall(k) => recall(grades, ideal.len(), k),
            Self::ReciprocalRank(k) => {
                reciprocal_rank(&grades[..k.unwrap_or(usize::MAX).min(grades.len())])
            }
            Self::AveragePrecision => average_precision(grades, ideal.len()),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ndcg(k) => write!(f, "ndcg@{k}"),
            Self::Recall(k) => write!(f, "recall@{k}"),
            Self::ReciprocalRank(Some(k)) => write!(f, "mrr@{k}"),
            Self::ReciprocalRank(None) => f.write_str("mrr"),
            Self::AveragePrecision => f.write_str("map"),
        }
    }
}

impl FromStr for Measure {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (name, k) = match text.split_once('@') {
            None => (text, None),
            Some((name, k)) => (name, Some(k.parse().ok().filter(|&k: &usize| k > 0))),
        };
        Ok(match (name, k) {
            ("ndcg", Some(Some(k))) => Self::Ndcg(k),
            ("recall", Some(Some(k))) => Self::Recall(k),
            ("mrr", None) => Self::ReciprocalRank(None),
            ("mrr", Some(Some(k))) => Self::ReciprocalRank(Some(k)),
            ("map", None) => Self::AveragePrecision,
            _ => {
                let range = "ndcg@K, recall@K, mrr, mrr@K, map, with K from 1".to_owned();
                let fault = Fault::Parameter { value: format!("{text:?}"), range };
                return Err(InputError::new("measure", fault).into());
            }
        })
    }
}

/// A measure of a run, query by query.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// What was measured.
    pub measure: Measure,
    /// Every judged query with its value, in the order of the judgements.
    pub values: Vec<(String, f64)>,
}

impl Evaluation {
    /// The mean over all judged queries; 0 for none.
    pub fn mean(&self) -> f64 {
        if self.values.is_empty() {
            return 0.0;
        }
        self.values.iter().map(|(_, value)| value).sum::<f64>() / self.values.len() as f64
    }
}

/// Measures a run against judgements.
pub fn evaluate(qrels: &Qrels, run: &Run, measure: Measure) -> Evaluation {
    let value = |query: &str| {
        let grades = grades(qrels, query, run.ranking(query).unwrap_or_default());
        (query.to_owned(), measure.of(&grades, &qrels.ideal(query)))
    };
    Evaluation { measure, values: qrels.queries().map(value).collect() }
}

/// The grades of a ranking in the order that counts: by score, then by document id descending.
fn grades(qrels: &Qrels, query: &str, ranking: &[Ranked]) -> Vec<u32> {
    let mut order: Vec<&Ranked> = ranking.iter().collect();
    // Adding 0 makes the two zeros one.
    let score = |hit: &Ranked| hit.score + 0.0;
    order.sort_by(|a, b| {
        score(b).total_cmp(&score(a)).then_with(|| b.document.as_bytes().cmp(a.document.as_bytes()))
    });
    order
        .into_iter()
        .map(|hit| qrels.grade(query, &hit.document).unwrap_or(0))
        .map(|grade| u32::try_from(grade).unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-12
    }

    #[test]
    fn values_by_hand() {
        let grades = [0, 1, 0, 2, 0];
        let ideal = [3, 2, 1];
        assert!(close(recall(&grades, 3, 1), 0.0));
        assert!(close(recall(&grades, 3, 2), 1.0 / 3.0));
        assert!(close(recall(&grades, 3, 100), 2.0 / 3.0));
        assert!(close(reciprocal_rank(&grades), 0.5));
        // Precision at rank 2 is 1/2, at rank 4 it is 2/4, the third document is missing.
        assert!(close(average_precision(&grades, 3), 1.0 / 3.0));
        // 1/log2(3) + 2/log2(5) over 3/log2(2) + 2/log2(3) + 1/log2(4).
        let gained = 0.630_929_753_571_457_4 + 2.0 * 0.430_676_558_073_393_1;
        let best = 3.0 + 2.0 * 0.630_929_753_571_457_4 + 0.5;
        assert!(close(ndcg(&grades, &ideal, 10), gained / best));
        // Cut at 2, the ideal is cut too.
        let best = 3.0 + 2.0 * 0.630_929_753_571_457_4;
        assert!(close(ndcg(&grades, &ideal, 2), 0.630_929_753_571_457_4 / best));
        assert!(close(ndcg(&ideal, &ideal, 3), 1.0));
    }

    #[test]
    fn nothing_relevant_and_nothing_found_are_zero() {
        for measure in ["ndcg@10", "recall@10", "mrr", "mrr@10", "map"] {
            let measure: Measure = measure.parse().unwrap();
            assert_eq!(measure.of(&[], &[1]).to_bits(), 0, "{measure}");
            assert_eq!(measure.of(&[0, 0], &[]).to_bits(), 0, "{measure}");
        }
        assert_eq!(Measure::ReciprocalRank(Some(2)).of(&[0, 0, 1], &[1]), 0.0);
        assert_eq!(Measure::ReciprocalRank(Some(3)).of(&[0, 0, 1], &[1]), 1.0 / 3.0);
    }

    #[test]
    fn names_go_there_and_back() {
        for name in ["ndcg@10", "recall@100", "mrr", "mrr@5", "map"] {
            assert_eq!(name.parse::<Measure>().unwrap().to_string(), name);
        }
        for name in ["ndcg", "recall@0", "recall@-1", "map@5", "mrr@", "p@10", ""] {
            assert!(name.parse::<Measure>().is_err(), "{name}");
        }
    }

    #[test]
    fn equal_scores_rank_by_document_descending_whatever_the_file_says() {
        let qrels = Qrels::parse("q", "q 0 b 1\nr 0 a 1\n".as_bytes()).unwrap();
        let run = "q Q0 c 1 1 t\nq Q0 b 2 1.0 t\nq Q0 a 3 2 t\ns Q0 a 1 1 t\n";
        let run = Run::parse("r", run.as_bytes()).unwrap();
        let found = evaluate(&qrels, &run, Measure::ReciprocalRank(None));
        // a by its score, then c before b; the unanswered r counts, the unjudged s does not.
        assert_eq!(found.values, [("q".to_owned(), 1.0 / 3.0), ("r".to_owned(), 0.0)]);
        assert!(close(found.mean(), 1.0 / 6.0));
    }

    #[test]
    fn an_exact_run_recalls_itself() {
        let exact = "q Q0 a 1 3 t\nq Q0 b 2 2 t\nq Q0 c 3 1 t\n";
        let exact = Run::parse("r", exact.as_bytes()).unwrap();
        let found = Run::parse("r", "q Q0 c 1 3 t\nq Q0 a 2 2 t\n".as_bytes()).unwrap();
        let qrels = Qrels::from_run(&exact, 2);
        assert_eq!(evaluate(&qrels, &exact, Measure::Recall(2)).mean(), 1.0);
        assert_eq!(evaluate(&qrels, &found, Measure::Recall(2)).mean(), 0.5);
    }
}
