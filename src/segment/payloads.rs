//! Payloads: opaque bytes per document, in blocks compressed with zstd.

use std::borrow::Cow;

use crate::error::{Error, Result};
use crate::format::{Array, Container, ContainerWriter, NO_FIELD, Section, SectionKind};
use crate::id::DocId;
use crate::limits::{MAX_UNPACKED_BYTES, beyond};
use crate::segment::places::Places;
use bytemuck::{Pod, Zeroable};

/// Documents are gathered into a block until it holds this many bytes.
const BLOCK_BYTES: usize = 16 << 10;
/// A block that claims more than this must not claim more than four times its stored length, so
/// that a small file cannot ask for a large allocation; the writer stores such a block as it is.
const FREE_BYTES: usize = 256 << 10;
const MAX_RATIO: usize = 4;
/// Level 3 of zstd: text at a third of its size, at hundreds of megabytes a second.
const LEVEL: i32 = 3;

/// One block of payloads.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct PayloadBlock {
    /// Where its bytes start in the data section.
    pub(crate) offset: u64,
    /// Stored length.
    pub(crate) stored: u32,
    /// Length when read; equal to `stored` where the block is not compressed.
    pub(crate) raw: u32,
    /// Its first document.
    pub(crate) first: u32,
    /// Zero.
    pub(crate) reserved: u32,
}

/// Payloads being gathered, in slot order.
#[derive(Debug, Default)]
pub(super) struct PayloadColumn {
    bytes: Vec<u8>,
    /// Start and end by slot; `None` where a document has no payload.
    ranges: Vec<Option<(usize, usize)>>,
}

impl PayloadColumn {
    pub(super) fn push(&mut self, payload: Option<&[u8]>) {
        self.ranges.push(payload.map(|payload| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(payload);
            (start, self.bytes.len())
        }));
    }

    /// Puts a payload, or none, in the place of the one that a slot has.
    pub(super) fn set(&mut self, slot: u32, payload: Option<&[u8]>) {
        let range = payload.map(|payload| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(payload);
            (start, self.bytes.len())
        });
        if let Some(place) = self.ranges.get_mut(slot as usize) {
            *place = range;
        }
    }

    fn get(&self, slot: u32) -> Option<&[u8]> {
        self.ranges[slot as usize].map(|(start, end)| &self.bytes[start..end])
    }

    /// Writes the payloads of `order`; nothing where no document has one.
    pub(super) fn write(
        &self,
        order: &[u32],
        place: &str,
        out: &mut ContainerWriter,
    ) -> Result<()> {
        if order.iter().all(|&slot| self.ranges[slot as usize].is_none()) {
            return Ok(());
        }
        let mut blocks = Blocks::begin(order.len(), place, out)?;
        for &slot in order {
            blocks.push(self.get(slot), out)?;
        }
        blocks.finish(out)
    }
}

/// Payloads on their way into a file, in the order of its documents.
struct Blocks<'a> {
    place: &'a str,
    present: Vec<u64>,
    ends: Vec<u32>,
    done: Vec<PayloadBlock>,
    raw: Vec<u8>,
    first: u32,
    offset: u64,
}

impl<'a> Blocks<'a> {
    fn begin(docs: usize, place: &'a str, out: &mut ContainerWriter) -> Result<Self> {
        out.begin(SectionKind::PAYLOAD_DATA, NO_FIELD, 1)?;
        Ok(Self {
            place,
            present: vec![0; docs.div_ceil(64)],
            ends: Vec::with_capacity(docs),
            done: Vec::new(),
            raw: Vec::with_capacity(BLOCK_BYTES * 2),
            first: 0,
            offset: 0,
        })
    }

    fn push(&mut self, payload: Option<&[u8]>, out: &mut ContainerWriter) -> Result<()> {
        let doc = self.ends.len();
        if let Some(payload) = payload {
            if !self.raw.is_empty() && self.raw.len() + payload.len() > BLOCK_BYTES {
                self.flush(out)?;
                self.first = u32::try_from(doc).unwrap_or(u32::MAX);
            }
            self.present[doc / 64] |= 1 << (doc % 64);
            self.raw.extend_from_slice(payload);
        }
        let end = u32::try_from(self.raw.len());
        self.ends.push(end.expect("a block is at most 16 MiB and 16 KiB"));
        Ok(())
    }

