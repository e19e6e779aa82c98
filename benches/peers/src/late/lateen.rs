//! Lateen through its public API, on a mapped index of one segment. Keys are row numbers.

use std::path::Path;
use std::rc::Rc;

use lateen::{
    Batch, Effort, Hits, Index, KernelLevel, KeyKind, Query, Schema, SparseBatch, TokenBatch,
    TokenCodec, TokenMatrix, TokenOptions, WriterOptions,
};

use super::rerank::{GROUP, RerankQuery, RerankSet};
use super::{RerankEngine, SearchEngine};
use crate::sets::{TokenQuery, TokenSet, Tokens};
use crate::{Found, Outcome, Setting};

/// It is built from this tree.
pub(crate) const LATEEN_VERSION: &str = "this tree";

/// Every codec, under the name of its index.
const CODECS: [(&str, TokenCodec); 2] =
    [("lateen-int8", TokenCodec::Int8), ("lateen-f16", TokenCodec::F16)];

pub(super) fn searchers() -> Vec<SearchEngine> {
    let engine = |(name, codec)| SearchEngine {
        name,
        version: LATEEN_VERSION,
        build: Some(Box::new(move |set: &TokenSet, dir, threads| {
            build(&set.documents()?, dir, threads, codec, false)
        })),
        keep: false,
        open: Box::new(|_, dir| open(dir)),
        passes: usize::MAX,
    };
    CODECS.into_iter().map(engine).collect()
}

pub(super) fn rerankers() -> Vec<RerankEngine> {
    let engine = |(name, codec)| RerankEngine {
        name,
        version: LATEEN_VERSION,
        build: Some(Box::new(move |set: &RerankSet, dir, threads| {
            build(&set.documents, dir, threads, codec, true)
        })),
        keep: false,
        open: Box::new(|_, dir| open_rerank(dir)),
        passes: usize::MAX,
    };
    CODECS.into_iter().map(engine).collect()
}

/// With `seeds`, each document also gets a sparse vector of one term, the number of its group: the
/// cheapest first stage that hands exactly those documents to the rerank.
fn build(
    documents: &Tokens,
    dir: &Path,
    threads: usize,
    codec: TokenCodec,
    seeds: bool,
) -> Outcome<()> {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let field = schema.tokens("tokens", TokenOptions::new(documents.dim).codec(codec));
    let group = seeds.then(|| schema.sparse("group"));
    let options = WriterOptions::default().memory(8 << 30).threads(threads);
    let mut writer = options.create(dir, schema.build()?)?;
    let rows = TokenBatch::flat(&documents.rows, &documents.lengths, documents.dim);
    let count = u32::try_from(documents.lengths.len())?;
    let terms: Vec<u32> = (0..count).map(|row| row / GROUP as u32).collect();
    let (indptr, ones): (Vec<u32>, _) = ((0..=count).collect(), vec![1.0f32; terms.len()]);
    let mut batch = Batch::new(0..u64::from(count)).tokens(&field, &rows)?;
    if let Some(group) = &group {
        batch = batch.sparse(group, &SparseBatch::csr(&indptr, &terms, &ones))?;
    }
    writer.add_batch(&batch)?;
    writer.commit()?;
    Ok(())
}

/// The index once for each kernel level, the best first, with what a setting's label says of it.
fn indexes(dir: &Path) -> Outcome<Vec<(Rc<Index>, String)>> {
    let levels = KernelLevel::available().into_iter().rev().enumerate();
    let open = |(slower, level): (usize, KernelLevel)| {
        let note = if slower == 0 { String::new() } else { format!(", {level}") };
        Ok((Rc::new(Index::options().kernel(level).open(dir)?), note))
    };
    levels.map(open).collect()
}

fn open(dir: &Path) -> Outcome<Vec<Setting<TokenQuery>>> {
    let mut settings = Vec::new();
    for (index, note) in indexes(dir)? {
        let field = index.schema().tokens("tokens")?;
        for (label, effort) in [("exact", Effort::Exact), ("recall 0.98", Effort::Recall(0.98))] {
            let (index, field) = (Rc::clone(&index), field.clone());
            if !note.is_empty() && label != "exact" {
                continue;
            }
            settings.push(Setting::new(format!("{label}{note}"), move |query: &TokenQuery, k| {
                let query = Query::tokens(&field, TokenMatrix::new(&query.rows, query.dim))?;
                found(&index.search(&query.top(k).effort(effort))?)
            }));
        }
    }
    Ok(settings)
}

fn open_rerank(dir: &Path) -> Outcome<Vec<Setting<RerankQuery>>> {
    let mut settings = Vec::new();
    for (index, note) in indexes(dir)? {
        let (group, field) = (index.schema().sparse("group")?, index.schema().tokens("tokens")?);
        settings.push(Setting::new(format!("end to end{note}"), move |query: &RerankQuery, k| {
            let (terms, tokens) = ([(query.group as u32, 1.0f32)], &query.tokens);
            let query = Query::sparse(&group, &terms)?
                .rerank(&field, TokenMatrix::new(&tokens.rows, tokens.dim))?
                .candidates(GROUP)
                .top(k);
            found(&index.search(&query)?)
        }));
    }
    Ok(settings)
}

/// Keys are row numbers: the rows of an answer.
pub(crate) fn found(hits: &Hits) -> Outcome<Found> {
    let row = |hit: &lateen::Hit| {
        let key = hit.key().as_u64().ok_or("a key that was never given")?;
        Ok((u32::try_from(key)?, hit.score()))
    };
    hits.iter().map(row).collect()
}
