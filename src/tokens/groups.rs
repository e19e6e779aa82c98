//! Groups of centroids, where a segment has very many: a query row meets the mean of each group
//! first, and then the centroids of the groups alone whose means are nearest to it. To the others it
//! gives what their group's mean gives it, which is little.
//!
//! To meet very many centroids takes longer than all that follows. Centroids of a group lie together,
//! so that they are read from front to back; the groups are trained as centroids are, on these
//! instead of rows.

use half::f16;

use crate::codec::int8;
use crate::codec::kmeans::{self, CodeRows, Crew, assign};
use crate::error::Result;
use crate::format::{Array, Container, Section, SectionKind};
use crate::kernel::Kernels;
use crate::kernel::tokens::{Int8Rows, KernelScratch, Probes};
use crate::stop::Stop;

use super::candidates::{BLOCK, CandidateScratch, meet_rows};
use super::centroids::{CentroidView, Lie, check_rows};
use super::query::TokenQuery;

/// From so many centroids on they are grouped. Of half as many, those of 519,176 real rows, groups are
/// faster with queries of 5 to 14 rows and slower with 32.
const LEAST: usize = 16_384;
/// Centroids of a group, on average and at most.
const USUAL: usize = 64;
const MOST: usize = 256;
/// Groups whose centroids a query row meets. Of 31,250 centroids, those of two million rows made of real
/// ones (`LATEEN_ROWS=2000000 cargo bench --bench tokens -- large`), an experiment with AVX2 took at
/// equal recall@10 two thirds of the time that all centroids take; with 32 groups five sixths.
const MET: usize = 16;

/// How centroids are grouped.
pub(super) struct Grouping {
    /// The centroids, group after group.
    order: Vec<u16>,
    /// Where each group ends in that order.
    pub(super) ends: Vec<u32>,
}

impl Grouping {
    /// Groups centroids; `None` where they are few.
    pub(super) fn of(centroids: &CodeRows, crew: Crew) -> Option<Self> {
        let rows = centroids.rows().filter(|rows| rows.len() >= LEAST)?;
        let middles = kmeans::train(&rows, rows.len() / USUAL, crew);
        let own = assign(&middles.rows()?, &rows, crew);
        let mut order: Vec<u16> = (0..=u16::MAX).take(rows.len()).collect();
        order.sort_by_key(|&id| own.get(usize::from(id))); // stable: of a group in their order
        let mut ends = Vec::new();
        let mut end = 0u32;
        for group in order.chunk_by(|&a, &b| own.get(usize::from(a)) == own.get(usize::from(b))) {
            for part in group.chunks(MOST) {
                end = end.saturating_add(u32::try_from(part.len()).unwrap_or(u32::MAX));
                ends.push(end);
            }
        }
        Some(Self { order, ends })
    }

    /// The centroids in this order.
    pub(super) fn ordered(&self, centroids: &CodeRows) -> CodeRows {
        let places = self.order.iter().map(|&id| usize::from(id));
        centroids.rows().map_or_else(CodeRows::default, |rows| kmeans::pick(&rows, places))
    }

    /// Where each centroid comes to lie.
    pub(super) fn places(&self) -> Vec<u16> {
        let mut places = vec![0; self.order.len()];
        for (place, &id) in (0..=u16::MAX).zip(&self.order) {
            places[usize::from(id)] = place;
        }
        places
    }
}

/// Groups, to be written.
pub(super) struct Groups {
    pub(super) ends: Vec<u32>,
    /// As int8 rows.
    pub(super) means: CodeRows,
}

impl Groups {
    /// With the means of centroids that lie group after group.
    pub(super) fn of(centroids: &Int8Rows<'_>, ends: Vec<u32>) -> Self {
        let mut means = CodeRows::default();
        let mut codes = vec![0; centroids.dim()];
        let mut start = 0;
        for &end in &ends {
            let mut sum = vec![0.0f32; centroids.dim()];
            let mut count = 0.0f32;
            for row in (start..end).filter_map(|id| centroids.row(id as usize)) {
                let scale = row.scales().first().map_or(0.0, |&bits| f16::from_bits(bits).to_f32());
                for (sum, &code) in sum.iter_mut().zip(row.codes()) {
                    *sum += scale * (f32::from(code) - f32::from(int8::ZERO));
                }
                count += 1.0;
            }
            for x in &mut sum {
                *x /= count.max(1.0);
            }
            means.scales.push(int8::encode(&sum, &mut codes).0);
            means.codes.extend_from_slice(&codes);
            start = end;
        }
        Self { ends, means }
    }

    /// As slices.
    pub(super) fn view(&self) -> Option<GroupView<'_>> {
        Some(GroupView { means: self.means.rows()?, ends: &self.ends })
    }
}

/// Groups as they lie in a file.
#[derive(Debug)]
pub(super) struct GroupArrays {
    ends: Array<u32>,
    codes: Array<u8>,
    scales: Array<u16>,
    dim: usize,
}

