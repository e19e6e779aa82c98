//! The first tier of rows that wait in another codec: residual and product codes over a segment's
//! centroids, and int8 beside f16.
//!
//! All numbers of packed rows are integers on one step for the whole segment, so that a centroid
//! and what a code adds to it sum up to an int8 row. A row is first scaled to length 1; its scale
//! makes good what it can of that and of what the code has done to it.

use half::f16;

use crate::codec::kmeans::{self, CodeRows, Crew, in_parallel};
use crate::codec::levels::{self, Histogram, Nearest};
use crate::codec::product::Codebooks;
use crate::codec::{f16 as bounds, int8};
use crate::error::Result;
use crate::kernel::tokens::{Book, PackedRows, expand};
use crate::schema::{TokenCodec, TokenOptions};

use super::arrays::steps;
use super::layout::{RowBounds, TokenRows};
use super::rows::Coded;
use super::write::TokenSource;

/// Centroids are integers from −`CENTRE` to `CENTRE`; what a code adds has the rest of a byte.
const CENTRE: f32 = 80.0;
/// So many standard deviations of what is left are to fit in what a code can add.
const SPREAD: f64 = 4.0;
/// Rows that levels and codebooks are trained on, and bytes of them as floats, at most.
const SAMPLE_ROWS: usize = 32_768;
const SAMPLE_BYTES: usize = 64 << 20;

/// The first tier of a segment, gathered document by document.
#[derive(Debug)]
pub(super) struct FirstTier {
    how: How,
    dim: usize,
    /// The centroids' bytes where rows are packed.
    pub(super) centroids: CodeRows,
    /// The numbers of the book; none where rows are not packed.
    pub(super) book: Vec<i8>,
    codec: TokenCodec,
    pub(super) codes: Vec<u8>,
    pub(super) scales: Vec<u16>,
    /// One for each document that was asked for, in order.
    pub(super) bounds: Vec<RowBounds>,
    /// The same, where there is a second tier.
    pub(super) gaps: Vec<u16>,
    tier: bool,
}

/// How a row becomes a code.
#[derive(Debug)]
enum How {
    Int8,
    Levels { nearest: Nearest, bits: usize },
    Parts { books: Codebooks, bits: u8 },
}

/// A document's rows, encoded.
struct Encoded {
    codes: Vec<u8>,
    scales: Vec<u16>,
    bounds: RowBounds,
    gap: u16,
}

impl FirstTier {
    /// int8 beside f16.
    pub(super) fn int8(options: &TokenOptions) -> Self {
        Self::new(How::Int8, options, CodeRows::default(), Vec::new())
    }

    /// The part of a sample that [`train`](Self::train) needs.
    pub(super) fn few(options: &TokenOptions, sample: &CodeRows) -> CodeRows {
        let most = SAMPLE_ROWS.min((SAMPLE_BYTES / (4 * options.dim)).max(1024));
        let places = kmeans::evenly(sample.scales.len(), most);
        sample.rows().map_or_else(CodeRows::default, |rows| kmeans::pick(&rows, places))
    }

    /// Levels or codebooks for what a sample of rows leaves of its centroids.
    pub(super) fn train(
        options: &TokenOptions,
        centroids: &CodeRows,
        sample: &CodeRows,
        crew: Crew,
    ) -> Self {
        let dim = options.dim;
        let spread = spread(centroids, sample, dim, crew);
        let centroids = on_one_step(centroids, spread);
        let (how, book) = match options.codec {
            TokenCodec::Product { subspaces, bits } => {
                let mut rest = Vec::new();
                each_rest(&centroids, sample, dim, crew, |row| rest.extend_from_slice(row));
                let entries = 1 << bits.min(8);
                let books = Codebooks::train(&rest, dim, subspaces.into(), entries, crew);
                let numbers = books.numbers.clone();
                (How::Parts { books, bits }, numbers)
            }
            codec => {
                let bits = 8 * codec.row_bytes(dim) / dim;
                let mut histogram = Histogram::new();
                each_rest(&centroids, sample, dim, crew, |row| {
                    for &x in row {
                        histogram.add(x);
                    }
                });
                let levels = histogram.levels(1 << bits);
                let nearest = Nearest::new(&levels, 1 << bits);
                (How::Levels { nearest, bits }, levels[..1 << bits].to_vec())
            }
        };
        Self::new(how, options, centroids, book)
    }

