//! Documents from lines of JSON, in files and through standard input.

use std::io::Write;

use super::*;

/// Runs the command with these bytes on standard input.
fn fed(place: &Place, line: &str, input: &[u8]) -> Output {
    let mut command = place.command(line);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // The command may have ended before it has read all of it.
    let _ = pipe.write_all(input);
    drop(pipe);
    child.wait_with_output().unwrap()
}

/// The committed set as Anserini's lines, its term ids as words of digits.
fn anserini() -> String {
    let documents = EmbeddingSet::open(set()).unwrap().documents().unwrap();
    let array = |what| NpyArray::open(set().join(format!("sparse_docs_{what}.npy"))).unwrap();
    let (starts, terms) = (array("indptr").usizes().unwrap(), array("indices").usizes().unwrap());
    let weights = array("values");
    let Floats::F32(weights) = weights.floats().unwrap() else { panic!("f32") };
    let mut lines = Vec::new();
    for chunk in documents.chunks(400).unwrap() {
        let chunk = chunk.unwrap();
        for (row, (id, text)) in chunk.ids().iter().zip(chunk.texts()).enumerate() {
            let range = starts[row]..starts[row + 1];
            let vector: Vec<String> =
                range.map(|at| format!("\"{}\":{}", terms[at], weights[at])).collect();
            let (id, text) = (serde_json::json!(id), serde_json::json!(text));
            let src = chunk.sources()[row].as_ref().unwrap();
            lines.push(format!(
                "{{\"id\":{id},\"contents\":{text},\"src\":\"{src}\",\"vector\":{{{}}}}}\n",
                vector.join(",")
            ));
        }
    }
    lines.concat()
}

