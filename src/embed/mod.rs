//! What callers hand in: borrowed views, validated once.
