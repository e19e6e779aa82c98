//! Scratch files: what a writer sets aside while it gathers, gone with the writer.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use super::retry;

/// A file that only its maker sees. It has no name and nothing of it survives its maker, so no
/// crash leaves one behind and nothing has to remove it.
pub(crate) trait Scratch: Send + Sync + fmt::Debug {
    /// Appends.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Fills `to` with the bytes from an offset on; `UnexpectedEof` where there are not so many.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()>;
}

/// Tries of a name before the directory is taken to be the trouble.
const TRIES: u32 = 1000;

/// A scratch file in a directory.
///
/// On Unix its name is removed as soon as it is open; Windows removes it when it is closed.
pub(super) fn scratch_in(dir: &Path) -> io::Result<Box<dyn Scratch>> {
    let mut attempt = 0;
    loop {
        let path = dir.join(format!("scratch-{}-{attempt}.tmp", std::process::id()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(windows)]
        {
            use std::os::windows::fs::OpenOptionsExt;
            const DELETE_ON_CLOSE: u32 = 0x0400_0000;
            options.custom_flags(DELETE_ON_CLOSE);
        }
        match retry(|| options.open(&path)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < TRIES => {
                attempt += 1;
            }
            Err(error) => return Err(error),
            Ok(file) => {
                if cfg!(not(windows)) {
                    retry(|| std::fs::remove_file(&path))?;
                }
                return Ok(Box::new(ScratchFile { file }));
            }
        }
    }
}

#[derive(Debug)]
struct ScratchFile {
    file: File,
}

impl Scratch for ScratchFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Retries after a signal by itself. Nothing else moves the file's place: reads name theirs.
        self.file.write_all(bytes)
    }

    #[cfg(unix)]
    fn read_at(&self, offset: u64, to: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, to, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, mut offset: u64, mut to: &mut [u8]) -> io::Result<()> {
        while !to.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.file, to, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    to = to.get_mut(read..).unwrap_or_default();
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    #[cfg(not(any(unix, windows)))]
    fn read_at(&self, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_appended_is_read_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = scratch_in(dir.path()).unwrap();
        file.append(b"abc").unwrap();
        file.append(b"defgh").unwrap();
        let mut four = [0; 4];
        file.read_at(2, &mut four).unwrap();
        assert_eq!(&four, b"cdef");
        file.append(b"i").unwrap();
        file.read_at(5, &mut four).unwrap();
        assert_eq!(&four, b"fghi");
        assert!(file.read_at(6, &mut four).is_err(), "past the end");
        let names = std::fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(names, usize::from(cfg!(windows)), "it has no name");
    }
}