#[test]
fn a_stream_builds_what_arrays_build() {
    let place = Place::new();
    let lines = anserini();
    let output = fed(&place, "build piped --texts - --term-ids", lines.as_bytes());
    assert!(output.status.success(), "{output:?}");
    fs::write(place.path("lines.jsonl"), &lines).unwrap();
    place.ok("build read --texts lines.jsonl --term-ids --memory 64 --threads 1");
    copy_set(&place.path("set"));
    let beside = |name: &&String| name.starts_with("tok_") || name.starts_with("vocabulary");
    for name in names(&place.path("set")).iter().filter(beside) {
        fs::remove_file(place.path("set").join(name)).unwrap();
    }
    place.ok("build whole --set set");
    let whole = content(&place.path("whole"));
    assert!(whole == content(&place.path("piped")) && whole == content(&place.path("read")));
    // Words get ids as they come, and the index keeps them.
    place.ok("build words --texts lines.jsonl");
    let index = Index::open(place.path("words")).unwrap();
    let words = index.vocabulary(&index.schema().sparse("sparse").unwrap()).unwrap().unwrap();
    let first = lines.split("\"vector\":{\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(words.get(first), Some((0, 1.0)));
    // Or those of a list.
    let listed: Vec<String> = (0..40_000).map(|id| id.to_string()).collect();
    fs::write(place.path("words.txt"), listed.join("\n")).unwrap();
    place.ok("build listed --texts lines.jsonl --vocabulary words.txt");
    let flags = "--mode sparse --top 20 --exact";
    assert!(place.run("listed", flags) == place.run("whole", flags));
}

#[test]
fn words_that_are_known_keep_their_ids_when_more_come() {
    let place = Place::new();
    let one = b"{\"id\": \"a\", \"vector\": {\"fat\": 1, \"oil\": 2}}\n";
    assert!(fed(&place, "build w --texts -", one).status.success());
    let two = b"{\"id\": \"b\", \"vector\": {\"wax\": 1, \"oil\": 3}}\n";
    assert!(fed(&place, "add w --texts -", two).status.success());
    let index = Index::open(place.path("w")).unwrap();
    let field = index.schema().sparse("sparse").unwrap();
    let words = index.vocabulary(&field).unwrap().unwrap();
    let ids: Vec<_> = words.iter().map(|(word, id, _)| (word.to_owned(), id)).collect();
    assert_eq!(ids, [("fat".to_owned(), 0), ("oil".to_owned(), 1), ("wax".to_owned(), 2)]);
    let document = index.get("b").unwrap().unwrap();
    assert_eq!(document.sparse(&field).unwrap().unwrap(), [(1, 3.0), (2, 1.0)]);
}

#[test]
fn a_line_that_is_wrong_is_named_with_its_column() {
    let good = "{\"id\": \"a\", \"vector\": {\"7\": 1}}\n";
    let cases = [
        ("{\"id\": \"b\", \"vector\": {\"7\": }}\n", "", "standard input: line 2, column 29: "),
        (
            "{\"id\": \"b\"}\n",
            "",
            "line 2, column 11 (id \"b\"): an object without a `vector`; give",
        ),
        (
            "\n{\"id\": \"b\", \"vector\": {\"7\": -1}}\n",
            "",
            "line 3, column 26 (id \"b\"): the weight -1 of \"7\" is negative; leave",
        ),
        (
            "{\"id\": \"b\", \"x\": {\"y\": 1}, \"vector\": {\"7\": 1, \"8\": 1e99}}\n",
            "",
            "line 2, column 56: the weight of \"8\" is beyond what f32 holds; mend that line",
        ),
        (
            "{\"id\": \"b\", \"vector\": {\"7\": 1e17}}\n",
            "",
            "line 2, column 26 (id \"b\"): the weight 1e17 of \"7\" is above 1e16; look",
        ),
        (
            "{\"id\": \"b\", \"vector\": {\"7\": 0}}\n",
            "",
            "line 2, column 20 (id \"b\"): a vector without a weight above zero; leave the line out",
        ),
        (
            "{\"id\": \"b\", \"vector\": {\"7\": 1, \"\": 1}}\n",
            "",
            "line 2, column 33 (id \"b\"): a word of no letters; leave it out",
        ),
        ("{\"id\": \"\", \"vector\": {}}\n", "", "line 2, column 9: an id of no letters; mend"),
        (
            "{\"id\": \"a\", \"vector\": {\"7\": 1}}\n",
            "",
            "line 2 (id \"a\"): the id appears twice",
        ),
        (
            "{\"id\": \"b\", \"vector\": {\"oil\": 1}}\n",
            "--term-ids",
            "line 2, column 28 (id \"b\"): \"oil\" is no term id; without --term-ids",
        ),
        (
            "{\"id\": \"b\", \"vector\": {\"7\": 1, \"07\": 1}}\n",
            "--term-ids",
            "line 2, column 35 (id \"b\"): \"07\" is no term id",
        ),
        ("[1]\n", "", "line 2, column 1: no object"),
        (
            "{\"id\": \"b\", \"vector\": {\"7\": 1}, \"year\": 1.5}\n",
            "--attribute year:i64",
            "line 2, column 38 (id \"b\"): year: 1.5 is not what the field holds; mend",
        ),
        ("{\"id\": \"b\", \"vector\": {\"7\": 1}, \"src\": 3}\n", "", "line 2, column "),
    ];
    for (bad, flags, words) in cases {
        let place = Place::new();
        let line = format!("build w --texts - {flags}");
        let output = fed(&place, &line, format!("{good}{bad}").as_bytes());
        let said = one_line(&output);
        assert_eq!(output.status.code(), Some(3), "{bad}: {said}");
        assert!(said.contains(words), "{bad}: {said}");
        assert_eq!(place.names(), [""; 0], "{bad}");
    }
}

#[test]
fn a_schema_is_read_or_its_fault_named() {
    let place = Place::new();
    fs::write(place.path("in.jsonl"), "{\"id\": \"a\", \"vector\": {\"x\": 1}}\n").unwrap();
    let build = "build w --texts in.jsonl --schema s.toml";
    let cases = [
        ("keys = \"i8\"", "s.toml: line 1, column 8: "),
        ("[[field]]\nname = \"a\"\nkind = \"dense\"", "s.toml: line 3, column 8: "),
        ("[[field]]\nname = \"a\"\nkind = \"sparse\"\ndim = 8", "field \"a\": `dim`"),
        ("[[field]]\nname = \"a\"\nkind = \"sparse\"\ncodec = \"f8\"", "field \"a\": u8, u4"),
        ("[[field]]\nname = \"a\"\nkind = \"tokens\"", "field \"a\": `dim` is missing"),
        ("[[field]]\nname = \"a\"\nkind = \"keyword\"", "no sparse field"),
        (
            "[[field]]\nname = \"a\"\nkind = \"sparse\"\n[[field]]\nname = \"a\"\nkind = \"bool\"",
            "is taken",
        ),
    ];
    for (text, words) in cases {
        fs::write(place.path("s.toml"), text).unwrap();
        let said = place.fails(3, build);
        assert!(said.contains(words), "{text}: {said}");
    }
    fs::write(place.path("s.toml"), "[[field]]\nname = \"a\"\nkind = \"sparse\"\ncodec = \"u4\"")
        .unwrap();
    place.ok(build);
    let index = Index::open(place.path("w")).unwrap();
    assert_eq!(index.info().fields[0].codec.as_deref(), Some("u4"));
    place.fails(2, &format!("{build} --codec f16 --force"));
    place.fails(3, "build x --texts in.jsonl --schema nowhere.toml");
    assert_eq!(place.names(), ["in.jsonl", "s.toml", "w"]);
}
