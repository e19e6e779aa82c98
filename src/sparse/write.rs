//! The sections of a sparse field, written one after another. Work is cut into pieces that are put
//! together in their order, so bytes do not depend on how large they are or on how many threads
//! made them.

use std::ops::Range;

use crate::error::Result;
use crate::format::{ContainerWriter, SectionKind};
use crate::kernel::postings::SPAN;
use crate::schema::SparseOptions;

use super::build::{Postings, RowSource, Shape, Weights, survey};
use super::curve;
use super::forward;
use super::index::SparseIndex;
use super::layout::{
    FORWARD_F16, FORWARD_F32, FORWARD_NONE, GROUP, GROUPS, Head, Impacts, KIND_DENSE, KIND_LIST,
    KIND_TINY, KTH, TermEntry, WINDOW, WINDOW_BITS, kind_of, windows,
};

/// Bytes to turn documents over in: all at once up to ten million entries, else in several passes.
pub(super) const MEMORY: usize = 80 << 20;
/// Bytes that a posting takes on its way: document and impact, then encoded.
const POSTING: usize = 8;

/// Writes all sections of a field; nothing where no document has it.
pub(super) fn field(
    source: &dyn RowSource,
    options: &SparseOptions,
    field: u32,
    threads: usize,
    memory: usize,
    out: &mut ContainerWriter,
) -> Result<()> {
    let shape = survey(source, options)?;
    if shape.rows == 0 {
        return Ok(());
    }
    let threads = threads.max(1);
    let terms = Terms::new(&shape, source.docs(), Impacts::of(options.codec));
    let head = terms.head(&shape, options);
    out.section(SectionKind::SPARSE_HEAD, field, &[head])?;
    out.section(SectionKind::SPARSE_TERM_IDS, field, &shape.terms)?;
    let entries = Writer::new(&shape, &terms, head.dense > 0, field, out).write(
        source,
        memory / POSTING / threads,
        threads,
        head.start_bytes == 2,
    )?;
    out.section(SectionKind::SPARSE_TERMS, field, &entries)?;
    if shape.weights != Weights::None {
        write_rows(source, &shape, field, threads, out)?;
    }
    // Asked of what lies in the file now: the answers are those that readers will get.
    if source.docs() < curve::LEAST_DOCS {
        return Ok(());
    }
    let points = out.look_back(|written| {
        let index = SparseIndex::open(written, field, source.docs(), options)?;
        index.map_or(Ok(Vec::new()), |index| curve::measure(&index, threads))
    })?;
    if points.is_empty() {
        return Ok(());
    }
    out.section(SectionKind::SPARSE_CURVE, field, &points)
}

/// A count that the limits keep within 32 bits: documents of a segment, terms of a vocabulary.
fn count32(count: usize) -> u32 {
    u32::try_from(count).expect("a segment has at most 2^30 documents and terms are u32")
}

/// Terms by form.
struct Terms {
    docs: u32,
    impacts: Impacts,
    kinds: Vec<u8>,
    lists: Vec<u32>,
    tiny: Vec<u32>,
    dense: Vec<u32>,
}

impl Terms {
    fn new(shape: &Shape, docs: u32, impacts: Impacts) -> Self {
        let windows = windows(docs);
        let kind = |&count: &u32| kind_of(count as usize, windows, impacts);
        let kinds: Vec<u8> = shape.counts.iter().map(kind).collect();
        let of_kind = |wanted: u8| -> Vec<u32> {
            (0u32..).zip(&kinds).filter(|&(_, &kind)| kind == wanted).map(|(at, _)| at).collect()
        };
        let (lists, tiny, dense) = (of_kind(KIND_LIST), of_kind(KIND_TINY), of_kind(KIND_DENSE));
        Self { docs, impacts, kinds, lists, tiny, dense }
    }

    fn is_list(&self, ordinal: u32) -> bool {
        self.kinds.get(ordinal as usize) == Some(&KIND_LIST)
    }

