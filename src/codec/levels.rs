//! The best few integers to stand for many numbers: the bucket weights of residual codes.
//!
//! What a residual code can add to its centroid are 2, 4 or 16 integers. Those that together come
//! closest to a sample, by the sum of squared differences, are found exactly: dynamic programming
//! over a histogram, as Wu does it (*Optimal quantization by matrix searching*, 1991), where
//! Lloyd's rounds may stop at less.
//!
//! All of it trains or encodes, on numbers of this process: no byte of a file comes here, so the
//! lints that guard decoders would only hide the arithmetic.
#![deny(clippy::panic)]

/// Numbers are counted in sixteenths.
const FINE: i32 = 16;
/// Levels are from −`MOST` to `MOST`.
pub(crate) const MOST: i32 = 47;
/// Numbers beyond this are counted as this.
const RANGE: i32 = 127;
/// Bins of the histogram.
const BINS: usize = (2 * RANGE * FINE + 1) as usize;
/// How often [`turn`] goes over a row.
const TURNS: usize = 2;
/// Candidates for a level.
const PLACES: usize = (2 * MOST + 1) as usize;

/// How often each number was met.
#[derive(Clone, Debug)]
pub(crate) struct Histogram(Vec<u64>);

impl Histogram {
    /// Nothing met.
    pub(crate) fn new() -> Self {
        Self(vec![0; BINS])
    }

    /// Counts a number.
    pub(crate) fn add(&mut self, number: f32) {
        let bin = fine(number) + RANGE * FINE;
        if let Some(count) = usize::try_from(bin).ok().and_then(|bin| self.0.get_mut(bin)) {
            *count += 1;
        }
    }

    /// The `count` integers, at most 16, ascending, that together are nearest to what was met.
    pub(crate) fn levels(&self, count: usize) -> [i8; 16] {
        let count = count.clamp(1, 16);
        let sums = Sums::of(&self.0);
        // `cost[j]`: the least for all numbers up to the level `j`, that being the last so far.
        let mut cost: Vec<f64> = (0..PLACES).map(|j| sums.outside(None, Some(j))).collect();
        let mut before: Vec<[usize; PLACES]> = Vec::with_capacity(count);
        for _ in 1..count {
            let mut next = vec![f64::INFINITY; PLACES];
            let mut from = [0; PLACES];
            for j in 0..PLACES {
                for (i, before) in cost.iter().enumerate().take(j) {
                    let sum = before + sums.between(i, j);
                    if sum < next[j] {
                        (next[j], from[j]) = (sum, i);
                    }
                }
            }
            cost = next;
            before.push(from);
        }
        let mut last = 0;
        let mut least = f64::INFINITY;
        for (j, cost) in cost.iter().enumerate() {
            let all = cost + sums.outside(Some(j), None);
            if all < least {
                (last, least) = (j, all);
            }
        }
        let mut places = vec![last];
        for from in before.iter().rev() {
            last = from[last];
            places.push(last);
        }
        places.reverse();
        let mut levels = [0; 16];
        for (level, place) in levels.iter_mut().zip(places) {
            *level = i8::try_from(level_at(place)).unwrap_or(0);
        }
        levels
    }
}

/// Sums over the bins before each: how many numbers, their sum, the sum of their squares.
struct Sums(Vec<[f64; 3]>);

impl Sums {
    fn of(counts: &[u64]) -> Self {
        let mut sums = Vec::with_capacity(counts.len() + 1);
        let mut sum = [0.0; 3];
        sums.push(sum);
        for (x, &count) in (-RANGE * FINE..).zip(counts) {
            // Integers below 2^53 for any sample that memory holds, so exact.
            let (x, count) = (f64::from(x), count as f64);
            sum = [sum[0] + count, sum[1] + count * x, sum[2] + count * x * x];
            sums.push(sum);
        }
        Self(sums)
    }

