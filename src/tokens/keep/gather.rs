//! The centroids of all inputs of a merge together.
//!
//! Packed rows without a second tier are all that there is of them: packed anew over other centroids
//! they would lose a second time what a code loses (a third of real rows packed anew: .04 of
//! recall@10 with 2 bits). So every row keeps its centroid and its code; that the levels of two
//! inputs lie a little wider or narrower is made good by the centroids' numbers and the rows' scales.
//! Rows of an input that wait to be packed get centroids of their own beside these. There are as
//! many centroids as training would make, since each input has its share; where much has been
//! deleted there are more, and those with the fewest rows go, as far as room demands.

use half::f16;

use crate::codec::int8;
use crate::codec::kmeans::{self, CodeRows, Crew, assign};
use crate::error::Result;
use crate::schema::{Centroids, TokenCodec, TokenOptions};
use crate::tokens::layout::TokenRows;
use crate::tokens::store::TokenStore;
use crate::tokens::train::training_sample;
use crate::tokens::write::TokenSource;

use super::{Drift, Kept, Meter, Own};

/// The part of what rows take that more centroids than training would make may take beside it: one
/// in so many.
const ROOM: u64 = 14;

/// Three rows in five at least are to keep their centroids: where fewer do, new ones serve better
/// (measured on real rows with nine documents in ten deleted: two in three kept, of 4 bits, is .008
/// of recall@10 better than new ones; one in two, of 2 bits, .009 worse).
const LEAST: (u128, u128) = (3, 5);
/// What a centroid and a code are together at most.
const CODE: u8 = 127;

/// An input with its centroids.
struct Input<'a> {
    at: usize,
    store: &'a TokenStore,
    centroids: CodeRows,
    book: Vec<i8>,
    drift: Drift,
    /// Live rows of each centroid.
    used: Vec<u64>,
    rows: u64,
}

/// The centroids of all inputs that the book serves of the one with the most rows, the first of
/// equals, with that book; the rows of other inputs, those that wait among them, get centroids of
/// their own. `None` where no input has what can be kept, or not enough of it is left.
pub(super) fn gather<'a>(
    source: &'a dyn TokenSource,
    options: &TokenOptions,
    (wanted, rows): (u64, u64),
    crew: Crew,
) -> Result<Option<Kept<'a>>> {
    let Some(mut inputs) = counted(source)? else { return Ok(None) };
    let Some(main) = (0..inputs.len()).max_by_key(|&at| (inputs[at].rows, std::cmp::Reverse(at)))
    else {
        return Ok(None);
    };
    let (book, of_main) = (inputs[main].book.clone(), inputs[main].at);
    let levels = !matches!(options.codec, TokenCodec::Product { .. });
    // Entries of two codebooks have nothing in common.
    let serves = |own: &[i8]| own == book || (levels && alike(own, &book));
    inputs.retain(|input| serves(&input.book));
    let Some(main) = inputs.iter().position(|input| input.at == of_main) else { return Ok(None) };
    // All centroids that rows have, those with the most rows first.
    let mut all: Vec<(u64, usize, usize)> = Vec::new();
    for (input, own) in inputs.iter().enumerate() {
        let used = own.used.iter().enumerate().filter(|&(_, &rows)| rows > 0);
        all.extend(used.map(|(id, &rows)| (rows, input, id)));
    }
    let packed: u64 = inputs.iter().map(|input| input.rows).sum();
    // As large a share of all centroids as of all rows.
    let others = rows.saturating_sub(packed);
    let share = u128::from(wanted) * u128::from(others) / u128::from(rows.max(1));
    let own = u64::try_from(share).unwrap_or(wanted).max(others.min(1));
    let most = match options.centroids {
        Centroids::Count(_) if (all.len() as u64) < wanted.saturating_sub(own) => return Ok(None),
        _ => most(options, wanted, rows),
    };
    let most = usize::try_from(most.saturating_sub(own)).unwrap_or(usize::MAX);
    all.sort_unstable_by_key(|&(rows, input, id)| (std::cmp::Reverse(rows), input, id));
    let whole = all.len() <= most;
    all.truncate(most);
    let stay: u64 = all.iter().map(|&(rows, ..)| rows).sum();
    if u128::from(stay) * LEAST.1 < u128::from(packed) * LEAST.0 {
        return Ok(None);
    }
    all.sort_unstable_by_key(|&(_, input, id)| (input, id));

    let room = f32::from(CODE - book.iter().map(|level| level.unsigned_abs()).max().unwrap_or(0));
    let ratios: Vec<f32> = inputs.iter().map(|input| ratio(&input.book, &book)).collect();
    let mut new: Vec<Vec<Option<u16>>> =
        inputs.iter().map(|input| vec![None; input.used.len()]).collect();
    let mut centroids = CodeRows::default();
    for (at, &(_, input, id)) in all.iter().enumerate() {
        let Ok(place) = u16::try_from(at) else { break };
        new[input][id] = Some(place);
        let (own, ratio) = (&inputs[input].centroids, ratios[input]);
        let row = &own.codes[id * options.dim..][..options.dim];
        centroids.codes.extend(row.iter().map(|&byte| moved(byte, ratio, room)));
        let step = f16::from_bits(own.scales[id]).to_f32() / ratio;
        centroids.scales.push(f16::from_f32(step).to_bits());
    }
    if others > 0 {
        let kept: Vec<usize> = inputs.iter().map(|input| input.at).collect();
        let rest = Rest { source, kept: &kept };
        let drift = inputs[main].drift.trained;
        let step = inputs[main].centroids.scales.first().copied().unwrap_or(0);
        let steps = Steps { dim: options.dim, room, step, drift };
        let new = steps.trained(&rest, (own, others), crew)?;
        centroids.codes.extend(new.codes);
        centroids.scales.extend(new.scales);
    }
    let as_it_is = whole.then_some(of_main);
    let trained = inputs[main].drift.trained;
    let mut own: Vec<_> = source.inputs().iter().map(|_| None).collect();
    for ((input, new), ratio) in inputs.into_iter().zip(new).zip(ratios) {
        own[input.at] = Some(Own { store: input.store, new, ratio });
    }
    Ok(Some(Kept { own, as_it_is, centroids, book, trained }))
}

