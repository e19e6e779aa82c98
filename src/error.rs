//! What can go wrong, named by its cause and carrying what a caller needs to mend it.

use std::fmt;
use std::path::PathBuf;

use crate::id::Key;

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every way a call can fail.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A vector, document, batch or query was refused at the door; nothing of it was taken in.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A schema cannot be built, or a handle does not belong to the index it was used on.
    #[error("schema: {0}")]
    Schema(#[from] SchemaError),
    /// A live document has this key already; `upsert` replaces, `add` does not.
    #[error("duplicate key {key}{}: a live document has it; use `upsert` to replace it", in_row(*row))]
    DuplicateKey {
        /// The key in question.
        key: Key,
        /// Its row, where it came in a batch.
        row: Option<u64>,
    },
    /// Another writer holds the lock of this index.
    #[error("{}: locked by another writer; close it, or open the index for reading", path.display())]
    Locked {
        /// The index directory.
        path: PathBuf,
    },
    /// What stands in the place of a writer's index is not its last commit any more: the directory
    /// was replaced, or the lock's file removed and another writer let in.
    #[error("{place}: another index, or another writer's commit, stands here now; open it again")]
    Replaced {
        /// The index directory.
        place: String,
    },
    /// There is something at the place where a new index was to be made.
    #[error("{}: exists already", path.display())]
    AlreadyExists {
        /// The place asked for.
        path: PathBuf,
    },
    /// The path holds no index: nothing there, or files that are not ours.
    #[error("{place}: not a Lateen index: {what}")]
    NotAnIndex {
        /// The file or directory.
        place: String,
        /// What was found instead.
        what: String,
    },
    /// The file was written by a newer version and needs features this one lacks.
    #[error("{file}: too new: needs {needs}")]
    TooNew {
        /// The file.
        file: String,
        /// The version or feature bits it needs.
        needs: String,
    },
    /// The file's format is older than what this version reads.
    #[error(
        "{file}: too old: format {found}, the oldest readable is {oldest}; build the index again, or read it with an earlier release"
    )]
    TooOld {
        /// The file.
        file: String,
        /// The format major found.
        found: u16,
        /// The oldest format major that is read.
        oldest: u16,
    },
    /// The bytes are damaged or lie; the place is named.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// More of something in an index than the [`Limits`](crate::limits::Limits) it was opened, or
    /// is written, with.
    #[error("{place}: {found} {what}, the limit is {limit}")]
    Limit {
        /// The file, field or index.
        place: String,
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many are taken.
        limit: u64,
    },
    /// The operating system refused.
    #[error("{op} {place}: {source}{}", advice(op, source.kind()))]
    Io {
        /// What was tried, as a verb.
        op: &'static str,
        /// The file or directory.
        place: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// An earlier sync or write failed, so what is on disk is unknown to this writer: reopen.
    #[error(
        "the writer is poisoned by an earlier failure ({cause}); drop it and open the index again"
    )]
    Poisoned {
        /// The failure that poisoned it.
        cause: String,
    },
    /// The deadline passed, or the flag was raised, before there was an answer of any worth. A search
    /// never fails so: it gives what it has, as
    /// [`Certainty::Incomplete`](crate::Certainty::Incomplete).
    #[error("{what}: the deadline passed, or the flag was raised, before it was done")]
    Interrupted {
        /// What was asked for.
        what: &'static str,
    },
    /// The operation needs a directory that can be written; this index is packed, mapped read-only or static.
    #[error("{what}: the index is read-only")]
    ReadOnly {
        /// What was tried.
        what: &'static str,
    },
}

/// Damage in a file: where, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: corrupt: {section} at byte {offset}: {what}")]
pub struct Corrupt {
    /// The file's name.
    pub file: String,
    /// The section or structure, by its name in `index-format.md`.
    pub section: String,
    /// Byte offset within that section or structure.
    pub offset: u64,
    /// What is wrong with it.
    pub what: String,
}

/// Input that was refused, with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct InputError {
    /// The schema field, the key, or the argument.
    pub field: String,
    /// Row of a batch, or token row of a matrix, counted from 0.
    pub row: Option<u64>,
    /// Position within the row: the entry of a sparse vector, the component of a token row; in a
    /// batch of token matrices, whose rows are documents, the token row.
    pub position: Option<u64>,
    /// What is wrong.
    pub what: Fault,
}

