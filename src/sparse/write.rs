//! The sections of a sparse field, written one after another. Work is cut into pieces of a fixed
//! size and put together in their order, so bytes do not depend on how many threads did it.

use crate::error::Result;
use crate::format::{ContainerWriter, SectionKind};
use crate::kernel::postings::SPAN;

use super::build::{Inverted, Row, Weights};
use super::forward;
use super::layout::{
    CODEC_U8, FORWARD_F16, FORWARD_F32, FORWARD_NONE, GROUP, GROUPS, Head, KIND_DENSE, KIND_LIST,
    KIND_TINY, KTH, TermEntry, WINDOW, WINDOW_BITS, kind_of, windows,
};

/// Terms encoded in one piece of work.
const TERMS_AT_ONCE: usize = 256;

/// Writes all sections of a field; nothing where no document has it.
pub(super) fn sections(
    inverted: &Inverted,
    rows: &[Row<'_>],
    field: u32,
    threads: usize,
    out: &mut ContainerWriter,
) -> Result<()> {
    if inverted.postings() == 0 {
        return Ok(());
    }
    let docs = count32(rows.len());
    let entries = entries(inverted, windows(docs));
    let of_kind = |kind: u8| -> Vec<usize> {
        (0..entries.len()).filter(|&at| entries[at].kind == kind).collect()
    };
    let (tiny, lists, dense) = (of_kind(KIND_TINY), of_kind(KIND_LIST), of_kind(KIND_DENSE));
    let postings_of = |terms: &[usize]| terms.iter().map(|&at| inverted.count(at) as u64).sum();
    let head = Head {
        docs,
        rows: count32(rows.iter().filter(|(terms, _)| !terms.is_empty()).count()),
        postings: inverted.postings() as u64,
        terms: count32(inverted.terms.len()),
        lists: count32(lists.len()),
        tiny_postings: postings_of(&tiny),
        codec: CODEC_U8,
        forward: match inverted.weights {
            Weights::None => FORWARD_NONE,
            Weights::F16 => FORWARD_F16,
            Weights::F32 => FORWARD_F32,
        },
        dense: count32(dense.len()),
        reserved: 0,
        dense_postings: postings_of(&dense),
        spare: 0,
    };
    out.section(SectionKind::SPARSE_HEAD, field, &[head])?;
    out.section(SectionKind::SPARSE_TERM_IDS, field, &inverted.terms)?;
    out.section(SectionKind::SPARSE_TERMS, field, &entries)?;
    write_lists(inverted, &lists, windows(docs), field, threads, out)?;
    write_tiny(inverted, &tiny, field, out)?;
    if !dense.is_empty() {
        write_dense(inverted, &dense, windows(docs), field, threads, out)?;
    }
    if inverted.weights != Weights::None {
        write_rows(inverted, rows, field, threads, out)?;
    }
    Ok(())
}

/// A count that the limits keep within 32 bits: documents of a segment, terms of a vocabulary.
fn count32(count: usize) -> u32 {
    u32::try_from(count).expect("a segment has at most 2^30 documents and terms are u32")
}

/// The directory: forms and places of all terms.
fn entries(inverted: &Inverted, windows: usize) -> Vec<TermEntry> {
    let (mut lists, mut list_first, mut tiny_first) = (0u32, 0u64, 0u64);
    let (mut dense, mut dense_first) = (0u32, 0u64);
    let cells = windows as u64 * GROUPS as u64 * MASK as u64;
    let entry = |at: usize| {
        let (docs, impacts) = inverted.term(at);
        let kind = kind_of(docs.len(), windows);
        let (max, kth) = largest(impacts);
        let count = docs.len() as u64;
        let (slot, next, size) = match kind {
            KIND_LIST => {
                lists += 1;
                (lists - 1, &mut list_first, count)
            }
            KIND_DENSE => {
                dense += 1;
                (dense - 1, &mut dense_first, count + cells)
            }
            _ => (0, &mut tiny_first, count),
        };
        let first = *next;
        *next += size;
        let docs = count32(docs.len());
        let scale = inverted.scales[at].steps();
        TermEntry { first, docs, slot, scale, kind, max, kth, reserved: 0 }
    };
    (0..inverted.terms.len()).map(entry).collect()
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

/// Runs of list terms, and the directory of their windows.
fn write_lists(
    inverted: &Inverted,
    lists: &[usize],
    windows: usize,
    field: u32,
    threads: usize,
    out: &mut ContainerWriter,
) -> Result<()> {
    let mut starts: Vec<u32> = Vec::with_capacity(lists.len() * windows);
    let mut maxima: Vec<u8> = Vec::with_capacity(lists.len() * windows);
    out.begin(SectionKind::SPARSE_LIST_POSTINGS, field, 1)?;
    let pieces: Vec<&[usize]> = lists.chunks(TERMS_AT_ONCE).collect();
    let encode = |piece: &&[usize]| {
        let mut encoded = Lists::default();
        for &at in *piece {
            encoded.add(inverted.term(at), windows);
        }
        encoded
    };
    in_order(&pieces, threads, encode, |encoded| {
        starts.extend_from_slice(&encoded.starts);
        maxima.extend_from_slice(&encoded.maxima);
        out.write(&encoded.postings)
    })?;
    out.end()?;
    out.section(SectionKind::SPARSE_LIST_STARTS, field, &starts)?;
    out.section(SectionKind::SPARSE_LIST_MAXIMA, field, &maxima)
}

/// Encoded lists of some terms.
#[derive(Default)]
struct Lists {
    starts: Vec<u32>,
    maxima: Vec<u8>,
    postings: Vec<u8>,
}

impl Lists {
    fn add(&mut self, (docs, impacts): (&[u32], &[u8]), windows: usize) {
        let mut from = 0;
        for window in 0..windows {
            let to =
                from + docs[from..].partition_point(|&doc| (doc >> WINDOW_BITS) as usize <= window);
            self.starts.push(count32(from));
            self.maxima.push(impacts[from..to].iter().copied().max().unwrap_or(0));
            for doc in &docs[from..to] {
                let local = u16::try_from(doc % count32(WINDOW)).expect("below 4,096");
                self.postings.extend_from_slice(&local.to_le_bytes());
            }
            self.postings.extend_from_slice(&impacts[from..to]);
            from = to;
        }
    }
}

/// Bytes of a cell's mask.
pub(super) const MASK: usize = 8;

/// Cells of dense terms, and their directory.
fn write_dense(
    inverted: &Inverted,
    dense: &[usize],
    windows: usize,
    field: u32,
    threads: usize,
    out: &mut ContainerWriter,
) -> Result<()> {
    let mut directory = Cells::default();
    out.begin(SectionKind::SPARSE_DENSE_CELLS, field, 1)?;
    let pieces: Vec<&[usize]> = dense.chunks(TERMS_AT_ONCE / 16).collect();
    let encode = |piece: &&[usize]| {
        let mut encoded = Cells::default();
        for &at in *piece {
            encoded.add(inverted.term(at), windows);
        }
        encoded
    };
    in_order(&pieces, threads, encode, |encoded| {
        directory.starts.extend_from_slice(&encoded.starts);
        directory.offsets.extend_from_slice(&encoded.offsets);
        directory.maxima.extend_from_slice(&encoded.maxima);
        out.write(&encoded.bytes)
    })?;
    out.write(&[0; SPAN])?;
    out.end()?;
    out.section(SectionKind::SPARSE_DENSE_STARTS, field, &directory.starts)?;
    out.section(SectionKind::SPARSE_DENSE_OFFSETS, field, &directory.offsets)?;
    out.section(SectionKind::SPARSE_DENSE_MAXIMA, field, &directory.maxima)
}

/// Encoded cells of some terms.
#[derive(Default)]
struct Cells {
    starts: Vec<u32>,
    offsets: Vec<u16>,
    maxima: Vec<u8>,
    bytes: Vec<u8>,
}

impl Cells {
    fn add(&mut self, (docs, impacts): (&[u32], &[u8]), windows: usize) {
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
            self.maxima.push(impacts[from..to].iter().copied().max().unwrap_or(0));
            self.bytes.extend_from_slice(&mask.to_le_bytes());
            self.bytes.extend_from_slice(&impacts[from..to]);
            from = to;
        }
    }
}

/// Documents and impacts of tiny terms.
fn write_tiny(
    inverted: &Inverted,
    tiny: &[usize],
    field: u32,
    out: &mut ContainerWriter,
) -> Result<()> {
    out.begin(SectionKind::SPARSE_TINY_DOCS, field, 4)?;
    for &at in tiny {
        out.write_pod(inverted.term(at).0)?;
    }
    out.end()?;
    out.begin(SectionKind::SPARSE_TINY_IMPACTS, field, 1)?;
    for &at in tiny {
        out.write(inverted.term(at).1)?;
    }
    out.end()
}

/// Forward rows, and where they lie.
fn write_rows(
    inverted: &Inverted,
    rows: &[Row<'_>],
    field: u32,
    threads: usize,
    out: &mut ContainerWriter,
) -> Result<()> {
    let mut bases: Vec<u64> = vec![0];
    let mut ends: Vec<u32> = Vec::with_capacity(rows.len());
    out.begin(SectionKind::SPARSE_ROWS, field, 1)?;
    let pieces: Vec<&[Row<'_>]> = rows.chunks(WINDOW).collect();
    let encode = |piece: &&[Row<'_>]| {
        let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(WINDOW));
        for (terms, weights) in *piece {
            let ordinals = terms.iter().map(|&term| inverted.ordinal(term));
            forward::encode(ordinals, weights, inverted.weights, &mut bytes);
            ends.push(bytes.len());
        }
        (bytes, ends)
    };
    let mut total = 0u64;
    in_order(&pieces, threads, encode, |(bytes, row_ends)| {
        total += bytes.len() as u64;
        bases.push(total);
        // A window holds at most 4,096 rows of 65,536 terms of 10 bytes and their widths.
        ends.extend(row_ends.iter().map(|&end| count32(end)));
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
    work: impl Fn(&P) -> R + Sync,
    mut take: impl FnMut(R) -> Result<()>,
) -> Result<()> {
    if threads <= 1 {
        return pieces.iter().try_for_each(|piece| take(work(piece)));
    }
    let work = &work;
    for batch in pieces.chunks(threads) {
        let results: Vec<R> = std::thread::scope(|scope| {
            let running: Vec<_> =
                batch.iter().map(|piece| scope.spawn(move || work(piece))).collect();
            running
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        results.into_iter().try_for_each(&mut take)?;
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
                |&at| at * at,
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
