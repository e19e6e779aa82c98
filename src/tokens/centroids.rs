//! The centroids of a token field in a segment, and which documents have rows near them.

use bytemuck::{Pod, Zeroable};

use half::f16;

use crate::codec::kmeans::CodeRows;
use crate::error::Result;
use crate::format::{Array, Container, Section, SectionKind};
use crate::id::DocId;
use crate::kernel::tokens::Int8Rows;
use crate::schema::Centroids as Setting;

use super::groups::{GroupArrays, GroupView};
use super::keep::Drift;

/// The numbers of a field's centroids in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct CentroidHead {
    /// How many centroids: 1 to 65,536.
    pub(crate) count: u32,
    /// Bytes of a document in the lists: 2 or 4; 0 where there are no lists.
    pub(crate) list_bytes: u32,
    /// Documents of all lists together.
    pub(crate) postings: u32,
    /// Points of the curve; 0 where there are no lists.
    pub(crate) points: u32,
}

/// What one setting of the search found of the true top, measured when the segment was written.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct CurvePoint {
    /// Documents that are scored by their rows.
    pub(crate) shortlist: u32,
    /// Centroids that are looked up for each query row.
    pub(crate) probes: u32,
    /// The mean share of the true ten best that were among them.
    pub(crate) recall_10: f32,
    /// The same for the hundred best.
    pub(crate) recall_100: f32,
}

/// Documents of the lists, in the width in which they lie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lists<'a> {
    /// Where the segment has at most 65,536 documents.
    Narrow(&'a [u16]),
    /// Where it has more, and while they are gathered.
    Wide(&'a [u32]),
}

impl Lists<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Narrow(docs) => docs.len(),
            Self::Wide(docs) => docs.len(),
        }
    }

    /// Calls `each` with the documents of a range; `None` where the range is not there.
    pub(super) fn each(
        &self,
        range: std::ops::Range<usize>,
        mut each: impl FnMut(DocId),
    ) -> Option<()> {
        match self {
            Self::Narrow(docs) => docs.get(range)?.iter().for_each(|&doc| each(doc.into())),
            Self::Wide(docs) => docs.get(range)?.iter().for_each(|&doc| each(doc)),
        }
        Some(())
    }
}

/// Centroids and lists as slices, be they read or about to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct CentroidView<'a> {
    pub(super) rows: Int8Rows<'a>,
    /// The centroid of each row of the store.
    pub(super) ids: &'a [u16],
    /// Where each document's rows end.
    pub(super) ends: &'a [u32],
    /// Where each centroid's documents end in the lists.
    pub(super) list_ends: &'a [u32],
    pub(super) lists: Lists<'a>,
    /// Where there are so many centroids that they are grouped.
    pub(super) groups: Option<GroupView<'a>>,
}

/// What a file says that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// A document whose rows' centroids are not in the file.
    Rows(DocId),
    /// A document with a row of a centroid that there is not.
    Id(DocId),
    /// A centroid whose documents are not in the file.
    ListEnd(usize),
    /// A document in this centroid's list that the segment does not have.
    ListDoc(usize),
    /// A group of centroids that are not in the file.
    Group(usize),
}

/// The same as they lie in the file.
#[derive(Debug)]
pub(super) struct CentroidArrays {
    codes: Array<u8>,
    scales: Array<u16>,
    ids: Array<u16>,
    lists: Option<ListSections>,
    drift: Option<Array<Drift>>,
    dim: usize,
}

/// What candidates are found with.
#[derive(Debug)]
struct ListSections {
    ends: Array<u32>,
    docs: ListArrays,
    curve: Array<CurvePoint>,
    groups: Option<GroupArrays>,
}

#[derive(Debug)]
enum ListArrays {
    Narrow(Array<u16>),
    Wide(Array<u32>),
}

