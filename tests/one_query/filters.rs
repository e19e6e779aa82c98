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
        (schema.keyword("number").unwrap_err(), "no keyword field named \"number\""),
        (schema.u64("none").unwrap_err(), "no u64 field named \"none\""),
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
