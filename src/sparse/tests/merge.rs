//! Merged segments against the same documents written anew.

use super::super::merge;
use super::*;

/// Documents in segments, with gaps, terms of every form, and scales that differ here and there.
fn segments() -> Vec<Vec<Vector>> {
    let mut random = Random(31);
    [5000, 1, 4096, 130, 40]
        .into_iter()
        .enumerate()
        .map(|(at, count)| {
            let mut docs: Vec<Vector> = (0..count).map(|_| random.vector(12, 700)).collect();
            for (doc, vector) in docs.iter_mut().enumerate() {
                if doc % 2 == 0 {
                    // One scale in all segments, and a scale of its own.
                    vector.push((800, if doc % 100 == 0 { 2.5 } else { random.unit() + 0.1 }));
                    vector.push((801, (at + 1) as f32 * (random.unit() + 0.1)));
                }
                if at == 3 {
                    vector.clear(); // a segment without the field
                }
            }
            docs
        })
        .collect()
}

/// Some of so many documents.
fn some(count: u32, keep: u32) -> DocSet {
    let mut set = DocSet::empty(count);
    let kept = |doc: &u32| doc.wrapping_mul(2_654_435_761) % 100 < keep;
    (0..count).filter(kept).for_each(|doc| set.insert(doc));
    set
}

fn merged(
    segments: &[Vec<Vector>],
    alive: &[Option<DocSet>],
    options: &SparseOptions,
    threads: usize,
) -> MemStorage {
    let indexes: Vec<Option<SparseIndex>> = segments
        .iter()
        .map(|docs| {
            let order: Vec<u32> = (0u32..).take(docs.len()).collect();
            let storage = written_as(docs, &order, options, 1, 1 << 20);
            let docs = u32::try_from(docs.len()).unwrap();
            SparseIndex::open(&container(&storage), 3, docs, options).unwrap()
        })
        .collect();
    let parts: Vec<MergePart<'_>> = segments
        .iter()
        .zip(&indexes)
        .zip(alive)
        .map(|((docs, index), alive)| MergePart {
            index: index.as_ref(),
            docs: u32::try_from(docs.len()).unwrap(),
            alive: alive.as_ref(),
        })
        .collect();
    let storage = MemStorage::new();
    let file = storage.create_new("segment").unwrap();
    let mut out = ContainerWriter::create(file, "segment".into(), ContainerKind::Segment).unwrap();
    merge(&parts, options, 3, (threads, usize::MAX), &|| Ok(()), &mut out).unwrap();
    out.finish(1, 0).unwrap();
    storage
}

fn bytes(storage: &MemStorage) -> Vec<u8> {
    storage.open("segment").unwrap().as_slice().to_vec()
}

/// The documents that a merge takes, in their order.
fn living(segments: &[Vec<Vector>], alive: &[Option<DocSet>]) -> Vec<Vector> {
    let of_segment = |(docs, alive): (&Vec<Vector>, &Option<DocSet>)| -> Vec<Vector> {
        let lives = |doc: u32| alive.as_ref().is_none_or(|alive| alive.contains(doc));
        (0u32..)
            .zip(docs)
            .filter(|(doc, _)| lives(*doc))
            .map(|(_, vector)| vector.clone())
            .collect()
    };
    segments.iter().zip(alive).flat_map(of_segment).collect()
}

#[test]
fn a_merge_is_what_writing_anew_gives() {
    let segments = segments();
    let counts: Vec<u32> = segments.iter().map(|docs| u32::try_from(docs.len()).unwrap()).collect();
    for keep in [100, 70, 2] {
        let alive: Vec<Option<DocSet>> = counts
            .iter()
            .enumerate()
            .map(|(at, &count)| (keep < 100 && at != 2).then(|| some(count, keep)))
            .collect();
        let docs = living(&segments, &alive);
        let order: Vec<u32> = (0u32..).take(docs.len()).collect();
        for codec in CODECS {
            for forward in [Forward::Auto, Forward::F16] {
                let options = options(forward).codec(codec);
                let want = bytes(&written_as(&docs, &order, &options, 1, usize::MAX));
                for threads in [1, 3] {
                    let got = bytes(&merged(&segments, &alive, &options, threads));
                    assert!(got == want, "{codec} {forward:?} {keep} % {threads} threads");
                }
            }
        }
    }
}

#[test]
fn without_rows_impacts_stay_where_scales_do() {
    let segments = segments();
    let alive: Vec<Option<DocSet>> = vec![None; segments.len()];
    for codec in CODECS {
        let options = options(Forward::None).codec(codec);
        let storage = merged(&segments, &alive, &options, 1);
        let docs: u32 = segments.iter().map(|docs| u32::try_from(docs.len()).unwrap()).sum();
        let index = SparseIndex::open(&container(&storage), 3, docs, &options).unwrap().unwrap();
        index.verify().unwrap();
        let mut base = 0;
        for segment in &segments {
            let alone =
                segment.iter().any(|doc| !doc.is_empty()).then(|| index_as(segment, &options));
            for doc in 0..u32::try_from(segment.len()).unwrap() {
                for term in [3, 10, 60, 800, 801] {
                    let impact = |index: &SparseIndex, doc| {
                        let postings = index.postings_view();
                        let term = postings.term(postings.find(term)?).unwrap();
                        let impact = postings.impact(&term, doc).unwrap()?;
                        Some((term.scale, impact))
                    };
                    let before = alone.as_ref().and_then(|alone| impact(alone, doc));
                    let after = impact(&index, base + doc);
                    assert_eq!(before.is_some(), after.is_some());
                    if let (Some(before), Some(after)) = (before, after) {
                        let stays = before == after;
                        let moves = before.0 < after.0
                            && after.0.impact(before.0.weight(before.1)) == after.1;
                        assert!(stays || moves, "{before:?} {after:?}");
                        assert!(stays || term != 800);
                    }
                }
            }
            base += u32::try_from(segment.len()).unwrap();
        }
    }
}

#[test]
fn nothing_left_is_nothing_written() {
    let segments = vec![vec![vec![(1, 1.0)]; 10]; 2];
    let alive = vec![Some(DocSet::empty(10)); 2];
    let storage = merged(&segments, &alive, &options(Forward::Auto), 1);
    assert_eq!(container(&storage).sections().count(), 0);
}
