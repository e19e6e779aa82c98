//! Sets of keys and values, and what filters keep of them: the second answer is the first, and the
//! true one, whatever happens to the index in between.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lateen::{
    Document, Error, Filter, Index, IndexWriter, KeyKind, KeywordField, Query, RoaringTreemap,
    Schema, SparseField, U64Field, Update,
};

use super::random::Draw;

/// Every document has term 1.
fn found(index: &Index, terms: &SparseField, filter: &Filter) -> Vec<String> {
    let query = Query::sparse(terms, &[(1u32, 1.0f32)]).unwrap().top(10_000).exact();
    let hits = index.search(&query.filter(filter.clone())).unwrap();
    hits.iter().map(|hit| hit.key().to_string()).collect()
}

/// Keys of both kinds, far fewer and far more than a segment's documents, in no order, some twice,
/// most of them unknown: what a look at each document finds. Numbers of one index are all near each
/// other, up to the last that there is.
#[test]
fn keys_are_found_however_many() {
    let mut draw = Draw::new(3);
    let near = u64::MAX - 9_999;
    for (kind, apart, base) in
        [(KeyKind::U64, 1 << 40, 0), (KeyKind::U64, 9_500, near), (KeyKind::Str, 1 << 40, 0)]
    {
        let mut schema = Schema::builder();
        schema.keys(kind);
        let terms = schema.sparse("terms");
        let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
        let mut stored = BTreeSet::new();
        for at in 0..3000 {
            // Near each other, and far apart.
            let key = base + draw.below(if at % 2 == 0 { 9000 } else { apart }) as u64;
            let key = if at == 2999 { base + 9_999 } else { key };
            if stored.insert(key) {
                let document = match kind {
                    KeyKind::U64 => Document::new(key),
                    KeyKind::Str => Document::new(format!("key {key}")),
                };
                writer.add(&document.sparse(&terms, &[(1u32, 1.0f32)]).unwrap()).unwrap();
            }
            if matches!(at, 100 | 2500) {
                writer.commit().unwrap();
            }
        }
        writer.commit().unwrap();
        let index = writer.reader().unwrap();
        let known: Vec<u64> = stored.iter().copied().collect();
        for (own, others) in [(0, 0), (1, 0), (0, 9), (7, 7), (900, 3), (60, 4000), (9000, 40_000)]
        {
            let mut keys: Vec<u64> = (0..own).map(|_| known[draw.below(known.len())]).collect();
            keys.extend((0..others).map(|_| base + draw.below(10_000) as u64));
            keys.extend(keys.first().map(|_| base + 9_999));
            let wanted: BTreeSet<u64> =
                keys.iter().copied().filter(|key| stored.contains(key)).collect();
            let text = |key: &u64| match kind {
                KeyKind::U64 => key.to_string(),
                KeyKind::Str => format!("key {key}"),
            };
            let mut want: Vec<String> = wanted.iter().map(text).collect();
            if kind == KeyKind::Str {
                want.sort_unstable();
            }
            let mut filters = vec![match kind {
                KeyKind::U64 => Filter::keys(keys.iter().copied()),
                KeyKind::Str => Filter::keys(keys.iter().map(text)),
            }];
            if kind == KeyKind::U64 {
                filters.push(Filter::bitmap(keys.iter().copied().collect::<RoaringTreemap>()));
            }
            for filter in filters {
                for _ in 0..2 {
                    assert_eq!(found(&index, &terms, &filter), want, "{own} and {others}");
                }
                assert_eq!(found(&index, &terms, &!filter).len(), stored.len() - want.len());
            }
        }
    }
}

