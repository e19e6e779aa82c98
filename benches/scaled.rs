//! A large sparse index: building it within bounded memory, a million documents from a set of fewer,
//! and searching it.
//!
//! `LATEEN_SETS=sets cargo bench --features readers --bench scaled -- 1000000 [PLACE]`, where `sets`
//! is a folder of embedding sets; the set is `mixed`, or that of `LATEEN_SET`. The first documents
//! are those of the set. **The others are made**: each mixes two documents of the set, most of one
//! and some of another that is usually near it in the set's order, with every weight jittered. So
//! term counts, lengths and weights are those of real vectors, but each document has near-doubles.
//!
//! What is printed: time to make the documents alone, time to build, and the most anonymous memory
//! (`RssAnon`, sampled) that the build took beyond what the set itself takes. The index stays at
//! PLACE where one is given, and is searched where it is there already. Then, of 300 queries of the
//! set, the time of an exact search, the best of three; of one that was told the tenth score
//! beforehand, which is the most that a better first threshold can save; and of several efforts,
//! with their recall. Each way goes through all queries before the next, so that none finds in the
//! cache what another has just read.

#![allow(clippy::disallowed_methods, reason = "the switches of a bench")]

mod made;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use half::f16;
use lateen::readers::{EmbeddingSet, NpyArray};
use lateen::{
    Document, Effort, Floats, Hits, Index, IndexWriter, Ints, Key, KeyKind, Query, Schema,
    SparseCodec, SparseOptions, SparseVector,
};

use made::Random;

/// Documents of a set: where each ends, its terms and weights.
struct Set {
    ends: Vec<usize>,
    terms: NpyArray,
    weights: NpyArray,
    largest: f32,
}

impl Set {
    fn open(set: &Path) -> Self {
        let file = |part: &str| {
            let path = set.join(format!("sparse_docs_{part}.npy"));
            NpyArray::open(path).expect("a file of the set")
        };
        let ends = file("indptr").usizes().expect("offsets");
        let mut set = Self { ends, terms: file("indices"), weights: file("values"), largest: 0.0 };
        let weights = (0..set.len()).flat_map(|at| set.row(at)).map(|(_, weight)| weight);
        set.largest = weights.fold(0.0, f32::max);
        set
    }

    fn len(&self) -> usize {
        self.ends.len() - 1
    }

    fn row(&self, at: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let range = self.ends[at]..self.ends[at + 1];
        let (terms, weights) = (self.terms.ints().expect("terms"), self.weights.floats());
        let (Ints::U16(terms), Floats::F16(weights)) = (terms, weights.expect("weights")) else {
            panic!("this takes sets of u16 terms and f16 weights");
        };
        let terms = terms[range.clone()].iter().map(|&term| u32::from(term));
        terms.zip(weights[range].iter().map(|weight| weight.to_f32()))
    }

    /// Document `at`: of the set, or made.
    fn make(&self, at: usize, terms: &mut Vec<u32>, weights: &mut Vec<f32>) {
        terms.clear();
        weights.clear();
        if at < self.len() {
            for (term, weight) in self.row(at) {
                terms.push(term);
                weights.push(weight);
            }
            return;
        }
        let mut random = Random::new(at as u64);
        let first = random.below(self.len());
        let second = if random.below(10) < 8 {
            (first + random.below(401)).saturating_sub(200).min(self.len() - 1)
        } else {
            random.below(self.len())
        };
        let (of_first, of_second) = (self.row(first).count(), self.row(second).count());
        let part = 28 * of_first / of_second.max(1);
        let mut a = self.row(first).filter(|_| random.below(100) < 72).collect::<Vec<_>>();
        a.extend(self.row(second).filter(|_| random.below(100) < part));
        // Of a term that both have, the weight of the first.
        a.sort_by_key(|&(term, _)| term);
        a.dedup_by_key(|&mut (term, _)| term);
        for (term, weight) in a {
            let weight = (weight * jitter(&mut random)).clamp(0.001, self.largest);
            terms.push(term);
            weights.push(f16::from_f32(weight).to_f32());
        }
    }
}

/// About a factor of exp(N(0, 0.18)).
fn jitter(random: &mut Random) -> f32 {
    let [normal, _] = random.normals();
    1.0 + 0.18 * normal + 0.0162 * normal * normal
}

