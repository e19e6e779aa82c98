//! Runs: what a search ranked, query by query, in TREC's format.

use std::collections::HashSet;
use std::io::{self, BufRead, Write};
use std::path::Path;

use super::by_query::ByQuery;
use super::columns::Columns;
use crate::embed::readers::Lines;
use crate::error::{Fault, InputError, Result};

/// A document with the score it was given.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The document's id.
    pub document: String,
    /// Its score, finite.
    pub score: f32,
}

/// Rankings of documents by query, in the order in which they were given. On file, one line a
/// document: `query Q0 document rank score tag`, ranks from 1.
///
/// Scores are written with nine significant digits, which is the least that tells every two `f32`
/// apart: equal runs are equal files, and a file read back is the same run.
///
/// ```
/// use lateen::eval::Run;
///
/// let mut run = Run::new();
/// run.push("q1", [("wiki-Lipid#0", 12.5), ("wiki-Wax#1", 0.1)])?;
/// let mut file = Vec::new();
/// run.write(&mut file, "lateen")?;
/// let text = "q1 Q0 wiki-Lipid#0 1 12.5000000 lateen\nq1 Q0 wiki-Wax#1 2 0.100000001 lateen\n";
/// assert_eq!(file, text.as_bytes());
/// assert_eq!(Run::parse("run", text.as_bytes())?, run);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Runs are equal where they have equal rankings in equal order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    rankings: ByQuery<Vec<Ranked>>,
}

impl Run {
    /// A run of no queries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what a search ranked for a query, best first.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input): a query given twice, a document twice, a score that
    /// is not finite, an id that is empty or has white space in it, which the format has no room
    /// for. Nothing is added then.
    pub fn push<D: Into<String>>(
        &mut self,
        query: &str,
        ranking: impl IntoIterator<Item = (D, f32)>,
    ) -> Result<()> {
        check_id("query", query)?;
        if self.rankings.get(query).is_some() {
            return Err(InputError::new(query, Fault::Twice).into());
        }
        let mut ranked = Vec::new();
        for (row, (document, score)) in ranking.into_iter().enumerate() {
            let document = document.into();
            check_id("document", &document).map_err(|error| error.row(row))?;
            if !score.is_finite() {
                let fault = Fault::NotFinite { value: score.into() };
                return Err(InputError::new(&document, fault).row(row).into());
            }
            ranked.push(Ranked { document, score });
        }
        let mut seen = HashSet::with_capacity(ranked.len());
        if let Some(row) = ranked.iter().position(|hit| !seen.insert(hit.document.as_str())) {
            return Err(InputError::new(&ranked[row].document, Fault::Twice).row(row).into());
        }
        *self.rankings.entry(query) = ranked;
        Ok(())
    }

    /// Reads a file; one whose name ends in `.gz` needs the feature `readers`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or [`Error::Io`](crate::Error::Io).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_lines(Lines::open(path.as_ref())?)
    }

    /// Reads lines; `name` is what errors call them. The lines of a query need not stand together,
    /// and keep their order; the rank and the tag are not kept.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) with line and column: another number of columns than
    /// six, a score that is no finite number, a document twice for one query.
    pub fn parse(name: &str, reader: impl BufRead + Send + 'static) -> Result<Self> {
        Self::from_lines(Lines::new(name, reader))
    }

    fn from_lines(mut lines: Lines) -> Result<Self> {
        let name = lines.name().to_owned();
        let mut run = Self::new();
        let mut seen: ByQuery<HashSet<String>> = ByQuery::default();
        while let Some((number, line)) = lines.next_line()? {
            let columns = Columns::new(&name, number, line);
            let &[query, _, document, _, score, _] = columns.all() else {
                let (found, last) = (columns.all().len(), columns.all().len().min(6));
                let what = format!("{found} columns, expected: query Q0 document rank score tag");
                return Err(columns.wrong(last, what).into());
            };
            let score =
                score.parse().ok().filter(|score: &f32| score.is_finite()).ok_or_else(|| {
                    columns.wrong(4, format!("the score {score:?} is not a finite number"))
                })?;
            if !seen.entry(query).insert(document.to_owned()) {
                let what = format!("document {document} twice for query {query}");
                return Err(columns.wrong(2, what).into());
            }
            run.rankings.entry(query).push(Ranked { document: document.to_owned(), score });
        }
        Ok(run)
    }

    /// Writes the lines, each query's from rank 1. The tag names the search; it must have no white
    /// space.
    ///
    /// # Errors
    /// What the writer fails with.
    pub fn write(&self, out: &mut impl Write, tag: &str) -> io::Result<()> {
        for (query, ranking) in self.rankings.iter() {
            for (i, Ranked { document, score }) in ranking.iter().enumerate() {
                writeln!(out, "{query} Q0 {document} {} {} {tag}", i + 1, digits(*score))?;
            }
        }
        Ok(())
    }

    /// How many queries.
    pub fn len(&self) -> usize {
        self.rankings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rankings.len() == 0
    }

    /// Every query with its documents, in the order in which they were given.
    pub fn rankings(&self) -> impl ExactSizeIterator<Item = (&str, &[Ranked])> {
        self.rankings.iter().map(|(query, ranking)| (query, ranking.as_slice()))
    }

    /// The documents of a query, in the order in which they were given.
    pub fn ranking(&self, query: &str) -> Option<&[Ranked]> {
        self.rankings.get(query).map(Vec::as_slice)
    }
}

