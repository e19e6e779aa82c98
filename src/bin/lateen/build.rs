//! `lateen build`: an embedding set becomes an index.

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::RangedU64ValueParser;
use lateen::readers::{DocumentChunk, EmbeddingSet, SetDocuments};
use lateen::{
    Batch, Error, Forward, Index, IndexWriter, KeywordField, PruningLoss, Schema, SchemaError,
    SparseCodec, SparseField, SparseOptions, TokenCodec, TokenField, TokenOptions, TokenTier,
};

use crate::failure::{Code, Failure};
use crate::progress::Progress;
use crate::staging::Staging;
use crate::text;

/// Documents taken in at once: many where they are a vector of terms, fewer where each brings a
/// matrix, so that a chunk is small beside the memory of the writer either way.
const CHUNK: usize = 2048;
const CHUNK_WITH_TOKENS: usize = 256;

/// Documents on which the loss of pruning is measured, at most.
const SAMPLE: usize = 20_000;

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
    /// How sparse weights are kept in the inverted index: `u8`, `u4` (smaller; exact answers take
    /// longer), or `pruned:MASS`, which leaves out the weakest terms of each document, so that
    /// MASS (0.01 to 0.99) of its weight remains; what that loses is measured and said
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
    let (schema, fields) = Fields::of(&documents, args)?;
    let threads =
        args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut writer = IndexWriter::options()
        .threads(threads)
        .memory(args.memory.saturating_mul(1 << 20))
        .create(staging.path(), schema)?;
    take_in(&mut writer, &fields, &documents, false, |error, chunk| explain(error, &set, chunk))?;
    let bar = Progress::new("writing", 1);
    writer.commit()?;
    drop(bar);
    let zeros = writer.zeros_dropped();
    drop(writer);
    staging.publish()?;

    let info = Index::open(&args.out)?.info();
    let seconds = start.elapsed().as_secs_f64();
    let pruned = pruned(&documents, args)?;
    let rate = info.documents as f64 / seconds.max(1e-9);
    let dropped = match zeros {
        0 => String::new(),
        _ => format!("{} weights of zero were dropped\n", text::count(zeros)),
    };
    Ok(format!(
        "{}: {} documents in {} segment{}, {}, {seconds:.2} s ({rate:.0} documents/s)\n{dropped}{pruned}",
        args.out.display(),
        text::count(info.documents),
        info.segments.len(),
        if info.segments.len() == 1 { "" } else { "s" },
        text::bytes(info.bytes()),
    ))
}

/// What the pruning of documents loses, where it was asked for: on a sample spread evenly.
fn pruned(documents: &SetDocuments, args: &Args) -> Result<String, Failure> {
    let SparseCodec::Pruned(percent) = args.sparse_codec else { return Ok(String::new()) };
    let rows = (0..documents.len()).step_by(documents.len().div_ceil(SAMPLE).max(1));
    let loss = PruningLoss::measure(percent, rows.filter_map(|row| documents.vector(row)))?;
    let share = |share: f64| 100.0 * share;
    let without = match args.forward {
        Rows::None => "answers",
        _ => "exact answers lose nothing; without forward rows they would",
    };
    Ok(format!(
        "pruned to {:.1} % of the entries: {without} lose {:.2} % of the ten best and {:.2} % of the \
         hundred best ({} documents asked of {})\n",
        share(loss.kept),
        share(1.0 - loss.recall_10),
        share(1.0 - loss.recall_100),
        text::count(loss.queries as u64),
        text::count(loss.documents as u64),
    ))
}

/// Hands all documents of a set to a writer; `explain` puts an error in the words of the set.
pub(crate) fn take_in(
    writer: &mut IndexWriter,
    fields: &Fields,
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
        Ok((schema.build()?, Self { sparse, tokens, src }))
    }

    /// Those of an index that is there.
    pub(crate) fn in_schema(
        documents: &SetDocuments,
        schema: &Schema,
    ) -> Result<Self, SchemaError> {
        Ok(Self {
            sparse: documents.has_sparse().then(|| schema.sparse("sparse")).transpose()?,
            tokens: documents.dim().map(|_| schema.tokens("tokens")).transpose()?,
            src: schema.keyword("src")?,
        })
    }

    fn add(
        &self,
        writer: &mut IndexWriter,
        chunk: &DocumentChunk<'_>,
        replace: bool,
    ) -> lateen::Result<()> {
        let sources: Vec<Vec<&str>> =
            chunk.sources().iter().map(|src| src.as_deref().into_iter().collect()).collect();
        let mut batch = Batch::new(chunk.ids()).payloads(chunk.texts())?;
        batch = batch.keywords(&self.src, &sources)?;
        let (sparse, tokens) = (chunk.sparse(), chunk.tokens());
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
