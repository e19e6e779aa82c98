//! With the feature `tracing`, every stage is a span with the fields that the guide lists.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use lateen::{Document, Feedback, Fusion, Index, IndexWriter, Query, Schema, TokenMatrix};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes down each span as it begins, indented by how many it stands in.
#[derive(Default)]
struct Notes {
    lines: Arc<Mutex<Vec<String>>>,
    open: Mutex<Vec<(u64, String)>>,
    depth: Mutex<usize>,
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl Subscriber for Notes {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "lateen" && metadata.is_span()
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut fields = Fields(span.metadata().name().to_owned());
        span.record(&mut fields);
        let mut open = self.open.lock().unwrap();
        let id = open.len() as u64 + 1;
        open.push((id, fields.0));
        Id::from_u64(id)
    }

    fn enter(&self, id: &Id) {
        let mut depth = self.depth.lock().unwrap();
        let open = self.open.lock().unwrap();
        let told = &open.iter().find(|(own, _)| *own == id.into_u64()).unwrap().1;
        self.lines.lock().unwrap().push(format!("{}{told}", "  ".repeat(*depth)));
        *depth += 1;
    }

    fn exit(&self, _: &Id) {
        *self.depth.lock().unwrap() -= 1;
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
}

/// What `work` says.
fn noted(work: impl FnOnce()) -> Vec<String> {
    let notes = Notes::default();
    let lines = Arc::clone(&notes.lines);
    tracing::subscriber::with_default(notes, work);
    let lines = lines.lock().unwrap();
    lines.clone()
}

#[test]
fn every_stage_is_a_span() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    let mut schema = Schema::builder();
    let terms = schema.sparse("terms");
    let rows = schema.tokens("rows", 8);
    let lang = schema.keyword("lang");
    let mut writer = IndexWriter::create(&path, schema.build().unwrap()).unwrap();
    let row = [0.6f32, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let matrix = TokenMatrix::new(&row, 8);
    for key in ["a", "b", "c"] {
        let document = Document::new(key).sparse(&terms, &[(1u32, 0.5f32)]).unwrap();
        let document = document.tokens(&rows, matrix).unwrap().keyword(&lang, "en").unwrap();
        writer.add(&document).unwrap();
    }
    let lines = noted(|| assert_eq!(writer.commit().unwrap(), 2));
    assert_eq!(
        lines,
        ["commit documents=3 segments=0", "  segment documents=3", "  publish commit=2"]
    );
    let second = Document::new("d").sparse(&terms, &[(1u32, 0.5f32)]).unwrap();
    writer.add(&second).unwrap();
    writer.commit().unwrap();

    let mut index = None;
    assert_eq!(noted(|| index = Some(Index::open(&path).unwrap())), ["open"]);
    let index = index.unwrap();
    let sparse = || Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap();
    let query = sparse().rerank(&rows, matrix).unwrap().filter(lang.eq("en")).top(2);
    let lines = noted(|| assert_eq!(index.search(&query).unwrap().len(), 2));
    assert_eq!(
        lines,
        [
            "search top=2 segments=2",
            "  filter segments=2",
            "  first stage engine=\"sparse\" k=100",
            "  rerank candidates=3",
        ]
    );
    let parts = [sparse(), Query::tokens(&rows, matrix).unwrap()];
    let query = Query::fused(Fusion::default(), parts).unwrap().candidates(7);
    let lines = noted(|| assert_eq!(index.search(&query).unwrap().len(), 4));
    assert_eq!(
        lines,
        [
            "search top=10 segments=2",
            "  fusion parts=2 depth=7",
            "    first stage engine=\"sparse\" k=7",
            "    first stage engine=\"tokens\" k=7",
        ]
    );
    let query = sparse().feedback(Feedback::default().docs(2));
    let lines = noted(|| drop(index.search(&query).unwrap()));
    assert_eq!(lines[..2], ["search top=10 segments=2", "  feedback documents=2"]);
    assert_eq!(lines.iter().filter(|line| line.contains("first stage")).count(), 2);

    assert_eq!(noted(|| index.verify().unwrap()), ["verify"]);
    let packed = place.path().join("packed");
    assert_eq!(noted(|| index.pack(&packed).unwrap()), ["pack documents=4"]);
    assert_eq!(noted(|| assert!(!index.refresh().unwrap())), ["refresh commit=3"]);
}
