//! The keys of several segments in one.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::{KeyTable, Keys};
use crate::error::Result;
use crate::format::{ContainerWriter, NO_FIELD, SectionKind};
use crate::id::DocId;
use crate::segment::places::Places;

impl KeyTable {
    fn compare(&self, doc: DocId, other: &Self, of_other: DocId) -> Ordering {
        match (&self.keys, &other.keys) {
            (Keys::U64(keys), Keys::U64(others)) => {
                keys.get(doc as usize).cmp(&others.get(of_other as usize))
            }
            _ => self.str_bytes(doc).cmp(&other.str_bytes(of_other)),
        }
    }
}

/// The next document of an input in the order of its keys.
struct Next<'a> {
    table: &'a KeyTable,
    input: usize,
    at: usize,
    doc: DocId,
}

impl Ord for Next<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.table.compare(self.doc, other.table, other.doc).then(self.input.cmp(&other.input))
    }
}

impl PartialOrd for Next<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Next<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Next<'_> {}

/// Writes the keys of what is live in verified tables, as one segment that was gathered of the
/// same documents would have them. Holds nothing per document.
///
/// # Errors
/// `Corrupt` where two live documents have the same key; those of the file.
pub(in crate::segment) fn merge(
    tables: &[&KeyTable],
    places: &Places,
    out: &mut ContainerWriter,
) -> Result<()> {
    let strings = tables.iter().any(|table| matches!(table.keys, Keys::Str { .. }));
    if strings {
        out.begin(SectionKind::KEY_OFFSETS, NO_FIELD, 8)?;
        let mut end = 0u64;
        out.write_pod(&[end])?;
        for (input, doc) in places.each() {
            end += tables[input].str_bytes(doc).map_or(0, <[u8]>::len) as u64;
            out.write_pod(&[end])?;
        }
        out.end()?;
    }
    out.begin(SectionKind::KEYS, NO_FIELD, if strings { 1 } else { 8 })?;
    for (input, doc) in places.each() {
        let table = tables[input];
        match &table.keys {
            Keys::U64(keys) => {
                let key = keys.get(doc as usize).copied();
                let key = key.ok_or_else(|| table.damaged(doc, "beyond the end"))?;
                out.write_pod(&[key])?;
            }
            Keys::Str { .. } => {
                let key = table.str_bytes(doc);
                out.write(key.ok_or_else(|| table.damaged(doc, "bad offsets"))?)?;
            }
        }
    }
    out.end()?;

    out.begin(SectionKind::KEY_ORDER, NO_FIELD, 4)?;
    let next = |table, input, from| next_live(table, input, from, places);
    let mut heap: BinaryHeap<Reverse<Next<'_>>> = tables
        .iter()
        .enumerate()
        .filter_map(|(input, table)| next(*table, input, 0).map(Reverse))
        .collect();
    while let Some(Reverse(first)) = heap.pop() {
        if let Some(place) = places.place(first.input, first.doc) {
            out.write_pod(&[place])?;
        }
        if let Some(Reverse(second)) = heap.peek()
            && first.table.compare(first.doc, second.table, second.doc).is_eq()
        {
            return Err(second.table.damaged(second.doc, "a live document before has it too"));
        }
        heap.extend(next(first.table, first.input, first.at + 1).map(Reverse));
    }
    out.end()
}

/// The first live document of an input in the order of its keys, from a place of the order on.
fn next_live<'a>(
    table: &'a KeyTable,
    input: usize,
    from: usize,
    places: &Places,
) -> Option<Next<'a>> {
    let mut rest = (from..).zip(table.order.get(from..)?);
    let (at, &doc) = rest.find(|(_, doc)| places.place(input, **doc).is_some())?;
    Some(Next { table, input, at, doc })
}
