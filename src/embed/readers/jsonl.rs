//! JSON lines: one object a line, with an id, a text, and perhaps a vector of words.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::lines::{Lines, syntax};
use crate::error::Result;
use crate::limits::MAX_TERMS;

/// One object of a JSON-lines file. Other entries than these are passed over.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// `id`, also `_id` and `docid`; a whole number becomes its digits.
    #[serde(alias = "_id", alias = "docid", deserialize_with = "id")]
    pub id: String,
    /// `text`, also `contents` and `content`.
    #[serde(default, alias = "contents", alias = "content")]
    pub text: Option<String>,
    /// `src`: where the text is from.
    #[serde(default)]
    pub src: Option<String>,
    /// `vector`: weights of words, in the order of the file and each word once, as Anserini,
    /// SPLADE and Elasticsearch write them.
    #[serde(default, deserialize_with = "vector")]
    pub vector: Option<Vec<(String, f32)>>,
}

impl Record {
    /// A record of an id alone.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), text: None, src: None, vector: None }
    }

    /// The record as a line of JSON in the form of Anserini, without a line's end: `id`,
    /// `contents` and `vector`, of which those that are absent are left out. `src` comes last,
    /// where there is one. Weights that are not finite, which JSON has no word for, are left out.
    ///
    /// ```
    /// use lateen::readers::{JsonLines, Record};
    ///
    /// let mut record = Record::new("7");
    /// record.vector = Some(vec![("fat \"free\"".to_owned(), 0.5), ("lipid".to_owned(), 2.25)]);
    /// let line = record.to_json();
    /// assert_eq!(line, r#"{"id":"7","vector":{"fat \"free\"":0.5,"lipid":2.25}}"#);
    /// let lines = std::io::Cursor::new(line);
    /// assert_eq!(JsonLines::new("line", lines).next().unwrap()?, record);
    /// # Ok::<(), lateen::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        let mut entries = vec![format!("\"id\":{}", text(&self.id))];
        entries.extend(self.text.iter().map(|own| format!("\"contents\":{}", text(own))));
        if let Some(vector) = &self.vector {
            let finite = vector.iter().filter(|entry| entry.1.is_finite());
            // The shortest number that is read back as the same f32.
            let weights = finite.map(|(word, weight)| format!("{}:{weight}", text(word)));
            entries.push(format!("\"vector\":{{{}}}", weights.collect::<Vec<_>>().join(",")));
        }
        entries.extend(self.src.iter().map(|own| format!("\"src\":{}", text(own))));
        format!("{{{}}}", entries.join(","))
    }
}

/// Reads a JSON-lines file object by object, holding one line at a time. Blank lines are passed
/// over, and a file whose name ends in `.gz` is decompressed.
///
/// ```
/// use lateen::readers::JsonLines;
///
/// let lines = r#"{"id": 7, "contents": "a lipid", "vector": {"lipid": 2.5, "fat": 0.5}}"#;
/// let record = JsonLines::new("stdin", lines.as_bytes()).next().unwrap()?;
/// assert_eq!(record.id, "7");
/// assert_eq!(record.vector.unwrap()[0], ("lipid".to_owned(), 2.5));
///
/// let error = JsonLines::new("stdin", "{\"id\": \"a\",\n".as_bytes()).next().unwrap();
/// let message = error.unwrap_err().to_string();
/// assert!(message.starts_with("stdin: line 1, column 11: "), "{message}");
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonLines {
    lines: Lines,
    failed: bool,
}

impl JsonLines {
    /// Opens a file.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { lines: Lines::open(path.as_ref())?, failed: false })
    }

    /// Reads from anything; `name` is what errors call it.
    pub fn new(name: &str, reader: impl Read + Send + 'static) -> Self {
        let reader = BufReader::with_capacity(1 << 16, reader);
        Self { lines: Lines::new(name, reader), failed: false }
    }

    /// What errors call the file.
    pub fn name(&self) -> &str {
        self.lines.name()
    }

    /// The line that was read last and its number, counted from 1: for entries that a [`Record`]
    /// passes over, and for errors that are found later.
    pub fn line(&self) -> (u64, &str) {
        self.lines.last()
    }

    fn read(&mut self) -> Result<Option<Record>> {
        let Some((number, line)) = self.lines.next_line()? else { return Ok(None) };
        // Derived readers take an array of the entries in their order too; a line has names.
        let indent = line.len() - line.trim_ascii_start().len();
        if !line[indent..].starts_with('{') {
            let what = "no object: a line begins with {";
            return Err(syntax(self.lines.name(), number, indent + 1, what).into());
        }
        match serde_json::from_str(line) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                // The parser sees one line only, so its own line number says nothing.
                let words = error.to_string();
                let what = words.rsplit_once(" at line ").map_or(&*words, |(what, _)| what);
                let (column, what) = (error.column(), what.to_owned());
                Err(syntax(self.lines.name(), number, column, what).into())
            }
        }
    }
}

/// Ends after the first error.
impl Iterator for JsonLines {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Id;

    impl Visitor<'_> for Id {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an id: a string or a whole number")
        }

        fn visit_str<E: de::Error>(self, id: &str) -> Result<String, E> {
            if id.is_empty() {
                return Err(de::Error::custom("an id of no letters"));
            }
            Ok(id.to_owned())
        }

        fn visit_u64<E: de::Error>(self, id: u64) -> Result<String, E> {
            Ok(id.to_string())
        }

        fn visit_i64<E: de::Error>(self, id: i64) -> Result<String, E> {
            Ok(id.to_string())
        }
    }

    deserializer.deserialize_any(Id)
}

fn vector<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<(String, f32)>>, D::Error> {
    struct Weights;

    impl<'de> Visitor<'de> for Weights {
        type Value = Option<Vec<(String, f32)>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a vector: an object of words and their weights")
        }

        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut weights: Vec<(String, f32)> = Vec::new();
            // Hashes, with a key of their own for each line: copies of the words would be as large
            // as all the rest.
            let (hashes, mut seen) = (RandomState::new(), HashSet::new());
            while let Some((word, weight)) = map.next_entry::<String, f32>()? {
                let again = !seen.insert(hashes.hash_one(&word));
                if again && weights.iter().any(|(other, _)| *other == word) {
                    return Err(de::Error::custom(format_args!("{word:?} has two weights")));
                }
                if !weight.is_finite() {
                    let what = format_args!("the weight of {word:?} is beyond what f32 holds");
                    return Err(de::Error::custom(what));
                }
                if weights.len() == MAX_TERMS {
                    let what = format_args!("a vector of more than {MAX_TERMS} words");
                    return Err(de::Error::custom(what));
                }
                weights.push((word, weight));
            }
            Ok(Some(weights))
        }
    }

    deserializer.deserialize_any(Weights)
}