    fn head(&self, shape: &Shape, options: &SparseOptions) -> Head {
        let count = |&at: &u32| u64::from(shape.counts[at as usize]);
        let longest = self.lists.iter().map(count).max().unwrap_or(0);
        Head {
            docs: self.docs,
            rows: shape.rows,
            postings: shape.counts.iter().map(|&count| u64::from(count)).sum(),
            terms: count32(shape.terms.len()),
            lists: count32(self.lists.len()),
            tiny_postings: self.tiny.iter().map(count).sum(),
            codec: self.impacts.number(),
            forward: match shape.weights {
                Weights::None => FORWARD_NONE,
                Weights::F16 => FORWARD_F16,
                Weights::F32 => FORWARD_F32,
            },
            dense: count32(self.dense.len()),
            start_bytes: if longest > u64::from(u16::MAX) { 4 } else { 2 },
            percent: options.codec.percent().map_or(0, u16::from),
            dense_postings: self.dense.iter().map(count).sum(),
            entries: shape.entries,
        }
    }

    /// All terms in the order in which their postings lie in the file, cut where a piece has so
    /// many postings.
    fn pieces(&self, shape: &Shape, most: usize) -> Vec<Vec<u32>> {
        let mut pieces: Vec<Vec<u32>> = Vec::new();
        let mut room = 0;
        for &at in self.lists.iter().chain(&self.tiny).chain(&self.dense) {
            let count = shape.counts[at as usize] as usize;
            match pieces.last_mut() {
                Some(piece) if count <= room => {
                    piece.push(at);
                    room -= count;
                }
                _ => {
                    pieces.push(vec![at]);
                    room = most.saturating_sub(count);
                }
            }
        }
        pieces
    }
}

/// The encoded postings of some terms.
#[derive(Default)]
struct Piece {
    lists: Lists,
    tiny_docs: Vec<u32>,
    tiny_impacts: Vec<u8>,
    cells: Cells,
    /// Per term its ordinal, its largest impacts, and, of a dense term, the byte of its first cell
    /// in this piece.
    tops: Vec<(u32, (u8, [u8; 3]), usize)>,
}

impl Piece {
    fn new(terms: &Terms, ordinals: &[u32], postings: &Postings) -> Self {
        let windows = windows(terms.docs);
        let mut piece = Self::default();
        // Growing as it comes would take twice the room.
        let of_lists = ordinals.iter().zip(0..).filter(|(at, _)| terms.is_list(**at));
        let listed: usize = of_lists.map(|(_, at)| postings.term(at).0.len()).sum();
        piece.lists.postings.reserve_exact(listed * terms.impacts.list_posting());
        for (at, &ordinal) in ordinals.iter().enumerate() {
            let (docs, impacts) = postings.term(at);
            piece.tops.push((ordinal, largest(impacts), piece.cells.bytes.len()));
            match terms.kinds[ordinal as usize] {
                KIND_LIST => piece.lists.add(docs, impacts, windows, terms.impacts),
                KIND_DENSE => piece.cells.add(docs, impacts, windows, terms.impacts),
                _ => {
                    piece.tiny_docs.extend_from_slice(docs);
                    piece.tiny_impacts.extend_from_slice(impacts);
                }
            }
        }
        piece
    }
}

/// The largest impact, and the [`KTH`] largest; 0 where there are not so many.
pub(super) fn largest(impacts: &[u8]) -> (u8, [u8; 3]) {
    let mut counts = [0usize; 256];
    for &impact in impacts {
        counts[usize::from(impact)] += 1;
    }
    let nth = |n: usize| {
        let mut seen = 0;
        let reaches = |&impact: &u8| {
            seen += counts[usize::from(impact)];
            seen >= n
        };
        (1..=u8::MAX).rev().find(reaches).unwrap_or(0)
    };
    (nth(1), KTH.map(nth))
}

/// Encoded lists of some terms.
#[derive(Default)]
struct Lists {
    starts: Vec<u32>,
    maxima: Vec<u8>,
    postings: Vec<u8>,
}

