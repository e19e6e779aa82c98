//! A writer over a damaged directory: whatever it meets and whatever it is told to do, each call ends
//! with a result or an error, and what is there afterwards is a state that was committed.

use std::collections::BTreeMap;

use lateen::simulation::Crash;
use lateen::{
    Document, Filter, Hit, Index, IndexWriter, Key, KeyKind, Merges, Query, Schema, SparseField,
    TokenMatrix, Update, Vocabulary, WriterOptions,
};

use super::both::mutated;
use super::choices::Choices;
use super::{mend, sample};

/// What was written by this writer: payloads, and numbers that terms are made of.
type Fresh = BTreeMap<Key, (u32, Vec<u8>)>;

/// Keys that no damage makes of those that there are.
fn fresh_key(schema: &Schema, number: u32) -> Key {
    match schema.key_kind() {
        KeyKind::U64 => Key::U64(0xF00D_CAFE_0000_0000 + u64::from(number)),
        KeyKind::Str => format!("quite another {number}").into(),
    }
}

/// A key of the sample.
fn old_key(schema: &Schema, choices: &mut Choices<'_>) -> Key {
    let number = choices.below(420);
    match schema.key_kind() {
        KeyKind::U64 => Key::U64(number as u64),
        KeyKind::Str => format!("doc-{:02}", number % 22).into(),
    }
}

/// Puts a document with every field of a schema.
fn put(writer: &mut IndexWriter, key: Key, number: u32) -> lateen::Result<Vec<u8>> {
    let schema = writer.schema().clone();
    let terms = [(7u32, 1.0f32), (own_term(number), 2.0)];
    let rows: Vec<f32> = (number..number + 4).flat_map(sample::row).collect();
    let payload = number.to_le_bytes().repeat(1 + number as usize % 9);
    let mut document = Document::new(key).payload(payload.clone());
    for (name, kind) in schema.field_names() {
        document = match kind {
            "sparse" => document.sparse(&schema.sparse(name)?, &terms)?,
            "tokens" => {
                let field = schema.tokens(name)?;
                // Of 16 components, two rows of 8 that are half as long each.
                let rows = &rows[..if field.dim() == sample::DIM { 8 } else { 16 }];
                document.tokens(&field, TokenMatrix::new(rows, field.dim()))?
            }
            "keyword" => document.keyword(&schema.keyword(name)?, "en")?,
            "i64" => document.i64(&schema.i64(name)?, i64::from(number))?,
            "u64" => document.u64(&schema.u64(name)?, u64::from(number))?,
            "f64" => document.f64(&schema.f64(name)?, f64::from(number))?,
            _ => document.bool(&schema.bool(name)?, number.is_multiple_of(2))?,
        };
    }
    writer.upsert(&document).map(|_| payload)
}

/// A term that no other document has.
fn own_term(number: u32) -> u32 {
    90_000 + number
}

fn options(choices: &mut Choices<'_>) -> WriterOptions {
    let merges = if choices.one_in(2) { Merges::Manual } else { Merges::AtCommit };
    IndexWriter::options().merges(merges).threads(1)
}

/// What was written is there, as far as the damage lets it be looked up.
fn check(index: &Index, commit: u64, fresh: &Fresh) {
    assert_eq!(index.snapshot().commit(), commit);
    let field = sparse_field(&index.schema());
    for (key, (number, payload)) in fresh {
        if let Ok(found) = index.get(key.clone()) {
            let found = found.unwrap_or_else(|| panic!("{key} is lost"));
            assert_eq!(found.payload().expect("it is whole").as_ref(), Some(payload));
        }
        let query = Query::sparse(&field, &[(own_term(*number), 1.0f32)]).expect("a query");
        if let Ok(hits) = index.search(&query.exact().top(1000)) {
            let hit = hits.iter().find(|hit| hit.key() == key);
            assert_eq!(hit.map(Hit::score), Some(2.0), "{key}");
        }
    }
    let documents = index.snapshot().documents().flatten().count() as u64;
    assert!(documents <= index.len());
}

