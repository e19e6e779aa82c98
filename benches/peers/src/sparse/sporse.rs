//! sporse: block-max WAND over f32 posting lists in memory; exact.

use std::path::Path;

use sporse::{SparseVec, SporseIndex};

use super::SparseEngine;
use crate::sets::{SparseQuery, SparseSet};
use crate::{Outcome, Setting};

pub(super) fn engine() -> SparseEngine {
    SparseEngine {
        name: "sporse",
        version: "0.9.1",
        build: None,
        keep: false,
        open: Box::new(open),
        passes: usize::MAX,
    }
}

fn vector(terms: &[u32], weights: &[f32]) -> SparseVec {
    SparseVec::from_sorted(terms.iter().copied().zip(weights.iter().copied()).collect())
}

fn open(set: &SparseSet, _dir: &Path) -> Outcome<Vec<Setting<SparseQuery>>> {
    let documents = set.documents()?;
    let mut index = SporseIndex::new();
    for row in 0..documents.len() {
        let (terms, weights) = documents.row(row);
        index.insert(u32::try_from(row)?, &vector(terms, weights));
    }
    index.build();
    Ok(vec![Setting::new("exact", move |query: &SparseQuery, k| {
        Ok(index.search(&vector(&query.terms, &query.weights), k))
    })])
}
