//! Keeps profiles and adds them up again: durable before it is acknowledged, exactly once. Wire
//! formats are `ingest`'s, trees and selectors `query`'s.
//!
//! A push is logged (`commit`, `wal`), seen by queries from memory at once, and later written to
//! Parquet (`flush`); the manifest's replacement is the one moment at which it moves from log to
//! file, so recovery (`open`) finds every sample in exactly one of the two.

mod background;
mod changes;
mod checksum;
mod collect;
mod columns;
mod commit;
mod error;
mod files;
mod find;
mod flush;
mod grain;
mod live;
mod maintenance;
mod manifest;
mod memtable;
mod merge;
mod metrics;
mod new_rows;
mod open;
mod parquet_file;
mod plan;
mod point_rows;
mod push;
mod recent;
mod rewrite;
mod row_file;
mod sample_file;
mod scan;
mod select;
mod settings;
mod signal;
mod snapshot;
mod span_rows;
mod span_services;
mod symbols;
mod tables;
#[cfg(test)]
mod tests;
mod wal;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use error::StoreError;
pub use find::{PointFilter, SpanFilter, Visited};
pub use metrics::StoreMetrics;
pub use push::{Appended, Push};
pub use select::{
    Kept, Matcher, Merged, MergedServices, Select, ServiceStacks, Test, Timeline, TimelineBy,
    TimelineGroup, TimelinePoint, Unread,
};
pub use settings::StoreSettings;
pub use snapshot::Snapshot;
pub use span_services::SpanService;
pub use symbols::{
    FrameId, FrameName, Function, FunctionId, Line, LocationId, Series, SeriesId, StackId,
    StackNode, SymbolLocation, SymbolsView,
};

use commit::{Command, Committer, Pending};
use live::Shared;
use push::Prepared;
use scan::Engine;
use wal::WalWriter;

/// Pushes that wait for the committing thread; more wait in their own tasks.
const QUEUE: usize = 256;

