//! The bodies of the fuzz targets, over the committed corpus and over changed valid inputs,
//! without a fuzzer.

#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/answers.rs"]
mod answers;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/asked.rs"]
mod asked;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/attributes.rs"]
mod attributes;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/bodies.rs"]
mod bodies;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/both.rs"]
mod both;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/choices.rs"]
mod choices;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/codecs.rs"]
mod codecs;
#[cfg(feature = "simulation")]
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/crashes.rs"]
mod crashes;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/drive.rs"]
mod drive;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/expressions.rs"]
mod expressions;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/filters.rs"]
mod filters;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/mend.rs"]
mod mend;
mod random;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/sample.rs"]
mod sample;
#[cfg(feature = "simulation")]
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/writers.rs"]
mod writers;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lateen::{Certainty, Collapse, Effort, Error, Feedback, Index, Query, TokenMatrix};
use random::Draw;

/// Runs a body over the files of its corpus.
fn corpus(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        body(&std::fs::read(entry.unwrap().path()).unwrap());
        seeds += 1;
    }
    assert!(seeds > 0, "no seeds in {}", folder.display());
}

/// Runs a body over a valid input with up to four bytes changed, many times.
fn changed(good: &[u8], times: u64, body: fn(&[u8])) {
    body(good);
    let mut draw = Draw::new(1);
    let mut next = || usize::try_from(draw.next() >> 1).unwrap();
    for _ in 0..times {
        let mut bad = good.to_vec();
        for _ in 0..=next() % 4 {
            let at = next() % bad.len();
            bad[at] = u8::try_from(next() % 256).unwrap();
        }
        bad.truncate(bad.len() - if next() % 8 == 0 { next() % bad.len() } else { 0 });
        body(&bad);
    }
}

/// Runs a body over random bytes, which is all it needs where bytes are choices.
fn random_bytes(times: u64, longest: usize, body: fn(&[u8])) {
    let mut draw = Draw::new(2);
    for _ in 0..times {
        let len = draw.below(longest);
        let bytes: Vec<u8> = (0..len).map(|_| u8::try_from(draw.below(256)).unwrap()).collect();
        body(&bytes);
    }
}

/// The targets, each with a seed or none, and how often `cargo test` runs them: a few seconds all
/// together. The fuzzers run for longer.
#[test]
fn every_target_over_its_corpus_and_on() {
    for &(target, body) in bodies::TARGETS {
        corpus(target, body);
        let random = match target {
            "open_packed" | "npy" | "safetensors" | "jsonl" | "gzip" | "eval" => 200,
            "ingest" | "operations" | "crashes" | "codecs" => 300,
            "damaged_writer" => 60,
            _ => 1500,
        };
        random_bytes(random, 200, body);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        for entry in std::fs::read_dir(&folder).unwrap() {
            let seed = std::fs::read(entry.unwrap().path()).unwrap();
            if !seed.is_empty() {
                changed(&seed, random.min(300), body);
            }
        }
    }
}

/// The target of crashes finds what it is there to find.
#[cfg(feature = "simulation")]
#[test]
fn a_disk_that_lies_is_found_out() {
    let mut draw = Draw::new(3);
    let found = (0..200).any(|_| {
        let bytes: Vec<u8> = (0..60).map(|_| u8::try_from(draw.below(256)).unwrap()).collect();
        let run = || crashes::crashes_of(&lateen::simulation::Disk::lying(), &bytes);
        std::panic::catch_unwind(run).is_err()
    });
    assert!(found);
}

/// Found by `queries`: an answer was called certified though the documents that feedback was taken
/// from were not certain.
#[test]
fn no_answer_is_surer_than_its_feedback() {
    answers::queries(include_bytes!("../fuzz/corpus/queries/feedback"));
    let index = Index::options().from_bytes(&sample::rich_packed()).unwrap();
    let field = index.schema().tokens("lists").unwrap();
    let lang = index.schema().keyword("lang").unwrap();
    let mut draw = Draw::new(4);
    let mut unsure = 0;
    for _ in 0..2000 {
        let rows: Vec<f32> = (0..field.dim()).map(|_| draw.unit()).collect();
        let plain = Query::tokens(&field, TokenMatrix::new(&rows, field.dim())).unwrap();
        // Collapsing looks at more documents, all of them here, but not for the feedback.
        let collapse = Collapse::keyword(&lang).inside(2);
        let wide = plain.clone().collapse(collapse).feedback(Feedback::default().docs(3).rows(2));
        let (first, second) = (index.search(&plain).unwrap(), index.search(&wide).unwrap());
        unsure += u32::from(first.certainty() < Certainty::Certified);
        assert!(second.certainty() <= first.certainty());
    }
    assert!(unsure > 100, "{unsure}");
}

