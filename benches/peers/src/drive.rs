//! The order of a run: for every engine one process that builds and one that answers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::measure::{Memory, bytes_on_disk, mean, quantile, recall, time};
use crate::report::{Machine, Row, round};
use crate::sets::Truth;
use crate::{Engine, Outcome};

/// The command line of `sparse` and `late`.
pub struct Args {
    /// The folder of the set.
    pub set: PathBuf,
    /// Where indexes go: a folder for each set and engine.
    pub work: PathBuf,
    /// Names of engines that are wanted; all where it is empty. A name stands for every engine
    /// that begins with it.
    pub engines: Vec<String>,
    /// Names of tasks that are wanted; all where it is empty.
    pub tasks: Vec<String>,
    /// Numbers of hits to ask for.
    pub ks: Vec<usize>,
    /// Passes over the queries.
    pub passes: usize,
    /// Use this many of the queries only.
    pub limit: usize,
    /// Threads that a build may use. A search uses one.
    pub build_threads: usize,
    /// Builds anew what an earlier run left.
    pub rebuild: bool,
    /// In a child: the task, engine and stage it is for.
    child: Option<(String, String, Stage)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Build,
    Search,
}

const USAGE: &str = "usage: (sparse|late) SET [--engines A,B] [--tasks A,B] [--k 10,100] [--passes 3] \
    [--limit QUERIES] [--build-threads 1] [--rebuild] [--work DIR]";

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    /// How it should be.
    pub fn read() -> Outcome<Self> {
        Self::parse(std::env::args().skip(1))
    }

    fn parse(mut given: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut args = Self {
            set: PathBuf::new(),
            work: PathBuf::from("target/peers"),
            engines: Vec::new(),
            tasks: Vec::new(),
            ks: vec![10, 100],
            passes: 3,
            limit: usize::MAX,
            build_threads: 1,
            rebuild: false,
            child: None,
        };
        while let Some(arg) = given.next() {
            let mut value = || given.next().ok_or(USAGE);
            match arg.as_str() {
                "--engines" => args.engines = value()?.split(',').map(str::to_owned).collect(),
                "--tasks" => args.tasks = value()?.split(',').map(str::to_owned).collect(),
                "--k" => args.ks = value()?.split(',').map(str::parse).collect::<Result<_, _>>()?,
                "--passes" => args.passes = value()?.parse()?,
                "--limit" => args.limit = value()?.parse()?,
                "--build-threads" => args.build_threads = value()?.parse()?,
                "--rebuild" => args.rebuild = true,
                "--work" => args.work = value()?.into(),
                "--child" => {
                    let stage = if value()? == "build" { Stage::Build } else { Stage::Search };
                    let (task, engine) = (value()?, value()?);
                    args.child = Some((task, engine, stage));
                }
                _ if args.set.as_os_str().is_empty() && !arg.starts_with('-') => {
                    args.set = arg.into()
                }
                _ => return Err(USAGE.into()),
            }
        }
        if args.set.as_os_str().is_empty() { Err(USAGE.into()) } else { Ok(args) }
    }

    fn wants(&self, engine: &str) -> bool {
        self.engines.is_empty() || self.engines.iter().any(|name| engine.starts_with(name.as_str()))
    }

    /// The task that this process is the child for; `None` in the parent.
    pub fn child_task(&self) -> Option<&str> {
        self.child.as_ref().map(|(task, _, _)| task.as_str())
    }

    /// Whether this process is to answer queries, and so needs to know the right answers.
    pub fn answers(&self) -> bool {
        self.child.as_ref().is_some_and(|(_, _, stage)| *stage == Stage::Search)
    }
}

/// Prints the first line.
///
/// # Errors
/// None that can be expected.
pub fn introduce() -> Outcome<()> {
    say(&serde_json::json!({ "machine": Machine::this() }))
}

fn say(line: &impl Serialize) -> Outcome<()> {
    println!("{}", serde_json::to_string(line)?);
    Ok(())
}

