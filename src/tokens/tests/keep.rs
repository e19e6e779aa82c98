//! Merges that keep centroids, and those that must not.

use super::super::keep::{Drift, Meter};
use super::*;
use crate::codec::int8;

const DIM: usize = 24;

/// One store after another.
pub(super) struct Joined<'a> {
    stores: Vec<Option<&'a TokenStore>>,
    pub(super) docs: Vec<(usize, DocId)>,
}

impl<'a> Joined<'a> {
    /// All documents but those of a store that `dead` picks.
    pub(super) fn new(stores: &[&'a TokenStore], dead: impl Fn(usize, u32) -> bool) -> Self {
        let all = stores.iter().enumerate();
        let docs = all.flat_map(|(at, store)| (0..store.view().docs()).map(move |doc| (at, doc)));
        let docs = docs.filter(|&(at, doc)| !dead(at, doc)).collect();
        Self { stores: stores.iter().copied().map(Some).collect(), docs }
    }
}

impl TokenSource for Joined<'_> {
    fn docs(&self) -> usize {
        self.docs.len()
    }
    fn rows(&self, doc: usize) -> Result<Option<TokenRows<'_>>> {
        let (input, doc) = self.docs[doc];
        self.stores[input].map_or(Ok(None), |store| store.stored(doc))
    }
    fn inputs(&self) -> &[Option<&TokenStore>] {
        &self.stores
    }
    fn origin(&self, doc: usize) -> Option<(usize, DocId)> {
        self.docs.get(doc).copied()
    }
}

/// Documents of one kind; with another `seed` others of the same kind. `turned` are of another.
fn kind(seed: u64, count: usize, turned: bool) -> Vec<Doc> {
    let mut centres = Numbers(if turned { 977 } else { 976 });
    let centres: Vec<Vec<f32>> = (0..24).map(|_| centres.row(DIM)).collect();
    let mut numbers = Numbers(seed);
    let doc = |numbers: &mut Numbers| {
        let rows = 1 + numbers.below(20);
        let mut out = Vec::new();
        for _ in 0..rows {
            let centre = &centres[numbers.below(centres.len())];
            out.extend(centre.iter().map(|x| x + 0.25 * numbers.unit()));
        }
        Doc { rows: out, spans: None }
    };
    (0..count).map(|_| doc(&mut numbers)).collect()
}

fn opened(container: &Container, docs: usize, options: &TokenOptions) -> TokenStore {
    let docs = u32::try_from(docs).unwrap();
    TokenStore::open(container, 0, docs, options).unwrap().unwrap()
}

fn joined(source: &Joined<'_>, options: &TokenOptions, threads: usize) -> Container {
    container(|out| write_tokens(source, options, 0, (threads, Packing::Now(u64::MAX)), out))
}

fn bytes(container: &Container, kind: SectionKind) -> Vec<u8> {
    container.section(kind, 0).unwrap().bytes().to_vec()
}

fn parts(codec: TokenCodec, tier: TokenTier) -> (TokenOptions, Container, Container) {
    let options = options(DIM, codec).tier(tier);
    let of = |docs: &[Doc]| {
        let field = field(options.clone());
        let order: Vec<u32> = (0..).take(docs.len()).collect();
        container(|out| column(docs, &field, 1).write(&order, 0, (1, Packing::Now(u64::MAX)), out))
    };
    let (large, small) = (of(&kind(1, 300, false)), of(&kind(2, 120, false)));
    (options, large, small)
}

const CODECS: [(TokenCodec, TokenTier); 4] = [
    (TokenCodec::Residual4, TokenTier::Int8),
    (TokenCodec::Residual2, TokenTier::Int8),
    (TokenCodec::Residual1, TokenTier::F16),
    (TokenCodec::Product { subspaces: 4, bits: 8 }, TokenTier::F16),
];
/// Those of which codes are all there is.
const ALONE: [TokenCodec; 4] = [
    TokenCodec::Residual4,
    TokenCodec::Residual2,
    TokenCodec::Residual1,
    TokenCodec::Product { subspaces: 6, bits: 4 },
];

