use std::collections::{BTreeMap, BTreeSet};

use lateen::{
    Certainty, Document, Error, Fusion, IndexWriter, Query, Schema, TokenCodec, TokenMatrix,
    TokenOptions,
};

use super::{Wiki, has_sparse, has_tokens, key, sort};

/// Ranks (from 1) and scores by row.
type Said = BTreeMap<u64, (usize, f32)>;

fn said(list: &[(u64, f32)]) -> Said {
    (1..).zip(list).map(|(rank, &(row, score))| (row, (rank, score))).collect()
}

/// What the documentation says of each fusion, from lists as searches give them and scores of all
/// documents.
fn naive(fusion: &Fusion, lists: &[Vec<(u64, f32)>], all: &[Said]) -> Vec<(u64, f32)> {
    let rows: BTreeSet<u64> = lists.iter().flatten().map(|entry| entry.0).collect();
    let mut sums: BTreeMap<u64, f64> = rows.iter().map(|&row| (row, 0.0)).collect();
    for (at, list) in lists.iter().enumerate() {
        let own = said(list);
        let scores: Vec<f64> = list.iter().map(|entry| f64::from(entry.1)).collect();
        let (low, high) = (scores[scores.len() - 1], scores[0]);
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        let variance = scores.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / scores.len() as f64;
        let calibrated = |score: f32| (f64::from(score) - mean) / variance.sqrt();
        let lowest = rows
            .iter()
            .filter_map(|row| all[at].get(row))
            .map(|said| calibrated(said.1))
            .fold(f64::INFINITY, f64::min);
        for (row, sum) in &mut sums {
            *sum += match fusion {
                Fusion::ReciprocalRank { k } => {
                    own.get(row).map_or(0.0, |said| 1.0 / (f64::from(*k) + said.0 as f64))
                }
                Fusion::RelativeScore => {
                    own.get(row).map_or(0.0, |said| (f64::from(said.1) - low) / (high - low))
                }
                Fusion::Weighted(weights) => {
                    let value = all[at].get(row).map_or(lowest, |said| calibrated(said.1));
                    f64::from(weights[at]) * value
                }
                other => panic!("no account of {other:?}"),
            };
        }
    }
    let mut fused: Vec<(u64, f32)> = sums.into_iter().map(|(row, sum)| (row, sum as f32)).collect();
    sort(&mut fused);
    fused
}

/// Equal but for the last bits: the order in which a variance is added up is nobody's promise.
fn agree(got: &[(u64, f32)], want: &[(u64, f32)], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        assert!(
            got.0 == want.0 && (got.1 - want.1).abs() <= 1e-5 * want.1.abs().max(1.0),
            "{what}: {got:?} instead of {want:?}"
        );
    }
}

#[test]
fn fusions_are_what_they_say_in_any_number_of_segments() {
    let (one, three) = (Wiki::new(1), Wiki::new(3));
    for query in 0..one.queries() {
        let parts = |wiki: &Wiki| {
            // Three queries of one need: a neighbour's terms stand for another wording.
            let other = (query + 1) % wiki.queries();
            [wiki.by_terms(query), wiki.by_tokens(query), wiki.by_terms(other)]
        };
        let lists: Vec<_> = parts(&one).into_iter().map(|part| one.ask(&part.top(40))).collect();
        let mut all: Vec<Said> =
            parts(&one).into_iter().map(|part| said(&one.ask(&part.top(400)))).collect();
        for at in [0, 2] {
            // A document that shares no term scores 0, as does one that has no vector.
            for row in (0..400).filter(|&row| row != 17) {
                all[at].entry(row).or_insert((0, 0.0));
            }
        }
        for fusion in [
            Fusion::default(),
            Fusion::ReciprocalRank { k: 0.0 },
            Fusion::RelativeScore,
            Fusion::Weighted(vec![1.0, 2.0, 0.25]),
        ] {
            let want = naive(&fusion, &lists, &all);
            let ask = |wiki: &Wiki, top: usize| {
                let query = Query::fused(fusion.clone(), parts(wiki)).unwrap();
                wiki.index.search(&query.candidates(40).top(top)).unwrap()
            };
            let hits = ask(&one, 200);
            assert!(hits.certified());
            let got: Vec<_> =
                hits.iter().map(|hit| (super::row_of(hit.key()), hit.score())).collect();
            agree(&got, &want, &format!("{fusion:?} of query {query}"));
            for top in [1, 10] {
                let few = ask(&three, top);
                let bits = |hits: &[lateen::Hit]| -> Vec<_> {
                    hits.iter().map(|hit| (hit.key().clone(), hit.score().to_bits())).collect()
                };
                assert_eq!(bits(&few), bits(&hits[..top.min(hits.len())]), "segments, {fusion:?}");
            }
        }
    }
}

