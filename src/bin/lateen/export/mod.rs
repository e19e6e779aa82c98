//! `lateen export`: an index becomes an embedding set again, or lines of JSON.

mod lines;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use half::f16;
use lateen::readers::NpyWriter;
use lateen::{
    FieldInfo, Floats, Index, IndexInfo, Ints, KeyKind, Schema, SparseField, StoredDocument,
    TokenField,
};
use serde_json::{Map, Value, json};

use crate::beside::{Beside, is_there};
use crate::declared::{Attribute, vector_field};
use crate::failure::{Code, Failure};
use crate::progress::Progress;
use crate::text;

/// Write an index as an embedding set or as JSON lines, which `build` reads
///
/// A set is a folder: ids, texts and attributes become lines of JSON, vectors arrays, in the order
/// of the index, and the fields a `schema.toml` for `build --schema`. Vectors are what the index
/// keeps: exactly what came in where nothing was rounded (forward rows, f16 tokens), decoded codes
/// elsewhere. The index is verified first. What is written appears complete or not at all.
///
/// JSON lines have `id`, `contents`, the weights of words as `vector`, and attributes, as Anserini
/// has them; `build --texts` reads them back. A term that the index has no word for is `[term N]`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The folder, or with `--as jsonl` the file, to make; one that is there is an error
    out: PathBuf,
    /// What to write
    #[arg(long = "as", value_name = "FORM", value_enum, default_value = "set")]
    form: Form,
    /// Term ids in `vector`, even where the index has words for them: for `build --term-ids`
    #[arg(long)]
    term_ids: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What an index can become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A folder of arrays and texts
    Set,
    /// A file of lines of JSON, without token rows
    Jsonl,
}

/// Exports; gives a summary.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let failed = |error| Failure::index(&args.index, error);
    let index = Index::open(&args.index).map_err(failed)?;
    if args.term_ids && args.form == Form::Set {
        let what = "--term-ids is for --as jsonl: the arrays of a set have term ids anyway";
        return Err(Failure::new(Code::Usage, what).next("leave it out"));
    }
    if is_there(&args.out) {
        return Err(Failure::exists(&args.out));
    }
    let refused = |error| Failure::io("write", args.out.display(), &error);
    // Every byte, before any is written: arrays have no checksums that would tell of damage.
    index.verify().map_err(failed)?;
    if args.form == Form::Jsonl {
        return lines::write(&index, args);
    }
    let folder = Beside::new(&args.out, "exporting")?;
    fs::create_dir(folder.path()).map_err(refused)?;

    let schema = index.schema();
    let info = index.info();
    let fields = Fields::of(&schema)?;
    let totals = fields.count(&index).map_err(|failure| failure.at(args.index.display()))?;
    fields.write(&index, &totals, folder.path())?;
    fs::write(folder.path().join("schema.toml"), declaration(&schema, &info)).map_err(refused)?;
    if let Some(field) = &fields.sparse
        && let Some(words) = index.vocabulary(field)?
    {
        let mut plain =
            (0..).zip(words.iter()).map(|(at, (_, id, weight))| at == id && weight == 1.0);
        let (name, columns) = if plain.all(|plain| plain) {
            ("vocabulary.txt", false)
        } else {
            ("vocabulary.tsv", true)
        };
        // A line has no place for a word with a line's end in it.
        if !words.iter().any(|(word, ..)| word.contains(['\t', '\n', '\r'])) {
            let mut lines = String::new();
            for (word, id, weight) in words.iter() {
                let _ = if columns {
                    writeln!(lines, "{id}\t{word}\t{weight}")
                } else {
                    writeln!(lines, "{word}")
                };
            }
            fs::write(folder.path().join(name), lines).map_err(refused)?;
        }
    }
    folder.publish(true).map_err(refused)?;
    let said = format!(
        "{}: {}, {}, {}\n",
        args.out.display(),
        text::many(totals.documents as u64, "document"),
        text::many(totals.entries as u64, "weight"),
        text::many(totals.rows as u64, "token row"),
    );
    let data = json!({ "documents": totals.documents, "weights": totals.entries,
        "token_rows": totals.rows });
    Ok(text::told(args.json, &data, said))
}

struct Fields {
    sparse: Option<SparseField>,
    tokens: Option<TokenField>,
    attributes: Vec<Attribute>,
}

/// What the arrays will hold.
#[derive(Default)]
struct Totals {
    documents: usize,
    entries: usize,
    rows: usize,
    /// Whether all floats are what they are as f16.
    narrow_weights: bool,
    narrow_rows: bool,
    spans: bool,
}

fn is_narrow(value: f32) -> bool {
    f16::from_f32(value).to_f32() == value
}

impl Fields {
    fn of(schema: &Schema) -> Result<Self, Failure> {
        for kind in ["sparse", "tokens"] {
            if schema.field_names().filter(|(_, of)| *of == kind).count() > 1 {
                let what = format!("more than one {kind} field, for which a set has no place");
                return Err(Failure::new(Code::Input, what));
            }
        }
        Ok(Self {
            sparse: schema.sparse(&vector_field(schema, "sparse")).ok(),
            tokens: schema.tokens(&vector_field(schema, "tokens")).ok(),
            attributes: Attribute::of(schema)?,
        })
    }

