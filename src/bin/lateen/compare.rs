//! `lateen compare`: every way of asking, judged on one set.

use std::path::PathBuf;

use lateen::eval::{Evaluation, Measure, Qrels, Run, compare, evaluate};
use lateen::readers::{EmbeddingSet, SetQueries, SetQuery};
use lateen::{Effort, Index, Query};
use serde_json::{Map, Value, json};

use crate::declared::vector_field;
use crate::failure::{Code, Failure};
use crate::planner::{Mode, Planner, Settings};
use crate::text;

/// Judge every way of asking on an embedding set with judgements
///
/// nDCG@10 and recall@100 of exact searches, without and with feedback, and p of a paired t-test on
/// nDCG@10 against the first line. Where there are token rows: how much of the nDCG@10 of searching
/// all of them a rerank of fewer documents loses, and how many of its ten best it does not find; the
/// same of a union beside each of its searches alone, with as many candidates, where the token search
/// is the fastest there is, and the usual one.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The embedding set whose queries are asked and judged
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
        let what = format!("{}: no qrels.tsv", args.set.display());
        return Err(Failure::new(Code::Input, what).next("take a set that has judgements"));
    };
    let qrels = Qrels::read(qrels).map_err(Failure::input)?;
    let schema = index.schema();
    let sparse = schema.sparse(&vector_field(&schema, "sparse")).is_ok();
    let tokens = schema.tokens(&vector_field(&schema, "tokens")).is_ok();
    let mut first: Option<Evaluation> = None;
    let (mut rows, mut ways) = (Vec::new(), Vec::new());
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
            let run = answered(&index, &|asked| planner.query(asked), &queries, args)?;
            let ndcg = evaluate(&qrels, &run, Measure::Ndcg(10));
            let recall = evaluate(&qrels, &run, Measure::Recall(100)).mean();
            let base = first.get_or_insert_with(|| ndcg.clone());
            let test = compare(&ndcg, base)?.t_test;
            cells.push(format!("{:.4}", ndcg.mean()));
            cells.push(test.map_or("-".to_owned(), |test| format!("{:.4}", test.p)));
            cells.push(format!("{recall:.4}"));
            ways.push(json!({ "mode": mode.name(), "candidates": candidates,
                "feedback": feedback, "ndcg@10": ndcg.mean(), "p": test.map(|test| test.p),
                "recall@100": recall }));
        }
        rows.push(cells);
    }
    let heading =
        ["asked by", ">nDCG@10", ">p", ">recall@100", ">feedback: nDCG@10", ">p", ">recall@100"];
    let judged = text::count(qrels.len() as u64);
    let table = format!("{}{judged} judged queries\n", text::table(&heading, &rows));
    let mut data = json!({ "judged": qrels.len(), "ways": ways });
    if !(sparse && tokens) {
        return Ok(text::told(args.json, &data, table));
    }
    let (told, lost) = losses(&index, &queries, &qrels, args)?;
    data["lost"] = lost;
    Ok(text::told(args.json, &data, format!("{table}\n{told}")))
}

/// How many sparse candidates are reranked where the loss is told.
const SPARSE: [usize; 9] = [50, 100, 150, 200, 300, 400, 500, 700, 1000];
/// How many candidates there are in all where a union is held against each search alone.
const DEPTHS: [usize; 4] = [10, 20, 50, 100];
/// How the token search finds its candidates there: what finds nearly all leaves a union nothing to
/// add.
const EFFORTS: [Effort; 2] = [Effort::Level(0.0), Effort::Recall(0.98)];

/// What MaxSim over a part of the documents loses beside MaxSim over all of them.
struct Judge<'a> {
    index: &'a Index,
    args: &'a Args,
    queries: &'a SetQueries,
    qrels: &'a Qrels,
    all: Run,
    whole: Evaluation,
}

/// Of one way, in percent where it is not p.
struct Loss {
    ndcg: f64,
    p: Option<f64>,
    missed: f64,
}

impl<'a> Judge<'a> {
    fn new(
        index: &'a Index,
        queries: &'a SetQueries,
        qrels: &'a Qrels,
        args: &'a Args,
    ) -> Result<Self, Failure> {
        let planner = planner(index, args, Mode::Tokens, None, Effort::Exact)?;
        let all = answered(index, &|asked| planner.query(asked), queries, args)?;
        let whole = evaluate(qrels, &all, Measure::Ndcg(10));
        Ok(Self { index, args, queries, qrels, all, whole })
    }

    /// Of one of the command's modes.
    fn mode(&self, mode: Mode, candidates: Option<usize>, effort: Effort) -> Result<Loss, Failure> {
        let planner = planner(self.index, self.args, mode, candidates, effort)?;
        self.loss(&|asked| planner.query(asked))
    }

