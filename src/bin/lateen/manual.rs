//! `lateen completions` and `lateen man`: what shells and manuals know of the command.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::failure::{Code, Failure};

/// Write the completions of a shell to standard output
///
/// For bash, for example: `lateen completions bash > ~/.local/share/bash-completion/completions/lateen`
#[derive(Debug, clap::Args)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// Gives the completions.
pub(crate) fn completions(args: &Completions) -> String {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "lateen", &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Write the manual pages, lateen.1 and one for each command
#[derive(Debug, clap::Args)]
pub(crate) struct Man {
    /// The directory to write them to; it is made where it is not there
    dir: PathBuf,
}

/// Writes the pages; says which.
pub(crate) fn run(args: &Man) -> Result<String, Failure> {
    let refused = |error| Failure::io("write", args.dir.display(), &error);
    if args.dir.exists() && !args.dir.is_dir() {
        let what = format!("{}: no directory; the pages go into a directory", args.dir.display());
        return Err(Failure::new(Code::Exists, what).next("choose another name"));
    }
    std::fs::create_dir_all(&args.dir).map_err(refused)?;
    let command = super::Cli::command();
    let pages = 1 + command.get_subcommands().count();
    clap_mangen::generate_to(command, &args.dir).map_err(refused)?;
    Ok(format!("{}: {pages} pages\n", args.dir.display()))
}
