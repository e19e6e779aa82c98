//! Where scores come from as a page that needs nothing else: the text with the words that met the
//! query shaded, and below it which word of the query met which.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use lateen::{Explanation, TermPart, TokenPart};

use super::{Asked, Told};

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
td.n{border:0;text-align:right;padding:0 .4rem;width:auto}\
th.a{color:var(--faint);font-style:italic}\
thead th.a{writing-mode:horizontal-tb;transform:none;text-align:right;vertical-align:bottom;padding:0 .4rem}";

pub(super) fn page(asked: &Asked<'_>, told: &[Told]) -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{0}</title>\
         <style>{STYLE}</style>\n<h1>{1} <span class=\"s\">{0}</span></h1>\n",
        escaped(asked.id),
        escaped(asked.text),
    );
    // Writing to a string does not fail.
    for one in told {
        let place = one.place.map_or_else(String::new, |place| format!("{place}. "));
        let score = one.score.map_or_else(String::new, |score| format!("{score:.4}"));
        let _ = writeln!(
            page,
            "<h2>{place}{} <span class=\"s\">{score}</span></h2>\n<p>{}</p>",
            escaped(&one.key),
            shaded(&one.text, &one.parts),
        );
        if let Some(note) = one.note {
            let _ = writeln!(page, "<p class=\"s\">{note}</p>");
        }
        let mut lines = super::added(asked, &one.parts);
        lines.extend(super::fused(&one.parts));
        for line in lines {
            let _ = writeln!(page, "<p class=\"s\">{}</p>", escaped(&line));
        }
        let mut before = String::new();
        let parts = one.parts.parts.iter().map(|part| &part.explanation);
        for told in std::iter::once(&one.parts).chain(parts) {
            // The same rows meet in a search and where its candidates are decided.
            let met = alignment(asked, &one.text, &told.tokens);
            if !met.is_empty() && met != before {
                page.push_str(&met);
                before = met;
            }
            page.push_str(&terms(asked, told));
        }
    }
    page
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

/// A row for each row of the query, a column for each word of the text that any of them met; both
/// axes say what they are.
fn alignment(asked: &Asked<'_>, text: &str, met: &[TokenPart]) -> String {
    if met.is_empty() {
        return String::new();
    }
    let columns: BTreeMap<usize, String> = met
        .iter()
        .map(|part| (part.document_row, escaped(&super::word(text, part.span, part.document_row))))
        .collect();
    let most = met.iter().map(|part| part.score).fold(0.0, f32::max);
    let mut out =
        "<p class=\"s\">How alike each word of the query (a row) is to the word of the document \
                   that it met (a column)</p><table><thead><tr>\
                   <th class=\"a\">document →<br>query ↓</th>"
            .to_owned();
    for word in columns.values() {
        let _ = write!(out, "<th>{word}</th>");
    }
    out.push_str("</tr></thead>\n");
    for part in met {
        let _ = write!(out, "<tr><th>{}</th>", escaped(&asked.word(part.query_row)));
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
fn terms(asked: &Asked<'_>, told: &Explanation) -> String {
    let parts = super::by_weight(told);
    let most = parts.first().map_or(0.0, TermPart::contribution);
    if parts.is_empty() {
        return String::new();
    }
    let mut out =
        "<p class=\"s\">Terms that both have, and what each adds: its weight in the query × its \
                   weight in the document</p><table>"
            .to_owned();
    for part in parts {
        let _ = writeln!(
            out,
            "<tr><th>{}</th><td style=\"background:{}\">{:.2}</td>\
             <td class=\"n\">{:.3} × {:.3}</td></tr>",
            escaped(&asked.term(part.term)),
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
