//! The same bits everywhere: files do not depend on threads or kernels, and neither do hits.

mod naive;
#[path = "naive/set.rs"]
mod set;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::f16;
use lateen::{
    Batch, Certainty, Document, DocumentOrder, Forward, Hits, Index, IndexWriter, KernelLevel, Key,
    KeyKind, Merges, Normalization, OpenMode, Query, Rows, SparseBatch, SparseVector, TokenBatch,
    TokenCodec, TokenMatrix, WriterOptions,
};
use naive::Fields;
use naive::given::{Columns, Given};
use naive::make::{ask, document, key};
use naive::random::Draw;
use set::{Set, SetFields};

/// Every way to write: each kernel with one and with two threads.
fn ways() -> Vec<WriterOptions> {
    let levels = KernelLevel::available();
    let both = |level: KernelLevel| {
        let options = IndexWriter::options().kernel(level).merges(Merges::AtCommit);
        [1, 2].map(|threads| options.clone().threads(threads))
    };
    levels.into_iter().flat_map(both).collect()
}

/// The files of a directory by name.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap());
    let file = |entry: fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
    };
    entries.map(file).collect()
}

/// Writes an index in every way; gives the files, which must be the same for all.
fn written(write: impl Fn(&Path, WriterOptions)) -> BTreeMap<String, Vec<u8>> {
    let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
    for options in ways() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("index");
        let way = format!("{options:?}");
        write(&path, options);
        let found = files(&path);
        let Some(first) = &first else {
            first = Some(found);
            continue;
        };
        assert!(first.keys().eq(found.keys()), "{way}: {:?}", found.keys());
        for (name, bytes) in first {
            let at = bytes.iter().zip(&found[name]).position(|(a, b)| a != b);
            assert_eq!(at, None, "{way}: {name} differs from this byte on");
            assert_eq!(bytes.len(), found[name].len(), "{way}: {name}");
        }
    }
    first.expect("there is a way to write")
}

/// Hits without their places: keys, bits of scores, and what is promised.
type Bare = (Vec<(Key, u32)>, Certainty);

fn bare(hits: &Hits) -> Bare {
    let hits_of = hits.iter().map(|hit| (hit.key().clone(), hit.score().to_bits()));
    (hits_of.collect(), hits.certainty())
}

/// Answers are the same with every kernel, from map, heap and by position, alone and in a batch over any number
/// of threads.
fn answered(path: &Path, queries: &[Query]) {
    let packed = path.with_extension("packed");
    Index::open(path).unwrap().pack(&packed).unwrap();
    let mut first: Option<Vec<Bare>> = None;
    for level in KernelLevel::available() {
        let open = |mode, path| Index::options().kernel(level).mode(mode).open(path).unwrap();
        let index = open(OpenMode::Map, path);
        let alone: Vec<_> =
            queries.iter().map(|query| bare(&index.search(query).unwrap())).collect();
        let want = first.get_or_insert_with(|| alone.clone());
        assert!(alone == *want, "{level}");
        for threads in [1, 2, 4] {
            let batch = index.search_batch(queries, threads).unwrap();
            let batch: Vec<_> = batch.iter().map(bare).collect();
            assert!(batch == *want, "{level}, {threads} threads");
        }
        let more = [(OpenMode::Heap, path), (OpenMode::Map, &packed), (OpenMode::Read, path)];
        for index in more.map(|(mode, path)| open(mode, path)) {
            let batch = index.search_batch(queries, 2).unwrap();
            let batch: Vec<_> = batch.iter().map(bare).collect();
            assert!(batch == *want, "{level}, {index:?}");
        }
    }
    // Not for want of hits.
    let hits: usize = first.iter().flatten().map(|(hits, _)| hits.len()).sum();
    assert!(hits > queries.len(), "{hits} hits of {} queries", queries.len());
}

/// Batches, single documents, deletions; several segments and a tombstone file.
fn random(fields: &Fields, path: &Path, options: WriterOptions) {
    let kind = fields.schema.key_kind();
    let mut draw = Draw::new(11);
    let mut writer = options.create(path, fields.schema.clone()).unwrap();
    for part in 0..4 {
        let one = |at| (key(kind, 60 * part + at), document(&mut draw, fields));
        let documents: Vec<(Key, Given)> = (0..60).filter(|at| at % 13 != 7).map(one).collect();
        let columns = Columns::new(fields, documents);
        let matrices = columns.matrices(fields);
        writer.upsert_batch(&columns.batch(fields, &matrices).unwrap()).unwrap();
        for at in 0..20 {
            let (key, given) = (key(kind, 17 * at), document(&mut draw, fields));
            writer.upsert(&given.document(&key, fields).unwrap()).unwrap();
        }
        for at in 0..10 {
            writer.delete(key(kind, 60 * part + 5 * at)).unwrap();
        }
        if part != 1 {
            writer.commit().unwrap();
        }
    }
}

#[test]
fn random_data_writes_the_same_bytes() {
    let orders = [DocumentOrder::Given, DocumentOrder::Similar];
    for (kind, order) in [KeyKind::Str, KeyKind::U64].into_iter().zip(orders) {
        let fields = Fields::all(kind);
        let files = written(|path, options| random(&fields, path, options.order(order)));
        assert!(files.len() >= 6, "{:?}", files.keys());
    }
}

#[test]
fn random_data_gets_the_same_hits() {
    let place = tempfile::tempdir().unwrap();
    for kind in [KeyKind::Str, KeyKind::U64] {
        let path = place.path().join(format!("{kind:?}"));
        let fields = Fields::all(kind);
        random(&fields, &path, IndexWriter::options());
        let mut draw = Draw::new(5);
        let queries: Vec<Query> =
            (0..200).map(|_| ask(&mut draw, &fields).query(&fields).unwrap()).collect();
        answered(&path, &queries);
    }
}

