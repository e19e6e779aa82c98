//! Opening an index touches its structure and none of its data, whatever its size.
//!
//! The pages of a mapped file that a process has touched are those that its page map says are
//! present, and a few beside each, which the system maps in passing. `LATEEN_OPEN=1024 cargo test
//! --release --test opening -- --nocapture` makes an index of so many MiB (64 unless said
//! otherwise) and says how long opening it takes, the files in the page cache and out of it.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lateen::{
    Centroids, Document, Index, IndexWriter, KeyKind, Merges, Query, Schema, TokenCodec,
    TokenMatrix, TokenOptions,
};

const DIM: usize = 128;
const PAGE: u64 = 4096;

fn number(at: u64) -> u64 {
    let mut z = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 27)
}

/// An index of about so many MiB: half of it token rows, a third payloads that do not compress,
/// the rest sparse vectors, keys and an attribute.
fn build(path: &Path, mib: usize) {
    let mut schema = Schema::builder();
    schema.keys(KeyKind::U64);
    let sparse = schema.sparse("sparse");
    let options = TokenOptions::new(DIM).codec(TokenCodec::F16).centroids(Centroids::None);
    let tokens = schema.tokens("tokens", options);
    let year = schema.i64("year");
    let options = IndexWriter::options().merges(Merges::Manual).memory(1 << 30);
    let mut writer = options.create(path, schema.build().unwrap()).unwrap();
    let one = (1.0 / DIM as f32).sqrt();
    let sign = |at: u64| if number(at) >> 63 == 0 { one } else { -one };
    for key in 0..u64::try_from(mib).unwrap() * 32 {
        let rows: Vec<f32> = (0..64 * DIM as u64).map(|at| sign(key << 20 | at)).collect();
        let terms: Vec<(u32, f32)> = (0..100u32)
            .map(|at| (at * 300 + (number(key << 8 | u64::from(at)) % 300) as u32, 1.0))
            .collect();
        let payload: Vec<u8> =
            (0..1280u64).flat_map(|at| number(key << 32 | at).to_le_bytes()).collect();
        let document = Document::new(key)
            .sparse(&sparse, &terms)
            .and_then(|document| document.tokens(&tokens, TokenMatrix::new(&rows, DIM)))
            .and_then(|document| document.i64(&year, 1900 + (key % 100).cast_signed()))
            .unwrap();
        writer.add(&document.payload(payload)).unwrap();
    }
    writer.commit().unwrap();
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|ext| ext == "seg")).collect();
    files.sort();
    files
}

/// The pages of a file that are present in maps of this process, and all that it has.
fn present(file: &Path) -> Option<(u64, u64)> {
    let mut pages = File::open("/proc/self/pagemap").ok()?;
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let (mut there, mut all) = (0, 0);
    for line in maps.lines().filter(|line| line.ends_with(file.to_str().unwrap_or("?"))) {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let start = u64::from_str_radix(start, 16).ok()? / PAGE;
        let end = u64::from_str_radix(end, 16).ok()? / PAGE;
        pages.seek(SeekFrom::Start(start * 8)).ok()?;
        let mut words = vec![0; usize::try_from((end - start) * 8).ok()?];
        pages.read_exact(&mut words).ok()?;
        there += words.chunks(8).filter(|word| word[7] >> 7 == 1).count() as u64;
        all += end - start;
    }
    Some((there, all))
}

/// Lets the page cache go of the files; whether that could be asked for.
fn forget(files: &[PathBuf]) -> bool {
    files.iter().all(|file| {
        let file = format!("if={}", file.display());
        let mut dd = Command::new("dd");
        dd.args([&*file, "iflag=nocache", "count=0"]).stderr(Stdio::null());
        dd.status().is_ok_and(|status| status.success())
    })
}

#[test]
fn opening_touches_no_data() {
    let mib = std::env::var_os("LATEEN_OPEN")
        .map_or(64, |text| text.into_string().unwrap().parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    build(&path, mib);
    let files = segments(&path);
    let bytes: u64 = files.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
    assert!(bytes > mib as u64 * 800 * 1024, "{bytes} bytes");
    let touched = || {
        let pages = files.iter().map(|file| present(file));
        pages.sum::<Option<Pages>>()
    };

    let mut times = [Vec::new(), Vec::new()];
    for round in 0..10 {
        let cold = round % 2 == 1 && forget(&files);
        let start = Instant::now();
        let index = Index::open(&path).unwrap();
        times[usize::from(cold)].push(start.elapsed());
        let Some(Pages(there, all)) = touched() else {
            println!("passed over: this system does not show which pages are there");
            return;
        };
        let lengths = files.iter().map(|file| fs::metadata(file).unwrap().len());
        assert_eq!(all, lengths.map(|bytes| bytes.div_ceil(PAGE)).sum::<u64>());
        // Header, table, sums' place, footer and a few heads of each segment, each with the
        // sixteen pages that come with one.
        let most = 16 * 16 * files.len() as u64;
        let shown = format!("{there} of {all} pages present after opening, cold: {cold}");
        println!("{shown}");
        assert!(there <= most && there < all / 8, "{shown}");
        drop(index);
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times.get(times.len() / 2).copied().unwrap_or_default()
    };
    println!(
        "{:.1} MiB in {} segments: opened in {:.2?} from a warm cache, {:.2?} from a cold one",
        bytes as f64 / 1_048_576.0,
        files.len(),
        median(&mut times[0]),
        median(&mut times[1]),
    );

    // What is asked for is touched, and what is verified all of it: the count does count.
    let index = Index::open(&path).unwrap();
    let before = touched().unwrap();
    let field = index.schema().sparse("sparse").unwrap();
    let hits = index.search(&Query::sparse(&field, &[(0u32, 1.0f32)]).unwrap()).unwrap();
    let payloads = hits.iter().filter_map(|hit| hit.payload().unwrap()).count();
    assert_eq!(payloads, hits.len());
    let after = touched().unwrap();
    index.verify().unwrap();
    let verified = touched().unwrap();
    println!("{} pages, {} after a search, {} verified", before.0, after.0, verified.0);
    assert!(before.0 < after.0 && after.0 < verified.0);
    assert!(verified.0 * 10 > verified.1 * 9);
}

/// Pages present, and all.
struct Pages(u64, u64);

impl std::iter::Sum<(u64, u64)> for Pages {
    fn sum<I: Iterator<Item = (u64, u64)>>(pages: I) -> Self {
        pages.fold(Self(0, 0), |sum, (there, all)| Self(sum.0 + there, sum.1 + all))
    }
}
