//! What an index consists of, in numbers.

use crate::format::FORMAT;
use crate::index::snapshot::Snapshot;
use crate::schema::{FieldDef, FieldKind, SparseCodec, TokenCodec, TokenTier};
use crate::segment::Segment;

/// What a commit of an index consists of; see [`Index::info`](crate::Index::info).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct IndexInfo {
    /// Live documents.
    pub documents: u64,
    /// Documents that are deleted but still take room.
    pub deleted: u64,
    /// The number of the commit.
    pub commit: u64,
    /// Major and minor version of the format that this version of the crate writes.
    pub format: (u16, u16),
    /// The fields, in the order of their declaration.
    pub fields: Vec<FieldInfo>,
    /// The segments, in the order in which they are searched.
    pub segments: Vec<SegmentInfo>,
    /// Why the last merge in the background failed, where the writer that was asked
    /// ([`IndexWriter::info`](crate::IndexWriter::info)) has met with that and it has not been made
    /// good since; readers do not know.
    pub merge_error: Option<String>,
    /// Bytes of segments that are held at this moment by an index that was opened with
    /// [`OpenMode::Read`](crate::OpenMode::Read), for all its snapshots; 0 of any other. See
    /// [`IndexOptions::resident`](crate::IndexOptions::resident).
    pub resident: u64,
}

impl IndexInfo {
    /// Bytes of all segments, with their tombstones; the manifest is not counted.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

/// A field of the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FieldInfo {
    /// Its name.
    pub name: String,
    /// Its kind in words: `sparse`, `tokens`, `keyword`, `i64`, `u64`, `f64` or `bool`.
    pub kind: &'static str,
    /// Components of a row, of a token field.
    pub dim: Option<usize>,
    /// The codec in words, of a vector field.
    pub codec: Option<String>,
    /// Percent of each document's weight that the inverted index of a sparse field keeps, where
    /// that is not all.
    pub percent: Option<u8>,
}

/// A segment of a commit.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// The name of its file.
    pub file: String,
    /// Documents in it, deleted ones included.
    pub documents: u32,
    /// How many of them are deleted.
    pub deleted: u32,
    /// Bytes of its file, and of its tombstones where it has some.
    pub bytes: u64,
    /// The sections of its file, in their order.
    pub sections: Vec<SectionInfo>,
    /// What its vector fields hold, those that no document has left out.
    pub vectors: Vec<VectorInfo>,
}

/// What a vector field holds in a segment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct VectorInfo {
    /// The name of the field.
    pub field: String,
    /// Terms of all documents together, of a sparse field; rows, of a token field. Deleted
    /// documents are counted in.
    pub entries: u64,
    /// The codec in words in which this segment holds the rows, of a token field: that of the field,
    /// but `int8` where they wait to be packed
    /// ([`IndexWriter::commit_packed`](crate::IndexWriter::commit_packed)).
    pub codec: Option<String>,
    /// The mean shares (0 to 1) of the true ten and of the true hundred best that each step of the
    /// search found, the fastest first, as measured when the segment was written: of a token field
    /// that is searched over centroids, and of a sparse field of a large segment, which gives all
    /// hits where more than ten are asked for. An effort by recall chooses among these; empty where
    /// it has no choice.
    pub recall: Vec<(f32, f32)>,
    /// Of a token field with centroids: how far its rows are from them; `None` where there are
    /// none, or where it was written before that was measured.
    pub drift: Option<DriftInfo>,
}

/// How far token rows are from the centroids of their segment: the mean distance between a row,
/// scaled to length 1, and the nearest centroid, 0 to 2 but for rounding. Merges keep centroids
/// while rows are like those that they were trained for, and train new ones when they drift away.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct DriftInfo {
    /// Of the rows for which the centroids were trained, here or in a segment that was merged.
    pub trained: f32,
    /// Of the rows of this segment, as measured when it was written; deleted documents are counted
    /// in.
    pub now: f32,
}

impl DriftInfo {
    /// How many times as far rows are now; 1 where the centroids were trained for this segment.
    pub fn ratio(&self) -> f32 {
        if self.now == self.trained { 1.0 } else { self.now / self.trained }
    }
}

/// A section of a segment file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionInfo {
    /// Its name in `index-format.md`.
    pub name: String,
    /// The name of the field it belongs to; `None` where it belongs to all of the segment.
    pub field: Option<String>,
    /// Its bytes, without padding and checksums.
    pub bytes: u64,
}

