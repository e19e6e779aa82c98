//! Indexes that go elsewhere and come back: export, pack, unpack, upgrade.

use super::*;

#[test]
fn a_set_comes_back_as_it_went_in() {
    let place = Place::new();
    place.ok("build wiki --set SET --codec f16");
    let said = place.ok("export wiki out");
    assert!(said.starts_with("out: 400 documents, 52,179 weights, 20,695 token rows"), "{said}");
    let array = |dir: &Path, name: &str| NpyArray::open(dir.join(name)).unwrap();
    for name in ["tok_docs.npy", "tok_doclens.npy", "tok_doc_offsets.npy", "sparse_docs_indptr.npy"]
    {
        let (there, back) = (array(&set(), name), array(&place.path("out"), name));
        assert_eq!(there.shape(), back.shape(), "{name}");
        match there.floats() {
            Ok(Floats::F16(rows)) => {
                let Floats::F16(back) = back.floats().unwrap() else { panic!("{name}: f16") };
                assert!(rows == back, "{name}");
            }
            _ => assert_eq!(there.usizes().unwrap(), back.usizes().unwrap(), "{name}"),
        }
    }
    let lines = |dir: &Path| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(dir.join("texts.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(lines(&set()), lines(&place.path("out")));
    // The same bytes where nothing was rounded, with flags and with the schema that came along.
    place.ok("build flags --set out --codec f16");
    place.ok("build file --set out --schema out/schema.toml");
    let first = content(&place.path("wiki"));
    assert!(first == content(&place.path("flags")) && first == content(&place.path("file")));
    place.fails(7, "export wiki out");
    place.fails(4, "export nowhere there");
    assert_eq!(place.names(), ["file", "flags", "out", "wiki"]);
}

/// Lines as Anserini has them, and back.
#[test]
fn lines_come_back_as_they_went_out() {
    let place = Place::new();
    copy_set(&place.path("half"));
    let beside = |name: &&String| name.starts_with("tok_");
    for name in names(&place.path("half")).iter().filter(beside) {
        fs::remove_file(place.path("half").join(name)).unwrap();
    }
    place.ok("build half.index --set half");
    let said = place.ok("export half.index ids.jsonl --as jsonl --term-ids");
    assert_eq!(said, "ids.jsonl: 400 documents, 52,179 weights of term ids\n");
    let first = fs::read_to_string(place.path("ids.jsonl")).unwrap();
    let first: serde_json::Value = serde_json::from_str(first.lines().next().unwrap()).unwrap();
    let entries: Vec<&String> = first.as_object().unwrap().keys().collect();
    assert_eq!(entries.len(), 4, "{entries:?}");
    assert!(first["contents"].is_string() && first["src"].is_string() && first["id"].is_string());
    assert!(first["vector"].as_object().unwrap().values().all(serde_json::Value::is_number));
    // The same bytes, but for the words, which ids do not have.
    fs::remove_file(place.path("half/vocabulary.tsv")).ok();
    fs::remove_file(place.path("half/vocabulary.txt")).ok();
    place.ok("build plain --set half");
    place.ok("build back --texts ids.jsonl --term-ids");
    assert!(content(&place.path("plain")) == content(&place.path("back")));

    let lines = |name: &str| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(place.path(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    // With words: the same weights under the same words, whatever ids these get.
    let said = place.ok("export half.index some.jsonl --as jsonl");
    assert!(said.contains("52,179 weights of words; ") && said.contains("as [term N]"), "{said}");
    place.ok("build some --texts some.jsonl");
    place.ok("export some same.jsonl --as jsonl");
    assert_eq!(lines("same.jsonl"), lines("some.jsonl"));
    fs::remove_file(place.path("some.jsonl")).unwrap();
    let ids = fs::read_to_string(place.path("ids.jsonl")).unwrap();
    let named = ids.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        let vector = line["vector"].as_object().unwrap().clone().into_iter();
        line["vector"] = vector.map(|(id, weight)| (format!("word {id}"), weight)).collect();
        format!("{line}\n")
    });
    fs::write(place.path("in.jsonl"), named.collect::<String>()).unwrap();
    place.ok("build first --texts in.jsonl");
    let said = place.ok("export first words.jsonl --as jsonl");
    assert!(said.contains("52,179 weights of words"), "{said}");
    place.ok("build named --texts words.jsonl");
    place.ok("export named again.jsonl --as jsonl");
    assert_eq!(lines("words.jsonl"), lines("again.jsonl"));
    // Token rows have no place, and what has nothing else is refused.
    place.ok("build wiki --set SET");
    let said = place.ok("export wiki some.jsonl --as jsonl --term-ids");
    assert!(said.ends_with("; token rows have no place in it\n"), "{said}");
    assert_eq!(lines("some.jsonl"), lines("ids.jsonl"));
    let sets = set().display().to_string();
    place.ok(&format!("build rows --tokens {sets}/tok_docs.npy,{sets}/tok_doclens.npy"));
    let said = place.fails(3, "export rows no.jsonl --as jsonl");
    assert!(said.contains("no sparse field"), "{said}");
    place.ok("build bare --set half --forward none");
    let said = place.fails(3, "export bare no.jsonl --as jsonl");
    assert!(said.contains("keeps no rows"), "{said}");
    place.fails(7, "export wiki some.jsonl --as jsonl");
    assert!(!place.names().iter().any(|name| name.contains("no.jsonl")));
}

#[test]
fn damage_is_not_exported() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let files = names(&place.path("wiki"));
    let segment = files.iter().find(|name| name.starts_with("seg-")).unwrap();
    let path = place.path("wiki").join(segment);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, bytes).unwrap();
    let said = place.fails(5, "export wiki out");
    assert!(said.contains(segment.as_str()), "{said}");
    assert_eq!(place.names(), ["wiki"]);
}

