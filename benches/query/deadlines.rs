//! How late answers are: for each way of asking, searches are given deadlines, and flags raised by
//! another thread, at random points of the time they take when nobody hurries them. Printed are the
//! time a search takes, and by how much the end of an answer was behind the moment it was told to
//! end: the median and the largest of all, and the largest where each moment is tried three times
//! and the best counts, which leaves out what the machine did meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lateen::outside::{Budget, elimination, groupwise, listwise, pairwise_heap, pointwise};
use lateen::{
    AnchorScores, Collapse, CurOptions, Diversify, Effort, Feedback, Filter, Fusion, Query,
    RoaringTreemap,
};

use crate::{Built, draw, us};

/// Moments for each way of asking, by deadline and by flag.
const MOMENTS: u64 = 60;

/// When to end.
#[derive(Clone, Default)]
struct End {
    deadline: Option<Instant>,
    flag: Option<Arc<AtomicBool>>,
}

impl End {
    fn of(&self, mut query: Query) -> Query {
        if let Some(deadline) = self.deadline {
            query = query.deadline(deadline);
        }
        match &self.flag {
            Some(flag) => query.cancel(Arc::clone(flag)),
            None => query,
        }
    }

    /// Does something with a query that ends so, and keeps it: many values are not let go at once.
    fn ask<'a>(query: Query, work: impl FnOnce(&Query) + 'a) -> Ready<'a> {
        Box::new(move |end| {
            let query = end.of(query);
            work(&query);
            Some(query)
        })
    }
}

/// Makes one of many queries of a kind.
type Make<'a> = Box<dyn Fn(usize) -> Query + 'a>;
/// What was made ready, run to its end, and what is let go after that.
type Ready<'a> = Box<dyn FnOnce(&End) -> Option<Query> + 'a>;
/// A name, and what makes a way of asking ready: that is not timed.
type Way<'a> = (String, Box<dyn Fn(u64) -> Ready<'a> + 'a>);

pub(crate) fn run(built: &Built) {
    println!(
        "{}: {:<32} {:>10}   late: median, largest, best of three",
        built.name, "microseconds", "takes"
    );
    let only = std::env::var("LATEEN_ONLY").unwrap_or_default();
    for (said, way) in ways(built).into_iter().filter(|(said, _)| said.contains(&only)) {
        measure(&said, &*way);
    }
}

fn measure<'a>(said: &str, way: &dyn Fn(u64) -> Ready<'a>) {
    // A flag that is never raised: an answer in full, looking at it all the same.
    let never = End { deadline: None, flag: Some(Arc::default()) };
    way(0)(&never);
    let mut late = Vec::new();
    let mut steady = 0.0f64;
    let mut whole = 0.0f64;
    for at in 0..MOMENTS {
        let ready = way(at);
        let start = Instant::now();
        let asked = ready(&never);
        let takes = start.elapsed();
        drop(asked);
        whole += takes.as_secs_f64() / MOMENTS as f64;
        let share = (draw(at) >> 11) as f64 / (1u64 << 53) as f64;
        let after = takes.mul_f64(share);
        for by_flag in [false, true] {
            let mut least = f64::INFINITY;
            for _ in 0..3 {
                let ready = way(at);
                let behind = if by_flag { flagged(after, ready) } else { dated(after, ready) };
                late.push(behind);
                least = least.min(behind);
            }
            steady = steady.max(least);
        }
    }
    late.sort_by(f64::total_cmp);
    let (median, largest) = (late[late.len() / 2], late[late.len() - 1]);
    println!(
        "    {said:<36} {:>10.0}   {:>7.0} {:>7.0} {:>7.0}",
        us(whole),
        us(median),
        us(largest),
        us(steady)
    );
}

fn dated(after: Duration, ready: Ready<'_>) -> f64 {
    let deadline = Instant::now() + after;
    let asked = ready(&End { deadline: Some(deadline), flag: None });
    let behind = Instant::now().saturating_duration_since(deadline);
    drop(asked);
    behind.as_secs_f64()
}

