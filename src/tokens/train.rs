//! Centroids for a segment that is being written: trained on a sample, assigned to every row,
//! inverted into lists, and measured; and the first tier of rows that is made with them.

use crate::codec::int8;
use crate::codec::kmeans::{self, CodeRows, Crew, in_parallel};
use crate::error::Result;
use crate::id::DocId;
use crate::kernel::tokens::Int8Rows;
use crate::schema::{Centroids, TokenCodec, TokenOptions, TokenTier};

use super::candidates::{CandidateScratch, Plan};
use super::centroids::{CentroidView, CurvePoint, Lists};
use super::encode::FirstTier;
use super::groups::{Grouping, Groups};
use super::keep::{self, Drift, Kept, Meter, Place};
use super::query::TokenQuery;
use super::rows::Coded;
use super::search::{Margin, TokenScratch, estimate};
use super::write::TokenSource;

/// Rows for each centroid.
const ROWS_PER_CENTROID: u64 = 64;
/// From how many rows and documents on a segment gains from centroids: below, to look at
/// everything takes less than about a millisecond.
const LEAST_ROWS: u64 = 32_768;
const LEAST_DOCS: u32 = 1024;
/// Rows that are trained on for each centroid, and bytes of them at most.
const SAMPLE_PER_CENTROID: u64 = 64;
const SAMPLE_BYTES: u64 = 128 << 20;
const LEAST_PER_CENTROID: u64 = 8;
/// Bytes of rows that are assigned at a time.
const ASSIGN_BYTES: usize = 4 << 20;
/// Queries that the recall is measured with, and rows of all of them with all rows at most.
const QUERIES: usize = 64;
const MOST_PAIRS: u64 = 1 << 34;
/// What is measured: documents of the shortlist, centroids looked up for each query row.
const LADDER: [(u32, u32); 9] =
    [(16, 4), (32, 4), (64, 4), (128, 4), (256, 4), (512, 8), (1024, 8), (2048, 8), (4096, 16)];

/// What is to be written, as far as there is any.
#[derive(Default)]
pub(super) struct Trained {
    pub(super) centroids: Option<Assigned>,
    pub(super) lists: Option<Listed>,
    pub(super) first: Option<FirstTier>,
}

/// Centroids, and which each row has.
pub(super) struct Assigned {
    pub(super) centroids: CodeRows,
    pub(super) ids: Vec<u16>,
    pub(super) drift: Drift,
}

/// What candidates are found with.
pub(super) struct Listed {
    pub(super) ends: Vec<u32>,
    pub(super) docs: Vec<u32>,
    pub(super) curve: Vec<CurvePoint>,
    pub(super) groups: Option<Groups>,
}

/// How many centroids a segment gets, and whether it gets lists; no centroids where it is too
/// small for them and its codec can do without.
fn count(options: &TokenOptions, rows: u64, docs: u32) -> (u64, bool) {
    let usual = (rows / ROWS_PER_CENTROID).clamp(1, Centroids::MOST.into());
    let without = if options.codec.is_packed() { usual } else { 0 };
    match options.centroids {
        Centroids::Count(count) => (u64::from(count).min(rows), true),
        Centroids::Auto if rows >= LEAST_ROWS && docs >= LEAST_DOCS => (usual, true),
        Centroids::Auto | Centroids::None => (without, false),
    }
}

