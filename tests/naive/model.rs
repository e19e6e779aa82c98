//! The documents of the model, and its search.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use lateen::{Forward, Key};

use super::Fields;
use super::given::{Ask, First, Given, Test};
use super::score::{Row, Terms, canonical, impacts, kept, maxsim, normalized, sparse_dot};

/// A document as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    /// Counts up with each document taken in: the order of iteration.
    pub(crate) place: u64,
    pub(crate) sparse: Vec<Option<Terms>>,
    pub(crate) tokens: Vec<Option<Vec<Row>>>,
    pub(crate) given: Given,
    /// Whether its segment is still to be written.
    pending: bool,
}

/// All documents, as the writer sees them and as the last commit has them.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    fields: Fields,
    pub(crate) live: BTreeMap<Key, Stored>,
    pub(crate) committed: BTreeMap<Key, Stored>,
    pub(crate) zeros: u64,
    next: u64,
}

impl Model {
    pub(crate) fn new(fields: &Fields) -> Self {
        let (live, committed) = (BTreeMap::new(), BTreeMap::new());
        Self { fields: fields.clone(), live, committed, zeros: 0, next: 0 }
    }

    /// Takes a document in, in place of the live one of its key.
    pub(crate) fn put(&mut self, key: &Key, given: &Given) {
        let zero = |terms: &Terms| terms.iter().filter(|entry| entry.1 == 0.0).count() as u64;
        self.zeros += given.sparse.iter().flatten().map(zero).sum::<u64>();
        let sparse = self.fields.sparse.iter().zip(&given.sparse).map(|(field, terms)| {
            let mut terms = terms.as_ref().map(canonical).unwrap_or_default();
            for (_, weight) in &mut terms {
                *weight = kept(*weight, field.forward);
            }
            (!terms.is_empty()).then_some(terms)
        });
        let tokens = self.fields.tokens.iter().zip(&given.tokens).map(|(field, rows)| {
            let store =
                |row: &[f32]| Row::store(&normalized(row, field.normalization), field.codec);
            let rows: Vec<Row> =
                rows.as_deref().unwrap_or_default().chunks(field.dim).map(store).collect();
            (!rows.is_empty()).then_some(rows)
        });
        let (sparse, tokens) = (sparse.collect(), tokens.collect());
        self.next += 1;
        let (place, given) = (self.next, given.clone());
        self.live.insert(key.clone(), Stored { place, sparse, tokens, given, pending: true });
    }

    pub(crate) fn delete(&mut self, key: &Key) -> bool {
        self.live.remove(key).is_some()
    }

    /// Attributes and payload of a document change, by which of the six are named; whether there
    /// is one. One whose segment is written moves to the end.
    pub(crate) fn update(&mut self, key: &Key, given: &Given, which: [bool; 6]) -> bool {
        let Some(stored) = self.live.get_mut(key) else { return false };
        if !stored.pending {
            self.next += 1;
            (stored.place, stored.pending) = (self.next, true);
        }
        stored.given.take_over(given, which);
        true
    }

    /// Deletes what passes; how many there were.
    pub(crate) fn delete_where(&mut self, test: &Test) -> u64 {
        let before = self.live.len();
        self.live.retain(|key, stored| !passes(test, key, stored));
        (before - self.live.len()) as u64
    }

    /// What is pending is shown.
    pub(crate) fn commit(&mut self) {
        self.spill();
        self.committed.clone_from(&self.live);
    }

    /// Writes what is pending as one segment; fields without forward rows get their impacts.
    pub(crate) fn spill(&mut self) {
        for (at, field) in self.fields.sparse.iter().enumerate() {
            if field.forward != Forward::None {
                continue;
            }
            let pending = self.live.values().filter(|stored| stored.pending);
            let terms: BTreeSet<u32> =
                pending.flat_map(|s| s.sparse[at].iter().flatten()).map(|entry| entry.0).collect();
            for term in terms {
                let pending = self.live.values_mut().filter(|stored| stored.pending);
                let mut weights: Vec<&mut f32> = pending
                    .flat_map(|stored| stored.sparse[at].iter_mut().flatten())
                    .filter(|entry| entry.0 == term)
                    .map(|entry| &mut entry.1)
                    .collect();
                let stored = impacts(&weights.iter().map(|weight| **weight).collect::<Vec<_>>());
                weights.iter_mut().zip(stored).for_each(|(weight, stored)| **weight = stored);
            }
        }
        self.live.values_mut().for_each(|stored| stored.pending = false);
    }