/// The damage is named by the second half of the bytes, the work by the first.
pub fn damaged_writer(data: &[u8]) {
    let (work, changes) = data.split_at(data.len() / 2);
    let (mut choices, mut changes) = (Choices(work), Choices(changes));
    let which = choices.below(2);
    let bytes = mutated(which, &mut changes, 3);
    let files = mend::files(&bytes);
    let disk = Crash::of(files.iter().map(|(name, place)| (&**name, &bytes[place.clone()])));
    let how = options(&mut choices);
    let Ok(mut writer) = disk.writer(how.clone(), None) else { return };
    let mut commit = writer.snapshot().commit();
    let (mut fresh, mut committed) = (Fresh::new(), Fresh::new());
    let mut steps = 0;
    while !choices.is_empty() && steps < 12 {
        steps += 1;
        step(&mut writer, &mut choices, &mut fresh, &committed);
        // An error says nothing of a commit that was made before it was met.
        if writer.snapshot().commit() > commit {
            commit = writer.snapshot().commit();
            committed.clone_from(&fresh);
            let index = writer.reader().expect("what was committed opens");
            assert_eq!(index.len(), writer.snapshot().len());
            check(&index, commit, &committed);
        }
    }
    drop(writer);
    check(&disk.open().expect("a commit is there"), commit, &committed);
    let mut writer = disk.writer(how, None).expect("it can be written to again");
    let key = fresh_key(writer.schema(), 999);
    if put(&mut writer, key, 999).is_ok() && writer.commit().is_ok() {
        assert!(disk.open().expect("a commit is there").snapshot().commit() > commit);
    }
}

/// One thing that a writer can be told to do.
fn step(writer: &mut IndexWriter, choices: &mut Choices<'_>, fresh: &mut Fresh, committed: &Fresh) {
    let schema = writer.schema().clone();
    let op = choices.byte() % 16;
    match op {
        0 => drop(writer.delete(old_key(&schema, choices))),
        1 => {
            let keys = [old_key(&schema, choices), old_key(&schema, choices)];
            let _ = writer.delete_batch(keys);
        }
        2 => {
            // Of those that were there before.
            let own = Filter::keys(fresh.keys().cloned());
            let year = schema.i64("year").expect("both have it");
            let some = year.range(1960 + i64::from(choices.byte())..);
            let _ = writer.delete_where(&(some & !own));
        }
        3 | 4 => {
            let number = u32::from(choices.byte() % 8);
            let key = fresh_key(&schema, number);
            if let Ok(payload) = put(writer, key.clone(), number) {
                fresh.insert(key, (number, payload));
            }
        }
        5 => drop(put(writer, old_key(&schema, choices), 500 + u32::from(choices.byte()))),
        6 => {
            let number = u32::from(choices.byte() % 8);
            let key = fresh_key(&schema, number);
            if writer.delete(key.clone()).is_ok() {
                fresh.remove(&key);
            }
        }
        7 | 8 => {
            let key = match (op, fresh.keys().next()) {
                (7, Some(key)) => key.clone(),
                _ => old_key(&schema, choices),
            };
            let changed = choices.byte();
            let year = schema.i64("year").expect("both have it");
            let lang = schema.keyword("lang").expect("both have it");
            let update = Update::new(key.clone()).payload(vec![changed; 3]);
            let update = update.i64(&year, Some(i64::from(changed))).expect("once");
            let update = update.keywords(&lang, ["en", "new"]).expect("once");
            if writer.update(&update).is_ok_and(|change| change.documents == 1)
                && let Some(own) = fresh.get_mut(&key)
            {
                own.1 = vec![changed; 3];
            }
        }
        9 | 10 => {
            let _ = writer.commit();
        }
        11 => merge(writer),
        12 => {
            if writer.rollback().is_ok() {
                fresh.clone_from(committed);
            }
        }
        13 => {
            let mut more = schema.extend();
            more.i64("later");
            let _ = more.build().map(|schema| writer.set_schema(schema));
        }
        14 => {
            let field = sparse_field(&schema);
            let words = Vocabulary::new([("oil", 7), ("tar", 90_001)]).expect("two words");
            let _ = writer.set_vocabulary(&field, &words);
        }
        _ => {
            let _ = if choices.one_in(2) {
                writer.commit_packed(|_| {})
            } else {
                writer.compact(|_| {})
            };
        }
    }
}

/// The first of both indexes' sparse fields.
fn sparse_field(schema: &Schema) -> SparseField {
    schema.sparse("sparse").or_else(|_| schema.sparse("wide")).expect("one of both")
}

/// Merges all segments into one, which has no damage then: each is checked in full before.
fn merge(writer: &mut IndexWriter) {
    let _ = writer.prepare_commit();
    let before: Vec<String> =
        writer.info().segments.into_iter().map(|segment| segment.file).collect();
    if writer.force_merge(1, |_| {}).is_ok() {
        let after = writer.info().segments;
        if after.iter().all(|segment| !before.contains(&segment.file)) {
            let index = writer.reader().expect("what was committed opens");
            index.verify().expect("what was merged was checked");
        }
    }
}
