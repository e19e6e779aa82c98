//! Every codec gives the same answers where there are forward rows, and writes the same bytes
//! however it is done.

use super::*;
use crate::storage::{FsStorage, OpenMode};

/// Documents with terms of every form, and queries.
fn documents(count: usize) -> (Vec<Vector>, Vec<Vector>) {
    let mut random = Random(21);
    let mut docs: Vec<Vector> = (0..count).map(|_| random.vector(14, 900)).collect();
    for (at, doc) in docs.iter_mut().enumerate() {
        for (term, share) in [(1000, 2), (1001, 3), (1002, 9), (1003, 800)] {
            if at % share == share / 2 {
                doc.push((term, 0.5 + random.unit() * 2.0));
            }
        }
    }
    let mut queries: Vec<Vector> = (0..15).map(|_| random.vector(12, 900)).collect();
    for (at, query) in queries.iter_mut().enumerate() {
        query.extend([(1000 + (at % 4) as u32, 0.1 + random.unit())]);
    }
    (docs, queries)
}

fn as_codec(codec: SparseCodec, forward: Forward) -> SparseOptions {
    options(forward).codec(codec)
}

#[test]
fn answers_are_the_same_with_every_codec() {
    let (docs, queries) = documents(9000);
    for codec in CODECS {
        let index = index_as(&docs, &as_codec(codec, Forward::F32));
        index.verify().unwrap();
        for query in &queries {
            for k in [1, 10, 300, docs.len() + 3] {
                check(&docs, &index, query, k);
            }
        }
    }
}

#[test]
fn every_form_of_term_is_there() {
    let (docs, _) = documents(9000);
    for codec in CODECS {
        let index = index_as(&docs, &as_codec(codec, Forward::Auto));
        let head = index.head();
        let tiny = head.terms - head.lists - head.dense;
        assert!(tiny > 0 && head.lists > 0 && head.dense > 0, "{codec}: {head:?}");
        assert_eq!(head.start_bytes, 2);
        assert_eq!(head.entries, docs.iter().map(|doc| doc.len() as u64).sum::<u64>());
        assert_eq!(head.entries > head.postings, codec.percent().is_some());
    }
}

#[test]
fn four_bits_take_less() {
    let (docs, _) = documents(9000);
    let bytes = |codec| index_as(&docs, &as_codec(codec, Forward::None)).tier_bytes().0;
    let (u8, u4, pruned) =
        (bytes(SparseCodec::U8), bytes(SparseCodec::U4), bytes(SparseCodec::Pruned(75)));
    assert!(u4 < u8 && pruned < u8, "{u8} {u4} {pruned}");
}

#[test]
fn without_rows_the_postings_are_what_is_stored() {
    let (docs, queries) = documents(5000);
    for codec in CODECS {
        let index = index_as(&docs, &as_codec(codec, Forward::None));
        index.verify().unwrap();
        let mut stored = vec![Vector::new(); docs.len()];
        index
            .each_row(|doc, terms, weights| {
                stored[doc as usize] = terms.iter().copied().zip(weights.iter().copied()).collect();
                Ok(())
            })
            .unwrap();
        let most = if codec == SparseCodec::U4 { 2.6 / 2.0 / 13.5 } else { 2.6 / 2.0 / 230.0 };
        for (stored, given) in stored.iter().zip(&docs) {
            let total = |vector: &Vector| vector.iter().map(|entry| entry.1).sum::<f32>();
            let part = f32::from(codec.percent().unwrap_or(100)) / 100.0;
            let slack = most * stored.len() as f32 + 1e-3;
            assert!(total(stored) + slack >= part * total(given), "{codec}");
            for (term, weight) in stored {
                let at = given.binary_search_by_key(term, |entry| entry.0).unwrap();
                assert!((weight - given[at].1).abs() <= most, "{weight} {}", given[at].1);
            }
        }
        for query in &queries {
            for k in [1, 10, 500] {
                check(&stored, &index, query, k);
            }
        }
    }
}

