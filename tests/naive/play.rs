//! A sequence of changes, played on an index and on the model alike.

use std::path::Path;

use lateen::{Error, Index, IndexWriter, KernelLevel, Key};

use super::given::Columns;
use super::make::{Draw, ask, document, key};
use super::model::Model;
use super::{Fields, check};

/// How many keys there are to choose from.
const KEYS: usize = 60;

/// A change; the number seeds what it needs.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Add(u64),
    Upsert(u64),
    Delete(u64),
    /// A batch, added or put in place of what is there.
    Batch(u64),
    Commit(u64),
    Rollback,
    /// The writer is dropped, with what it has not committed, and opened again.
    Reopen,
}

/// An index, its writer, and the model of it.
struct Game<'a> {
    fields: &'a Fields,
    path: &'a Path,
    writer: Option<IndexWriter>,
    model: Model,
    known: Vec<Key>,
    /// How many queries after a commit.
    asks: usize,
}

/// Plays all changes, then one commit more.
pub(crate) fn play(fields: &Fields, path: &Path, ops: &[Op], asks: usize) {
    let kind = fields.schema.key_kind();
    let writer = IndexWriter::create(path, fields.schema.clone()).unwrap();
    let mut game = Game {
        fields,
        path,
        writer: Some(writer),
        model: Model::new(fields),
        known: (0..KEYS).map(|at| key(kind, at)).collect(),
        asks,
    };
    for op in ops {
        game.take(op);
    }
    game.take(&Op::Commit(ops.len() as u64));
}

impl Game<'_> {
    fn writer(&mut self) -> &mut IndexWriter {
        self.writer.as_mut().expect("a writer is open between changes")
    }

    fn take(&mut self, op: &Op) {
        match op {
            Op::Add(seed) | Op::Upsert(seed) => {
                let mut draw = Draw::new(*seed);
                let key = draw.pick(&self.known);
                let given = document(&mut draw, self.fields);
                let fields = self.fields;
                let ready = given.document(&key, fields).unwrap();
                if matches!(op, Op::Upsert(_)) {
                    self.writer().upsert(&ready).unwrap();
                } else {
                    match self.writer().add(&ready) {
                        Err(Error::DuplicateKey { key: named }) => {
                            assert!(named == key && self.model.live.contains_key(&key));
                            return;
                        }
                        result => drop(result.unwrap()),
                    }
                    assert!(!self.model.live.contains_key(&key), "{key} was added twice");
                }
                self.model.put(&key, &given);
            }
            Op::Delete(seed) => {
                let key = Draw::new(*seed).pick(&self.known);
                let was = self.writer().delete(&key).unwrap();
                assert_eq!(was, self.model.delete(&key), "{key}");
            }
            Op::Batch(seed) => self.batch(*seed),
            Op::Commit(seed) => {
                self.writer().commit().unwrap();
                self.model.commit();
                self.check(*seed);
            }
            Op::Rollback => {
                self.writer().rollback().unwrap();
                self.model.rollback();
            }
            Op::Reopen => {
                self.writer = None;
                self.writer = Some(IndexWriter::open(self.path).unwrap());
                self.model.rollback();
                self.model.zeros = 0;
            }
        }
        let (live, zeros) = (self.model.live.len() as u64, self.model.zeros);
        assert_eq!((self.writer().len(), self.writer().zeros_dropped()), (live, zeros), "{op:?}");
    }

    fn batch(&mut self, seed: u64) {
        let mut draw = Draw::new(seed);
        let replace = draw.one_in(2);
        let mut chosen: Vec<(Key, super::given::Given)> = Vec::new();
        for _ in 0..draw.below(25) {
            let key = draw.pick(&self.known);
            let taken = chosen.iter().any(|(other, _)| *other == key);
            // An added batch needs new keys; one time in eight it does not have them.
            let live = !replace && self.model.live.contains_key(&key) && !draw.one_in(8);
            if !taken && !live {
                let given = document(&mut draw, self.fields);
                chosen.push((key, given));
            }
        }
        let columns = Columns::new(self.fields, chosen);
        let matrices = columns.matrices(self.fields);
        let fields = self.fields;
        let batch = columns.batch(fields, &matrices).unwrap();
        if replace {
            self.writer().upsert_batch(&batch).unwrap();
        } else {
            let taken = columns.keys.iter().find(|key| self.model.live.contains_key(key)).cloned();
            match self.writer().add_batch(&batch) {
                Err(Error::DuplicateKey { key }) => return assert_eq!(Some(key), taken),
                result => drop(result.unwrap()),
            }
            assert_eq!(taken, None);
        }
        for (key, given) in columns.keys.iter().zip(&columns.given) {
            self.model.put(key, given);
        }
    }

    /// Holds the commit to the model, with every kernel that this CPU has.
    fn check(&mut self, seed: u64) {
        let mut draw = Draw::new(seed ^ 0x5eed);
        let asks: Vec<_> = (0..self.asks).map(|_| ask(&mut draw, self.fields)).collect();
        for level in KernelLevel::available() {
            let index = Index::options().kernel(level).open(self.path).unwrap();
            check::documents(&index, &self.model, self.fields, &self.known);
            for ask in &asks {
                check::answer(&index, &self.model, self.fields, ask, &level.to_string());
            }
        }
        let index = self.writer().reader().unwrap();
        assert_eq!(index.len(), self.model.committed.len() as u64);
    }
}
