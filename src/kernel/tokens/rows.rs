//! A document's token rows as the kernels read them: borrowed, their sizes checked once.

/// Rows of f32, one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F32Rows<'a> {
    values: &'a [f32],
    dim: usize,
}

impl<'a> F32Rows<'a> {
    /// Rows of `dim` components; `None` where the values are no whole number of rows.
    pub(crate) fn new(values: &'a [f32], dim: usize) -> Option<Self> {
        (dim > 0 && values.len().is_multiple_of(dim)).then_some(Self { values, dim })
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.values.len() / self.dim
    }

    /// The values of one row; none beyond the last.
    pub(crate) fn row(&self, row: usize) -> &'a [f32] {
        self.values.chunks_exact(self.dim).nth(row).unwrap_or_default()
    }
}

/// Rows of f16, one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct F16Rows<'a> {
    bits: &'a [u16],
    dim: usize,
}

impl<'a> F16Rows<'a> {
    /// Rows of `dim` components; `None` where the values are no whole number of rows.
    pub(crate) fn new(bits: &'a [u16], dim: usize) -> Option<Self> {
        (dim > 0 && bits.len().is_multiple_of(dim)).then_some(Self { bits, dim })
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.bits.len() / self.dim
    }

    /// Components of a row.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// The bits of all values: `len` × `dim`.
    pub(crate) fn bits(&self) -> &'a [u16] {
        self.bits
    }

    /// One row alone; `None` beyond the last.
    pub(crate) fn row(&self, row: usize) -> Option<Self> {
        let start = row.checked_mul(self.dim)?;
        let bits = self.bits.get(start..start.checked_add(self.dim)?)?;
        Some(Self { bits, dim: self.dim })
    }
}

/// Rows of int8 codes, one after another, with one scale a row. Code `c` stands for the number
/// `c − 128`; the scales are f16.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Int8Rows<'a> {
    codes: &'a [u8],
    scales: &'a [u16],
    dim: usize,
}

impl<'a> Int8Rows<'a> {
    /// Rows of `dim` codes; `None` where codes and scales disagree.
    pub(crate) fn new(codes: &'a [u8], scales: &'a [u16], dim: usize) -> Option<Self> {
        let agree = dim > 0 && scales.len().checked_mul(dim) == Some(codes.len());
        agree.then_some(Self { codes, scales, dim })
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    /// Components of a row.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// All codes: `len` × `dim`.
    pub(crate) fn codes(&self) -> &'a [u8] {
        self.codes
    }

    /// The bits of each row's scale.
    pub(crate) fn scales(&self) -> &'a [u16] {
        self.scales
    }

    /// One row alone; `None` beyond the last.
    pub(crate) fn row(&self, row: usize) -> Option<Self> {
        let start = row.checked_mul(self.dim)?;
        Some(Self {
            codes: self.codes.get(start..start.checked_add(self.dim)?)?,
            scales: self.scales.get(row..=row)?,
            dim: self.dim,
        })
    }

    /// Some of the rows; `None` where they are not all there.
    pub(crate) fn range(&self, rows: std::ops::Range<usize>) -> Option<Self> {
        let (start, end) = (rows.start.checked_mul(self.dim)?, rows.end.checked_mul(self.dim)?);
        Some(Self {
            codes: self.codes.get(start..end)?,
            scales: self.scales.get(rows)?,
            dim: self.dim,
        })
    }
}
