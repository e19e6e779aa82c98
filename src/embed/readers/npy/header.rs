//! The header of a `.npy` file: magic, version, and a Python dictionary of three entries, parsed
//! by hand so that any bytes end in an answer or in words.

use crate::embed::readers::array::Dtype;

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy's own limit; it also keeps a long header from growing into a longer shape.
const MAX_DIMENSIONS: usize = 64;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Where the numbers begin, in bytes from the start of the file.
    pub(super) body: usize,
}

/// Parses the head of a file; the error says what is wrong, without the file's name.
pub(super) fn parse(file: &[u8]) -> Result<Header, String> {
    let rest = file.strip_prefix(MAGIC).ok_or("not a .npy file: its first bytes are others")?;
    let (&[major, minor], rest) = rest.split_first_chunk().ok_or("cut off in the header")?;
    let (length, rest) = match (major, minor) {
        (1, 0) => {
            let (bytes, rest) = rest.split_first_chunk().ok_or("cut off in the header")?;
            (usize::from(u16::from_le_bytes(*bytes)), rest)
        }
        (2 | 3, 0) => {
            let (bytes, rest) = rest.split_first_chunk().ok_or("cut off in the header")?;
            let length = u32::from_le_bytes(*bytes);
            (usize::try_from(length).map_err(|_| "a header of over 4 GB")?, rest)
        }
        _ => return Err(format!("version {major}.{minor} of .npy; 1.0, 2.0 and 3.0 are read")),
    };
    let text = rest.get(..length).ok_or("cut off in the header")?;
    let body = file.len() - rest.len() + length;

    let mut parser = Parser { text, at: 0 };
    let (dtype, fortran, shape) = parser.dictionary()?;
    // With one dimension the two orders are the same.
    if fortran && shape.len() > 1 {
        return Err("in Fortran order; save np.ascontiguousarray(array)".into());
    }
    Ok(Header { dtype, shape, body })
}

