//! `lateen upgrade`: an index in the format of this version.

use std::path::PathBuf;

use lateen::Index;
use serde_json::json;

use crate::failure::Failure;
use crate::text;

/// Bring an index to the format that this version writes
///
/// There is one format so far, so an index that opens is current: every byte of it is checked, and
/// nothing is changed. An index of a newer format is refused with exit code 4.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks at the format; says what was done.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let failed = |error| Failure::index(&args.index, error);
    // Whatever is older than what can be read, or newer, is refused here. Once a second major
    // version is read, its documents are rewritten between these two lines.
    let index = Index::open(&args.index).map_err(failed)?;
    index.verify().map_err(failed)?;
    let (major, minor) = index.info().format;
    let said = format!(
        "{}: format {major}.{minor} is current; every byte is sound\n",
        args.index.display()
    );
    let data = json!({ "format": [major, minor], "changed": false });
    Ok(text::told(args.json, &data, said))
}
