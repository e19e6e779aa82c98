//! Whether forward rows and postings say the same, a window of documents at a time.
//!
//! The postings of a window lie term by term, each term's documents ascending. So while its
//! documents are gone through in order, row by row, the next posting of each term of a row is the
//! document's, or the document has none; and once they are through, every posting must have been met.

use crate::codec::impact::{Quantizer, Scale};
use crate::error::Result;
use crate::kernel;
use crate::kernel::postings::{ABREAST, PostingKernels, RowFilter, RowHits};

use super::directory::{DirectoryView, Form, Term};
use super::forward::RowView;
use super::index::Rows;
use super::layout::{Impacts, WINDOW_BITS};
use super::transpose::each_in_window;

/// The word that ends the postings of a term: of no place that a window has.
const END: u32 = u32::MAX;

/// The filter that every ordinal passes.
const EVERY: RowFilter = [u32::MAX; 32];

/// How many terms ahead runs are asked for.
const AHEAD: usize = 12;

/// A posting in a word.
fn word(place: u16, impact: u8) -> u32 {
    u32::from(place) << 8 | u32::from(impact)
}

/// A term in the window at hand.
#[derive(Clone, Copy, Debug)]
struct Lane {
    /// Its scale: 24 bits, so exact.
    scale: f32,
    /// Where its next posting stands among the words.
    next: u32,
}

/// The comparison. Memory: the directory and one window.
#[derive(Debug)]
pub(super) struct Agreement<'a> {
    postings: DirectoryView<'a>,
    rows: Rows<'a>,
    terms: Vec<Term>,
    lanes: Vec<Lane>,
    /// Per tiny term how many of its documents were passed.
    passed: Vec<u32>,
    /// The postings of the window, term by term: place in the window, then eight bits of impact.
    words: Vec<u32>,
    kernels: &'static PostingKernels,
    hits: RowHits,
    /// The row at hand: ordinals, weights, and of each term the posting that is next and the scale.
    ordinals: Vec<u32>,
    weights: Vec<f32>,
    met: Vec<u32>,
    scales: Vec<f32>,
    /// Documents with postings.
    pub(super) found: u64,
    /// Entries of all rows.
    pub(super) entries: u64,
    /// Per term the largest impact that was found to be left out.
    pub(super) left: Vec<u8>,
}

impl<'a> Agreement<'a> {
    /// Stands before the first window.
    pub(super) fn new(postings: DirectoryView<'a>, rows: Rows<'a>) -> Result<Self> {
        let terms: Vec<Term> =
            (0..postings.term_ids().len()).map(|at| postings.term(at)).collect::<Result<_>>()?;
        // A grid scale has 24 significant bits, and the grid lies within the range of an f32.
        #[allow(clippy::cast_possible_truncation, reason = "exact, as the codec's tests show")]
        let lane = |term: &Term| Lane { scale: term.scale.value() as f32, next: 0 };
        Ok(Self {
            lanes: terms.iter().map(lane).collect(),
            passed: vec![0; terms.len()],
            left: vec![0; terms.len()],
            postings,
            rows,
            terms,
            words: Vec::new(),
            kernels: &kernel::select(None)?.postings,
            hits: RowHits::default(),
            ordinals: Vec::new(),
            weights: Vec::new(),
            met: Vec::new(),
            scales: Vec::new(),
            found: 0,
            entries: 0,
        })
    }

    /// Goes through all windows.
    ///
    /// # Errors
    /// `Corrupt` at the first row that has not exactly the postings of its document.
    pub(super) fn check(&mut self) -> Result<()> {
        for window in 0..self.postings.windows() {
            self.read(window)?;
            let base = u32::try_from(window << WINDOW_BITS).unwrap_or(u32::MAX);
            for place in (0u32..).take(self.postings.span(window)) {
                self.row(base, place)?;
            }
            // What is left over belongs to documents whose rows do not have the term.
            let over = |lane: &Lane| self.words.get(lane.next as usize).is_none_or(|w| *w != END);
            if let Some(lane) = self.lanes.iter().find(|lane| over(lane)) {
                let word = self.words.get(lane.next as usize).copied().unwrap_or(0);
                return Err(self.rows.corrupt(base + (word >> 8), OTHER));
            }
        }
        Ok(())
    }

