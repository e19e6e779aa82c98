//! `lateen explain`: where the scores of documents come from, part by part.

mod page;
mod terminal;

use std::collections::HashMap;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use lateen::readers::{EmbeddingSet, SetQueries, SetQuery};
use lateen::{
    Expansion, ExpansionRow, Explanation, Filter, Hit, Index, Key, KeyKind, Query, TermPart,
};
use serde_json::{Value, json};

use crate::declared::vector_field;
use crate::failure::{Code, Failure};
use crate::output::Output;
use crate::planner::{Asking, Mode, Planner};
use crate::text;

/// Hits among which a key is looked for, where nothing else bounds them.
const DEEPEST: usize = 10_000;

const USAGE: &str = "\
lateen explain <INDEX> [KEY]... --set <DIR>
           [--query <ID>] [--top <K>] [--json] [--html <FILE>]
           [--mode <MODE> and how to search, as `search` has it]";

/// Tell where the scores of documents come from
///
/// For one query of a set and the documents named by their keys, or the first hits where none is
/// named: which terms they share and what each adds, which token of the query met which of the
/// document, and what each search of a fusion gave. The parts are taken from the stored values
/// that the score is made of, so their sum is the score.
#[derive(Debug, clap::Args)]
#[command(override_usage = USAGE)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// The documents to explain [default: the first hits]
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    /// The embedding set that has the query
    #[arg(long, value_name = "DIR")]
    set: PathBuf,
    /// The query, by its id [default: the first of the set]
    #[arg(long, value_name = "ID")]
    query: Option<String>,
    #[command(flatten)]
    asking: Asking,
    /// Hits to explain, where no key is given
    #[arg(long, value_name = "K", default_value = "3", allow_negative_numbers = true)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=1000))]
    #[arg(conflicts_with = "keys")]
    top: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a page with the words that met as a heat map; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// The query that is explained.
pub(crate) struct Asked<'a> {
    pub(crate) id: &'a str,
    pub(crate) text: &'a str,
    /// The bytes of the text that each row of the query stands for.
    spans: Option<&'a [(u32, u32)]>,
    pub(crate) query: Query,
    /// What the index calls its terms, where it has a vocabulary.
    words: HashMap<u32, String>,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(index: &Index, asked: &SetQuery<'a>, query: Query) -> Result<Self, Failure> {
        let words = words(index)?;
        Ok(Self { id: asked.id, text: asked.text, spans: asked.spans, query, words })
    }

    /// What a row of the query stands for.
    fn word(&self, row: usize) -> String {
        match self.spans {
            // Those of feedback stand behind the query's own.
            Some(spans) if row >= spans.len() => format!("added row {row}"),
            spans => word(self.text, spans.map(|spans| spans[row]), row),
        }
    }

    /// What each part of a hit's score adds, as data; `text` is the hit's.
    pub(crate) fn parts(&self, index: &Index, hit: &Hit, text: &str) -> Result<Value, Failure> {
        Ok(parts(self, text, &index.explain(&self.query, hit)?))
    }

    fn term(&self, term: u32) -> String {
        self.words.get(&term).cloned().unwrap_or_else(|| format!("term {term}"))
    }
}

/// The words of an index by their terms; none where it keeps no vocabulary.
pub(crate) fn words(index: &Index) -> Result<HashMap<u32, String>, Failure> {
    let schema = index.schema();
    let Ok(field) = schema.sparse(&vector_field(&schema, "sparse")) else {
        return Ok(HashMap::new());
    };
    let words = index.vocabulary(&field)?;
    let words = words.iter().flat_map(lateen::Vocabulary::iter);
    Ok(words.map(|(word, term, _)| (term, word.to_owned())).collect())
}

/// The piece of a text that a row stands for.
pub(crate) fn word(text: &str, span: Option<(u32, u32)>, row: usize) -> String {
    let piece = span.and_then(|(start, end)| text.get(start as usize..end as usize));
    piece.filter(|piece| !piece.is_empty()).map_or(format!("row {row}"), str::to_owned)
}

/// The terms of an explanation, what gives most first.
pub(crate) fn by_weight(told: &Explanation) -> Vec<TermPart> {
    let mut parts = told.terms.clone();
    parts.sort_by(|a, b| b.contribution().total_cmp(&a.contribution()));
    parts
}

/// A document and where its score comes from.
pub(crate) struct Told {
    /// Its rank, from 1; `None` where it is no hit.
    place: Option<usize>,
    key: String,
    score: Option<f32>,
    text: String,
    parts: Explanation,
    /// What is to be known beside that.
    note: Option<&'static str>,
}

/// A set that there is nothing to ask of.
pub(crate) fn no_queries() -> Failure {
    Failure::new(Code::Input, "no queries").next("queries.jsonl needs a line at least")
}

