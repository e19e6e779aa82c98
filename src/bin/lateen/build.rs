//! `lateen build`: an embedding set becomes an index.

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use lateen::readers::{DocumentChunk, EmbeddingSet, SetDocuments};
use lateen::{
    Batch, Error, Forward, Index, IndexWriter, KeywordField, ReducedTokens, Schema, SchemaError,
    SparseCodec, SparseField, SparseOptions, TokenBatch, TokenCodec, TokenField, TokenMatrix,
    TokenOptions, TokenReduction, TokenTier,
};

use crate::failure::{Code, Failure};
use crate::progress::Progress;
use crate::staging::Staging;
use crate::text;

/// Documents taken in at once: many where they are a vector of terms, fewer where each brings a
/// matrix, so that a chunk is small beside the memory of the writer either way.
const CHUNK: usize = 2048;
const CHUNK_WITH_TOKENS: usize = 256;

/// Build an index from an embedding set
///
/// The index gets a field `sparse`, a field `tokens`, or both, by what the set has; ids become
/// keys, texts payloads, and the attribute `src` says where a text is from. The index is built
/// beside OUT and gets its name when it is complete: a build that fails leaves nothing there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the index to make
    out: PathBuf,
    /// The embedding set: a folder of texts and vectors
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    /// How token rows are kept: f16; int8; residual4, residual2 or residual1, bits for each
    /// component's distance from a centroid; pq32x8 or pq64x4 and the like, so many codes of 8 or 4
    /// bits for that distance
    #[arg(long, default_value = "int8", value_parser = codec)]
    codec: TokenCodec,
    /// A second copy of the token rows, which gives the scores of what the first has found
    #[arg(long, value_enum, default_value = "none")]
    tier: Tier,
    /// Keep one token row for every N of a document: the mean of rows that point the same way
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pool: usize,
    /// How sparse weights are kept in the inverted index: `u8`, `u4` (smaller; exact answers take
    /// longer), or `pruned:MASS`, which leaves out the weakest terms of each document, so that
    /// MASS (0.01 to 0.99) of its weight remains
    #[arg(long, value_name = "CODEC", default_value = "u8", value_parser = sparse_codec)]
    sparse_codec: SparseCodec,
    /// How each document's own sparse vector is kept, which makes scores exact: `f16` takes f32
    /// where a weight is not exact in f16, `none` keeps impacts of 8 bits only
    #[arg(long, value_enum, default_value = "f16")]
    forward: Rows,
    /// Replace an index that is at OUT, once the new one is complete
    #[arg(long)]
    force: bool,
    /// Threads [default: one per core]; the bytes written do not depend on it
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,
    /// Memory to keep to, in MiB; the set itself is mapped and comes on top
    #[arg(long, value_name = "MIB", default_value = "512")]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_048_576))]
    memory: usize,
}

