//! Rows that are stored as a centroid and a code for what is left: how they become int8 rows.
//!
//! Such a row is the sum, modulo 256, of its centroid's bytes and of small numbers that its code
//! looks up: an int8 row with a scale like any other, which the kernels for int8 rows then score.
//! Nothing is rounded on the way, so all levels give the same bytes. To write a row out and read
//! it again takes a few instructions where its dot products take 64 and more.

#[cfg(target_arch = "x86_64")]
pub(super) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;

/// What the codes of a field mean.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Book<'a> {
    /// Centroids as bytes, `b` standing for `b − 128`: a whole number of rows of `dim`.
    centroids: &'a [u8],
    dim: usize,
    steps: Steps<'a>,
}

/// What a code adds to its centroid.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Steps<'a> {
    /// A code of 1, 2 or 4 bits for each component, all with the same levels.
    ///
    /// With 2 and 4 bits the codes lie in planes: of the `n` bytes of a row, byte `j` holds in its
    /// lowest bits the component `j`, above them `j + n`, then `j + 2n` and `j + 3n`, so that one
    /// shuffle looks up a register full of neighbours. With 1 bit, bit `i` of byte `j` is the
    /// component `8j + i`.
    Levels {
        /// Bits of a code.
        bits: usize,
        /// The number that each code stands for; those beyond the last code are not used.
        levels: [i8; 16],
    },
    /// A code of 4 or 8 bits for each of `parts` runs of neighbours, each with a table of its own
    /// of 16 or 256 entries of `dim / parts` numbers. Of two codes of 4 bits in a byte the first
    /// has the lower ones.
    Parts {
        /// `parts` × 2^`bits` × `dim / parts` numbers.
        entries: &'a [i8],
        /// How many runs.
        parts: usize,
        /// Bits of a code.
        bits: usize,
    },
}

impl<'a> Book<'a> {
    /// A book for rows of `dim` components, a multiple of 8; `None` where the sizes disagree.
    pub(crate) fn new(centroids: &'a [u8], dim: usize, steps: Steps<'a>) -> Option<Self> {
        let fits = match steps {
            Steps::Levels { bits, .. } => matches!(bits, 1 | 2 | 4),
            Steps::Parts { entries, parts, bits } => {
                matches!(bits, 4 | 8)
                    && parts > 0
                    && (parts * bits).is_multiple_of(8)
                    && dim.is_multiple_of(parts)
                    && dim.checked_mul(1 << bits) == Some(entries.len())
            }
        };
        let whole = dim > 0 && dim.is_multiple_of(8) && centroids.len().is_multiple_of(dim);
        (fits && whole && !centroids.is_empty()).then_some(Self { centroids, dim, steps })
    }

    /// Bytes of a row's code.
    pub(crate) fn row_bytes(&self) -> usize {
        match self.steps {
            Steps::Levels { bits, .. } => self.dim * bits / 8,
            Steps::Parts { parts, bits, .. } => parts * bits / 8,
        }
    }

    /// How many centroids.
    pub(crate) fn centroids(&self) -> usize {
        self.centroids.len() / self.dim
    }

    /// The bytes of a centroid; the first one's where there is no such.
    fn centroid(&self, id: u16) -> &'a [u8] {
        let start = usize::from(id) * self.dim;
        self.centroids.get(start..start + self.dim).unwrap_or(&self.centroids[..self.dim])
    }
}

/// Rows of centroids and codes, one after another, with one f16 scale a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedRows<'a> {
    codes: &'a [u8],
    scales: &'a [u16],
    ids: &'a [u16],
    book: Book<'a>,
}

impl<'a> PackedRows<'a> {
    /// Rows; `None` where codes, scales and centroids disagree in number or a centroid is not in
    /// the book.
    pub(crate) fn new(
        codes: &'a [u8],
        scales: &'a [u16],
        ids: &'a [u16],
        book: Book<'a>,
    ) -> Option<Self> {
        let agree = scales.len().checked_mul(book.row_bytes()) == Some(codes.len())
            && ids.len() == scales.len();
        let largest = ids.iter().fold(0, |largest, &id| id.max(largest));
        (agree && usize::from(largest) < book.centroids()).then_some(Self {
            codes,
            scales,
            ids,
            book,
        })
    }

    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        self.scales.len()
    }

    /// Components of a row.
    pub(crate) fn dim(&self) -> usize {
        self.book.dim
    }

    /// The codes of all rows.
    pub(crate) fn codes(&self) -> &'a [u8] {
        self.codes
    }

    /// The bits of each row's scale.
    pub(crate) fn scales(&self) -> &'a [u16] {
        self.scales
    }

    /// The centroid of each row.
    pub(crate) fn ids(&self) -> &'a [u16] {
        self.ids
    }

    /// One row alone; `None` beyond the last.
    pub(crate) fn row(&self, row: usize) -> Option<Self> {
        let bytes = self.book.row_bytes();
        let start = row.checked_mul(bytes)?;
        Some(Self {
            codes: self.codes.get(start..start.checked_add(bytes)?)?,
            scales: self.scales.get(row..=row)?,
            ids: self.ids.get(row..=row)?,
            book: self.book,
        })
    }

    /// The centroid's bytes and the code of each row from `first` on.
    fn parts_from(&self, first: usize) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let book = self.book;
        let codes = self.codes.chunks_exact(book.row_bytes()).skip(first);
        self.ids.iter().skip(first).map(move |&id| book.centroid(id)).zip(codes)
    }
}

