//! Centroids that a merge keeps, and the meter that says whether it may.
//!
//! Training is what a merge of token rows would take longest for. Rows that come in later are mostly
//! like those before, so the centroids of the largest input, and the book of packed rows, serve all
//! of them; codes over them are then copied byte for byte, which loses nothing, where packing anew
//! would. Whether rows still are like those before is measured: by how far they are from the nearest
//! centroid on average, beside how far those were that it was trained on.

mod gather;

pub(super) use gather::{most, packs_again};

use bytemuck::{Pod, Zeroable};
use half::f16;

use crate::codec::int8;
use crate::codec::kmeans::{CodeRows, Crew, assign};
use crate::error::Result;
use crate::id::DocId;
use crate::kernel::tokens::Int8Rows;
use crate::schema::{Centroids, TokenOptions};

use super::groups::Grouping;
use super::layout::TokenRows;
use super::store::TokenStore;
use super::train::sample;
use super::write::TokenSource;

/// Rows that are looked at to decide.
const SAMPLE_ROWS: u64 = 8192;
/// Centroids are kept while rows are at most so many times as far from them as in training. On real
/// rows of one kind it is 1.04 where a third of them were not trained on; rows of another model are
/// 1.4 times as far, so that a quarter of such is too much.
const FACTOR: f64 = 1.1;

/// How far rows are from their centroids: the mean distance of a row, scaled to length 1, from the
/// nearest centroid. Rows of zeros do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Drift {
    /// Of the rows of the segment for which the centroids were trained.
    pub(crate) trained: f32,
    /// Of the rows of this one.
    pub(crate) now: f32,
}

/// No mean distance is larger, however long damage has made the centroids that are kept.
const FARTHEST: f32 = 4.0;

impl Drift {
    /// Whether both are distances between what has length 1, or nearly so.
    pub(super) fn is_possible(self) -> bool {
        [self.trained, self.now].iter().all(|far| (0.0..=FARTHEST).contains(far))
    }
}

/// A mean distance that is being taken: in the order of the rows, on integers but for the last
/// steps, so that neither threads nor instructions show.
#[derive(Debug)]
pub(super) struct Meter {
    squares: Vec<f64>,
    sum: f64,
    rows: u64,
}

impl Meter {
    /// For rows over these centroids.
    pub(super) fn new(centroids: &Int8Rows<'_>) -> Self {
        let squares = (0..centroids.len())
            .map(|at| centroids.row(at).map_or(0.0, |row| int8::norm(row.codes(), scale(&row))))
            .map(|norm| norm * norm)
            .collect();
        Self { squares, sum: 0.0, rows: 0 }
    }

    /// Takes rows in, each with its centroid.
    pub(super) fn add(&mut self, centroids: &Int8Rows<'_>, rows: &Int8Rows<'_>, ids: &[u16]) {
        for (codes, &id) in rows.codes().chunks_exact(rows.dim()).zip(ids) {
            let at = usize::from(id);
            let (Some(centroid), Some(squares)) = (centroids.row(at), self.squares.get(at)) else {
                continue;
            };
            let (mut dot, mut own) = (0i32, 0i32); // at most 4,096 × 128², which fits
            for (&a, &b) in codes.iter().zip(centroid.codes()) {
                let (a, b) = (number(a), number(b));
                dot += a * b;
                own += a * a;
            }
            if own == 0 {
                continue;
            }
            let step = f16::from_bits(scale(&centroid)).to_f64();
            let along = step * f64::from(dot) / f64::from(own).sqrt();
            self.sum += (1.0 - 2.0 * along + squares).max(0.0).sqrt();
            self.rows += 1;
        }
    }

    /// The mean, 0 of none.
    pub(super) fn mean(&self) -> f32 {
        #[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
        let mean = (self.sum / self.rows.max(1) as f64) as f32;
        mean.min(FARTHEST)
    }
}

fn number(byte: u8) -> i32 {
    i32::from(byte) - i32::from(int8::ZERO)
}

fn scale(row: &Int8Rows<'_>) -> u16 {
    row.scales().first().copied().unwrap_or(0)
}

/// What a merge keeps of its inputs.
pub(super) struct Kept<'a> {
    own: Vec<Option<Own<'a>>>,
    /// The input whose documents are taken as they are.
    as_it_is: Option<usize>,
    /// The centroids.
    pub(super) centroids: CodeRows,
    /// Numbers of the book; none where rows are not packed.
    pub(super) book: Vec<i8>,
    /// How far rows were from the centroids in training.
    pub(super) trained: f32,
}

/// What is kept of one input.
pub(super) struct Own<'a> {
    store: &'a TokenStore,
    /// What each of its centroids has become; `None` for one that is not kept.
    new: Vec<Option<u16>>,
    /// How many steps of the new centroids one of its own is.
    ratio: f32,
}

