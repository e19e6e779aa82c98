//! Token rows on their way into a segment: encoded as they come in.

use crate::codec::{f16, int8};
use crate::embed::CleanTokens;
use crate::error::Result;
use crate::format::ContainerWriter;
use crate::kernel::tokens::{F16Rows, Int8Rows, PackedRows, expand};
use crate::schema::TokenOptions;

use super::layout::{NO_SPAN, RowBounds, Spans, TokenRows};
use super::rows::Coded;
use super::write::{Packing, TokenSource, write_tokens};

/// The rows of one field, gathered in slot order.
#[derive(Debug)]
pub(crate) struct TokenColumn {
    options: TokenOptions,
    entries: Vec<Entry>,
    /// f16 bits, where rows wait as f16.
    halves: Vec<u16>,
    /// Codes and scales, where they wait as int8.
    codes: Vec<u8>,
    scales: Vec<u16>,
    /// One per row as soon as any document has spans; empty before.
    spans: Vec<[u32; 2]>,
}

/// A document that has the field.
#[derive(Clone, Copy, Debug)]
struct Entry {
    slot: u32,
    /// Its rows are those from `start` to `end`.
    start: usize,
    end: usize,
    bounds: RowBounds,
}

/// A document to be encoded, and the places for it.
struct Task<'a> {
    rows: &'a CleanTokens<'a>,
    halves: &'a mut [u16],
    codes: &'a mut [u8],
    scales: &'a mut [u16],
    bounds: &'a mut RowBounds,
}

