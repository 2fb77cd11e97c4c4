//! Names and lives of the data directory's files.
//!
//! ```text
//! LOCK                         held while a collector has the directory
//! manifest.json                names every live file below; replaced atomically
//! wal/<segment>.wal            segments that are not in Parquet files yet
//! samples/<id>-<hour>.parquet  samples of one hour, or hourly sums of the day that begins with it
//! spans/<id>-<hour>.parquet    spans that began in one hour
//! metrics/<id>-<hour>.parquet  metric points of one hour
//! symbols/<id>-<table>.parquet functions, locations, stacks, series, pushes
//! *.damaged                    set aside; nothing reads them
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::error::StoreError;
use super::manifest::FileEntry;
use super::{checksum, parquet_file};

/// A live data file. When it is replaced it is deleted as soon as the last reader lets go.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    pub(super) entry: FileEntry,
    obsolete: AtomicBool,
    health: Mutex<Health>,
}

/// What is known about a file's bytes.
#[derive(Clone, Debug)]
enum Health {
    Unknown,
    /// It was what the manifest says while it had this length and time of change.
    Whole(u64, Option<SystemTime>),
    Damaged(String),
}

impl DataFile {
    pub(super) fn new(folder: &Path, entry: FileEntry) -> Arc<Self> {
        let path = folder.join(&entry.file);
        let health = Mutex::new(Health::Unknown);
        Arc::new(Self { path, entry, obsolete: AtomicBool::new(false), health })
    }

    /// To be called once no manifest names the file any more.
    pub(super) fn delete_when_unread(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// Why the file must not be read, if it must not. Its bytes are read at the first question and
    /// whenever the file has changed since, which no file of ours does.
    pub(super) fn check(&self) -> Result<(), String> {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if let Health::Damaged(why) = &*health {
            return Err(why.clone());
        }
        let now = match fs::metadata(&self.path) {
            Ok(found) => (found.len(), found.modified().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, None),
            Err(error) => return Err(error.to_string()),
        };
        if matches!(&*health, Health::Whole(len, changed) if (*len, *changed) == now) {
            return Ok(());
        }
        match self.entry.check_bytes(&self.path) {
            Ok(None) => {
                *health = Health::Whole(now.0, now.1);
                Ok(())
            }
            Ok(Some(why)) => Err(self.damaged(&mut health, why)),
            // The disk may recover; the next question tries again.
            Err(error) => Err(error.to_string()),
        }
    }

    /// Forgets what is known, so that the next [`DataFile::check`] reads the file.
    pub(super) fn doubt(&self) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*health, Health::Whole(..)) {
            *health = Health::Unknown;
        }
    }

    /// Why the file was found damaged, if it was.
    pub(super) fn damage(&self) -> Option<String> {
        match &*self.health.lock().unwrap_or_else(PoisonError::into_inner) {
            Health::Damaged(why) => Some(why.clone()),
            Health::Unknown | Health::Whole(..) => None,
        }
    }

    fn damaged(&self, health: &mut Health, why: String) -> String {
        tracing::error!(file = %self.path.display(), why, "a stored file is damaged; answers leave it out");
        *health = Health::Damaged(why.clone());
        why
    }
}

impl FileEntry {
    /// What is wrong with the bytes of the file that this entry describes, if anything is.
    pub(super) fn check_bytes(&self, path: &Path) -> io::Result<Option<String>> {
        let bytes = match fs::metadata(path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Some("it is missing".to_owned()));
            }
            Err(error) => return Err(error),
        };
        if bytes != self.bytes {
            return Ok(Some(format!("it has {bytes} bytes, {} were written", self.bytes)));
        }
        let Some(crc32) = self.crc32 else { return Ok(parquet_file::check_footer(path).err()) };
        let same = checksum::of_file(path)? == crc32;
        Ok((!same).then(|| "its checksum is not that of what was written".to_owned()))
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
