//! The plan of the house, held by a test: imports run downwards only, `unsafe` stands in its two
//! rooms, no file is longer than can be read in one sitting.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top down, each with the rooms that it may import from. A room may always
/// import from itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("index", &["search", "segment", "kernel", "format", "embed", "storage", "schema"]),
    ("search", &["segment", "sparse", "tokens", "kernel", "embed", "schema"]),
    ("segment", &["sparse", "tokens", "kernel", "format", "embed", "storage", "schema"]),
    ("sparse", &["codec", "kernel", "format", "embed", "storage", "schema"]),
    ("tokens", &["codec", "kernel", "format", "embed", "schema"]),
    ("format", &["storage", "schema"]),
    ("codec", &["kernel"]),
    ("kernel", &[]),
    ("embed", &["storage", "schema"]),
    ("eval", &["embed"]),
    ("storage", &[]),
    ("guide", &[]),
    ("schema", &[]),
];

/// What everyone may use, and what uses nothing but one another.
const FOUNDATIONS: &[&str] =
    &["docset", "topk", "ordered", "id", "error", "limits", "mix", "shared", "stop", "trace"];

/// Longest file, in lines.
const LONGEST: usize = 700;

fn rust_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn src() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The room of a file below `src`, or `None` for the front door and the command.
fn room(path: &Path) -> Option<String> {
    let below = path.strip_prefix(src()).unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (name != "lib" && name != "bin").then(|| name.to_owned())
}

/// Whether a file below `src` belongs to a test module that has files of its own: like the test
/// module at a file's end, it may use what it needs.
fn in_test_module(path: &Path) -> bool {
    let below = path.strip_prefix(src()).unwrap();
    below.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

/// A file's code without comments, string literals and the test module at its end.
fn code(text: &str) -> String {
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    body.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The rooms that a file names after `crate::`, alone or in a group.
fn imports(text: &str) -> BTreeSet<String> {
    let code = code(text);
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 1;
            let mut name = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                let ends = depth == 0 || (depth == 1 && c == ',');
                if ends {
                    let first = name.trim().split("::").next().unwrap_or("").trim();
                    found.insert(first.to_owned());
                    name.clear();
                } else {
                    name.push(c);
                }
                if depth == 0 {
                    break;
                }
            }
        } else {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            found.insert(rest[..end].to_owned());
        }
    }
    found
}

#[test]
fn imports_run_downwards() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut faults = Vec::new();
    for path in rust_files(&src()) {
        let Some(own) = room(&path) else { continue };
        if in_test_module(&path) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let foundation = FOUNDATIONS.contains(&own.as_str());
        if !foundation && !allowed.contains_key(own.as_str()) {
            faults.push(format!("{}: room {own:?} is not in the plan", path.display()));
            continue;
        }
        for import in imports(&text) {
            // What starts with a capital is re-exported at the front door: an error or a result.
            let shared = import.starts_with(char::is_uppercase)
                || import == own
                || FOUNDATIONS.contains(&import.as_str());
            let down = !foundation && allowed[own.as_str()].contains(&import.as_str());
            if !shared && !down {
                faults.push(format!("{}: {own} imports {import}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "against the plan of the house:\n{}", faults.join("\n"));
}

#[test]
fn the_plan_has_no_circle() {
    let order: Vec<&str> = ROOMS.iter().map(|(name, _)| *name).collect();
    let edges: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    // Remove rooms that import from none that is left; a circle would leave some for ever.
    let mut left: BTreeSet<&str> = order.iter().copied().collect();
    loop {
        let free: Vec<&str> = left
            .iter()
            .copied()
            .filter(|room| edges[room].iter().all(|below| !left.contains(below)))
            .collect();
        if free.is_empty() {
            break;
        }
        for room in free {
            assert!(left.remove(room));
        }
    }
    assert!(left.is_empty(), "a circle among {left:?}");
}

/// How many `unsafe` blocks, functions and implementations there are. Who adds one shows that its
/// proof holds, and counts it here.
const UNSAFE: usize = 101;

#[test]
fn unsafe_stands_in_its_two_rooms() {
    let mut total = 0;
    for path in rust_files(&src()) {
        let text = fs::read_to_string(&path).unwrap();
        let below = path.strip_prefix(src()).unwrap();
        let allowed = below.starts_with("kernel") || below == Path::new("storage/map.rs");
        let code = code(&text);
        let blocks = ["unsafe {", "unsafe fn", "unsafe impl"];
        let blocks: usize = blocks.iter().map(|word| code.matches(word).count()).sum();
        total += blocks;
        assert!(allowed || blocks == 0, "{}: unsafe outside its rooms", path.display());
        let proofs = text.matches("// SAFETY:").count() + text.matches("# Safety").count();
        assert!(blocks <= proofs, "{}: {blocks} unsafe, {proofs} proofs", path.display());
    }
    assert_eq!(total, UNSAFE, "unsafe: look at each proof, then count it in this file");
}

#[test]
fn files_can_be_read_in_one_sitting() {
    let mut lengths: Vec<(usize, PathBuf)> = rust_files(&src())
        .into_iter()
        .map(|path| (fs::read_to_string(&path).unwrap().lines().count(), path))
        .collect();
    lengths.sort();
    let (longest, path) = lengths.last().unwrap();
    assert!(*longest <= LONGEST, "{}: {longest} lines", path.display());
    let median = lengths[lengths.len() / 2].0;
    assert!(median <= 200, "the median file has {median} lines");
}

/// The packages that some build of this one takes in, a line of each.
fn packages(args: &[&str]) -> BTreeSet<String> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--locked", "--edges", "normal,build", "--prefix", "none"])
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| line.trim_end_matches(" (*)").to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// What a user of the library takes on: the runtime part of the lock file stays small.
#[test]
fn the_library_needs_few_packages() {
    let packages = packages(&["--no-default-features", "--target", "x86_64-unknown-linux-gnu"]);
    let count: BTreeSet<&str> =
        packages.iter().filter_map(|line| line.split(" (").next()).collect();
    assert!(count.len() < 50, "{} packages:\n{packages:#?}", count.len());
    // The README says how many there are beside ours.
    let stated = format!("takes on {} other packages", count.len() - 1);
    assert!(include_str!("../README.md").contains(&stated), "the README: {stated}");
}

/// Licences that may be used together with ours.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Every package of the library and the command on this system: from the registry, and under
/// licences of the list.
#[test]
fn what_is_taken_in_has_a_home_and_a_licence() {
    let packages = packages(&["--all-features", "--format", "{p}: {l}"]);
    assert!(packages.len() > 50);
    for package in packages {
        let (name, licence) = package.split_once(": ").unwrap();
        // A package from elsewhere has its place in brackets.
        let ours = name.starts_with("lateen v");
        let home = name.split_once('(').is_none_or(|(_, rest)| rest.starts_with("proc-macro)"));
        assert!(ours || home, "{package}: not from the registry");
        for all in licence.split(" AND ") {
            let mut any = all.trim_matches(['(', ')']).split(" OR ").flat_map(|l| l.split('/'));
            assert!(any.any(|one| LICENCES.contains(&one)), "{package}");
        }
    }
}
