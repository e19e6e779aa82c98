//! The numbers: what is stored of a value, and what a score is.

use half::f16;

use lateen::{Forward, Normalization, TokenCodec};

/// Terms ascending, with their weights.
pub(crate) type Terms = Vec<(u32, f32)>;

/// The dot product of two rows: sixteen lanes, multiply then add, folded in halves.
pub(crate) fn dot16(query: &[f32], row: &[f32]) -> f32 {
    assert_eq!(query.len(), row.len());
    let mut lanes = [0.0f32; 16];
    for (i, (a, b)) in query.iter().zip(row).enumerate() {
        let product = a * b;
        lanes[i % 16] += product;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            lanes[i] += lanes[i + half];
        }
    }
    lanes[0]
}

/// Terms ascending, without zeros.
pub(crate) fn canonical(terms: &Terms) -> Terms {
    let mut terms: Terms = terms.iter().copied().filter(|entry| entry.1 > 0.0).collect();
    terms.sort_by_key(|entry| entry.0);
    terms
}

/// A stored token row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Row {
    F16(Vec<f32>),
    Int8 { codes: Vec<f32>, scale: f32 },
}

impl Row {
    /// What a codec keeps of a row.
    pub(crate) fn store(row: &[f32], codec: TokenCodec) -> Self {
        match codec {
            TokenCodec::F16 => Self::F16(row.iter().map(|&x| f16::from_f32(x).to_f32()).collect()),
            TokenCodec::Int8 => int8(row),
            other => unreachable!("no model of {other:?}"),
        }
    }

    /// The dot product with a query row; the scale comes once, after.
    pub(crate) fn dot(&self, query: &[f32]) -> f32 {
        match self {
            Self::F16(row) => dot16(query, row),
            Self::Int8 { codes, scale } => scale * dot16(query, codes),
        }
    }

    /// The row decoded.
    pub(crate) fn decode(&self) -> Vec<f32> {
        match self {
            Self::F16(row) => row.clone(),
            Self::Int8 { codes, scale } => codes.iter().map(|code| code * scale).collect(),
        }
    }
}

/// 8-bit codes with one f16 scale: the smallest with which the largest magnitude is within ±127
/// codes, the largest finite one at most; each code the nearest integer, ties to even.
fn int8(row: &[f32]) -> Row {
    let largest = row.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    let fits = |bits: &u16| f16::from_bits(*bits).to_f32() * 127.0 >= largest;
    let most = f16::MAX.to_bits();
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if fits(&middle) { high = middle } else { low = middle + 1 }
    }
    let scale = f16::from_bits(low).to_f32();
    let code = |x: &f32| {
        if scale == 0.0 {
            return 0.0;
        }
        let code = (x / scale).clamp(-127.0, 127.0).round_ties_even();
        code + 0.0 // an integer has no −0
    };
    Row::Int8 { codes: row.iter().map(code).collect(), scale }
}

/// A row as the field takes it in.
pub(crate) fn normalized(row: &[f32], normalization: Normalization) -> Vec<f32> {
    match normalization {
        Normalization::Normalize => {
            let squares: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            let length = squares.sqrt();
            row.iter().map(|&x| (f64::from(x) / length) as f32).collect()
        }
        _ => row.to_vec(),
    }
}

/// For each query row the document row that it meets (the first of equals) and their product.
pub(crate) fn meet(query: &[Vec<f32>], rows: &[Row]) -> Vec<(usize, f32)> {
    let one = |query_row: &Vec<f32>| {
        let mut best = (0, f32::NEG_INFINITY);
        for (at, row) in rows.iter().enumerate() {
            let dot = row.dot(query_row);
            if dot > best.1 {
                best = (at, dot);
            }
        }
        (best.0, best.1 + 0.0) // a zero is +0.0
    };
    query.iter().map(one).collect()
}

/// The sum over query rows, in their order, of the largest dot product.
pub(crate) fn maxsim(query: &[Vec<f32>], rows: &[Row]) -> f32 {
    meet(query, rows).into_iter().fold(0.0, |sum, (_, dot)| sum + dot)
}

/// The sum in ascending term id over shared terms, or `None` where there are none.
pub(crate) fn sparse_dot(query: &[(u32, f32)], document: &[(u32, f32)]) -> Option<f32> {
    let shared = shared(query, document);
    if shared.is_empty() {
        return None;
    }
    Some(shared.iter().fold(0.0f32, |sum, (_, q, d)| {
        let product = q * d;
        sum + product
    }))
}

/// Terms that both have, with both weights.
pub(crate) fn shared(query: &[(u32, f32)], document: &[(u32, f32)]) -> Vec<(u32, f32, f32)> {
    let of = |term: u32| document.iter().find(|entry| entry.0 == term).map(|entry| entry.1);
    query.iter().filter_map(|&(term, q)| of(term).map(|d| (term, q, d))).collect()
}

/// What a forward row keeps of a weight; a field without forward rows keeps it until the segment
/// is written ([`impacts`]).
pub(crate) fn kept(weight: f32, forward: Forward) -> f32 {
    match forward {
        Forward::F16 => f16::from_f32(weight).clamp(f16::from_bits(1), f16::MAX).to_f32(),
        Forward::Auto | Forward::F32 | Forward::None => weight,
    }
}

/// The scales of impacts: 2^(n/8) as a 24-bit number.
fn grid(steps: i32) -> f64 {
    let step = f64::from(steps.rem_euclid(8)) / 8.0;
    f64::from(step.exp2() as f32) * f64::from(steps.div_euclid(8)).exp2()
}

/// What 8-bit impacts keep of a segment's weights of one term: the finest scale on which the
/// largest is at most 255, each rounded up to a multiple of it, less a half.
pub(crate) fn impacts(weights: &[f32]) -> Vec<f32> {
    let largest = weights.iter().copied().fold(0.0f32, f32::max);
    let scale = (-992..=968)
        .map(grid)
        .find(|scale| 255.0 * scale >= f64::from(largest))
        .expect("the grid reaches past the largest f32");
    let one = |&weight: &f32| {
        let impact = (1..=255)
            .find(|&impact| f64::from(impact) * scale >= f64::from(weight))
            .expect("none is larger than the largest");
        ((f64::from(impact) - 0.5) * scale).min(f64::from(f32::MAX)) as f32
    };
    weights.iter().map(one).collect()
}
