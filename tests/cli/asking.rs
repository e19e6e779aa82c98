//! Searching, judging and explaining.

use super::*;

#[test]
fn the_hits_of_one_query_are_shown() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let shown = place.ok("search wiki --set SET --mode rerank --top 3 --query wikiq-1045");
    let run = place.run("wiki", "--mode rerank --top 3");
    let run = String::from_utf8(run).unwrap();
    let hits = run.lines().filter(|line| line.starts_with("wikiq-1045 "));
    let keys: Vec<&str> = hits.map(|line| line.split(' ').nth(2).unwrap()).collect();
    let lines: Vec<&str> = shown.lines().skip(1).collect();
    assert_eq!((keys.len(), lines.len()), (3, 3), "{shown}");
    for (line, key) in lines.iter().zip(&keys) {
        assert!(line.split_whitespace().nth(2) == Some(*key), "{line}");
    }
    place.fails(2, "search wiki --set SET --mode rerank --top 3");
    // The same for a program.
    let line = "search wiki --set SET --mode rerank --top 3 --query wikiq-1045 --json";
    let told: serde_json::Value = serde_json::from_str(&place.ok(line)).unwrap();
    assert!(told["query"] == "wikiq-1045" && told["us"].as_f64().unwrap() > 0.0, "{told}");
    let hits = told["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 3);
    for (rank, (hit, key)) in (1..).zip(hits.iter().zip(&keys)) {
        assert!(hit["key"] == **key && hit["rank"] == rank && hit["parts"].is_null(), "{hit}");
        assert!(!hit["text"].as_str().unwrap().is_empty());
    }
    let told: serde_json::Value =
        serde_json::from_str(&place.ok(&format!("{line} --parts"))).unwrap();
    for hit in told["hits"].as_array().unwrap() {
        let tokens = hit["parts"]["tokens"].as_array().unwrap();
        let sum: f64 = tokens.iter().map(|part| part["adds"].as_f64().unwrap()).sum();
        assert!((sum - hit["score"].as_f64().unwrap()).abs() < 1e-4, "{hit}");
    }
    // All queries, a line each, with the scores of the run; and what the run's summary says.
    let all = place.ok("search wiki --set SET --mode rerank --top 3 --json");
    assert_eq!(all.lines().count(), 60);
    let ranked = read(run.as_bytes());
    for line in all.lines() {
        let told: serde_json::Value = serde_json::from_str(line).unwrap();
        let ranking = ranked.ranking(told["query"].as_str().unwrap()).unwrap();
        for (hit, ranked) in told["hits"].as_array().unwrap().iter().zip(ranking) {
            assert!(hit["score"].as_f64().unwrap() as f32 == ranked.score, "{hit}");
        }
    }
    let said = place.ok("search wiki --set SET --mode rerank --top 3 --run x.run --json");
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&told["queries"], &told["hits"]), (&60.into(), &180.into()));
    assert!(told["median_us"].as_f64().unwrap() <= told["p99_us"].as_f64().unwrap());
    fs::remove_file(place.path("x.run")).unwrap();
    place.fails(3, "search wiki --set SET --mode rerank --top 3 --query nobody");
    assert_eq!(place.names(), ["wiki"]);
}

