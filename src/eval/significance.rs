//! Whether a difference between two runs is more than luck: two tests of paired values.

use super::measure::Evaluation;
use crate::error::{Fault, InputError, Result};

/// Student's paired t-test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairedT {
    /// The mean difference over its standard error.
    pub t: f64,
    /// Degrees of freedom: pairs − 1.
    pub degrees: usize,
    /// Two-sided probability of such a difference, or a larger one, were there none.
    pub p: f64,
}

/// Tests `a[i] − b[i]` against no difference. `None` for fewer than two pairs, or slices of two
/// lengths. Where all differences are the same, `p` is 1 for none at all and otherwise 0.
///
/// ```
/// use lateen::eval::paired_t;
///
/// let test = paired_t(&[0.9, 0.8, 0.7, 0.6], &[0.5, 0.6, 0.5, 0.6]).unwrap();
/// assert_eq!(test.degrees, 3);
/// assert!((test.t - 2.449_490).abs() < 1e-6 && (test.p - 0.091_721).abs() < 1e-6);
/// ```
pub fn paired_t(a: &[f64], b: &[f64]) -> Option<PairedT> {
    if a.len() != b.len() || a.len() < 2 {
        return None;
    }
    let count = a.len() as f64;
    let differences = || a.iter().zip(b).map(|(a, b)| a - b);
    let mean = differences().sum::<f64>() / count;
    let squares = differences().map(|d| (d - mean) * (d - mean)).sum::<f64>();
    let degrees = a.len() - 1;
    let error = (squares / degrees as f64 / count).sqrt();
    if error == 0.0 {
        let (t, p) = if mean == 0.0 { (0.0, 1.0) } else { (f64::INFINITY.copysign(mean), 0.0) };
        return Some(PairedT { t, degrees, p });
    }
    let t = mean / error;
    let freedom = degrees as f64;
    let p = incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t * t));
    Some(PairedT { t, degrees, p })
}

/// Fisher's randomisation test: how often a mean difference at least as large as the one seen
/// comes out when each pair swaps its sides by chance. `rounds` such swaps of all pairs are drawn
/// with `seed`; the two-sided probability counts the values as they are as one more round, so it is
/// never 0. `None` for no pairs, or slices of two lengths.
pub fn randomization(a: &[f64], b: &[f64], rounds: u32, seed: u64) -> Option<f64> {
    if a.len() != b.len() || a.is_empty() {
        return None;
    }
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let total: f64 = differences.iter().map(|d| d.abs()).sum();
    // A sum in which other signs come to the same value is the same, however it was rounded.
    let seen = differences.iter().sum::<f64>().abs() - 1e-12 * total;
    let mut random = SplitMix(seed);
    let mut as_large = 0u32;
    for _ in 0..rounds {
        let mut sum = 0.0;
        for chunk in differences.chunks(64) {
            let mut signs = random.next();
            for &difference in chunk {
                sum += if signs & 1 == 0 { difference } else { -difference };
                signs >>= 1;
            }
        }
        as_large += u32::from(sum.abs() >= seen);
    }
    Some((f64::from(as_large) + 1.0) / (f64::from(rounds) + 1.0))
}

/// Two runs by one measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    /// Mean of the first minus mean of the second.
    pub difference: f64,
    /// The paired t-test; `None` for fewer than two queries.
    pub t_test: Option<PairedT>,
    /// `p` of the randomisation test of 100,000 rounds with seed 1; `None` for no queries.
    pub randomization: Option<f64>,
}

