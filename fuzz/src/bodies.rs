//! What each fuzz target does with its bytes: plain functions, without a fuzzer.

use std::collections::BTreeMap;

use lateen::eval::{Qrels, Run};
use lateen::readers::NpyArray;
use lateen::{
    Document, Index, IndexWriter, KeyKind, Merges, Normalization, Query, Schema, TokenMatrix,
    TokenOptions,
};

use super::answers::{kernels, queries, query_mutated};
use super::both::mutated;
use super::choices::Choices;
use super::expressions::expressions;
use super::filters::filters;
use super::{mend, sample};

/// What a target does with an input.
pub type Body = fn(&[u8]);

/// The targets by name.
pub const TARGETS: &[(&str, Body)] = &[
    ("open_packed", open_packed),
    ("manifest", manifest),
    ("sections", sections),
    ("query_mutated", query_mutated),
    ("npy", npy),
    #[cfg(feature = "readers")]
    ("safetensors", safetensors),
    #[cfg(feature = "readers")]
    ("jsonl", jsonl),
    #[cfg(feature = "readers")]
    ("gzip", gzip),
    ("eval", eval),
    ("ingest", ingest),
    ("codecs", super::codecs::codecs),
    ("filters", filters),
    ("expressions", expressions),
    ("queries", queries),
    ("kernels", kernels),
    ("operations", operations),
    #[cfg(feature = "simulation")]
    ("crashes", super::crashes::crashes),
    #[cfg(feature = "simulation")]
    ("damaged_writer", super::writers::damaged_writer),
];

/// Whatever the bytes are, opening and verifying them, and a search, give an answer or an error. One
/// search, chosen by the bytes: `sections` makes all of them, and here many inputs are worth more.
pub fn open_packed(data: &[u8]) {
    let Ok(index) = Index::options().from_bytes(data) else { return };
    let _ = index.verify();
    let queries = sample::queries(&index.schema());
    let choice = hash(data) % queries.len().max(1) as u64;
    if let Some(query) = queries.get(choice as usize)
        && let Ok(hits) = index.search(query)
    {
        for hit in &hits {
            let _ = hit.payload();
            let _ = index.explain(query, hit);
        }
    }
}

/// Opens, verifies, reads everything, and searches in some ways that the bytes choose.
fn open_and_use(data: &[u8]) {
    let Ok(index) = Index::options().from_bytes(data) else { return };
    let _ = index.verify();
    sample::use_some(&index, usize::try_from(hash(data) >> 1).unwrap_or(0), 8);
}

fn hash(data: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(data)
}

/// Whatever the bytes are, as a manifest they are read or refused, their checksums mended or not.
pub fn manifest(data: &[u8]) {
    let name = "manifest-0000000000000001";
    let mut names = u16::try_from(name.len()).unwrap_or_default().to_le_bytes().to_vec();
    names.extend_from_slice(name.as_bytes());
    let part = |kind, field, data| mend::Part { kind, flags: 1, field, elem_size: 1, data };
    let file = if data.first() == Some(&mend::MAGIC[0]) {
        data.to_vec()
    } else {
        // The three sections of a manifest, cut out of the bytes.
        let mut rest = Choices(data);
        let mut cut = |kind, elem_size: u32| {
            let most = rest.0.len();
            let (now, after) = rest.0.split_at(rest.below(most + 1).min(rest.0.len()));
            rest.0 = after;
            let whole = now.len() - now.len() % elem_size as usize;
            mend::Part { kind, flags: 1, field: u32::MAX, elem_size, data: now[..whole].to_vec() }
        };
        let parts = [cut(1, 56), cut(2, 1), cut(3, 88)];
        mend::container(&header(2), &parts)
    };
    let packed = [part(251, u32::MAX, names), part(252, 0, file)];
    let mut bytes = mend::container(&header(4), &packed);
    open_and_use(&bytes);
    mend::reseal_index(&mut bytes);
    open_and_use(&bytes);
}

/// The header of a container of a kind, as far as it is given.
fn header(kind: u32) -> [u8; 48] {
    let mut header = [0; 48];
    header[..8].copy_from_slice(&mend::MAGIC);
    header[8] = 1;
    header[12..16].copy_from_slice(&kind.to_le_bytes());
    header
}

/// Sections that lie behind right checksums.
pub fn sections(data: &[u8]) {
    let mut choices = Choices(data);
    let which = choices.below(2);
    open_and_use(&mutated(which, &mut choices, 8));
}

/// Whatever the bytes are, reading them as an array gives an array or an error.
pub fn npy(data: &[u8]) {
    let Ok(array) = NpyArray::from_bytes("fuzz", data) else { return };
    let values: usize = array.shape().iter().product();
    if let Ok(ints) = array.ints() {
        assert_eq!(ints.len(), values);
    }
    if let Ok(floats) = array.floats() {
        assert_eq!(floats.len(), values);
    }
}

/// Whatever the bytes are, reading them as tensors gives tensors or an error.
#[cfg(feature = "readers")]
pub fn safetensors(data: &[u8]) {
    let Ok(file) = lateen::readers::SafeTensorsFile::from_bytes("fuzz", data) else { return };
    for name in file.names() {
        let Ok(tensor) = file.tensor(&name) else { continue };
        let values: usize = tensor.shape().iter().product();
        if let Ok(ints) = tensor.ints() {
            assert_eq!(ints.len(), values);
        }
        if let Ok(floats) = tensor.floats() {
            assert_eq!(floats.len(), values);
        }
    }
}

/// Whatever the bytes are, reading them as JSON lines gives records or an error.
#[cfg(feature = "readers")]
pub fn jsonl(data: &[u8]) {
    let lines = lateen::readers::JsonLines::new("fuzz", std::io::Cursor::new(data.to_vec()));
    for record in lines {
        if record.is_err() {
            break;
        }
    }
}

