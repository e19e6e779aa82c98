//! Measuring recall against time.

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
    place.fails(8, "bench wiki --set SET --svg nowhere/x.svg");
}
