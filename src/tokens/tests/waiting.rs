//! Rows that are stored as int8 until they are packed together.

use super::keep::Joined;
use super::*;

const DIM: usize = 24;
const LATER: Packing = Packing::WhenLarge(u64::MAX);
const CODECS: [TokenCodec; 4] = [
    TokenCodec::Residual4,
    TokenCodec::Residual2,
    TokenCodec::Residual1,
    TokenCodec::Product { subspaces: 6, bits: 4 },
];

fn written(docs: &[Doc], options: &TokenOptions, packing: Packing) -> Container {
    let field = field(options.clone());
    let order: Vec<u32> = (0..).take(docs.len()).collect();
    container(|out| column(docs, &field, 1).write(&order, 0, (1, packing), out))
}

fn opened(container: &Container, docs: usize, options: &TokenOptions) -> TokenStore {
    let docs = u32::try_from(docs).unwrap();
    TokenStore::open(container, 0, docs, options).unwrap().unwrap()
}

fn joined(source: &Joined<'_>, options: &TokenOptions, packing: Packing) -> Container {
    container(|out| write_tokens(source, options, 0, (1, packing), out))
}

#[test]
fn what_waits_is_what_int8_is() {
    let docs = documents(3, 60, DIM);
    let int8 = options(DIM, TokenCodec::Int8);
    let expected = sections(&written(&docs, &int8, LATER));
    for codec in CODECS {
        let options = options(DIM, codec);
        let waits = written(&docs, &options, LATER);
        assert_eq!(sections(&waits), expected, "{codec}");
        let store = opened(&waits, 60, &options);
        store.verify().unwrap();
        assert!(store.waits() && store.codec() == TokenCodec::Int8);
        let packed = opened(&written(&docs, &options, Packing::Now(u64::MAX)), 60, &options);
        assert!(!packed.waits() && packed.codec() == codec);
        // A merge takes no less for the one than for the other.
        assert_eq!(store.merge_cost(), packed.merge_cost());
        // Only where codes are all there is.
        let tiers = options.clone().tier(TokenTier::Int8);
        assert!(!opened(&written(&docs, &tiers, LATER), 60, &tiers).waits());
        for other in [tiers, self::options(DIM, TokenCodec::F16)] {
            let refused = TokenStore::open(&waits, 0, 60, &other);
            assert!(matches!(refused, Err(Error::Corrupt(_))), "{other:?}");
        }
    }
}

#[test]
fn what_is_packed_together_is_what_a_fresh_build_makes() {
    let docs = documents(4, 300, DIM);
    for codec in CODECS {
        let options = options(DIM, codec);
        let parts: Vec<Container> =
            docs.chunks(90).map(|docs| written(docs, &options, LATER)).collect();
        let parts: Vec<TokenStore> =
            parts.iter().zip(docs.chunks(90)).map(|(c, d)| opened(c, d.len(), &options)).collect();
        let source = || Joined::new(&parts.iter().collect::<Vec<_>>(), |_, _| false);
        let waits = joined(&source(), &options, LATER);
        assert_eq!(sections(&waits), sections(&written(&docs, &options, LATER)), "{codec}");
        let fresh = sections(&written(&docs, &options, Packing::Now(u64::MAX)));
        assert_eq!(
            sections(&joined(&source(), &options, Packing::Now(u64::MAX))),
            fresh,
            "{codec}"
        );
        // However often it was put off.
        let waits = opened(&waits, 300, &options);
        let alone = Joined::new(&[&waits], |_, _| false);
        assert_eq!(sections(&joined(&alone, &options, Packing::Now(u64::MAX))), fresh, "{codec}");
    }
}

