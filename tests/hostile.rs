//! Files that lie with all their checksums right: every field of every structure at its extremes,
//! and lies made by hand. Whatever they say, each call gives an answer or an error, allocates no
//! more than the file justifies, and ends.

#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/mend.rs"]
mod mend;
#[allow(unreachable_pub, dead_code, reason = "public in the crate of the fuzzers")]
#[path = "../fuzz/src/sample.rs"]
mod sample;

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use allocation_counter::measure;
use lateen::{Error, Index};

/// Values at which arithmetic goes wrong.
const BOUNDARIES: [u64; 21] = [
    0,
    1,
    2,
    63,
    64,
    255,
    256,
    4095,
    4096,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x1_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];

/// Fails where a call computes for more than a second, and ends the process where one does not end:
/// far beyond what any takes, however busy the machine.
struct Watchdog(std::sync::Arc<AtomicU64>, Instant);

impl Watchdog {
    const PATIENCE: Duration = Duration::from_secs(30);
    const LONGEST: Duration = Duration::from_secs(1);

    /// Time that this thread has computed, where the system says so: a machine that is busy with
    /// something else makes no call long.
    fn computed() -> Option<Duration> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        Some(Duration::from_nanos(text.split(' ').next()?.parse().ok()?))
    }

    fn new() -> Self {
        let (since, start) = (std::sync::Arc::new(AtomicU64::new(0)), Instant::now());
        let watched = since.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_secs(1));
                let since = Duration::from_millis(watched.load(Ordering::Relaxed));
                if since.is_zero() {
                    continue;
                }
                if start.elapsed().saturating_sub(since) > Self::PATIENCE {
                    eprintln!("a call that does not end");
                    std::process::abort();
                }
            }
        });
        Self(since, start)
    }

    fn watch<T>(&self, work: impl FnOnce() -> T) -> T {
        let now = u64::try_from(self.1.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.store(now.max(1), Ordering::Relaxed);
        let (start, before) = (Instant::now(), Self::computed());
        let out = work();
        self.0.store(0, Ordering::Relaxed);
        if start.elapsed() > Self::LONGEST {
            let computed = Self::computed().zip(before);
            let took =
                computed.map_or(Duration::ZERO, |(after, before)| after.saturating_sub(before));
            assert!(took <= Self::LONGEST, "a call that computes for {took:?}");
        }
        out
    }
}

/// What a call may hold at once beside what the caller gave it: what hits, scratch and error
/// messages take, and four bytes for each byte of the file.
fn allowance(bytes: &[u8]) -> u64 {
    4 * bytes.len() as u64 + (1 << 20)
}

/// Opens, verifies and uses bytes in every way. Gives whether they were found sound.
fn endure(bytes: &[u8], watchdog: &Watchdog, what: &dyn Fn() -> String) -> bool {
    let mut sound = false;
    let within = |name: &str, call: &mut dyn FnMut()| {
        let mut panicked = false;
        let used = watchdog
            .watch(|| measure(|| panicked = catch_unwind(AssertUnwindSafe(&mut *call)).is_err()));
        assert!(!panicked, "{}: {name} panics", what());
        let (most, limit) = (used.bytes_max, allowance(bytes));
        assert!(most <= limit, "{}: {name} took {most} bytes, the limit is {limit}", what());
    };
    let mut index = None;
    within("opening", &mut || index = Index::options().from_bytes(bytes).ok());
    if let Some(index) = index {
        within("verifying", &mut || sound = index.verify().is_ok());
        // All searches of a small index; of a large one some, and others with each lie.
        let searches = if bytes.len() < 100_000 { usize::MAX } else { 4 };
        let chosen = xxhash_rust::xxh3::xxh3_64(bytes) >> 1;
        let chosen = usize::try_from(chosen).unwrap_or(0);
        within("use", &mut || _ = sample::use_some(&index, chosen, searches));
    }
    sound
}

