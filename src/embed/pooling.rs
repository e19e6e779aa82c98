//! Clusters of a document's rows that point the same way: agglomerative, by Ward's criterion.
//!
//! The nearest-neighbour chain (Murtagh, "A survey of recent advances in hierarchical clustering
//! algorithms", 1983) finds Ward's tree in time quadratic in the rows, and the tree is cut where as
//! many clusters are left as wanted. Every sum is made in one order, and of equal distances the one
//! of the first rows counts, so the same rows give the same clusters everywhere.

/// Rows that are clustered at a time; their distances take 1 MiB. A longer document is cut into
/// stretches of this many, which is further than text refers to itself as a rule.
pub(super) const STRETCH: usize = 512;

/// Deals `rows`, unit-length or zero, of `dim` components each, to `wanted` clusters, from 1 to
/// their number; gives each row's cluster. Clusters are numbered by their first rows.
pub(super) fn ward(rows: &[f32], dim: usize, wanted: usize) -> Vec<usize> {
    let count = rows.len() / dim;
    let mut merges = tree(&mut Distances::of(rows, dim), count);
    // Stable: a cluster is merged with another after its parts were merged.
    merges.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    let mut parent: Vec<usize> = (0..count).collect();
    let root = |parent: &[usize], mut at: usize| {
        while parent[at] != at {
            at = parent[at];
        }
        at
    };
    for merge in merges.iter().take(count.saturating_sub(wanted)) {
        let (a, b) = (root(&parent, merge.first), root(&parent, merge.second));
        parent[a.max(b)] = a.min(b);
    }
    // A root is the first row of its cluster, so it is met before the others.
    let mut numbers = vec![0; count];
    let mut next = 0;
    for row in 0..count {
        let root = root(&parent, row);
        if root == row {
            numbers[row] = next;
            next += 1;
        } else {
            numbers[row] = numbers[root];
        }
    }
    numbers
}

/// Two clusters made one; each is named by a row in it.
#[derive(Clone, Copy, Debug)]
struct Merge {
    first: usize,
    second: usize,
    distance: f32,
}

/// Ward's distances between clusters: of two rows the squared distance.
struct Distances {
    count: usize,
    values: Vec<f32>,
}

impl Distances {
    fn of(rows: &[f32], dim: usize) -> Self {
        let count = rows.len() / dim;
        let row = |at: usize| &rows[at * dim..(at + 1) * dim];
        let own: Vec<f32> = (0..count).map(|at| dot(row(at), row(at))).collect();
        let mut values = vec![0.0; count * count];
        for a in 0..count {
            for b in 0..a {
                let distance = (own[a] + own[b] - 2.0 * dot(row(a), row(b))).max(0.0);
                values[a * count + b] = distance;
                values[b * count + a] = distance;
            }
        }
        Self { count, values }
    }

    fn get(&self, a: usize, b: usize) -> f32 {
        self.values[a * self.count + b]
    }

    fn set(&mut self, a: usize, b: usize, distance: f32) {
        self.values[a * self.count + b] = distance;
        self.values[b * self.count + a] = distance;
    }
}

/// All merges down to one cluster, in the order in which the chain finds them.
fn tree(distances: &mut Distances, count: usize) -> Vec<Merge> {
    let mut sizes = vec![1.0f32; count];
    let mut active: Vec<usize> = (0..count).collect();
    let mut chain: Vec<usize> = Vec::new();
    let mut merges = Vec::with_capacity(count.saturating_sub(1));
    while active.len() > 1 {
        let last = *chain.last().unwrap_or(&active[0]);
        if chain.is_empty() {
            chain.push(last);
        }
        // The one before wins over its equals, or the chain might never end.
        let before = chain.len().checked_sub(2).map(|at| chain[at]);
        let mut nearest = before.map(|before| (before, distances.get(last, before)));
        for &other in active.iter().filter(|&&other| other != last) {
            let distance = distances.get(last, other);
            if nearest.is_none_or(|(_, least)| distance < least) {
                nearest = Some((other, distance));
            }
        }
        let Some((other, distance)) = nearest else { break };
        if before != Some(other) {
            chain.push(other);
            continue;
        }
        chain.truncate(chain.len() - 2);
        let (kept, gone) = (last.min(other), last.max(other));
        merges.push(Merge { first: kept, second: gone, distance });
        active.retain(|&at| at != gone);
        for &at in active.iter().filter(|&&at| at != kept) {
            let (a, b, c) = (sizes[kept], sizes[gone], sizes[at]);
            let sum = (a + c) * distances.get(at, kept) + (b + c) * distances.get(at, gone);
            distances.set(at, kept, (sum - c * distance) / (a + b + c));
        }
        sizes[kept] += sizes[gone];
    }
    merges
}

