use lateen::{
    Document, Explanation, Feedback, Forward, Fusion, Index, IndexWriter, Query, Schema,
    SparseField, SparseOptions, TokenField, TokenMatrix, Update,
};

use super::set::{Set, SetFields, committed, larger};
use super::{Wiki, has_sparse, has_tokens, row_of};

#[test]
fn the_parts_sum_to_the_score() {
    let wiki = Wiki::new(3);
    let mut explained = 0;
    for at in 0..wiki.queries() {
        let parts = || [wiki.by_terms(at), wiki.by_tokens(at)];
        for query in [
            wiki.by_terms(at),
            wiki.by_tokens(at),
            wiki.by_terms(at).rerank(&wiki.tokens, wiki.matrix(at)).unwrap(),
            Query::union(parts(), &wiki.tokens, wiki.matrix(at)).unwrap(),
            Query::fused(Fusion::default(), parts()).unwrap().candidates(25),
            Query::fused(Fusion::RelativeScore, parts()).unwrap(),
            Query::fused(Fusion::Weighted(vec![0.5, 1.5]), parts()).unwrap(),
            wiki.by_terms(at).feedback(Feedback::default()),
            wiki.by_tokens(at).feedback(Feedback::default()),
        ] {
            let asked = query.top(4);
            let hits = wiki.index.search(&asked).unwrap();
            for hit in hits.iter().filter(|hit| hit.score().is_finite()) {
                let told = wiki.index.explain(&asked, hit).unwrap();
                let (sum, score) = (told.sum(), hit.score());
                assert!((sum - score).abs() <= 1e-5 * score.abs().max(1e-3), "{sum} for {score}");
                for part in &told.parts {
                    inner(&part.explanation, part.score);
                }
                explained += 1;
            }
        }
    }
    assert!(explained > 1000, "{explained}");
}

/// Every way of asking.
pub(crate) fn modes(
    set: &Set,
    at: usize,
    sparse: &SparseField,
    tokens: &TokenField,
) -> Vec<(&'static str, Query)> {
    let matrix = set.tokens.as_ref().unwrap().1.matrix(at);
    let terms = || Query::sparse(sparse, set.sparse_queries.row(at)).unwrap();
    let rows = || Query::tokens(tokens, matrix).unwrap();
    let fused = |fusion| Query::fused(fusion, [terms(), rows()]).unwrap();
    let union = || Query::union([terms(), rows()], tokens, matrix).unwrap();
    let rerank = || terms().rerank(tokens, matrix).unwrap();
    let wide = Feedback::default();
    vec![
        ("sparse", terms()),
        ("tokens", rows()),
        ("rerank", rerank()),
        ("union", union()),
        ("reciprocal rank", fused(Fusion::default())),
        ("relative", fused(Fusion::RelativeScore)),
        ("weighted", fused(Fusion::Weighted(vec![0.5, 1.5]))),
        ("sparse, feedback", terms().feedback(wide)),
        ("tokens, feedback", rows().feedback(wide)),
        ("rerank, feedback", rerank().feedback(wide)),
        ("union, feedback", union().feedback(wide)),
        ("reciprocal rank, feedback", fused(Fusion::default()).feedback(wide)),
        ("relative, feedback", fused(Fusion::RelativeScore).feedback(wide)),
        ("weighted, feedback", fused(Fusion::Weighted(vec![1.0, 1.0])).feedback(wide)),
    ]
}

/// Random hits among the hundred best of random queries, so many by each way of asking.
fn random_hits(set: &Set, index: &Index, sparse: &SparseField, tokens: &TokenField, each: usize) {
    let mut random = super::random::Draw::new(6);
    for _ in 0..each {
        let at = random.below(set.sparse_queries.len());
        for (mode, query) in modes(set, at, sparse, tokens) {
            let asked = query.top(100);
            let hits = index.search(&asked).unwrap();
            let hit = &hits[random.below(hits.len())];
            let told = index.explain(&asked, hit).unwrap();
            let (sum, score) = (told.sum(), hit.score());
            assert!((sum - score).abs() <= 1e-5 * score.abs(), "{mode}: {sum} for {score}");
            for part in &told.parts {
                inner(&part.explanation, part.score);
            }
        }
    }
}

/// 1,008 hits of each set.
#[test]
fn random_hits_are_the_sum_of_their_parts() {
    let sets = [Some(committed()), larger("wiki")];
    for folder in sets.into_iter().flatten() {
        let set = Set::open(&folder);
        let place = tempfile::tempdir().unwrap();
        let fields = SetFields::of(&set);
        let path = place.path().join("index");
        let mut writer = fields.writer(&path, lateen::WriterOptions::default());
        set.add_to(&mut writer, &fields, 256);
        writer.commit().unwrap();
        let index = writer.reader().unwrap();
        let int8 = fields.int8.as_ref().unwrap();
        random_hits(&set, &index, &fields.sparse, int8, 72);
    }
}

