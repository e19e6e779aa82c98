//! Building an index: what is kept, what is replaced, what a failure leaves.

use super::*;

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

#[test]
fn documents_that_share_terms_may_lie_together() {
    let place = Place::new();
    place.ok("build given --set SET");
    place.ok("build similar --set SET --order similar");
    let keys = |name: &str| -> Vec<_> {
        let snapshot = Index::open(place.path(name)).unwrap().snapshot();
        snapshot.documents().map(|document| document.unwrap().key().clone()).collect()
    };
    let (given, mut similar) = (keys("given"), keys("similar"));
    assert_ne!(given, similar);
    let mut sorted = given.clone();
    sorted.sort();
    similar.sort();
    assert_eq!(sorted, similar);
    let answers = |name: &str| place.run(name, "--mode sparse --top 20");
    assert!(answers("given") == answers("similar"));
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

/// Pooling keeps one row of so many, and says so.
#[test]
fn pooled_builds_say_what_they_kept() {
    let place = Place::new();
    let whole = place.ok("build whole --set SET");
    assert!(!whole.contains("token rows kept"), "{whole}");
    let pooled = place.ok("build pooled --set SET --pool 2");
    assert!(pooled.contains(" of 20,695 token rows kept (5"), "{pooled}");
    let bytes = |name: &str| Index::open(place.path(name)).unwrap().info().bytes();
    assert!(bytes("pooled") < bytes("whole"));
    let added = place.ok("add pooled --set SET --pool 2 --replace");
    assert!(added.contains("400 replaced") && added.contains("token rows kept"), "{added}");
    place.fails(2, "build none --set SET --pool 0");
}

/// What pruning loses is measured, whether or not it matters to answers.
#[test]
fn what_pruning_loses_is_said() {
    let place = Place::new();
    let said = place.ok("build pruned --set SET --sparse-codec pruned:0.8 --forward none");
    assert!(said.contains("pruned to ") && said.contains("answers lose "), "{said}");
    let said = place.ok("build rows --set SET --sparse-codec pruned:0.8");
    assert!(said.contains("exact answers lose nothing"), "{said}");
    assert!(!place.ok("build whole --set SET").contains("pruned"));
}
