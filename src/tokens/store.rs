//! The token store of a segment, read in place.

use half::f16;

use crate::codec::kmeans::CodeRows;
use crate::error::{Error, Result};
use crate::format::{Array, Container, Section, SectionKind};
use crate::id::DocId;
use crate::limits::MAX_DOCUMENT_TOKENS;
use crate::schema::{TokenCodec, TokenOptions};

use super::arrays::{CodeArrays, CodeSlices};
use super::centroids::{CentroidArrays, CentroidView, CurvePoint, Lie};
use super::keep::Drift;
use super::layout::{
    NO_SPAN, RowBounds, Spans, TokenHead, TokenRows, codec_number, normalization_number,
    tier_number,
};
use super::search::Margin;
use super::write::merge_cost;

/// A token field of a segment. Nothing is read but its head until a document is asked for.
#[derive(Debug)]
pub(crate) struct TokenStore {
    dim: usize,
    rows: u32,
    docs_with: u32,
    ends: Array<u32>,
    codes: CodeArrays,
    tier: Option<CodeArrays>,
    /// One per document where there are two tiers.
    gaps: Option<Array<u16>>,
    bounds: Array<RowBounds>,
    spans: SpanArrays,
    margin: Margin,
    centroids: Option<CentroidArrays>,
    codec: TokenCodec,
    /// Whether rows are still to be packed.
    waits: bool,
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
        let (rows, codec) = check_head(&section, &head, docs, options)?;
        let sized = |kind| container.section(kind, field);
        let dim = options.dim;
        let count = rows as usize;
        let spans = match head.span_bytes {
            0 => SpanArrays::None,
            2 => SpanArrays::Narrow(sized(SectionKind::TOKENS_SPANS)?.array_of(count)?),
            _ => SpanArrays::Wide(sized(SectionKind::TOKENS_SPANS)?.array_of(count)?),
        };
        let tier = CodeArrays::open_tier(container, field, options.tier, count, dim)?;
        let gaps = match &tier {
            None => None,
            Some(_) => Some(sized(SectionKind::TOKENS_GAPS)?.array_of(docs as usize)?),
        };
        let centroids = CentroidArrays::open(container, field, dim, count)?;
        if codec.is_packed() && centroids.is_none() {
            return Err(section.corrupt(0, "codes of what is left without the centroids"));
        }
        Ok(Some(Self {
            dim,
            rows,
            docs_with: head.docs,
            ends: sized(SectionKind::TOKENS_ENDS)?.array_of(docs as usize)?,
            codes: CodeArrays::open(container, field, codec, count, dim)?,
            tier,
            gaps,
            bounds: sized(SectionKind::TOKENS_BOUNDS)?.array_of(docs as usize)?,
            spans,
            margin: Margin::of(options),
            centroids,
            codec,
            waits: codec != options.codec,
        }))
    }

    /// Rows of all documents together.
    pub(crate) fn rows_total(&self) -> u64 {
        self.rows.into()
    }

    /// How the rows are stored: as the schema says, or as int8 where they [wait](Self::waits).
    pub(crate) fn codec(&self) -> TokenCodec {
        self.codec
    }

    /// Whether the rows are stored as int8 to be packed by a later merge.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// Bytes of memory that a merge takes for the rows, at most.
    pub(crate) fn merge_cost(&self) -> u64 {
        self.rows_total().saturating_mul(merge_cost(self.dim))
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
            codes: self.codes.slices(self.centroids.as_ref(), self.dim),
            tier: self.tier.as_ref().map(|tier| tier.slices(None, self.dim)),
            gaps: self.gaps.as_deref().unwrap_or_default(),
            bounds: &self.bounds,
            spans: match &self.spans {
                SpanArrays::None => Spans::None,
                SpanArrays::Wide(spans) => Spans::Wide(spans),
                SpanArrays::Narrow(spans) => Spans::Narrow(spans),
            },
        }
    }

    /// The centroids and what was measured with them; `None` where the segment has none that
    /// candidates are found with.
    pub(super) fn centroids(&self) -> Option<(CentroidView<'_>, &[CurvePoint])> {
        let arrays = self.centroids.as_ref()?;
        Some((arrays.view(&self.ends)?, arrays.curve()?))
    }

    /// The mean shares of the true ten and hundred best that each step of the search found, the
    /// fastest first, as measured when the segment was written.
    pub(crate) fn recall_curve(&self) -> Vec<(f32, f32)> {
        let curve = self.centroids.as_ref().and_then(CentroidArrays::curve).unwrap_or_default();
        curve.iter().map(|point| (point.recall_10, point.recall_100)).collect()
    }

    /// How far rows were from their centroids on average in training, and how far those of this
    /// segment are; `None` where there are no centroids or it was not measured.
    pub(crate) fn drift(&self) -> Option<(f32, f32)> {
        let drift = self.centroids.as_ref()?.drift()?;
        Some((drift.trained, drift.now))
    }

    /// Copies of the centroids and of the book, and how far rows are from the centroids; `None`
    /// where there is none of that, or a merge has no use for it.
    pub(super) fn trained(&self) -> Option<(CodeRows, Vec<i8>, Drift)> {
        let centroids = self.centroids.as_ref()?;
        let drift = centroids.drift().filter(|drift| drift.is_possible())?;
        Some((centroids.copied(), self.codes.book().to_vec(), drift))
    }

    /// The centroids, of `count`, of a document's `rows` rows.
    ///
    /// # Errors
    /// `Corrupt` where one of them is not there.
    pub(super) fn own_ids(&self, doc: DocId, rows: usize, count: usize) -> Result<&[u16]> {
        let view = self.centroids.as_ref().and_then(|centroids| centroids.view(&self.ends));
        let ids = view.map_or(Err(Lie::Rows(doc)), |view| view.doc_ids(doc));
        let ids = ids.map_err(|lie| self.lie(lie))?;
        if ids.len() != rows {
            return Err(self.lie(Lie::Rows(doc)));
        }
        if ids.iter().any(|&id| usize::from(id) >= count) {
            return Err(self.lie(Lie::Id(doc)));
        }
        Ok(ids)
    }

    /// The error that a lie about centroids is.
    pub(super) fn lie(&self, lie: Lie) -> Error {
        match &self.centroids {
            Some(arrays) => arrays.error(lie, self.ends.section()),
            None => self.bad_end(0, "centroids that are not there"),
        }
    }

    /// How many documents are scored for a number of hits.
    pub(super) fn margin(&self) -> Margin {
        self.margin
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

    /// How many rows a document has.
    ///
    /// # Errors
    /// As [`stored`](Self::stored).
    pub(crate) fn row_count(&self, doc: DocId) -> Result<usize> {
        Ok(self.stored(doc)?.map_or(0, |rows| rows.coded.len()))
    }

    /// Those of a document's rows that are wanted, in ascending order, as floats, one at a time, as
    /// long as `take` says to go on.
    ///
    /// # Errors
    /// As [`stored`](Self::stored).
    pub(crate) fn each_row(
        &self,
        doc: DocId,
        wanted: impl Iterator<Item = usize>,
        mut take: impl FnMut(&[f32]) -> bool,
    ) -> Result<()> {
        let Some(rows) = self.stored(doc)? else { return Ok(()) };
        let mut row = vec![0.0; self.dim];
        for i in wanted.take_while(|&i| i < rows.coded.len()) {
            rows.coded.decode(i, &mut row);
            if !take(&row) {
                break;
            }
        }
        Ok(())
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
            self.codes.verify(stored.first(), rows, self.dim)?;
            if let Some(tier) = &self.tier {
                tier.verify(&stored.coded, rows, self.dim)?;
            }
            for row in 0..stored.coded.len() {
                let longest = stored.coded.norm(row).max(stored.first().norm(row));
                // The writer's sum may have been rounded otherwise.
                if longest > norm * (1.0 + 1e-9) {
                    return Err(self.bad_bounds(place, "a row is longer than its bound"));
                }
            }
            self.verify_gap(place, &stored)?;
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
        self.codes.verify_book()?;
        self.verify_spans()?;
        self.centroids.as_ref().map_or(Ok(()), |centroids| centroids.verify(&self.ends))
    }

    /// The tiers of a document's rows are no further apart than its gap says.
    fn verify_gap(&self, doc: usize, stored: &TokenRows<'_>) -> Result<()> {
        let (Some(gaps), Some(scan)) = (&self.gaps, &stored.scan) else { return Ok(()) };
        let gap = f16::from_bits(stored.gap).to_f64();
        let (mut a, mut b) = (vec![0.0; self.dim], vec![0.0; self.dim]);
        for row in 0..scan.len() {
            scan.decode(row, &mut a);
            stored.coded.decode(row, &mut b);
            let squares = a.iter().zip(&b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
            let far = squares.sum::<f64>().sqrt();
            if gap.is_nan() || far > gap * (1.0 + 1e-9) {
                let what = "rows of the two tiers that are further apart";
                return Err(gaps.section().corrupt_element(doc, what));
            }
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

/// Compares a head with what the schema says; gives the number of rows, and how they are stored.
fn check_head(
    section: &Section,
    head: &TokenHead,
    docs: u32,
    options: &TokenOptions,
) -> Result<(u32, TokenCodec)> {
    let same = |offset, what: &str, found: u32, expected: u32| {
        if found == expected {
            return Ok(());
        }
        Err(section.corrupt(offset, format!("{what} {found}, the schema has {expected}")))
    };
    let waits = options.may_wait() && head.codec == codec_number(TokenCodec::Int8);
    let codec = if waits { TokenCodec::Int8 } else { options.codec };
    same(0, "codec", head.codec, codec_number(codec))?;
    same(4, "dimension", head.dim, u32::try_from(options.dim).unwrap_or(0))?;
    same(8, "normalisation", head.normalization, normalization_number(options.normalization))?;
    same(28, "second tier", head.tier, tier_number(options.tier))?;
    if !matches!(head.span_bytes, 0 | 2 | 4) {
        return Err(section.corrupt(12, "spans of no known width"));
    }
    let rows = u32::try_from(head.rows).map_err(|_| section.corrupt(16, "too many rows"))?;
    if head.docs == 0 || head.docs > docs || head.docs > rows {
        return Err(section.corrupt(24, "documents with the field, of a number that cannot be"));
    }
    Ok((rows, codec))
}

/// A store's arrays as slices.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    store: &'a TokenStore,
    ends: &'a [u32],
    codes: CodeSlices<'a>,
    tier: Option<CodeSlices<'a>>,
    gaps: &'a [u16],
    bounds: &'a [RowBounds],
    spans: Spans<'a>,
}

impl<'a> View<'a> {
    /// Documents of the segment, those that lack the field included.
    pub(super) fn docs(&self) -> u32 {
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// Rows of all documents together.
    pub(super) fn rows_total(&self) -> u64 {
        self.store.rows_total()
    }

    /// How many of `left` rows are left after those of a document, when each document is read once.
    ///
    /// # Errors
    /// `Corrupt` where there are not so many: documents then share rows, which would make a small
    /// file as slow as a large one.
    pub(super) fn without_shared(&self, left: u64, rows: usize, doc: DocId) -> Result<u64> {
        let shared = || self.store.bad_end(doc as usize, "rows that other documents have, too");
        left.checked_sub(rows as u64).ok_or_else(shared)
    }

    /// Whether the rows that are scanned have integers.
    pub(super) fn has_integers(&self) -> bool {
        !matches!(self.codes, CodeSlices::F16(_))
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
        if (end - start) as usize > MAX_DOCUMENT_TOKENS {
            let what = format!("{end}, {} rows after the one before", end - start);
            return Err(self.store.bad_end(place, &what));
        }
        // All of these are inside: the arrays were sized by the same number of rows.
        let (start, end) = (start as usize, end as usize);
        let dim = self.store.dim;
        let coded = self.codes.rows(start, end, dim);
        let spans = match self.spans {
            Spans::None => Some(Spans::None),
            Spans::Wide(spans) => spans.get(start..end).map(Spans::Wide),
            Spans::Narrow(spans) => spans.get(start..end).map(Spans::Narrow),
        };
        match (coded, self.bounds.get(place), spans) {
            (Some(first), Some(&bounds), Some(spans)) => match self.tier {
                None => Ok(Some(TokenRows { coded: first, scan: None, gap: 0, bounds, spans })),
                Some(tier) => {
                    let (Some(coded), Some(&gap)) =
                        (tier.rows(start, end, dim), self.gaps.get(place))
                    else {
                        return Err(self.store.bad_end(place, "rows that are not there"));
                    };
                    Ok(Some(TokenRows { coded, scan: Some(first), gap, bounds, spans }))
                }
            },
            _ => Err(self.store.bad_end(place, "rows or centroids that are not there")),
        }
    }
}
