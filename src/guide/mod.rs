//! The guide: Lateen as a book, a page for each thing that a person sets out to do.
//!
//! Read [`first_index`] first; the other pages stand alone. All code is compiled and run with the
//! tests. Examples build small vectors by hand, so that a result can be worked out on paper; where
//! vectors come from in earnest is on the page about [`producers`].
//!
//! | page | it answers |
//! | --- | --- |
//! | [`first_index`] | How do documents become an index, and queries hits? |
//! | [`codecs_and_effort`] | What is stored of a vector, and how hard is it looked for? |
//! | [`hybrid`] | How do two searches become one answer? |
//! | [`filters`] | How is a search kept to some of the documents? |
//! | [`updating`] | How does an index change while it is read? |
//! | [`packed`] | How is an index shipped? |
//! | [`file_format`] | What lies on the disk? |
//! | [`performance`] | What costs what, and how is it measured? |
//! | [`security`] | What can a hostile file do, and what not? |
//! | [`producers`] | How do the vectors of a model become files that are read as they are? |

#[doc = include_str!("first_index.md")]
pub mod first_index {}

#[doc = include_str!("codecs_and_effort.md")]
pub mod codecs_and_effort {}

#[doc = include_str!("hybrid.md")]
pub mod hybrid {}

#[doc = include_str!("filters.md")]
pub mod filters {}

#[doc = include_str!("updating.md")]
pub mod updating {}

#[doc = include_str!("packed.md")]
pub mod packed {}

#[doc = include_str!("file_format.md")]
pub mod file_format {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("security.md")]
pub mod security {}

#[doc = include_str!("producers.md")]
pub mod producers {}
