//! The `lateen` command from outside: what it prints, writes and exits with.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use lateen::eval::{Measure, Qrels, Ranked, Run, evaluate};
use lateen::readers::{EmbeddingSet, NpyArray};
use lateen::{Floats, Index, IndexWriter};
use tempfile::TempDir;

fn set() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini")
}

/// A folder of one test, in which the command runs.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The command with arguments between spaces; `SET` stands for the committed set.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lateen"));
        command.current_dir(self.0.path()).stdin(Stdio::null()).env_remove("LATEEN_KERNEL");
        for arg in line.split_whitespace() {
            if arg == "SET" {
                command.arg(set());
            } else {
                command.arg(arg);
            }
        }
        command
    }

    /// Runs what must succeed, silent on standard error; gives its standard output.
    fn ok(&self, line: &str) -> String {
        succeeds(&mut self.command(line))
    }

    /// Runs what must fail with a code and one line; gives the line.
    fn fails(&self, code: i32, line: &str) -> String {
        let output = self.command(line).output().unwrap();
        let text = one_line(&output);
        assert_eq!(output.status.code(), Some(code), "{line}: {text}");
        assert!(output.stdout.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stdout));
        text
    }

    /// Runs a search and gives the bytes of its run.
    fn run(&self, index: &str, flags: &str) -> Vec<u8> {
        self.ok(&format!("search {index} --set SET --run out.run {flags}"));
        let bytes = fs::read(self.path("out.run")).unwrap();
        fs::remove_file(self.path("out.run")).unwrap();
        bytes
    }

    /// The names in the folder.
    fn names(&self) -> Vec<String> {
        names(self.0.path())
    }
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn one_line(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(text.starts_with("lateen: ") && text.ends_with('\n'), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

fn names(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every file of a directory with its bytes.
fn content(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    names(dir).into_iter().map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

/// A copy of the committed set that may be damaged.
fn copy_set(to: &Path) {
    fs::create_dir(to).unwrap();
    for name in names(&set()).iter().filter(|name| !name.starts_with("gt_")) {
        fs::copy(set().join(name), to.join(name)).unwrap();
    }
}

const MODES: [&str; 6] = ["sparse", "tokens", "rerank", "union", "rrf", "weighted"];

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
        assert!(place.ok(&format!("verify {index}")).contains("sound: 400 documents"));
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
fn texts_sources_and_spans_are_kept() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let index = Index::open(place.path("wiki")).unwrap();
    let schema = index.schema();
    let (src, tokens) = (schema.keyword("src").unwrap(), schema.tokens("tokens").unwrap());
    let (documents, queries) = {
        let set = EmbeddingSet::open(set()).unwrap();
        (set.documents().unwrap(), set.queries().unwrap())
    };
    for chunk in documents.chunks(100).unwrap() {
        let chunk = chunk.unwrap();
        for ((id, text), source) in chunk.ids().iter().zip(chunk.texts()).zip(chunk.sources()) {
            let stored = index.get(id).unwrap().unwrap();
            assert_eq!(stored.payload().unwrap().unwrap(), text.as_bytes());
            assert_eq!(stored.keywords(&src).unwrap().first(), source.as_ref());
        }
    }
    let rows = queries.get(0).unwrap().tokens.unwrap();
    let query = lateen::Query::tokens(&tokens, rows).unwrap();
    let hits = index.search(&query).unwrap();
    let explanation = index.explain(&query, &hits[0]).unwrap();
    assert!(!explanation.tokens.is_empty());
    assert!(explanation.tokens.iter().all(|part| part.span.is_some()));
}

/// Checks a run against the exact top of each query: by rank, or, where documents tie, by score.
fn agrees(run: &[u8], ids: &[String], truth: &str, top: usize) {
    let open = |what| NpyArray::open(set().join(format!("gt_{truth}_{what}.npy"))).unwrap();
    let (rows, scores) = (open("ids"), open("scores"));
    let (width, rows) = (rows.shape()[1], rows.usizes().unwrap());
    let Floats::F32(scores) = scores.floats().unwrap() else { panic!("scores are f32") };
    let run = read(run);
    assert_eq!(run.len() * width, rows.len());
    let best = rows.chunks(width).zip(scores.chunks(width));
    for ((query, ranking), (rows, scores)) in run.rankings().zip(best) {
        assert_eq!(ranking.len(), top.min(width));
        for (rank, hit) in ranking.iter().enumerate() {
            let near = |score: f32| (hit.score - score).abs() < 1e-3;
            assert!(near(scores[rank]), "{truth}, {query}, rank {rank}: {hit:?}");
            // One that the truth lacks can only tie with its last.
            let there = rows.iter().position(|&row| ids[row] == hit.document);
            let tied = there.map_or(near(scores[width - 1]), |at| near(scores[at]));
            assert!(tied, "{truth}, {query}, rank {rank}: {hit:?}");
        }
    }
}

fn read(run: &[u8]) -> Run {
    Run::parse("run", std::io::Cursor::new(run.to_vec())).unwrap()
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
fn an_index_that_is_there_is_replaced_only_when_asked() {
    let place = Place::new();
    place.ok("build wiki --set SET --codec f16");
    let before = content(&place.path("wiki"));
    let line = place.fails(7, "build wiki --set SET");
    assert!(line.contains("wiki: exists already"), "{line}");
    assert!(content(&place.path("wiki")) == before);

    // A build that fails leaves the old one as it was.
    copy_set(&place.path("bad"));
    fs::remove_file(place.path("bad/tok_doclens.npy")).unwrap();
    place.fails(3, "build wiki --set bad --force");
    assert!(content(&place.path("wiki")) == before);

    place.ok("build wiki --set SET --codec int8 --force");
    assert!(content(&place.path("wiki")) != before);
    place.ok("build wiki --set SET --codec f16 --force");
    assert!(content(&place.path("wiki")) == before);

    // A packed file, an empty directory and a damaged index may go too.
    place.ok("pack wiki one");
    place.ok("build one --set SET --force");
    fs::create_dir(place.path("empty")).unwrap();
    place.fails(7, "build empty --set SET");
    place.ok("build empty --set SET --force");
    for name in before.keys().filter(|name| name.starts_with("manifest-")) {
        let path = place.path("empty").join(name);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    }
    place.fails(5, "verify empty");
    place.ok("build empty --set SET --force");
    place.ok("verify empty");
    assert_eq!(place.names(), ["bad", "empty", "one", "wiki"]);
}

#[test]
fn what_is_no_index_or_in_use_is_never_replaced() {
    let place = Place::new();
    fs::write(place.path("letter.txt"), "Dear reader").unwrap();
    fs::create_dir(place.path("home")).unwrap();
    fs::write(place.path("home/LOCK"), "").unwrap();
    fs::write(place.path("home/letter.txt"), "Dear reader").unwrap();
    for out in ["letter.txt", "home"] {
        let line = place.fails(7, &format!("build {out} --set SET --force"));
        assert!(line.contains("no Lateen index"), "{line}");
    }
    assert_eq!(fs::read(place.path("home/letter.txt")).unwrap(), b"Dear reader");

    place.ok("build wiki --set SET");
    let before = content(&place.path("wiki"));
    let writer = IndexWriter::open(place.path("wiki")).unwrap();
    place.fails(6, "build wiki --set SET --force");
    drop(writer);
    assert!(content(&place.path("wiki")) == before);
}

#[test]
fn what_killed_builds_left_is_put_right() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let before = content(&place.path("wiki"));
    // Killed before it was done: cleared by the next build, unless it is still at work.
    let building = place.path(".wiki.building");
    fs::create_dir(&building).unwrap();
    fs::write(building.join("LOCK"), "").unwrap();
    fs::write(building.join("seg-0000000000000001.seg"), "half").unwrap();
    let lock = fs::File::options().write(true).open(building.join("LOCK")).unwrap();
    lock.lock().unwrap();
    place.fails(6, "build wiki --set SET --force");
    drop(lock);
    place.ok("build wiki --set SET --force");
    assert_eq!(place.names(), ["wiki"]);
    // Killed between the two renames of a replacement: the old one is put back.
    fs::rename(place.path("wiki"), place.path(".wiki.replaced")).unwrap();
    place.fails(7, "build wiki --set SET");
    assert_eq!(place.names(), ["wiki"]);
    // Killed after them: the old one goes.
    fs::create_dir(place.path(".wiki.replaced")).unwrap();
    place.ok("build wiki --set SET --force");
    assert_eq!(place.names(), ["wiki"]);
    assert!(content(&place.path("wiki")) == before);
}

#[test]
fn a_build_that_is_killed_leaves_all_or_nothing() {
    let place = Place::new();
    let mut whole = 0;
    for delay in 0..20 {
        let mut child =
            place.command("build wiki --set SET").stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay * 8));
        child.kill().unwrap();
        child.wait().unwrap();
        if place.path("wiki").exists() {
            place.ok("verify wiki");
            fs::remove_dir_all(place.path("wiki")).unwrap();
            whole += 1;
        }
    }
    assert!(whole < 20, "none was killed in time");
    place.ok("build wiki --set SET");
    assert_eq!(place.names(), ["wiki"]);
}

#[test]
fn a_set_that_disagrees_with_itself_leaves_nothing() {
    type Change = fn(&Path);
    let cases: [(Change, &str); 6] = [
        (
            |dir| {
                let text = fs::read_to_string(dir.join("texts.jsonl")).unwrap();
                let end = text.trim_end().rfind('\n').unwrap();
                fs::write(dir.join("texts.jsonl"), &text[..=end]).unwrap();
            },
            "texts.jsonl: texts for the rows of sparse_docs_indptr.npy: 399, expected 400",
        ),
        (
            |dir| {
                let text = fs::read_to_string(dir.join("texts.jsonl")).unwrap();
                let id = |line: usize| {
                    let line = text.lines().nth(line).unwrap();
                    serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].to_string()
                };
                fs::write(dir.join("texts.jsonl"), text.replace(&id(399), &id(0))).unwrap();
            },
            "appears twice",
        ),
        (
            |dir| {
                let open = |what| {
                    let name = format!("sparse_docs_{what}.npy");
                    NpyArray::open(dir.join(name)).unwrap()
                };
                let (weights, starts) = (open("values"), open("indptr").usizes().unwrap());
                let Floats::F32(weights) = weights.floats().unwrap() else { panic!() };
                let mut weights = weights.to_vec();
                weights[starts[300] + 2] = -1.0;
                let shape = [weights.len()];
                NpyArray::write(dir.join("sparse_docs_values.npy"), &weights, &shape).unwrap();
            },
            "sparse, row 300, position 2: weight -1 is negative",
        ),
        (
            |dir| {
                let text = fs::read_to_string(dir.join("texts.jsonl")).unwrap();
                fs::write(dir.join("texts.jsonl"), text.replacen('\n', "\n{\n", 1)).unwrap();
            },
            "texts.jsonl: line 2, column",
        ),
        (|dir| fs::remove_file(dir.join("texts.jsonl")).unwrap(), "no texts.jsonl"),
        (
            |dir| fs::remove_file(dir.join("sparse_docs_values.npy")).unwrap(),
            "sparse_docs_values.npy: missing",
        ),
    ];
    for (change, words) in cases {
        let place = Place::new();
        copy_set(&place.path("set"));
        change(&place.path("set"));
        let line = place.fails(3, "build wiki --set set");
        assert!(line.contains(words), "{words}: {line}");
        assert_eq!(place.names(), ["set"]);
    }
}

