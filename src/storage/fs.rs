//! Files in a directory of the file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{Cache, take};
use super::map::Map;
use super::read::ReadFile;
use super::scratch::{Scratch, scratch_in};
use super::{Aligned, Bytes, LOCK, Lock, OpenMode, Storage, StorageFile, is_plain_name, retry};
use crate::error::{Error, Result};
use crate::shared::Allowance;

/// Bytes gathered before they are handed to the system.
const WRITE_BUFFER: usize = 1 << 18;

/// A directory of the file system.
#[derive(Clone, Debug)]
pub(crate) struct FsStorage {
    root: PathBuf,
    mode: OpenMode,
    /// Bytes that an index which is not trusted may have.
    untrusted: Option<Arc<Allowance>>,
    /// What is held of files that are read by position.
    resident: Arc<Cache>,
}

impl FsStorage {
    /// A directory that is there, or will be; nothing is touched yet.
    pub(crate) fn new(root: impl Into<PathBuf>, mode: OpenMode) -> Self {
        let resident = Arc::new(Cache::new(u64::MAX));
        Self { root: root.into(), mode, untrusted: None, resident }
    }

    /// A directory whose segments are read by position, and held there.
    pub(crate) fn reading(root: impl Into<PathBuf>, resident: Arc<Cache>) -> Self {
        Self { resident, ..Self::new(root, OpenMode::Read) }
    }

    /// A directory whose files are not trusted: read into the heap, so many bytes in all at most.
    pub(crate) fn untrusted(root: impl Into<PathBuf>, allowance: u64) -> Self {
        let untrusted = Some(Arc::new(Allowance::new(allowance)));
        Self { untrusted, ..Self::new(root, OpenMode::Heap) }
    }

    /// Makes the directory and whatever is missing above it, durably. One that is there stays.
    pub(crate) fn create_dir(&self) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut at = Some(self.root.as_path());
        while let Some(dir) = at {
            if dir.as_os_str().is_empty() || dir.is_dir() {
                break;
            }
            missing.push(dir);
            at = dir.parent();
        }
        for dir in missing.into_iter().rev() {
            match fs::create_dir(dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => {}
                result => result?,
            }
            if let Some(parent) = dir.parent() {
                sync_path(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
            }
        }
        Ok(())
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        if is_plain_name(name) {
            Ok(self.root.join(name))
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidFilename,
                format!("{name:?} is no plain file name"),
            ))
        }
    }
}

impl Storage for FsStorage {
    fn open(&self, name: &str) -> io::Result<Bytes> {
        let path = self.path(name)?;
        match &self.untrusted {
            None => open_path(&path, self.mode),
            Some(allowance) => open_untrusted(&path, allowance),
        }
    }

    fn open_parts(&self, name: &str) -> io::Result<Bytes> {
        if self.mode != OpenMode::Read {
            return self.open(name);
        }
        open_parts(&self.path(name)?, &self.resident)
    }

