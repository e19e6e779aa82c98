//! What is known of each query, in the order in which the queries came up.

use std::collections::HashMap;

/// Values by query.
#[derive(Clone, Debug, Default)]
pub(super) struct ByQuery<T> {
    list: Vec<(String, T)>,
    /// From a query to its place in `list`.
    places: HashMap<String, usize>,
}

/// Equal values in equal order.
impl<T: PartialEq> PartialEq for ByQuery<T> {
    fn eq(&self, other: &Self) -> bool {
        self.list == other.list
    }
}

impl<T> ByQuery<T> {
    /// How many queries.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// What is known of a query, if anything is.
    pub(super) fn get(&self, query: &str) -> Option<&T> {
        let (_, value) = self.list.get(*self.places.get(query)?)?;
        Some(value)
    }

    /// Each query with its value.
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &T)> {
        self.list.iter().map(|(query, value)| (query.as_str(), value))
    }
}

impl<T: Default> ByQuery<T> {
    /// What is known of a query, which comes last if it was not there yet.
    pub(super) fn entry(&mut self, query: &str) -> &mut T {
        let place = if let Some(&place) = self.places.get(query) {
            place
        } else {
            self.places.insert(query.to_owned(), self.list.len());
            self.list.push((query.to_owned(), T::default()));
            self.list.len() - 1
        };
        &mut self.list[place].1
    }
}