fn check_id(field: &str, id: &str) -> Result<(), InputError> {
    if id.is_empty() || id.contains(|c: char| c.is_ascii_whitespace()) {
        let range = "the ids that a run can hold: not empty, without white space".to_owned();
        return Err(InputError::new(field, Fault::Parameter { value: format!("{id:?}"), range }));
    }
    Ok(())
}

/// Nine significant digits without an exponent.
fn digits(score: f32) -> String {
    let scientific = format!("{score:.8e}");
    let exponent = scientific.rsplit_once('e').and_then(|(_, e)| e.parse::<i32>().ok());
    let decimals = usize::try_from(8 - exponent.unwrap_or(0)).unwrap_or(0);
    format!("{score:.decimals$}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &'static str) -> Result<Run> {
        Run::parse("x.run", text.as_bytes())
    }

    #[test]
    fn digits_are_nine() {
        let cases = [
            (0.0, "0.00000000"),
            (1.0, "1.00000000"),
            (12.345_678, "12.3456783"),
            (9.999_999_9, "10.0000000"),
            (0.001_234, "0.00123399997"),
            (-7.5, "-7.50000000"),
            (123_456_789.0, "123456792"),
            (3e10, "30000001024"),
        ];
        for (score, text) in cases {
            assert_eq!(digits(score), text);
        }
    }

    #[test]
    fn lines_may_come_in_any_order() {
        let run = parse("q2 Q0 a 1 2.5 t\n\nq1 Q0 b 7 1e-3 t\nq2\tQ0\tc\t2\t-1\tt\n").unwrap();
        let hit = |document: &str, score| Ranked { document: document.to_owned(), score };
        assert_eq!(run.ranking("q2").unwrap(), [hit("a", 2.5), hit("c", -1.0)]);
        assert_eq!(run.ranking("q1").unwrap(), [hit("b", 0.001)]);
        assert!(run.ranking("q3").is_none());
        assert_eq!(run.rankings().map(|(query, _)| query).collect::<Vec<_>>(), ["q2", "q1"]);
    }

    #[test]
    fn malformed_lines_are_placed() {
        let cases = [
            ("q Q0 d 1 2.5\n", "line 1, column 13: 5 columns"),
            ("q Q0 d 1 2.5 t u\n", "line 1, column 16: 7 columns"),
            ("q Q0 d 1 2.5 t\nq Q0 e 2 x t\n", "line 2, column 10: the score \"x\""),
            ("q Q0 d 1 nan t\n", "the score \"nan\""),
            ("q Q0 d 1 2.5 t\nq Q0 d 2 2 t\n", "line 2, column 6: document d twice"),
        ];
        for (text, words) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("x.run: ") && error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let mut run = Run::new();
        run.push("q", [("a", 1.0)]).unwrap();
        let cases = [
            ("q", vec![("a", 1.0)], "q: given twice"),
            ("r", vec![("a", 1.0), ("b", 0.5), ("a", 0.1)], "a, row 2: given twice"),
            ("r", vec![("a b", 1.0)], "document, row 0: \"a b\" is outside"),
            ("", vec![], "query: \"\" is outside"),
            ("r", vec![("a", f32::NAN)], "a, row 0: NaN is not finite"),
        ];
        for (query, ranking, words) in cases {
            let error = run.push(query, ranking).unwrap_err().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
        assert_eq!(run.len(), 1);
    }

    proptest! {
        #[test]
        fn a_score_survives_its_digits(bits in any::<u32>()) {
            let score = f32::from_bits(bits);
            prop_assume!(score.is_finite());
            prop_assert_eq!(digits(score).parse::<f32>().unwrap().to_bits(), bits);
        }
    }
}