    pub(crate) fn rollback(&mut self) {
        self.live.clone_from(&self.committed);
    }

    /// The keys of the last commit in the order in which their documents were taken in.
    pub(crate) fn in_order(&self) -> Vec<&Key> {
        let mut keys: Vec<(u64, &Key)> =
            self.committed.iter().map(|(key, stored)| (stored.place, key)).collect();
        keys.sort();
        keys.into_iter().map(|(_, key)| key).collect()
    }

    /// The answer on the last commit: all passing documents scored, sorted, cut.
    pub(crate) fn answer(&self, ask: &Ask) -> Vec<(Key, f32)> {
        let passing = self
            .committed
            .iter()
            .filter(|(key, stored)| ask.test.as_ref().is_none_or(|test| passes(test, key, stored)));
        let mut found: Vec<(Key, f32)> = match &ask.first {
            First::Sparse(at, _) => {
                let terms = ask.terms();
                passing
                    .filter_map(|(key, stored)| {
                        let score = sparse_dot(&terms, stored.sparse[*at].as_ref()?)?;
                        Some((key.clone(), score))
                    })
                    .collect()
            }
            First::Tokens(at, rows) => {
                let query = self.query_rows(*at, rows);
                passing
                    .filter_map(|(key, stored)| {
                        let rows = stored.tokens[*at].as_ref()?;
                        Some((key.clone(), maxsim(&query, rows)))
                    })
                    .collect()
            }
        };
        sort(&mut found);
        if let Some((at, rows, candidates)) = &ask.rerank {
            found.truncate(candidates.unwrap_or_else(|| ask.top.max(100)));
            let query = self.query_rows(*at, rows);
            for (key, score) in &mut found {
                *score = match &self.committed[key].tokens[*at] {
                    Some(rows) => maxsim(&query, rows),
                    None => f32::NEG_INFINITY,
                };
            }
            sort(&mut found);
        }
        found.truncate(ask.top);
        found
    }

    /// A query's rows as the field takes them.
    pub(crate) fn query_rows(&self, at: usize, rows: &[f32]) -> Vec<Vec<f32>> {
        let field = &self.fields.tokens[at];
        rows.chunks(field.dim).map(|row| normalized(row, field.normalization)).collect()
    }
}

/// By score descending, then by key.
fn sort(found: &mut [(Key, f32)]) {
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
}

/// Whether a document passes a test; one that lacks the attribute passes none.
fn passes(test: &Test, key: &Key, stored: &Stored) -> bool {
    let given = &stored.given;
    match test {
        Test::Lang(values) => given.lang.iter().any(|value| values.contains(value)),
        Test::Year(low, high) => given.year.is_some_and(|v| (*low, *high).contains(&v)),
        Test::Size(low, high) => given.size.is_some_and(|v| (*low, *high).contains(&v)),
        Test::Price(low, high) => given.price.is_some_and(|v| (*low, *high).contains(&v)),
        Test::Years(values) => given.year.is_some_and(|v| values.contains(&v)),
        Test::Open(value) => given.open == Some(*value),
        Test::Has(0) => !given.lang.is_empty(),
        Test::Has(1) => given.year.is_some(),
        Test::Has(2) => given.size.is_some(),
        Test::Has(3) => given.price.is_some(),
        Test::Has(_) => given.open.is_some(),
        Test::Keys(keys) => keys.contains(key),
        Test::All(tests) => tests.iter().all(|test| passes(test, key, stored)),
        Test::Any(tests) => tests.iter().any(|test| passes(test, key, stored)),
        Test::And(a, b) => passes(a, key, stored) && passes(b, key, stored),
        Test::Or(a, b) => passes(a, key, stored) || passes(b, key, stored),
        Test::Not(test) => !passes(test, key, stored),
    }
}
