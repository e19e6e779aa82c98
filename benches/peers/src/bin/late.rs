//! Token vectors: search by MaxSim over all documents, and rerank of a hundred given ones.

use lateen_peers::Outcome;
use lateen_peers::drive::{Args, Contest, child, introduce, parent};
use lateen_peers::late::rerank::{GROUP, RerankSet};
use lateen_peers::late::{rerankers, searchers};
use lateen_peers::sets::{TokenSet, Truth};

fn main() -> Outcome<()> {
    let args = Args::read()?;
    match args.child_task() {
        Some(task @ ("search" | "search-32")) => search(&args, task),
        Some(task) => rerank(&args, task),
        None => {
            introduce()?;
            let wanted = |task: &str| args.tasks.is_empty() || args.tasks.iter().any(|t| t == task);
            // With the set's own queries, and with queries of 32 rows.
            for task in ["search", "search-32"].into_iter().filter(|task| wanted(task)) {
                parent(&args, task, "search", &searchers())?;
            }
            // The same hundred documents, which stay in the cache, and changing ones.
            for task in ["rerank-warm", "rerank-cold"].into_iter().filter(|task| wanted(task)) {
                parent(&args, task, task, &rerankers())?;
            }
            Ok(())
        }
    }
}

fn search(args: &Args, task: &str) -> Outcome<()> {
    let open = if task == "search" { TokenSet::open } else { TokenSet::open32 };
    let set = open(&args.set)?;
    let contest = Contest {
        task,
        shelf: "search",
        set: &set,
        name: &set.name,
        query_kind: set.query_kind,
        queries: &set.queries,
        truth: &set.truth,
        units: set.tokens,
        reranked: None,
    };
    child(args, &searchers(), &contest)
}

fn rerank(args: &Args, task: &str) -> Outcome<()> {
    let groups = if task == "rerank-warm" { 1 } else { usize::MAX };
    let set = RerankSet::join(&TokenSet::open32(&args.set)?, groups)?;
    let truth = if args.answers() { set.truth() } else { Truth::default() };
    let contest = Contest {
        task,
        shelf: task,
        set: &set,
        name: &set.name,
        query_kind: "32-row",
        queries: &set.queries,
        truth: &truth,
        units: (set.documents.rows.len() / set.documents.dim) as u64,
        reranked: Some(GROUP),
    };
    child(args, &rerankers(), &contest)
}
