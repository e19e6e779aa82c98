//! `lateen add`: documents come into an index that is there.

use std::path::PathBuf;
use std::time::Instant;

use lateen::IndexWriter;

use crate::declared::{Fields, vector_field};
use crate::failure::Failure;
use crate::{source, text};

const USAGE: &str = "\
lateen add <INDEX> --set <DIR> [--replace]
       lateen add <INDEX> --texts <FILE> [OPTIONS]
       lateen add <INDEX> [--texts <FILE>] [--sparse <FILES>]
           [--tokens <FILES>] [OPTIONS]";

/// Add documents to an index, from what `build` reads
///
/// The index must have the fields that `build` would have given them. All of them are committed at
/// once: an addition that fails or is interrupted leaves the index as it was, and searches that run
/// meanwhile are not disturbed.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// The directory of the index
    index: PathBuf,
    #[command(flatten)]
    source: source::Args,
    /// Replace documents whose id is there already, instead of refusing all of them
    #[arg(long)]
    replace: bool,
}

/// Adds; gives a summary.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let start = Instant::now();
    let mut source = args.source.open()?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut writer = IndexWriter::options()
        .threads(threads)
        .open(&args.index)
        .map_err(|error| Failure::index(&args.index, error))?;
    let schema = writer.schema().clone();
    let fields = Fields::in_schema(&schema, source.has_sparse(), source.dim().is_some())
        .map_err(|failure| failure.at(args.index.display()))?;
    if let Ok(field) = schema.sparse(&vector_field(&schema, "sparse"))
        && let Some(words) = writer.snapshot().vocabulary(&field)?
    {
        source.know(&words);
    }
    let before = writer.len();
    let count = source.take_in(&mut writer, &fields, args.replace)?;
    let commit = writer.commit().map_err(|error| Failure::index(&args.index, error))?;
    let now = writer.len();
    Ok(format!(
        "{}: {} added, {} replaced, {} documents, commit {commit}, {:.2} s\n",
        args.index.display(),
        text::count(now - before),
        text::count(count - (now - before)),
        text::count(now),
        start.elapsed().as_secs_f64(),
    ))
}
