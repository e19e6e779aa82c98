//! `lateen compact`: an index takes the room of what lives in it.

use std::path::PathBuf;
use std::time::Instant;

use clap::builder::RangedU64ValueParser;
use lateen::{IndexInfo, IndexWriter, MergeProgress};
use serde_json::json;

use crate::failure::Failure;
use crate::interrupt::{self, Clearing, Left};
use crate::progress::Progress;
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
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the bar counts of each segment: its documents are not known before it is begun.
const STEPS: u64 = 1000;

/// How much of the segment at hand is written.
fn part(at: &MergeProgress) -> u64 {
    at.steps_done.saturating_mul(STEPS).checked_div(at.steps).unwrap_or(0).min(STEPS)
}

/// Merges; gives the sizes before and after.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let start = Instant::now();
    let failed = |error| Failure::index(&args.index, error);
    let _clearing = Clearing::of(Left::Index(args.index.clone()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut writer = IndexWriter::options().threads(threads).open(&args.index).map_err(failed)?;
    let before = writer.snapshot().info();
    let bar = Progress::new("merging", 0);
    // Steps are of the segment that is written; those of the segments before it count as whole.
    let watch = |at: MergeProgress| {
        bar.stands_at(at.segments_done as u64 * STEPS + part(&at), at.segments as u64 * STEPS);
        if at.segments_done == at.segments {
            interrupt::settle();
        }
    };
    match args.segments {
        Some(most) => writer.force_merge(most, watch),
        None => writer.compact(watch),
    }
    .map_err(failed)?;
    drop(bar);
    let after = writer.snapshot().info();
    let seconds = start.elapsed().as_secs_f64();
    let said = format!(
        "{}: {}; {} in {} with {} deleted, now {} in {}, {seconds:.2} s\n",
        args.index.display(),
        text::many(after.documents, "document"),
        text::bytes(before.bytes()),
        text::many(before.segments.len() as u64, "segment"),
        text::count(before.deleted),
        text::bytes(after.bytes()),
        after.segments.len(),
    );
    let of = |info: &IndexInfo| {
        let (segments, deleted) = (info.segments.len(), info.deleted);
        json!({ "bytes": info.bytes(), "segments": segments, "deleted": deleted })
    };
    let data = json!({ "documents": after.documents, "before": of(&before), "after": of(&after),
        "commit": after.commit, "seconds": seconds });
    Ok(text::told(args.json, &data, said))
}