#[test]
fn a_union_is_decided_by_maxsim() {
    let wiki = Wiki::new(3);
    for query in 0..wiki.queries() {
        let parts = || [wiki.by_terms(query), wiki.by_tokens(query)];
        let lists: Vec<_> = parts().into_iter().map(|part| wiki.ask(&part.top(30))).collect();
        let rows: BTreeSet<u64> = lists.iter().flatten().map(|entry| entry.0).collect();
        let all = said(&wiki.ask(&wiki.by_tokens(query).top(400)));
        let mut want: Vec<(u64, f32)> = rows
            .iter()
            .map(|row| (*row, all.get(row).map_or(f32::NEG_INFINITY, |said| said.1)))
            .collect();
        sort(&mut want);
        let union = Query::union(parts(), &wiki.tokens, wiki.matrix(query)).unwrap().candidates(30);
        assert_eq!(wiki.ask(&union.clone().top(400)), want);
        assert_eq!(wiki.ask(&union.clone().top(5)), want[..5]);
        // What lacks the rows stands behind, without a score.
        let lacking = want.iter().skip_while(|entry| has_tokens(entry.0));
        assert!(lacking.into_iter().all(|entry| entry.1 == f32::NEG_INFINITY));
        // Sparse candidates only: a rerank.
        let alone = [wiki.by_terms(query)];
        let union = Query::union(alone, &wiki.tokens, wiki.matrix(query)).unwrap().candidates(50);
        let rerank = wiki.by_terms(query).rerank(&wiki.tokens, wiki.matrix(query)).unwrap();
        assert_eq!(wiki.ask(&union.top(20)), wiki.ask(&rerank.candidates(50).top(20)));
    }
}

/// A dense vector is a matrix of one row, and takes part like the rest, from a field of its own.
#[test]
fn dense_vectors_take_part() {
    let wiki = Wiki::new(1);
    let mut schema = Schema::builder();
    let sparse = schema.sparse("sparse");
    let tokens = schema.tokens("tokens", 128);
    let dense = schema.tokens("dense", TokenOptions::new(128).codec(TokenCodec::F16));
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    let (rows, asked) = wiki.set.tokens.as_ref().unwrap();
    let count = wiki.set.sparse.len();
    let first = |matrices: &super::set::Ragged, at: usize| -> Vec<f32> {
        matrices.halves(at..at + 1)[..128].iter().map(|x| x.to_f32()).collect()
    };
    for at in 0..count {
        let vector = first(rows, at);
        let document = Document::new(key(at as u64)).sparse(&sparse, wiki.set.sparse.row(at));
        let document = document.unwrap().tokens(&tokens, rows.matrix(at)).unwrap();
        let document = document.tokens(&dense, TokenMatrix::new(&vector, 128)).unwrap();
        writer.add(&document).unwrap();
    }
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    let ask = |query: &Query| -> Vec<(u64, f32)> {
        let hits = index.search(query).unwrap();
        hits.iter().map(|hit| (super::row_of(hit.key()), hit.score())).collect()
    };
    for query in (0..wiki.queries()).step_by(3) {
        let vector = first(asked, query);
        let by_dense = || Query::tokens(&dense, TokenMatrix::new(&vector, 128)).unwrap().exact();
        let mut want: Vec<(u64, f32)> = (0..count)
            .map(|at| {
                let row = first(rows, at);
                (at as u64, vector.iter().zip(&row).map(|(a, b)| a * b).sum())
            })
            .collect();
        sort(&mut want);
        agree(&ask(&by_dense().top(400)), &want, "the dense search");
        let parts = || {
            let terms = wiki.set.sparse_queries.row(query);
            let terms = Query::sparse(&sparse, terms).unwrap().exact();
            let rows = Query::tokens(&tokens, wiki.matrix(query)).unwrap().exact();
            [by_dense(), terms, rows]
        };
        let lists: Vec<_> = parts().into_iter().map(|part| ask(&part.top(40))).collect();
        let mut all: Vec<Said> =
            parts().into_iter().map(|part| said(&ask(&part.top(400)))).collect();
        for row in 0..count as u64 {
            all[1].entry(row).or_insert((0, 0.0));
        }
        for fusion in
            [Fusion::default(), Fusion::RelativeScore, Fusion::Weighted(vec![0.5, 1.0, 2.0])]
        {
            let want = naive(&fusion, &lists, &all);
            let fused = Query::fused(fusion.clone(), parts()).unwrap().candidates(40).top(200);
            agree(&ask(&fused), &want, &format!("{fusion:?} of query {query}"));
        }
        // Candidates of all three, decided by the dense vector.
        let matrix = TokenMatrix::new(&vector, 128);
        let union = Query::union(parts(), &dense, matrix).unwrap().candidates(40).top(400);
        let named: BTreeSet<u64> = lists.iter().flatten().map(|entry| entry.0).collect();
        want.retain(|entry| named.contains(&entry.0));
        agree(&ask(&union), &want, "a union by the dense vector");
    }
}