/// Whatever the bytes are, as a gzip file, or as what is compressed in one, they are unpacked line by
/// line or refused.
#[cfg(feature = "readers")]
pub fn gzip(data: &[u8]) {
    // A header without a name or a time, so that every change reaches what unpacks.
    const MEMBER: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\xff";
    let (bare, rest) = data.split_first().map_or((false, data), |(how, rest)| (how % 2 == 1, rest));
    let file = if bare { [MEMBER, rest].concat() } else { rest.to_vec() };
    let name = format!("lateen-{}-{:?}.jsonl.gz", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, file).expect("room for a small file");
    let lines = lateen::readers::JsonLines::open(&path).expect("it is there");
    let read = lines.take_while(Result::is_ok).count();
    let _ = std::fs::remove_file(&path);
    // Deflate unpacks to 1,032 times at most, and a record takes two bytes at least.
    assert!(read <= data.len() * 600 + 16, "{read} records");
}

/// Whatever the bytes are, as a run and as judgements they are read or refused; what was read as
/// a run is written and read again as the same.
pub fn eval(data: &[u8]) {
    let _ = Qrels::parse("fuzz", std::io::Cursor::new(data.to_vec()));
    let Ok(run) = Run::parse("fuzz", std::io::Cursor::new(data.to_vec())) else { return };
    let mut written = Vec::new();
    run.write(&mut written, "fuzz").expect("memory does not fail");
    let again = Run::parse("again", std::io::Cursor::new(written)).expect("what was written");
    assert!(again == run);
}

/// Whatever the vectors are, a document is refused, or stored exactly and found again.
pub fn ingest(data: &[u8]) {
    let mut schema = Schema::builder();
    let sparse = schema.sparse("sparse");
    let options = TokenOptions::new(8).normalization(Normalization::AsIs);
    let tokens = schema.tokens("tokens", options);
    let schema = schema.build().expect("a valid schema");
    let mut writer = IndexWriter::in_memory(schema).expect("a new index");
    for (i, part) in (0u32..).zip(data.chunks(64)) {
        let floats: Vec<f32> =
            part.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let pairs: Vec<(u32, f32)> = floats.iter().map(|x| (x.to_bits() >> 20, *x)).collect();
        let document = Document::new(i.to_string())
            .sparse(&sparse, &pairs)
            .and_then(|document| document.tokens(&tokens, TokenMatrix::new(&floats, 8)));
        if let Ok(document) = document {
            let _ = writer.add(&document);
        }
    }
    let held = writer.len();
    writer.commit().expect("memory does not fail");
    let index = writer.reader().expect("what was written opens");
    assert_eq!(index.len(), held);
    index.verify().expect("what was written is sound");
    for document in index.snapshot().documents() {
        let document = document.expect("readable");
        let vector = document.sparse(&sparse).expect("readable").unwrap_or_default();
        assert!(vector.iter().all(|(_, weight)| weight.is_finite() && *weight > 0.0));
        if let Some(&(term, _)) = vector.first() {
            let query = Query::sparse(&sparse, &[(term, 1.0f32)]).expect("a valid query");
            let hits = index.search(&query.top(100)).expect("a search");
            assert!(hits.iter().any(|hit| hit.key() == document.key()) || hits.len() == 100);
        }
    }
}

/// Any sequence of changes, beside a map that does the same.
pub fn operations(data: &[u8]) {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let sparse = schema.sparse("sparse");
    let schema = schema.build().expect("a valid schema");
    let options = IndexWriter::options().merges(Merges::AtCommit);
    let mut writer = options.in_memory(schema).expect("a new index");
    let (mut model, mut committed) = (BTreeMap::new(), BTreeMap::new());
    let mut choices = Choices(data);
    let mut commits = 0;
    while !choices.is_empty() && commits < 12 {
        let op = choices.byte();
        let key = u64::from(choices.byte() % 16);
        let weight = f32::from(1 + choices.byte() % 8);
        let terms = [(1u32, weight)];
        let document = Document::new(key).sparse(&sparse, &terms).expect("valid");
        match op % 8 {
            0 | 1 => {
                let added = writer.add(&document).is_ok();
                assert_eq!(added, !model.contains_key(&key));
                if added {
                    model.insert(key, weight);
                }
            }
            2 | 3 => {
                writer.upsert(&document).expect("valid");
                model.insert(key, weight);
            }
            4 | 5 => {
                let deleted = writer.delete(key).expect("a key of the kind").documents;
                assert_eq!(deleted, u64::from(model.remove(&key).is_some()));
            }
            6 => {
                if weight > 6.0 {
                    writer.force_merge(1, |_| {}).expect("memory does not fail");
                } else {
                    writer.commit().expect("memory does not fail");
                }
                committed = model.clone();
                commits += 1;
                let index = writer.reader().expect("what was written opens");
                index.verify().expect("what was written is sound");
                assert_eq!(index.len(), model.len() as u64);
                let query = Query::sparse(&sparse, &[(1u32, 2.0f32)]).expect("valid");
                let hits = index.search(&query.exact().top(100)).expect("a search");
                let mut expected: Vec<(u64, f32)> =
                    model.iter().map(|(key, weight)| (*key, 2.0 * weight)).collect();
                expected.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                let found = hits.iter().map(|hit| (hit.key().as_u64(), hit.score()));
                assert!(found.eq(expected.into_iter().map(|(key, score)| (Some(key), score))));
            }
            _ => {
                writer.rollback().expect("memory does not fail");
                model.clone_from(&committed);
            }
        }
        assert_eq!(writer.len(), model.len() as u64);
        assert_eq!(writer.contains(key).expect("of the kind"), model.contains_key(&key));
    }
}
