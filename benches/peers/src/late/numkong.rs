//! NumKong's packed MaxSim: 8-bit screening, then the winners in the original type. It returns the
//! sum of angular distances; on rows of length 1 that is rows − MaxSim.

use std::rc::Rc;

use numkong::{MaxSim, MaxSimPackedMatrix, Tensor, bf16, f16};

use super::rerank::{GROUP, RerankQuery, RerankSet};
use super::{RerankEngine, SearchEngine, best};
use crate::sets::{TokenQuery, TokenSet, Tokens};
use crate::{Outcome, Setting};

const VERSION: &str = "7.8.7";

pub(super) fn searchers() -> Vec<SearchEngine> {
    fn engine<T: Component>(name: &'static str) -> SearchEngine {
        SearchEngine {
            name,
            version: VERSION,
            build: None,
            keep: false,
            open: Box::new(|set: &TokenSet, _| {
                let packed = Packed::<T>::all(&set.documents()?)?;
                Ok(vec![Setting::new("scan of all", move |query: &TokenQuery, k| {
                    let scores = packed.scores(query, 0..packed.documents.len())?;
                    Ok(best(scores, k))
                })])
            }),
            passes: 1,
        }
    }
    vec![engine::<f32>("numkong-f32"), engine::<f16>("numkong-f16"), engine::<bf16>("numkong-bf16")]
}

pub(super) fn rerankers() -> Vec<RerankEngine> {
    fn engine<T: Component>(name: &'static str) -> RerankEngine {
        RerankEngine {
            name,
            version: VERSION,
            build: None,
            keep: false,
            open: Box::new(|set: &RerankSet, _| {
                let packed = Rc::new(Packed::<T>::all(&set.documents)?);
                Ok(vec![Setting::new("packed", move |query: &RerankQuery, k| {
                    let first = query.group * GROUP;
                    Ok(best(packed.scores(&query.tokens, first..first + GROUP)?, k))
                })])
            }),
            passes: usize::MAX,
        }
    }
    vec![engine::<f32>("numkong-f32"), engine::<f16>("numkong-f16"), engine::<bf16>("numkong-bf16")]
}

/// A type that NumKong scores rows in.
trait Component: MaxSim<Score: Into<f64>> + From<f32> + 'static {}
impl<T: MaxSim<Score: Into<f64>> + From<f32> + 'static> Component for T {}

struct Packed<T: Component> {
    documents: Vec<MaxSimPackedMatrix<T>>,
}

fn pack<T: Component>(rows: &[f32], dim: usize) -> Outcome<MaxSimPackedMatrix<T>> {
    let values: Vec<T> = rows.iter().map(|&x| T::from(x)).collect();
    let tensor = Tensor::<T>::try_from_slice(&values, &[rows.len() / dim, dim]);
    let tensor = tensor.map_err(|error| format!("{error:?}"))?;
    Ok(tensor.view().try_maxsim_pack().map_err(|error| format!("{error:?}"))?)
}

impl<T: Component> Packed<T> {
    fn all(documents: &Tokens) -> Outcome<Self> {
        let packed = documents.texts().map(|rows| pack(rows, documents.dim));
        Ok(Self { documents: packed.collect::<Outcome<_>>()? })
    }

    fn scores(
        &self,
        query: &TokenQuery,
        rows: std::ops::Range<usize>,
    ) -> Outcome<impl Iterator<Item = (u32, f32)>> {
        let count = (query.rows.len() / query.dim) as f64;
        let query = pack::<T>(&query.rows, query.dim)?;
        let start = rows.start as u32;
        Ok((start..).zip(&self.documents[rows]).map(move |(row, document)| {
            let distance: f64 = query.score(document).into();
            (row, (count - distance) as f32)
        }))
    }
}
