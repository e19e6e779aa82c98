//! The store against bytes that lie, all checksums being valid.

use proptest::prelude::*;

use super::*;
use crate::schema::TokenTier;

/// A small field, its sections changed by `change` and written again with valid checksums.
fn changed(change: impl Fn(SectionKind, &mut Vec<u8>)) -> Result<TokenStore> {
    changed_of(&options(8, TokenCodec::Int8), change)
}

fn changed_of(
    options: &TokenOptions,
    change: impl Fn(SectionKind, &mut Vec<u8>),
) -> Result<TokenStore> {
    let dim = 8;
    let mut docs = documents(51, 20, dim);
    docs[2] = Doc { rows: Numbers(1).row(2 * dim), spans: Some(vec![(0, 1); 2]) };
    let centroids = crate::schema::Centroids::Count(5);
    let field = field(options.clone().centroids(centroids));
    let order: Vec<u32> = (0..20).collect();
    let good = container(|out| {
        column(&docs, &field, 1).write(&order, 0, (1, Packing::Now(u64::MAX)), out)
    });
    let bad = container(|out| {
        for (kind, field, _) in good.sections() {
            let mut bytes = good.section(kind, field)?.bytes().to_vec();
            change(kind, &mut bytes);
            let size = match kind {
                SectionKind::TOKENS_HEAD => 32,
                SectionKind::TOKENS_CENTROID_HEAD | SectionKind::TOKENS_CURVE => 16,
                SectionKind::TOKENS_DRIFT => 8,
                SectionKind::TOKENS_TIER if options.tier == TokenTier::F16 => 2,
                SectionKind::TOKENS_CODES
                | SectionKind::TOKENS_CENTROID_CODES
                | SectionKind::TOKENS_BOOK
                | SectionKind::TOKENS_TIER => 1,
                SectionKind::TOKENS_SCALES
                | SectionKind::TOKENS_TIER_SCALES
                | SectionKind::TOKENS_GAPS
                | SectionKind::TOKENS_CENTROID_SCALES
                | SectionKind::TOKENS_CENTROID_IDS
                | SectionKind::TOKENS_LISTS => 2,
                _ => 4,
            };
            out.begin(kind, field, size)?;
            out.write(&bytes)?;
            out.end()?;
        }
        // Of few centroids the writer makes no groups, but there may be some.
        let groups = [
            (SectionKind::TOKENS_GROUP_ENDS, 4, vec![2, 0, 0, 0, 5, 0, 0, 0]),
            (SectionKind::TOKENS_GROUP_CODES, 1, vec![130; 2 * dim]),
            (SectionKind::TOKENS_GROUP_SCALES, 2, vec![0, 0x2C, 0, 0x2C]),
        ];
        for (kind, size, mut bytes) in groups {
            change(kind, &mut bytes);
            out.begin(kind, 0, size)?;
            out.write(&bytes)?;
            out.end()?;
        }
        Ok(())
    });
    Ok(TokenStore::open(&bad, 0, 20, field.options())?.expect("the head is there"))
}

/// Everything that can be asked of a store; errors are fine, panics are not.
fn ask_everything(store: &TokenStore) -> Result<()> {
    let query = TokenQuery::new(Numbers(2).row(9 * 8), 8);
    let mut scratch = TokenScratch::default();
    let docs: Vec<DocId> = (0..25).collect();
    let mut results = Vec::new();
    for kernels in available() {
        let mut top = TopK::new(3, f32::NEG_INFINITY, &Backwards);
        for effort in [TokenEffort::Exact, TokenEffort::Recall(0.1), TokenEffort::Level(0.0)] {
            let found = store.search(&query, kernels, effort, None, &mut top, &mut scratch);
            results.push(found.map(|_| ()));
        }
        results.push(store.rerank(&query, kernels, &docs, &mut top, &mut scratch).map(|_| ()));
        for &doc in &docs {
            results.push(store.align(&query, kernels, doc, &mut scratch).map(|_| ()));
            results.push(store.doc_rows(doc).map(|_| ()));
        }
    }
    results.push(store.verify());
    results.into_iter().collect()
}

type Change = Box<dyn Fn(&mut Vec<u8>)>;