/// Anonymous memory of this process, in bytes; 0 where the system does not say.
fn anonymous() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn main() {
    let Some(sets) = std::env::var_os("LATEEN_SETS") else {
        println!("nothing is measured: LATEEN_SETS names no folder of sets");
        return;
    };
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let Some(count) = args.next().and_then(|count| count.parse::<usize>().ok()) else {
        println!("nothing is measured: say how many documents");
        return;
    };
    let kept = args.next().map(PathBuf::from);
    let set = std::env::var("LATEEN_SET").unwrap_or_else(|_| "mixed".to_owned());
    let folder = PathBuf::from(sets).join(set);
    if let Some(path) = kept.as_ref().filter(|path| path.exists()) {
        return search(path, &folder);
    }
    let set = Set::open(&folder);
    let number = |name: &str, usual: usize| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
    };
    let (threads, memory) = (number("LATEEN_THREADS", 1), number("LATEEN_MEMORY", 256));
    let codec = match std::env::var("LATEEN_CODEC").as_deref() {
        Ok("u4") => SparseCodec::U4,
        Ok("pruned") => SparseCodec::Pruned(90),
        _ => SparseCodec::U8,
    };

    let (mut terms, mut weights) = (Vec::new(), Vec::new());
    let start = Instant::now();
    let mut entries = 0;
    for at in 0..count {
        set.make(at, &mut terms, &mut weights);
        entries += terms.len();
    }
    let making = start.elapsed();
    println!("{count} documents, {entries} entries, made in {making:.2?}");

    let place = tempfile::tempdir().expect("a place for the index");
    let path = kept.unwrap_or_else(|| place.path().join("index"));
    let (most, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let before = anonymous();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(anonymous(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let start = Instant::now();
        let mut schema = Schema::builder();
        schema.keys(KeyKind::U64);
        let field = schema.sparse_with("sparse", SparseOptions::default().codec(codec));
        let options = IndexWriter::options().threads(threads).memory(memory << 20);
        let schema = schema.build().expect("a schema");
        let mut writer = options.create(&path, schema).expect("a writer");
        for at in 0..count {
            set.make(at, &mut terms, &mut weights);
            let vector = SparseVector::new(&terms[..], &weights[..]);
            let document = Document::new(at as u64).sparse(&field, vector).expect("a document");
            writer.add(&document).expect("room for it");
        }
        let added = start.elapsed();
        writer.commit().expect("a commit");
        let all = start.elapsed();
        over.store(true, Ordering::Relaxed);
        let info = writer.reader().expect("the index").info();
        println!(
            "{threads} threads, {memory} MiB: added in {added:.2?}, all in {all:.2?} (with making \
             the documents again); {} segments, {:.3} bytes an entry",
            info.segments.len(),
            info.bytes() as f64 / entries as f64
        );
    });
    let most = most.load(Ordering::Relaxed).saturating_sub(before);
    println!("anonymous memory beyond the set: {:.1} MiB at most", most as f64 / 1_048_576.0);
    search(&path, &folder);
}

/// How many queries are asked.
const QUERIES: usize = 300;

fn search(path: &Path, folder: &Path) {
    let index = Index::open(path).expect("an index");
    let field = index.schema().sparse("sparse").expect("a field");
    let set = EmbeddingSet::open(folder).expect("a set").queries().expect("its queries");
    let asked: Vec<Query> = (0..QUERIES)
        .filter_map(|at| set.get(at * set.len() / QUERIES)?.sparse)
        .map(|vector| Query::sparse(&field, vector).expect("a query").exact())
        .collect();
    let keys = |hits: &Hits| hits.iter().map(|hit| hit.key().clone()).collect::<Vec<Key>>();
    let (best, told): (Vec<Vec<Key>>, Vec<Query>) = asked
        .iter()
        .map(|query| {
            let hits = index.search(query).expect("hits");
            let least = hits.iter().last().map_or(0.0, lateen::Hit::score);
            (keys(&hits), query.clone().at_least(least))
        })
        .unzip();
    let effort = |recall| {
        let asked = asked.iter().map(|query| query.clone().effort(Effort::Recall(recall)));
        (format!("recall {recall}"), asked.collect::<Vec<_>>())
    };
    let mut ways = vec![("exact".to_owned(), asked.clone()), ("exact, told".to_owned(), told)];
    ways.extend([0.9, 0.95, 0.98].map(effort));
    println!(
        "{} documents, {} queries, {}",
        index.len(),
        asked.len(),
        lateen::KernelLevel::detect()
    );
    for (name, queries) in ways {
        let mut times = vec![f64::INFINITY; queries.len()];
        let mut found = 0;
        for pass in 0..3 {
            for ((query, time), best) in queries.iter().zip(&mut times).zip(&best) {
                let start = Instant::now();
                let hits = index.search(query).expect("hits");
                *time = time.min(start.elapsed().as_secs_f64() * 1e6);
                if pass == 0 {
                    found += keys(&hits).iter().filter(|key| best.contains(key)).count();
                }
            }
        }
        times.sort_unstable_by(f64::total_cmp);
        let share = found as f64 / best.iter().map(Vec::len).sum::<usize>() as f64;
        let (mean, at) = (times.iter().sum::<f64>() / times.len() as f64, |p: f64| {
            times[((times.len() as f64 * p) as usize).min(times.len() - 1)]
        });
        println!(
            "{name:>12}: median {:.0} µs, mean {mean:.0}, 99 of 100 {:.0}, recall@10 {share:.3}",
            at(0.5),
            at(0.99)
        );
    }
}
