//! Every level against scalar code that says the rules of the module once more, bit for bit.

use half::f16;
use proptest::prelude::*;

use super::*;
use crate::kernel::available;
use crate::mix::Numbers;

impl Numbers {
    fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.unit()).collect()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
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

fn largest(values: impl Iterator<Item = f32>) -> u32 {
    let mut best = f32::NEG_INFINITY;
    for value in values {
        if value > best {
            best = value;
        }
    }
    if best == 0.0 { 0 } else { best.to_bits() }
}

fn scale_of(rows: &Int8Rows<'_>, row: usize) -> f32 {
    f16::from_bits(rows.scales()[row]).to_f32()
}

fn expect_f16(query: &[f32], dim: usize, doc: &F16Rows<'_>) -> Vec<u32> {
    let rows: Vec<Vec<f32>> = doc
        .bits()
        .chunks_exact(doc.dim())
        .map(|row| row[..dim].iter().map(|&bits| f16::from_bits(bits).to_f32()).collect())
        .collect();
    query.chunks_exact(dim).map(|q| largest(rows.iter().map(|row| dot(q, row)))).collect()
}

fn expect_int8(query: &[f32], dim: usize, doc: &Int8Rows<'_>) -> Vec<u32> {
    let rows: Vec<Vec<f32>> = doc
        .codes()
        .chunks_exact(doc.dim())
        .map(|row| row[..dim].iter().map(|&code| f32::from(code) - 128.0).collect())
        .collect();
    let value = |q: &[f32], j: usize| scale_of(doc, j) * dot(q, &rows[j]);
    query.chunks_exact(dim).map(|q| largest((0..rows.len()).map(|j| value(q, j)))).collect()
}

fn expect_lanes(query: &[i8], dim: usize, doc: &Int8Rows<'_>) -> Vec<u32> {
    let integer = |q: &[i8], row: &[u8]| -> i64 {
        q.iter().zip(row).map(|(&q, &d)| i64::from(q) * (i64::from(d) - 128)).sum()
    };
    let rows: Vec<&[u8]> = doc.codes().chunks_exact(doc.dim()).collect();
    let value = |q: &[i8], j: usize| integer(q, rows[j]) as f32 * scale_of(doc, j);
    query.chunks_exact(dim).map(|q| largest((0..rows.len()).map(|j| value(q, j)))).collect()
}

fn bits(out: &[f32]) -> Vec<u32> {
    out.iter().map(|value| value.to_bits()).collect()
}

/// Runs every level on one query (floats and codes) and one document in both codecs.
fn check(query: &[f32], codes: &[i8], dim: usize, f16: &F16Rows<'_>, int8: &Int8Rows<'_>) {
    let floats = FloatQuery::new(query, dim);
    let lanes = LaneQuery::new(codes, dim);
    for kernels in available() {
        let level = kernels.level;
        let kernels = &kernels.tokens;
        let mut scratch = KernelScratch::default();
        scratch.fit(&floats);
        scratch.fit_lanes(&lanes);
        let what = format!("{level}, {} query rows, {} rows, dim {dim}", floats.rows(), f16.len());

        let mut out = vec![f32::NAN; floats.out_len()];
        (kernels.max_f16)(&floats, f16, &mut scratch, &mut out);
        assert_eq!(bits(&out[..floats.rows()]), expect_f16(query, dim, f16), "f16, {what}");
        let wide: Vec<f32> =
            f16.bits().iter().map(|&bits| half::f16::from_bits(bits).to_f32()).collect();
        let wide = F32Rows::new(&wide, f16.dim()).unwrap();
        (kernels.max_f32)(&floats, &wide, &mut scratch, &mut out);
        assert_eq!(bits(&out[..floats.rows()]), expect_f16(query, dim, f16), "f32, {what}");
        (kernels.max_int8)(&floats, int8, &mut scratch, &mut out);
        assert_eq!(bits(&out[..floats.rows()]), expect_int8(query, dim, int8), "int8, {what}");
        let mut out = vec![f32::NAN; lanes.out_len()];
        (kernels.select_int8)(&lanes, int8, &mut scratch, &mut out);
        assert_eq!(bits(&out[..lanes.rows()]), expect_lanes(codes, dim, int8), "lanes, {what}");
        let mut out = vec![f32::NAN; lanes.out_len() * int8.len()];
        (kernels.dots_int8)(&lanes, int8, &mut scratch, &mut out);
        for (j, row) in out.chunks_exact(lanes.out_len()).enumerate() {
            let one = int8.row(j).unwrap();
            let integer = |q: &[i8]| -> i64 {
                let codes = q.iter().zip(one.codes());
                codes.map(|(&q, &d)| i64::from(q) * (i64::from(d) - 128)).sum()
            };
            for (&value, q) in row.iter().zip(codes.chunks_exact(dim)) {
                let expected = integer(q) as f32 * scale_of(int8, j);
                assert!(
                    value.to_bits() == expected.to_bits() || value.is_nan() && expected.is_nan(),
                    "dots, {what}"
                );
            }
        }
        let (mut lane, mut own) = (Vec::new(), vec![f32::NAN; int8.len()]);
        for at in 0..lanes.rows() {
            lanes.widened(at, &mut lane);
            (kernels.dots_lane)(&lane, int8, &mut own);
            let expected = out.iter().skip(at).step_by(lanes.out_len());
            let same =
                |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            assert!(own.iter().zip(expected).all(same), "lane {at}, {what}");
        }
        let one = select_one(&lanes, int8, &mut scratch).map(f32::to_bits);
        let expected = expect_lanes(codes, dim, int8)[0];
        assert_eq!(one, (lanes.rows() == 1 && int8.len() == 1).then_some(expected), "{what}");
    }
}