/// The queries' one that was asked for.
pub(crate) fn chosen<'a>(
    queries: &'a SetQueries,
    id: Option<&str>,
) -> Result<SetQuery<'a>, Failure> {
    let found = match id {
        None => queries.get(0),
        Some(id) => queries.iter().find(|query| query.id == id),
    };
    found.ok_or_else(|| {
        let (Some(id), Some(first)) = (id, queries.get(0)) else {
            return no_queries();
        };
        let what = format!("{id}: no such query");
        let there = text::many(queries.len() as u64, "query");
        Failure::new(Code::Input, what)
            .next(format!("queries.jsonl has the ids of {there}; the first is {}", first.id))
    })
}

/// Explains; gives what is printed.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let index = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?;
    let set = EmbeddingSet::open(&args.set).map_err(Failure::input)?;
    let queries = set.queries().map_err(Failure::input)?;
    let from = chosen(&queries, args.query.as_deref()).map_err(|f| f.at(args.set.display()))?;
    let mode = args.asking.mode(&index, &queries)?;
    let planner = Planner::new(&index, &args.index, mode, args.asking.settings(args.top))?;
    let query = planner.query(&from).map_err(|failure| failure.at(set.dir().display()))?;
    let asked = Asked::new(&index, &from, query)?;
    let output = args.html.as_deref().map(Output::create).transpose()?;
    let told = if args.keys.is_empty() {
        first(&index, &asked.query)?
    } else {
        let simple = matches!(mode, Mode::Sparse | Mode::Tokens);
        let key = |key: &String| named(&index, &asked.query, &args.asking, simple, key);
        args.keys.iter().map(key).collect::<Result<_, _>>()?
    };
    if let Some(output) = output {
        output.finish(|out| out.write_all(page::page(&asked, &told).as_bytes()))?;
    }
    Ok(match (args.json, &args.html) {
        (true, _) => format!("{:#}\n", data(&asked, &told)),
        (false, Some(file)) => {
            let count = text::many(told.len() as u64, "document");
            format!("{}: {count}; open it in a browser\n", file.display())
        }
        (false, None) => {
            let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            terminal::shown(&asked, &told, colours)
        }
    })
}

/// Explains every hit of a query into a file: a page, or data by its name.
pub(crate) fn write(index: &Index, asked: &Asked<'_>, file: &Path) -> Result<(), Failure> {
    let output = Output::create(file)?;
    let told = first(index, &asked.query)?;
    let text = if file.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) {
        format!("{:#}\n", data(asked, &told))
    } else {
        page::page(asked, &told)
    };
    output.finish(|out| out.write_all(text.as_bytes()))
}

/// The hits of a query.
fn first(index: &Index, query: &Query) -> Result<Vec<Told>, Failure> {
    let mut all = Vec::new();
    for (place, hit) in (1..).zip(&index.search(query)?) {
        all.push(Told {
            place: Some(place),
            key: hit.key().to_string(),
            score: finite(hit.score()),
            text: String::from_utf8_lossy(&hit.payload()?.unwrap_or_default()).into_owned(),
            parts: index.explain(query, hit)?,
            note: None,
        });
    }
    Ok(all)
}

/// The document of a key, whether or not the query finds it.
fn named(
    index: &Index,
    query: &Query,
    asking: &Asking,
    simple: bool,
    name: &str,
) -> Result<Told, Failure> {
    let refuse = |what: &str| Failure::new(Code::Input, format!("{name}: {what}"));
    let key = match index.schema().key_kind() {
        KeyKind::Str => Key::from(name),
        KeyKind::U64 => {
            let number = name.parse::<u64>();
            Key::from(number.map_err(|_| refuse("keys of this index are whole numbers"))?)
        }
    };
    let stored = index.get(key.clone())?;
    let stored = stored.ok_or_else(|| {
        refuse("no document of the index has this key").next("`lateen search` shows those of hits")
    })?;
    let text = String::from_utf8_lossy(&stored.payload()?.unwrap_or_default()).into_owned();
    let mut told = Told {
        place: None,
        key: name.to_owned(),
        score: None,
        text,
        parts: Explanation::default(),
        note: None,
    };
    // Of more hits than candidates there are none, and more candidates would be another query.
    let deep = query.clone().candidates(asking.candidates()).top(if simple {
        DEEPEST
    } else {
        asking.candidates().min(DEEPEST)
    });
    let query = if simple { query } else { &deep };
    let hits = index.search(&deep)?;
    if let Some((place, hit)) = (1..).zip(&hits).find(|(_, hit)| *hit.key() == key) {
        told.place = Some(place);
        told.score = finite(hit.score());
        told.parts = index.explain(query, hit)?;
        return Ok(told);
    }
    // Alone, it is found by whatever finds it at all.
    let alone = index.search(&deep.clone().filter(Filter::keys([key])).top(1))?;
    let Some(hit) = alone.first() else {
        told.note = Some("It has nothing in common with the query, or does not pass the filter.");
        return Ok(told);
    };
    told.parts = index.explain(query, hit)?;
    if simple {
        told.score = Some(told.parts.sum());
    }
    told.note = Some(if simple {
        "It is not among the hits that were looked through."
    } else {
        "It is not among the candidates, so it is no hit whatever its parts say."
    });
    Ok(told)
}

