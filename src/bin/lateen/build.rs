//! `lateen build`: an embedding set, or lines and arrays, become an index.

use std::path::PathBuf;
use std::time::Instant;

use clap::builder::RangedU64ValueParser;
use lateen::readers::SetDocuments;
use lateen::{Index, IndexWriter, PruningLoss, SparseCodec, TokenCodec};

use crate::codecs::{self, Rows, Tier};
use crate::declared::{self, Declared, Fields, Kind};
use crate::failure::{Code, Failure};
use crate::pooling::Pooling;
use crate::progress::Progress;
use crate::source;
use crate::staging::Staging;
use crate::text;

/// Documents on which the loss of pruning is measured, at most.
const SAMPLE: usize = 20_000;

const USAGE: &str = "\
lateen build <OUT> --set <DIR> [OPTIONS]
       lateen build <OUT> --texts <FILE> [OPTIONS]
       lateen build <OUT> [--texts <FILE>] [--sparse <FILES>]
           [--tokens <FILES>] [OPTIONS]";

/// Build an index from an embedding set, JSON lines or arrays
///
/// The index gets a field `sparse`, a field `tokens`, or both, by what is there; ids become keys,
/// texts payloads, and the attribute `src` says where a text is from. Other names, kinds and
/// attributes are declared by --schema, or added by --attribute. The index is built beside OUT and
/// gets its name when it is complete: a build that fails leaves nothing there.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// The directory of the index to make
    out: PathBuf,
    #[command(flatten)]
    source: source::Args,
    /// Fields and codecs as TOML: `keys = "u64"` where ids are numbers, then for each field
    /// `[[field]]` with `name`, `kind` (sparse, tokens, keyword, i64, u64, f64, bool) and, of
    /// vectors, `dim`, `codec`, `tier`, `forward`
    #[arg(long, value_name = "FILE")]
    #[arg(conflicts_with_all = ["attributes", "codec", "tier", "sparse_codec", "forward"])]
    schema: Option<PathBuf>,
    /// An entry of the lines that becomes an attribute to filter on; KIND is keyword, i64, u64, f64
    /// or bool. May be given often
    #[arg(long = "attribute", value_name = "NAME:KIND", value_parser = declared::attribute)]
    attributes: Vec<(String, Kind)>,
    /// How token rows are kept: f16; int8; residual4, residual2 or residual1, bits for each
    /// component's distance from a centroid; pq32x8 or pq64x4 and the like, so many codes of 8 or 4
    /// bits for that distance
    #[arg(long, default_value = "int8", value_parser = codecs::tokens)]
    codec: TokenCodec,
    /// A second copy of the token rows, which gives the scores of what the first has found
    #[arg(long, value_enum, default_value = "none")]
    tier: Tier,
    /// Keep one token row for every N of a document: the mean of rows that point the same way
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pool: usize,
    /// How sparse weights are kept in the inverted index: `u8`, `u4` (smaller; exact answers take
    /// longer), or `pruned:MASS`, which leaves out the weakest terms of each document, so that
    /// MASS (0.01 to 0.99) of its weight remains; what that loses is measured on a set and said
    #[arg(long, value_name = "CODEC", default_value = "u8", value_parser = codecs::sparse)]
    sparse_codec: SparseCodec,
    /// How each document's own sparse vector is kept, which makes scores exact: `f16` takes f32
    /// where a weight is not exact in f16, `none` keeps impacts of 8 bits only
    #[arg(long, value_enum, default_value = "f16")]
    forward: Rows,
    /// Replace an index that is at OUT, once the new one is complete
    #[arg(long)]
    force: bool,
    /// Threads [default: one per core]; the bytes written do not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,
    /// Memory to keep to, in MiB; arrays are mapped and come on top
    #[arg(long, value_name = "MIB", default_value = "512", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_048_576))]
    memory: usize,
}

impl Args {
    fn declared(&self, sparse: bool, dim: Option<usize>) -> Result<Declared, Failure> {
        let Some(path) = &self.schema else {
            return Ok(Declared::from_flags(
                sparse.then_some((self.sparse_codec, self.forward.into())),
                dim.map(|dim| (dim, self.codec, self.tier.into())),
                self.attributes.clone(),
            ));
        };
        let declared = Declared::read(path)?;
        let lacking = |what: &str| {
            let what = format!("{}: no {what} field, which the vectors need", path.display());
            Err(Failure::new(Code::Input, what))
        };
        match () {
            () if sparse && declared.sparse.is_none() => lacking("sparse"),
            () if dim.is_some() && declared.tokens.is_none() => lacking("tokens"),
            () => Ok(declared),
        }
    }
}

/// Builds; gives a summary.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let start = Instant::now();
    let staging = Staging::begin(&args.out, args.force)?;
    let source = args.source.open()?;
    let (schema, mut fields): (_, Fields) =
        args.declared(source.has_sparse(), source.dim())?.build()?;
    fields.pooling = Pooling::by(args.pool);
    let threads =
        args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut writer = IndexWriter::options()
        .threads(threads)
        .memory(args.memory.saturating_mul(1 << 20))
        .create(staging.path(), schema)?;
    let pruned = source.set().map_or(Ok(String::new()), |set| pruned(set, args))?;
    source.take_in(&mut writer, &fields, false)?;
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
        "{}: {} documents in {} segment{}, {}, {seconds:.2} s ({rate:.0} documents/s)\n{dropped}{pooled}{pruned}",
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