    /// The squared distances of the numbers in a range of bins from a level.
    fn cost_to(&self, bins: std::ops::Range<usize>, place: usize) -> f64 {
        let level = f64::from(level_at(place) * FINE);
        let (a, b) = (self.0[bins.start], self.0[bins.end]);
        let [count, sum, squares] = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
        squares - 2.0 * level * sum + level * level * count
    }

    /// The cost of the numbers between two levels, each by the nearer one.
    fn between(&self, i: usize, j: usize) -> f64 {
        let middle = (bin_of(i) + bin_of(j)).div_ceil(2);
        self.cost_to(bin_of(i)..middle, i) + self.cost_to(middle..bin_of(j), j)
    }

    /// The cost of the numbers from a level on, or of those before one.
    fn outside(&self, from: Option<usize>, before: Option<usize>) -> f64 {
        let above = from.map_or(0.0, |i| self.cost_to(bin_of(i)..BINS, i));
        above + before.map_or(0.0, |j| self.cost_to(0..bin_of(j), j))
    }
}

/// The level at a place, and its bin.
fn level_at(place: usize) -> i32 {
    i32::try_from(place).unwrap_or(0) - MOST
}

fn bin_of(place: usize) -> usize {
    usize::try_from((level_at(place) + RANGE) * FINE).unwrap_or(0)
}

/// A number in sixteenths, cut to the range.
#[allow(clippy::cast_possible_truncation, reason = "cut to a few thousand before")]
fn fine(number: f32) -> i32 {
    let most = (RANGE * FINE) as f32;
    (number * FINE as f32).clamp(-most, most).round_ties_even() as i32
}

/// Which of a few levels is nearest, looked up.
#[derive(Clone, Debug)]
pub(crate) struct Nearest(Vec<u8>);

impl Nearest {
    /// For the first `count` levels, ascending.
    pub(crate) fn new(levels: &[i8; 16], count: usize) -> Self {
        let levels = &levels[..count.clamp(1, 16)];
        let nearest = |x: i32| {
            let far = |level: &i8| (i32::from(*level) * FINE - x).unsigned_abs();
            let best = levels.iter().enumerate().min_by_key(|(_, level)| far(level));
            best.map_or(0, |(at, _)| u8::try_from(at).unwrap_or(0))
        };
        Self((-RANGE * FINE..=RANGE * FINE).map(nearest).collect())
    }

    /// The code of the level nearest to a number, the lower one of two.
    pub(crate) fn code(&self, number: f32) -> u8 {
        let bin = usize::try_from(fine(number) + RANGE * FINE).unwrap_or(0);
        self.0.get(bin).copied().unwrap_or(0)
    }
}

/// Moves the codes of a row to neighbouring levels where that turns the sum of centroid and levels
/// towards the row: its scale brings the sum to the right length, so only the direction counts. `rest`
/// is what the row leaves of the centroid's bytes. Worth .001 to .003 of recall@10 with 2 bits.
pub(crate) fn turn(rest: &[f32], centroid: &[u8], levels: &[i8], codes: &mut [u8]) {
    let centre = |byte: u8| f32::from(i16::from(byte) - 128);
    let (mut dot, mut squares) = (0.0f64, 0.0f64);
    for ((&rest, &byte), &code) in rest.iter().zip(centroid).zip(&*codes) {
        let c = centre(byte);
        let y = c + f32::from(levels[usize::from(code)]);
        dot += f64::from((rest + c) * y);
        squares += f64::from(y * y);
    }
    for _ in 0..TURNS {
        let mut moved = false;
        for ((&rest, &byte), code) in rest.iter().zip(centroid).zip(&mut *codes) {
            let c = centre(byte);
            let (x, own) = (rest + c, c + f32::from(levels[usize::from(*code)]));
            for other in [code.wrapping_sub(1), *code + 1] {
                let Some(&level) = levels.get(usize::from(other)) else { continue };
                let y = c + f32::from(level);
                let new_dot = dot + f64::from(x * (y - own));
                let new_squares = squares + f64::from(y * y - own * own);
                if new_dot > 0.0 && new_dot * new_dot * squares > dot * dot * new_squares {
                    (dot, squares, *code) = (new_dot, new_squares, other);
                    moved = true;
                    break;
                }
            }
        }
        if !moved {
            break;
        }
    }
}

