//! The words of a sparse field's model: queries without a model, by look-up.

use std::fmt;

use bytemuck::{Pod, Zeroable};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Fault, InputError, Result};
use crate::format::{Section, corrupt};
use crate::id::TermId;
use crate::limits::{MAX_VOCABULARY, MAX_WORD_BYTES};
use crate::storage::Bytes;

/// The start of the section `VOCABULARY`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct VocabularyHead {
    /// How many words.
    pub(crate) words: u32,
    /// How many slots: a power of two, more than there are words.
    pub(crate) slots: u32,
    /// 1 where each word has a weight, 0 where none has.
    pub(crate) weighted: u32,
    /// Zero.
    pub(crate) reserved: u32,
}

const _: () = assert!(size_of::<VocabularyHead>() == 16);

/// What a model's words are called in a sparse field: word → term id, and, if you like, a weight
/// for each, such as its inverse document frequency. Kept in the index, it makes a query of a
/// tokenised text without the model: the *inference-free* queries of asymmetric sparse models.
///
/// Cheap to clone; words are looked up in the mapped file.
///
/// ```
/// use lateen::{Document, IndexWriter, Query, Schema, Vocabulary};
///
/// let mut schema = Schema::builder();
/// let splade = schema.sparse("splade");
/// let mut writer = IndexWriter::in_memory(schema.build()?)?;
/// let words = [("lipid", 7, 4.5), ("fat", 3, 2.25), ("the", 9, 0.01)];
/// writer.set_vocabulary(&splade, &Vocabulary::weighted(words)?)?;
/// writer.add(&Document::new("a").sparse(&splade, &[(7u32, 2.0f32), (3, 1.0)])?)?;
/// writer.commit()?;
///
/// let index = writer.reader()?;
/// let vocabulary = index.vocabulary(&splade)?.expect("it was set");
/// let mut vector = Vec::new();
/// let unknown = vocabulary.query(["fat", "lipid", "fat", "soap"], &mut vector);
/// assert_eq!((&vector[..], unknown), (&[(3, 2.25), (7, 4.5)][..], 1));
/// assert_eq!(index.search(&Query::sparse(&splade, &vector)?)?[0].score(), 11.25);
/// # Ok::<(), lateen::Error>(())
/// ```
#[derive(Clone)]
pub struct Vocabulary {
    bytes: Bytes,
    words: usize,
    slots: usize,
    weighted: bool,
}

impl fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vocabulary").field("words", &self.words).finish_non_exhaustive()
    }
}

impl PartialEq for Vocabulary {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for Vocabulary {}

/// The parts of the section as slices.
struct Parts<'a> {
    ends: &'a [u32],
    terms: &'a [u32],
    weights: &'a [f32],
    slots: &'a [u32],
    text: &'a [u8],
}

impl Vocabulary {
    /// From words and their term ids; all weigh 1.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input), with its place: a word that is empty, longer than
    /// 255 bytes or there already; more than 2²⁴ words; words chosen so that their hashes fall
    /// together.
    pub fn new<W: AsRef<str>>(words: impl IntoIterator<Item = (W, TermId)>) -> Result<Self> {
        Self::build(words.into_iter().map(|(word, term)| (word, term, 1.0)), false)
    }

    /// From words, their term ids and their weights in a query.
    ///
    /// # Errors
    /// As [`new`](Self::new); a weight that is not above zero, or not finite.
    pub fn weighted<W: AsRef<str>>(
        words: impl IntoIterator<Item = (W, TermId, f32)>,
    ) -> Result<Self> {
        Self::build(words.into_iter(), true)
    }

