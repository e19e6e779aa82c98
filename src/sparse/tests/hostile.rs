//! Any bytes in any section: an error or a wrong answer, never a panic, a hang or a huge
//! allocation.

use super::*;
use crate::error::{Error, Result};
use crate::format::SectionKind;

/// The sections of a field as they were written.
pub(super) fn sections(storage: &MemStorage) -> Vec<(SectionKind, u32, Vec<u8>)> {
    let container = container(storage);
    let sizes = |kind: SectionKind| match kind {
        SectionKind::SPARSE_HEAD => 64,
        SectionKind::SPARSE_TERMS => 24,
        SectionKind::SPARSE_TERM_IDS
        | SectionKind::SPARSE_TINY_DOCS
        | SectionKind::SPARSE_DENSE_STARTS
        | SectionKind::SPARSE_ROW_ENDS => 4,
        // Narrow, where no list is long.
        SectionKind::SPARSE_DENSE_OFFSETS | SectionKind::SPARSE_LIST_STARTS => 2,
        SectionKind::SPARSE_ROW_BASES => 8,
        _ => 1,
    };
    let kinds: Vec<SectionKind> = container.sections().map(|(kind, _, _)| kind).collect();
    kinds
        .into_iter()
        .map(|kind| (kind, sizes(kind), container.section(kind, 3).unwrap().bytes().to_vec()))
        .collect()
}

/// A container with these sections and right checksums.
pub(super) fn rebuilt(sections: &[(SectionKind, u32, Vec<u8>)]) -> Container {
    let storage = MemStorage::new();
    let file = storage.create_new("segment").unwrap();
    let mut out = ContainerWriter::create(file, "segment".into(), ContainerKind::Segment).unwrap();
    for (kind, size, bytes) in sections {
        out.begin(*kind, 3, *size).unwrap();
        out.write(bytes).unwrap();
        out.end().unwrap();
    }
    out.finish(1, 0).unwrap();
    container(&storage)
}

/// Does everything one can do; whether any of it failed, and whether the walk noticed.
fn use_all(container: &Container, docs: u32, options: &SparseOptions) -> (Result<()>, Result<()>) {
    let index = match SparseIndex::open(container, 3, docs, options) {
        Ok(Some(index)) => index,
        Ok(None) => return (Ok(()), Ok(())),
        Err(error) => return (Err(error), Ok(())),
    };
    let mut scratch = SparseScratch::default();
    let vector: Vector = (0..70).map(|term| (term, 1.0)).collect();
    let mut all = Ok(());
    for k in [1, 50] {
        let mut top = TopK::new(k, f32::NEG_INFINITY, &Shuffled);
        all = all.and(
            index
                .search(&query(&vector), kernel::best(), EXACT, None, &mut top, &mut scratch)
                .map(drop),
        );
    }
    for doc in [0, docs / 2, docs - 1, docs] {
        let _ = index.row(doc);
        let _ = index.score(&query(&vector), doc);
        let _ = index.explain(&query(&vector), doc);
    }
    let _ = index.each_row(|_, _, _| Ok(()));
    (all, index.verify())
}

/// Merges it with itself; errors are fine, panics are not.
fn merge_all(container: &Container, docs: u32, options: &SparseOptions) {
    let Ok(Some(index)) = SparseIndex::open(container, 3, docs, options) else { return };
    let storage = MemStorage::new();
    let file = storage.create_new("merged").unwrap();
    let mut out = ContainerWriter::create(file, "merged".into(), ContainerKind::Segment).unwrap();
    let part = MergePart { index: Some(&index), docs, alive: None };
    let _ = super::super::merge(&[part, part], options, 3, (1, usize::MAX), &|| Ok(()), &mut out);
}

/// Every kind of section.
fn kinds() -> [SparseOptions; 4] {
    [
        options(Forward::F32),
        options(Forward::None),
        options(Forward::Auto).codec(SparseCodec::U4),
        options(Forward::F16).codec(SparseCodec::Pruned(60)),
    ]
}

