//! `lateen search`: the queries of a set become a run, or hits to look at or to read by a program.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::RangedU64ValueParser;
use lateen::eval::Run;
use lateen::readers::{EmbeddingSet, SetQueries, SetQuery};
use lateen::{Hits, Index, Query};
use serde_json::{Value, json};

use crate::explain;
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::planner::{Asking, Planner};
use crate::progress::Progress;
use crate::{interrupt, text};

/// Queries handed to the threads at once.
const CHUNK: usize = 1024;

const USAGE: &str = "\
lateen search <INDEX> --set <DIR>
           (--run <FILE> | --query <ID> [--json] | --json) [--parts]
           [--mode <MODE>] [--top <K>]
           [--exact | --effort <E> | --recall <R>]
           [--candidates <N>] [--weights <S,T>] [--filter <EXPR>]
           [--feedback] [--explain <FILE>] [--threads <N>]";

/// Search an index with the queries of an embedding set
///
/// With `--run` all queries are asked, and it writes a TREC run, a line per hit: `query Q0 document
/// rank score lateen`. Scores have nine significant digits, so equal answers are equal files.
/// With `--query` one query is asked and its hits are shown; `explain` shows where their scores
/// come from. With `--json` the hits of that query, or of each, are an object on a line: `query`,
/// `text`, `us` (microseconds), `certified`, and `hits` with `rank`, `key`, `score` and `text`;
/// beside `--run` the summary is JSON.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The embedding set whose queries are asked
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    #[command(flatten)]
    asking: Asking,
    /// Write where the scores of a query's hits come from: a page with the words that met as a
    /// heat map, or data where the name ends in `.json`
    #[arg(long, value_name = "FILE")]
    explain: Option<PathBuf>,
    /// The query to show or to explain [default for --explain: the first]
    #[arg(long, value_name = "ID")]
    query: Option<String>,
    /// Hits for each query [default: 10, with --run 100]
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    top: Option<usize>,
    /// The file to write the run to; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    run: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// What each part of a hit's score adds, as `explain --json` has it
    #[arg(long, requires = "json", conflicts_with = "run")]
    parts: bool,
    /// Threads for --run [default: 1]; with one, the time of each query is measured
    #[arg(long, value_name = "N", requires = "run", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,
}

/// Searches and writes the run; gives a summary.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    if args.query.is_some() && args.run.is_some() && args.explain.is_none() {
        let what = "--query has no meaning beside --run, which asks all queries";
        return Err(Failure::new(Code::Usage, what).next("leave one of them out"));
    }
    if args.run.is_none() && args.query.is_none() && !args.json && args.explain.is_none() {
        let next = "--query ID shows the hits of one query, --run FILE writes those of all, --json \
                    gives them to a program";
        return Err(Failure::new(Code::Usage, "nothing to do with the hits").next(next));
    }
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let queries = set.queries().map_err(Failure::input)?;
    let place = &args.set.display();
    if queries.is_empty() {
        return Err(explain::no_queries().at(place));
    }
    let mode = args.asking.mode(&index, &queries)?;
    let top = args.top.unwrap_or(if args.run.is_some() { 100 } else { 10 });
    let settings = args.asking.settings(top);
    let planner = Planner::new(&index, &args.index, mode, settings)?;
    if let Some(file) = &args.explain {
        let asked = explain::chosen(&queries, args.query.as_deref()).map_err(|f| f.at(place))?;
        let query = planner.query(&asked).map_err(|failure| failure.at(place))?;
        explain::write(&index, &explain::Asked::new(&index, &asked, query)?, file)?;
    }
    let Some(run) = &args.run else {
        return if args.json {
            objects(args, &index, &queries, &planner)
        } else {
            let asked =
                explain::chosen(&queries, args.query.as_deref()).map_err(|f| f.at(place))?;
            let query = planner.query(&asked).map_err(|failure| failure.at(place))?;
            let hits = index.search(&query);
            hits.and_then(|hits| shown(&hits)).map_err(|error| Failure::index(&args.index, error))
        };
    };
    let output = Output::create(run)?;

    let bar = Progress::new("queries", queries.len());
    let mut answers = Answers::default();
    let mut chunk = Vec::with_capacity(CHUNK.min(queries.len()));
    for (at, query) in queries.iter().enumerate() {
        chunk.push((query.id, planner.query(&query).map_err(|failure| failure.at(place))?));
        if chunk.len() == CHUNK || at + 1 == queries.len() {
            answers
                .search(&index, &chunk, args.threads.unwrap_or(1))
                .map_err(|error| Failure::index(&args.index, error))?;
            bar.add(chunk.len())?;
            chunk.clear();
        }
    }
    drop(bar);
    output.finish(|file| answers.run.write(file, "lateen"))?;
    Ok(if args.json { answers.data() } else { answers.summary() })
}

/// The answers of the query that is asked, or of all, as an object on a line each.
fn objects(
    args: &Args,
    index: &Index,
    queries: &SetQueries,
    planner: &Planner,
) -> Result<String, Failure> {
    let place = args.set.display();
    let asked: Vec<SetQuery<'_>> = match &args.query {
        Some(id) => vec![explain::chosen(queries, Some(id)).map_err(|failure| failure.at(place))?],
        None => queries.iter().collect(),
    };
    let mut out = String::new();
    let bar = Progress::new("queries", asked.len());
    for one in &asked {
        let query = planner.query(one).map_err(|failure| failure.at(args.set.display()))?;
        let failed = |error| Failure::index(&args.index, error);
        let start = Instant::now();
        let hits = index.search(&query).map_err(failed)?;
        let us = start.elapsed().as_secs_f64() * 1e6;
        let certified = hits.certified();
        let explained = args.parts.then(|| explain::Asked::new(index, one, query)).transpose()?;
        let mut found = Vec::with_capacity(hits.len());
        for (rank, hit) in (1u64..).zip(&hits) {
            let payload = hit.payload().map_err(failed)?;
            let text = payload.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let (key, score) = (hit.key().to_string(), short(hit.score()));
            let mut value = json!({ "rank": rank, "key": key, "score": score, "text": text });
            if let Some(asked) = &explained {
                value["parts"] = asked.parts(index, hit, text.as_deref().unwrap_or_default())?;
            }
            found.push(value);
        }
        let answer = json!({ "query": one.id, "text": one.text, "us": (us * 10.0).round() / 10.0,
            "certified": certified, "hits": found });
        out += &answer.to_string();
        out.push('\n');
        bar.add(1)?;
    }
    interrupt::check()?;
    Ok(out)
}

