//! Documents read from lines of JSON, some at once, and what is wrong with a line and where.

use std::collections::BTreeMap;

use lateen::limits::MAX_WEIGHT;
use lateen::readers::JsonLines;
use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use crate::declared::Fields;
use crate::failure::{Code, Failure};
use crate::words::Words;

/// What the names in `vector` mean.
pub(crate) enum Terms {
    Ids,
    Words(Words),
}

/// Some documents, read from lines.
#[derive(Default)]
pub(crate) struct Gathered {
    pub(crate) ids: Vec<String>,
    pub(crate) texts: Vec<String>,
    pub(crate) lines: Vec<u64>,
    pub(crate) entries: Vec<BTreeMap<String, Value>>,
    pub(crate) vectors: Vec<Vec<(u32, f32)>>,
    /// Whether there are no more lines.
    pub(crate) ended: bool,
}

impl Gathered {
    /// Reads so many documents, or lines of about so many bytes, whichever is less.
    pub(crate) fn read(
        name: &str,
        texts: Option<&mut JsonLines>,
        first: usize,
        size: usize,
        bytes: usize,
        fields: &Fields,
        terms: &mut Option<Terms>,
    ) -> Result<Self, Failure> {
        let names = fields.names();
        let mut all = Self::default();
        let Some(texts) = texts else {
            all.ids = (first..first + size).map(|row| row.to_string()).collect();
            all.entries = vec![BTreeMap::new(); size];
            return Ok(all);
        };
        let mut read = 0;
        while all.ids.len() < size && read <= bytes {
            let Some(record) = texts.next().transpose().map_err(Failure::input)? else {
                all.ended = true;
                break;
            };
            let (line, own) = texts.line();
            read += own.len();
            let place = |column: usize| {
                format!("{name}: line {line}, column {column} (id {:?})", record.id)
            };
            let refuse_at = |part: Part<'_>, what: String| {
                Failure::new(Code::Input, what).at(place(part.column(own)))
            };
            if let Some(what) = fields.no_key(&record.id) {
                let next = "give numbers as ids, or build with ids of text";
                return Err(refuse_at(Part::of(&ID), what.to_owned()).next(next));
            }
            if let Some(terms) = terms {
                let vector = record.vector.as_ref();
                let vector = vector.ok_or_else(|| {
                    let what = "an object without a `vector`".to_owned();
                    Failure::new(Code::Input, what)
                        .at(place(own.trim_end().len()))
                        .next("give weights of words, or vectors by --sparse or --tokens")
                })?;
                if vector.iter().all(|entry| entry.1 == 0.0) {
                    let what = "a vector without a weight above zero".to_owned();
                    return Err(refuse_at(Part::of(&["vector"]), what).next("leave the line out"));
                }
                let mut pairs = Vec::with_capacity(vector.len());
                for (at, (word, weight)) in vector.iter().enumerate() {
                    let refuse_entry = |what| refuse_at(Part::entry(at), what);
                    if *weight > MAX_WEIGHT {
                        let what =
                            format!("the weight {weight:e} of {word:?} is above {MAX_WEIGHT:e}");
                        return Err(refuse_entry(what).next("look at what made it"));
                    }
                    if *weight < 0.0 {
                        let what = format!("the weight {weight} of {word:?} is negative");
                        return Err(refuse_entry(what).next("leave such entries out"));
                    }
                    let id = match terms {
                        // Written in one way only, no two names are the same id.
                        Terms::Ids => id(word).ok_or_else(|| {
                            let next = "without --term-ids words are taken as they are";
                            refuse_entry(format!("{word:?} is no term id")).next(next)
                        }),
                        Terms::Words(words) => {
                            words.id(word).map_err(|no| no.at(place(Part::entry(at).column(own))))
                        }
                    };
                    pairs.push((id?, *weight));
                }
                all.vectors.push(pairs);
            }
            let entries = match names.as_slice() {
                [] => BTreeMap::new(),
                ["src"] => sources(record.src.as_deref()),
                _ => wanted(texts, &names)?,
            };
            if let Some((entry, what)) = fields.misfit(&entries) {
                let next = "mend the value, or declare the attribute as what it is";
                return Err(refuse_at(Part::of(&[entry]), what).next(next));
            }
            all.entries.push(entries);
            all.lines.push(line);
            all.ids.push(record.id);
            all.texts.push(record.text.unwrap_or_default());
        }
        Ok(all)
    }
}

/// A term id from its digits, without a sign or zeros before them.
fn id(word: &str) -> Option<u32> {
    let plain = word == "0" || !word.starts_with(['0', '+']);
    word.parse().ok().filter(|_| plain)
}

/// The entry `src`, which readers of lines know: they need not be read again for it.
pub(crate) fn sources(source: Option<&str>) -> BTreeMap<String, Value> {
    source.map(|source| ("src".to_owned(), Value::from(source))).into_iter().collect()
}

/// The entries of these names in the line that was read last.
pub(crate) fn wanted(
    lines: &JsonLines,
    names: &[&str],
) -> Result<BTreeMap<String, Value>, Failure> {
    let (number, line) = lines.line();
    let mut reader = serde_json::Deserializer::from_str(line);
    Wanted(names).deserialize(&mut reader).map_err(|error| {
        let what = format!("{}: line {number}, column {}", lines.name(), error.column());
        Failure::new(Code::Input, format!("{what}: {error}"))
    })
}

struct Wanted<'n>(&'n [&'n str]);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = BTreeMap<String, Value>;

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.0.contains(&name.as_str()) {
                found.insert(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// The names of an id, as [`JsonLines`] knows them.
const ID: [&str; 3] = ["id", "_id", "docid"];

/// A part of a line that an error points to.
#[derive(Clone, Copy)]
struct Part<'n> {
    /// The entry of one of these names; any, where there are none.
    names: &'n [&'n str],
    /// Or an entry of what it holds, by its number.
    entry: Option<usize>,
}

impl<'n> Part<'n> {
    fn of(names: &'n [&'n str]) -> Self {
        Self { names, entry: None }
    }

    /// An entry of the vector.
    fn entry(number: usize) -> Self {
        Self { names: &["vector"], entry: Some(number) }
    }

    /// The column, from 1, where its name ends.
    fn column(self, line: &str) -> usize {
        let mut reader = serde_json::Deserializer::from_str(line);
        self.deserialize(&mut reader).map_or_else(|error| error.column(), |()| 1)
    }
}

/// Fails where the part is: the reader's error knows the column.
impl<'de> DeserializeSeed<'de> for Part<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Part<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut number = 0;
        while let Some(name) = map.next_key::<String>()? {
            let named = self.names.contains(&name.as_str());
            match self.entry {
                None if named => return Err(de::Error::custom("here")),
                Some(entry) if named => {
                    map.next_value_seed(Part { names: &[], entry: Some(entry) })?;
                }
                Some(entry) if self.names.is_empty() && entry == number => {
                    return Err(de::Error::custom("here"));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            number += 1;
        }
        Ok(())
    }
}
