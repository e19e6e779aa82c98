//! Indexes that change.

use super::*;

/// An index is added to, deleted from and compacted; a set that does not fit leaves it as it was.
#[test]
fn an_index_is_kept_up() {
    let place = Place::new();
    place.ok("build w --set SET");
    let before = content(&place.path("w"));
    let twice = place.fails(3, "add w --set SET");
    assert!(twice.contains("is in the index already"), "{twice}");
    assert!(content(&place.path("w")) == before, "a refused set has changed something");
    let ids: Vec<String> = Index::open(place.path("w"))
        .unwrap()
        .snapshot()
        .documents()
        .map(|document| document.unwrap().key().to_string())
        .collect();
    fs::write(place.path("ids"), ids[10..300].join("\n")).unwrap();
    let report = place.ok(&format!("delete w {} nobody --ids-from ids", ids[0]));
    assert!(report.contains("291 deleted") && report.contains("109 documents left"), "{report}");
    place.fails(2, "delete w");
    place.fails(3, "delete w --ids-from nowhere");
    let size = Index::open(place.path("w")).unwrap().info().bytes();
    let report = place.ok("compact w");
    assert!(report.contains("109 documents") && report.contains("291 deleted"), "{report}");
    let index = Index::open(place.path("w")).unwrap();
    assert!(index.info().deleted == 0 && index.info().bytes() * 2 < size);
    let report = place.ok("add w --set SET --replace");
    assert!(report.contains("291 added, 109 replaced, 400 documents"), "{report}");
    place.ok("compact w --segments 1");
    index.refresh().unwrap();
    assert_eq!((index.len(), index.info().segments.len()), (400, 1));
    place.ok("verify w");
    // What is found is what a fresh index finds.
    place.ok("build fresh --set SET");
    assert!(
        place.run("w", "--mode rerank --exact --top 20")
            == place.run("fresh", "--mode rerank --exact --top 20")
    );
    place.fails(4, "compact nowhere");
    place.ok("pack w packed");
    place.fails(2, "compact packed");
}
