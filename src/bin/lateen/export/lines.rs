//! Documents as lines of JSON with the weights of their words, as Anserini reads and writes them.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write as _};

use lateen::readers::Record;
use lateen::{Index, SparseField};
use serde_json::{Value, json};

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
    let mut words = Words::of(index, field, args.term_ids)?;
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
        let named = vector.into_iter().map(|(term, weight)| (words.name(term), weight));
        record.vector = Some(named.collect());
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
    let rows = match fields.tokens {
        Some(_) => "; token rows have no place in it",
        None => "",
    };
    let said = format!(
        "{}: {}, {} of {}{rows}\n",
        args.out.display(),
        text::many(documents, "document"),
        text::many(entries, "weight"),
        words.told(),
    );
    let data = json!({ "documents": documents, "weights": entries,
        "terms_without_a_word": words.without.len() });
    Ok(text::told(args.json, &data, said))
}

/// What terms are called; by their ids alone where there are no words.
struct Words {
    words: Option<HashMap<u32, String>>,
    /// Terms that have none, though others do.
    without: BTreeSet<u32>,
}

impl Words {
    fn of(index: &Index, field: &SparseField, ids: bool) -> Result<Self, Failure> {
        let there = !ids && index.vocabulary(field)?.is_some();
        let words = there.then(|| explain::words(index)).transpose()?;
        Ok(Self { words, without: BTreeSet::new() })
    }

    fn name(&mut self, term: u32) -> String {
        let Some(words) = &self.words else { return term.to_string() };
        words.get(&term).cloned().unwrap_or_else(|| {
            self.without.insert(term);
            format!("[term {term}]")
        })
    }

    /// What stands for a weight's term, for the summary.
    fn told(&self) -> String {
        let others = match self.without.len() {
            0 => String::new(),
            count => {
                let what = text::many(count as u64, "term");
                format!("; {what} without a word as [term N]")
            }
        };
        format!("{}{others}", if self.words.is_some() { "words" } else { "term ids" })
    }
}