impl GroupArrays {
    /// Opens the groups of a field's centroids; `None` where they are not grouped.
    pub(super) fn open(
        container: &Container,
        field: u32,
        dim: usize,
        centroids: usize,
    ) -> Result<Option<Self>> {
        let Some(section) = container.find(SectionKind::TOKENS_GROUP_ENDS, field) else {
            return Ok(None);
        };
        let ends: Array<u32> = section.array()?;
        let count = ends.len();
        if count == 0 || count > centroids {
            return Err(section.corrupt(0, format!("{count} groups of {centroids} centroids")));
        }
        let values = count.checked_mul(dim).ok_or_else(|| section.corrupt(0, "too many"))?;
        let sized = |kind| container.section(kind, field);
        let codes = sized(SectionKind::TOKENS_GROUP_CODES)?.array_of(values)?;
        let scales = sized(SectionKind::TOKENS_GROUP_SCALES)?.array_of(count)?;
        Ok(Some(Self { ends, codes, scales, dim }))
    }

    /// As slices.
    pub(super) fn view(&self) -> Option<GroupView<'_>> {
        let means = Int8Rows::new(&self.codes, &self.scales, self.dim)?;
        Some(GroupView { means, ends: &self.ends })
    }

    pub(super) fn ends_section(&self) -> &Section {
        self.ends.section()
    }

    /// Checks that every centroid is in one group and that means are rows.
    pub(super) fn verify(&self, centroids: usize) -> Result<()> {
        let mut start = 0;
        for (at, &end) in self.ends.iter().enumerate() {
            if end <= start || end as usize > centroids {
                return Err(self.ends.section().corrupt_element(at, "not the end of a group"));
            }
            start = end;
        }
        if start as usize != centroids {
            let last = self.ends.len().saturating_sub(1);
            return Err(self.ends.section().corrupt_element(last, "not the end of the centroids"));
        }
        check_rows(&self.codes, &self.scales)
    }
}

/// Groups as slices.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupView<'a> {
    means: Int8Rows<'a>,
    ends: &'a [u32],
}

impl GroupView<'_> {
    /// The centroids of a group.
    fn members(&self, group: usize) -> Result<std::ops::Range<usize>, Lie> {
        let before = group.checked_sub(1).and_then(|before| self.ends.get(before));
        let (start, end) = (*before.unwrap_or(&0), *self.ends.get(group).ok_or(Lie::Group(group))?);
        if end < start { Err(Lie::Group(group)) } else { Ok(start as usize..end as usize) }
    }

    /// How many comparisons with a lane's best it takes a query of so many rows in so many lanes to
    /// meet them.
    pub(super) fn compared(&self, rows: usize, lanes: usize) -> usize {
        self.ends.len() * lanes + rows * MET * USUAL
    }
}

/// Working memory: a byte for each group and lane, and one query row.
#[derive(Debug, Default)]
pub(super) struct GroupScratch {
    best: Probes,
    /// What each group's mean gives each lane.
    bytes: Vec<u8>,
    /// Its codes.
    lane: Vec<i16>,
}

impl CentroidView<'_> {
    /// As [`meet`](Self::meet), by groups.
    #[allow(clippy::too_many_arguments, reason = "the parts of one search, lent to its first step")]
    pub(super) fn meet_best(
        &self,
        groups: &GroupView<'_>,
        query: &TokenQuery,
        all: &Kernels,
        probes: Option<usize>,
        kernel: &mut KernelScratch,
        scratch: &mut CandidateScratch,
        stop: Option<&Stop>,
    ) -> Result<(), Lie> {
        let kernels = &all.tokens;
        let width = scratch.fit(query, self.rows.len(), probes);
        let CandidateScratch { block, factors, table, probes: nearest, groups: own, .. } = scratch;
        let count = groups.means.len();
        own.best.reset(width, query.rows(), MET.min(count));
        own.bytes.resize(count * width, 0);
        let found = (&mut *own.bytes, Some(&mut own.best));
        meet_rows(&groups.means, query, all, kernel, (block, factors), found, stop);
        for (group, bytes) in own.bytes.chunks_exact(width).enumerate() {
            let members = groups.members(group)?;
            let Some(table) = table.get_mut(members.start * width..members.end * width) else {
                return Err(Lie::Group(group));
            };
            table.chunks_exact_mut(width).for_each(|row| row.copy_from_slice(bytes));
        }
        let mut bytes = [0u8; BLOCK];
        for lane in 0..query.rows() {
            if stop.is_some_and(Stop::reached) {
                break;
            }
            query.lanes().widened(lane, &mut own.lane);
            let factor = [factors.get(lane).copied().unwrap_or(0.0); 8];
            for group in own.best.of_lane(lane) {
                let members = groups.members(group as usize)?;
                for first in members.clone().step_by(BLOCK) {
                    let end = (first + BLOCK).min(members.end);
                    let Some(rows) = self.rows.range(first..end) else { break };
                    let dots = &mut block[..BLOCK];
                    (kernels.dots_lane)(&own.lane, &rows, dots);
                    (kernels.quantise)(dots, &factor, &mut bytes);
                    let places = table[first * width..].iter_mut().skip(lane).step_by(width);
                    places.zip(&bytes[..rows.len()]).for_each(|(to, &byte)| *to = byte);
                    if probes.is_some() {
                        for (id, &dot) in (first..).zip(&dots[..rows.len()]) {
                            nearest.offer(lane, dot, u32::try_from(id).unwrap_or(u32::MAX));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