impl InputError {
    /// A fault of a field, with no row or position yet.
    pub(crate) fn new(field: impl Into<String>, what: Fault) -> Self {
        Self { field: field.into(), row: None, position: None, what }
    }

    /// The same with the row.
    #[must_use]
    pub(crate) fn row(mut self, row: usize) -> Self {
        self.row = Some(row as u64);
        self
    }

    /// The same with the position in the row.
    #[must_use]
    pub(crate) fn at(mut self, position: usize) -> Self {
        self.position = Some(position as u64);
        self
    }
}

impl std::error::Error for InputError {}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.field)?;
        if let Some(row) = self.row {
            write!(f, ", row {row}")?;
        }
        if let Some(position) = self.position {
            write!(f, ", position {position}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// What was wrong with an input.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// NaN or an infinity.
    #[error("{value} is not finite")]
    NotFinite {
        /// The value.
        value: f64,
    },
    /// A weight below zero in a field that takes weights above zero.
    #[error("weight {value} is negative")]
    Negative {
        /// The value.
        value: f64,
    },
    /// A weight so large that sums of products with such weights might not be finite.
    #[error("weight {value} is too large, the limit is {limit}")]
    TooHeavy {
        /// The value.
        value: f32,
        /// The largest that is taken.
        limit: f32,
    },
    /// The same term twice in one vector.
    #[error("term {term} appears twice")]
    DuplicateTerm {
        /// The term.
        term: u32,
    },
    /// A term beyond the vocabulary that the field's model is said to have.
    #[error("term {term} is beyond the vocabulary of the field's model, the last is {limit}")]
    BeyondVocabulary {
        /// The term.
        term: u32,
        /// The last term that is taken: the fingerprint's dimension less 1.
        limit: u32,
    },
    /// An id that does not fit in its type, or is negative.
    #[error("{value} is not in 0..={limit}")]
    OutOfRange {
        /// The value.
        value: String,
        /// The largest that is taken.
        limit: u64,
    },
    /// A token row with another number of components than the field's.
    #[error("dimension {found}, the field has {expected}")]
    Dimension {
        /// What was given.
        found: u64,
        /// What the schema says.
        expected: u64,
    },
    /// A flat buffer that is not a whole number of rows.
    #[error("{found} values are no whole number of rows of {dim}")]
    Ragged {
        /// Values given.
        found: u64,
        /// The dimension.
        dim: u64,
    },
    /// Two counts that must agree do not.
    #[error("{what}: {found}, expected {expected}")]
    Counts {
        /// Which counts.
        what: &'static str,
        /// What was given.
        found: u64,
        /// What it should be.
        expected: u64,
    },
    /// Offsets of a ragged batch that go backwards.
    #[error("offsets go back from {from} to {to}")]
    Backwards {
        /// The earlier offset.
        from: u64,
        /// The later, smaller one.
        to: u64,
    },
    /// A document or query with nothing in it.
    #[error("empty: {what}")]
    Empty {
        /// What is missing.
        what: &'static str,
    },
    /// More of something than the limit.
    #[error("{found} {what}, the limit is {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many were given.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// A row declared unit length that is not.
    #[error(
        "length {norm}, the field is declared `Checked`: rows must have length 1 within {tolerance}"
    )]
    NotNormalized {
        /// The row's Euclidean length.
        norm: f32,
        /// The tolerance.
        tolerance: f32,
    },
    /// A row of zeros where a direction is needed.
    #[error("a row of zeros has no direction to normalise")]
    ZeroRow,
    /// A component that the field's codec cannot hold.
    #[error("{value} is too large for the field's codec: components must be below {limit}")]
    TooLarge {
        /// The value.
        value: f32,
        /// What it must be below, in magnitude.
        limit: f32,
    },
    /// Vectors from another model than the one the field was built with.
    #[error("from model {found}, the field was built with {expected}")]
    Model {
        /// The fingerprint given.
        found: String,
        /// The field's.
        expected: String,
    },
    /// A field given twice in one document or batch.
    #[error("given twice")]
    Twice,
    /// A key of the wrong kind.
    #[error("key {key} is not of the schema's kind, {expected}")]
    KeyKind {
        /// The key.
        key: String,
        /// The kind the schema asks for.
        expected: &'static str,
    },
    /// A parameter outside its range.
    #[error("{value} is outside {range}")]
    Parameter {
        /// The value.
        value: String,
        /// The range.
        range: String,
    },
    /// A file of vectors that cannot be read.
    #[error("{what}")]
    File {
        /// What is wrong with it.
        what: String,
    },
    /// A line of a text file that is not what it should be.
    #[error("line {line}, column {column}: {what}")]
    Syntax {
        /// The line, counted from 1.
        line: u64,
        /// The byte within the line, counted from 1.
        column: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// What is wrong with a schema, or with a handle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A schema that was to extend that of an index lacks one of its fields, or has it otherwise.
    #[error(
        "fields can only be added: every field of the index must be there, in its place and with its settings"
    )]
    Changed,
    /// A field name that is empty, too long or taken.
    #[error("field name {name:?}: {what}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// No field of that name and kind.
    #[error("{}", no_field(name, kind, *found))]
    NoField {
        /// The name asked for.
        name: String,
        /// The kind asked for.
        kind: &'static str,
        /// The kind of the field that has this name, where there is one.
        found: Option<&'static str>,
    },
    /// A handle of another schema.
    #[error("the handle of field {name:?}, {kind}, is from another schema: {}", stranger(*found, kind))]
    Foreign {
        /// The handle's field name.
        name: String,
        /// The handle's kind.
        kind: &'static str,
        /// The kind of the field that has this name here, where there is one; of the same kind,
        /// it has another place or other settings.
        found: Option<&'static str>,
    },
    /// A setting outside its range.
    #[error("field {name:?}: {what} is {value}, must be {range}")]
    Setting {
        /// The field.
        name: String,
        /// The setting.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The range.
        range: &'static str,
    },
    /// A schema with no vector field at all.
    #[error("no sparse and no token field: there is nothing to search")]
    NoVectors,
    /// More fields than the format has room for.
    #[error("{found} fields, the limit is {limit}")]
    TooManyFields {
        /// How many.
        found: usize,
        /// The limit.
        limit: usize,
    },
}

