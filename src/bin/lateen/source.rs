//! Where documents come from: an embedding set, or lines of JSON with vectors in them or in arrays
//! beside them, from files or from standard input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lateen::readers::{DocumentChunk, EmbeddingSet, JsonLines, SetDocuments};
use lateen::{Error, Fault, IndexWriter, SparseBatch, Vocabulary};

use crate::arrays::{SparseArrays, SparseFiles, SparsePart, TokenArrays, TokenFiles, TokenPart};
use crate::declared::{Chunk, Fields, Refused};
use crate::failure::{Code, Failure};
use crate::gathered::{Gathered, Terms, sources, wanted};
use crate::progress::Progress;
use crate::words::Words;

/// Documents taken in at once, at most.
const CHUNK: usize = 2048;

/// What may be taken of memory on the way to the writer, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// For the documents that are handed over at once.
    chunk: usize,
    /// For words that have no ids.
    words: usize,
}

impl Room {
    /// The shares of a command that keeps to so much in all.
    pub(crate) fn of(memory: usize) -> Self {
        Self { chunk: memory / 16, words: memory / 4 }
    }

    /// How many documents of so many bytes make a chunk.
    fn documents(self, bytes: u64) -> usize {
        usize::try_from(self.chunk as u64 / bytes.max(1)).unwrap_or(CHUNK).clamp(1, CHUNK)
    }
}

/// What to read.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// An embedding set: a folder of texts and vectors
    #[arg(long, value_name = "DIR", conflicts_with_all = ["texts", "sparse", "tokens"])]
    set: Option<PathBuf>,
    /// Lines of JSON: `id`, `text` or `contents`, attributes, and, where --sparse is not given, the
    /// weights of words as `vector`; `-` reads standard input, `.gz` is decompressed
    #[arg(long, value_name = "FILE")]
    texts: Option<PathBuf>,
    /// Sparse vectors as compressed rows: three .npy with commas between (offsets, term ids,
    /// weights), or one .safetensors with `indptr`, `indices` and `values`. Without --texts the
    /// ids are the numbers of the rows
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
    sparse: Vec<PathBuf>,
    /// Token rows: `[T, dim]` with the rows per document as a second .npy after a comma, or
    /// `[documents, rows, dim]` alone; or one .safetensors with `rows`, and `lengths` for the first
    /// form
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
    tokens: Vec<PathBuf>,
    /// The words of `vector`, or of the term ids of --sparse: one a line, whose ids are the numbers
    /// of the lines from 0, or, in a file named `.tsv`, an id, a word and perhaps its weight in a
    /// query on each. Words get ids as they come without it. The index keeps the words, as it does
    /// those of a set's vocabulary.tsv or vocabulary.txt
    #[arg(long, value_name = "FILE", conflicts_with_all = ["set", "term_ids"])]
    vocabulary: Option<PathBuf>,
    /// The entries of `vector` are term ids, not words
    #[arg(long, requires = "texts", conflicts_with_all = ["set", "sparse"])]
    term_ids: bool,
}

/// Documents that can be read once, and what they have.
pub(crate) enum Source {
    Set(Box<(EmbeddingSet, SetDocuments, Option<Words>)>),
    Lines(Box<Lines>),
}

pub(crate) struct Lines {
    /// What errors call it.
    name: String,
    texts: Option<JsonLines>,
    sparse: Option<SparseFiles>,
    tokens: Option<TokenFiles>,
    /// What the names in `vector` mean; `None` where arrays have the sparse half, or nothing has.
    terms: Option<Terms>,
    /// The words of the arrays' term ids, where they are given.
    named: Option<Words>,
}