    fn vector(&self, document: &StoredDocument) -> Result<Vec<(u32, f32)>, Failure> {
        let Some(field) = &self.sparse else { return Ok(Vec::new()) };
        Ok(document.sparse(field)?.unwrap_or_default())
    }

    fn rows(&self, document: &StoredDocument) -> Result<Vec<f32>, Failure> {
        let Some(field) = &self.tokens else { return Ok(Vec::new()) };
        Ok(document.tokens(field)?.unwrap_or_default())
    }

    /// Goes through all documents once: an array's head says how long it is.
    fn count(&self, index: &Index) -> Result<Totals, Failure> {
        let narrow =
            Totals { narrow_weights: true, narrow_rows: true, spans: true, ..Totals::default() };
        let mut totals = narrow;
        let snapshot = index.snapshot();
        let bar = Progress::new("reading", usize::try_from(index.len()).unwrap_or(usize::MAX));
        for document in snapshot.documents() {
            let document = document?;
            let (vector, rows) = (self.vector(&document)?, self.rows(&document)?);
            totals.documents += 1;
            totals.entries += vector.len();
            totals.narrow_weights &= vector.iter().all(|&(_, weight)| is_narrow(weight));
            totals.narrow_rows &= rows.iter().all(|&value| is_narrow(value));
            if let Some(field) = &self.tokens {
                totals.rows += rows.len() / field.dim();
                totals.spans &= rows.is_empty() || document.spans(field)?.is_some();
            }
            bar.add(1)?;
        }
        if totals.entries == 0 && !self.keeps_rows(index) {
            let what = "the sparse field keeps no rows of documents (--forward none)";
            let next = "build it again with --forward f16";
            return Err(Failure::new(Code::Input, what).next(next));
        }
        Ok(totals)
    }

    /// Whether the vectors that the sparse field has can be read back from documents.
    fn keeps_rows(&self, index: &Index) -> bool {
        let Some(field) = &self.sparse else { return true };
        let info = index.info();
        let own = info.segments.iter().flat_map(|segment| &segment.vectors);
        let mut stored = own.filter(|vectors| vectors.field == field.name());
        if !stored.any(|vectors| vectors.entries > 0) {
            return true;
        }
        let documents = index.snapshot();
        let mut documents = documents.documents().filter_map(Result::ok);
        documents.any(|one| one.sparse(field).is_ok_and(|vector| vector.is_some()))
    }

    fn write(&self, index: &Index, totals: &Totals, dir: &Path) -> Result<(), Failure> {
        let path = dir.join("texts.jsonl");
        let refused = |error| Failure::io("write", path.display(), &error);
        let mut texts = BufWriter::new(File::create(&path).map_err(refused)?);
        let mut sparse = self.sparse.as_ref().map(|_| Sparse::create(dir, totals)).transpose()?;
        let mut tokens =
            self.tokens.as_ref().map(|f| Tokens::create(dir, totals, f)).transpose()?;
        let snapshot = index.snapshot();
        let bar = Progress::new("writing", totals.documents);
        for document in snapshot.documents() {
            let document = document?;
            let line = Value::from(self.line(&document)?).to_string();
            writeln!(texts, "{line}").map_err(refused)?;
            if let Some(sparse) = &mut sparse {
                sparse.push(&self.vector(&document)?)?;
            }
            if let (Some(tokens), Some(field)) = (&mut tokens, &self.tokens) {
                let spans = document.spans(field)?.unwrap_or_default();
                tokens.push(&self.rows(&document)?, &spans, field.dim())?;
            }
            bar.add(1)?;
        }
        texts.flush().map_err(refused)?;
        sparse.map_or(Ok(()), Sparse::finish)?;
        tokens.map_or(Ok(()), Tokens::finish)
    }

    fn line(&self, document: &StoredDocument) -> Result<Map<String, Value>, Failure> {
        let key = document.key().to_string();
        let text = document.payload()?.unwrap_or_default();
        let text = String::from_utf8(text).map_err(|_| {
            let what =
                format!("document {key:?}: its payload is no text, for which a set has no place");
            Failure::new(Code::Input, what)
        })?;
        let mut line = Map::new();
        line.insert("id".to_owned(), key.into());
        line.insert("text".to_owned(), text.into());
        for attribute in &self.attributes {
            let value = match attribute {
                Attribute::Keyword(field) => {
                    let mut values = document.keywords(field)?;
                    match values.len() {
                        0 => Value::Null,
                        1 => values.remove(0).into(),
                        _ => values.into(),
                    }
                }
                Attribute::I64(field) => document.i64(field)?.into(),
                Attribute::U64(field) => document.u64(field)?.into(),
                Attribute::F64(field) => document.f64(field)?.into(),
                Attribute::Bool(field) => document.bool(field)?.into(),
            };
            if !value.is_null() {
                line.insert(attribute.name().to_owned(), value);
            }
        }
        Ok(line)
    }
}

