//! `lateen info`: what is in an index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lateen::{FieldInfo, Index, IndexInfo};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::text;

/// Show what is in an index
///
/// Documents, segments, fields, the bytes of each posting and each token row with all that belongs
/// to it, the recall that was measured when vectors were written, and how many bytes each
/// section takes over all segments. Drift is how far the token rows of a segment are from their
/// centroids (the mean distance of rows of length 1), beside how far those were that the centroids
/// were trained for: a merge trains new ones beyond 1.1 times that. With --json every segment
/// stands by itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The index: a directory, or a packed file
    index: PathBuf,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

/// Looks; gives a description, or JSON.
pub(crate) fn run(args: &Args) -> Result<String, Failure> {
    let info = Index::open(&args.index).map_err(|error| Failure::index(&args.index, error))?.info();
    if args.json {
        return Ok(format!("{:#}\n", as_json(&info)));
    }
    Ok(as_text(&info, &args.index))
}

fn as_text(info: &IndexInfo, path: &Path) -> String {
    let form = if path.is_dir() { "directory" } else { "packed file" };
    let mut report = text::facts(&[
        ("index", format!("{} ({form})", path.display())),
        (
            "documents",
            format!("{} ({} deleted)", text::count(info.documents), text::count(info.deleted)),
        ),
        ("segments", text::count(info.segments.len() as u64)),
        ("commit", text::count(info.commit)),
        ("bytes", text::count(info.bytes())),
    ]);
    report.push('\n');
    let fields: Vec<Vec<String>> = info
        .fields
        .iter()
        .map(|field| vec![field.name.clone(), field.kind.to_owned(), settings(field)])
        .collect();
    report += &text::table(&["field", "kind", "settings"], &fields);

    let vectors = vectors(info);
    if !vectors.is_empty() {
        report.push('\n');
        let heading = ["field", ">entries", "of", ">bytes", ">each"];
        report += &text::table(&heading, &vectors);
    }
    report += &waiting(info);
    let calibrated = calibration(info);
    if !calibrated.is_empty() {
        report.push('\n');
        let heading = ["field", ">effort step", ">recall@10", ">recall@100"];
        report += &text::table(&heading, &calibrated);
    }

    let drift = drift(info);
    if !drift.is_empty() {
        report.push('\n');
        let heading = ["field", "segment", ">trained", ">now", ">drift"];
        report += &text::table(&heading, &drift);
    }

    let mut sections: BTreeMap<(Option<usize>, &str), u64> = BTreeMap::new();
    for section in info.segments.iter().flat_map(|segment| &segment.sections) {
        let place = section.field.as_ref();
        let place = place.and_then(|name| info.fields.iter().position(|field| field.name == *name));
        *sections.entry((place, &section.name)).or_default() += section.bytes;
    }
    let all: u64 = sections.values().sum();
    let rows: Vec<Vec<String>> = sections
        .into_iter()
        .map(|((field, name), bytes)| {
            let field = field.map_or("", |at| &info.fields[at].name);
            let share = 100.0 * bytes as f64 / all.max(1) as f64;
            vec![field.to_owned(), name.to_owned(), text::count(bytes), format!("{share:.1} %")]
        })
        .collect();
    report.push('\n');
    report += &text::table(&["field", "section", ">bytes", ">share"], &rows);
    report
}

/// How many terms or rows each vector field has, and the bytes of its sections for each.
fn vectors(info: &IndexInfo) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for field in info.fields.iter().filter(|field| field.codec.is_some()) {
        let own = info.segments.iter().flat_map(|segment| &segment.vectors);
        let entries: u64 = own.filter(|v| v.field == field.name).map(|v| v.entries).sum();
        let sections = info.segments.iter().flat_map(|segment| &segment.sections);
        let own = sections.filter(|section| section.field.as_ref() == Some(&field.name));
        let bytes: u64 = own.map(|section| section.bytes).sum();
        if entries > 0 {
            rows.push(vec![
                field.name.clone(),
                text::count(entries),
                if field.kind == "sparse" { "postings" } else { "rows" }.to_owned(),
                text::count(bytes),
                format!("{:.2}", bytes as f64 / entries as f64),
            ]);
        }
    }
    rows
}

