//! Names of things: a caller's stable [`Key`], a segment's local [`DocId`], a sparse [`TermId`].

use std::cmp::Ordering;
use std::fmt;

/// A document's place in its segment: 0 to documents − 1. It never leaves the segment; callers
/// hold [`Key`]s.
pub(crate) type DocId = u32;

/// A sparse dimension: any `u32`.
pub type TermId = u32;

/// The caller's stable name of a document. Which of the two kinds an index uses is chosen in its
/// schema; a key never changes and is never renumbered.
///
/// ```
/// use lateen::Key;
/// assert!(Key::from(2u64) < Key::from(10u64)); // numbers order as numbers
/// assert!(Key::from("2") > Key::from("10")); // strings order as bytes
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// A number, ordered as a number.
    U64(u64),
    /// A string of at most [`MAX_KEY_BYTES`](crate::limits::MAX_KEY_BYTES) bytes, ordered as bytes.
    Str(Box<str>),
}

impl Key {
    /// The string of a string key.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(s) => Some(s),
            Self::U64(_) => None,
        }
    }

    /// The number of a number key.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::U64(n) => Some(*n),
            Self::Str(_) => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U64(n) => write!(f, "{n}"),
            Self::Str(s) => f.write_str(s),
        }
    }
}

impl From<u64> for Key {
    fn from(n: u64) -> Self {
        Self::U64(n)
    }
}

impl From<u32> for Key {
    fn from(n: u32) -> Self {
        Self::U64(u64::from(n))
    }
}

impl From<&str> for Key {
    fn from(s: &str) -> Self {
        Self::Str(s.into())
    }
}

impl From<String> for Key {
    fn from(s: String) -> Self {
        Self::Str(s.into_boxed_str())
    }
}

impl From<&String> for Key {
    fn from(s: &String) -> Self {
        Self::Str(s.as_str().into())
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

/// The order of an answer: score descending (total order), then by `tie`.
pub(crate) fn better(a: f32, b: f32, tie: impl FnOnce() -> Ordering) -> Ordering {
    b.total_cmp(&a).then_with(tie)
}