/// The number with the fewest digits that is read back as the same `f32`; `null` for none that JSON
/// has.
fn short(number: f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, |shortest| json!(shortest))
}

/// Letters of a text that are shown beside its hit.
const LETTERS: usize = 60;

/// The hits of one query as a table.
fn shown(hits: &Hits) -> lateen::Result<String> {
    let mut rows = Vec::with_capacity(hits.len());
    for (rank, hit) in (1u64..).zip(hits) {
        let payload = hit.payload()?.unwrap_or_default();
        let words = String::from_utf8_lossy(&payload);
        let end = words.char_indices().nth(LETTERS).map_or(words.len(), |(at, _)| at);
        let score = format!("{:.6}", hit.score());
        rows.push(vec![
            rank.to_string(),
            score,
            text::plain(&hit.key().to_string()),
            text::plain(&words[..end]),
        ]);
    }
    Ok(if rows.is_empty() {
        "no hits\n".to_owned()
    } else {
        text::table(&[">rank", ">score", "key", "text"], &rows)
    })
}

/// What was found, and how long it took.
#[derive(Default)]
struct Answers {
    run: Run,
    queries: usize,
    hits: u64,
    /// Reranked hits that lack the field they are ordered by: their score is −∞, for which a run
    /// has no place. Every other score is finite.
    unscored: u64,
    certified: usize,
    total: Duration,
    /// The time of each query, where they were searched one after another.
    times: Vec<Duration>,
}

impl Answers {
    fn search(
        &mut self,
        index: &Index,
        chunk: &[(&str, Query)],
        threads: usize,
    ) -> lateen::Result<()> {
        let start = Instant::now();
        let mut found = Vec::with_capacity(chunk.len());
        if threads == 1 {
            for (_, query) in chunk {
                let start = Instant::now();
                found.push(index.search(query)?);
                self.times.push(start.elapsed());
            }
        } else {
            let queries: Vec<Query> = chunk.iter().map(|(_, query)| query.clone()).collect();
            found = index.search_batch(&queries, threads)?;
        }
        self.total += start.elapsed();
        for ((id, _), hits) in chunk.iter().zip(&found) {
            self.take(id, hits)?;
        }
        Ok(())
    }

    fn take(&mut self, id: &str, hits: &Hits) -> lateen::Result<()> {
        self.queries += 1;
        self.certified += usize::from(hits.certified());
        let scored = || hits.iter().filter(|hit| hit.score().is_finite());
        let count = scored().count();
        self.hits += count as u64;
        self.unscored += (hits.len() - count) as u64;
        self.run.push(id, scored().map(|hit| (hit.key().to_string(), hit.score())))
    }

    fn data(mut self) -> String {
        self.times.sort_unstable();
        let us = |percent| quantile(&self.times, percent).map(|time| time.as_secs_f64() * 1e6);
        let told = json!({ "queries": self.queries, "hits": self.hits, "certified": self.certified,
            "left_out": self.unscored, "seconds": self.total.as_secs_f64(),
            "median_us": us(50), "p99_us": us(99) });
        format!("{told:#}\n")
    }

    fn summary(mut self) -> String {
        let queries = self.queries as u64;
        let mut lines = vec![
            ("queries", text::count(queries)),
            ("hits", text::count(self.hits)),
            ("seconds", format!("{:.3}", self.total.as_secs_f64())),
        ];
        self.times.sort_unstable();
        if let (Some(median), Some(late)) = (quantile(&self.times, 50), quantile(&self.times, 99)) {
            let micros = |time: Duration| format!("{:.1} µs", time.as_secs_f64() * 1e6);
            lines.push(("median", micros(median)));
            lines.push(("p99", micros(late)));
        }
        if queries > 0 {
            let share = 100.0 * self.certified as f64 / queries as f64;
            lines.push(("certified", format!("{share:.1} %")));
        }
        if self.unscored > 0 {
            let what = "hits without token rows, not in the run";
            lines.push(("left out", format!("{} {what}", text::count(self.unscored))));
        }
        text::facts(&lines)
    }
}

/// The smallest time that so many percent are not above; `times` ascend.
pub(crate) fn quantile(times: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (times.len() * percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_come_back() {
        assert_eq!(short(12.3).to_string(), "12.3");
        for number in [0.1f32, 1.0 / 3.0, f32::MAX, f32::MIN_POSITIVE] {
            assert_eq!(short(number).as_f64().map(|back| back as f32), Some(number));
        }
        assert!(short(f32::NEG_INFINITY).is_null());
    }

    #[test]
    fn quantiles_are_of_the_times_themselves() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(quantile(&times, 50), Some(Duration::from_micros(100)));
        assert_eq!(quantile(&times, 99), Some(Duration::from_micros(198)));
        assert_eq!(quantile(&times[..1], 99), Some(Duration::from_micros(1)));
        assert_eq!(quantile(&[], 50), None);
    }
}
