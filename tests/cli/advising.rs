//! What errors say to do next, what is refused because it would do nothing, and what is empty.

use super::*;

/// Each failure is one line with the cause and, behind the last semicolon, what to do.
#[test]
fn errors_say_what_to_do_next() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    place.ok("pack wiki wiki.lateen");
    fs::write(place.path("in.jsonl"), "{\"id\": \"a\", \"vector\": {\"x\": 1}}\n").unwrap();
    fs::write(place.path("letter.txt"), "Dear reader, this is no index at all, but a letter.\n")
        .unwrap();
    place.ok("build terms --texts in.jsonl");
    let mut bad = fs::read(place.path("wiki.lateen")).unwrap();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(place.path("bad.lateen"), bad).unwrap();
    copy_set(&place.path("narrow"));
    let rows = NpyArray::open(set().join("tok_queries.npy")).unwrap().shape()[0];
    let unit: Vec<f32> = (0..rows * 64).map(|at| f32::from(u8::from(at % 64 == 0))).collect();
    NpyArray::write(place.path("narrow/tok_queries.npy"), &unit, &[rows, 64]).unwrap();
    copy_set(&place.path("lacking"));
    fs::remove_file(place.path("lacking/tok_doclens.npy")).unwrap();
    fs::write(place.path("cut.jsonl"), "{\"id\": \n").unwrap();
    fs::write(place.path("latin.jsonl"), b"{\"id\": \"\xe9\"}\n").unwrap();
    fs::write(place.path("twice.tsv"), "q1\ta\tb\n").unwrap();
    let ask = "--set SET --mode sparse --top 3";
    let table: &[(i32, String, &str, &str)] = &[
        (3, "build w --set nowhere".into(), "open nowhere", "check the path"),
        (3, "build w --texts nowhere.jsonl".into(), "nowhere.jsonl", "check the path"),
        (3, "search wiki --set nowhere --mode sparse --top 3 --run r".into(), "nowhere", "check"),
        (3, "eval --qrels nowhere --run r".into(), "nowhere", "check the path"),
        (4, "info nowhere".into(), "not a Lateen index", "check the path: an index is a directory"),
        (4, "verify letter.txt".into(), "not a Lateen index", "check the path: an index is"),
        (4, "add nowhere --texts in.jsonl".into(), "not a Lateen index", "check the path"),
        (3, format!("search wiki {ask} --query nobody"), "nobody: no such query", "queries.jsonl"),
        (3, "explain wiki --set SET --mode sparse --query nobody".into(), "no such query", "first"),
        (
            3,
            "explain wiki nobody --set SET --mode sparse".into(),
            "no document of the index has this key",
            "`lateen search`",
        ),
        (5, "verify bad.lateen".into(), "corrupt", "build the index again, or `lateen unpack`"),
        (5, "export bad.lateen w".into(), "corrupt", "`lateen verify` checks every byte"),
        (5, "unpack bad.lateen w".into(), "corrupt", "build the index again"),
        (5, "pack bad.lateen w".into(), "corrupt", "build the index again"),
        (2, "add wiki.lateen --texts in.jsonl".into(), "packed", "`lateen unpack wiki.lateen DIR`"),
        (2, "delete wiki.lateen x".into(), "packed", "`lateen unpack wiki.lateen DIR`"),
        (2, "compact wiki.lateen".into(), "packed", "`lateen unpack wiki.lateen DIR`"),
        (2, "unpack wiki w".into(), "a directory", "takes changes as it is"),
        (
            3,
            "search terms --set SET --mode tokens --top 3 --run r".into(),
            "no tokens field",
            "there are \"sparse\" (sparse), \"src\" (keyword)",
        ),
        (
            3,
            "search wiki --set narrow --mode tokens --top 3 --run r".into(),
            "dimension 64, the field has 128",
            "take vectors of the model",
        ),
        (7, "pack wiki wiki.lateen".into(), "exists already", "choose another name"),
        (7, "export wiki wiki.lateen".into(), "exists already", "choose another name"),
        (7, "unpack wiki.lateen wiki".into(), "exists already", "choose another name"),
        (7, "build wiki --set SET".into(), "exists already", "--force replaces it"),
        (3, "build w --texts cut.jsonl".into(), "line 1, column 7: EOF", "mend that line"),
        (3, "build w --texts latin.jsonl".into(), "not UTF-8", "save the file as UTF-8"),
        (3, "build w --set lacking".into(), "tok_doclens.npy: missing", "write the files again"),
        (3, "eval --qrels twice.tsv --run twice.tsv".into(), "twice.tsv", "mend"),
        (7, "man letter.txt".into(), "no directory", "choose another name"),
        (2, "build w --sett x".into(), "'--sett'", "a similar argument exists: '--set'; --help"),
        (3, "add terms --set SET".into(), "no tokens field", "there are \"sparse\" (sparse)"),
        (2, "delete wiki".into(), "no id given", "--ids-from"),
    ];
    for (code, line, cause, next) in table {
        let said = place.fails(*code, line);
        let (before, after) = said.split_once("; ").unwrap_or((&said, ""));
        assert!(before.contains(cause), "{line}: {said}");
        assert!(after.contains(next), "{line}: {said}");
    }
    let names = "bad.lateen cut.jsonl in.jsonl lacking latin.jsonl letter.txt narrow terms twice.tsv \
                 wiki wiki.lateen";
    assert_eq!(place.names().join(" "), names);
}

