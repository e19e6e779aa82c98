//! Where a score comes from.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::id::{DocId, TermId};
use crate::search::feedback::{Expansion, widened};
use crate::search::fusion::Fused;
use crate::search::plan::{Allowed, Plan};
use crate::search::query::{Query, Stage};
use crate::search::run::{Scratch, View, check_filters};
use crate::stop::Stop;
use crate::tokens::TokenQuery;

/// The parts of a document's score, taken from the same stored values as the score.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// Terms that query and document share, where a sparse vector decides or chose the
    /// candidates; in ascending term id. The sum of [`TermPart::contribution`] is the score of the
    /// sparse search.
    pub terms: Vec<TermPart>,
    /// What each query row met, where MaxSim decides; in row order. The sum of
    /// [`TokenPart::score`] is the score.
    pub tokens: Vec<TokenPart>,
    /// What each query of a fusion or union says, in their order. Of a fusion, the sum of
    /// [`FusionPart::contribution`] is the score.
    pub parts: Vec<FusionPart>,
    /// What feedback added to the query, where it was asked for: what is explained is the score of
    /// the widened query.
    pub feedback: Option<Expansion>,
    /// Whether the document lacks the field that decides. Of a sparse search it scores 0 then; where
    /// MaxSim decides it stands behind all that have the field, with −∞. Of a fusion, each part has
    /// its own. Of a sparse field without [forward rows](crate::Forward) it is not known where the
    /// segment has the field at all, and false.
    pub absent: bool,
    /// Whether MaxSim decides.
    by_rows: bool,
}

/// What a shared term gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TermPart {
    /// The term.
    pub term: TermId,
    /// Its weight in the query.
    pub query_weight: f32,
    /// Its stored weight in the document.
    pub document_weight: f32,
}

impl TermPart {
    /// What it adds to the score.
    pub fn contribution(&self) -> f32 {
        self.query_weight * self.document_weight
    }
}

/// What a query row met.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenPart {
    /// The query's row.
    pub query_row: usize,
    /// The document's row that it met: the one with the largest dot product, the first of equals.
    pub document_row: usize,
    /// That dot product: what it adds to the score.
    pub score: f32,
    /// The bytes of the document's text that the row stands for, where they were given.
    pub span: Option<(u32, u32)>,
}

/// What one query of a fusion says of a document.
#[derive(Clone, Debug, PartialEq)]
pub struct FusionPart {
    /// The document's rank among the query's candidates, from 1; none where it is not among them.
    pub rank: Option<usize>,
    /// Its score by the query, where that is known.
    pub score: Option<f32>,
    /// What it adds to the fused score; 0 in a union.
    pub contribution: f64,
    /// Where the query's score comes from.
    pub explanation: Explanation,
}

/// A piece of the stored text that met the query.
#[derive(Clone, Debug, PartialEq)]
pub struct Highlight {
    /// Its bytes.
    pub bytes: Range<u32>,
    /// The sum of what query rows met there.
    pub score: f32,
}

impl Explanation {
    /// The sum of the parts that decide: where MaxSim does, what the query rows met (−∞ where the
    /// document has [none](Self::absent)), of a fusion its contributions, otherwise the terms. It is
    /// the score, but for the rounding of a sum.
    pub fn sum(&self) -> f32 {
        if self.absent && self.by_rows {
            return f32::NEG_INFINITY;
        }
        if self.by_rows {
            return self.tokens.iter().fold(0.0, |sum, part| sum + part.score);
        }
        if !self.parts.is_empty() {
            // No score is more than a float holds.
            let sum = self.parts.iter().map(|part| part.contribution).sum::<f64>();
            #[allow(clippy::cast_possible_truncation, reason = "rounded on purpose")]
            return sum.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32;
        }
        self.terms.iter().fold(0.0, |sum, part| sum + part.contribution())
    }

    /// The pieces of the text that query rows met with a dot product above 0, from the first to
    /// the last; what overlaps is one piece. Empty where no spans were given.
    pub fn highlights(&self) -> Vec<Highlight> {
        let mut met: Vec<Highlight> = Vec::new();
        let mut spans: Vec<(u32, u32, f32)> = self
            .tokens
            .iter()
            .chain(self.parts.iter().flat_map(|part| &part.explanation.tokens))
            .filter(|part| part.score > 0.0)
            .filter_map(|part| part.span.map(|(start, end)| (start, end, part.score)))
            .filter(|(start, end, _)| start < end)
            .collect();
        spans.sort_by_key(|&(start, end, _)| (start, end));
        for (start, end, score) in spans {
            match met.last_mut() {
                Some(last) if start < last.bytes.end => {
                    last.bytes.end = last.bytes.end.max(end);
                    last.score += score;
                }
                _ => met.push(Highlight { bytes: start..end, score }),
            }
        }
        met
    }
}

