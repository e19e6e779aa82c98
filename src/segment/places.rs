//! Where the live documents of several segments go when these become one.

use std::sync::Arc;

use crate::docset::DocSet;
use crate::id::DocId;
use crate::segment::SegmentView;

/// The documents of a segment to be: the live ones of its inputs, input after input, each in the
/// order in which they are. Holds four bytes for every 64 documents.
#[derive(Debug)]
pub(crate) struct Places {
    inputs: Vec<Ranks>,
    /// The first document of each input, and how many there are in all.
    bases: Vec<u32>,
}

/// How many live documents come before each word of an input; none where all live.
#[derive(Debug)]
struct Ranks {
    docs: u32,
    live: Option<(Arc<DocSet>, Vec<u32>)>,
}

impl Ranks {
    fn of(view: &SegmentView) -> Self {
        let live = view.alive.as_ref().map(|alive| {
            let mut ranks = Vec::with_capacity(alive.words().len());
            let mut before = 0;
            for word in alive.words() {
                ranks.push(before);
                before += word.count_ones();
            }
            (Arc::clone(alive), ranks)
        });
        Self { docs: view.segment.docs(), live }
    }

    fn place(&self, doc: DocId) -> Option<u32> {
        let Some((alive, ranks)) = &self.live else { return (doc < self.docs).then_some(doc) };
        let at = doc as usize / 64;
        let (word, before) = alive.words().get(at).zip(ranks.get(at))?;
        let bit = 1u64 << (doc % 64);
        (word & bit != 0).then(|| before + (word & (bit - 1)).count_ones())
    }

    /// The document that has `place` live ones before it.
    fn doc(&self, place: u32) -> DocId {
        let Some((alive, ranks)) = &self.live else { return place };
        let at = ranks.partition_point(|&before| before <= place).saturating_sub(1);
        let mut word = alive.words().get(at).copied().unwrap_or(0);
        for _ in 0..place.saturating_sub(ranks.get(at).copied().unwrap_or(0)) {
            word &= word.wrapping_sub(1);
        }
        u32::try_from(at * 64).unwrap_or(u32::MAX).saturating_add(word.trailing_zeros())
    }

    fn len(&self) -> u32 {
        self.live.as_ref().map_or(self.docs, |(alive, _)| alive.count())
    }
}

impl Places {
    /// The places of what is live in these.
    pub(crate) fn new(inputs: &[SegmentView]) -> Self {
        let inputs: Vec<Ranks> = inputs.iter().map(Ranks::of).collect();
        let mut bases = vec![0u32];
        for ranks in &inputs {
            bases.push(bases.last().copied().unwrap_or(0).saturating_add(ranks.len()));
        }
        Self { inputs, bases }
    }

    /// How many documents.
    pub(crate) fn docs(&self) -> u32 {
        self.bases.last().copied().unwrap_or(0)
    }

    /// Where a document of an input goes; `None` where it is dead.
    pub(crate) fn place(&self, input: usize, doc: DocId) -> Option<DocId> {
        let place = self.inputs.get(input)?.place(doc)?;
        Some(self.bases.get(input)? + place)
    }

    /// Input and document of a place.
    pub(crate) fn source(&self, place: DocId) -> Option<(usize, DocId)> {
        if place >= self.docs() {
            return None;
        }
        let input = self.bases.partition_point(|&base| base <= place).saturating_sub(1);
        let within = place - self.bases.get(input)?;
        Some((input, self.inputs.get(input)?.doc(within)))
    }

    /// Input and document of every place, in order.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, DocId)> + '_ {
        self.inputs.iter().enumerate().flat_map(|(input, ranks)| {
            let live = move |doc: &DocId| ranks.place(*doc).is_some();
            (0..ranks.docs).filter(live).map(move |doc| (input, doc))
        })
    }
}