/// Writes rows from `first` on as int8 rows, as many as `out` has places for.
pub(crate) fn expand(rows: &PackedRows<'_>, first: usize, out: &mut [u8]) {
    let dim = rows.dim();
    for ((centroid, code), out) in rows.parts_from(first).zip(out.chunks_exact_mut(dim)) {
        match rows.book.steps {
            Steps::Levels { bits, levels } => expand_levels(centroid, code, bits, &levels, 0, out),
            Steps::Parts { entries, parts, bits } => {
                expand_parts(centroid, code, entries, (parts, bits), out);
            }
        }
    }
}

/// One row of levels, from the byte `from` of its code on.
fn expand_levels(
    centroid: &[u8],
    code: &[u8],
    bits: usize,
    levels: &[i8; 16],
    from: usize,
    out: &mut [u8],
) {
    let mask = (1u8 << bits) - 1;
    for (j, &byte) in code.iter().enumerate().skip(from) {
        for plane in 0..8 / bits {
            let at = if bits == 1 { 8 * j + plane } else { j + plane * code.len() };
            let level = levels[usize::from((byte >> (plane * bits)) & mask)];
            out[at] = centroid[at].wrapping_add_signed(level);
        }
    }
}

/// One row of parts: entries first, and then the centroid in whole registers.
#[allow(
    clippy::inline_always,
    reason = "what is not inlined is compiled for the least CPU, not for its caller's instructions"
)]
#[inline(always)]
fn expand_parts(
    centroid: &[u8],
    code: &[u8],
    entries: &[i8],
    (parts, bits): (usize, usize),
    out: &mut [u8],
) {
    match (out.len() / parts.max(1), bits) {
        (2, 8) => look_up::<2>(code, entries, out),
        (4, 8) => look_up::<4>(code, entries, out),
        (8, 8) => look_up::<8>(code, entries, out),
        (2, 4) => look_up_halves::<2>(code, entries, out),
        (4, 4) => look_up_halves::<4>(code, entries, out),
        (8, 4) => look_up_halves::<8>(code, entries, out),
        (width, _) => {
            let mask = u8::MAX >> (8 - bits);
            let codes = code.iter().flat_map(|&byte| [byte & mask, byte >> (bits % 8)]);
            let codes = codes.step_by(bits / 4);
            let tables = entries.chunks_exact(width << bits);
            for ((code, table), out) in codes.zip(tables).zip(out.chunks_exact_mut(width.max(1))) {
                for (out, &number) in out.iter_mut().zip(&table[usize::from(code) * width..]) {
                    *out = number.cast_unsigned();
                }
            }
        }
    }
    for (out, &byte) in out.iter_mut().zip(centroid) {
        *out = out.wrapping_add(byte);
    }
}

#[allow(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn look_up<const W: usize>(code: &[u8], entries: &[i8], out: &mut [u8]) {
    let entries: &[u8] = bytemuck::must_cast_slice(entries);
    let (entries, _) = entries.as_chunks::<W>();
    let (tables, _) = entries.as_chunks::<256>();
    for ((&code, table), out) in code.iter().zip(tables).zip(out.as_chunks_mut::<W>().0) {
        *out = table[usize::from(code)];
    }
}

#[allow(clippy::inline_always, reason = "as above")]
#[inline(always)]
fn look_up_halves<const W: usize>(code: &[u8], entries: &[i8], out: &mut [u8]) {
    let entries: &[u8] = bytemuck::must_cast_slice(entries);
    let (entries, _) = entries.as_chunks::<W>();
    let (pairs, _) = entries.as_chunks::<16>().0.as_chunks::<2>();
    let out = out.as_chunks_mut::<W>().0.as_chunks_mut::<2>().0;
    for ((&code, [first, second]), [low, high]) in code.iter().zip(pairs).zip(out) {
        *low = first[usize::from(code & 15)];
        *high = second[usize::from(code >> 4)];
    }
}