/// What a comparison needs to know of a set with its queries.
pub struct Contest<'a, S, Q> {
    /// Name of the task; see [`Row::task`].
    pub task: &'a str,
    /// Tasks that use the same indexes share a shelf: the name of the folder they are in.
    pub shelf: &'a str,
    /// The set, handed to the engines.
    pub set: &'a S,
    /// Its name.
    pub name: &'a str,
    /// What the queries are.
    pub query_kind: &'a str,
    /// The queries.
    pub queries: &'a [Q],
    /// The exact answers.
    pub truth: &'a Truth,
    /// Postings or tokens of the set.
    pub units: u64,
    /// Documents scored per query, where the task is a rerank.
    pub reranked: Option<usize>,
}

/// What the building process tells the answering one.
#[derive(Serialize, Deserialize)]
struct Built {
    version: String,
    seconds: f64,
    threads: usize,
}

/// Starts the processes of every engine, one after another. An engine that fails is named on
/// standard error, and the run goes on.
///
/// # Errors
/// A process that could not be started.
pub fn parent<S, Q>(args: &Args, task: &str, shelf: &str, engines: &[Engine<S, Q>]) -> Outcome<()> {
    for engine in engines.iter().filter(|engine| args.wants(engine.name)) {
        let dir = place(args, shelf, engine.name);
        let known = read_built(&dir).is_some_and(|built| built.version == engine.version);
        if engine.build.is_some() && (args.rebuild || !engine.keep || !known) {
            let _ = fs::remove_dir_all(&dir);
            fs::create_dir_all(&dir)?;
            if !start(args, task, engine.name, "build", args.build_threads)? {
                continue;
            }
        }
        start(args, task, engine.name, "search", 1)?;
    }
    Ok(())
}

/// Does a child's part: builds, or asks every query at every setting and prints a line for each.
///
/// # Errors
/// Whatever failed.
pub fn child<S, Q>(
    args: &Args,
    engines: &[Engine<S, Q>],
    contest: &Contest<'_, S, Q>,
) -> Outcome<()> {
    let Some((_, name, stage)) = &args.child else { return Err(USAGE.into()) };
    let engine = engines.iter().find(|engine| engine.name == name);
    let engine = engine.ok_or_else(|| format!("this build has no {name}"))?;
    let dir = place(args, contest.shelf, engine.name);
    match stage {
        Stage::Build => build(args, engine, contest, &dir),
        Stage::Search => search(args, engine, contest, &dir),
    }
}

fn place(args: &Args, shelf: &str, engine: &str) -> PathBuf {
    let set = args.set.file_name().unwrap_or_default();
    args.work.join(set).join(format!("{shelf}-{engine}"))
}

fn read_built(dir: &Path) -> Option<Built> {
    serde_json::from_slice(&fs::read(dir.join("built.json")).ok()?).ok()
}

/// Runs this program again for one engine, with as many threads as it may have.
fn start(args: &Args, task: &str, engine: &str, stage: &str, threads: usize) -> Outcome<bool> {
    let list = |ks: &[usize]| ks.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(&args.set).arg("--work").arg(&args.work);
    command.args(["--k", &list(&args.ks), "--passes", &args.passes.to_string()]);
    command.args(["--limit", &args.limit.to_string()]);
    command.args(["--build-threads", &args.build_threads.to_string()]);
    command.args(["--child", stage, task, engine]);
    for pool in ["RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"] {
        command.env(pool, threads.to_string());
    }
    let status = command.status()?;
    if !status.success() {
        eprintln!("{task} {engine}: {stage} failed ({status})");
    }
    Ok(status.success())
}

fn build<S, Q>(
    args: &Args,
    engine: &Engine<S, Q>,
    contest: &Contest<'_, S, Q>,
    dir: &Path,
) -> Outcome<()> {
    let Some(build) = &engine.build else { return Ok(()) };
    let index = dir.join("index");
    let begin = Instant::now();
    build(contest.set, &index, args.build_threads)?;
    let (seconds, threads) = (begin.elapsed().as_secs_f64(), args.build_threads);
    let built = Built { version: engine.version.to_owned(), seconds, threads };
    fs::write(dir.join("built.json"), serde_json::to_vec(&built)?)?;
    Ok(())
}