impl CentroidArrays {
    /// Opens a field's centroids; `None` where it has none. Sizes are compared, nothing else is
    /// touched.
    pub(super) fn open(
        container: &Container,
        field: u32,
        dim: usize,
        rows: usize,
    ) -> Result<Option<Self>> {
        let Some(section) = container.find(SectionKind::TOKENS_CENTROID_HEAD, field) else {
            return Ok(None);
        };
        let head: CentroidHead = section.one()?;
        if head.count == 0 || head.count > Setting::MOST {
            return Err(section.corrupt(0, format!("{} centroids", head.count)));
        }
        let count = head.count as usize;
        let values = count.checked_mul(dim).ok_or_else(|| section.corrupt(0, "too many"))?;
        let sized = |kind| container.section(kind, field);
        let postings = head.postings as usize;
        let docs = match head.list_bytes {
            0 => None,
            2 => Some(ListArrays::Narrow(sized(SectionKind::TOKENS_LISTS)?.array_of(postings)?)),
            4 => Some(ListArrays::Wide(sized(SectionKind::TOKENS_LISTS)?.array_of(postings)?)),
            _ => return Err(section.corrupt(4, "lists of no known width")),
        };
        let lists = match docs {
            None if head.postings == 0 && head.points == 0 => None,
            None => return Err(section.corrupt(8, "documents or points without lists")),
            Some(docs) => Some(ListSections {
                ends: sized(SectionKind::TOKENS_LIST_ENDS)?.array_of(count)?,
                docs,
                curve: sized(SectionKind::TOKENS_CURVE)?.array_of(head.points as usize)?,
                groups: GroupArrays::open(container, field, dim, count)?,
            }),
        };
        Ok(Some(Self {
            codes: sized(SectionKind::TOKENS_CENTROID_CODES)?.array_of(values)?,
            scales: sized(SectionKind::TOKENS_CENTROID_SCALES)?.array_of(count)?,
            ids: sized(SectionKind::TOKENS_CENTROID_IDS)?.array_of(rows)?,
            lists,
            drift: match container.find(SectionKind::TOKENS_DRIFT, field) {
                Some(drift) => Some(drift.array_of(1)?),
                None => None,
            },
            dim,
        }))
    }

    /// As slices, over documents whose rows end at `ends`.
    pub(super) fn view<'a>(&'a self, ends: &'a [u32]) -> Option<CentroidView<'a>> {
        Some(CentroidView {
            rows: Int8Rows::new(&self.codes, &self.scales, self.dim)?,
            ids: &self.ids,
            ends,
            list_ends: self.lists.as_ref().map_or(&[], |lists| &*lists.ends),
            lists: match self.lists.as_ref().map(|lists| &lists.docs) {
                None => Lists::Wide(&[]),
                Some(ListArrays::Narrow(docs)) => Lists::Narrow(docs),
                Some(ListArrays::Wide(docs)) => Lists::Wide(docs),
            },
            groups: match self.lists.as_ref().and_then(|lists| lists.groups.as_ref()) {
                None => None,
                Some(groups) => Some(groups.view()?),
            },
        })
    }

    /// What was measured, in the order of the effort; `None` where there are no lists.
    pub(super) fn curve(&self) -> Option<&[CurvePoint]> {
        self.lists.as_ref().map(|lists| &*lists.curve)
    }

    /// The centroids' bytes.
    pub(super) fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// The centroid of each row of the store.
    pub(super) fn ids(&self) -> &[u16] {
        &self.ids
    }

    /// A copy of the centroids.
    pub(super) fn copied(&self) -> CodeRows {
        CodeRows { codes: self.codes.to_vec(), scales: self.scales.to_vec() }
    }

    /// How far rows are from them, where that was measured.
    pub(super) fn drift(&self) -> Option<Drift> {
        self.drift.as_ref()?.first().copied()
    }

    /// The error that a lie is.
    pub(super) fn error(&self, lie: Lie, ends: &Section) -> crate::error::Error {
        match lie {
            Lie::Rows(doc) => ends.corrupt_element(doc as usize, "rows that are not there"),
            Lie::Id(doc) => self
                .ids
                .section()
                .corrupt(0, format!("a row of document {doc} has a centroid that is not there")),
            Lie::ListEnd(at) => self.ends_section().corrupt_element(at, "a list that is not there"),
            Lie::ListDoc(at) => self
                .list_section()
                .corrupt(0, format!("the list of centroid {at} has a document that is not there")),
            Lie::Group(at) => {
                let groups = self.lists.as_ref().and_then(|lists| lists.groups.as_ref());
                let section = groups.map_or(self.codes.section(), GroupArrays::ends_section);
                section.corrupt_element(at, "a group of centroids that are not there")
            }
        }
    }

    fn list_section(&self) -> &Section {
        match self.lists.as_ref().map(|lists| &lists.docs) {
            None => self.ids.section(),
            Some(ListArrays::Narrow(docs)) => docs.section(),
            Some(ListArrays::Wide(docs)) => docs.section(),
        }
    }

    fn ends_section(&self) -> &Section {
        self.lists.as_ref().map_or(self.ids.section(), |lists| lists.ends.section())
    }