/// Explains a document's score for a query.
///
/// # Errors
/// `Interrupted` where the query's time is up.
pub(crate) fn explain(
    view: View<'_>,
    query: &Query,
    segment: usize,
    doc: DocId,
    scratch: &mut Scratch,
) -> Result<Explanation> {
    query.check()?;
    query.within(view.limits)?;
    check_filters(view.schema, query)?;
    let stop = Stop::new(query.deadline, query.cancel.clone());
    let plan = Plan { view, stop: &stop };
    // Parts of a score that is not all there do not sum to it.
    let whole =
        || if stop.reached() { Err(Error::Interrupted { what: "explain" }) } else { Ok(()) };
    whole()?;
    let among = Allowed::new(view, query.filter.as_ref(), &stop)?;
    let widened = widened(&plan, query, &among, scratch)?.query;
    whole()?;
    let explanation = match widened {
        None => parts(&plan, query, &among, segment, doc, scratch)?,
        Some((query, added)) => {
            let mut explanation = parts(&plan, &query, &among, segment, doc, scratch)?;
            explanation.feedback = Some(added);
            explanation
        }
    };
    whole()?;
    Ok(explanation)
}

fn parts(
    plan: &Plan<'_>,
    query: &Query,
    among: &Allowed,
    segment: usize,
    doc: DocId,
    scratch: &mut Scratch,
) -> Result<Explanation> {
    let mut explanation = Explanation::default();
    if plan.stop.reached() {
        return Ok(explanation);
    }
    let view = plan.view;
    let part = &view.segments[segment].segment;
    match &query.first {
        Stage::Sparse(field, vector) => {
            let index = part.sparse(view.schema.resolve(field)?);
            explanation.absent = index.is_none();
            if let Some(index) = index {
                explanation.terms = index
                    .explain(vector, doc)?
                    .into_iter()
                    .map(|(term, query_weight, document_weight)| TermPart {
                        term,
                        query_weight,
                        document_weight,
                    })
                    .collect();
                // Without forward rows there is no telling what a document lacks.
                explanation.absent =
                    explanation.terms.is_empty() && index.has_rows() && index.row(doc)?.is_none();
            }
        }
        Stage::Tokens(field, rows) => {
            explanation.align(plan, segment, doc, view.schema.resolve(field)?, rows, scratch)?;
        }
        Stage::Fused(fused) => {
            explanation.parts = fused_parts(plan, fused, query.top, among, segment, doc, scratch)?;
        }
    }
    if let Some(second) = &query.rerank {
        let at = view.schema.resolve(&second.field)?;
        explanation.align(plan, segment, doc, at, &second.query, scratch)?;
    }
    Ok(explanation)
}

impl Explanation {
    /// What decides is what the rows of a token field meet.
    fn align(
        &mut self,
        plan: &Plan<'_>,
        segment: usize,
        doc: DocId,
        at: usize,
        rows: &TokenQuery,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let store = plan.view.segments[segment].segment.tokens(at);
        let matches = match store {
            Some(store) => store.align(rows, plan.view.kernels, doc, &mut scratch.tokens)?,
            None => None,
        };
        self.by_rows = true;
        self.absent = matches.is_none();
        self.tokens = matches
            .unwrap_or_default()
            .into_iter()
            .map(|met| TokenPart {
                query_row: met.query_row,
                document_row: met.doc_row,
                score: met.score,
                span: met.span,
            })
            .collect();
        Ok(())
    }
}

/// What the parts of a fusion say: their lists are made again.
fn fused_parts(
    plan: &Plan<'_>,
    fused: &Fused,
    top: usize,
    among: &Allowed,
    segment: usize,
    doc: DocId,
    scratch: &mut Scratch,
) -> Result<Vec<FusionPart>> {
    let says = plan.says(fused, top, among, (segment, doc), scratch)?;
    let mut told = Vec::with_capacity(fused.parts.len());
    for (at, part) in fused.parts.iter().enumerate() {
        let say = says.get(at).copied().unwrap_or_default();
        let explanation = match &part.filter {
            Some(filter) => {
                let narrowed = among.narrow(plan.view, filter, plan.stop)?;
                parts(plan, part, &narrowed, segment, doc, scratch)?
            }
            None => parts(plan, part, among, segment, doc, scratch)?,
        };
        let (rank, score, contribution) = (say.rank, say.score, say.contribution);
        told.push(FusionPart { rank, score, contribution, explanation });
    }
    Ok(told)
}
