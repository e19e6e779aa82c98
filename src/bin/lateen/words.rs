//! The words that term ids stand for: given by a file, met in lines, or kept by an index.

use std::collections::HashMap;
use std::path::Path;

use lateen::{IndexWriter, SparseField, Vocabulary};

use crate::failure::{Code, Failure};

/// Words with the ids they have, or get.
#[derive(Default)]
pub(crate) struct Words {
    ids: HashMap<String, u32>,
    list: Vec<(String, u32, f32)>,
    next: u32,
    /// Whether no word may be added.
    fixed: bool,
}

impl Words {
    /// Those of a file. One whose name ends in `.tsv` has a term id, a word and, if you like, its
    /// weight in a query on each line, with tabs between; any other a word a line, whose term ids
    /// are the numbers of the lines from 0.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let refuse =
            |what: String| Failure::new(Code::Input, format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        let columns = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("tsv"));
        let mut words = Self { fixed: true, ..Self::default() };
        for (at, line) in (0u32..).zip(text.lines()) {
            let (word, id, weight) = if columns {
                let mut parts = line.split('\t');
                let id = parts.next().and_then(|id| id.parse().ok());
                let word = parts.next();
                let weight = parts.next().map_or(Some(1.0), |weight| weight.parse().ok());
                let (Some(id), Some(word), Some(weight), None) = (id, word, weight, parts.next())
                else {
                    let what = "expected a term id, a word and perhaps a weight, tabs between";
                    return Err(refuse(format!("line {}: {what}", at + 1)));
                };
                (word, id, weight)
            } else {
                (line, at, 1.0)
            };
            if words.ids.contains_key(word) {
                return Err(refuse(format!("line {}: {word:?} is there already", at + 1)));
            }
            words.push(word, id, weight);
        }
        Ok(words)
    }

    /// Those of a set, which may have a `vocabulary.tsv` or a `vocabulary.txt`.
    pub(crate) fn of_set(dir: &Path) -> Result<Option<Self>, Failure> {
        let files = ["vocabulary.tsv", "vocabulary.txt"].map(|name| dir.join(name));
        let file = files.iter().find(|path| path.is_file());
        file.map(|path| Self::read(path)).transpose()
    }

    fn push(&mut self, word: &str, id: u32, weight: f32) {
        self.ids.insert(word.to_owned(), id);
        self.list.push((word.to_owned(), id, weight));
        self.next = self.next.max(id.saturating_add(1));
    }

    /// The id of a word; one that is new gets the next, unless none may be added.
    pub(crate) fn id(&mut self, word: &str) -> Option<u32> {
        if let Some(&id) = self.ids.get(word) {
            return Some(id);
        }
        if self.fixed {
            return None;
        }
        let id = self.next;
        self.push(word, id, 1.0);
        Some(id)
    }

    /// Takes over the words of an index that is added to, unless they are given.
    pub(crate) fn know(&mut self, vocabulary: &Vocabulary) {
        if !self.fixed {
            for (word, id, weight) in vocabulary.iter() {
                self.push(word, id, weight);
            }
        }
    }

    /// Has the index keep the words.
    pub(crate) fn keep(
        &self,
        field: &SparseField,
        writer: &mut IndexWriter,
    ) -> Result<(), Failure> {
        let list = self.list.iter().map(|(word, id, weight)| (word, *id, *weight));
        writer.set_vocabulary(field, &Vocabulary::weighted(list)?)?;
        Ok(())
    }
}