impl Lists {
    fn add(&mut self, docs: &[u32], impacts: &[u8], windows: usize, kept: Impacts) {
        let mut from = 0;
        for window in 0..windows {
            let to =
                from + docs[from..].partition_point(|&doc| (doc >> WINDOW_BITS) as usize <= window);
            self.starts.push(count32(from));
            self.maxima.push(impacts[from..to].iter().copied().max().unwrap_or(0));
            for (doc, &impact) in docs[from..to].iter().zip(&impacts[from..to]) {
                let local = u16::try_from(doc % count32(WINDOW)).expect("below 4,096");
                let word = match kept {
                    Impacts::U8 => local,
                    Impacts::U4 => local | u16::from(impact) << WINDOW_BITS,
                };
                self.postings.extend_from_slice(&word.to_le_bytes());
            }
            if kept == Impacts::U8 {
                self.postings.extend_from_slice(&impacts[from..to]);
            }
            from = to;
        }
    }
}

/// Bytes of a cell's mask.
pub(super) const MASK: usize = 8;

/// Encoded cells of some terms.
#[derive(Default)]
struct Cells {
    starts: Vec<u32>,
    offsets: Vec<u16>,
    maxima: Vec<u8>,
    bytes: Vec<u8>,
}

impl Cells {
    fn add(&mut self, docs: &[u32], impacts: &[u8], windows: usize, kept: Impacts) {
        let term = self.bytes.len();
        let mut window = term;
        let mut from = 0;
        for group in 0..windows * GROUPS {
            if group.is_multiple_of(GROUPS) {
                window = self.bytes.len();
                // A posting takes one byte and a group eight: below 2^31 for 2^30 documents.
                self.starts.push(count32(window - term));
            }
            let offset = u16::try_from(self.bytes.len() - window);
            self.offsets.push(offset.expect("63 cells of at most 72 bytes"));
            let mut mask = 0u64;
            let mut to = from;
            while let Some(doc) = docs.get(to).filter(|&&doc| doc as usize / GROUP == group) {
                mask |= 1 << (*doc as usize % GROUP);
                to += 1;
            }
            let impacts = &impacts[from..to];
            self.maxima.push(impacts.iter().copied().max().unwrap_or(0));
            self.bytes.extend_from_slice(&mask.to_le_bytes());
            match kept {
                Impacts::U8 => self.bytes.extend_from_slice(impacts),
                Impacts::U4 => self.bytes.extend(
                    impacts.chunks(2).map(|two| two[0] | two.get(1).map_or(0, |high| high << 4)),
                ),
            }
            from = to;
        }
    }
}

/// The section of postings that is being written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Lists,
    Tiny,
    Dense,
}

/// Puts pieces together.
struct Writer<'a> {
    shape: &'a Shape,
    terms: &'a Terms,
    any_dense: bool,
    field: u32,
    out: &'a mut ContainerWriter,
    stage: Stage,
    starts: Vec<u32>,
    list_maxima: Vec<u8>,
    tiny_impacts: Vec<u8>,
    dense_starts: Vec<u32>,
    dense_offsets: Vec<u16>,
    dense_maxima: Vec<u8>,
    entries: Vec<TermEntry>,
    /// What the next list, tiny and dense term start at, and their slots.
    next: [u64; 3],
    slots: [u32; 3],
}

impl<'a> Writer<'a> {
    fn new(
        shape: &'a Shape,
        terms: &'a Terms,
        any_dense: bool,
        field: u32,
        out: &'a mut ContainerWriter,
    ) -> Self {
        let none = TermEntry {
            first: 0,
            docs: 0,
            slot: 0,
            scale: 0,
            kind: KIND_TINY,
            max: 0,
            kth: [0; 3],
            left: 0,
        };
        Self {
            shape,
            terms,
            any_dense,
            field,
            out,
            stage: Stage::Lists,
            starts: Vec::new(),
            list_maxima: Vec::new(),
            tiny_impacts: Vec::new(),
            dense_starts: Vec::new(),
            dense_offsets: Vec::new(),
            dense_maxima: Vec::new(),
            entries: vec![none; shape.terms.len()],
            next: [0; 3],
            slots: [0; 3],
        }
    }

