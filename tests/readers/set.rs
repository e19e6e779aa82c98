//! Embedding sets.

use std::path::Path;

use lateen::readers::{EmbeddingSet, NpyArray};
use lateen::{
    Batch, Document, Floats, IndexWriter, Ints, Result, Schema, SparseField, TokenField,
    TokenOptions,
};

fn committed() -> EmbeddingSet {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini");
    EmbeddingSet::open(dir).unwrap()
}

/// A set of three texts with both halves, and two queries.
fn write_set(dir: &Path) {
    let write = |name: &str, shape: &[usize], ints: Ints<'_>| put(dir, name, shape, ints);
    let floats = |name: &str, shape: &[usize], floats: Floats<'_>| {
        NpyArray::write(dir.join(name), floats, shape).unwrap();
    };
    let texts = "{\"id\":\"a\",\"text\":\"one é\",\"src\":\"s\"}\n\
                 {\"id\":\"b\",\"text\":\"\"}\n{\"id\":\"c\",\"text\":\"two\"}\n";
    std::fs::write(dir.join("texts.jsonl"), texts).unwrap();
    let queries = "{\"id\":\"q\",\"text\":\"one\"}\n{\"id\":\"r\",\"text\":\"two\"}\n";
    std::fs::write(dir.join("queries.jsonl"), queries).unwrap();
    write("sparse_docs_indptr.npy", &[4], Ints::from(&[0i64, 2, 2, 3]));
    write("sparse_docs_indices.npy", &[3], Ints::from(&[1u16, 5, 2]));
    floats("sparse_docs_values.npy", &[3], Floats::from(&[1.0f32, 2.0, 3.0]));
    write("tok_doclens.npy", &[3], Ints::from(&[2i32, 0, 1]));
    floats("tok_docs.npy", &[3, 8], Floats::from(&rows(3)));
    write("tok_doc_ids.npy", &[3], Ints::from(&[10u32, 11, 12]));
    write("tok_doc_offsets.npy", &[3, 2], Ints::from(&[0i32, 3, 4, 6, 0, 3]));
    write("sparse_queries_indptr.npy", &[3], Ints::from(&[0i64, 1, 1]));
    write("sparse_queries_indices.npy", &[1], Ints::from(&[5u32]));
    floats("sparse_queries_values.npy", &[1], Floats::from(&[1.0f32]));
    write("tok_querylens.npy", &[2], Ints::from(&[1i32, 1]));
    floats("tok_queries.npy", &[2, 8], Floats::from(&rows(2)));
}

fn put(dir: &Path, name: &str, shape: &[usize], ints: Ints<'_>) {
    NpyArray::write(dir.join(name), ints, shape).unwrap();
}

/// Adds a line to a file.
fn line(dir: &Path, name: &str, line: &str) {
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path).unwrap() + line;
    std::fs::write(path, text).unwrap();
}

/// Unit rows of 8 components, each along another axis.
fn rows(count: usize) -> Vec<f32> {
    (0..count).flat_map(|row| (0..8).map(move |i| f32::from(u8::from(i == row)))).collect()
}

fn read_all(set: &EmbeddingSet, size: usize) -> Result<usize> {
    set.documents()?.chunks(size)?.map(|chunk| chunk.map(|chunk| chunk.len())).sum()
}

/// A field of either kind, and the schema of both.
fn fields() -> (SparseField, TokenField, Schema) {
    let mut schema = Schema::builder();
    let sparse = schema.sparse("sparse");
    let tokens = schema.tokens("tokens", TokenOptions::new(128));
    (sparse, tokens, schema.build().unwrap())
}

