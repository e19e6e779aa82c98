//! `lateen demo`: a page on which to ask the questions of a set, in three ways side by side.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use lateen::readers::{EmbeddingSet, SetQuery};
use lateen::{Effort, Explanation, Hit, Index, Query};
use serde_json::{Map, Value, json};

use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::planner::{Mode, Planner, Settings};
use crate::progress::Progress;
use crate::search::quantile;
use crate::text;

/// Write a page that shows what an index finds, and why
///
/// One HTML file that needs nothing else: pick a query of the set, or type words to find one, and
/// see what the sparse search, late interaction and both united find, with the time each took
/// here; click a hit to see which words met. The index needs both kinds of vectors.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The embedding set whose queries are asked
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    /// The page to write; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    write: PathBuf,
}

const PAGE: &str = include_str!("demo.html");
const WAYS: [(&str, Mode); 3] =
    [("Sparse", Mode::Sparse), ("Late interaction", Mode::Tokens), ("United", Mode::Union)];
/// Hits shown of each way, and times that each query is asked.
const TOP: usize = 5;
const TIMES: usize = 9;
/// Queries that a page has room for.
const MOST: usize = 500;

/// Asks all queries and writes the page; gives its size.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let queries = set.queries().map_err(Failure::input)?;
    let settings = Settings {
        candidates: None,
        weights: [1.0, 1.0],
        filter: None,
        feedback: false,
        effort: Effort::default(),
        top: TOP,
    };
    let planner = |mode| Planner::new(&index, &args.index, mode, settings.clone());
    let planners = [planner(WAYS[0].1)?, planner(WAYS[1].1)?, planner(WAYS[2].1)?];
    let output = Output::create(&args.write)?;
    let bar = Progress::new("queries", queries.len().min(MOST));
    let mut asked = Vec::new();
    for query in queries.iter().take(MOST) {
        asked.push(ask(&index, &planners, &query).map_err(|f| f.at(set.dir().display()))?);
        bar.add(1)?;
    }
    drop(bar);
    if asked.is_empty() {
        return Err(Failure::new(Code::Input, format!("{}: no queries", args.set.display())));
    }
    let data = json!({
        "documents": index.len(),
        "ways": WAYS.map(|(name, _)| name),
        "queries": asked,
    });
    // Nothing of a text ends the element that the data stands in.
    let data = data.to_string().replace('<', "\\u003c");
    let page = PAGE.replacen("DATA", &data, 1);
    output.finish(|file| file.write_all(page.as_bytes()))?;
    let count = queries.len().min(MOST) as u64;
    Ok(format!(
        "{}: {} queries, {}; open it in a browser\n",
        args.write.display(),
        text::count(count),
        text::bytes(page.len() as u64)
    ))
}

fn ask(index: &Index, planners: &[Planner; 3], asked: &SetQuery<'_>) -> Result<Value, Failure> {
    let by_tokens = planners[1].query(asked)?;
    let (mut ways, mut met) = (Vec::new(), Map::new());
    for planner in planners {
        let query = planner.query(asked)?;
        let mut hits = index.search(&query)?;
        let mut times = Vec::with_capacity(TIMES);
        for _ in 0..TIMES {
            let start = Instant::now();
            hits = index.search(&query)?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        for hit in &hits {
            let key = hit.key().to_string();
            if !met.contains_key(&key) {
                met.insert(key, told(index, &by_tokens, hit, asked)?);
            }
        }
        let shown = hits
            .iter()
            .filter(|hit| hit.score().is_finite())
            .map(|hit| json!({ "key": hit.key().to_string(), "score": hit.score() }));
        let median = quantile(&times, 50).unwrap_or_default();
        ways.push(json!({
            "us": median.as_secs_f64() * 1e6,
            "hits": shown.collect::<Vec<_>>(),
        }));
    }
    Ok(json!({ "text": asked.text, "ways": ways, "met": met }))
}

/// The text of a hit in pieces with the share that each gave, and the pairs of words that met.
fn told(index: &Index, query: &Query, hit: &Hit, asked: &SetQuery<'_>) -> Result<Value, Failure> {
    let explained = index.explain(query, hit)?;
    let text = hit.payload()?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let word = |text: &str, span: Option<(u32, u32)>, row: usize| {
        let word = span.and_then(|(start, end)| text.get(start as usize..end as usize));
        word.filter(|word| !word.is_empty()).map_or(format!("row {row}"), str::to_owned)
    };
    let pairs = explained.tokens.iter().map(|part| {
        let span = asked.spans.and_then(|spans| spans.get(part.query_row)).copied();
        let own = word(asked.text, span, part.query_row);
        json!([own, word(&text, part.span, part.document_row), part.score])
    });
    Ok(json!({ "pairs": pairs.collect::<Vec<_>>(), "pieces": pieces(&text, &explained) }))
}

fn pieces(text: &str, explained: &Explanation) -> Vec<Value> {
    let marks = explained.highlights();
    let most = marks.iter().map(|mark| mark.score).fold(0.0, f32::max);
    let (mut pieces, mut done) = (Vec::new(), 0);
    for mark in &marks {
        let (start, end) = (mark.bytes.start as usize, mark.bytes.end as usize);
        let (Some(before), Some(met)) = (text.get(done..start), text.get(start..end)) else {
            continue; // the spans are of another text than the payload
        };
        let share = (mark.score / most).clamp(0.0, 1.0);
        pieces.extend([json!([before, 0.0]), json!([met, share])]);
        done = end;
    }
    pieces.push(json!([text.get(done..).unwrap_or_default(), 0.0]));
    pieces
}