fn flagged(after: Duration, ready: Ready<'_>) -> f64 {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = std::thread::scope(|scope| {
        let other = Arc::clone(&flag);
        let begin = Instant::now();
        let raiser = scope.spawn(move || {
            while begin.elapsed() < after {
                std::hint::spin_loop();
            }
            let raised = Instant::now();
            other.store(true, Ordering::Relaxed);
            raised
        });
        let asked = ready(&End { deadline: None, flag: Some(flag) });
        let end = Instant::now();
        drop(asked);
        let raised = raiser.join().expect("the other thread");
        end.saturating_duration_since(raised)
    });
    raised.as_secs_f64()
}

fn ways<'a>(built: &'a Built) -> Vec<Way<'a>> {
    let mut ways: Vec<Way<'a>> = Vec::new();
    let mut add = |said: &str, make: Make<'a>| {
        let ask = move |at: u64| {
            let query = make(usize::try_from(at).expect("a small number"));
            End::ask(query, |query| drop(built.index.search(query).expect("an answer")))
        };
        ways.push((said.to_owned(), Box::new(ask)));
    };
    add("sparse", Box::new(move |at| built.terms(at)));
    add("sparse, top 1,000", Box::new(move |at| built.terms(at).top(1000)));
    add("sparse, top 10,000", Box::new(move |at| built.terms(at).top(10_000)));
    add("sparse, level 0.5", Box::new(move |at| built.terms(at).effort(Effort::Level(0.5))));
    let negative = move |at: usize| {
        let terms = [(u32::try_from(at).unwrap_or(0) + 1000, -1.0f32), (2001, 0.1)];
        let vector = lateen::SparseVector::from(&terms[..]).signed();
        Query::sparse(&built.sparse, vector).expect("a query").exact()
    };
    add("sparse, weights below zero", Box::new(negative));
    let count = built.documents;
    add("sparse, range", Box::new(move |at| built.terms(at).filter(built.random.range(..1 << 22))));
    let even: Arc<RoaringTreemap> = Arc::new((0..count).filter(|key| key % 2 == 0).collect());
    let bitmap = Filter::bitmap(even);
    add("sparse, bitmap", Box::new(move |at| built.terms(at).filter(bitmap.clone())));
    let keys = Filter::keys((0..count).filter(|key| key % 2 == 0));
    add("sparse, key set", Box::new(move |at| built.terms(at).filter(keys.clone())));
    // Made for each query, so that each is evaluated.
    add(
        "sparse, new key set",
        Box::new(move |at| {
            built.terms(at).filter(Filter::keys((0..count).filter(|key| key % 2 == 0)))
        }),
    );
    let wide: Arc<RoaringTreemap> = Arc::new((0..count).filter(|key| key % 2 == 0).collect());
    add(
        "sparse, new bitmap",
        Box::new(move |at| built.terms(at).filter(Filter::bitmap(Arc::clone(&wide)))),
    );
    for many in [60_000u64, 300_000] {
        let numbers = move || built.random.any_of((0..many).map(|at| draw(at) >> 40));
        add(
            if many < 100_000 {
                "sparse, one of 60,000 numbers"
            } else {
                "sparse, one of 300,000 numbers"
            },
            Box::new(move |at| built.terms(at).filter(numbers())),
        );
        let words = move || built.share.any_of((0..many).map(|at| format!("random {at}")));
        add(
            if many < 100_000 {
                "sparse, one of 60,000 words"
            } else {
                "sparse, one of 300,000 words"
            },
            Box::new(move |at| built.terms(at).filter(words())),
        );
    }
    add("sparse, feedback", Box::new(move |at| built.terms(at).feedback(Feedback::default())));
    let wide = Feedback::default().docs(100).terms(1000);
    add("sparse, feedback of 100", Box::new(move |at| built.terms(at).feedback(wide)));
    let groups = Collapse::u64(&built.random);
    add(
        "sparse, collapsed",
        Box::new(move |at| built.terms(at).collapse(groups.clone()).top(1000)),
    );
    add(
        "sparse, sorted 1,000",
        Box::new(move |at| built.terms(at).top(1000).sort(built.place.ascending())),
    );
    let several = move |at| (0..8).map(move |other| built.terms(at + other)).collect::<Vec<_>>();
    add(
        "reciprocal rank of 8 sparse",
        Box::new(move |at| Query::fused(Fusion::default(), several(at)).expect("a fusion")),
    );
    let weighted = Fusion::Weighted(vec![1.0; 8]);
    add(
        "weighted, 8 of 1,000",
        Box::new(move |at| {
            let fused = Query::fused(weighted.clone(), several(at)).expect("a fusion");
            fused.candidates(1000)
        }),
    );
    long(built, &mut add);
    if built.tokens.is_some() {
        let rows = move |at: usize| built.rows(at).expect("rows");
        let both = move |at: usize| [built.terms(at), rows(at).0.exact()];
        add("tokens, exact", Box::new(move |at| rows(at).0.exact()));
        add("tokens, recall .98", Box::new(move |at| rows(at).0));
        add("tokens, level 0", Box::new(move |at| rows(at).0.effort(Effort::Level(0.0))));
        let half = built.random.range(..1 << 23);
        add("tokens, half", Box::new(move |at| rows(at).0.exact().filter(half.clone())));
        let reranked = move |at: usize, count| {
            let (_, field, matrix) = rows(at);
            built.terms(at).rerank(field, matrix).expect("a rerank").candidates(count)
        };
        add("rerank of 100", Box::new(move |at| reranked(at, 100)));
        add("rerank of 10,000", Box::new(move |at| reranked(at, 10_000)));
        let union = move |at: usize| {
            let (_, field, matrix) = rows(at);
            Query::union(both(at), field, matrix).expect("a union")
        };
        add("union", Box::new(union));
        add("union, feedback", Box::new(move |at| union(at).feedback(Feedback::default())));
        add("tokens, feedback", Box::new(move |at| rows(at).0.feedback(Feedback::default())));
        let wide = Feedback::default().docs(100).rows(100);
        add("tokens, feedback of 100", Box::new(move |at| rows(at).0.feedback(wide)));
        let fused = move |at: usize, fusion| Query::fused(fusion, both(at)).expect("a fusion");
        add("reciprocal rank", Box::new(move |at| fused(at, Fusion::default())));
        let weights = Fusion::Weighted(vec![1.0, 1.0]);
        add("weighted", Box::new(move |at| fused(at, weights.clone())));
        let apart = move |at: usize, pool, top| {
            let (query, field, _) = rows(at);
            query.top(top).diversify(Diversify::new(field, 0.5).pool(pool))
        };
        add("diversified 100", Box::new(move |at| apart(at, 100, 10)));
        add("diversified 1,000", Box::new(move |at| apart(at, 1000, 100)));
    }
    told(built, &mut ways);
    ways.push((
        "a batch of 1,000, one deadline".to_owned(),
        Box::new(|_| {
            Box::new(|end| {
                let queries: Vec<Query> = (0..1000).map(|at| end.of(built.terms(at))).collect();
                drop(built.index.search_batch(&queries, 1).expect("answers"));
                None
            })
        }),
    ));
    outside(&mut ways);
    ways.push(guesses(1000, 100));
    ways.push(guesses(100, 1500));
    ways.push(guesses(2000, 1500));
    ways
}