/// A line for each field of which rows are not packed yet.
fn waiting(info: &IndexInfo) -> String {
    let line = |field: &FieldInfo| {
        let own = info.segments.iter().flat_map(|segment| &segment.vectors);
        let own = own.filter(|v| v.field == field.name && v.codec != field.codec);
        let (rows, stored) =
            own.fold((0, None), |(rows, _), v| (rows + v.entries, v.codec.as_ref()));
        let (stored, codec) = (stored?, field.codec.as_ref()?);
        let rows = text::many(rows, "row");
        let name = &field.name;
        Some(format!(
            "{name}: {rows} as {stored}, to be packed as {codec}: lateen compact does it\n"
        ))
    };
    info.fields.iter().filter(|field| field.kind == "tokens").filter_map(line).collect()
}

/// What each step of the effort found when the segments were written: the mean over the segments
/// that have a curve, by their documents.
fn calibration(info: &IndexInfo) -> Vec<Vec<String>> {
    let mut steps: BTreeMap<(&str, usize), (f64, f64, f64)> = BTreeMap::new();
    for segment in &info.segments {
        let documents = f64::from(segment.documents);
        for vectors in &segment.vectors {
            for (step, &(ten, hundred)) in vectors.recall.iter().enumerate() {
                let sum = steps.entry((&vectors.field, step)).or_default();
                sum.0 += documents;
                sum.1 += documents * f64::from(ten);
                sum.2 += documents * f64::from(hundred);
            }
        }
    }
    let row = |((field, step), (all, ten, hundred)): ((&str, usize), (f64, f64, f64))| {
        let share = |sum: f64| format!("{:.3}", sum / all);
        vec![field.to_owned(), step.to_string(), share(ten), share(hundred)]
    };
    steps.into_iter().map(row).collect()
}

/// How far the rows of each token field are from their centroids, segment by segment.
fn drift(info: &IndexInfo) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for field in &info.fields {
        for segment in &info.segments {
            let own = segment.vectors.iter().find(|vectors| vectors.field == field.name);
            let Some(drift) = own.and_then(|vectors| vectors.drift) else { continue };
            rows.push(vec![
                field.name.clone(),
                segment.file.clone(),
                format!("{:.4}", drift.trained),
                format!("{:.4}", drift.now),
                format!("{:.3}", drift.ratio()),
            ]);
        }
    }
    rows
}

/// Dimension and codec, as far as a field has them.
fn settings(field: &lateen::FieldInfo) -> String {
    let dim = field.dim.map(|dim| format!("dimension {dim}"));
    let codec = field.codec.as_ref().map(|codec| match field.percent {
        Some(percent) => format!("{codec}:0.{percent:02}"),
        None => codec.clone(),
    });
    dim.into_iter().chain(codec).collect::<Vec<_>>().join(", ")
}

fn as_json(info: &IndexInfo) -> Value {
    let fields: Vec<Value> = info
        .fields
        .iter()
        .map(|field| {
            json!({ "name": field.name, "kind": field.kind, "dim": field.dim, "codec": field.codec,
                "percent": field.percent })
        })
        .collect();
    let segments: Vec<Value> = info
        .segments
        .iter()
        .map(|segment| {
            let sections: Vec<Value> = segment
                .sections
                .iter()
                .map(|section| {
                    json!({ "name": section.name, "field": section.field, "bytes": section.bytes })
                })
                .collect();
            let vectors: Vec<Value> = segment
                .vectors
                .iter()
                .map(|v| {
                    let drift = v.drift.map(|drift| {
                        json!({ "trained": drift.trained, "now": drift.now,
                            "ratio": drift.ratio() })
                    });
                    json!({ "field": v.field, "entries": v.entries, "codec": v.codec,
                        "recall": v.recall, "drift": drift })
                })
                .collect();
            json!({
                "file": segment.file,
                "vectors": vectors,
                "documents": segment.documents,
                "deleted": segment.deleted,
                "bytes": segment.bytes,
                "sections": sections,
            })
        })
        .collect();
    json!({
        "documents": info.documents,
        "deleted": info.deleted,
        "commit": info.commit,
        "format": format!("{}.{}", info.format.0, info.format.1),
        "bytes": info.bytes(),
        "fields": fields,
        "segments": segments,
    })
}
