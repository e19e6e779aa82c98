//! `lateen bench`: what each level of effort finds, and what it takes.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::RangedU64ValueParser;
use lateen::readers::{EmbeddingSet, SetQueries};
use lateen::{Effort, Index, Key, Query};
use serde_json::{Value, json};

use crate::declared::vector_field;
use crate::explain;
use crate::failure::Failure;
use crate::frontier;
use crate::interrupt;
use crate::output::Output;
use crate::planner::effort;
use crate::planner::{Mode, Planner, Settings};
use crate::progress::Progress;
use crate::search::quantile;
use crate::text;

/// Queries that are asked at once, where there are as many with their repetitions.
const BATCH: usize = 4096;

/// Measure recall against time, from the least effort to exact
///
/// Recall is the share of the true top K that is found, ties at its end counted as found. Median
/// and p99 are of single queries one after another; queries a second are of all of them at once,
/// with one thread and with two. The index is in memory: all queries are asked once before.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The embedding set whose queries are asked
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    /// How to search [default: `sparse`, or `tokens` where that is all there is]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Hits for each query
    #[arg(long, value_name = "K", default_value = "10", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    top: usize,
    /// Efforts to try, from 0, the fastest, to 1, exact, with commas between
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = effort)]
    #[arg(allow_negative_numbers = true, default_value = "0,0.2,0.4,0.6,0.8,0.9,1")]
    efforts: Vec<f32>,
    /// Times that all queries are asked at each effort
    #[arg(long, value_name = "N", default_value = "5", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    repeat: usize,
    /// Write JSON
    #[arg(long)]
    json: bool,
    /// Write a picture of recall against latency; it follows the reader's light or dark scheme
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// What was measured at an effort.
pub(crate) struct Point {
    pub(crate) effort: f32,
    /// From 0 to 1.
    pub(crate) recall: f64,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    /// Queries a second, with one thread and with two.
    qps: [f64; 2],
}

#[cfg(test)]
impl Point {
    pub(crate) fn of(effort: f32, recall: f64, median: Duration) -> Self {
        Self { effort, recall, median, p99: 2 * median, qps: [1.0, 2.0] }
    }
}

/// Measures; gives a table, or JSON.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let queries = set.queries().map_err(Failure::input)?;
    if queries.is_empty() {
        return Err(explain::no_queries().at(args.set.display()));
    }
    let schema = index.schema();
    let mode = args.mode.unwrap_or_else(|| match schema.sparse(&vector_field(&schema, "sparse")) {
        Ok(_) if queries.has_sparse() => Mode::Sparse,
        _ => Mode::Tokens,
    });
    let picture = args.svg.as_deref().map(Output::create).transpose()?;
    let failed = |error| Failure::index(&args.index, error);
    let truth = {
        let mut truth = Vec::with_capacity(queries.len());
        for query in &planned(args, &index, &queries, mode, Effort::Exact)? {
            let hits = index.search(query).map_err(failed)?;
            let keys: HashSet<Key> = hits.iter().map(|hit| hit.key().clone()).collect();
            truth.push((keys, hits.last().map(lateen::Hit::score)));
        }
        truth
    };
    let bar = Progress::new("efforts", args.efforts.len());
    let mut points = Vec::with_capacity(args.efforts.len());
    for &effort in &args.efforts {
        let asked = planned(args, &index, &queries, mode, Effort::Level(effort))?;
        points.push(measure(args, &index, &asked, &truth, effort)?);
        bar.add(1)?;
    }
    drop(bar);
    let asked = text::many(queries.len() as u64, "query");
    let title = format!("{}, {asked}", args.index.display());
    if let Some(picture) = picture {
        let drawn = frontier::draw(&points, &title, mode.name(), args.top)?;
        picture.finish(|file| std::io::Write::write_all(file, drawn.as_bytes()))?;
    }
    Ok(if args.json {
        format!("{:#}\n", as_json(args, mode, queries.len(), &points))
    } else {
        table(args, &points)
    })
}

