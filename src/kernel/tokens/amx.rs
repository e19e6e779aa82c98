//! AMX: sixteen document rows meet sixteen query rows in one instruction.
//!
//! The layouts are those of the other levels, for they are what the matrix unit reads: sixteen
//! document rows of 64 codes are a tile as they lie in the file, and a pass of a [`LaneQuery`] is
//! a column of tiles of the other kind. Sums are exact in i32, as everywhere; they go through a
//! few cache lines of working memory to registers, where scales and maxima are taken exactly as
//! the AVX-512 level takes them. Documents of less than sixteen rows, and dimensions that are no
//! multiple of 64, are left to that level, as are the floats.
//!
//! The instructions are written as assembly, since the compiler has no stable names for them.
#![allow(unsafe_code)]
#![allow(clippy::wildcard_imports, reason = "the instructions have names of their own")]

use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::OnceLock;

use super::super::prefetch;
use super::query::Pass;
use super::{Int8Rows, KernelScratch, LaneQuery, TokenKernels, avx512};

pub(in crate::kernel) const KERNELS: TokenKernels =
    TokenKernels { select_int8, dots_int8, ..avx512::KERNELS };

/// Rows of a tile, of either kind.
const TILE: usize = 16;
/// Codes in a row of a tile.
const DEPTH: usize = 64;

/// Whether this CPU has the tiles and the operating system lets this process use them, which is
/// asked for once.
pub(in crate::kernel) fn permitted() -> bool {
    static PERMITTED: OnceLock<bool> = OnceLock::new();
    *PERMITTED.get_or_init(|| has_tiles() && request())
}

/// Whether the CPU has AMX-TILE and AMX-INT8.
fn has_tiles() -> bool {
    __cpuid(0).eax >= 7 && {
        let features = __cpuid_count(7, 0).edx;
        features >> 24 & 1 == 1 && features >> 25 & 1 == 1
    }
}

/// Asks Linux for the tile registers: it keeps their state only for processes that ask.
#[cfg(target_os = "linux")]
fn request() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST_PERMISSION: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let mut result = ARCH_PRCTL;
    // SAFETY: this system call takes two numbers and touches no memory; the kernel overwrites
    // rax, rcx and r11 alone.
    unsafe {
        asm!(
            "syscall",
            inout("rax") result,
            in("rdi") REQUEST_PERMISSION,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn request() -> bool {
    false
}

fn select_int8(
    query: &LaneQuery,
    doc: &Int8Rows<'_>,
    scratch: &mut KernelScratch,
    out: &mut [f32],
) {
    if !suits(query, doc) {
        return (avx512::KERNELS.select_int8)(query, doc, scratch, out);
    }
    let sums = scratch.sums();
    for pass in query.passes() {
        let out = &mut out[pass.first..][..pass.offsets.len()];
        out.fill(f32::NEG_INFINITY);
        let each = |first: usize, sums: &[[i32; 8]], doc: &Int8Rows<'_>| {
            // SAFETY: as in `over_tiles`: this level needs what AVX-512 needs.
            unsafe { raise(first, sums, pass.offsets, doc, out) }
        };
        over_tiles(&pass, doc, sums, each);
        for best in out {
            *best += 0.0;
        }
    }
}

fn dots_int8(query: &LaneQuery, rows: &Int8Rows<'_>, scratch: &mut KernelScratch, out: &mut [f32]) {
    if !suits(query, rows) {
        return (avx512::KERNELS.dots_int8)(query, rows, scratch, out);
    }
    let stride = query.out_len();
    let sums = scratch.sums();
    for pass in query.passes() {
        let each = |first: usize, sums: &[[i32; 8]], rows: &Int8Rows<'_>| {
            let out = out[first * stride..].chunks_mut(stride).map(|row| &mut row[pass.first..]);
            // SAFETY: as in `over_tiles`.
            unsafe { scale(first, sums, pass.offsets, rows, out) }
        };
        over_tiles(&pass, rows, sums, each);
    }
}

/// Whether the tiles hold this query and this document without a rest.
fn suits(query: &LaneQuery, doc: &Int8Rows<'_>) -> bool {
    doc.len() >= TILE && query.dim().is_multiple_of(DEPTH) && query.dim() <= doc.dim()
}

/// What the tile registers are to be: rows, and bytes in a row, of each.
#[repr(C, align(64))]
struct Shapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