/// Trains on so many bytes of rows at most, or keeps what an input was trained to; assigns, encodes
/// and measures. After the sample it holds two bytes a row, four for each document of each list, and
/// the first tier, where that is not how rows wait.
pub(super) fn train(
    source: &dyn TokenSource,
    options: &TokenOptions,
    (rows, docs_with): (u64, u32),
    (crew, sampled): (Crew, u64),
) -> Result<Trained> {
    let (count, with_lists) = count(options, rows, docs_with);
    let mut first = (options.codec == TokenCodec::Int8 && options.tier == TokenTier::F16)
        .then(|| FirstTier::int8(options));
    if count == 0 {
        if let Some(first) = &mut first {
            first.push(source, 0..source.docs(), (&[], &[]), crew)?;
        }
        return Ok(Trained { first, ..Trained::default() });
    }
    let mut kept = Kept::choose(source, options, (count, rows), crew)?;
    let mut group_ends = None;
    let centroids = if let Some(kept) = &mut kept {
        if with_lists && let Some(grouping) = Grouping::of(&kept.centroids, crew) {
            kept.reorder(&grouping);
            group_ends = Some(grouping.ends);
        }
        if options.codec.is_packed() {
            first = Some(FirstTier::kept(options, kept.centroids.clone(), kept.book.clone()));
        }
        kept.centroids.clone()
    } else {
        let count = if keep::packs_again(source, options) {
            keep::most(options, count, rows)
        } else {
            count
        };
        let sample = training_sample(source, options.dim, rows, (count, sampled))?;
        let Some(sample_rows) = sample.rows() else { return Ok(Trained::default()) };
        let mut trained = kmeans::train(&sample_rows, usize::try_from(count).unwrap_or(1), crew);
        if with_lists && let Some(grouping) = Grouping::of(&trained, crew) {
            trained = grouping.ordered(&trained);
            group_ends = Some(grouping.ends);
        }
        if options.codec.is_packed() {
            let few = FirstTier::few(options, &sample);
            drop(sample);
            let packed = FirstTier::train(options, &trained, &few, crew);
            trained = packed.centroids.clone();
            first = Some(packed);
        }
        trained
    };
    if let Some(first) = &mut first {
        first.reserve(rows);
    }
    let Some(centroid_rows) = centroids.rows() else { return Ok(Trained::default()) };
    let assigning = Assigning::new(source, centroid_rows, first.as_mut(), kept.as_ref(), crew);
    let (ids, ends, now) = assigning.all(options.dim)?;
    let drift = Drift { trained: kept.as_ref().map_or(now, |kept| kept.trained), now };
    let lists = if with_lists {
        let (list_ends, docs) = invert(&ids, &ends, centroid_rows.len());
        let groups = group_ends.map(|ends| Groups::of(&centroid_rows, ends));
        let view = CentroidView {
            rows: centroid_rows,
            ids: &ids,
            ends: &ends,
            list_ends: &list_ends,
            lists: Lists::Wide(&docs),
            groups: groups.as_ref().and_then(Groups::view),
        };
        let seen = Seen { source, view, first: first.as_ref(), margin: Margin::of(options) };
        let curve = measure(&seen, rows, crew)?;
        Some(Listed { ends: list_ends, docs, curve, groups })
    } else {
        None
    };
    Ok(Trained { centroids: Some(Assigned { centroids, ids, drift }), lists, first })
}

/// Rows on their way to their centroids, a few MiB at a time.
struct Assigning<'a> {
    source: &'a dyn TokenSource,
    centroids: Int8Rows<'a>,
    first: Option<&'a mut FirstTier>,
    kept: Option<&'a Kept<'a>>,
    crew: Crew,
    meter: Meter,
    /// Rows that wait, and their centroids where these are known.
    buffer: CodeRows,
    known: Vec<Option<Place>>,
    /// Documents before those that wait.
    done: usize,
    ids: Vec<u16>,
}

impl<'a> Assigning<'a> {
    fn new(
        source: &'a dyn TokenSource,
        centroids: Int8Rows<'a>,
        first: Option<&'a mut FirstTier>,
        kept: Option<&'a Kept<'a>>,
        crew: Crew,
    ) -> Self {
        let meter = Meter::new(&centroids);
        let (buffer, known, ids) = (CodeRows::default(), Vec::new(), Vec::new());
        Self { source, centroids, first, kept, crew, meter, buffer, known, done: 0, ids }
    }

