//! From JSON lines to a Markdown table, with each engine's time as a multiple of Lateen's.

use std::fmt::Write as _;

use crate::Outcome;
use crate::report::{Machine, Row};

/// How much lower than a peer's recall the recall of a Lateen setting may be that it is measured
/// against.
const SLACK: f64 = 0.0005;

/// The first machine's line and all rows; lines that are neither are refused.
///
/// # Errors
/// The line that is no such line.
pub fn parse(lines: &str) -> Outcome<(Vec<Machine>, Vec<Row>)> {
    let (mut machines, mut rows): (Vec<Machine>, Vec<Row>) = (Vec::new(), Vec::new());
    for line in lines.lines().filter(|line| !line.trim().is_empty()) {
        let value: serde_json::Value = serde_json::from_str(line)?;
        if let Some(machine) = value.get("machine") {
            machines.push(serde_json::from_value(machine.clone())?);
        } else if value.get("engine").is_some() {
            rows.push(serde_json::from_value(value)?);
        } else {
            return Err(format!("neither a machine nor a row: {line}").into());
        }
    }
    Ok((machines, rows))
}

/// The tables: one for each task, set, kind of queries and number of hits.
///
/// # Errors
/// None that can be expected.
pub fn render(machines: &[Machine], rows: &[Row]) -> Outcome<String> {
    let mut out = String::new();
    for machine in machines {
        let Machine { cpu, cpus, kernel_level, load } = machine;
        writeln!(
            out,
            "{cpu}, {cpus} processors, Lateen's kernels: {kernel_level}, load at the start: {load}\n"
        )?;
    }
    let mut done: Vec<(&str, &str, &str, usize)> = Vec::new();
    for row in rows {
        let key = key(row);
        if done.contains(&key) {
            continue;
        }
        done.push(key);
        let table: Vec<&Row> = rows.iter().filter(|other| self::key(other) == key).collect();
        one(&mut out, &table)?;
    }
    writeln!(
        out,
        "× Lateen: the median over that of Lateen's fastest setting with at least the same recall \
         (best kernel level). µs: the least of the passes for each query, then over all queries."
    )?;
    Ok(out)
}

fn key(row: &Row) -> (&str, &str, &str, usize) {
    (&row.task, &row.set, &row.queries, row.k)
}

fn one(out: &mut String, rows: &[&Row]) -> Outcome<()> {
    let Some(first) = rows.first() else { return Ok(()) };
    let rerank = first.us_per_document.is_some();
    writeln!(
        out,
        "### {}: {}, {} queries, top {}\n",
        first.task, first.set, first.queries, first.k
    )?;
    let more = if rerank { " µs/document | largest error |" } else { "" };
    writeln!(
        out,
        "| engine | setting | recall@10 | recall@100 | p50 µs | p99 µs | mean µs |{more} × Lateen | \
         build s (threads) | bytes per unit | own + mapped MiB |"
    )?;
    writeln!(out, "|{}", "---|".repeat(if rerank { 13 } else { 11 }))?;
    for row in rows {
        let optional = |value: Option<f64>, decimals: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.decimals$}"))
        };
        write!(
            out,
            "| {} {} ({}) | {} | {:.3} | {} | {:.1} | {:.1} | {:.1} |",
            row.engine,
            row.version,
            row.language,
            row.setting,
            row.recall10,
            optional(row.recall100, 3),
            row.p50_us,
            row.p99_us,
            row.mean_us,
        )?;
        if rerank {
            write!(
                out,
                " {} | {} |",
                optional(row.us_per_document, 2),
                optional(row.max_error, 4)
            )?;
        }
        writeln!(
            out,
            " {} | {} ({}) | {} | {:.0} + {:.0} |",
            optional(ratio(row, rows), 2),
            optional(row.build_s, 1),
            row.build_threads,
            optional(row.bytes_per_unit, 2),
            row.own_mib,
            row.mapped_mib,
        )?;
    }
    out.push('\n');
    Ok(())
}

/// A row's median over that of Lateen's fastest setting with at least the same recall.
fn ratio(row: &Row, rows: &[&Row]) -> Option<f64> {
    let recall = |row: &Row| row.recall100.unwrap_or(row.recall10);
    let rivals = rows
        .iter()
        .filter(|other| other.engine.starts_with("lateen") && recall(other) >= recall(row) - SLACK);
    let fastest = rivals.map(|other| other.p50_us).min_by(f64::total_cmp)?;
    Some(row.p50_us / fastest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(engine: &str, recall10: f64, p50_us: f64) -> Row {
        let (engine, task) = (engine.to_owned(), "sparse".to_owned());
        Row { engine, task, recall10, p50_us, k: 10, ..Row::default() }
    }

    #[test]
    fn a_peer_is_held_against_lateen_at_its_own_recall() {
        let (exact, quick) = (row("lateen", 1.0, 80.0), row("lateen-quantised", 0.995, 50.0));
        let (peer, poor) = (row("peer", 1.0, 400.0), row("peer", 0.95, 150.0));
        let rows = [&exact, &quick, &peer, &poor];
        assert_eq!(ratio(&peer, &rows), Some(5.0));
        assert_eq!(ratio(&poor, &rows), Some(3.0));
        assert_eq!(ratio(&peer, &[&peer]), None);
    }

    #[test]
    fn lines_come_back_as_a_table() {
        let lines = format!(
            "{}\n\n{}\n{}\n",
            r#"{"machine":{"cpu":"some","cpus":2,"kernel_level":"avx2","load":0.1}}"#,
            serde_json::to_string(&row("lateen", 1.0, 80.0)).unwrap(),
            r#"{"task":"sparse","engine":"other","k":10,"recall10":0.9,"p50_us":160.0}"#,
        );
        let (machines, rows) = parse(&lines).unwrap();
        let text = render(&machines, &rows).unwrap();
        assert!(text.contains("avx2") && text.contains("| 2.00 |"), "{text}");
        assert!(parse("{\"x\":1}").is_err());
    }
}
