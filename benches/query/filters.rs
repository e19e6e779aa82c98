//! Exact searches behind filters, beside the same searches without: for each share and shape the
//! mean of all queries, each the best of three, in microseconds and as part of the unfiltered time
//! of the same run. Unfiltered and filtered searches take turns. Each filter is asked with twice: as
//! one whose clones were asked with before, and as one that was made a moment ago, whose making
//! does not count.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use lateen::{Filter, Query, RoaringTreemap};

use crate::{Built, SHARES, draw, part, us};

/// Makes a filter anew.
type Maker<'a> = Box<dyn Fn() -> Filter + 'a>;

struct Shape<'a> {
    said: String,
    make: Maker<'a>,
}

fn shapes(built: &Built) -> Vec<Shape<'_>> {
    let count = built.documents;
    let mut shapes: Vec<Shape<'_>> = Vec::new();
    for (at, share) in SHARES.into_iter().enumerate() {
        let drawn = part(1 << 24, share);
        let middle = count / 3..count / 3 + part(count, share);
        let random: Vec<u64> = (0..count).filter(|&row| draw(row) >> 40 < drawn).collect();
        let place: Vec<u64> = middle.clone().collect();
        for (word, said, keys) in
            [("random", "at random", random), ("place", "in one place", place)]
        {
            let (value, middle) = (format!("{word} {at}"), middle.clone());
            let bitmap: Arc<RoaringTreemap> = Arc::new(keys.iter().copied().collect());
            let range: Maker<'_> = match word {
                "random" => Box::new(move || built.random.range(..drawn)),
                _ => Box::new(move || built.place.range(middle.clone())),
            };
            let makers: [(&str, Maker<'_>); 4] = [
                ("range", range),
                ("keyword", Box::new(move || built.share.eq(value.as_str()))),
                ("keys", Box::new(move || Filter::keys(keys.iter().copied()))),
                ("bitmap", Box::new(move || Filter::bitmap(Arc::clone(&bitmap)))),
            ];
            for (shape, make) in makers {
                let said = format!("{} % {said}, {shape}", share * 100.0);
                shapes.push(Shape { said, make });
            }
        }
    }
    shapes
}

pub(crate) fn run(built: &Built) {
    let shapes = shapes(built);
    let queries: Vec<Query> = (0..built.queries.len().min(150)).map(|at| built.terms(at)).collect();
    table(built, "sparse", &queries, &shapes, true);
    let rows = (0..built.queries.len()).filter_map(|at| Some(built.rows(at)?.0));
    let rows: Vec<Query> = rows.take(20).collect();
    if !rows.is_empty() {
        let exact: Vec<Query> = rows.iter().map(|query| query.clone().exact()).collect();
        table(built, "tokens, exact", &exact, &shapes, false);
        table(built, "tokens, recall .98", &rows, &shapes, false);
    }
}

fn table(built: &Built, what: &str, queries: &[Query], shapes: &[Shape<'_>], anew: bool) {
    let ways = 1 + 2 * shapes.len();
    let mut best = vec![vec![f64::INFINITY; queries.len()]; ways];
    let kept: Vec<Filter> = shapes.iter().map(|shape| (shape.make)()).collect();
    for _ in 0..3 {
        for (at, query) in queries.iter().enumerate() {
            let mut ask = |way: usize, query: &Query| {
                let start = Instant::now();
                black_box(built.index.search(query).expect("an answer"));
                best[way][at] = best[way][at].min(start.elapsed().as_secs_f64());
            };
            ask(0, query);
            for (way, (shape, kept)) in shapes.iter().zip(&kept).enumerate() {
                ask(1 + 2 * way, &query.clone().filter(kept.clone()));
                if anew {
                    ask(2 + 2 * way, &query.clone().filter((shape.make)()));
                }
            }
        }
    }
    let mean = |way: usize| best[way].iter().sum::<f64>() / queries.len() as f64;
    println!("{}, {what}: unfiltered {:.1} us", built.name, us(mean(0)));
    println!("    {:<28} {:>17}   {:>17}", "", "asked before", "made anew");
    for (way, shape) in shapes.iter().enumerate() {
        let cells = [1 + 2 * way, 2 + 2 * way]
            .map(|way| format!("{:>9.1} us {:>5.2}", us(mean(way)), mean(way) / mean(0)));
        let [kept, made] = &cells;
        println!("    {:<28} {kept}   {}", shape.said, if anew { made } else { "" });
    }
}