#[test]
fn the_committed_set_is_read_whole_whatever_the_chunks() {
    let (sparse, tokens, schema) = fields();
    let documents = committed().documents().unwrap();
    assert!(documents.has_sparse() && documents.len() == 400);
    let mut found = Vec::new();
    for size in [1, 7, 400, 1000] {
        let mut writer = IndexWriter::in_memory(schema.clone()).unwrap();
        let (mut ids, mut texts) = (Vec::new(), Vec::new());
        for chunk in documents.chunks(size).unwrap() {
            let chunk = chunk.unwrap();
            assert_eq!(chunk.first(), ids.len());
            assert!(chunk.len() <= size && chunk.texts().len() == chunk.len());
            assert!(chunk.sources().iter().flatten().all(|src| src == "wikipedia-vital-leads"));
            ids.extend_from_slice(chunk.ids());
            let batch = Batch::new(chunk.ids().iter().map(String::as_str));
            let batch = batch.sparse(&sparse, &chunk.sparse().unwrap()).unwrap();
            let batch = batch.tokens(&tokens, &chunk.tokens().unwrap()).unwrap();
            writer.add_batch(&batch).unwrap();
            texts.extend_from_slice(chunk.texts());
            assert_eq!(chunk.token_ids().unwrap().len(), chunk.spans().unwrap().len());
        }
        writer.commit().unwrap();
        let index = writer.reader().unwrap();
        let entries: Vec<u64> =
            index.info().segments[0].vectors.iter().map(|vectors| vectors.entries).collect();
        assert_eq!((ids.len(), &entries[..]), (400, &[52_179, 20_695][..]));
        let read = ids.iter().zip(&texts).map(|(id, text)| {
            let document = index.get(id.as_str()).unwrap().unwrap();
            let (terms, rows) =
                (document.sparse(&sparse).unwrap(), document.tokens(&tokens).unwrap());
            let spans = document.spans(&tokens).unwrap().unwrap();
            let within =
                |&(start, end): &(u32, u32)| text.get(start as usize..end as usize).is_some();
            assert!(spans.iter().all(within), "{id}");
            (terms.unwrap(), rows.unwrap(), spans)
        });
        found.push(read.collect::<Vec<_>>());
    }
    assert!(found.iter().all(|one| one == &found[0]));
}

#[test]
fn queries_come_with_their_vectors() {
    let queries = committed().queries().unwrap();
    assert_eq!((queries.len(), queries.dim()), (60, Some(128)));
    let (sparse, tokens, schema) = fields();
    let mut writer = IndexWriter::in_memory(schema).unwrap();
    for query in queries.iter() {
        assert!(query.id.starts_with("wikiq-") && !query.text.is_empty());
        let document = Document::new(query.id).sparse(&sparse, query.sparse.unwrap()).unwrap();
        writer.add(&document.tokens(&tokens, query.tokens.unwrap()).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    let info = writer.reader().unwrap().info();
    let entries: Vec<u64> =
        info.segments[0].vectors.iter().map(|vectors| vectors.entries).collect();
    assert_eq!(entries, [1301, 435]);
    assert!(queries.get(59).is_some() && queries.get(60).is_none());
}

#[test]
fn either_half_may_be_missing_but_not_a_part_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    write_set(dir);
    let set = EmbeddingSet::open(dir).unwrap();
    let remove = |name: &str| std::fs::remove_file(dir.join(name)).unwrap();
    assert_eq!(read_all(&set, 2).unwrap(), 3);
    assert!(set.qrels().is_none());

    remove("tok_doc_ids.npy");
    remove("tok_doc_offsets.npy");
    let documents = set.documents().unwrap();
    let chunk = documents.chunks(9).unwrap().next().unwrap().unwrap();
    assert!(chunk.spans().is_none() && chunk.token_ids().is_none() && chunk.tokens().is_some());

    remove("tok_doclens.npy");
    let error = set.documents().unwrap_err().to_string();
    assert!(error.contains("tok_doclens.npy: missing, though tok_docs.npy is there"), "{error}");
    remove("tok_docs.npy");
    assert_eq!((read_all(&set, 2).unwrap(), set.documents().unwrap().dim()), (3, None));

    for part in ["indptr", "indices", "values"] {
        remove(&format!("sparse_docs_{part}.npy"));
    }
    assert!(set.documents().unwrap_err().to_string().contains("no vectors"));
    assert!(EmbeddingSet::open(dir.join("nowhere")).is_err());
}

#[test]
fn texts_may_be_compressed_but_not_twice_there() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    write_set(dir);
    let set = EmbeddingSet::open(dir).unwrap();
    let plain = std::fs::read(dir.join("texts.jsonl")).unwrap();
    let file = std::fs::File::create(dir.join("texts.jsonl.gz")).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::default());
    encoder.write_all(&plain).unwrap();
    encoder.finish().unwrap();
    assert!(set.documents().unwrap_err().to_string().contains("both texts.jsonl and"));
    std::fs::remove_file(dir.join("texts.jsonl")).unwrap();
    assert_eq!(read_all(&set, 2).unwrap(), 3);
    std::fs::remove_file(dir.join("texts.jsonl.gz")).unwrap();
    assert!(set.documents().unwrap_err().to_string().contains("no texts.jsonl and no"));
}

