//! Exact searches behind filters, beside the same searches without: for each share and shape the
//! mean of all queries, each the best of three, in microseconds and as part of the unfiltered time
//! of the same run. Unfiltered and filtered searches take turns.

use std::hint::black_box;
use std::time::Instant;

use lateen::{Filter, Query};

use crate::{Built, us};

pub(crate) fn run(built: &Built) {
    let count = built.documents;
    let mut filters: Vec<(String, Filter)> = Vec::new();
    for share in [0.5, 0.05, 0.005, 0.0001] {
        #[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
        let part = |of: u64| (of as f64 * share).ceil() as u64;
        let random = built.random.range(..part(1 << 24));
        filters.push((format!("{} % at random", share * 100.0), random));
        let middle = count / 3;
        let place = built.place.range(middle..middle + part(count));
        filters.push((format!("{} % in one place", share * 100.0), place));
    }
    let queries: Vec<Query> = (0..built.queries.len().min(150)).map(|at| built.terms(at)).collect();
    table(built, "sparse", &queries, &filters);
    let rows = (0..built.queries.len()).filter_map(|at| Some(built.rows(at)?.0));
    let rows: Vec<Query> = rows.take(40).collect();
    if !rows.is_empty() {
        let exact: Vec<Query> = rows.iter().map(|query| query.clone().exact()).collect();
        table(built, "tokens, exact", &exact, &filters);
        table(built, "tokens, recall .98", &rows, &filters);
    }
}

fn table(built: &Built, what: &str, queries: &[Query], filters: &[(String, Filter)]) {
    let mut best = vec![vec![f64::INFINITY; queries.len()]; filters.len() + 1];
    for _ in 0..3 {
        for (at, query) in queries.iter().enumerate() {
            let ways = std::iter::once(query.clone())
                .chain(filters.iter().map(|(_, filter)| query.clone().filter(filter.clone())));
            for (way, query) in ways.enumerate() {
                let start = Instant::now();
                black_box(built.index.search(&query).expect("an answer"));
                best[way][at] = best[way][at].min(start.elapsed().as_secs_f64());
            }
        }
    }
    let mean = |way: usize| best[way].iter().sum::<f64>() / queries.len() as f64;
    println!("{}, {what}: unfiltered {:.1} us", built.name, us(mean(0)));
    for (way, (said, _)) in (1..).zip(filters) {
        println!("    {said:<24} {:>9.1} us  {:.2}", us(mean(way)), mean(way) / mean(0));
    }
}
