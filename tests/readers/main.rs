//! Files that come with the feature `readers`, as producers write them.

mod gzip;
mod jsonl;
mod safetensors;
mod set;
