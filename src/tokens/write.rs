//! Writing the sections of a token field from any source of stored rows.

use crate::codec::kmeans::Crew;
use crate::error::{Fault, InputError, Result};
use crate::format::{ContainerWriter, SectionKind};
use crate::id::DocId;
use crate::schema::{TokenCodec, TokenOptions};

use super::centroids::CentroidHead;
use super::encode::FirstTier;
use super::layout::{
    NO_SPAN, Spans, TokenHead, TokenRows, codec_number, normalization_number, tier_number,
};
use super::rows::Coded;
use super::store::TokenStore;
use super::train::{Trained, train};

/// Documents in the order of a segment to be written. Rows are taken as they are stored, so what
/// is merged keeps its bits and its bounds; nothing is held but what a source holds itself.
pub(crate) trait TokenSource: Sync {
    /// How many documents, those that lack the field included.
    fn docs(&self) -> usize;
    /// A document's rows; `None` where it lacks the field.
    fn rows(&self, doc: usize) -> Result<Option<TokenRows<'_>>>;
    /// The stores that are merged, as far as inputs have one; none where rows were gathered.
    fn inputs(&self) -> &[Option<&TokenStore>] {
        &[]
    }
    /// Which document of which input a document was.
    fn origin(&self, _doc: usize) -> Option<(usize, DocId)> {
        None
    }
}

/// When rows of a packed codec without a second tier are packed. Their codes are all that is left of
/// them then, and worth what the centroids are worth over which they were made: the more rows train
/// these, the nearer they lie. Until then the rows are stored as int8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// In merges that make a large segment, or one that merges within so many bytes of memory will
    /// not make larger. New segments wait: how many follow is not known.
    WhenLarge(u64),
    /// In any segment, with centroids that are trained on so many bytes of rows at most.
    Now(u64),
}

/// From so many rows on a segment is large.
const LARGE: u64 = 1 << 20;
/// From so many on one is large enough where it will not become larger.
const LARGE_ENOUGH: u64 = 1 << 17;
/// So many segments of a size are merged at least.
const MERGED: u64 = 4;

/// Bytes of memory that a merge takes for each row, at most: its part in the sample that is trained
/// on, and then its code, which is smaller; and its centroid with what belongs to that.
pub(super) fn merge_cost(dim: usize) -> u64 {
    (dim as u64).saturating_add(10)
}

/// Whether rows are stored as they wait. Beside rows that are packed already they are packed, too:
/// packed rows are better left as they are than packed a second time later.
fn wait(source: &dyn TokenSource, options: &TokenOptions, rows: u64, packing: Packing) -> bool {
    let Packing::WhenLarge(memory) = packing else { return false };
    let cost = rows.saturating_mul(MERGED).saturating_mul(merge_cost(options.dim));
    let large = rows >= LARGE || (rows >= LARGE_ENOUGH && cost > memory);
    let inputs = source.inputs();
    let packed = inputs.iter().flatten().any(|input| !input.waits());
    options.may_wait() && (inputs.is_empty() || !large && !packed)
}

/// What is counted before anything is written.
#[derive(Default)]
struct Totals {
    rows: u64,
    docs: u32,
    spans: bool,
    largest_end: u32,
}

