//! A file that is there complete or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use lateen::{Error, Index};

use crate::beside::Beside;
use crate::failure::{Code, Failure};

/// A file that is written under another name beside its own, and gets its own when it is complete;
/// one that is there is replaced, unless it is an index. What is no regular file (`/dev/null`, a
/// pipe) is written at once.
pub(crate) struct Output {
    path: PathBuf,
    /// What is written: the file itself, or its other name.
    to: To,
}

enum To {
    File(File),
    /// A name for a file that is not there yet, so that whoever interrupts the work leaves none.
    Temporary(Beside),
}

impl Output {
    /// Makes the file, so that what would hinder it is known before the work is done.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let refused = |error: io::Error| Failure::io("write", path.display(), &error);
        if path.is_dir() {
            return Err(refused(io::ErrorKind::IsADirectory.into()));
        }
        if path.is_file() && is_index(path) {
            let what = format!("{}: exists already and is an index: not replaced", path.display());
            return Err(Failure::new(Code::Exists, what).next("choose another name"));
        }
        let to = if path.exists() && !path.is_file() {
            To::File(File::create(path).map_err(refused)?)
        } else {
            let beside = Beside::new(path, "tmp")?;
            File::create(beside.path()).map_err(refused)?;
            fs::remove_file(beside.path()).map_err(refused)?;
            To::Temporary(beside)
        };
        Ok(Self { path: path.to_owned(), to })
    }

    /// Writes the content, then gives the file its name.
    pub(crate) fn finish(
        self,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let write = |file| {
            let mut file = BufWriter::new(file);
            content(&mut file)?;
            file.flush()
        };
        let written = match self.to {
            To::File(file) => write(file),
            To::Temporary(beside) => {
                File::create(beside.path()).and_then(write).and_then(|()| beside.publish(false))
            }
        };
        written.map_err(|error| Failure::io("write", self.path.display(), &error))
    }
}

/// Whether a file starts as an index does, sound or not.
fn is_index(path: &Path) -> bool {
    !matches!(Index::open(path), Err(Error::NotAnIndex { .. } | Error::Io { .. }))
}