/// A part's own score is the sum of its parts.
fn inner(told: &Explanation, score: Option<f32>) {
    if let Some(score) = score.filter(|score| score.is_finite()) {
        assert!((told.sum() - score).abs() <= 1e-5 * score.abs().max(1e-3));
    }
}

#[test]
fn feedback_is_bounded_and_told() {
    let wiki = Wiki::new(2);
    let feedback = Feedback::default().docs(3).terms(10).rows(4).weight(0.5);
    for at in 0..wiki.queries() {
        let query = wiki.by_terms(at).feedback(feedback);
        let added = wiki.index.expansion(&query).unwrap().unwrap();
        let plain = wiki.index.search(&wiki.by_terms(at).top(3)).unwrap();
        let keys: Vec<_> = plain.iter().map(|hit| hit.key().clone()).collect();
        assert_eq!(added.documents, keys);
        // The heaviest terms of the documents' sum, weighing half of the query together.
        let mut sums = std::collections::BTreeMap::<u32, f64>::new();
        for hit in &plain {
            for (term, weight) in hit.sparse(&wiki.sparse).unwrap().unwrap() {
                *sums.entry(term).or_default() += f64::from(weight);
            }
        }
        let mut heaviest: Vec<(u32, f64)> = sums.into_iter().collect();
        heaviest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        heaviest.truncate(10);
        heaviest.sort_by_key(|entry| entry.0);
        let terms: Vec<u32> = added.terms[0].iter().map(|entry| entry.0).collect();
        assert_eq!(terms, heaviest.iter().map(|entry| entry.0).collect::<Vec<_>>());
        let all: f64 = added.terms[0].iter().map(|entry| f64::from(entry.1)).sum();
        let own: f64 = wiki
            .index
            .explain(&wiki.by_terms(at), &plain[0])
            .map(|told| told.terms.iter().map(|part| f64::from(part.query_weight)).sum())
            .unwrap();
        assert!(all >= 0.5 * own * 0.999, "at least half of what met: {all}, {own}");
        assert!(added.rows.is_empty());

        let query = wiki.by_tokens(at).feedback(feedback);
        let added = wiki.index.expansion(&query).unwrap().unwrap();
        assert!(added.terms.is_empty() && added.rows.len() == 1);
        assert!(!added.rows[0].is_empty() && added.rows[0].len() <= 4);
        for row in &added.rows[0] {
            assert!(row.weight > 0.0 && row.weight <= 0.5 && row.rows > 0);
            assert!(row.support > row.background);
        }
        let hits = wiki.index.search(&query).unwrap();
        let told = wiki.index.explain(&query, &hits[0]).unwrap();
        assert_eq!(told.feedback.unwrap(), added);
    }
    for bad in [
        feedback.docs(0),
        feedback.docs(101),
        feedback.terms(1001),
        feedback.weight(0.0),
        feedback.weight(f32::NAN),
    ] {
        assert!(wiki.index.search(&wiki.by_terms(0).feedback(bad)).is_err());
    }
    // Nothing found, nothing added.
    let nothing = wiki.by_terms(0).filter(wiki.colour.eq("none")).feedback(feedback);
    assert!(wiki.index.expansion(&nothing).unwrap().is_none());
    assert!(wiki.index.search(&nothing).unwrap().is_empty());
}

#[test]
fn pruned_terms_are_no_part_of_the_score() {
    let wiki = Wiki::new(1);
    for at in 0..wiki.queries() {
        let query = wiki.by_terms(at).prune(3, 1.0);
        for hit in &wiki.index.search(&query).unwrap() {
            let told = wiki.index.explain(&query, hit).unwrap();
            assert!(told.terms.len() <= 3 && told.sum() == hit.score());
        }
    }
}

