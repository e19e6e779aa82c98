//! Commits that crash, fail and are cleaned up after.

mod crash;
mod faults;

use std::collections::BTreeMap;

use roaring::RoaringBitmap;

use super::*;
use crate::format::{
    ContainerKind, ContainerWriter, NO_FIELD, PackedStorage, SectionKind, segment_name, write_pack,
    write_tombstones,
};
use crate::index::manifest::{SegmentEntry, TombstonesEntry};
use crate::schema::Schema;
use crate::storage::{Bytes, FsStorage, MemStorage, OpenMode};

fn schema() -> Schema {
    let mut schema = Schema::builder();
    schema.sparse("s");
    schema.build().unwrap()
}

/// A segment file of some sections, which stands for one with documents in it.
fn write_segment(
    storage: &dyn Storage,
    generation: u64,
    ordinal: u64,
    docs: u32,
) -> Result<SegmentEntry> {
    let name = segment_name(ordinal);
    let file = storage.create_new(&name).map_err(|error| Error::io("create", &*name, error))?;
    let mut writer = ContainerWriter::create(file, name, ContainerKind::Segment)?;
    writer.section(SectionKind::SEGMENT_HEAD, NO_FIELD, &[ordinal, u64::from(docs)])?;
    let keys: Vec<u64> = (0..u64::from(docs)).map(|doc| doc * ordinal + generation).collect();
    writer.section(SectionKind::KEYS, NO_FIELD, &keys)?;
    let pin = writer.finish(generation, ordinal)?;
    Ok(SegmentEntry { ordinal, pin, docs, tombstones: None })
}

/// What one commit does, by its number: adds, deletes and merges in turn.
fn change(storage: &dyn Storage, next: &mut Manifest) -> Result<()> {
    let generation = next.generation;
    let docs = 20 + u32::try_from(generation * 37 % 150).unwrap();
    let mut ordinal = || {
        next.next_ordinal += 1;
        next.next_ordinal - 1
    };
    match generation % 4 {
        0 if next.segments.len() > 2 => {
            let merged = write_segment(storage, generation, ordinal(), docs)?;
            next.segments.splice(0..2, [merged]);
        }
        3 => {
            let ordinal = ordinal();
            if let Some(segment) = next.segments.first_mut() {
                let deleted: RoaringBitmap = (0..segment.docs).step_by(3).collect();
                let pin = write_tombstones(storage, generation, ordinal, &deleted)?;
                let deleted = u32::try_from(deleted.len()).unwrap();
                segment.tombstones = Some(TombstonesEntry { ordinal, pin, deleted });
            }
        }
        remainder => {
            for _ in 0..=remainder {
                next.segments.push(write_segment(storage, generation, ordinal(), docs)?);
            }
        }
    }
    Ok(())
}

/// A writer as simple as can be, with what it knows to be committed and what it tried.
struct Writer<'a> {
    storage: &'a dyn Storage,
    /// The newest two.
    committed: Vec<Manifest>,
    /// Every generation that publishing was tried with.
    tried: BTreeMap<u64, Manifest>,
}

impl<'a> Writer<'a> {
    /// Opens what is there, or begins anew, and takes out the garbage.
    fn open(storage: &'a dyn Storage) -> Result<Self> {
        let mut writer = Self { storage, committed: Vec::new(), tried: BTreeMap::new() };
        match newest(storage) {
            Ok(manifest) => {
                if let Ok(parent) = Manifest::read(storage, manifest.parent) {
                    writer.committed.push(parent);
                }
                writer.committed.push(manifest);
                collect_garbage(storage, &writer.committed, None);
            }
            Err(Error::NotAnIndex { .. }) => {
                let mut first = Manifest::first(schema());
                first.next_ordinal = free_ordinal(storage, &first)?;
                writer.publish(first)?;
            }
            Err(error) => return Err(error),
        }
        Ok(writer)
    }

    fn publish(&mut self, manifest: Manifest) -> Result<()> {
        self.tried.insert(manifest.generation, manifest.clone());
        publish(self.storage, &manifest)?;
        self.committed.push(manifest);
        if self.committed.len() > 2 {
            self.committed.remove(0);
        }
        Ok(())
    }

    /// The files of the newest two generations, ascending: what should be there, and no other.
    fn expected(&self) -> Vec<String> {
        let mut names: Vec<String> = self.committed.iter().flat_map(Manifest::files).collect();
        names.sort();
        names.dedup();
        names
    }

    fn commit(&mut self) -> Result<u64> {
        let mut next = self.committed.last().unwrap().clone();
        next.next_ordinal = free_ordinal(self.storage, &next)?;
        next.parent = next.generation;
        next.generation += 1;
        change(self.storage, &mut next)?;
        let generation = next.generation;
        self.publish(next)?;
        collect_garbage(self.storage, &self.committed, None);
        Ok(generation)
    }
}

/// Every file that a generation reaches is there, is the one meant, and is whole.
fn check(storage: &dyn Storage, manifest: &Manifest) -> Result<()> {
    for segment in &manifest.segments {
        segment.open(storage)?.verify()?;
        segment.deleted(storage)?;
    }
    Ok(())
}

#[test]
fn a_place_without_a_manifest_is_no_index() {
    let storage = MemStorage::new();
    assert!(matches!(newest(&storage), Err(Error::NotAnIndex { .. })));
    storage.put("manifest-0000000000000001.tmp", b"");
    storage.put("manifest-1", b"");
    storage.put("README", b"");
    assert!(matches!(newest(&storage), Err(Error::NotAnIndex { .. })));
    let absent = FsStorage::new("/nowhere/at/all", OpenMode::Map);
    assert!(matches!(newest(&absent), Err(Error::NotAnIndex { .. })));
}