/// Each change to a good set, the file that the error must name, and words of it.
#[test]
fn what_disagrees_is_named() {
    type Change = fn(&Path);
    let cases: [(Change, &str, &str); 14] = [
        (
            |d| put(d, "sparse_docs_indptr.npy", &[4], Ints::from(&[0i64, 2, 1, 3])),
            "sparse_docs_indptr.npy",
            "go back from 2 to 1",
        ),
        (
            |d| put(d, "sparse_docs_indptr.npy", &[4], Ints::from(&[0i64, 2, 2, 4])),
            "sparse_docs_indptr.npy",
            "4, expected 3",
        ),
        (
            |d| put(d, "sparse_docs_indptr.npy", &[3], Ints::from(&[0i64, 2, 3])),
            "tok_doclens.npy",
            "texts beside the sparse rows: 3, expected 2",
        ),
        (
            |d| put(d, "sparse_docs_indptr.npy", &[0], Ints::from(&[0i64; 0])),
            "sparse_docs_indptr.npy",
            "empty",
        ),
        (
            |d| put(d, "sparse_docs_indices.npy", &[2], Ints::from(&[1u32, 5])),
            "sparse_docs_values.npy",
            "weights beside the terms: 3, expected 2",
        ),
        (
            |d| put(d, "sparse_docs_values.npy", &[3], Ints::from(&[1u32, 5, 6])),
            "sparse_docs_values.npy",
            "uint32, float16 or float32 is needed",
        ),
        (
            |d| put(d, "tok_doclens.npy", &[3], Ints::from(&[2i32, 0, 2])),
            "tok_docs.npy",
            "3, expected 4",
        ),
        (
            |d| put(d, "tok_doclens.npy", &[3], Ints::from(&[3i32, 1, -1])),
            "tok_doclens.npy",
            "-1 is not in",
        ),
        (
            |d| put(d, "tok_doc_ids.npy", &[2], Ints::from(&[1u32, 2])),
            "tok_doc_ids.npy",
            "2, expected 3",
        ),
        (
            |d| put(d, "tok_doc_offsets.npy", &[6], Ints::from(&[0i32; 6])),
            "tok_doc_offsets.npy",
            "shape [6], expected [3, 2]",
        ),
        (
            |d| put(d, "tok_doc_offsets.npy", &[3, 2], Ints::from(&[0i32, 3, 4, 6, 3, 2])),
            "tok_doc_offsets.npy",
            "row 2: offsets go back from 3 to 2",
        ),
        (
            |d| put(d, "tok_doc_offsets.npy", &[3, 2], Ints::from(&[0i32, 3, 4, 7, 0, 3])),
            "tok_doc_offsets.npy",
            "row 1: 7 is not in 0..=6",
        ),
        (
            |d| line(d, "texts.jsonl", "{\"id\":\"d\",\"text\":\"\"}\n"),
            "texts.jsonl",
            "4, expected 3",
        ),
        (|d| line(d, "texts.jsonl", "{\"id\":\"d\"}\n"), "texts.jsonl", "4, expected 3"),
    ];
    for (change, file, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_set(folder.path());
        change(folder.path());
        let set = EmbeddingSet::open(folder.path()).unwrap();
        let error = read_all(&set, 2).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains(words), "{words}: {error}");
    }
}

#[test]
fn texts_and_queries_that_disagree_are_named() {
    let cases = [
        ("texts.jsonl", "{\"id\":\"a\",\"text\":\"one é\"}\n", "1, expected 3"),
        ("texts.jsonl", "{\"id\":\"a\"}\n", "row 0: an object without a `text`"),
        ("texts.jsonl", "{\"id\":\"a\",\"text\":\"one é\"}\n{\"id\"\n", "line 2, column 5: "),
        ("queries.jsonl", "{\"id\":\"q\",\"text\":\"\"}\n", "1, expected 2"),
        (
            "queries.jsonl",
            "{\"id\":\"q\",\"text\":\"\"}\n{\"id\":\"q\",\"text\":\"\"}\n",
            "row 1: id \"q\" appears twice",
        ),
        ("queries.jsonl", "{\"id\":\"q\"}\n", "row 0: an object without a `text`"),
    ];
    for (file, text, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_set(folder.path());
        std::fs::write(folder.path().join(file), text).unwrap();
        let set = EmbeddingSet::open(folder.path()).unwrap();
        let error = read_all(&set, 2).and_then(|_| set.queries()).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains(words), "{words}: {error}");
    }
}