#[test]
fn either_half_of_a_set_is_enough() {
    let place = Place::new();
    copy_set(&place.path("set"));
    let remove = |prefix: &str| {
        for name in names(&place.path("set")).iter().filter(|name| name.starts_with(prefix)) {
            fs::remove_file(place.path("set").join(name)).unwrap();
        }
    };
    remove("tok_");
    place.ok("build sparse --set set");
    place.ok("search sparse --set set --mode sparse --top 5 --run out.run");
    let line = place.fails(3, "search sparse --set SET --mode rerank --top 5 --run no.run");
    assert!(line.contains("no tokens field named \"tokens\""), "{line}");
    place.ok("build both --set SET");
    let line = place.fails(3, "search both --set set --mode tokens --top 5 --run no.run");
    assert!(line.contains("no token rows (tok_queries.npy)"), "{line}");
    remove("sparse_");
    let line = place.fails(3, "build none --set set");
    assert!(line.contains("no vectors"), "{line}");

    fs::remove_dir_all(place.path("set")).unwrap();
    copy_set(&place.path("set"));
    remove("sparse_");
    place.ok("build tokens --set set");
    place.ok("search tokens --set set --mode tokens --top 5 --run out.run");
    place.fails(3, "search tokens --set SET --mode sparse --top 5 --run no.run");
    assert_eq!(place.names(), ["both", "out.run", "set", "sparse", "tokens"]);
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    let line = place.fails(3, "build wiki --set nowhere");
    assert!(line.contains("open nowhere: "), "{line}");
    for line in [
        "info nowhere",
        "verify nowhere",
        "pack nowhere out",
        "search nowhere --set SET --mode sparse --top 5 --run out.run",
    ] {
        let line = place.fails(4, line);
        assert!(line.contains("nowhere: not a Lateen index"), "{line}");
    }
    fs::write(place.path("letter.txt"), "Dear reader,\n\nthis is no index.\n").unwrap();
    fs::write(place.path("empty"), "").unwrap();
    fs::create_dir(place.path("folder")).unwrap();
    for name in ["letter.txt", "empty", "folder"] {
        let line = place.fails(4, &format!("info {name}"));
        assert!(line.contains(&format!("{name}: not a Lateen index")), "{line}");
    }
    place.ok("build wiki --set SET");
    let line = place.fails(3, "search wiki --set nowhere --mode sparse --top 5 --run out.run");
    assert!(line.contains("nowhere"), "{line}");
    let line = place.fails(3, "search wiki --set folder --mode sparse --top 5 --run out.run");
    assert!(line.contains("no queries.jsonl"), "{line}");
    assert_eq!(place.names(), ["empty", "folder", "letter.txt", "wiki"]);
}

