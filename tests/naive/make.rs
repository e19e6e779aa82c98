//! Documents and queries drawn from a seed: few distinct values, so that scores are often equal,
//! and now and then one from the end of its range.

use std::ops::Bound;

use lateen::limits::MAX_WEIGHT;
use lateen::{Key, KeyKind, Normalization, TokenCodec};

use super::given::{Ask, First, Given, Test};
use super::random::Draw;
use super::score::Terms;
use super::{Fields, Tokens};

/// Keys of a kind: they order differently as numbers and as text.
pub(crate) fn key(kind: KeyKind, at: usize) -> Key {
    match kind {
        KeyKind::U64 if at == 7 => Key::from(u64::MAX),
        KeyKind::U64 => Key::from(at as u64 * 37 % 4099),
        KeyKind::Str if at == 7 => Key::from("é".repeat(256)), // as long as they get
        KeyKind::Str if at.is_multiple_of(5) => Key::from(format!("wiki-{}", "a".repeat(at))),
        KeyKind::Str => Key::from(format!("wiki-{at}#é")),
    }
}

/// A weight: mostly one of five.
fn weight(draw: &mut Draw) -> f32 {
    match draw.below(100) {
        0 => 0.0,
        1 => draw.pick(&[f32::from_bits(1), 1e-20, 1e-8, 65_504.0, 70_000.0, 1e13, MAX_WEIGHT]),
        2..15 => draw.unit().abs() + 0.001,
        _ => draw.pick(&[0.25, 0.5, 1.0, 1.5, 2.75]),
    }
}

/// Distinct terms in any order; some are in most vectors, most in few.
pub(crate) fn terms(draw: &mut Draw, most: usize) -> Terms {
    let mut out = Terms::new();
    for _ in 0..draw.below(most + 1) {
        let term = match draw.below(3) {
            0 => draw.below(4) as u32,
            1 => 100 + draw.below(40) as u32 * 7,
            _ => u32::MAX - draw.below(30) as u32 * 1_000_003,
        };
        if out.iter().all(|entry| entry.0 != term) {
            out.push((term, weight(draw)));
        }
    }
    out
}

/// A row as the field takes it, often one of few.
fn row(draw: &mut Draw, field: &Tokens, out: &mut Vec<f32>) {
    let dim = field.dim;
    let checked = field.normalization == Normalization::Checked;
    if field.normalization == Normalization::AsIs && draw.one_in(12) {
        // 127 steps of a half, and every second one a tie between two codes.
        let quarters = (0..dim).map(|at| if at == 0 { 63.5 } else { at as f32 * 0.25 });
        return out.extend(quarters);
    }
    if draw.one_in(2) {
        let mut axis = vec![0.0; dim];
        axis[draw.below(3)] = draw.pick(&[1.0, -1.0]);
        return out.extend(axis);
    }
    // One of a few rows that many documents share, or one of its own.
    let mut own = if draw.one_in(2) { Draw::new(draw.below(6) as u64) } else { draw.clone() };
    draw.next();
    let mut row: Vec<f32> = (0..dim).map(|_| own.unit()).collect();
    if checked {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in &mut row {
            *x /= length;
        }
    } else if draw.one_in(8) {
        let most = if field.codec == TokenCodec::F16 { 60_000.0 } else { 8.3e6 };
        let size = draw.pick(&[most, 1e-3, 1e-7, 1e-20]);
        for x in &mut row {
            *x *= size;
        }
    } else if draw.one_in(8) && field.normalization == Normalization::AsIs {
        row.fill(0.0);
    }
    out.extend(row);
}

/// Rows for a field, `least` to `most`.
pub(crate) fn rows(draw: &mut Draw, field: &Tokens, least: usize, most: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for _ in 0..least + draw.below(most - least + 1) {
        row(draw, field, &mut out);
    }
    out
}

const LANGS: [&str; 5] = ["en", "fr", "de", "", "zh-Hant"];
const YEARS: [i64; 5] = [1999, -1, i64::MIN, i64::MAX, 2026];
const SIZES: [u64; 4] = [0, 1, 1 << 63, u64::MAX];
const PRICES: [f64; 6] = [0.0, -0.0, 9.99, -1e300, f64::INFINITY, f64::NEG_INFINITY];

