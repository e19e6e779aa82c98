//! What each fuzz target does with its bytes: plain functions, without a fuzzer.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use lateen::eval::{Qrels, Run};
use lateen::readers::NpyArray;
use lateen::{
    Certainty, Collapse, Document, Effort, Feedback, Filter, Index, IndexWriter, KernelLevel, Key,
    KeyKind, Merges, Normalization, Query, RoaringTreemap, Schema, TokenMatrix, TokenOptions,
};

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
    ("queries", queries),
    ("kernels", kernels),
    ("operations", operations),
    #[cfg(feature = "simulation")]
    ("crashes", super::crashes::crashes),
];

/// Bytes as a stream of choices; zeros once they are used up.
pub struct Choices<'a>(pub &'a [u8]);

impl Choices<'_> {
    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// The next four.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// Any float, the next four bytes.
    pub fn f32(&mut self) -> f32 {
        f32::from_bits(self.u32())
    }

    /// A number below a limit, from the next two.
    pub fn below(&mut self, limit: usize) -> usize {
        (usize::from(self.byte()) | usize::from(self.byte()) << 8) % limit.max(1)
    }

    /// Whether the next byte is a multiple of a number.
    pub fn one_in(&mut self, n: u8) -> bool {
        self.byte().is_multiple_of(n)
    }

    /// Whether they are used up.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The sample and the rich index, each as one file, made once.
fn good() -> &'static [Vec<u8>; 2] {
    static GOOD: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    GOOD.get_or_init(|| [sample::packed(), sample::rich_packed()])
}

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

/// One of the two with changes that the bytes name, all checksums mended: so many at most, each in a
/// section chosen first, so that short sections are met as often as long ones.
fn mutated(which: usize, choices: &mut Choices<'_>, most: usize) -> Vec<u8> {
    let mut bytes = good()[which].clone();
    let files = mend::files(&bytes);
    for _ in 0..=choices.below(most) {
        let (_, place) = &files[choices.below(files.len())];
        let entries = mend::entries(&bytes[place.clone()]);
        let Some(entry) = entries.get(choices.below(entries.len())) else { continue };
        let start = place.start + entry.offset;
        let at = start + choices.below(entry.length);
        match choices.byte() % 4 {
            0 => bytes[at] = choices.byte(),
            1 => bytes[at] ^= 1 << (choices.byte() % 8),
            2 => {
                let word = choices.u32().to_le_bytes();
                let at = start + (at - start) / 4 * 4;
                for (byte, word) in bytes[at..].iter_mut().zip(word) {
                    *byte = word;
                }
            }
            _ => {
                // A run of the same section over another place of it.
                let len = choices.below(32).min(start + entry.length - at);
                let from = start + choices.below(entry.length - len + 1);
                bytes.copy_within(from..from + len, at);
            }
        }
        if choices.is_empty() {
            break;
        }
    }
    mend::reseal_index(&mut bytes);
    bytes
}

/// Sections that lie behind right checksums.
pub fn sections(data: &[u8]) {
    let mut choices = Choices(data);
    let which = choices.below(2);
    open_and_use(&mutated(which, &mut choices, 8));
}

/// Any query of an index that lies behind right checksums, without a verification before.
pub fn query_mutated(data: &[u8]) {
    // The query comes first: what cannot be asked is not worth the damage.
    let (asked, changes) = data.split_at(data.len() / 2);
    let (mut asked, mut changes) = (Choices(asked), Choices(changes));
    let which = asked.below(2);
    let schema = sample_indexes()[which].schema();
    let query = any_query(&schema, &mut asked).and_then(|query| {
        let sorted = asked.one_in(8);
        Ok(if sorted { query.sort(schema.i64("year")?.descending()) } else { query })
    });
    let Ok(query) = query else { return };
    let bytes = mutated(which, &mut changes, 3);
    let Ok(index) = Index::options().from_bytes(&bytes) else { return };
    if let Ok(hits) = index.search(&query) {
        for hit in &hits {
            let _ = hit.payload();
            let _ = index.explain(&query, hit);
        }
    }
}