/// Compares two evaluations of the same measure and judgements.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) where measure or queries are not the same.
pub fn compare(a: &Evaluation, b: &Evaluation) -> Result<Comparison> {
    let queries = |evaluation: &Evaluation| -> Vec<String> {
        evaluation.values.iter().map(|(query, _)| query.clone()).collect()
    };
    if a.measure != b.measure || queries(a) != queries(b) {
        let what = "two evaluations of other measures or queries cannot be compared".to_owned();
        return Err(InputError::new("evaluation", Fault::File { what }).into());
    }
    let values = |evaluation: &Evaluation| -> Vec<f64> {
        evaluation.values.iter().map(|&(_, value)| value).collect()
    };
    let (first, second) = (values(a), values(b));
    Ok(Comparison {
        difference: a.mean() - b.mean(),
        t_test: paired_t(&first, &second),
        randomization: randomization(&first, &second, 100_000, 1),
    })
}

/// A generator of 64-bit numbers (Steele, Lea and Flood's `SplitMix`): small, and the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// The regularised incomplete beta function `I_x(a, b)` for a, b > 0 and x in 0..=1, from the side
/// on which its continued fraction converges fast.
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        0.0
    } else if x >= 1.0 {
        1.0
    } else if x <= (a + 1.0) / (a + b + 2.0) {
        beta_fraction(a, b, x)
    } else {
        1.0 - beta_fraction(b, a, 1.0 - x)
    }
}

/// `I_x(a, b)` by its continued fraction (Abramowitz and Stegun 26.5.8), for 0 < x < 1.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let front =
        a * x.ln() + b * (-x).ln_1p() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) - a.ln();
    // Evaluated from the front, as ratios of successive numerators and denominators.
    let nonzero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut numerator, mut denominator, mut fraction) = (1.0, 0.0, 1.0);
    for step in 0..10_000u32 {
        let m = f64::from(step / 2);
        let coefficient = match step {
            0 => 1.0,
            _ if step % 2 == 0 => m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            _ => -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        };
        denominator = 1.0 / nonzero(1.0 + coefficient * denominator);
        numerator = nonzero(1.0 + coefficient / numerator);
        let change = numerator * denominator;
        fraction *= change;
        if step > 0 && (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    front.exp() * (fraction - 1.0)
}

/// The logarithm of the gamma function for x > 0: Stirling's series at 10 or more, and the
/// recurrence down to x.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < 10.0 {
        product *= x;
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = 1.0 / 12.0
        - inverse
            * (1.0 / 360.0
                - inverse * (1.0 / 1260.0 - inverse * (1.0 / 1680.0 - inverse / 1188.0)));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series / x - f64::ln(product)
}

#[cfg(test)]
mod tests {
    use super::super::measure::Measure;
    use super::*;

    fn close(a: f64, b: f64, relative: f64) -> bool {
        (a - b).abs() <= relative * b.abs()
    }

    /// Against SciPy 1.17.
    #[test]
    fn beta_and_gamma_have_their_known_values() {
        let beta = [
            (1.5, 0.5, 0.3, 0.077_274_289_987_545_61),
            (0.5, 0.5, 0.5, 0.5),
            (30.0, 0.5, 0.9, 0.012_282_448_499_852_763),
            (74.5, 0.5, 0.99, 0.221_830_904_354_842_7),
            (2.0, 3.0, 0.4, 0.5248),
            (1000.0, 0.5, 0.9999, 0.654_753_130_897_916_8),
            (0.5, 0.5, 1e-10, 6.366_197_723_781_918e-6),
            (0.5, 0.5, 0.999_999, 0.999_363_380_121_548_2),
            (0.5, 0.5, 0.0, 0.0),
            (0.5, 0.5, 1.0, 1.0),
        ];
        for (a, b, x, value) in beta {
            let found = incomplete_beta(a, b, x);
            assert!(close(found, value, 1e-11), "I_{x}({a}, {b}) = {found}, not {value}");
        }
        let gamma = [
            (0.5, 0.572_364_942_924_7),
            (3.5, 1.200_973_602_347_074_3),
            (9.9, 12.577_179_904_219_88),
            (100.0, 359.134_205_369_575_4),
            (0.01, 4.599_479_878_042_022),
        ];
        for (x, value) in gamma {
            assert!(close(ln_gamma(x), value, 1e-13), "ln Γ({x}) = {}", ln_gamma(x));
        }
    }

