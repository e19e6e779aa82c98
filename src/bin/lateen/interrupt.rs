//! Ctrl-C and SIGTERM: the command clears away what it began, and ends with a code of its own.
//!
//! Where it looks (between chunks, after each long step) it ends by itself. Where it does not,
//! because it waits for standard input or is inside a call of the library, the process becomes
//! another one after a while, which has nothing to do but to clear: no thread of the old one is
//! left by then that might go on writing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lateen::IndexWriter;
#[cfg(unix)]
use signal_hook::consts::SIGXFSZ as XFSZ;

use crate::beside::remove;
use crate::failure::{Code, Failure};
use crate::staging;

/// Whether the command was told to end.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Whether what the command does can no longer be taken back.
static STANDS: AtomicBool = AtomicBool::new(false);

/// What is to be cleared away, with the number of its entry; the last is cleared first.
static LEFT: Mutex<Vec<(u64, Left)>> = Mutex::new(Vec::new());

/// How long the command has to come to a place where it looks.
const GRACE: Duration = Duration::from_secs(1);

/// The first argument of a process that only clears.
const CLEAR: &str = "--clear-what-was-interrupted";

/// Something that a command leaves when it is ended where it does not look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// A file or folder with the number of this process in its name.
    Own(PathBuf),
    /// An index that is not complete yet.
    Building(PathBuf),
    /// A folder that was made for what was to come into it; it goes where it is empty.
    Folder(PathBuf),
    /// An index that is written to: files that no commit names go.
    Index(PathBuf),
}

impl Left {
    fn clear(&self) {
        match self {
            Self::Own(path) => {
                let number = format!(".{}.", std::process::id());
                let name = path.file_name().map(|name| name.to_string_lossy());
                if name.is_some_and(|name| name.starts_with('.') && name.contains(&number)) {
                    remove(path);
                }
            }
            Self::Building(path) => drop(staging::clear(path)),
            Self::Folder(path) => drop(std::fs::remove_dir(path)),
            // A writer begins with that.
            Self::Index(path) => drop(IndexWriter::open(path)),
        }
    }

    /// As two arguments of a command.
    fn words(&self) -> [OsString; 2] {
        let (kind, path) = match self {
            Self::Own(path) => ("own", path),
            Self::Building(path) => ("building", path),
            Self::Folder(path) => ("folder", path),
            Self::Index(path) => ("index", path),
        };
        [kind.into(), path.into()]
    }

    fn of_words(kind: &str, path: &Path) -> Option<Self> {
        let path = path.to_owned();
        Some(match kind {
            "own" => Self::Own(path),
            "building" => Self::Building(path),
            "folder" => Self::Folder(path),
            "index" => Self::Index(path),
            _ => return None,
        })
    }
}

/// As long as it lives, what it is of is cleared when the command is ended.
#[derive(Debug)]
pub(crate) struct Clearing(u64);

impl Clearing {
    pub(crate) fn of(what: Left) -> Self {
        let mut all = left();
        let number = all.last().map_or(0, |(last, _)| last + 1);
        all.push((number, what));
        Self(number)
    }
}

impl Drop for Clearing {
    fn drop(&mut self) {
        left().retain(|(number, _)| *number != self.0);
    }
}

fn left() -> MutexGuard<'static, Vec<(u64, Left)>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on a signal is taken note of. Without this it would end the process there and then,
/// which is all that is lost where the system does not allow it.
pub(crate) fn watch() {
    // A write beyond the limit of a file's size (`ulimit -f`) is an error like others then, where
    // the signal would end the process without a word.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(XFSZ, Arc::default());
    let _ = ctrlc::set_handler(|| {
        TOLD.store(true, Ordering::SeqCst);
        std::thread::sleep(GRACE);
        // A commit that has begun to be published is neither stopped nor denied.
        while STANDS.load(Ordering::SeqCst) {
            std::thread::sleep(GRACE);
        }
        let all: Vec<Left> = left().drain(..).rev().map(|(_, what)| what).collect();
        if !all.is_empty() {
            become_one_that_clears(&all);
            all.iter().for_each(Left::clear);
        }
        std::process::exit(said());
    });
}