/// The containers of a packed index: its own, and one of each kind of file in it.
fn containers(bytes: &[u8]) -> Vec<(String, Range<usize>)> {
    let mut all = mend::files(bytes);
    let mut seen = BTreeSet::new();
    all.retain(|(name, _)| seen.insert(name[..4].to_owned()));
    all.push(("packed".to_owned(), 0..bytes.len()));
    all
}

/// Sets the whole word at a place to each boundary value that it has room for.
fn every_boundary(good: &[u8], place: Range<usize>, mut check: impl FnMut(&[u8], u64)) {
    let width = place.len();
    let mut bad = good.to_vec();
    let mut last = None;
    let old = {
        let mut word = [0u8; 8];
        word[..width].copy_from_slice(&good[place.clone()]);
        u64::from_le_bytes(word)
    };
    let near = [old.wrapping_add(1), old.wrapping_sub(1), old.wrapping_mul(2), old ^ 1 << 7];
    for value in BOUNDARIES.into_iter().chain(near) {
        let word = &value.to_le_bytes()[..width];
        if last.as_deref() == Some(word) || good[place.clone()] == *word {
            continue;
        }
        last = Some(word.to_vec());
        bad.copy_from_slice(good);
        bad[place.clone()].copy_from_slice(word);
        mend::reseal_index(&mut bad);
        if bad != good {
            check(&bad, value);
        }
    }
}

/// Header, table and footer of every container, field by field.
#[test]
fn every_field_of_every_structure_at_its_extremes() {
    const HEADER: &[(usize, usize)] =
        &[(0, 8), (8, 2), (10, 2), (12, 4), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8), (56, 8)];
    const ENTRY: &[(usize, usize)] =
        &[(0, 4), (4, 4), (8, 4), (12, 4), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8), (56, 8)];
    const FOOTER: &[(usize, usize)] =
        &[(0, 8), (8, 8), (16, 8), (24, 8), (32, 4), (36, 4), (40, 8), (48, 8), (56, 8)];
    let (good, watchdog) = (sample::packed(), Watchdog::new());
    assert!(endure(&good, &watchdog, &|| "the sample".to_owned()));
    let mut tried = 0;
    for (name, file) in containers(&good) {
        let mut fields: Vec<usize> = Vec::new();
        let mut places: Vec<Range<usize>> = Vec::new();
        let mut add = |base: usize, layout: &[(usize, usize)]| {
            for (offset, size) in layout {
                fields.push(base + offset);
                places.push(file.start + base + offset..file.start + base + offset + size);
            }
        };
        add(0, HEADER);
        for entry in mend::entries(&good[file.clone()]) {
            add(entry.at, ENTRY);
        }
        add(file.len() - mend::RECORD, FOOTER);
        for (field, place) in fields.into_iter().zip(places) {
            every_boundary(&good, place, |bad, value| {
                endure(bad, &watchdog, &|| format!("{name}, byte {field} is {value:#x}"));
                tried += 1;
            });
        }
    }
    println!("{tried} lies");
    assert!(tried > 10_000, "{tried}");
}

/// Every word of every section: heads, tables, offsets, postings, rows, compressed payloads,
/// bitmaps, the manifest. Heads, and all of a manifest or of tombstones, word by word; long sections
/// at their ends and at places in between. With `LATEEN_SWEEP` set everything, in words of every
/// size. (The fuzz target `sections` is not choosy either.)
#[test]
fn every_word_of_every_section_at_its_extremes() {
    words_at_their_extremes(&sample::packed(), 101);
}

/// The same of packed rows, dense terms, lists and words.
#[test]
fn every_word_of_a_rich_index_at_its_extremes() {
    words_at_their_extremes(&sample::rich_packed(), 2003);
}

