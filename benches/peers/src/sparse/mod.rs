//! The engines of the sparse comparison.

#[cfg(feature = "lateen")]
mod lateen;
#[cfg(feature = "qdrant-edge")]
mod qdrant_edge;
#[cfg(feature = "sporse")]
mod sporse;

use crate::Engine;
use crate::sets::{SparseQuery, SparseSet};

/// An engine for sparse vectors.
pub type SparseEngine = Engine<SparseSet, SparseQuery>;

/// All that this build has, Lateen first.
pub fn engines() -> Vec<SparseEngine> {
    let mut engines = Vec::new();
    #[cfg(feature = "lateen")]
    engines.extend(lateen::engines());
    #[cfg(feature = "qdrant-edge")]
    engines.push(qdrant_edge::engine());
    #[cfg(feature = "sporse")]
    engines.push(sporse::engine());
    engines
}
