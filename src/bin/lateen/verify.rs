//! `lateen verify`: reads every byte of an index.

use std::path::PathBuf;
use std::time::Instant;

use lateen::Index;
use serde_json::json;

use crate::failure::Failure;
use crate::text;

/// Check every byte of an index
///
/// All checksums and all padding of what the newest commit reaches, then the meaning of every
/// part. Damage ends it with exit code 5 and its place.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// Only the checksums and the padding: all that damage on the way changes, in less time
    #[arg(long)]
    checksums: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Checks; gives what was checked.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let start = Instant::now();
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let verified = if args.checksums { index.verify_checksums() } else { index.verify() };
    verified.map_err(|error| {
        let next = "build the index again, or `lateen unpack` a good copy";
        Failure::index(&args.index, error).next(next)
    })?;
    let info = index.info();
    let seconds = start.elapsed().as_secs_f64();
    let said = format!(
        "{}: sound: {}, {}, {seconds:.2} s\n",
        args.index.display(),
        text::many(info.documents, "document"),
        text::bytes(info.bytes()),
    );
    let data = json!({ "documents": info.documents, "bytes": info.bytes(), "commit": info.commit,
        "meaning": !args.checksums, "seconds": seconds });
    Ok(text::told(args.json, &data, said))
}
