//! What the command costs: `lateen build` of a set beside the library's own rate over the same set,
//! each in turn, with the same threads and memory.
//!
//! ```sh
//! LATEEN_SETS=sets cargo bench --features cli --bench building -- mixed 3 2 512
//! ```
//!
//! says set, rounds, threads and MiB, which are these without it. The library's rate is of a loop
//! that reads the set in chunks and adds them as batches, with texts and sources, as the command
//! does; `arrays` is the same without reading texts, which no one who wants texts can have.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use lateen::readers::{EmbeddingSet, NpyArray};
use lateen::{Batch, IndexWriter, Schema, SparseBatch};

/// Documents handed over at once, as the command does.
const CHUNK: usize = 2048;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(sets) = std::env::var_os("LATEEN_SETS").map(PathBuf::from) else {
        println!("skipped: LATEEN_SETS names no folder of sets");
        return Ok(());
    };
    // Cargo adds a flag of its own.
    let given: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let value = |at: usize, usual: &str| given.get(at).map_or(usual, String::as_str).to_owned();
    let set = sets.join(value(0, "mixed"));
    let number = |at, usual| value(at, usual).parse::<usize>();
    let (rounds, threads, memory) = (number(1, "3")?, number(2, "2")?, number(3, "512")?);
    let mut seconds = [const { Vec::new() }; 3];
    for _ in 0..rounds {
        seconds[0].push(library(&set, threads, memory)?);
        seconds[1].push(command(&set, threads, memory)?);
        seconds[2].push(arrays(&set, threads, memory)?);
    }
    let medians = seconds.map(|mut times| {
        times.sort_by(f64::total_cmp);
        (times[times.len() / 2], times)
    });
    for (what, (median, times)) in ["library", "command", "arrays"].iter().zip(&medians) {
        println!("{what:8} {median:7.3} s of {times:.3?}");
    }
    println!("command / library: {:.3}", medians[1].0 / medians[0].0);
    println!("command / arrays:  {:.3}", medians[1].0 / medians[2].0);
    Ok(())
}

fn schema() -> lateen::Result<(Schema, lateen::SparseField, lateen::KeywordField)> {
    let mut schema = Schema::builder();
    let (sparse, src) = (schema.sparse("sparse"), schema.keyword("src"));
    Ok((schema.build()?, sparse, src))
}

fn writer(
    folder: &Path,
    schema: Schema,
    threads: usize,
    memory: usize,
) -> lateen::Result<IndexWriter> {
    let options = IndexWriter::options().threads(threads).memory(memory << 20);
    options.create(folder.join("index"), schema)
}

/// The rate of a program that reads the set by the library's reader.
fn library(set: &Path, threads: usize, memory: usize) -> lateen::Result<f64> {
    let start = Instant::now();
    let folder = tempfile::tempdir().expect("a folder for the index");
    let (schema, sparse, src) = schema()?;
    let mut writer = writer(folder.path(), schema, threads, memory)?;
    let documents = EmbeddingSet::open(set)?.documents()?;
    for chunk in documents.chunks(CHUNK)? {
        let chunk = chunk?;
        let sources: Vec<Vec<&str>> =
            chunk.sources().iter().map(|source| source.as_deref().into_iter().collect()).collect();
        let mut batch = Batch::new(chunk.ids().iter().map(String::as_str))
            .payloads(chunk.texts())?
            .keywords(&src, &sources)?;
        if let Some(rows) = chunk.sparse() {
            batch = batch.sparse(&sparse, &rows)?;
        }
        writer.add_batch(&batch)?;
    }
    writer.commit()?;
    Ok(start.elapsed().as_secs_f64())
}

/// The rate over the arrays alone: keys are numbers in words, and there is no text.
fn arrays(set: &Path, threads: usize, memory: usize) -> lateen::Result<f64> {
    let start = Instant::now();
    let folder = tempfile::tempdir().expect("a folder for the index");
    let (schema, sparse, _) = schema()?;
    let mut writer = writer(folder.path(), schema, threads, memory)?;
    let open = |what: &str| NpyArray::open(set.join(format!("sparse_docs_{what}.npy")));
    let (starts, terms, weights) = (open("indptr")?, open("indices")?, open("values")?);
    let (starts, terms, weights) = (starts.usizes()?, terms.ints()?, weights.floats()?);
    let numbers: Vec<usize> = (0..starts.len() - 1).collect();
    for rows in numbers.chunks(CHUNK) {
        let starts = &starts[rows[0]..=rows[0] + rows.len()];
        let part = starts[0]..starts[rows.len()];
        let (Some(terms), Some(weights)) = (terms.slice(part.clone()), weights.slice(part)) else {
            panic!("the offsets are of other arrays");
        };
        let starts: Vec<u64> = starts.iter().map(|at| (at - starts[0]) as u64).collect();
        let batch = Batch::new(rows.iter().map(ToString::to_string))
            .sparse(&sparse, &SparseBatch::csr(&starts, terms, weights))?;
        writer.add_batch(&batch)?;
    }
    writer.commit()?;
    Ok(start.elapsed().as_secs_f64())
}

/// What the command takes, from its start to its end.
fn command(set: &Path, threads: usize, memory: usize) -> Result<f64, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_lateen"))
        .args(["build", "index", "--threads", &threads.to_string()])
        .args(["--memory", &memory.to_string(), "--set"])
        .arg(set)
        .current_dir(folder.path())
        .stdout(std::process::Stdio::null())
        .status()?;
    let seconds = start.elapsed().as_secs_f64();
    if status.success() { Ok(seconds) } else { Err("lateen build failed".into()) }
}