fn planned(
    args: &Args,
    index: &Index,
    queries: &SetQueries,
    mode: Mode,
    effort: Effort,
) -> Result<Vec<Query>, Failure> {
    let settings = Settings {
        candidates: None,
        weights: [1.0, 1.0],
        filter: None,
        feedback: false,
        effort,
        top: args.top,
    };
    let planner = Planner::new(index, &args.index, mode, settings)?;
    let planned = queries.iter().map(|query| planner.query(&query));
    planned.collect::<Result<_, _>>().map_err(|failure| failure.at(args.set.display()))
}

/// The keys of the true top of a query, and the score of its last.
type Truth = (HashSet<Key>, Option<f32>);

fn measure(
    args: &Args,
    index: &Index,
    queries: &[Query],
    truth: &[Truth],
    effort: f32,
) -> Result<Point, Failure> {
    let failed = |error| Failure::index(&args.index, error);
    let (mut found, mut there) = (0usize, 0usize);
    for (query, (keys, last)) in queries.iter().zip(truth) {
        let hits = index.search(query).map_err(failed)?;
        let is_true = |hit: &&lateen::Hit| keys.contains(hit.key()) || Some(hit.score()) == *last;
        found += hits.iter().filter(is_true).count().min(keys.len());
        there += keys.len();
    }
    let mut times = Vec::with_capacity(queries.len() * args.repeat);
    for _ in 0..args.repeat {
        interrupt::check()?;
        for query in queries {
            let start = Instant::now();
            std::hint::black_box(index.search(query).map_err(failed)?);
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    // Few queries are asked more than once at a time, so that what is measured is not the start of
    // threads.
    let copies = (BATCH / queries.len()).clamp(1, args.repeat);
    let batch: Vec<Query> = queries.iter().cycle().take(copies * queries.len()).cloned().collect();
    let rounds = args.repeat.div_ceil(copies);
    let mut qps = [0.0; 2];
    for (threads, qps) in (1..).zip(&mut qps) {
        let start = Instant::now();
        for _ in 0..rounds {
            interrupt::check()?;
            std::hint::black_box(index.search_batch(&batch, threads).map_err(failed)?);
        }
        *qps = (rounds * batch.len()) as f64 / start.elapsed().as_secs_f64().max(1e-9);
    }
    Ok(Point {
        effort,
        recall: if there == 0 { 1.0 } else { found as f64 / there as f64 },
        median: quantile(&times, 50).unwrap_or_default(),
        p99: quantile(&times, 99).unwrap_or_default(),
        qps,
    })
}

fn table(args: &Args, points: &[Point]) -> String {
    let recall = format!(">recall@{}", args.top);
    let heading = [">effort", &recall, ">median µs", ">p99 µs", ">queries/s", ">2 threads"];
    let micros = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1e6);
    let rows: Vec<Vec<String>> = points
        .iter()
        .map(|point| {
            vec![
                format!("{}", point.effort),
                format!("{:.4}", point.recall),
                micros(point.median),
                micros(point.p99),
                text::count(point.qps[0] as u64),
                text::count(point.qps[1] as u64),
            ]
        })
        .collect();
    text::table(&heading, &rows)
}

fn as_json(args: &Args, mode: Mode, queries: usize, points: &[Point]) -> Value {
    let points: Vec<Value> = points
        .iter()
        .map(|point| {
            json!({
                "effort": (f64::from(point.effort) * 1e6).round() / 1e6,
                "recall": point.recall,
                "median_us": point.median.as_secs_f64() * 1e6,
                "p99_us": point.p99.as_secs_f64() * 1e6,
                "qps": point.qps[0],
                "qps_2_threads": point.qps[1],
            })
        })
        .collect();
    json!({ "mode": mode.name(), "top": args.top, "queries": queries, "points": points })
}
