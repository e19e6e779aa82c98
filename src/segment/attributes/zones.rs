//! What the numbers of each 4,096 documents lie between, so that a range passes over those that are
//! wholly within it or wholly without.
//!
//! Nothing of it is stored: whoever looks through a zone first keeps what it saw. That is two
//! numbers for 4,096, in memory from a column's first filter on; it changes no answer.

use std::sync::OnceLock;

use super::order::Order;

/// Documents in a zone.
pub(super) const ZONE: usize = 4096;

/// The least and the largest rank of a zone; the least is above the largest where there is none.
#[derive(Clone, Copy, Debug)]
struct Extremes {
    least: u64,
    most: u64,
}

/// What a range is to a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    None,
    All,
    /// Each number has to be looked at.
    Some,
}

/// The zones of a column, as far as they are known.
#[derive(Debug)]
pub(super) struct Zones {
    order: Order,
    known: OnceLock<Box<[OnceLock<Extremes>]>>,
}

impl Zones {
    pub(super) fn new(order: Order) -> Self {
        Self { order, known: OnceLock::new() }
    }

    fn zone(&self, zone: usize, zones: usize) -> Option<&OnceLock<Extremes>> {
        self.known.get_or_init(|| (0..zones).map(|_| OnceLock::new()).collect()).get(zone)
    }

    /// What the range from `low` to `width` beyond it, as bits, is to a zone of a column of so
    /// many zones; the zone's numbers and one bit for each that is there are looked through where
    /// that was never done before.
    pub(super) fn within(
        &self,
        (zone, zones): (usize, usize),
        (low, width): (u64, u64),
        values: &[u64],
        present: &[u64],
    ) -> Within {
        let Some(known) = self.zone(zone, zones) else { return Within::Some };
        let Extremes { least, most } = *known.get_or_init(|| self.extremes(values, present));
        // Of floats below zero, the least bits are the largest number.
        let (a, b) = (self.order.rank(low), self.order.rank(low.wrapping_add(width)));
        let (low, high) = (a.min(b), a.max(b));
        if least > most || most < low || high < least {
            Within::None
        } else if low <= least && most <= high {
            Within::All
        } else {
            Within::Some
        }
    }

    fn extremes(&self, values: &[u64], present: &[u64]) -> Extremes {
        let mut extremes = Extremes { least: u64::MAX, most: 0 };
        for (values, &word) in values.chunks(64).zip(present) {
            for (bit, &value) in values.iter().enumerate() {
                // Without a branch for each.
                let (rank, there) = (self.order.rank(value), word >> bit & 1 == 1);
                extremes.least = extremes.least.min(if there { rank } else { u64::MAX });
                extremes.most = extremes.most.max(if there { rank } else { 0 });
            }
        }
        extremes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_says_what_a_range_is_to_it() {
        let zones = Zones::new(Order::Unsigned);
        let (values, present) = ([7, 3, 99, 5], [0b1011]); // 99 is not there
        let mut seen = Vec::new();
        for low in 0..=10 {
            for high in low..=10 {
                let of = |values: &[u64]| {
                    let within = |&&value: &&u64| (low..=high).contains(&value);
                    match values.iter().filter(within).count() {
                        3 => Within::All,
                        0 => Within::None,
                        _ => Within::Some,
                    }
                };
                let said = zones.within((1, 2), (low, high - low), &values, &present);
                let truth = of(&[7, 3, 5]);
                // Between the least and the largest it need not know.
                assert!(said == truth || said == Within::Some, "{low}..={high}: {said:?}");
                seen.push(said);
            }
        }
        for one in [Within::All, Within::None, Within::Some] {
            assert!(seen.contains(&one));
        }
        let nothing = Zones::new(Order::Signed);
        assert_eq!(nothing.within((0, 1), (0, u64::MAX), &[5], &[0]), Within::None);
        // A zone beyond those there are.
        assert_eq!(nothing.within((1, 1), (0, 0), &[5], &[1]), Within::Some);
    }
}
