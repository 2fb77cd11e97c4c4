//! Samples that are in the log but not in a Parquet file yet, and their answers.

use super::symbols::Chunked;

/// One stored value. Service and type are the series'.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SampleRow {
    pub(super) stack: u64,
    pub(super) series: u64,
    pub(super) unix_ms: i64,
    pub(super) value: i64,
}

/// Rows in the order of their arrival.
pub(super) type Memtable = Chunked<SampleRow>;
