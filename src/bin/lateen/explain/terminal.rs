//! Where scores come from, as lines for a terminal: the words that met in colours where it has
//! them, a bar for what each part adds everywhere.

use std::fmt::Write as _;

use lateen::Explanation;

use super::{Asked, Told};
use crate::text::{plain, table};

/// Backgrounds from what met a little to what met most, as numbers of the 256 colours; dark
/// enough for light letters.
const SHADES: [u8; 4] = [236, 58, 94, 130];
/// Terms shown of each search; the rest is summed up in a line.
const TERMS: usize = 20;
/// Letters of a text that are shown.
const LETTERS: usize = 700;

pub(super) fn shown(asked: &Asked<'_>, told: &[Told], colours: bool) -> String {
    let mut out = format!("{}  {}\n", plain(asked.id), plain(asked.text));
    if told.is_empty() {
        out.push_str("\nno hits\n");
    }
    // Writing to a string does not fail.
    for one in told {
        let place = one.place.map_or_else(String::new, |place| format!("{place}. "));
        let score = one.score.map_or_else(String::new, |score| format!("  {score:.6}"));
        let _ = writeln!(out, "\n{place}{}{score}", plain(&one.key));
        if let Some(note) = one.note {
            let _ = writeln!(out, "{note}");
        }
        if one.score.is_some() {
            let _ = writeln!(out, "the parts add up to {:.6}", one.parts.sum());
        }
        let _ = writeln!(out, "{}", shaded(&one.text, &one.parts, colours));
        let mut lines = super::added(asked, &one.parts);
        lines.extend(super::fused(&one.parts));
        for line in lines {
            let _ = writeln!(out, "{}", plain(&line));
        }
        let mut before = String::new();
        let parts = one.parts.parts.iter().map(|part| &part.explanation);
        for told in std::iter::once(&one.parts).chain(parts) {
            let met = tokens(asked, &one.text, told);
            // The same rows meet in a search and where its candidates are decided.
            if !met.is_empty() && met != before {
                out.push_str(&met);
                before = met;
            }
            out.push_str(&terms(asked, told));
        }
    }
    out
}

/// The start of the text, with what met the query on a background.
fn shaded(text: &str, told: &Explanation, colours: bool) -> String {
    let shown = text.char_indices().nth(LETTERS).map_or(text.len(), |(at, _)| at);
    let pieces = told.highlights();
    let most = pieces.iter().map(|piece| piece.score).fold(0.0, f32::max);
    let (mut out, mut done) = (String::new(), 0);
    for piece in pieces.iter().filter(|_| colours) {
        let (start, end) = (piece.bytes.start as usize, piece.bytes.end as usize);
        let (Some(before), Some(met)) = (text.get(done..start), text.get(start..end)) else {
            continue; // the spans are of another text than the payload
        };
        if end > shown {
            break;
        }
        let share = (piece.score / most).clamp(0.0, 1.0);
        let shade = SHADES[((share * SHADES.len() as f32) as usize).min(SHADES.len() - 1)];
        let _ = write!(out, "{}\x1b[97;48;5;{shade}m{}\x1b[0m", plain(before), plain(met));
        done = end;
    }
    out.push_str(&plain(text.get(done..shown).unwrap_or_default()));
    if shown < text.len() {
        out.push('…');
    }
    out
}

/// Up to ten signs wide.
fn bar(share: f32) -> String {
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    "█".repeat((share * 10.0).round() as usize)
}

fn tokens(asked: &Asked<'_>, text: &str, told: &Explanation) -> String {
    if told.tokens.is_empty() {
        return String::new();
    }
    let most = told.tokens.iter().map(|part| part.score).fold(0.0, f32::max);
    let rows: Vec<Vec<String>> = told
        .tokens
        .iter()
        .map(|part| {
            vec![
                plain(&asked.word(part.query_row)),
                plain(&super::word(text, part.span, part.document_row)),
                part.document_row.to_string(),
                format!("{:.4}", part.score),
                bar(part.score / most),
            ]
        })
        .collect();
    table(&["  of the query", "met", ">row", ">adds", ""], &indented(rows))
}

fn terms(asked: &Asked<'_>, told: &Explanation) -> String {
    let parts = super::by_weight(told);
    let most = parts.first().map_or(0.0, lateen::TermPart::contribution);
    if parts.is_empty() {
        return String::new();
    }
    let rows: Vec<Vec<String>> = parts
        .iter()
        .take(TERMS)
        .map(|part| {
            vec![
                plain(&asked.term(part.term)),
                format!("{:.4}", part.query_weight),
                format!("{:.4}", part.document_weight),
                format!("{:.4}", part.contribution()),
                bar(part.contribution() / most),
            ]
        })
        .collect();
    let mut out =
        table(&["  term", ">in the query", ">in the document", ">adds", ""], &indented(rows));
    if let Some(rest) = parts.get(TERMS..).filter(|rest| !rest.is_empty()) {
        let adds: f32 = rest.iter().map(lateen::TermPart::contribution).sum();
        let _ = writeln!(out, "  and {} terms more, which add {adds:.4}", rest.len());
    }
    out
}

fn indented(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    for row in &mut rows {
        row[0].insert_str(0, "  ");
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_steer_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a [2Jb c");
        assert_eq!((bar(2.0).chars().count(), bar(f32::NAN).len()), (10, 0));
    }
}