    /// Checks that centroids are rows, that every row has one, that each list, if there are any, holds exactly the
    /// documents with a row of its centroid, ascending, and that the curve means something.
    pub(super) fn verify(&self, ends: &Array<u32>) -> Result<()> {
        let ends_section = ends.section();
        let Some(view) = self.view(ends) else {
            return Err(self.codes.section().corrupt(0, "not as many as there are scales"));
        };
        check_rows(&self.codes, &self.scales)?;
        if let Some(drift) = &self.drift
            && !drift.first().is_some_and(|drift| drift.is_possible())
        {
            return Err(drift.section().corrupt(0, "not distances"));
        }
        let Some(lists) = &self.lists else {
            let beyond = |&id: &u16| usize::from(id) >= view.rows.len();
            return match view.ids.iter().position(beyond) {
                Some(at) => {
                    Err(self.ids.section().corrupt_element(at, "a centroid that is not there"))
                }
                None => Ok(()),
            };
        };
        if let Some(groups) = &lists.groups {
            groups.verify(view.rows.len())?;
        }
        let mut next = Vec::with_capacity(view.list_ends.len());
        let mut start = 0;
        for (at, &end) in view.list_ends.iter().enumerate() {
            if end < start || end as usize > view.lists.len() {
                return Err(self.error(Lie::ListEnd(at), ends_section));
            }
            next.push(start as usize);
            start = end;
        }
        if start as usize != view.lists.len() {
            let last = view.list_ends.len().saturating_sub(1);
            return Err(lists.ends.section().corrupt_element(last, "not the end of the lists"));
        }
        let docs = u32::try_from(view.ends.len()).unwrap_or(u32::MAX);
        let mut own = Vec::new();
        for doc in 0..docs {
            own.clear();
            own.extend_from_slice(view.doc_ids(doc).map_err(|lie| self.error(lie, ends_section))?);
            own.sort_unstable();
            own.dedup();
            for &id in &own {
                let at = usize::from(id);
                let (Some(place), Some(&end)) = (next.get_mut(at), view.list_ends.get(at)) else {
                    return Err(self.error(Lie::Id(doc), ends_section));
                };
                let mut found = None;
                let _ = view.lists.each(*place..*place + 1, |doc| found = Some(doc));
                if *place >= end as usize || found != Some(doc) {
                    let what = format!("document {doc} is not in the list of centroid {id}");
                    return Err(self.list_section().corrupt(0, what));
                }
                *place += 1;
            }
        }
        for (at, (&place, &end)) in next.iter().zip(view.list_ends).enumerate() {
            if place != end as usize {
                return Err(self.error(Lie::ListDoc(at), ends_section));
            }
        }
        let share = |recall: f32| (0.0..=1.0).contains(&recall);
        for (at, point) in lists.curve.iter().enumerate() {
            if !(share(point.recall_10) && share(point.recall_100))
                || point.shortlist == 0
                || point.probes == 0
            {
                return Err(lists.curve.section().corrupt_element(at, "not a point"));
            }
        }
        Ok(())
    }
}

/// Checks that codes and scales are those of int8 rows.
pub(super) fn check_rows(codes: &Array<u8>, scales: &Array<u16>) -> Result<()> {
    for (at, &scale) in scales.iter().enumerate() {
        let scale = f16::from_bits(scale);
        if !scale.is_finite() || scale.is_sign_negative() {
            return Err(scales.section().corrupt_element(at, "not a scale"));
        }
    }
    match codes.iter().position(|&code| code == 0) {
        Some(at) => Err(codes.section().corrupt_element(at, "not a code")),
        None => Ok(()),
    }
}

impl<'a> CentroidView<'a> {
    /// The centroids of a document's rows; none where it lacks the field.
    pub(super) fn doc_ids(&self, doc: DocId) -> Result<&'a [u16], Lie> {
        let place = doc as usize;
        let Some(&end) = self.ends.get(place) else { return Ok(&[]) };
        let start = place.checked_sub(1).and_then(|before| self.ends.get(before)).unwrap_or(&0);
        self.ids.get(*start as usize..end as usize).ok_or(Lie::Rows(doc))
    }

    /// Calls `each` with the documents of a centroid's list.
    pub(super) fn list(&self, centroid: usize, each: impl FnMut(DocId)) -> Result<(), Lie> {
        let lie = Lie::ListEnd(centroid);
        let end = *self.list_ends.get(centroid).ok_or(lie)?;
        let before = centroid.checked_sub(1).and_then(|before| self.list_ends.get(before));
        let start = *before.unwrap_or(&0);
        self.lists.each(start as usize..end as usize, each).ok_or(lie)
    }
}