    /// Over the centroids and the book of a segment that is merged.
    pub(super) fn kept(options: &TokenOptions, centroids: CodeRows, book: Vec<i8>) -> Self {
        let dim = options.dim;
        let how = match options.codec {
            TokenCodec::Product { subspaces, bits } => {
                let entries = 1 << bits.min(8);
                let width = dim / usize::from(subspaces).max(1);
                How::Parts { books: Codebooks::of(book.clone(), entries, width), bits }
            }
            codec => {
                let bits = 8 * codec.row_bytes(dim) / dim;
                let mut levels = [0; 16];
                levels.iter_mut().zip(&book).for_each(|(level, &number)| *level = number);
                How::Levels { nearest: Nearest::new(&levels, 1 << bits), bits }
            }
        };
        Self::new(how, options, centroids, book)
    }

    fn new(how: How, options: &TokenOptions, centroids: CodeRows, book: Vec<i8>) -> Self {
        Self {
            how,
            dim: options.dim,
            centroids,
            book,
            codec: options.codec,
            codes: Vec::new(),
            scales: Vec::new(),
            bounds: Vec::new(),
            gaps: Vec::new(),
            tier: options.tier != crate::schema::TokenTier::None,
        }
    }

    /// Makes room for so many rows at once: what grows step by step takes more on the way.
    pub(super) fn reserve(&mut self, rows: u64) {
        let rows = usize::try_from(rows).unwrap_or(0);
        self.codes.reserve_exact(rows.saturating_mul(self.codec.row_bytes(self.dim)));
        self.scales.reserve_exact(rows);
    }

    /// Whether other rows give the score.
    pub(super) fn has_tier(&self) -> bool {
        self.tier
    }