impl Args {
    /// Opens what the flags name.
    pub(crate) fn open(&self, room: Room) -> Result<Source, Failure> {
        let files = self.sparse.len() + self.tokens.len();
        if self.set.is_none() && self.texts.is_none() && files == 0 {
            let next = "name a set by --set, lines by --texts, or arrays by --sparse and --tokens";
            return Err(Failure::new(Code::Usage, "no documents given").next(next));
        }
        if let Some(dir) = &self.set {
            let set = EmbeddingSet::open(dir).map_err(Failure::input)?;
            let documents = set.documents().map_err(Failure::input)?;
            let words = Words::of_set(dir)?.filter(|_| documents.has_sparse());
            return Ok(Source::Set(Box::new((set, documents, words))));
        }
        let sparse = SparseFiles::open(&self.sparse)?;
        let tokens = TokenFiles::open(&self.tokens)?;
        let counts = (sparse.as_ref().map(SparseFiles::len), tokens.as_ref().map(TokenFiles::len));
        if let (Some(sparse), Some(tokens)) = counts
            && sparse != tokens
        {
            let what = format!("--sparse has {sparse} documents, --tokens has {tokens}");
            return Err(Failure::new(Code::Input, what).next("take those of the same documents"));
        }
        let (texts, name) = match &self.texts {
            None => (None, "arrays".to_owned()),
            Some(path) if path == Path::new("-") => {
                (Some(JsonLines::new("standard input", std::io::stdin())), "standard input".into())
            }
            Some(path) => {
                (Some(JsonLines::open(path).map_err(Failure::input)?), path.display().to_string())
            }
        };
        let terms = match (&self.vocabulary, self.term_ids) {
            _ if sparse.is_some()
                || (tokens.is_some() && self.vocabulary.is_none() && !self.term_ids) =>
            {
                None
            }
            (_, true) => Some(Terms::Ids),
            (None, _) => Some(Terms::Words(Words::within(room.words))),
            (Some(path), _) => Some(Terms::Words(Words::read(path)?)),
        };
        let named = match &self.vocabulary {
            Some(path) if sparse.is_some() => Some(Words::read(path)?),
            Some(_) if texts.is_none() => {
                let what =
                    "--vocabulary names the terms of --texts or --sparse, which is not given";
                return Err(Failure::new(Code::Usage, what).next("leave it out"));
            }
            _ => None,
        };
        Ok(Source::Lines(Box::new(Lines { name, texts, sparse, tokens, terms, named })))
    }
}

impl Source {
    /// The documents of a set, where they come from one: they can be read again.
    pub(crate) fn set(&self) -> Option<&SetDocuments> {
        match self {
            Self::Set(set) => Some(&set.1),
            Self::Lines(_) => None,
        }
    }

    pub(crate) fn has_sparse(&self) -> bool {
        match self {
            Self::Set(set) => set.1.has_sparse(),
            Self::Lines(lines) => lines.sparse.is_some() || lines.terms.is_some(),
        }
    }

    /// Components of a token row, where there are some.
    pub(crate) fn dim(&self) -> Option<usize> {
        match self {
            Self::Set(set) => set.1.dim(),
            Self::Lines(lines) => lines.tokens.as_ref().map(TokenFiles::dim),
        }
    }

    /// Bytes of memory that the words take, or may come to.
    pub(crate) fn words(&self, room: Room) -> usize {
        match self {
            Self::Set(set) => set.2.as_ref().map_or(0, Words::bytes),
            Self::Lines(lines) => match (&lines.terms, &lines.named) {
                (Some(Terms::Words(words)), _) if words.is_fixed() => words.bytes(),
                (Some(Terms::Words(_)), _) => room.words,
                (_, named) => named.as_ref().map_or(0, Words::bytes),
            },
        }
    }

    /// Takes over the words of an index that is added to.
    pub(crate) fn know(&mut self, vocabulary: &Vocabulary) {
        if let Self::Lines(lines) = self
            && let Some(Terms::Words(words)) = &mut lines.terms
        {
            words.know(vocabulary);
        }
    }