impl Snapshot {
    /// What this commit consists of: counts, fields, and the bytes of every section. It reads no
    /// document.
    pub fn info(&self) -> IndexInfo {
        let fields = self.schema().fields();
        let segments: Vec<SegmentInfo> = self
            .manifest()
            .segments
            .iter()
            .zip(self.segments())
            .map(|(entry, view)| SegmentInfo {
                file: entry.file(),
                documents: entry.docs,
                deleted: entry.docs - view.live,
                bytes: entry.pin.len + entry.tombstones.map_or(0, |dead| dead.pin.len),
                sections: view
                    .segment
                    .sections()
                    .map(|(name, field, bytes)| {
                        let field = usize::try_from(field).ok().and_then(|at| fields.get(at));
                        SectionInfo { name, field: field.map(|field| field.name.clone()), bytes }
                    })
                    .collect(),
                vectors: (0..)
                    .zip(fields)
                    .filter_map(|(at, field)| {
                        let known = vectors(&view.segment, at, field, false)?;
                        // What cannot be read by position is left out.
                        let read = view.segment.with(|own| Ok(vectors(own, at, field, true)));
                        read.ok().flatten().or(Some(known))
                    })
                    .collect(),
            })
            .collect();
        IndexInfo {
            documents: self.len(),
            deleted: segments.iter().map(|segment| u64::from(segment.deleted)).sum(),
            commit: self.commit(),
            format: FORMAT,
            fields: fields.iter().map(|field| FieldInfo::of(field)).collect(),
            segments,
            merge_error: None,
            resident: self.held(),
        }
    }
}

/// What a vector field holds; with what was measured of it, if that is asked for.
fn vectors(segment: &Segment, at: usize, field: &FieldDef, measured: bool) -> Option<VectorInfo> {
    let (mut recall, mut drift, mut codec) = (Vec::new(), None, None);
    let entries = match &field.kind {
        FieldKind::Sparse(_) => {
            let index = segment.sparse(at)?;
            if measured {
                recall = index.recall_curve();
            }
            index.entries()
        }
        FieldKind::Tokens(options) => {
            let store = segment.tokens(at)?;
            codec = Some(in_words(store.codec(), options.tier));
            if measured {
                recall = store.recall_curve();
                drift = store.drift().map(|(trained, now)| DriftInfo { trained, now });
            }
            store.rows_total()
        }
        _ => return None,
    };
    Some(VectorInfo { field: field.name.clone(), entries, codec, recall, drift })
}

fn in_words(codec: TokenCodec, tier: TokenTier) -> String {
    match tier {
        TokenTier::None => codec.to_string(),
        TokenTier::F16 => format!("{codec} + f16"),
        TokenTier::Int8 => format!("{codec} + int8"),
    }
}

impl FieldInfo {
    fn of(field: &FieldDef) -> Self {
        let (dim, codec) = match &field.kind {
            FieldKind::Sparse(options) => {
                let codec = match options.codec {
                    SparseCodec::U8 => "u8",
                    SparseCodec::U4 => "u4",
                    SparseCodec::Pruned(_) => "pruned",
                };
                (None, Some(codec.to_owned()))
            }
            FieldKind::Tokens(options) => {
                (Some(options.dim), Some(in_words(options.codec, options.tier)))
            }
            _ => (None, None),
        };
        let percent = match &field.kind {
            FieldKind::Sparse(options) => options.codec.percent(),
            _ => None,
        };
        Self { name: field.name.clone(), kind: field.kind.name(), dim, codec, percent }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Document, IndexWriter, Schema};

    #[test]
    fn what_was_written_is_counted() {
        let mut schema = Schema::builder();
        let lang = schema.keyword("lang");
        let sparse = schema.sparse("sparse");
        let tokens = schema.tokens("tokens", 8);
        let mut writer = IndexWriter::in_memory(schema.build().unwrap()).unwrap();
        assert_eq!(writer.snapshot().info().segments, []);
        for key in ["a", "b", "c"] {
            let document = Document::new(key).sparse(&sparse, &[(1u32, 1.0f32)]).unwrap();
            writer.add(&document.keyword(&lang, "en").unwrap()).unwrap();
        }
        writer.commit().unwrap();
        writer.delete("b").unwrap();
        writer.commit().unwrap();

        let info = writer.reader().unwrap().info();
        assert_eq!((info.documents, info.deleted, info.commit), (2, 1, 3));
        let fields: Vec<_> = info
            .fields
            .iter()
            .map(|f| (f.name.as_str(), f.kind, f.dim, f.codec.as_deref()))
            .collect();
        let expected = [
            ("lang", "keyword", None, None),
            ("sparse", "sparse", None, Some("u8")),
            (tokens.name(), "tokens", Some(8), Some("int8")),
        ];
        assert_eq!(fields, expected);
        let [segment] = info.segments.as_slice() else { panic!("{info:?}") };
        assert_eq!((segment.documents, segment.deleted), (3, 1));
        let [vectors] = segment.vectors.as_slice() else { panic!("{segment:?}") };
        assert_eq!((vectors.field.as_str(), vectors.entries), ("sparse", 3));
        let find = |name: &str| segment.sections.iter().find(|section| section.name == name);
        assert_eq!(find("SEGMENT_HEAD").unwrap().field, None);
        assert_eq!(find("ATTR_DICT").unwrap().field.as_deref(), Some("lang"));
        assert_eq!(find("ATTR_DICT").unwrap().bytes, 2);
        let inside: u64 = segment.sections.iter().map(|section| section.bytes).sum();
        assert!(inside < segment.bytes && info.bytes() == segment.bytes);
    }
}