/// Puts the codes of a row, one for each component, into the order that kernels expand.
pub(crate) fn pack(codes: &[u8], bits: usize, out: &mut [u8]) {
    out.fill(0);
    let bytes = out.len();
    for (at, &code) in codes.iter().enumerate() {
        let (byte, shift) =
            if bits == 1 { (at / 8, at % 8) } else { (at % bytes, at / bytes * bits) };
        out[byte] |= code << shift;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(histogram: &Histogram, levels: &[i8]) -> i64 {
        (-RANGE * FINE..)
            .zip(&histogram.0)
            .map(|(x, &count)| {
                let far = levels.iter().map(|&level| i32::from(level) * FINE - x);
                i64::from(far.map(|d| d * d).min().unwrap()) * count as i64
            })
            .sum()
    }

    #[test]
    fn levels_are_the_best_there_are() {
        let mut histogram = Histogram::new();
        for i in 0..3000u32 {
            // About a bell, a little to the right.
            let unit = |salt: u32| (i.wrapping_mul(salt) >> 16 & 0xFF) as f32 / 256.0 - 0.5;
            histogram.add(
                (unit(2_654_435_761) + unit(2_246_822_519) + unit(3_266_489_917)) * 20.0 + 1.0,
            );
        }
        // Every pair.
        let pairs = (-30..30i8).flat_map(|a| (a + 1..30).map(move |b| [a, b]));
        let best = pairs.map(|pair| cost(&histogram, &pair)).min().unwrap();
        let two = histogram.levels(2);
        assert_eq!(cost(&histogram, &two[..2]), best);
        // No level of sixteen or four can move by one.
        for count in [4, 16] {
            let levels = histogram.levels(count);
            assert!(levels[..count].is_sorted());
            let own = cost(&histogram, &levels[..count]);
            for at in 0..count {
                for by in [-1, 1] {
                    let mut moved = levels;
                    moved[at] += by;
                    assert!(cost(&histogram, &moved[..count]) >= own);
                }
            }
        }
    }

    #[test]
    fn strange_samples_have_levels() {
        for numbers in [vec![], vec![0.0; 9], vec![1e9, -1e9, f32::INFINITY], vec![f32::NAN]] {
            let mut histogram = Histogram::new();
            for &x in &numbers {
                histogram.add(x);
            }
            for count in [2, 4, 16] {
                let levels = histogram.levels(count);
                assert!(levels[..count].windows(2).all(|pair| pair[0] < pair[1]));
                assert!(levels.iter().all(|&level| i32::from(level).abs() <= MOST));
            }
        }
    }

    #[test]
    fn codes_are_the_nearest() {
        let mut levels = [0; 16];
        levels[..4].copy_from_slice(&[-20, -3, 2, 40]);
        let nearest = Nearest::new(&levels, 4);
        for (x, code) in [(-999.0, 0), (-12.0, 0), (-11.0, 1), (-0.6, 1), (-0.4, 2), (21.1, 3)] {
            assert_eq!(nearest.code(x), code, "{x}");
        }
        assert_eq!(nearest.code(f32::INFINITY), 3);
    }

    #[test]
    fn packing_is_by_planes() {
        let mut out = [0; 4];
        pack(&[1, 2, 3, 4, 5, 6, 7, 8], 4, &mut out);
        assert_eq!(out, [0x51, 0x62, 0x73, 0x84]);
        pack(&[0, 1, 2, 3, 3, 2, 1, 0], 2, &mut out[..2]);
        assert_eq!(out[..2], [0b01_11_10_00, 0b00_10_11_01]);
        pack(&[1, 0, 0, 1, 0, 0, 0, 1], 1, &mut out[..1]);
        assert_eq!(out[0], 0b1000_1001);
    }
}
