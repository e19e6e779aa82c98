//! The storage that crashes, for the fuzz targets, which see no more of this crate than any other
//! program: no part of the public interface.

use std::path::Path;
use std::sync::Arc;

use super::{Index, IndexWriter, WriterOptions};
use crate::error::Result;
use crate::schema::Schema;
use crate::storage::sim::{CrashPoint, Lie, SimStorage};
use crate::storage::{MemStorage, Storage};

/// A directory that remembers everything done to it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Disk(SimStorage);

fn writer(
    storage: Arc<dyn Storage>,
    options: WriterOptions,
    schema: Option<Schema>,
) -> Result<IndexWriter> {
    IndexWriter::start(storage, Path::new("disk"), schema, options)
}

impl Disk {
    /// One that says that files are durable when they are not: to show that this is found out.
    #[must_use]
    pub fn lying() -> Self {
        Self(SimStorage::lying(Lie::FileSync))
    }

    /// A writer on it: of a new index where a schema is given, else of the one that is there.
    ///
    /// # Errors
    /// As [`IndexWriter::create`] and [`IndexWriter::open`].
    pub fn writer(&self, options: WriterOptions, schema: Option<Schema>) -> Result<IndexWriter> {
        writer(Arc::new(self.0.clone()), options, schema)
    }

    /// Notes that a commit returned.
    pub fn acknowledge(&self, generation: u64) {
        self.0.acknowledge(generation);
    }

    /// Operations so far.
    pub fn steps(&self) -> usize {
        self.0.log().len()
    }

    /// What a crash after `step` operations leaves, with those of the effects in the air that
    /// `keep` keeps, by their place, and of the last write at most a part: `tear` modulo its bytes
    /// and one.
    pub fn crash(&self, step: usize, keep: impl Fn(usize) -> bool, tear: usize) -> Crash {
        let mut point = CrashPoint::default();
        self.0.log().iter().take(step).for_each(|op| point.apply(op));
        let image = point.image(keep, tear % (point.last_write() + 1));
        Crash { image, acknowledged: point.acknowledged() }
    }
}

/// What a crash left.
#[derive(Clone, Debug)]
pub struct Crash {
    image: MemStorage,
    acknowledged: u64,
}

impl Crash {
    /// Files that are given, by name: a directory that somebody else has left.
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let image = MemStorage::new();
        files.into_iter().for_each(|(name, bytes)| image.put(name, bytes));
        Self { image, acknowledged: 0 }
    }

    /// The newest commit that the user was told is durable; 0 for none.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Opens what is there for reading.
    ///
    /// # Errors
    /// As [`Index::open`].
    pub fn open(&self) -> Result<Index> {
        Index::start(Arc::new(self.image.clone()), None)
    }

    /// Goes on from it with a new writer.
    ///
    /// # Errors
    /// As [`Disk::writer`].
    pub fn writer(&self, options: WriterOptions, schema: Option<Schema>) -> Result<IndexWriter> {
        writer(Arc::new(self.image.clone()), options, schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::Document;

    #[test]
    fn a_crash_tears_the_last_write_and_knows_what_was_acknowledged() {
        let mut schema = Schema::builder();
        let terms = schema.sparse("terms");
        let schema = schema.build().unwrap();
        let disk = Disk::default();
        let mut writer = disk.writer(WriterOptions::default(), Some(schema)).unwrap();
        let document = Document::new("a").sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
        writer.add(&document).unwrap();
        let commit = writer.commit().unwrap();
        let before = disk.steps();
        disk.acknowledge(commit);
        assert_eq!(disk.steps(), before + 1);
        assert_eq!(disk.crash(before, |_| true, 0).acknowledged(), 0);
        let after = disk.crash(before + 1, |_| false, 0);
        assert_eq!((after.acknowledged(), after.open().unwrap().len()), (commit, 1));

        // What the files have together grows by a byte with each more of the last write that is
        // kept, until it is kept whole; then it begins again.
        let (mut torn, mut around) = (0, 0);
        for step in 0..before {
            let total = |tear| -> usize {
                let image = disk.crash(step, |_| true, tear).image;
                let len = |name: &String| image.open(name).unwrap().len();
                image.list().unwrap().iter().map(len).sum()
            };
            let totals: Vec<usize> = (0..300).map(total).collect();
            let most = totals.iter().max().unwrap() - totals[0];
            if most > 0 {
                torn += 1;
                around += usize::from(most < 150);
                let expected = (0..300).map(|tear| totals[0] + tear % (most + 1));
                assert!(totals.iter().copied().eq(expected), "step {step}: {totals:?}");
            }
        }
        assert!(torn > 5 && around > 3, "{torn} {around}");
    }
}
