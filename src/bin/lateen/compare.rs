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
/// nDCG@10 against the first line. Where there are token rows: how much of the nDCG@10 of searching
/// all of them a rerank of fewer documents loses, and how many of its ten best it does not find.
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
    if queries.is_empty() {
        return Err(crate::explain::no_queries().at(args.set.display()));
    }
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
    let table = format!("{}{judged} judged queries\n", text::table(&heading, &rows));
    if !(sparse && tokens) {
        return Ok(table);
    }
    Ok(format!("{table}\n{}", losses(&index, &queries, &qrels, args)?))
}

/// Reranks whose loss is told: mode, and how many documents they look at in all.
const RERANKS: [(&str, Mode, usize); 12] = [
    ("sparse", Mode::Rerank, 50),
    ("sparse", Mode::Rerank, 100),
    ("sparse", Mode::Rerank, 150),
    ("sparse", Mode::Rerank, 200),
    ("sparse", Mode::Rerank, 300),
    ("sparse", Mode::Rerank, 400),
    ("sparse", Mode::Rerank, 500),
    ("sparse", Mode::Rerank, 700),
    ("sparse", Mode::Rerank, 1000),
    ("centroids", Mode::Tokens, 100),
    ("union, half of each", Mode::Union, 50),
    ("union, half of each", Mode::Union, 100),
];

/// What MaxSim over a part of the documents loses beside MaxSim over all of them. The candidates of
/// the centroids alone are those of the fastest search.
fn losses(
    index: &Index,
    queries: &SetQueries,
    qrels: &Qrels,
    args: &Args,
) -> Result<String, Failure> {
    let ask = |mode, candidates, effort, top| {
        let (weights, filter, feedback) = ([1.0, 1.0], None, false);
        let settings = Settings { candidates, weights, filter, feedback, effort, top };
        answered(index, &Planner::new(index, &args.index, mode, settings)?, queries, args)
    };
    let all = ask(Mode::Tokens, None, Effort::Exact, 10)?;
    let whole = evaluate(qrels, &all, Measure::Ndcg(10));
    let mut rows = Vec::new();
    for (name, mode, depth) in RERANKS {
        let (candidates, effort) = match mode {
            Mode::Tokens => (None, Effort::Level(0.0)),
            Mode::Union => (Some(depth / 2), Effort::Exact),
            _ => (Some(depth), Effort::Exact),
        };
        let run = ask(mode, candidates, effort, 10)?;
        let part = evaluate(qrels, &run, Measure::Ndcg(10));
        let p =
            compare(&part, &whole)?.t_test.map_or("-".to_owned(), |test| format!("{:.4}", test.p));
        let loss = 100.0 * (1.0 - part.mean() / whole.mean());
        let missed = 100.0 * (1.0 - overlap(&all, &run));
        let depth = if mode == Mode::Tokens { "-".to_owned() } else { depth.to_string() };
        rows.push(vec![
            name.to_owned(),
            depth,
            format!("{loss:.2} %"),
            p,
            format!("{missed:.2} %"),
        ]);
    }
    let heading = ["MaxSim of candidates", ">in all", ">nDCG@10 lost", ">p", ">ten best missed"];
    Ok(text::table(&heading, &rows))
}

/// The share of one run's hits that another has, over all queries.
fn overlap(of: &Run, other: &Run) -> f64 {
    let (mut shared, mut all) = (0usize, 0usize);
    for (query, hits) in of.rankings() {
        let found = other.ranking(query).unwrap_or_default();
        all += hits.len();
        let has = |document: &str| found.iter().any(|other| other.document == document);
        shared += hits.iter().filter(|hit| has(&hit.document)).count();
    }
    shared as f64 / all.max(1) as f64
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