/// Of long sections their ends, and one word in `some`.
fn words_at_their_extremes(good: &[u8], some: usize) {
    const ENDS: usize = 1;
    let watchdog = Watchdog::new();
    let (mut tried, mut refused) = (0u64, 0u64);
    for (name, file) in containers(good) {
        if name == "packed" {
            continue; // its sections are the files
        }
        for entry in mend::entries(&good[file.clone()]) {
            let section = file.start + entry.offset..file.start + entry.offset + entry.length;
            let head = entry.elem_size == entry.length && entry.length > 8;
            let whole = sweep() || head || (!name.starts_with("seg-") && entry.length < 500);
            let widths: &[usize] = match entry.elem_size {
                _ if sweep() => &[1, 2, 4, 8],
                1 if name.starts_with("manifest-") => &[1],
                88 => &[4, 8], // records of segments, whose fields have both sizes
                size if size.is_multiple_of(8) => &[8],
                _ => &[4],
            };
            for &width in widths {
                for (at, start) in section.clone().step_by(width).enumerate() {
                    let from_end = (section.end - start) / width;
                    if !whole && at > ENDS && from_end > ENDS && !at.is_multiple_of(some) {
                        continue;
                    }
                    let place = start..(start + width).min(section.end);
                    every_boundary(good, place, |bad, value| {
                        let what = || {
                            let (kind, field) = (entry.kind, entry.field);
                            let at = start - section.start;
                            format!(
                                "{name}, section {kind} of field {field}, byte {at}: {value:#x}"
                            )
                        };
                        refused += u64::from(!endure(bad, &watchdog, &what));
                        tried += 1;
                    });
                }
            }
        }
    }
    println!("{tried} lies, {refused} found by verifying");
    assert!(tried > 3_000, "{tried}");
    // A stored number may be another; what has a structure must not.
    assert!(refused > 0, "{refused} of {tried}");
}

/// Every length, every block in the place of another, and every byte inverted, with the checksums
/// mended as far as what they cover is there: some of them unless `LATEEN_SWEEP` is set.
#[test]
fn what_is_cut_moved_or_inverted_and_mended() {
    let (good, watchdog) = (sample::packed(), Watchdog::new());
    let stride = |few: usize| if sweep() { 1 } else { few };
    let mut tried = 0;
    let mut check = |mut bad: Vec<u8>, what: &dyn Fn() -> String| {
        mend::reseal_index(&mut bad);
        endure(&bad, &watchdog, what);
        tried += 1;
    };
    for length in (0..good.len()).step_by(stride(211)) {
        check(good[..length].to_vec(), &|| format!("cut to {length} bytes"));
    }
    for at in (0..good.len()).step_by(stride(97)) {
        let mut bad = good.clone();
        bad[at] = !bad[at];
        check(bad, &|| format!("byte {at} inverted"));
    }
    let blocks = good.len() / 64;
    for pair in (0..blocks * blocks).step_by(stride(907)) {
        let (a, b) = (pair / blocks * 64, pair % blocks * 64);
        let mut bad = good.clone();
        bad.copy_within(a..a + 64, b);
        bad[a..a + 64].copy_from_slice(&good[b..b + 64]);
        if a < b && bad != good {
            check(bad, &|| format!("blocks at {a} and {b} swapped"));
        }
    }
    println!("{tried} lies");
    assert!(tried > 700, "{tried}");
}

/// Whether everything is to be tried, however long it takes.
fn sweep() -> bool {
    std::env::var_os("LATEEN_SWEEP").is_some()
}

/// The sample with the sections of one kind in its first segment changed.
fn lie(kind: u32, change: &dyn Fn(&mut mend::Part)) -> Vec<u8> {
    let good = sample::packed();
    let files = mend::files(&good);
    let (at, (_, place)) =
        files.iter().enumerate().find(|(_, (name, _))| name.starts_with("seg-")).unwrap();
    let mut parts = mend::parts(&good[place.clone()]);
    let mut changed = false;
    for part in parts.iter_mut().filter(|part| part.kind == kind) {
        change(part);
        changed = true;
    }
    assert!(changed, "no section of kind {kind}");
    let segment = mend::container(&good[place.clone()], &parts);
    let mut whole = mend::parts(&good);
    whole[at + 1].data = segment;
    let mut bytes = mend::container(&good, &whole);
    mend::reseal_index(&mut bytes);
    bytes
}

fn damaged(bytes: &[u8], what: &str) {
    let watchdog = Watchdog::new();
    assert!(!endure(bytes, &watchdog, &|| what.to_owned()), "{what}: found sound");
    let found = Index::options().from_bytes(bytes).and_then(|index| index.verify());
    assert!(matches!(found, Err(Error::Corrupt(_))), "{what}: {found:?}");
}