#[test]
fn every_command_works_on_a_directory_and_on_a_packed_file() {
    let place = Place::new();
    assert!(place.ok("build wiki --set SET").starts_with("wiki: 400 documents in 1 segment"));
    assert!(place.ok("pack wiki wiki.lateen").starts_with("wiki.lateen: 400 documents"));
    for mode in MODES {
        let flags = format!("--mode {mode} --top 20");
        let run = place.run("wiki", &flags);
        assert!(run == place.run("wiki.lateen", &flags), "{mode}");
        assert!(run == place.run("wiki", &format!("{flags} --threads 3")), "{mode}");
        let run = read(&run);
        assert_eq!(run.len(), 60);
        assert!(run.rankings().all(|(_, ranking)| ranking.len() == 20), "{mode}");
    }
    for index in ["wiki", "wiki.lateen"] {
        for flags in ["", " --checksums"] {
            let said = place.ok(&format!("verify {index}{flags}"));
            assert!(said.contains("sound: 400 documents"), "{said}");
        }
        let text = place.ok(&format!("info {index}"));
        assert!(text.contains("documents   400 (0 deleted)"), "{text}");
        assert!(text.contains("dimension 128, int8") && text.contains("SEGMENT_HEAD"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&place.ok(&format!("info {index} --json"))).unwrap();
        assert_eq!((&json["documents"], &json["deleted"]), (&400.into(), &0.into()));
        let names: Vec<&str> = json["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["sparse", "tokens", "src"]);
        assert_eq!(json["segments"][0]["documents"], 400);
        assert!(json["segments"][0]["sections"].as_array().unwrap().len() > 10);
    }
    // A packed file packs again, to the same bytes.
    place.ok("pack wiki.lateen again.lateen");
    let bytes = |name| fs::read(place.path(name)).unwrap();
    assert!(bytes("wiki.lateen") == bytes("again.lateen"));
    assert_eq!(place.names(), ["again.lateen", "wiki", "wiki.lateen"]);
}

#[test]
fn the_top_of_exact_rows_is_the_truth() {
    let place = Place::new();
    place.ok("build wiki --set SET --codec f16");
    place.ok("build small --set SET --codec int8");
    let documents = EmbeddingSet::open(set()).unwrap().documents().unwrap();
    let chunks = documents.chunks(400).unwrap();
    let ids: Vec<String> = chunks.flat_map(|chunk| chunk.unwrap().ids().to_vec()).collect();
    for (mode, truth) in [("sparse", "sparse"), ("tokens", "maxsim")] {
        for flags in ["--top 10", "--top 100 --exact", "--top 100 --effort 1"] {
            let top = if flags.starts_with("--top 100") { 100 } else { 10 };
            agrees(&place.run("wiki", &format!("--mode {mode} {flags}")), &ids, truth, top);
        }
    }
    let tokens = |index| read(&place.run(index, "--mode tokens --top 10 --exact"));
    let truth = Qrels::from_run(&tokens("wiki"), 10);
    assert!(evaluate(&truth, &tokens("small"), Measure::Recall(10)).mean() >= 0.99);
}

#[test]
fn candidates_bound_what_a_rerank_sees() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let sparse = read(&place.run("wiki", "--mode sparse --top 10 --exact"));
    let all = place.run("wiki", "--mode rerank --top 10");
    assert!(all == place.run("wiki", "--mode rerank --top 10 --candidates 100"));
    let few = read(&place.run("wiki", "--mode rerank --top 10 --candidates 10"));
    assert_ne!(few, read(&all));
    for ((query, ranking), (_, first)) in few.rankings().zip(sparse.rankings()) {
        let names = |ranking: &[Ranked]| {
            let mut names: Vec<_> = ranking.iter().map(|hit| hit.document.clone()).collect();
            names.sort();
            names
        };
        assert_eq!(names(ranking), names(first), "{query}");
    }
}

/// The same bytes with every instruction set and any number of threads.
#[test]
fn kernels_and_threads_change_nothing() {
    let place = Place::new();
    let mut levels = vec![None, Some("portable")];
    for level in ["avx2", "avx512", "amx"] {
        let mut probe = place.command("build probe --set SET --force");
        if probe.env("LATEEN_KERNEL", level).output().unwrap().status.success() {
            levels.push(Some(level));
        }
    }
    for codec in ["f16", "int8", "residual4", "residual1 --tier f16", "pq32x4 --tier int8"] {
        let mut first = None;
        for (number, level) in levels.iter().enumerate() {
            let with = |line: String| {
                let mut command = place.command(&line);
                level.map(|level| command.env("LATEEN_KERNEL", level));
                succeeds(&mut command);
            };
            let threads = number % 2 + 1;
            with(format!("build wiki --set SET --force --codec {codec} --threads {threads}"));
            let mut found = content(&place.path("wiki"));
            for mode in MODES {
                with(format!("search wiki --set SET --mode {mode} --top 50 --run {mode}.run"));
                let run = format!("{mode}.run");
                found.insert(run.clone(), fs::read(place.path(&run)).unwrap());
            }
            let first = first.get_or_insert_with(|| found.clone());
            assert!(*first == found, "{codec}, {level:?}");
        }
    }
}

#[test]
fn a_run_is_judged_alone_and_against_another() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    for mode in MODES {
        place.ok(&format!("search wiki --set SET --mode {mode} --top 100 --run {mode}.run"));
    }
    let qrels = set().join("qrels.tsv");
    fs::copy(&qrels, place.path("qrels.tsv")).unwrap();
    let json = |line: &str| -> serde_json::Value { serde_json::from_str(&place.ok(line)).unwrap() };
    let alone = json("eval --qrels qrels.tsv --run rerank.run --json");
    let both = json("eval --qrels qrels.tsv --run rerank.run --against sparse.run --json");
    let run = Run::read(place.path("rerank.run")).unwrap();
    let qrels = Qrels::read(qrels).unwrap();
    for name in ["ndcg@10", "recall@100", "mrr@10", "map"] {
        let mean = evaluate(&qrels, &run, name.parse().unwrap()).mean();
        assert!(mean > 0.5 && (alone[name]["mean"].as_f64().unwrap() - mean).abs() < 1e-12);
        assert!(alone[name].get("p").is_none());
        assert_eq!(both[name]["mean"], alone[name]["mean"]);
        assert!(both[name]["difference"].is_f64() && both[name]["p"].is_f64(), "{both}");
    }
    let text = place.ok("eval --qrels qrels.tsv --run rerank.run --against sparse.run");
    assert!(text.contains("ndcg@10") && text.contains("60 judged queries"), "{text}");
    let text = place.ok("eval --qrels qrels.tsv --run rerank.run --measures recall@5,mrr");
    assert_eq!(text.lines().count(), 4, "{text}");

    place.fails(3, "eval --qrels nowhere.tsv --run rerank.run");
    place.fails(3, "eval --qrels qrels.tsv --run nowhere.run");
    fs::write(place.path("bad.run"), "q Q0 d 1 2.5 t\nq Q0 e\n").unwrap();
    let line = place.fails(3, "eval --qrels qrels.tsv --run bad.run");
    assert!(line.contains("bad.run: line 2, column 7: 3 columns"), "{line}");
    place.fails(2, "eval --qrels qrels.tsv --run rerank.run --measures precision@5");
}