/// Gives a file other content; packed files are made read-only.
fn put(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_found() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    place.ok("pack wiki wiki.lateen");
    let live = |name: &String| name.starts_with("seg-") || name.ends_with('2');
    let mut files = names(&place.path("wiki"));
    files.retain(live);
    assert_eq!(files.len(), 2, "a segment and the newest manifest: {files:?}");
    let files = files.into_iter().map(|name| ("wiki", place.path("wiki").join(name)));
    for (index, path) in files.chain([("wiki.lateen", place.path("wiki.lateen"))]) {
        let good = fs::read(&path).unwrap();
        // Not the first twelve bytes: there it is another format, or a newer one.
        for at in [0, 100, 5_000, 123_457, 2_000_003] {
            let mut bad = good.clone();
            bad[12 + at % (good.len() - 12)] ^= 4;
            put(&path, &bad);
            place.fails(5, &format!("verify {index}"));
        }
        put(&path, &good);
        place.ok(&format!("verify {index}"));
    }
    let good = fs::read(place.path("wiki.lateen")).unwrap();
    for len in [8, 63, 64, 1000, good.len() - 1] {
        put(&place.path("wiki.lateen"), &good[..len]);
        for command in ["info", "verify"] {
            place.fails(5, &format!("{command} wiki.lateen"));
        }
        place.fails(5, "search wiki.lateen --set SET --mode sparse --top 5 --run out.run");
    }
    assert_eq!(place.names(), ["wiki", "wiki.lateen"]);
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    fs::create_dir(place.path("folder")).unwrap();
    let search = "search wiki --set SET --mode sparse --top 5 --run";
    let line = place.fails(8, &format!("{search} nowhere/out.run"));
    assert!(line.contains("write nowhere/out.run: "), "{line}");
    place.fails(8, &format!("{search} folder"));
    place.fails(8, "pack wiki nowhere/wiki.lateen");
    place.fails(7, "pack wiki folder");
    fs::write(place.path("file"), "").unwrap();
    place.fails(8, "build file/wiki --set SET");
    if Path::new("/dev/full").exists() {
        place.fails(8, &format!("{search} /dev/full"));
        place.ok(&format!("{search} /dev/null"));
    }
    // A run that is there is replaced, and only by a whole one.
    fs::write(place.path("out.run"), "old").unwrap();
    place.fails(3, "search wiki --set nowhere --mode sparse --top 5 --run out.run");
    assert_eq!(fs::read(place.path("out.run")).unwrap(), b"old");
    place.ok(&format!("{search} out.run"));
    assert_eq!(read(&fs::read(place.path("out.run")).unwrap()).len(), 60);
    // An index is not.
    place.ok("pack wiki wiki.lateen");
    for name in ["wiki.lateen", "wiki/seg-0000000000000001.seg"] {
        place.fails(7, &format!("{search} {name}"));
    }
    place.ok("verify wiki.lateen");
    place.ok("verify wiki");
    assert_eq!(place.names(), ["file", "folder", "out.run", "wiki", "wiki.lateen"]);
}