/// A query and a document of these shapes; `stored` components of which `dim` are asked for.
fn check_random(seed: u64, queries: usize, rows: usize, dim: usize, stored: usize) {
    let mut numbers = Numbers(seed);
    let query = numbers.floats(queries * dim);
    let codes: Vec<i8> =
        numbers.bytes(queries * dim).iter().map(|&b| (b as i8).max(-127)).collect();
    let halves: Vec<u16> =
        numbers.floats(rows * stored).iter().map(|&v| f16::from_f32(v).to_bits()).collect();
    let scales: Vec<u16> =
        (0..rows).map(|_| f16::from_f32(numbers.unit().abs() / 100.0).to_bits()).collect();
    let bytes = numbers.bytes(rows * stored);
    let f16 = F16Rows::new(&halves, stored).unwrap();
    let int8 = Int8Rows::new(&bytes, &scales, stored).unwrap();
    check(&query, &codes, dim, &f16, &int8);
}

#[test]
fn every_query_size_and_document_length() {
    for queries in 1..=70 {
        check_random(queries as u64, queries, 1 + queries * 7 % 31, 24, 24);
    }
    for rows in 1..=40 {
        check_random(rows as u64, 33, rows, 40, 40);
        check_random(rows as u64, 8, rows, 16, 16);
    }
    check_random(1, 3, 1000, 8, 8);
    check_random(2, 1, 1, 8, 8);
}

#[test]
fn every_dimension() {
    for dim in (8..=4096).step_by(8).filter(|dim| *dim < 300 || dim % 488 == 0 || *dim > 4070) {
        check_random(dim as u64, 5, 6, dim, dim);
        check_random(dim as u64, 13, 2, dim, dim);
        check_random(dim as u64, 1, 1, dim, dim);
    }
}

#[test]
fn a_shorter_query_meets_the_first_components() {
    for (dim, stored) in [(8, 16), (64, 128), (24, 4096), (96, 128)] {
        check_random(7, 9, 13, dim, stored);
        check_random(8, 20, 3, dim, stored);
        check_random(9, 1, 1, dim, stored);
    }
}

