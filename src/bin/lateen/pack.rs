//! `lateen pack`: an index as one file.

use std::path::PathBuf;

use lateen::{Error, Index};
use serde_json::json;

use crate::beside::{Beside, is_there};
use crate::failure::{Code, Failure};
use crate::{interrupt, text};

/// Write an index as one file
///
/// The file opens like the directory, in this command and in the library, and never changes; to
/// change it, `unpack` it. It appears complete or not at all.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The file to make; one that is there is an error
    file: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Packs; gives the size.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    if is_there(&args.file) {
        return Err(Failure::exists(&args.file));
    }
    let packing = Beside::new(&args.file, "packing")?;
    index.pack(packing.path()).map_err(|error| match error {
        Error::Io { op, source, .. } => Failure::io(op, args.file.display(), &source),
        other => Failure::index(&args.index, other),
    })?;
    interrupt::check()?;
    if is_there(&args.file) {
        let what = format!("{}: appeared meanwhile; not replaced", args.file.display());
        return Err(Failure::new(Code::Exists, what));
    }
    let refused = |error| Failure::io("write", args.file.display(), &error);
    packing.publish(true).map_err(refused)?;
    let metadata = std::fs::metadata(&args.file).map_err(refused)?;
    let said = format!(
        "{}: {}, {}\n",
        args.file.display(),
        text::many(index.len(), "document"),
        text::bytes(metadata.len()),
    );
    let data = json!({ "documents": index.len(), "bytes": metadata.len() });
    Ok(text::told(args.json, &data, said))
}