/// A query of an index's fields, or the error of what it was to be made of.
fn any_query(schema: &Schema, choices: &mut Choices<'_>) -> lateen::Result<Query> {
    let of_kind = |kind| schema.field_names().filter(move |field| field.1 == kind);
    let sparse: Vec<&str> = of_kind("sparse").map(|field| field.0).collect();
    let tokens: Vec<&str> = of_kind("tokens").map(|field| field.0).collect();
    let token_field = |choices: &mut Choices<'_>| {
        let name = tokens.get(choices.below(tokens.len())).copied().unwrap_or_default();
        schema.tokens(name)
    };
    // First, so that there are bytes left for it; a few are refused.
    let top = choices.below(30);
    let rows = |choices: &mut Choices<'_>, dim: usize| {
        let count = (1 + choices.below(3)) * dim;
        let wild = choices.one_in(16);
        let value = |choices: &mut Choices<'_>| {
            if wild { choices.f32() } else { f32::from(choices.byte()) / 256.0 - 0.5 }
        };
        (0..count).map(|_| value(choices)).collect::<Vec<f32>>()
    };
    let mut query = if choices.one_in(2) {
        let name = sparse.get(choices.below(sparse.len())).copied().unwrap_or_default();
        let field = schema.sparse(name)?;
        let wild = choices.one_in(16);
        let vector: Vec<(u32, f32)> = (0..=choices.below(6))
            .map(|_| {
                if wild {
                    return (choices.u32(), choices.f32());
                }
                let term = [7, 100, 101, 102, 70_000][choices.below(5)];
                (term + u32::from(choices.byte() % 2), 0.5 + f32::from(choices.byte()))
            })
            .collect();
        Query::sparse(&field, &vector)?
    } else {
        let field = token_field(choices)?;
        let rows = rows(choices, field.dim());
        Query::tokens(&field, TokenMatrix::new(&rows, field.dim()))?
    };
    if choices.one_in(2) {
        query = query.filter(any_filter(schema, choices, 12)?);
    }
    if choices.one_in(3) {
        let field = token_field(choices)?;
        let rows = rows(choices, field.dim());
        query = query.rerank(&field, TokenMatrix::new(&rows, field.dim()))?;
        query = query.candidates(1 + choices.below(20));
    }
    if choices.one_in(4) {
        query = query.at_least(f32::from(choices.byte()) / 16.0 - 2.0);
    }
    if choices.one_in(6) {
        let (docs, added) = (1 + choices.below(12), choices.below(20));
        query = query.feedback(Feedback::default().docs(docs).terms(added).rows(added));
    }
    if choices.one_in(8) {
        query = query.collapse(Collapse::keyword(&schema.keyword("lang")?).inside(2));
    }
    query = match choices.byte() % 4 {
        0 => query.exact(),
        1 => query.effort(Effort::Level(f32::from(choices.byte()) / 255.0)),
        2 => query.effort(Effort::Recall(f32::from(choices.byte()) / 255.0)),
        _ => query,
    };
    Ok(query.top(top))
}

/// A filter of an index's fields, of any shape and so many steps at most.
fn any_filter(schema: &Schema, choices: &mut Choices<'_>, most: usize) -> lateen::Result<Filter> {
    let mut held: Vec<Filter> = Vec::new();
    for _ in 0..choices.below(most) {
        let next = match choices.byte() % 12 {
            0 => schema.keyword("lang")?.eq(["en", "fr", "ké", ""][choices.below(4)]),
            1 => schema.keyword("lang")?.exists(),
            2 => schema.i64("year")?.range(1980 - i64::from(choices.byte())..),
            3 => match schema.u64("size") {
                Ok(field) => field.range(..u64::from(choices.byte()) << 40),
                Err(_) => schema.keyword("lang")?.any_of(["7", "11", "fr"]),
            },
            4 => match schema.f64("price") {
                Ok(field) => field.range(f64::from(choices.f32())..=f64::from(choices.f32())),
                Err(_) => schema.i64("year")?.any_of([1900, 1977, 2100]),
            },
            5 => match schema.bool("open") {
                Ok(field) => field.eq(choices.one_in(2)),
                Err(_) => schema.i64("year")?.exists(),
            },
            6 if schema.key_kind() == KeyKind::U64 => {
                let keys = (0..choices.below(300)).map(|i| i as u64 * 3);
                if choices.one_in(2) {
                    Filter::bitmap(keys.collect::<RoaringTreemap>())
                } else {
                    Filter::keys(keys)
                }
            }
            6 => Filter::keys((0..choices.below(5)).map(|i| format!("doc-{i:02}"))),
            7 => !held.pop().unwrap_or_else(|| Filter::all([])),
            8 | 9 => {
                let more = held.pop().unwrap_or_else(|| Filter::any([]));
                held.pop().unwrap_or_else(|| Filter::all([])) & more
            }
            10 => {
                let more = held.pop().unwrap_or_else(|| Filter::all([]));
                held.pop().unwrap_or_else(|| Filter::any([])) | more
            }
            _ => Filter::any(held.drain(..)),
        };
        held.push(next);
        if choices.is_empty() {
            break;
        }
    }
    Ok(Filter::all(held))
}

