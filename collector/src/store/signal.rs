//! Spans and metric points, side by side: the same files, log and lives, with rows of their own.

use std::cmp::Ordering;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::file::properties::WriterProperties;

use super::error::StoreError;
use super::live::Sealed;
use super::symbols::Chunked;
use super::tables::Table;

/// What a file holds rows of, and which list of the manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Signal {
    Samples,
    Spans,
    Metrics,
}

impl Signal {
    pub(super) const ALL: [Self; 3] = [Self::Samples, Self::Spans, Self::Metrics];

    /// Folder of its files below the data directory.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Spans => "spans",
            Self::Metrics => "metrics",
        }
    }

    /// The signal of a file, by its path below the data directory.
    pub(super) fn of(file: &str) -> Option<Self> {
        let folder = Path::new(file).parent()?.to_str()?;
        Self::ALL.into_iter().find(|signal| signal.folder() == folder)
    }

    /// Name below the data directory of a file of this hour.
    pub(super) fn file_name(self, id: u64, hour: i64) -> String {
        format!("{}/{id:012}-{hour}.parquet", self.folder())
    }
}

/// A row of a signal that names nothing outside itself.
pub(super) trait Row: Clone + Send + Sync + 'static {
    const SIGNAL: Signal;
    const TABLE: Table;

    fn schema() -> SchemaRef;

    /// How files of at most so many rows are written.
    fn properties(rows: usize) -> WriterProperties;

    fn to_batch(rows: &[Self]) -> Result<RecordBatch, StoreError>;

    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, StoreError>;

    /// The order of rows in a file.
    fn order(&self, other: &Self) -> Ordering;

    /// The time that says which hour's file it is in.
    fn unix_ms(&self) -> i64;

    /// About what it takes in memory.
    fn bytes(&self) -> usize;

    /// Rows of a segment that waits to be written.
    fn sealed(sealed: &Sealed) -> &Chunked<Self>;
}
