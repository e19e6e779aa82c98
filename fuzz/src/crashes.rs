//! Any sequence of changes on a disk that crashes at any moment, with any of the effects that were
//! not synced: what was acknowledged is there, and what is there is a state that was committed.

use std::collections::BTreeMap;

use lateen::simulation::Disk;
use lateen::{Document, Index, IndexWriter, KeyKind, Merges, Schema, WriterOptions};

use super::choices::Choices;

/// Weights by key.
type Content = BTreeMap<u64, f32>;

fn schema() -> Schema {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    schema.sparse("sparse");
    schema.build().expect("a valid schema")
}

fn options(merges: Merges) -> WriterOptions {
    IndexWriter::options().merges(merges)
}

fn put(writer: &mut IndexWriter, key: u64, weight: f32) {
    let field = writer.schema().sparse("sparse").expect("the schema has it");
    let terms = [(1u32, weight), (2 + u32::from(key.is_multiple_of(3)), 1.0)];
    let document = Document::new(key).sparse(&field, &terms).expect("a valid vector");
    let document = document.payload(weight.to_le_bytes().to_vec());
    writer.upsert(&document).expect("the disk works until it crashes");
}

/// Everything in an index, read and checked.
fn content(index: &Index) -> Content {
    index.verify().expect("no torn file is reached");
    let field = index.schema().sparse("sparse").expect("the schema has it");
    let read = |document: lateen::Result<lateen::StoredDocument>| {
        let document = document.expect("readable");
        let vector = document.sparse(&field).expect("readable").expect("it has one");
        let payload = document.payload().expect("readable").expect("it has one");
        assert_eq!(payload, vector[0].1.to_le_bytes());
        (document.key().as_u64().expect("keys are numbers"), vector[0].1)
    };
    index.snapshot().documents().map(read).collect()
}

/// The moment of the crash comes first, then how the work goes.
pub fn crashes(data: &[u8]) {
    crashes_of(&Disk::default(), data);
}

/// The same with a disk that may be worse than it should be.
pub fn crashes_of(disk: &Disk, data: &[u8]) {
    let mut choices = Choices(data);
    let (moment, tear) = (choices.u32() as usize, choices.u32() as usize);
    let kept = u64::from(choices.u32()) | u64::from(choices.u32()) << 32;
    let merges = if choices.one_in(2) { Merges::AtCommit } else { Merges::Manual };

    let mut writer = disk.writer(options(merges), Some(schema())).expect("a new index");
    disk.acknowledge(1);
    let mut model = Content::new();
    // What each generation holds that a crash may leave behind.
    let mut states = BTreeMap::from([(1, Content::new())]);
    let mut commits = 0;
    while !choices.is_empty() && commits < 10 {
        let (op, key) = (choices.byte(), u64::from(choices.byte() % 12));
        let weight = f32::from(1 + op / 8);
        match op % 8 {
            0..=2 => {
                put(&mut writer, key, weight);
                model.insert(key, weight);
            }
            3 => {
                let was = writer.delete(key).expect("a key of the kind").documents;
                assert_eq!(was, u64::from(model.remove(&key).is_some()));
            }
            4..=6 => {
                // A commit may come with merges before and after it, each a generation.
                let last = writer.snapshot().commit();
                states.extend((last + 1..last + 12).map(|next| (next, model.clone())));
                if op % 8 == 6 {
                    writer.force_merge(1, |_| {}).expect("the disk works until it crashes");
                } else {
                    writer.commit().expect("the disk works until it crashes");
                }
                disk.acknowledge(writer.snapshot().commit());
                commits += 1;
            }
            _ if key < 6 => {
                writer.rollback().expect("the disk works until it crashes");
                model = states[&writer.snapshot().commit()].clone();
            }
            _ => {
                drop(writer);
                writer = disk.writer(options(merges), None).expect("it was closed well");
                model = states[&writer.snapshot().commit()].clone();
            }
        }
        assert_eq!(writer.len(), model.len() as u64);
    }

    let step = moment % (disk.steps() + 1);
    let crash = disk.crash(step, |effect| kept >> (effect % 64) & 1 == 1, tear);
    let found = match crash.open() {
        Ok(index) => {
            let commit = index.snapshot().commit();
            assert!(commit >= crash.acknowledged(), "{commit} after {}", crash.acknowledged());
            let found = content(&index);
            assert_eq!(found, states[&commit], "the content of commit {commit}");
            Some(found)
        }
        Err(error) => {
            assert_eq!(crash.acknowledged(), 0, "lost: {error}");
            None
        }
    };
    // A new writer goes on from there.
    let fresh = found.is_none().then(schema);
    let mut writer = crash.writer(options(merges), fresh).expect("what is left can be written to");
    let mut expected = found.unwrap_or_default();
    put(&mut writer, 99, 7.0);
    expected.insert(99, 7.0);
    writer.commit().expect("memory does not fail");
    assert_eq!(content(&writer.reader().expect("what was written opens")), expected);
}
