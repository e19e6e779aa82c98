//! Queries of any kind, and what has to be true of their answers: of a sound index everything that is
//! promised, of a damaged one that there is an answer or an error.

use std::collections::BTreeSet;
use std::slice;
use std::sync::OnceLock;

use lateen::limits::Limits;
use lateen::{Error, Explanation, Hit, Hits, Index, KernelLevel, Key, OpenMode, Query, Schema};

use super::asked::{Asked, List, Parent};
use super::attributes::{Value, value};
use super::both::{good, indexes, mutated, opened};
use super::choices::Choices;
use super::sample;

/// What a hit is told by: key and score, to the bit.
type Told = (Key, u32);

fn told(hits: &[Hit]) -> Vec<Told> {
    hits.iter().map(|hit| (hit.key().clone(), hit.score().to_bits())).collect()
}

/// Whatever a query is made of, it is refused or answered, and the answer is what is promised.
pub fn queries(data: &[u8]) {
    let mut choices = Choices(data);
    let (which, more) = (choices.below(2), choices.byte());
    let index = &indexes()[which];
    let schema = index.schema();
    let Ok(asked) = Asked::of(&schema, &mut choices) else { return };
    let whole = asked.whole(&schema).expect("of its own fields");
    let Ok(hits) = index.search(&whole) else { return };
    in_order(&schema, index, &asked, &hits);
    // Exact search is the reference of what claims to be exact.
    if hits.certified() {
        let exact = index.search(&whole.clone().exact()).expect("the same query");
        assert_eq!(told(&hits), told(&exact));
    }
    let threads = if more.is_multiple_of(16) { 2 } else { 1 };
    let batch = index.search_batch(&[whole.clone(), whole.clone()], threads);
    assert!(batch.expect("the same queries").iter().all(|again| told(again) == told(&hits)));
    if asked.ended {
        assert!(hits.is_empty() && !hits.complete());
        return;
    }
    match more % 4 {
        0 => explained(index, &whole, &hits),
        1 => paged(index, &asked, &hits),
        2 => put_together(which, &asked, &hits),
        _ => within_limits(which, &asked, &whole, &hits),
    }
    let lang = schema.keyword("lang").expect("both have it");
    let most = 1 + usize::from(more % 5);
    let beside = index.facets_of(&whole, &lang, most).expect("the same filter");
    assert_eq!(beside, index.facets(asked.filter.as_ref(), &lang, most).expect("it has passed"));
}

/// The order of an answer, and what its list was to be.
fn in_order(schema: &Schema, index: &Index, asked: &Asked, hits: &Hits) {
    let scores: Vec<f32> = hits.iter().map(Hit::score).collect();
    assert!(hits.len() <= asked.top);
    assert!(scores.iter().all(|score| !score.is_nan() && *score < f32::INFINITY));
    assert!(scores.iter().all(|score| *score >= asked.at_least));
    let keys: BTreeSet<&Key> = hits.iter().map(|hit| hit.key()).collect();
    assert_eq!(keys.len(), hits.len(), "a document twice");
    let behind = |one: (f32, &Key), other: (f32, &Key)| {
        other.0.total_cmp(&one.0).then(one.1.cmp(other.1)).is_lt()
    };
    if asked.list.by_scores() {
        let told: Vec<(f32, &Key)> = hits.iter().map(|hit| (hit.score(), hit.key())).collect();
        assert!(told.windows(2).all(|pair| behind(pair[0], pair[1])));
    }
    match &asked.list {
        List::Scores => {}
        List::After(score, key) => {
            let first = hits.first().map(|hit| (hit.score(), hit.key()));
            assert!(first.is_none_or(|first| behind((*score, key), first)));
        }
        List::Shaped { collapse, diversify, sort } => {
            if let Some((parent, inside, _)) = collapse {
                collapsed(schema, hits, parent, *inside);
            }
            if hits.complete() && sort.is_some() {
                sorted(schema, index, asked, hits);
            }
            if hits.complete() && diversify.is_some() && sort.is_none() {
                let list = List::Shaped { collapse: collapse.clone(), diversify: None, sort: None };
                let query = list.finish(schema, asked.plain.clone()).expect("of its own fields");
                let best = index.search(&query).expect("the same query");
                // Without a hit before it, nothing is less relevant than the best; which is the same
                // among few and many only where nothing was missed.
                if best.certified() && hits.certified() {
                    let first = |hits: &Hits| hits.first().map(|hit| told(slice::from_ref(hit)));
                    assert_eq!(first(&best), first(hits));
                }
            }
        }
    }
}

