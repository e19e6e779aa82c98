//! `lateen build`: an embedding set, or lines and arrays, become an index.

use std::path::PathBuf;
use std::time::Instant;

use clap::builder::RangedU64ValueParser;
use lateen::readers::SetDocuments;
use lateen::{Index, IndexWriter, PruningLoss, SparseCodec, TokenCodec};
use serde_json::{Value, json};

use crate::codecs::{self, Order, Rows, Tier};
use crate::declared::{self, Declared, Fields, Kind};
use crate::failure::{Code, Failure};
use crate::pooling::Pooling;
use crate::progress::Progress;
use crate::source::{self, Room, Source};
use crate::staging::Staging;
use crate::{interrupt, text};

/// Documents on which the loss of pruning is measured, at most.
const SAMPLE: usize = 20_000;

/// Least memory, in MiB: with less, segments of ordinary documents are too small to be written in.
pub(crate) const LEAST: u64 = 64;

/// What the process takes beside its writer and what it reads.
const OWN: usize = 12 << 20;

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
    /// bits for that distance [default: int8]
    #[arg(long, value_parser = codecs::tokens)]
    codec: Option<TokenCodec>,
    /// A second copy of the token rows, which gives the scores of what the first has found
    /// [default: none]
    #[arg(long, value_enum)]
    tier: Option<Tier>,
    /// Keep one token row for every N of a document: the mean of rows that point the same way
    /// [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=64))]
    pool: Option<usize>,
    /// How sparse weights are kept in the inverted index: `u8`, `u4` (smaller; exact answers take
    /// longer), or `pruned:MASS`, which leaves out the weakest terms of each document, so that
    /// MASS (0.01 to 0.99) of its weight remains; what that loses is measured on a set and said
    /// [default: u8]
    #[arg(long, value_name = "CODEC", value_parser = codecs::sparse)]
    sparse_codec: Option<SparseCodec>,
    /// How each document's own sparse vector is kept, which makes scores exact: `f16` takes f32
    /// where a weight is not exact in f16, `none` keeps impacts of 8 bits only
    /// [default: f16]
    #[arg(long, value_enum)]
    forward: Option<Rows>,
    /// The order in which documents lie: `given`, as they are read, or `similar`, those that share terms
    /// together, which makes sparse searches faster and the build longer [default: given]
    #[arg(long, value_enum)]
    order: Option<Order>,
    /// Replace an index that is at OUT, once the new one is complete
    #[arg(long)]
    force: bool,
    /// Threads [default: one per core]; the bytes written do not depend on it
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    threads: Option<usize>,
    /// Memory to keep to, in MiB, 64 at least; words without ids may take a quarter of it. Files
    /// are mapped and come on top
    #[arg(long, value_name = "MIB", default_value = "512", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(LEAST..=1_048_576))]
    memory: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn sparse_codec(&self) -> SparseCodec {
        self.sparse_codec.unwrap_or(SparseCodec::U8)
    }

    fn forward(&self) -> Rows {
        self.forward.unwrap_or(Rows::F16)
    }

    fn tier(&self) -> Tier {
        self.tier.unwrap_or(Tier::None)
    }

    /// Flags for vectors that the documents do not have are an error.
    fn check(&self, source: &Source) -> Result<(), Failure> {
        let rows = [
            (self.codec.is_some(), "--codec"),
            (self.tier.is_some(), "--tier"),
            (self.pool.is_some(), "--pool"),
        ];
        let terms = [
            (self.sparse_codec.is_some(), "--sparse-codec"),
            (self.forward.is_some(), "--forward"),
            (self.order.is_some(), "--order"),
        ];
        let stray = |flags: &[(bool, &'static str)]| flags.iter().find(|flag| flag.0).map(|f| f.1);
        let stray = match (source.dim(), source.has_sparse()) {
            (None, _) if stray(&rows).is_some() => stray(&rows).map(|flag| (flag, "token rows")),
            (_, false) => stray(&terms).map(|flag| (flag, "sparse vectors")),
            _ => None,
        };
        stray.map_or(Ok(()), |(flag, of)| {
            let what = format!("{flag} is for {of}, which the documents do not have");
            Err(Failure::new(Code::Usage, what).next("leave it out"))
        })
    }

    fn declared(&self, sparse: bool, dim: Option<usize>) -> Result<Declared, Failure> {
        let Some(path) = &self.schema else {
            return Ok(Declared::from_flags(
                sparse.then_some((self.sparse_codec(), self.forward().into())),
                dim.map(|dim| (dim, self.codec.unwrap_or(TokenCodec::Int8), self.tier().into())),
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
    let memory = args.memory.saturating_mul(1 << 20);
    let room = Room::of(memory);
    let source = args.source.open(room)?;
    args.check(&source)?;
    let (schema, mut fields): (_, Fields) =
        args.declared(source.has_sparse(), source.dim())?.build()?;
    fields.pooling = Pooling::by(args.pool.unwrap_or(1));
    let threads =
        args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let mut writer = IndexWriter::options()
        .threads(threads)
        .memory(writers(memory, source.words(room))?)
        .order(args.order.unwrap_or(Order::Given).into())
        .create(staging.path(), schema)
        .map_err(|error| Failure::index(&args.out, error))?;
    let loss = source.set().map_or(Ok(None), |set| loss(set, args))?;
    source.take_in(&mut writer, &fields, room, false)?;
    let bar = Progress::new("writing", 1);
    writer.commit_packed(|_| {}).map_err(|error| Failure::index(&args.out, error))?;
    drop(bar);
    interrupt::check()?;
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
    let pooled = fields.pooling.as_ref().map_or_else(String::new, Pooling::summary);
    let pruned = loss.as_ref().map_or_else(String::new, |loss| pruned(loss, args));
    let said = format!(
        "{}: {} in {}, {}, {seconds:.2} s ({rate:.0} documents/s)\n{dropped}{pooled}{pruned}",
        args.out.display(),
        text::many(info.documents, "document"),
        text::many(info.segments.len() as u64, "segment"),
        text::bytes(info.bytes()),
    );
    let (rows, pruning) = (fields.pooling.as_ref().map(Pooling::data), loss.map(data));
    let data = json!({ "documents": info.documents, "segments": info.segments.len(),
        "bytes": info.bytes(), "commit": info.commit, "seconds": seconds,
        "documents_per_second": rate, "zeros_dropped": zeros, "pooling": rows,
        "pruning": pruning });
    Ok(text::told(args.json, &data, said))
}

/// What is left for the writer of all memory, beside what has so many bytes of words.
pub(crate) fn writers(memory: usize, words: usize) -> Result<usize, Failure> {
    // A chunk of documents, and what the writer makes of it on the way in.
    let beside = OWN + memory / 8;
    let left = memory.saturating_sub(beside).saturating_sub(words);
    if left < memory / 4 {
        let what = format!(
            "the vocabulary takes {}, more than --memory {} has room for",
            text::bytes(words as u64),
            memory >> 20
        );
        return Err(Failure::new(Code::Input, what).next("raise --memory"));
    }
    // The writer counts what it holds; what the allocator keeps of it for later comes on top, a third
    // where memory is short.
    Ok(left / 4 * 3)
}

/// What the pruning of documents loses, where it was asked for: on a sample spread evenly.
fn loss(documents: &SetDocuments, args: &Args) -> Result<Option<PruningLoss>, Failure> {
    let SparseCodec::Pruned(percent) = args.sparse_codec() else { return Ok(None) };
    let rows = (0..documents.len()).step_by(documents.len().div_ceil(SAMPLE).max(1));
    let loss = PruningLoss::measure(percent, rows.filter_map(|row| documents.vector(row)))?;
    Ok(Some(loss))
}

fn data(loss: PruningLoss) -> Value {
    json!({ "kept": loss.kept, "recall@10": loss.recall_10, "recall@100": loss.recall_100,
        "queries": loss.queries, "documents": loss.documents })
}

fn pruned(loss: &PruningLoss, args: &Args) -> String {
    let share = |share: f64| 100.0 * share;
    let without = match args.forward() {
        Rows::None => "answers",
        _ => "exact answers lose nothing; without forward rows they would",
    };
    format!(
        "pruned to {:.1} % of the entries: {without} lose {:.2} % of the ten best and {:.2} % of the \
         hundred best ({} documents asked of {})\n",
        share(loss.kept),
        share(1.0 - loss.recall_10),
        share(1.0 - loss.recall_100),
        text::count(loss.queries as u64),
        text::count(loss.documents as u64),
    )
}