#[test]
fn a_damaged_newest_manifest_is_never_passed_over() {
    let storage = MemStorage::new();
    let mut writer = Writer::open(&storage).unwrap();
    writer.commit().unwrap();
    for damage in [&b""[..], b"\x89LATEEN\n", b"x", &[0; 4096]] {
        storage.put("manifest-0000000000000003", damage);
        assert!(newest(&storage).is_err());
    }
    storage.remove("manifest-0000000000000003").unwrap();
    assert_eq!(newest(&storage).unwrap().generation, 2);
}

#[test]
fn a_manifest_under_another_generations_name_is_refused() {
    let storage = MemStorage::new();
    let mut writer = Writer::open(&storage).unwrap();
    writer.commit().unwrap();
    storage.rename("manifest-0000000000000002", "manifest-0000000000000009").unwrap();
    assert!(matches!(newest(&storage), Err(Error::Corrupt(_))));
}

#[test]
fn publishing_never_replaces_a_generation() {
    let storage = MemStorage::new();
    let writer = Writer::open(&storage).unwrap();
    let first = writer.committed[0].clone();
    let before = storage.open(&first.file()).unwrap().as_slice().to_vec();
    assert!(matches!(publish(&storage, &first), Err(Error::Io { .. })));
    assert_eq!(storage.open(&first.file()).unwrap().as_slice(), before);
    assert_eq!(storage.list().unwrap(), [first.file()], "nothing temporary is left");
}

/// What an earlier attempt left is removed, or the error says that it could not be.
#[test]
fn what_is_left_under_the_temporary_name_goes_first() {
    let storage = MemStorage::refusing_in_use();
    let first = Writer::open(&storage).unwrap().committed[0].clone();
    let next = Manifest { generation: first.generation + 1, parent: first.generation, ..first };
    let temporary = manifest_temporary(next.generation);
    storage.put(&temporary, b"left by a crash");
    let held = storage.open(&temporary).unwrap();
    let refused = publish(&storage, &next).unwrap_err();
    assert!(matches!(refused, Error::Io { op: "remove", .. }), "{refused}");
    drop(held);
    publish(&storage, &next).unwrap();
    assert_eq!(newest(&storage).unwrap(), next);
}

#[test]
fn garbage_is_what_the_newest_two_do_not_name() {
    for storage in [MemStorage::new(), MemStorage::refusing_in_use()] {
        let foreign = ["LOCK", "notes.txt", "seg-1.seg", "manifest-old"];
        for name in foreign {
            storage.put(name, b"theirs");
        }
        storage.put(&segment_name(0xFFFF), b"left by a crash");
        storage.put(&manifest_temporary(77), b"left by a crash");
        let mut writer = Writer::open(&storage).unwrap();
        for _ in 0..20 {
            writer.commit().unwrap();
            let mut expected = writer.expected();
            expected.extend(foreign.map(str::to_owned));
            expected.sort();
            assert_eq!(storage.list().unwrap(), expected);
        }
        assert!(writer.committed[1].next_ordinal > 0xFFFF, "names of leftovers are not used again");
    }
}

#[test]
fn what_is_in_use_is_removed_later() {
    let storage = MemStorage::refusing_in_use();
    let mut writer = Writer::open(&storage).unwrap();
    (0..4).for_each(|_| _ = writer.commit().unwrap());
    let manifest = newest(&storage).unwrap();
    let held: Vec<Bytes> =
        manifest.files().iter().map(|name| storage.open(name).unwrap()).collect();
    for _ in 0..12 {
        writer.commit().unwrap();
        check(&storage, &manifest).unwrap();
    }
    assert!(manifest.files().iter().all(|name| storage.open(name).is_ok()));
    drop(held);
    writer.commit().unwrap();
    assert!(storage.open(&manifest.file()).is_err());
}

#[test]
fn files_of_a_generation_unknown_to_the_caller_stay() {
    let storage = MemStorage::new();
    let mut writer = Writer::open(&storage).unwrap();
    (0..6).for_each(|_| _ = writer.commit().unwrap());
    let before = storage.list().unwrap();
    collect_garbage(&storage, &[Manifest::first(schema())], None);
    collect_garbage(&storage, &[], None);
    assert_eq!(storage.list().unwrap(), before);
}

#[test]
fn a_packed_generation_is_the_same_index() {
    let storage = MemStorage::new();
    let mut writer = Writer::open(&storage).unwrap();
    (0..10).for_each(|_| _ = writer.commit().unwrap());
    let manifest = newest(&storage).unwrap();
    assert!(manifest.segments.iter().any(|segment| segment.tombstones.is_some()));

    let open = |name: String| (name.clone(), storage.open(&name).unwrap());
    let files: Vec<_> = manifest.files().into_iter().map(open).collect();
    let out = MemStorage::new();
    let file = out.create_new("index.pack").unwrap();
    write_pack(&files, manifest.generation, file, "index.pack".to_owned()).unwrap();
    let packed = PackedStorage::open(out.open("index.pack").unwrap(), "index.pack").unwrap();
    packed.verify().unwrap();
    assert_eq!(newest(&packed).unwrap(), manifest);
    check(&packed, &manifest).unwrap();
}

#[test]
fn the_file_system_keeps_what_was_committed() {
    for mode in [OpenMode::Map, OpenMode::Heap] {
        let dir = tempfile::tempdir().unwrap();
        let storage = FsStorage::new(dir.path(), mode);
        for round in 0..3 {
            let mut writer = Writer::open(&storage).unwrap();
            for _ in 0..5 {
                writer.commit().unwrap();
            }
            let manifest = newest(&storage).unwrap();
            assert_eq!(manifest.generation, 6 + 5 * round);
            check(&storage, &manifest).unwrap();
        }
    }
}