impl Shapes {
    /// Registers 0 to 3 hold sums and 6 and 7 query codes, `lanes` (8 or 16) × 4 bytes a row; 4 and
    /// 5 hold document codes.
    const fn new(lanes: u16) -> Self {
        let (narrow, full) = (4 * lanes, 64);
        let row_bytes =
            [narrow, narrow, narrow, narrow, full, full, narrow, narrow, 0, 0, 0, 0, 0, 0, 0, 0];
        let rows = [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0];
        Self { palette: 1, start_row: 0, reserved: [0; 14], row_bytes, rows }
    }
}

/// Walks a document of 16 rows or more in steps of 32 or 16, the last one stepping back to end
/// with the document, and gives the sums of each step to `each`, with the number of its first
/// row: row after row, a sum for each lane of the pass.
#[inline]
fn over_tiles(
    pass: &Pass<'_>,
    doc: &Int8Rows<'_>,
    sums: &mut [[i32; 8]],
    mut each: impl FnMut(usize, &[[i32; 8]], &Int8Rows<'_>),
) {
    static HALF: Shapes = Shapes::new(8);
    static FULL: Shapes = Shapes::new(16);
    let lanes = pass.offsets.len();
    let shapes = if lanes == 8 { &HALF } else { &FULL };
    // SAFETY: this function is reached through the AMX table alone, which `kernel::table` hands
    // out only after the CPU was found to have tiles and the system to permit them. `shapes` is
    // 64 bytes that describe tiles within the limits of palette 1: 16 rows, 64 bytes.
    unsafe { asm!("ldtilecfg [{}]", in(reg) shapes, options(nostack, readonly)) }
    let rows = doc.len();
    let mut row = 0;
    while row < rows {
        let (first, step) = if rows - row > TILE && rows >= 2 * TILE {
            (row.min(rows - 2 * TILE), 2 * TILE)
        } else {
            (row.min(rows - TILE), TILE)
        };
        let sums = &mut sums[..step * lanes / 8];
        let (codes, next) = doc.codes()[first * doc.dim()..].split_at(step * doc.dim());
        // A tile's rows are apart, which no hardware foresees: ask for the next step's.
        prefetch(next, 2 * TILE * doc.dim());
        match (lanes, step == TILE) {
            (32, false) => sums_32x32(pass, codes, doc.dim(), sums),
            (32, true) => sums_16x32(pass, codes, doc.dim(), sums),
            (_, false) => sums_32x16(pass, codes, doc.dim(), sums),
            (_, true) => sums_16x16(pass, codes, doc.dim(), sums),
        }
        each(first, sums, doc);
        row += step;
    }
    // SAFETY: as above; the registers go back to their first state.
    unsafe { asm!("tilerelease", options(nostack, nomem)) }
}

/// The integer dot products of the rows of `codes`, `dim` codes each, with the lanes of a pass.
macro_rules! sums {
    ($name:ident, $rows:literal rows, $halves:literal registers of lanes, $($line:literal),+) => {
        #[inline]
        fn $name(pass: &Pass<'_>, codes: &[u8], dim: usize, sums: &mut [[i32; 8]]) {
            let lanes = pass.offsets.len();
            let steps = pass.codes.len() / (lanes * DEPTH);
            assert!(if $halves == 2 { lanes == 32 } else { lanes == 8 || lanes == 16 });
            assert!(steps > 0 && steps * DEPTH <= dim);
            assert!(codes.len() >= $rows * dim && sums.len() * 8 >= $rows * lanes);
            // SAFETY: `over_tiles` has set the shapes of the registers for this number of lanes.
            // A tile of document codes is 16 rows, `dim` bytes apart, of 64 bytes each; `steps`
            // of them side by side end within `dim`, so all lie within `codes`. A tile of the
            // query is 16 groups of 4 × `lanes` bytes, or half of each group where there are 32
            // lanes; `steps` of them make up the pass. What is written is `$rows` rows of 4 × `lanes` bytes.
            unsafe {
                asm!(
                    $($line,)+
                    a = inout(reg) codes.as_ptr() => _,
                    b = inout(reg) codes.as_ptr().wrapping_add(TILE * dim) => _,
                    dim = in(reg) dim,
                    query = inout(reg) pass.codes.as_ptr() => _,
                    group = in(reg) 4 * lanes,
                    tile = in(reg) lanes * DEPTH,
                    sums = inout(reg) sums.as_mut_ptr() => _,
                    below = in(reg) sums.as_mut_ptr().wrapping_byte_add(TILE * lanes * 4),
                    steps = inout(reg) steps => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    };
}

sums!(
    sums_32x32, 32 rows, 2 registers of lanes,
    "tilezero tmm0",
    "tilezero tmm1",
    "tilezero tmm2",
    "tilezero tmm3",
    "2:",
    "tileloadd tmm4, [{a} + {dim}]",
    "tileloadd tmm6, [{query} + {group}]",
    "tdpbusd tmm0, tmm4, tmm6",
    "tileloadd tmm7, [{query} + {group} + 64]",
    "tdpbusd tmm1, tmm4, tmm7",
    "tileloadd tmm5, [{b} + {dim}]",
    "tdpbusd tmm2, tmm5, tmm6",
    "tdpbusd tmm3, tmm5, tmm7",
    "add {a}, 64",
    "add {b}, 64",
    "add {query}, {tile}",
    "dec {steps}",
    "jnz 2b",
    "tilestored [{sums} + {group}], tmm0",
    "tilestored [{sums} + {group} + 64], tmm1",
    "tilestored [{below} + {group}], tmm2",
    "tilestored [{below} + {group} + 64], tmm3"
);
sums!(
    sums_16x32, 16 rows, 2 registers of lanes,
    "tilezero tmm0",
    "tilezero tmm1",
    "2:",
    "tileloadd tmm4, [{a} + {dim}]",
    "tileloadd tmm6, [{query} + {group}]",
    "tdpbusd tmm0, tmm4, tmm6",
    "tileloadd tmm7, [{query} + {group} + 64]",
    "tdpbusd tmm1, tmm4, tmm7",
    "add {a}, 64",
    "add {query}, {tile}",
    "dec {steps}",
    "jnz 2b",
    "tilestored [{sums} + {group}], tmm0",
    "tilestored [{sums} + {group} + 64], tmm1",
    "/* {b} {below} */"
);
sums!(
    sums_32x16, 32 rows, 1 registers of lanes,
    "tilezero tmm0",
    "tilezero tmm2",
    "2:",
    "tileloadd tmm4, [{a} + {dim}]",
    "tileloadd tmm6, [{query} + {group}]",
    "tdpbusd tmm0, tmm4, tmm6",
    "tileloadd tmm5, [{b} + {dim}]",
    "tdpbusd tmm2, tmm5, tmm6",
    "add {a}, 64",
    "add {b}, 64",
    "add {query}, {tile}",
    "dec {steps}",
    "jnz 2b",
    "tilestored [{sums} + {group}], tmm0",
    "tilestored [{below} + {group}], tmm2"
);
sums!(
    sums_16x16, 16 rows, 1 registers of lanes,
    "tilezero tmm0",
    "2:",
    "tileloadd tmm4, [{a} + {dim}]",
    "tileloadd tmm6, [{query} + {group}]",
    "tdpbusd tmm0, tmm4, tmm6",
    "add {a}, 64",
    "add {query}, {tile}",
    "dec {steps}",
    "jnz 2b",
    "tilestored [{sums} + {group}], tmm0",
    "/* {b} {below} */"
);

/// Takes rows of sums, of which the first is row `first` of the document, into each lane's
/// largest.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn raise(first: usize, sums: &[[i32; 8]], offsets: &[i32], doc: &Int8Rows<'_>, best: &mut [f32]) {
    match best.len() {
        32 => raise_wide::<2>(first, sums, offsets, doc, best),
        16 => raise_wide::<1>(first, sums, offsets, doc, best),
        _ => raise_8(first, sums, offsets, doc, best),
    }
}

/// `W` registers of 16 lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn raise_wide<const W: usize>(
    first: usize,
    sums: &[[i32; 8]],
    offsets: &[i32],
    doc: &Int8Rows<'_>,
    best: &mut [f32],
) {
    let (best, _) = best.as_chunks_mut::<16>();
    let (offsets, _) = offsets.as_chunks::<16>();
    let offsets: [_; W] = std::array::from_fn(|w| {
        // SAFETY: an element of `offsets` is 64 bytes, all of which are read.
        unsafe { _mm512_loadu_si512(offsets[w].as_ptr().cast()) }
    });
    let mut largest: [_; W] = std::array::from_fn(|w| {
        // SAFETY: an element of `best` is 16 floats, all of which are read.
        unsafe { _mm512_loadu_ps(best[w].as_ptr()) }
    });
    for (tile, sums) in sums.chunks_exact(2 * W * TILE).enumerate() {
        let scales = scales(first + tile * TILE, doc);
        let (sums, _) = sums.as_chunks::<2>();
        let (rows, _) = sums.as_chunks::<W>();
        for (row, scale) in rows.iter().zip(scales) {
            let scale = _mm512_set1_ps(scale);
            for ((largest, sums), offsets) in largest.iter_mut().zip(row).zip(offsets) {
                // SAFETY: `sums` is 64 bytes, all of which are read.
                let sums = unsafe { _mm512_loadu_si512(sums.as_ptr().cast()) };
                let value =
                    _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(sums, offsets)), scale);
                // Of two operands of which one is NaN, `max` gives the second.
                *largest = _mm512_max_ps(value, *largest);
            }
        }
    }
    for (best, largest) in best.iter_mut().zip(largest) {
        // SAFETY: `best` is 16 floats, all of which are written.
        unsafe { _mm512_storeu_ps(best.as_mut_ptr(), largest) }
    }
}

