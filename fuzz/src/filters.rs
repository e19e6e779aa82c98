//! Filters made of bytes, and what has to be true of what they let pass.

use std::collections::{BTreeMap, BTreeSet};

use lateen::{Facet, Filter, Index, Key, KeyKind, Query, RoaringTreemap, Schema};

use super::attributes::{Value, rows};
use super::both::indexes;
use super::choices::Choices;

/// A filter of an index's fields, of any shape and so many steps at most.
///
/// # Errors
/// For a field that the schema lacks.
pub fn any_filter(
    schema: &Schema,
    choices: &mut Choices<'_>,
    most: usize,
) -> lateen::Result<Filter> {
    let mut held: Vec<Filter> = Vec::new();
    for _ in 0..choices.below(most) {
        let next = match choices.byte() % 12 {
            0 => schema.keyword("lang")?.eq(choices.pick(&["en", "fr", "ké", "", "7"])),
            1 => schema.keyword("lang")?.exists(),
            2 => schema.i64("year")?.range(1980 - i64::from(choices.byte())..),
            3 => match schema.u64("size") {
                Ok(field) => field.range(..u64::from(choices.byte()) << 40),
                Err(_) => schema.keyword("lang")?.any_of(["7", "11", "fr"]),
            },
            4 => match schema.f64("price") {
                Ok(field) => field.range(f64::from(choices.f32())..=f64::from(choices.f32())),
                Err(_) => schema.i64("year")?.any_of([1900, 1977, 2100]),
            },
            5 => match schema.bool("open") {
                Ok(field) => field.eq(choices.one_in(2)),
                Err(_) => schema.i64("year")?.exists(),
            },
            6 if schema.key_kind() == KeyKind::U64 => {
                let keys = (0..choices.below(300)).map(|i| i as u64 * 3);
                if choices.one_in(2) {
                    Filter::bitmap(keys.collect::<RoaringTreemap>())
                } else {
                    Filter::keys(keys)
                }
            }
            6 => Filter::keys((0..choices.below(5)).map(|i| format!("doc-{i:02}"))),
            7 => !held.pop().unwrap_or_else(|| Filter::all([])),
            8 | 9 => {
                let more = held.pop().unwrap_or_else(|| Filter::any([]));
                held.pop().unwrap_or_else(|| Filter::all([])) & more
            }
            10 => {
                let more = held.pop().unwrap_or_else(|| Filter::all([]));
                held.pop().unwrap_or_else(|| Filter::any([])) | more
            }
            _ => Filter::any(held.drain(..)),
        };
        held.push(next);
        if choices.is_empty() {
            break;
        }
    }
    Ok(Filter::all(held))
}

/// The documents that pass a filter: each of both indexes has the term 7. `None` where the filter
/// is refused.
fn passing(index: &Index, filter: &Filter) -> Option<BTreeSet<Key>> {
    let schema = index.schema();
    let field = schema.sparse("sparse").or_else(|_| schema.sparse("wide")).expect("one of both");
    let all = Query::sparse(&field, &[(7u32, 1.0f32)]).expect("a query");
    let hits = index.search(&all.exact().top(1000).filter(filter.clone())).ok()?;
    Some(hits.iter().map(|hit| hit.key().clone()).collect())
}

/// What passes a filter of one of the two, after what has to be true of it whatever it is: it and its
/// negation part the documents between them, and facets count what has passed.
pub fn parted(which: usize, filter: &Filter) -> Option<BTreeSet<Key>> {
    let index = &indexes()[which];
    let passed = passing(index, filter)?;
    let refused = passing(index, &!filter.clone()).expect("as deep");
    assert!(refused.is_disjoint(&passed));
    assert!(refused.union(&passed).eq(rows(which).keys()));
    if let Some(both) = passing(index, &(filter.clone() & filter.clone())) {
        assert_eq!(both, passed);
    }
    let lang = index.schema().keyword("lang").expect("both have it");
    let mut counts = BTreeMap::<&String, u64>::new();
    for key in &passed {
        if let Some(Value::Texts(texts)) = rows(which)[key].get("lang") {
            for text in texts {
                *counts.entry(text).or_default() += 1;
            }
        }
    }
    let mut expected: Vec<Facet> =
        counts.into_iter().map(|(value, count)| Facet { value: value.clone(), count }).collect();
    expected.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
    let most = 1 + passed.len() % 7;
    expected.truncate(most);
    assert_eq!(index.facets(Some(filter), &lang, most).expect("it has just passed"), expected);
    Some(passed)
}

/// A filter and its negation part the documents between them, and facets count them.
pub fn filters(data: &[u8]) {
    let mut choices = Choices(data);
    let which = choices.below(2);
    let schema = indexes()[which].schema();
    if let Ok(filter) = any_filter(&schema, &mut choices, 200) {
        let _ = parted(which, &filter);
    }
}