    /// Of half of the candidates by the exact sparse search, and half by the token search.
    fn union(&self, depth: usize, effort: Effort) -> Result<Loss, Failure> {
        let schema = self.index.schema();
        let sparse = schema.sparse(&vector_field(&schema, "sparse"))?;
        let tokens = schema.tokens(&vector_field(&schema, "tokens"))?;
        self.loss(&|asked| {
            let (Some(terms), Some(rows)) = (asked.sparse, asked.tokens) else {
                let what = format!("query {}: vectors are missing", asked.id);
                return Err(Failure::new(Code::Input, what));
            };
            let parts = [
                Query::sparse(&sparse, terms)?.exact(),
                Query::tokens(&tokens, rows)?.effort(effort),
            ];
            Ok(Query::union(parts, &tokens, rows)?.candidates(depth / 2).top(10))
        })
    }

    fn loss(&self, ask: &dyn Fn(&SetQuery<'_>) -> Result<Query, Failure>) -> Result<Loss, Failure> {
        let run = answered(self.index, ask, self.queries, self.args)?;
        let part = evaluate(self.qrels, &run, Measure::Ndcg(10));
        Ok(Loss {
            ndcg: 100.0 * (1.0 - part.mean() / self.whole.mean()),
            p: compare(&part, &self.whole)?.t_test.map(|test| test.p),
            missed: 100.0 * (1.0 - overlap(&self.all, &run)),
        })
    }
}

fn planner(
    index: &Index,
    args: &Args,
    mode: Mode,
    candidates: Option<usize>,
    effort: Effort,
) -> Result<Planner, Failure> {
    let (weights, filter, feedback, top) = ([1.0, 1.0], None, false, 10);
    let settings = Settings { candidates, weights, filter, feedback, effort, top };
    Planner::new(index, &args.index, mode, settings)
}

/// Two tables: of sparse candidates alone, with p, and of a union beside each of its searches alone.
fn losses(
    index: &Index,
    queries: &SetQueries,
    qrels: &Qrels,
    args: &Args,
) -> Result<(String, Value), Failure> {
    let judge = Judge::new(index, queries, qrels, args)?;
    let data = |loss: &Loss| json!({ "ndcg@10_percent": loss.ndcg, "p": loss.p, "top10_missed_percent": loss.missed });
    let (mut rows, mut reranked) = (Vec::new(), Map::new());
    for depth in SPARSE {
        let loss = judge.mode(Mode::Rerank, Some(depth), Effort::Exact)?;
        reranked.insert(depth.to_string(), data(&loss));
        let Loss { ndcg, p, missed } = loss;
        let p = p.map_or("-".to_owned(), |p| format!("{p:.4}"));
        rows.push(vec![depth.to_string(), format!("{ndcg:.2} %"), p, format!("{missed:.2} %")]);
    }
    let heading = ["MaxSim of sparse candidates", ">nDCG@10 lost", ">p", ">ten best missed"];
    let alone = text::table(&heading, &rows);

    let both = |loss: &Loss| format!("{:.2}, {:.2}", loss.ndcg, loss.missed);
    // What a token search gives is in the order of MaxSim as it is: its ten best, however deep.
    let mut tokens = Vec::new();
    for effort in EFFORTS {
        tokens.push(judge.mode(Mode::Tokens, None, effort)?);
    }
    let (mut rows, mut united) = (Vec::new(), Map::new());
    for depth in DEPTHS {
        let sparse = judge.mode(Mode::Rerank, Some(depth), Effort::Exact)?;
        let mut cells = vec![depth.to_string(), both(&sparse)];
        let mut of_depth = json!({ "sparse": data(&sparse) });
        for ((effort, tokens), name) in EFFORTS.into_iter().zip(&tokens).zip(["fastest", "usual"]) {
            let union = judge.union(depth, effort)?;
            cells.extend([both(tokens), both(&union)]);
            of_depth[name] = json!({ "tokens": data(tokens), "union": data(&union) });
        }
        united.insert(depth.to_string(), of_depth);
        rows.push(cells);
    }
    let heading =
        ["candidates in all", ">sparse", ">tokens, level 0", ">union", ">tokens", ">union"];
    let both = text::table(&heading, &rows);
    let said = "of each: nDCG@10 lost and ten best missed, in %; of a union, half of each search's";
    let data = json!({ "rerank": reranked, "union": united });
    Ok((format!("{alone}\n{both}{said}\n"), data))
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

/// The hits of every query that have a score.
fn answered(
    index: &Index,
    ask: &dyn Fn(&SetQuery<'_>) -> Result<Query, Failure>,
    queries: &SetQueries,
    args: &Args,
) -> Result<Run, Failure> {
    let mut run = Run::default();
    for asked in queries.iter() {
        let query = ask(&asked).map_err(|failure| failure.at(args.set.display()))?;
        let hits = index.search(&query).map_err(|error| Failure::index(&args.index, error))?;
        let scored = hits.iter().filter(|hit| hit.score().is_finite());
        run.push(asked.id, scored.map(|hit| (hit.key().to_string(), hit.score())))?;
    }
    Ok(run)
}
