//! The `lateen` command: builds an index from an embedding set, searches it, judges what was
//! found, looks inside, checks, packs. It calls the library and nothing else does the work.
//!
//! What a command has to say goes to standard output, once it is done; progress goes to standard
//! error, only where that is a terminal. A command that fails writes one line to standard error,
//! `lateen: …`, and ends with a code of its own:
//!
//! | code | what it means |
//! | --- | --- |
//! | 0 | done |
//! | 1 | something that has no code of its own: a mistake in this program, most of all |
//! | 2 | usage: a flag or an argument |
//! | 3 | input: a set, run or judgements that are missing, malformed or do not fit the index |
//! | 4 | not an index, or one of another version |
//! | 5 | corrupt: the index is damaged |
//! | 6 | locked by another writer |
//! | 7 | exists already |
//! | 8 | the system refused to read or write |
//! | 9 | interrupted, by Ctrl-C or SIGTERM |

mod add;
mod arrays;
mod bench;
mod beside;
mod build;
mod codecs;
mod compact;
mod compare;
mod declared;
mod delete;
mod demo;
mod doctor;
mod eval;
mod explain;
mod export;
mod failure;
mod frontier;
mod gathered;
mod info;
mod interrupt;
mod manual;
mod output;
mod pack;
mod planner;
mod pooling;
mod progress;
mod search;
mod source;
mod staging;
mod text;
mod unpack;
mod upgrade;
mod verify;
mod words;

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use clap::error::ErrorKind as UsageKind;
use clap::{CommandFactory, Parser, Subcommand};

use failure::{Code, Failure};

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  something that has no code of its own
  2  usage: a flag or an argument
  3  input: a set, run or judgements that are missing, malformed or do not
     fit the index
  4  not an index, or one of another version
  5  corrupt: the index is damaged
  6  locked by another writer
  7  exists already
  8  the system refused to read or write
  9  interrupted, by Ctrl-C or SIGTERM

A command that fails writes one line to standard error.";

/// Embedded search over learned sparse vectors and late interaction
///
/// An INDEX is a directory that `build` made, or one file that `pack` made of it: every command
/// that reads takes either.
#[derive(Debug, Parser)]
#[command(name = "lateen", version, term_width = 80, after_help = EXIT_CODES)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Args),
    Add(add::Args),
    Delete(delete::Args),
    Compact(compact::Args),
    Search(search::Args),
    Explain(explain::Args),
    Info(info::Args),
    Verify(verify::Args),
    Pack(pack::Args),
    Eval(eval::Args),
    Compare(compare::Args),
    Bench(bench::Args),
    Demo(demo::Args),
    Export(export::Args),
    Unpack(unpack::Args),
    Upgrade(upgrade::Args),
    Doctor(doctor::Args),
    Completions(manual::Completions),
    Man(manual::Man),
}

fn main() -> ExitCode {
    if let Some(code) = interrupt::cleared(std::env::args_os().skip(1)) {
        return ExitCode::from(code);
    }
    interrupt::watch();
    match caught(|| run(std::env::args_os()).and_then(|report| write_report(&report))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure);
            ExitCode::from(failure.code())
        }
    }
}

/// Does something; a panic, which is a mistake in this program, becomes a failure like others.
fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    static PANIC: Mutex<Option<String>> = Mutex::new(None);
    let said = || PANIC.lock().unwrap_or_else(PoisonError::into_inner);
    // The first panic is the cause of any others.
    panic::set_hook(Box::new(move |panic| {
        said().get_or_insert_with(|| panic.to_string());
    }));
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    drop(panic::take_hook());
    done.unwrap_or_else(|_| {
        let what = said().take().unwrap_or_default();
        Err(Failure::new(Code::Other, format!("{what} (a mistake in lateen: please report it)")))
    })
}

/// Does what the arguments ask; gives what is to be written to standard output.
fn run(args: impl Iterator<Item = OsString>) -> Result<String, Failure> {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => match error.kind() {
            UsageKind::DisplayHelp | UsageKind::DisplayVersion => return Ok(error.to_string()),
            UsageKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                write_report(&Cli::command().render_help().to_string())?;
                return Err(Failure::new(Code::Usage, "no command given"));
            }
            _ => return Err(Failure::usage(&error)),
        },
    };
    match cli.command {
        Command::Build(args) => build::run(&args),
        Command::Add(args) => add::run(&args),
        Command::Delete(args) => delete::run(&args),
        Command::Compact(args) => compact::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Pack(args) => pack::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Unpack(args) => unpack::run(&args),
        Command::Upgrade(args) => upgrade::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => Ok(manual::completions(&args)),
        Command::Man(args) => manual::run(&args),
    }
}

/// Writes to standard output. That nobody reads it any more (`lateen info x | head -1`) is no
/// failure.
fn write_report(report: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(report.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::io("write", "standard output", &error))
        }
        _ => Ok(()),
    }
}

fn say(failure: &Failure) {
    // Nothing is left to be done where even this cannot be written.
    let _ = writeln!(std::io::stderr().lock(), "lateen: {failure}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_put_together_without_a_mistake() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_panic_is_a_failure_of_one_line() {
        let failure = caught::<()>(|| panic!("two\nlines")).unwrap_err();
        assert_eq!(failure.code(), 1);
        let said = failure.to_string();
        assert!(said.contains("main.rs") && said.contains("two lines (a mistake"), "{said}");
        // Whatever thread it was in.
        let elsewhere = || std::thread::scope(|scope| scope.spawn(|| panic!("far away")).join());
        let failure = caught::<()>(|| {
            elsewhere().unwrap_or_else(|panic| panic::resume_unwind(panic));
            Ok(())
        });
        assert!(failure.unwrap_err().to_string().contains("far away"));
        assert_eq!(caught(|| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn every_help_fits_in_80_columns() {
        let mut command = Cli::command();
        command.build();
        let mut helps = vec![command.render_long_help()];
        helps.extend(command.get_subcommands_mut().map(clap::Command::render_long_help));
        assert_eq!(helps.len(), 20);
        let text: String = helps.iter().map(ToString::to_string).collect();
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