/// Eight partial sums in a fixed order, so that the additions need not wait for each other.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let four = [sums[0] + sums[4], sums[1] + sums[5], sums[2] + sums[6], sums[3] + sums[7]];
    (four[0] + four[2]) + (four[1] + four[3])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mix::Numbers;

    fn unit_rows(numbers: &mut Numbers, count: usize, dim: usize) -> Vec<f32> {
        let mut rows: Vec<f32> = (0..count * dim).map(|_| numbers.unit()).collect();
        for row in rows.chunks_exact_mut(dim) {
            let length = dot(row, row).sqrt();
            for x in row {
                *x /= length;
            }
        }
        rows
    }

    /// Ward by its definition: of all pairs of clusters the one whose union adds least to the sum
    /// of squared distances from the means.
    fn naive(rows: &[f32], dim: usize, wanted: usize) -> Vec<usize> {
        let count = rows.len() / dim;
        let mut clusters: Vec<Vec<usize>> = (0..count).map(|at| vec![at]).collect();
        let mean = |cluster: &[usize]| -> Vec<f64> {
            let sum =
                |c: usize| cluster.iter().map(|at| f64::from(rows[at * dim + c])).sum::<f64>();
            (0..dim).map(|c| sum(c) / cluster.len() as f64).collect()
        };
        while clusters.len() > wanted {
            let mut best = (f64::INFINITY, 0, 0);
            for a in 0..clusters.len() {
                for b in a + 1..clusters.len() {
                    let (x, y) = (mean(&clusters[a]), mean(&clusters[b]));
                    let far: f64 = x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum();
                    let (m, n) = (clusters[a].len() as f64, clusters[b].len() as f64);
                    let cost = far * m * n / (m + n);
                    if cost < best.0 {
                        best = (cost, a, b);
                    }
                }
            }
            let gone = clusters.remove(best.2);
            clusters[best.1].extend(gone);
        }
        for cluster in &mut clusters {
            cluster.sort_unstable();
        }
        clusters.sort();
        let mut numbers = vec![0; count];
        for (number, cluster) in clusters.iter().enumerate() {
            for &at in cluster {
                numbers[at] = number;
            }
        }
        numbers
    }

    #[test]
    fn clusters_are_those_of_the_definition() {
        let mut numbers = Numbers(1);
        for (count, dim) in [(1, 8), (2, 8), (7, 16), (30, 8), (41, 24)] {
            let rows = unit_rows(&mut numbers, count, dim);
            for wanted in [1, 2, count.div_ceil(3), count.div_ceil(2), count] {
                let wanted = wanted.min(count);
                assert_eq!(ward(&rows, dim, wanted), naive(&rows, dim, wanted), "{count} {wanted}");
            }
        }
    }

    #[test]
    fn equal_rows_end_and_meet() {
        let mut numbers = Numbers(2);
        let two = unit_rows(&mut numbers, 2, 8);
        let rows: Vec<f32> = (0..100).flat_map(|i| two[i % 2 * 8..][..8].to_vec()).collect();
        let expected: Vec<usize> = (0..100).map(|i| i % 2).collect();
        assert_eq!(ward(&rows, 8, 2), expected);
        assert_eq!(ward(&[0.0; 64], 8, 1), [0; 8]);
    }
}
