//! Lateen through its public API, on a mapped index of one segment. Keys are row numbers.

use std::path::Path;
use std::rc::Rc;

use lateen::{
    Batch, DocumentOrder, Effort, Forward, Index, IndexWriter, KernelLevel, KeyKind, Query, Schema, SparseBatch,
    SparseField, SparseOptions, SparseVector, WriterOptions,
};

use super::SparseEngine;
use crate::sets::{SparseQuery, SparseSet};
use crate::{Found, Outcome, Setting};

/// The default index, and the one without forward rows, which is exact on the quantised impacts;
/// either in the order of the set, and with documents that share terms together.
pub(super) fn engines() -> Vec<SparseEngine> {
    vec![
        engine("lateen", Forward::Auto, DocumentOrder::Given),
        engine("lateen-quantised", Forward::None, DocumentOrder::Given),
        engine("lateen-similar", Forward::Auto, DocumentOrder::Similar),
        engine("lateen-similar-quantised", Forward::None, DocumentOrder::Similar),
    ]
}

fn engine(name: &'static str, forward: Forward, order: DocumentOrder) -> SparseEngine {
    SparseEngine {
        name,
        version: crate::late::LATEEN_VERSION,
        build: Some(Box::new(move |set, dir, threads| build(set, dir, threads, (forward, order)))),
        keep: false,
        open: Box::new(move |_, dir| open(dir, forward != Forward::None)),
        passes: usize::MAX,
    }
}

fn build(
    set: &SparseSet,
    dir: &Path,
    threads: usize,
    (forward, order): (Forward, DocumentOrder),
) -> Outcome<()> {
    let documents = set.documents()?;
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let field = schema.sparse_with("sparse", SparseOptions::default().forward(forward));
    // Memory for all of it, so that there is one segment, as the peers have one.
    let options = WriterOptions::default().memory(8 << 30).threads(threads).order(order);
    let mut writer: IndexWriter = options.create(dir, schema.build()?)?;
    let rows = SparseBatch::csr(&documents.indptr, &documents.terms, &documents.weights);
    writer.add_batch(&Batch::new(0..documents.len() as u64).sparse(&field, &rows)?)?;
    writer.commit()?;
    Ok(())
}

fn open(dir: &Path, forward: bool) -> Outcome<Vec<Setting<SparseQuery>>> {
    let mut settings = Vec::new();
    let mut levels = KernelLevel::available();
    levels.reverse();
    for (slower, level) in levels.into_iter().enumerate() {
        let index = Rc::new(Index::options().kernel(level).open(dir)?);
        let field = index.schema().sparse("sparse")?;
        let mut add = |label: &str, effort| {
            let (index, field) = (Rc::clone(&index), field.clone());
            let label = if slower == 0 { label.to_owned() } else { format!("{label}, {level}") };
            settings
                .push(Setting::new(label, move |query, k| ask(&index, &field, query, k, effort)));
        };
        add(if forward { "exact" } else { "exact on u8" }, Effort::Exact);
        if slower == 0 && forward {
            add("recall 0.98", Effort::Recall(0.98));
        }
    }
    Ok(settings)
}

fn ask(
    index: &Index,
    field: &SparseField,
    query: &SparseQuery,
    k: usize,
    effort: Effort,
) -> Outcome<Found> {
    let vector = SparseVector::new(&query.terms, &query.weights);
    let query = Query::sparse(field, vector)?.top(k).effort(effort);
    crate::late::found(&index.search(&query)?)
}
