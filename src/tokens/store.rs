//! The token store of a segment, read in place.

use half::f16;

use crate::error::{Error, Result};
use crate::format::{Array, Container, Section, SectionKind};
use crate::id::DocId;
use crate::kernel::tokens::{F16Rows, Int8Rows};
use crate::limits::MAX_DOCUMENT_TOKENS;
use crate::schema::{TokenCodec, TokenOptions};

use super::centroids::{CentroidArrays, CentroidView, CurvePoint, Lie};
use super::layout::{
    Coded, NO_SPAN, RowBounds, Spans, TokenHead, TokenRows, codec_number, normalization_number,
};

/// A token field of a segment. Nothing is read but its head until a document is asked for.
#[derive(Debug)]
pub(crate) struct TokenStore {
    dim: usize,
    rows: u32,
    docs_with: u32,
    ends: Array<u32>,
    codes: CodeArrays,
    bounds: Array<RowBounds>,
    spans: SpanArrays,
    centroids: Option<CentroidArrays>,
}

#[derive(Debug)]
enum CodeArrays {
    F16(Array<u16>),
    Int8 { codes: Array<u8>, scales: Array<u16> },
}

#[derive(Debug)]
enum SpanArrays {
    None,
    Wide(Array<[u32; 2]>),
    Narrow(Array<[u16; 2]>),
}

impl TokenStore {
    /// Opens a field of a segment of `docs` documents; `None` where none of them has it. Every
    /// size is compared with every other; no row is touched.
    ///
    /// # Errors
    /// `Corrupt` where sizes, or the head and the schema, disagree.
    pub(crate) fn open(
        container: &Container,
        field: u32,
        docs: u32,
        options: &TokenOptions,
    ) -> Result<Option<Self>> {
        let Some(section) = container.find(SectionKind::TOKENS_HEAD, field) else {
            return Ok(None);
        };
        let head: TokenHead = section.one()?;
        let rows = check_head(&section, &head, docs, options)?;
        let sized = |kind| container.section(kind, field);
        let dim = options.dim;
        let count = rows as usize;
        let values = count.checked_mul(dim).ok_or_else(|| section.corrupt(16, "too many rows"))?;
        let codes = sized(SectionKind::TOKENS_CODES)?;
        let codes = match options.codec {
            TokenCodec::F16 => CodeArrays::F16(codes.array_of(values)?),
            TokenCodec::Int8 => CodeArrays::Int8 {
                codes: codes.array_of(values)?,
                scales: sized(SectionKind::TOKENS_SCALES)?.array_of(count)?,
            },
        };
        let spans = match head.span_bytes {
            0 => SpanArrays::None,
            2 => SpanArrays::Narrow(sized(SectionKind::TOKENS_SPANS)?.array_of(count)?),
            _ => SpanArrays::Wide(sized(SectionKind::TOKENS_SPANS)?.array_of(count)?),
        };
        Ok(Some(Self {
            dim,
            rows,
            docs_with: head.docs,
            ends: sized(SectionKind::TOKENS_ENDS)?.array_of(docs as usize)?,
            codes,
            bounds: sized(SectionKind::TOKENS_BOUNDS)?.array_of(docs as usize)?,
            spans,
            centroids: CentroidArrays::open(container, field, dim, count)?,
        }))
    }

    /// Rows of all documents together.
    pub(crate) fn rows_total(&self) -> u64 {
        self.rows.into()
    }