    /// Gives every row its centroid, and encodes it where there is a first tier to be made; what
    /// is kept stays as it is. Gives the centroids, where each document's rows end, and how far
    /// rows are from their centroids.
    fn all(mut self, dim: usize) -> Result<(Vec<u16>, Vec<u32>, f32)> {
        let source = self.source;
        let mut ends: Vec<u32> = Vec::new();
        let mut floats = vec![0.0; dim];
        let mut end = 0u32;
        let mut as_it_is = false;
        for doc in 0..source.docs() {
            let origin = self.kept.and_then(|kept| kept.origin(source, doc));
            let whole = origin.as_ref().is_some_and(|&(_, _, whole)| whole);
            if as_it_is != whole || self.buffer.codes.len() >= ASSIGN_BYTES {
                self.flush(doc, as_it_is)?;
                as_it_is = whole;
            }
            if let Some(rows) = source.rows(doc)? {
                for row in 0..rows.coded.len() {
                    push_row(&rows.coded, row, &mut floats, &mut self.buffer);
                }
                match origin {
                    Some((own, origin, _)) => own.places(origin, &rows, &mut self.known)?,
                    None => self.known.resize(self.known.len() + rows.coded.len(), None),
                }
                end = end.saturating_add(u32::try_from(rows.coded.len()).unwrap_or(u32::MAX));
            }
            ends.push(end);
        }
        self.flush(source.docs(), as_it_is)?;
        Ok((self.ids, ends, self.meter.mean()))
    }

    /// Deals with the documents that wait, which end before `end`.
    fn flush(&mut self, end: usize, as_it_is: bool) -> Result<()> {
        let rows = self.buffer.rows();
        // The nearest centroid for those rows whose own is not kept.
        let homeless = (0..self.known.len()).filter(|&row| self.known[row].is_none());
        let homeless: Vec<usize> = homeless.collect();
        let some = homeless.len() < self.known.len();
        let picked = rows.as_ref().filter(|_| some);
        let picked = picked.map(|rows| kmeans::pick(rows, homeless.iter().copied()));
        let picked = picked.as_ref().map_or(rows, CodeRows::rows);
        let assign = |rows| kmeans::assign(&self.centroids, &rows, self.crew);
        let nearest = picked.map_or_else(Vec::new, assign);
        let places = self.known.iter();
        let mut own: Vec<u16> = places.clone().map(|place| place.map_or(0, |p| p.id)).collect();
        let ratios: Vec<f32> = places.map(|place| place.map_or(0.0, |p| p.ratio)).collect();
        homeless.iter().zip(nearest).for_each(|(&row, id)| own[row] = id);
        self.known.clear();
        if let Some(rows) = &rows {
            self.meter.add(&self.centroids, rows, &own);
        }
        if let Some(first) = &mut self.first {
            if as_it_is && first.meaning().is_some() {
                first.copy(self.source, self.done..end)?;
            } else {
                first.push(self.source, self.done..end, (&own, &ratios), self.crew)?;
            }
        }
        self.done = end;
        self.ids.extend(own);
        self.buffer.codes.clear();
        self.buffer.scales.clear();
        Ok(())
    }
}

/// Appends a stored row as int8.
fn push_row(coded: &Coded<'_>, row: usize, floats: &mut [f32], to: &mut CodeRows) {
    if let Coded::Int8(rows) = coded {
        if let Some(row) = rows.row(row) {
            to.codes.extend_from_slice(row.codes());
            to.scales.extend_from_slice(row.scales());
        }
        return;
    }
    if coded.decode(row, floats) {
        let start = to.codes.len();
        to.codes.resize(start + floats.len(), 0);
        to.scales.push(int8::encode(floats, &mut to.codes[start..]).0);
    }
}

/// As many of `rows` rows as `count` centroids are trained on, within so many bytes if that leaves
/// each some.
pub(super) fn training_sample(
    source: &dyn TokenSource,
    dim: usize,
    rows: u64,
    (count, bytes): (u64, u64),
) -> Result<CodeRows> {
    let most = (SAMPLE_BYTES.min(bytes) / dim as u64).max(count * LEAST_PER_CENTROID);
    sample(source, dim, rows, (count * SAMPLE_PER_CENTROID).min(most))
}