/// Writes a field's sections; none where no document has the field.
///
/// # Errors
/// Those of the file and of the source; more than 2³² − 1 rows in one segment.
pub(crate) fn write_tokens(
    source: &dyn TokenSource,
    options: &TokenOptions,
    field: u32,
    (threads, packing): (usize, Packing),
    out: &mut ContainerWriter,
) -> Result<()> {
    let totals = count(source)?;
    if totals.docs == 0 {
        return Ok(());
    }
    if u32::try_from(totals.rows).is_err() {
        let what = "token rows in one segment";
        let fault = Fault::TooMany { what, found: totals.rows, limit: u32::MAX.into() };
        return Err(InputError::new(format!("field {field}"), fault).into());
    }
    let waiting: TokenOptions;
    let options = if wait(source, options, totals.rows, packing) {
        waiting = options.clone().codec(TokenCodec::Int8);
        &waiting
    } else {
        options
    };
    let narrow = u16::try_from(totals.largest_end).is_ok();
    let head = TokenHead {
        codec: codec_number(options.codec),
        dim: u32::try_from(options.dim).unwrap_or(0),
        normalization: normalization_number(options.normalization),
        span_bytes: match (totals.spans, narrow) {
            (false, _) => 0,
            (true, true) => 2,
            (true, false) => 4,
        },
        rows: totals.rows,
        docs: totals.docs,
        tier: tier_number(options.tier),
    };
    out.section(SectionKind::TOKENS_HEAD, field, &[head])?;
    write_ends(source, field, out)?;
    let crew = Crew { kernels: crate::kernel::select(None)?, threads: threads.max(1) };
    let sampled = match packing {
        Packing::Now(bytes) => bytes,
        Packing::WhenLarge(_) => u64::MAX,
    };
    let trained = train(source, options, (totals.rows, totals.docs), (crew, sampled))?;
    if let Some(first) = &trained.first {
        write_first(first, source, field, out)?;
    } else {
        write_rows(source, (SectionKind::TOKENS_CODES, SectionKind::TOKENS_SCALES), field, out)?;
        each(source, SectionKind::TOKENS_BOUNDS, field, 4, out, |doc, out| {
            out.write_pod(&[doc.map(|rows| rows.bounds).unwrap_or_default()])
        })?;
    }
    if totals.spans {
        let bytes = if narrow { 4 } else { 8 };
        each(source, SectionKind::TOKENS_SPANS, field, bytes, out, |doc, out| {
            doc.map_or(Ok(()), |rows| write_spans(&rows, narrow, out))
        })?;
    }
    write_centroids(&trained, source.docs(), field, out)
}

/// The rows as they wait, and their scales where they have any.
fn write_rows(
    source: &dyn TokenSource,
    (codes, scales): (SectionKind, SectionKind),
    field: u32,
    out: &mut ContainerWriter,
) -> Result<()> {
    let mut kind = None;
    for doc in 0..source.docs() {
        if let Some(rows) = source.rows(doc)? {
            kind = Some(matches!(rows.coded, Coded::Int8(_)));
            break;
        }
    }
    let int8 = kind.unwrap_or_default();
    each(source, codes, field, if int8 { 1 } else { 2 }, out, |doc, out| {
        match doc.map(|rows| rows.coded) {
            Some(Coded::F16(rows)) => out.write_pod(rows.bits()),
            Some(Coded::Int8(rows)) => out.write(rows.codes()),
            Some(Coded::Packed(_)) | None => Ok(()),
        }
    })?;
    if int8 {
        each(source, scales, field, 2, out, |doc, out| match doc {
            Some(TokenRows { coded: Coded::Int8(rows), .. }) => out.write_pod(rows.scales()),
            _ => Ok(()),
        })?;
    }
    Ok(())
}

/// A first tier that was made for this segment, and the rows that wait as the second where there
/// are to be two.
fn write_first(
    first: &FirstTier,
    source: &dyn TokenSource,
    field: u32,
    out: &mut ContainerWriter,
) -> Result<()> {
    out.section(SectionKind::TOKENS_CODES, field, &first.codes)?;
    out.section(SectionKind::TOKENS_SCALES, field, &first.scales)?;
    if !first.book.is_empty() {
        out.section(SectionKind::TOKENS_BOOK, field, &first.book)?;
    }
    out.section(SectionKind::TOKENS_BOUNDS, field, &first.bounds)?;
    if !first.has_tier() {
        return Ok(());
    }
    write_rows(source, (SectionKind::TOKENS_TIER, SectionKind::TOKENS_TIER_SCALES), field, out)?;
    out.section(SectionKind::TOKENS_GAPS, field, &first.gaps)
}

