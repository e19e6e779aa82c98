//! Learned sparse vectors: top k by dot product.

use lateen_peers::drive::{Args, Contest, child, introduce, parent};
use lateen_peers::sets::SparseSet;
use lateen_peers::{Outcome, sparse};

fn main() -> Outcome<()> {
    let args = Args::read()?;
    let engines = sparse::engines();
    if args.child_task().is_none() {
        introduce()?;
        return parent(&args, "sparse", "sparse", &engines);
    }
    let set = SparseSet::open(&args.set)?;
    let contest = Contest {
        task: "sparse",
        shelf: "sparse",
        set: &set,
        name: &set.name,
        query_kind: "real",
        queries: &set.queries,
        truth: &set.truth,
        units: set.postings,
        reranked: None,
    };
    child(&args, &engines, &contest)
}
