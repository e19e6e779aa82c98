//! The lines that the comparison prints.

use serde::{Deserialize, Serialize};

/// The first line: where the figures come from.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Processors that this process may use.
    pub cpus: usize,
    /// The kernel level that Lateen chose.
    pub kernel_level: String,
    /// Processes that wanted to run, averaged over the last minute: above 0, others were at work.
    pub load: f64,
}

impl Machine {
    /// This one.
    pub fn this() -> Self {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().and_then(|load| load.parse().ok());
        Self {
            cpu: name.unwrap_or("unknown").trim().to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel_level: kernel_level(),
            load: load.unwrap_or(-1.0),
        }
    }
}

#[cfg(feature = "lateen")]
fn kernel_level() -> String {
    lateen::KernelLevel::detect().to_string()
}

#[cfg(not(feature = "lateen"))]
fn kernel_level() -> String {
    "no lateen in this build".to_owned()
}

/// One engine at one setting, asked by one thread, one query after another.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Row {
    /// What was asked: `sparse`, `search` (MaxSim over all documents), `rerank` (MaxSim over 100
    /// given documents).
    pub task: String,
    /// The set.
    pub set: String,
    /// Which of the set's queries.
    pub queries: String,
    /// The engine.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// Its setting.
    pub setting: String,
    /// The language the call was made from: Python adds some microseconds to each.
    pub language: String,
    /// Hits asked for.
    pub k: usize,
    /// Number of queries.
    pub asked: usize,
    /// Passes; a query's time is the least of its passes.
    pub passes: usize,
    /// Mean share of the exact top 10 that was found.
    pub recall10: f64,
    /// Mean share of the exact top 100, where 100 hits were asked for.
    pub recall100: Option<f64>,
    /// Median over the queries, in microseconds.
    pub p50_us: f64,
    /// 99th percentile over the queries.
    pub p99_us: f64,
    /// Mean over the queries.
    pub mean_us: f64,
    /// Rerank only: the median divided by the number of documents.
    pub us_per_document: Option<f64>,
    /// Rerank only: largest difference of a returned score from the exact one.
    pub max_error: Option<f64>,
    /// Seconds from vectors in memory to an index that answers; `None` where nothing is built.
    pub build_s: Option<f64>,
    /// Threads that the build could use.
    pub build_threads: usize,
    /// Bytes of the index on disk, or what it occupies in memory where it has no files.
    pub bytes: Option<u64>,
    /// Those bytes per posting, or per token.
    pub bytes_per_unit: Option<f64>,
    /// Memory that the engine holds while it answers, in MiB, above what the process had before
    /// it opened the index.
    pub own_mib: f64,
    /// Pages of its mapped files that are resident, in MiB.
    pub mapped_mib: f64,
}

/// A number with so many decimals.
pub fn round(value: f64, decimals: i32) -> f64 {
    let unit = 10f64.powi(decimals);
    (value * unit).round() / unit
}
