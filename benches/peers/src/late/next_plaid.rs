//! next-plaid: PLAID with inverted lists of centroids and residual codes of 4, 2 or 1 bit, mapped.
//! A setting is how many lists each query row probes and how many documents are scored by their
//! centroids; a quarter of those is scored from codes.

use std::path::Path;
use std::rc::Rc;

use ndarray::Array2;
use next_plaid::{IndexConfig, MmapIndex, SearchParameters};

use super::SearchEngine;
use crate::sets::{TokenQuery, TokenSet};
use crate::{Found, Outcome, Setting};

/// Lists probed, documents scored by centroids.
const SETTINGS: [(usize, usize); 5] = [(2, 512), (4, 1024), (8, 4096), (16, 8192), (32, 8192)];

pub(super) fn searchers() -> Vec<SearchEngine> {
    let engine = |(name, nbits, binary)| SearchEngine {
        name,
        version: "1.8.5",
        build: Some(Box::new(move |set: &TokenSet, dir, _| {
            let config = IndexConfig { nbits, binary, ..IndexConfig::default() };
            build(set, dir, &config)
        })),
        keep: true,
        open: Box::new(|_, dir| open(dir)),
        passes: usize::MAX,
    };
    let indexes = [
        ("next-plaid-4bit", 4, false),
        ("next-plaid-2bit", 2, false),
        ("next-plaid-binary", 4, true),
    ];
    indexes.into_iter().map(engine).collect()
}

fn build(set: &TokenSet, dir: &Path, config: &IndexConfig) -> Outcome<()> {
    let documents = set.documents()?;
    let matrix = |rows: &[f32]| {
        Array2::from_shape_vec((rows.len() / documents.dim, documents.dim), rows.to_vec())
    };
    let matrices = documents.texts().map(matrix).collect::<Result<Vec<_>, _>>()?;
    std::fs::create_dir_all(dir)?;
    MmapIndex::create_with_kmeans(
        &matrices,
        dir.to_str().ok_or("a path that is not UTF-8")?,
        config,
    )?;
    Ok(())
}

fn open(dir: &Path) -> Outcome<Vec<Setting<TokenQuery>>> {
    let index = Rc::new(MmapIndex::load(dir.to_str().ok_or("a path that is not UTF-8")?)?);
    let blas = if cfg!(feature = "openblas") { "OpenBLAS" } else { "no BLAS" };
    let settings = SETTINGS.into_iter().map(|(probes, scored)| {
        let index = Rc::clone(&index);
        let label = format!("nprobe {probes}, full {scored}, {blas}");
        Setting::new(label, move |query: &TokenQuery, k| ask(&index, query, probes, scored, k))
    });
    Ok(settings.collect())
}

fn ask(
    index: &MmapIndex,
    query: &TokenQuery,
    probes: usize,
    scored: usize,
    k: usize,
) -> Outcome<Found> {
    let matrix =
        Array2::from_shape_vec((query.rows.len() / query.dim, query.dim), query.rows.clone())?;
    let parameters = SearchParameters {
        n_ivf_probe: probes,
        n_full_scores: scored,
        top_k: k,
        ..SearchParameters::default()
    };
    let answer = index.search(&matrix, &parameters, None)?;
    let rows = answer.passage_ids.into_iter().zip(answer.scores);
    rows.map(|(row, score)| Ok((u32::try_from(row)?, score))).collect()
}