    /// Writes all postings and their directories; gives the terms' entries.
    fn write(
        mut self,
        source: &dyn RowSource,
        most: usize,
        threads: usize,
        narrow: bool,
    ) -> Result<Vec<TermEntry>> {
        let pieces = self.terms.pieces(self.shape, most);
        let (shape, terms) = (self.shape, self.terms);
        self.out.begin(SectionKind::SPARSE_LIST_POSTINGS, self.field, 1)?;
        let encode = |ordinals: &Vec<u32>| -> Result<Piece> {
            Ok(Piece::new(terms, ordinals, &shape.fill(source, ordinals)?))
        };
        in_order(&pieces, threads, encode, |piece| self.take(&piece))?;
        self.enter(Stage::Dense)?;
        let Self { out, field, .. } = self;
        if self.any_dense {
            out.write(&[0; SPAN])?;
            out.end()?;
        }
        if narrow {
            out.begin(SectionKind::SPARSE_LIST_STARTS, field, 2)?;
            let mut some = Vec::with_capacity(4096);
            for starts in self.starts.chunks(4096) {
                some.clear();
                some.extend(starts.iter().map(|&s| u16::try_from(s).unwrap_or(u16::MAX)));
                out.write_pod(&some)?;
            }
            out.end()?;
        } else {
            out.section(SectionKind::SPARSE_LIST_STARTS, field, &self.starts)?;
        }
        out.section(SectionKind::SPARSE_LIST_MAXIMA, field, &self.list_maxima)?;
        if self.any_dense {
            out.section(SectionKind::SPARSE_DENSE_STARTS, field, &self.dense_starts)?;
            out.section(SectionKind::SPARSE_DENSE_OFFSETS, field, &self.dense_offsets)?;
            out.section(SectionKind::SPARSE_DENSE_MAXIMA, field, &self.dense_maxima)?;
        }
        Ok(self.entries)
    }

    /// Closes the sections before that of a stage and opens it.
    fn enter(&mut self, stage: Stage) -> Result<()> {
        if self.stage < Stage::Tiny && stage >= Stage::Tiny {
            self.out.end()?;
            self.out.begin(SectionKind::SPARSE_TINY_DOCS, self.field, 4)?;
            self.stage = Stage::Tiny;
        }
        if self.stage < Stage::Dense && stage >= Stage::Dense {
            self.out.end()?;
            let impacts = std::mem::take(&mut self.tiny_impacts);
            self.out.section(SectionKind::SPARSE_TINY_IMPACTS, self.field, &impacts)?;
            if self.any_dense {
                self.out.begin(SectionKind::SPARSE_DENSE_CELLS, self.field, 1)?;
            }
            self.stage = Stage::Dense;
        }
        Ok(())
    }

    fn take(&mut self, piece: &Piece) -> Result<()> {
        let [_, _, cells] = self.next;
        for &(ordinal, (max, kth), from) in &piece.tops {
            let at = ordinal as usize;
            let (count, kind) = (self.shape.counts[at], self.terms.kinds[at]);
            let (place, slot) = match kind {
                KIND_LIST => (0, self.slots[0]),
                KIND_DENSE => (2, self.slots[2]),
                _ => (1, 0),
            };
            let first = if kind == KIND_DENSE { cells + from as u64 } else { self.next[place] };
            self.slots[place] += 1;
            self.next[place] += u64::from(count);
            self.entries[at] = TermEntry {
                first,
                docs: count,
                slot,
                scale: self.shape.scales[at].steps(),
                kind,
                max,
                kth,
                left: self.shape.left[at],
            };
        }
        self.next[2] = cells + piece.cells.bytes.len() as u64;
        let Piece { lists, tiny_docs, tiny_impacts, cells, .. } = piece;
        if !lists.postings.is_empty() {
            self.out.write(&lists.postings)?;
            self.starts.extend_from_slice(&lists.starts);
            self.list_maxima.extend_from_slice(&lists.maxima);
        }
        if !tiny_docs.is_empty() {
            self.enter(Stage::Tiny)?;
            self.out.write_pod(tiny_docs)?;
            self.tiny_impacts.extend_from_slice(tiny_impacts);
        }
        if !cells.bytes.is_empty() {
            self.enter(Stage::Dense)?;
            self.out.write(&cells.bytes)?;
            self.dense_starts.extend_from_slice(&cells.starts);
            self.dense_offsets.extend_from_slice(&cells.offsets);
            self.dense_maxima.extend_from_slice(&cells.maxima);
        }
        Ok(())
    }
}