/// A handle to the store; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    engine: Arc<Engine>,
    /// `None` once closed.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    committer: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Store {
    /// Opens or makes the data directory and recovers what a crash left.
    ///
    /// # Errors
    /// Another process has the directory, it cannot be read or written, or a file whose loss would
    /// lose or double data is damaged.
    pub async fn open(settings: StoreSettings) -> Result<Self, StoreError> {
        Self::open_with(settings, StoreMetrics::default()).await
    }

    /// As [`Store::open`], counting into `metrics`.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_with(
        settings: StoreSettings,
        metrics: StoreMetrics,
    ) -> Result<Self, StoreError> {
        let opening = tokio::task::spawn_blocking(move || prepare(settings, metrics));
        let opened = opening.await.map_err(|_| StoreError::Closed)?;
        let (inner, flush_wanted, stop) = opened?;
        let shared = Arc::clone(&inner.shared);
        let flusher = background::flush_sealed(shared, flush_wanted, stop.clone());
        let store = Self { inner: Arc::new(inner) };
        held(&store.inner.tasks).push(tokio::spawn(flusher));
        if let Some(commands) = store.commands() {
            let commands = commands.downgrade();
            let shared = Arc::clone(&store.inner.shared);
            let maintenance = maintenance::run(shared, commands.clone(), stop.clone());
            held(&store.inner.tasks).push(tokio::spawn(maintenance));
            tokio::spawn(background::tick(commands, stop));
        }
        Ok(store)
    }

    /// Stores a push; it is durable when this returns.
    ///
    /// # Errors
    /// Disk full, too busy, or closed: nothing of the push is kept and it may be sent again.
    pub async fn append(&self, push: Push) -> Result<Appended, StoreError> {
        let push = Prepared::new(push);
        let (answer, result) = oneshot::channel();
        let commands = self.commands().ok_or(StoreError::Closed)?;
        let received_unix_ms = now_unix_ms();
        let command = Command::Append { push, received_unix_ms, answer };
        commands.send(command).await.map_err(|_| StoreError::Closed)?;
        drop(commands);
        result.await.map_err(|_| StoreError::Closed)?
    }

    /// Adds up the selected samples by stack.
    ///
    /// # Errors
    /// The query failed or needed more memory than it may take.
    pub async fn merge(&self, select: &Select) -> Result<Merged, StoreError> {
        self.snapshot().merge(select).await
    }

    /// Adds up the selected samples by stack, service by service, in the order of their names.
    ///
    /// # Errors
    /// As [`Store::merge`].
    pub async fn merge_by_service(&self, select: &Select) -> Result<MergedServices, StoreError> {
        self.snapshot().merge_by_service(select).await
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

    /// Seals what is in memory, so that it is written to Parquet soon.
    ///
    /// # Errors
    /// The next log segment could not be made; what is in memory stays in the old one.
    pub async fn seal(&self) -> Result<(), StoreError> {
        let (done, sealed) = oneshot::channel();
        let commands = self.commands().ok_or(StoreError::Closed)?;
        commands.send(Command::Seal { done }).await.map_err(|_| StoreError::Closed)?;
        drop(commands);
        sealed.await.map_err(|_| StoreError::Closed)?
    }

    /// One round of looking after the files, as of a time: merges, decay, retention, collection of
    /// symbols. In the background it runs every [`StoreSettings::maintenance_interval`].
    ///
    /// # Errors
    /// Files could not be read or written; the next round tries again.
    pub async fn look_after(&self, now_unix_ms: i64) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.inner.shared);
        let commands = self.commands().ok_or(StoreError::Closed)?;
        let round = move || maintenance::round(&shared, &commands, now_unix_ms);
        tokio::task::spawn_blocking(round).await.map_err(|_| StoreError::Closed)?
    }

    /// Writes what is in memory to disk and stops background work. Later pushes are refused. What
    /// cannot be written stays in the log, from which the next start takes it.
    pub async fn close(&self) {
        if let Err(error) = self.seal().await {
            tracing::warn!(%error, "what is in memory stays in the log");
        }
        drop(held(&self.inner.commands).take());
        self.inner.stop.send_replace(true);
        let tasks = std::mem::take(&mut *held(&self.inner.tasks));
        for task in tasks {
            drop(task.await);
        }
        let committer = held(&self.inner.committer).take();
        if let Some(committer) = committer {
            drop(tokio::task::spawn_blocking(move || committer.join()).await);
        }
    }

    /// Whether a question may have another answer than a snapshot of this version gave.
    #[must_use]
    pub fn changed_since(&self, version: u64, select: &Select) -> bool {
        self.inner.shared.live().changes.touch(version, select)
    }

    fn commands(&self) -> Option<mpsc::Sender<Command>> {
        held(&self.inner.commands).clone()
    }

    /// The store as it is now, for questions whose answers have to fit together.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let live = self.inner.shared.live();
        let sealed = live.sealed.iter().map(|sealed| sealed.samples.clone());
        let spans = live.sealed.iter().map(|sealed| sealed.spans.clone());
        let points = live.sealed.iter().map(|sealed| sealed.points.clone());
        Snapshot {
            engine: Arc::clone(&self.inner.engine),
            symbols: live.symbols.clone(),
            tables: sealed.chain([live.active.clone()]).collect(),
            files: live.files.clone(),
            spans: spans.chain([live.spans.clone()]).collect(),
            span_files: live.span_files.clone(),
            points: points.chain([live.points.clone()]).collect(),
            metric_files: live.metric_files.clone(),
            damaged: live.damaged.clone(),
            version: live.changes.version(),
        }
    }
}

type Started = (Inner, Arc<Notify>, watch::Receiver<bool>);

/// Everything that blocks: files are read, the committing thread starts.
fn prepare(settings: StoreSettings, metrics: StoreMetrics) -> Result<Started, StoreError> {
    files::make_folder(&settings.data_dir)?;
    let lock = files::lock(&settings.data_dir)?;
    let opened = open::open(&settings, &metrics)?;
    let engine = Arc::new(Engine::new(&settings)?);
    let segment = opened.next_segment;
    let wal = WalWriter::create(files::wal_path(&settings.data_dir, segment))?;
    let shared = Arc::new(Shared::new(settings, metrics, opened.live, opened.catalog, lock));
    let flush_wanted = Arc::new(Notify::new());
    let committer = Committer {
        shared: Arc::clone(&shared),
        dictionary: opened.dictionary,
        recent: opened.recent,
        wal,
        segment,
        flush_wanted: Arc::clone(&flush_wanted),
        pending: Pending::default(),
        noted: None,
    };
    let (commands, queue) = mpsc::channel(QUEUE);
    let thread = std::thread::Builder::new()
        .name("commit".to_owned())
        .spawn(move || committer.run(queue))
        .map_err(|error| StoreError::io("start the committing thread for", "wal", error))?;
    let (stop, stopped) = watch::channel(false);
    let commands = Mutex::new(Some(commands));
    let (tasks, committer) = (Mutex::default(), Mutex::new(Some(thread)));
    let inner = Inner { shared, engine, commands, stop, tasks, committer };
    Ok((inner, flush_wanted, stopped))
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
