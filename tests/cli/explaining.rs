//! Where scores come from, as text, data and pages.

use serde_json::Value;

use super::*;

/// What some parts add.
fn adds(parts: &Value) -> f64 {
    parts.as_array().unwrap().iter().map(|part| part["adds"].as_f64().unwrap()).sum()
}

fn json(place: &Place, line: &str) -> Value {
    serde_json::from_str(&place.ok(line)).unwrap()
}

#[test]
fn explanations_are_a_page_or_data() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let line = "search wiki --set SET --mode union --top 3 --run out.run --query wikiq-1045";
    place.ok(&format!("{line} --explain told.json"));
    let told = fs::read(place.path("told.json")).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(told["query"], "wikiq-1045");
    let hits = told["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 3);
    for hit in hits {
        let score = hit["score"].as_f64().unwrap();
        assert!((adds(&hit["tokens"]) - score).abs() < 1e-5 * score);
        assert_eq!(hit["parts"].as_array().unwrap().len(), 2);
        assert!(!hit["highlights"].as_array().unwrap().is_empty());
    }
    place.ok(&format!("{line} --explain told.html"));
    let page = fs::read_to_string(place.path("told.html")).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.contains("<mark style"));
    assert!(page.contains("Sufi mystic") && !page.contains("http"), "nothing from elsewhere");
    let said = place.fails(
        3,
        "search wiki --set SET --mode union --top 3 --run out.run --query x --explain y.html",
    );
    assert!(said.contains("x: no such query"), "{said}");
}

/// In each way of asking the parts of a score are the score, for the first hits and for any key.
#[test]
fn parts_add_up_to_the_score_of_the_run() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    for mode in MODES {
        let flags = format!("--mode {mode} --exact");
        let run = read(&place.run("wiki", &format!("{flags} --top 20")));
        let (_, ranking) = run.rankings().find(|(query, _)| *query == "wikiq-1045").unwrap();
        let told = json(
            &place,
            &format!("explain wiki --set SET {flags} --query wikiq-1045 --top 5 --json"),
        );
        let hits = told["hits"].as_array().unwrap();
        assert_eq!(hits.len(), 5, "{mode}");
        let deep = &ranking[17].document;
        let deep = json(
            &place,
            &format!("explain wiki {deep} --set SET {flags} --query wikiq-1045 --json"),
        );
        let deep = &deep["hits"][0];
        assert_eq!(deep["rank"], 18, "{mode}");
        for (hit, ranked) in hits.iter().zip(ranking).chain([(deep, &ranking[17])]) {
            assert_eq!(hit["key"], ranked.document.as_str(), "{mode}");
            let parts = match mode {
                "sparse" => adds(&hit["terms"]),
                "rrf" | "weighted" => adds(&hit["parts"]),
                _ => adds(&hit["tokens"]),
            };
            let score = f64::from(ranked.score);
            for value in [parts, hit["sum"].as_f64().unwrap(), hit["score"].as_f64().unwrap()] {
                assert!((value - score).abs() < 1e-5 * score.abs().max(1.0), "{mode}: {hit}");
            }
        }
    }
}

#[test]
fn a_terminal_reads_words_and_numbers() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let line = "explain wiki --set SET --query wikiq-1045";
    let text = place.ok(&format!("{line} --mode union --top 1"));
    assert_eq!(text.matches("of the query").count(), 1, "the same table twice: {text}");
    assert!(text.starts_with("wikiq-1045  "), "{text}");
    for words in
        ["1. wiki-", "the parts add up to ", "search 1 (sparse): rank ", "of the query", "Sufi"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    // What feedback adds is told, and its rows are known from the query's own.
    let text = place.ok(&format!("{line} --mode union --top 1 --feedback"));
    for words in ["feedback is from wiki-", "it adds to the weights of ", "token row", "added row "]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let data = place.ok(&format!("{line} --mode sparse --top 1 --feedback --json"));
    let data: serde_json::Value = serde_json::from_str(&data).unwrap();
    let told = &data["hits"][0]["feedback"];
    assert!(told["documents"][0].is_string() && told["terms"][0][0]["adds"].is_number(), "{told}");
    // The set's vocabulary names the terms; nobody watches, so there are no colours.
    let text = place.ok(&format!("{line} --mode sparse --top 1"));
    assert!(text.contains("in the document") && text.contains("mystic"), "{text}");
    assert!(!text.contains('\x1b'), "{text}");
    let said = place.ok(&format!("{line} --mode tokens --html told.html"));
    assert_eq!(said, "told.html: 3 documents; open it in a browser\n");
    let page = fs::read_to_string(place.path("told.html")).unwrap();
    assert!(page.contains("document →") && page.contains("query ↓"), "the axes");
    assert!(page.matches("<h2>").count() == 3 && page.contains("<mark style"));
    let told = json(&place, &format!("{line} --mode sparse --top 1 --json --html more.html"));
    let terms = told["hits"][0]["terms"].as_array().unwrap();
    assert!(terms.iter().any(|term| term["word"] == "mystic"), "{told}");
    assert_eq!(place.names(), ["more.html", "told.html", "wiki"]);
}

#[test]
fn a_key_that_is_no_hit_says_why() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let line = "--set SET --query wikiq-1045";
    let said = place.fails(3, &format!("explain wiki nobody {line} --mode sparse"));
    assert!(said.contains("nobody: no document of the index has this key"), "{said}");
    let said = place.fails(3, "explain wiki --set SET --query x --mode sparse");
    assert!(said.contains("x: no such query"), "{said}");
    place.fails(2, &format!("explain wiki a {line} --mode sparse --top 3"));
    // Found by MaxSim, but no candidate of so few.
    let far = read(&place.run("wiki", "--mode tokens --exact --top 400"));
    let (_, far) = far.rankings().find(|(query, _)| *query == "wikiq-1045").unwrap();
    let far = &far[399].document;
    let told =
        json(&place, &format!("explain wiki {far} {line} --mode union --candidates 5 --json"));
    let hit = &told["hits"][0];
    assert!(hit["rank"].is_null() && hit["score"].is_null(), "{hit}");
    assert!(hit["note"].as_str().unwrap().contains("not among the candidates"), "{hit}");
    assert!(!hit["tokens"].as_array().unwrap().is_empty());
    // With numbers as keys.
    fs::write(
        place.path("schema.toml"),
        "keys = \"u64\"\n[[field]]\nname = \"s\"\nkind = \"sparse\"\n",
    )
    .unwrap();
    fs::create_dir(place.path("set")).unwrap();
    let lines = "{\"id\": 7, \"text\": \"one\", \"vector\": {\"5\": 1}}\n{\"id\": 8, \"text\": \"two\", \"vector\": {\"6\": 1}}\n";
    fs::write(place.path("in.jsonl"), lines).unwrap();
    place.ok("build numbers --texts in.jsonl --term-ids --schema schema.toml");
    let said = place.fails(3, &format!("explain numbers seven {line} --mode sparse"));
    assert!(said.contains("whole numbers"), "{said}");
    let text = place.ok(&format!("explain numbers 7 {line} --mode sparse"));
    assert!(text.contains("nothing in common"), "{text}");
}
