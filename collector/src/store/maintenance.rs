//! Looks after the files: merges small ones of an hour, deletes what is older or larger than
//! allowed, and writes the symbols anew when they lie in too many files.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::error::StoreError;
use super::files::{self, DataFile};
use super::flush::{HOUR_MS, write_sample_file, write_symbols};
use super::live::Shared;
use super::manifest::FileEntry;
use super::parquet_file;
use super::tables;

/// An hour is merged for good when it has been over for this long: senders are late sometimes.
const LATE_MS: i64 = 10 * 60 * 1000;
/// So many files of an hour that is not over are merged early, for queries' sake.
const MANY_FILES: usize = 12;
/// Rows that one merge holds in memory (40 bytes each). Files of half as many stay as they are.
const MERGE_ROWS: u64 = 4 << 20;
/// More symbol files than this are written anew as one set.
const SYMBOL_FILES: usize = 40;

/// One round. Each part is done even if another failed; the first error is returned.
pub(super) fn look_after(shared: &Shared, now_unix_ms: i64) -> Result<(), StoreError> {
    let retired = retire(shared, now_unix_ms);
    let merged = merge_hours(shared, now_unix_ms);
    let symbols = merge_symbols(shared);
    shared.count_files();
    retired.and(merged).and(symbols)
}

/// Deletes sample files beyond the allowed age, then the oldest while all are too large, and push
/// files that nobody will ask about any more.
fn retire(shared: &Shared, now_unix_ms: i64) -> Result<(), StoreError> {
    let settings = &shared.settings;
    let before = |age: std::time::Duration| {
        now_unix_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
    };
    let (oldest, oldest_push) =
        (before(settings.retention_age), before(settings.remember_pushes_for));
    let manifest = shared.catalog().manifest().clone();
    let mut bytes = manifest.bytes();
    let mut samples = manifest.samples.clone();
    samples.sort_by_key(|entry| entry.until_unix_ms);
    let mut gone = Vec::new();
    for entry in samples {
        if entry.until_unix_ms <= oldest || bytes > settings.retention_bytes {
            bytes = bytes.saturating_sub(entry.bytes);
            gone.push(entry);
        }
    }
    let pushes: Vec<FileEntry> =
        manifest.pushes.into_iter().filter(|entry| entry.until_unix_ms <= oldest_push).collect();
    if gone.is_empty() && pushes.is_empty() {
        return Ok(());
    }
    shared.metrics.deleted_rows.inc_by(gone.iter().map(|entry| entry.rows).sum());
    replace(shared, &gone, Vec::new())?;
    shared.catalog().change(|manifest| manifest.pushes.retain(|entry| !pushes.contains(entry)))?;
    remove(shared, &pushes);
    Ok(())
}

fn merge_hours(shared: &Shared, now_unix_ms: i64) -> Result<(), StoreError> {
    let mut hours: BTreeMap<i64, Vec<FileEntry>> = BTreeMap::new();
    for entry in &shared.catalog().manifest().samples {
        if entry.rows <= MERGE_ROWS / 2 {
            let hour = entry.from_unix_ms.div_euclid(HOUR_MS);
            hours.entry(hour).or_default().push(entry.clone());
        }
    }
    for (hour, mut entries) in hours {
        let over = (hour + 1) * HOUR_MS + LATE_MS <= now_unix_ms;
        let mut rows = 0;
        entries.retain(|entry| {
            rows += entry.rows;
            rows <= MERGE_ROWS
        });
        if entries.len() >= if over { 2 } else { MANY_FILES } {
            merge(shared, hour, &entries)?;
        }
    }
    Ok(())
}

fn merge(shared: &Shared, hour: i64, entries: &[FileEntry]) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for entry in entries {
        let path = shared.settings.data_dir.join(&entry.file);
        let read = parquet_file::read(&path, |batch| {
            rows.extend(tables::read_samples(batch)?);
            Ok(())
        });
        if let Err(error) = read {
            return set_aside(shared, entry, &error);
        }
    }
    let id = shared.catalog().take_id();
    let entry = write_sample_file(shared, id, hour, rows, 1)?;
    files::sync_folder(&shared.settings.data_dir.join("samples"))?;
    replace(shared, entries, vec![entry])?;
    shared.metrics.compactions.inc();
    Ok(())
}

/// A file that cannot be read is taken from the list; the others are merged in the next round.
fn set_aside(shared: &Shared, entry: &FileEntry, error: &StoreError) -> Result<(), StoreError> {
    if !matches!(error, StoreError::Damaged { .. } | StoreError::Table { .. }) {
        return Err(error.again());
    }
    shared.metrics.damaged_files.inc();
    shared.metrics.lost_rows.inc_by(entry.rows);
    shared.catalog().change(|manifest| manifest.samples.retain(|other| other != entry))?;
    shared.live_mut().files.retain(|file| file.entry != *entry);
    files::set_aside(&shared.settings.data_dir.join(&entry.file), &error.to_string());
    Ok(())
}

/// Puts `new` in the place of `old`, on disk and then for readers. Old files go when their last
/// reader does.
fn replace(shared: &Shared, old: &[FileEntry], new: Vec<FileEntry>) -> Result<(), StoreError> {
    let mut catalog = shared.catalog();
    catalog.change(|manifest| {
        manifest.samples.retain(|entry| !old.contains(entry));
        manifest.samples.extend(new.iter().cloned());
    })?;
    let mut live = shared.live_mut();
    let (gone, mut kept): (Vec<_>, Vec<_>) =
        live.files.drain(..).partition(|file| old.contains(&file.entry));
    gone.iter().for_each(|file| file.delete_when_unread());
    let folder = &shared.settings.data_dir;
    kept.extend(new.into_iter().map(|entry| DataFile::new(folder, entry)));
    live.files = kept;
    drop(live);
    drop(catalog);
    drop(gone);
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
    let new = write_symbols(shared, &symbols.rows(), id)?;
    files::sync_folder(&shared.settings.data_dir.join("symbols"))?;
    shared.catalog().change(|manifest| {
        manifest.symbols.retain(|entry| !old.contains(entry));
        manifest.symbols.extend(new);
    })?;
    remove(shared, &old);
    Ok(())
}

/// Deletes files that only a start reads. A leftover is removed at the next start.
fn remove(shared: &Shared, entries: &[FileEntry]) {
    for entry in entries {
        drop(fs::remove_file(shared.settings.data_dir.join(&entry.file)));
    }
}

/// Runs rounds until the store is closed or its last handle is gone.
pub(super) async fn run(shared: Arc<Shared>, mut stop: tokio::sync::watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.settings.maintenance_interval) => {}
            _ = stop.changed() => return,
        }
        let shared = Arc::clone(&shared);
        let round = move || look_after(&shared, super::now_unix_ms());
        match tokio::task::spawn_blocking(round).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "looking after the files failed; tried again later");
            }
            Err(error) => tracing::error!(%error, "looking after the files failed"),
        }
    }
}
