//! Payloads: opaque bytes per document, in blocks compressed with zstd.

use crate::error::{Error, Result};
use crate::format::{Array, Container, ContainerWriter, NO_FIELD, Section, SectionKind};
use crate::id::DocId;
use crate::limits::MAX_PAYLOAD_BYTES;
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
        let mut present = vec![0u64; order.len().div_ceil(64)];
        let mut ends = Vec::with_capacity(order.len());
        let mut blocks: Vec<PayloadBlock> = Vec::new();
        let mut raw = Vec::with_capacity(BLOCK_BYTES * 2);
        let mut first = 0u32;
        let mut offset = 0u64;
        out.begin(SectionKind::PAYLOAD_DATA, NO_FIELD, 1)?;
        for (doc, &slot) in (0u32..).zip(order) {
            if let Some(payload) = self.get(slot) {
                if !raw.is_empty() && raw.len() + payload.len() > BLOCK_BYTES {
                    let block = flush(&mut raw, first, offset, place, out)?;
                    offset += u64::from(block.stored);
                    blocks.push(block);
                    first = doc;
                }
                present[doc as usize / 64] |= 1 << (doc % 64);
                raw.extend_from_slice(payload);
            }
            ends.push(u32::try_from(raw.len()).expect("a block is at most 16 MiB and 16 KiB"));
        }
        blocks.push(flush(&mut raw, first, offset, place, out)?);
        out.end()?;
        out.section(SectionKind::PAYLOAD_BLOCKS, NO_FIELD, &blocks)?;
        out.section(SectionKind::PAYLOAD_ENDS, NO_FIELD, &ends)?;
        out.section(SectionKind::PAYLOAD_PRESENT, NO_FIELD, &present)
    }
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
        }))
    }

    /// The payload of a document, decompressed.
    pub(crate) fn get(&self, doc: DocId) -> Result<Option<Vec<u8>>> {
        let at = doc as usize;
        if self.present.get(at / 64).is_none_or(|word| word >> (at % 64) & 1 == 0) {
            return Ok(None);
        }
        let index = self.blocks.partition_point(|block| block.first <= doc).saturating_sub(1);
        let raw = self.block(index)?;
        let first = self.blocks.get(index).map_or(0, |block| block.first);
        let before = at.checked_sub(1).and_then(|before| self.ends.get(before));
        let start = if doc == first { Some(0) } else { before.copied() };
        let range = start.zip(self.ends.get(at).copied());
        range
            .and_then(|(start, end)| raw.get(start as usize..end as usize))
            .map(|payload| Some(payload.to_vec()))
            .ok_or_else(|| {
                self.directory.corrupt(index as u64, format!("document {doc} is outside its block"))
            })
    }

    fn block(&self, index: usize) -> Result<std::borrow::Cow<'_, [u8]>> {
        let corrupt = |what| self.directory.corrupt(index as u64, what);
        let block = *self.blocks.get(index).ok_or_else(|| corrupt("no such block"))?;
        let (stored, raw) = (block.stored as usize, block.raw as usize);
        let bytes = usize::try_from(block.offset)
            .ok()
            .and_then(|start| self.data.bytes().get(start..start.checked_add(stored)?))
            .ok_or_else(|| corrupt("a block beyond the data"))?;
        if raw == stored {
            return Ok(bytes.into());
        }
        if raw > MAX_PAYLOAD_BYTES + BLOCK_BYTES || !may_claim(raw, stored) {
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
