//! What the machine offers, why an index does not open, and what is in one that does.

use super::*;

#[test]
fn the_machine_is_told_of() {
    let place = Place::new();
    let said = place.ok("doctor");
    assert!(said.contains("kernels     portable") && said.contains("cores"), "{said}");
    let json = |line: &str| -> serde_json::Value { serde_json::from_str(&place.ok(line)).unwrap() };
    let told = json("doctor --json");
    let level = lateen::KernelLevel::detect().to_string();
    assert_eq!((&told["used"], &told["index"]), (&level.as_str().into(), &serde_json::Value::Null));
    let mut command = place.command("doctor");
    let said = succeeds(command.env("LATEEN_KERNEL", "portable"));
    assert!(said.contains("portable (LATEEN_KERNEL says so)"), "{said}");
    let said = succeeds(place.command("doctor").env("LATEEN_KERNEL", "sse9"));
    assert!(said.contains("none: ") && said.contains("sse9"), "{said}");
}

#[test]
fn the_first_cause_is_named_with_what_to_do() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let said = place.ok("doctor wiki");
    assert!(
        said.contains("opens       yes: 400 documents") && said.contains("lock        free"),
        "{said}"
    );
    let writer = IndexWriter::open(place.path("wiki")).unwrap();
    assert!(place.ok("doctor wiki").contains("held by a writer"));
    drop(writer);
    fs::create_dir(place.path(".wiki.building")).unwrap();
    assert!(place.ok("doctor wiki").contains("left over   .wiki.building"));

    let ill = |code: i32, index: &str, words: &str| {
        let output = place.command(&format!("doctor {index}")).output().unwrap();
        let report = String::from_utf8(output.stdout.clone()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{report}");
        one_line(&output);
        assert!(report.contains("opens       no: ") && report.contains(words), "{report}");
    };
    ill(4, "nowhere", "do          check the path");
    place.ok("pack wiki wiki.lateen");
    let good = fs::read(place.path("wiki.lateen")).unwrap();
    for (at, code, words) in [(8, 4, "a later one"), (20, 5, "build the index again")] {
        let mut bad = good.clone();
        bad[at] ^= 2;
        put(&place.path("wiki.lateen"), &bad);
        ill(code, "wiki.lateen", words);
    }
    let segment = names(&place.path("wiki")).into_iter().find(|name| name.starts_with("seg-"));
    fs::remove_file(place.path("wiki").join(segment.unwrap())).unwrap();
    ill(5, "wiki", "build the index again");
}

#[test]
fn info_counts_what_each_posting_and_row_takes() {
    let place = Place::new();
    place.ok("build wiki --set SET --codec residual4");
    let said = place.ok("info wiki");
    assert!(said.contains("52,179  postings") && said.contains("20,695  rows"), "{said}");
    let told: serde_json::Value = serde_json::from_str(&place.ok("info wiki --json")).unwrap();
    assert_eq!(told["format"], "1.0");
    let vectors = told["segments"][0]["vectors"].as_array().unwrap();
    assert_eq!((&vectors[0]["entries"], &vectors[1]["entries"]), (&52_179.into(), &20_695.into()));
    // How far rows are from their centroids: those of one segment are as far as in training.
    let line = said.lines().find(|line| line.contains("seg-")).expect("a line for the segment");
    assert!(line.starts_with("tokens") && line.ends_with("1.000"), "{line}");
    let drift = &vectors[1]["drift"];
    assert!(vectors[0]["drift"].is_null() && drift["ratio"] == 1.0, "{drift}");
    assert!(drift["trained"] == drift["now"] && drift["now"].as_f64().unwrap() > 0.2, "{drift}");
}

#[test]
fn info_tells_of_rows_that_wait_to_be_packed() {
    let place = Place::new();
    place.ok("build wiki --set SET --codec residual2");
    let stored = || {
        let told: serde_json::Value = serde_json::from_str(&place.ok("info wiki --json")).unwrap();
        let segments = told["segments"].as_array().unwrap().clone();
        let one = |segment: &serde_json::Value| segment["vectors"][1]["codec"].clone();
        segments.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(stored(), ["residual2"]);
    assert!(!place.ok("info wiki").contains("to be packed"));
    // The same documents once more, in place of the first.
    place.ok("add wiki --set SET --replace");
    let waiting = "tokens: 20,695 rows as int8, to be packed as residual2: lateen compact does it";
    assert_eq!(stored(), ["int8"]);
    assert!(place.ok("info wiki").contains(waiting), "{}", place.ok("info wiki"));
    place.ok("verify wiki");
    place.ok("compact wiki");
    assert_eq!(stored(), ["residual2"]);
    place.ok("verify wiki");
}
