//! Where the scores of a query's hits come from, as data or as a page that needs nothing else: the
//! text with the words that met the query shaded, and below it which word of the query met which.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use lateen::{Explanation, Hit, Index, Query, TokenPart};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::Output;

/// The query that is explained.
pub(crate) struct Asked<'a> {
    pub(crate) id: &'a str,
    pub(crate) text: &'a str,
    /// The bytes of the text that each row of the query stands for.
    pub(crate) spans: Option<&'a [(u32, u32)]>,
    pub(crate) query: Query,
}

/// By light and in the dark: `--m` is the shade of what met, on which the text stays readable.
const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--faint:#5f6670;--line:#e6e8ea;--m:245 166 35}\
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--paper:#16181d;--faint:#a3abb5;--line:#2f343c;--m:158 96 0}}\
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;\
color:var(--ink);background:var(--paper)}\
h1{font-size:1.3rem}h2{font-size:1.05rem;margin:2rem 0 .3rem}p{margin:.4rem 0;overflow-wrap:anywhere}\
.s{color:var(--faint);font-weight:400}mark{color:inherit;border-radius:2px}\
table{border-collapse:collapse;font-size:12px;margin:.6rem 0;display:block;overflow-x:auto}\
th{font-weight:400;text-align:right;padding:0 .4rem;white-space:nowrap}\
thead th{writing-mode:vertical-rl;transform:rotate(180deg);text-align:left;padding:.3rem 0}\
td{min-width:2.1rem;height:1.5rem;text-align:center;border:1px solid var(--line)}\
td.n{border:0;text-align:right;padding:0 .4rem;width:auto}";

/// Explains every hit of the query.
pub(crate) fn write(index: &Index, asked: &Asked<'_>, file: &Path) -> Result<(), Failure> {
    let output = Output::create(file)?;
    let hits = index.search(&asked.query)?;
    let mut told = Vec::with_capacity(hits.len());
    for hit in &hits {
        told.push((hit, index.explain(&asked.query, hit)?));
    }
    let text = if file.extension().is_some_and(|end| end.eq_ignore_ascii_case("json")) {
        let hits: Vec<Value> = told.iter().map(|(hit, told)| data(hit, told)).collect();
        format!("{:#}\n", json!({ "query": asked.id, "text": asked.text, "hits": hits }))
    } else {
        page(asked, &told)?
    };
    output.finish(|out| out.write_all(text.as_bytes()))
}

fn data(hit: &Hit, told: &Explanation) -> Value {
    let mut value = parts(told);
    value["key"] = json!(hit.key().to_string());
    value["score"] = json!(finite(hit.score()));
    value
}

/// JSON has no infinity.
fn finite(score: f32) -> Option<f32> {
    score.is_finite().then_some(score)
}

fn parts(told: &Explanation) -> Value {
    let terms = told.terms.iter().map(|part| {
        json!({
            "term": part.term,
            "query": part.query_weight,
            "document": part.document_weight,
            "adds": part.contribution(),
        })
    });
    let tokens = told.tokens.iter().map(|part| {
        json!({
            "query": part.query_row,
            "document": part.document_row,
            "adds": part.score,
            "bytes": part.span.map(|(start, end)| [start, end]),
        })
    });
    let fused = told.parts.iter().map(|part| {
        let mut value = parts(&part.explanation);
        value["rank"] = json!(part.rank);
        value["score"] = json!(part.score.and_then(finite));
        value["adds"] = json!(part.contribution);
        value
    });
    let highlights = told.highlights();
    let highlights = highlights.iter().map(
        |piece| json!({ "bytes": [piece.bytes.start, piece.bytes.end], "score": piece.score }),
    );
    json!({
        "terms": terms.collect::<Vec<_>>(),
        "tokens": tokens.collect::<Vec<_>>(),
        "parts": fused.collect::<Vec<_>>(),
        "highlights": highlights.collect::<Vec<_>>(),
    })
}