fn write_centroids(
    trained: &Trained,
    docs: usize,
    field: u32,
    out: &mut ContainerWriter,
) -> Result<()> {
    let Some(assigned) = &trained.centroids else { return Ok(()) };
    let narrow = docs <= 1 << 16;
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    let lists = trained.lists.as_ref();
    let head = CentroidHead {
        count: size(assigned.centroids.scales.len()),
        list_bytes: match lists {
            None => 0,
            Some(_) if narrow => 2,
            Some(_) => 4,
        },
        postings: lists.map_or(0, |lists| size(lists.docs.len())),
        points: lists.map_or(0, |lists| size(lists.curve.len())),
    };
    out.section(SectionKind::TOKENS_CENTROID_HEAD, field, &[head])?;
    out.section(SectionKind::TOKENS_CENTROID_CODES, field, &assigned.centroids.codes)?;
    out.section(SectionKind::TOKENS_CENTROID_SCALES, field, &assigned.centroids.scales)?;
    out.section(SectionKind::TOKENS_CENTROID_IDS, field, &assigned.ids)?;
    out.section(SectionKind::TOKENS_DRIFT, field, &[assigned.drift])?;
    let Some(lists) = lists else { return Ok(()) };
    out.section(SectionKind::TOKENS_LIST_ENDS, field, &lists.ends)?;
    if narrow {
        out.begin(SectionKind::TOKENS_LISTS, field, 2)?;
        for &doc in &lists.docs {
            #[allow(clippy::cast_possible_truncation, reason = "below 65,536, as docs are")]
            out.write_pod(&[doc as u16])?;
        }
        out.end()?;
    } else {
        out.section(SectionKind::TOKENS_LISTS, field, &lists.docs)?;
    }
    out.section(SectionKind::TOKENS_CURVE, field, &lists.curve)?;
    let Some(groups) = &lists.groups else { return Ok(()) };
    out.section(SectionKind::TOKENS_GROUP_ENDS, field, &groups.ends)?;
    out.section(SectionKind::TOKENS_GROUP_CODES, field, &groups.means.codes)?;
    out.section(SectionKind::TOKENS_GROUP_SCALES, field, &groups.means.scales)
}

fn count(source: &dyn TokenSource) -> Result<Totals> {
    let mut totals = Totals::default();
    for doc in 0..source.docs() {
        let Some(rows) = source.rows(doc)? else { continue };
        totals.docs = totals.docs.saturating_add(1);
        totals.rows = totals.rows.saturating_add(rows.coded.len() as u64);
        if !matches!(rows.spans, Spans::None) {
            for (_, end) in (0..rows.coded.len()).filter_map(|row| rows.spans.get(row)) {
                totals.spans = true;
                totals.largest_end = totals.largest_end.max(end);
            }
        }
    }
    Ok(totals)
}

fn write_ends(source: &dyn TokenSource, field: u32, out: &mut ContainerWriter) -> Result<()> {
    let mut end = 0u32;
    each(source, SectionKind::TOKENS_ENDS, field, 4, out, |doc, out| {
        let rows = doc.map_or(0, |rows| rows.coded.len());
        end = end.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        out.write_pod(&[end])
    })
}

/// One section to which every document adds its part.
fn each(
    source: &dyn TokenSource,
    kind: SectionKind,
    field: u32,
    elem_size: u32,
    out: &mut ContainerWriter,
    mut part: impl FnMut(Option<TokenRows<'_>>, &mut ContainerWriter) -> Result<()>,
) -> Result<()> {
    out.begin(kind, field, elem_size)?;
    for doc in 0..source.docs() {
        part(source.rows(doc)?, out)?;
    }
    out.end()
}

#[allow(clippy::cast_possible_truncation, reason = "narrow only where every end fits")]
fn write_spans(rows: &TokenRows<'_>, narrow: bool, out: &mut ContainerWriter) -> Result<()> {
    for row in 0..rows.coded.len() {
        let (start, end) = rows.spans.get(row).unwrap_or(NO_SPAN);
        if narrow {
            out.write_pod(&[start as u16, end as u16])?;
        } else {
            out.write_pod(&[start, end])?;
        }
    }
    Ok(())
}