#[test]
fn codes_over_kept_centroids_are_copied() {
    for (codec, tier) in CODECS {
        let (options, large, small) = parts(codec, tier);
        let (a, b) = (opened(&large, 300, &options), opened(&small, 120, &options));
        // The smaller one first, so that what is kept lies between; some are dead.
        let source = Joined::new(&[&b, &a, &b], |at, doc| at == 2 || doc % 9 == 4);
        let merged = joined(&source, &options, 1);
        assert_eq!(sections(&merged), sections(&joined(&source, &options, 3)), "{codec}");
        for kind in [
            SectionKind::TOKENS_CENTROID_CODES,
            SectionKind::TOKENS_CENTROID_SCALES,
            SectionKind::TOKENS_BOOK,
        ] {
            assert!(bytes(&merged, kind) == bytes(&large, kind), "{codec}: {}", kind.name());
        }
        let new = opened(&merged, source.docs(), &options);
        new.verify().unwrap();
        let drift = |store: &TokenStore| store.drift().unwrap();
        assert_eq!(drift(&new).0.to_bits(), drift(&a).0.to_bits());
        assert!(drift(&new).1 > 0.7 * drift(&a).1 && drift(&new).1 < 1.25 * drift(&a).0);
        for (doc, &(input, from)) in (0u32..).zip(&source.docs) {
            let old = if input == 1 { &a } else { &b };
            let (was, is) = (old.stored(from).unwrap().unwrap(), new.stored(doc).unwrap().unwrap());
            let (Coded::Packed(was_rows), Coded::Packed(is_rows)) = (was.first(), is.first())
            else {
                panic!("packed")
            };
            if input == 1 {
                assert_eq!(was_rows.codes(), is_rows.codes());
                assert_eq!(was_rows.scales(), is_rows.scales());
                assert_eq!(was_rows.ids(), is_rows.ids());
                assert_eq!((was.bounds, was.gap), (is.bounds, is.gap));
            }
            assert_eq!(old.doc_rows(from).unwrap(), new.doc_rows(doc).unwrap());
        }
    }
}

