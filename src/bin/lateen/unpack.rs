//! `lateen unpack`: a packed file becomes a directory again.

use std::path::PathBuf;

use lateen::Index;
use serde_json::json;

use crate::beside::is_there;
use crate::failure::{Code, Failure};
use crate::staging::Staging;
use crate::{interrupt, text};

/// Write a packed index as a directory, which takes changes again
///
/// Every byte is checked on the way. The directory appears complete or not at all.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The packed file
    file: PathBuf,
    /// The directory to make; one that is there is an error
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Unpacks; gives the size.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    if args.file.is_dir() {
        let what = format!("{}: a directory, and not packed", args.file.display());
        let next = "it takes changes as it is";
        return Err(Failure::new(Code::Usage, what).next(next));
    }
    if is_there(&args.out) {
        return Err(Failure::exists(&args.out));
    }
    let failed = |error| Failure::index(&args.file, error);
    let index = Index::open(&args.file).map_err(failed)?;
    let staging = Staging::begin(&args.out, false)?;
    index.verify().map_err(failed)?;
    interrupt::check()?;
    index.snapshot().backup(staging.path())?;
    interrupt::check()?;
    // What was written is looked at as well, before it gets its name.
    Index::open(staging.path()).and_then(|copy| copy.verify())?;
    interrupt::check()?;
    staging.publish()?;
    let bytes = index.info().bytes();
    let said = format!(
        "{}: {}, {}\n",
        args.out.display(),
        text::many(index.len(), "document"),
        text::bytes(bytes),
    );
    let data = json!({ "documents": index.len(), "bytes": bytes });
    Ok(text::told(args.json, &data, said))
}