    /// What the codes mean; `None` where rows are not packed.
    pub(super) fn meaning(&self) -> Option<Book<'_>> {
        if matches!(self.how, How::Int8) {
            return None;
        }
        Book::new(&self.centroids.codes, self.dim, steps(self.codec, &self.book))
    }

    /// Encodes and appends documents, whose rows' centroids are `ids`, one after another. `ratios`
    /// has for each row that is packed over its centroid already how many steps of the centroid one
    /// of its own is, else 0; it is empty where there are none.
    pub(super) fn push(
        &mut self,
        source: &dyn TokenSource,
        docs: std::ops::Range<usize>,
        (ids, ratios): (&[u16], &[f32]),
        crew: Crew,
    ) -> Result<()> {
        let mut work = Vec::with_capacity(docs.len());
        let mut start = 0;
        for doc in docs {
            let rows = source.rows(doc)?;
            let end = start + rows.map_or(0, |rows| rows.coded.len());
            let ratios = ratios.get(start..end).unwrap_or_default();
            work.push((rows, ids.get(start..end).unwrap_or_default(), ratios));
            start = end;
        }
        let meaning = self.meaning();
        let this = &*self;
        let encoded = in_parallel(&work, crew.threads, |(rows, ids, ratios)| {
            rows.as_ref().map(|rows| this.encode(rows, (ids, ratios), meaning, crew))
        });
        for doc in encoded {
            let Some(doc) = doc else {
                self.bounds.push(RowBounds::default());
                self.gaps.push(0);
                continue;
            };
            self.codes.extend(doc.codes);
            self.scales.extend(doc.scales);
            self.bounds.push(doc.bounds);
            self.gaps.push(doc.gap);
        }
        Ok(())
    }

    /// Appends documents whose rows are packed over these centroids already, as they are.
    pub(super) fn copy(
        &mut self,
        source: &dyn TokenSource,
        docs: std::ops::Range<usize>,
    ) -> Result<()> {
        for doc in docs {
            let rows = source.rows(doc)?;
            if let Some(Coded::Packed(packed)) = rows.as_ref().map(TokenRows::first) {
                self.codes.extend_from_slice(packed.codes());
                self.scales.extend_from_slice(packed.scales());
            }
            self.bounds.push(rows.map_or_else(RowBounds::default, |rows| rows.bounds));
            self.gaps.push(rows.map_or(0, |rows| rows.gap));
        }
        Ok(())
    }

    fn encode(
        &self,
        rows: &TokenRows<'_>,
        (ids, ratios): (&[u16], &[f32]),
        meaning: Option<Book<'_>>,
        crew: Crew,
    ) -> Encoded {
        let (dim, count) = (self.dim, rows.coded.len());
        let bytes = meaning.map_or(dim, |book| book.row_bytes());
        let (mut codes, mut scales) = (vec![0; count * bytes], vec![0; count]);
        let (mut norm, mut error) = (0.0f64, 0.0f64);
        let mut row = vec![0.0; dim];
        let mut work = Work::default();
        for (i, (code, scale)) in codes.chunks_exact_mut(bytes).zip(&mut scales).enumerate() {
            rows.coded.decode(i, &mut row);
            let (bits, fit) = if let (Some(book), Some(&id)) = (meaning, ids.get(i)) {
                let ratio = ratios.get(i).copied().filter(|&ratio| ratio > 0.0);
                let steps = ratio.and_then(|ratio| Some(ratio / rows.coded.step(i)?));
                self.pack(&row, (id, steps), book, &mut work, crew, code)
            } else {
                int8::encode(&row, code)
            };
            *scale = bits;
            norm = norm.max(fit.norm);
            error = error.max(fit.error);
            if self.tier {
                // Not from the bounds that came with the rows: those may be of an older first tier.
                norm = norm.max(rows.coded.norm(i));
            }
        }
        let norm = bounds::at_least(norm);
        let (bounds, gap) = if self.tier {
            (RowBounds { norm, error: rows.bounds.error }, bounds::at_least(error))
        } else {
            let before = f16::from_bits(rows.bounds.error).to_f64();
            (RowBounds { norm, error: bounds::at_least(error + before) }, 0)
        };
        Encoded { codes, scales, bounds, gap }
    }

    /// Writes a row's code; gives the bits of its scale. Where it is known how many steps its numbers
    /// are, that is taken, so that what is packed already is packed the same; else the row is taken
    /// to be of length 1.
    fn pack(
        &self,
        row: &[f32],
        (id, steps): (u16, Option<f32>),
        book: Book<'_>,
        work: &mut Work,
        crew: Crew,
        code: &mut [u8],
    ) -> (u16, int8::RowFit) {
        let length = length(row);
        if length == 0.0 {
            return (0, int8::RowFit::default());
        }
        let Some(&step) = self.centroids.scales.get(usize::from(id)) else {
            return (0, int8::RowFit::default());
        };
        let centroid = &self.centroids.codes[usize::from(id) * self.dim..][..self.dim];
        let steps = steps.filter(|steps| steps.is_finite());
        let steps = steps.unwrap_or_else(|| steps_of(length, f16::from_bits(step).to_f64()));
        rest_of(row, steps, centroid, &mut work.rest);
        match &self.how {
            How::Int8 => {}
            How::Levels { nearest, bits } => {
                work.codes.clear();
                work.codes.extend(work.rest.iter().map(|&x| nearest.code(x)));
                levels::turn(&work.rest, centroid, &self.book, &mut work.codes);
                levels::pack(&work.codes, *bits, code);
            }
            How::Parts { books, bits: 8 } => books.encode(&work.rest, crew, code),
            How::Parts { books, .. } => {
                work.codes.clear();
                work.codes.resize(2 * code.len(), 0);
                books.encode(&work.rest, crew, &mut work.codes);
                for (code, pair) in code.iter_mut().zip(work.codes.as_chunks::<2>().0) {
                    *code = pair[0] | pair[1] << 4;
                }
            }
        }
        work.bytes.resize(self.dim, 0);
        let Some(packed) = PackedRows::new(code, &[0], std::slice::from_ref(&id), book) else {
            return (0, int8::RowFit { norm: 0.0, error: length });
        };
        expand(&packed, 0, &mut work.bytes);
        let unit = int8::norm(&work.bytes, f16::ONE.to_bits());
        let number = |byte: u8| f64::from(i16::from(byte) - i16::from(int8::ZERO));
        let dot: f64 =
            row.iter().zip(&work.bytes).map(|(&x, &byte)| f64::from(x) * number(byte)).sum();
        // Of all scales the one with the least error. A row that its code holds badly becomes
        // shorter, and loses against one that is held well: with 2 bits and 32 query rows that was
        // measured to be worth .007 of recall@10 beside the scale that keeps the row's length.
        let scale = if unit == 0.0 { 0.0 } else { (dot / (unit * unit)).max(0.0) };
        let bits = f16::from_f64(scale).min(f16::MAX).to_bits();
        let scale = f16::from_bits(bits).to_f64();
        let squares = row
            .iter()
            .zip(&work.bytes)
            .map(|(&x, &byte)| (f64::from(x) - scale * number(byte)).powi(2));
        let error = squares.sum::<f64>().sqrt();
        (bits, int8::RowFit { norm: scale * unit, error })
    }

    /// A document's rows, which start at the row `start` of the segment.
    pub(super) fn rows<'a>(
        &'a self,
        meaning: Option<Book<'a>>,
        ids: &'a [u16],
        rows: std::ops::Range<usize>,
    ) -> Option<Coded<'a>> {
        let scales = self.scales.get(rows.clone())?;
        let Some(book) = meaning else {
            let codes = self.codes.get(rows.start * self.dim..rows.end * self.dim)?;
            return crate::kernel::tokens::Int8Rows::new(codes, scales, self.dim).map(Coded::Int8);
        };
        let bytes = book.row_bytes();
        let codes = self.codes.get(rows.start * bytes..rows.end * bytes)?;
        PackedRows::new(codes, scales, ids.get(rows)?, book).map(Coded::Packed)
    }
}

