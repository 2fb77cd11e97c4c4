//! Puts one file in the place of several: written, made durable, listed, and only then the
//! old ones go, when their last reader lets go of them.

use super::error::StoreError;
use super::files::{self, DataFile};
use super::grain::HOUR_MS;
use super::live::Shared;
use super::manifest::FileEntry;
use super::merge::merge;
use super::plan::Job;
use super::row_file;
use super::sample_file::{Ranks, SampleFileWriter};
use super::signal::Signal;
use crate::metric::Point;
use crate::trace::Span;

/// Moments of a rewrite at which a crash must lose and double nothing; tests stop at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Written,
    Durable,
    Listed,
    Shown,
    OldDeleted,
}

/// Does a job. Damaged files are set aside instead; the next round merges the others.
pub(super) fn rewrite(
    shared: &Shared,
    signal: Signal,
    job: &Job,
    mut at: impl FnMut(Step),
) -> Result<(), StoreError> {
    if set_aside_damaged(shared, signal, &job.entries)? {
        return Ok(());
    }
    let new = match signal {
        Signal::Samples => write(shared, job)?,
        Signal::Spans => row_file::merge::<Span>(shared, &job.entries, name(shared, signal, job))?,
        Signal::Metrics => {
            row_file::merge::<Point>(shared, &job.entries, name(shared, signal, job))?
        }
    };
    at(Step::Written);
    files::sync_folder(&shared.settings.data_dir.join(signal.folder()))?;
    at(Step::Durable);
    // An empty file: every row's series was lost with its symbol file.
    let new = (new.rows > 0).then_some(new);
    replace(shared, signal, &job.entries, new.as_ref(), &mut at)?;
    shared.metrics.compactions.inc();
    at(Step::OldDeleted);
    Ok(())
}

fn name(shared: &Shared, signal: Signal, job: &Job) -> String {
    signal.file_name(shared.catalog().take_id(), job.from_unix_ms.div_euclid(HOUR_MS))
}

fn write(shared: &Shared, job: &Job) -> Result<FileEntry, StoreError> {
    let folder = &shared.settings.data_dir;
    let ranks = Ranks::of(&shared.live().symbols.clone());
    let file = name(shared, Signal::Samples, job);
    let path = folder.join(&file);
    let mut writer = SampleFileWriter::create(&path, &ranks, job.grain)?;
    let paths: Vec<_> = job.entries.iter().map(|entry| folder.join(&entry.file)).collect();
    let lost = merge(&paths, &ranks, &mut writer)?;
    shared.metrics.lost_rows.inc_by(lost);
    writer.finish(file)
}

/// Puts `new` in the place of `old`, on disk and then for readers.
pub(super) fn replace(
    shared: &Shared,
    signal: Signal,
    old: &[FileEntry],
    new: Option<&FileEntry>,
    mut at: impl FnMut(Step),
) -> Result<(), StoreError> {
    let mut catalog = shared.catalog();
    catalog.change(|manifest| {
        let entries = manifest.of_mut(signal);
        entries.retain(|entry| !old.contains(entry));
        entries.extend(new.cloned());
    })?;
    at(Step::Listed);
    let mut live = shared.live_mut();
    let (gone, mut kept): (Vec<_>, Vec<_>) =
        live.files_of_mut(signal).drain(..).partition(|file| old.contains(&file.entry));
    gone.iter().for_each(|file| file.delete_when_unread());
    let folder = &shared.settings.data_dir;
    kept.extend(new.map(|entry| DataFile::new(folder, entry.clone())));
    *live.files_of_mut(signal) = kept;
    let grain = new.map(|entry| entry.grain);
    for entry in old.iter().filter(|entry| grain != Some(entry.grain)) {
        live.changes.altered(entry.from_unix_ms, entry.until_unix_ms);
    }
    drop(live);
    drop(catalog);
    at(Step::Shown);
    drop(gone);
    Ok(())
}

/// Takes those of `entries` that are damaged from the list, remembers what was lost with them, and
/// says whether there were any.
pub(super) fn set_aside_damaged(
    shared: &Shared,
    signal: Signal,
    entries: &[FileEntry],
) -> Result<bool, StoreError> {
    let files = shared.live().files_of(signal).to_vec();
    let mut found = false;
    for file in files.iter().filter(|file| entries.contains(&file.entry)) {
        let Err(why) = file.check() else { continue };
        if file.damage().is_none() {
            let error = std::io::Error::other(why);
            return Err(StoreError::io("read", &file.path, error));
        }
        set_aside(shared, signal, file, &why)?;
        found = true;
    }
    Ok(found)
}

/// Sets one damaged file aside.
pub(super) fn set_aside(
    shared: &Shared,
    signal: Signal,
    file: &DataFile,
    why: &str,
) -> Result<(), StoreError> {
    shared.catalog().change(|manifest| {
        manifest.of_mut(signal).retain(|other| *other != file.entry);
        manifest.damaged.push(file.entry.clone());
    })?;
    let mut live = shared.live_mut();
    live.files_of_mut(signal).retain(|other| other.entry != file.entry);
    live.changes.altered(file.entry.from_unix_ms, file.entry.until_unix_ms);
    live.damaged.push(file.entry.clone());
    drop(live);
    shared.metrics.damaged_files.inc();
    shared.metrics.lost_rows.inc_by(file.entry.rows);
    files::set_aside(&file.path, why);
    Ok(())
}
