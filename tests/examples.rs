//! Every example runs.

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
#[path = "../examples/quickstart.rs"]
mod quickstart;
#[path = "../examples/update_delete.rs"]
mod update_delete;

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
fn quickstart_runs() {
    quickstart::main().unwrap();
}

#[test]
fn update_delete_runs() {
    update_delete::main().unwrap();
}

#[test]
fn examples_are_short() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        let limit = if path.ends_with("quickstart.rs") { 130 } else { 80 };
        assert!(lines < limit, "{}: {lines} lines", path.display());
    }
}