/// JSON has no infinity.
fn finite(score: f32) -> Option<f32> {
    score.is_finite().then_some(score)
}

/// What each search of a fusion gave, a line each.
fn fused(told: &Explanation) -> Vec<String> {
    let line = |(number, part): (usize, &lateen::FusionPart)| {
        let rank = part.rank.map_or("none".to_owned(), |rank| rank.to_string());
        let own = part.score.map_or("unknown".to_owned(), |score| format!("{score:.4}"));
        // Where MaxSim decides, the searches give candidates and no part of the score.
        let adds = match part.contribution {
            0.0 => String::new(),
            adds => format!(", adds {adds:.4}"),
        };
        let of = match &part.explanation {
            own if !own.terms.is_empty() => " (sparse)",
            own if !own.tokens.is_empty() => " (tokens)",
            _ => "",
        };
        format!("search {number}{of}: rank {rank}, score {own}{adds}")
    };
    (1..).zip(&told.parts).map(line).collect()
}

/// Terms that are shown of what feedback adds.
const ADDED: usize = 12;

/// What feedback has added to the query, a line each.
fn added(asked: &Asked<'_>, told: &Explanation) -> Vec<String> {
    let Some(added) = &told.feedback else { return Vec::new() };
    let from: Vec<String> = added.documents.iter().map(ToString::to_string).collect();
    let mut lines = vec![format!("feedback is from {}", from.join(", "))];
    for terms in &added.terms {
        let mut terms = terms.clone();
        terms.sort_by(|a, b| b.1.total_cmp(&a.1));
        let shown = terms.iter().take(ADDED);
        let shown = shown.map(|(term, weight)| format!("{} {weight:.3}", asked.term(*term)));
        let count = text::many(terms.len() as u64, "term");
        let shown = shown.collect::<Vec<_>>().join(", ");
        lines.push(format!("it adds to the weights of {count}, most to {shown}"));
    }
    for rows in &added.rows {
        lines.push(format!("it adds {}", text::many(rows.len() as u64, "token row")));
    }
    lines
}

/// The same as data.
fn added_data(asked: &Asked<'_>, added: &Expansion) -> Value {
    let terms = added.terms.iter().map(|terms| {
        let term = |&(term, adds): &(u32, f32)| {
            json!({ "term": term, "word": asked.words.get(&term), "adds": adds })
        };
        terms.iter().map(term).collect::<Vec<_>>()
    });
    let rows = added.rows.iter().map(|rows| {
        let row = |row: &ExpansionRow| {
            json!({ "weight": row.weight, "support": row.support, "background": row.background,
                "rows": row.rows })
        };
        rows.iter().map(row).collect::<Vec<_>>()
    });
    let documents = added.documents.iter().map(ToString::to_string);
    json!({ "documents": documents.collect::<Vec<_>>(), "terms": terms.collect::<Vec<_>>(),
        "rows": rows.collect::<Vec<_>>() })
}

fn data(asked: &Asked<'_>, told: &[Told]) -> Value {
    let hits = told.iter().map(|one| {
        let mut value = parts(asked, &one.text, &one.parts);
        value["key"] = json!(one.key);
        value["rank"] = json!(one.place);
        value["score"] = json!(one.score);
        if let Some(note) = one.note {
            value["note"] = json!(note);
        }
        value
    });
    let hits: Vec<Value> = hits.collect();
    json!({ "query": asked.id, "text": asked.text, "hits": hits })
}

fn parts(asked: &Asked<'_>, text: &str, told: &Explanation) -> Value {
    let terms = told.terms.iter().map(|part| {
        json!({
            "term": part.term,
            "word": asked.words.get(&part.term),
            "query": part.query_weight,
            "document": part.document_weight,
            "adds": part.contribution(),
        })
    });
    let tokens = told.tokens.iter().map(|part| {
        json!({
            "query": part.query_row,
            "query_word": asked.word(part.query_row),
            "document": part.document_row,
            "document_word": word(text, part.span, part.document_row),
            "adds": part.score,
            "bytes": part.span.map(|(start, end)| [start, end]),
        })
    });
    let fused = told.parts.iter().map(|part| {
        let mut value = parts(asked, text, &part.explanation);
        value["rank"] = json!(part.rank);
        value["score"] = json!(part.score.and_then(finite));
        value["adds"] = json!(part.contribution);
        value
    });
    let highlights = told.highlights();
    let highlights = highlights.iter().map(
        |piece| json!({ "bytes": [piece.bytes.start, piece.bytes.end], "score": piece.score }),
    );
    let added = told.feedback.as_ref().map(|added| added_data(asked, added));
    json!({
        "sum": finite(told.sum()),
        "feedback": added,
        "terms": terms.collect::<Vec<_>>(),
        "tokens": tokens.collect::<Vec<_>>(),
        "parts": fused.collect::<Vec<_>>(),
        "highlights": highlights.collect::<Vec<_>>(),
    })
}
