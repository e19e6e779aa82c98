//! Every example runs, and is short enough to be read at a glance.

#[path = "../examples/batch.rs"]
mod batch;
#[path = "../examples/effort.rs"]
mod effort;
#[path = "../examples/explain.rs"]
mod explain;
#[path = "../examples/filters.rs"]
mod filters;
#[cfg(feature = "readers")]
#[path = "../examples/from_files.rs"]
mod from_files;
#[path = "../examples/hybrid.rs"]
mod hybrid;
#[path = "../examples/living.rs"]
mod living;
#[path = "../examples/packed.rs"]
mod packed;
#[path = "../examples/pages.rs"]
mod pages;
#[path = "../examples/quickstart.rs"]
mod quickstart;
#[path = "../examples/rerank_outside.rs"]
mod rerank_outside;
#[path = "../examples/update_delete.rs"]
mod update_delete;
#[path = "../examples/vocabulary.rs"]
mod vocabulary;

#[test]
fn batch_runs() {
    batch::main().unwrap();
}

#[test]
fn effort_runs() {
    effort::main().unwrap();
}

#[test]
fn explain_runs() {
    explain::main().unwrap();
}

#[test]
fn filters_runs() {
    filters::main().unwrap();
}

#[cfg(feature = "readers")]
#[test]
fn from_files_runs() {
    from_files::main().unwrap();
}

#[test]
fn hybrid_runs() {
    hybrid::main().unwrap();
}

#[test]
fn living_runs() {
    living::main().unwrap();
}

#[test]
fn packed_runs() {
    packed::main().unwrap();
}

#[test]
fn pages_runs() {
    pages::main().unwrap();
}

#[test]
fn quickstart_runs() {
    quickstart::main().unwrap();
}

#[test]
fn rerank_outside_runs() {
    rerank_outside::main().unwrap();
}

#[test]
fn update_delete_runs() {
    update_delete::main().unwrap();
}

#[test]
fn vocabulary_runs() {
    vocabulary::main().unwrap();
}

/// The examples are the cookbook: each teaches one thing, and all of them are run here.
#[test]
fn they_are_short_and_all_are_here() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = std::fs::read_to_string(root.join("tests/examples.rs")).unwrap();
    let mut count = 0;
    for entry in std::fs::read_dir(root.join("examples")).unwrap() {
        let path = entry.unwrap().path();
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < 80, "{}: {lines} lines", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(own.contains(&format!("../examples/{name}")), "{name} is not run");
        count += 1;
    }
    assert!(count >= 10);
}
