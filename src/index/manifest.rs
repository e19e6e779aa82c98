//! The manifest: what a generation of an index consists of, each file pinned.

use std::collections::BTreeMap;
use std::io;

use bytemuck::{Pod, Zeroable};
use roaring::RoaringBitmap;

use crate::error::{Error, Result};
use crate::format::{
    Container, ContainerKind, ContainerWriter, NO_FIELD, Pin, Section, SectionKind, corrupt,
    decode_schema, encode_schema, manifest_name, read_tombstones, schema_hash, segment_name,
    tombstones_name,
};
use crate::index::vocabulary::Vocabulary;
use crate::limits::{Limits, MAX_SEGMENT_DOCS, MAX_SEGMENTS, beyond};
use crate::schema::{FieldKind, Schema};
use crate::storage::Storage;

/// One generation of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Counted from 1; each commit adds one.
    pub(crate) generation: u64,
    /// The generation it was made from; 0 for none.
    pub(crate) parent: u64,
    /// The sequence number of the last change that it holds.
    pub(crate) sequence: u64,
    /// The schema: that of the parent, with fields added to it at most.
    pub(crate) schema: Schema,
    /// The first file ordinal not used yet; counted from 1.
    pub(crate) next_ordinal: u64,
    /// The segments, in the order in which they are searched.
    pub(crate) segments: Vec<SegmentEntry>,
    /// The vocabularies of sparse fields, by the fields' ordinals.
    pub(crate) vocabularies: BTreeMap<u32, Vocabulary>,
}

/// A segment of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    /// Names the file: see [`segment_name`].
    pub(crate) ordinal: u64,
    /// The file itself.
    pub(crate) pin: Pin,
    /// Documents in it, deleted ones included; at least one.
    pub(crate) docs: u32,
    /// Which of them are deleted, if any are.
    pub(crate) tombstones: Option<TombstonesEntry>,
}

/// The tombstones file of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TombstonesEntry {
    /// Names the file: see [`tombstones_name`].
    pub(crate) ordinal: u64,
    /// The file itself.
    pub(crate) pin: Pin,
    /// How many documents it names; at least one.
    pub(crate) deleted: u32,
}

impl SegmentEntry {
    /// Documents that are not deleted.
    pub(crate) fn live(&self) -> u32 {
        self.docs.saturating_sub(self.tombstones.map_or(0, |tombstones| tombstones.deleted))
    }

    /// The name of the segment's file.
    pub(crate) fn file(&self) -> String {
        segment_name(self.ordinal)
    }

    /// The segment's file, opened as the one that was pinned.
    ///
    /// # Errors
    /// `Corrupt` where it is not there: a later commit has removed it, and the caller must look
    /// for that, or it is lost. Else `Io`, or as [`Container::open`].
    pub(crate) fn open(&self, storage: &dyn Storage) -> Result<Container> {
        let name = self.file();
        let bytes = storage.open_parts(&name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                corrupt(&name, "file", 0, "named by the manifest, but not there")
            }
            _ => Error::opening(format!("{}/{name}", storage.place()), error),
        })?;
        Container::open(bytes, &name, ContainerKind::Segment, Some(&self.pin))
    }

    /// The segment's deleted documents; none where it has no tombstones file.
    ///
    /// # Errors
    /// As [`read_tombstones`]; `Corrupt` where there are not as many as the manifest says.
    pub(crate) fn deleted(&self, storage: &dyn Storage) -> Result<RoaringBitmap> {
        let Some(entry) = &self.tombstones else { return Ok(RoaringBitmap::new()) };
        let deleted = read_tombstones(storage, entry.ordinal, &entry.pin, self.docs)?;
        if deleted.len() == u64::from(entry.deleted) {
            return Ok(deleted);
        }
        let what = format!("{} documents, the manifest says {}", deleted.len(), entry.deleted);
        Err(corrupt(&tombstones_name(entry.ordinal), "TOMBSTONES", 0, what))
    }
}

/// The section `MANIFEST_HEAD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct ManifestHead {
    /// This generation.
    pub(crate) generation: u64,
    /// The generation it was made from; 0 for none.
    pub(crate) parent: u64,
    /// xxh3-64 of the section `SCHEMA`.
    pub(crate) schema_hash: u64,
    /// The first file ordinal not used yet.
    pub(crate) next_ordinal: u64,
    /// Documents that are not deleted, over all segments.
    pub(crate) live_docs: u64,
    /// Documents, over all segments.
    pub(crate) total_docs: u64,
    /// The sequence number of the last change that it holds.
    pub(crate) sequence: u64,
}