fn packed<'a>(rows: &TokenRows<'a>) -> crate::kernel::tokens::PackedRows<'a> {
    match rows.first() {
        Coded::Packed(rows) => *rows,
        _ => panic!("packed"),
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn every_row_keeps_its_centroid_where_codes_are_all_there_is() {
    for codec in ALONE.into_iter().take(3) {
        // Parts of which each has more centroids than there are kinds of rows.
        let options = options(DIM, codec).tier(TokenTier::None);
        let (given, more) = (kind(2, 900, false), kind(1, 2000, false));
        let (a, b) = (store(&more, options.clone()), store(&given, options.clone()));
        let source = Joined::new(&[&b, &a, &b], |at, doc| at == 2 || doc % 9 == 4);
        let merged = joined(&source, &options, 1);
        assert_eq!(sections(&merged), sections(&joined(&source, &options, 3)), "{codec}");
        let new = opened(&merged, source.docs(), &options);
        new.verify().unwrap();
        let centroids = new.trained().unwrap().0;
        let (of_a, book, _) = a.trained().unwrap();
        assert!(new.trained().unwrap().1 == book, "{codec}");
        let most = of_a.scales.len() + b.trained().unwrap().0.scales.len();
        assert!(centroids.scales.len() <= most && centroids.scales.len() > of_a.scales.len());
        let row = |of: &crate::codec::kmeans::CodeRows, id: u16| {
            of.codes[usize::from(id) * DIM..][..DIM].to_vec()
        };
        // How far rows of the smaller are from what they were, and what packing had cost them.
        let (mut moved, mut lost, mut count) = (0.0, 0.0, 0);
        for (doc, &(input, from)) in (0u32..).zip(&source.docs) {
            let old = if input == 1 { &a } else { &b };
            let (was, is) = (old.stored(from).unwrap().unwrap(), new.stored(doc).unwrap().unwrap());
            let (was_rows, is_rows) = (packed(&was), packed(&is));
            if input == 1 {
                assert_eq!(was_rows.codes(), is_rows.codes());
                assert_eq!(was_rows.scales(), is_rows.scales());
                let ids = was_rows.ids().iter().zip(is_rows.ids());
                ids.for_each(|(&was, &is)| assert_eq!(row(&of_a, was), row(&centroids, is)));
                assert_eq!(was.bounds, is.bounds);
                assert_eq!(old.doc_rows(from).unwrap(), new.doc_rows(doc).unwrap());
                continue;
            }
            let error = f16::from_bits(is.bounds.error).to_f64();
            let [before, now] =
                [old.doc_rows(from), new.doc_rows(doc)].map(|r| r.unwrap().unwrap());
            let rows = before.chunks(DIM).zip(now.chunks(DIM));
            for ((before, now), given) in rows.zip(given[from as usize].rows.chunks(DIM)) {
                assert!(distance(now, given) <= error * (1.0 + 1e-6), "{codec}: the bound");
                moved += distance(before, now);
                lost += distance(before, given);
                count += 1;
            }
        }
        assert!(count > 500 && moved < 0.6 * lost, "{codec}: {moved} of {lost}");
        // Alone it stays what it is.
        let again = joined(&Joined::new(&[&new], |_, _| false), &options, 2);
        for kind in [
            SectionKind::TOKENS_CODES,
            SectionKind::TOKENS_SCALES,
            SectionKind::TOKENS_BOUNDS,
            SectionKind::TOKENS_BOOK,
            SectionKind::TOKENS_CENTROID_CODES,
            SectionKind::TOKENS_CENTROID_SCALES,
            SectionKind::TOKENS_CENTROID_IDS,
        ] {
            assert!(bytes(&again, kind) == bytes(&merged, kind), "{codec}: {}", kind.name());
        }
    }
}

#[test]
fn after_deleting_most_the_centroids_with_the_most_rows_stay() {
    for codec in ALONE {
        let options = options(DIM, codec).tier(TokenTier::None);
        let a = store(&kind(1, 3000, false), options.clone());
        let source = Joined::new(&[&a], |_, doc| doc % 4 != 1);
        let merged = joined(&source, &options, 1);
        assert_eq!(sections(&merged), sections(&joined(&source, &options, 3)), "{codec}");
        let new = opened(&merged, source.docs(), &options);
        new.verify().unwrap();
        let (before, after) = (a.trained().unwrap().0, new.trained().unwrap().0);
        let mut used = vec![0usize; before.scales.len()];
        let mut rows = 0;
        for &(_, doc) in &source.docs {
            let stored = a.stored(doc).unwrap().unwrap();
            packed(&stored).ids().iter().for_each(|&id| used[usize::from(id)] += 1);
            rows += stored.coded.len();
        }
        let allowed = rows / 64 + rows * (codec.row_bytes(DIM) + 4) / 14 / (DIM + 6);
        let there = used.iter().filter(|&&rows| rows > 0).count();
        assert!(allowed < there, "{codec}: nothing has to go");
        assert_eq!(after.scales.len(), allowed, "{codec}");
        let mut order: Vec<usize> = (0..used.len()).collect();
        order.sort_by_key(|&id| (std::cmp::Reverse(used[id]), id));
        let mut stay = order[..allowed].to_vec();
        stay.sort_unstable();
        let expected: Vec<u8> =
            stay.iter().flat_map(|&id| before.codes[id * DIM..][..DIM].to_vec()).collect();
        assert!(after.codes == expected, "{codec}");
        // What keeps its centroid is what it was; the rest has another.
        let mut kept = 0;
        for (doc, &(_, from)) in (0u32..).zip(&source.docs) {
            let (was, is) = (a.stored(from).unwrap().unwrap(), new.stored(doc).unwrap().unwrap());
            let (was_rows, is_rows) = (packed(&was), packed(&is));
            let [before, now] = [a.doc_rows(from), new.doc_rows(doc)].map(|r| r.unwrap().unwrap());
            for (at, (&was, &is)) in was_rows.ids().iter().zip(is_rows.ids()).enumerate() {
                if let Ok(place) = stay.binary_search(&usize::from(was)) {
                    kept += 1;
                    assert_eq!(place, usize::from(is));
                    assert_eq!(before[at * DIM..][..DIM], now[at * DIM..][..DIM], "{codec}");
                }
            }
        }
        assert!(kept * 5 >= rows * 3 && kept < rows, "{codec}: {kept} of {rows}");
        // Where next to nothing of it can stay, all is trained anew.
        let merged = joined(&Joined::new(&[&a], |_, doc| doc % 50 != 1), &options, 1);
        let (trained, now) = opened(&merged, 60, &options).drift().unwrap();
        assert_eq!(trained.to_bits(), now.to_bits(), "{codec}");
    }
}

#[test]
fn lists_over_kept_centroids_find_what_new_ones_do() {
    for codec in [TokenCodec::Int8, TokenCodec::F16] {
        let options = options(DIM, codec).centroids(Centroids::Count(60));
        let (docs, more) = (kind(1, 900, false), kind(2, 500, false));
        let (a, b) = (store(&docs, options.clone()), store(&more, options.clone()));
        let merged = joined(&Joined::new(&[&a, &b], |_, _| false), &options, 2);
        let kept = opened(&merged, 1400, &options);
        kept.verify().unwrap();
        let (view, curve) = kept.centroids().unwrap();
        assert_eq!(view.rows.codes(), a.centroids().unwrap().0.rows.codes());
        assert!(curve.iter().any(|point| point.recall_10 > 0.95));
        let all: Vec<Doc> = docs.into_iter().chain(more).collect();
        let fresh = store(&all, options.clone());
        for doc in 0..1400 {
            assert_eq!(kept.doc_rows(doc).unwrap(), fresh.doc_rows(doc).unwrap());
        }
        let mut numbers = Numbers(5);
        for _ in 0..20 {
            let query: Vec<f32> = (0..6).flat_map(|_| numbers.row(DIM)).collect();
            check_exact(&kept, 1400, &query, 10, None);
        }
    }
}

/// Rows that come from no segment.
struct Gathered<'a>(&'a Joined<'a>);

impl TokenSource for Gathered<'_> {
    fn docs(&self) -> usize {
        self.0.docs()
    }

    fn rows(&self, doc: usize) -> Result<Option<TokenRows<'_>>> {
        self.0.rows(doc)
    }
}

