//! `lateen search`: the queries of a set become a run.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::RangedU64ValueParser;
use lateen::eval::Run;
use lateen::readers::{EmbeddingSet, SetQuery};
use lateen::{Effort, Hits, Index, Query};

use crate::explain;
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::planner::{Mode, Planner, Settings};
use crate::progress::Progress;
use crate::text;

/// Queries handed to the threads at once.
const CHUNK: usize = 1024;

const USAGE: &str = "\
lateen search <INDEX> --set <DIR> --mode <MODE> --top <K> --run <FILE>
           [--exact | --effort <E> | --recall <R>]
           [--candidates <N>] [--weights <S,T>] [--filter <EXPR>]
           [--feedback] [--explain <FILE>] [--threads <N>]";

/// Search an index with the queries of an embedding set
///
/// Writes a TREC run, a line per hit: `query Q0 document rank score lateen`. Scores have nine
/// significant digits, so equal answers are equal files.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The embedding set whose queries are asked
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    /// How to search
    #[arg(long, value_enum)]
    mode: Mode,
    /// Candidates that a rerank orders, and that each search of a fusion gives [default: 100, or K
    /// where that is more]; `sparse` and `tokens` have none
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    candidates: Option<usize>,
    /// The true top, proven
    #[arg(long, conflicts_with_all = ["effort", "recall"])]
    exact: bool,
    /// How hard to look, from 0, the fastest, to 1, exact
    #[arg(long, value_name = "E", value_parser = effort, conflicts_with = "recall")]
    #[arg(allow_negative_numbers = true)] // for an error that speaks of the range
    effort: Option<f32>,
    /// Find this share of the true top on average, above 0 and at most 1 [default: 0.98]
    #[arg(long, value_name = "R", value_parser = recall, allow_negative_numbers = true)]
    recall: Option<f32>,
    /// Weights of the sparse and the token search in `--mode weighted` [default: 1,1]
    #[arg(long, value_name = "S,T", value_parser = weights)]
    weights: Option<[f32; 2]>,
    /// Look only through documents that pass: `lang in (en, fr) and not exists(year)`; also `<`,
    /// `>=` and their kin, `or`, parentheses, and `key`
    #[arg(long, value_name = "EXPR")]
    filter: Option<String>,
    /// Widen each query by its own best documents, and ask again
    #[arg(long)]
    feedback: bool,
    /// Write where the scores of a query's hits come from: a page with the words that met as a
    /// heat map, or data where the name ends in `.json`
    #[arg(long, value_name = "FILE")]
    explain: Option<PathBuf>,
    /// The query to explain [default: the first]
    #[arg(long, value_name = "ID", requires = "explain")]
    query: Option<String>,
    /// Hits for each query
    #[arg(long, value_name = "K", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000))]
    top: usize,
    /// The file to write the run to; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    run: PathBuf,
    /// Threads; with one, the time of each query is measured
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: usize,
}

pub(crate) fn effort(text: &str) -> Result<f32, String> {
    number(text).filter(|level| (0.0..=1.0).contains(level)).ok_or("0 to 1 is needed".to_owned())
}

fn recall(text: &str) -> Result<f32, String> {
    let share = number(text).filter(|&share| share > 0.0 && share <= 1.0);
    share.ok_or("a number above 0 and at most 1 is needed".to_owned())
}

fn weights(text: &str) -> Result<[f32; 2], String> {
    let parts = text.split_once(',').and_then(|(sparse, tokens)| {
        let number = |text: &str| number(text.trim()).filter(|number| number.is_finite());
        Some([number(sparse)?, number(tokens)?])
    });
    parts.ok_or("two numbers with a comma between are needed".to_owned())
}

fn number(text: &str) -> Option<f32> {
    text.parse().ok()
}

/// Searches and writes the run; gives a summary.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let queries = set.queries().map_err(Failure::input)?;
    let settings = Settings {
        candidates: args.candidates,
        weights: args.weights.unwrap_or([1.0, 1.0]),
        filter: args.filter.clone(),
        feedback: args.feedback,
        effort: match (args.exact, args.effort, args.recall) {
            (true, _, _) => Effort::Exact,
            (_, Some(level), _) => Effort::Level(level),
            (_, _, Some(share)) => Effort::Recall(share),
            _ => Effort::default(),
        },
        top: args.top,
    };
    let planner = Planner::new(&index, &args.index, args.mode, settings)?;
    if let Some(file) = &args.explain {
        let asked = match &args.query {
            None => queries.get(0),
            Some(id) => queries.iter().find(|query| query.id == id),
        };
        let Some(asked) = asked else {
            let what = format!("{}: no such query", args.query.as_deref().unwrap_or("the first"));
            return Err(Failure::new(Code::Input, what));
        };
        let query = planner.query(&asked).map_err(|failure| failure.at(set.dir().display()))?;
        explain::write(&index, &explained(&asked, query), file)?;
    }
    let output = Output::create(&args.run)?;

    let bar = Progress::new("queries", queries.len());
    let mut answers = Answers::default();
    let mut chunk = Vec::with_capacity(CHUNK.min(queries.len()));
    for (at, query) in queries.iter().enumerate() {
        chunk.push((
            query.id,
            planner.query(&query).map_err(|failure| failure.at(set.dir().display()))?,
        ));
        if chunk.len() == CHUNK || at + 1 == queries.len() {
            answers
                .search(&index, &chunk, args.threads)
                .map_err(|error| Failure::index(&args.index, error))?;
            bar.add(chunk.len())?;
            chunk.clear();
        }
    }
    drop(bar);
    output.finish(|file| answers.run.write(file, "lateen"))?;
    Ok(answers.summary())
}

/// What the page about a query needs to know.
fn explained<'a>(asked: &SetQuery<'a>, query: Query) -> explain::Asked<'a> {
    explain::Asked { id: asked.id, text: asked.text, spans: asked.spans, query }
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
    fn quantiles_are_of_the_times_themselves() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_micros).collect();
        assert_eq!(quantile(&times, 50), Some(Duration::from_micros(100)));
        assert_eq!(quantile(&times, 99), Some(Duration::from_micros(198)));
        assert_eq!(quantile(&times[..1], 99), Some(Duration::from_micros(1)));
        assert_eq!(quantile(&[], 50), None);
    }

    #[test]
    fn efforts_have_their_range() {
        assert!(effort("0").is_ok() && effort("1").is_ok() && recall("1").is_ok());
        for text in ["-0.1", "1.01", "nan", "x", ""] {
            assert!(effort(text).is_err() && recall(text).is_err(), "{text}");
        }
        assert!(recall("0").is_err());
    }
}
