//! Looks after the files: merges them and makes them coarser with age, deletes what is older or
//! larger than allowed, and writes symbols anew when they lie in too many files.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::collect::collect_if_due;
use super::commit::Command;
use super::error::StoreError;
use super::files;
use super::flush::write_symbols;
use super::live::Shared;
use super::manifest::FileEntry;
use super::plan::{self, Ages};
use super::rewrite::{replace, rewrite, set_aside};
use super::signal::Signal;

/// More symbol files than this are written anew as one set.
const SYMBOL_FILES: usize = 40;

/// One round: files, then symbols.
pub(super) fn round(
    shared: &Shared,
    commands: &mpsc::Sender<Command>,
    now_unix_ms: i64,
) -> Result<(), StoreError> {
    look_after(shared, now_unix_ms)?;
    collect_if_due(shared, commands, now_unix_ms)
}

/// Looks after the files. Each part is done even if another failed; the first error is returned.
pub(super) fn look_after(shared: &Shared, now_unix_ms: i64) -> Result<(), StoreError> {
    let damaged = set_aside_found(shared);
    let aged = retire_aged(shared, now_unix_ms);
    let merged = merge_due(shared, Ages::of(&shared.settings), now_unix_ms);
    let fits = make_room(shared, now_unix_ms);
    let symbols = merge_symbols(shared);
    shared.count_files();
    damaged.and(aged).and(merged).and(fits).and(symbols)
}

/// Sets files aside that a query found damaged.
fn set_aside_found(shared: &Shared) -> Result<(), StoreError> {
    for signal in Signal::ALL {
        let files = shared.live().files_of(signal).to_vec();
        for file in files {
            if let Some(why) = file.damage() {
                set_aside(shared, signal, &file, &why)?;
            }
        }
    }
    Ok(())
}

/// Deletes data beyond the allowed age, and push files that nobody will ask about any more.
fn retire_aged(shared: &Shared, now_unix_ms: i64) -> Result<(), StoreError> {
    let before = |age: Duration| {
        now_unix_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    let oldest = before(shared.settings.retention_age);
    let oldest_push = before(shared.settings.remember_pushes_for);
    let manifest = shared.catalog().manifest().clone();
    let old = |entries: Vec<FileEntry>, oldest: i64| -> Vec<FileEntry> {
        entries.into_iter().filter(|entry| entry.until_unix_ms <= oldest).collect()
    };
    for signal in Signal::ALL {
        delete(shared, signal, &old(manifest.of(signal).to_vec(), oldest))?;
    }
    let (pushes, damaged) = (old(manifest.pushes, oldest_push), old(manifest.damaged, oldest));
    if pushes.is_empty() && damaged.is_empty() {
        return Ok(());
    }
    shared.catalog().change(|manifest| {
        manifest.pushes.retain(|entry| !pushes.contains(entry));
        manifest.damaged.retain(|entry| !damaged.contains(entry));
    })?;
    shared.live_mut().damaged.retain(|entry| !damaged.contains(entry));
    remove(shared, &pushes);
    Ok(())
}

fn merge_due(shared: &Shared, ages: Ages, now_unix_ms: i64) -> Result<(), StoreError> {
    let samples = shared.catalog().manifest().samples.clone();
    let decay = |job| rewrite(shared, Signal::Samples, job, |_| {});
    plan::jobs(&samples, ages, now_unix_ms).iter().try_for_each(decay)?;
    for signal in [Signal::Spans, Signal::Metrics] {
        let entries = shared.catalog().manifest().of(signal).to_vec();
        let jobs = plan::jobs(&entries, Ages::never(), now_unix_ms);
        jobs.iter().try_for_each(|job| rewrite(shared, signal, job, |_| {}))?;
    }
    Ok(())
}

/// While all files are too large: the oldest decay early, and when nothing is left that may, the
/// oldest are deleted.
fn make_room(shared: &Shared, now_unix_ms: i64) -> Result<(), StoreError> {
    let ages = Ages::of(&shared.settings).in_need();
    let too_large = || shared.catalog().manifest().bytes() > shared.settings.retention_bytes;
    if !too_large() {
        return Ok(());
    }
    let samples = shared.catalog().manifest().samples.clone();
    for job in plan::jobs(&samples, ages, now_unix_ms) {
        if !too_large() {
            return Ok(());
        }
        rewrite(shared, Signal::Samples, &job, |_| {})?;
    }
    let manifest = shared.catalog().manifest().clone();
    let mut bytes = manifest.bytes();
    let mut data: Vec<FileEntry> = manifest.data().cloned().collect();
    data.sort_by_key(|entry| entry.until_unix_ms);
    let gone = data.into_iter().take_while(|entry| {
        let over = bytes > shared.settings.retention_bytes;
        bytes = bytes.saturating_sub(entry.bytes);
        over
    });
    let gone: Vec<FileEntry> = gone.collect();
    for signal in Signal::ALL {
        let of = |entry: &&FileEntry| Signal::of(&entry.file) == Some(signal);
        delete(shared, signal, &gone.iter().filter(of).cloned().collect::<Vec<_>>())?;
    }
    Ok(())
}

fn delete(shared: &Shared, signal: Signal, entries: &[FileEntry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    replace(shared, signal, entries, None, |_| {})?;
    shared.metrics.deleted_rows.inc_by(entries.iter().map(|entry| entry.rows).sum());
    Ok(())
}

/// Symbols are all in memory, so they are written anew from there. What is flushed meanwhile is in
/// files of its own, which stay.
fn merge_symbols(shared: &Shared) -> Result<(), StoreError> {
    let old = shared.catalog().manifest().symbols.clone();
    if old.len() <= SYMBOL_FILES {
        return Ok(());
    }
    let symbols = shared.live().symbols.clone();
    let id = shared.catalog().take_id();
    let new = write_symbols(shared, symbols.rows(), id)?;
    files::sync_folder(&shared.settings.data_dir.join("symbols"))?;
    shared.catalog().change(|manifest| {
        manifest.symbols.retain(|entry| !old.contains(entry));
        manifest.symbols.extend(new);
    })?;
    remove(shared, &old);
    Ok(())
}

/// Deletes files that only a start reads. A leftover is removed at the next start.
pub(super) fn remove(shared: &Shared, entries: &[FileEntry]) {
    for entry in entries {
        drop(fs::remove_file(shared.settings.data_dir.join(&entry.file)));
    }
}

/// Runs rounds until the store is closed or its last handle is gone.
pub(super) async fn run(
    shared: Arc<Shared>,
    commands: mpsc::WeakSender<Command>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.settings.maintenance_interval) => {}
            _ = stop.changed() => return,
        }
        let Some(commands) = commands.upgrade() else { return };
        let shared = Arc::clone(&shared);
        let round = move || round(&shared, &commands, super::now_unix_ms());
        match tokio::task::spawn_blocking(round).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "looking after the files failed; tried again later");
            }
            Err(error) => tracing::error!(%error, "looking after the files failed"),
        }
    }
}
