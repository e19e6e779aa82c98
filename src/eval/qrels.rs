//! Judgements: which documents are relevant to a query, and how much.

use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;

use super::by_query::ByQuery;
use super::columns::Columns;
use super::run::Run;
use crate::embed::readers::Lines;
use crate::error::Result;

/// Grades of documents by query. Grades above 0 are relevant; others, and documents without a
/// grade, are not.
#[derive(Clone, Debug, Default)]
pub struct Qrels {
    judged: ByQuery<HashMap<String, i32>>,
}

impl Qrels {
    /// Reads a file; one whose name ends in `.gz` needs the feature `readers`.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or [`Error::Io`](crate::Error::Io).
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::from_lines(Lines::open(path.as_ref())?)
    }

    /// Reads lines; `name` is what errors call them. Either TREC's `query iteration document
    /// grade`, or `query document grade`, the same on every line; a first line of three columns
    /// whose last is no number is a heading.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) with line and column: another number of columns, a
    /// grade that is no whole number, a document judged twice for one query.
    pub fn parse(name: &str, reader: impl BufRead + Send + 'static) -> Result<Self> {
        Self::from_lines(Lines::new(name, reader))
    }

    fn from_lines(mut lines: Lines) -> Result<Self> {
        let name = lines.name().to_owned();
        let mut qrels = Self::default();
        let mut width = None;
        while let Some((number, line)) = lines.next_line()? {
            let columns = Columns::new(&name, number, line);
            let all = columns.all();
            let heading = width.is_none();
            let expected = *width.get_or_insert(all.len());
            let ((3, &[query, document, grade]) | (4, &[query, _, document, grade])) =
                (expected, all)
            else {
                let what = match expected {
                    3 | 4 => format!("{} columns, the first line has {expected}", all.len()),
                    _ => {
                        format!("{} columns, expected: query [iteration] document grade", all.len())
                    }
                };
                return Err(columns.wrong(all.len(), what).into());
            };
            let Ok(grade) = grade.parse::<i32>() else {
                if heading && expected == 3 && grade.parse::<f64>().is_err() {
                    continue;
                }
                let what = format!("the grade {grade:?} is not a whole number");
                return Err(columns.wrong(expected - 1, what).into());
            };
            if !qrels.insert(query, document, grade) {
                let what = format!("document {document} judged twice for query {query}");
                return Err(columns.wrong(expected - 2, what).into());
            }
        }
        Ok(qrels)
    }

    /// The best `k` of each query of a run as its relevant documents, of grade 1: with them,
    /// recall@k says how much of an exact answer an approximate one has found.
    pub fn from_run(run: &Run, k: usize) -> Self {
        let mut qrels = Self::default();
        for (query, ranking) in run.rankings() {
            qrels.judged.entry(query);
            for hit in ranking.iter().take(k) {
                qrels.insert(query, &hit.document, 1);
            }
        }
        qrels
    }

    /// Whether the document was not there yet.
    fn insert(&mut self, query: &str, document: &str, grade: i32) -> bool {
        self.judged.entry(query).insert(document.to_owned(), grade).is_none()
    }

    /// How many queries.
    pub fn len(&self) -> usize {
        self.judged.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.judged.len() == 0
    }

    /// The queries, in the order of the file.
    pub fn queries(&self) -> impl ExactSizeIterator<Item = &str> {
        self.judged.iter().map(|(query, _)| query)
    }

    /// The grade of a document for a query, where it was judged.
    pub fn grade(&self, query: &str, document: &str) -> Option<i32> {
        self.judged.get(query)?.get(document).copied()
    }

    /// The grades above 0 of a query, largest first: what a perfect ranking would show.
    pub fn ideal(&self, query: &str) -> Vec<u32> {
        let mut ideal: Vec<u32> = self
            .judged
            .get(query)
            .into_iter()
            .flat_map(HashMap::values)
            .filter_map(|&grade| u32::try_from(grade).ok().filter(|&grade| grade > 0))
            .collect();
        ideal.sort_unstable_by(|a, b| b.cmp(a));
        ideal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<Qrels> {
        Qrels::parse("x.tsv", text.as_bytes())
    }

    #[test]
    fn both_forms_say_the_same() {
        let trec = "q2 0 a 1\nq1 0 b 3\nq2 0 c 0\nq2 0 d -1\nq2 0 e 2\n";
        let plain = "q2\ta\t1\nq1\tb\t3\nq2\tc\t0\nq2\td\t-1\nq2\te\t2\n";
        let headed = "query_id\tdoc_id\tgrade\nq2\ta\t1\nq1\tb\t3\nq2\tc\t0\nq2\td\t-1\nq2\te\t2\n";
        for text in [trec, plain, headed] {
            let qrels = parse(text).unwrap();
            assert_eq!(qrels.queries().collect::<Vec<_>>(), ["q2", "q1"]);
            assert_eq!(qrels.grade("q2", "d"), Some(-1));
            assert_eq!(qrels.grade("q1", "a"), None);
            assert_eq!(qrels.ideal("q2"), [2, 1]);
            assert!(qrels.ideal("q3").is_empty());
        }
    }

    #[test]
    fn malformed_lines_are_placed() {
        let cases = [
            ("q d\n", "line 1, column 4: 2 columns, expected"),
            ("q 0 d 1\nq d 1\n", "line 2, column 6: 3 columns, the first line has 4"),
            ("q d 1\nq e x\n", "line 2, column 5: the grade \"x\""),
            ("q 0 d x\n", "line 1, column 7: the grade \"x\""),
            ("q d 1.5\n", "line 1, column 5: the grade \"1.5\" is not a whole number"),
            ("query doc grade\nq e 1\nq d 1\nq e 2\n", "line 4, column 3: document e judged"),
            ("q 0 d 1\nq 0 d 1\n", "line 2, column 5: document d judged twice"),
        ];
        for (text, words) in cases {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("x.tsv: ") && error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn the_committed_set_has_its_judgements() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/wiki-mini/qrels.tsv");
        let qrels = Qrels::read(path).unwrap();
        assert_eq!(qrels.len(), 60);
        assert_eq!(qrels.grade("wikiq-1041", "wiki-Muhammad#0"), Some(1));
    }
}