/// What is said of a field that there is not.
fn no_field(name: &str, kind: &str, found: Option<&str>) -> String {
    match found {
        Some(found) => format!("the field {name:?} is {found}, not {kind}"),
        None => format!("no {kind} field named {name:?}: no field has this name"),
    }
}

/// What a schema has under the name of a handle that is not its own.
fn stranger(found: Option<&str>, kind: &str) -> String {
    match found {
        Some(found) if found == kind => "here it has another place or other settings".to_owned(),
        Some(found) => format!("here it is {found}"),
        None => "here no field has this name".to_owned(),
    }
}

/// The row of a batch, as messages have it.
fn in_row(row: Option<u64>) -> String {
    row.map_or_else(String::new, |row| format!(" (row {row} of the batch)"))
}

/// What can be done about a refusal of the system, where that is known.
fn advice(op: &str, kind: std::io::ErrorKind) -> &'static str {
    use std::io::ErrorKind;
    match (op, kind) {
        (_, ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            "; make room: what was committed before is there and can be read"
        }
        ("lock" | "create", ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            "; writing needs a directory in which this user may make files, reading does not"
        }
        ("lock", ErrorKind::Unsupported) => {
            "; write on a file system that has locks, such as a local disk"
        }
        _ => "",
    }
}

impl Error {
    /// A file that could not be opened: a folder or a pipe in its place is none of ours.
    pub(crate) fn opening(place: impl Into<String>, source: std::io::Error) -> Self {
        if source.kind() == std::io::ErrorKind::InvalidInput {
            return Self::NotAnIndex { place: place.into(), what: source.to_string() };
        }
        Self::io("open", place, source)
    }

    /// An I/O failure with what was tried and where.
    pub(crate) fn io(op: &'static str, place: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { op, place: place.into(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::ErrorKind;

    #[test]
    fn refusals_of_the_system_say_what_to_do() {
        let text = |op, kind: ErrorKind| Error::io(op, "place", kind.into()).to_string();
        assert!(text("write", ErrorKind::StorageFull).contains("make room"));
        for kind in [ErrorKind::PermissionDenied, ErrorKind::ReadOnlyFilesystem] {
            assert!(text("lock", kind).contains("may make files"));
            assert!(!text("open", kind).contains(';'));
        }
        assert!(text("lock", ErrorKind::Unsupported).contains("that has locks"));
        assert_eq!(text("open", ErrorKind::NotFound), "open place: entity not found");
    }
}