/// No two hits have one parent, and those inside of a hit have its.
fn collapsed(schema: &Schema, hits: &Hits, parent: &Parent, inside: usize) {
    let of = |hit: &Hit| match parent {
        Parent::Attribute(name) => match value(schema, hit, name).expect("readable") {
            Some(Value::Texts(texts)) => texts.first().cloned(),
            other => other.map(|value| format!("{value:?}")),
        },
        Parent::Prefix(separator) => {
            let key = hit.key().as_str().expect("of text");
            Some(key.rsplit_once(*separator).map_or(key, |parts| parts.0).to_owned())
        }
    };
    let mut seen = BTreeSet::new();
    for hit in hits {
        let own = of(hit);
        assert!(own.is_none() || seen.insert(own.clone()), "{own:?} twice");
        assert!(hit.inside().len() <= inside && hit.inside().is_empty() == (inside == 0));
        assert!(hit.inside().iter().all(|other| other.key() == hit.key() || of(other) == own));
        assert!(hit.inside().first().is_none_or(|first| first.key() == hit.key()));
        assert!(hit.inside().windows(2).all(|pair| pair[0].score() >= pair[1].score()));
    }
}

/// The hits of the same query without an order, put in order one by one.
fn sorted(schema: &Schema, index: &Index, asked: &Asked, hits: &Hits) {
    let List::Shaped { collapse, diversify, sort: Some((name, descends)) } = &asked.list else {
        return;
    };
    let list =
        List::Shaped { collapse: collapse.clone(), diversify: diversify.clone(), sort: None };
    let query = list.finish(schema, asked.plain.clone()).expect("of its own fields");
    let found = index.search(&query).expect("the same query");
    let value = |hit: &Hit| value(schema, hit, name).expect("readable");
    let mut expected: Vec<_> = found.iter().map(|hit| (value(hit), hit.clone())).collect();
    expected.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) if *descends => b.order(a),
        (Some(a), Some(b)) => a.order(b),
        _ => b.is_some().cmp(&a.is_some()),
    });
    let expected: Vec<Hit> = expected.into_iter().map(|(_, hit)| hit).collect();
    assert_eq!(told(hits), told(&expected), "by {name}");
}

/// The parts of a score sum to it, and what feedback adds is told the same by every call.
fn explained(index: &Index, query: &Query, hits: &Hits) {
    let added = index.expansion(query).expect("the same query");
    for hit in hits.iter().take(3) {
        let told = index.explain(query, hit).expect("a hit of this query");
        assert_eq!(told.feedback, added);
        let (sum, score) = (told.sum(), hit.score());
        let close = (sum - score).abs() <= 1e-5 * size(&told) + 1e-30;
        assert!(sum == score || close, "{sum} for {score}: {told:?}");
        assert_eq!(sum.is_finite(), score.is_finite(), "{told:?}");
        for piece in told.highlights() {
            assert!(piece.bytes.start < piece.bytes.end && piece.score > 0.0);
        }
    }
}

/// The sum of the parts that decide, each by its size.
fn size(told: &Explanation) -> f32 {
    let rows: f32 = told.tokens.iter().map(|part| part.score.abs()).sum();
    let parts: f64 = told.parts.iter().map(|part| part.contribution.abs()).sum();
    let terms: f32 = told.terms.iter().map(|part| part.contribution().abs()).sum();
    if !told.tokens.is_empty() {
        rows
    } else if !told.parts.is_empty() {
        parts as f32
    } else {
        terms
    }
}

/// Two pages are one page of twice the length.
fn paged(index: &Index, asked: &Asked, hits: &Hits) {
    if !matches!(asked.list, List::Scores) || !asked.exact {
        return;
    }
    let mut pages = told(hits);
    if let Some(last) = hits.last().filter(|_| hits.len() == asked.top) {
        let next = asked.plain.clone().after(last.score(), last.key().clone());
        pages.extend(told(&index.search(&next).expect("the same query")));
    }
    let both = index.search(&asked.plain.clone().top(2 * asked.top)).expect("the same query");
    assert_eq!(pages, told(&both));
}

/// The answer of an index is that of its segments, put together.
fn put_together(which: usize, asked: &Asked, hits: &Hits) {
    static SEGMENTS: OnceLock<[Vec<Index>; 2]> = OnceLock::new();
    if !matches!(asked.list, List::Scores) || !asked.exact || !asked.leaf {
        return;
    }
    let segments = SEGMENTS.get_or_init(|| good().each_ref().map(|bytes| apart(bytes)));
    let answers = segments[which].iter().map(|segment| segment.search(&asked.plain));
    let answers: Vec<Hits> = answers.collect::<lateen::Result<_>>().expect("the same query");
    assert!(answers.len() > 1);
    let merged = Hits::merge(answers, asked.top);
    assert_eq!((told(&merged), merged.certainty()), (told(hits), hits.certainty()));
}

/// Each segment of an index as an index.
fn apart(bytes: &[u8]) -> Vec<Index> {
    let files = Index::options().from_bytes(bytes).expect("it opens").info().segments;
    let one = |file: String| Index::options().subset(move |info| info.file == file);
    let open = |file| one(file).from_bytes(bytes).expect("it opens");
    files.into_iter().map(|segment| open(segment.file)).collect()
}