impl<'a> Kept<'a> {
    /// The centroids of all inputs, where rows are packed and nothing tells what they were before:
    /// see [`gather`](super::gather). Else those of the input with the most rows, the first of
    /// equals, where they serve `wanted` centroids' worth of rows and rows are not too far from them.
    pub(super) fn choose(
        source: &'a dyn TokenSource,
        options: &TokenOptions,
        (wanted, rows): (u64, u64),
        crew: Crew,
    ) -> Result<Option<Self>> {
        if options.may_wait() {
            return gather::gather(source, options, (wanted, rows), crew);
        }
        let Some((input, store)) = largest(source)? else { return Ok(None) };
        let Some((centroids, book, drift)) = store.trained() else { return Ok(None) };
        let count = centroids.scales.len();
        if !enough(options, count as u64, wanted) {
            return Ok(None);
        }
        let Some(centroid_rows) = centroids.rows() else { return Ok(None) };
        let sample = sample(source, options.dim, rows, SAMPLE_ROWS)?;
        let mut meter = Meter::new(&centroid_rows);
        if let Some(rows) = sample.rows() {
            meter.add(&centroid_rows, &rows, &assign(&centroid_rows, &rows, crew));
        }
        if f64::from(meter.mean()) > FACTOR * f64::from(drift.trained) {
            return Ok(None);
        }
        let same = (0..count).map(|at| u16::try_from(at).ok()).collect();
        let own = Own { store, new: same, ratio: 1.0 };
        let mut all: Vec<_> = source.inputs().iter().map(|_| None).collect();
        all[input] = Some(own);
        let (as_it_is, trained) = (Some(input), drift.trained);
        Ok(Some(Self { own: all, as_it_is, centroids, book, trained }))
    }

    /// Puts the centroids in another order.
    pub(super) fn reorder(&mut self, grouping: &Grouping) {
        self.centroids = grouping.ordered(&self.centroids);
        let places = grouping.places();
        for own in self.own.iter_mut().flatten() {
            for id in &mut own.new {
                *id = id.and_then(|id| places.get(usize::from(id)).copied());
            }
        }
    }

    /// What is kept of the input that a document was of, which document it was of it, and whether
    /// it is taken as it is; `None` where nothing is.
    pub(super) fn origin(
        &self,
        source: &dyn TokenSource,
        doc: usize,
    ) -> Option<(&Own<'a>, DocId, bool)> {
        let (input, doc) = source.origin(doc)?;
        let own = self.own.get(input)?.as_ref()?;
        Some((own, doc, self.as_it_is == Some(input)))
    }
}

/// A row's centroid where it is kept, and how many steps of it one of the old ones was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) id: u16,
    pub(super) ratio: f32,
}

impl Own<'_> {
    /// The centroids of a document's rows, as far as they are kept.
    ///
    /// # Errors
    /// `Corrupt` where one of them is not there.
    pub(super) fn places(
        &self,
        doc: DocId,
        rows: &TokenRows<'_>,
        places: &mut Vec<Option<Place>>,
    ) -> Result<()> {
        let ids = self.store.own_ids(doc, rows.coded.len(), self.new.len())?;
        places.extend(ids.iter().map(|&id| {
            let id = self.new.get(usize::from(id)).copied().flatten()?;
            Some(Place { id, ratio: self.ratio })
        }));
        Ok(())
    }
}

/// The input with the most live rows.
fn largest(source: &dyn TokenSource) -> Result<Option<(usize, &TokenStore)>> {
    let inputs = source.inputs();
    let mut rows = vec![0u64; inputs.len()];
    if inputs.is_empty() {
        return Ok(None);
    }
    for doc in 0..source.docs() {
        let own = source.rows(doc)?.map_or(0, |rows| rows.coded.len() as u64);
        if let Some((input, _)) = source.origin(doc)
            && let Some(sum) = rows.get_mut(input)
        {
            *sum = sum.saturating_add(own);
        }
    }
    let most = rows.iter().max().copied().unwrap_or(0);
    let at = rows.iter().position(|&rows| rows == most);
    Ok(at.and_then(|at| Some((at, inputs.get(at).copied().flatten()?))))
}

/// Whether so many centroids are near enough to the number that training would make: exactly that
/// where the schema says it; else from half of it to half as many again, so that neither recall nor
/// room is lost.
fn enough(options: &TokenOptions, kept: u64, wanted: u64) -> bool {
    match options.centroids {
        Centroids::Count(_) => kept == wanted,
        Centroids::Auto | Centroids::None => wanted <= 2 * kept && 2 * kept <= 3 * wanted,
    }
}