fn small(options: &SparseOptions) -> (MemStorage, u32) {
    let mut random = Random(3);
    let mut docs: Vec<Vector> = (0..4200).map(|_| random.vector(4, 60)).collect();
    docs[4100].push((65, 1.0));
    for (at, doc) in docs.iter_mut().enumerate().filter(|(at, _)| at % 3 != 1) {
        doc.push((66, 1.0 + (at % 50) as f32)); // a dense term
    }
    let order: Vec<u32> = (0u32..).take(docs.len()).collect();
    (written_as(&docs, &order, options, 1, 1 << 20), 4200)
}

#[test]
fn every_flipped_bit_is_survived_and_most_are_found() {
    for options in kinds() {
        let (storage, docs) = small(&options);
        let parts = sections(&storage);
        let (mut flips, mut missed) = (0, 0);
        for part in 0..parts.len() {
            let bits = parts[part].2.len() * 8;
            // All bits of the small sections, a sample of the large.
            let step = (bits / 150).max(1) | 1;
            for bit in (0..bits).step_by(step) {
                let mut parts = parts.clone();
                parts[part].2[bit / 8] ^= 1 << (bit % 8);
                let (used, walked) = use_all(&rebuilt(&parts), docs, &options);
                if flips % 16 == 0 {
                    merge_all(&rebuilt(&parts), docs, &options);
                }
                flips += 1;
                missed += usize::from(used.is_ok() && walked.is_ok());
                for error in [used.err(), walked.err()].into_iter().flatten() {
                    assert!(matches!(error, Error::Corrupt(_)), "{error}");
                }
            }
        }
        // With checksums made right, a changed low bit of a weight, say, means something else and
        // is no damage; what the impacts, the directory and the places say must agree.
        assert!(flips > 1500 && missed * 5 < flips, "{missed} of {flips} missed");
    }
}

#[test]
fn every_cut_section_is_found() {
    let (storage, docs) = small(&options(Forward::F32));
    let parts = sections(&storage);
    for part in 0..parts.len() {
        for keep in [0, 1, parts[part].2.len() / 2] {
            let mut parts = parts.clone();
            let (_, size, bytes) = &mut parts[part];
            bytes.truncate(keep / *size as usize * *size as usize);
            let (used, walked) = use_all(&rebuilt(&parts), docs, &options(Forward::F32));
            assert!(used.is_err() || walked.is_err(), "section {part} cut to {keep}");
        }
        let mut parts = parts.clone();
        parts.remove(part);
        let (used, _) = use_all(&rebuilt(&parts), docs, &options(Forward::F32));
        assert!(used.is_err() || part == 0, "section {part} gone");
    }
}

#[test]
fn noise_is_survived() {
    let mut random = Random(77);
    let made = kinds().map(|options| {
        let (storage, docs) = small(&options);
        (sections(&storage), docs, options)
    });
    for (parts, docs, options) in made.iter().cycle().take(300) {
        let mut parts = parts.clone();
        let part = 1 + random.below(parts.len() - 1);
        let bytes = &mut parts[part].2;
        let from = random.below(bytes.len());
        let to = (from + 1 + random.below(64)).min(bytes.len());
        for byte in &mut bytes[from..to] {
            *byte = random.next() as u8;
        }
        let _ = use_all(&rebuilt(&parts), *docs, options);
        merge_all(&rebuilt(&parts), *docs, options);
    }
}

#[test]
fn another_schema_is_refused() {
    let (storage, docs) = small(&options(Forward::F32));
    let container = container(&storage);
    for forward in [Forward::F16, Forward::None] {
        assert!(SparseIndex::open(&container, 3, docs, &options(forward)).is_err());
    }
    assert!(SparseIndex::open(&container, 3, docs + 1, &options(Forward::F32)).is_err());
    assert!(SparseIndex::open(&container, 3, docs, &options(Forward::Auto)).is_ok());
    assert!(SparseIndex::open(&container, 4, docs, &options(Forward::F32)).unwrap().is_none());
}