/// Comes back only where the system does not allow it.
#[cfg(unix)]
fn become_one_that_clears(all: &[Left]) {
    use std::os::unix::process::CommandExt;
    let Ok(program) = std::env::current_exe() else { return };
    let words = all.iter().flat_map(Left::words);
    let _ = std::process::Command::new(program).arg(CLEAR).args(words).exec();
}

#[cfg(not(unix))]
fn become_one_that_clears(_: &[Left]) {}

/// Whether this process was made to clear, by the arguments after its name; then it has, and gives
/// the code to end with.
pub(crate) fn cleared(mut args: impl Iterator<Item = OsString>) -> Option<u8> {
    if args.next()? != CLEAR {
        return None;
    }
    while let (Some(kind), Some(path)) = (args.next(), args.next()) {
        if let Some(what) = Left::of_words(&kind.to_string_lossy(), Path::new(&path)) {
            what.clear();
        }
    }
    Some(said() as u8)
}

/// An error from the first signal on.
pub(crate) fn check() -> Result<(), Failure> {
    if TOLD.load(Ordering::SeqCst) { Err(interrupted()) } else { Ok(()) }
}

/// From here on a signal comes too late, and the command ends as if there had been none. Where one
/// came before, this does not come back: the command is about to be ended.
pub(crate) fn settle() {
    STANDS.store(true, Ordering::SeqCst);
    if TOLD.load(Ordering::SeqCst) {
        STANDS.store(false, Ordering::SeqCst);
        loop {
            std::thread::park();
        }
    }
}

/// Commits what was prepared, unless the command was told to end: then the index is as it was.
/// From here on a signal comes too late, and the command ends as if there had been none.
pub(crate) fn commit(writer: &mut IndexWriter, place: &Path) -> Result<u64, Failure> {
    let failed = |error| Failure::index(place, error);
    let prepared = writer.prepare_commit().map_err(failed);
    STANDS.store(true, Ordering::SeqCst);
    let wanted = prepared.and_then(|()| check());
    if let Err(failure) = wanted {
        STANDS.store(false, Ordering::SeqCst);
        // What was written on the way goes; where it cannot, the next writer clears it.
        let _ = writer.rollback();
        return Err(failure);
    }
    writer.commit().map_err(failed)
}

fn interrupted() -> Failure {
    Failure::new(Code::Interrupted, "interrupted")
        .next("what was begun is cleared away, what was there before is as it was: run it again")
}

/// Says so; gives the code to end with.
fn said() -> i32 {
    let failure = interrupted();
    super::say(&failure);
    failure.code().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_cleared_as_its_words_say() {
        let place = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = place.path().join(name);
            std::fs::write(&path, "half").unwrap();
            path
        };
        let own = file(&format!(".x.{}.tmp", std::process::id()));
        let (others, letter) = (file(".x.1.tmp"), file("letter.txt"));
        let (empty, full) = (place.path().join("empty"), place.path().join("full"));
        std::fs::create_dir(&empty).unwrap();
        std::fs::create_dir(&full).unwrap();
        std::fs::write(full.join("x"), "").unwrap();
        for what in [
            Left::Own(own.clone()),
            Left::Own(others.clone()),
            Left::Own(letter.clone()),
            Left::Building(letter.parent().unwrap().join("full")),
            Left::Folder(empty.clone()),
            Left::Folder(full.clone()),
            Left::Index(full.clone()),
        ] {
            let [kind, path] = what.words();
            let told = Left::of_words(&kind.to_string_lossy(), Path::new(&path)).unwrap();
            assert_eq!(told, what);
            told.clear();
        }
        assert!(!own.exists() && !empty.exists());
        assert!(others.exists() && letter.exists() && full.join("x").exists());
        assert_eq!(cleared(["build".into()].into_iter()), None);
    }

    #[test]
    fn what_is_done_is_not_cleared() {
        let path = |name: &str| Left::Folder(name.into());
        let (one, two) = (Clearing::of(path("one")), Clearing::of(path("two")));
        drop(one);
        let three = Clearing::of(path("three"));
        drop(two);
        let names = |what: &Left| left().iter().any(|(_, left)| left == what);
        assert!(names(&path("three")) && !names(&path("one")) && !names(&path("two")));
        drop(three);
        assert!(!names(&path("three")));
    }
}
