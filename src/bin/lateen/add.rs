//! `lateen add`: the documents of an embedding set come into an index that is there.

use std::path::PathBuf;
use std::time::Instant;

use clap::builder::RangedU64ValueParser;
use lateen::IndexWriter;
use lateen::readers::EmbeddingSet;

use crate::build::{Fields, explain, take_in};
use crate::failure::Failure;
use crate::text;

/// Add the documents of an embedding set to an index
///
/// The index must have the fields that `build` would have given the set. All of the set is
/// committed at once: an addition that fails leaves the index as it was, and searches that run
/// meanwhile are not disturbed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the index
    index: PathBuf,
    /// The embedding set: a folder of texts and vectors
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    /// Keep one token row for every N of a document, as `build --pool` does; an index does not say
    /// what it was built with
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pool: usize,
    /// Replace documents whose id is there already, instead of refusing the set
    #[arg(long)]
    replace: bool,
}

/// Adds; gives a summary.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let start = Instant::now();
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let documents = set.documents().map_err(Failure::input)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut writer = IndexWriter::options()
        .threads(threads)
        .open(&args.index)
        .map_err(|error| Failure::index(&args.index, error))?;
    let mut fields = Fields::in_schema(&documents, writer.schema(), args.pool)
        .map_err(|error| Failure::from(error).at(args.index.display()))?;
    let before = writer.len();
    take_in(&mut writer, &mut fields, &documents, args.replace, |error, chunk| {
        explain(error, &set, chunk)
    })?;
    let commit = writer.commit().map_err(|error| Failure::index(&args.index, error))?;
    let (now, count) = (writer.len(), documents.len() as u64);
    Ok(format!(
        "{}: {} added, {} replaced, {} documents, commit {commit}, {:.2} s\n",
        args.index.display(),
        text::count(now - before),
        text::count(count - (now - before)),
        text::count(now),
        start.elapsed().as_secs_f64(),
    ))
}