#[test]
fn flags_that_are_wrong_are_one_line_and_code_2() {
    let place = Place::new();
    let search = "search wiki --set SET --mode sparse --run out.run --top";
    for line in [
        "frobnicate".to_owned(),
        "build".to_owned(),
        "build wiki".to_owned(),
        "build wiki --set SET --codec f8".to_owned(),
        "build wiki --set SET --codec pq32".to_owned(),
        "build wiki --set SET --tier residual4".to_owned(),
        "build wiki --set SET --sparse-codec u2".to_owned(),
        "build wiki --set SET --sparse-codec pruned:1.0".to_owned(),
        "build wiki --set SET --sparse-codec pruned:0.005".to_owned(),
        "build wiki --set SET --sparse-codec pruned:0".to_owned(),
        "build wiki --set SET --memory 0".to_owned(),
        "build wiki --set SET --threads none".to_owned(),
        "build / --set SET".to_owned(),
        format!("{search} 0"),
        format!("{search} 10001"),
        format!("{search} 5 --exact --effort 0.5"),
        format!("{search} 5 --effort 0.5 --recall 0.5"),
        format!("{search} 5 --effort 1.5"),
        format!("{search} 5 --effort -1"),
        format!("{search} 5 --recall 0"),
        format!("{search} 5 --candidates 0"),
        "search wiki --set SET --mode dense --top 5 --run out.run".to_owned(),
        "info".to_owned(),
        "verify wiki --quick".to_owned(),
    ] {
        let said = place.fails(2, &line);
        assert!(!said.contains("error:"), "{said}");
    }
    assert_eq!(place.names(), [""; 0]);

    // With no command at all the help is there too.
    let output = place.command("").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    one_line(&output);
    assert!(String::from_utf8_lossy(&output.stdout).contains("Usage: lateen"));
}