#[test]
fn rows_of_another_kind_are_trained_for() {
    for (codec, tier) in CODECS {
        let (options, large, _) = parts(codec, tier);
        let a = opened(&large, 300, &options);
        let c = store(&kind(3, 200, true), options.clone());
        let source = Joined::new(&[&a, &c], |_, _| false);
        let merged = joined(&source, &options, 1);
        let kind = SectionKind::TOKENS_CENTROID_CODES;
        assert!(bytes(&merged, kind) != bytes(&large, kind), "{codec}");
        let (trained, now) = opened(&merged, 500, &options).drift().unwrap();
        assert_eq!(trained.to_bits(), now.to_bits());
        // It is what those rows give that come from nowhere.
        let gathered = Gathered(&source);
        let fresh =
            container(|out| write_tokens(&gathered, &options, 0, (1, Packing::Now(u64::MAX)), out));
        assert_eq!(sections(&merged), sections(&fresh));
    }
}

#[test]
fn too_few_and_too_many_centroids_are_not_kept() {
    let options = options(DIM, TokenCodec::Residual4).tier(TokenTier::F16);
    let (docs, more) = (kind(1, 300, false), kind(2, 300, false));
    let (a, b) = (store(&docs, options.clone()), store(&more, options.clone()));
    let before = a.trained().unwrap().0;
    let of = |source: &Joined<'_>| {
        opened(&joined(source, &options, 1), source.docs(), &options).trained().unwrap().0
    };
    // Twice the rows: still kept. Three times: not.
    assert_eq!(of(&Joined::new(&[&a], |_, _| false)), before);
    assert_ne!(of(&Joined::new(&[&a, &b, &b], |_, _| false)).scales.len(), before.scales.len());
    // Most of them deleted.
    assert_eq!(of(&Joined::new(&[&a], |_, doc| doc % 5 == 0)), before);
    assert_ne!(of(&Joined::new(&[&a], |_, doc| doc % 2 == 0)).scales.len(), before.scales.len());
    // As many as the schema says, no others.
    let count = self::options(DIM, TokenCodec::Int8).centroids(Centroids::Count(4000));
    let (a, b) = (store(&docs, count.clone()), store(&more, count.clone()));
    let merged = joined(&Joined::new(&[&a, &b], |_, _| false), &count, 1);
    assert_eq!(opened(&merged, 600, &count).trained().unwrap().0.scales.len(), 4000);
}

