//! Vectors in arrays that flags name.

use super::*;

/// A tensor of a `.safetensors` file: name, type, shape and bytes.
type Tensor = (&'static str, &'static str, Vec<usize>, Vec<u8>);

/// A `.safetensors` file, written as its format says.
fn safetensors(path: &Path, tensors: &[Tensor]) {
    let (mut header, mut body) = (serde_json::Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let start = body.len();
        body.extend_from_slice(bytes);
        let entry = serde_json::json!({
            "dtype": dtype, "shape": shape, "data_offsets": [start, body.len()],
        });
        header.insert((*name).to_owned(), entry);
    }
    let header = serde_json::Value::from(header).to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.extend_from_slice(&body);
    fs::write(path, file).unwrap();
}

/// Type, shape and bytes of one of the set's arrays.
fn tensor(name: &'static str, file: &str) -> Tensor {
    let array = NpyArray::open(set().join(file)).unwrap();
    let bytes = fs::read(set().join(file)).unwrap();
    let size = |dtype: &str| {
        if dtype == "F16" {
            2
        } else if dtype == "I64" {
            8
        } else {
            4
        }
    };
    let dtype = match (array.floats(), array.ints()) {
        (Ok(Floats::F16(_)), _) => "F16",
        (Ok(_), _) => "F32",
        (_, Ok(lateen::Ints::I64(_))) => "I64",
        (_, Ok(lateen::Ints::I32(_))) => "I32",
        _ => "U32",
    };
    let count: usize = array.shape().iter().product();
    let body = bytes[bytes.len() - count * size(dtype)..].to_vec();
    (name, dtype, array.shape().to_vec(), body)
}

#[test]
fn arrays_by_flags_build_what_the_set_builds() {
    let place = Place::new();
    copy_set(&place.path("set"));
    fs::remove_file(place.path("set/tok_doc_offsets.npy")).unwrap();
    place.ok("build whole --set set");
    let whole = content(&place.path("whole"));
    // The set names the terms of its vectors by a file of its own.
    let words = "--vocabulary set/vocabulary.tsv";
    let sparse = "--sparse set/sparse_docs_indptr.npy,set/sparse_docs_indices.npy,set/sparse_docs_values.npy";
    let tokens = "--tokens set/tok_docs.npy,set/tok_doclens.npy";
    place.ok(&format!("build npy --texts set/texts.jsonl {sparse} {tokens} {words}"));
    assert!(content(&place.path("npy")) == whole);
    safetensors(
        &place.path("sparse.safetensors"),
        &[
            tensor("indptr", "sparse_docs_indptr.npy"),
            tensor("indices", "sparse_docs_indices.npy"),
            tensor("values", "sparse_docs_values.npy"),
        ],
    );
    safetensors(
        &place.path("tokens.safetensors"),
        &[tensor("rows", "tok_docs.npy"), tensor("lengths", "tok_doclens.npy")],
    );
    place.ok("build tensors --texts set/texts.jsonl --sparse sparse.safetensors --tokens tokens.safetensors --vocabulary set/vocabulary.tsv");
    assert!(content(&place.path("tensors")) == whole);
    // Without texts the rows have numbers.
    place.ok(&format!("build bare {tokens}"));
    let index = Index::open(place.path("bare")).unwrap();
    // Words that name nothing, and a table that is none.
    let said = place.fails(2, &format!("build none {tokens} {words}"));
    assert!(said.contains("--vocabulary names the terms of"), "{said}");
    fs::write(place.path("bad.tsv"), "1\tfat\n2 oil\n").unwrap();
    let said = place.fails(3, &format!("build none {sparse} --vocabulary bad.tsv"));
    assert!(said.contains("bad.tsv: line 2: expected a term id, a word"), "{said}");
    assert!(index.contains("0").unwrap() && index.contains("399").unwrap() && index.len() == 400);
}

#[test]
fn matrices_of_one_height_need_no_lengths() {
    let place = Place::new();
    let rows: Vec<f32> =
        (0..3 * 2 * 8).map(|at| f32::from(u8::from(at % 8 == (at / 8) % 8))).collect();
    NpyArray::write(place.path("pages.npy"), &rows, &[3, 2, 8]).unwrap();
    place.ok("build w --tokens pages.npy --codec f16");
    let index = Index::open(place.path("w")).unwrap();
    let field = index.schema().tokens("tokens").unwrap();
    assert_eq!(index.get("2").unwrap().unwrap().tokens(&field).unwrap().unwrap(), rows[32..]);
}

#[test]
fn arrays_that_disagree_are_named() {
    let place = Place::new();
    let write = |name: &str, ints: &[i64]| {
        NpyArray::write(place.path(name), ints, &[ints.len()]).unwrap();
    };
    write("good.npy", &[0, 1, 2]);
    write("back.npy", &[0, 2, 1]);
    write("long.npy", &[0, 1, 3]);
    write("minus.npy", &[-1, 1, 2]);
    write("terms.npy", &[5, 6]);
    NpyArray::write(place.path("weights.npy"), &[1.0f32, 2.0], &[2]).unwrap();
    NpyArray::write(place.path("one.npy"), &[1.0f32], &[1]).unwrap();
    NpyArray::write(place.path("rows.npy"), &[1.0f32; 8], &[1, 8]).unwrap();
    write("lens.npy", &[1]);
    fs::write(place.path("texts.jsonl"), "{\"id\": \"a\", \"text\": \"\"}\n").unwrap();
    fs::write(place.path("three.jsonl"), "{\"id\": \"a\"}\n{\"id\": \"b\"}\n{\"id\": \"c\"}\n")
        .unwrap();
    for (flags, code, words) in [
        ("--sparse back.npy,terms.npy,weights.npy", 3, "never go back"),
        ("--sparse long.npy,terms.npy,weights.npy", 3, "offsets end at 3, there are 2 entries"),
        ("--sparse minus.npy,terms.npy,weights.npy", 3, "below zero"),
        ("--sparse good.npy,terms.npy,one.npy", 3, "2 term ids, 1 weights"),
        ("--sparse good.npy,terms.npy", 2, "--sparse takes three"),
        (
            "--sparse good.npy,terms.npy,weights.npy --texts texts.jsonl",
            3,
            "1 texts, the arrays have 2",
        ),
        ("--sparse good.npy,terms.npy,weights.npy --texts three.jsonl", 3, "line 3: a text more"),
        (
            "--sparse good.npy,terms.npy,weights.npy --tokens rows.npy,lens.npy",
            3,
            "--sparse has 2 documents, --tokens has 1",
        ),
        ("--tokens rows.npy", 3, "shape [1, 8], expected [documents, rows, dim]"),
        ("--tokens nowhere.npy", 3, "nowhere.npy"),
        ("--tokens texts.jsonl", 2, ".npy or .safetensors"),
        ("--set SET --tokens rows.npy", 2, "cannot be used with"),
        ("", 2, "no documents given; name a set by --set"),
        ("--term-ids", 2, "--texts"),
    ] {
        let said = place.fails(code, &format!("build w {flags}"));
        assert!(said.contains(words), "{flags}: {said}");
        assert!(!place.path("w").exists() && !place.path(".w.building").exists());
    }
}
