//! Tensors by name.

use ::safetensors::tensor::{Dtype, TensorView};
use lateen::readers::SafeTensorsFile;
use lateen::{Floats, Ints, Result};

/// A file with this header and this many zero bytes of numbers.
fn file(header: &str, body: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend((0..body).map(|i| u8::try_from(i % 251).unwrap()));
    file
}

fn open(header: &str, body: usize) -> Result<SafeTensorsFile> {
    SafeTensorsFile::from_bytes("x.safetensors", file(header, body))
}

#[test]
fn shapes_of_a_few_numbers_are_read() {
    let header = |numbers: usize| {
        let shape = vec!["1"; numbers].join(",");
        format!(r#"{{"x":{{"dtype":"I8","shape":[{shape}],"data_offsets":[0,1]}}}}"#)
    };
    assert_eq!(open(&header(32), 1).unwrap().tensor("x").unwrap().shape(), [1; 32]);
    let error = open(&header(1000), 1).unwrap_err().to_string();
    assert!(error.contains("shapes of too many numbers"), "{error}");
}

#[test]
fn lends_tensors_by_name() {
    // Of odd length, so that some tensor lies at an odd address whatever the buffer's is.
    for pad in ["", " ", "  ", "   "] {
        let header = [
            r#"{"rows":{"dtype":"F16","shape":[3,2],"data_offsets":[0,12]},"#,
            r#""codes":{"dtype":"I8","shape":[3],"data_offsets":[12,15]},"#,
            r#""lengths":{"dtype":"I64","shape":[1],"data_offsets":[15,23]},"#,
            r#""brain":{"dtype":"BF16","shape":[1],"data_offsets":[23,25]}}"#,
            pad,
        ]
        .concat();
        let file = open(&header, 25).unwrap();
        assert_eq!(file.names(), ["rows", "codes", "lengths", "brain"]);
        let rows = file.tensor("rows").unwrap();
        assert_eq!(rows.shape(), [3, 2]);
        assert!(matches!(rows.floats().unwrap(), Floats::F16(s)
            if s[5].to_bits() == u16::from_le_bytes([10, 11])));
        assert!(rows.ints().unwrap_err().to_string().contains("tensor \"rows\": float16"));
        assert_eq!(file.tensor("codes").unwrap().i8s().unwrap(), [12, 13, 14]);
        assert!(matches!(file.tensor("lengths").unwrap().ints().unwrap(), Ints::I64([n])
            if n.to_le_bytes() == [15, 16, 17, 18, 19, 20, 21, 22]));
        assert!(file.tensor("brain").unwrap_err().to_string().contains("BF16"));
        let missing = file.tensor("row").unwrap_err().to_string();
        assert!(missing.contains("no tensor \"row\"; it has rows, codes"), "{missing}");
    }
}

#[test]
fn what_the_crate_writes_is_read() {
    let numbers: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![2], &numbers);
    let bytes = ::safetensors::serialize([("x", view.unwrap())], None).unwrap();
    let file = SafeTensorsFile::from_bytes("x.safetensors", bytes).unwrap();
    let x = file.tensor("x").unwrap();
    assert!(matches!(x.floats().unwrap(), Floats::F32([1.5, -2.0])));
}

#[test]
fn headers_that_lie_are_refused() {
    let tensor = |shape: &str, from: u64, to: u64| {
        format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    let half = 1u64 << 63;
    let cases = [
        (tensor("[2]", 0, 8), 7),
        (tensor("[2]", 0, 8), 9),
        (tensor("[3]", 0, 8), 8),
        (tensor("[2]", 8, 0), 8),
        (tensor("[2]", 4, 12), 12),
        (tensor(&format!("[{half}, 2]"), 0, 0), 0),
        (tensor("[2305843009213693951]", 0, 4 * 2_305_843_009_213_693_951), 0),
        (tensor("[-1]", 0, 4), 4),
        ("{".into(), 0),
        ("[]".into(), 0),
        (r#"{"x":{"dtype":"F3","shape":[],"data_offsets":[0,0]}}"#.into(), 0),
    ];
    for (header, body) in cases {
        let error = open(&header, body).unwrap_err().to_string();
        assert!(error.starts_with("x.safetensors: "), "{header}: {error}");
    }
    // Tensors whose lengths add up to more than can be counted.
    let eighth = (1u64 << 61) - 1;
    let many: Vec<String> = (0..9)
        .map(|i: u64| {
            let (from, to) = (i.wrapping_mul(eighth), (i + 1).wrapping_mul(eighth));
            format!(r#""{i}":{{"dtype":"I8","shape":[{eighth}],"data_offsets":[{from},{to}]}}"#)
        })
        .collect();
    assert!(open(&format!("{{{}}}", many.join(",")), 0).is_err());
    assert!(SafeTensorsFile::from_bytes("x", u64::MAX.to_le_bytes()).is_err());
    assert!(SafeTensorsFile::from_bytes("x", vec![0; 7]).is_err());
}

#[test]
fn no_prefix_and_no_changed_byte_panics() {
    let header = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let whole = file(header, 8);
    for end in 0..whole.len() {
        assert!(SafeTensorsFile::from_bytes("x", &whole[..end]).is_err(), "{end}");
    }
    for at in 0..whole.len() {
        for byte in (0..=255).step_by(3) {
            let mut changed = whole.clone();
            changed[at] = byte;
            if let Ok(file) = SafeTensorsFile::from_bytes("x", changed) {
                for name in file.names() {
                    let _ = file.tensor(&name).map(|tensor| tensor.floats().is_ok());
                }
            }
        }
    }
}