    /// Components of a row.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// The arrays as slices, looked up once.
    pub(super) fn view(&self) -> View<'_> {
        View {
            store: self,
            ends: &self.ends,
            codes: match &self.codes {
                CodeArrays::F16(bits) => CodeSlices::F16(bits),
                CodeArrays::Int8 { codes, scales } => CodeSlices::Int8 { codes, scales },
            },
            bounds: &self.bounds,
            spans: match &self.spans {
                SpanArrays::None => Spans::None,
                SpanArrays::Wide(spans) => Spans::Wide(spans),
                SpanArrays::Narrow(spans) => Spans::Narrow(spans),
            },
        }
    }

    /// The centroids and what was measured with them; `None` where the segment has none.
    pub(super) fn centroids(&self) -> Option<(CentroidView<'_>, &[CurvePoint])> {
        let arrays = self.centroids.as_ref()?;
        Some((arrays.view(&self.ends)?, arrays.curve()))
    }

    /// The error that a lie about centroids is.
    pub(super) fn lie(&self, lie: Lie) -> Error {
        match &self.centroids {
            Some(arrays) => arrays.error(lie, self.ends.section()),
            None => self.bad_end(0, "centroids that are not there"),
        }
    }

    /// A document's rows as they are stored, for merging; `None` where it lacks the field.
    ///
    /// # Errors
    /// `Corrupt` where the document's place is not in the store.
    pub(crate) fn stored(&self, doc: DocId) -> Result<Option<TokenRows<'_>>> {
        self.view().rows(doc)
    }

    /// A document's rows as floats, one after another.
    ///
    /// # Errors
    /// As [`stored`](Self::stored).
    pub(crate) fn doc_rows(&self, doc: DocId) -> Result<Option<Vec<f32>>> {
        let Some(rows) = self.stored(doc)? else { return Ok(None) };
        let mut out = vec![0.0; rows.coded.len() * self.dim];
        for (i, row) in out.chunks_exact_mut(self.dim).enumerate() {
            rows.coded.decode(i, row);
        }
        Ok(Some(out))
    }

    /// Whether a document has the field.
    pub(crate) fn contains(&self, doc: DocId) -> bool {
        matches!(self.stored(doc), Ok(Some(_)))
    }

    /// Reads everything and checks that it means something: what no checksum can say.
    ///
    /// # Errors
    /// `Corrupt` at the first thing that this crate does not write.
    pub(crate) fn verify(&self) -> Result<()> {
        let view = self.view();
        let mut rows = 0;
        let mut docs_with = 0u32;
        for (doc, bounds) in (0..).zip(view.bounds) {
            let place = doc as usize;
            let Some(stored) = view.rows(doc)? else {
                if *bounds != RowBounds::default() {
                    return Err(self.bad_bounds(place, "of a document that lacks the field"));
                }
                continue;
            };
            if stored.coded.len() > MAX_DOCUMENT_TOKENS {
                return Err(self.bad_end(place, "too many rows in one document"));
            }
            let norm = f16::from_bits(bounds.norm).to_f64();
            for row in 0..stored.coded.len() {
                self.verify_row(rows + row, &stored.coded, row)?;
                // The writer's sum may have been rounded otherwise.
                if stored.coded.norm(row) > norm * (1.0 + 1e-9) {
                    return Err(self.bad_bounds(place, "a row is longer than its bound"));
                }
            }
            let error = f16::from_bits(bounds.error);
            if error.is_nan() || error.is_sign_negative() {
                return Err(self.bad_bounds(place, "an error that is none"));
            }
            docs_with += 1;
            rows += stored.coded.len();
        }
        if rows != self.rows as usize {
            return Err(
                self.bad_end(view.ends.len().saturating_sub(1), "does not end at the last row")
            );
        }
        if docs_with != self.docs_with {
            return Err(self.bad_end(0, "not as many documents as the head says"));
        }
        self.verify_spans()?;
        self.centroids.as_ref().map_or(Ok(()), |centroids| centroids.verify(&self.ends))
    }

    /// A row whose place in all of the store is `at`.
    fn verify_row(&self, at: usize, coded: &Coded<'_>, row: usize) -> Result<()> {
        match (coded, &self.codes) {
            (Coded::F16(rows), CodeArrays::F16(array)) => {
                let bits = rows.row(row).map_or(&[][..], |row| row.bits());
                if let Some(i) = bits.iter().position(|&bits| !f16::from_bits(bits).is_finite()) {
                    let what = "not a finite number";
                    return Err(array.section().corrupt_element(at * self.dim + i, what));
                }
            }
            (Coded::Int8(rows), CodeArrays::Int8 { codes, scales }) => {
                let Some(row) = rows.row(row) else { return Ok(()) };
                let scale = f16::from_bits(row.scales()[0]);
                if !scale.is_finite() || scale.is_sign_negative() {
                    return Err(scales.section().corrupt_element(at, "not a scale"));
                }
                if let Some(i) = row.codes().iter().position(|&code| code == 0) {
                    return Err(codes.section().corrupt_element(at * self.dim + i, "not a code"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn verify_spans(&self) -> Result<()> {
        let none = [NO_SPAN.0, NO_SPAN.1];
        let fault =
            |section: &Section, at| Err(section.corrupt_element(at, "ends before it starts"));
        match &self.spans {
            SpanArrays::None => Ok(()),
            SpanArrays::Wide(spans) => {
                match spans.iter().position(|span| span[0] > span[1] && *span != none) {
                    Some(at) => fault(spans.section(), at),
                    None => Ok(()),
                }
            }
            SpanArrays::Narrow(spans) => {
                let bad = |span: &[u16; 2]| span[0] > span[1] && span.map(u32::from) != none;
                spans.iter().position(bad).map_or(Ok(()), |at| fault(spans.section(), at))
            }
        }
    }

    fn bad_end(&self, doc: usize, what: &str) -> Error {
        self.ends.section().corrupt_element(doc, what)
    }

    fn bad_bounds(&self, doc: usize, what: &str) -> Error {
        self.bounds.section().corrupt_element(doc, what)
    }
}

/// Compares a head with what the schema says; gives the number of rows.
fn check_head(
    section: &Section,
    head: &TokenHead,
    docs: u32,
    options: &TokenOptions,
) -> Result<u32> {
    let same = |offset, what: &str, found: u32, expected: u32| {
        if found == expected {
            return Ok(());
        }
        Err(section.corrupt(offset, format!("{what} {found}, the schema has {expected}")))
    };
    same(0, "codec", head.codec, codec_number(options.codec))?;
    same(4, "dimension", head.dim, u32::try_from(options.dim).unwrap_or(0))?;
    same(8, "normalisation", head.normalization, normalization_number(options.normalization))?;
    if !matches!(head.span_bytes, 0 | 2 | 4) {
        return Err(section.corrupt(12, "spans of no known width"));
    }
    let rows = u32::try_from(head.rows).map_err(|_| section.corrupt(16, "too many rows"))?;
    if head.docs == 0 || head.docs > docs || head.docs > rows {
        return Err(section.corrupt(24, "documents with the field, of a number that cannot be"));
    }
    if head.reserved != 0 {
        return Err(section.corrupt(28, "reserved bytes are not zero"));
    }
    Ok(rows)
}

/// A store's arrays as slices.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    store: &'a TokenStore,
    ends: &'a [u32],
    codes: CodeSlices<'a>,
    bounds: &'a [RowBounds],
    spans: Spans<'a>,
}

#[derive(Clone, Copy)]
enum CodeSlices<'a> {
    F16(&'a [u16]),
    Int8 { codes: &'a [u8], scales: &'a [u16] },
}

impl<'a> View<'a> {
    /// Documents of the segment, those that lack the field included.
    pub(super) fn docs(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Whether the rows are of a codec that the integer kernel reads.
    pub(super) fn has_integers(&self) -> bool {
        matches!(self.codes, CodeSlices::Int8 { .. })
    }

    /// A document's rows; `None` where it lacks the field or is none of the segment's.
    pub(super) fn rows(&self, doc: DocId) -> Result<Option<TokenRows<'a>>> {
        let place = doc as usize;
        let Some(&end) = self.ends.get(place) else { return Ok(None) };
        let start = match place.checked_sub(1) {
            Some(before) => self.ends.get(before).copied().unwrap_or(end),
            None => 0,
        };
        if start > end {
            return Err(self
                .store
                .bad_end(place, format!("{end}, the one before is {start}").as_str()));
        }
        if end > self.store.rows {
            let what = format!("{end}, beyond the last of {} rows", self.store.rows);
            return Err(self.store.bad_end(place, &what));
        }
        if start == end {
            return Ok(None);
        }
        // All of these are inside: the arrays were sized by the same number of rows.
        let (start, end) = (start as usize, end as usize);
        let dim = self.store.dim;
        let coded = match self.codes {
            CodeSlices::F16(bits) => bits
                .get(start * dim..end * dim)
                .and_then(|bits| F16Rows::new(bits, dim))
                .map(Coded::F16),
            CodeSlices::Int8 { codes, scales } => codes
                .get(start * dim..end * dim)
                .zip(scales.get(start..end))
                .and_then(|(codes, scales)| Int8Rows::new(codes, scales, dim))
                .map(Coded::Int8),
        };
        let spans = match self.spans {
            Spans::None => Some(Spans::None),
            Spans::Wide(spans) => spans.get(start..end).map(Spans::Wide),
            Spans::Narrow(spans) => spans.get(start..end).map(Spans::Narrow),
        };
        match (coded, self.bounds.get(place), spans) {
            (Some(coded), Some(&bounds), Some(spans)) => {
                Ok(Some(TokenRows { coded, bounds, spans }))
            }
            _ => Err(self.store.bad_end(place, "rows that are not there")),
        }
    }
}