/// Forward rows, and where they lie.
fn write_rows(
    source: &dyn RowSource,
    shape: &Shape,
    field: u32,
    threads: usize,
    out: &mut ContainerWriter,
) -> Result<()> {
    let docs = source.docs();
    let mut bases: Vec<u64> = vec![0];
    let mut ends: Vec<u32> = Vec::with_capacity(docs as usize);
    out.begin(SectionKind::SPARSE_ROWS, field, 1)?;
    let pieces: Vec<Range<u32>> = (0..docs)
        .step_by(WINDOW)
        .map(|from| from..from.saturating_add(count32(WINDOW)).min(docs))
        .collect();
    let encode = |piece: &Range<u32>| -> Result<(Vec<u8>, Vec<u32>)> {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(WINDOW));
        source.each(piece.clone(), &mut |doc, terms, weights| {
            // A window holds at most 4,096 rows of 65,536 terms of 10 bytes and their widths.
            ends.resize((doc - piece.start) as usize, count32(bytes.len()));
            let ordinals = terms.iter().map(|&term| shape.ordinal(term));
            forward::encode(ordinals, weights, shape.weights, &mut bytes);
            ends.push(count32(bytes.len()));
        })?;
        ends.resize(piece.len(), count32(bytes.len()));
        Ok((bytes, ends))
    };
    let mut total = 0u64;
    in_order(&pieces, threads, encode, |(bytes, row_ends)| {
        total += bytes.len() as u64;
        bases.push(total);
        ends.extend_from_slice(&row_ends);
        out.write(&bytes)
    })?;
    out.end()?;
    out.section(SectionKind::SPARSE_ROW_BASES, field, &bases)?;
    out.section(SectionKind::SPARSE_ROW_ENDS, field, &ends)
}

/// Does `work` on every piece, on up to `threads` threads, and gives the results to `take` in the
/// order of the pieces.
fn in_order<P: Sync, R: Send>(
    pieces: &[P],
    threads: usize,
    work: impl Fn(&P) -> Result<R> + Sync,
    mut take: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    if threads <= 1 {
        return pieces.iter().try_for_each(|piece| take(work(piece)?));
    }
    let work = &work;
    for batch in pieces.chunks(threads) {
        let results: Vec<Result<R>> = std::thread::scope(|scope| {
            let running: Vec<_> =
                batch.iter().map(|piece| scope.spawn(move || work(piece))).collect();
            running
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        results.into_iter().try_for_each(|result| take(result?))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kth_impacts_count_from_the_top() {
        assert_eq!(largest(&[]), (0, [0; 3]));
        assert_eq!(largest(&[3, 9, 1]), (9, [0; 3]));
        let mut impacts: Vec<u8> = (1..=200).collect();
        assert_eq!(largest(&impacts), (200, [191, 101, 0]));
        impacts.resize(1000, 1);
        assert_eq!(largest(&impacts), (200, [191, 101, 1]));
    }

    #[test]
    fn order_is_kept_on_any_number_of_threads() {
        let pieces: Vec<usize> = (0..23).collect();
        for threads in [1, 2, 7, 64] {
            let mut got = Vec::new();
            in_order(
                &pieces,
                threads,
                |&at| Ok(at * at),
                |square| {
                    got.push(square);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(got, pieces.iter().map(|&at| at * at).collect::<Vec<_>>());
        }
    }
}
