//! How a command fails: a code to exit with and one line to show.

use std::fmt;
use std::io::ErrorKind;
use std::path::Path;

use lateen::Error;

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
}

impl Failure {
    /// A failure with a message of one line or more; it is shown as one.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What the process exits with.
    pub(crate) fn code(&self) -> u8 {
        self.code as u8
    }

    /// The operating system refused something.
    pub(crate) fn io(verb: &str, place: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(Code::Io, format!("{verb} {place}: {error}"))
    }

    /// A failure to read what the caller named as input: that it is not there is the input's
    /// fault, not the system's.
    pub(crate) fn input(error: Error) -> Self {
        match &error {
            Error::Io { source, .. } if is_absent(source.kind()) => {
                Self::new(Code::Input, error.to_string())
            }
            _ => error.into(),
        }
    }

    /// A failure of an index. Its files have names that say little without its own.
    pub(crate) fn index(path: &Path, error: Error) -> Self {
        let (place, failure) = (path.display().to_string(), Self::from(error));
        if failure.message.starts_with(&place) { failure } else { failure.at(place) }
    }

    /// Arguments that were not understood. The parser explains over several lines, with a reminder
    /// of the usage at the end; what stands before that is kept.
    pub(crate) fn usage(error: &clap::Error) -> Self {
        let text = error.to_string();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let said: Vec<&str> = lines
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more info"))
            .collect();
        let said = said.join(" ");
        let said = said.strip_prefix("error: ").unwrap_or(&said);
        Self::new(Code::Usage, format!("{said} (--help says more)"))
    }

    /// The same with a word on where it happened.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
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
            Error::Locked { .. } => Code::Locked,
            Error::AlreadyExists { .. } => Code::Exists,
            Error::Io { .. } => Code::Io,
            _ => Code::Other,
        };
        Self::new(code, error.to_string())
    }
}

impl From<lateen::SchemaError> for Failure {
    fn from(error: lateen::SchemaError) -> Self {
        Error::from(error).into()
    }
}

/// One line, whatever was in the names and values of the message: control characters become
/// spaces.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaced = crate::text::plain(&self.message);
        let words: Vec<&str> = spaced.split_whitespace().collect();
        f.write_str(&words.join(" "))
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
    }

    #[test]
    fn what_has_no_code_of_its_own_has_the_first() {
        let poisoned = Error::Poisoned { cause: "a failed sync".to_owned() };
        for error in [poisoned, Error::ReadOnly { what: "commit" }] {
            assert_eq!(Failure::from(error).code(), 1);
        }
    }

    #[test]
    fn what_is_not_there_is_the_fault_of_the_input_only_where_it_is_input() {
        let error =
            || Error::Io { op: "open", place: "x".into(), source: ErrorKind::NotFound.into() };
        assert_eq!(Failure::input(error()).code(), 3);
        assert_eq!(Failure::from(error()).code(), 8);
    }
}
