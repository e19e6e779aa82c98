use std::collections::BTreeMap;

use lateen::{
    Document, Error, Filter, IndexWriter, KeyKind, Query, RoaringTreemap, Schema, SparseField,
};

use super::set::{Set, SetFields, committed, larger};
use super::{COLOURS, Wiki};

#[test]
fn facets_are_counts_over_what_passes() {
    let wiki = Wiki::new(3);
    for (filter, passes) in [
        (None, Box::new(|_: u64| true) as Box<dyn Fn(u64) -> bool>),
        (Some(wiki.number.range(..50)), Box::new(|row| row * row % 101 < 50)),
        (Some(wiki.odd.eq(true)), Box::new(|row| row % 11 != 0 && row % 2 == 1)),
        (Some(wiki.colour.eq("red") & wiki.colour.eq("blue")), Box::new(|_| false)),
    ] {
        let mut counts = BTreeMap::<&str, u64>::new();
        for row in (0..400).filter(|&row| row != 17 && passes(row)) {
            *counts.entry(COLOURS[row as usize % 3]).or_default() += 1;
            if row % 4 == 0 {
                *counts.entry("grey").or_default() += 1;
            }
        }
        let mut want: Vec<(&str, u64)> = counts.into_iter().collect();
        want.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let facets = wiki.index.facets(filter.as_ref(), &wiki.colour, 10).unwrap();
        let got: Vec<(&str, u64)> =
            facets.iter().map(|facet| (facet.value.as_str(), facet.count)).collect();
        assert_eq!(got, want);
        assert!(wiki.index.facets(filter.as_ref(), &wiki.colour, 2).unwrap().len() <= 2);
    }
}

#[test]
fn contradictions_have_no_hits_and_strangers_are_errors() {
    let wiki = Wiki::new(2);
    let never = wiki.colour.eq("red") & !wiki.colour.eq("red");
    for query in [wiki.by_terms(3), wiki.by_tokens(3)] {
        let hits = wiki.index.search(&query.filter(never.clone())).unwrap();
        assert!(hits.is_empty() && hits.certified());
    }
    let mut other = Schema::builder();
    other.sparse("s");
    let stranger = other.keyword("colour");
    let asked = wiki.index.search(&wiki.by_terms(0).filter(stranger.eq("red")));
    assert!(matches!(asked, Err(Error::Schema(_))));
    let part = wiki.by_terms(0).filter(stranger.eq("red"));
    let fused = Query::fused(lateen::Fusion::default(), [part]).unwrap();
    assert!(matches!(wiki.index.search(&fused), Err(Error::Schema(_))));
    let bitmap: RoaringTreemap = (0u64..5).collect();
    let asked = wiki.index.search(&wiki.by_terms(0).filter(Filter::bitmap(bitmap)));
    let Err(Error::Input(error)) = asked else { panic!("{asked:?}") };
    assert!(error.to_string().contains("not of the schema's kind"), "{error}");
}

/// Whoever asks for what there is not is told its name, and what is there.
#[test]
fn what_an_attribute_is_not_is_said() {
    let wiki = Wiki::new(1);
    let schema = wiki.index.schema();
    let said = |text: &str| Filter::parse(&schema, text).unwrap_err().to_string();
    for (text, names) in [
        ("colr = red", &["\"colr\"", "\"colour\" (keyword)", "\"number\" (u64)"][..]),
        ("number = red", &["\"number\"", "u64"]),
        ("odd = 3", &["\"odd\"", "bool"]),
        ("colour > red", &["\"colour\"", "keyword"]),
        ("sparse = 1", &["\"sparse\"", "sparse, and no attribute"]),
    ] {
        let said = said(text);
        assert!(names.iter().all(|name| said.contains(name)), "{text}: {said}");
    }
    for (error, words) in [
        (schema.keyword("number").unwrap_err(), "the field \"number\" is u64, not keyword"),
        (schema.u64("none").unwrap_err(), "no u64 field named \"none\": no field has this name"),
    ] {
        assert_eq!(error.to_string(), words);
    }
    for filter in ["number < 5 and number > 9", "colour in (red) and not colour = red"] {
        let filter = Filter::parse(&schema, filter).unwrap();
        for query in [wiki.by_terms(1), wiki.by_tokens(1)] {
            let hits = wiki.index.search(&query.filter(filter.clone())).unwrap();
            assert!(hits.is_empty() && hits.certified());
        }
    }
}