    /// Hands all documents to a writer; gives how many they were. None at all is an error.
    pub(crate) fn take_in(
        self,
        writer: &mut IndexWriter,
        fields: &Fields,
        room: Room,
        replace: bool,
    ) -> Result<u64, Failure> {
        let name = match &self {
            Self::Set(set) => set.0.dir().display().to_string(),
            Self::Lines(lines) => lines.name.clone(),
        };
        let (count, words, given) = match self {
            Self::Set(set) => {
                let count = take_set(&set.0, &set.1, writer, fields, room, replace)?;
                (count, set.2, true)
            }
            Self::Lines(mut lines) => {
                let count = lines.take_in(writer, fields, room, replace)?;
                match lines.terms {
                    Some(Terms::Words(words)) => (count, Some(words), false),
                    _ => (count, lines.named, true),
                }
            }
        };
        if count == 0 {
            let what = format!("{name}: no documents");
            return Err(Failure::new(Code::Input, what).next("a line or a row at least is needed"));
        }
        if let (Some(words), Some(field)) = (words, &fields.sparse) {
            // What is given with term ids says what an index's own words say already.
            if !given || writer.snapshot().vocabulary(field)?.is_none() {
                words.keep(field, writer)?;
            }
        }
        Ok(count)
    }
}

fn take_set(
    set: &EmbeddingSet,
    documents: &SetDocuments,
    writer: &mut IndexWriter,
    fields: &Fields,
    room: Room,
    replace: bool,
) -> Result<u64, Failure> {
    let bar = Progress::new("documents", documents.len());
    let size = room.documents(document_bytes(set, documents.len()));
    let names = fields.names();
    // The set's reader knows `src`; for others its lines are read beside it.
    let mut beside = if names.iter().any(|name| *name != "src") {
        let plain = set.dir().join("texts.jsonl");
        let path = if plain.is_file() { plain } else { set.dir().join("texts.jsonl.gz") };
        Some(JsonLines::open(path).map_err(Failure::input)?)
    } else {
        None
    };
    for chunk in documents.chunks(size).map_err(Failure::input)? {
        let chunk = chunk.map_err(Failure::input)?;
        let mut entries = Vec::with_capacity(chunk.len());
        for source in chunk.sources() {
            entries.push(match &mut beside {
                Some(lines) => {
                    lines.next().transpose().map_err(Failure::input)?;
                    wanted(lines, &names)?
                }
                None if names.is_empty() => BTreeMap::new(),
                None => sources(source.as_deref()),
            });
        }
        let part = Chunk {
            ids: chunk.ids(),
            texts: Some(chunk.texts()),
            entries: &entries,
            sparse: chunk.sparse(),
            tokens: chunk.tokens(),
        };
        fields.add(writer, &part, replace).map_err(|refused| of_set(refused, set, &chunk))?;
        bar.add(chunk.len())?;
    }
    Ok(documents.len() as u64)
}

/// What a document of a set takes in memory, on average: its text, which is kept twice while it is
/// read, and its rows as f32. Vectors of terms are read where they lie.
fn document_bytes(set: &EmbeddingSet, documents: usize) -> u64 {
    let bytes = |name: &str| set.dir().join(name).metadata().map_or(0, |file| file.len());
    let texts = bytes("texts.jsonl") + 4 * bytes("texts.jsonl.gz");
    (2 * (texts + bytes("tok_docs.npy")) / documents.max(1) as u64).saturating_add(256)
}

/// An error of a chunk in the words of the set: rows are those of the whole set, with their id.
fn of_set(refused: Refused, set: &EmbeddingSet, chunk: &DocumentChunk<'_>) -> Failure {
    let place = set.dir().display().to_string();
    explain(refused, &place, chunk.first(), chunk.ids(), None)
}

