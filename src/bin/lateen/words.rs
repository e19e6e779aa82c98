//! The words that term ids stand for: given by a file, met in lines, or kept by an index.

use std::path::Path;

use lateen::limits::MAX_WORD_BYTES;
use lateen::{IndexWriter, SparseField, Vocabulary};
use xxhash_rust::xxh3::xxh3_64;

use crate::failure::{Code, Failure};
use crate::text;

/// A slot that holds no word.
const FREE: u32 = u32::MAX;

/// Words with the ids they have, or get.
///
/// They stand one after another in one text, since there may be millions: a word takes its letters
/// and some 20 bytes.
#[derive(Default)]
pub(crate) struct Words {
    text: String,
    /// Where each word ends.
    ends: Vec<usize>,
    ids: Vec<u32>,
    /// What each weighs in a query; empty where all weigh 1.
    weights: Vec<f32>,
    /// The numbers of words by the hash of their letters: a power of two of slots, half of them
    /// free at least.
    slots: Vec<u32>,
    next: u32,
    /// Whether no word may be added.
    fixed: bool,
    /// Bytes that they may come to, [as told](Self::bytes); `None` for no limit.
    room: Option<usize>,
}

impl Words {
    /// None yet, in so many bytes.
    pub(crate) fn within(room: usize) -> Self {
        Self { room: Some(room), ..Self::default() }
    }