    fn flush(&mut self, out: &mut ContainerWriter) -> Result<()> {
        let block = flush(&mut self.raw, self.first, self.offset, self.place, out)?;
        self.offset += u64::from(block.stored);
        self.done.push(block);
        Ok(())
    }

    fn finish(mut self, out: &mut ContainerWriter) -> Result<()> {
        self.flush(out)?;
        out.end()?;
        out.section(SectionKind::PAYLOAD_BLOCKS, NO_FIELD, &self.done)?;
        out.section(SectionKind::PAYLOAD_ENDS, NO_FIELD, &self.ends)?;
        out.section(SectionKind::PAYLOAD_PRESENT, NO_FIELD, &self.present)
    }
}

/// Writes the payloads of what is live in verified segments, as one segment that was gathered of
/// the same documents would have them. Holds one block, and four bytes a document.
///
/// # Errors
/// `Corrupt` where a payload cannot be read; those of the file.
pub(super) fn merge(
    inputs: &[Option<&Payloads>],
    places: &Places,
    place: &str,
    out: &mut ContainerWriter,
) -> Result<()> {
    let has = |(input, doc): (usize, DocId)| inputs[input].is_some_and(|own| own.has(doc));
    if !places.each().any(has) {
        return Ok(());
    }
    let mut blocks = Blocks::begin(places.docs() as usize, place, out)?;
    let mut read: Option<(usize, usize, Cow<'_, [u8]>)> = None;
    for (input, doc) in places.each() {
        let Some(own) = inputs[input].filter(|own| own.has(doc)) else {
            blocks.push(None, out)?;
            continue;
        };
        let index = own.block_of(doc);
        if read.as_ref().is_none_or(|(of, block, _)| (*of, *block) != (input, index)) {
            read = Some((input, index, own.block(index)?));
        }
        let raw = read.as_ref().map_or(&[][..], |(_, _, raw)| raw);
        blocks.push(Some(own.within(index, doc, raw)?), out)?;
    }
    blocks.finish(out)
}

fn flush(
    raw: &mut Vec<u8>,
    first: u32,
    offset: u64,
    place: &str,
    out: &mut ContainerWriter,
) -> Result<PayloadBlock> {
    let compressed = zstd::bulk::compress(raw, LEVEL)
        .map_err(|e| Error::io("compress payloads of", place, e))?;
    let worth = compressed.len() < raw.len() && may_claim(raw.len(), compressed.len());
    let stored: &[u8] = if worth { &compressed } else { raw };
    out.write(stored)?;
    let length = |n: usize| u32::try_from(n).expect("a block is at most 16 MiB and 16 KiB");
    let block = PayloadBlock {
        offset,
        stored: length(stored.len()),
        raw: length(raw.len()),
        first,
        reserved: 0,
    };
    raw.clear();
    Ok(block)
}

fn may_claim(raw: usize, stored: usize) -> bool {
    raw <= FREE_BYTES || raw / MAX_RATIO <= stored
}

/// The payloads of a mapped segment.
#[derive(Debug)]
pub(crate) struct Payloads {
    blocks: Array<PayloadBlock>,
    ends: Array<u32>,
    present: Array<u64>,
    data: Section,
    directory: Section,
    /// Most bytes of a block, when read.
    most: u64,
}

impl Payloads {
    pub(super) fn open(container: &Container, docs: u32) -> Result<Option<Self>> {
        let Some(data) = container.find(SectionKind::PAYLOAD_DATA, NO_FIELD) else {
            return Ok(None);
        };
        let directory = container.section(SectionKind::PAYLOAD_BLOCKS, NO_FIELD)?;
        let docs = docs as usize;
        Ok(Some(Self {
            blocks: directory.array()?,
            ends: container.section(SectionKind::PAYLOAD_ENDS, NO_FIELD)?.array_of(docs)?,
            present: container
                .section(SectionKind::PAYLOAD_PRESENT, NO_FIELD)?
                .array_of(docs.div_ceil(64))?,
            data,
            directory,
            most: MAX_UNPACKED_BYTES as u64,
        }))
    }

    /// Blocks of more bytes are not read.
    pub(super) fn unpack_at_most(&mut self, bytes: u64) {
        self.most = bytes;
    }

    /// Whether a document has a payload.
    fn has(&self, doc: DocId) -> bool {
        self.present.get(doc as usize / 64).is_some_and(|word| word >> (doc % 64) & 1 == 1)
    }

    /// The block in which a document's payload lies.
    fn block_of(&self, doc: DocId) -> usize {
        self.blocks.partition_point(|block| block.first <= doc).saturating_sub(1)
    }

    /// A document's payload in its block as it was read.
    fn within<'a>(&self, index: usize, doc: DocId, raw: &'a [u8]) -> Result<&'a [u8]> {
        let at = doc as usize;
        let first = self.blocks.get(index).map_or(0, |block| block.first);
        let before = at.checked_sub(1).and_then(|before| self.ends.get(before));
        let start = if doc == first { Some(0) } else { before.copied() };
        let range = start.zip(self.ends.get(at).copied());
        range.and_then(|(start, end)| raw.get(start as usize..end as usize)).ok_or_else(|| {
            self.directory.corrupt(index as u64, format!("document {doc} is outside its block"))
        })
    }

    /// The payload of a document, decompressed.
    pub(crate) fn get(&self, doc: DocId) -> Result<Option<Vec<u8>>> {
        if !self.has(doc) {
            return Ok(None);
        }
        let index = self.block_of(doc);
        let raw = self.block(index)?;
        Ok(Some(self.within(index, doc, &raw)?.to_vec()))
    }

    fn block(&self, index: usize) -> Result<Cow<'_, [u8]>> {
        let corrupt = |what| self.directory.corrupt(index as u64, what);
        let block = *self.blocks.get(index).ok_or_else(|| corrupt("no such block"))?;
        let (stored, raw) = (block.stored as usize, block.raw as usize);
        let bytes = usize::try_from(block.offset)
            .ok()
            .and_then(|start| self.data.bytes().get(start..start.checked_add(stored)?))
            .ok_or_else(|| corrupt("a block beyond the data"))?;
        // Beyond what the format has room for is damage, whatever the limit.
        if raw <= MAX_UNPACKED_BYTES {
            let what = "bytes of a block of payloads";
            beyond(self.directory.file(), what, raw as u64, self.most)?;
        }
        if raw == stored {
            return Ok(bytes.into());
        }
        if raw > MAX_UNPACKED_BYTES || !may_claim(raw, stored) {
            return Err(corrupt("a block that claims too much"));
        }
        let out = zstd::bulk::decompress(bytes, raw).map_err(|_| corrupt("not a zstd frame"))?;
        if out.len() != raw {
            return Err(corrupt("a block of another length than it claims"));
        }
        Ok(out.into())
    }

    /// Checks what an open does not: blocks in order, each readable, ends in order.
    pub(super) fn verify(&self) -> Result<()> {
        let mut offset = 0u64;
        for (index, block) in self.blocks.iter().enumerate() {
            let corrupt = |what| self.directory.corrupt(index as u64, what);
            let raw = self.block(index)?.len();
            let next = self.blocks.get(index + 1).map_or(self.ends.len(), |b| b.first as usize);
            let first = block.first as usize;
            if block.offset != offset || (index == 0 && first != 0) || block.reserved != 0 {
                return Err(corrupt("blocks do not follow one another"));
            }
            let ends = self.ends.get(first..next).ok_or_else(|| corrupt("documents go back"))?;
            if ends.is_empty() {
                return Err(corrupt("a block of no document"));
            }
            let ascending = ends.windows(2).all(|pair| pair[0] <= pair[1]);
            if !ascending || ends.last().is_some_and(|&end| end as usize != raw) {
                return Err(corrupt("documents do not cover their block"));
            }
            offset += u64::from(block.stored);
        }
        if offset != self.data.bytes().len() as u64 {
            return Err(self.directory.corrupt(0, "blocks do not cover the data"));
        }
        Ok(())
    }
}
