//! Documents as lines of JSON with the weights of their words, as Anserini reads and writes them.

use std::fs::File;
use std::io::{BufWriter, Write as _};

use lateen::readers::Record;
use lateen::{Index, SparseField};
use serde_json::Value;

use super::{Args, Fields};
use crate::beside::Beside;
use crate::explain;
use crate::failure::{Code, Failure};
use crate::progress::Progress;
use crate::text;

/// Names that a reader of such lines takes for what they say.
const TAKEN: [&str; 7] = ["id", "_id", "docid", "text", "contents", "content", "vector"];

/// Writes the lines into a file; gives a summary.
pub(super) fn write(index: &Index, args: &Args) -> Result<String, Failure> {
    let schema = index.schema();
    let fields = Fields::of(&schema)?;
    let refuse = |what: String| {
        let place = args.index.display();
        Failure::new(Code::Input, what).next("export it as a set").at(place)
    };
    let Some(field) = &fields.sparse else {
        return Err(refuse("no sparse field, which such lines are made of".to_owned()));
    };
    if !fields.keeps_rows(index) {
        return Err(refuse("the sparse field keeps no rows of documents (--forward none)".into())
            .next("build it again with --forward f16"));
    }
    let stray = fields.attributes.iter().find(|attribute| TAKEN.contains(&attribute.name()));
    if let Some(stray) = stray {
        let name = stray.name();
        return Err(refuse(format!("an attribute is named {name:?}, which means another thing")));
    }
    let words = Words::of(index, field, args.term_ids)?;
    let lines = Beside::new(&args.out, "exporting")?;
    let refused = |error| Failure::io("write", args.out.display(), &error);
    let mut out = BufWriter::new(File::create(lines.path()).map_err(refused)?);
    let (mut documents, mut entries) = (0u64, 0u64);
    let bar = Progress::new("documents", usize::try_from(index.len()).unwrap_or(usize::MAX));
    for document in index.snapshot().documents() {
        let document = document?;
        let mut entry = fields.line(&document)?;
        let mut record = Record::new(document.key().to_string());
        entry.remove("id");
        record.text = entry.remove("text").and_then(|text| text.as_str().map(str::to_owned));
        let vector = fields.vector(&document)?;
        entries += vector.len() as u64;
        let named = vector.into_iter().map(|(term, weight)| Ok((words.name(term)?, weight)));
        record.vector = Some(named.collect::<Result<_, Failure>>()?);
        let mut line = record.to_json();
        // Attributes stand behind what every reader knows.
        for (name, value) in entry {
            line.pop();
            for part in [",", &Value::from(name).to_string(), ":", &value.to_string(), "}"] {
                line.push_str(part);
            }
        }
        writeln!(out, "{line}").map_err(refused)?;
        documents += 1;
        bar.add(1)?;
    }
    out.flush().map_err(refused)?;
    out.get_ref().sync_all().map_err(refused)?;
    drop(out);
    lines.publish(true).map_err(refused)?;
    let without = match fields.tokens {
        Some(_) => "; token rows have no place in it",
        None => "",
    };
    Ok(format!(
        "{}: {}, {} of {}{without}\n",
        args.out.display(),
        text::many(documents, "document"),
        text::many(entries, "weight"),
        if words.0.is_some() { "words" } else { "term ids" },
    ))
}

/// What terms are called; by their ids where `None`.
struct Words(Option<std::collections::HashMap<u32, String>>);

impl Words {
    fn of(index: &Index, field: &SparseField, ids: bool) -> Result<Self, Failure> {
        let there = !ids && index.vocabulary(field)?.is_some();
        Ok(Self(there.then(|| explain::words(index)).transpose()?))
    }

    fn name(&self, term: u32) -> Result<String, Failure> {
        match &self.0 {
            None => Ok(term.to_string()),
            Some(words) => words.get(&term).cloned().ok_or_else(|| {
                let what = format!("the index has no word for its term {term}");
                Failure::new(Code::Input, what).next("--term-ids writes the ids of all")
            }),
        }
    }
}
