//! A sequence of changes, played on an index and on the model alike.

use std::path::Path;

use lateen::{
    DocumentOrder, Error, Forward, Index, IndexWriter, KernelLevel, Key, Merges, WriterOptions,
};

use super::given::{Ask, Columns};
use super::make::{ask, document, key, test};
use super::model::Model;
use super::random::Draw;
use super::{Fields, check};

/// How many keys there are to choose from.
const KEYS: usize = 60;
/// What a writer's memory holds: more than all documents of a game but the large ones.
const MEMORY: usize = 4 << 20;

/// A change; the number seeds what it needs.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Add(u64),
    Upsert(u64),
    Delete(u64),
    /// A batch, added or put in place of what is there.
    Batch(u64),
    /// A document so large that memory is full and a segment is written, not yet committed.
    Spill(u64),
    Commit(u64),
    /// Attributes and payload of a document change, its vectors stay.
    Update(u64),
    /// Everything that passes a filter goes.
    DeleteWhere(u64),
    /// What is committed is merged into so many segments, or compacted where there are to be none.
    Merge(usize),
    Rollback,
    /// The writer is dropped, with what it has not committed, and opened again.
    Reopen,
}

/// An index, its writer, and the model of it.
struct Game<'a> {
    fields: &'a Fields,
    path: &'a Path,
    order: DocumentOrder,
    options: WriterOptions,
    writer: Option<IndexWriter>,
    model: Model,
    known: Vec<Key>,
    /// How many queries after a commit.
    asks: usize,
    /// A reader of the commit before, with what it must find.
    before: Option<(Index, Model)>,
}

/// Plays all changes, then one commit more.
pub(crate) fn play(fields: &Fields, path: &Path, ops: &[Op], asks: usize) {
    let kind = fields.schema.key_kind();
    let order = [DocumentOrder::Given, DocumentOrder::Similar][ops.len() % 2];
    let options = IndexWriter::options().memory(MEMORY).merges(Merges::Manual).order(order);
    let writer = options.clone().create(path, fields.schema.clone()).unwrap();
    let mut game = Game {
        fields,
        path,
        order,
        options,
        writer: Some(writer),
        model: Model::new(fields),
        known: (0..KEYS).map(|at| key(kind, at)).collect(),
        asks,
        before: None,
    };
    for op in ops {
        game.take(op);
    }
    game.take(&Op::Commit(ops.len() as u64));
    let packed = path.with_extension("packed");
    Index::open(path).unwrap().pack(&packed).unwrap();
    let index = Index::open(&packed).unwrap();
    index.verify().unwrap();
    game.holds(&index, &game.model, &game.asked(ops.len() as u64), "packed");
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
                        Err(Error::DuplicateKey { key: named, .. }) => {
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
                let deleted = self.writer().delete(&key).unwrap().documents;
                assert_eq!(deleted, u64::from(self.model.delete(&key)), "{key}");
            }
            Op::Batch(seed) => self.batch(*seed),
            Op::Update(seed) => {
                let mut draw = Draw::new(*seed);
                let key = draw.pick(&self.known);
                let given = document(&mut draw, self.fields);
                let which: [bool; 6] = std::array::from_fn(|_| draw.one_in(2));
                let fields = self.fields;
                let update = given.update(&key, fields, which).unwrap();
                let before = self.writer().sequence();
                let change = self.writer().update(&update).unwrap();
                let known = self.model.update(&key, &given, which);
                let expected = (before + u64::from(known), u64::from(known));
                assert_eq!((change.sequence, change.documents), expected, "{key}");
            }
            Op::DeleteWhere(seed) => {
                let test = test(&mut Draw::new(*seed), self.fields.schema.key_kind(), 2);
                let filter = test.filter(self.fields);
                let before = self.writer().sequence();
                let deleted = self.writer().delete_where(&filter).unwrap().documents;
                assert_eq!(self.writer().sequence(), before + deleted);
                self.model.spill();
                assert_eq!(deleted, self.model.delete_where(&test), "{test:?}");
            }
            // What merging does to impacts that stand for weights is told where it is done.
            Op::Merge(_) if self.fields.sparse.iter().any(|f| f.forward == Forward::None) => {}
            Op::Merge(most) => {
                self.writer().commit().unwrap();
                self.model.commit();
                let info = self.writer().snapshot().info();
                let mut seen = Vec::new();
                let commit = match most {
                    0 => self.writer().compact(|_| {}).unwrap(),
                    most => self.writer().force_merge(*most, |at| seen.push(at)).unwrap(),
                };
                let after = self.writer().snapshot().info();
                assert!(after.commit == commit && after.segments.len() <= (*most).max(1));
                assert_eq!((after.deleted, after.documents), (0, info.documents));
                let last = seen.last();
                assert!(last.is_none_or(|at| at.segments_done == at.segments), "{last:?}");
                self.check(9);
            }
            Op::Spill(seed) => {
                let mut draw = Draw::new(*seed);
                let key = draw.pick(&self.known);
                let mut given = document(&mut draw, self.fields);
                given.payload = Some(vec![b'x'; MEMORY]);
                let fields = self.fields;
                self.writer().upsert(&given.document(&key, fields).unwrap()).unwrap();
                self.model.put(&key, &given);
                self.model.spill();
            }
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
                self.writer = Some(self.options.clone().open(self.path).unwrap());
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
                Err(Error::DuplicateKey { key, .. }) => return assert_eq!(Some(key), taken),
                result => drop(result.unwrap()),
            }
            assert_eq!(taken, None);
        }
        for (key, given) in columns.keys.iter().zip(&columns.given) {
            self.model.put(key, given);
        }
    }

    fn asked(&self, seed: u64) -> Vec<Ask> {
        let mut draw = Draw::new(seed ^ 0x5eed);
        (0..self.asks).map(|_| ask(&mut draw, self.fields)).collect()
    }

    /// Holds an index to a model.
    fn holds(&self, index: &Index, model: &Model, asks: &[Ask], what: &str) {
        check::documents(index, model, self.fields, &self.known);
        check::iteration(index, model, self.order);
        for ask in asks {
            check::answer(index, model, self.fields, ask, what);
        }
    }

    /// Holds the commit to the model, with every kernel that this CPU has; and a reader of the
    /// commit before to what was then, until it looks again.
    fn check(&mut self, seed: u64) {
        let asks = self.asked(seed);
        for level in KernelLevel::available() {
            let index = Index::options().kernel(level).open(self.path).unwrap();
            self.holds(&index, &self.model, &asks, &level.to_string());
        }
        let few = &asks[..asks.len().min(5)];
        if let Some((index, model)) = &self.before {
            self.holds(index, model, few, "the commit before");
            index.refresh().unwrap();
            self.holds(index, &self.model, few, "refreshed");
        }
        let index = self.writer().reader().unwrap();
        self.before = Some((index, self.model.clone()));
    }
}
