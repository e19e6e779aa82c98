//! Progress on standard error, for who watches.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::failure::Failure;
use crate::{interrupt, text};

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
                "{msg} {wide_bar} {human_pos}/{human_len}, {rate}, {eta} left",
            ),
            None => (ProgressBar::no_length(), "{msg} {spinner} {human_pos}, {rate}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key(
                "rate",
                |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                    // Where it cannot be written, nobody watches.
                    let _ = out.write_str(&rate(state.per_sec()));
                },
            ));
        }
        bar.set_message(what);
        Self(bar)
    }

    /// So many are done of as many as are known of now.
    pub(crate) fn stands_at(&self, done: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(done.min(of));
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

/// So many a second, with a decimal only where it says something.
fn rate(per_second: f64) -> String {
    if per_second < 10.0 {
        format!("{per_second:.1}/s")
    } else {
        format!("{}/s", text::count(per_second.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_as_short_as_they_can_be_told() {
        let cases =
            [(0.25, "0.2/s"), (9.94, "9.9/s"), (12.345_678, "12/s"), (45_678.9, "45,679/s")];
        for (per_second, said) in cases {
            assert_eq!(rate(per_second), said);
        }
    }
}
