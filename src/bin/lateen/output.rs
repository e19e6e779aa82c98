//! A file that is there complete or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use lateen::{Error, Index};

use crate::failure::{Code, Failure};

/// A file that is written under another name beside its own, and gets its own when it is complete;
/// one that is there is replaced, unless it is an index. What is no regular file (`/dev/null`, a
/// pipe) is written at once.
pub(crate) struct Output {
    path: PathBuf,
    /// The other name; `None` where there is none, or no longer.
    temporary: Option<PathBuf>,
    file: BufWriter<File>,
}

impl Output {
    /// Makes the file, so that what would hinder it is known before the work is done.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let refused = |error: io::Error| Failure::io("write", path.display(), &error);
        let Some(name) = path.file_name() else {
            let what = format!("{}: not the name of a file", path.display());
            return Err(Failure::new(Code::Usage, what));
        };
        if path.is_dir() {
            return Err(refused(io::ErrorKind::IsADirectory.into()));
        }
        if path.is_file() && is_index(path) {
            let what = format!("{}: exists already and is an index: not replaced", path.display());
            return Err(Failure::new(Code::Exists, what));
        }
        let temporary = if path.exists() && !path.is_file() {
            None
        } else {
            let mut temporary = std::ffi::OsString::from(".");
            temporary.push(name);
            temporary.push(format!(".{}.tmp", std::process::id()));
            Some(path.with_file_name(temporary))
        };
        let file = File::create(temporary.as_deref().unwrap_or(path)).map_err(refused)?;
        Ok(Self { path: path.to_owned(), temporary, file: BufWriter::new(file) })
    }

    /// Writes the content, then gives the file its name.
    pub(crate) fn finish(
        mut self,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let write = || {
            content(&mut self.file)?;
            self.file.flush()?;
            match &self.temporary {
                Some(temporary) => fs::rename(temporary, &self.path),
                None => Ok(()),
            }
        };
        write().map_err(|error| Failure::io("write", self.path.display(), &error))?;
        self.temporary = None;
        Ok(())
    }
}

/// Whether a file starts as an index does, sound or not.
fn is_index(path: &Path) -> bool {
    !matches!(Index::open(path), Err(Error::NotAnIndex { .. } | Error::Io { .. }))
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            let _ = fs::remove_file(temporary);
        }
    }
}
