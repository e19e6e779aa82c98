//! How often each value of a keyword attribute occurs among the documents that pass a filter.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::schema::KeywordField;
use crate::search::Filter;
use crate::search::plan::Allowed;
use crate::search::run::View;
use crate::segment::AttributeTable;
use crate::stop::Stop;

/// A value and how many documents have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// The value.
    pub value: String,
    /// Live documents that pass and have it; one with several values counts for each.
    pub count: u64,
}

/// The `most` most frequent values, of equally frequent ones the first in byte order.
pub(crate) fn facets(
    view: View<'_>,
    filter: Option<&Filter>,
    field: &KeywordField,
    most: usize,
) -> Result<Vec<Facet>> {
    let place = view.schema.resolve(field)?;
    if let Some(filter) = filter {
        filter.check(view.schema)?;
        filter.within(view.limits)?;
    }
    let mut counts = BTreeMap::<String, u64>::new();
    let among = Allowed::new(view, filter, &Stop::default())?;
    for (part, among) in view.segments.iter().zip(&among.0) {
        if let Some(AttributeTable::Keyword(table)) = part.segment.attribute(place) {
            table.counts(among.set.as_deref(), |value, count| match counts.get_mut(value) {
                Some(sum) => *sum += u64::from(count),
                None => drop(counts.insert(value.to_owned(), count.into())),
            })?;
        }
    }
    let mut facets: Vec<Facet> =
        counts.into_iter().map(|(value, count)| Facet { value, count }).collect();
    facets.sort_by_key(|facet| std::cmp::Reverse(facet.count)); // stable: values ascend
    facets.truncate(most);
    Ok(facets)
}
