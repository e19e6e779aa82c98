//! Lateen beside other engines, on the same vectors, in one run.
//!
//! Three commands: `sparse` and `late` measure, one JSON line for each engine and setting; `table`
//! turns such lines, also those of the Python scripts beside this crate, into Markdown. What each
//! number means stands with [`report::Row`]; the commands, the engines' settings and what failed
//! to build stand in the `README.md`.
//!
//! An engine is two functions: one builds an index from the set into a folder, in a process of its
//! own, and one opens it and returns, for each setting, a closure from a query to ranked rows. So
//! an engine's memory is its own, nothing that the build left behind is counted or reused, and an
//! engine that crashes takes no other with it.

pub mod drive;
pub mod late;
pub mod measure;
pub mod npy;
pub mod report;
pub mod sets;
pub mod sparse;
pub mod table;

/// What can go wrong in a benchmark: anything. It is printed, and the engine is left out.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Rows found, best first, with their scores in the engine's own units.
pub type Found = Vec<(u32, f32)>;

/// Answers a query with the best `k` rows.
pub type Ask<Q> = Box<dyn FnMut(&Q, usize) -> Outcome<Found>>;

/// An opened index at one setting.
pub struct Setting<Q> {
    /// What is set, in the engine's own words.
    pub label: String,
    /// The numbers of hits it is asked for; empty for all that the run asks.
    pub ks: Vec<usize>,
    /// The question, from borrowed slices to ranked rows: all of it is timed.
    pub ask: Ask<Q>,
}

impl<Q> Setting<Q> {
    /// A setting that is asked for every `k` of the run.
    pub fn new(
        label: impl Into<String>,
        ask: impl FnMut(&Q, usize) -> Outcome<Found> + 'static,
    ) -> Self {
        Self { label: label.into(), ks: Vec::new(), ask: Box::new(ask) }
    }

    /// Asks it for these numbers of hits only.
    #[must_use]
    pub fn only(mut self, ks: impl Into<Vec<usize>>) -> Self {
        self.ks = ks.into();
        self
    }
}

/// Builds an index of a set in a folder, with so many threads.
pub type Build<S> = Box<dyn Fn(&S, &std::path::Path, usize) -> Outcome<()>>;

/// Opens what was built.
pub type Open<S, Q> = Box<dyn Fn(&S, &std::path::Path) -> Outcome<Vec<Setting<Q>>>>;

/// One engine of a comparison.
pub struct Engine<S, Q> {
    /// Its name: that of its crate, and what tells two indexes of one crate apart.
    pub name: &'static str,
    /// The version of its crate.
    pub version: &'static str,
    /// Builds; `None` where the engine has no files and is built as it is opened.
    pub build: Option<Build<S>>,
    /// Whether what was built is good for later runs: true for a slow build of a pinned crate.
    pub keep: bool,
    /// Opens, or builds in memory.
    pub open: Open<S, Q>,
    /// The most passes over the queries; for exhaustive scans, which take long and vary little.
    pub passes: usize,
}
