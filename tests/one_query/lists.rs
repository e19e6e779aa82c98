use std::collections::BTreeMap;

use lateen::{Collapse, Diversify, Error, Fusion, Key, Query};

use super::{Wiki, has_tokens, key, row_of, sort};

#[test]
fn pages_neither_overlap_nor_leave_out() {
    let wiki = Wiki::new(3);
    for query in 0..10 {
        for whole in [
            wiki.by_terms(query),
            wiki.by_tokens(query),
            wiki.by_terms(query).rerank(&wiki.tokens, wiki.matrix(query)).unwrap().candidates(200),
        ] {
            let all = wiki.ask(&whole.clone().top(400));
            let mut paged: Vec<(u64, f32)> = Vec::new();
            loop {
                let mut page = whole.clone().top(37);
                if let Some(&(row, score)) = paged.last() {
                    page = page.after(score, key(row));
                }
                let found = wiki.ask(&page);
                paged.extend(&found);
                if found.len() < 37 {
                    break;
                }
            }
            assert_eq!(paged, all);
        }
    }
    assert!(matches!(
        wiki.index.search(&wiki.by_terms(0).after(f32::NAN, "a")),
        Err(Error::Input(_))
    ));
    let both = wiki.by_terms(0).after(1.0, "a").collapse(Collapse::keyword(&wiki.colour));
    assert!(matches!(wiki.index.search(&both), Err(Error::Input(_))));
}

#[test]
fn parents_have_their_best_inside() {
    let wiki = Wiki::new(2);
    for query in 0..20 {
        let all = wiki.ask(&wiki.by_tokens(query).top(400));
        let naive = |parent: &dyn Fn(u64) -> String| {
            let mut groups: Vec<(String, Vec<u64>)> = Vec::new();
            for &(row, _) in &all {
                let name = parent(row);
                match groups.iter_mut().find(|group| group.0 == name) {
                    Some(group) => group.1.push(row),
                    None => groups.push((name, vec![row])),
                }
            }
            groups.into_iter().map(|group| group.1).collect::<Vec<_>>()
        };
        let colour = |row: u64| {
            let mut of = vec![super::COLOURS[row as usize % 3]];
            of.extend(row.is_multiple_of(4).then_some("grey"));
            of.into_iter().min().unwrap().to_owned()
        };
        let number = |row: u64| (row * row % 101).to_string();
        for (collapse, want) in [
            (Collapse::key_prefix('#'), naive(&|row| (row / 3).to_string())),
            (Collapse::keyword(&wiki.colour), naive(&colour)),
            (Collapse::u64(&wiki.number), naive(&number)),
        ] {
            let asked = wiki.by_tokens(query).collapse(collapse.inside(2).pool(400)).top(15);
            let hits = wiki.index.search(&asked).unwrap();
            assert_eq!(hits.len(), want.len().min(15));
            for (hit, group) in hits.iter().zip(&want) {
                assert_eq!(row_of(hit.key()), group[0]);
                let inside: Vec<u64> = hit.inside().iter().map(|hit| row_of(hit.key())).collect();
                assert_eq!(inside, group[..group.len().min(2)], "query {query}");
            }
        }
    }
    let many = Collapse::keyword(&wiki.colour).inside(1001);
    assert!(wiki.index.search(&wiki.by_terms(0).collapse(many)).is_err());
}

#[test]
fn sorting_keeps_the_hits() {
    let wiki = Wiki::new(3);
    for query in 0..10 {
        let best = wiki.ask(&wiki.by_terms(query).top(50));
        let up = wiki.ask(&wiki.by_terms(query).top(50).sort(wiki.number.ascending()));
        let mut want = best.clone();
        want.sort_by_key(|entry| entry.0 * entry.0 % 101);
        assert_eq!(up, want);
        let down = wiki.ask(&wiki.by_terms(query).top(50).sort(wiki.odd.descending()));
        let mut want = best;
        // Without a value last, whichever the direction.
        want.sort_by_key(|entry| if entry.0 % 11 == 0 { 2 } else { 1 - entry.0 % 2 });
        assert_eq!(down, want);
    }
}

