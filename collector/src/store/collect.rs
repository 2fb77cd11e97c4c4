//! Collects symbols that no stored sample names any more, while pushes go on.
//!
//! ```text
//! here                                     committing thread
//! ask to begin  ─────────────────────────► notes from now on what pushes name
//! read which stacks and series are named
//!   by files and by samples in memory
//! write those symbols to new files
//! hand over     ─────────────────────────► adds what was noted and would be missing, durable;
//!                                          lists the new files instead of the old ones;
//!                                          knows only these symbols from then on
//! delete the old files
//! ```
//!
//! What is known is decided in one thread, so a push either names a symbol before the hand-over,
//! which then keeps it, or after it, and then brings it along.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use tokio::sync::{mpsc, oneshot};

use super::commit::Command;
use super::error::StoreError;
use super::files;
use super::flush::write_symbols;
use super::grain::HOUR_MS;
use super::live::Shared;
use super::maintenance::remove;
use super::manifest::{FileEntry, Manifest};
use super::memtable::Memtable;
use super::sample_file::visit_names;
use super::symbols::{Dictionary, Symbols};

/// Symbols are collected when this part of the stored time has been deleted since the last time.
const PART: i64 = 8;

/// Content hashes of what samples name.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) stacks: FxHashSet<u64>,
    pub(super) series: FxHashSet<u64>,
}

/// Moments of a collection at which a crash or a push must lose nothing; tests stop at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Begun,
    Marked,
    Written,
    NotedWritten,
    Listed,
    OldDeleted,
}

/// Told each step.
pub(super) type Watch = Arc<dyn Fn(Step) + Send + Sync>;

/// The symbols that are kept, on their way to the committing thread.
pub(super) struct Collected {
    symbols: Symbols,
    dictionary: Dictionary,
    /// Files that `new` replaces.
    old: Vec<FileEntry>,
    new: Vec<FileEntry>,
    oldest_unix_ms: i64,
    watch: Watch,
}

/// Collects if enough was deleted since the last time.
pub(super) fn collect_if_due(
    shared: &Shared,
    commands: &mpsc::Sender<Command>,
    now_unix_ms: i64,
) -> Result<(), StoreError> {
    let manifest = shared.catalog().manifest().clone();
    let oldest = oldest(&manifest, now_unix_ms);
    match manifest.collected_unix_ms {
        None if manifest.samples.is_empty() => Ok(()),
        None => shared.catalog().change(|manifest| manifest.collected_unix_ms = Some(oldest)),
        Some(last)
            if oldest.saturating_sub(last) < ((now_unix_ms - oldest) / PART).max(HOUR_MS) =>
        {
            Ok(())
        }
        Some(_) => collect(shared, commands, oldest, Arc::new(|_| {})),
    }
}

fn oldest(manifest: &Manifest, now_unix_ms: i64) -> i64 {
    manifest.samples.iter().map(|entry| entry.from_unix_ms).min().unwrap_or(now_unix_ms)
}

/// Collects. Blocks; after an error everything is as it was.
pub(super) fn collect(
    shared: &Shared,
    commands: &mpsc::Sender<Command>,
    oldest_unix_ms: i64,
    watch: Watch,
) -> Result<(), StoreError> {
    ask(commands, |done| Command::BeginCollection { done })?;
    watch(Step::Begun);
    // The list of files before the symbols: whatever is in a listed file is then in memory.
    let old = shared.catalog().manifest().symbols.clone();
    let symbols = shared.live().symbols.clone();
    let named = mark(shared)?;
    watch(Step::Marked);
    let (kept, dictionary) = symbols.only(&named);
    let id = shared.catalog().take_id();
    let new = write_symbols(shared, kept.rows(), id)?;
    files::sync_folder(&shared.settings.data_dir.join("symbols"))?;
    watch(Step::Written);
    let (before, after) = (symbols.counts(), kept.counts());
    let replaced = old.clone();
    let watching = Arc::clone(&watch);
    let collected = Collected { symbols: kept, dictionary, old, new, oldest_unix_ms, watch };
    let collected = Box::new(collected);
    ask(commands, |done| Command::Adopt { collected, done })??;
    remove(shared, &replaced);
    watching(Step::OldDeleted);
    shared.metrics.symbol_collections.inc();
    tracing::info!(?before, ?after, "collected the symbols that no sample names any more");
    Ok(())
}

fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(oneshot::Sender<T>) -> Command,
) -> Result<T, StoreError> {
    let (done, answer) = oneshot::channel();
    commands.blocking_send(command(done)).map_err(|_| StoreError::Closed)?;
    answer.blocking_recv().map_err(|_| StoreError::Closed)
}

/// Everything that stored samples name. A damaged file names nobody knows what: it has to be set
/// aside before anything can be collected.
fn mark(shared: &Shared) -> Result<Named, StoreError> {
    let (tables, data_files) = {
        let live = shared.live();
        let sealed = live.sealed.iter().map(|sealed| sealed.samples.clone());
        (sealed.chain([live.active.clone()]).collect::<Vec<_>>(), live.files.clone())
    };
    let mut named = Named::default();
    for row in tables.iter().flat_map(Memtable::iter) {
        named.stacks.insert(row.stack);
        named.series.insert(row.series);
    }
    for file in data_files {
        file.check().map_err(|why| super::parquet_file::damaged(&file.path, why))?;
        let (mut last_stack, mut last_series) = (None, None);
        visit_names(&file.path, |stack, series| {
            if last_stack.replace(stack) != Some(stack) {
                named.stacks.insert(stack);
            }
            if last_series.replace(series) != Some(series) {
                named.series.insert(series);
            }
        })?;
    }
    Ok(named)
}

impl Collected {
    /// In the committing thread: makes these the store's symbols, and with them what was named
    /// since the collection began. Returns the dictionary of all that.
    pub(super) fn adopt(
        mut self,
        shared: &Shared,
        noted: &Named,
    ) -> Result<Dictionary, StoreError> {
        let current = shared.live().symbols.clone();
        let missing = Named {
            stacks: noted.stacks.iter().copied().filter(|s| !self.symbols.has_stack(*s)).collect(),
            series: noted.series.iter().copied().filter(|s| !self.symbols.has_series(*s)).collect(),
        };
        let portions: Vec<_> = current.rows_of(&missing).collect();
        for portion in &portions {
            self.dictionary.take_in(&mut self.symbols, portion);
        }
        let id = shared.catalog().take_id();
        let noted_files = write_symbols(shared, portions, id)?;
        files::sync_folder(&shared.settings.data_dir.join("symbols"))?;
        (self.watch)(Step::NotedWritten);
        shared.catalog().change(|manifest| {
            manifest.symbols.retain(|entry| !self.old.contains(entry));
            manifest.symbols.extend(self.new.iter().chain(&noted_files).cloned());
            manifest.collected_unix_ms = Some(self.oldest_unix_ms);
        })?;
        shared.live_mut().symbols = self.symbols;
        (self.watch)(Step::Listed);
        Ok(self.dictionary)
    }
}