/// A document that lacks the field says so, and its parts sum to the score that it has all the same.
#[test]
fn what_is_absent_is_said() {
    let wiki = Wiki::new(2);
    let (mut without_rows, mut without_terms) = (0, 0);
    for at in 0..wiki.queries() {
        let rerank = wiki.by_terms(at).rerank(&wiki.tokens, wiki.matrix(at)).unwrap().top(100);
        let parts = || [wiki.by_terms(at), wiki.by_tokens(at)];
        let union = Query::union(parts(), &wiki.tokens, wiki.matrix(at)).unwrap().top(150);
        let fused = Query::fused(Fusion::default(), parts()).unwrap().top(150);
        for query in [&rerank, &union] {
            for hit in &wiki.index.search(query).unwrap() {
                let told = wiki.index.explain(query, hit).unwrap();
                let lacks = !has_tokens(row_of(hit.key()));
                assert_eq!((told.absent, hit.score() == f32::NEG_INFINITY), (lacks, lacks));
                assert!(told.sum() == hit.score() || !lacks, "{} {}", told.sum(), hit.score());
                assert_eq!(told.tokens.is_empty(), lacks);
                without_rows += usize::from(lacks);
            }
        }
        for hit in wiki.index.search(&fused).unwrap().iter().take(40) {
            let told = wiki.index.explain(&fused, hit).unwrap();
            let row = row_of(hit.key());
            assert!(!told.absent && (told.sum() - hit.score()).abs() <= 1e-5 * hit.score());
            let [terms, rows] = &told.parts[..] else { panic!("{told:?}") };
            assert_eq!(terms.explanation.absent, !has_sparse(row));
            assert_eq!(rows.explanation.absent, !has_tokens(row));
            if !has_sparse(row) {
                assert_eq!((terms.rank, terms.contribution), (None, 0.0));
                assert_eq!(terms.explanation.sum(), 0.0);
                without_terms += 1;
            }
            if !has_tokens(row) {
                assert_eq!(rows.explanation.sum(), f32::NEG_INFINITY);
            }
        }
    }
    assert!(without_rows > 0 && without_terms > 0, "{without_rows} {without_terms}");
}

/// What was deleted, changed, replaced or merged since it was found is explained as it was found.
#[test]
fn a_hit_is_explained_as_it_was_found() {
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let bare = schema.sparse_with("bare", SparseOptions::default().forward(Forward::None));
    let rows = schema.tokens("rows", 8);
    let open = schema.bool("open");
    let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
    let matrix = [0.5f32, 0.5, 0.0, 0.0, 0.5, 0.5, 0.0, 0.0];
    for (at, key) in (1u8..).zip(["deleted", "changed", "replaced", "stays"]) {
        let vector = [(1u32, f32::from(at)), (2, 0.5)];
        let document = Document::new(key).sparse(&terms, &vector).unwrap();
        let document = document.sparse(&bare, &vector).unwrap();
        writer.add(&document.tokens(&rows, TokenMatrix::new(&matrix, 8)).unwrap()).unwrap();
    }
    writer.commit().unwrap();
    let index = writer.reader().unwrap();
    let vector = [(1u32, 2.0f32), (3, 1.0)];
    let queries = [
        Query::sparse(&terms, &vector).unwrap(),
        Query::sparse(&bare, &vector).unwrap(),
        Query::sparse(&terms, &vector)
            .unwrap()
            .rerank(&rows, TokenMatrix::new(&matrix, 8))
            .unwrap(),
    ];
    let found: Vec<_> = queries.iter().map(|query| index.search(query).unwrap()).collect();
    writer.delete("deleted").unwrap();
    writer.update(&Update::new("changed").bool(&open, true).unwrap()).unwrap();
    let other = Document::new("replaced").sparse(&terms, &[(1u32, 9.0f32)]).unwrap();
    writer.upsert(&other).unwrap();
    writer.commit().unwrap();
    writer.force_merge(1, |_| {}).unwrap();
    writer.commit().unwrap();
    let now = writer.reader().unwrap();
    assert_eq!(now.len(), 3);
    for index in [&index, &now] {
        for (query, hits) in queries.iter().zip(&found) {
            assert_eq!(hits.len(), 4);
            for hit in hits {
                let told = index.explain(query, hit).unwrap();
                let close = (told.sum() - hit.score()).abs() <= 1e-5 * hit.score();
                assert!(close && !told.absent, "{} for {}", told.sum(), hit.score());
            }
        }
    }
    // A part that a document lacks, and one that it does not share a term with.
    let hit = &now.search(&Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap()).unwrap()[0];
    assert_eq!(hit.key().as_str(), Some("replaced"));
    let absent = |query: &Query| {
        let told = now.explain(query, hit).unwrap();
        (told.absent, told.sum())
    };
    let by_rows = Query::tokens(&rows, TokenMatrix::new(&matrix, 8)).unwrap();
    assert_eq!(absent(&by_rows), (true, f32::NEG_INFINITY));
    assert_eq!(absent(&Query::sparse(&terms, &[(7u32, 1.0f32)]).unwrap()), (false, 0.0));
}

/// What a fusion's parts give can come to more than a float holds: its score is the largest there is.
#[test]
fn no_sum_is_more_than_a_score_can_be() {
    let wiki = Wiki::new(2);
    let parts = [wiki.by_terms(0), wiki.by_tokens(0)];
    let query = Query::fused(Fusion::Weighted(vec![f32::MAX; 2]), parts).unwrap().top(100);
    let hits = wiki.index.search(&query).unwrap();
    assert_eq!((hits[0].score(), hits[99].score()), (f32::MAX, f32::MIN));
    for hit in &hits {
        assert_eq!(wiki.index.explain(&query, hit).unwrap().sum(), hit.score());
    }
}