const PAYLOAD_DATA: u32 = 24;
const PAYLOAD_BLOCKS: u32 = 25;
const KEYS: u32 = 17;
const KEY_OFFSETS: u32 = 18;
const KEY_ORDER: u32 = 19;

/// The first payload block with a frame of its own, and what the table says of it.
fn bomb(frame: &[u8], raw: u32) -> Vec<u8> {
    let good = sample::packed();
    let files = mend::files(&good);
    let (at, (_, place)) =
        files.iter().enumerate().find(|(_, (name, _))| name.starts_with("seg-")).unwrap();
    let mut parts = mend::parts(&good[place.clone()]);
    for part in &mut parts {
        match part.kind {
            PAYLOAD_DATA => part.data = frame.to_vec(),
            PAYLOAD_BLOCKS => {
                part.data.truncate(24);
                let stored = u32::try_from(frame.len()).unwrap();
                part.data[8..12].copy_from_slice(&stored.to_le_bytes());
                part.data[12..16].copy_from_slice(&raw.to_le_bytes());
            }
            _ => {}
        }
    }
    let mut whole = mend::parts(&good);
    whole[at + 1].data = mend::container(&good[place.clone()], &parts);
    let mut bytes = mend::container(&good, &whole);
    mend::reseal_index(&mut bytes);
    bytes
}

#[test]
fn a_little_that_unpacks_to_a_lot() {
    let zeros = |len: usize| zstd::bulk::compress(&vec![0; len], 1).unwrap();
    for (what, frame, raw) in [
        ("256 MiB that say so", zeros(256 << 20), 256 << 20),
        ("256 MiB that say they are little", zeros(256 << 20), 1000),
        ("16 MiB", zeros(16 << 20), 16 << 20),
        ("512 KiB", zeros(512 << 10), 512 << 10),
        ("less than it says", zeros(1000), 1001),
        ("more than it says", zeros(1000), 999),
        ("nothing", zeros(0), 500),
        ("no frame", vec![0x5A; 300], 400),
        ("half a frame", zeros(100_000)[..9].to_vec(), 100_000),
    ] {
        damaged(&bomb(&frame, raw), what);
    }
}

#[test]
fn blocks_of_no_document() {
    let empty = |part: &mut mend::Part| {
        let mut block = part.data[..24].to_vec();
        block[8..16].fill(0); // no bytes, stored or read
        part.data.splice(0..0, block);
    };
    damaged(&lie(PAYLOAD_BLOCKS, &empty), "a block of no document");
}

#[test]
fn key_tables_that_lie() {
    let swap = |part: &mut mend::Part, a: usize, b: usize, width: usize| {
        for i in 0..width {
            part.data.swap(a * width + i, b * width + i);
        }
    };
    let set = |part: &mut mend::Part, at: usize, value: u64| {
        part.data[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes());
    };
    damaged(&lie(KEY_ORDER, &|part| swap(part, 0, 1, 4)), "an order that is none");
    damaged(&lie(KEY_ORDER, &|part| part.data.copy_within(0..4, 4)), "a document twice");
    damaged(&lie(KEYS, &|part| part.data.copy_within(0..6, 6)), "a key twice");
    damaged(&lie(KEYS, &|part| part.data[0] = 0xFF), "a key that is no UTF-8");
    damaged(&lie(KEY_OFFSETS, &|part| swap(part, 2, 3, 8)), "offsets that go back");
    damaged(&lie(KEY_OFFSETS, &|part| set(part, 0, 1)), "a first offset that is not 0");
    damaged(&lie(KEY_OFFSETS, &|part| set(part, 3, u64::MAX)), "an offset beyond everything");
    let last = |part: &mut mend::Part| {
        let last = part.data.len() / 8 - 1;
        set(part, last, 5);
    };
    damaged(&lie(KEY_OFFSETS, &last), "a last offset before the end");
}

