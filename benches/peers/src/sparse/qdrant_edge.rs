//! Qdrant's embedded shard: exact, term at a time. Its write-ahead log is kept small, so that the
//! size is that of the index; all else is its default (posting lists of f32 weights in memory).

use std::path::Path;

use qdrant_edge::{
    EdgeConfigBuilder, EdgeShard, EdgeSparseVectorParams, NamedQuery, PointId,
    PointInsertOperations, PointOperations, PointStruct, QueryEnum, SearchRequest, SparseVector,
    UpdateOperation, Vector, VectorInternal, Vectors, WalOptions,
};

use super::SparseEngine;
use crate::sets::{SparseQuery, SparseSet};
use crate::{Found, Outcome, Setting};

const FIELD: &str = "sparse";
/// Points of one update.
const BATCH: usize = 1000;

pub(super) fn engine() -> SparseEngine {
    SparseEngine {
        name: "qdrant-edge",
        version: "0.7.2",
        build: Some(Box::new(build)),
        keep: true,
        open: Box::new(open),
        passes: usize::MAX,
    }
}

fn build(set: &SparseSet, dir: &Path, _threads: usize) -> Outcome<()> {
    let documents = set.documents()?;
    let config = EdgeConfigBuilder::new()
        .sparse_vector(FIELD, EdgeSparseVectorParams::default())
        .wal_options(WalOptions { segment_capacity: 1 << 20, ..WalOptions::default() })
        .build();
    std::fs::create_dir_all(dir)?;
    let shard = EdgeShard::new(dir, config)?;
    for start in (0..documents.len()).step_by(BATCH) {
        let points = (start..(start + BATCH).min(documents.len())).map(|row| {
            let (terms, weights) = documents.row(row);
            let vector = Vector::new_sparse(terms, weights)?;
            let vectors = Vectors::new_named([(FIELD, vector)]);
            let point = PointStruct::new(row as u64, vectors, serde_json::json!({}));
            Ok(point.into())
        });
        let points = points.collect::<Outcome<Vec<_>>>()?;
        let points = PointOperations::UpsertPoints(PointInsertOperations::PointsList(points));
        shard.update(UpdateOperation::PointOperation(points))?;
    }
    shard.optimize()?;
    shard.flush();
    Ok(())
}

fn open(_set: &SparseSet, dir: &Path) -> Outcome<Vec<Setting<SparseQuery>>> {
    let shard = EdgeShard::load(dir, None)?;
    Ok(vec![Setting::new("exact", move |query, k| ask(&shard, query, k))])
}

fn ask(shard: &EdgeShard, query: &SparseQuery, k: usize) -> Outcome<Found> {
    let vector = SparseVector::new(query.terms.clone(), query.weights.clone())
        .map_err(|error| error.to_string())?;
    let query = QueryEnum::Nearest(NamedQuery::new(VectorInternal::Sparse(vector), FIELD));
    let points = shard.search(SearchRequest {
        query,
        filter: None,
        params: None,
        limit: k,
        offset: 0,
        with_payload: None,
        with_vector: None,
        score_threshold: None,
    })?;
    let row = |id: &PointId| -> Outcome<u32> {
        match id {
            PointId::NumId(row) => Ok(u32::try_from(*row)?),
            PointId::Uuid(_) => Err("an id that was never given".into()),
        }
    };
    points.iter().map(|point| Ok((row(&point.id)?, point.score))).collect()
}