/// Few and many numbers of every kind.
#[test]
fn one_of_many_numbers() {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let terms = schema.sparse("terms");
    let (signed, whole, float) = (schema.i64("signed"), schema.u64("whole"), schema.f64("float"));
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    let number = |row: u64| (row * row % 4001).cast_signed() - 2000;
    for row in 0..6000u64 {
        let mut document = Document::new(row).sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
        if row % 5 != 0 {
            let zero = if row % 2 == 0 { 0.0 } else { -0.0 };
            let value = if number(row) == 0 { zero } else { number(row) as f64 / 4.0 };
            document = document.i64(&signed, number(row)).unwrap().f64(&float, value).unwrap();
            document = document.u64(&whole, number(row).unsigned_abs()).unwrap();
        }
        writer.add(&document).unwrap();
    }
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    let mut draw = Draw::new(8);
    for count in [0, 1, 3, 32, 33, 700, 5000] {
        let mut asked: Vec<i64> = (0..count).map(|_| draw.below(5000) as i64 - 2500).collect();
        if count % 2 == 1 {
            asked.push(0);
        }
        let want = |passes: &dyn Fn(i64) -> bool| -> Vec<String> {
            let rows = (0..6000u64).filter(|row| row % 5 != 0 && passes(number(*row)));
            rows.map(|row| row.to_string()).collect()
        };
        let values: BTreeSet<i64> = asked.iter().copied().collect();
        for _ in 0..2 {
            let filter = signed.any_of(asked.iter().copied());
            assert_eq!(found(&index, &terms, &filter), want(&|n| values.contains(&n)), "{count}");
            let filter = float.any_of(asked.iter().map(|&value| value as f64 / 4.0));
            assert_eq!(found(&index, &terms, &filter), want(&|n| values.contains(&n)), "{count}");
            let filter = whole.any_of(asked.iter().map(|value| value.unsigned_abs()));
            let sizes: BTreeSet<u64> = asked.iter().map(|value| value.unsigned_abs()).collect();
            let wanted = want(&|n| sizes.contains(&n.unsigned_abs()));
            assert_eq!(found(&index, &terms, &filter), wanted, "{count}");
        }
    }
    for (filter, passes) in
        [(float.eq(0.0), true), (float.any_of([-0.0]), true), (float.any_of([]), false)]
    {
        assert_eq!(found(&index, &terms, &filter).is_empty(), !passes);
    }
}

/// An index that lives, and filters that live beside it.
struct Living {
    writer: IndexWriter,
    terms: SparseField,
    colour: KeywordField,
    number: U64Field,
    rows: Vec<Option<(u64, u64)>>,
}

impl Living {
    fn new() -> Self {
        let mut schema = Schema::builder();
        schema.keys(KeyKind::U64);
        let terms = schema.sparse("terms");
        let (colour, number) = (schema.keyword("colour"), schema.u64("number"));
        let writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
        Self { writer, terms, colour, number, rows: Vec::new() }
    }

    fn add(&mut self, count: u64) {
        for _ in 0..count {
            let key = self.rows.len() as u64;
            let (number, colour) = (key * 7 % 50, key * key % 3);
            let document = Document::new(key).sparse(&self.terms, &[(1u32, 1.0f32)]).unwrap();
            let document = document.keyword(&self.colour, format!("c{colour}")).unwrap();
            self.writer.add(&document.u64(&self.number, number).unwrap()).unwrap();
            self.rows.push(Some((number, colour)));
        }
        self.writer.commit().unwrap();
    }

    /// Every filter finds what the rows say, and what a filter made anew finds.
    fn check(&self, filters: &[Kind]) {
        let index = self.writer.reader().unwrap();
        for (at, (filter, anew, passes)) in filters.iter().enumerate() {
            let rows = (0u64..).zip(&self.rows).filter_map(|(key, row)| Some((key, (*row)?)));
            let passing = rows.filter(|&(key, (number, colour))| passes(key, number, colour));
            let want: Vec<String> = passing.map(|(key, _)| key.to_string()).collect();
            for _ in 0..2 {
                assert_eq!(found(&index, &self.terms, filter), want, "filter {at}");
            }
            assert_eq!(found(&index, &self.terms, &anew(self)), want, "filter {at}, anew");
        }
    }
}

type Passes = fn(u64, u64, u64) -> bool;
/// Makes a filter, and what it lets pass.
type Maker = (fn(&Living) -> Filter, Passes);
type Kind = (Filter, fn(&Living) -> Filter, Passes);

