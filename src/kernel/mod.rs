//! The only SIMD of the crate, behind one small table of functions per instruction set.
//!
//! [`Kernels`] is such a table. The portable one is the specification: every other one gives the
//! same bits, integers and floats alike, so a level decides speed and nothing else. Kernels take
//! slices and write into the caller's; they never allocate and know nothing of documents or
//! files. A table is handed out only where the CPU has what its level needs, and that is what
//! makes its functions safe to call.

#[doc(hidden)]
pub mod measure;
mod numbers;
pub(crate) mod postings;
pub(crate) mod tokens;

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Fault, InputError, Result};
use postings::PostingKernels;
use tokens::TokenKernels;

/// The environment variable that forces a level: a switch for tests and measurements.
const SWITCH: &str = "LATEEN_KERNEL";
/// The names that [`KernelLevel`] parses from.
const NAMES: &str = "portable, avx2, avx512, amx";

/// An instruction set that this crate has kernels for, from the least to the most.
///
/// The level decides speed, never results: hits, scores and files are the same bits on all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum KernelLevel {
    /// Plain Rust: any CPU. It is the specification of the other levels.
    Portable,
    /// x86-64 with AVX2, F16C and POPCNT. Fused multiply-add is not used, since it rounds otherwise.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL, VNNI, VBMI and VBMI2 (Ice Lake, Zen 4 and later), and
    /// what [`Avx2`](Self::Avx2) needs.
    Avx512,
    /// x86-64 with AMX-TILE and AMX-INT8 (Sapphire Rapids and later) under Linux, and what
    /// [`Avx512`](Self::Avx512) needs: whole tiles of token rows are multiplied at once.
    Amx,
}

impl KernelLevel {
    /// The best level that this CPU has.
    pub fn detect() -> Self {
        best().level
    }

    /// Every level that this CPU has, the least first.
    pub fn available() -> Vec<Self> {
        available().iter().map(|kernels| kernels.level).collect()
    }
}

impl fmt::Display for KernelLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Amx => "amx",
        })
    }
}

impl FromStr for KernelLevel {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "portable" => Ok(Self::Portable),
            "avx2" => Ok(Self::Avx2),
            "avx512" => Ok(Self::Avx512),
            "amx" => Ok(Self::Amx),
            _ => Err(refused("kernel level", name, NAMES.to_owned())),
        }
    }
}

/// The kernels of one level.
#[derive(Debug)]
pub(crate) struct Kernels {
    /// The level they are written for.
    pub(crate) level: KernelLevel,
    /// Summing of postings.
    pub(crate) postings: PostingKernels,
    /// Scoring of token rows.
    pub(crate) tokens: TokenKernels,
    /// Filtering by numbers.
    pub(crate) within: numbers::Within,
}

static PORTABLE: Kernels = Kernels {
    level: KernelLevel::Portable,
    postings: postings::portable::KERNELS,
    tokens: tokens::portable::KERNELS,
    within: numbers::portable,
};

#[cfg(target_arch = "x86_64")]
static AVX2: Kernels = Kernels {
    level: KernelLevel::Avx2,
    postings: postings::avx2::KERNELS,
    tokens: tokens::avx2::KERNELS,
    within: numbers::avx2,
};

#[cfg(target_arch = "x86_64")]
static AVX512: Kernels = Kernels {
    level: KernelLevel::Avx512,
    postings: postings::avx512::KERNELS,
    tokens: tokens::avx512::KERNELS,
    within: numbers::avx512,
};

#[cfg(target_arch = "x86_64")]
static AMX: Kernels = Kernels {
    level: KernelLevel::Amx,
    postings: postings::avx512::KERNELS,
    tokens: tokens::amx::KERNELS,
    within: numbers::avx512,
};

/// Every level, the least first.
const LEVELS: [KernelLevel; 4] =
    [KernelLevel::Portable, KernelLevel::Avx2, KernelLevel::Avx512, KernelLevel::Amx];

/// The tables that this CPU can run, the least first. The detection behind it is cached by the
/// standard library.
pub(crate) fn available() -> Vec<&'static Kernels> {
    LEVELS.into_iter().filter_map(table).collect()
}

