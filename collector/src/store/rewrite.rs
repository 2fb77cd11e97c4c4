//! Puts one sample file in the place of several: written, made durable, listed, and only then the
//! old ones go, when their last reader lets go of them.

use super::error::StoreError;
use super::files::{self, DataFile};
use super::flush::sample_file_name;
use super::grain::HOUR_MS;
use super::live::Shared;
use super::manifest::FileEntry;
use super::merge::merge;
use super::plan::Job;
use super::sample_file::{Ranks, SampleFileWriter};

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
    job: &Job,
    mut at: impl FnMut(Step),
) -> Result<(), StoreError> {
    if set_aside_damaged(shared, &job.entries)? {
        return Ok(());
    }
    let new = write(shared, job)?;
    at(Step::Written);
    files::sync_folder(&shared.settings.data_dir.join("samples"))?;
    at(Step::Durable);
    // An empty file: every row's series was lost with its symbol file.
    let new = (new.rows > 0).then_some(new);
    replace(shared, &job.entries, new.as_ref(), &mut at)?;
    shared.metrics.compactions.inc();
    at(Step::OldDeleted);
    Ok(())
}

fn write(shared: &Shared, job: &Job) -> Result<FileEntry, StoreError> {
    let folder = &shared.settings.data_dir;
    let ranks = Ranks::of(&shared.live().symbols.clone());
    let id = shared.catalog().take_id();
    let file = sample_file_name(id, job.from_unix_ms.div_euclid(HOUR_MS));
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
    old: &[FileEntry],
    new: Option<&FileEntry>,
    mut at: impl FnMut(Step),
) -> Result<(), StoreError> {
    let mut catalog = shared.catalog();
    catalog.change(|manifest| {
        manifest.samples.retain(|entry| !old.contains(entry));
        manifest.samples.extend(new.cloned());
    })?;
    at(Step::Listed);
    let mut live = shared.live_mut();
    let (gone, mut kept): (Vec<_>, Vec<_>) =
        live.files.drain(..).partition(|file| old.contains(&file.entry));
    gone.iter().for_each(|file| file.delete_when_unread());
    let folder = &shared.settings.data_dir;
    kept.extend(new.map(|entry| DataFile::new(folder, entry.clone())));
    live.files = kept;
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
    entries: &[FileEntry],
) -> Result<bool, StoreError> {
    let files = shared.live().files.clone();
    let mut found = false;
    for file in files.iter().filter(|file| entries.contains(&file.entry)) {
        let Err(why) = file.check() else { continue };
        if file.damage().is_none() {
            let error = std::io::Error::other(why);
            return Err(StoreError::io("read", &file.path, error));
        }
        set_aside(shared, file, &why)?;
        found = true;
    }
    Ok(found)
}

/// Sets one damaged file aside.
pub(super) fn set_aside(shared: &Shared, file: &DataFile, why: &str) -> Result<(), StoreError> {
    shared.catalog().change(|manifest| {
        manifest.samples.retain(|other| *other != file.entry);
        manifest.damaged.push(file.entry.clone());
    })?;
    let mut live = shared.live_mut();
    live.files.retain(|other| other.entry != file.entry);
    live.changes.altered(file.entry.from_unix_ms, file.entry.until_unix_ms);
    live.damaged.push(file.entry.clone());
    drop(live);
    shared.metrics.damaged_files.inc();
    shared.metrics.lost_rows.inc_by(file.entry.rows);
    files::set_aside(&file.path, why);
    Ok(())
}
