//! Names and lives of the data directory's files.
//!
//! ```text
//! LOCK                         held while a collector has the directory
//! manifest.json                names every live file below; replaced atomically
//! wal/<segment>.wal            segments that are not in Parquet files yet
//! samples/<id>-<hour>.parquet  samples of one hour
//! symbols/<id>-<table>.parquet functions, locations, stacks, series, pushes
//! *.damaged                    set aside; nothing reads them
//! ```

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::StoreError;
use super::manifest::FileEntry;

/// A live sample file. When it is replaced it is deleted as soon as the last reader lets go.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    pub(super) entry: FileEntry,
    obsolete: AtomicBool,
}

impl DataFile {
    pub(super) fn new(folder: &Path, entry: FileEntry) -> Arc<Self> {
        let path = folder.join(&entry.file);
        Arc::new(Self { path, entry, obsolete: AtomicBool::new(false) })
    }

    /// To be called once no manifest names the file any more.
    pub(super) fn delete_when_unread(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for DataFile {
    fn drop(&mut self) {
        if *self.obsolete.get_mut() {
            // A leftover is removed at the next start: no manifest names it.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| StoreError::io("sync", folder, error))
}

/// Takes the directory's lock, held until the file is dropped.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("LOCK");
    let file = File::create(&path).map_err(|error| StoreError::io("create", &path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(StoreError::Locked { path }),
        Err(fs::TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
    }
}

/// Makes a folder and its parents.
pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(|error| StoreError::io("create", path, error))
}

/// Path of a log segment.
pub(super) fn wal_path(folder: &Path, segment: u64) -> PathBuf {
    folder.join("wal").join(format!("{segment:012}.wal"))
}

/// Log segments that are there, oldest first.
pub(super) fn wal_segments(folder: &Path) -> Result<Vec<u64>, StoreError> {
    let number = |path: &PathBuf| path.file_stem()?.to_str()?.parse().ok();
    let mut segments: Vec<u64> = list(&folder.join("wal"))?.iter().filter_map(number).collect();
    segments.sort_unstable();
    Ok(segments)
}

/// Files of a folder.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let failed = |error| StoreError::io("list", folder, error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}

/// Renames a damaged file so that nothing reads it and a person can look at it.
pub(super) fn set_aside(path: &Path, why: &str) {
    let aside = path.with_added_extension("damaged");
    tracing::error!(file = %path.display(), why, "damaged file set aside; its data is lost to queries");
    if let Err(error) = fs::rename(path, &aside) {
        tracing::error!(file = %path.display(), %error, "it could not be renamed");
    }
}