/// Lists as long as they may be.
fn long<'a>(built: &'a Built, add: &mut dyn FnMut(&str, Make<'a>)) {
    let all = usize::try_from(built.documents).expect("a number of documents");
    let fused_of_all = move |at: usize, lists: usize, fusion: Fusion| {
        let parts = (0..lists).map(move |other| built.terms(at + other));
        Query::fused(fusion, parts).expect("a fusion").candidates(all)
    };
    for lists in [8usize, 32] {
        let weights = Fusion::Weighted(vec![1.0; lists]);
        for (how, fusion) in [
            ("reciprocal rank of", Fusion::default()),
            ("relative score of", Fusion::RelativeScore),
            ("weighted,", weights),
        ] {
            let name = format!("long, {how} {lists} x all");
            add(&name, Box::new(move |at| fused_of_all(at, lists, fusion.clone())));
        }
    }
    for (by, groups) in
        [("number", Collapse::u64(&built.random)), ("keyword", Collapse::keyword(&built.name_of))]
    {
        let groups = groups.pool(1_000_000).inside(3);
        add(
            &format!("long, collapsed by {by}, of all"),
            Box::new(move |at| built.terms(at).collapse(groups.clone())),
        );
    }
    let by_name = built.name_of.ascending();
    add(
        "long, 10,000 sorted by keyword",
        Box::new(move |at| built.terms(at).top(10_000).sort(by_name.clone())),
    );
    add(
        "long, 10,000 after 10,000",
        Box::new(move |at| {
            let hits = built.index.search(&built.terms(at).top(10_000)).expect("an answer");
            let last = hits.iter().last().expect("a hit");
            built.terms(at).top(10_000).after(last.score(), last.key())
        }),
    );
    if built.tokens.is_none() {
        return;
    }
    let rows = move |at: usize| built.rows(at).expect("rows");
    add("long, tokens, 10,000", Box::new(move |at| rows(at).0.exact().top(10_000)));
    add("long, tokens, 10,000 at .98", Box::new(move |at| rows(at).0.top(10_000)));
    add(
        "long, rerank of all",
        Box::new(move |at| {
            let (_, field, matrix) = rows(at);
            built.terms(at).rerank(field, matrix).expect("a rerank").candidates(1_000_000)
        }),
    );
    add(
        "long, union of all",
        Box::new(move |at| {
            let (query, field, matrix) = rows(at);
            let parts = [built.terms(at), query.exact()];
            Query::union(parts, field, matrix).expect("a union").candidates(all)
        }),
    );
    let widest = Feedback::default().docs(100).rows(300);
    add("long, tokens, 300 rows of feedback", Box::new(move |at| rows(at).0.feedback(widest)));
    add(
        "long, diversified, 1,000 of 10,000",
        Box::new(move |at| {
            let (query, field, _) = rows(at);
            query.top(1000).diversify(Diversify::new(field, 0.5).pool(10_000))
        }),
    );
}

