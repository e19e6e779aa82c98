//! Words are found, and those that lie are not.

use super::*;
use crate::error::Error;
use crate::format::book::{check_structure, layout};
use crate::format::{Container, ContainerKind, ContainerWriter, SectionKind};
use crate::storage::{MemStorage, Storage};

#[test]
fn the_head_is_that_of_the_book() {
    let head = layout!(VocabularyHead: words, slots, weighted, reserved);
    check_structure("VocabularyHead", &head);
}

#[test]
fn every_word_is_found_and_no_other() {
    let words: Vec<(String, u32, f32)> =
        (0..5000u32).map(|at| (format!("w{at}"), at / 2, at as f32 + 0.5)).collect();
    let vocabulary = Vocabulary::weighted(words.clone()).unwrap();
    assert_eq!((vocabulary.len(), vocabulary.is_empty()), (5000, false));
    for (word, term, weight) in &words {
        assert_eq!(vocabulary.get(word), Some((*term, *weight)));
    }
    assert!(vocabulary.get("w5000").is_none() && vocabulary.get("").is_none());
    let back: Vec<_> = vocabulary.iter().map(|(w, t, x)| (w.to_owned(), t, x)).collect();
    assert_eq!(back, words);
    let mut vector = vec![(1, 1.0)];
    assert_eq!(vocabulary.query(["w9", "x", "w2", "w3"], &mut vector), 1);
    assert_eq!(vector, [(1, 3.5), (4, 9.5)]); // of the words of one term, the heavier
    assert_eq!(vocabulary.vector([("w2", 1.0), ("w3", 0.5), ("x", 1.0)], &mut vector), 1);
    assert_eq!(vector, [(1, 1.5)]);
    let none = Vocabulary::new(std::iter::empty::<(&str, u32)>()).unwrap();
    assert!(none.is_empty() && none.get("a").is_none());
}

#[test]
fn bad_words_are_refused() {
    let refused = |words: &[(&str, u32, f32)]| {
        matches!(Vocabulary::weighted(words.iter().copied()), Err(Error::Input(_)))
    };
    assert!(refused(&[("", 1, 1.0)]) && refused(&[("a", 1, 1.0), ("a", 2, 1.0)]));
    assert!(refused(&[("a", 1, 0.0)]) && refused(&[("a", 1, f32::NAN)]));
    assert!(refused(&[(&"x".repeat(256), 1, 1.0)]) && !refused(&[("a", 1, 1.0)]));
    let longest = "x".repeat(255);
    let words = Vocabulary::weighted([(&longest, 1, 1.0)]).unwrap();
    assert_eq!(words.get(&longest), Some((1, 1.0)));
    let many = std::iter::repeat_n(("a", 1), MAX_VOCABULARY + 1);
    let Err(Error::Input(error)) = Vocabulary::new(many) else { panic!("so many are taken") };
    let (found, limit) = (MAX_VOCABULARY as u64 + 1, MAX_VOCABULARY as u64);
    assert_eq!(error.what, Fault::TooMany { what: "words", found, limit });
    // The row is that of the second.
    let error = Vocabulary::new([("a", 1), ("b", 2), ("c", 3), ("b", 4)]).unwrap_err();
    let Error::Input(error) = error else { panic!("{error}") };
    assert_eq!(error.row, Some(3));
}

/// Few words in few slots, so that many share one.
#[test]
fn words_that_share_a_slot_are_told_apart() {
    for at in 0..300 {
        let words = [format!("w{at}"), format!("w{}", at + 1), format!("w{}", at + 2)];
        let vocabulary = Vocabulary::new((0u32..).zip(&words).map(|(t, w)| (w, t))).unwrap();
        for (term, word) in (0u32..).zip(&words) {
            assert_eq!(vocabulary.get(word), Some((term, 1.0)), "{words:?}");
        }
        let twice = [&words[0], &words[1], &words[0]];
        assert!(Vocabulary::new(twice.map(|word| (word, 1))).is_err(), "{twice:?}");
    }
}

/// At most half of the slots are taken, so that few steps find a word.
#[test]
fn there_are_slots_enough() {
    for count in 0..70u32 {
        let words = Vocabulary::new((0..count).map(|at| (format!("w{at}"), at))).unwrap();
        assert!(words.slots.is_power_of_two(), "{count} words: {} slots", words.slots);
        assert!(words.slots > 2 * count as usize, "{count} words: {} slots", words.slots);
    }
}

/// The section as it stands in a file.
fn opened(bytes: &[u8]) -> Result<Vocabulary> {
    let storage = MemStorage::new();
    let file = storage.create_new("m").unwrap();
    let kind = ContainerKind::Manifest;
    let mut writer = ContainerWriter::create(file, "m".to_owned(), kind).unwrap();
    writer.section(SectionKind::VOCABULARY, 0, bytes).unwrap();
    writer.finish(1, 0).unwrap();
    let container = Container::open(storage.open("m").unwrap(), "m", kind, None).unwrap();
    Vocabulary::open(&container.section(SectionKind::VOCABULARY, 0).unwrap())
}