#[test]
fn codes_come_back_as_the_same_answers() {
    let place = Place::new();
    for codec in ["int8", "int8 --tier f16", "residual4 --tier int8"] {
        place.ok(&format!("build wiki --set SET --force --codec {codec}"));
        place.ok("export wiki out");
        place.ok("build again --set out --schema out/schema.toml --force");
        let flags = "--mode tokens --top 10 --exact";
        let (one, two) = (read(&place.run("wiki", flags)), read(&place.run("again", flags)));
        for ((query, one), (_, two)) in one.rankings().zip(two.rankings()) {
            for (a, b) in one.iter().zip(two) {
                assert!(
                    (a.score - b.score).abs() < 2e-3 * a.score,
                    "{codec}, {query}: {a:?} {b:?}"
                );
            }
        }
        let sparse = "--mode sparse --top 20 --exact";
        assert!(place.run("wiki", sparse) == place.run("again", sparse), "{codec}");
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

#[test]
fn what_was_deleted_is_not_exported_and_attributes_are() {
    let place = Place::new();
    let schema = "keys = \"u64\"\n[[field]]\nname = \"words\"\nkind = \"sparse\"\nforward = \"f32\"\n\
        [[field]]\nname = \"tag\"\nkind = \"keyword\"\n[[field]]\nname = \"year\"\nkind = \"i64\"\n\
        [[field]]\nname = \"rank\"\nkind = \"f64\"\n[[field]]\nname = \"good\"\nkind = \"bool\"\n";
    fs::write(place.path("schema.toml"), schema).unwrap();
    let lines = "{\"id\": 7, \"text\": \"one\", \"vector\": {\"fat\": 0.3, \"lipid\": 2}, \"year\": -3, \"tag\": [\"b\", \"a\"]}\n\
        {\"id\": 9, \"text\": \"two\", \"vector\": {\"fat\": 1}, \"good\": true, \"rank\": 0.5, \"tag\": \"c\"}\n\
        {\"id\": 11, \"text\": \"\", \"vector\": {\"oil\": 1.5}}\n";
    fs::write(place.path("in.jsonl"), lines).unwrap();
    place.ok("build w --texts in.jsonl --schema schema.toml");
    place.ok("delete w 11");
    let said = place.ok("export w out");
    assert!(said.starts_with("out: 2 documents, 3 weights, 0 token rows"), "{said}");
    let back = fs::read_to_string(place.path("out/texts.jsonl")).unwrap();
    let back: Vec<serde_json::Value> =
        back.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        serde_json::json!({"id": "7", "text": "one", "tag": ["a", "b"], "year": -3}),
        serde_json::json!({"id": "9", "text": "two", "tag": "c", "rank": 0.5, "good": true}),
    ];
    assert_eq!(back, expected);
    assert_eq!(fs::read_to_string(place.path("out/vocabulary.txt")).unwrap(), "fat\nlipid\noil\n");
    place.ok("build again --set out --schema out/schema.toml");
    let index = Index::open(place.path("again")).unwrap();
    let schema = index.schema();
    let document = index.get(7u64).unwrap().unwrap();
    assert_eq!(document.i64(&schema.i64("year").unwrap()).unwrap(), Some(-3));
    assert_eq!(document.keywords(&schema.keyword("tag").unwrap()).unwrap(), ["a", "b"]);
    let words = schema.sparse("words").unwrap();
    assert_eq!(document.sparse(&words).unwrap().unwrap(), [(0, 0.3), (1, 2.0)]);
    // Documents whose own vectors are not kept have none to give.
    place.ok("build bare --texts in.jsonl --forward none");
    let said = place.fails(3, "export bare nothing");
    assert!(said.contains("keeps no rows"), "{said}");
    assert!(!place.names().iter().any(|name| name.contains("nothing")));
}

#[test]
fn a_packed_file_becomes_a_directory_again() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    place.ok("delete wiki wiki-Lipid#0");
    place.ok("pack wiki wiki.lateen");
    assert!(place.ok("unpack wiki.lateen back").starts_with("back: "));
    let flags = "--mode union --top 20";
    assert!(place.run("wiki", flags) == place.run("back", flags));
    place.ok("pack back again.lateen");
    let bytes = |name| fs::read(place.path(name)).unwrap();
    assert!(bytes("wiki.lateen") == bytes("again.lateen"));
    // It takes changes.
    place.ok("add back --set SET --replace");
    place.ok("verify back");

    place.fails(7, "unpack wiki.lateen back");
    place.fails(2, "unpack wiki other");
    place.fails(4, "unpack nowhere other");
    let mut bad = bytes("wiki.lateen");
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(place.path("bad.lateen"), bad).unwrap();
    place.fails(5, "unpack bad.lateen other");
    assert_eq!(place.names(), ["again.lateen", "back", "bad.lateen", "wiki", "wiki.lateen"]);
}

#[test]
fn one_format_there_is_and_others_are_refused() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    place.ok("pack wiki wiki.lateen");
    let before = content(&place.path("wiki"));
    for index in ["wiki", "wiki.lateen"] {
        let said = place.ok(&format!("upgrade {index}"));
        assert!(said.contains("format 1.0 is current"), "{said}");
    }
    assert!(content(&place.path("wiki")) == before);
    let good = fs::read(place.path("wiki.lateen")).unwrap();
    for (major, words) in [(2u8, "too new"), (0, "too old")] {
        let mut other = good.clone();
        other[8] = major;
        put(&place.path("wiki.lateen"), &other);
        let said = place.fails(4, "upgrade wiki.lateen");
        assert!(said.contains(words), "{said}");
    }
}
