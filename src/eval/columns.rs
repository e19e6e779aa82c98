//! Lines of columns between white space, as TREC files have them.

use crate::embed::readers::syntax;
use crate::error::InputError;

/// One line of a file, with what errors say of its place.
pub(super) struct Columns<'a> {
    name: &'a str,
    number: u64,
    line: &'a str,
    parts: Vec<&'a str>,
}

impl<'a> Columns<'a> {
    /// Splits a line.
    pub(super) fn new(name: &'a str, number: u64, line: &'a str) -> Self {
        Self { name, number, line, parts: line.split_ascii_whitespace().collect() }
    }

    /// The columns.
    pub(super) fn all(&self) -> &[&'a str] {
        &self.parts
    }

    /// An error at a column; past the last one it points behind the line.
    pub(super) fn wrong(&self, column: usize, what: String) -> InputError {
        let at = self
            .parts
            .get(column)
            .map_or(self.line.len(), |text| text.as_ptr().addr() - self.line.as_ptr().addr());
        syntax(self.name, self.number, at + 1, what)
    }
}
