//! The settings of vector fields.

use crate::limits::MAX_DIM;

/// How sparse weights are kept in the inverted index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SparseCodec {
    /// 8-bit impacts with a scale per term.
    #[default]
    U8,
    /// 4-bit impacts with a scale per term: two thirds of the bytes. Exact answers stay exact, since
    /// the forward rows decide, but take longer: more documents are close enough to be scored.
    U4,
    /// 8-bit impacts of the strongest terms of each document: as few as hold so many percent, 1 to
    /// 99, of the sum of its weights. The forward rows keep all terms, and exact answers stay
    /// exact; without forward rows a document *is* what was kept of it.
    Pruned(u8),
}

impl SparseCodec {
    /// Percent of each document's weight that the inverted index keeps, where it does not keep all.
    pub(crate) fn percent(self) -> Option<u8> {
        match self {
            Self::Pruned(percent) => Some(percent),
            Self::U8 | Self::U4 => None,
        }
    }
}

impl std::fmt::Display for SparseCodec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::U8 => f.write_str("u8"),
            Self::U4 => f.write_str("u4"),
            Self::Pruned(percent) => write!(f, "pruned:0.{percent:02}"),
        }
    }
}

/// The second tier of a sparse field: each document's own vector, which makes scores exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Forward {
    /// f16 where every weight of the segment is exact in it, f32 otherwise: never loses anything.
    #[default]
    Auto,
    /// f32.
    F32,
    /// f16: weights are rounded to it, and scores are those of the rounded weights.
    F16,
    /// No second tier: answers are exact on the quantised impacts only, and say so.
    None,
}

/// How token rows are kept.
///
/// Codecs smaller than `Int8` pack rows over centroids, and without a [second tier](TokenTier) codes are
/// all that is left of a row then. So what a commit adds is stored as int8 first and is packed later, with
/// others: by a merge that makes a large segment (a million rows, or fewer where the writer's memory allows
/// no larger merge), by [`compact`](crate::IndexWriter::compact),
/// [`force_merge`](crate::IndexWriter::force_merge) and
/// [`commit_packed`](crate::IndexWriter::commit_packed), with which a build ends. Until then it takes the
/// bytes of int8 and answers like it; [`VectorInfo::codec`](crate::VectorInfo::codec) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TokenCodec {
    /// 16-bit floats: the reference.
    F16,
    /// 8-bit integers with one scale per token row: half the size, the same answers for nearly
    /// every query (`tests/ground_truth.rs` holds recall@10 to at least .99).
    #[default]
    Int8,
    /// 4 bits for each component's distance from the row's centroid.
    Residual4,
    /// 2 bits for each component's distance from the row's centroid.
    Residual2,
    /// 1 bit for each component's distance from the row's centroid.
    Residual1,
    /// Product quantisation of the distance from the row's centroid: a code for each of some runs
    /// of neighbouring components.
    Product {
        /// How many runs, all of the same length: a divisor of the dimension, and even where codes
        /// have 4 bits.
        subspaces: u16,
        /// Bits of a code: 4 or 8.
        bits: u8,
    },
}

impl TokenCodec {
    /// Whether rows are kept as a centroid and what is left.
    pub(crate) fn is_packed(self) -> bool {
        !matches!(self, Self::F16 | Self::Int8)
    }

    /// Bytes of a row of `dim` components, without its scale and its centroid.
    pub(crate) fn row_bytes(self, dim: usize) -> usize {
        match self {
            Self::F16 => 2 * dim,
            Self::Int8 => dim,
            Self::Residual4 => dim / 2,
            Self::Residual2 => dim / 4,
            Self::Residual1 => dim / 8,
            Self::Product { subspaces, bits } => usize::from(subspaces) * usize::from(bits) / 8,
        }
    }
}

impl std::fmt::Display for TokenCodec {
    /// As the command spells it: `int8`, `residual4`, `pq32x8`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::F16 => f.write_str("f16"),
            Self::Int8 => f.write_str("int8"),
            Self::Residual4 => f.write_str("residual4"),
            Self::Residual2 => f.write_str("residual2"),
            Self::Residual1 => f.write_str("residual1"),
            Self::Product { subspaces, bits } => write!(f, "pq{subspaces}x{bits}"),
        }
    }
}

/// A second copy of each token row, larger than the first: the first finds the documents that may
/// be among the best, the second gives their scores and their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TokenTier {
    /// None: scores are those of the rows that search.
    #[default]
    None,
    /// 8-bit integers with one scale per token row.
    Int8,
    /// 16-bit floats.
    F16,
}

/// Whether a segment's token rows get centroids, over which a search finds its candidates without
/// looking at every document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Centroids {
    /// One for every 64 rows, 65,536 at most, in segments that are large enough to gain from it:
    /// from 32,768 rows and 1,024 documents on.
    #[default]
    Auto,
    /// None: every search looks at every document.
    None,
    /// So many, 1 to 65,536, or as many as there are rows where those are fewer.
    Count(u32),
}

impl Centroids {
    /// Most centroids of a segment.
    pub(crate) const MOST: u32 = 65_536;
}