/// Packed rows of these shapes on every level, against a reading of the layout one by one.
fn check_expansion(seed: u64, dim: usize, rows: usize, parts: Option<usize>, bits: usize) {
    let mut numbers = Numbers(seed);
    let centroids = numbers.bytes(3 * dim);
    let entries: Vec<i8> = numbers.bytes(256 * dim).iter().map(|&b| b.cast_signed()).collect();
    let mut levels = [0; 16];
    levels.copy_from_slice(&entries[..16]);
    let steps = match parts {
        None => Steps::Levels { bits, levels },
        Some(parts) => Steps::Parts { entries: &entries[..dim << bits], parts, bits },
    };
    let book = Book::new(&centroids, dim, steps).unwrap();
    let row_bytes = book.row_bytes();
    let codes = numbers.bytes(rows * row_bytes);
    let scales = vec![0; rows];
    let ids: Vec<u16> = (0..rows).map(|_| (numbers.next() % 3) as u16).collect();
    let packed = PackedRows::new(&codes, &scales, &ids, book).unwrap();
    let mut expected = Vec::new();
    for (code, &id) in codes.chunks(row_bytes).zip(&ids) {
        for d in 0..dim {
            let step = match parts {
                Some(parts) => {
                    let width = dim / parts;
                    let (run, at) = (d / width, d % width);
                    let byte = code[run * bits / 8] >> (run * bits % 8);
                    let code = usize::from(byte) & ((1 << bits) - 1);
                    entries[((run << bits) + code) * width + at]
                }
                None if bits == 1 => levels[usize::from(code[d / 8] >> (d % 8) & 1)],
                None => {
                    let byte = code[d % row_bytes] >> (d / row_bytes * bits);
                    levels[usize::from(byte) & ((1 << bits) - 1)]
                }
            };
            expected.push(centroids[usize::from(id) * dim + d].wrapping_add(step.cast_unsigned()));
        }
    }
    for kernels in available() {
        let first = rows / 3;
        let mut out = vec![7; (rows - first) * dim];
        (kernels.tokens.expand)(&packed, first, &mut out);
        assert_eq!(out, expected[first * dim..], "{}, dim {dim}, {parts:?}, {bits}", kernels.level);
        // Less room than rows.
        let mut out = vec![7; dim];
        (kernels.tokens.expand)(&packed, 0, &mut out);
        assert_eq!(out, expected[..dim]);
    }
}

#[test]
fn packed_rows_are_expanded_alike() {
    for dim in (8..=4096).step_by(8).filter(|dim| *dim < 280 || dim % 1016 == 0 || *dim == 4096) {
        for bits in [1, 2, 4] {
            check_expansion(dim as u64, dim, 4, None, bits);
        }
        for parts in [1, 2, 4, 8, dim / 8, dim / 4, dim / 2, dim] {
            check_expansion(dim as u64, dim, 3, Some(parts), 8);
            if parts % 2 == 0 {
                check_expansion(dim as u64, dim, 3, Some(parts), 4);
            }
        }
    }
}

/// Where a level multiplies sixteen rows and 64 components at a time: all numbers of rows about
/// such steps, in passes of every width, with dimensions that are whole steps and that are not.
#[test]
fn whole_tiles_of_rows() {
    for queries in [1, 8, 9, 16, 17, 32, 33, 41, 70] {
        for rows in (15..=50).chain([63, 64, 65, 130]) {
            check_random((queries * rows) as u64, queries, rows, 64, 64);
        }
        for (dim, stored) in [(128, 128), (64, 128), (64, 72), (192, 200), (72, 128)] {
            for rows in [16, 31, 37] {
                check_random(dim as u64, queries, rows, dim, stored);
            }
        }
    }
    check_random(5, 20, 33, 4096, 4096);
}

/// The naive best rows of a lane: by value, then by row.
fn best_rows(values: &[f32], lanes: usize, lane: usize, count: usize) -> Vec<u32> {
    let mut rows: Vec<(f32, u32)> =
        (0..).zip(values.chunks_exact(lanes)).map(|(i, row)| (row[lane], i)).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    rows.iter().take(count).map(|&(_, row)| row).collect()
}