/// The rich index has a recall curve of its sparse fields, though it is small: it is verified, and gone
/// by where no document of a segment is deleted.
#[test]
fn the_curve_of_the_rich_index_is_read() {
    const CURVE: u32 = 83;
    let good = sample::rich_packed();
    let index = |bytes: &[u8]| Index::options().from_bytes(bytes).unwrap();
    let sound = index(&good);
    sound.verify().unwrap();
    for segment in sound.info().segments {
        let of = |name: &&str| segment.vectors.iter().find(|own| own.field == *name).unwrap();
        let shares = [(0.75, 1.0), (0.985, 1.0), (0.999, 1.0)];
        assert!(["wide", "narrow"].iter().map(of).all(|own| own.recall == shares));
    }
    let field = sound.schema().sparse("wide").unwrap();
    let query = Query::sparse(&field, &[(7u32, 1.0f32), (101, 0.5), (70_390, 0.25)]).unwrap();
    let ask = |index: &Index, effort| index.search(&query.clone().effort(effort));
    let certainty = |effort| ask(&sound, effort).unwrap().certainty();
    assert_eq!(certainty(Effort::default()), Certainty::Approximate);
    assert_eq!(certainty(Effort::Recall(0.5)), Certainty::Approximate);
    // No step was measured to find all.
    assert_eq!(certainty(Effort::Recall(1.0)), Certainty::Certified);
    assert_eq!(certainty(Effort::Exact), Certainty::Certified);

    let mut refused = Vec::new();
    for (_, file) in mend::files(&good).iter().filter(|(name, _)| name.starts_with("seg-")) {
        let curves = mend::entries(&good[file.clone()]);
        let curve = curves.iter().find(|entry| entry.kind == CURVE).unwrap();
        let mut bad = good.clone();
        // What bounds count for, in the second point: at most 256.
        let at = file.start + curve.offset + 16 + 4;
        bad[at..at + 4].copy_from_slice(&257u32.to_le_bytes());
        mend::reseal_index(&mut bad);
        let bad = index(&bad);
        assert!(matches!(bad.verify(), Err(Error::Corrupt(_))));
        assert_eq!(ask(&bad, Effort::Exact).unwrap().certainty(), Certainty::Certified);
        refused.push(matches!(ask(&bad, Effort::default()), Err(Error::Corrupt(_))));
    }
    // All that were deleted are in the first.
    assert_eq!(refused, [false, true]);
}

/// Found by `damaged_writer`: centroids that damage had made long were kept by a merge, which measured
/// rows farther from them than its own segment may say.
#[cfg(feature = "simulation")]
#[test]
fn what_is_merged_is_never_farther_than_it_may_say() {
    writers::damaged_writer(include_bytes!("../fuzz/corpus/damaged_writer/drift"));
}

/// What the log says in all is what its lines come to.
#[test]
fn the_log_adds_up() {
    let log = include_str!("../fuzz/LOG.md");
    let (mut place, mut sum, mut by_target) = (None, 0u64, BTreeMap::<&str, u64>::new());
    for line in log.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        if !line.starts_with('|') || cells[0].starts_with("--") {
            continue;
        }
        let named = |name| cells.iter().position(|cell| *cell == name);
        if let Some(head) = named("executions").zip(named("target")) {
            place = Some(head);
            continue;
        }
        let (count, target) = place.expect("a head comes first");
        let count: u64 = cells[count].replace(',', "").parse().expect(line);
        sum += count;
        *by_target.entry(cells[target]).or_default() += count;
    }
    let number = |count: u64| {
        let digits = count.to_string();
        let groups = digits.as_bytes().rchunks(3).rev();
        groups.map(|group| std::str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(",")
    };
    let said = format!(
        "In all {} executions, of them {} of query_mutated and {} of open_packed in lines of their own.",
        number(sum),
        number(by_target["query_mutated"]),
        number(by_target["open_packed"]),
    );
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(log).contains(&said), "{said}");
}

/// `LATEEN_FUZZ=60 cargo test --test fuzz_bodies rounds -- --nocapture` runs each target for so many
/// seconds and says how often it ran; `LATEEN_FUZZ_SEED` names the inputs.
#[test]
fn rounds() {
    let number = |name: &str| std::env::var_os(name).and_then(|text| text.to_str()?.parse().ok());
    let (limit, seed) = (number("LATEEN_FUZZ").unwrap_or(0), number("LATEEN_FUZZ_SEED"));
    let place = tempfile::tempdir().unwrap();
    for &(target, body) in bodies::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
        let failed = place.path().join(target);
        let limit = Duration::from_secs(limit).max(Duration::from_millis(50));
        match drive::drive(body, &folder, limit, seed.unwrap_or(1), &failed) {
            Ok((runs, slowest)) => println!("{target}: {runs} runs, slowest {slowest:.0?}"),
            Err(run) => panic!("{target}, run {run}: {:?}", std::fs::read(failed)),
        }
    }
}