/// One element of the section `SEGMENTS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct SegmentRecord {
    /// Ordinal of the segment file.
    pub(crate) ordinal: u64,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// Its footer's checksum.
    pub(crate) footer: u64,
    /// Its id.
    pub(crate) file_id: [u8; 16],
    /// Documents in it.
    pub(crate) docs: u32,
    /// Deleted ones among them; 0 exactly where there is no tombstones file.
    pub(crate) deleted: u32,
    /// Ordinal of the tombstones file; 0 for none, and then all that follows is 0.
    pub(crate) tombstones_ordinal: u64,
    /// Its length in bytes.
    pub(crate) tombstones_len: u64,
    /// Its footer's checksum.
    pub(crate) tombstones_footer: u64,
    /// Its id.
    pub(crate) tombstones_id: [u8; 16],
}

const _: () = {
    assert!(size_of::<ManifestHead>() == 56);
    assert!(size_of::<SegmentRecord>() == 88);
};

impl From<&SegmentEntry> for SegmentRecord {
    fn from(entry: &SegmentEntry) -> Self {
        let mut record = Self {
            ordinal: entry.ordinal,
            len: entry.pin.len,
            footer: entry.pin.footer,
            file_id: entry.pin.file_id,
            docs: entry.docs,
            ..Self::zeroed()
        };
        if let Some(tombstones) = &entry.tombstones {
            record.deleted = tombstones.deleted;
            record.tombstones_ordinal = tombstones.ordinal;
            record.tombstones_len = tombstones.pin.len;
            record.tombstones_footer = tombstones.pin.footer;
            record.tombstones_id = tombstones.pin.file_id;
        }
        record
    }
}

impl Manifest {
    /// The first generation of a new index.
    pub(crate) fn first(schema: Schema) -> Self {
        Self {
            generation: 1,
            parent: 0,
            sequence: 0,
            schema,
            next_ordinal: 1,
            segments: Vec::new(),
            vocabularies: BTreeMap::new(),
        }
    }

    /// The manifest's own file.
    pub(crate) fn file(&self) -> String {
        manifest_name(self.generation)
    }

