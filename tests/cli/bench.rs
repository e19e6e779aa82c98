//! Measuring recall against time, and the page that shows what is found.

use super::*;

#[test]
fn effort_is_measured_as_a_table_as_data_and_as_a_picture() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let table = place.ok("bench wiki --set SET --repeat 1 --efforts 0,0.5,1 --top 5");
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains("recall@5") && table.contains("2 threads"), "{table}");
    for mode in ["sparse", "tokens", "union"] {
        let line = format!("bench wiki --set SET --repeat 1 --mode {mode} --json --svg {mode}.svg");
        let told: serde_json::Value = serde_json::from_str(&place.ok(&line)).unwrap();
        assert_eq!((&told["mode"], &told["queries"]), (&mode.into(), &60.into()));
        let points = told["points"].as_array().unwrap();
        assert_eq!(points.len(), 7);
        let number = |point: &serde_json::Value, name: &str| point[name].as_f64().unwrap();
        for point in points {
            let recall = number(point, "recall");
            assert!((0.3..=1.0).contains(&recall), "{point}");
            assert!(number(point, "median_us") <= number(point, "p99_us"), "{point}");
            assert!(number(point, "qps") > 0.0 && number(point, "qps_2_threads") > 0.0);
        }
        assert_eq!(points[6]["recall"], 1.0, "exact finds all");
        let picture = fs::read_to_string(place.path(&format!("{mode}.svg"))).unwrap();
        for words in ["<svg", "recall@10", "µs", "prefers-color-scheme", "</svg>"] {
            assert!(picture.contains(words), "{words}");
        }
    }
    place.fails(2, "bench wiki --set SET --efforts 0,2");
    place.fails(3, "bench wiki --set nowhere");
    place.fails(8, "bench wiki --set SET --svg tokens.svg/x.svg");
}

#[test]
fn a_page_shows_three_ways_and_needs_nothing_else() {
    let place = Place::new();
    place.ok("build wiki --set SET");
    let said = place.ok("demo wiki --set SET --write demo.html");
    assert!(said.starts_with("demo.html: 60 queries"), "{said}");
    let page = fs::read_to_string(place.path("demo.html")).unwrap();
    assert!(!page.contains("http://") && !page.contains("https://") && !page.contains(" src="));
    let start = page.find("id=\"data\">").unwrap() + "id=\"data\">".len();
    let data = &page[start..start + page[start..].find("</script>").unwrap()];
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    let queries = data["queries"].as_array().unwrap();
    assert_eq!((queries.len(), &data["documents"]), (60, &400.into()));
    for query in queries {
        let ways = query["ways"].as_array().unwrap();
        assert_eq!(ways.len(), 3);
        for way in ways {
            assert!(way["us"].as_f64().unwrap() > 0.0);
            let hits = way["hits"].as_array().unwrap();
            assert_eq!(hits.len(), 5);
            for hit in hits {
                let told = &query["met"][hit["key"].as_str().unwrap()];
                assert!(!told["pairs"].as_array().unwrap().is_empty(), "{hit}");
                assert!(told["pieces"].as_array().unwrap().len() > 1, "{hit}");
            }
        }
    }
    place.fails(3, "demo wiki --set nowhere --write x.html");
}
