//! `lateen delete`: documents go out of an index.

use std::path::PathBuf;

use lateen::{IndexWriter, Key, KeyKind};
use serde_json::json;

use crate::failure::{Code, Failure};
use crate::interrupt::{self, Clearing, Left};
use crate::text;

/// Delete documents from an index by their ids
///
/// All of them are deleted by one commit. An id that no document has is no failure; the report
/// says how many there were. The room they take is free once they are merged away: see `compact`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the index
    index: PathBuf,
    /// Ids of documents
    ids: Vec<String>,
    /// A file of ids, one a line
    #[arg(long, value_name = "FILE")]
    ids_from: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Deletes; gives how many there were.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let mut ids = args.ids.clone();
    if let Some(path) = &args.ids_from {
        let lines = std::fs::read_to_string(path)
            .map_err(|error| Failure::new(Code::Input, format!("{}: {error}", path.display())))
            .map_err(|failure| failure.next("a text file with an id on each line is needed"))?;
        ids.extend(lines.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    }
    if ids.is_empty() {
        let next = "name ids, or a file of them with --ids-from";
        return Err(Failure::new(Code::Usage, "no id given").next(next));
    }
    let _clearing = Clearing::of(Left::Index(args.index.clone()));
    let mut writer =
        IndexWriter::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let numbers = writer.schema().key_kind() == KeyKind::U64;
    let key = |id: &String| match id.parse::<u64>() {
        Ok(number) if numbers => Ok(Key::from(number)),
        Err(_) if numbers => Err(Failure::new(
            Code::Input,
            format!("{id:?} is no number, as the ids of this index are"),
        )),
        _ => Ok(Key::from(id.as_str())),
    };
    let keys = ids.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    let failed = |error| Failure::index(&args.index, error);
    let deleted = writer.delete_batch(keys).map_err(failed)?;
    let commit = interrupt::commit(&mut writer, &args.index)?;
    let said = format!(
        "{}: {} deleted, {} left, commit {commit}\n",
        args.index.display(),
        text::count(deleted.documents),
        text::many(writer.len(), "document"),
    );
    let left = writer.len();
    let data = json!({ "deleted": deleted.documents, "documents": left, "commit": commit });
    Ok(text::told(args.json, &data, said))
}