/// `wanted` rows, evenly spread over all of them.
pub(super) fn sample(
    source: &dyn TokenSource,
    dim: usize,
    rows: u64,
    wanted: u64,
) -> Result<CodeRows> {
    let wanted = wanted.min(rows);
    let mut out = CodeRows::default();
    let room = usize::try_from(wanted).unwrap_or(0);
    out.codes.reserve_exact(room.saturating_mul(dim));
    out.scales.reserve_exact(room);
    let mut floats = vec![0.0; dim];
    let place = |i: u64| u128::from(i) * u128::from(rows) / u128::from(wanted.max(1));
    let (mut taken, mut first) = (0u64, 0u128);
    for doc in 0..source.docs() {
        let Some(doc_rows) = source.rows(doc)? else { continue };
        let end = first + doc_rows.coded.len() as u128;
        while taken < wanted && place(taken) < end {
            let row = usize::try_from(place(taken).saturating_sub(first)).unwrap_or(usize::MAX);
            push_row(&doc_rows.coded, row, &mut floats, &mut out);
            taken += 1;
        }
        first = end;
    }
    Ok(out)
}

/// For each centroid the documents with a row of it, ascending: where each list ends, and the
/// lists.
fn invert(ids: &[u16], ends: &[u32], centroids: usize) -> (Vec<u32>, Vec<u32>) {
    let mut own = Vec::new();
    let mut each_pair = |pair: &mut dyn FnMut(usize, DocId)| {
        let mut start = 0;
        for (doc, &end) in (0u32..).zip(ends) {
            own.clear();
            own.extend_from_slice(&ids[start..end as usize]);
            own.sort_unstable();
            own.dedup();
            for &id in &own {
                pair(usize::from(id), doc);
            }
            start = end as usize;
        }
    };
    let mut places = vec![0u32; centroids];
    each_pair(&mut |id, _| places[id] += 1);
    let mut total = 0;
    for place in &mut places {
        total += std::mem::replace(place, total); // now where the list starts
    }
    let mut lists = vec![0; total as usize];
    each_pair(&mut |id, doc| {
        lists[places[id] as usize] = doc;
        places[id] += 1; // and in the end where it ends
    });
    (places, lists)
}

/// What a search over the segment to be will see.
struct Seen<'a> {
    source: &'a dyn TokenSource,
    view: CentroidView<'a>,
    first: Option<&'a FirstTier>,
    margin: Margin,
}

impl<'a> Seen<'a> {
    /// A document's rows: those that are scanned, and those that give the score where they are
    /// others.
    fn rows(&self, doc: DocId) -> Result<Option<(Coded<'a>, Option<Coded<'a>>)>> {
        let Some(waiting) = self.source.rows(doc as usize)? else { return Ok(None) };
        let Some(first) = self.first else { return Ok(Some((waiting.coded, None))) };
        let place = doc as usize;
        let end = self.view.ends.get(place).copied().unwrap_or(0) as usize;
        let start = end.saturating_sub(waiting.coded.len());
        let packed = first.rows(first.meaning(), self.view.ids, start..end);
        Ok(packed.map(|packed| (packed, first.has_tier().then_some(waiting.coded))))
    }
}

/// Measures the recall of the ladder with rows of documents as queries: of 8 rows and of 32 by
/// turns, a document's own being no hit.
fn measure(seen: &Seen<'_>, rows: u64, crew: Crew) -> Result<Vec<CurvePoint>> {
    let docs: Vec<DocId> = (0u32..)
        .zip(seen.view.ends)
        .scan(0, |start, (doc, &end)| Some((doc, std::mem::replace(start, end) < end)))
        .filter_map(|(doc, has)| has.then_some(doc))
        .collect();
    let most = usize::try_from(MOST_PAIRS / (rows * 20).max(1)).unwrap_or(QUERIES);
    let count = QUERIES.min(most.max(8)).min(docs.len());
    let work: Vec<(usize, DocId)> =
        (0..count).map(|i| (i, docs[(2 * i + 1) * docs.len() / (2 * count)])).collect();
    let found = in_parallel(&work, crew.threads, |&(i, doc)| {
        one(seen, &docs, doc, if i % 2 == 0 { 8 } else { 32 }, crew)
    });
    let mut sums = [(0.0, 0.0); LADDER.len()];
    for found in found {
        for (sum, (ten, hundred)) in sums.iter_mut().zip(found?) {
            sum.0 += ten;
            sum.1 += hundred;
        }
    }
    let mean = |sum: f64| {
        #[allow(clippy::cast_possible_truncation, reason = "a share, rounded")]
        let mean = (sum / count.max(1) as f64) as f32;
        mean
    };
    let point = |((shortlist, probes), (ten, hundred)): ((u32, u32), (f64, f64))| CurvePoint {
        shortlist,
        probes,
        recall_10: mean(ten),
        recall_100: mean(hundred),
    };
    Ok(LADDER.into_iter().zip(sums).map(point).collect())
}

