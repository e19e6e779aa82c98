//! Query-term pruning: the heaviest terms hold most of the score, and each term costs time.

use crate::id::TermId;
use crate::sparse::SparseQuery;

/// The heaviest terms, weights below zero by their size: at most `terms`, as long as those kept
/// hold less than `mass` of all weight. At least one is kept where there is one.
pub(crate) fn heaviest(query: &SparseQuery, terms: usize, mass: f32) -> SparseQuery {
    let mut entries: Vec<(u32, f32)> = query.entries().collect();
    let all: f64 = entries.iter().map(|entry| f64::from(entry.1.abs())).sum();
    entries.sort_unstable_by(|a, b| b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)));
    let wanted = f64::from(mass.clamp(0.0, 1.0)) * all;
    let mut held = 0.0;
    let enough = entries.iter().position(|entry| {
        held += f64::from(entry.1.abs());
        held >= wanted
    });
    // Rounding must not drop a term where all of the weight was asked for.
    let by_mass =
        if mass >= 1.0 { entries.len() } else { enough.map_or(entries.len(), |at| at + 1) };
    entries.truncate(terms.min(by_mass).max(1));
    entries.sort_unstable_by_key(|entry| entry.0);
    SparseQuery::from_entries(&entries)
}

/// How many of a vector's entries the heaviest are that hold `mass` of all weight.
pub(crate) fn heaviest_count(entries: &[(TermId, f32)], mass: f32) -> usize {
    heaviest(&SparseQuery::from_entries(entries), entries.len(), mass).entries().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_stay() {
        let query = SparseQuery::from_entries(&[(1, 1.0), (4, 4.0), (7, 1.0), (9, 2.0)]);
        let kept = |terms, mass| -> Vec<u32> {
            heaviest(&query, terms, mass).entries().map(|entry| entry.0).collect()
        };
        assert_eq!(kept(10, 1.0), [1, 4, 7, 9]);
        assert_eq!(kept(3, 1.0), [1, 4, 9]);
        assert_eq!(kept(10, 0.5), [4]);
        assert_eq!(kept(10, 0.51), [4, 9]);
        assert_eq!(kept(0, 0.0), [4]);
        assert_eq!(kept(10, f32::NAN), [1, 4, 7, 9], "no mass is no reason to drop a term");
        let none = SparseQuery::from_entries(&[]);
        assert_eq!(heaviest(&none, 3, 0.5).entries().count(), 0);
    }
}
