//! How a writer works, and the ways to begin with one.

use std::path::Path;
use std::sync::Arc;

use super::{IndexWriter, Merges};
use crate::error::{Error, Result};
use crate::format::FileName;
use crate::index::commit::newest;
use crate::index::policy::SMALL;
use crate::kernel::KernelLevel;
use crate::limits::Limits;
use crate::schema::Schema;
use crate::segment::{DocumentOrder, Packing, Writing};
use crate::storage::{FsStorage, LOCK, MemStorage, OpenMode, Storage};

/// Memory of a writer, unless said otherwise.
const DEFAULT_MEMORY: usize = 512 << 20;

/// How a writer works. What is written depends on `memory`, `merges` and `order` alone, never on
/// `threads` or the kernels; which merges were done in the background depends on time as well.
#[derive(Clone, Debug)]
pub struct WriterOptions {
    pub(in crate::index) memory: usize,
    pub(in crate::index) threads: usize,
    pub(in crate::index) kernel: Option<KernelLevel>,
    pub(in crate::index) merges: Merges,
    /// Bytes that are gathered at least, whatever `memory` says.
    pub(in crate::index) least: usize,
    /// Bytes of the largest segment that is merged within a commit while merges are done beside.
    pub(in crate::index) at_once: u64,
    pub(in crate::index) limits: Limits,
    pub(in crate::index) order: DocumentOrder,
}

impl Default for WriterOptions {
    /// 512 MiB, one thread, the best kernels of this CPU, merging in the background.
    fn default() -> Self {
        Self {
            memory: DEFAULT_MEMORY,
            threads: 1,
            kernel: None,
            merges: Merges::default(),
            least: 1 << 20,
            at_once: SMALL,
            limits: Limits::default(),
            order: DocumentOrder::Given,
        }
    }
}

impl WriterOptions {
    /// Bytes that the writer keeps to, by account: a third for the documents that are gathered, one
    /// for those that are written as a segment meanwhile, and one to write them in; merges on its
    /// own up to a half, and they are not all in use at once. A batch that is handed in comes on
    /// top, and so does a merge that was
    /// [asked for](IndexWriter::force_merge) and needs more. At least 1.5 MiB is used, and 64 MiB
    /// where [rows are packed](IndexWriter::commit_packed).
    ///
    /// Sparse vectors are merged in that memory however many there are. Token rows take as many
    /// bytes of it as they have components, and ten: segments that would need more together are not
    /// merged without being asked. So an index beyond that has one large segment for each few tens
    /// of percent of it: with 512 MiB and 128 components about one for each million of rows, as it
    /// has, whatever the memory, one for each 4 GiB.
    #[must_use]
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Bytes to gather before a segment is written, where nothing is gathered meanwhile.
    pub(in crate::index) fn gathered(&self) -> usize {
        (self.memory / 3).saturating_mul(2).max(self.least)
    }

    /// Bytes to gather before a segment is written while more is gathered.
    pub(in crate::index) fn arena(&self) -> usize {
        self.gathered() / 2
    }

    /// Bytes to write a segment in, beside what was gathered.
    pub(in crate::index) fn turned(&self) -> usize {
        (self.memory / 3).max(1 << 19)
    }

    /// How what was gathered is written.
    pub(in crate::index) fn writing(&self, packing: Packing) -> Writing {
        Writing { order: self.order, threads: self.threads, memory: self.turned(), packing }
    }

    /// Bytes that a merge may take that nobody has asked for.
    pub(in crate::index) fn merged(&self) -> usize {
        (self.memory / 2).max(1 << 20)
    }

    /// Threads that encode vectors and build segments; at least 1. Segments that fill up before a
    /// commit are built beside what the caller does, and so are merges: each may take as many.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// When segments are merged without being asked.
    #[must_use]
    pub fn merges(mut self, merges: Merges) -> Self {
        self.merges = merges;
        self
    }