/// The sample with another bitmap of deleted documents.
fn tombstones(bitmap: &[u8]) -> Vec<u8> {
    let good = sample::packed();
    let files = mend::files(&good);
    let (at, (_, place)) =
        files.iter().enumerate().find(|(_, (name, _))| name.starts_with("del-")).unwrap();
    let mut parts = mend::parts(&good[place.clone()]);
    parts[0].data = bitmap.to_vec();
    let mut whole = mend::parts(&good);
    whole[at + 1].data = mend::container(&good[place.clone()], &parts);
    let mut bytes = mend::container(&good, &whole);
    mend::reseal_index(&mut bytes);
    bytes
}

#[test]
fn bitmaps_that_lie() {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let cases: [(&str, Vec<u8>); 9] = [
        ("nothing", vec![]),
        ("another cookie", words(&[7, 1, 0, 16, 0])),
        ("a container more than can be", words(&[12346, 0xFFFF_FFFF])),
        ("65,536 containers and no more bytes", words(&[12346, 65_536])),
        ("a container beyond the end", words(&[12346, 1, 0x0001_0000, 0xFFFF_FFFF])),
        ("a run of everything", words(&[12347, 0x0000_0001, 0xFFFF_0000, 1 << 24, 0x00FF_FF00])),
        ("a bitmap of nothing", words(&[12346, 1, 0x1FFF_0000, 16])),
        ("documents that go back", words(&[12346, 1, 0x0001_0000, 16, 0x0001_0004])),
        ("a document beyond the segment", words(&[12346, 1, 0x0001_0000, 16, 0xFFFF_0001])),
    ];
    for (what, bitmap) in cases {
        let bytes = tombstones(&bitmap);
        let watchdog = Watchdog::new();
        assert!(!endure(&bytes, &watchdog, &|| what.to_owned()), "{what}: found sound");
        let error = Index::options().from_bytes(&bytes).unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{what}: {error}");
    }
}

/// What a writer would write on, it refuses to open: damage must not get a checksum of its own.
#[test]
fn words_that_lie_are_not_written_on() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("index");
    sample::rich(&mut sample::options().create(&path, sample::rich_schema()).unwrap()).unwrap();
    let file = path.join("manifest-0000000000000003");
    let good = std::fs::read(&file).unwrap();
    let mut parts = mend::parts(&good);
    let words = parts.iter_mut().find(|part| part.data.ends_with(b"oilfatwax")).unwrap();
    let end = words.data.len();
    words.data[end - 1] = b'y';
    let mut bad = mend::container(&good, &parts);
    mend::reseal(&mut bad).unwrap();
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    #[allow(clippy::permissions_set_readonly_false, reason = "a scratch file")]
    permissions.set_readonly(false);
    std::fs::set_permissions(&file, permissions).unwrap();
    std::fs::write(&file, bad).unwrap();
    assert!(matches!(Index::open(&path).unwrap().verify(), Err(Error::Corrupt(_))));
    assert!(matches!(lateen::IndexWriter::open(&path), Err(Error::Corrupt(_))));
    std::fs::write(&file, good).unwrap();
    lateen::IndexWriter::open(&path).unwrap();
}

/// Numbers of a manifest that a writer could not count on from.
#[test]
fn manifests_that_have_counted_too_far() {
    const MANIFEST_HEAD: u32 = 1;
    let good = sample::packed();
    let place = mend::files(&good).into_iter().find(|(name, _)| name.starts_with("manifest-"));
    let place = place.unwrap().1;
    let entries = mend::entries(&good[place.clone()]);
    let head = entries.iter().find(|entry| entry.kind == MANIFEST_HEAD).unwrap();
    for at in [24, 48] {
        for value in [u64::MAX, u64::MAX - 1, 1 << 63] {
            let mut bad = good.clone();
            let start = place.start + head.offset + at;
            bad[start..start + 8].copy_from_slice(&value.to_le_bytes());
            mend::reseal_index(&mut bad);
            let error = Index::options().from_bytes(&bad).unwrap_err();
            assert!(error.to_string().contains("nobody has counted"), "byte {at}: {error}");
        }
    }
}