/// What is no search.
fn told<'a>(built: &'a Built, ways: &mut Vec<Way<'a>>) {
    let wide = Feedback::default().docs(100).terms(1000);
    let several = move |at: usize| {
        let parts = (0..8).map(move |other| built.terms(at + other));
        Query::fused(Fusion::default(), parts).expect("a fusion").candidates(1000)
    };
    let mut add = |said: &str, make: Make<'a>| {
        let hits: Vec<_> =
            (0..60).map(|at| built.index.search(&make(at)).expect("an answer")).collect();
        let ask = move |at: u64| {
            let at = usize::try_from(at).expect("a small number");
            let hit = hits[at][0].clone();
            End::ask(make(at), move |query| drop(built.index.explain(query, &hit)))
        };
        ways.push((format!("explain, {said}"), Box::new(ask)));
    };
    add("sparse, feedback", Box::new(move |at| built.terms(at).feedback(wide)));
    add("reciprocal rank of 8 sparse", Box::new(several));
    if built.tokens.is_some() {
        let rows = move |at: usize| built.rows(at).expect("rows");
        add("tokens, exact", Box::new(move |at| rows(at).0.exact()));
        add(
            "union",
            Box::new(move |at| {
                let (query, field, matrix) = rows(at);
                let parts = [built.terms(at), query.exact()];
                Query::union(parts, field, matrix).expect("a union")
            }),
        );
    }
    let half = built.random.range(..1 << 23);
    let facets = move |at: u64| {
        let query = built.terms(usize::try_from(at).expect("a small number")).filter(half.clone());
        End::ask(query, |query| drop(built.index.facets_of(query, &built.share, 10)))
    };
    ways.push(("facets".to_owned(), Box::new(facets)));
    let expansion = move |at: u64| {
        let query = built.terms(usize::try_from(at).expect("a small number")).feedback(wide);
        End::ask(query, |query| drop(built.index.expansion(query)))
    };
    ways.push(("expansion".to_owned(), Box::new(expansion)));
}

