//! Bytes: mirrors `index-format.md` heading by heading.
