//! `lateen pack`: an index as one file.

use std::path::PathBuf;

use lateen::Index;

use crate::failure::Failure;
use crate::text;

/// Write an index as one file
///
/// The file opens like the directory, in this command and in the library, and never changes. It
/// appears complete or not at all.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The file to make; one that is there is an error
    file: PathBuf,
}

/// Packs; gives the size.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    index.pack(&args.file)?;
    let metadata = std::fs::metadata(&args.file)
        .map_err(|error| Failure::io("read", args.file.display(), &error))?;
    Ok(format!(
        "{}: {} documents, {}\n",
        args.file.display(),
        text::count(index.len()),
        text::bytes(metadata.len()),
    ))
}
