//! Several segments become one: the live documents of each, in order, and nothing else.
//!
//! What is stored is taken over as it is stored (keys, values, payloads, weights, codes with their
//! scales), so a document's scores stay what they were, bit for bit. What is derived (dictionaries,
//! postings) is made anew, but for centroids, which are kept while they serve. But for these the file
//! is the one that the same documents would have given had they been gathered together; it depends
//! on nothing but the inputs and their order.

use crate::error::{Error, Result};
use crate::format::{ContainerKind, ContainerWriter, NO_FIELD, Pin, SectionKind};
use crate::id::DocId;
use crate::schema::{FieldKind, Schema};
use crate::segment::places::Places;
use crate::segment::{SegmentHead, SegmentView, attributes, keys, payloads};
use crate::shared::{Flag, Steps};
use crate::sparse::{self, MergePart};
use crate::storage::Storage;
use crate::tokens::{Packing, TokenRows, TokenSource, TokenStore, write_tokens};

/// A merge that goes on: how far it is, and whether it is still wanted. Shared between who merges
/// and who watches.
#[derive(Debug, Default)]
pub(crate) struct Merging {
    steps: Steps,
    cancelled: Flag,
}

impl Merging {
    /// Steps done, and steps in all: one for each document of each part.
    pub(crate) fn progress(&self) -> (u64, u64) {
        self.steps.seen()
    }

    /// Asks for it to end soon, with an error.
    pub(crate) fn cancel(&self) {
        self.cancelled.raise();
    }

    fn wanted(&self) -> Result<()> {
        if self.cancelled.is_raised() {
            let cause = std::io::Error::new(std::io::ErrorKind::Interrupted, "no longer wanted");
            return Err(Error::io("merge", "segments", cause));
        }
        Ok(())
    }

    fn step(&self, count: u32) -> Result<()> {
        self.steps.advance(count.into());
        self.wanted()
    }
}

/// Where a merged segment goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    pub(crate) storage: &'a dyn Storage,
    pub(crate) name: &'a str,
    pub(crate) generation: u64,
    pub(crate) ordinal: u64,
    /// Bytes to turn sparse vectors over in: what is written does not depend on it.
    pub(crate) memory: usize,
    /// When token rows are packed.
    pub(crate) packing: Packing,
}

/// Writes what is live in `inputs`, which the schema reads, as one segment. Every byte of every
/// input is checked before one is taken over: damage must not get new checksums. `threads` changes
/// the time, never the bytes. A file that could not be completed is removed again.
///
/// # Errors
/// `Corrupt` for damage in an input; `Io`, also where it was cancelled.
pub(crate) fn merge(
    inputs: &[SegmentView],
    schema: &Schema,
    target: Target<'_>,
    threads: usize,
    merging: &Merging,
) -> Result<(Pin, Places)> {
    let places = Places::new(inputs);
    let held: u32 = inputs.iter().map(|view| view.segment.docs()).sum();
    let parts = schema.fields().len() as u64 + 2;
    merging.steps.expect(u64::from(held) + parts * u64::from(places.docs()));
    for view in inputs {
        merging.wanted()?;
        view.segment.verify()?;
        merging.step(view.segment.docs())?;
    }
    let Target { storage, name, generation, ordinal, memory, packing } = target;
    let file = storage
        .create_new(name)
        .map_err(|e| Error::io("create", format!("{}/{name}", storage.place()), e))?;
    let written = ContainerWriter::create(file, name.to_owned(), ContainerKind::Segment).and_then(
        |mut out| {
            let job = Job { inputs, schema, places: &places, threads, memory, packing, merging };
            job.write(name, &mut out)?;
            out.finish(generation, ordinal)
        },
    );
    if written.is_err() {
        let _ = storage.remove(name);
    }
    Ok((written?, places))
}

struct Job<'a> {
    inputs: &'a [SegmentView],
    schema: &'a Schema,
    places: &'a Places,
    threads: usize,
    memory: usize,
    packing: Packing,
    merging: &'a Merging,
}

impl Job<'_> {
    fn write(&self, name: &str, out: &mut ContainerWriter) -> Result<()> {
        let docs = self.places.docs();
        let head = SegmentHead::new(self.schema, docs);
        out.section(SectionKind::SEGMENT_HEAD, NO_FIELD, &[head])?;
        let tables: Vec<_> = self.inputs.iter().map(|view| view.segment.keys()).collect();
        keys::merge::merge(&tables, self.places, out)?;
        self.merging.step(docs)?;
        for ((at, field), def) in (0..).zip(0u32..).zip(self.schema.fields()) {
            match &def.kind {
                FieldKind::Sparse(options) => {
                    let parts: Vec<_> =
                        self.inputs.iter().map(|view| sparse_part(view, at)).collect();
                    let wanted = || self.merging.wanted();
                    let how = (self.threads, self.memory);
                    sparse::merge(&parts, options, field, how, &wanted, out)?;
                }
                FieldKind::Tokens(options) => {
                    let stores = self.inputs.iter().map(|view| view.segment.tokens(at)).collect();
                    let source = Stored { job: self, stores };
                    let how = (self.threads, self.packing);
                    write_tokens(&source, options, field, how, out)?;
                }
                kind => {
                    let tables: Vec<_> =
                        self.inputs.iter().map(|view| view.segment.attribute(at)).collect();
                    let keyword = matches!(kind, FieldKind::Keyword);
                    attributes::merge::merge(&tables, keyword, self.places, field, out)?;
                }
            }
            self.merging.step(docs)?;
        }
        let own: Vec<_> = self.inputs.iter().map(|view| view.segment.payloads()).collect();
        payloads::merge(&own, self.places, name, out)?;
        self.merging.step(docs)
    }
}

/// What is live of a sparse field.
fn sparse_part(view: &SegmentView, at: usize) -> MergePart<'_> {
    let (docs, alive) = (view.segment.docs(), view.alive.as_deref());
    MergePart { index: view.segment.sparse(at), docs, alive }
}

/// Token rows as they are stored.
struct Stored<'a> {
    job: &'a Job<'a>,
    stores: Vec<Option<&'a TokenStore>>,
}

impl TokenSource for Stored<'_> {
    fn docs(&self) -> usize {
        self.job.places.docs() as usize
    }

    fn rows(&self, doc: usize) -> Result<Option<TokenRows<'_>>> {
        if doc.is_multiple_of(256) {
            self.job.merging.wanted()?;
        }
        let place = DocId::try_from(doc).ok().and_then(|doc| self.job.places.source(doc));
        let Some((input, doc)) = place else { return Ok(None) };
        self.stores.get(input).copied().flatten().map_or(Ok(None), |store| store.stored(doc))
    }

    fn inputs(&self) -> &[Option<&TokenStore>] {
        &self.stores
    }

    fn origin(&self, doc: usize) -> Option<(usize, DocId)> {
        self.job.places.source(DocId::try_from(doc).ok()?)
    }
}
