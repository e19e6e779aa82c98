//! Judging a search: what it ranked ([`Run`]) against what is known to be relevant ([`Qrels`]),
//! query by query ([`evaluate`]), and whether one search is better than another ([`compare`]).
//!
//! The conventions are those of `trec_eval`, so figures can be set beside published ones: a run's
//! rank column is ignored and documents are ordered by score, equal scores by document id
//! *descending* (z before a), for every measure, and cut (`@K`) in that order; gains are the grades,
//! discounted by the binary logarithm of rank + 1; documents that nobody judged are not relevant.
//! Means are over all judged queries: one that the run does not answer counts 0 (`trec_eval -c`).
//! MS MARCO's own script orders equal scores by id *ascending*, so its MRR@10 is another where scores
//! tie.
//!
//! ```
//! use lateen::eval::{Measure, Qrels, Run, evaluate};
//!
//! let qrels = Qrels::parse("qrels", "q1 0 a 1\nq1 0 b 2\n".as_bytes())?;
//! let run = Run::parse("run", "q1 Q0 b 1 3.5 x\nq1 Q0 c 2 2.5 x\n".as_bytes())?;
//! let recall = evaluate(&qrels, &run, Measure::Recall(10));
//! assert_eq!((recall.measure.to_string(), recall.mean()), ("recall@10".to_owned(), 0.5));
//! # Ok::<(), lateen::Error>(())
//! ```

mod by_query;
mod columns;
mod measure;
mod qrels;
mod run;
mod significance;

pub use measure::{
    Evaluation, Measure, average_precision, evaluate, ndcg, recall, reciprocal_rank,
};
pub use qrels::Qrels;
pub use run::{Ranked, Run};
pub use significance::{Comparison, PairedT, compare, paired_t, randomization};
