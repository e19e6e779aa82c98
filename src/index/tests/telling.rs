//! What values say of themselves, and the same index by every door.

use crate::error::Error;
use crate::index::{Index, IndexWriter};
use crate::schema::Schema;
use crate::{Document, KeywordField, Query, SparseField, TokenMatrix};

fn filled(place: &std::path::Path) -> (IndexWriter, SparseField, KeywordField) {
    let mut schema = Schema::builder();
    let (terms, rows) = (schema.sparse("terms"), schema.tokens("rows", 8));
    let kind = schema.keyword("kind");
    let mut writer = IndexWriter::create(place.join("w"), schema.build().unwrap()).unwrap();
    let unit = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        let spans = [(at as u32, at as u32 + 2)];
        let entries = [(1u32, 1.0 + at as f32)];
        let document = Document::new(name).sparse(&terms, &entries).unwrap();
        let matrix = TokenMatrix::new(&unit, 8).spans(&spans);
        let document = document.tokens(&rows, matrix).unwrap();
        writer.add(&document.keyword(&kind, if at == 0 { "x" } else { "y" }).unwrap()).unwrap();
    }
    (writer, terms, kind)
}

#[test]
fn values_say_what_they_are() {
    let place = tempfile::tempdir().unwrap();
    let (mut writer, terms, _) = filled(place.path());
    let said = format!("{writer:?}");
    assert!(said.contains("commit: 1") && said.contains("pending: 3"), "{said}");
    assert!(writer.snapshot().is_empty() && !writer.is_empty());
    writer.commit().unwrap();
    let index = Index::open(place.path().join("w")).unwrap();
    let snapshot = index.snapshot();
    let said = format!("{snapshot:?}");
    assert!(said.contains("commit: 2, documents: 3, segments: 1"), "{said}");
    assert!(!snapshot.is_empty() && !index.is_empty());
    let options = Index::options().subset(|_| true);
    assert!(format!("{options:?}").contains("Subset"), "{options:?}");
    let stored = index.get("b").unwrap().unwrap();
    assert!(format!("{stored:?}").contains("\"b\""), "{stored:?}");
    let rows = index.schema().tokens("rows").unwrap();
    assert_eq!(stored.spans(&rows).unwrap(), Some(vec![(1, 3)]));
    let hits = index.search(&Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap()).unwrap();
    assert!(hits.complete() && hits.certified());
    let late =
        Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap().deadline(std::time::Instant::now());
    let cut = index.search(&late).unwrap();
    assert!(!cut.complete() && !cut.certified());
    assert_eq!(hits.len(), 3);
    let names = |hits: &mut dyn Iterator<Item = String>| hits.collect::<Vec<_>>().join(" ");
    assert_eq!(names(&mut (&hits).into_iter().map(|hit| hit.key().to_string())), "c b a");
    assert_eq!(names(&mut hits.into_iter().map(|hit| hit.key().to_string())), "c b a");
}