/// Whatever is asked, a filtered answer is that of an index which has nothing else: nothing that a
/// filter leaves out is scored, is a candidate, feeds back, or is a document at large.
#[test]
fn what_is_filtered_out_is_not_there() {
    type Keep = fn(u64) -> bool;
    let keeps: [(&str, Keep); 3] = [
        ("colour = red", |row| row % 3 == 0),
        ("number < 40 and not odd = true", |row| {
            row * row % 101 < 40 && !(row % 11 != 0 && row % 2 == 1)
        }),
        ("number = 4 or number = 9", |row| matches!(row * row % 101, 4 | 9)),
    ];
    let whole = Wiki::new(1);
    let said = |wiki: &Wiki, query: &Query| -> Vec<(u64, u32)> {
        let found = wiki.ask(query);
        found.into_iter().map(|(row, score)| (row, score.to_bits())).collect()
    };
    for (text, keep) in keeps {
        let filter = Filter::parse(&whole.index.schema(), text).unwrap();
        let part = Wiki::of(1, keep);
        for at in (0..whole.queries()).step_by(4) {
            let of =
                |wiki: &Wiki| super::explaining::modes(&wiki.set, at, &wiki.sparse, &wiki.tokens);
            for ((mode, query), (_, alone)) in of(&whole).into_iter().zip(of(&part)) {
                let filtered = query.exact().filter(filter.clone()).top(25);
                let found = said(&whole, &filtered);
                assert_eq!(found, said(&part, &alone.exact().top(25)), "{mode}, {text}");
                assert!(!found.is_empty() && found.iter().all(|entry| keep(entry.0)), "{mode}");
            }
        }
    }
}

/// Random bitmaps of every width: the answer is that of all documents, thinned.
fn thinned(set: &Set, shares: &[f64]) {
    let place = tempfile::tempdir().unwrap();
    let fields = SetFields::of(set);
    let mut writer = fields.writer(&place.path().join("index"), lateen::WriterOptions::default());
    set.add_to(&mut writer, &fields, 4096);
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    let count = set.sparse.len() as u64;
    let asked = (0..set.sparse_queries.len()).step_by((set.sparse_queries.len() / 20).max(1));
    for (at, &share) in shares.iter().enumerate() {
        let chance = |row: u64| {
            let mixed = (row + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ at as u64) >> 11;
            (mixed as f64 / (1u64 << 53) as f64) < share
        };
        let bitmap: RoaringTreemap = (0..count).filter(|&row| chance(row)).collect();
        let filter = Filter::bitmap(bitmap.clone());
        for query in asked.clone() {
            let mut queries =
                vec![Query::sparse(&fields.sparse, set.sparse_queries.row(query)).unwrap()];
            if let Some((_, rows)) = &set.tokens {
                for field in [&fields.f16, &fields.int8].into_iter().flatten() {
                    queries.push(Query::tokens(field, rows.matrix(query)).unwrap());
                }
            }
            for query in queries {
                let all = index.search(&query.clone().exact().top(10_000)).unwrap();
                let want: Vec<_> = all
                    .iter()
                    .filter(|hit| bitmap.contains(hit.key().as_u64().unwrap()))
                    .map(|hit| (hit.key().clone(), hit.score().to_bits()))
                    .take(10)
                    .collect();
                let hits = index.search(&query.filter(filter.clone()).exact()).unwrap();
                let got: Vec<_> =
                    hits.iter().map(|hit| (hit.key().clone(), hit.score().to_bits())).collect();
                // The list of all is cut at 10,000.
                let known = got.len().min(want.len());
                assert!(hits.certified() && got[..known] == want[..known], "{share}");
                assert!(all.len() == 10_000 || got.len() == want.len(), "{share}");
            }
        }
    }
}

#[test]
fn a_filtered_answer_is_the_whole_thinned() {
    thinned(&Set::open(&committed()), &[1.0, 0.5, 0.05, 0.01, 0.0]);
}

#[test]
fn a_filtered_answer_is_the_whole_thinned_on_larger_sets() {
    for name in ["mixed", "wiki"] {
        if let Some(folder) = larger(name) {
            thinned(&Set::open(&folder), &[0.5, 0.05, 0.005, 0.0001]);
        }
    }
}