/// What a token field promises about the length of its rows. It is stored: bounds rest on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Normalization {
    /// Rows must have Euclidean length 1 within 0.02; others are refused.
    #[default]
    Checked,
    /// Rows are scaled to length 1 as they come in; a row of zeros is refused.
    Normalize,
    /// Rows are taken as they are: of any length, but each component below what codec and second
    /// copy hold (8,319,008 for int8, 65,520 for all others), and no promise that components far below 10⁻⁷ of it
    /// keep their value.
    AsIs,
}

/// Which model a field's vectors come from, so that a query from another one is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelFingerprint {
    /// The model's name and version, in whatever spelling the application uses throughout.
    pub name: String,
    /// Vocabulary size of a sparse model, or 0 where it is not known: a term as large or larger is
    /// refused. Components of a token row.
    pub dimension: u32,
    /// What the model's output is normalised to, in words; empty where it is not.
    pub normalization: String,
}

impl ModelFingerprint {
    /// A fingerprint of a model.
    pub fn new(name: impl Into<String>, dimension: u32, normalization: impl Into<String>) -> Self {
        Self { name: name.into(), dimension, normalization: normalization.into() }
    }
}

impl std::fmt::Display for ModelFingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.name, self.dimension)?;
        if !self.normalization.is_empty() {
            write!(f, "/{}", self.normalization)?;
        }
        Ok(())
    }
}

/// The settings of a sparse field.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SparseOptions {
    pub(crate) codec: SparseCodec,
    pub(crate) forward: Forward,
    pub(crate) model: Option<ModelFingerprint>,
}

impl SparseOptions {
    /// The codec of the inverted index.
    #[must_use]
    pub fn codec(mut self, codec: SparseCodec) -> Self {
        self.codec = codec;
        self
    }

    /// The second tier.
    #[must_use]
    pub fn forward(mut self, forward: Forward) -> Self {
        self.forward = forward;
        self
    }

    /// The model its vectors come from.
    #[must_use]
    pub fn model(mut self, model: ModelFingerprint) -> Self {
        self.model = Some(model);
        self
    }
}

/// The settings of a token field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOptions {
    pub(crate) dim: usize,
    pub(crate) codec: TokenCodec,
    pub(crate) tier: TokenTier,
    pub(crate) normalization: Normalization,
    pub(crate) centroids: Centroids,
    pub(crate) model: Option<ModelFingerprint>,
}

impl TokenOptions {
    /// Rows of `dim` components: a multiple of 8, at most 4,096.
    pub fn new(dim: usize) -> Self {
        Self {
            dim,
            codec: TokenCodec::default(),
            tier: TokenTier::default(),
            normalization: Normalization::default(),
            centroids: Centroids::default(),
            model: None,
        }
    }

    /// The codec of the rows.
    #[must_use]
    pub fn codec(mut self, codec: TokenCodec) -> Self {
        self.codec = codec;
        self
    }

    /// The second copy of the rows.
    #[must_use]
    pub fn tier(mut self, tier: TokenTier) -> Self {
        self.tier = tier;
        self
    }

    /// What is promised about the rows' length.
    #[must_use]
    pub fn normalization(mut self, normalization: Normalization) -> Self {
        self.normalization = normalization;
        self
    }

    /// The model its vectors come from.
    #[must_use]
    pub fn model(mut self, model: ModelFingerprint) -> Self {
        self.model = Some(model);
        self
    }

    /// Whether segments get centroids, and how many; a count is held to 1 to 65,536.
    #[must_use]
    pub fn centroids(mut self, centroids: Centroids) -> Self {
        self.centroids = match centroids {
            Centroids::Count(count) => Centroids::Count(count.clamp(1, Centroids::MOST)),
            other => other,
        };
        self
    }

    /// Whether the codec suits the dimension.
    pub(crate) fn codec_is_valid(&self) -> bool {
        let TokenCodec::Product { subspaces, bits } = self.codec else { return true };
        let subspaces = usize::from(subspaces);
        let even = bits == 8 || subspaces.is_multiple_of(2);
        matches!(bits, 4 | 8) && subspaces > 0 && self.dim.is_multiple_of(subspaces) && even
    }

    /// Whether the second copy is larger than the first.
    pub(crate) fn tier_is_valid(&self) -> bool {
        match self.tier {
            TokenTier::None => true,
            TokenTier::Int8 => self.codec.is_packed(),
            TokenTier::F16 => self.codec != TokenCodec::F16,
        }
    }

    /// Whether rows wait as f16 for their segment to be written, and not as int8.
    pub(crate) fn waits_as_f16(&self) -> bool {
        self.codec == TokenCodec::F16 || self.tier == TokenTier::F16
    }

    /// Whether a segment may hold the rows as int8, to be packed when it is merged: packed rows
    /// without a second tier are all there is of them.
    pub(crate) fn may_wait(&self) -> bool {
        self.codec.is_packed() && self.tier == TokenTier::None
    }

    pub(crate) fn dim_is_valid(&self) -> bool {
        self.dim > 0 && self.dim <= MAX_DIM && self.dim.is_multiple_of(8)
    }
}

impl From<usize> for TokenOptions {
    fn from(dim: usize) -> Self {
        Self::new(dim)
    }
}