#[test]
fn bytes_in_hand_are_an_index_like_others() {
    let place = tempfile::tempdir().unwrap();
    let (mut writer, terms, kind) = filled(place.path());
    writer.commit().unwrap();
    let index = Index::open(place.path().join("w")).unwrap();
    let file = place.path().join("w.lateen");
    index.pack(&file).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let fixed: &'static [u8] = bytes.clone().leak();
    let query = Query::sparse(&terms, &[(1u32, 1.0f32)]).unwrap().filter(kind.eq("y"));
    let facets = index.facets_of(&query, &kind, 5).unwrap();
    assert_eq!((facets.len(), facets[0].count), (1, 2));
    let ask = |index: &Index| -> Vec<(String, f32)> {
        let hits = index.search(&query).unwrap();
        hits.iter().map(|hit| (hit.key().to_string(), hit.score())).collect()
    };
    assert_eq!(ask(&index), [("c".to_owned(), 3.0), ("b".to_owned(), 2.0)]);
    for other in [
        Index::options().from_bytes(&bytes).unwrap(),
        Index::options().from_static(fixed).unwrap(),
        // Where it cannot be used as it lies.
        Index::options().from_static(&[&[0], fixed].concat().leak()[1..]).unwrap(),
    ] {
        other.verify().unwrap();
        assert_eq!(ask(&other), ask(&index));
    }
    assert!(Index::options().from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

#[cfg(unix)]
#[test]
fn a_writer_commits_only_into_its_own_index() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    std::fs::create_dir(at("old")).unwrap();
    std::fs::create_dir(at("new")).unwrap();
    let (mut writer, ..) = filled(&at("old"));
    writer.commit().unwrap();
    writer.delete("a").unwrap();
    let (mut other, ..) = filled(&at("new"));
    other.delete("b").unwrap();
    other.commit().unwrap();
    drop(other);
    // Another index with as many commits stands in its place.
    let before = crate::Index::open(at("new/w")).unwrap().info();
    std::fs::rename(at("old/w"), at("old/aside")).unwrap();
    std::fs::rename(at("new/w"), at("old/w")).unwrap();
    writer.rollback().unwrap();
    writer.delete("a").unwrap();
    assert!(matches!(writer.commit(), Err(Error::Replaced { .. })));
    assert!(matches!(writer.commit(), Err(Error::Poisoned { .. })));
    drop(writer);
    for (name, documents) in [("old/w", 2), ("old/aside", 3)] {
        let index = Index::open(at(name)).unwrap();
        index.verify().unwrap();
        assert_eq!((index.len(), index.info().commit), (documents, before.commit), "{name}");
    }
    // The lock's file is gone, and another writer was let in.
    let mut first = IndexWriter::open(at("old/w")).unwrap();
    std::fs::remove_file(at("old/w/LOCK")).unwrap();
    let mut second = IndexWriter::open(at("old/w")).unwrap();
    second.delete("a").unwrap();
    second.commit().unwrap();
    first.delete("c").unwrap();
    assert!(matches!(first.commit(), Err(Error::Replaced { .. })));
    drop((first, second));
    let mut writer = IndexWriter::open(at("old/w")).unwrap();
    assert!(writer.len() == 1 && writer.snapshot().contains("c").unwrap());
    // A directory that is gone is an error as well.
    writer.delete("c").unwrap();
    std::fs::rename(at("old/w"), at("old/gone")).unwrap();
    assert!(writer.commit().is_err());
}

#[test]
fn a_watcher_that_panics_changes_nothing_of_how_merges_are_done() {
    let place = tempfile::tempdir().unwrap();
    let (mut writer, ..) = filled(place.path());
    writer.commit().unwrap();
    writer.delete("a").unwrap();
    let before = writer.options.merges;
    assert_ne!(before, crate::Merges::Manual);
    let panics = std::panic::AssertUnwindSafe(|| writer.compact(|_| panic!("no more")));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!(writer.options.merges, before);
    writer.compact(drop).unwrap();
    assert_eq!(writer.info().deleted, 0);
}

/// A segment is never changed, so a copy of the index has the same file and not the same bytes.
#[cfg(unix)]
#[test]
fn a_backup_in_the_same_file_system_links_the_segments() {
    use std::os::unix::fs::MetadataExt;
    let place = tempfile::tempdir().unwrap();
    let (mut writer, ..) = filled(place.path());
    writer.commit().unwrap();
    let snapshot = Index::open(place.path().join("w")).unwrap().snapshot();
    let name = snapshot.info().segments[0].file.clone();
    let inode = |place: &std::path::Path| std::fs::metadata(place.join(&name)).unwrap().ino();
    let (own, copy) = (place.path().join("w"), place.path().join("copy"));
    snapshot.backup(&copy).unwrap();
    assert_eq!(inode(&own), inode(&copy));
    Index::open(&copy).unwrap().verify().unwrap();
}