/// An index with limits refuses a query, or answers it as one without.
fn within_limits(which: usize, asked: &Asked, query: &Query, hits: &Hits) {
    static LIMITED: OnceLock<[Index; 2]> = OnceLock::new();
    let limited = LIMITED.get_or_init(|| {
        let limits =
            Limits::default().top(20).candidates(15).terms(5).query_rows(2).row_values(200);
        let limits = limits.parts(3).filter_depth(2).filter_size(20);
        let options = Index::options().limits(limits);
        good().each_ref().map(|bytes| options.clone().from_bytes(bytes).expect("it opens"))
    });
    // Collapsed are as many candidates as there may be.
    if !matches!(asked.list, List::Shaped { collapse: Some(_), .. })
        && let Ok(found) = limited[which].search(query)
    {
        assert_eq!(told(&found), told(hits));
        assert!(asked.top <= 20);
    }
}

/// The same query on the kernels of every level that the machine has.
pub fn kernels(data: &[u8]) {
    static LEVELS: OnceLock<Vec<[Index; 2]>> = OnceLock::new();
    let levels = LEVELS.get_or_init(|| {
        KernelLevel::available().into_iter().map(|level| opened(Some(level))).collect()
    });
    let mut choices = Choices(data);
    let which = choices.below(2);
    let mut levels = levels.iter().map(|indexes| &indexes[which]);
    let Some(first) = levels.next() else { return };
    let schema = first.schema();
    let Ok(asked) = Asked::of(&schema, &mut choices) else { return };
    let query = asked.whole(&schema).expect("of its own fields");
    let answer = |index: &Index| {
        let hits = index.search(&query).ok()?;
        let parts = hits.last().map(|last| index.explain(&query, last).expect("a hit of it"));
        Some((hits.certainty(), told(&hits), parts))
    };
    let expected = answer(first);
    assert!(levels.all(|index| answer(index) == expected));
}

/// Any query of an index that lies behind right checksums, without a verification before.
pub fn query_mutated(data: &[u8]) {
    // The query comes first: what cannot be asked is not worth the damage.
    let (asked, changes) = data.split_at(data.len() / 2);
    let (mut asked, mut changes) = (Choices(asked), Choices(changes));
    let (which, more) = (asked.below(2), asked.byte());
    let schema = indexes()[which].schema();
    let Ok(asked) = Asked::of(&schema, &mut asked) else { return };
    let query = asked.whole(&schema).expect("of its own fields");
    let bytes = mutated(which, &mut changes, 3);
    let Ok(index) = Index::options().from_bytes(&bytes) else { return };
    let hits = index.search(&query);
    for hit in hits.iter().flatten() {
        let _ = hit.payload();
        let _ = index.explain(&query, hit).map(|told| (told.sum(), told.highlights()));
        hit.inside().iter().for_each(|other| drop(other.payload()));
    }
    // What else reads: one or two of it each time.
    let lang = schema.keyword("lang").expect("both have it");
    match more % 8 {
        0 => drop(index.facets_of(&query, &lang, 5)),
        1 => drop(index.facets(None, &lang, 1 + usize::from(more))),
        2 => drop(index.expansion(&query)),
        3 => {
            let batch = [query.clone(), asked.plain.clone().top(100), asked.plain.clone().exact()];
            let _ = index.search_batch(&batch, 1 + usize::from(more.is_multiple_of(32)));
        }
        4 => hits.iter().flatten().for_each(|hit| sample::read(&schema, hit)),
        5 => {
            // Segment by segment: what there is of each.
            let files = index.info().segments;
            let one = |file: String| Index::options().subset(move |info| info.file == file);
            let parts = files.into_iter().filter_map(|segment| {
                one(segment.file).from_bytes(&bytes).ok()?.search(&query).ok()
            });
            let _ = Hits::merge(parts, asked.top).reordered(&[1, 0, 7, 1]);
        }
        6 => {
            let _ = (index.snapshot().warm(), index.info().bytes());
            let _ = (index.contains(7u64), index.contains("doc-07"));
            // Rarely, for a file takes its time.
            if more.is_multiple_of(5) {
                read_by_parts(&bytes, &query, hits.as_deref().ok());
            }
        }
        _ => {
            // From strangers: what opens is sound, and a search has nothing to say against it.
            let strange = Index::options().untrusted(1 << 24).mode(OpenMode::Heap);
            if let Ok(index) = strange.from_bytes(&bytes) {
                let answer = index.search(&query);
                assert!(!matches!(answer, Err(Error::Corrupt(_))), "{answer:?}");
            }
        }
    }
}

/// The same from a file that is read when it is needed: what is found is found there too.
fn read_by_parts(bytes: &[u8], query: &Query, hits: Option<&[Hit]>) {
    let name = format!("lateen-{}-{:?}.lateen", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, bytes).expect("room for a small file");
    let index = Index::options().mode(OpenMode::Read).resident(1 << 20).open(&path);
    if let Ok(index) = index
        && let Ok(found) = index.search(query)
        && let Some(hits) = hits
    {
        assert_eq!(told(&found), told(hits));
        let _ = index.refresh();
    }
    let _ = std::fs::remove_file(&path);
}