#[test]
fn diversity_is_maximal_marginal_relevance() {
    let wiki = Wiki::new(2);
    let (rows, _) = wiki.set.tokens.as_ref().unwrap();
    let stored: BTreeMap<u64, Vec<f32>> = (0..rows.len() as u64)
        .filter(|&row| row != 17 && has_tokens(row))
        .map(|row| {
            let document = wiki.index.get(key(row)).unwrap().unwrap();
            let rows = document.tokens(&wiki.tokens).unwrap().unwrap();
            let mut sum = vec![0.0f32; 128];
            for row in rows.chunks(128) {
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
            let length = sum.iter().fold(0.0, |all, x| all + x * x).sqrt();
            (row, sum.iter().map(|x| x / length).collect())
        })
        .collect();
    let like = |a: u64, b: u64| match (stored.get(&a), stored.get(&b)) {
        (Some(a), Some(b)) => a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b),
        _ => 0.0f32,
    };
    for query in 0..10 {
        let pool = wiki.ask(&wiki.by_terms(query).top(60));
        for lambda in [0.0, 0.3, 0.7, 1.0] {
            let (high, low) = (pool[0].1, pool[pool.len() - 1].1);
            let mut left = pool.clone();
            let mut want: Vec<(u64, f32)> = Vec::new();
            while want.len() < 12 {
                let worth = |&(row, score): &(u64, f32)| {
                    let near = want.iter().map(|&(other, _)| like(row, other)).reduce(f32::max);
                    lambda * ((score - low) / (high - low)) - (1.0 - lambda) * near.unwrap_or(0.0)
                };
                let mut best = 0;
                for at in 1..left.len() {
                    if worth(&left[at]) > worth(&left[best]) {
                        best = at;
                    }
                }
                want.push(left.remove(best));
            }
            let diversify = Diversify::new(&wiki.tokens, lambda).pool(60);
            let got = wiki.ask(&wiki.by_terms(query).diversify(diversify).top(12));
            assert_eq!(got, want, "λ {lambda} of query {query}");
            if lambda == 1.0 {
                assert_eq!(got, pool[..12]);
            }
        }
    }
    let bad = Diversify::new(&wiki.tokens, 1.5);
    assert!(wiki.index.search(&wiki.by_terms(0).diversify(bad)).is_err());
    let none = Diversify::new(&wiki.tokens, 0.5).pool(0);
    assert!(wiki.index.search(&wiki.by_terms(0).diversify(none)).is_err());
}

#[test]
fn an_order_from_outside_is_taken_over() {
    let wiki = Wiki::new(2);
    let hits = wiki.index.search(&wiki.by_terms(4).top(6)).unwrap();
    let keys =
        |hits: &[lateen::Hit]| -> Vec<Key> { hits.iter().map(|hit| hit.key().clone()).collect() };
    let before = keys(&hits);
    let after = keys(&hits.reordered(&[4, 1, 4, 99, 0]));
    let want: Vec<Key> = [4, 1, 0, 2, 3, 5].iter().map(|&at: &usize| before[at].clone()).collect();
    assert_eq!(after, want);
    let mut same = vec![(1, 2.0), (0, 2.0)];
    sort(&mut same);
    assert_eq!(same[0].0, 0);
}

/// Scores of a fusion can be further apart than the largest float.
#[test]
fn scores_at_both_ends_of_all_floats_are_diversified() {
    let wiki = Wiki::new(2);
    let weighted = Fusion::Weighted(vec![f32::MAX]);
    let query = Query::fused(weighted, [wiki.by_tokens(0)]).unwrap().top(100);
    let whole = wiki.ask(&query);
    assert_eq!((whole[0].1, whole[99].1), (f32::MAX, f32::MIN));
    let by = |lambda| wiki.ask(&query.clone().diversify(Diversify::new(&wiki.tokens, lambda)));
    assert_eq!(by(1.0), whole);
    assert_eq!(by(0.5)[0], whole[0]);
}
