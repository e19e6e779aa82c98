//! Reads the `.npy` files of an embedding set. The comparison has its own reader so that the
//! ground truth does not come through the library that is judged by it.

use std::fs;
use std::path::Path;

use half::f16;

use crate::Outcome;

/// An array as it lies in the file: little-endian values in row order.
pub struct Npy {
    /// Length along each axis.
    pub shape: Vec<usize>,
    descr: String,
    bytes: Vec<u8>,
}

impl Npy {
    /// Reads a file of format version 1, 2 or 3.
    ///
    /// # Errors
    /// A file that cannot be read, is no such file, or is in Fortran order.
    pub fn read(path: &Path) -> Outcome<Self> {
        let file = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&file).ok_or_else(|| format!("{}: not a usable .npy", path.display()).into())
    }

    fn parse(file: &[u8]) -> Option<Self> {
        let rest = file.strip_prefix(b"\x93NUMPY")?;
        let (start, length) = match rest.first()? {
            1 => (4, u32::from(u16::from_le_bytes(rest.get(2..4)?.try_into().ok()?))),
            2 | 3 => (6, u32::from_le_bytes(rest.get(2..6)?.try_into().ok()?)),
            _ => return None,
        };
        let end = start + length as usize;
        let header = std::str::from_utf8(rest.get(start..end)?).ok()?;
        if header.contains("'fortran_order': True") {
            return None;
        }
        let descr = header.split("'descr':").nth(1)?.split('\'').nth(1)?.to_owned();
        let axes = header.split("'shape':").nth(1)?.split('(').nth(1)?.split(')').next()?;
        let axes = axes.split(',').map(str::trim).filter(|axis| !axis.is_empty());
        let shape = axes.map(|axis| axis.parse().ok()).collect::<Option<_>>()?;
        Some(Self { shape, descr, bytes: rest.get(end..)?.to_vec() })
    }

    fn each<const N: usize, T>(&self, value: impl Fn([u8; N]) -> T) -> Vec<T> {
        self.bytes.as_chunks::<N>().0.iter().map(|&bytes| value(bytes)).collect()
    }

    fn refuse<T>(&self, what: &str) -> Outcome<T> {
        Err(format!("values are {}, not {what}", self.descr).into())
    }

    /// Whole numbers that fit in `u32`: ids, lengths.
    ///
    /// # Errors
    /// Other values.
    pub fn u32s(&self) -> Outcome<Vec<u32>> {
        match self.descr.as_str() {
            "<u2" => Ok(self.each(|b| u32::from(u16::from_le_bytes(b)))),
            "<u4" => Ok(self.each(u32::from_le_bytes)),
            "<i4" => Ok(self
                .each(i32::from_le_bytes)
                .into_iter()
                .map(u32::try_from)
                .collect::<Result<_, _>>()?),
            "<i8" => Ok(self
                .each(i64::from_le_bytes)
                .into_iter()
                .map(u32::try_from)
                .collect::<Result<_, _>>()?),
            _ => self.refuse("integers"),
        }
    }

    /// Real numbers, widened.
    ///
    /// # Errors
    /// Other values.
    pub fn f32s(&self) -> Outcome<Vec<f32>> {
        match self.descr.as_str() {
            "<f4" => Ok(self.each(f32::from_le_bytes)),
            "<f2" => Ok(self.each(|b| f16::from_le_bytes(b).to_f32())),
            _ => self.refuse("floats"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn reads_halves_and_widens_ids() {
        let halves: Vec<u8> =
            [1.5f32, -2.0].iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect();
        let array = Npy::parse(&file("<f2", "(1, 2)", &halves)).unwrap();
        assert_eq!(array.shape, [1, 2]);
        assert_eq!(array.f32s().unwrap(), [1.5, -2.0]);
        assert!(array.u32s().is_err());
        let ids = Npy::parse(&file("<i8", "(1,)", &7i64.to_le_bytes())).unwrap();
        assert_eq!(ids.u32s().unwrap(), [7]);
        let negative = Npy::parse(&file("<i4", "(1,)", &(-1i32).to_le_bytes())).unwrap();
        assert!(negative.u32s().is_err());
    }

    #[test]
    fn refuses_what_it_would_misread() {
        assert!(Npy::parse(b"\x93NUMPY\x01\x00\xff\xff").is_none());
        let mut fortran = file("<f4", "(1,)", &[0; 4]);
        let at = fortran.windows(5).position(|w| w == b"False").unwrap();
        fortran.splice(at..at + 5, *b"True");
        assert!(Npy::parse(&fortran).is_none());
    }
}