    /// Those of a file. One whose name ends in `.tsv` has a term id, a word and, if you like, its
    /// weight in a query on each line, with tabs between; any other a word a line, whose term ids
    /// are the numbers of the lines from 0.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let refuse =
            |what: String| Failure::new(Code::Input, format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path)
            .map_err(|error| refuse(error.to_string()).next("check the path"))?;
        let columns = path.extension().is_some_and(|end| end.eq_ignore_ascii_case("tsv"));
        let mut words = Self::default();
        for (at, line) in (0u32..).zip(text.lines()) {
            let (word, id, weight) = if columns {
                let mut parts = line.split('\t');
                let id = parts.next().and_then(|id| id.parse().ok());
                let word = parts.next();
                let weight = parts.next().map_or(Some(1.0), |weight| weight.parse().ok());
                let (Some(id), Some(word), Some(weight), None) = (id, word, weight, parts.next())
                else {
                    let what = "expected a term id, a word and perhaps a weight, tabs between";
                    return Err(refuse(format!("line {}: {what}", at + 1)).next("mend that line"));
                };
                (word, id, weight)
            } else {
                (line, at, 1.0)
            };
            if words.find(word).is_ok() {
                let what = format!("line {}: {word:?} is there already", at + 1);
                return Err(refuse(what).next("leave one of them out"));
            }
            words.push(word, id, weight);
        }
        words.fixed = true;
        Ok(words)
    }

    /// Those of a set, which may have a `vocabulary.tsv` or a `vocabulary.txt`.
    pub(crate) fn of_set(dir: &Path) -> Result<Option<Self>, Failure> {
        let files = ["vocabulary.tsv", "vocabulary.txt"].map(|name| dir.join(name));
        let file = files.iter().find(|path| path.is_file());
        file.map(|path| Self::read(path)).transpose()
    }

    /// Whether no word may be added.
    pub(crate) fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// What they take at most, here and while the index's own copy is made of them.
    pub(crate) fn bytes(&self) -> usize {
        3 * self.text.len() + 72 * self.ends.len()
    }

    fn word(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number]]
    }

    /// The number of a word, or the slot that it would get.
    fn find(&self, word: &str) -> Result<usize, usize> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut slot = xxh3_64(word.as_bytes()) as usize & mask;
        while let Some(&number) = self.slots.get(slot) {
            if number == FREE {
                break;
            }
            if self.word(number as usize) == word {
                return Ok(number as usize);
            }
            slot = (slot + 1) & mask;
        }
        Err(slot)
    }

    /// Adds a word that is not there.
    fn push(&mut self, word: &str, id: u32, weight: f32) {
        if weight != 1.0 && self.weights.is_empty() {
            self.weights = vec![1.0; self.ends.len()];
        }
        if weight != 1.0 || !self.weights.is_empty() {
            self.weights.push(weight);
        }
        self.text.push_str(word);
        self.ends.push(self.text.len());
        self.ids.push(id);
        self.next = self.next.max(id.saturating_add(1));
        if 2 * self.ends.len() > self.slots.len() {
            // The old ones first, so that there are never both.
            let size = (4 * self.ends.len()).next_power_of_two().max(64);
            self.slots = Vec::new();
            self.slots = vec![FREE; size];
            (0..self.ends.len()).for_each(|number| self.place(number));
        } else {
            self.place(self.ends.len() - 1);
        }
    }

    fn place(&mut self, number: usize) {
        if let Err(slot) = self.find(self.word(number)) {
            self.slots[slot] = number as u32;
        }
    }

    /// The id of a word; one that is new gets the next.
    ///
    /// # Errors
    /// A word that is not in the list that was given, of no letters or of too many; more words than
    /// there is room for.
    pub(crate) fn id(&mut self, word: &str) -> Result<u32, Failure> {
        if let Ok(number) = self.find(word) {
            return Ok(self.ids[number]);
        }
        if self.fixed {
            let what = format!("{word:?} is not in the vocabulary");
            return Err(Failure::new(Code::Input, what).next("add it there, or leave it out"));
        }
        if word.is_empty() || word.len() > MAX_WORD_BYTES {
            let what = match word.len() {
                0 => "a word of no letters".to_owned(),
                bytes => format!("a word of {bytes} bytes, the limit is {MAX_WORD_BYTES}"),
            };
            return Err(Failure::new(Code::Input, what).next("leave it out"));
        }
        if let Some(room) = self.room
            && self.bytes() > room
        {
            let what = format!(
                "{} that have no ids, the memory for them is {}",
                text::many(self.ends.len() as u64, "word"),
                text::bytes(room as u64)
            );
            let next = "raise --memory, or give ids (--term-ids, --vocabulary)";
            return Err(Failure::new(Code::Input, what).next(next));
        }
        let id = self.next;
        self.push(word, id, 1.0);
        Ok(id)
    }

    /// Takes over the words of an index that is added to, unless they are given.
    pub(crate) fn know(&mut self, vocabulary: &Vocabulary) {
        if !self.fixed {
            for (word, id, weight) in vocabulary.iter() {
                if self.find(word).is_err() {
                    self.push(word, id, weight);
                }
            }
        }
    }

    /// Has the index keep the words.
    pub(crate) fn keep(
        mut self,
        field: &SparseField,
        writer: &mut IndexWriter,
    ) -> Result<(), Failure> {
        self.slots = Vec::new();
        let list = (0..self.ends.len()).map(|number| {
            let weight = self.weights.get(number).copied().unwrap_or(1.0);
            (self.word(number), self.ids[number], weight)
        });
        writer.set_vocabulary(field, &Vocabulary::weighted(list)?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn ids_are_those_of_a_plain_table() {
        let mut words = Words::within(1 << 20);
        let mut naive: HashMap<String, u32> = HashMap::new();
        for at in 0..5000u32 {
            let word = format!("w{}", at.wrapping_mul(2_654_435_761) % 1500);
            let next = naive.len() as u32;
            let expected = *naive.entry(word.clone()).or_insert(next);
            assert_eq!(words.id(&word).unwrap(), expected, "{word}");
        }
        for (word, said) in [(String::new(), "no letters"), ("x".repeat(256), "256 bytes")] {
            assert!(words.id(&word).unwrap_err().to_string().contains(said));
        }
        assert_eq!(words.id(&"x".repeat(255)).unwrap(), naive.len() as u32);
        for (word, id) in &naive {
            assert_eq!(words.id(word).unwrap(), *id);
        }
    }

    #[test]
    fn more_words_than_there_is_room_for_are_an_error() {
        let mut words = Words::within(10_000);
        let refused = (0..).find_map(|at| words.id(&format!("word{at}")).err()).unwrap();
        assert!(words.bytes() > 10_000 && words.bytes() < 10_200);
        let said = refused.to_string();
        assert!(said.contains("words that have no ids") && said.contains("--memory"), "{said}");
        // Those that are there are still known.
        assert_eq!(words.id("word7").unwrap(), 7);
    }
}
