//! The questions of the page, asked of the index.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use lateen::readers::SetQuery;
use lateen::{Effort, Explanation, Filter, Index, Key, KeyKind, Query, SparseField, Vocabulary};
use serde_json::{Value, json};

use crate::declared::vector_field;
use crate::explain;
use crate::failure::Failure;
use crate::planner::{Mode, Planner, Settings};
use crate::search::quantile;

pub(super) const WAYS: [(&str, Mode); 3] =
    [("Sparse", Mode::Sparse), ("Late interaction", Mode::Tokens), ("United", Mode::Union)];
/// Hits shown of each way, and times that each query is asked.
const TOP: usize = 5;
const TIMES: usize = 9;
/// Terms that are told of a hit, and letters of its text in the list.
const TERMS: usize = 24;
const START: usize = 110;
/// Letters of typed words that are looked at.
const TYPED: usize = 1000;

/// What is asked.
pub(super) enum Question<'a> {
    /// A query of the set: all ways.
    OfSet(SetQuery<'a>),
    /// Words that are looked up in the index's vocabulary: the sparse way only, since rows need a
    /// model.
    #[cfg_attr(not(feature = "demo"), expect(dead_code, reason = "a written page knows its own"))]
    Words(&'a str),
}

impl Question<'_> {
    fn text(&self) -> &str {
        match self {
            Self::OfSet(query) => query.text,
            Self::Words(text) => text,
        }
    }
}

pub(super) struct Asker<'a> {
    index: &'a Index,
    planners: [Planner; 3],
    vocabulary: Option<(SparseField, Vocabulary)>,
    /// The same by terms.
    words: HashMap<u32, String>,
}

impl<'a> Asker<'a> {
    pub(super) fn new(index: &'a Index, place: &Path) -> Result<Self, Failure> {
        let settings = Settings {
            candidates: None,
            weights: [1.0, 1.0],
            filter: None,
            feedback: false,
            effort: Effort::default(),
            top: TOP,
        };
        let planner = |mode| Planner::new(index, place, mode, settings.clone());
        let planners = [planner(WAYS[0].1)?, planner(WAYS[1].1)?, planner(WAYS[2].1)?];
        let schema = index.schema();
        let field = schema.sparse(&vector_field(&schema, "sparse"))?;
        let vocabulary = index.vocabulary(&field)?.map(|words| (field, words));
        Ok(Self { index, planners, vocabulary, words: explain::words(index)? })
    }

    pub(super) fn documents(&self) -> u64 {
        self.index.len()
    }

    /// Whether words can be asked that no query of the set has.
    #[cfg_attr(not(feature = "demo"), expect(dead_code, reason = "a written page cannot ask"))]
    pub(super) fn knows_words(&self) -> bool {
        self.vocabulary.is_some()
    }

    /// The queries of a question: one for each way, or of typed words the sparse one only; none
    /// where none of them is known.
    pub(super) fn queries(&self, question: &Question<'_>) -> Result<Vec<Query>, Failure> {
        match question {
            Question::OfSet(asked) => self.planners.iter().map(|one| one.query(asked)).collect(),
            Question::Words(text) => {
                let Some((field, vocabulary)) = &self.vocabulary else { return Ok(Vec::new()) };
                let pieces = pieces(vocabulary, text);
                let mut vector = Vec::new();
                vocabulary.query(pieces.iter().map(String::as_str), &mut vector);
                if vector.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![Query::sparse(field, &vector)?.top(TOP)])
            }
        }
    }

    /// What each way finds, and the median time it took.
    pub(super) fn answer(&self, question: &Question<'_>) -> Result<Value, Failure> {
        let mut ways = Vec::new();
        for query in self.queries(question)? {
            let mut hits = self.index.search(&query)?;
            let mut times = Vec::with_capacity(TIMES);
            for _ in 0..TIMES {
                let start = Instant::now();
                hits = self.index.search(&query)?;
                times.push(start.elapsed());
            }
            times.sort_unstable();
            let mut shown = Vec::with_capacity(hits.len());
            for hit in hits.iter().filter(|hit| hit.score().is_finite()) {
                let text = hit.payload()?.unwrap_or_default();
                let start: String = String::from_utf8_lossy(&text).chars().take(START).collect();
                let (key, score) = (hit.key().to_string(), hit.score());
                shown.push(json!({ "key": key, "score": score, "start": start }));
            }
            let median = quantile(&times, 50).unwrap_or_default();
            ways.push(json!({ "us": median.as_secs_f64() * 1e6, "hits": shown }));
        }
        Ok(json!({ "ways": ways }))
    }

    /// Why a document is found: its text in pieces with the share that each gave, the pairs of
    /// words that met, and the terms that both have. `None` where there is no such document, or
    /// it has nothing in common with the question.
    pub(super) fn why(&self, question: &Question<'_>, key: &str) -> Result<Option<Value>, Failure> {
        let key = match self.index.schema().key_kind() {
            KeyKind::Str => Key::from(key),
            KeyKind::U64 => match key.parse::<u64>() {
                Ok(number) => Key::from(number),
                Err(_) => return Ok(None),
            },
        };
        // The last way is made of the others.
        let Some(query) = self.queries(question)?.pop() else { return Ok(None) };
        let alone = query.clone().filter(Filter::keys([key])).top(1);
        let hits = self.index.search(&alone)?;
        let Some(hit) = hits.first() else { return Ok(None) };
        let told = self.index.explain(&query, hit)?;
        let text = hit.payload()?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let spans = match question {
            Question::OfSet(asked) => asked.spans,
            Question::Words(_) => None,
        };
        let pairs = told.tokens.iter().map(|part| {
            let span = spans.and_then(|spans| spans.get(part.query_row)).copied();
            let own = explain::word(question.text(), span, part.query_row);
            json!([own, explain::word(&text, part.span, part.document_row), part.score])
        });
        let sparse = told.parts.first().map_or(&told, |part| &part.explanation);
        let terms = explain::by_weight(sparse);
        let named: Vec<(String, f32)> = terms
            .iter()
            .take(TERMS)
            .map(|part| {
                let word = self.words.get(&part.term).cloned();
                (word.unwrap_or_else(|| format!("term {}", part.term)), part.contribution())
            })
            .collect();
        let pieces =
            if told.tokens.is_empty() { by_words(&text, &named) } else { by_rows(&text, &told) };
        let pairs: Vec<Value> = pairs.collect();
        let more = terms.len().saturating_sub(TERMS);
        Ok(Some(json!({ "pairs": pairs, "pieces": pieces, "terms": named, "more": more })))
    }
}