    fn build<W: AsRef<str>>(
        words: impl Iterator<Item = (W, TermId, f32)>,
        weighted: bool,
    ) -> Result<Self> {
        let (mut ends, mut terms, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let mut text: Vec<u8> = Vec::new();
        let mut hashes = Vec::new();
        for (at, (word, term, weight)) in words.enumerate() {
            let refused = |what| Err(InputError::new("vocabulary", what).row(at).into());
            let word = word.as_ref();
            if word.is_empty() {
                return refused(Fault::Empty { what: "a word of no letters" });
            }
            if word.len() > MAX_WORD_BYTES {
                let (found, limit) = (word.len() as u64, MAX_WORD_BYTES as u64);
                return refused(Fault::TooMany { what: "bytes of a word", found, limit });
            }
            if at >= MAX_VOCABULARY {
                let (found, limit) = (at as u64 + 1, MAX_VOCABULARY as u64);
                return refused(Fault::TooMany { what: "words", found, limit });
            }
            if !weight.is_finite() {
                return refused(Fault::NotFinite { value: weight.into() });
            }
            if weight <= 0.0 {
                let (value, range) = (weight.to_string(), "above 0".to_owned());
                return refused(Fault::Parameter { value, range });
            }
            text.extend_from_slice(word.as_bytes());
            // 2^24 words of 255 bytes end below 2^32.
            ends.push(u32::try_from(text.len()).unwrap_or(u32::MAX));
            terms.push(term);
            weights.push(weight);
            hashes.push(xxh3_64(word.as_bytes()));
        }
        let slots = (2 * ends.len() + 1).next_power_of_two();
        let mut table = vec![0u32; slots];
        let mut looks = Looks::of(ends.len());
        for (ordinal, &hash) in (1u32..).zip(&hashes) {
            let mut slot = place(hash, slots);
            let mut steps = 0;
            while table[slot] != 0 {
                let other = table[slot] as usize - 1;
                let word = |at: usize| {
                    let start = at.checked_sub(1).map_or(0, |before| ends[before]);
                    &text[start as usize..ends[at] as usize]
                };
                if word(other) == word(ordinal as usize - 1) {
                    let at = ordinal as usize - 1;
                    return Err(InputError::new("vocabulary", Fault::Twice).row(at).into());
                }
                slot = (slot + 1) % slots;
                steps += 1;
                if looks.spent(1) || steps > MOST_STEPS {
                    let value = "words that crowd in a few slots".to_owned();
                    let fault = Fault::Parameter { value, range: Looks::RANGE.to_owned() };
                    return Err(InputError::new("vocabulary", fault)
                        .row(ordinal as usize - 1)
                        .into());
                }
            }
            table[slot] = ordinal;
        }
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let head = VocabularyHead {
            words: count(ends.len()),
            slots: count(slots),
            weighted: u32::from(weighted),
            reserved: 0,
        };
        let mut bytes = bytemuck::bytes_of(&head).to_vec();
        bytes.extend_from_slice(bytemuck::must_cast_slice::<u32, u8>(&ends));
        bytes.extend_from_slice(bytemuck::must_cast_slice::<u32, u8>(&terms));
        if weighted {
            bytes.extend_from_slice(bytemuck::must_cast_slice::<f32, u8>(&weights));
        }
        bytes.extend_from_slice(bytemuck::must_cast_slice::<u32, u8>(&table));
        bytes.extend_from_slice(&text);
        Ok(Self { bytes: Bytes::from_vec(&bytes), words: ends.len(), slots, weighted })
    }

    /// Opens a section; compares sizes, and touches nothing else.
    pub(crate) fn open(section: &Section) -> Result<Self> {
        let bytes = section.view().clone();
        let refused = |what: &str| Err(section.corrupt(0, what));
        let head = bytes.as_slice().get(..size_of::<VocabularyHead>());
        let Some(head) = head.and_then(|head| bytemuck::try_pod_read_unaligned(head).ok()) else {
            return refused("shorter than its head");
        };
        let VocabularyHead { words, slots, weighted, reserved } = head;
        if words as usize > MAX_VOCABULARY || weighted > 1 || reserved != 0 {
            return refused("a head that cannot be");
        }
        if !slots.is_power_of_two() || slots <= words {
            return refused("slots of another number than a power of two above that of the words");
        }
        let (words, slots, weighted) = (words as usize, slots as usize, weighted == 1);
        let vocabulary = Self { bytes, words, slots, weighted };
        let Some(parts) = vocabulary.parts() else { return refused("shorter than its head says") };
        if parts.ends.last().copied().unwrap_or(0) as usize != parts.text.len() {
            return refused("words that do not end where the section does");
        }
        Ok(vocabulary)
    }

    /// The section's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    fn parts(&self) -> Option<Parts<'_>> {
        let mut rest = self.bytes.as_slice().get(size_of::<VocabularyHead>()..)?;
        let mut take = |count: usize| {
            let (part, after) = rest.split_at_checked(count.checked_mul(4)?)?;
            rest = after;
            Some(part)
        };
        let ends = bytemuck::try_cast_slice(take(self.words)?).ok()?;
        let terms = bytemuck::try_cast_slice(take(self.words)?).ok()?;
        let weights = take(if self.weighted { self.words } else { 0 })?;
        let weights = bytemuck::try_cast_slice(weights).ok()?;
        let slots = bytemuck::try_cast_slice(take(self.slots)?).ok()?;
        Some(Parts { ends, terms, weights, slots, text: rest })
    }

    /// Checks every word: readable, found under its own name, its weight above zero. `file` is what
    /// the file is called.
    pub(crate) fn verify(&self, file: &str) -> Result<()> {
        let damaged = |what: String| Err(corrupt(file, "VOCABULARY", 0, what));
        let Some(parts) = self.parts() else { return damaged("too short".to_owned()) };
        let mut looks = Looks::of(self.words);
        for at in 0..self.words {
            let word = parts.word(at).filter(|word| !word.is_empty());
            let Some(word) = word.and_then(|word| std::str::from_utf8(word).ok()) else {
                return damaged(format!("word {at} cannot be read"));
            };
            let (found, steps) = parts.look_for(word, looks.left);
            if looks.spent(steps) {
                return damaged(format!("words that crowd in a few slots up to word {at}"));
            }
            if found != Some(at) {
                return damaged(format!("word {at} is not where it is looked for"));
            }
            if !parts.weight(at).is_finite() || parts.weight(at) <= 0.0 {
                return damaged(format!("word {at} has no weight above zero"));
            }
        }
        if parts.slots.iter().filter(|slot| **slot != 0).count() == self.words {
            return Ok(());
        }
        damaged("slots of words that there are not".to_owned())
    }

