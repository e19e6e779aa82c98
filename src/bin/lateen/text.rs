//! Numbers and columns as people read them.

use std::fmt::Write;

/// What a command has to tell: to a person, or to a program.
pub(crate) fn told(json: bool, data: &serde_json::Value, text: String) -> String {
    if json { format!("{data:#}\n") } else { text }
}

/// A count with its thousands apart: `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 document`, `2 documents`, `3 queries`.
pub(crate) fn many(number: u64, of: &str) -> String {
    let number_of = count(number);
    match (number, of.strip_suffix('y')) {
        (1, _) => format!("{number_of} {of}"),
        (_, Some(stem)) => format!("{number_of} {stem}ies"),
        (_, None) => format!("{number_of} {of}s"),
    }
}

/// A number of bytes in the unit that leaves three or four digits: `12.3 MiB`.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Nothing of a text moves the cursor, changes colours or begins a line.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One fact a line: its name, then its value in a column of its own.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in facts {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<10}  {value}");
    }
    text
}

/// Rows as columns two spaces apart. Those whose heading starts with `>` stand to the right.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let titles: Vec<&str> = heading.iter().map(|title| title.trim_start_matches('>')).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([titles[column].chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let mut text = String::new();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for ((cell, width), title) in cells.zip(&widths).zip(heading) {
            let gap = if line.is_empty() { "" } else { "  " };
            let _ = if title.starts_with('>') {
                write!(line, "{gap}{cell:>width$}")
            } else {
                write!(line, "{gap}{cell:<width$}")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(&mut titles.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(count(number), text);
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(many(1, "request"), "1 request");
        assert_eq!((many(0, "hit"), many(1001, "hit")), ("0 hits".into(), "1,001 hits".into()));
        assert_eq!((many(1, "query"), many(2, "query")), ("1 query".into(), "2 queries".into()));
    }

    #[test]
    fn bytes_have_a_unit() {
        let cases = [
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (12 * (1 << 30), "12.0 GiB"),
        ];
        for (number, text) in cases {
            assert_eq!(bytes(number), text);
        }
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["bcd".to_owned(), "100".to_owned()]];
        assert_eq!(table(&["x", ">n"], &rows), "x      n\na      1\nbcd  100\n");
    }
}