/// The type that a `descr` names.
fn dtype(descr: &[u8]) -> Result<Dtype, String> {
    Ok(match descr {
        b"<f2" => Dtype::F16,
        b"<f4" => Dtype::F32,
        b"|i1" | b"<i1" => Dtype::I8,
        b"<i4" => Dtype::I32,
        b"<i8" => Dtype::I64,
        b"<u2" => Dtype::U16,
        b"<u4" => Dtype::U32,
        b"<u8" => Dtype::U64,
        other => {
            let name = String::from_utf8_lossy(other.get(..16).unwrap_or(other));
            let advice = match other {
                [b'<' | b'>', b'f', ..] => "save array.astype('<f4')",
                [b'>', ..] => "big-endian; save array.astype(array.dtype.newbyteorder('<'))",
                [_, b'i' | b'u', ..] => "save array.astype('<i4')",
                _ => "int8 and 32 and 64 bits, uint16, 32 and 64 bits, float16 and 32 are read",
            };
            return Err(format!("numbers of type {name:?} are not read: {advice}"));
        }
    })
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn dictionary(&mut self) -> Result<(Dtype, bool, Vec<usize>), String> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.eat(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            let twice = match key {
                b"descr" => descr.replace(self.descr()?).is_some(),
                b"fortran_order" => fortran.replace(self.boolean()?).is_some(),
                b"shape" => shape.replace(self.tuple()?).is_some(),
                _ => return Err(self.wrong("an unknown entry")),
            };
            if twice {
                return Err(self.wrong("an entry given twice"));
            }
            if !self.eat(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        self.space();
        if self.at < self.text.len() {
            return Err(self.wrong("something after the dictionary"));
        }
        let missing = |name| format!("the header has no entry {name:?}");
        Ok((
            descr.ok_or_else(|| missing("descr"))?,
            fortran.ok_or_else(|| missing("fortran_order"))?,
            shape.ok_or_else(|| missing("shape"))?,
        ))
    }

    fn descr(&mut self) -> Result<Dtype, String> {
        self.space();
        if self.peek() == Some(b'[') {
            return Err("a structured array; save its columns one by one".into());
        }
        dtype(self.string()?)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.space();
        let rest = self.text.get(self.at..).unwrap_or_default();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.wrong("no True or False"))
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.eat(b')') {
            if shape.len() == MAX_DIMENSIONS {
                return Err(format!("more than {MAX_DIMENSIONS} dimensions"));
            }
            shape.push(self.number()?);
            if !self.eat(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }

    fn number(&mut self) -> Result<usize, String> {
        self.space();
        let start = self.at;
        let mut number = 0usize;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number
                .checked_mul(10)
                .and_then(|n| n.checked_add(usize::from(digit - b'0')))
                .ok_or_else(|| self.wrong("a dimension too large"))?;
            self.at += 1;
        }
        if self.at == start {
            return Err(self.wrong("no whole number"));
        }
        // Python 2 wrote its long integers so.
        if self.peek() == Some(b'L') {
            self.at += 1;
        }
        Ok(number)
    }

    fn string(&mut self) -> Result<&'a [u8], String> {
        self.space();
        let Some(quote @ (b'\'' | b'"')) = self.peek() else {
            return Err(self.wrong("no quoted word"));
        };
        let rest = self.text.get(self.at + 1..).unwrap_or_default();
        let end = rest
            .iter()
            .position(|&byte| byte == quote || byte == b'\\')
            .filter(|&end| rest.get(end) == Some(&quote))
            .ok_or_else(|| self.wrong("a quoted word without an end"))?;
        self.at += end + 2;
        Ok(rest.get(..end).unwrap_or_default())
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), String> {
        if self.eat(byte) { Ok(()) } else { Err(self.wrong(&format!("no {:?}", char::from(byte)))) }
    }

    fn wrong(&self, what: &str) -> String {
        format!("malformed header: {what} at byte {} of its dictionary", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of version 1 with this dictionary and no padding.
    fn file(dictionary: &str) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend([1, 0]);
        file.extend(u16::try_from(dictionary.len()).unwrap().to_le_bytes());
        file.extend(dictionary.as_bytes());
        file
    }

    fn parsed(dictionary: &str) -> Result<(Dtype, Vec<usize>), String> {
        parse(&file(dictionary)).map(|header| (header.dtype, header.shape))
    }

    #[test]
    fn takes_what_python_writes() {
        let good = [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }  \n", vec![3, 4]),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", vec![3]),
            ("{\"shape\":(3L,4L),\"fortran_order\":False,\"descr\":\"<f4\"}", vec![3, 4]),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (3,)}", vec![3]),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", vec![]),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 128)}", vec![0, 128]),
        ];
        for (dictionary, shape) in good {
            assert_eq!(parsed(dictionary), Ok((Dtype::F32, shape)), "{dictionary}");
        }
    }

    #[test]
    fn knows_the_versions() {
        let dictionary = b"{'descr': '|i1', 'fortran_order': False, 'shape': (2,)}";
        for major in [2, 3] {
            let mut file = MAGIC.to_vec();
            file.extend([major, 0]);
            file.extend(u32::try_from(dictionary.len()).unwrap().to_le_bytes());
            file.extend(dictionary);
            let header = parse(&file).unwrap();
            assert_eq!(header, Header { dtype: Dtype::I8, shape: vec![2], body: file.len() });
            file[6] = 4;
            assert!(parse(&file).unwrap_err().contains("version 4.0"));
        }
    }

    #[test]
    fn refuses_with_words() {
        let bad = [
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 4)}", "Fortran"),
            ("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", "astype('<f4')"),
            ("{'descr': '>i4', 'fortran_order': False, 'shape': (3,)}", "big-endian"),
            ("{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}", "astype('<i4')"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (3,)}", "\"|O\""),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}", "structured"),
            ("{'descr': '<f4', 'fortran_order': False}", "shape"),
            ("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", "twice"),
            ("{'descr': '<f4', 'fortran_order': 0, 'shape': (3,)}", "True"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-3,)}", "number"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}", "')'"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "large"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,), 'x': 1}", "unknown"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x", "after"),
            ("{'descr': '<f4\\'', 'fortran_order': False, 'shape': (3,)}", "quoted"),
            ("{'descr: 1", "quoted"),
            ("", "'{'"),
        ];
        for (dictionary, word) in bad {
            let error = parsed(dictionary).unwrap_err();
            assert!(error.contains(word), "{dictionary}: {error}");
        }
        let long = format!("{{'shape': ({})}}", "1,".repeat(65));
        assert!(parsed(&long).unwrap_err().contains("dimensions"));
    }

    #[test]
    fn no_prefix_and_no_changed_byte_panics() {
        let whole = file("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }   \n");
        for end in 0..whole.len() {
            assert!(parse(&whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for byte in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = parse(&changed);
            }
        }
    }
}