/// The inputs that have live rows and do not wait; `None` where one of them has nothing to keep.
fn counted(source: &dyn TokenSource) -> Result<Option<Vec<Input<'_>>>> {
    let stores = source.inputs();
    let mut inputs: Vec<Option<Input<'_>>> = Vec::with_capacity(stores.len());
    for (at, store) in stores.iter().enumerate() {
        let Some(store) = store.filter(|store| !store.waits()) else {
            inputs.push(None);
            continue;
        };
        let Some((centroids, book, drift)) = store.trained() else { return Ok(None) };
        if centroids.rows().is_none_or(|rows| rows.dim() != store.dim()) {
            return Ok(None);
        }
        let used = vec![0; centroids.scales.len()];
        inputs.push(Some(Input { at, store, centroids, book, drift, used, rows: 0 }));
    }
    for doc in 0..source.docs() {
        let Some((at, origin)) = source.origin(doc) else { continue };
        let Some(Some(input)) = inputs.get_mut(at) else { continue };
        let Some(rows) = source.rows(doc)? else { continue };
        for &id in input.store.own_ids(origin, rows.coded.len(), input.used.len())? {
            input.used[usize::from(id)] += 1;
        }
        input.rows += rows.coded.len() as u64;
    }
    Ok(Some(inputs.into_iter().flatten().filter(|input| input.rows > 0).collect()))
}

/// The documents whose rows do not keep their centroids.
struct Rest<'a> {
    source: &'a dyn TokenSource,
    /// The inputs whose rows do, ascending.
    kept: &'a [usize],
}

impl TokenSource for Rest<'_> {
    fn docs(&self) -> usize {
        self.source.docs()
    }

    fn rows(&self, doc: usize) -> Result<Option<TokenRows<'_>>> {
        let kept = self.source.origin(doc).is_some_and(|(at, _)| self.kept.contains(&at));
        if kept { Ok(None) } else { self.source.rows(doc) }
    }
}

/// What centroids that are trained beside others must fit.
struct Steps {
    dim: usize,
    /// How large a number of theirs can be.
    room: f32,
    /// One step of the others, and how far the rows were from these that the book was made for.
    step: u16,
    drift: f32,
}