#[test]
fn what_is_packed_stays_and_what_waits_is_packed_beside_it() {
    let docs = documents(5, 400, DIM);
    for codec in CODECS {
        let options = options(DIM, codec);
        let packed =
            opened(&written(&docs[..250], &options, Packing::Now(u64::MAX)), 250, &options);
        let waits = opened(&written(&docs[250..], &options, LATER), 150, &options);
        let source = Joined::new(&[&waits, &packed], |_, doc| doc % 7 == 2);
        // It is not put off any more.
        let merged = joined(&source, &options, LATER);
        assert_eq!(sections(&merged), sections(&joined(&source, &options, Packing::Now(u64::MAX))));
        let new = opened(&merged, source.docs(), &options);
        new.verify().unwrap();
        assert!(!new.waits());
        let (mut lost, mut own) = (0.0, 0.0);
        let fresh = opened(&written(&docs[250..], &options, Packing::Now(u64::MAX)), 150, &options);
        for (doc, &(input, from)) in (0u32..).zip(&source.docs) {
            let is = new.doc_rows(doc).unwrap();
            let place = if input == 0 { 250 + from as usize } else { from as usize };
            assert_eq!(is.is_some(), !docs[place].rows.is_empty());
            let Some(is) = is else { continue };
            if input == 1 {
                assert_eq!(packed.doc_rows(from).unwrap().unwrap(), is, "{codec}: moved");
                continue;
            }
            let stored = new.stored(doc).unwrap().unwrap();
            let error = f16::from_bits(stored.bounds.error).to_f64();
            let far = |rows: &[f32]| {
                let rows = rows.chunks(DIM).zip(docs[place].rows.chunks(DIM));
                rows.map(|(a, b)| distance(a, b)).collect::<Vec<_>>()
            };
            assert!(far(&is).iter().all(|&far| far <= error * (1.0 + 1e-6)), "{codec}: the bound");
            lost += far(&is).iter().sum::<f64>();
            own += far(&fresh.doc_rows(from).unwrap().unwrap()).iter().sum::<f64>();
        }
        // Not much worse than packed by themselves.
        assert!(lost < 1.25 * own, "{codec}: {lost}, alone {own}");
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn a_number_of_centroids_is_kept_to() {
    let docs = documents(6, 300, DIM);
    for codec in CODECS {
        let options = options(DIM, codec).centroids(Centroids::Count(40));
        let packed =
            opened(&written(&docs[..200], &options, Packing::Now(u64::MAX)), 200, &options);
        let waits = opened(&written(&docs[200..], &options, LATER), 100, &options);
        let merged = joined(&Joined::new(&[&packed, &waits], |_, _| false), &options, LATER);
        let new = opened(&merged, 300, &options);
        new.verify().unwrap();
        assert_eq!(new.trained().unwrap().0.scales.len(), 40, "{codec}");
    }
}

#[test]
fn a_lie_about_waiting_is_told() {
    // A packed segment whose head says int8: its rows are too short for that.
    let docs = documents(7, 30, DIM);
    let options = options(DIM, TokenCodec::Residual4);
    let good = written(&docs, &options, Packing::Now(u64::MAX));
    let bad = container(|out| {
        for (kind, field, _) in good.sections() {
            let section = good.section(kind, field)?;
            if kind == SectionKind::TOKENS_HEAD {
                let mut head: super::super::layout::TokenHead = section.one()?;
                head.codec = 2;
                out.section(kind, field, &[head])?;
            } else {
                out.begin(kind, field, element_size(kind))?;
                out.write(section.bytes())?;
                out.end()?;
            }
        }
        Ok(())
    });
    assert!(matches!(TokenStore::open(&bad, 0, 30, &options), Err(Error::Corrupt(_))));
}

#[test]
fn rows_wait_while_there_is_a_merge_to_come() {
    use super::super::write::merge_cost;
    let options = options(8, TokenCodec::Residual4);
    let docs: Vec<Doc> = (0..3).map(|_| Doc { rows: vec![0.5; 8 * 65_535], spans: None }).collect();
    let new = opened(&written(&docs, &options, Packing::WhenLarge(0)), 3, &options);
    assert!(new.waits(), "whatever its size");
    let waits = |count: u32, memory: u64| {
        let source = Joined::new(&[&new], |_, doc| doc >= count);
        let merged = joined(&source, &options, Packing::WhenLarge(memory));
        opened(&merged, source.docs(), &options).waits()
    };
    // 131,070 rows wait whatever memory there is; 196,605 where four times as many can be merged.
    let cost = 4 * 3 * 65_535 * merge_cost(8);
    assert!(waits(2, 0));
    assert!(waits(3, cost) && !waits(3, cost - 1));
}