/// Flags that a mode, or the documents, have no use for.
#[test]
fn flags_without_effect_are_refused() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    fs::write(place.path("in.jsonl"), "{\"id\": \"a\", \"vector\": {\"x\": 1}}\n").unwrap();
    let sets = set().display().to_string();
    let rows = format!("--tokens {sets}/tok_docs.npy,{sets}/tok_doclens.npy");
    let search = "search wiki --set SET --top 3 --run r --mode";
    let cases: &[(String, &str)] = &[
        (format!("{search} sparse --candidates 5"), "--candidates has no meaning in --mode sparse"),
        (format!("{search} tokens --candidates 5"), "--candidates has no meaning in --mode tokens"),
        (format!("{search} rrf --weights 1,2"), "--weights has no meaning in --mode rrf"),
        (format!("{search} rerank --weights 1,2"), "--mode rerank"),
        (format!("{search} sparse --query wikiq-1045"), "--query has no meaning beside --run"),
        ("search wiki --set SET --top 3 --query x --mode sparse --parts".into(), "--json"),
        (
            "search wiki --set SET --top 3 --query wikiq-1045 --mode sparse --threads 2".into(),
            "--run",
        ),
        (
            "explain wiki --set SET --mode tokens --candidates 5".into(),
            "--candidates has no meaning in --mode tokens",
        ),
        ("build w --texts in.jsonl --codec f16".into(), "--codec is for token rows"),
        ("build w --texts in.jsonl --tier f16".into(), "--tier is for token rows"),
        ("build w --texts in.jsonl --pool 2".into(), "--pool is for token rows"),
        ("add wiki --texts in.jsonl --pool 2".into(), "--pool is for token rows"),
        (format!("build w {rows} --sparse-codec u4"), "--sparse-codec is for sparse vectors"),
        (format!("build w {rows} --forward f32"), "--forward is for sparse vectors"),
        (format!("build w {rows} --order similar"), "--order is for sparse vectors"),
        ("export wiki w --term-ids".into(), "--term-ids is for --as jsonl"),
        ("build w --texts in.jsonl --memory 63".into(), "63"),
    ];
    for (line, words) in cases {
        let said = place.fails(2, line);
        assert!(said.contains(words), "{line}: {said}");
    }
    assert_eq!(place.names(), ["in.jsonl", "wiki"]);
    // With --explain beside --run, --query says which one is explained.
    place.ok(
        "search wiki --set SET --top 3 --run r --mode sparse --query wikiq-1045 --explain x.json",
    );
}

#[test]
fn nothing_to_do_is_said() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let before = content(&place.path("wiki"));
    fs::write(place.path("empty.jsonl"), "\n \n").unwrap();
    for line in ["build w --texts empty.jsonl --term-ids", "build w --texts - --term-ids"] {
        let said = place.fails(3, line);
        assert!(said.contains("no documents; "), "{said}");
    }
    place.ok("build numbers --set SET");
    let said = place.fails(3, "add numbers --texts empty.jsonl");
    assert!(said.contains("no documents; "), "{said}");
    NpyArray::write(place.path("p.npy"), &[0i64], &[1]).unwrap();
    NpyArray::write(place.path("i.npy"), &[0u32; 0], &[0]).unwrap();
    NpyArray::write(place.path("v.npy"), &[0f32; 0], &[0]).unwrap();
    let said = place.fails(3, "build w --sparse p.npy,i.npy,v.npy");
    assert!(said.contains("no documents"), "{said}");

    fs::create_dir(place.path("set")).unwrap();
    for side in ["docs", "queries"] {
        for (from, part) in [("p", "indptr"), ("i", "indices"), ("v", "values")] {
            let to = format!("set/sparse_{side}_{part}.npy");
            fs::copy(place.path(&format!("{from}.npy")), place.path(&to)).unwrap();
        }
    }
    for name in ["texts.jsonl", "queries.jsonl", "qrels.tsv"] {
        fs::write(place.path("set").join(name), "").unwrap();
    }
    let said = place.fails(3, "build w --set set");
    assert!(said.contains("no documents"), "{said}");
    for line in [
        "search wiki --set set --mode sparse --top 3 --run r",
        "search wiki --set set --mode sparse --top 3 --json",
        "bench wiki --set set",
        "demo wiki --set set --write x.html",
    ] {
        let said = place.fails(3, line);
        assert!(said.contains("set: no queries; "), "{line}: {said}");
    }
    place.fails(3, "explain wiki --set set --mode sparse");
    place.fails(3, "compare wiki --set set");

    let qrels = set().join("qrels.tsv");
    fs::copy(&qrels, place.path("qrels.tsv")).unwrap();
    fs::write(place.path("none"), "").unwrap();
    fs::write(place.path("other.run"), "q1 Q0 d 1 2.5 t\n").unwrap();
    place.ok("search wiki --set SET --mode sparse --top 3 --run good.run");
    for (line, words) in [
        ("--qrels none --run good.run", "none: no judgements; "),
        ("--qrels qrels.tsv --run none", "none: no hits; "),
        ("--qrels qrels.tsv --run other.run", "other.run: answers no judged query; "),
        ("--qrels qrels.tsv --run good.run --against none", "none: no hits; "),
    ] {
        let said = place.fails(3, &format!("eval {line}"));
        assert!(said.contains(words), "{line}: {said}");
    }
    // Some queries without an answer count 0, and that is said.
    let run = fs::read_to_string(place.path("good.run")).unwrap();
    let part: Vec<&str> = run.lines().take(6).collect();
    fs::write(place.path("part.run"), part.join("\n")).unwrap();
    let said = place.ok("eval --qrels qrels.tsv --run part.run");
    assert!(said.ends_with("60 judged queries, 2 of them answered\n"), "{said}");
    assert!(content(&place.path("wiki")) == before);
}

