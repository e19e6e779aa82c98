//! What guessed scores find of the ten best by exact MaxSim, beside a plain rerank of the same
//! number of calls. Settings are chosen on the queries of even rows: every fourth of them is asked,
//! the others are anchors. Then all of even rows are anchors, and those of odd rows are asked with
//! the settings chosen and with those that [`CurOptions::calls`] has.

use lateen::{AnchorScores, CurOptions};

use crate::Built;

/// A query: what the sparse search found, exact scores of all documents, and the true ten best.
struct Asked {
    first: Vec<(usize, f32)>,
    scores: Vec<f32>,
    best: Vec<usize>,
}

fn asked(built: &Built, at: usize) -> Option<Asked> {
    let place = |hit: &lateen::Hit| {
        hit.key().as_u64().and_then(|key| usize::try_from(key).ok()).expect("a row number")
    };
    let all = built.index.search(&built.rows(at)?.0.exact().top(10_000)).expect("an answer");
    let mut scores = vec![0.0; usize::try_from(built.documents).ok()?];
    for hit in &all {
        scores[place(hit)] = hit.score();
    }
    let best = all.iter().take(10).map(place).collect();
    let first = built.index.search(&built.terms(at).top(1000)).expect("an answer");
    let first = first.iter().map(|hit| (place(hit), hit.score())).collect();
    Some(Asked { first, scores, best })
}

/// The share of the true ten best that is among the ten best of what was scored.
fn found(anchors: &AnchorScores<'_>, asked: &[&Asked], options: &CurOptions) -> f64 {
    let mut sum = 0;
    for query in asked {
        let outcome = anchors
            .search(&query.first, options.clone(), |document| {
                Ok::<_, std::convert::Infallible>(query.scores[document])
            })
            .expect("scores");
        let ten = outcome.scored.iter().take(10);
        sum += ten.filter(|(document, _)| query.best.contains(document)).count();
    }
    f64::from(u32::try_from(sum).unwrap_or(0)) / (10 * asked.len()) as f64
}

pub(crate) fn run(built: &Built) {
    let all: Vec<Asked> = (0..built.queries.len()).filter_map(|at| asked(built, at)).collect();
    let half = |rest: usize| all.iter().skip(rest).step_by(2).collect::<Vec<_>>();
    let (chosen_on, measured_on) = (half(0), half(1));
    let matrix = |queries: &[&Asked]| -> Vec<f32> {
        queries.iter().flat_map(|query| query.scores.iter().copied()).collect()
    };
    let (mut own, mut tried) = (Vec::new(), Vec::new());
    for (at, &query) in chosen_on.iter().enumerate() {
        if at % 4 == 3 { tried.push(query) } else { own.push(query) }
    }
    let (of_own, of_all) = (matrix(&own), matrix(&chosen_on));
    let part = AnchorScores::new(&of_own, own.len()).expect("scores");
    let anchors = AnchorScores::new(&of_all, chosen_on.len()).expect("scores");
    println!(
        "{}: {} anchors, {} queries; settings chosen with {} and {}",
        built.name,
        chosen_on.len(),
        measured_on.len(),
        own.len(),
        tried.len()
    );
    println!("calls   plain   as given   chosen: start, rounds, ridge");
    for calls in [20, 30, 50, 100, 200] {
        let mut best = (f64::MIN, 0.6f32, 10usize, 10.0f32);
        for start in [0.3, 0.5, 0.6, 0.8] {
            for rounds in [1, 5, 10] {
                for ridge in [0.1, 1.0, 10.0, 30.0] {
                    let options = CurOptions::calls(calls).start(start).rounds(rounds).ridge(ridge);
                    let share = found(&part, &tried, &options);
                    if share > best.0 {
                        best = (share, start, rounds, ridge);
                    }
                }
            }
        }
        let (_, start, rounds, ridge) = best;
        let chosen = CurOptions::calls(calls).start(start).rounds(rounds).ridge(ridge);
        let on = |options: &CurOptions| found(&anchors, &measured_on, options);
        println!(
            "{calls:>5}   {:.3}   {:.3}      {:.3}: {start}, {rounds}, {ridge}",
            on(&CurOptions::calls(calls).start(1.0)),
            on(&CurOptions::calls(calls)),
            on(&chosen)
        );
    }
}