/// Floats as f16 where nothing is lost.
struct FloatsWriter {
    file: NpyWriter,
    narrow: bool,
}

impl FloatsWriter {
    fn create(path: &Path, narrow: bool, shape: &[usize]) -> Result<Self, Failure> {
        let like = if narrow { Floats::F16(&[]) } else { Floats::F32(&[]) };
        Ok(Self { file: NpyWriter::create(path, like, shape)?, narrow })
    }

    fn push(&mut self, values: &[f32]) -> Result<(), Failure> {
        if self.narrow {
            let values: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
            self.file.push(&values)?;
        } else {
            self.file.push(values)?;
        }
        Ok(())
    }
}

struct Sparse {
    starts: NpyWriter,
    terms: NpyWriter,
    weights: FloatsWriter,
    end: i64,
}

impl Sparse {
    fn create(dir: &Path, totals: &Totals) -> Result<Self, Failure> {
        let file = |part: &str| dir.join(format!("sparse_docs_{part}.npy"));
        let mut starts =
            NpyWriter::create(file("indptr"), Ints::I64(&[]), &[totals.documents + 1])?;
        starts.push(&[0i64])?;
        Ok(Self {
            starts,
            terms: NpyWriter::create(file("indices"), Ints::U32(&[]), &[totals.entries])?,
            weights: FloatsWriter::create(
                &file("values"),
                totals.narrow_weights,
                &[totals.entries],
            )?,
            end: 0,
        })
    }

    fn push(&mut self, vector: &[(u32, f32)]) -> Result<(), Failure> {
        self.end += vector.len() as i64;
        self.starts.push(&[self.end])?;
        self.terms.push(&vector.iter().map(|&(term, _)| term).collect::<Vec<_>>())?;
        self.weights.push(&vector.iter().map(|&(_, weight)| weight).collect::<Vec<_>>())
    }

    fn finish(self) -> Result<(), Failure> {
        self.starts.finish()?;
        self.terms.finish()?;
        Ok(self.weights.file.finish()?)
    }
}

struct Tokens {
    lengths: NpyWriter,
    rows: FloatsWriter,
    spans: Option<NpyWriter>,
}

impl Tokens {
    fn create(dir: &Path, totals: &Totals, field: &TokenField) -> Result<Self, Failure> {
        let spans = (totals.spans && totals.rows > 0).then(|| {
            let path = dir.join("tok_doc_offsets.npy");
            NpyWriter::create(path, Ints::U32(&[]), &[totals.rows, 2])
        });
        Ok(Self {
            lengths: NpyWriter::create(
                dir.join("tok_doclens.npy"),
                Ints::U32(&[]),
                &[totals.documents],
            )?,
            rows: FloatsWriter::create(
                &dir.join("tok_docs.npy"),
                totals.narrow_rows,
                &[totals.rows, field.dim()],
            )?,
            spans: spans.transpose()?,
        })
    }

    fn push(&mut self, rows: &[f32], spans: &[(u32, u32)], dim: usize) -> Result<(), Failure> {
        self.lengths.push(&[(rows.len() / dim) as u32])?;
        self.rows.push(rows)?;
        if let Some(file) = &mut self.spans {
            let flat: Vec<u32> = spans.iter().flat_map(|&(start, end)| [start, end]).collect();
            file.push(&flat)?;
        }
        Ok(())
    }

    fn finish(self) -> Result<(), Failure> {
        self.lengths.finish()?;
        self.rows.file.finish()?;
        Ok(self.spans.map_or(Ok(()), NpyWriter::finish)?)
    }
}

/// The fields as `build --schema` reads them.
fn declaration(schema: &Schema, info: &IndexInfo) -> String {
    let keys = if schema.key_kind() == KeyKind::U64 { "u64" } else { "string" };
    let mut text = format!("keys = {keys:?}\n");
    // Writing to a string does not fail.
    for field in &info.fields {
        let _ = writeln!(text, "\n[[field]]\nname = {}", quoted(&field.name));
        let _ = writeln!(text, "kind = {:?}", field.kind);
        if let Some(dim) = field.dim {
            let _ = writeln!(text, "dim = {dim}");
        }
        if let Some(codec) = codec(field) {
            let (codec, tier) = codec.split_once(" + ").unwrap_or((&codec, ""));
            let _ = writeln!(text, "codec = {codec:?}");
            if !tier.is_empty() {
                let _ = writeln!(text, "tier = {tier:?}");
            }
        }
    }
    text
}

fn codec(field: &FieldInfo) -> Option<String> {
    let codec = field.codec.as_ref()?;
    Some(match field.percent {
        Some(percent) => format!("{codec}:0.{percent:02}"),
        None => codec.clone(),
    })
}

/// A basic string of TOML, which escapes as JSON does.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