/// Room that encoding a row needs.
#[derive(Default)]
struct Work {
    rest: Vec<f32>,
    codes: Vec<u8>,
    bytes: Vec<u8>,
}

fn length(row: &[f32]) -> f64 {
    row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// What makes a row one of length 1, in steps.
#[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
fn steps_of(length: f64, step: f64) -> f32 {
    (1.0 / (length * step)) as f32
}

/// What a row, turned into steps, leaves of a centroid.
fn rest_of(row: &[f32], steps: f32, centroid: &[u8], out: &mut Vec<f32>) {
    out.clear();
    out.extend(row.iter().zip(centroid).map(|(&x, &byte)| {
        let whole = f32::from(i16::from(byte) - i16::from(int8::ZERO));
        x * steps - whole
    }));
}

/// Calls `each` with what each row of a sample leaves of its centroid.
fn each_rest(
    centroids: &CodeRows,
    sample: &CodeRows,
    dim: usize,
    crew: Crew,
    mut each: impl FnMut(&[f32]),
) {
    let (Some(centroid_rows), Some(rows)) = (centroids.rows(), sample.rows()) else { return };
    let ids = kmeans::assign(&centroid_rows, &rows, crew);
    let (mut row, mut rest) = (vec![0.0; dim], Vec::new());
    for ((codes, &scale), id) in sample.codes.chunks_exact(dim).zip(&sample.scales).zip(ids) {
        int8::decode(codes, scale, &mut row);
        let length = length(&row);
        let at = usize::from(id);
        if length > 0.0 {
            let step = f16::from_bits(centroids.scales[at]).to_f64();
            rest_of(&row, steps_of(length, step), &centroids.codes[at * dim..][..dim], &mut rest);
            each(&rest);
        }
    }
}

/// The root of the mean square of a component of what is left.
fn spread(centroids: &CodeRows, sample: &CodeRows, dim: usize, crew: Crew) -> f64 {
    let (Some(centroid_rows), Some(rows)) = (centroids.rows(), sample.rows()) else { return 0.0 };
    let ids = kmeans::assign(&centroid_rows, &rows, crew);
    let (mut row, mut centre) = (vec![0.0; dim], vec![0.0; dim]);
    let (mut sum, mut count) = (0.0, 0usize);
    for ((codes, &scale), id) in sample.codes.chunks_exact(dim).zip(&sample.scales).zip(ids) {
        int8::decode(codes, scale, &mut row);
        let length = length(&row);
        let at = usize::from(id);
        int8::decode(&centroids.codes[at * dim..][..dim], centroids.scales[at], &mut centre);
        if length > 0.0 {
            let square = |(&x, &c): (&f32, &f32)| (f64::from(x) / length - f64::from(c)).powi(2);
            sum += row.iter().zip(&centre).map(square).sum::<f64>();
            count += dim;
        }
    }
    (sum / count.max(1) as f64).sqrt()
}

/// The same centroids on one step for all: large enough that the largest component is within
/// ±[`CENTRE`] and what is left within what a code can add.
fn on_one_step(centroids: &CodeRows, spread: f64) -> CodeRows {
    let dim = centroids.codes.len() / centroids.scales.len().max(1);
    let mut row = vec![0.0; dim];
    let mut largest = 0.0f32;
    for (codes, &scale) in centroids.codes.chunks_exact(dim.max(1)).zip(&centroids.scales) {
        int8::decode(codes, scale, &mut row);
        largest = row.iter().fold(largest, |largest, x| largest.max(x.abs()));
    }
    let step = f64::from(largest / CENTRE).max(spread * SPREAD / f64::from(levels::MOST));
    // Not so small that f16 loses it, were all of it zeros.
    let bits = bounds::at_least(step.max(1e-4));
    let step = f16::from_bits(bits).to_f32();
    let mut out = CodeRows::default();
    for (codes, &scale) in centroids.codes.chunks_exact(dim.max(1)).zip(&centroids.scales) {
        int8::decode(codes, scale, &mut row);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "from 48 to 208"
        )]
        let byte = |&x: &f32| {
            ((x / step).clamp(-CENTRE, CENTRE).round_ties_even() + f32::from(int8::ZERO)) as u8
        };
        out.codes.extend(row.iter().map(byte));
        out.scales.push(bits);
    }
    out
}