#[test]
fn lies_are_found() {
    ask_everything(&changed(|_, _| {}).unwrap()).unwrap();
    let set = |at: usize, value: u8| -> Change { Box::new(move |bytes| bytes[at] = value) };
    let cut = || -> Change { Box::new(|bytes| bytes.truncate(bytes.len() - 4)) };
    let grow = || -> Change { Box::new(|bytes| bytes.extend([0; 4])) };
    let cases: Vec<(SectionKind, Change)> = vec![
        (SectionKind::TOKENS_HEAD, set(0, 1)),
        (SectionKind::TOKENS_HEAD, set(4, 16)),
        (SectionKind::TOKENS_HEAD, set(8, 0)),
        (SectionKind::TOKENS_HEAD, set(12, 3)),
        (SectionKind::TOKENS_HEAD, set(16, 7)),
        (SectionKind::TOKENS_HEAD, set(23, 1)),
        (SectionKind::TOKENS_HEAD, set(24, 21)),
        (SectionKind::TOKENS_HEAD, set(24, 0)),
        (SectionKind::TOKENS_HEAD, set(24, 1)),
        (SectionKind::TOKENS_HEAD, set(28, 1)),
        (SectionKind::TOKENS_ENDS, set(3, 255)),
        (SectionKind::TOKENS_ENDS, set(0, 255)),
        (SectionKind::TOKENS_ENDS, set(76, 0)),
        (SectionKind::TOKENS_ENDS, cut()),
        (SectionKind::TOKENS_ENDS, grow()),
        (SectionKind::TOKENS_CODES, cut()),
        (SectionKind::TOKENS_CODES, set(9, 0)),
        (SectionKind::TOKENS_SCALES, grow()),
        (SectionKind::TOKENS_SCALES, set(1, 0xFF)),
        (SectionKind::TOKENS_SCALES, set(1, 0x80)),
        (SectionKind::TOKENS_BOUNDS, cut()),
        (SectionKind::TOKENS_BOUNDS, set(1, 0)),
        (SectionKind::TOKENS_BOUNDS, set(3, 0xFF)),
        (SectionKind::TOKENS_SPANS, grow()),
        (SectionKind::TOKENS_SPANS, set(0, 9)),
        (SectionKind::TOKENS_CENTROID_HEAD, set(0, 0)),
        (SectionKind::TOKENS_CENTROID_HEAD, set(0, 6)),
        (SectionKind::TOKENS_CENTROID_HEAD, set(2, 2)),
        (SectionKind::TOKENS_CENTROID_HEAD, set(4, 4)),
        (SectionKind::TOKENS_CENTROID_HEAD, set(4, 3)),
        (SectionKind::TOKENS_CENTROID_HEAD, set(8, 1)),
        (SectionKind::TOKENS_CENTROID_HEAD, set(12, 1)),
        (SectionKind::TOKENS_CENTROID_CODES, cut()),
        (SectionKind::TOKENS_CENTROID_CODES, set(3, 0)),
        (SectionKind::TOKENS_CENTROID_SCALES, grow()),
        (SectionKind::TOKENS_CENTROID_SCALES, set(1, 0x80)),
        (SectionKind::TOKENS_CENTROID_IDS, cut()),
        (SectionKind::TOKENS_CENTROID_IDS, set(0, 5)),
        (SectionKind::TOKENS_CENTROID_IDS, set(1, 255)),
        (SectionKind::TOKENS_LIST_ENDS, set(0, 0)),
        (SectionKind::TOKENS_LIST_ENDS, set(3, 255)),
        (SectionKind::TOKENS_LIST_ENDS, set(16, 0)),
        (SectionKind::TOKENS_LISTS, set(0, 19)),
        (SectionKind::TOKENS_LISTS, set(1, 255)),
        (SectionKind::TOKENS_LISTS, cut()),
        (SectionKind::TOKENS_DRIFT, set(3, 0x80)),
        (SectionKind::TOKENS_DRIFT, set(7, 0x7F)),
        (SectionKind::TOKENS_CURVE, set(0, 0)),
        (SectionKind::TOKENS_CURVE, set(4, 0)),
        (SectionKind::TOKENS_CURVE, set(11, 0xFF)),
        (SectionKind::TOKENS_CURVE, set(15, 0x7F)),
        (SectionKind::TOKENS_GROUP_ENDS, cut()),
        (SectionKind::TOKENS_GROUP_ENDS, Box::new(Vec::clear)),
        (SectionKind::TOKENS_GROUP_ENDS, set(0, 6)),
        (SectionKind::TOKENS_GROUP_ENDS, set(4, 1)),
        (SectionKind::TOKENS_GROUP_ENDS, set(4, 4)),
        (SectionKind::TOKENS_GROUP_ENDS, set(7, 255)),
        (SectionKind::TOKENS_GROUP_CODES, cut()),
        (SectionKind::TOKENS_GROUP_CODES, set(3, 0)),
        (SectionKind::TOKENS_GROUP_SCALES, grow()),
        (SectionKind::TOKENS_GROUP_SCALES, set(1, 0x80)),
        (SectionKind::TOKENS_GROUP_SCALES, set(3, 0x7F)),
    ];
    all_found(&options(8, TokenCodec::Int8), &cases);
}

