//! The `lateen` command from outside: what it prints, writes and exits with.
#![cfg(feature = "cli")]

mod advising;
mod arrays;
mod asking;
mod bench;
mod building;
#[cfg(all(feature = "demo", unix))]
mod demo;
mod doctor;
mod explaining;
mod failing;
mod interrupted;
mod lines;
mod living;
mod manual;
mod shipping;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lateen::eval::{Measure, Qrels, Ranked, Run, evaluate};
use lateen::readers::{EmbeddingSet, NpyArray};
use lateen::{Floats, Index, IndexWriter};
use tempfile::TempDir;

fn set() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini")
}

/// A folder of one test, in which the command runs.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command with arguments between spaces; `SET` stands for the committed set.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lateen"));
        command.current_dir(self.0.path()).stdin(Stdio::null()).env_remove("LATEEN_KERNEL");
        for arg in line.split_whitespace() {
            if arg == "SET" {
                command.arg(set());
            } else {
                command.arg(arg);
            }
        }
        command
    }

    /// Runs what must succeed, silent on standard error; gives its standard output.
    fn ok(&self, line: &str) -> String {
        succeeds(&mut self.command(line))
    }

    /// Runs what must fail with a code and one line; gives the line.
    fn fails(&self, code: i32, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        let text = one_line(&output);
        assert_eq!(output.status.code(), Some(code), "{line}: {text}");
        assert!(output.stdout.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stdout));
        text
    }

    /// Runs a search and gives the bytes of its run.
    fn run(&self, index: &str, flags: &str) -> Vec<u8> {
        self.ok(&format!("search {index} --set SET --run out.run {flags}"));
        let bytes = fs::read(self.path("out.run")).unwrap();
        fs::remove_file(self.path("out.run")).unwrap();
        bytes
    }

    /// The names in the folder.
    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn one_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(text.starts_with("lateen: ") && text.ends_with('\n'), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every file of a directory with its bytes.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    names(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

/// A copy of the committed set that may be damaged.
fn copy_set(to: &Path) {
    fs::create_dir(to).unwrap();
    for name in names(&set()).iter().filter(|name| !name.starts_with("gt_")) {
        fs::copy(set().join(name), to.join(name)).unwrap();
    }
}

const MODES: [&str; 6] = ["sparse", "tokens", "rerank", "union", "rrf", "weighted"];

/// Checks a run against the exact top of each query: by rank, or, where documents tie, by score.
fn agrees(run: &[u8], ids: &[String], truth: &str, top: usize) {
    let open = |what| NpyArray::open(set().join(format!("gt_{truth}_{what}.npy"))).unwrap();
    let (rows, scores) = (open("ids"), open("scores"));
    let (width, rows) = (rows.shape()[1], rows.usizes().unwrap());
    let Floats::F32(scores) = scores.floats().unwrap() else { panic!("scores are f32") };
    let run = read(run);
    assert_eq!(run.len() * width, rows.len());
    let best = rows.chunks(width).zip(scores.chunks(width));
    for ((query, ranking), (rows, scores)) in run.rankings().zip(best) {
        assert_eq!(ranking.len(), top.min(width));
        for (rank, hit) in ranking.iter().enumerate() {
            let near = |score: f32| (hit.score - score).abs() < 1e-3;
            assert!(near(scores[rank]), "{truth}, {query}, rank {rank}: {hit:?}");
            // One that the truth lacks can only tie with its last.
            let there = rows.iter().position(|&row| ids[row] == hit.document);
            let tied = there.map_or(near(scores[width - 1]), |at| near(scores[at]));
            assert!(tied, "{truth}, {query}, rank {rank}: {hit:?}");
        }
    }
}

fn read(run: &[u8]) -> Run {
    Run::parse("run", std::io::Cursor::new(run.to_vec())).unwrap()
}

/// Gives a file other content; packed files are made read-only.
fn put(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}