#[test]
fn what_is_asked_of_the_whole_is_asked_of_each() {
    let wiki = Wiki::new(2);
    for query in 0..20 {
        let fused = || {
            Query::fused(Fusion::default(), [wiki.by_terms(query), wiki.by_tokens(query)]).unwrap()
        };
        let red = || wiki.colour.eq("red");
        let whole = fused().filter(red()).top(30);
        let each = Query::fused(
            Fusion::default(),
            [wiki.by_terms(query).filter(red()), wiki.by_tokens(query).filter(red())],
        );
        let answer = wiki.ask(&whole);
        assert_eq!(answer, wiki.ask(&each.unwrap().top(30)));
        assert!(answer.iter().all(|entry| entry.0 % 3 == 0) && !answer.is_empty());
        // By range, in the units of the fused score.
        let least = answer[3].1;
        let wanted = answer.iter().filter(|entry| entry.1 >= least).count();
        assert_eq!(wiki.ask(&whole.clone().at_least(least)).len(), wanted);
        // A fusion in a fusion, and a fusion reranked.
        let nested = Query::fused(Fusion::RelativeScore, [fused(), wiki.by_tokens(query)]).unwrap();
        assert_eq!(wiki.ask(&nested.top(7)).len(), 7);
        let reranked = fused().rerank(&wiki.tokens, wiki.matrix(query)).unwrap().candidates(12);
        let mut ranked: Vec<u64> = wiki.ask(&reranked.top(12)).iter().map(|hit| hit.0).collect();
        let mut first: Vec<u64> = wiki.ask(&fused().top(12)).iter().map(|hit| hit.0).collect();
        ranked.sort_unstable();
        first.sort_unstable();
        assert_eq!(ranked, first);
        let approximate = wiki.index.search(&fused().effort(lateen::Effort::Level(0.5))).unwrap();
        assert!(approximate.certainty() >= Certainty::Approximate);
    }
    assert!((0..400).any(|row| !has_sparse(row)) && key(5) == "page 1#2");
}

#[test]
fn fusions_that_mean_nothing_are_errors() {
    let wiki = Wiki::new(1);
    let one = || wiki.by_terms(0);
    let refused = |query: Result<Query, Error>| {
        let refused = query.and_then(|query| wiki.index.search(&query).map(drop));
        assert!(matches!(refused, Err(Error::Input(_))), "{refused:?}");
    };
    refused(Query::fused(Fusion::default(), []));
    refused(Query::fused(Fusion::default(), (0..65).map(|_| one())));
    refused(Query::fused(Fusion::ReciprocalRank { k: f32::NAN }, [one()]));
    refused(Query::fused(Fusion::ReciprocalRank { k: -1.0 }, [one()]));
    refused(Query::fused(Fusion::Weighted(vec![1.0]), [one(), one()]));
    refused(Query::fused(Fusion::Weighted(vec![f32::INFINITY]), [one()]));
    refused(Query::fused(Fusion::default(), [one().feedback(lateen::Feedback::default())]));
    refused(Query::fused(Fusion::default(), [one().after(1.0, "a")]));
    refused(Query::fused(Fusion::default(), [one()]).map(|query| query.top(0)));
    refused(Query::fused(Fusion::default(), [one()]).map(|query| query.top(10_001)));
    refused(Query::fused(Fusion::default(), [one()]).map(|query| query.candidates(0)));
    refused(Query::fused(Fusion::default(), [one().at_least(f32::NAN)]));
    let mut deep = one();
    for _ in 0..8 {
        deep = Query::fused(Fusion::default(), [deep]).unwrap();
    }
    assert!(!wiki.ask(&deep).is_empty());
    refused(Query::fused(Fusion::default(), [deep]));
}