fn keys(index: &Index, query: &Query) -> Option<Vec<Key>> {
    let hits = index.search(&query.clone().exact().top(1000)).ok()?;
    Some(hits.iter().map(|hit| hit.key().clone()).collect())
}

/// The two opened, on the kernels of a level or on the best.
fn opened(level: Option<KernelLevel>) -> [Index; 2] {
    let open = |bytes: &Vec<u8>| {
        let options = Index::options();
        let options = level.map_or(options.clone(), |level| options.kernel(level));
        options.from_bytes(bytes).expect("it opens")
    };
    good().each_ref().map(open)
}

fn sample_indexes() -> &'static [Index; 2] {
    static INDEXES: OnceLock<[Index; 2]> = OnceLock::new();
    INDEXES.get_or_init(|| opened(None))
}

/// A filter and its negation part the documents between them.
pub fn filters(data: &[u8]) {
    let index = &sample_indexes()[0];
    let schema = index.schema();
    let Ok(filter) = any_filter(&schema, &mut Choices(data), 200) else { return };
    let field = schema.sparse("sparse").expect("the sample has it");
    let all = Query::sparse(&field, &[(7u32, 1.0f32)]).expect("a query");
    let Some(mut passed) = keys(index, &all.clone().filter(filter.clone())) else { return };
    let refused = keys(index, &all.clone().filter(!filter.clone())).expect("the same depth");
    assert!(refused.iter().all(|key| !passed.contains(key)));
    let both = keys(index, &all.clone().filter(filter.clone()).filter(filter));
    assert!(both.is_none_or(|both| both == passed));
    passed.extend(refused);
    passed.sort_unstable();
    let mut everything = keys(index, &all).expect("no filter");
    everything.sort_unstable();
    assert_eq!(passed, everything);
}

/// Whatever a query is made of, it is refused or answered, and the answer is in order.
pub fn queries(data: &[u8]) {
    let mut choices = Choices(data);
    let index = &sample_indexes()[choices.below(2)];
    let Ok(query) = any_query(&index.schema(), &mut choices) else { return };
    let Ok(hits) = index.search(&query) else { return };
    let scores: Vec<f32> = hits.iter().map(lateen::Hit::score).collect();
    assert!(scores.iter().all(|score| !score.is_nan() && *score < f32::INFINITY));
    assert!(scores.windows(2).all(|pair| pair[0] >= pair[1]));
    // Exact search is the reference of what claims to be exact.
    if hits.certainty() == Certainty::Certified {
        let exact = index.search(&query.clone().exact()).expect("the same query");
        let same = |a: &lateen::Hit, b: &lateen::Hit| a.key() == b.key() && a.score() == b.score();
        assert!(
            hits.len() == exact.len() && hits.iter().zip(exact.iter()).all(|(a, b)| same(a, b))
        );
    }
    let batch = index.search_batch(&[query.clone(), query], 1).expect("the same queries");
    assert!(
        batch.iter().all(|hits| hits.iter().map(lateen::Hit::score).eq(scores.iter().copied()))
    );
}

/// The same query on the kernels of every level that the machine has.
pub fn kernels(data: &[u8]) {
    static LEVELS: OnceLock<Vec<[Index; 2]>> = OnceLock::new();
    let levels = LEVELS.get_or_init(|| {
        KernelLevel::available().into_iter().map(|level| opened(Some(level))).collect()
    });
    let mut choices = Choices(data);
    let which = choices.below(2);
    let mut levels = levels.iter().map(|indexes| &indexes[which]);
    let Some(first) = levels.next() else { return };
    let Ok(query) = any_query(&first.schema(), &mut choices) else { return };
    let answer = |index: &Index| {
        let hits = index.search(&query).ok()?;
        let bits = |hit: &lateen::Hit| (hit.key().clone(), hit.score().to_bits());
        Some((hits.certainty(), hits.iter().map(bits).collect::<Vec<_>>()))
    };
    let expected = answer(first);
    assert!(levels.all(|index| answer(index) == expected));
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