/// Every one of these changes is damage.
fn all_found(options: &TokenOptions, cases: &[(SectionKind, Change)]) {
    ask_everything(&changed_of(options, |_, _| {}).unwrap()).unwrap();
    for (i, (section, change)) in cases.iter().enumerate() {
        let store = changed_of(options, |kind, bytes| {
            if kind == *section {
                change(bytes);
            }
        });
        match store.and_then(|store| ask_everything(&store)) {
            Err(Error::Corrupt(_)) => {}
            other => panic!("{}, case {i}, {section:?}: {other:?}", options.codec),
        }
    }
}

#[test]
fn lies_about_packed_rows_and_tiers_are_found() {
    let set = |at: usize, value: u8| -> Change { Box::new(move |bytes| bytes[at] = value) };
    let cut = |by: usize| -> Change { Box::new(move |bytes| bytes.truncate(bytes.len() - by)) };
    for codec in [
        TokenCodec::Residual4,
        TokenCodec::Residual1,
        TokenCodec::Product { subspaces: 4, bits: 8 },
        TokenCodec::Product { subspaces: 4, bits: 4 },
    ] {
        for tier in [TokenTier::None, TokenTier::Int8, TokenTier::F16] {
            let mut cases: Vec<(SectionKind, Change)> = vec![
                (SectionKind::TOKENS_HEAD, set(0, 2)),
                (SectionKind::TOKENS_HEAD, set(28, 3)),
                (SectionKind::TOKENS_CODES, cut(1)),
                (SectionKind::TOKENS_SCALES, cut(2)),
                (SectionKind::TOKENS_SCALES, set(1, 0xFF)),
                (SectionKind::TOKENS_SCALES, set(1, 0x80)),
                (SectionKind::TOKENS_BOUNDS, set(1, 0)),
                (SectionKind::TOKENS_BOOK, cut(1)),
                (SectionKind::TOKENS_BOOK, set(1, 48)),
                (SectionKind::TOKENS_BOOK, set(0, 0x80)),
                (SectionKind::TOKENS_CENTROID_IDS, set(0, 5)),
                (SectionKind::TOKENS_CENTROID_IDS, set(1, 1)),
                (SectionKind::TOKENS_CENTROID_IDS, cut(2)),
                (SectionKind::TOKENS_CENTROID_CODES, cut(8)),
                (SectionKind::TOKENS_CENTROID_HEAD, set(4, 0)),
            ];
            if tier != TokenTier::None {
                cases.extend([
                    (SectionKind::TOKENS_TIER, cut(2)),
                    (SectionKind::TOKENS_GAPS, cut(2)),
                    (SectionKind::TOKENS_GAPS, set(1, 0)),
                    (SectionKind::TOKENS_GAPS, set(1, 0x7E)),
                ]);
            }
            if tier == TokenTier::Int8 {
                cases.push((SectionKind::TOKENS_TIER, set(3, 0)));
                cases.push((SectionKind::TOKENS_TIER_SCALES, set(1, 0x80)));
            }
            all_found(&options(8, codec).tier(tier), &cases);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn any_bytes_are_survived(
        kind in 0usize..5,
        edits in proptest::collection::vec((any::<u32>(), any::<usize>(), any::<u8>()), 1..40)
    ) {
        let options = [
            options(8, TokenCodec::Int8),
            options(8, TokenCodec::Residual4).tier(TokenTier::F16),
            options(8, TokenCodec::Residual1).tier(TokenTier::Int8),
            options(8, TokenCodec::Product { subspaces: 2, bits: 4 }),
            options(8, TokenCodec::Product { subspaces: 8, bits: 8 }).tier(TokenTier::Int8),
        ];
        let store = changed_of(&options[kind], |kind, bytes| {
            for &(section, at, value) in &edits {
                if 128 + section % 21 == kind.0 && !bytes.is_empty() {
                    let at = at % bytes.len();
                    bytes[at] = value;
                }
            }
        });
        if let Ok(store) = store {
            let _ = ask_everything(&store);
        }
    }
}
