//! What opening and searching take from the heap.

use std::path::PathBuf;
use std::time::Instant;

use allocation_counter::measure;
use lateen::readers::NpyArray;
use lateen::{
    Batch, Document, Index, IndexWriter, KeyKind, Query, Schema, SparseBatch, SparseVector,
    TokenBatch, TokenMatrix,
};

/// The folder of the larger sets, if there is one.
fn sets() -> Option<PathBuf> {
    let sets = std::env::var_os("LATEEN_SETS").map(PathBuf::from);
    if sets.is_none() {
        println!("skipped: LATEEN_SETS names no folder with larger sets");
    }
    sets
}

struct Sparse {
    indptr: NpyArray,
    terms: NpyArray,
    weights: NpyArray,
}

impl Sparse {
    fn open(set: &std::path::Path, one: &str) -> Self {
        let open = |what| NpyArray::open(set.join(format!("sparse_{one}_{what}.npy"))).unwrap();
        Self { indptr: open("indptr"), terms: open("indices"), weights: open("values") }
    }

    fn batch(&self) -> SparseBatch<'_> {
        SparseBatch::csr(
            self.indptr.ints().unwrap(),
            self.terms.ints().unwrap(),
            self.weights.floats().unwrap(),
        )
    }

    fn vector(&self, row: usize) -> SparseVector<'_> {
        let ends = self.indptr.usizes().unwrap();
        let range = ends[row]..ends[row + 1];
        SparseVector::new(
            self.terms.ints().unwrap().slice(range.clone()).unwrap(),
            self.weights.floats().unwrap().slice(range).unwrap(),
        )
    }

    fn rows(&self) -> usize {
        self.indptr.shape()[0] - 1
    }
}

/// After one search to warm up, no search takes more than this: the hits themselves, and what
/// their number asks for; nothing that grows with the documents.
const SEARCH_BYTES: u64 = 64 << 10;

fn check_searches(index: &Index, queries: &[Query]) {
    queries.iter().take(3).for_each(|query| drop(index.search(query).unwrap()));
    for query in queries {
        let used = measure(|| drop(index.search(query).unwrap()));
        assert!(used.bytes_max < SEARCH_BYTES, "a search took {} bytes", used.bytes_max);
    }
}

#[test]
fn searches_of_the_committed_set_take_little() {
    let set = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini");
    let mut schema = Schema::builder();
    let (sparse, tokens) = (schema.sparse("sparse"), schema.tokens("tokens", 128));
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    let documents = Sparse::open(&set, "docs");
    let open = |name: &str| NpyArray::open(set.join(name)).unwrap();
    let (rows, lengths) = (open("tok_docs.npy"), open("tok_doclens.npy"));
    let token_rows = TokenBatch::flat(rows.floats().unwrap(), lengths.ints().unwrap(), 128);
    let batch = Batch::new((0..documents.rows()).map(|row| row.to_string()))
        .sparse(&sparse, &documents.batch())
        .and_then(|batch| batch.tokens(&tokens, &token_rows))
        .unwrap();
    writer.add_batch(&batch).unwrap();
    writer.commit().unwrap();
    let index = writer.reader().unwrap();

    let queries = Sparse::open(&set, "queries");
    let (rows, lengths) = (open("tok_queries.npy"), open("tok_querylens.npy"));
    let mut start = 0;
    let mut asked = Vec::new();
    for (row, length) in lengths.usizes().unwrap().into_iter().enumerate() {
        let values = rows.floats().unwrap().slice(start * 128..(start + length) * 128).unwrap();
        start += length;
        let matrix = TokenMatrix::new(values, 128);
        let by_terms = Query::sparse(&sparse, queries.vector(row)).unwrap();
        asked.push(by_terms.clone());
        asked.push(by_terms.rerank(&tokens, matrix).unwrap());
        asked.push(Query::tokens(&tokens, matrix).unwrap());
    }
    check_searches(&index, &asked);
}

/// A filter takes one bit per document for itself, and one more on each of its levels while it is
/// evaluated: measured where those bits outweigh all else. Asked with again, it takes no more.
#[test]
fn a_filter_takes_one_bit_per_document_and_level() {
    const DOCUMENTS: u64 = 1 << 20;
    const BITS: u64 = DOCUMENTS / 8;
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let (sparse, place) = (schema.sparse("sparse"), schema.u64("place"));
    let mut writer =
        IndexWriter::options().memory(1 << 30).in_memory(schema.build().unwrap()).unwrap();
    // Terms in few documents only: what searches keep for themselves stays small.
    for at in 0..DOCUMENTS {
        let term = [(u32::try_from(at % 4096).unwrap(), 1.0f32)];
        let document = Document::new(at).u64(&place, at).unwrap();
        writer.add(&document.sparse(&sparse, &term).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    assert_eq!(index.info().segments.len(), 1);

    let plain = Query::sparse(&sparse, &[(1u32, 1.0f32)]).unwrap();
    let half = || place.range(..DOCUMENTS / 2);
    let levels = |count: u32| {
        (0..count).fold(half(), |filter, level| match level % 2 {
            0 => half() & filter,
            _ => place.range(DOCUMENTS / 2..) | filter,
        })
    };
    let mut last = 0;
    for depth in [0, 1, 8, 64] {
        drop(index.search(&plain.clone().filter(levels(depth))).unwrap());
        let query = plain.clone().filter(levels(depth));
        let used = measure(|| drop(index.search(&query).unwrap())).bytes_max;
        let most = BITS * (2 + u64::from(depth)) + SEARCH_BYTES;
        assert!(used >= BITS && used <= most, "{depth} levels took {used} bytes");
        assert!(used >= last);
        last = used;
        let again = measure(|| drop(index.search(&query).unwrap())).bytes_max;
        assert!(again <= SEARCH_BYTES, "{depth} levels took {again} bytes again");
    }
}

#[test]
fn opening_eighty_thousand_documents_takes_no_time_and_no_memory() {
    let Some(set) = sets().map(|sets| sets.join("mixed")).filter(|set| set.is_dir()) else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("mixed.index");
    let mut schema = Schema::builder();
    let sparse = schema.sparse("sparse");
    let mut writer = IndexWriter::create(&path, schema.build().unwrap()).unwrap();
    let documents = Sparse::open(&set, "docs");
    let batch = Batch::new((0..documents.rows()).map(|row| format!("doc-{row}")))
        .sparse(&sparse, &documents.batch())
        .unwrap();
    writer.add_batch(&batch).unwrap();
    writer.commit().unwrap();
    drop(writer);

    let mut index = None;
    let start = Instant::now();
    let used = measure(|| index = Some(Index::open(&path).unwrap()));
    let took = start.elapsed();
    let index = index.unwrap();
    println!("opened {} documents in {took:?}, {} bytes of heap", index.len(), used.bytes_max);
    assert_eq!(index.len(), 80_000);
    assert!(used.bytes_max < 1 << 20, "opening took {} bytes", used.bytes_max);

    let queries = Sparse::open(&set, "queries");
    let asked: Vec<Query> =
        (0..100).map(|row| Query::sparse(&sparse, queries.vector(row)).unwrap()).collect();
    check_searches(&index, &asked);
}
