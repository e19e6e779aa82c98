//! Lines of text files, with the number of the line at hand for the errors that need it.

use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use super::file_fault;
use crate::error::{Error, Fault, InputError, Result};

/// Longest line: a payload of the largest size, with every byte escaped, would still fit. It keeps
/// a small file that decompresses without end from filling the memory.
const MAX_LINE_BYTES: u64 = 128 << 20;

/// Most that is passed over without a line to give: bytes of blank lines, each of which counts as
/// [`BLANK_BYTES`] at least. A few bytes of gzip can hold a thousand times as many of them.
const MAX_BLANK_BYTES: u64 = MAX_LINE_BYTES;
const BLANK_BYTES: u64 = 256;

/// The lines of a text file in UTF-8, one after another.
pub(crate) struct Lines {
    name: String,
    reader: Box<dyn BufRead + Send>,
    compressed: bool,
    line: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Opens a file; one whose name ends in `.gz` is decompressed on the way.
    ///
    /// # Errors
    /// [`Error::Io`]; a compressed file without the feature `readers`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|source| Error::io("open", &name, source))?;
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz")) {
            return Self::gzip(&name, file);
        }
        Ok(Self::new(name, BufReader::with_capacity(1 << 16, file)))
    }

    #[cfg(feature = "readers")]
    #[expect(clippy::unnecessary_wraps, reason = "the twin without the feature fails")]
    fn gzip(name: &str, file: File) -> Result<Self> {
        // Of many members, as `cat a.gz b.gz` and parallel compressors make them.
        let reader = BufReader::with_capacity(1 << 16, flate2::read::MultiGzDecoder::new(file));
        Ok(Self { compressed: true, ..Self::new(name, reader) })
    }

    #[cfg(not(feature = "readers"))]
    fn gzip(name: &str, _file: File) -> Result<Self> {
        Err(file_fault(name, "reading gzip needs the feature `readers`").into())
    }

    /// Lines of anything that can be read; `name` is what errors call it.
    pub(crate) fn new(name: impl Into<String>, reader: impl BufRead + Send + 'static) -> Self {
        Self {
            name: name.into(),
            reader: Box::new(reader),
            compressed: false,
            line: Vec::new(),
            number: 0,
        }
    }

    /// What errors call the file.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The next line that is not blank, without its line end, and its number from 1.
    ///
    /// # Errors
    /// [`Error::Io`], or a line that is not UTF-8, or longer than 128 MiB; more than 524,288 blank
    /// lines, or more than 128 MiB of them, in a row.
    pub(crate) fn next_line(&mut self) -> Result<Option<(u64, &str)>> {
        let mut blank = 0;
        loop {
            self.line.clear();
            let mut limited = (&mut self.reader).take(MAX_LINE_BYTES);
            match limited.read_until(b'\n', &mut self.line) {
                Ok(0) => return Ok(None),
                Ok(_) => self.number += 1,
                Err(source) => return Err(self.failed(source)),
            }
            if self.line.len() as u64 == MAX_LINE_BYTES {
                let what = format!("longer than {} MiB", MAX_LINE_BYTES >> 20);
                return Err(syntax(&self.name, self.number, 1, what).into());
            }
            if self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf") {
                // A byte order mark says nothing in UTF-8; a space keeps the columns.
                self.line.splice(..3, *b"   ");
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
            blank += BLANK_BYTES.max(self.line.len() as u64);
            if blank > MAX_BLANK_BYTES {
                return Err(syntax(&self.name, self.number, 1, "too many blank lines").into());
            }
        }
        let Self { name, line, number, .. } = self;
        let text = std::str::from_utf8(line).map_err(|error| {
            let gzip = *number == 1 && line.starts_with(b"\x1f\x8b");
            let what = if gzip { "gzip, not lines of text" } else { "not UTF-8" };
            syntax(name, *number, error.valid_up_to() + 1, what)
        })?;
        Ok(Some((*number, text.trim_end_matches(['\n', '\r']))))
    }

    /// The line that was read last, and its number; nothing where it was not UTF-8.
    #[cfg(feature = "readers")]
    pub(crate) fn last(&self) -> (u64, &str) {
        let text = std::str::from_utf8(&self.line).unwrap_or_default();
        (self.number, text.trim_end_matches(['\n', '\r']))
    }

    /// What a failed read means: of a compressed file, often that its bytes are not what they
    /// should be.
    fn failed(&self, source: std::io::Error) -> Error {
        use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        if self.compressed && matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof) {
            return file_fault(&self.name, format!("damaged gzip: {source}")).into();
        }
        Error::io("read", &self.name, source)
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("name", &self.name)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The fault of one line; `column` counts bytes from 1.
pub(crate) fn syntax(name: &str, line: u64, column: usize, what: impl Into<String>) -> InputError {
    InputError::new(name, Fault::Syntax { line, column: column as u64, what: what.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &'static [u8]) -> Result<Vec<(u64, String)>> {
        let mut lines = Lines::new("x.txt", text);
        let mut all = Vec::new();
        while let Some((number, line)) = lines.next_line()? {
            all.push((number, line.to_owned()));
        }
        Ok(all)
    }

    #[test]
    fn blank_lines_are_counted_and_skipped() {
        let lines = all(b"a\r\n\n  \nb\nc").unwrap();
        assert_eq!(lines, [(1, "a".into()), (4, "b".into()), (5, "c".into())]);
        assert!(all(b"").unwrap().is_empty());
        assert_eq!(all(b"\xef\xbb\xbfa").unwrap(), [(1, "   a".into())]);
    }

    #[test]
    fn blank_lines_without_end_are_an_error() {
        let read = |blanks: u64, blank: &[u8]| {
            let mut text = blank.repeat(usize::try_from(blanks).unwrap());
            text.extend_from_slice(b"a");
            let mut lines = Lines::new("x.txt", std::io::Cursor::new(text));
            lines.next_line().map(|line| line.map(|(number, _)| number))
        };
        let most = MAX_BLANK_BYTES / BLANK_BYTES;
        assert_eq!(read(most, b"\n").unwrap(), Some(most + 1));
        let error = read(most + 1, b"\n").unwrap_err();
        assert_eq!(error.to_string(), "x.txt: line 524289, column 1: too many blank lines");
        let long = [&[b' '; 1023][..], b"\n"].concat();
        assert_eq!(read(MAX_BLANK_BYTES >> 10, &long).unwrap(), Some((MAX_BLANK_BYTES >> 10) + 1));
        read((MAX_BLANK_BYTES >> 10) + 1, &long).unwrap_err();
    }

    #[test]
    fn bad_utf8_is_placed() {
        let error = all(b"good\nba\xffd\n").unwrap_err();
        assert_eq!(error.to_string(), "x.txt: line 2, column 3: not UTF-8");
    }
}