/// Pieces of a text with the share of what query rows met there.
fn by_rows(text: &str, told: &Explanation) -> Vec<(String, f32)> {
    let marks = told.highlights();
    let most = marks.iter().map(|mark| mark.score).fold(0.0, f32::max);
    let (mut pieces, mut done) = (Vec::new(), 0);
    for mark in &marks {
        let (start, end) = (mark.bytes.start as usize, mark.bytes.end as usize);
        let (Some(before), Some(met)) = (text.get(done..start), text.get(start..end)) else {
            continue; // the spans are of another text than the payload
        };
        let share = (mark.score / most).clamp(0.0, 1.0);
        pieces.extend([(before.to_owned(), 0.0), (met.to_owned(), share)]);
        done = end;
    }
    pieces.push((text.get(done..).unwrap_or_default().to_owned(), 0.0));
    pieces
}

/// Pieces of a text with the share of what their words gave as terms.
fn by_words(text: &str, terms: &[(String, f32)]) -> Vec<(String, f32)> {
    let most = terms.iter().map(|term| term.1).fold(0.0, f32::max);
    let mut pieces: Vec<(String, f32)> = Vec::new();
    for piece in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let end = piece.trim_end_matches(|c: char| !c.is_alphanumeric()).len();
        let (word, rest) = piece.split_at(end);
        let lower = word.to_lowercase();
        let gave = terms.iter().find(|term| term.0 == lower).map_or(0.0, |term| term.1 / most);
        for (part, share) in [(word, gave), (rest, 0.0)] {
            match pieces.last_mut() {
                Some((last, 0.0)) if share == 0.0 => last.push_str(part),
                _ => pieces.push((part.to_owned(), share)),
            }
        }
    }
    pieces
}

/// The words of a text as a vocabulary has them: whole, or, where it does not have one, the longest
/// pieces from its start on, of which all but the first begin with `##`.
fn pieces(vocabulary: &Vocabulary, text: &str) -> Vec<String> {
    let text: String = text.chars().take(TYPED).collect::<String>().to_lowercase();
    let mut all = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < word.len() {
            let ends = word[at..].char_indices().map(|(start, c)| at + start + c.len_utf8());
            let ends: Vec<usize> = ends.collect();
            let piece = ends.into_iter().rev().find_map(|end| {
                let piece = format!("{}{}", if at > 0 { "##" } else { "" }, &word[at..end]);
                vocabulary.get(&piece).map(|_| (piece, end))
            });
            let Some((piece, end)) = piece else {
                found.clear();
                break;
            };
            found.push(piece);
            at = end;
        }
        all.append(&mut found);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_looked_up_whole_or_in_pieces() {
        let words = [("fat", 1), ("##ter", 2), ("##s", 3), ("f", 4), ("é", 5)];
        let vocabulary = Vocabulary::new(words).unwrap();
        assert_eq!(pieces(&vocabulary, "Fat, FATTERS! é"), ["fat", "fat", "##ter", "##s", "é"]);
        // A word of which a piece is unknown is unknown.
        assert_eq!(pieces(&vocabulary, "fatx oil"), [""; 0]);
    }

    #[test]
    fn words_of_a_text_are_marked() {
        let terms = [("fat".to_owned(), 2.0), ("oil".to_owned(), 1.0)];
        let told = by_words("No Fat, no oil", &terms);
        let told: Vec<(&str, f32)> = told.iter().map(|(a, b)| (a.as_str(), *b)).collect();
        assert_eq!(told, [("No ", 0.0), ("Fat", 1.0), (", no ", 0.0), ("oil", 0.5), ("", 0.0)]);
    }
}
