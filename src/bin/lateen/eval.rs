//! `lateen eval`: judges a run, alone or against another.

use std::path::{Path, PathBuf};

use lateen::eval::{Comparison, Evaluation, Measure, Qrels, Run, compare, evaluate};
use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};
use crate::text;

/// Judge a run by what is known to be relevant
///
/// Means are over all judged queries: one that the run does not answer counts 0. The conventions
/// are trec_eval's, for every measure: documents are ranked by score, equal scores by document id
/// descending (z before a), whatever rank the file gives them, and cuts (@K) come after that. MS
/// MARCO's own script ranks equal scores by id ascending, so its MRR@10 is another where scores tie.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The judgements: `query document grade` under a heading, or TREC's four columns
    #[arg(long, value_name = "FILE")]
    qrels: PathBuf,
    /// The run, in TREC's format
    #[arg(long, value_name = "FILE")]
    run: PathBuf,
    /// Another run to set it against: the mean difference, and p of a paired t-test and of a
    /// randomisation test
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// What to measure: ndcg@K, recall@K, mrr, mrr@K, map
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    #[arg(default_value = "ndcg@10,ndcg@100,recall@10,recall@100,mrr@10,map")]
    measures: Vec<Measure>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Judges; gives a table, or JSON.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let qrels = Qrels::read(&args.qrels).map_err(Failure::input)?;
    let run = Run::read(&args.run).map_err(Failure::input)?;
    if qrels.is_empty() {
        let what = format!("{}: no judgements", args.qrels.display());
        return Err(
            Failure::new(Code::Input, what).next("a line of `query document grade` is needed")
        );
    }
    let against = args.against.as_ref().map(Run::read).transpose().map_err(Failure::input)?;
    let answered = answers(&qrels, &run, &args.run)?;
    if let (Some(other), Some(path)) = (&against, &args.against) {
        answers(&qrels, other, path)?;
    }
    let mut rows = Vec::with_capacity(args.measures.len());
    for &measure in &args.measures {
        let evaluation = evaluate(&qrels, &run, measure);
        let comparison = match &against {
            Some(other) => Some(compare(&evaluation, &evaluate(&qrels, other, measure))?),
            None => None,
        };
        rows.push((evaluation, comparison));
    }
    if args.json {
        let entries: Map<String, Value> = rows
            .iter()
            .map(|(evaluation, comparison)| {
                (evaluation.measure.to_string(), entry(evaluation, comparison.as_ref()))
            })
            .collect();
        return Ok(format!("{:#}\n", Value::Object(entries)));
    }
    Ok(table(&rows, qrels.len(), answered))
}

/// How many judged queries a run answers; none is an error.
fn answers(qrels: &Qrels, run: &Run, path: &Path) -> Result<usize, Failure> {
    let refuse = |what: &str, next: &str| {
        Err(Failure::new(Code::Input, format!("{}: {what}", path.display())).next(next))
    };
    if run.is_empty() {
        return refuse("no hits", "`lateen search --run` writes a run");
    }
    match qrels.queries().filter(|query| run.ranking(query).is_some()).count() {
        0 => refuse("answers no judged query", "are the ids of its queries those of --qrels?"),
        count => Ok(count),
    }
}

fn entry(evaluation: &Evaluation, comparison: Option<&Comparison>) -> Value {
    match comparison {
        None => json!({ "mean": evaluation.mean() }),
        Some(comparison) => json!({
            "mean": evaluation.mean(),
            "difference": comparison.difference,
            "p": comparison.t_test.map(|test| test.p),
            "p_randomization": comparison.randomization,
        }),
    }
}

fn table(rows: &[(Evaluation, Option<Comparison>)], queries: usize, answered: usize) -> String {
    let compared = rows.iter().any(|(_, comparison)| comparison.is_some());
    let heading: &[&str] = if compared {
        &["measure", ">mean", ">difference", ">p (t)", ">p (random)"]
    } else {
        &["measure", ">mean"]
    };
    let p = |p: Option<f64>| p.map_or("-".to_owned(), |p| format!("{p:.4}"));
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|(evaluation, comparison)| {
            let mut cells =
                vec![evaluation.measure.to_string(), format!("{:.4}", evaluation.mean())];
            if let Some(comparison) = comparison {
                cells.push(format!("{:+.4}", comparison.difference));
                cells.push(p(comparison.t_test.map(|test| test.p)));
                cells.push(p(comparison.randomization));
            }
            cells
        })
        .collect();
    let judged = match queries {
        1 => "1 judged query".to_owned(),
        _ => format!("{} judged queries", text::count(queries as u64)),
    };
    let of = if answered < queries {
        format!(", {} of them answered", text::count(answered as u64))
    } else {
        String::new()
    };
    format!("{}{judged}{of}\n", text::table(heading, &rows))
}
