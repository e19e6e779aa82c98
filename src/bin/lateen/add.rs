//! `lateen add`: documents come into an index that is there.

use std::path::PathBuf;
use std::time::Instant;

use clap::builder::RangedU64ValueParser;
use lateen::IndexWriter;
use serde_json::json;

use crate::build::{LEAST, writers};
use crate::declared::{Fields, vector_field};
use crate::failure::{Code, Failure};
use crate::interrupt::{self, Clearing, Left};
use crate::pooling::Pooling;
use crate::source::Room;
use crate::{source, text};

const USAGE: &str = "\
lateen add <INDEX> --set <DIR> [--replace]
       lateen add <INDEX> --texts <FILE> [OPTIONS]
       lateen add <INDEX> [--texts <FILE>] [--sparse <FILES>]
           [--tokens <FILES>] [OPTIONS]";

/// Add documents to an index, from what `build` reads
///
/// The index must have the fields that `build` would have given them. All of them are committed at
/// once: an addition that fails or is interrupted leaves the index as it was. Searches that run
/// meanwhile are not disturbed.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// The directory of the index
    index: PathBuf,
    #[command(flatten)]
    source: source::Args,
    /// Keep one token row for every N of a document, as `build --pool` does; an index does not say
    /// what it was built with
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pool: Option<usize>,
    /// Replace documents whose id is there already, instead of refusing all of them
    #[arg(long)]
    replace: bool,
    /// Memory to keep to, in MiB, 64 at least. Files are mapped and come on top
    #[arg(long, value_name = "MIB", default_value = "512", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(LEAST..=1_048_576))]
    memory: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Adds; gives a summary.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let start = Instant::now();
    let memory = args.memory.saturating_mul(1 << 20);
    let room = Room::of(memory);
    let mut source = args.source.open(room)?;
    if args.pool.is_some() && source.dim().is_none() {
        let what = "--pool is for token rows, which the documents do not have";
        return Err(Failure::new(Code::Usage, what).next("leave it out"));
    }
    let _clearing = Clearing::of(Left::Index(args.index.clone()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut writer = IndexWriter::options()
        .threads(threads)
        .memory(writers(memory, source.words(room))?)
        .open(&args.index)
        .map_err(|error| Failure::index(&args.index, error))?;
    let schema = writer.schema().clone();
    let mut fields = Fields::in_schema(&schema, source.has_sparse(), source.dim().is_some())
        .map_err(|failure| failure.at(args.index.display()))?;
    fields.pooling = Pooling::by(args.pool.unwrap_or(1));
    if let Ok(field) = schema.sparse(&vector_field(&schema, "sparse"))
        && let Some(words) = writer.snapshot().vocabulary(&field)?
    {
        source.know(&words);
    }
    let before = writer.len();
    let taken = source.take_in(&mut writer, &fields, room, args.replace);
    let count = match taken {
        Ok(count) => count,
        Err(failure) => {
            // What was written on the way goes; where it cannot, the next writer clears it.
            let _ = writer.rollback();
            return Err(failure);
        }
    };
    let commit = interrupt::commit(&mut writer, &args.index)?;
    let now = writer.len();
    let pooled = fields.pooling.as_ref().map_or_else(String::new, Pooling::summary);
    let (added, seconds) = (now - before, start.elapsed().as_secs_f64());
    let said = format!(
        "{}: {} added, {} replaced, {}, commit {commit}, {seconds:.2} s\n{pooled}",
        args.index.display(),
        text::count(added),
        text::count(count - added),
        text::many(now, "document"),
    );
    let rows = fields.pooling.as_ref().map(Pooling::data);
    let data = json!({ "added": added, "replaced": count - added, "documents": now,
        "commit": commit, "seconds": seconds, "pooling": rows });
    Ok(text::told(args.json, &data, said))
}