/// Reads a codec as its name is written.
fn codec(name: &str) -> Result<TokenCodec, String> {
    let product = || {
        let (subspaces, bits) = name.strip_prefix("pq")?.split_once('x')?;
        Some(TokenCodec::Product { subspaces: subspaces.parse().ok()?, bits: bits.parse().ok()? })
    };
    let scalar = [
        TokenCodec::F16,
        TokenCodec::Int8,
        TokenCodec::Residual4,
        TokenCodec::Residual2,
        TokenCodec::Residual1,
    ];
    let known =
        || "f16, int8, residual4, residual2, residual1 or pq<SUBSPACES>x<4 or 8>".to_owned();
    let found = scalar.into_iter().find(|codec| codec.to_string() == name).or_else(product);
    found.ok_or_else(known)
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Tier {
    /// None: the rows that search give the scores
    None,
    /// 8-bit integers with a scale per row
    Int8,
    /// 16-bit floats
    F16,
}

impl From<Tier> for TokenTier {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::None => Self::None,
            Tier::Int8 => Self::Int8,
            Tier::F16 => Self::F16,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rows {
    /// 16-bit floats where they lose nothing
    F16,
    /// 32-bit floats
    F32,
    /// Nothing
    None,
}

/// `u8`, `u4` or `pruned:MASS`.
fn sparse_codec(text: &str) -> Result<SparseCodec, String> {
    let percent = |mass: &str| {
        // Two decimals at most: what the index can say.
        let digits = mass.strip_prefix("0.").or_else(|| mass.strip_prefix('.'))?;
        let percent = match digits.len() {
            1 => digits.parse::<u8>().ok()?.checked_mul(10)?,
            2 => digits.parse::<u8>().ok()?,
            _ => return None,
        };
        (1..=99).contains(&percent).then_some(SparseCodec::Pruned(percent))
    };
    match text {
        "u8" => Ok(SparseCodec::U8),
        "u4" => Ok(SparseCodec::U4),
        _ => text
            .strip_prefix("pruned:")
            .and_then(percent)
            .ok_or_else(|| "u8, u4, or pruned:MASS with MASS from 0.01 to 0.99".to_owned()),
    }
}

impl From<Rows> for Forward {
    fn from(rows: Rows) -> Self {
        match rows {
            Rows::F16 => Self::Auto,
            Rows::F32 => Self::F32,
            Rows::None => Self::None,
        }
    }
}

/// Builds; gives a summary.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let start = Instant::now();
    let staging = Staging::begin(&args.out, args.force)?;
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let documents = set.documents().map_err(Failure::input)?;
    let (schema, mut fields) = Fields::of(&documents, args)?;
    let threads =
        args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut writer = IndexWriter::options()
        .threads(threads)
        .memory(args.memory.saturating_mul(1 << 20))
        .create(staging.path(), schema)?;
    take_in(&mut writer, &mut fields, &documents, false, |error, chunk| {
        explain(error, &set, chunk)
    })?;
    let bar = Progress::new("writing", 1);
    writer.commit()?;
    drop(bar);
    let zeros = writer.zeros_dropped();
    drop(writer);
    staging.publish()?;

    let info = Index::open(&args.out)?.info();
    let seconds = start.elapsed().as_secs_f64();
    let rate = info.documents as f64 / seconds.max(1e-9);
    let dropped = match zeros {
        0 => String::new(),
        _ => format!("{} weights of zero were dropped\n", text::count(zeros)),
    };
    let pooled = fields.pooling.map_or_else(String::new, |pooling| pooling.summary());
    Ok(format!(
        "{}: {} documents in {} segment{}, {}, {seconds:.2} s ({rate:.0} documents/s)\n{dropped}{pooled}",
        args.out.display(),
        text::count(info.documents),
        info.segments.len(),
        if info.segments.len() == 1 { "" } else { "s" },
        text::bytes(info.bytes()),
    ))
}

/// Hands all documents of a set to a writer; `explain` puts an error in the words of the set.
pub(crate) fn take_in(
    writer: &mut IndexWriter,
    fields: &mut Fields,
    documents: &SetDocuments,
    replace: bool,
    explain: impl Fn(Error, &DocumentChunk<'_>) -> Failure,
) -> Result<(), Failure> {
    let bar = Progress::new("documents", documents.len());
    let size = if fields.tokens.is_some() { CHUNK_WITH_TOKENS } else { CHUNK };
    for chunk in documents.chunks(size).map_err(Failure::input)? {
        let chunk = chunk.map_err(Failure::input)?;
        fields.add(writer, &chunk, replace).map_err(|error| explain(error, &chunk))?;
        bar.add(chunk.len())?;
    }
    Ok(())
}

/// The fields of the index, by what the set has.
pub(crate) struct Fields {
    sparse: Option<SparseField>,
    tokens: Option<TokenField>,
    src: KeywordField,
    pooling: Option<Pooling>,
}

/// What becomes of token rows on their way in.
struct Pooling {
    reduction: TokenReduction,
    given: usize,
    kept: usize,
}

impl Pooling {
    /// `None` where every row is kept.
    fn by(factor: usize) -> Option<Self> {
        let reduction = TokenReduction::new().pool(factor);
        (factor > 1).then_some(Self { reduction, given: 0, kept: 0 })
    }

    /// Reduces a chunk's matrices.
    fn reduce(&mut self, batch: &TokenBatch<'_>) -> lateen::Result<Vec<ReducedTokens>> {
        let reduced = self.reduction.reduce_batch(batch, None)?;
        self.given += reduced.iter().map(ReducedTokens::given).sum::<usize>();
        self.kept += reduced.iter().map(ReducedTokens::len).sum::<usize>();
        Ok(reduced)
    }

    fn summary(&self) -> String {
        let (kept, given) = (text::count(self.kept as u64), text::count(self.given as u64));
        let share = 100.0 * self.kept as f64 / self.given.max(1) as f64;
        format!("{kept} of {given} token rows kept ({share:.1} %)\n")
    }
}

impl Fields {
    fn of(documents: &SetDocuments, args: &Args) -> Result<(Schema, Self), SchemaError> {
        let mut schema = Schema::builder();
        let options =
            SparseOptions::default().codec(args.sparse_codec).forward(args.forward.into());
        let sparse = documents.has_sparse().then(|| schema.sparse_with("sparse", options));
        let tokens = documents
            .dim()
            .map(|dim| TokenOptions::new(dim).codec(args.codec).tier(args.tier.into()))
            .map(|options| schema.tokens("tokens", options));
        let src = schema.keyword("src");
        let pooling = tokens.as_ref().and_then(|_| Pooling::by(args.pool));
        Ok((schema.build()?, Self { sparse, tokens, src, pooling }))
    }

    /// Those of an index that is there; `pool` as for a build.
    pub(crate) fn in_schema(
        documents: &SetDocuments,
        schema: &Schema,
        pool: usize,
    ) -> Result<Self, SchemaError> {
        Ok(Self {
            sparse: documents.has_sparse().then(|| schema.sparse("sparse")).transpose()?,
            tokens: documents.dim().map(|_| schema.tokens("tokens")).transpose()?,
            src: schema.keyword("src")?,
            pooling: documents.dim().and_then(|_| Pooling::by(pool)),
        })
    }

    fn add(
        &mut self,
        writer: &mut IndexWriter,
        chunk: &DocumentChunk<'_>,
        replace: bool,
    ) -> lateen::Result<()> {
        let sources: Vec<Vec<&str>> =
            chunk.sources().iter().map(|src| src.as_deref().into_iter().collect()).collect();
        let mut batch = Batch::new(chunk.ids()).payloads(chunk.texts())?;
        batch = batch.keywords(&self.src, &sources)?;
        let (sparse, tokens) = (chunk.sparse(), chunk.tokens());
        let reduced = match (&mut self.pooling, &tokens) {
            (Some(pooling), Some(rows)) => Some(pooling.reduce(rows)?),
            _ => None,
        };
        let matrices: Option<Vec<TokenMatrix<'_>>> =
            reduced.as_ref().map(|reduced| reduced.iter().map(ReducedTokens::matrix).collect());
        let tokens = matrices.as_ref().map(|rows| TokenBatch::matrices(rows)).or(tokens);
        if let (Some(field), Some(rows)) = (&self.sparse, &sparse) {
            batch = batch.sparse(field, rows)?;
        }
        if let (Some(field), Some(rows)) = (&self.tokens, &tokens) {
            batch = batch.tokens(field, rows)?;
        }
        let taken = if replace { writer.upsert_batch(&batch) } else { writer.add_batch(&batch) };
        taken.map(drop)
    }
}

/// An error of a chunk in the words of the set: rows are those of the whole set, with their id.
pub(crate) fn explain(error: Error, set: &EmbeddingSet, chunk: &DocumentChunk<'_>) -> Failure {
    let set = set.dir().display();
    match error {
        Error::Input(mut input) => {
            let id = input.row.and_then(|row| chunk.ids().get(usize::try_from(row).ok()?));
            let id = id.map_or_else(String::new, |id| format!(" (id {id:?})"));
            input.row = input.row.map(|row| row + chunk.first() as u64);
            Failure::from(Error::Input(input)).at(format!("{set}{id}"))
        }
        Error::DuplicateKey { key, .. } => {
            let id = key.to_string();
            let what = format!("{set}: the id {id:?} appears twice, or is in the index already");
            Failure::new(Code::Input, what)
        }
        other => other.into(),
    }
}