/// The committed set, in several segments: what memory holds is little.
fn wiki_mini(set: &Set, fields: &SetFields, path: &Path, options: WriterOptions) {
    let mut writer = fields.writer(path, options.memory(1 << 20));
    set.add_to(&mut writer, fields, 60);
    writer.commit().unwrap();
    for row in (0..400u64).step_by(9) {
        assert_eq!(writer.delete(row).unwrap().documents, 1);
    }
    writer.commit().unwrap();
}

#[test]
fn wiki_mini_writes_the_same_bytes() {
    let set = Set::open(&set::committed());
    let fields = SetFields::of(&set);
    let files = written(|path, options| wiki_mini(&set, &fields, path, options));
    assert!(files.len() >= 8, "{:?}", files.keys());
}

#[test]
fn wiki_mini_gets_the_same_hits() {
    let set = Set::open(&set::committed());
    let fields = SetFields::of(&set);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    wiki_mini(&set, &fields, &path, IndexWriter::options());
    let (_, rows) = set.tokens.as_ref().unwrap();
    let mut queries = Vec::new();
    for i in 0..rows.len() {
        let sparse = Query::sparse(&fields.sparse, set.sparse_queries.row(i)).unwrap();
        queries.push(sparse.clone().top(50));
        for field in [&fields.f16, &fields.int8].into_iter().flatten() {
            queries.push(Query::tokens(field, rows.matrix(i)).unwrap());
            queries.push(sparse.clone().rerank(field, rows.matrix(i)).unwrap().candidates(40));
        }
    }
    // At the usual effort, and exactly.
    let exact: Vec<Query> = queries.iter().map(|query| query.clone().exact()).collect();
    queries.extend(exact);
    answered(&path, &queries);
}

/// A packed file is the same each time, whatever it was packed from.
#[test]
fn packing_gives_the_same_bytes() {
    let fields = Fields::all(KeyKind::Str);
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    random(&fields, &path, IndexWriter::options());
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    Index::open(&path).unwrap().pack(&first).unwrap();
    Index::open(&first).unwrap().pack(&second).unwrap();
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap());
}

/// One document with its vectors in every form that producers emit: what is written is the same.
#[test]
fn forms_of_the_same_vectors_write_the_same_bytes() {
    let fields = Fields::some(
        KeyKind::U64,
        &[Forward::Auto],
        &[(16, TokenCodec::F16, Normalization::AsIs), (8, TokenCodec::Int8, Normalization::AsIs)],
    );
    let (sparse, f16_field, int8_field) =
        (&fields.sparse[0].field, &fields.tokens[0].field, &fields.tokens[1].field);
    // Numbers that all forms can hold.
    let (ids, weights) = ([700u16, 3, 9], [0.5f32, 1.25, 2.0]);
    let halves = weights.map(f16::from_f32);
    let pairs: Vec<(u32, f32)> = ids.iter().map(|&id| id.into()).zip(weights).collect();
    let codes: Vec<i8> = (0..32).map(|at| (at * 37 % 251 - 125) as i8).collect();
    let values: Vec<f32> = codes.iter().map(|&code| f32::from(code) / 64.0).collect();
    let half_values: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
    let scales = [1.0 / 64.0; 4];

    let wide = ids.map(u32::from);
    let (of_u64, of_i32, of_i64) = (ids.map(u64::from), ids.map(i32::from), ids.map(i64::from));
    let vectors = [
        SparseVector::pairs(&pairs),
        SparseVector::new(&ids, &weights),
        SparseVector::new(&wide, &halves),
        SparseVector::new(&of_u64, &weights),
        SparseVector::new(&of_i32, &halves),
        SparseVector::new(&of_i64, &weights),
    ];
    let all_rows = |dim: usize| -> [Rows<'_>; 3] {
        let scales = &scales[..32 / dim];
        [Rows::F32(&values), Rows::F16(&half_values), Rows::I8 { codes: &codes, scales }]
    };
    let written = |add: &dyn Fn(&mut IndexWriter)| {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("index");
        let mut writer = IndexWriter::create(&path, fields.schema.clone()).unwrap();
        add(&mut writer);
        writer.commit().unwrap();
        files(&path)
    };
    let document = |vector: SparseVector<'_>, form: usize| {
        written(&|writer| {
            let document = Document::new(5u64).sparse(sparse, vector).unwrap();
            let document = document
                .tokens(f16_field, TokenMatrix::new(all_rows(16)[form], 16))
                .unwrap()
                .tokens(int8_field, TokenMatrix::new(all_rows(8)[form], 8))
                .unwrap();
            writer.add(&document).unwrap();
        })
    };
    let want = document(vectors[0], 0);
    for (at, &vector) in vectors.iter().enumerate() {
        assert!(document(vector, at % 3) == want, "sparse form {at}");
    }
    let list = [pairs.clone()];
    let batches = [
        SparseBatch::pairs(&list),
        SparseBatch::csr(&[0u16, 3], &wide, &weights),
        SparseBatch::coo(&[0i32, 0, 0], &ids, &halves, 1),
    ];
    for (at, rows) in batches.iter().enumerate() {
        let flat = written(&|writer| {
            let batch = Batch::new([5u64]).sparse(sparse, rows).unwrap();
            let batch = batch
                .tokens(f16_field, &TokenBatch::flat(all_rows(16)[at], &[2i64], 16))
                .unwrap()
                .tokens(int8_field, &TokenBatch::flat(all_rows(8)[at], &[4u16], 8))
                .unwrap();
            writer.add_batch(&batch).unwrap();
        });
        assert!(flat == want, "batch form {at}");
    }
}
