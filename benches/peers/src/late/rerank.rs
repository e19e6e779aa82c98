//! What the rerank is measured on: documents of about a hundred token rows, a hundred per query.

use crate::Outcome;
use crate::sets::{TokenQuery, TokenSet, Tokens, Truth};

/// Documents of one rerank.
pub const GROUP: usize = 100;

/// A query, and which hundred documents it is scored against.
pub struct RerankQuery {
    /// The query.
    pub tokens: TokenQuery,
    /// Documents `group * GROUP..(group + 1) * GROUP`.
    pub group: usize,
}

/// Documents made of two neighbouring texts each, in groups.
pub struct RerankSet {
    /// The set the texts are from.
    pub name: String,
    /// The documents.
    pub documents: Tokens,
    /// The queries; each asks one group, all groups in turn.
    pub queries: Vec<RerankQuery>,
}

impl RerankSet {
    /// Joins texts two by two, and keeps at most `groups` groups: one to measure kernels with the
    /// documents in the cache, all of them to measure with documents from memory.
    ///
    /// # Errors
    /// Fewer than 200 texts, or files that are missing.
    pub fn join(set: &TokenSet, groups: usize) -> Outcome<Self> {
        let Tokens { dim, mut rows, lengths } = set.documents()?;
        let mut lengths: Vec<u32> = lengths.chunks_exact(2).map(|two| two[0] + two[1]).collect();
        let groups = groups.min(lengths.len() / GROUP);
        if groups == 0 {
            return Err("too few texts to rerank".into());
        }
        lengths.truncate(groups * GROUP);
        rows.truncate(lengths.iter().map(|&length| length as usize).sum::<usize>() * dim);
        rows.shrink_to_fit();
        let documents = Tokens { dim, rows, lengths };
        let queries = set.queries.iter().enumerate();
        let queries =
            queries.map(|(i, tokens)| RerankQuery { tokens: tokens.clone(), group: i % groups });
        Ok(Self { name: set.name.clone(), queries: queries.collect(), documents })
    }

    /// The exact order of each query's group, by the definition.
    pub fn truth(&self) -> Truth {
        let texts: Vec<&[f32]> = self.documents.texts().collect();
        let (ids, scores) = self.queries.iter().map(|query| exact(&texts, query)).unzip();
        Truth { ids, scores }
    }
}

/// The plain definition, in double precision.
fn exact(texts: &[&[f32]], query: &RerankQuery) -> (Vec<u32>, Vec<f32>) {
    let first = query.group * GROUP;
    let group = &texts[first..first + GROUP];
    let scores =
        group.iter().zip(first..).map(|(text, row)| (row as u32, maxsim(&query.tokens, text)));
    super::best(scores, GROUP).into_iter().unzip()
}

fn maxsim(query: &TokenQuery, text: &[f32]) -> f32 {
    let sum: f64 = query
        .rows
        .chunks_exact(query.dim)
        .map(|row| {
            let dots = text.chunks_exact(query.dim).map(|other| dot(row, other));
            dots.fold(f64::NEG_INFINITY, f64::max)
        })
        .sum();
    sum as f32
}

/// A dot product in eight lanes, so that the compiler may use vectors.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0f64; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += f64::from(*a) * f64::from(*b);
        }
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maxsim_is_the_sum_of_the_best() {
        let unit =
            |i: usize, x: f32| (0..8).map(|j| if i == j { x } else { 0.0 }).collect::<Vec<_>>();
        let query = TokenQuery { rows: [unit(0, 1.0), unit(1, 1.0)].concat(), dim: 8 };
        let text = [unit(0, 0.5), unit(0, 0.25), unit(1, -2.0)].concat();
        assert_eq!(maxsim(&query, &text), 0.5 + 0.0);
    }
}
