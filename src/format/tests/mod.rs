//! The container and what is built on it.

mod book;
mod container;
mod damage;
mod hostile;
mod pack;
mod parts;

use super::*;
use crate::error::Result;
use crate::storage::{Bytes, MemStorage, Storage};

/// What a container written by `fill` looks like.
fn written(
    kind: ContainerKind,
    fill: impl FnOnce(&mut ContainerWriter) -> Result<()>,
) -> (Vec<u8>, Pin) {
    let storage = MemStorage::new();
    let file = storage.create_new("x").unwrap();
    let mut writer = ContainerWriter::create(file, "x".to_owned(), kind).unwrap();
    fill(&mut writer).unwrap();
    let pin = writer.finish(7, 3).unwrap();
    (storage.open("x").unwrap().as_slice().to_vec(), pin)
}

/// A small container with every shape of section: several types, an empty one, a full line.
fn small() -> (Vec<u8>, Pin) {
    written(ContainerKind::Segment, |writer| {
        writer.section(SectionKind::SEGMENT_HEAD, NO_FIELD, &[1u64, 2, 3])?;
        writer.section(SectionKind::KEYS, NO_FIELD, b"alphabetagamma")?;
        writer.section::<u32>(SectionKind::KEY_ORDER, NO_FIELD, &[])?;
        writer.section(SectionKind::ATTR_VALUES, 0, &[-1i64; 8])?;
        writer.section(SectionKind::ATTR_VALUES, 1, &[0.5f32; 17])
    })
}

fn open(bytes: &[u8], pin: Option<&Pin>) -> Result<Container> {
    Container::open(Bytes::from_vec(bytes), "x", ContainerKind::Segment, pin)
}
