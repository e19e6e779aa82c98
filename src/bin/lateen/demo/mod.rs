//! `lateen demo`: a page on which to ask the questions of a set, in three ways side by side, served
//! on this machine or written to a file.

mod ask;
#[cfg(feature = "demo")]
mod serve;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use lateen::Index;
use lateen::readers::{EmbeddingSet, SetQueries};
use serde_json::{Value, json};

use crate::explain;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::text;

use ask::{Asker, Question, WAYS};

/// Show what an index finds, and why, on a page
///
/// Pick a query of the set, or type words, and see what the sparse search, late interaction and
/// both united find, with the time each took; click a hit to see which words met. Served on this
/// machine only, until Ctrl-C; or written as one HTML file that needs nothing else. The index needs
/// both kinds of vectors. Words that are typed are searched as they are where the index has a
/// vocabulary, and find queries of the set in any case.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The embedding set whose queries are asked
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    /// Write the page to a file instead; one that is there is replaced. It answers the first 500
    /// queries of the set
    #[arg(long, value_name = "FILE")]
    #[cfg_attr(not(feature = "demo"), arg(required = true))]
    write: Option<PathBuf>,
    /// The port to listen on; 0 lets the system choose
    #[cfg(feature = "demo")]
    #[arg(long, value_name = "PORT", default_value = "8017", conflicts_with = "write")]
    port: u16,
}

const PAGE: &str = include_str!("page.html");
/// Queries that a written page has room for.
const MOST: usize = 500;

/// Serves the page, or writes it.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let queries = set.queries().map_err(Failure::input)?;
    let asker = Asker::new(&index, &args.index)?;
    let Some(first) = queries.get(0) else {
        return Err(explain::no_queries().at(args.set.display()));
    };
    // What would hinder every question is known before the first.
    asker.queries(&Question::OfSet(first)).map_err(|failure| failure.at(args.set.display()))?;
    match &args.write {
        Some(file) => write(&asker, &queries, &args.set, file),
        #[cfg(feature = "demo")]
        None => serve::serve(&asker, &queries, args.port),
        #[cfg(not(feature = "demo"))]
        None => Err(Failure::new(
            crate::failure::Code::Usage,
            "--write is needed: this build serves no page",
        )),
    }
}

/// Asks all queries and writes the page; gives its size.
fn write(
    asker: &Asker<'_>,
    queries: &SetQueries,
    set: &Path,
    file: &Path,
) -> Result<String, Failure> {
    let output = Output::create(file)?;
    let bar = Progress::new("queries", queries.len().min(MOST));
    let mut asked = Vec::new();
    for query in queries.iter().take(MOST) {
        let question = Question::OfSet(query);
        let mut value = asker.answer(&question).map_err(|f| f.at(set.display()))?;
        let mut met = serde_json::Map::new();
        for way in value["ways"].as_array().into_iter().flatten() {
            for key in way["hits"].as_array().into_iter().flatten() {
                let key = key["key"].as_str().unwrap_or_default();
                if !met.contains_key(key)
                    && let Some(told) = asker.why(&question, key)?
                {
                    met.insert(key.to_owned(), told);
                }
            }
        }
        value["met"] = Value::Object(met);
        value["text"] = json!(query.text);
        asked.push(value);
        bar.add(1)?;
    }
    drop(bar);
    let data = json!({
        "documents": asker.documents(),
        "ways": WAYS.map(|(name, _)| name),
        "queries": asked,
    });
    let page = page(&data, "");
    output.finish(|file| file.write_all(page.as_bytes()))?;
    Ok(format!(
        "{}: {}, {}; open it in a browser\n",
        file.display(),
        text::many(asked.len() as u64, "query"),
        text::bytes(page.len() as u64)
    ))
}

/// The page with what it knows from the start; `nonce` marks its style and script as its own.
fn page(data: &Value, nonce: &str) -> String {
    // Nothing of a text ends the element that the data stands in.
    let data = data.to_string().replace('<', "\\u003c");
    PAGE.replace(" nonce=\"NONCE\"", nonce).replacen("DATA", &data, 1)
}