#[test]
fn documents_that_match_only_by_what_is_left_out() {
    // Term 1 is left out of all documents but the first.
    let mut docs: Vec<Vector> =
        (0..5000u16).map(|at| vec![(1, 0.01), (2, 1.0 + f32::from(at))]).collect();
    docs[0] = vec![(1, 3.0)];
    docs[17] = vec![(1, 0.5), (2, 600.0)];
    let index = index_as(&docs, &as_codec(SparseCodec::Pruned(90), Forward::Auto));
    index.verify().unwrap();
    for k in [1, 2, 3, 4999, 5000] {
        assert_eq!(check(&docs, &index, &[(1, 2.0)], k), k);
        assert_eq!(check(&docs, &index, &[(1, 2.0), (2, 1e-6)], k), k);
    }
    // A term that is left out everywhere.
    docs[0] = vec![(3, 1.0)];
    let index = index_as(&docs, &as_codec(SparseCodec::Pruned(90), Forward::Auto));
    index.verify().unwrap();
    assert_eq!(check(&docs, &index, &[(1, 2.0)], 10), 10);
    assert_eq!(check(&docs, &index, &[(1, 2.0), (3, 1.0)], 10), 10);
}

#[test]
fn bytes_depend_on_nothing_but_the_documents() {
    let (docs, _) = documents(9000);
    let order: Vec<u32> = (0..9000).collect();
    let bytes = |storage: &MemStorage| storage.open("segment").unwrap().as_slice().to_vec();
    for codec in CODECS {
        let options = as_codec(codec, Forward::Auto);
        let want = bytes(&written_as(&docs, &order, &options, 1, usize::MAX));
        for (threads, memory) in [(1, 0), (1, 1 << 12), (3, 1 << 16), (5, 1 << 14), (2, 1 << 20)] {
            let got = bytes(&written_as(&docs, &order, &options, threads, memory));
            assert!(got == want, "{codec}: {threads} threads, {memory} bytes");
        }
        // The same with rows in a scratch file.
        let dir = tempfile::tempdir().unwrap();
        let place = FsStorage::new(dir.path(), OpenMode::Map);
        let mut column = SparseColumn::new(&options);
        for (slot, vector) in (0u32..).zip(&docs) {
            column.push(slot, &clean(vector));
            if slot % 2000 == 1999 {
                column.set_all_aside(&place).unwrap();
            }
        }
        let storage = MemStorage::new();
        let file = storage.create_new("segment").unwrap();
        let mut out =
            ContainerWriter::create(file, "segment".into(), ContainerKind::Segment).unwrap();
        column.write(&order, 3, 2, 1 << 20, &mut out).unwrap();
        out.finish(1, 0).unwrap();
        assert!(bytes(&storage) == want, "{codec}: set aside");
    }
}

#[test]
fn weights_below_zero_are_exact() {
    let (docs, queries) = documents(9000);
    let mut random = Random(4);
    for codec in CODECS {
        for forward in [Forward::F32, Forward::None] {
            let index = index_as(&docs, &as_codec(codec, forward));
            let mut stored = vec![Vector::new(); docs.len()];
            index
                .each_row(|doc, terms, weights| {
                    stored[doc as usize] =
                        terms.iter().copied().zip(weights.iter().copied()).collect();
                    Ok(())
                })
                .unwrap();
            for share in [1, 2, 5, 100] {
                for query in queries.iter().take(5) {
                    let query: Vector = query
                        .iter()
                        .map(|&(term, weight)| {
                            (term, if random.below(share) == 0 { -weight } else { weight })
                        })
                        .collect();
                    for k in [1, 10, 4000, docs.len()] {
                        check(&stored, &index, &query, k);
                    }
                }
            }
        }
    }
}

#[test]
fn weights_below_zero_of_every_size() {
    let sizes = [f32::from_bits(1), 1e-30, 1.0, 1e30, f32::MAX];
    let mut random = Random(12);
    let docs: Vec<Vector> = (0..3000)
        .map(|_| {
            let terms = (0..8u32).filter(|_| random.below(2) == 0).collect::<Vec<_>>();
            terms.into_iter().map(|term| (term, sizes[random.below(5)] * 0.99)).collect()
        })
        .map(|doc: Vector| doc.into_iter().filter(|entry| entry.1 > 0.0).collect())
        .collect();
    for codec in [SparseCodec::U8, SparseCodec::U4, SparseCodec::Pruned(60)] {
        let index = index_as(&docs, &as_codec(codec, Forward::F32));
        for _ in 0..60 {
            let query: Vector = (0..8u32)
                .map(|term| {
                    let size = sizes[random.below(5)];
                    (term, if random.below(2) == 0 { size } else { -size })
                })
                .collect();
            for k in [1, 30, 3000] {
                check(&docs, &index, &query, k);
            }
        }
    }
}