#[test]
fn heads_that_lie_are_damage() {
    let weighted = Vocabulary::weighted([("fat", 7, 0.5), ("oil", 3, 1.5)]).unwrap();
    let plain = Vocabulary::new([("fat", 7), ("oil", 3)]).unwrap();
    let none = Vocabulary::new(std::iter::empty::<(&str, u32)>()).unwrap();
    for good in [&weighted, &plain, &none] {
        let back = opened(good.bytes()).unwrap();
        assert!(back == *good && back.iter().eq(good.iter()));
        assert_eq!((back.len(), back.slots), (good.len(), good.slots));
    }
    assert!(weighted != plain && plain != none);
    // Words, slots, weights, and what is reserved: each alone, beside two words in 8 slots.
    let most = MAX_VOCABULARY as u32;
    let lies = [
        (0, most + 1, "a head that cannot be"),
        (0, u32::MAX, "a head that cannot be"),
        (8, 2, "a head that cannot be"),
        (12, 1, "a head that cannot be"),
        (4, 0, "slots of another number"),
        (4, 1, "slots of another number"),
        (4, 2, "slots of another number"),
        (4, 12, "slots of another number"),
        (0, 8, "slots of another number"),
        (0, most, "slots of another number"),
        (4, 1 << 20, "shorter than its head says"),
        (4, 4, "words that do not end where the section does"),
        (8, 0, "words that do not end where the section does"),
    ];
    for (at, value, said) in lies {
        let mut bytes = weighted.bytes().to_vec();
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let error = opened(&bytes).unwrap_err();
        let damage = matches!(error, Error::Corrupt(_)) && error.to_string().contains(said);
        assert!(damage, "{value} at {at}: {error}");
    }
    // As many words as there may be are too many for these bytes, and no lie of the head alone.
    let mut bytes = weighted.bytes().to_vec();
    bytes[..4].copy_from_slice(&most.to_le_bytes());
    bytes[4..8].copy_from_slice(&(2 * most).to_le_bytes());
    let error = opened(&bytes).unwrap_err().to_string();
    assert!(error.contains("shorter than its head says"), "{error}");
    assert!(opened(&weighted.bytes()[..15]).is_err(), "no head");
}

/// Each part of the section is changed in turn.
#[test]
fn words_that_lie_are_damage() {
    let good = Vocabulary::weighted([("fat", 7, 0.5), ("oil", 3, 1.5), ("wax", 9, 2.0)]).unwrap();
    let head = size_of::<VocabularyHead>();
    let (ends, weights) = (head, head + 2 * 12);
    let (slots, text) = (weights + 12, good.bytes().len() - 9);
    let word = |at: usize| good.bytes()[at..at + 4].to_vec();
    let empty = (slots..text).step_by(4).find(|&at| word(at) == [0; 4]).unwrap();
    let taken = (slots..text).step_by(4).find(|&at| word(at) != [0; 4]).unwrap();
    let cases: [(usize, &[u8], &str); 10] = [
        (ends, &[200], "word 0 cannot be read"),
        (ends, &[0], "word 0 cannot be read"),
        (text, &[0xFF], "word 0 cannot be read"),
        (text, b"cat", "word 0 is not where it is looked for"),
        (taken, &[0], "is not where it is looked for"),
        (weights, &f32::NAN.to_le_bytes(), "word 0 has no weight above zero"),
        (weights, &f32::INFINITY.to_le_bytes(), "word 0 has no weight above zero"),
        (weights, &0f32.to_le_bytes(), "word 0 has no weight above zero"),
        (weights, &(-1f32).to_le_bytes(), "word 0 has no weight above zero"),
        (empty, &[1], "slots of words that there are not"),
    ];
    assert!(good.verify("x").is_ok());
    for (at, change, said) in cases {
        let mut bytes = good.bytes().to_vec();
        bytes[at..at + change.len()].copy_from_slice(change);
        let damaged = Vocabulary { bytes: Bytes::from_vec(&bytes), ..good.clone() };
        let error = damaged.verify("x").unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)) && error.to_string().contains(said), "{error}");
        // Asked all the same, it gives what can be a weight, or nothing.
        let mut vector = Vec::new();
        damaged.query(["fat", "oil", "wax"], &mut vector);
        let can_be = |weight: f32| weight.is_finite() && weight > 0.0;
        assert!(vector.iter().all(|entry| can_be(entry.1)), "{said}");
    }
    let short = Vocabulary { bytes: Bytes::from_vec(&good.bytes()[..text - 1]), ..good.clone() };
    assert!(short.verify("x").unwrap_err().to_string().contains("too short"));
    assert!(short.get("fat").is_none() && short.iter().next().is_none());
    assert_eq!(short.query(["fat", "oil"], &mut Vec::new()), 2);
    assert_eq!(format!("{good:?}"), "Vocabulary { words: 3, .. }");
}