/// Through commits, deletions, updates of what is filtered by, and merges; and in another index
/// whose segments have the same keys.
#[test]
fn what_is_kept_is_never_out_of_date() {
    let makers: [Maker; 6] = [
        (|_| Filter::keys((0..900u64).map(|at| at * 3)), |key, _, _| key % 3 == 0),
        (
            |_| Filter::bitmap((0..900u64).map(|at| at * 2).collect::<RoaringTreemap>()),
            |key, _, _| key % 2 == 0,
        ),
        (|living| living.number.range(10..30), |_, number, _| (10..30).contains(&number)),
        (
            |living| living.number.any_of((0..50).filter(|number| number % 3 == 1)),
            |_, number, _| number % 3 == 1,
        ),
        (|living| living.colour.any_of(["c0", "c2"]), |_, _, colour| colour != 1),
        (
            |living| {
                let keys = Filter::keys((0..900u64).map(|at| at * 3));
                (keys | !living.colour.eq("c1")) & living.number.range(..40)
            },
            |key, number, colour| (key % 3 == 0 || colour != 1) && number < 40,
        ),
    ];
    let mut living = Living::new();
    let filters: Vec<Kind> =
        makers.iter().map(|&(make, passes)| (make(&living), make, passes)).collect();
    living.add(700);
    living.check(&filters);
    living.add(300);
    living.check(&filters);
    for key in (0..1000).step_by(9) {
        living.writer.delete(key as u64).unwrap();
        living.rows[key] = None;
    }
    living.writer.commit().unwrap();
    living.check(&filters);
    for key in (1..1000usize).step_by(9) {
        let change = Update::new(key as u64).u64(&living.number, 12).unwrap();
        let change = change.keywords(&living.colour, ["c1"]).unwrap();
        living.writer.update(&change).unwrap();
        living.rows[key] = Some((12, 1));
    }
    living.writer.commit().unwrap();
    living.check(&filters);
    living.writer.force_merge(1, |_| {}).unwrap();
    living.writer.commit().unwrap();
    living.check(&filters);
    let deleted = living.writer.delete_where(&filters[2].0).unwrap();
    let mut gone = 0;
    for row in &mut living.rows {
        if row.is_some_and(|(number, _)| (10..30).contains(&number)) {
            *row = None;
            gone += 1;
        }
    }
    living.writer.commit().unwrap();
    assert_eq!(deleted.documents, gone);
    living.check(&filters);
    // The same schema, other documents under the same keys.
    let mut other = Living::new();
    other.add(40);
    other.rows.iter_mut().for_each(|row| *row = row.map(|(_, colour)| (12, colour)));
    for key in 0..40u64 {
        other.writer.update(&Update::new(key).u64(&other.number, 12).unwrap()).unwrap();
    }
    other.writer.commit().unwrap();
    other.check(&filters);
    living.check(&filters);
}

/// What a deadline cuts is not what is kept.
#[test]
fn what_is_cut_is_not_kept() {
    let mut living = Living::new();
    living.add(20_000);
    let index = living.writer.reader().unwrap();
    let (mut cut, mut whole) = (0, 0);
    for round in 0..200u64 {
        let filter = Filter::keys((0..20_000u64).map(|at| at * 3 + round));
        let all = filter.clone() | living.number.any_of((0..50).filter(|number| number % 7 == 1));
        let query = Query::sparse(&living.terms, &[(1u32, 1.0f32)]).unwrap().top(10_000);
        let until = Instant::now() + Duration::from_micros(round * 3);
        let hits = index.search(&query.clone().filter(all.clone()).deadline(until)).unwrap();
        if hits.complete() {
            whole += 1;
        } else {
            cut += 1;
        }
        if round % 10 == 0 {
            let wanted = |key: u64| {
                (key >= round && (key - round).is_multiple_of(3)) || key * 7 % 50 % 7 == 1
            };
            let want = (0..20_000).filter(|&key| wanted(key)).take(10_000);
            let want: Vec<String> = want.map(|key| key.to_string()).collect();
            assert_eq!(found(&index, &living.terms, &all), want, "round {round}");
        }
    }
    assert!(cut > 0, "{cut} cut, {whole} whole");
}

/// Many threads, one filter.
#[test]
fn threads_share_what_is_kept() {
    let mut living = Living::new();
    (0..4).for_each(|_| living.add(2000));
    let index = living.writer.reader().unwrap();
    let filter = Filter::keys((0..4000u64).map(|at| at * 2));
    let query = Query::sparse(&living.terms, &[(1u32, 1.0f32)]).unwrap().top(5000).exact();
    let queries = vec![query.filter(filter); 64];
    for hits in index.search_batch(&queries, 8).unwrap() {
        assert_eq!(hits.len(), 4000);
        assert!(hits.iter().all(|hit| hit.key().as_u64().unwrap().is_multiple_of(2)));
    }
}

#[test]
fn keys_of_the_other_kind_are_named() {
    let mut living = Living::new();
    living.add(3);
    let index = living.writer.reader().unwrap();
    let mixed = Filter::keys([lateen::Key::from(1u64), lateen::Key::from("one")]);
    let query = Query::sparse(&living.terms, &[(1u32, 1.0f32)]).unwrap();
    let Err(Error::Input(error)) = index.search(&query.filter(mixed)) else { panic!() };
    assert_eq!(error.to_string(), "key: key one is not of the schema's kind, a number");
}