    /// Pairs whose t and degrees are chosen: half of them differ by 1 + e, half by 1 − e.
    #[test]
    fn p_is_right_down_to_its_far_tail() {
        let cases = [
            (2, 2.0, 0.295_167_235_300_866_5),
            (60, 2.5, 0.015_219_141_947_633_777),
            (60, 10.0, 2.571_489_210_144_878_2e-14),
            (1150, 3.2, 0.001_411_884_416_606_387_4),
            (1150, 40.0, 6.869_273_863_907_095e-220),
        ];
        for (count, t, p) in cases {
            let spread = f64::sqrt(f64::from(count - 1)) / t;
            let a: Vec<f64> =
                (0..count).map(|i| if i % 2 == 0 { spread } else { -spread }).collect();
            let b = vec![-1.0; a.len()];
            let test = paired_t(&a, &b).unwrap();
            assert!(close(test.t, t, 1e-12) && close(test.p, p, 1e-9), "{test:?}, not {t} {p}");
            assert_eq!(test.degrees + 1, a.len());
        }
    }

    const A: [f64; 8] = [0.31, 0.92, 0.55, 0.10, 0.77, 0.60, 0.42, 1.0];
    const B: [f64; 8] = [0.30, 0.80, 0.60, 0.10, 0.50, 0.55, 0.40, 0.9];

    #[test]
    fn both_tests_agree_with_what_is_known() {
        let test = paired_t(&A, &B).unwrap();
        assert!(close(test.t, 1.851_752_010_190_991_2, 1e-12));
        assert!(close(test.p, 0.106_492_947_934_711_22, 1e-11));
        // All 256 ways to sign the eight differences, counted: 24 are as large.
        let p = randomization(&A, &B, 100_000, 1).unwrap();
        assert!((p - 24.0 / 256.0).abs() < 0.004, "{p}");
        assert_eq!(randomization(&A, &B, 1000, 7), randomization(&A, &B, 1000, 7));
        assert_ne!(randomization(&A, &B, 1000, 7), randomization(&A, &B, 1000, 8));
        assert_eq!(randomization(&A, &B, 1000, 7), randomization(&B, &A, 1000, 7));
    }

    #[test]
    fn the_edges_are_answers_too() {
        assert!(paired_t(&[1.0], &[0.0]).is_none() && paired_t(&A, &B[1..]).is_none());
        assert_eq!(paired_t(&A, &A).unwrap().p, 1.0);
        let same = paired_t(&[1.0, 2.0, 3.0], &[2.0, 3.0, 4.0]).unwrap();
        assert_eq!((same.t, same.p), (f64::NEG_INFINITY, 0.0));
        assert!(randomization(&[], &[], 10, 1).is_none());
        assert!(randomization(&A, &B[1..], 10, 1).is_none());
        assert_eq!(randomization(&A, &A, 10, 1), Some(1.0));
        // More pairs than there are bits in one draw, all on one side: no round comes near.
        assert_eq!(randomization(&[1.0; 100], &[0.0; 100], 99, 1), Some(0.01));
    }

    #[test]
    fn only_like_is_compared_with_like() {
        let evaluation = |measure, values: &[f64]| Evaluation {
            measure,
            values: values.iter().enumerate().map(|(i, &v)| (i.to_string(), v)).collect(),
        };
        let a = evaluation(Measure::AveragePrecision, &A);
        let b = evaluation(Measure::AveragePrecision, &B);
        let found = compare(&a, &b).unwrap();
        assert!(close(found.difference, 0.065, 1e-12));
        assert_eq!(found.t_test, paired_t(&A, &B));
        assert!(compare(&a, &evaluation(Measure::Ndcg(10), &B)).is_err());
        assert!(compare(&a, &evaluation(Measure::AveragePrecision, &B[1..])).is_err());
    }
}
