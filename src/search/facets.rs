//! How often each value of a keyword attribute occurs among the documents that pass a filter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::error::{Error, Result};
use crate::limits::over;
use crate::schema::KeywordField;
use crate::search::Filter;
use crate::search::plan::Allowed;
use crate::search::query::{Query, refuse};
use crate::search::run::{View, check_filters};
use crate::segment::{AttributeTable, Keywords};
use crate::stop::Stop;

/// A value and how many documents have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// The value.
    pub value: String,
    /// Live documents that pass and have it; one with several values counts for each.
    pub count: u64,
}

/// Values counted together between two looks at the clock.
const CHECK: usize = 256;

/// The `most` most frequent values, of equally frequent ones the first in byte order.
pub(crate) fn facets(
    view: View<'_>,
    filter: Option<&Filter>,
    field: &KeywordField,
    most: usize,
) -> Result<Vec<Facet>> {
    if let Some(filter) = filter {
        filter.check(view.schema)?;
        filter.within(view.limits)?;
    }
    count(view, filter, field, most, &Stop::default())
}

/// The same among the documents that pass a query's filter, as long as it has time.
pub(crate) fn facets_of(
    view: View<'_>,
    query: &Query,
    field: &KeywordField,
    most: usize,
) -> Result<Vec<Facet>> {
    query.check()?;
    query.within(view.limits)?;
    check_filters(view.schema, query)?;
    let stop = Stop::new(query.deadline, query.cancel.clone());
    count(view, query.filter.as_ref(), field, most, &stop)
}

fn count(
    view: View<'_>,
    filter: Option<&Filter>,
    field: &KeywordField,
    most: usize,
    stop: &Stop,
) -> Result<Vec<Facet>> {
    let place = view.schema.resolve(field)?;
    if most == 0 {
        return Ok(refuse("most", most.to_string(), "1 or more")?);
    }
    over(field.name(), "facets", most, view.limits.facets)?;
    // A count that is cut is no count.
    let whole = || if stop.reached() { Err(Error::Interrupted { what: "facets" }) } else { Ok(()) };
    whole()?;
    let among = Allowed::new(view, filter, stop)?;
    let mut counted = Vec::new();
    for (part, among) in view.segments.iter().zip(&among.0) {
        whole()?;
        if let Some(AttributeTable::Keyword(table)) = part.segment.attribute(place) {
            let counts = table.counts(among.set.as_deref(), || stop.reached())?;
            counted.push(Counted { table, counts });
        }
    }
    whole()?;
    let mut united = United::new(&counted)?;
    // The most frequent so far, the least of them on top; of equals, the later value.
    let mut best = BinaryHeap::<Reverse<Ranked>>::new();
    for rank in 0usize.. {
        if rank % CHECK == 0 {
            whole()?;
        }
        let Some((count, segment, ordinal)) = united.next()? else { break };
        best.push(Reverse((count, Reverse(rank), segment, ordinal)));
        if best.len() > most {
            best.pop();
        }
    }
    let mut facets = Vec::with_capacity(best.len());
    while let Some(Reverse((count, _, segment, ordinal))) = best.pop() {
        if facets.len() % CHECK == 0 {
            whole()?;
        }
        let value = counted[segment].table.value(ordinal)?.to_owned();
        facets.push(Facet { value, count });
    }
    facets.reverse();
    Ok(facets)
}

/// A value among the most frequent: its count, its place in the order of values (the earlier is the
/// better of equals), and the segment and ordinal that have its text.
type Ranked = (u64, Reverse<usize>, usize, usize);

/// What each value of a segment counts, in the order of its values.
struct Counted<'a> {
    table: &'a Keywords,
    counts: Vec<u32>,
}

impl<'a> Counted<'a> {
    /// The first value from an ordinal on that any document has.
    fn from(&self, ordinal: usize) -> Result<Option<(usize, &'a str)>> {
        let counts = self.counts.get(ordinal..).unwrap_or_default();
        let Some(at) = counts.iter().position(|&count| count > 0) else { return Ok(None) };
        Ok(Some((ordinal + at, self.table.value(ordinal + at)?)))
    }
}

/// The values of several segments, in their order, each once.
struct United<'a> {
    counted: &'a [Counted<'a>],
    /// Of each segment the value that it is at, the least on top, with segment and ordinal.
    next: BinaryHeap<Reverse<(&'a str, usize, usize)>>,
}

impl<'a> United<'a> {
    fn new(counted: &'a [Counted<'a>]) -> Result<Self> {
        let mut united = Self { counted, next: BinaryHeap::with_capacity(counted.len()) };
        (0..counted.len()).try_for_each(|segment| united.push(segment, 0))?;
        Ok(united)
    }

    fn push(&mut self, segment: usize, ordinal: usize) -> Result<()> {
        if let Some((ordinal, value)) = self.counted[segment].from(ordinal)? {
            self.next.push(Reverse((value, segment, ordinal)));
        }
        Ok(())
    }

    /// The count of the next value, and a segment and ordinal that it has there.
    fn next(&mut self) -> Result<Option<(u64, usize, usize)>> {
        let Some(&Reverse((value, segment, ordinal))) = self.next.peek() else { return Ok(None) };
        let mut count = 0;
        while let Some(&Reverse((other, at, own))) = self.next.peek()
            && other == value
        {
            self.next.pop();
            count += u64::from(self.counted[at].counts.get(own).copied().unwrap_or(0));
            self.push(at, own + 1)?;
        }
        Ok(Some((count, segment, ordinal)))
    }
}