fn search<S, Q>(
    args: &Args,
    engine: &Engine<S, Q>,
    contest: &Contest<'_, S, Q>,
    dir: &Path,
) -> Outcome<()> {
    let index = dir.join("index");
    let before = Memory::now();
    let begin = Instant::now();
    let settings = (engine.open)(contest.set, &index)?;
    let opened = begin.elapsed().as_secs_f64();
    let (built, bytes) = match &engine.build {
        Some(_) => (read_built(dir), Some(bytes_on_disk(&index)?)),
        None => (None, None),
    };
    let queries = &contest.queries[..contest.queries.len().min(args.limit)];
    for mut setting in settings {
        let ks = if setting.ks.is_empty() { args.ks.clone() } else { setting.ks.clone() };
        for k in ks {
            let passes = args.passes.min(engine.passes);
            let timed = time(queries, passes, |query| (setting.ask)(query, k))?;
            let memory = Memory::now().since(before);
            let p50 = quantile(&timed.micros, 0.5);
            let reranked = contest.reranked;
            say(&Row {
                task: contest.task.to_owned(),
                set: contest.name.to_owned(),
                queries: contest.query_kind.to_owned(),
                engine: engine.name.to_owned(),
                version: engine.version.to_owned(),
                setting: setting.label.clone(),
                language: "rust".to_owned(),
                k,
                asked: queries.len(),
                passes: timed.passes,
                recall10: round(recall(&timed.answers, &contest.truth.ids, 10), 4),
                recall100: (k >= 100)
                    .then(|| round(recall(&timed.answers, &contest.truth.ids, 100), 4)),
                p50_us: round(p50, 1),
                p99_us: round(quantile(&timed.micros, 0.99), 1),
                mean_us: round(mean(&timed.micros), 1),
                us_per_document: reranked.map(|documents| round(p50 / documents as f64, 3)),
                max_error: reranked.map(|_| round(worst(&timed.answers, contest.truth), 5)),
                build_s: Some(round(built.as_ref().map_or(opened, |built| built.seconds), 2)),
                build_threads: built.as_ref().map_or(1, |built| built.threads),
                bytes,
                bytes_per_unit: bytes.map(|bytes| round(bytes as f64 / contest.units as f64, 3)),
                own_mib: round(memory.own, 1),
                mapped_mib: round(memory.mapped, 1),
            })?;
        }
    }
    Ok(())
}

/// The largest difference of a returned score from the exact one of the same row.
fn worst(answers: &[crate::Found], truth: &Truth) -> f64 {
    let exact = truth.ids.iter().zip(&truth.scores);
    let errors = answers.iter().zip(exact).flat_map(|(answer, (ids, scores))| {
        answer.iter().filter_map(move |&(row, score)| {
            let at = ids.iter().position(|&id| id == row)?;
            Some(f64::from((score - scores[at]).abs()))
        })
    });
    errors.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Outcome<Args> {
        Args::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn the_command_line() {
        let args = parse("sets/wiki --engines lateen,qdrant --k 5 --build-threads 2").unwrap();
        assert_eq!((args.ks.as_slice(), args.build_threads), ([5].as_slice(), 2));
        assert!(args.wants("lateen-f16") && args.wants("qdrant-edge") && !args.wants("sporse"));
        assert!(args.child_task().is_none());
        assert!(parse("--k").is_err());
        assert!(parse("--frobnicate").is_err());
        let child = parse("s --child build search numkong").unwrap();
        assert_eq!(child.child_task(), Some("search"));
    }

    #[test]
    fn the_worst_score_is_found() {
        let truth = Truth { ids: vec![vec![4, 5]], scores: vec![vec![2.0, 1.0]] };
        let answers = vec![vec![(5, 1.25), (4, 2.0), (6, 9.0)]];
        assert_eq!(worst(&answers, &truth), 0.25);
    }
}
