//! What readers see, and what everything of an open store shares.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::changes::Changes;
use super::files::DataFile;
use super::manifest::{Catalog, FileEntry};
use super::memtable::Memtable;
use super::metrics::StoreMetrics;
use super::settings::StoreSettings;
use super::signal::Signal;
use super::symbols::{Chunked, SymbolRows, Symbols};
use super::tables::PushRow;
use crate::metric::Point;
use crate::trace::Span;

/// Everything a query can read, always consistent: a sample is in exactly one of the three places.
#[derive(Default)]
pub(super) struct Live {
    pub(super) symbols: Symbols,
    /// Samples of the segment being filled.
    pub(super) active: Memtable,
    /// Spans of the segment being filled.
    pub(super) spans: Chunked<Span>,
    /// Points of the segment being filled.
    pub(super) points: Chunked<Point>,
    /// Segments that wait to be written, oldest first.
    pub(super) sealed: Vec<Arc<Sealed>>,
    /// Parquet files of samples.
    pub(super) files: Vec<Arc<DataFile>>,
    /// Parquet files of spans.
    pub(super) span_files: Vec<Arc<DataFile>>,
    /// Parquet files of points.
    pub(super) metric_files: Vec<Arc<DataFile>>,
    /// Files that were set aside: their samples are missing in answers.
    pub(super) damaged: Vec<FileEntry>,
    pub(super) changes: Changes,
}

impl Live {
    /// Files of a signal.
    pub(super) fn files_of(&self, signal: Signal) -> &[Arc<DataFile>] {
        match signal {
            Signal::Samples => &self.files,
            Signal::Spans => &self.span_files,
            Signal::Metrics => &self.metric_files,
        }
    }

    /// Files of a signal.
    pub(super) fn files_of_mut(&mut self, signal: Signal) -> &mut Vec<Arc<DataFile>> {
        match signal {
            Signal::Samples => &mut self.files,
            Signal::Spans => &mut self.span_files,
            Signal::Metrics => &mut self.metric_files,
        }
    }
}

/// A segment that gets no more rows.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) segment: u64,
    pub(super) samples: Memtable,
    pub(super) spans: Chunked<Span>,
    pub(super) points: Chunked<Point>,
    /// Symbols that the segment brought.
    pub(super) symbols: SymbolRows,
    pub(super) pushes: Vec<PushRow>,
    pub(super) wal: PathBuf,
}

/// Shared by the handle, the committing thread and the background tasks.
pub(super) struct Shared {
    pub(super) settings: StoreSettings,
    pub(super) metrics: StoreMetrics,
    live: RwLock<Live>,
    catalog: Mutex<Catalog>,
    /// The directory's lock, held until the last thread that may write is gone.
    _lock: File,
}

impl Shared {
    pub(super) fn new(
        settings: StoreSettings,
        metrics: StoreMetrics,
        live: Live,
        catalog: Catalog,
        lock: File,
    ) -> Self {
        let (live, catalog) = (RwLock::new(live), Mutex::new(catalog));
        Self { settings, metrics, live, catalog, _lock: lock }
    }

    pub(super) fn live(&self) -> RwLockReadGuard<'_, Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn live_mut(&self) -> RwLockWriteGuard<'_, Live> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the gauges of files up to date.
    pub(super) fn count_files(&self) {
        let catalog = self.catalog();
        let manifest = catalog.manifest();
        let files = i64::try_from(manifest.samples.len()).unwrap_or(i64::MAX);
        self.metrics.sample_files.set(files);
        let count = |signal| i64::try_from(manifest.of(signal).len()).unwrap_or(i64::MAX);
        self.metrics.span_files.set(count(Signal::Spans));
        self.metrics.metric_files.set(count(Signal::Metrics));
        self.metrics.parquet_bytes.set(i64::try_from(manifest.bytes()).unwrap_or(i64::MAX));
    }
}