    /// Checks every word of every vocabulary, which opening does not.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn verify_vocabularies(&self) -> Result<()> {
        self.vocabularies.values().try_for_each(|words| words.verify(&self.file()))
    }

    /// Every file of this generation: the manifest, then each segment and its tombstones.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names = vec![self.file()];
        for segment in &self.segments {
            names.push(segment.file());
            names.extend(segment.tombstones.map(|entry| tombstones_name(entry.ordinal)));
        }
        names
    }

    /// Documents that are not deleted.
    pub(crate) fn live_docs(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.live())).sum()
    }

    /// Documents, deleted ones included.
    pub(crate) fn total_docs(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.docs)).sum()
    }

    /// Writes the manifest into a new file and syncs it; the name is not durable yet.
    ///
    /// # Errors
    /// `Io`
    pub(crate) fn write(&self, storage: &dyn Storage, name: &str) -> Result<Pin> {
        // Nobody could open what would be acknowledged with it.
        if beyond_count(&[self.generation, self.next_ordinal, self.sequence]) {
            return Err(corrupt(&self.file(), "MANIFEST_HEAD", 0, TOO_FAR));
        }
        let place = format!("{}/{name}", storage.place());
        let file = storage.create_new(name).map_err(|error| Error::io("create", &*place, error))?;
        let mut writer = ContainerWriter::create(file, place, ContainerKind::Manifest)?;
        let head = ManifestHead {
            generation: self.generation,
            parent: self.parent,
            schema_hash: schema_hash(&self.schema),
            next_ordinal: self.next_ordinal,
            live_docs: self.live_docs(),
            total_docs: self.total_docs(),
            sequence: self.sequence,
        };
        writer.section(SectionKind::MANIFEST_HEAD, NO_FIELD, &[head])?;
        writer.section(SectionKind::SCHEMA, NO_FIELD, &encode_schema(&self.schema))?;
        let records: Vec<SegmentRecord> = self.segments.iter().map(Into::into).collect();
        writer.section(SectionKind::SEGMENTS, NO_FIELD, &records)?;
        for (&field, vocabulary) in &self.vocabularies {
            writer.section(SectionKind::VOCABULARY, field, vocabulary.bytes())?;
        }
        writer.finish(self.generation, 0)
    }

    /// Checks what it says of the index against limits, before any other file is opened.
    ///
    /// # Errors
    /// `Limit` for the first that is passed.
    pub(crate) fn within(&self, limits: &Limits) -> Result<()> {
        let file = self.file();
        beyond(&file, "segments", self.segments.len() as u64, limits.segments)?;
        beyond(&file, "documents", self.total_docs(), limits.documents)?;
        within(&self.schema, limits)?;
        for segment in &self.segments {
            beyond(&segment.file(), "bytes", segment.pin.len, limits.file_bytes)?;
            if let Some(entry) = &segment.tombstones {
                let file = tombstones_name(entry.ordinal);
                beyond(&file, "bytes", entry.pin.len, limits.file_bytes)?;
            }
        }
        Ok(())
    }

    /// Reads the manifest of a generation, and checks all of it.
    ///
    /// # Errors
    /// As [`Container::open`]; `Corrupt` for anything [`write`](Self::write) would not have
    /// written; `Io`.
    pub(crate) fn read(storage: &dyn Storage, generation: u64) -> Result<Self> {
        Self::read_within(storage, generation, &Limits::default())
    }

    /// The same, and checks it and what it says of the index against limits.
    ///
    /// # Errors
    /// `Limit` for the first that is passed; else as [`read`](Self::read).
    pub(crate) fn read_within(
        storage: &dyn Storage,
        generation: u64,
        limits: &Limits,
    ) -> Result<Self> {
        Self::of(&Self::open(storage, generation)?, generation, limits)
    }

    /// The file of a generation's manifest, of which nothing but the structure is checked. Its pin
    /// tells it from every other, one of another index with the same number included.
    ///
    /// # Errors
    /// As [`Container::open`]; `Io`.
    pub(crate) fn open(storage: &dyn Storage, generation: u64) -> Result<Container> {
        let name = manifest_name(generation);
        let place = |error| Error::opening(format!("{}/{name}", storage.place()), error);
        let bytes = storage.open(&name).map_err(place)?;
        Container::open(bytes, &name, ContainerKind::Manifest, None)
    }

    /// The manifest of a generation, from its file.
    ///
    /// # Errors
    /// As [`read_within`](Self::read_within).
    pub(crate) fn of(file: &Container, generation: u64, limits: &Limits) -> Result<Self> {
        let name = manifest_name(generation);
        beyond(&name, "bytes", file.bytes().len() as u64, limits.file_bytes)?;
        let manifest = Self::parse(file)?;
        manifest.within(limits)?;
        if manifest.generation != generation {
            let what = format!("generation {} under this name", manifest.generation);
            return Err(corrupt(&name, "MANIFEST_HEAD", 0, what));
        }
        Ok(manifest)
    }

    /// Reads a manifest, and checks all of it, from a file that was just opened.
    pub(crate) fn parse(container: &Container) -> Result<Self> {
        container.verify_sections()?;
        let head_section = container.section(SectionKind::MANIFEST_HEAD, NO_FIELD)?;
        let head: ManifestHead = head_section.one()?;
        if head.generation == 0 || head.parent >= head.generation {
            let what = format!("generation {} made from {}", head.generation, head.parent);
            return Err(head_section.corrupt(0, what));
        }
        if beyond_count(&[head.generation, head.next_ordinal, head.sequence]) {
            return Err(head_section.corrupt(0, TOO_FAR));
        }
        let schema_section = container.section(SectionKind::SCHEMA, NO_FIELD)?;
        let schema = decode_schema(schema_section.cursor())?;
        if schema_hash(&schema) != head.schema_hash {
            return Err(head_section.corrupt(16, "hash of another schema"));
        }
        let segments = segments(container, &head)?;
        let vocabularies = vocabularies(container, &schema)?;
        let (generation, parent, next_ordinal) = (head.generation, head.parent, head.next_ordinal);
        let sequence = head.sequence;
        let manifest =
            Self { generation, parent, sequence, schema, next_ordinal, segments, vocabularies };
        if (head.live_docs, head.total_docs) != (manifest.live_docs(), manifest.total_docs()) {
            return Err(head_section.corrupt(32, "its documents are not those of its segments"));
        }
        Ok(manifest)
    }
}

