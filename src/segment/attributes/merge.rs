//! The attributes of several segments in one.

use super::{AttributeTable, Keywords, Numbers, ragged};
use crate::error::Result;
use crate::format::{ContainerWriter, SectionKind};
use crate::segment::places::Places;

/// Writes the values of what is live in verified tables, as one segment that was gathered of the
/// same documents would have them. An input that lacks the attribute has no table. `keyword` says
/// which kind the attribute is.
///
/// # Errors
/// `Corrupt` where a value cannot be read; those of the file.
pub(in crate::segment) fn merge(
    tables: &[Option<&AttributeTable>],
    keyword: bool,
    places: &Places,
    field: u32,
    out: &mut ContainerWriter,
) -> Result<()> {
    if keyword {
        let tables: Vec<Option<&Keywords>> = tables
            .iter()
            .map(|table| match table {
                Some(AttributeTable::Keyword(table)) => Some(&**table),
                _ => None,
            })
            .collect();
        return keywords(&tables, places, field, out);
    }
    let tables: Vec<Option<&Numbers>> = tables
        .iter()
        .map(|table| match table {
            Some(AttributeTable::Number(table)) => Some(&**table),
            _ => None,
        })
        .collect();
    let value = |input: usize, doc| tables[input].and_then(|table| table.get(doc));
    let mut present = vec![0u64; (places.docs() as usize).div_ceil(64)];
    for (place, (input, doc)) in places.each().enumerate() {
        if value(input, doc).is_some() {
            present[place / 64] |= 1 << (place % 64);
        }
    }
    out.section(SectionKind::ATTR_PRESENT, field, &present)?;
    out.begin(SectionKind::ATTR_VALUES, field, 8)?;
    for (input, doc) in places.each() {
        out.write_pod(&[value(input, doc).unwrap_or(0)])?;
    }
    out.end()
}

/// A value of the merged dictionary.
struct Value {
    /// An input that has it, and its place there.
    input: usize,
    ordinal: usize,
    /// Live documents that have it.
    docs: u64,
}

/// The mark of a value that no live document has.
const NOWHERE: u32 = u32::MAX;

/// The merged dictionary, and for each input where its values went.
fn dictionary(
    tables: &[Option<&Keywords>],
    places: &Places,
) -> Result<(Vec<Value>, Vec<Vec<u32>>)> {
    let mut values: Vec<Value> = Vec::new();
    let mut went: Vec<Vec<u32>> = tables.iter().map(|_| Vec::new()).collect();
    loop {
        // The smallest value that is not passed yet: few inputs, so each is looked at.
        let mut least: Option<&str> = None;
        for (table, went) in tables.iter().zip(&went) {
            if let Some(table) = table.filter(|table| went.len() < table.len()) {
                let value = table.value(went.len())?;
                least = Some(least.map_or(value, |least| least.min(value)));
            }
        }
        let Some(least) = least else { return Ok((values, went)) };
        let mut merged = Value { input: 0, ordinal: 0, docs: 0 };
        let mut having = Vec::new();
        for (input, table) in tables.iter().enumerate() {
            let ordinal = went[input].len();
            let Some(table) = table.filter(|table| ordinal < table.len()) else { continue };
            if table.value(ordinal)? == least {
                let docs = ragged(&table.posting_offsets, &table.postings, ordinal);
                let live = |doc: &&u32| places.place(input, **doc).is_some();
                merged.docs += docs.unwrap_or_default().iter().filter(live).count() as u64;
                (merged.input, merged.ordinal) = (input, ordinal);
                having.push(input);
            }
        }
        let place = u32::try_from(values.len()).unwrap_or(NOWHERE);
        let place = if merged.docs > 0 { place } else { NOWHERE };
        for input in having {
            went[input].push(place);
        }
        if merged.docs > 0 {
            values.push(merged);
        }
    }
}

fn keywords(
    tables: &[Option<&Keywords>],
    places: &Places,
    field: u32,
    out: &mut ContainerWriter,
) -> Result<()> {
    let (values, went) = dictionary(tables, places)?;
    let text = |value: &Value| match tables[value.input] {
        Some(table) => table.value(value.ordinal),
        None => Ok(""),
    };
    out.begin(SectionKind::ATTR_DICT_OFFSETS, field, 8)?;
    let mut end = 0u64;
    out.write_pod(&[end])?;
    for value in &values {
        end += text(value)?.len() as u64;
        out.write_pod(&[end])?;
    }
    out.end()?;
    out.begin(SectionKind::ATTR_DICT, field, 1)?;
    for value in &values {
        out.write(text(value)?.as_bytes())?;
    }
    out.end()?;
    out.begin(SectionKind::ATTR_POSTING_OFFSETS, field, 8)?;
    let mut end = 0u64;
    out.write_pod(&[end])?;
    for value in &values {
        end += value.docs;
        out.write_pod(&[end])?;
    }
    out.end()?;

    out.begin(SectionKind::ATTR_POSTINGS, field, 4)?;
    let mut passed = vec![0usize; tables.len()];
    for place in (0u32..).take(values.len()) {
        for (input, table) in tables.iter().enumerate() {
            let (Some(table), passed) = (table, &mut passed[input]) else { continue };
            while went[input].get(*passed).is_some_and(|&went| went == NOWHERE) {
                *passed += 1;
            }
            if went[input].get(*passed) == Some(&place) {
                let docs = ragged(&table.posting_offsets, &table.postings, *passed);
                for &doc in docs.unwrap_or_default() {
                    if let Some(doc) = places.place(input, doc) {
                        out.write_pod(&[doc])?;
                    }
                }
                *passed += 1;
            }
        }
    }
    out.end()?;

    let own = |input: usize, doc: u32| {
        let table = tables[input];
        let own =
            table.and_then(|table| ragged(&table.ordinal_offsets, &table.ordinals, doc as usize));
        own.unwrap_or_default()
    };
    out.begin(SectionKind::ATTR_ORDINAL_OFFSETS, field, 8)?;
    let mut end = 0u64;
    out.write_pod(&[end])?;
    for (input, doc) in places.each() {
        end += own(input, doc).len() as u64;
        out.write_pod(&[end])?;
    }
    out.end()?;
    out.begin(SectionKind::ATTR_ORDINALS, field, 4)?;
    for (input, doc) in places.each() {
        for &ordinal in own(input, doc) {
            out.write_pod(&[went[input].get(ordinal as usize).copied().unwrap_or(NOWHERE)])?;
        }
    }
    out.end()
}
