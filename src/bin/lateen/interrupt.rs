//! Ctrl-C and SIGTERM: the command clears away what it began, and ends with a code of its own.

use std::path::PathBuf;
#[cfg(unix)]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

#[cfg(unix)]
use signal_hook::consts::SIGXFSZ as XFSZ;

use crate::failure::{Code, Failure};

/// Whether the command was told to end.
static TOLD: AtomicBool = AtomicBool::new(false);

/// See [`clear_at_end`].
static CLEARING: Mutex<Option<PathBuf>> = Mutex::new(None);

/// How long the command has to come to a place where it looks. What it leaves where it does not is
/// what a killed one leaves: nothing under the name asked for.
const GRACE: Duration = Duration::from_secs(1);

/// From here on a signal is taken note of. Without this it would end the process there and then,
/// which is all that is lost where the system does not allow it.
pub(crate) fn watch() {
    // A write beyond the limit of a file's size (`ulimit -f`) is an error like others then, where
    // the signal would end the process without a word.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(XFSZ, Arc::default());
    let _ = ctrlc::set_handler(|| {
        // Asked twice, it does not wait.
        if !TOLD.swap(true, Ordering::Relaxed) {
            std::thread::sleep(GRACE);
        }
        if let Some(path) = clearing().take() {
            // A file that is made meanwhile keeps the directory: then once more.
            for _ in 0..10 {
                let removed = std::fs::remove_dir_all(&path);
                if removed.is_ok_and(|()| !path.exists()) || !path.exists() {
                    break;
                }
            }
        }
        let failure = interrupted();
        super::say(&failure);
        std::process::exit(failure.code().into());
    });
}

/// Names a directory that goes when the command is ended while it waits where it does not look: on
/// standard input, say. `None` from when it must stay.
pub(crate) fn clear_at_end(path: Option<PathBuf>) {
    *clearing() = path;
}

fn clearing() -> MutexGuard<'static, Option<PathBuf>> {
    CLEARING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An error from the first signal on.
pub(crate) fn check() -> Result<(), Failure> {
    if TOLD.load(Ordering::Relaxed) { Err(interrupted()) } else { Ok(()) }
}

fn interrupted() -> Failure {
    Failure::new(Code::Interrupted, "interrupted")
}