/// What is said of a manifest whose numbers are [beyond](beyond_count) what is counted.
const TOO_FAR: &str = "numbers that nobody has counted up to";

/// Whether a generation, an ordinal or a sequence number is larger than what is counted up to, one at a
/// time: no manifest with such a number is read, and none is written.
fn beyond_count(numbers: &[u64]) -> bool {
    numbers.iter().any(|&number| number > 1 << 62)
}

/// Checks a schema against limits.
///
/// # Errors
/// `Limit` for the first that is passed.
pub(crate) fn within(schema: &Schema, limits: &Limits) -> Result<()> {
    beyond("schema", "fields", schema.fields().len() as u64, limits.fields)?;
    for field in schema.fields() {
        if let FieldKind::Tokens(options) = &field.kind {
            beyond(&field.name, "components of a row", options.dim as u64, limits.dim)?;
        }
    }
    Ok(())
}

/// The vocabularies that there are, each of a sparse field.
fn vocabularies(container: &Container, schema: &Schema) -> Result<BTreeMap<u32, Vocabulary>> {
    let mut vocabularies = BTreeMap::new();
    for (field, def) in (0u32..).zip(schema.fields()) {
        let Some(section) = container.find(SectionKind::VOCABULARY, field) else { continue };
        if !matches!(def.kind, FieldKind::Sparse(_)) {
            return Err(section.corrupt(0, "of a field that is not sparse"));
        }
        vocabularies.insert(field, Vocabulary::open(&section)?);
    }
    Ok(vocabularies)
}

fn segments(container: &Container, head: &ManifestHead) -> Result<Vec<SegmentEntry>> {
    let section = container.section(SectionKind::SEGMENTS, NO_FIELD)?;
    let records = section.array::<SegmentRecord>()?;
    if records.len() > MAX_SEGMENTS {
        return Err(section.corrupt(0, format!("{} segments", records.len())));
    }
    let mut segments = Vec::with_capacity(records.len());
    let mut ordinals = Vec::new();
    for (i, record) in records.iter().enumerate() {
        segments.push(segment(record).map_err(|what| section.corrupt_element(i, what))?);
        ordinals.push(record.ordinal);
        ordinals.extend((record.tombstones_ordinal > 0).then_some(record.tombstones_ordinal));
    }
    ordinals.sort_unstable();
    check_ordinals(&section, &ordinals, head.next_ordinal)?;
    Ok(segments)
}

/// Ordinals are given out once, to segments and tombstones alike.
fn check_ordinals(section: &Section, ascending: &[u64], next: u64) -> Result<()> {
    if let Some(last) = ascending.last().filter(|last| **last >= next) {
        return Err(section.corrupt(0, format!("ordinal {last}, the next free one is {next}")));
    }
    if let Some((twice, _)) = ascending.iter().zip(ascending.iter().skip(1)).find(|(a, b)| a == b) {
        return Err(section.corrupt(0, format!("ordinal {twice} twice")));
    }
    Ok(())
}

fn segment(record: &SegmentRecord) -> Result<SegmentEntry, &'static str> {
    if record.ordinal == 0 {
        return Err("ordinal 0");
    }
    if record.docs == 0 || record.docs > MAX_SEGMENT_DOCS {
        return Err("its number of documents is out of range");
    }
    if record.deleted > record.docs {
        return Err("more documents deleted than there are");
    }
    let tombstones = (record.tombstones_ordinal > 0).then_some(TombstonesEntry {
        ordinal: record.tombstones_ordinal,
        pin: Pin {
            len: record.tombstones_len,
            footer: record.tombstones_footer,
            file_id: record.tombstones_id,
        },
        deleted: record.deleted,
    });
    let entry = SegmentEntry {
        ordinal: record.ordinal,
        pin: Pin { len: record.len, footer: record.footer, file_id: record.file_id },
        docs: record.docs,
        tombstones,
    };
    if (record.deleted == 0) != tombstones.is_none() || SegmentRecord::from(&entry) != *record {
        return Err("tombstones without deleted documents, or the reverse");
    }
    Ok(entry)
}

#[cfg(test)]
mod tests;
