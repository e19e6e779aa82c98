//! How a command fails: a code to exit with and one line to show, with what to do next.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use lateen::{Error, Fault, Schema, SchemaError};

/// The exit codes, as the command's help lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Other = 1,
    Usage = 2,
    Input = 3,
    NotAnIndex = 4,
    Corrupt = 5,
    Locked = 6,
    Exists = 7,
    Io = 8,
    Interrupted = 9,
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    message: String,
    /// What can be done about it.
    next: Option<String>,
}

impl Failure {
    /// A failure with a message of one line or more; it is shown as one.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), next: None }
    }

    /// The same with what to do next, instead of what was said of that.
    pub(crate) fn next(mut self, what: impl Into<String>) -> Self {
        self.next = Some(what.into());
        self
    }

    /// What to do next, where that is known.
    pub(crate) fn advice(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// What went wrong, without what to do next.
    pub(crate) fn cause(&self) -> String {
        line(&self.message)
    }

    /// What the process exits with.
    pub(crate) fn code(&self) -> u8 {
        self.code as u8
    }

    /// The operating system refused something.
    pub(crate) fn io(verb: &str, place: impl fmt::Display, error: &std::io::Error) -> Self {
        let failure = Self::new(Code::Io, format!("{verb} {place}: {error}"));
        match error.kind() {
            ErrorKind::NotFound => failure.next("make the folder first"),
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                failure.next("choose a place where this user may write")
            }
            ErrorKind::IsADirectory => failure.next("a name for a file is needed"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                failure.next("make room, or choose another place")
            }
            ErrorKind::FileTooLarge => failure.next("raise the limit of file sizes (ulimit -f)"),
            _ => failure,
        }
    }

    /// There is something where something new was to be made.
    pub(crate) fn exists(place: &Path) -> Self {
        Self::new(Code::Exists, format!("{}: exists already", place.display()))
            .next("choose another name, or remove it first")
    }

    /// A failure to read what the caller named as input: that it is not there is the input's
    /// fault, not the system's.
    pub(crate) fn input(error: Error) -> Self {
        match &error {
            Error::Io { source, .. } if is_absent(source.kind()) => {
                Self::new(Code::Input, error.to_string()).next("check the path")
            }
            _ => error.into(),
        }
    }

    /// A failure of an index. Its files have names that say little without its own.
    pub(crate) fn index(path: &Path, error: Error) -> Self {
        let place = path.display().to_string();
        let next = match &error {
            Error::ReadOnly { .. } => {
                let what = format!("{place}: a packed index takes no changes");
                return Self::new(Code::Usage, what)
                    .next(format!("`lateen unpack {place} DIR` makes a directory, which does"));
            }
            // What is made has no manifest yet that would name what is missing.
            Error::Io { op: "create" | "write", source, .. } => {
                return Self::io("write", place, source);
            }
            Error::Io { source, .. } => of_index(source.kind()),
            _ => None,
        };
        let mut failure = Self::from(error);
        failure.next = next.map(str::to_owned).or(failure.next);
        if failure.message.starts_with(&place) { failure } else { failure.at(place) }
    }

    /// A field that was needed and is not there; tells which there are.
    pub(crate) fn field(schema: &Schema, error: SchemaError) -> Self {
        let there = schema.field_names().map(|(name, kind)| format!("{name:?} ({kind})"));
        let there = there.collect::<Vec<_>>().join(", ");
        Self::from(error).next(format!("there are {there}"))
    }

    /// Arguments that were not understood. The parser explains over several lines, with a reminder
    /// of the usage at the end; what stands before that is kept.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let said: Vec<&str> = lines
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more info"))
            .collect();
        // Tips are sentences of their own.
        let said = said.join(" ").replace(" tip: ", "; ");
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        Self::new(Code::Usage, said).next("--help says more")
    }

    /// The same with a word on where it happened.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        // That somebody has ended it has no place.
        if self.code != Code::Interrupted {
            self.message = format!("{place}: {}", self.message);
        }
        self
    }
}

/// What to do where the system does not let an index be read.
fn of_index(kind: ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::PermissionDenied => "allow this user to read the files",
        ErrorKind::NotFound => {
            "a file that the manifest names is gone: restore the directory as a whole"
        }
        ErrorKind::OutOfMemory => {
            "too many mappings or too little address space: see vm.max_map_count and ulimit -v"
        }
        _ => return None,
    })
}

