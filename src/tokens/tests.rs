//! The token store against a slow model of it.

mod centroids;
mod hostile;
mod keep;
mod ladder;
mod waiting;

use std::cmp::Ordering;

use half::f16;

use super::layout::TokenRows;
use super::rows::Coded;
use super::write::{Packing, TokenSource, write_tokens};
use super::*;
use crate::docset::DocSet;
use crate::embed::{CleanTokens, TokenMatrix};
use crate::error::{Error, Result};
use crate::format::{Container, ContainerKind, ContainerWriter, SectionKind};
use crate::id::DocId;
use crate::kernel::{available, best};
use crate::mix::Numbers;
use crate::schema::{
    Centroids, Normalization, Schema, TokenCodec, TokenField, TokenOptions, TokenTier,
};
use crate::storage::{MemStorage, Storage};
use crate::topk::{KeyOrder, Scored, TopK};

impl Numbers {
    fn row(&mut self, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| self.unit()).collect()
    }
}

/// One document: its rows and its spans, if it has any.
#[derive(Clone, Debug, Default)]
struct Doc {
    rows: Vec<f32>,
    spans: Option<Vec<(u32, u32)>>,
}

/// Documents around a few centres, so that some are close to each other; one in ten lacks the
/// field.
fn documents(seed: u64, count: usize, dim: usize) -> Vec<Doc> {
    let mut numbers = Numbers(seed);
    let centres: Vec<Vec<f32>> = (0..20).map(|_| numbers.row(dim)).collect();
    (0..count)
        .map(|_| {
            let rows = if numbers.below(10) == 0 { 0 } else { 1 + numbers.below(30) };
            let row = |numbers: &mut Numbers| -> Vec<f32> {
                let centre = &centres[numbers.below(centres.len())];
                centre.iter().map(|x| x + 0.3 * numbers.unit()).collect()
            };
            Doc { rows: (0..rows).flat_map(|_| row(&mut numbers)).collect(), spans: None }
        })
        .collect()
}

fn field(options: TokenOptions) -> TokenField {
    Schema::builder().tokens("t", options)
}

fn options(dim: usize, codec: TokenCodec) -> TokenOptions {
    TokenOptions::new(dim).codec(codec).normalization(Normalization::AsIs)
}

/// Writes a container with `fill` and opens it.
fn container(fill: impl FnOnce(&mut ContainerWriter) -> Result<()>) -> Container {
    let storage = MemStorage::new();
    let file = storage.create_new("s").unwrap();
    let mut out = ContainerWriter::create(file, "s".to_owned(), ContainerKind::Segment).unwrap();
    fill(&mut out).unwrap();
    let pin = out.finish(1, 1).unwrap();
    let bytes = storage.open("s").unwrap();
    Container::open(bytes, "s", ContainerKind::Segment, Some(&pin)).unwrap()
}

