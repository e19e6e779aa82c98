//! The names of the files in an index directory.

/// A file name of ours, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    /// A published manifest, by its generation.
    Manifest(u64),
    /// A manifest that was being written, by its generation.
    ManifestTemporary(u64),
    /// A segment, by its ordinal.
    Segment(u64),
    /// A tombstones file, by its ordinal.
    Tombstones(u64),
}

impl FileName {
    /// Takes a name apart; `None` if it is not one of ours.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let number = |text: &str| {
            let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
            (text.len() == 16 && text.bytes().all(is_hex))
                .then(|| u64::from_str_radix(text, 16).ok())
                .flatten()
        };
        if let Some(rest) = name.strip_prefix("manifest-") {
            return match rest.strip_suffix(".tmp") {
                Some(rest) => number(rest).map(Self::ManifestTemporary),
                None => number(rest).map(Self::Manifest),
            };
        }
        if let Some(rest) = name.strip_prefix("seg-") {
            return number(rest.strip_suffix(".seg")?).map(Self::Segment);
        }
        number(name.strip_prefix("del-")?.strip_suffix(".del")?).map(Self::Tombstones)
    }
}

/// The name of a published manifest.
pub(crate) fn manifest_name(generation: u64) -> String {
    format!("manifest-{generation:016x}")
}

/// The name of a manifest that is being written.
pub(crate) fn manifest_temporary(generation: u64) -> String {
    format!("manifest-{generation:016x}.tmp")
}

/// The name of a segment.
pub(crate) fn segment_name(ordinal: u64) -> String {
    format!("seg-{ordinal:016x}.seg")
}

/// The name of a tombstones file.
pub(crate) fn tombstones_name(ordinal: u64) -> String {
    format!("del-{ordinal:016x}.del")
}