/// An error of some documents, with the place of the one that is meant.
fn explain(
    refused: Refused,
    name: &str,
    first: usize,
    ids: &[String],
    lines: Option<&[u64]>,
) -> Failure {
    let place = |row: usize| {
        let line = lines.and_then(|lines| lines.get(row));
        let line = line.map_or_else(String::new, |line| format!(": line {line}"));
        let id = ids.get(row).map_or_else(String::new, |id| format!(" (id {id:?})"));
        format!("{name}{line}{id}")
    };
    match refused {
        Refused::Row(row, what) => Failure::new(Code::Input, what).at(place(row)),
        Refused::Error(Error::Input(mut input)) => {
            let row = input.row.and_then(|row| usize::try_from(row).ok());
            let place = row.map_or_else(|| name.to_owned(), place);
            if input.what == Fault::Twice && input.field == "key" {
                let next = "give each document an id of its own";
                return Failure::new(Code::Input, "the id appears twice").next(next).at(place);
            }
            input.row = match lines {
                Some(_) => None, // the line says it
                None => input.row.map(|row| row + first as u64),
            };
            Failure::from(Error::Input(input)).at(place)
        }
        Refused::Error(Error::DuplicateKey { key, .. }) => {
            let id = key.to_string();
            let what = format!("{name}: the id {id:?} appears twice, or is in the index already");
            Failure::new(Code::Input, what)
                .next("give each document an id of its own; `lateen add --replace` replaces")
        }
        Refused::Error(other) => other.into(),
    }
}

impl Lines {
    fn take_in(
        &mut self,
        writer: &mut IndexWriter,
        fields: &Fields,
        room: Room,
        replace: bool,
    ) -> Result<u64, Failure> {
        let sparse = self.sparse.as_ref().map(SparseFiles::arrays).transpose()?;
        let tokens = self.tokens.as_ref().map(TokenFiles::arrays).transpose()?;
        let whole =
            sparse.as_ref().map(SparseArrays::len).or(tokens.as_ref().map(TokenArrays::len));
        let bar = Progress::of("documents", whole);
        // A line takes about four times its bytes as vector, text and JSON.
        let line_bytes = room.chunk / 4;
        let mut first = 0;
        loop {
            let size = tokens.as_ref().map_or(CHUNK, |rows| rows.fit(first, CHUNK, room.chunk));
            let left = whole.map_or(size, |whole| size.min(whole - first));
            let gathered = Gathered::read(
                &self.name,
                self.texts.as_mut(),
                first,
                left,
                line_bytes,
                fields,
                &mut self.terms,
            )?;
            let count = gathered.ids.len();
            if let Some(whole) = whole
                && gathered.ended
                && first + count < whole
            {
                let what = format!(
                    "{}: {} texts, the arrays have {whole} documents",
                    self.name,
                    first + count
                );
                let next = "write files that belong together in one go";
                return Err(Failure::new(Code::Input, what).next(next));
            }
            if count == 0 {
                break;
            }
            let rows = first..first + count;
            let part = sparse.as_ref().map(|arrays| arrays.rows(rows.clone())).transpose()?;
            let of_words = self.terms.as_ref().map(|_| SparseBatch::pairs(&gathered.vectors));
            let tokens = tokens.as_ref().map(|arrays| arrays.rows(rows)).transpose()?;
            let chunk = Chunk {
                ids: &gathered.ids,
                texts: self.texts.is_some().then_some(&gathered.texts),
                entries: &gathered.entries,
                sparse: part.as_ref().map(SparsePart::batch).or(of_words),
                tokens: tokens.as_ref().map(TokenPart::batch),
            };
            let lines = self.texts.is_some().then_some(gathered.lines.as_slice());
            fields
                .add(writer, &chunk, replace)
                .map_err(|refused| explain(refused, &self.name, first, &gathered.ids, lines))?;
            bar.add(count)?;
            first += count;
        }
        if let Some(texts) = &mut self.texts
            && texts.next().transpose().map_err(Failure::input)?.is_some()
        {
            let (line, _) = texts.line();
            let what =
                format!("{}: line {line}: a text more than the arrays have documents", self.name);
            let next = "write files that belong together in one go";
            return Err(Failure::new(Code::Input, what).next(next));
        }
        Ok(first as u64)
    }
}