/// A gzip file of some text, not compressed, after the byte that says that it is whole.
fn gzip(text: &[u8]) -> Vec<u8> {
    let mut crc = !0u32;
    for &byte in text {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    let length = u16::try_from(text.len()).unwrap();
    let mut file = b"\0\x1f\x8b\x08\0\0\0\0\0\0\xff\x01".to_vec();
    file.extend(length.to_le_bytes());
    file.extend((!length).to_le_bytes());
    file.extend_from_slice(text);
    file.extend((!crc).to_le_bytes());
    file.extend(u32::from(length).to_le_bytes());
    file
}

/// Names of more seeds, where queries of many kinds are made.
const KINDS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

/// What every corpus begins with.
fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let set = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/wiki-mini");
    let file = |name: &str| std::fs::read(set.join(name)).unwrap();
    let floats: Vec<u8> = (0u16..64).flat_map(|i| (f32::from(i) / 7.0).to_le_bytes()).collect();
    let packed = sample::packed();
    let files = mend::files(&packed);
    let (_, place) = files.iter().find(|(name, _)| name.starts_with("manifest-")).unwrap();
    let manifest = packed[place.clone()].to_vec();
    let tensors = br#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let mut safetensors = (tensors.len() as u64).to_le_bytes().to_vec();
    safetensors.extend_from_slice(tensors);
    safetensors.extend_from_slice(&floats[..8]);
    let bytes = |seed: u64| {
        let mut draw = Draw::new(seed);
        (0..120).map(|_| u8::try_from(draw.below(256)).unwrap()).collect::<Vec<u8>>()
    };
    let mut jsonl = file("texts.jsonl");
    jsonl.truncate(2000);
    let mut all = vec![
        ("open_packed", "small", packed),
        ("open_packed", "tiny", sample::tiny()),
        ("open_packed", "empty", Vec::new()),
        ("manifest", "small", manifest),
        ("npy", "lengths", file("tok_doclens.npy")),
        ("safetensors", "two", safetensors),
        ("gzip", "member", gzip(&jsonl)),
        ("gzip", "stored", [&[1, 1, 3, 0, 0xFC, 0xFF], &b"{}\n"[..]].concat()),
        ("jsonl", "two", jsonl),
        ("eval", "run", b"q2 Q0 a 1 2.5 t\nq1 Q0 b 7 1e-3 t\n".to_vec()),
        ("eval", "qrels", b"q2 0 a 1\nq1 0 b 3\nq2 0 c 0\n".to_vec()),
        ("ingest", "floats", floats.clone()),
        ("ingest", "nan", [0xFF; 64].to_vec()),
        ("codecs", "floats", floats),
    ];
    for target in [
        "sections",
        "query_mutated",
        "codecs",
        "filters",
        "queries",
        "kernels",
        "operations",
        "crashes",
        "expressions",
        "damaged_writer",
    ] {
        all.push((target, "random", bytes(1)));
        all.push((target, "more", bytes(2)));
    }
    // Of both indexes, after the byte that says that text follows.
    let texts = [
        "lang in (en, \"f\\\"r\") AND not (year >= 1985 or exists(price)) and size<9",
        "`year` != 1977 or key in (3, 5,399) and lang=ké",
    ];
    for (at, (name, text)) in (0u8..).zip(["text", "other"].into_iter().zip(texts)) {
        all.push(("expressions", name, [&[at, 0, 0], text.as_bytes()].concat()));
    }
    for target in
        ["query_mutated", "queries", "kernels", "filters", "expressions", "damaged_writer"]
    {
        let seeds = (10..).map(|seed| [bytes(seed), bytes(seed + 100)].concat());
        all.extend(KINDS.into_iter().zip(seeds).map(|(name, seed)| (target, name, seed)));
    }
    all
}

/// `UPDATE_CORPUS=1 cargo test --test fuzz_bodies` writes the seeds anew.
#[test]
fn the_corpus_has_its_seeds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let update = std::env::var_os("UPDATE_CORPUS").is_some();
    for (target, name, bytes) in seeds() {
        let path = corpus.join(target).join(name);
        if update {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
        assert!(path.is_file(), "{}", path.display());
    }
}