    fn create_new(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        create_path(&self.path(name)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.path(from)?, self.path(to)?);
        // Only the holder of the lock renames, so nothing comes between the check and the act.
        match fs::symlink_metadata(&to) {
            Ok(_) => Err(super::already_exists(&to.display().to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                retry(|| fs::rename(&from, &to))
            }
            Err(error) => Err(error),
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        sync_path(&self.root)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in retry(|| fs::read_dir(&self.root))? {
            // A name that is not Unicode is not one of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path(name)?;
        retry(|| fs::remove_file(&path))
    }

    fn try_lock(&self) -> io::Result<Option<Lock>> {
        let path = self.path(LOCK)?;
        let file = retry(|| {
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)
        })?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Box::new(file))),
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    _ if no_locks(&error) => {
                        return Err(io::Error::new(
                            io::ErrorKind::Unsupported,
                            "this file system has no locks, so two writers could not be kept apart",
                        ));
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    fn import(&self, path: &Path, name: &str) -> io::Result<()> {
        let to = self.path(name)?;
        if fs::hard_link(path, &to).is_ok() {
            return Ok(());
        }
        let bytes = open_path(path, OpenMode::Map)?;
        let mut file = create_path(&to)?;
        bytes.each(|step| file.write_all(step))?;
        file.sync()
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn scratch(&self) -> io::Result<Option<Box<dyn Scratch>>> {
        scratch_in(&self.root).map(Some)
    }

    fn place(&self) -> String {
        self.root.display().to_string()
    }
}

/// Refuses folders, pipes and devices.
fn regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

/// A plain file anywhere, and its length.
fn open_file(path: &Path) -> io::Result<(File, u64)> {
    // Before it is opened too: opening a pipe waits for whoever writes to it, for ever if need be.
    regular(&retry(|| fs::metadata(path))?)?;
    let file = retry(|| File::open(path))?;
    let metadata = retry(|| file.metadata())?;
    regular(&metadata)?;
    Ok((file, metadata.len()))
}

/// A container anywhere, to be read by position.
pub(crate) fn open_parts(path: &Path, resident: &Arc<Cache>) -> io::Result<Bytes> {
    let (file, len) = open_file(path)?;
    let place = path.display().to_string();
    Bytes::from_file(ReadFile::new(Box::new(file), place, len, resident))
}

/// The bytes of a file anywhere.
pub(crate) fn open_path(path: &Path, mode: OpenMode) -> io::Result<Bytes> {
    let (mut file, len) = open_file(path)?;
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    if len == 0 {
        return Ok(Bytes::from_static(&[]));
    }
    match mode {
        OpenMode::Map => Ok(Bytes::from_map(Map::new(&file)?)),
        OpenMode::Heap | OpenMode::Read => {
            let mut buffer = Aligned::zeroed(len)?;
            file.read_exact(buffer.as_mut_slice())?;
            Ok(Bytes::from_aligned(Arc::new(buffer)))
        }
    }
}

/// Whether a file system without locks, or without whoever keeps them (a network file system), has
/// answered.
fn no_locks(error: &io::Error) -> bool {
    const ENOLCK: i32 = if cfg!(target_os = "linux") { 37 } else { 77 };
    let unkept = cfg!(unix) && error.raw_os_error() == Some(ENOLCK);
    unkept || error.kind() == io::ErrorKind::Unsupported
}

/// The bytes of a file that may be anything: a plain file, not a link, not a pipe that never ends,
/// no larger than what is left of the allowance, read whole.
pub(crate) fn open_untrusted(path: &Path, allowance: &Allowance) -> io::Result<Bytes> {
    let metadata = retry(|| fs::symlink_metadata(path))?;
    regular(&metadata)?;
    take(allowance, metadata.len())?;
    open_path(path, OpenMode::Heap)
}

/// A new file; `AlreadyExists` if there is one.
fn create_path(path: &Path) -> io::Result<Box<dyn StorageFile>> {
    let file = retry(|| OpenOptions::new().read(true).write(true).create_new(true).open(path))?;
    Ok(Box::new(FsFile { file: BufWriter::with_capacity(WRITE_BUFFER, file) }))
}

/// A new file anywhere, that appears under its name when it is complete and durable: `write` is
/// given the file and a name for messages, and must sync it.
pub(crate) fn publish_path(
    path: &Path,
    write: impl FnOnce(Box<dyn StorageFile>, String) -> Result<()>,
) -> Result<()> {
    let place = path.display().to_string();
    let error = |op| {
        let place = place.clone();
        move |error| Error::io(op, place, error)
    };
    let (temporary, file) = create_beside(path).map_err(error("create"))?;
    let published = write(file, place.clone())
        .and_then(|()| retry(|| fs::rename(&temporary, path)).map_err(error("rename")));
    if published.is_err() {
        let _ = fs::remove_file(&temporary);
        return published;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_path(parent.unwrap_or_else(|| Path::new("."))).map_err(error("sync"))
}

/// A new file beside a path, under the path's name with an ending. What a crash left, or another
/// process is writing, is not touched: the ending is then another.
fn create_beside(path: &Path) -> io::Result<(PathBuf, Box<dyn StorageFile>)> {
    let mut attempt = 0u32;
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(if attempt == 0 { ".tmp".to_owned() } else { format!(".{attempt}.tmp") });
        let temporary = path.with_file_name(name);
        match create_path(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 1000 => {
                attempt += 1;
            }
            result => return Ok((temporary, result?)),
        }
    }
}

/// Makes the names in a directory durable. Windows has no such call and orders them itself.
fn sync_path(dir: &Path) -> io::Result<()> {
    if cfg!(unix) { retry(|| File::open(dir)?.sync_all()) } else { Ok(()) }
}

struct FsFile {
    file: BufWriter<File>,
}

impl StorageFile for FsFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Retries after a signal by itself.
        self.file.write_all(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // Seeking writes out what is buffered first.
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.write_all(bytes)?;
        self.file.seek(SeekFrom::End(0)).map(|_| ())
    }

    fn read_back(&mut self) -> io::Result<Bytes> {
        self.file.flush()?;
        Ok(Bytes::from_map(Map::new(self.file.get_ref())?))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_ref();
        retry(|| file.sync_all())?;
        protect(file);
        Ok(())
    }
}

/// Takes the right to write from a finished file, so that a slip of a shell cannot truncate it
/// under a map. Only a precaution: a failure changes nothing.
#[cfg(unix)]
fn protect(file: &File) {
    use std::os::unix::fs::PermissionsExt;
    if let Ok(metadata) = file.metadata() {
        let mut permissions = metadata.permissions();
        permissions.set_mode(permissions.mode() & 0o555);
        let _ = file.set_permissions(permissions);
    }
}

/// Elsewhere a file without the right to write could not be removed again.
#[cfg(not(unix))]
fn protect(_: &File) {}
