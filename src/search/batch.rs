//! Many queries at once, over threads.

use crossbeam::channel;

use crate::error::Result;
use crate::search::pool::ScratchPool;
use crate::search::query::Query;
use crate::search::run::{Answer, Scratch};

/// Answers queries by `one` with `threads` threads, each taking the next one that waits; answers
/// come in the order of the queries, and are what each query alone would get.
pub(crate) fn search_batch(
    queries: &[Query],
    threads: usize,
    pool: &ScratchPool,
    one: &(impl Fn(&Query, &mut Scratch) -> Result<Answer> + Sync),
) -> Result<Vec<Answer>> {
    let threads = threads.clamp(1, queries.len().max(1));
    if threads == 1 {
        return pool.with(|scratch| queries.iter().map(|query| one(query, scratch)).collect());
    }
    let (ask, asked) = channel::unbounded();
    for question in queries.iter().enumerate() {
        if ask.send(question).is_err() {
            break; // cannot happen while `asked` lives
        }
    }
    drop(ask);
    let (tell, told) = channel::unbounded();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (asked, tell) = (asked.clone(), tell.clone());
            scope.spawn(move || {
                pool.with(|scratch| {
                    for (at, query) in asked {
                        if tell.send((at, one(query, scratch))).is_err() {
                            break;
                        }
                    }
                });
            });
        }
    });
    drop(tell);
    let mut answers: Vec<_> = told.into_iter().collect();
    answers.sort_unstable_by_key(|(at, _)| *at);
    answers.into_iter().map(|(_, answer)| answer).collect()
}
