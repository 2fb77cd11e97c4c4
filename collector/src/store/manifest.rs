//! The list of live files, and the one moment at which a change of them happens: the rename of a
//! new list over the old one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::files;
use super::grain::Grain;
use super::signal::Signal;

const VERSION: u32 = 1;
const REMEDY: &str =
    "restore it from a backup, or move the whole data directory away to start anew";

/// What the data directory holds beside the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    /// Log segments up to this one are in the files: their logs mean nothing any more.
    pub(super) flushed_segment: u64,
    /// Id of the next file; never used twice.
    pub(super) next_file: u64,
    pub(super) samples: Vec<FileEntry>,
    #[serde(default)]
    pub(super) spans: Vec<FileEntry>,
    #[serde(default)]
    pub(super) metrics: Vec<FileEntry>,
    pub(super) symbols: Vec<FileEntry>,
    pub(super) pushes: Vec<FileEntry>,
    /// Files that were set aside as damaged, until their samples would be too old to keep.
    #[serde(default)]
    pub(super) damaged: Vec<FileEntry>,
    /// Time of the oldest sample when symbols were last collected.
    #[serde(default)]
    pub(super) collected_unix_ms: Option<i64>,
}

/// One live file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Path below the data directory.
    pub(super) file: String,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    /// Times of its rows: from the first, inclusive, to after the last, or its window's end.
    pub(super) from_unix_ms: i64,
    pub(super) until_unix_ms: i64,
    /// How its samples were added up. Their times are the starts of its windows.
    #[serde(default)]
    pub(super) grain: Grain,
    /// Of the whole file; older collectors wrote none.
    #[serde(default)]
    pub(super) crc32: Option<u32>,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            version: VERSION,
            flushed_segment: 0,
            next_file: 1,
            samples: Vec::new(),
            spans: Vec::new(),
            metrics: Vec::new(),
            symbols: Vec::new(),
            pushes: Vec::new(),
            damaged: Vec::new(),
            collected_unix_ms: None,
        }
    }
}

impl FileEntry {
    /// Whether it may have rows of this range.
    pub(super) fn overlaps(&self, from_unix_ms: i64, until_unix_ms: i64) -> bool {
        self.from_unix_ms < until_unix_ms && self.until_unix_ms > from_unix_ms
    }
}

impl Manifest {
    /// Files of a signal.
    pub(super) fn of(&self, signal: Signal) -> &[FileEntry] {
        match signal {
            Signal::Samples => &self.samples,
            Signal::Spans => &self.spans,
            Signal::Metrics => &self.metrics,
        }
    }

    /// Files of a signal.
    pub(super) fn of_mut(&mut self, signal: Signal) -> &mut Vec<FileEntry> {
        match signal {
            Signal::Samples => &mut self.samples,
            Signal::Spans => &mut self.spans,
            Signal::Metrics => &mut self.metrics,
        }
    }

    /// Files of every signal.
    pub(super) fn data(&self) -> impl Iterator<Item = &FileEntry> {
        Signal::ALL.into_iter().flat_map(|signal| self.of(signal))
    }

    /// Every live file.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.data().chain(&self.symbols).chain(&self.pushes)
    }

    /// Bytes of all live files.
    pub(super) fn bytes(&self) -> u64 {
        self.files().map(|entry| entry.bytes).sum()
    }
}

/// The manifest on disk and in memory, always the same.
pub(super) struct Catalog {
    folder: PathBuf,
    manifest: Manifest,
}

impl Catalog {
    /// Reads the manifest of a data directory; an empty directory gets an empty one.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("manifest.json");
        let damaged =
            |what: String| StoreError::Damaged { path: path.clone(), what, remedy: REMEDY };
        let mut new = false;
        let manifest: Manifest = match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if !files::list(&folder.join("samples"))?.is_empty() {
                    return Err(damaged("missing, but there are samples".to_owned()));
                }
                new = true;
                Manifest::default()
            }
            Err(error) => return Err(StoreError::io("read", path, error)),
        };
        if manifest.version != VERSION {
            return Err(damaged(format!("version {}, this one reads {VERSION}", manifest.version)));
        }
        let mut catalog = Self { folder: folder.to_owned(), manifest };
        if new {
            // From here on a missing manifest is a loss, not a crash before the first flush.
            catalog.change(|_| {})?;
        }
        Ok(catalog)
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A file id that no other file has, even if what is made under it is never listed.
    pub(super) fn take_id(&mut self) -> u64 {
        let id = self.manifest.next_file;
        self.manifest.next_file += 1;
        id
    }

    /// Changes the list. After an error the old one holds.
    pub(super) fn change(&mut self, edit: impl FnOnce(&mut Manifest)) -> Result<(), StoreError> {
        let mut next = self.manifest.clone();
        edit(&mut next);
        self.write(&next)?;
        self.manifest = next;
        Ok(())
    }

    fn write(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let (path, temporary) =
            (self.folder.join("manifest.json"), self.folder.join("manifest.json.new"));
        let text = serde_json::to_vec_pretty(manifest)
            .map_err(|error| StoreError::Table { table: "manifest", what: error.to_string() })?;
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.map_err(|error| StoreError::io("write", &temporary, error))?;
        fs::rename(&temporary, &path)
            .map_err(|error| StoreError::io("rename", &temporary, error))?;
        files::sync_folder(&self.folder)
    }
}
