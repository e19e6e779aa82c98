//! Spans of the stages of the work, for subscribers of the crate `tracing`.
//!
//! With the feature `tracing` each [`span!`] is one of `tracing`, entered until the guard that it
//! gives is dropped; without it the guard is nothing, and the values of its fields are not
//! evaluated. Names and fields are listed in the guide, on the page about performance.

#[cfg(feature = "tracing")]
pub(crate) use tracing::span::EnteredSpan as Entered;

/// What stands in the place of a span where none is made.
#[cfg(not(feature = "tracing"))]
pub(crate) struct Entered;

/// Enters a span: `let _span = span!(DEBUG, "rerank", candidates = docs.len());`. Values are of
/// the types that `tracing` records: numbers, booleans, strings.
macro_rules! span {
    ($level:ident, $name:literal $(, $field:ident = $value:expr)* $(,)?) => {{
        #[cfg(feature = "tracing")]
        let span: $crate::trace::Entered =
            tracing::span!(target: "lateen", tracing::Level::$level, $name $(, $field = $value)*)
                .entered();
        #[cfg(not(feature = "tracing"))]
        let span = {
            $(let _ = || $value;)* // used, never called
            $crate::trace::Entered
        };
        span
    }};
}
pub(crate) use span;