    /// Reads the postings of a window.
    fn read(&mut self, window: usize) -> Result<()> {
        let words = &mut self.words;
        words.clear();
        words.push(END); // of all terms without a posting here
        // Each run lies somewhere else: those that follow are asked for while one is read.
        let ahead = self.terms.iter().skip(AHEAD).map(Some).chain(std::iter::repeat(None));
        let lanes = self.terms.iter().zip(&mut self.passed).zip(&mut self.lanes);
        for (((term, passed), lane), later) in lanes.zip(ahead) {
            if let Some(Term { form: Form::List { slot, start }, .. }) = later {
                self.postings.fetch_run(*slot, *start, window);
            }
            let start = words.len();
            match term.form {
                Form::List { slot, start } if self.postings.impacts() == Impacts::U8 => {
                    let run = self.postings.run(term, slot, start, window)?;
                    let places = || run.locals.iter().map(|local| u16::from_le_bytes(*local));
                    let mut ascends = true;
                    for (before, after) in places().zip(places().skip(1)) {
                        ascends &= before < after;
                    }
                    let last = places().next_back().map_or(0, usize::from);
                    if !ascends || (!run.locals.is_empty() && last >= self.postings.span(window)) {
                        return Err(self.postings.bad_local(slot, window));
                    }
                    words.extend(
                        places().zip(run.impacts).map(|(place, &impact)| word(place, impact)),
                    );
                }
                _ => each_in_window(&self.postings, term, window, passed, |place, impact| {
                    words.push(word(place, impact));
                })?,
            }
            lane.next = 0;
            if words.len() > start {
                lane.next = u32::try_from(start).unwrap_or(u32::MAX);
                words.push(END);
            }
        }
        Ok(())
    }

    /// Reads the ordinals of a row.
    fn read_ordinals(&mut self, view: &RowView<'_>) -> Result<(), &'static str> {
        self.ordinals.clear();
        match view.sound_gaps() {
            Some(gaps) => {
                (self.kernels.row_hits)(gaps, &EVERY, &mut self.hits);
                let terms = gaps.lows.len();
                let lines = self.hits.all().take(terms.div_ceil(ABREAST));
                lines.for_each(|line| self.ordinals.extend_from_slice(line));
                self.ordinals.truncate(terms);
                Ok(())
            }
            // One beyond the range counts as the last of it, which no directory has.
            None => view.each(|ordinal, _| {
                self.ordinals.push(u32::try_from(ordinal).unwrap_or(u32::MAX));
            }),
        }
    }

    /// Compares the row of a document with the postings that are next.
    fn row(&mut self, base: u32, place: u32) -> Result<()> {
        let doc = base + place;
        let Some(view) = self.rows.row(doc)? else { return Ok(()) };
        self.read_ordinals(&view).map_err(|what| self.rows.corrupt(doc, what))?;
        let terms = self.ordinals.len();
        self.met.resize(terms, 0);
        self.scales.resize(terms, 0.0);
        self.weights.clear();
        view.weights(&mut self.weights);
        // First what is scattered, without a branch; then what is in order, many at a time.
        let (lanes, words) = (&mut self.lanes[..], &self.words[..]);
        let next = self.met.iter_mut().zip(&mut self.scales);
        for (&ordinal, (met, scale)) in self.ordinals.iter().zip(next) {
            let Some(lane) = lanes.get_mut(ordinal as usize) else {
                return Err(self.rows.corrupt(doc, OTHER));
            };
            let word = words.get(lane.next as usize).copied().unwrap_or(END);
            lane.next += u32::from(word >> 8 == place);
            (*met, *scale) = (word, lane.scale);
        }
        let (mut held, mut posted) = (0u32, 0u32);
        for ((&word, &scale), &weight) in self.met.iter().zip(&self.scales).zip(&self.weights) {
            let is_posted = word >> 8 == place;
            posted += u32::from(is_posted);
            // (1) of the codec: what bounds rely on. No NaN, no infinity and nothing up to 0 lies
            // between these. The product and the difference are exact: both have 32 bits at most.
            let (scale, weight) = (f64::from(scale), f64::from(weight));
            let most = f64::from(word & 255) * scale;
            let (above, up_to) = (most - scale < weight, weight <= most);
            held += u32::from(is_posted) & u32::from(above) & u32::from(up_to);
        }
        let agrees = held == posted && (posted as usize == terms || self.others_are_left(place));
        if !agrees || posted == 0 {
            return Err(self.rows.corrupt(doc, OTHER));
        }
        self.found += 1;
        self.entries += view.count() as u64;
        Ok(())
    }

    /// Whether what is not posted of the row at hand may be left out of the postings.
    fn others_are_left(&mut self, place: u32) -> bool {
        let row = self.ordinals.iter().zip(&self.weights).zip(&self.met);
        let mut others = row.filter(|(_, word)| *word >> 8 != place).map(|(entry, _)| entry);
        others.all(|(&ordinal, &weight)| {
            let at = ordinal as usize;
            match (self.terms.get(at), self.left.get_mut(at)) {
                (Some(term), Some(left)) if weight.is_finite() && weight > 0.0 => {
                    is_left(term.scale, weight, term.left, left)
                }
                _ => false,
            }
        })
    }
}

/// What to say of a row that is not what the postings say.
const OTHER: &str = "not the postings of the document";

/// Whether a weight may be left out of the postings of its term; keeps the largest that is.
fn is_left(scale: Scale, weight: f32, most: u8, found: &mut u8) -> bool {
    let impact = Quantizer::new(scale).impact(weight);
    *found = impact.max(*found);
    impact <= most
}