/// The best table that this CPU can run; the switch of the environment is not asked.
pub(crate) fn best() -> &'static Kernels {
    LEVELS.into_iter().rev().find_map(table).unwrap_or(&PORTABLE)
}

/// The table of the level asked for; without one, that of the environment variable
/// `LATEEN_KERNEL`; without that, the best.
///
/// # Errors
/// [`Error::Input`] with [`Fault::Parameter`] where this CPU lacks the level or the variable
/// names none: a test that asks for a level must not pass on another.
pub(crate) fn select(level: Option<KernelLevel>) -> Result<&'static Kernels> {
    let (level, asked_by) = match level {
        Some(level) => (level, "kernel level"),
        None => match switch() {
            Some(name) => {
                let level = name.parse().map_err(|_| refused(SWITCH, &name, NAMES.to_owned()))?;
                (level, SWITCH)
            }
            None => return Ok(best()),
        },
    };
    table(level).ok_or_else(|| {
        let names: Vec<_> = available().iter().map(|table| table.level.to_string()).collect();
        let range = format!("what this CPU has: {}", names.join(", "));
        refused(asked_by, &level.to_string(), range)
    })
}

/// The value of the environment's switch, if it is set and not empty.
#[allow(clippy::disallowed_methods, reason = "the test switch of the kernels, documented above")]
fn switch() -> Option<String> {
    std::env::var(SWITCH).ok().filter(|name| !name.is_empty())
}

fn refused(what: &str, value: &str, range: String) -> Error {
    InputError::new(what, Fault::Parameter { value: value.to_owned(), range }).into()
}

/// The table of a level where this CPU can run it: the only way to the tables that need more
/// than the baseline.
#[cfg(target_arch = "x86_64")]
fn table(level: KernelLevel) -> Option<&'static Kernels> {
    use std::arch::is_x86_feature_detected as has;
    let avx2 = || has!("avx2") && has!("f16c") && has!("popcnt");
    let avx512 = || {
        has!("avx512f")
            && has!("avx512bw")
            && has!("avx512dq")
            && has!("avx512vl")
            && has!("avx512vnni")
            && has!("avx512vbmi")
            && has!("avx512vbmi2")
    };
    match level {
        KernelLevel::Portable => Some(&PORTABLE),
        KernelLevel::Avx2 => avx2().then_some(&AVX2),
        KernelLevel::Avx512 => (avx2() && avx512()).then_some(&AVX512),
        KernelLevel::Amx => (avx2() && avx512() && tokens::amx::permitted()).then_some(&AMX),
    }
}

/// The table of a level where this CPU can run it.
#[cfg(not(target_arch = "x86_64"))]
fn table(level: KernelLevel) -> Option<&'static Kernels> {
    (level == KernelLevel::Portable).then_some(&PORTABLE)
}

/// Asks the memory for the first `bytes` bytes of a slice, a hint that takes no time; nothing
/// happens where the platform has no such hint.
#[inline]
pub(crate) fn prefetch<T>(data: &[T], bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let bytes = bytes.min(size_of_val(data));
        let start = data.as_ptr().cast::<i8>();
        for line in (0..bytes).step_by(64) {
            // SAFETY: `line` is less than the slice's size in bytes, so the address is inside it;
            // a prefetch reads nothing that the program can see.
            #[allow(unsafe_code, reason = "the address is inside the slice")]
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(start.add(line));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (data, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for level in LEVELS {
            assert_eq!(level.to_string().parse::<KernelLevel>().unwrap(), level);
        }
        let refused = "sse9".parse::<KernelLevel>().unwrap_err();
        assert!(refused.to_string().contains("sse9"));
    }

    #[test]
    fn a_level_is_given_or_refused_never_replaced() {
        for level in LEVELS {
            match select(Some(level)) {
                Ok(kernels) => assert_eq!(kernels.level, level),
                Err(error) => assert!(error.to_string().contains("what this CPU has: portable")),
            }
        }
        assert_eq!(available().last().unwrap().level, best().level);
        assert_eq!(available()[0].level, KernelLevel::Portable);
    }

    #[test]
    fn prefetch_takes_any_length() {
        prefetch(&[0u8; 200], 1000);
        prefetch(&[0u64; 0], 64);
        prefetch(&[1u16; 3], 0);
    }
}