    /// How many words.
    pub fn len(&self) -> usize {
        self.words
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.words == 0
    }

    /// A word's term id and its weight; 1 where no weights were given.
    pub fn get(&self, word: &str) -> Option<(TermId, f32)> {
        let parts = self.parts()?;
        let at = parts.find(word)?;
        Some((*parts.terms.get(at)?, parts.weight(at)))
    }

    /// Makes the sparse vector of a query from its words: each term once, with its weight,
    /// ascending. What was in `vector` goes, its memory is used again, and nothing else is
    /// allocated. Gives the number of words that are not known.
    pub fn query<'w>(
        &self,
        words: impl IntoIterator<Item = &'w str>,
        vector: &mut Vec<(TermId, f32)>,
    ) -> usize {
        vector.clear();
        let mut unknown = 0;
        let Some(parts) = self.parts() else { return words.into_iter().count() };
        for word in words {
            match parts.find(word).and_then(|at| Some((*parts.terms.get(at)?, parts.weight(at)))) {
                // What a damaged file gives is no weight of a query.
                Some(entry) if entry.1.is_finite() && entry.1 > 0.0 => vector.push(entry),
                _ => unknown += 1,
            }
        }
        vector.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
        vector.dedup_by_key(|entry| entry.0);
        unknown
    }

    /// Makes the sparse vector of words with weights of their own, as in the `vector` of a
    /// [record](crate::readers) of JSON lines: weights of one term are added up. Gives the number
    /// of words that are not known.
    pub fn vector<'w>(
        &self,
        words: impl IntoIterator<Item = (&'w str, f32)>,
        vector: &mut Vec<(TermId, f32)>,
    ) -> usize {
        vector.clear();
        let mut unknown = 0;
        for (word, weight) in words {
            match self.get(word) {
                Some((term, _)) => vector.push((term, weight)),
                None => unknown += 1,
            }
        }
        vector.sort_by_key(|entry| entry.0);
        vector.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 += later.1;
            }
            same
        });
        unknown
    }

    /// All words with their term ids and weights, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, TermId, f32)> + '_ {
        self.parts().into_iter().flat_map(move |parts| {
            (0..self.words).filter_map(move |at| {
                let word = std::str::from_utf8(parts.word(at)?).ok()?;
                Some((word, *parts.terms.get(at)?, parts.weight(at)))
            })
        })
    }
}

/// The slot where a word is looked for first.
#[allow(clippy::cast_possible_truncation, reason = "the remainder is below the number of slots")]
fn place(hash: u64, slots: usize) -> usize {
    (hash % (slots.max(1) as u64)) as usize
}

impl<'a> Parts<'a> {
    fn word(&self, at: usize) -> Option<&'a [u8]> {
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start as usize..*self.ends.get(at)? as usize)
    }

    fn weight(&self, at: usize) -> f32 {
        self.weights.get(at).copied().unwrap_or(1.0)
    }

    /// The place of a word: from its slot on, up to the first that is empty.
    fn find(&self, word: &str) -> Option<usize> {
        self.look_for(word, self.slots.len()).0
    }

    /// The same within so many steps after the first slot, and how many were taken: one more than
    /// allowed where they do not do.
    fn look_for(&self, word: &str, most: usize) -> (Option<usize>, usize) {
        let (slots, most) = (self.slots.len(), most.min(MOST_STEPS));
        let first = place(xxh3_64(word.as_bytes()), slots);
        for step in 0..slots {
            if step > most {
                return (None, step);
            }
            let ordinal = self.slots.get((first + step) & (slots - 1)).copied().unwrap_or(0);
            let Some(at) = (ordinal as usize).checked_sub(1) else { return (None, step) };
            if self.word(at) == Some(word.as_bytes()) {
                return (Some(at), step);
            }
        }
        (None, slots)
    }
}

/// No word is further from its first slot, so that one that is not there is not looked for longer,
/// in a table that is full by intent either.
const MOST_STEPS: usize = 4096;

/// How many steps after their first slots all words of a vocabulary may take together. Where hashes
/// fall evenly it is half a step a word; words that are chosen so that they fall together would take
/// as many steps as there are words, each.
struct Looks {
    left: usize,
}

impl Looks {
    const RANGE: &str =
        "at most 16 steps a word from its first slot, on average, and 4096 for each of them";

    fn of(words: usize) -> Self {
        Self { left: 16 * words + 4096 }
    }

    /// Takes some steps; whether there were not that many left.
    fn spent(&mut self, steps: usize) -> bool {
        let left = self.left.checked_sub(steps);
        self.left = left.unwrap_or(0);
        left.is_none()
    }
}

#[cfg(test)]
mod tests;
