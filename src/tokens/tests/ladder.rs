//! Residual and product codes, and second tiers: exact in every form, and what they hold.

use super::*;
use crate::codec::int8;
use crate::format::SectionKind as Kind;
use crate::kernel::tokens::Steps;
use crate::schema::{Centroids, TokenTier};

const PACKED: [TokenCodec; 6] = [
    TokenCodec::Residual4,
    TokenCodec::Residual2,
    TokenCodec::Residual1,
    TokenCodec::Product { subspaces: 8, bits: 8 },
    TokenCodec::Product { subspaces: 8, bits: 4 },
    TokenCodec::Product { subspaces: 2, bits: 4 },
];
const TIERS: [TokenTier; 3] = [TokenTier::None, TokenTier::Int8, TokenTier::F16];

fn ask(store: &TokenStore, query: &[f32], effort: TokenEffort) -> (bool, Vec<Scored>) {
    let packed = TokenQuery::new(query.to_vec(), store.dim());
    let mut answers = available().into_iter().map(|kernels| {
        let mut top = TopK::new(10, f32::NEG_INFINITY, &Backwards);
        let mut scratch = TokenScratch::default();
        let outcome = store.search(&packed, kernels, effort, None, &mut top, &mut scratch).unwrap();
        (outcome.certified, top.finish())
    });
    let first = answers.next().unwrap();
    assert!(answers.all(|answer| answer == first), "levels differ");
    first
}

#[test]
fn search_is_exact_in_every_codec_and_tier() {
    for (seed, dim, codec) in
        (1..).zip([24, 128, 40]).flat_map(|(seed, dim)| PACKED.map(|c| (seed, dim, c)))
    {
        for tier in TIERS {
            let docs = documents(seed, 60, dim);
            let store = store(&docs, options(dim, codec).tier(tier));
            store.verify().unwrap();
            assert!(store.centroids().is_none(), "too small to search by candidates");
            let mut numbers = Numbers(seed + 100);
            for (rows, k) in [(1, 1), (5, 10), (33, 3)] {
                let query: Vec<f32> = (0..rows).flat_map(|_| numbers.row(dim)).collect();
                check_exact(&store, 60, &query, k, None);
            }
        }
    }
}

#[test]
fn int8_beside_f16_is_exact() {
    for centroids in [Centroids::None, Centroids::Count(20)] {
        let dim = 32;
        let docs = documents(5, 300, dim);
        let both = options(dim, TokenCodec::Int8).tier(TokenTier::F16).centroids(centroids);
        let both = store(&docs, both);
        both.verify().unwrap();
        let f16 = store(&docs, options(dim, TokenCodec::F16));
        let query = Numbers(6).row(7 * dim);
        check_exact(&both, 300, &query, 10, None);
        assert_eq!(ask(&both, &query, TokenEffort::Exact), ask(&f16, &query, TokenEffort::Exact));
    }
}

/// The stored row by the words of the book: a naive reading of the sections.
#[test]
fn rows_are_what_the_book_says() {
    let dim = 24;
    let docs = documents(7, 60, dim);
    for codec in PACKED {
        let field = field(options(dim, codec).centroids(Centroids::Count(9)));
        let order: Vec<u32> = (0..60).collect();
        let container = container(|out| {
            column(&docs, &field, 1).write(&order, 0, (1, Packing::Now(u64::MAX)), out)
        });
        let bytes = |kind| container.section(kind, 0).unwrap().bytes().to_vec();
        let store = TokenStore::open(&container, 0, 60, field.options()).unwrap().unwrap();
        let (codes, book) = (bytes(Kind::TOKENS_CODES), bytes(Kind::TOKENS_BOOK));
        let (ids, centroids) =
            (bytes(Kind::TOKENS_CENTROID_IDS), bytes(Kind::TOKENS_CENTROID_CODES));
        let scales = bytes(Kind::TOKENS_SCALES);
        let row_bytes = codec.row_bytes(dim);
        let mut row = 0;
        for doc in 0..60 {
            let Some(rows) = store.doc_rows(doc).unwrap() else { continue };
            for stored in rows.chunks_exact(dim) {
                let code = &codes[row * row_bytes..][..row_bytes];
                let scale = f16::from_le_bytes([scales[2 * row], scales[2 * row + 1]]).to_f32();
                let id = usize::from(ids[2 * row]) + 256 * usize::from(ids[2 * row + 1]);
                for (d, &x) in stored.iter().enumerate() {
                    let plane = |bits: usize| {
                        let (byte, shift) = (d % row_bytes, d / row_bytes * bits);
                        usize::from(code[byte] >> shift) % (1 << bits)
                    };
                    let step = match codec {
                        TokenCodec::Residual4 => book[plane(4)],
                        TokenCodec::Residual2 => book[plane(2)],
                        TokenCodec::Residual1 => book[usize::from(code[d / 8] >> (d % 8)) % 2],
                        TokenCodec::Product { subspaces, bits } => {
                            let width = dim / usize::from(subspaces);
                            let (run, at) = (d / width, d % width);
                            let entry = if bits == 8 {
                                usize::from(code[run])
                            } else {
                                usize::from(code[run / 2] >> (run % 2 * 4)) % 16
                            };
                            book[(run * (1 << bits) + entry) * width + at]
                        }
                        _ => unreachable!(),
                    };
                    let byte = centroids[id * dim + d].wrapping_add(step);
                    assert_eq!(x, (f32::from(byte) - 128.0) * scale, "{codec}");
                }
                row += 1;
            }
        }
        assert!(row > 300);
    }
}