fn column(docs: &[Doc], field: &TokenField, threads: usize) -> TokenColumn {
    let clean: Vec<(u32, CleanTokens<'_>)> = (0..)
        .zip(docs)
        .filter_map(|(slot, doc)| {
            let mut matrix = TokenMatrix::new(&doc.rows, field.dim());
            if let Some(spans) = &doc.spans {
                matrix = matrix.spans(spans);
            }
            Some((slot, matrix.clean(field).unwrap()?))
        })
        .collect();
    let refs: Vec<_> = clean.iter().map(|(slot, rows)| (*slot, rows)).collect();
    let mut column = TokenColumn::new(field.options());
    let (first, rest) = refs.split_at(refs.len() / 3);
    column.push_many(first, threads);
    column.push_many(rest, threads);
    column
}

/// Bytes of an element of a section of packed rows.
fn element_size(kind: SectionKind) -> u32 {
    match kind {
        SectionKind::TOKENS_HEAD => 32,
        SectionKind::TOKENS_CENTROID_HEAD => 16,
        SectionKind::TOKENS_DRIFT => 8,
        SectionKind::TOKENS_ENDS | SectionKind::TOKENS_BOUNDS => 4,
        SectionKind::TOKENS_CODES
        | SectionKind::TOKENS_BOOK
        | SectionKind::TOKENS_CENTROID_CODES
        | SectionKind::TOKENS_GROUP_CODES => 1,
        _ => 2,
    }
}

fn store(docs: &[Doc], options: TokenOptions) -> TokenStore {
    let field = field(options);
    let order: Vec<u32> = (0..).take(docs.len()).collect();
    let container =
        container(|out| column(docs, &field, 1).write(&order, 3, (1, Packing::Now(u64::MAX)), out));
    let count = u32::try_from(docs.len()).unwrap();
    TokenStore::open(&container, 3, count, field.options()).unwrap().unwrap()
}

/// Keys descend as documents ascend, so that ties are not cut by document.
struct Backwards;
impl KeyOrder for Backwards {
    fn cmp_keys(&self, a: DocId, b: DocId) -> Ordering {
        b.cmp(&a)
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let product = a * b;
        lanes[i % 16] += product;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// Dot products of each query row with each stored row.
fn dots(store: &TokenStore, query: &[f32], doc: DocId) -> Option<Vec<Vec<f32>>> {
    let rows = store.stored(doc).unwrap()?;
    let dim = store.dim();
    let row = |q: &[f32]| match rows.coded {
        Coded::F16(rows) => rows
            .bits()
            .chunks_exact(dim)
            .map(|row| {
                let row: Vec<f32> = row.iter().map(|&b| f16::from_bits(b).to_f32()).collect();
                dot(q, &row)
            })
            .collect(),
        Coded::Int8(rows) => rows
            .codes()
            .chunks_exact(dim)
            .zip(rows.scales())
            .map(|(row, &scale)| {
                let row: Vec<f32> = row.iter().map(|&c| f32::from(c) - 128.0).collect();
                f16::from_bits(scale).to_f32() * dot(q, &row)
            })
            .collect(),
        Coded::Packed(rows) => rows
            .scales()
            .iter()
            .enumerate()
            .map(|(i, &scale)| {
                let mut bytes = vec![0; dim];
                crate::kernel::tokens::expand(&rows, i, &mut bytes);
                let row: Vec<f32> = bytes.iter().map(|&c| f32::from(c) - 128.0).collect();
                f16::from_bits(scale).to_f32() * dot(q, &row)
            })
            .collect(),
    };
    Some(query.chunks_exact(dim).map(row).collect())
}

fn naive_score(store: &TokenStore, query: &[f32], doc: DocId) -> Option<f32> {
    let largest = |dots: &Vec<f32>| dots.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    Some(dots(store, query, doc)?.iter().map(largest).sum())
}

fn naive_top(
    store: &TokenStore,
    query: &[f32],
    docs: impl Iterator<Item = DocId>,
    k: usize,
    floor: f32,
) -> Vec<Scored> {
    let mut all: Vec<Scored> = docs
        .filter_map(|doc| Some(Scored { doc, score: naive_score(store, query, doc)? }))
        .filter(|hit| hit.score >= floor)
        .collect();
    all.sort_by(|a, b| b.score.total_cmp(&a.score).then(b.doc.cmp(&a.doc)));
    all.truncate(k);
    all
}

/// Search and rerank on every level give the model's answer, bit for bit.
fn check_exact(store: &TokenStore, docs: u32, query: &[f32], k: usize, alive: Option<&DocSet>) {
    check_exact_of(store, docs, query, store.dim(), k, alive);
}

/// The same with a query of so many components.
fn check_exact_of(
    store: &TokenStore,
    docs: u32,
    query: &[f32],
    dim: usize,
    k: usize,
    alive: Option<&DocSet>,
) {
    let packed = TokenQuery::new(query.to_vec(), dim).of_rows(store.dim());
    // The model pads with zeros, which the float order leaves without effect.
    let mut padded = Vec::new();
    for row in query.chunks_exact(dim) {
        padded.extend_from_slice(row);
        padded.resize(padded.len() + store.dim() - dim, 0.0);
    }
    let query = &padded[..];
    let all = || (0..docs).filter(|&doc| alive.is_none_or(|alive| alive.contains(doc)));
    let some: Vec<DocId> = all().filter(|doc| doc % 3 != 1).collect();
    let best_score = naive_top(store, query, all(), 1, f32::NEG_INFINITY);
    let floors = [f32::NEG_INFINITY, best_score.first().map_or(0.0, |hit| hit.score * 0.9)];
    let mut scratch = TokenScratch::default();
    for floor in floors {
        let expected = naive_top(store, query, all(), k, floor);
        let expected_some = naive_top(store, query, some.iter().copied(), k, floor);
        for kernels in available() {
            let mut top = TopK::new(k, floor, &Backwards);
            let outcome = store
                .search(&packed, kernels, TokenEffort::Exact, alive, &mut top, &mut scratch)
                .unwrap();
            assert!(outcome.certified);
            assert_eq!(top.finish(), expected, "search, {}, k {k}", kernels.level);
            let mut top = TopK::new(k, floor, &Backwards);
            store.rerank(&packed, kernels, &some, &mut top, &mut scratch).unwrap();
            assert_eq!(top.finish(), expected_some, "rerank, {}, k {k}", kernels.level);
        }
    }
}

#[test]
fn search_is_exact() {
    for (seed, codec, dim) in
        [(1, TokenCodec::Int8, 24), (2, TokenCodec::F16, 24), (3, TokenCodec::Int8, 128)]
    {
        let docs = documents(seed, 400, dim);
        let store = store(&docs, options(dim, codec));
        store.verify().unwrap();
        let mut numbers = Numbers(seed + 100);
        let mut alive = DocSet::empty(400);
        (0..400).filter(|doc| doc % 7 < 3).for_each(|doc| alive.insert(doc));
        for (rows, k) in [(1, 1), (5, 10), (8, 3), (17, 10), (40, 25), (7, 399), (3, 1000)] {
            let query: Vec<f32> = (0..rows).flat_map(|_| numbers.row(dim)).collect();
            check_exact(&store, 400, &query, k, None);
            check_exact(&store, 400, &query, k, Some(&alive));
        }
    }
}

#[test]
fn truncated_queries_are_exact() {
    let product = TokenCodec::Product { subspaces: 8, bits: 4 };
    for (seed, codec) in
        (30..).zip([TokenCodec::Int8, TokenCodec::F16, TokenCodec::Residual4, product])
    {
        let (docs, dim) = (documents(seed, 300, 128), 128);
        for tier in [TokenTier::None, TokenTier::F16] {
            if (codec, tier) == (TokenCodec::F16, TokenTier::F16) {
                continue; // the same twice, which a schema refuses
            }
            let store = store(&docs, options(dim, codec).tier(tier));
            let mut numbers = Numbers(seed + 100);
            let mut alive = DocSet::empty(300);
            (0..300).filter(|doc| doc % 7 < 3).for_each(|doc| alive.insert(doc));
            for (dim, rows, k) in [(8, 3, 5), (24, 1, 10), (64, 33, 10), (120, 9, 290)] {
                let query = numbers.row(rows * dim);
                check_exact_of(&store, 300, &query, dim, k, None);
                check_exact_of(&store, 300, &query, dim, k, Some(&alive));
            }
        }
    }
}

#[test]
fn candidates_of_a_truncated_query_are_its_own() {
    // Centroids are met by as many components as the query has: with a shortlist of a third, most of
    // the true best by the truncated score are found.
    let (dim, part) = (64, 32);
    let docs = documents(41, 3000, dim);
    let store = store(&docs, options(dim, TokenCodec::Int8).centroids(Centroids::Count(256)));
    let mut found = 0;
    for seed in 0..20 {
        // Near a stored row, as the queries of a model are.
        let near = docs.iter().filter(|doc| !doc.rows.is_empty()).nth(seed * 7).unwrap();
        let rows: Vec<f32> =
            near.rows.chunks_exact(dim).flat_map(|row| row[..part].to_vec()).collect();
        let packed = TokenQuery::new(rows, part).of_rows(dim);
        let mut answers = available().into_iter().map(|kernels| {
            let ask = |effort| {
                let mut top = TopK::new(10, f32::NEG_INFINITY, &Backwards);
                let mut scratch = TokenScratch::default();
                store.search(&packed, kernels, effort, None, &mut top, &mut scratch).unwrap();
                top.finish()
            };
            (ask(TokenEffort::Level(0.0)), ask(TokenEffort::Exact))
        });
        let (fast, exact) = answers.next().unwrap();
        assert!(answers.all(|answer| answer == (fast.clone(), exact.clone())), "levels differ");
        found += fast.iter().filter(|hit| exact.contains(hit)).count();
    }
    assert!(found >= 120, "{found} of 200");
}

#[test]
fn ties_are_cut_by_key_and_rounds_go_on() {
    // 2,500 documents of four kinds: more equals than a shortlist holds.
    let dim = 16;
    let mut numbers = Numbers(5);
    let kinds: Vec<Vec<f32>> = (0..4).map(|_| numbers.row(3 * dim)).collect();
    let docs: Vec<Doc> =
        (0..2500).map(|i| Doc { rows: kinds[i % 4].clone(), spans: None }).collect();
    let store = store(&docs, options(dim, TokenCodec::Int8));
    let query = numbers.row(6 * dim);
    for k in [1, 10, 700, 1300, 2500] {
        check_exact(&store, 2500, &query, k, None);
    }
    // Nothing to tell them apart at all.
    check_exact(&store, 2500, &vec![0.0; dim], 5, None);
}

#[test]
fn most_documents_are_never_scored() {
    let dim = 64;
    let docs = documents(9, 3000, dim);
    let store = store(&docs, options(dim, TokenCodec::Int8));
    let mut numbers = Numbers(10);
    let query = TokenQuery::new((0..8).flat_map(|_| numbers.row(dim)).collect(), dim);
    let mut scratch = TokenScratch::default();
    let mut top = TopK::new(10, f32::NEG_INFINITY, &Backwards);
    store.search(&query, best(), TokenEffort::Exact, None, &mut top, &mut scratch).unwrap();
    let lacking = docs.iter().filter(|doc| doc.rows.is_empty()).count();
    let gone = scratch.bounds.iter().filter(|&&bound| bound == f32::NEG_INFINITY).count();
    assert!(gone - lacking < 300, "{} of 3000 scored", gone - lacking);
}

#[test]
fn bounds_hold() {
    // Lengths from tiny to huge, rows of zeros among them.
    for (seed, dim) in [(1u64, 8), (2, 128), (3, 1024)] {
        let mut numbers = Numbers(seed);
        for scale in [1e-30f32, 1e-6, 1.0, 1e5] {
            let docs: Vec<Doc> = (0..20)
                .map(|i| {
                    let rows = 1 + numbers.below(5);
                    let row = numbers.row(rows * dim);
                    let by = if i == 7 { 0.0 } else { scale };
                    Doc { rows: row.iter().map(|x| x * by).collect(), spans: None }
                })
                .collect();
            let store = store(&docs, options(dim, TokenCodec::Int8));
            store.verify().unwrap();
            for query_scale in [1e-38f32, 1e-20, 1.0, 1e20] {
                let rows = 1 + numbers.below(40);
                let query: Vec<f32> =
                    numbers.row(rows * dim).iter().map(|x| x * query_scale).collect();
                check_exact(&store, 20, &query, 5, None);
                let packed = TokenQuery::new(query.clone(), dim);
                let mut scratch = TokenScratch::default();
                scratch.fit(&packed);
                for doc in 0..20 {
                    let Some(TokenRows { coded: Coded::Int8(rows), bounds, .. }) =
                        store.stored(doc).unwrap()
                    else {
                        panic!()
                    };
                    let kernels = &best().tokens;
                    let (kernel, largest) = (&mut scratch.kernel, &mut scratch.largest);
                    (kernels.select_int8)(packed.lanes(), &rows, kernel, largest);
                    let norm = f16::from_bits(bounds.norm).to_f64();
                    let bound = packed.upper_bound(largest, norm, 0.0);
                    let score = naive_score(&store, &query, doc).unwrap();
                    assert!(bound >= score);
                    // A half step of 254, on every component, in the worst direction.
                    let length = |q: &[f32]| -> f64 {
                        q.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt()
                    };
                    let length: f64 = query.chunks_exact(dim).map(length).sum();
                    let loose = length * norm * 0.05 * (dim as f64 / 128.0).sqrt().max(1.0);
                    assert!(
                        f64::from(bound) <= f64::from(score) + loose + 2e-30,
                        "{bound} {score}"
                    );
                }
            }
        }
    }
}

#[test]
fn alignment_adds_up_to_the_score() {
    let dim = 16;
    for codec in [TokenCodec::F16, TokenCodec::Int8, TokenCodec::Residual2] {
        let mut docs = documents(21, 40, dim);
        // A row that comes twice: the first one is met.
        docs[5].rows = Numbers(6).row(dim).repeat(3);
        let store = store(&docs, options(dim, codec));
        let query = Numbers(22).row(9 * dim);
        let packed = TokenQuery::new(query.clone(), dim);
        for kernels in available() {
            let mut scratch = TokenScratch::default();
            for doc in 0..40 {
                let matches = store.align(&packed, kernels, doc, &mut scratch).unwrap();
                let score = store.score(&packed, kernels, doc, &mut scratch).unwrap();
                let Some(dots) = dots(&store, &query, doc) else {
                    assert!(matches.is_none() && score.is_none() && !store.contains(doc));
                    continue;
                };
                let matches = matches.unwrap();
                assert_eq!(score.unwrap(), matches.iter().map(|met| met.score).sum::<f32>());
                assert_eq!(score, naive_score(&store, &query, doc));
                for (i, (met, dots)) in matches.iter().zip(&dots).enumerate() {
                    let first = dots.iter().position(|&dot| dot == met.score).unwrap();
                    assert!(dots.iter().all(|&dot| dot <= met.score));
                    assert_eq!((met.query_row, met.doc_row, met.span), (i, first, None));
                }
            }
            assert_eq!(store.align(&packed, kernels, 40, &mut scratch).unwrap(), None);
        }
    }
}

#[test]
fn spans_come_back() {
    let dim = 8;
    for last in [65_535u32, 65_536] {
        let doc = |spans: Option<Vec<(u32, u32)>>| Doc { rows: Numbers(1).row(2 * dim), spans };
        let docs = [
            doc(None),
            doc(Some(vec![(0, 4), (5, 5)])),
            doc(None),
            Doc::default(),
            doc(Some(vec![(7, last), (1, 1)])),
        ];
        let store = store(&docs, options(dim, TokenCodec::Int8));
        store.verify().unwrap();
        for (id, doc) in (0..).zip(&docs) {
            let rows = store.stored(id).unwrap();
            for row in 0..2 {
                let span = rows.and_then(|rows| rows.spans.get(row));
                assert_eq!(span, doc.spans.as_ref().map(|spans| spans[row]));
            }
        }
        let query = TokenQuery::new(docs[4].rows[..dim].to_vec(), dim);
        let matches =
            store.align(&query, best(), 4, &mut TokenScratch::default()).unwrap().unwrap();
        assert_eq!(matches[0].span, Some((7, last)));
    }
}

/// All sections of a container, as bytes.
fn sections(container: &Container) -> Vec<(u32, Vec<u8>)> {
    container
        .sections()
        .map(|(kind, field, _)| (kind.0, container.section(kind, field).unwrap().bytes().to_vec()))
        .collect()
}

#[test]
fn threads_and_order_do_not_show() {
    let dim = 32;
    let mut docs = documents(31, 500, dim);
    docs[100].spans = Some(vec![(1, 2); docs[100].rows.len() / dim]);
    let product = TokenCodec::Product { subspaces: 8, bits: 4 };
    for codec in [TokenCodec::F16, TokenCodec::Int8, TokenCodec::Residual4, product] {
        let field = field(options(dim, codec));
        let order: Vec<u32> = (0..500).rev().filter(|slot| slot % 5 != 0).collect();
        let write = |threads| {
            sections(&container(|out| {
                column(&docs, &field, threads).write(&order, 0, (1, Packing::Now(u64::MAX)), out)
            }))
        };
        let one = write(1);
        assert_eq!(one, write(4));
        // The same documents taken in in that order are the same segment.
        let ordered: Vec<Doc> = order.iter().map(|&slot| docs[slot as usize].clone()).collect();
        let natural: Vec<u32> = (0..400).collect();
        let again = container(|out| {
            column(&ordered, &field, 2).write(&natural, 0, (1, Packing::Now(u64::MAX)), out)
        });
        assert_eq!(one, sections(&again));
    }
}

#[test]
fn merging_keeps_every_bit() {
    struct Both<'a>(&'a TokenStore, &'a TokenStore);
    impl TokenSource for Both<'_> {
        fn docs(&self) -> usize {
            200
        }
        fn rows(&self, doc: usize) -> Result<Option<TokenRows<'_>>> {
            let id = u32::try_from(doc / 2).unwrap();
            if doc.is_multiple_of(2) { self.0.stored(id) } else { self.1.stored(id) }
        }
    }
    let dim = 16;
    let options = options(dim, TokenCodec::Int8);
    let mut docs = documents(41, 200, dim);
    docs[3].spans = Some(vec![(0, 70_000); docs[3].rows.len() / dim]);
    let (even, odd): (Vec<_>, Vec<_>) =
        docs.iter().cloned().enumerate().partition(|(i, _)| i % 2 == 0);
    let part = |docs: Vec<(usize, Doc)>| {
        store(&docs.into_iter().map(|(_, doc)| doc).collect::<Vec<_>>(), options.clone())
    };
    let (even, odd) = (part(even), part(odd));
    let merged = container(|out| {
        write_tokens(&Both(&even, &odd), &options, 0, (1, Packing::Now(u64::MAX)), out)
    });
    let field = field(options.clone());
    let order: Vec<u32> = (0..200).collect();
    let whole = container(|out| {
        column(&docs, &field, 1).write(&order, 0, (1, Packing::Now(u64::MAX)), out)
    });
    assert_eq!(sections(&merged), sections(&whole));
}

#[test]
fn a_field_that_no_document_has_is_not_there() {
    let field = field(options(8, TokenCodec::Int8));
    let none = container(|out| {
        column(&[Doc::default()], &field, 1).write(&[0], 0, (1, Packing::Now(u64::MAX)), out)
    });
    assert_eq!(none.sections().count(), 0);
    assert!(TokenStore::open(&none, 0, 1, field.options()).unwrap().is_none());
}

#[test]
fn a_query_of_another_dimension_is_refused() {
    let store = store(&documents(1, 5, 16), options(16, TokenCodec::Int8));
    let query = TokenQuery::new(vec![1.0; 24], 24);
    let mut scratch = TokenScratch::default();
    let mut top = TopK::new(3, f32::NEG_INFINITY, &Backwards);
    let refused = |error: Error| error.to_string() == "query: dimension 24, the field has 16";
    let kernels = best();
    assert!(refused(
        store
            .search(&query, kernels, TokenEffort::Exact, None, &mut top, &mut scratch)
            .unwrap_err()
    ));
    assert!(refused(store.rerank(&query, kernels, &[1], &mut top, &mut scratch).unwrap_err()));
    assert!(refused(store.align(&query, kernels, 1, &mut scratch).unwrap_err()));
    assert!(refused(store.score(&query, kernels, 1, &mut scratch).unwrap_err()));
}

#[test]
fn structures_are_those_of_the_book() {
    use super::centroids::{CentroidHead, CurvePoint};
    use super::layout::{RowBounds, TokenHead};
    use crate::format::book::{check_structure, layout};
    let head = layout!(TokenHead: codec, dim, normalization, span_bytes, rows, docs, tier);
    check_structure("TokenHead", &head);
    check_structure("RowBounds", &layout!(RowBounds: norm, error));
    check_structure("CentroidHead", &layout!(CentroidHead: count, list_bytes, postings, points));
    let point = layout!(CurvePoint: shortlist, probes, recall_10, recall_100);
    check_structure("CurvePoint", &point);
    check_structure("Drift", &layout!(super::keep::Drift: trained, now));
}