fn page(asked: &Asked<'_>, told: &[(&Hit, Explanation)]) -> Result<String, Failure> {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{0}</title>\
         <style>{STYLE}</style>\n<h1>{1} <span class=\"s\">{0}</span></h1>\n",
        escaped(asked.id),
        escaped(asked.text),
    );
    // Writing to a string does not fail.
    for (place, (hit, told)) in (1..).zip(told) {
        let text = hit.payload()?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let (key, score) = (hit.key().to_string(), hit.score());
        let _ = writeln!(
            page,
            "<h2>{place}. {} <span class=\"s\">{score:.4}</span></h2>\n<p>{}</p>",
            escaped(&key),
            shaded(&text, told),
        );
        for (number, part) in (1..).zip(&told.parts) {
            let rank = part.rank.map_or("none".to_owned(), |rank| rank.to_string());
            let own = part.score.map_or("unknown".to_owned(), |score| format!("{score:.4}"));
            // Where MaxSim decides, the searches give candidates and no part of the score.
            let adds = match part.contribution {
                0.0 => String::new(),
                adds => format!(", adds {adds:.4}"),
            };
            let _ = writeln!(
                page,
                "<p class=\"s\">search {number}: rank {rank}, score {own}{adds}</p>"
            );
        }
        let mut before = String::new();
        for told in std::iter::once(told).chain(told.parts.iter().map(|part| &part.explanation)) {
            // The same rows meet in a search and where its candidates are decided.
            let met = alignment(asked, &text, &told.tokens);
            if !met.is_empty() && met != before {
                page.push_str(&met);
                before = met;
            }
            page.push_str(&terms(told));
        }
    }
    Ok(page)
}

/// The text with the pieces that met the query shaded by what they gave.
fn shaded(text: &str, told: &Explanation) -> String {
    let pieces = told.highlights();
    let most = pieces.iter().map(|piece| piece.score).fold(0.0, f32::max);
    let mut out = String::with_capacity(2 * text.len());
    let mut done = 0;
    for piece in &pieces {
        let (start, end) = (piece.bytes.start as usize, piece.bytes.end as usize);
        let (Some(before), Some(met)) = (text.get(done..start), text.get(start..end)) else {
            continue; // the spans are of another text than the payload
        };
        let _ = write!(
            out,
            "{}<mark style=\"background:{}\" title=\"{:.3}\">{}</mark>",
            escaped(before),
            shade(piece.score / most),
            piece.score,
            escaped(met)
        );
        done = end;
    }
    out.push_str(&escaped(text.get(done..).unwrap_or_default()));
    out
}

/// A row for each row of the query, a column for each word of the text that any of them met.
fn alignment(asked: &Asked<'_>, text: &str, met: &[TokenPart]) -> String {
    if met.is_empty() {
        return String::new();
    }
    let word = |text: &str, span: Option<(u32, u32)>, row: usize| {
        let piece = span.and_then(|(start, end)| text.get(start as usize..end as usize));
        piece.filter(|piece| !piece.is_empty()).map_or(format!("row {row}"), escaped)
    };
    let columns: BTreeMap<usize, String> = met
        .iter()
        .map(|part| (part.document_row, word(text, part.span, part.document_row)))
        .collect();
    let most = met.iter().map(|part| part.score).fold(0.0, f32::max);
    let mut out = "<table><thead><tr><th></th>".to_owned();
    for word in columns.values() {
        let _ = write!(out, "<th>{word}</th>");
    }
    out.push_str("</tr></thead>\n");
    for part in met {
        let span = asked.spans.and_then(|spans| spans.get(part.query_row)).copied();
        let _ = write!(out, "<tr><th>{}</th>", word(asked.text, span, part.query_row));
        for row in columns.keys() {
            if *row == part.document_row {
                let colour = shade(part.score / most);
                let _ = write!(out, "<td style=\"background:{colour}\">{:.2}</td>", part.score);
            } else {
                out.push_str("<td></td>");
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
    out
}

/// The terms, what gives most first.
fn terms(told: &Explanation) -> String {
    if told.terms.is_empty() {
        return String::new();
    }
    let mut parts = told.terms.clone();
    parts.sort_by(|a, b| b.contribution().total_cmp(&a.contribution()));
    let most = parts.first().map_or(0.0, lateen::TermPart::contribution);
    let mut out = "<table>".to_owned();
    for part in parts {
        let _ = writeln!(
            out,
            "<tr><th>term {}</th><td style=\"background:{}\">{:.2}</td>\
             <td class=\"n\">{:.3} × {:.3}</td></tr>",
            part.term,
            shade(part.contribution() / most),
            part.contribution(),
            part.query_weight,
            part.document_weight
        );
    }
    out.push_str("</table>\n");
    out
}

/// From the paper to the shade of what met.
fn shade(share: f32) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    format!("rgb(var(--m) / {share:.2})")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_markup() {
        assert_eq!(escaped("<b a=\"x\">&'"), "&lt;b a=&quot;x&quot;&gt;&amp;'");
        assert_eq!(shade(f32::NAN), "rgb(var(--m) / 0.00)");
        assert_eq!(shade(2.0), "rgb(var(--m) / 1.00)");
    }
}
