//! Small files, their sums right, in which much points at the same little: errors, before they make
//! a large answer or a long search of it.

#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/mend.rs"]
mod mend;

use lateen::{
    Centroids, Document, Error, Index, IndexWriter, KeyKind, Merges, Normalization, Query, Schema,
    SchemaBuilder, TokenMatrix, TokenOptions, Vocabulary,
};
use mend::Part;
use xxhash_rust::xxh3::xxh3_64;

const DICT: u32 = 34;
const DICT_OFFSETS: u32 = 35;
const ORDINALS: u32 = 38;
const ORDINAL_OFFSETS: u32 = 39;
const TOKENS_ENDS: u32 = 129;
const VOCABULARY: u32 = 4;

fn writer(schema: SchemaBuilder) -> IndexWriter {
    let options = IndexWriter::options().merges(Merges::Manual);
    options.in_memory(schema.build().unwrap()).unwrap()
}

fn packed(writer: &IndexWriter) -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("packed");
    writer.reader().unwrap().pack(&path).unwrap();
    std::fs::read(path).unwrap()
}

/// The index with other sections in the file whose name begins so.
fn with(good: &[u8], file: &str, sections: &[(u32, Vec<u8>)]) -> Index {
    let files = mend::files(good);
    let (at, (_, place)) =
        files.iter().enumerate().find(|(_, (name, _))| name.starts_with(file)).unwrap();
    let mut parts: Vec<Part> = mend::parts(&good[place.clone()]);
    for (kind, data) in sections {
        parts.iter_mut().find(|part| part.kind == *kind).unwrap().data.clone_from(data);
    }
    let mut whole = mend::parts(good);
    whole[at + 1].data = mend::container(&good[place.clone()], &parts);
    let mut bytes = mend::container(good, &whole);
    mend::reseal_index(&mut bytes);
    Index::options().from_bytes(&bytes).unwrap()
}

fn words(values: impl IntoIterator<Item = u32>) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn longs(values: impl IntoIterator<Item = u64>) -> Vec<u8> {
    values.into_iter().flat_map(u64::to_le_bytes).collect()
}

fn is_corrupt<T: std::fmt::Debug>(result: lateen::Result<T>) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
}

/// One document names one long value 8,192 times; and then values that overlap.
#[test]
fn values_named_time_and_again() {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let (terms, names) = (schema.sparse("terms"), schema.keyword("names"));
    let mut writer = writer(schema);
    let document = Document::new(1u64).sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
    writer.add(&document.keyword(&names, "x").unwrap()).unwrap();
    writer.commit().unwrap();
    let good = packed(&writer);
    let asked = |index: &Index| {
        let document = index.get(1u64).unwrap().unwrap();
        document.keywords(&names).map(|values| values.len())
    };
    assert_eq!(asked(&with(&good, "seg-", &[])).unwrap(), 1);
    let again = with(
        &good,
        "seg-",
        &[
            (DICT, vec![b'a'; 16 << 10]),
            (DICT_OFFSETS, longs([0, 16 << 10])),
            (ORDINALS, words(vec![0; 8192])),
            (ORDINAL_OFFSETS, longs([0, 8192])),
        ],
    );
    is_corrupt(asked(&again));
}

/// Every other document has all values of all, the ones between are deleted.
#[test]
fn documents_that_share_their_values() {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let (terms, names) = (schema.sparse("terms"), schema.keyword("names"));
    let mut writer = writer(schema);
    for key in 0..2000u64 {
        let document = Document::new(key).sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
        writer.add(&document.keyword(&names, "x").unwrap()).unwrap();
    }
    writer.commit().unwrap();
    writer.delete_batch((1..2000u64).step_by(2)).unwrap();
    writer.commit().unwrap();
    let good = packed(&writer);
    assert_eq!(with(&good, "seg-", &[]).facets(None, &names, 10).unwrap().len(), 1);
    let offsets = (0..=2000u64).map(|at| if at % 2 == 0 { 0 } else { 20_000 });
    let sections = [(ORDINALS, words(vec![0; 20_000])), (ORDINAL_OFFSETS, longs(offsets))];
    is_corrupt(with(&good, "seg-", &sections).facets(None, &names, 10));
}

/// The same with token rows.
#[test]
fn documents_that_share_their_rows() {
    for centroids in [Centroids::None, Centroids::Count(20)] {
        let mut schema = Schema::builder();
        schema.keys(KeyKind::U64);
        let options = TokenOptions::new(8).centroids(centroids);
        let rows = schema.tokens("rows", options.normalization(Normalization::AsIs));
        let mut writer = writer(schema);
        let own: Vec<f32> = (0..20 * 8).map(|at| (at * 37 % 101) as f32 / 101.0 - 0.4).collect();
        for key in 0..1000u64 {
            let matrix = TokenMatrix::new(&own[..], 8);
            writer.add(&Document::new(key).tokens(&rows, matrix).unwrap()).unwrap();
        }
        writer.commit().unwrap();
        writer.delete_batch((1..1000u64).step_by(2)).unwrap();
        writer.commit().unwrap();
        let good = packed(&writer);
        let query = Query::tokens(&rows, TokenMatrix::new(&own[..64], 8)).unwrap();
        let ends = (0..1000u32).map(|at| if at % 2 == 0 { 20_000 } else { 0 });
        let bad = with(&good, "seg-", &[(TOKENS_ENDS, words(ends))]);
        for query in [query.clone().exact(), query] {
            assert_eq!(with(&good, "seg-", &[]).search(&query).unwrap().len(), 10);
            is_corrupt(bad.search(&query));
        }
    }
}

/// So many words that all have their first slot among the first of so many.
fn crowded(count: usize, slots: u64, first: u64) -> Vec<(u64, String)> {
    let all = (0u64..).map(|at| format!("{at:05x}"));
    let placed = all.map(|word| (xxh3_64(word.as_bytes()) % slots, word));
    let mut chosen: Vec<_> = placed.filter(|(slot, _)| *slot < first).take(count).collect();
    chosen.sort();
    chosen
}

#[test]
fn words_that_crowd_in_a_few_slots() {
    let chosen = crowded(8192, 1 << 15, 1 << 8);
    let error = Vocabulary::new(chosen.iter().map(|(_, word)| (word, 1u32))).unwrap_err();
    assert!(error.to_string().contains("16 steps a word"), "{error}");

    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let mut writer = writer(schema);
    writer.set_vocabulary(&terms, &Vocabulary::new([("x", 1u32)]).unwrap()).unwrap();
    writer.add(&Document::new("a").sparse(&terms, &[(1u32, 1.0f32)]).unwrap()).unwrap();
    writer.commit().unwrap();
    let good = packed(&writer);
    with(&good, "manifest-", &[]).verify().unwrap();
    // One after the other from the first slot on, each where it would be found in the end.
    let count = u32::try_from(chosen.len()).unwrap();
    let mut data = words([count, 1 << 15, 0, 0]);
    data.extend(words(chosen.iter().scan(0, |end, (_, word)| {
        *end += u32::try_from(word.len()).unwrap();
        Some(*end)
    })));
    data.extend(words(0..count));
    data.extend(words((1..=count).chain(std::iter::repeat_n(0, (1 << 15) - chosen.len()))));
    data.extend(chosen.iter().flat_map(|(_, word)| word.bytes()));
    let index = with(&good, "manifest-", &[(VOCABULARY, data)]);
    let error = index.verify().unwrap_err();
    assert!(error.to_string().contains("crowd"), "{error}");
}
