//! Ctrl-C and SIGTERM: the command clears away what it began, and ends with a code of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::failure::{Code, Failure};

/// Whether the command was told to end.
static TOLD: AtomicBool = AtomicBool::new(false);

/// How long the command has to come to a place where it looks. What it leaves where it does not is
/// what a killed one leaves: nothing under the name asked for.
const GRACE: Duration = Duration::from_secs(1);

/// From here on a signal is taken note of. Without this it would end the process there and then,
/// which is all that is lost where the system does not allow it.
pub(crate) fn watch() {
    let _ = ctrlc::set_handler(|| {
        // Asked twice, it does not wait.
        if !TOLD.swap(true, Ordering::Relaxed) {
            std::thread::sleep(GRACE);
        }
        let failure = interrupted();
        super::say(&failure);
        std::process::exit(failure.code().into());
    });
}

/// An error from the first signal on.
pub(crate) fn check() -> Result<(), Failure> {
    if TOLD.load(Ordering::Relaxed) { Err(interrupted()) } else { Ok(()) }
}

fn interrupted() -> Failure {
    Failure::new(Code::Interrupted, "interrupted")
}