/// The share of a row's length that is lost, on average.
fn loss(docs: &[Doc], options: TokenOptions) -> f64 {
    let dim = options.dim;
    let store = store(docs, options);
    let (mut sum, mut count) = (0.0, 0);
    for (id, doc) in (0..).zip(docs) {
        let Some(rows) = store.stored(id).unwrap() else { continue };
        let error = f16::from_bits(rows.bounds.error).to_f64();
        let decoded = store.doc_rows(id).unwrap().unwrap();
        for (given, stored) in doc.rows.chunks(dim).zip(decoded.chunks(dim)) {
            let length = |x: &mut dyn Iterator<Item = f64>| x.map(|x| x * x).sum::<f64>().sqrt();
            let pairs = given.iter().zip(stored);
            let off = length(&mut pairs.map(|(&a, &b)| f64::from(a) - f64::from(b)));
            let own = length(&mut given.iter().map(|&x| f64::from(x)));
            assert!(off <= error * (1.0 + 1e-6), "{off} where {error} is the bound");
            sum += off / own;
            count += 1;
        }
    }
    sum / f64::from(count)
}

#[test]
fn more_bits_lose_less() {
    let dim = 64;
    let docs = documents(8, 600, dim);
    let of = |codec| loss(&docs, options(dim, codec).centroids(Centroids::Count(30)));
    let [four, two, one] =
        [TokenCodec::Residual4, TokenCodec::Residual2, TokenCodec::Residual1].map(of);
    assert!(of(TokenCodec::Int8) < 0.01 && four < 0.05, "{four}");
    assert!(four < 0.5 * two && two < 0.75 * one, "{four} {two} {one}");
    let product = |subspaces, bits| of(TokenCodec::Product { subspaces, bits });
    let (coarse, fine) = (product(8, 8), product(32, 8));
    assert!(fine < coarse && product(32, 4) < product(8, 4), "{fine} {coarse}");
    assert!(fine < one, "{fine} {one}");
    // Tiers give back what the first one lost.
    let tier = options(dim, TokenCodec::Residual1).tier(TokenTier::F16);
    assert!(loss(&docs, tier) < 0.001);
}

#[test]
fn candidates_are_scored_by_the_best_tier() {
    let dim = 32;
    let docs = documents(61, 1500, dim);
    for (codec, tier) in [
        (TokenCodec::Residual4, TokenTier::None),
        (TokenCodec::Residual1, TokenTier::Int8),
        (PACKED[4], TokenTier::F16),
    ] {
        let store = store(&docs, options(dim, codec).tier(tier).centroids(Centroids::Count(300)));
        store.verify().unwrap();
        let (_, curve) = store.centroids().unwrap();
        assert!(curve.last().unwrap().recall_10 > 0.5);
        let mut numbers = Numbers(62);
        let (mut held, mut all) = (0, 0);
        for round in 0..12 {
            let doc = (round * 31..1500).find(|&d| !docs[d].rows.is_empty()).unwrap();
            let rows = &docs[doc].rows[..docs[doc].rows.len().min(8 * dim)];
            let query: Vec<f32> = rows.iter().map(|x| x + 0.1 * numbers.unit()).collect();
            let (_, truth) = ask(&store, &query, TokenEffort::Exact);
            let (certified, found) = ask(&store, &query, TokenEffort::Level(0.6));
            assert!(!certified && found.len() == 10);
            for hit in &found {
                assert_eq!(Some(hit.score), naive_score(&store, &query, hit.doc));
            }
            held += truth.iter().filter(|hit| found.contains(hit)).count();
            all += truth.len();
        }
        assert!(held as f64 / all as f64 > 0.6, "{held} of {all}");
    }
}

