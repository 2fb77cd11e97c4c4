//! Debug files on disk, laid out as everywhere: `.build-id/ab/cdef….debug`. An empty file `….absent`
//! beside them says that no server had it then. What was fetched longest ago makes room.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::symbol::elf::ElfFile;

/// How long "no server has it" holds: packages of debug symbols may be late.
const ABSENT_FOR: Duration = Duration::from_secs(86_400);
/// What has no name yet.
const PARTIAL: &str = "partial";

/// The cache. One process uses it at a time.
pub(super) struct Cache {
    folder: PathBuf,
    limit: u64,
    /// Debug files, and when they came.
    files: Vec<(SystemTime, PathBuf, u64)>,
    /// Bytes of debug files and of the one that is being written.
    used: u64,
}

/// What the cache knows of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Here,
    Absent,
    Nothing,
}

/// A file that is being written; it is gone when it is dropped.
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    size: u64,
}

/// Why a file that arrived is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error("it is no debug file of this build id")]
    WrongFile,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Cache {
    /// Makes the folder, and tidies what an earlier agent left there.
    pub(super) fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        fs::create_dir_all(folder.join(".build-id"))?;
        let mut cache = Self { folder: folder.to_owned(), limit, files: Vec::new(), used: 0 };
        // One name for all: at most one is ever left over.
        remove_if_there(&cache.folder.join(PARTIAL))?;
        for directory in fs::read_dir(cache.folder.join(".build-id"))? {
            cache.scan(&directory?.path())?;
        }
        cache.files.sort_unstable();
        cache.make_room(0)?;
        Ok(cache)
    }

    fn scan(&mut self, directory: &Path) -> io::Result<()> {
        if !directory.is_dir() {
            return Ok(());
        }
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            let metadata = path.symlink_metadata()?;
            let modified = metadata.modified()?;
            let ending = path.extension().and_then(|ending| ending.to_str());
            match ending {
                Some("debug") if metadata.is_file() => {
                    self.used += metadata.len();
                    self.files.push((modified, path, metadata.len()));
                }
                Some("absent") if is_over(modified) => remove_if_there(&path)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// The largest file that may come in.
    pub(super) const fn largest_file(&self) -> u64 {
        self.limit / 2
    }

    pub(super) fn known(&self, build_id: &str) -> Known {
        let Some(path) = self.path(build_id, "absent") else { return Known::Absent };
        if path.with_extension("debug").is_file() {
            return Known::Here;
        }
        match path.metadata().and_then(|metadata| metadata.modified()) {
            Ok(modified) if !is_over(modified) => Known::Absent,
            _ => Known::Nothing,
        }
    }

    pub(super) fn remember_absent(&self, build_id: &str) -> io::Result<()> {
        let Some(path) = self.path(build_id, "absent") else { return Ok(()) };
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        File::create(path).map(drop)
    }

    /// Begins a file.
    pub(super) fn begin(&self) -> io::Result<Partial> {
        let path = self.folder.join(PARTIAL);
        remove_if_there(&path)?;
        let file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Partial { file, path, size: 0 })
    }

    /// Writes the next bytes of a file, and makes room for them.
    pub(super) fn write(&mut self, partial: &mut Partial, bytes: &[u8]) -> io::Result<()> {
        self.make_room(partial.size + bytes.len() as u64)?;
        partial.file.write_all(bytes)?;
        partial.size += bytes.len() as u64;
        Ok(())
    }

    /// Keeps a file that is whole, if it is the one.
    pub(super) fn keep(&mut self, partial: &Partial, build_id: &str) -> Result<(), KeepError> {
        let elf = ElfFile::open(File::open(&partial.path)?).map_err(|_| KeepError::WrongFile)?;
        let path = self.path(build_id, "debug").filter(|_| **elf.build_id() == *build_id);
        let path = path.ok_or(KeepError::WrongFile)?;
        fs::create_dir_all(path.parent().unwrap_or(&self.folder))?;
        // The name appears with all bytes or, after a power cut, not at all.
        partial.file.sync_all()?;
        fs::rename(&partial.path, &path)?;
        remove_if_there(&path.with_extension("absent"))?;
        self.files.push((SystemTime::now(), path, partial.size));
        self.used += partial.size;
        Ok(())
    }

    fn make_room(&mut self, bytes: u64) -> io::Result<()> {
        while self.used.saturating_add(bytes) > self.limit && !self.files.is_empty() {
            let (_, path, size) = self.files.remove(0);
            tracing::debug!(path = %path.display(), size, "makes room for another debug file");
            remove_if_there(&path)?;
            self.used -= size;
        }
        Ok(())
    }

    /// None for what is no build id.
    fn path(&self, build_id: &str, ending: &str) -> Option<PathBuf> {
        let hex = build_id.len() <= 128 && build_id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (first, rest) =
            build_id.split_at_checked(2).filter(|(_, rest)| hex && !rest.is_empty())?;
        Some(self.folder.join(".build-id").join(first).join(format!("{rest}.{ending}")))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Not there any more if it was kept.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_over(since: SystemTime) -> bool {
    // A time in the future is one of a clock that was wrong.
    since.elapsed().is_ok_and(|age| age > ABSENT_FOR)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