/// A number for each key, and bitmaps on both sides of where look-ups turn into a walk.
#[test]
fn bitmaps_are_sets_of_keys() {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let terms: SparseField = schema.sparse("terms");
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    for at in 0..1000u64 {
        let key = at * 0x1_0000_0001;
        writer.add(&Document::new(key).sparse(&terms, &[(1u32, 1.0f32)]).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    for step in [1, 2, 7, 9, 100, 2000] {
        let bitmap: RoaringTreemap = (0..1000).step_by(step).map(|at| at * 0x1_0000_0001).collect();
        let wanted: Vec<u64> = bitmap.iter().collect();
        let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap().top(1000);
        let hits = index.search(&query.filter(Filter::bitmap(bitmap))).unwrap();
        let got: Vec<u64> = hits.iter().map(|hit| hit.key().as_u64().unwrap()).collect();
        assert_eq!(got, wanted);
    }
}

/// Keys that number the documents as they lie, the same in no order, and with a hole; beyond their
/// ends on both sides; many keys and few, the first time and the next, of numbers far from 0, too.
#[test]
fn keys_that_are_rows() {
    const COUNT: u64 = 1000;
    for base in [0, 7, u64::from(u32::MAX) - 500, u64::MAX - COUNT] {
        let in_order: Vec<u64> = (0..COUNT).map(|row| base + row).collect();
        let mut turned = in_order.clone();
        turned.swap(3, 977);
        let mut holed = in_order.clone();
        holed.remove(500);
        for keys in [in_order, turned, holed] {
            let mut schema = Schema::builder();
            schema.keys(KeyKind::U64);
            let terms: SparseField = schema.sparse("terms");
            let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
            for &key in &keys {
                writer.add(&Document::new(key).sparse(&terms, &[(1u32, 1.0f32)]).unwrap()).unwrap();
            }
            writer.commit().unwrap();
            let index = writer.reader().unwrap();
            let all = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap().top(2000);
            for step in [1u64, 2, 3, 64, 400] {
                let wanted: Vec<u64> = (0..COUNT + 300)
                    .filter_map(|at| base.checked_add(at)?.checked_sub(150))
                    .filter(|key| key.is_multiple_of(step))
                    .collect();
                let mut expected: Vec<u64> =
                    wanted.iter().copied().filter(|key| keys.contains(key)).collect();
                expected.sort_unstable();
                let bitmap: RoaringTreemap = wanted.iter().copied().collect();
                let by_keys = Filter::keys(wanted.iter().rev().copied());
                for filter in [by_keys, Filter::bitmap(bitmap)] {
                    let hits = index.search(&all.clone().filter(filter)).unwrap();
                    let got: Vec<u64> =
                        hits.iter().map(|hit| hit.key().as_u64().unwrap()).collect();
                    assert!(got == expected, "{base}, every {step}");
                }
            }
        }
    }
}

/// Numbers of every kind over several blocks of documents, in order and in none, with holes, in two
/// segments: ranges find what a look at each number finds, the first time and the next.
#[test]
fn ranges_over_many_documents() {
    const COUNT: u64 = 9000;
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let terms: SparseField = schema.sparse("terms");
    let (place, drawn) = (schema.i64("place"), schema.i64("drawn"));
    let (whole, float, odd) = (schema.u64("whole"), schema.f64("float"), schema.bool("odd"));
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    let mut draw = super::random::Draw::new(11);
    // A long run of documents lacks the number that stands in order.
    let place_of = |row: u64| (!(1000..6000).contains(&row)).then_some(row.cast_signed() - 4500);
    let mut rows = Vec::new();
    for row in 0..COUNT {
        let some = draw.below(1000);
        let number = i64::try_from(some).unwrap() - 500;
        let tenths = (row as f64 - 4500.0) / 10.0;
        rows.push((number, tenths));
        let mut document = Document::new(row).sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
        if let Some(at) = place_of(row) {
            document = document.i64(&place, at).unwrap();
        }
        if row % 3 != 0 {
            document = document.i64(&drawn, number).unwrap().f64(&float, tenths).unwrap();
        }
        document = document.u64(&whole, u64::MAX - row).unwrap();
        document = document.bool(&odd, row >= 5000 || row % 2 == 1).unwrap();
        writer.add(&document).unwrap();
        if row == 8191 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap().top(10_000).exact();
    let check = |filter: &Filter, said: &str, passes: &dyn Fn(u64) -> bool| {
        let want: Vec<u64> = (0..COUNT).filter(|&row| passes(row)).collect();
        let hits = index.search(&query.clone().filter(filter.clone())).unwrap();
        let got: Vec<u64> = hits.iter().map(|hit| hit.key().as_u64().unwrap()).collect();
        assert!(got == want, "{said}: {} instead of {}", got.len(), want.len());
    };
    let numbers = |row: u64| (!row.is_multiple_of(3)).then(|| rows[usize::try_from(row).unwrap()]);
    for _ in 0..2 {
        for (low, high) in [(-4500, 4500), (-5000, -4500), (-3500, 1500), (-404, -403), (0, 0)] {
            let within = |at: Option<i64>| at.is_some_and(|at| (low..=high).contains(&at));
            let said = format!("{low}..={high}");
            check(&place.range(low..=high), &said, &|row| within(place_of(row)));
            check(&drawn.range(low..=high), &said, &|row| within(numbers(row).map(|n| n.0)));
            let (a, b) = (low as f64 / 10.0, high as f64 / 10.0);
            let between = |row| numbers(row).is_some_and(|n| (a..=b).contains(&n.1));
            check(&float.range(a..=b), &said, &between);
            let open = |row| numbers(row).is_some_and(|n| (a..b).contains(&n.1));
            check(&!float.range(a..b), &said, &|row| !open(row));
            let (a, b) = (u64::MAX - high.unsigned_abs(), u64::MAX - low.unsigned_abs() / 2);
            check(&whole.range(a..b), &said, &|row| (a..b).contains(&(u64::MAX - row)));
        }
        check(&place.exists(), "exists", &|row| place_of(row).is_some());
        check(&float.exists(), "exists", &|row| row % 3 != 0);
        check(&odd.eq(true), "true", &|row| row >= 5000 || row % 2 == 1);
        check(&odd.eq(false), "false", &|row| row < 5000 && row % 2 == 0);
        check(&odd.exists(), "exists", &|_| true);
        check(&whole.range(..), "any", &|_| true);
    }
}