/// One register of 8 lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn raise_8(first: usize, sums: &[[i32; 8]], offsets: &[i32], doc: &Int8Rows<'_>, best: &mut [f32]) {
    let (Some(best), Some(offsets)) = (best.first_chunk_mut::<8>(), offsets.first_chunk::<8>())
    else {
        return;
    };
    // SAFETY: `best` is 8 floats and `offsets` 32 bytes, all of which are read.
    let (mut largest, offsets) =
        unsafe { (_mm256_loadu_ps(best.as_ptr()), _mm256_loadu_si256(offsets.as_ptr().cast())) };
    for (tile, sums) in sums.chunks_exact(TILE).enumerate() {
        for (sums, scale) in sums.iter().zip(scales(first + tile * TILE, doc)) {
            // SAFETY: `sums` is 32 bytes, all of which are read.
            let sums = unsafe { _mm256_loadu_si256(sums.as_ptr().cast()) };
            let value = _mm256_mul_ps(
                _mm256_cvtepi32_ps(_mm256_add_epi32(sums, offsets)),
                _mm256_set1_ps(scale),
            );
            largest = _mm256_max_ps(value, largest);
        }
    }
    // SAFETY: `best` is 8 floats, all of which are written.
    unsafe { _mm256_storeu_ps(best.as_mut_ptr(), largest) }
}