/// What people read as a line, programs read as JSON.
#[test]
fn every_report_is_data_as_well() {
    let place = Place::new();
    fs::write(place.path("in.jsonl"), "{\"id\": \"a\", \"vector\": {\"x\": 1, \"y\": 0}}\n")
        .unwrap();
    for (line, entry, value) in [
        ("build wiki --set SET --pool 2", "/documents", 400.into()),
        ("build w --texts in.jsonl", "/zeros_dropped", 1.into()),
        ("add w --texts in.jsonl --replace", "/replaced", 1.into()),
        ("compact w", "/after/segments", 1.into()),
        ("delete w a nobody", "/deleted", 1.into()),
        ("verify wiki", "/meaning", true.into()),
        ("pack wiki wiki.lateen", "/documents", 400.into()),
        ("unpack wiki.lateen again", "/documents", 400.into()),
        ("export again set", "/weights", 52_179.into()),
        ("export again lines --as jsonl", "/weights", 52_179.into()),
        ("upgrade wiki", "/changed", false.into()),
        ("compare wiki --set SET", "/ways/0/mode", "sparse".into()),
    ] {
        let said = place.ok(&format!("{line} --json"));
        let data: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(data.pointer(entry), Some(&value), "{line}: {said}");
    }
}

/// Folders above what is made are made with it, and go with it.
#[test]
fn what_fails_takes_the_folders_it_made() {
    let place = Place::new();
    place.ok("build x/wiki --set SET");
    for (line, made) in [
        ("pack x/wiki c/d/w", "c/d/w"),
        ("export x/wiki e/f/w", "e/f/w/texts.jsonl"),
        ("search x/wiki --set SET --run g/h/r", "g/h/r"),
        ("explain x/wiki --set SET --html i/j.html", "i/j.html"),
        ("man k/l", "k/l/lateen.1"),
    ] {
        place.ok(line);
        assert!(place.path(made).is_file(), "{line}");
        fs::remove_dir_all(place.path(&made[..1])).unwrap();
    }
    fs::write(place.path("none"), "").unwrap();
    place.fails(3, "search x/wiki --set SET --mode tokens --run g/h/r --filter nothing=1");
    place.fails(4, "pack none c/d/w");
    assert_eq!(place.names(), ["none", "x"]);
    fs::remove_file(place.path("none")).unwrap();
    fs::remove_dir_all(place.path("x")).unwrap();
    place.fails(3, "build a/b/wiki --set nowhere");
    assert_eq!(place.names(), [""; 0]);
    copy_set(&place.path("bad"));
    fs::write(place.path("bad/texts.jsonl"), "{\"id\": \"x\", \"text\": \"one\"}\n").unwrap();
    place.fails(3, "build a/b/wiki --set bad");
    assert_eq!(place.names(), ["bad"]);
    // One that was there stays, empty or not.
    fs::create_dir(place.path("a")).unwrap();
    place.fails(3, "build a/b/wiki --set bad");
    assert_eq!((place.names(), names(&place.path("a"))), (vec!["a".into(), "bad".into()], vec![]));
    place.ok("build a/b/wiki --set SET");
    assert_eq!(names(&place.path("a/b")), ["wiki"]);
}
