//! `table FILE...`: the JSON lines of `sparse`, `late` and the Python scripts as Markdown.

use lateen_peers::{Outcome, table};

fn main() -> Outcome<()> {
    let mut lines = String::new();
    for path in std::env::args().skip(1) {
        lines += &std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        lines.push('\n');
    }
    let (machines, rows) = table::parse(&lines)?;
    print!("{}", table::render(&machines, &rows)?);
    Ok(())
}