impl Steps {
    /// Centroids for some rows, on steps on which what is left of these is as large as the book has
    /// it.
    fn trained(
        &self,
        rows: &dyn TokenSource,
        (count, of): (u64, u64),
        crew: Crew,
    ) -> Result<CodeRows> {
        let sample = training_sample(rows, self.dim, of, (count, u64::MAX))?;
        let Some(sample_rows) = sample.rows() else { return Ok(CodeRows::default()) };
        let trained = kmeans::train(&sample_rows, usize::try_from(count).unwrap_or(1), crew);
        let Some(centroids) = trained.rows() else { return Ok(CodeRows::default()) };
        let mut meter = Meter::new(&centroids);
        meter.add(&centroids, &sample_rows, &assign(&centroids, &sample_rows, crew));
        let wider = meter.mean() / self.drift;
        let wider = if (0.25..=4.0).contains(&wider) { wider } else { 1.0 };
        let bits = f16::from_f32(f16::from_bits(self.step).to_f32() * wider).to_bits();
        let step = f16::from_bits(bits).to_f32();
        let mut out = CodeRows::default();
        let mut row = vec![0.0; self.dim];
        for (codes, &scale) in trained.codes.chunks_exact(self.dim).zip(&trained.scales) {
            int8::decode(codes, scale, &mut row);
            out.codes.extend(row.iter().map(|x| rounded(x / step, self.room)));
            out.scales.push(bits);
        }
        Ok(out)
    }
}

/// Whether rows are packed a second time, where nothing is kept of their inputs: more centroids than
/// otherwise make good a part of what that loses (with nine documents in ten deleted and rows of 2
/// bits .007 of recall@10 of .027).
pub(in crate::tokens) fn packs_again(source: &dyn TokenSource, options: &TokenOptions) -> bool {
    options.may_wait() && source.inputs().iter().flatten().any(|input| !input.waits())
}

/// How many centroids there may be where training would make `wanted`.
pub(in crate::tokens) fn most(options: &TokenOptions, wanted: u64, rows: u64) -> u64 {
    if let Centroids::Count(_) = options.centroids {
        return wanted;
    }
    let row = options.codec.row_bytes(options.dim) as u64 + 4; // with its scale and its centroid
    let more = rows.saturating_mul(row) / ROOM / (options.dim as u64 + 6);
    wanted.saturating_add(more).min(Centroids::MOST.into())
}

/// What makes the numbers of a book those of another of the same codec, as nearly as one factor
/// does: rows of another input are mostly a little further from their centroids, or nearer, and
/// their levels lie in the same way. Codes then stay what they are.
#[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
fn ratio(own: &[i8], new: &[i8]) -> f32 {
    let size = |book: &[i8]| book.iter().map(|&level| f64::from(level).powi(2)).sum::<f64>();
    let ratio = (size(new) / size(own)).sqrt() as f32;
    if (0.25..=4.0).contains(&ratio) { ratio } else { 1.0 }
}

/// Whether levels, times their ratio, are within half of what lies between two of them.
fn alike(own: &[i8], new: &[i8]) -> bool {
    let ratio = f64::from(ratio(own, new));
    let squares = own.iter().zip(new).map(|(&a, &b)| (f64::from(a) * ratio - f64::from(b)).powi(2));
    let span = match (new.first(), new.last()) {
        (Some(&first), Some(&last)) => f64::from(last) - f64::from(first),
        _ => 0.0,
    };
    let between = span / new.len().saturating_sub(1).max(1) as f64;
    own.len() == new.len() && squares.sum::<f64>() <= new.len() as f64 * (between / 2.0).powi(2)
}

/// A centroid's number times a ratio, within what is left of a byte beside a code.
fn moved(byte: u8, ratio: f32, room: f32) -> u8 {
    rounded((f32::from(byte) - f32::from(int8::ZERO)) * ratio, room)
}

/// A number as a byte of a centroid, within what is left of a byte beside a code.
fn rounded(number: f32, room: f32) -> u8 {
    let number = number.clamp(-room, room).round_ties_even();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 255")]
    let byte = (number + f32::from(int8::ZERO)) as u8;
    byte
}