/// For each step of the ladder the share of the ten and of the hundred best that it finds.
fn one(
    seen: &Seen<'_>,
    docs: &[DocId],
    own: DocId,
    rows: usize,
    crew: Crew,
) -> Result<[(f64, f64); LADDER.len()]> {
    let mut shares = [(0.0, 0.0); LADDER.len()];
    let Some(stored) = seen.source.rows(own as usize)? else { return Ok(shares) };
    let dim = seen.view.rows.dim();
    let count = rows.min(stored.coded.len());
    let mut floats = vec![0.0; count * dim];
    for (i, row) in floats.chunks_exact_mut(dim).enumerate() {
        stored.coded.decode(i * stored.coded.len() / count, row);
    }
    let query = TokenQuery::new(floats, dim);
    let mut scratch = TokenScratch::default();
    scratch.fit(&query);
    // What the first tier thinks of a document, where another decides.
    let mut thought = vec![f32::NEG_INFINITY; if seen.tiers() { seen.view.ends.len() } else { 0 }];
    let mut best: Vec<(f32, DocId)> = Vec::with_capacity(docs.len());
    for &doc in docs.iter().filter(|&&doc| doc != own) {
        let Some((first, second)) = seen.rows(doc)? else { continue };
        let mut score = estimate(&query, crew.kernels, &first, &mut scratch);
        if let Some(second) = second {
            thought[doc as usize] = score;
            score = estimate(&query, crew.kernels, &second, &mut scratch);
        }
        best.push((score, doc));
    }
    keep_best(&mut best, 100);
    let mut candidates = CandidateScratch::default();
    for (share, (shortlist, probes)) in shares.iter_mut().zip(LADDER) {
        // One more, for the document itself.
        let plan = Plan { probes: probes as usize, wanted: shortlist as usize + 1 };
        let kernel = &mut scratch.kernel;
        // The view is our own: it does not lie, and were it to, nothing would have been found.
        let found =
            seen.view.candidates(&query, crew.kernels, None, plan, kernel, &mut candidates, None);
        let chosen = if found.is_ok() { &candidates.chosen[..] } else { &[] };
        let recall = |k: usize| {
            let best = &best[..k.min(best.len())];
            let mut scored: Vec<DocId> = chosen.to_vec();
            if seen.tiers() {
                let mut order: Vec<(f32, DocId)> =
                    chosen.iter().map(|&doc| (thought[doc as usize], doc)).collect();
                keep_best(&mut order, seen.margin.of_hits(k));
                scored = order.into_iter().map(|(_, doc)| doc).collect();
                scored.sort_unstable();
            }
            let held = best.iter().filter(|(_, doc)| scored.binary_search(doc).is_ok()).count();
            held as f64 / best.len().max(1) as f64
        };
        *share = (recall(10), recall(100));
    }
    Ok(shares)
}

impl Seen<'_> {
    /// Whether other rows give the score than are scanned.
    fn tiers(&self) -> bool {
        self.first.is_some_and(FirstTier::has_tier)
    }
}

/// Keeps the best few, in order; of equals the first documents.
fn keep_best(list: &mut Vec<(f32, DocId)>, count: usize) {
    let order =
        |a: &(f32, DocId), b: &(f32, DocId)| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1));
    if list.len() > count {
        list.select_nth_unstable_by(count - 1, order);
        list.truncate(count);
    }
    list.sort_unstable_by(order);
}