/// Writes rows of sums, of which the first is row `first` of the document, times their scales.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn scale<'a>(
    first: usize,
    sums: &[[i32; 8]],
    offsets: &[i32],
    doc: &Int8Rows<'_>,
    mut out: impl Iterator<Item = &'a mut [f32]>,
) {
    let (offsets, _) = offsets.as_chunks::<8>();
    for (tile, sums) in sums.chunks_exact(TILE * offsets.len()).enumerate() {
        let rows = sums.chunks_exact(offsets.len()).zip(scales(first + tile * TILE, doc));
        for ((row, scale), out) in rows.zip(&mut out) {
            let scale = _mm256_set1_ps(scale);
            let out = out.as_chunks_mut::<8>().0;
            for ((sums, offsets), out) in row.iter().zip(offsets).zip(out) {
                // SAFETY: `sums` and `offsets` are 32 bytes, all of which are read, and `out` 8
                // floats, all of which are written.
                unsafe {
                    let sums = _mm256_loadu_si256(sums.as_ptr().cast());
                    let offsets = _mm256_loadu_si256(offsets.as_ptr().cast());
                    let sums = _mm256_add_epi32(sums, offsets);
                    let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums), scale);
                    _mm256_storeu_ps(out.as_mut_ptr(), value);
                }
            }
        }
    }
}

/// The scales of the 16 rows from `row` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn scales(row: usize, doc: &Int8Rows<'_>) -> [f32; TILE] {
    let bits: &[u16; TILE] = doc.scales()[row..].first_chunk().unwrap_or(&[0; TILE]);
    let mut floats = [0.0; TILE];
    // SAFETY: `bits` is 32 bytes, all of which are read, and `floats` 16 floats, all of which are
    // written.
    unsafe {
        let bits = _mm256_loadu_si256(bits.as_ptr().cast());
        _mm512_storeu_ps(floats.as_mut_ptr(), _mm512_cvtph_ps(bits));
    }
    floats
}