#[test]
fn help_says_the_exit_codes() {
    let place = Place::new();
    let help = place.ok("--help");
    for code in 0..=9 {
        assert!(help.contains(&format!("\n  {code}  ")), "{help}");
    }
    for command in ["build", "search", "info", "verify", "pack", "eval"] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        assert!(place.ok(&format!("{command} --help")).contains("Usage: lateen"));
    }
    assert!(place.ok("--version").starts_with("lateen "));
}

/// As in `lateen build … | true`.
#[test]
fn a_reader_that_left_is_no_failure() {
    let place = Place::new();
    let mut command = place.command("build wiki --set SET");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

/// An index is added to, deleted from and compacted; a set that does not fit leaves it as it was.
#[test]
fn an_index_is_kept_up() {
    let place = Place::new();
    place.ok("build w --set SET");
    let before = content(&place.path("w"));
    let twice = place.fails(3, "add w --set SET");
    assert!(twice.contains("is in the index already"), "{twice}");
    assert!(content(&place.path("w")) == before, "a refused set has changed something");
    let ids: Vec<String> = Index::open(place.path("w"))
        .unwrap()
        .snapshot()
        .documents()
        .map(|document| document.unwrap().key().to_string())
        .collect();
    fs::write(place.path("ids"), ids[10..300].join("\n")).unwrap();
    let report = place.ok(&format!("delete w {} nobody --ids-from ids", ids[0]));
    assert!(report.contains("291 deleted") && report.contains("109 documents left"), "{report}");
    place.fails(2, "delete w");
    place.fails(3, "delete w --ids-from nowhere");
    let size = Index::open(place.path("w")).unwrap().info().bytes();
    let report = place.ok("compact w");
    assert!(report.contains("109 documents") && report.contains("291 deleted"), "{report}");
    let index = Index::open(place.path("w")).unwrap();
    assert!(index.info().deleted == 0 && index.info().bytes() * 2 < size);
    let report = place.ok("add w --set SET --replace");
    assert!(report.contains("291 added, 109 replaced, 400 documents"), "{report}");
    place.ok("compact w --segments 1");
    index.refresh().unwrap();
    assert_eq!((index.len(), index.info().segments.len()), (400, 1));
    place.ok("verify w");
    // What is found is what a fresh index finds.
    place.ok("build fresh --set SET");
    assert!(
        place.run("w", "--mode rerank --exact --top 20")
            == place.run("fresh", "--mode rerank --exact --top 20")
    );
    place.fails(4, "compact nowhere");
    place.ok("pack w packed");
    place.fails(1, "compact packed");
}

#[test]
fn sparse_codecs_give_the_same_exact_answers() {
    let place = Place::new();
    let mut first = None;
    for (codec, said) in
        [("u8", "u8"), ("u4", "u4"), ("pruned:0.9", "pruned:0.90"), ("pruned:.45", "pruned:0.45")]
    {
        place.ok(&format!("build wiki --set SET --force --sparse-codec {codec}"));
        let info = place.ok("info wiki");
        let line = info.lines().find(|line| line.starts_with("sparse  ")).unwrap();
        assert!(line.ends_with(said), "{line}");
        place.ok("verify wiki");
        let run = place.run("wiki", "--mode sparse --exact --top 20");
        assert!(*first.get_or_insert(run.clone()) == run, "{codec}");
    }
}

/// Sends a signal to a command that waits at a full pipe which nobody reads.
#[cfg(unix)]
#[test]
fn an_interrupted_command_says_so_and_leaves_nothing() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let pipe = place.path("pipe");
    if !Command::new("mkfifo").arg(&pipe).status().is_ok_and(|status| status.success()) {
        println!("skipped: no mkfifo here");
        return;
    }
    for signal in ["-INT", "-TERM"] {
        let mut command = place.command("search wiki --set SET --mode sparse --top 400 --run pipe");
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // Opened as soon as the command has it open too; a pipe holds less than the run.
        let reader = fs::File::open(&pipe).unwrap();
        let pid = child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(9), "{output:?}");
        assert_eq!(one_line(&output), "lateen: interrupted\n");
        drop(reader);
    }
    assert_eq!(place.names(), ["pipe", "wiki"]);
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
        let adds = |parts: &serde_json::Value| -> f64 {
            parts.as_array().unwrap().iter().map(|part| part["adds"].as_f64().unwrap()).sum()
        };
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

