//! Lines of JSON.

use lateen::limits::MAX_TERMS;
use lateen::readers::{JsonLines, Record};

fn records(text: &'static str) -> Vec<Result<Record, String>> {
    JsonLines::new("x.jsonl", text.as_bytes())
        .map(|record| record.map_err(|error| error.to_string()))
        .collect()
}

#[test]
fn a_vector_has_as_many_words_as_a_document_may() {
    let line = |words: usize| {
        let words: Vec<String> = (0..words).map(|word| format!("\"{word}\":1")).collect();
        let line = format!("{{\"id\": 1, \"vector\": {{{}}}}}", words.join(","));
        JsonLines::new("x", std::io::Cursor::new(line)).next().unwrap()
    };
    assert_eq!(line(MAX_TERMS).unwrap().vector.unwrap().len(), MAX_TERMS);
    let error = line(MAX_TERMS + 1).unwrap_err().to_string();
    assert!(error.contains("a vector of more than 65536 words"), "{error}");
}

#[test]
fn takes_the_forms_of_the_producers() {
    let found = records(concat!(
        r#"{"id": "a", "text": "t", "src": "s", "more": [1, {"x": null}]}"#,
        "\n\n",
        r#"{"id": 3, "contents": "c", "vector": {"b": 1, "a": 0.25}}"#,
        "\n",
        r#"{"_id": "x\n", "content": "é \ud83d\ude00", "vector": null}"#,
    ));
    let parts = |record: Record| (record.id, record.text, record.src, record.vector);
    let found: Vec<_> = found.into_iter().map(|record| parts(record.unwrap())).collect();
    let record = |id: &str, text: &str, src: Option<&str>, vector| {
        (id.to_owned(), Some(text.to_owned()), src.map(str::to_owned), vector)
    };
    let weights = vec![("b".to_owned(), 1.0), ("a".to_owned(), 0.25)];
    assert_eq!(
        found,
        [
            record("a", "t", Some("s"), None),
            record("3", "c", None, Some(weights)),
            record("x\n", "é 😀", None, None),
        ]
    );
}

#[test]
fn says_line_and_column_and_stops() {
    let cases = [
        ("{\"id\": \"a\"}\n{\"id\": }\n{\"id\": \"b\"}", 1, "x.jsonl: line 2, column 8: "),
        ("\n\n [1]", 0, "x.jsonl: line 3, column 2: no object"),
        ("{\"text\": \"a\"}", 0, "missing field `id`"),
        ("{\"id\": 1.5}", 0, "an id: a string or a whole number"),
        ("{\"id\": \"a\", \"id\": \"b\"}", 0, "duplicate field `id`"),
        ("{\"id\": \"a\"} {", 0, "line 1, column 13: trailing characters"),
        ("{\"id\": \"a\", \"vector\": {\"b\": 1, \"b\": 2}}", 0, "\"b\" has two weights"),
        ("{\"id\": \"a\", \"vector\": {\"b\": \"1\"}}", 0, "line 1, column "),
        ("{\"id\": \"a\", \"vector\": [1, 2]}", 0, "an object of words"),
        ("{\"id\": \"a\", \"vector\": {\"b\": 1e999}}", 0, "number out of range"),
        (
            "{\"id\": \"a\", \"vector\": {\"b\": 1e99, \"c\": 1}}",
            0,
            "line 1, column 32: the weight of \"b\" is beyond what f32 holds",
        ),
        ("{\"id\": \"\"}", 0, "line 1, column 9: an id of no letters"),
        ("{\"id\": \"\\ud800\"}", 0, "line 1, column "),
    ];
    for (text, good, words) in cases {
        let found = records(text);
        assert_eq!(found.len(), good + 1, "{text}");
        let error = found[good].as_ref().unwrap_err();
        assert!(error.contains(words) && !error.contains(" at line "), "{text}: {error}");
    }
}

#[test]
fn deep_nesting_is_an_error_and_no_overflow() {
    let deep = format!("{{\"id\": \"a\", \"x\": {}", "[".repeat(100_000));
    let mut lines = JsonLines::new("x.jsonl", std::io::Cursor::new(deep));
    assert!(lines.next().unwrap().is_err() && lines.next().is_none());
}
