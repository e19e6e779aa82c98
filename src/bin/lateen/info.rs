//! `lateen info`: what is in an index.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lateen::{Index, IndexInfo};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::text;

/// Show what is in an index
///
/// Documents, segments, fields, and how many bytes each section takes over all segments. With
/// --json the sections of every segment stand by themselves.
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
            json!({
                "file": segment.file,
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
        "bytes": info.bytes(),
        "fields": fields,
        "segments": segments,
    })
}
