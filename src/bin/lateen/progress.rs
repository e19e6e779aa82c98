//! Progress on standard error, for who watches.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use crate::failure::Failure;
use crate::interrupt;

/// A bar over `len` things, with their rate and the time left; none where standard error is not a
/// terminal. It is gone when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(what: &'static str, len: usize) -> Self {
        Self::of(what, Some(len))
    }

    /// The same where it may not be known how many things there are.
    pub(crate) fn of(what: &'static str, len: Option<usize>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let (bar, template) = match len {
            Some(len) => (
                ProgressBar::new(len as u64),
                "{msg} {wide_bar} {human_pos}/{human_len}, {per_sec}, {eta} left",
            ),
            None => (ProgressBar::no_length(), "{msg} {spinner} {human_pos}, {per_sec}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self(bar)
    }

    /// So many more are done; an error where no more are wanted.
    pub(crate) fn add(&self, count: usize) -> Result<(), Failure> {
        self.0.inc(count as u64);
        interrupt::check()
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
