use half::f16;
use proptest::prelude::*;

use super::*;

/// A file of version 1 whose header is not padded, so that its body may lie anywhere.
fn unpadded(descr: &str, shape: &str, spaces: usize, body: &[u8]) -> Vec<u8> {
    let mut dictionary =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}");
    dictionary.push_str(&" ".repeat(spaces));
    let mut file = header::MAGIC.to_vec();
    file.extend([1, 0]);
    file.extend(u16::try_from(dictionary.len()).unwrap().to_le_bytes());
    file.extend(dictionary.as_bytes());
    file.extend(body);
    file
}

#[test]
fn a_misaligned_body_is_copied_not_refused() {
    let numbers: Vec<u64> = (0..5).map(|i| i * 0x0123_4567_89ab).collect();
    let body: Vec<u8> = numbers.iter().flat_map(|n| n.to_le_bytes()).collect();
    let mut misaligned = 0;
    for spaces in 0..16 {
        let bytes = unpadded("<u8", "(5,)", spaces, &body);
        misaligned += u32::from(!(bytes.len() - body.len()).is_multiple_of(8));
        let array = NpyArray::from_bytes("x.npy", bytes).unwrap();
        assert!(matches!(array.ints().unwrap(), Ints::U64(s) if s == numbers));
    }
    assert!(misaligned >= 14, "{misaligned} of 16");
}

/// Found by the fuzz target `npy`: the numbers of a shape came to more than can be counted, and a 0
/// among them made it an empty array that could be opened.
#[test]
fn a_shape_that_cannot_be_counted_is_refused_beside_a_zero() {
    for shape in ["(4294967296, 4294967296, 0)", "(0, 4294967296, 4294967296)"] {
        let error = NpyArray::from_bytes("x.npy", unpadded("<i4", shape, 0, &[])).unwrap_err();
        assert!(error.to_string().contains("than can be counted"), "{error}");
    }
    let empty =
        NpyArray::from_bytes("x.npy", unpadded("<i4", "(65536, 0, 65536)", 0, &[])).unwrap();
    assert_eq!(empty.shape(), [65_536, 0, 65_536]);
}

#[test]
fn written_arrays_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");

    NpyArray::write(&path, &[1i64, -2, 3, i64::MIN], &[2, 2]).unwrap();
    let array = NpyArray::open(&path).unwrap();
    assert_eq!(array.shape(), [2, 2]);
    assert!(matches!(array.ints().unwrap(), Ints::I64([1, -2, 3, i64::MIN])));
    assert!(array.floats().unwrap_err().to_string().contains("int64"));

    let halves = [f16::from_f32(0.5), f16::NAN];
    NpyArray::write(&path, &halves, &[2]).unwrap();
    let array = NpyArray::open(&path).unwrap();
    assert!(matches!(array.floats().unwrap(), Floats::F16([half, nan])
        if half.to_f32() == 0.5 && nan.is_nan()));
    assert!(array.i8s().is_err() && array.ints().is_err());

    NpyArray::write(&path, &[-128i8], &[]).unwrap();
    let array = NpyArray::open(&path).unwrap();
    assert!(array.shape().is_empty());
    assert_eq!(array.i8s().unwrap(), [-128]);

    NpyArray::write(&path, &[0f32; 0], &[0, 128]).unwrap();
    let array = NpyArray::open(&path).unwrap();
    assert_eq!(array.shape(), [0, 128]);
    assert!(array.floats().unwrap().is_empty());

    let short = NpyArray::write(&path, &[1u16, 2], &[3]).unwrap_err();
    assert!(short.to_string().contains("2, expected 3"), "{short}");
}

/// NumPy wrote the files of the committed set; writing what was read gives their bytes again.
#[test]
fn files_of_numpy_come_out_byte_for_byte() {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini");
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.npy");
    for (name, shape) in [
        ("sparse_docs_indptr.npy", &[401][..]),
        ("sparse_queries_values.npy", &[1301]),
        ("tok_queries.npy", &[435, 128]),
        ("tok_doc_offsets.npy", &[20695, 2]),
        ("gt_maxsim_ids.npy", &[60, 100]),
    ] {
        let array = NpyArray::open(set.join(name)).unwrap();
        assert_eq!(array.shape(), shape, "{name}");
        match array.ints() {
            Ok(ints) => NpyArray::write(&copy, ints, shape).unwrap(),
            Err(_) => NpyArray::write(&copy, array.floats().unwrap(), shape).unwrap(),
        }
        assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(set.join(name)).unwrap(), "{name}");
    }
}

#[test]
fn lengths_that_lie_are_refused() {
    let lying = [
        ("(3,)", 8, "12 bytes, the file has 8"),
        ("(3,)", 13, "12 bytes, the file has 13"),
        ("(9223372036854775807, 9)", 12, "more values"),
        ("(4611686018427387904,)", 0, "more values"),
        ("()", 0, "4 bytes, the file has 0"),
        ("(0, 5)", 4, "0 bytes, the file has 4"),
        ("(0, 18446744073709551615)", 4, "more values"),
    ];
    for (shape, len, words) in lying {
        let bytes = unpadded("<f4", shape, 0, &vec![0; len]);
        let error = NpyArray::from_bytes("x.npy", bytes).unwrap_err().to_string();
        assert!(error.starts_with("x.npy: ") && error.contains(words), "{shape}: {error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = NpyArray::open("/nowhere/x.npy").unwrap_err();
    assert!(error.to_string().starts_with("read /nowhere/x.npy: "), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = header::MAGIC.to_vec();
        bytes.extend([1, 0]);
        bytes.extend(tail);
        if let Ok(array) = NpyArray::from_bytes("x.npy", bytes) {
            let _ = (array.ints(), array.floats(), array.i8s());
        }
    }

    #[test]
    fn any_shape_ends_in_an_answer(
        shape in proptest::collection::vec(0usize..6, 0..4),
        len in 0usize..300,
    ) {
        // A tuple as Python writes it.
        let text = format!("{shape:?}").replace('[', "(").replace(']', ",)").replace("(,)", "()");
        let bytes = unpadded("<u2", &text, 0, &vec![7; len]);
        let fits = shape.iter().product::<usize>() * 2 == len;
        let array = NpyArray::from_bytes("x.npy", bytes);
        prop_assert_eq!(array.is_ok(), fits);
        if let Ok(array) = array {
            prop_assert_eq!(array.ints().unwrap().len() * 2, len);
        }
    }
}
