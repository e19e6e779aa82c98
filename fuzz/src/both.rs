//! Both sample indexes: as bytes, opened, and damaged behind right checksums.

use std::sync::OnceLock;

use lateen::{Index, KernelLevel};

use super::choices::Choices;
use super::{mend, sample};

/// The sample and the rich index, each as one file, made once.
pub fn good() -> &'static [Vec<u8>; 2] {
    static GOOD: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    GOOD.get_or_init(|| [sample::packed(), sample::rich_packed()])
}

/// The two opened, on the kernels of a level or on the best.
pub fn opened(level: Option<KernelLevel>) -> [Index; 2] {
    let open = |bytes: &Vec<u8>| {
        let options = Index::options();
        let options = level.map_or(options.clone(), |level| options.kernel(level));
        options.from_bytes(bytes).expect("it opens")
    };
    good().each_ref().map(open)
}

/// The two opened, once.
pub fn indexes() -> &'static [Index; 2] {
    static INDEXES: OnceLock<[Index; 2]> = OnceLock::new();
    INDEXES.get_or_init(|| opened(None))
}

/// One of the two with changes that the bytes name, all checksums mended: so many at most, each in a
/// section chosen first, so that short sections are met as often as long ones.
pub fn mutated(which: usize, choices: &mut Choices<'_>, most: usize) -> Vec<u8> {
    let mut bytes = good()[which].clone();
    let files = mend::files(&bytes);
    for _ in 0..=choices.below(most) {
        let (_, place) = &files[choices.below(files.len())];
        let entries = mend::entries(&bytes[place.clone()]);
        let Some(entry) = entries.get(choices.below(entries.len())) else { continue };
        if entry.length == 0 {
            continue;
        }
        let start = place.start + entry.offset;
        let at = start + choices.below(entry.length);
        match choices.byte() % 4 {
            0 => bytes[at] = choices.byte(),
            1 => bytes[at] ^= 1 << (choices.byte() % 8),
            2 => {
                let word = choices.u32().to_le_bytes();
                let at = start + (at - start) / 4 * 4;
                for (byte, word) in bytes[at..].iter_mut().zip(word) {
                    *byte = word;
                }
            }
            _ => {
                // A run of the same section over another place of it.
                let len = choices.below(32).min(start + entry.length - at);
                let from = start + choices.below(entry.length - len + 1);
                bytes.copy_within(from..from + len, at);
            }
        }
        if choices.is_empty() {
            break;
        }
    }
    mend::reseal_index(&mut bytes);
    bytes
}