#[test]
fn scans_of_a_table() {
    for (lanes, rows) in [(8, 7), (16, 16), (32, 29), (40, 33), (72, 70)] {
        let mut numbers = Numbers(lanes as u64);
        // Few values, so that there are equals.
        let values: Vec<f32> =
            (0..100 * lanes).map(|_| (numbers.next() % 40) as f32 / 32.0 - 0.5).collect();
        let factors: Vec<f32> =
            (0..lanes).map(|lane| if lane < rows { 255.0 } else { 0.0 }).collect();
        let ids: Vec<u16> = (0..23).map(|_| (numbers.next() % 100) as u16).collect();
        let nearest =
            |value: f32, factor: f32| (value * factor).clamp(0.0, 255.0).round_ties_even();
        let largest = |lane: usize| {
            let bytes = ids
                .iter()
                .map(|&id| nearest(values[usize::from(id) * lanes + lane], factors[lane]));
            bytes.fold(0.0, f32::max) as u32
        };
        let sum: u32 = (0..lanes).map(largest).sum();
        for kernels in available() {
            let kernels = &kernels.tokens;
            let (mut best, mut at) = (vec![f32::NEG_INFINITY; lanes], vec![9999; lanes]);
            let mut probes = Probes::default();
            probes.reset(lanes, rows, 3);
            let (first, second) = values.split_at(60 * lanes);
            for (values, first) in [(first, 0), (second, 60)] {
                (kernels.raise)(values, first, &mut best, &mut at);
                (kernels.probe)(values, first, &mut probes);
            }
            let expected: Vec<u32> =
                (0..lanes).map(|lane| best_rows(&values, lanes, lane, 1)[0]).collect();
            assert_eq!(at, expected);
            let kept: Vec<u32> = (0..lanes).flat_map(|lane| probes.of_lane(lane)).collect();
            let expected: Vec<u32> =
                (0..rows).flat_map(|lane| best_rows(&values, lanes, lane, 3)).collect();
            assert_eq!(kept, expected);
            let mut bytes = vec![9; values.len()];
            (kernels.quantise)(&values, &factors, &mut bytes);
            for (i, &byte) in bytes.iter().enumerate() {
                assert_eq!(f32::from(byte), nearest(values[i], factors[i % lanes]));
            }
            assert_eq!((kernels.flood)(&bytes, lanes, &ids), Some(sum), "{lanes} lanes");
            assert_eq!((kernels.flood)(&bytes, lanes, &[]), Some(0));
            assert_eq!((kernels.flood)(&bytes, lanes, &[3, 100]), None, "beyond the table");
            assert_eq!((kernels.flood)(&bytes, lanes, &[100]), None);
            let strange = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e30, -1e30, 0.5, -0.0, 0.0];
            (kernels.quantise)(&strange, &[255.0; 8], &mut bytes[..8]);
            assert_eq!(bytes[..8], [0, 255, 0, 255, 0, 128, 0, 0]);
        }
    }
}

#[test]
fn extremes() {
    let dim = 4096;
    let halves = vec![f16::MAX.to_bits(); 5 * dim];
    let codes: Vec<u8> = [0u8, 255, 128, 1, 0].into_iter().flat_map(|c| vec![c; dim]).collect();
    // Largest, zero, one negative (which only a hostile file has), infinite and NaN scales.
    let scales = [0x7BFFu16, 0, 0x8001, 0x7C00, 0x7E00];
    let f16 = F16Rows::new(&halves, dim).unwrap();
    let int8 = Int8Rows::new(&codes, &scales, dim).unwrap();
    for value in [0.0, -0.0, 1.0, -1.0, f32::MAX, f32::MIN, 1e-45, -1e-45] {
        for code in [0i8, 127, -127] {
            check(&vec![value; 2 * dim], &vec![code; 2 * dim], dim, &f16, &int8);
        }
    }
    // f16 infinities and NaN, quiet and signalling.
    let strange: Vec<u16> = [0x7C00, 0xFC00, 0x7E00, 0x7C01, 0x8000, 0x0001].repeat(8);
    let f16 = F16Rows::new(&strange, 16).unwrap();
    let int8 = Int8Rows::new(&codes[..48], &scales[..3], 16).unwrap();
    check(&Numbers(3).floats(48), &[-127; 48], 16, &f16, &int8);
}

#[test]
fn equal_rows_have_equal_dots_wherever_they_stand() {
    let mut numbers = Numbers(11);
    let row: Vec<u16> = numbers.floats(72).iter().map(|&v| f16::from_f32(v).to_bits()).collect();
    let query = FloatQuery::new(&numbers.floats(72).repeat(9), 72);
    for kernels in available() {
        for rows in 1..12 {
            let halves = row.repeat(rows);
            let mut scratch = KernelScratch::default();
            scratch.fit(&query);
            let mut out = vec![0.0; query.out_len()];
            let doc = F16Rows::new(&halves, 72).unwrap();
            (kernels.tokens.max_f16)(&query, &doc, &mut scratch, &mut out);
            assert!(out[..9].iter().all(|value| value.to_bits() == out[0].to_bits()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
    #[test]
    fn any_bytes(
        query in proptest::collection::vec(-1e3f32..1e3, 1..10 * 40),
        codes in proptest::collection::vec(-127i8..=127, 40),
        halves in proptest::collection::vec(any::<u16>(), 40..12 * 40),
        bytes in proptest::collection::vec(any::<u8>(), 12 * 40),
        scales in proptest::collection::vec(any::<u16>(), 1..12),
    ) {
        let dim = 40;
        let query = &query[..query.len() / dim * dim];
        let halves = &halves[..halves.len() / dim * dim];
        let f16 = F16Rows::new(halves, dim).unwrap();
        let int8 = Int8Rows::new(&bytes[..scales.len() * dim], &scales, dim).unwrap();
        check(query, &codes, dim, &f16, &int8);
    }
}