impl TokenColumn {
    /// Nothing yet.
    pub(crate) fn new(options: &TokenOptions) -> Self {
        Self {
            options: options.clone(),
            entries: Vec::new(),
            halves: Vec::new(),
            codes: Vec::new(),
            scales: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Takes documents in, their slots ascending and above all before; a slot that is left out
    /// lacks the field. With more threads the same bytes are made sooner.
    pub(crate) fn push_many(&mut self, rows: &[(u32, &CleanTokens<'_>)], threads: usize) {
        let before = self.entries.len();
        let first = self.rows();
        let mut end = first;
        for (slot, rows) in rows {
            let start = end;
            end += rows.len();
            self.entries.push(Entry { slot: *slot, start, end, bounds: RowBounds::default() });
            self.push_spans(start, rows);
        }
        let dim = self.options.dim;
        let (mut halves, mut codes, mut scales) = if self.options.waits_as_f16() {
            self.halves.resize(end * dim, 0);
            (&mut self.halves[first * dim..], &mut [][..], &mut [][..])
        } else {
            self.codes.resize(end * dim, 0);
            self.scales.resize(end, 0);
            (&mut [][..], &mut self.codes[first * dim..], &mut self.scales[first..])
        };
        let mut tasks = Vec::with_capacity(rows.len());
        for ((_, rows), entry) in rows.iter().zip(&mut self.entries[before..]) {
            let count = rows.len();
            tasks.push(Task {
                rows,
                halves: halves.split_off_mut(..count * dim).unwrap_or_default(),
                codes: codes.split_off_mut(..count * dim).unwrap_or_default(),
                scales: scales.split_off_mut(..count).unwrap_or_default(),
                bounds: &mut entry.bounds,
            });
        }
        encode_all(tasks, end - first, threads.max(1), dim);
    }

    /// Appends the spans of a document whose rows start at `start`.
    fn push_spans(&mut self, start: usize, rows: &CleanTokens<'_>) {
        let no_span = [NO_SPAN.0, NO_SPAN.1];
        match rows.spans() {
            None if self.spans.is_empty() => {}
            None => self.spans.resize(start + rows.len(), no_span),
            Some(spans) => {
                self.spans.resize(start, no_span);
                self.spans.extend(spans.iter().map(|&(start, end)| [start, end]));
            }
        }
    }

    /// Takes in a document's rows as they are stored elsewhere, in the same codec; its slot is above
    /// all before.
    pub(crate) fn push_stored(&mut self, slot: u32, rows: &TokenRows<'_>) {
        let start = self.rows();
        let end = start + rows.coded.len();
        match rows.coded {
            Coded::F16(rows) => self.halves.extend_from_slice(rows.bits()),
            Coded::Int8(rows) => {
                self.codes.extend_from_slice(rows.codes());
                self.scales.extend_from_slice(rows.scales());
            }
            Coded::Packed(rows) => self.push_packed(&rows),
        }
        let no_span = [NO_SPAN.0, NO_SPAN.1];
        let spans: Vec<[u32; 2]> = (0..rows.coded.len())
            .map(|row| rows.spans.get(row).map_or(no_span, |(start, end)| [start, end]))
            .collect();
        if !self.spans.is_empty() || spans.iter().any(|span| *span != no_span) {
            self.spans.resize(start, no_span);
            self.spans.extend(spans);
        }
        self.entries.push(Entry { slot, start, end, bounds: rows.bounds });
    }

    /// Takes in rows that are packed over the centroids of another segment: they wait as the int8
    /// rows that they stand for.
    fn push_packed(&mut self, rows: &PackedRows<'_>) {
        let first = self.codes.len();
        self.codes.resize(first + rows.len() * self.options.dim, 0);
        let codes = &mut self.codes[first..];
        expand(rows, 0, codes);
        // The byte that no int8 row has; what this crate has packed never adds up to it.
        for byte in codes.iter_mut() {
            *byte = (*byte).max(1);
        }
        self.scales.extend_from_slice(rows.scales());
    }

    /// Rows of all documents so far.
    fn rows(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.end)
    }

    /// Bytes of what was taken in, as counted for the memory budget: the same on every machine.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
            + size_of_val(&*self.halves)
            + self.codes.len()
            + size_of_val(&*self.scales)
            + size_of_val(&*self.spans)
    }

    /// Writes the field's sections: document `i` of the segment is the slot `order[i]`. Nothing
    /// is written where none of them has the field. `how` says on how many threads, which changes no
    /// byte, and when rows are packed.
    ///
    /// # Errors
    /// Those of the file.
    pub(crate) fn write(
        &self,
        order: &[u32],
        field: u32,
        how: (usize, Packing),
        out: &mut ContainerWriter,
    ) -> Result<()> {
        write_tokens(&Ordered { column: self, order }, &self.options, field, how, out)
    }

    fn get(&self, slot: u32) -> Option<TokenRows<'_>> {
        let at = self.entries.binary_search_by_key(&slot, |entry| entry.slot).ok()?;
        let Entry { start, end, bounds, .. } = *self.entries.get(at)?;
        let dim = self.options.dim;
        let coded = if self.options.waits_as_f16() {
            Coded::F16(F16Rows::new(self.halves.get(start * dim..end * dim)?, dim)?)
        } else {
            let codes = self.codes.get(start * dim..end * dim)?;
            Coded::Int8(Int8Rows::new(codes, self.scales.get(start..end)?, dim)?)
        };
        let spans = self.spans.get(start..end).map_or(Spans::None, Spans::Wide);
        Some(TokenRows { coded, scan: None, gap: 0, bounds, spans })
    }
}

/// Encodes on as many threads as asked for, each a run of documents of about as many rows.
fn encode_all(tasks: Vec<Task<'_>>, rows: usize, threads: usize, dim: usize) {
    // A thread is worth its start from about a thousand rows on.
    let threads = threads.min(rows / 1024);
    if threads < 2 {
        return encode(tasks, dim);
    }
    let share = rows.div_ceil(threads);
    let mut tasks = tasks.into_iter().peekable();
    std::thread::scope(|scope| {
        while tasks.peek().is_some() {
            let mut taken = 0;
            let mut run = Vec::new();
            while taken < share
                && let Some(task) = tasks.next()
            {
                taken += task.rows.len();
                run.push(task);
            }
            scope.spawn(move || encode(run, dim));
        }
    });
}

fn encode(tasks: Vec<Task<'_>>, dim: usize) {
    let mut row = vec![0.0; dim];
    for task in tasks {
        let mut norm = 0.0f64;
        let mut error = 0.0f64;
        for i in 0..task.rows.len() {
            task.rows.row(i, &mut row);
            let fit = if let Some(scale) = task.scales.get_mut(i) {
                let (bits, fit) = int8::encode(&row, &mut task.codes[i * dim..][..dim]);
                *scale = bits;
                fit
            } else {
                f16::encode(&row, &mut task.halves[i * dim..][..dim])
            };
            norm = norm.max(fit.norm);
            error = error.max(fit.error);
        }
        *task.bounds = RowBounds { norm: f16::at_least(norm), error: f16::at_least(error) };
    }
}

/// A column in the order of the segment to be.
struct Ordered<'a> {
    column: &'a TokenColumn,
    order: &'a [u32],
}

impl TokenSource for Ordered<'_> {
    fn docs(&self) -> usize {
        self.order.len()
    }

    fn rows(&self, doc: usize) -> Result<Option<TokenRows<'_>>> {
        Ok(self.order.get(doc).and_then(|&slot| self.column.get(slot)))
    }
}
