//! `lateen compare`: every way of asking, judged on one set.

use std::path::PathBuf;

use lateen::eval::{Evaluation, Measure, Qrels, Run, compare, evaluate};
use lateen::readers::{EmbeddingSet, SetQueries};
use lateen::{Effort, Index};

use crate::declared::vector_field;
use crate::failure::{Code, Failure};
use crate::planner::{Mode, Planner, Settings};
use crate::text;

/// Judge every way of asking on an embedding set with judgements
///
/// nDCG@10 and recall@100 of exact searches, without and with feedback, and p of a paired t-test on
/// nDCG@10 against the first line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The embedding set whose queries are asked and judged
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
}

/// The ways: their names, modes and candidates.
const WAYS: [(&str, Mode, Option<usize>); 8] = [
    ("sparse", Mode::Sparse, None),
    ("tokens", Mode::Tokens, None),
    ("rerank, 100 candidates", Mode::Rerank, Some(100)),
    ("rerank, 200 candidates", Mode::Rerank, Some(200)),
    ("rerank, 500 candidates", Mode::Rerank, Some(500)),
    ("union, 50 of each", Mode::Union, Some(50)),
    ("reciprocal rank", Mode::Rrf, Some(100)),
    ("weighted, 1 to 1", Mode::Weighted, Some(100)),
];

/// Judges; gives a table.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let queries = set.queries().map_err(Failure::input)?;
    let Some(qrels) = set.qrels() else {
        return Err(Failure::new(Code::Input, format!("{}: no qrels.tsv", args.set.display())));
    };
    let qrels = Qrels::read(qrels).map_err(Failure::input)?;
    let schema = index.schema();
    let sparse = schema.sparse(&vector_field(&schema, "sparse")).is_ok();
    let tokens = schema.tokens(&vector_field(&schema, "tokens")).is_ok();
    let mut first: Option<Evaluation> = None;
    let mut rows = Vec::new();
    for (name, mode, candidates) in WAYS {
        let there = match mode {
            Mode::Sparse => sparse,
            Mode::Tokens => tokens,
            _ => sparse && tokens,
        };
        if !there {
            continue;
        }
        let mut cells = vec![name.to_owned()];
        for feedback in [false, true] {
            let settings = Settings {
                candidates,
                weights: [1.0, 1.0],
                filter: None,
                feedback,
                effort: Effort::Exact,
                top: 100,
            };
            let planner = Planner::new(&index, &args.index, mode, settings)?;
            let run = answered(&index, &planner, &queries, args)?;
            let ndcg = evaluate(&qrels, &run, Measure::Ndcg(10));
            let recall = evaluate(&qrels, &run, Measure::Recall(100)).mean();
            let base = first.get_or_insert_with(|| ndcg.clone());
            let test = compare(&ndcg, base)?.t_test;
            cells.push(format!("{:.4}", ndcg.mean()));
            cells.push(test.map_or("-".to_owned(), |test| format!("{:.4}", test.p)));
            cells.push(format!("{recall:.4}"));
        }
        rows.push(cells);
    }
    let heading =
        ["asked by", ">nDCG@10", ">p", ">recall@100", ">feedback: nDCG@10", ">p", ">recall@100"];
    let judged = text::count(qrels.len() as u64);
    Ok(format!("{}{judged} judged queries\n", text::table(&heading, &rows)))
}

/// The best hundred of every query.
fn answered(
    index: &Index,
    planner: &Planner,
    queries: &SetQueries,
    args: &Args,
) -> Result<Run, Failure> {
    let mut run = Run::default();
    for asked in queries.iter() {
        let query = planner.query(&asked).map_err(|failure| failure.at(args.set.display()))?;
        let hits = index.search(&query).map_err(|error| Failure::index(&args.index, error))?;
        let scored = hits.iter().filter(|hit| hit.score().is_finite());
        run.push(asked.id, scored.map(|hit| (hit.key().to_string(), hit.score())))?;
    }
    Ok(run)
}