    /// In which order the documents of a segment lie that is made of what was gathered: as they
    /// came, unless said otherwise. A merge leaves the order within its segments as it is.
    ///
    /// ```
    /// use lateen::{DocumentOrder, IndexWriter, Schema};
    ///
    /// # let mut schema = Schema::builder();
    /// # let splade = schema.sparse("splade");
    /// # let schema = schema.build()?;
    /// let writer = IndexWriter::options().order(DocumentOrder::Similar).in_memory(schema)?;
    /// # Ok::<(), lateen::Error>(())
    /// ```
    #[must_use]
    pub fn order(mut self, order: DocumentOrder) -> Self {
        self.order = order;
        self
    }

    /// The kernels to use, instead of the best that the CPU has.
    #[must_use]
    pub fn kernel(mut self, level: KernelLevel) -> Self {
        self.kernel = Some(level);
        self
    }

    /// How much of everything is taken in, and how much a query of the writer's own
    /// [reader](IndexWriter::reader) may ask for: what the format has room for, unless said
    /// otherwise.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Makes a new index in a directory that is not there yet, or is empty but for what an attempt
    /// left that was cut off.
    ///
    /// # Errors
    /// As [`IndexWriter::create`].
    pub fn create(self, path: impl AsRef<Path>, schema: Schema) -> Result<IndexWriter> {
        let path = path.as_ref();
        let occupied = match std::fs::read_dir(path) {
            Ok(mut entries) => entries.any(|entry| entry.is_ok_and(|entry| !is_left_over(&entry))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(_) if path.exists() => true, // a file, or a directory that cannot be read
            Err(error) => return Err(Error::io("read", path.display().to_string(), error)),
        };
        if occupied {
            return Err(Error::AlreadyExists { path: path.to_owned() });
        }
        let storage = FsStorage::new(path, OpenMode::Map);
        storage.create_dir().map_err(|e| Error::io("create", storage.place(), e))?;
        IndexWriter::start(Arc::new(storage), path, Some(schema), self)
    }

    /// Makes a new index in memory.
    ///
    /// # Errors
    /// A kernel level that this CPU lacks.
    pub fn in_memory(self, schema: Schema) -> Result<IndexWriter> {
        let storage = Arc::new(MemStorage::new());
        IndexWriter::start(storage, Path::new("memory"), Some(schema), self)
    }

    /// Opens an index for writing.
    ///
    /// # Errors
    /// As [`IndexWriter::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<IndexWriter> {
        let path = path.as_ref();
        if path.is_file() {
            return Err(Error::ReadOnly { what: "open for writing a packed index" });
        }
        if !path.is_dir() {
            let what = "no such directory".to_owned();
            return Err(Error::NotAnIndex { place: path.display().to_string(), what });
        }
        let storage = Arc::new(FsStorage::new(path, OpenMode::Map));
        newest(storage.as_ref())?; // before the lock file is made in a directory that is not ours
        IndexWriter::start(storage, path, None, self)
    }
}

/// Whether an entry of a directory is what the making of an index leaves behind that was cut off
/// before there was one.
fn is_left_over(entry: &std::fs::DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(|name| {
        name == LOCK || matches!(FileName::parse(name), Some(FileName::ManifestTemporary(_)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the documentation of [`WriterOptions::memory`] has it.
    #[test]
    fn memory_is_shared_out_as_is_said() {
        assert_eq!(WriterOptions::default().memory, 512 * 1024 * 1024);
        for memory in [0, 1000, 1536 << 10, 4 << 20, 300_000_000, 1 << 40] {
            let options = WriterOptions::default().memory(memory);
            let used = memory.max(3 << 19);
            let thirds = [options.arena(), options.gathered() - options.arena(), options.turned()];
            assert!(thirds.iter().all(|part| part.abs_diff(used / 3) <= 1), "{memory}: {thirds:?}");
            assert!(thirds.iter().sum::<usize>() <= used, "{memory}: {thirds:?}");
            let merged = options.merged();
            assert!(merged.abs_diff(memory.max(2 << 20) / 2) <= 1, "{memory}: {merged}");
        }
    }
}