#[test]
fn strange_rows_are_kept_in_every_codec() {
    let dim = 8;
    let mut axis = vec![0.0; dim];
    axis[3] = 1.0;
    let rows = [
        vec![0.0; dim],
        vec![0.5; dim],
        axis,
        vec![60_000.0; dim],
        vec![1e-20; dim],
        vec![65_519.0; dim],
    ];
    let codecs = [
        TokenCodec::Residual4,
        TokenCodec::Residual2,
        TokenCodec::Residual1,
        TokenCodec::Product { subspaces: 2, bits: 8 },
        TokenCodec::Product { subspaces: 4, bits: 4 },
    ];
    for codec in codecs {
        for tier in TIERS {
            // All the same, and all of them together.
            let mut sets: Vec<Vec<Doc>> =
                rows.iter().map(|row| vec![Doc { rows: row.repeat(3), spans: None }; 5]).collect();
            sets.push(rows.iter().map(|row| Doc { rows: row.clone(), spans: None }).collect());
            for docs in sets {
                for centroids in [
                    Centroids::Auto,
                    Centroids::None,
                    Centroids::Count(1),
                    Centroids::Count(65_536),
                ] {
                    let options = options(dim, codec).tier(tier).centroids(centroids);
                    let store = store(&docs, options);
                    store.verify().unwrap();
                    let count = docs.len() as u32;
                    check_exact(&store, count, &docs[0].rows[..dim], 3, None);
                    check_exact(&store, count, &Numbers(3).row(2 * dim), 3, None);
                }
            }
        }
    }
}

#[test]
fn the_longest_document_and_the_widest_row() {
    let codecs = [
        TokenCodec::Residual4,
        TokenCodec::Residual2,
        TokenCodec::Residual1,
        TokenCodec::Product { subspaces: 4, bits: 8 },
        TokenCodec::Product { subspaces: 4, bits: 4 },
    ];
    for codec in codecs {
        let long = vec![Doc { rows: Numbers(1).row(65_535 * 8), spans: None }];
        let long = store(&long, options(8, codec));
        long.verify().unwrap();
        check_exact(&long, 1, &Numbers(2).row(3 * 8), 1, None);
        let wide = documents(4, 6, 4096);
        let wide = store(&wide, options(4096, codec).tier(TokenTier::Int8));
        wide.verify().unwrap();
        check_exact(&wide, 6, &Numbers(3).row(2 * 4096), 3, None);
    }
}

#[test]
fn merging_packed_rows_keeps_the_second_tier_and_the_bounds() {
    struct Reversed<'a>(&'a TokenStore, usize);
    impl TokenSource for Reversed<'_> {
        fn docs(&self) -> usize {
            self.1
        }
        fn rows(&self, doc: usize) -> Result<Option<TokenRows<'_>>> {
            self.0.stored(u32::try_from(self.1 - 1 - doc).unwrap())
        }
    }
    let dim = 16;
    let docs = documents(41, 100, dim);
    for codec in [TokenCodec::Residual4, TokenCodec::Product { subspaces: 4, bits: 8 }] {
        for tier in TIERS {
            let options = options(dim, codec).tier(tier);
            let old = store(&docs, options.clone());
            let merged = container(|out| {
                write_tokens(&Reversed(&old, 100), &options, 0, (2, Packing::Now(u64::MAX)), out)
            });
            let new = TokenStore::open(&merged, 0, 100, &options).unwrap().unwrap();
            new.verify().unwrap();
            for doc in 0..100 {
                let (a, b) = (old.doc_rows(doc).unwrap(), new.doc_rows(99 - doc).unwrap());
                if tier != TokenTier::None {
                    assert_eq!(a, b);
                    continue;
                }
                let Some(b) = b else { continue };
                let bounds = new.stored(99 - doc).unwrap().unwrap().bounds;
                let error = f16::from_bits(bounds.error).to_f64();
                for (row, given) in b.chunks(dim).zip(docs[doc as usize].rows.chunks(dim)) {
                    let squares = row.iter().zip(given).map(|(&a, &b)| f64::from(a - b).powi(2));
                    assert!(squares.sum::<f64>().sqrt() <= error * (1.0 + 1e-6));
                }
            }
        }
    }
}

#[test]
fn a_book_that_does_not_fit_is_none() {
    use crate::kernel::tokens::{Book, PackedRows};
    let levels = Steps::Levels { bits: 4, levels: [0; 16] };
    assert!(Book::new(&[128; 16], 8, levels).is_some());
    assert!(Book::new(&[], 8, levels).is_none());
    assert!(Book::new(&[128; 12], 8, levels).is_none());
    assert!(Book::new(&[128; 12], 12, levels).is_none());
    assert!(Book::new(&[128; 16], 8, Steps::Levels { bits: 3, levels: [0; 16] }).is_none());
    assert!(
        Book::new(&[128; 16], 8, Steps::Parts { entries: &[0; 2047], parts: 2, bits: 8 }).is_none()
    );
    let book =
        Book::new(&[128; 16], 8, Steps::Parts { entries: &[0; 2048], parts: 2, bits: 8 }).unwrap();
    assert!(PackedRows::new(&[0; 4], &[0; 2], &[0, 1], book).is_some());
    assert!(PackedRows::new(&[0; 4], &[0; 2], &[0, 2], book).is_none());
    assert!(PackedRows::new(&[0; 3], &[0; 2], &[0, 1], book).is_none());
    assert!(PackedRows::new(&[0; 4], &[0; 2], &[0], book).is_none());
    assert_eq!(int8::ZERO, 128);
}
