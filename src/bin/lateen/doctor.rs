//! `lateen doctor`: what this machine offers, and why an index does not open.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use lateen::{Index, KernelLevel};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::text;

/// Tell what this machine offers and, of an index, why it does not open
///
/// The instruction sets there are and the one that is used; cores, memory and limits of mappings;
/// and of an INDEX whether it opens, whether a writer has it, and what to do where something is
/// wrong. The exit code is that of the first cause.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An index: a directory, or a packed file
    index: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// What is known of an index.
struct Patient {
    place: String,
    opened: Result<(u64, u64), Failure>,
    lock: &'static str,
    leftovers: Vec<String>,
}

/// Looks; gives what was found.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let patient = args.index.as_deref().map(examine);
    let machine = machine();
    let report = if args.json {
        format!("{:#}\n", as_json(&machine, patient.as_ref()))
    } else {
        as_text(&machine, patient.as_ref())
    };
    match patient.map(|patient| patient.opened) {
        Some(Err(failure)) => {
            super::write_report(&report)?;
            Err(failure)
        }
        _ => Ok(report),
    }
}

struct Machine {
    levels: Vec<String>,
    /// What is used; the words of the refusal where the switch asks for what is not there.
    used: Result<String, String>,
    /// What the environment's switch says, where it is set.
    switch: Option<String>,
    cores: usize,
    /// Bytes that can be had without swapping.
    memory: Option<u64>,
    maps: Option<u64>,
}

fn machine() -> Machine {
    #[allow(clippy::disallowed_methods, reason = "the test switch of the kernels, told of here")]
    let switch = std::env::var("LATEEN_KERNEL").ok().filter(|name| !name.is_empty());
    let available = KernelLevel::available();
    let used = match &switch {
        None => Ok(KernelLevel::detect().to_string()),
        Some(name) => match name.parse::<KernelLevel>() {
            Ok(level) if available.contains(&level) => Ok(level.to_string()),
            Ok(_) => Err(format!("LATEEN_KERNEL={name}: this CPU lacks it; unset the variable")),
            Err(error) => Err(error.to_string()),
        },
    };
    Machine {
        levels: available.iter().map(ToString::to_string).collect(),
        used,
        switch,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory: fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
        }),
        maps: fs::read_to_string("/proc/sys/vm/max_map_count")
            .ok()
            .and_then(|text| text.trim().parse().ok()),
    }
}

fn examine(path: &Path) -> Patient {
    let opened = Index::open(path)
        .map(|index| (index.len(), index.info().bytes()))
        .map_err(|error| Failure::index(path, error));
    let mut leftovers = Vec::new();
    if let Some(name) = path.file_name() {
        for end in [".building", ".replaced"] {
            let beside = path.with_file_name(format!(".{}{end}", name.to_string_lossy()));
            if beside.exists() {
                leftovers.push(beside.display().to_string());
            }
        }
    }
    Patient { place: path.display().to_string(), opened, lock: lock(path), leftovers }
}

/// Whether a writer has an index.
fn lock(path: &Path) -> &'static str {
    if !path.is_dir() {
        return "none: not a directory";
    }
    match File::options().read(true).write(true).open(path.join("LOCK")).map(|file| file.try_lock())
    {
        Err(_) => "none that can be opened for writing",
        Ok(Ok(())) => "free",
        Ok(Err(TryLockError::WouldBlock)) => "held by a writer, which readers do not mind",
        Ok(Err(TryLockError::Error(_))) => "not supported by this file system",
    }
}

fn as_text(machine: &Machine, patient: Option<&Patient>) -> String {
    let unknown = || "unknown".to_owned();
    let used = match (&machine.used, &machine.switch) {
        (Ok(level), Some(_)) => format!("{level} (LATEEN_KERNEL says so)"),
        (Ok(level), None) => level.clone(),
        (Err(what), _) => format!("none: {what}"),
    };
    let mut report = text::facts(&[
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("kernels", machine.levels.join(", ")),
        ("used", used),
        ("cores", machine.cores.to_string()),
        ("memory", machine.memory.map_or_else(unknown, text::bytes) + " available"),
        ("mappings", machine.maps.map_or_else(unknown, text::count) + " at most in a process"),
    ]);
    if let Some(patient) = patient {
        let opens = match &patient.opened {
            Ok((documents, bytes)) => {
                format!("yes: {}, {}", text::many(*documents, "document"), text::bytes(*bytes))
            }
            Err(failure) => format!("no: {}", failure.cause()),
        };
        let mut facts =
            vec![("index", patient.place.clone()), ("opens", opens), ("lock", patient.lock.into())];
        match &patient.opened {
            Ok(_) => facts.push(("next", "`lateen verify` reads every byte".to_owned())),
            Err(failure) => facts.extend(failure.advice().map(|what| ("do", what.to_owned()))),
        }
        if let (Ok((_, bytes)), Some(memory)) = (&patient.opened, machine.memory)
            && *bytes > memory
        {
            facts.push(("note", "larger than the memory there is: the disk will be read".into()));
        }
        for place in &patient.leftovers {
            facts.push(("left over", format!("{place}; the next build of this name clears it")));
        }
        report.push('\n');
        report += &text::facts(&facts);
    }
    report
}

fn as_json(machine: &Machine, patient: Option<&Patient>) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "kernels": machine.levels,
        "used": machine.used.as_ref().ok(),
        "switch": machine.switch,
        "cores": machine.cores,
        "memory_available": machine.memory,
        "max_map_count": machine.maps,
        "index": patient.map(|patient| json!({
            "path": patient.place,
            "opens": patient.opened.is_ok(),
            "documents": patient.opened.as_ref().ok().map(|(documents, _)| documents),
            "bytes": patient.opened.as_ref().ok().map(|(_, bytes)| bytes),
            "cause": patient.opened.as_ref().err().map(Failure::cause),
            "advice": patient.opened.as_ref().err().and_then(Failure::advice),
            "lock": patient.lock,
            "left_over": patient.leftovers,
        })),
    })
}