/// What to do about an error, where the error does not say so itself.
fn advice(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::NotAnIndex { .. } => {
            "check the path: an index is a directory that `lateen build` made, or a packed file"
        }
        Error::TooNew { .. } => "use the release of lateen that wrote it, or a later one",
        Error::Corrupt(_) => {
            "build the index again, or `lateen unpack` a good copy; `lateen verify` checks every byte"
        }
        Error::AlreadyExists { .. } => "choose another name, or remove it first",
        Error::Input(input) => match &input.what {
            Fault::Dimension { .. } => {
                "take vectors of the model that the others in the index are from"
            }
            Fault::BeyondVocabulary { .. } | Fault::Model { .. } => {
                "take vectors of the model that the index was made for"
            }
            Fault::Counts { .. } => "write files that belong together in one go",
            Fault::NotNormalized { .. } => "give rows of length 1",
            Fault::Negative { .. } => "leave such entries out",
            Fault::Syntax { what, .. } if what == "not UTF-8" => "save the file as UTF-8",
            Fault::Syntax { what, .. } if what.contains("gzip") => {
                "decompress it first, or name the file `.gz`"
            }
            Fault::Syntax { .. } => "mend that line",
            Fault::NotFinite { .. } | Fault::TooHeavy { .. } | Fault::TooLarge { .. } => {
                "look at what made the vectors: such values are no weights or components"
            }
            Fault::OutOfRange { .. } => "give a number in that range",
            Fault::Parameter { .. } => "give a value in that range",
            Fault::TooMany { .. } => "give fewer",
            Fault::DuplicateTerm { .. } | Fault::Twice => "leave one of them out",
            Fault::Empty { .. } => "leave it out, or give what is missing",
            Fault::Backwards { .. } | Fault::Ragged { .. } => "write the arrays again",
            Fault::ZeroRow => "leave such rows out",
            // Some say it themselves.
            Fault::File { what } if !what.contains("; ") => "write the files again, complete",
            _ => return None,
        },
        _ => return None,
    })
}

fn is_absent(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Input(_) | Error::Schema(_) | Error::DuplicateKey { .. } => Code::Input,
            Error::NotAnIndex { .. } | Error::TooNew { .. } | Error::TooOld { .. } => {
                Code::NotAnIndex
            }
            Error::Corrupt(_) => Code::Corrupt,
            Error::Locked { .. } | Error::Replaced { .. } => Code::Locked,
            Error::AlreadyExists { .. } => Code::Exists,
            Error::Io { .. } => Code::Io,
            Error::ReadOnly { .. } => Code::Usage,
            _ => Code::Other,
        };
        let next = advice(&error).map(str::to_owned);
        Self { code, message: error.to_string(), next }
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        let next = match &error {
            SchemaError::Name { .. } => Some("give each field a name of its own"),
            SchemaError::Setting { .. } => Some("see `lateen build --help`"),
            _ => None,
        };
        let mut failure = Self::from(Error::from(error));
        failure.next = next.map(str::to_owned).or(failure.next);
        failure
    }
}

/// One line, whatever was in the names and values of the message: control characters become
/// spaces.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&line(&self.message))?;
        self.next.as_ref().map_or(Ok(()), |next| write!(f, "; {}", line(next)))
    }
}

/// Letters of a message that are shown at most, but for a quarter as many of its end.
const LONGEST: usize = 800;

fn line(text: &str) -> String {
    let spaced = crate::text::plain(text);
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let line = words.join(" ");
    // A name or an id may be of any length; a line is there to be read.
    match (line.char_indices().nth(LONGEST), line.char_indices().rev().nth(LONGEST / 4)) {
        (Some((end, _)), Some((rest, _))) if end < rest => {
            format!("{} … {}", &line[..end], &line[rest..])
        }
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line() {
        let failure = Failure::new(Code::Input, "a\nb\tc\u{1b}[0m  d").at("x");
        assert_eq!(failure.to_string(), "x: a b c [0m d");
        assert_eq!(failure.code(), 3);
        let long = Failure::new(Code::Input, "é".repeat(5000)).at("x").to_string();
        assert!(long.starts_with("x: é") && long.chars().count() < 1010, "{long}");
        let failure = failure.next("do\nthat");
        assert_eq!(failure.to_string(), "x: a b c [0m d; do that");
        assert_eq!(
            (failure.cause(), failure.advice()),
            ("x: a b c [0m d".into(), Some("do\nthat"))
        );
    }

    #[test]
    fn what_has_no_code_of_its_own_has_the_first() {
        let poisoned = Error::Poisoned { cause: "a failed sync".to_owned() };
        assert_eq!(Failure::from(poisoned).code(), 1);
    }

    #[test]
    fn what_is_not_there_is_the_fault_of_the_input_only_where_it_is_input() {
        let error =
            || Error::Io { op: "open", place: "x".into(), source: ErrorKind::NotFound.into() };
        assert_eq!(Failure::input(error()).code(), 3);
        assert_eq!(Failure::from(error()).code(), 8);
    }
}