/// The same container without a section, or with it changed.
fn with(container: &Container, kind: SectionKind, data: Option<&[f32]>) -> Container {
    self::container(|out| {
        for (own, field, _) in container.sections() {
            let section = container.section(own, field)?;
            let len = section.bytes().len();
            match data {
                _ if own != kind => {
                    let size = element_size(own);
                    assert!(len.is_multiple_of(size as usize));
                    out.begin(own, field, size)?;
                    out.write(section.bytes())?;
                    out.end()?;
                }
                None => {}
                Some(data) => {
                    out.begin(own, field, 8)?;
                    out.write_pod(data)?;
                    out.end()?;
                }
            }
        }
        Ok(())
    })
}

#[test]
fn a_segment_without_the_meter_is_read_and_trained_anew() {
    let (options, large, small) = parts(TokenCodec::Residual4, TokenTier::None);
    let old = with(&large, SectionKind::TOKENS_DRIFT, None);
    assert_eq!(old.sections().count() + 1, large.sections().count());
    let (a, b) = (opened(&old, 300, &options), opened(&small, 120, &options));
    a.verify().unwrap();
    assert_eq!(a.drift(), None);
    let merged = joined(&Joined::new(&[&a, &b], |_, _| false), &options, 1);
    let (trained, now) = opened(&merged, 420, &options).drift().unwrap();
    assert!(trained.to_bits() == now.to_bits());
}

#[test]
fn a_meter_that_lies_is_told_and_harms_nothing() {
    let (options, large, small) = parts(TokenCodec::Residual4, TokenTier::None);
    let b = opened(&small, 120, &options);
    for lie in [[f32::NAN, 1.0], [1.0, f32::INFINITY], [-1.0, 0.5], [0.0, 5.0]] {
        let bad = opened(&with(&large, SectionKind::TOKENS_DRIFT, Some(&lie)), 300, &options);
        assert!(matches!(bad.verify(), Err(Error::Corrupt(_))), "{lie:?}");
        // Merging verifies first; were it not to, nothing but the choice would depend on it.
        let merged = joined(&Joined::new(&[&bad, &b], |_, _| false), &options, 1);
        opened(&merged, 420, &options).verify().unwrap();
    }
}

#[test]
fn the_meter_is_the_mean_distance() {
    let mut numbers = Numbers(8);
    let mut coded = |count: usize, unit: bool| {
        let mut rows = crate::codec::kmeans::CodeRows::default();
        for _ in 0..count {
            let mut row = numbers.row(DIM);
            let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            row.iter_mut().filter(|_| unit).for_each(|x| *x /= length);
            let mut codes = vec![0; DIM];
            rows.scales.push(int8::encode(&row, &mut codes).0);
            rows.codes.extend(codes);
        }
        rows
    };
    let (centroids, mut rows) = (coded(7, true), coded(50, false));
    rows.scales[3] = 0; // a row of zeros
    rows.codes[3 * DIM..4 * DIM].fill(int8::ZERO);
    let ids: Vec<u16> = (0..50).map(|at| at % 7).collect();
    let decoded = |of: &crate::codec::kmeans::CodeRows, at: usize| {
        let mut row = vec![0.0; DIM];
        int8::decode(&of.codes[at * DIM..][..DIM], of.scales[at], &mut row);
        row.into_iter().map(f64::from).collect::<Vec<f64>>()
    };
    let mut far = Vec::new();
    for (at, &id) in ids.iter().enumerate().filter(|&(at, _)| at != 3) {
        let (row, centroid) = (decoded(&rows, at), decoded(&centroids, id.into()));
        let length = row.iter().map(|x| x * x).sum::<f64>().sqrt();
        let squares = row.iter().zip(&centroid).map(|(x, c)| (x / length - c).powi(2));
        far.push(squares.sum::<f64>().sqrt());
    }
    let (centroids, rows) = (centroids.rows().unwrap(), rows.rows().unwrap());
    let mut meter = Meter::new(&centroids);
    assert_eq!(meter.mean().to_bits(), 0);
    meter.add(&centroids, &rows.range(0..20).unwrap(), &ids[..20]);
    meter.add(&centroids, &rows.range(20..50).unwrap(), &ids[20..]);
    let mean = far.iter().sum::<f64>() / 49.0;
    assert!((f64::from(meter.mean()) - mean).abs() < 1e-6, "{} for {mean}", meter.mean());
    assert!(Drift { trained: 0.0, now: meter.mean() }.is_possible());
}
