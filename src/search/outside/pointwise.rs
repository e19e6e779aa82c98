//! Each candidate judged alone.

use super::{Budget, Counter, Reordered, at_least_one};
use crate::error::{Fault, InputError, Result};
use crate::ordered::in_order;

/// Scores the first `depth` candidates, one a call, and orders them by score, of equal scores as
/// they were; the others follow. With fewer calls than that, so many of the first are scored. What
/// cannot be scored is best given a low number.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input): a depth of 0, a score that is not finite.
pub fn pointwise<E>(
    count: usize,
    depth: usize,
    budget: Budget,
    mut score: impl FnMut(usize) -> Result<f32, E>,
) -> Result<Reordered<E>> {
    at_least_one("depth", depth, count)?;
    let mut counter = Counter::new(budget);
    let mut scored: Vec<(usize, f32)> = Vec::new();
    for place in 0..depth.min(count) {
        let Some(value) = counter.call(|| score(place)) else { break };
        if !value.is_finite() {
            let fault = Fault::NotFinite { value: value.into() };
            return Err(InputError::new("score of the callback", fault).at(place).into());
        }
        scored.push((place, value));
    }
    let (all, stop) = (scored.len(), counter.stop());
    let order = |a: &(usize, f32), b: &(usize, f32)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    if in_order(&mut scored, all, Some(&stop), order) < all {
        counter.stopped = counter.ended();
    }
    Ok(counter.finish(count, scored.into_iter().map(|(place, _)| place).collect()))
}
