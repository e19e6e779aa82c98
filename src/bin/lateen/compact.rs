//! `lateen compact`: an index takes the room of what lives in it.

use std::path::PathBuf;
use std::time::Instant;

use clap::builder::RangedU64ValueParser;
use lateen::IndexWriter;

use crate::failure::Failure;
use crate::interrupt::{Clearing, Left};
use crate::text;

/// Merge the segments of an index
///
/// Every byte of what is merged is checked first, deleted documents are left out, and searches
/// that run meanwhile are not disturbed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the index
    index: PathBuf,
    /// Segments to leave at most [default: as many as its size asks for]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=65_536))]
    segments: Option<usize>,
}

/// Merges; gives the sizes before and after.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let start = Instant::now();
    let failed = |error| Failure::index(&args.index, error);
    let _clearing = Clearing::of(Left::Index(args.index.clone()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut writer = IndexWriter::options().threads(threads).open(&args.index).map_err(failed)?;
    let before = writer.snapshot().info();
    match args.segments {
        Some(most) => writer.force_merge(most, |_| {}),
        None => writer.compact(),
    }
    .map_err(failed)?;
    let after = writer.snapshot().info();
    Ok(format!(
        "{}: {}; {} in {} with {} deleted, now {} in {}, {:.2} s\n",
        args.index.display(),
        text::many(after.documents, "document"),
        text::bytes(before.bytes()),
        text::many(before.segments.len() as u64, "segment"),
        text::count(before.deleted),
        text::bytes(after.bytes()),
        after.segments.len(),
        start.elapsed().as_secs_f64(),
    ))
}