#[test]
fn what_pruning_loses_is_said() {
    let place = Place::new();
    let said = place.ok("build pruned --set SET --sparse-codec pruned:0.8 --forward none");
    assert!(said.contains("pruned to ") && said.contains("answers lose "), "{said}");
    let said = place.ok("build rows --set SET --sparse-codec pruned:0.8");
    assert!(said.contains("exact answers lose nothing"), "{said}");
    assert!(!place.ok("build whole --set SET").contains("pruned"));
}

#[test]
fn every_way_of_asking_is_compared() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let table = place.ok("compare wiki --set SET");
    // The ways and what reranks lose, a heading each.
    assert_eq!(table.lines().count(), 10 + 1 + 13, "{table}");
    for way in ["sparse", "tokens", "rerank, 500", "union, 50", "reciprocal rank", "60 judged"] {
        assert!(table.contains(way), "{table}");
    }
    // The exact candidates of both have the ten best of either.
    let last = table.lines().rfind(|line| line.starts_with("union"));
    assert!(last.is_some_and(|line| line.ends_with(" 0.00 %")), "{table}");
    copy_set(&place.path("bare2"));
    fs::remove_file(place.path("bare2/qrels.tsv")).unwrap();
    let said = place.fails(3, "compare wiki --set bare2");
    assert!(said.contains("no qrels.tsv"), "{said}");
}