/// Rerankers that take a tenth of a millisecond a call.
fn outside(ways: &mut Vec<Way<'_>>) {
    let work = || {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(100) {
            std::hint::spin_loop();
        }
    };
    let budget = |end: &End| {
        let mut budget = Budget::calls(100);
        if let Some(deadline) = end.deadline {
            budget = budget.deadline(deadline);
        }
        match &end.flag {
            Some(flag) => budget.cancel(Arc::clone(flag)),
            None => budget,
        }
    };
    ways.push((
        "outside, pointwise".to_owned(),
        Box::new(move |_| {
            Box::new(move |end| {
                let found = pointwise(100, 100, budget(end), |at| {
                    work();
                    Ok::<_, ()>(at as f32)
                });
                drop(found.expect("scores"));
                None
            })
        }),
    ));
    ways.push((
        "outside, pairwise".to_owned(),
        Box::new(move |_| {
            Box::new(move |end| {
                let found = pairwise_heap(100, 10, budget(end), |a, b| {
                    work();
                    Ok::<_, ()>(a > b)
                });
                drop(found.expect("an order"));
                None
            })
        }),
    ));
    let same = move |asked: &[usize]| {
        work();
        Ok::<_, ()>(asked.to_vec())
    };
    ways.push((
        "outside, listwise".to_owned(),
        Box::new(move |_| {
            Box::new(move |end| {
                drop(listwise(1000, 20, 10, 1, budget(end), same).expect("an order"));
                None
            })
        }),
    ));
    ways.push((
        "outside, groupwise".to_owned(),
        Box::new(move |_| {
            Box::new(move |end| {
                let found = groupwise(200, 10, 8, budget(end), |asked| {
                    work();
                    Ok::<_, ()>(asked[0])
                });
                drop(found.expect("an order"));
                None
            })
        }),
    ));
    ways.push((
        "outside, elimination".to_owned(),
        Box::new(move |_| {
            Box::new(move |end| {
                drop(elimination(1000, 10, 20, budget(end), same).expect("an order"));
                None
            })
        }),
    ));
}

/// Guessed scores of 100,000 documents; a call takes no time.
fn guesses<'a>(calls: usize, anchors: usize) -> Way<'a> {
    let documents = 20_000_000 / anchors.max(200);
    let matrix: Vec<f32> =
        (0..documents * anchors).map(|at| (draw(at as u64) >> 40) as f32).collect();
    let truth: Vec<f32> = (0..documents).map(|at| (draw(!(at as u64)) >> 40) as f32).collect();
    let said = format!("CUR, {calls} calls, {anchors} anchors");
    // Made once: it is the caller's, and checked and scaled before any search.
    let matrix: &'static [f32] = Box::leak(matrix.into_boxed_slice());
    let scores = Arc::new(AnchorScores::new(matrix, anchors).expect("scores"));
    let truth = Arc::new(truth);
    let ask = move |_| -> Ready<'a> {
        let (scores, truth) = (Arc::clone(&scores), Arc::clone(&truth));
        Box::new(move |end| {
            let mut options = CurOptions::calls(calls);
            if let Some(deadline) = end.deadline {
                options = options.deadline(deadline);
            }
            if let Some(flag) = &end.flag {
                options = options.cancel(Arc::clone(flag));
            }
            let first: Vec<(usize, f32)> = (0..1000).map(|at| (at, 1000.0 - at as f32)).collect();
            let found = scores.search(&first, options, |at| Ok::<_, ()>(truth[at]));
            drop(found.expect("scores"));
            None
        })
    };
    (said, Box::new(ask))
}