/// A document; any part of it may be absent, but for one vector.
pub(crate) fn document(draw: &mut Draw, fields: &Fields) -> Given {
    let mut given = Given::default();
    for _ in &fields.sparse {
        given.sparse.push(draw.maybe(|draw| terms(draw, 24)));
    }
    for (i, field) in fields.tokens.iter().enumerate() {
        let rows = draw.maybe(|draw| rows(draw, field, 0, 7));
        let count = rows.as_ref().map_or(0, |rows| rows.len() / field.dim) as u32;
        // Batches hand in every second field flat, which takes spans for all rows or none.
        let spans = i.is_multiple_of(2) && draw.one_in(2);
        given.spans.push(spans.then(|| (0..count).map(|at| (at * 3, at * 3 + 2)).collect()));
        given.tokens.push(rows);
    }
    let any = given.sparse.iter().flatten().flatten().any(|entry| entry.1 > 0.0)
        || given.tokens.iter().flatten().any(|rows| !rows.is_empty());
    if !any {
        match (given.sparse.first_mut(), given.tokens.first_mut()) {
            (Some(first), _) => *first = Some(vec![(3, 1.0)]),
            (None, Some(first)) => {
                *first = Some(rows(draw, &fields.tokens[0], 1, 1));
                given.spans[0] = None;
            }
            (None, None) => unreachable!("a schema has a vector field"),
        }
    }
    for _ in 0..draw.below(3) {
        given.lang.push(draw.pick(&LANGS).to_owned()); // twice the same counts once
    }
    given.year = draw.maybe(|draw| draw.pick(&YEARS));
    given.size = draw.maybe(|draw| draw.pick(&SIZES));
    given.price = draw.maybe(|draw| draw.pick(&PRICES));
    given.open = draw.maybe(|draw| draw.one_in(2));
    given.payload = draw.maybe(|draw| {
        let length = if draw.one_in(20) { 5000 } else { draw.below(40) };
        (0..length).map(|i| if i % 3 == 0 { draw.next() as u8 } else { b'a' }).collect()
    });
    given
}

fn bound<T: Clone>(draw: &mut Draw, from: &[T]) -> Bound<T> {
    match draw.below(3) {
        0 => Bound::Unbounded,
        1 => Bound::Included(draw.pick(from)),
        _ => Bound::Excluded(draw.pick(from)),
    }
}

/// A filter of at most `depth` levels of and, or, not.
pub(crate) fn test(draw: &mut Draw, kind: KeyKind, depth: usize) -> Test {
    let parts = |draw: &mut Draw| -> Vec<Test> {
        (0..draw.below(3)).map(|_| test(draw, kind, depth - 1)).collect()
    };
    if depth > 0 && draw.one_in(2) {
        return match draw.below(6) {
            0 => Test::All(parts(draw)),
            1 => Test::Any(parts(draw)),
            2 => {
                let (a, b) = (test(draw, kind, depth - 1), test(draw, kind, depth - 1));
                Test::And(Box::new(a), Box::new(b))
            }
            3 => {
                let (a, b) = (test(draw, kind, depth - 1), test(draw, kind, depth - 1));
                Test::Or(Box::new(a), Box::new(b))
            }
            _ => Test::Not(Box::new(test(draw, kind, depth - 1))),
        };
    }
    match draw.below(8) {
        0 => {
            let count = 1 + draw.below(2);
            Test::Lang(
                (0..count).map(|_| draw.pick(&[&LANGS[..], &["xx"]].concat()).into()).collect(),
            )
        }
        1 => Test::Year(bound(draw, &YEARS), bound(draw, &YEARS)),
        2 => Test::Size(bound(draw, &SIZES), bound(draw, &SIZES)),
        3 => Test::Price(bound(draw, &PRICES), bound(draw, &PRICES)),
        4 => Test::Years((0..draw.below(3)).map(|_| draw.pick(&YEARS)).collect()),
        5 => Test::Open(draw.one_in(2)),
        6 => Test::Has(draw.below(5)),
        _ => Test::Keys((0..draw.below(30)).map(|_| key(kind, draw.below(60))).collect()),
    }
}

/// A query.
pub(crate) fn ask(draw: &mut Draw, fields: &Fields) -> Ask {
    let tokens = |draw: &mut Draw| {
        let at = draw.below(fields.tokens.len());
        (at, rows(draw, &fields.tokens[at], 1, 9))
    };
    let sparse = fields.tokens.is_empty() || (!fields.sparse.is_empty() && draw.one_in(2));
    let first = if sparse {
        let most = draw.pick(&[0, 1, 3, 12, 30]);
        First::Sparse(draw.below(fields.sparse.len()), terms(draw, most))
    } else {
        let (at, rows) = tokens(draw);
        First::Tokens(at, rows)
    };
    let rerank = (!fields.tokens.is_empty() && draw.one_in(3)).then(|| {
        let (at, rows) = tokens(draw);
        (at, rows, draw.maybe(|draw| draw.pick(&[1, 2, 5, 17, 1000])))
    });
    let kind = fields.schema.key_kind();
    let test = draw.one_in(2).then(|| test(draw, kind, 2));
    let top = draw.pick(&[1, 2, 3, 5, 10, 30, 100, 10_000]);
    Ask { first, rerank, test, top }
}