#[test]
fn a_filter_is_text_and_says_where_it_is_wrong() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let find = |expression: &str, code: i32| {
        let mut command = place.command("search wiki --set SET --mode rrf --top 20 --run out.run");
        let output = command.arg("--filter").arg(expression).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    find("src = wikipedia-vital-leads", 0);
    let all = fs::read(place.path("out.run")).unwrap();
    assert!(all == place.run("wiki", "--mode rrf --top 20"));
    find("src = elsewhere or key in (\"wiki-Cauchy's_integral_formula#0\")", 0);
    let one = read(&fs::read(place.path("out.run")).unwrap());
    let name = "wiki-Cauchy's_integral_formula#0";
    assert!(one.rankings().all(|(_, ranking)| ranking.iter().all(|hit| hit.document == name)));
    assert!(one.rankings().any(|(_, ranking)| ranking.len() == 1));
    let said = find("src > a", 3);
    assert!(said.contains("column 5: \"src\" is keyword"), "{said}");
    let said = find("year = 1", 3);
    assert!(said.contains("no attribute is named \"year\": there are \"src\" (keyword)"), "{said}");
}

#[test]
fn every_way_of_asking_is_compared() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let table = place.ok("compare wiki --set SET");
    // The ways, what reranks of sparse candidates lose, and what unions do, a heading each.
    assert_eq!(table.lines().count(), 10 + 1 + 10 + 1 + 6, "{table}");
    for way in ["sparse", "tokens", "rerank, 500", "union, 50", "reciprocal rank", "60 judged"] {
        assert!(table.contains(way), "{table}");
    }
    // So few documents are searched exactly whatever the effort: ten of each search, and so twenty in
    // all, have the ten best, and five of each have not.
    let missed = |depth: &str| -> Vec<f64> {
        let line = table.lines().rfind(|line| line.starts_with(depth)).unwrap();
        let cells = line.split("  ").filter(|cell| !cell.is_empty()).skip(1);
        cells.map(|cell| cell.split_once(", ").unwrap().1.trim().parse().unwrap()).collect()
    };
    let (ten, twenty) = (missed("10 "), missed("20 "));
    assert!(twenty[0] > 0.0 && twenty[1..].iter().all(|&missed| missed == 0.0), "{table}");
    assert!(ten[2] > 0.0 && ten[4] > 0.0 && ten[0] > twenty[0], "{table}");
    copy_set(&place.path("bare2"));
    fs::remove_file(place.path("bare2/qrels.tsv")).unwrap();
    let said = place.fails(3, "compare wiki --set bare2");
    assert!(said.contains("no qrels.tsv"), "{said}");
}
