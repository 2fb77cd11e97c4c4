//! Opening a data directory: loads what the manifest names, replays what a crash left in the log,
//! and removes what nothing names. Nothing here needs an operator.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::error::StoreError;
use super::files::{self, DataFile};
use super::live::{Live, Sealed};
use super::manifest::{Catalog, FileEntry};
use super::metrics::StoreMetrics;
use super::parquet_file;
use super::recent::RecentPushes;
use super::settings::StoreSettings;
use super::signal::Signal;
use super::symbols::{Dictionary, SymbolRows};
use super::tables::{self, PushRow, Table};
use super::wal::{self, Record};

/// What was found in a data directory.
pub(super) struct Opened {
    pub(super) live: Live,
    pub(super) catalog: Catalog,
    pub(super) dictionary: Dictionary,
    pub(super) recent: RecentPushes,
    /// Number of the next log segment.
    pub(super) next_segment: u64,
}

/// Opens or makes a data directory. The caller holds its lock.
pub(super) fn open(settings: &StoreSettings, metrics: &StoreMetrics) -> Result<Opened, StoreError> {
    let folder = &settings.data_dir;
    for name in ["wal", "symbols"].into_iter().chain(Signal::ALL.map(Signal::folder)) {
        files::make_folder(&folder.join(name))?;
    }
    let catalog = Catalog::open(folder)?;
    remove_unnamed(&catalog, folder)?;
    let mut opened = Opened {
        live: Live::default(),
        dictionary: Dictionary::default(),
        recent: RecentPushes::new(settings.remembered_pushes, settings.remember_pushes_for),
        next_segment: catalog.manifest().flushed_segment + 1,
        catalog,
    };
    opened.drop_damaged(folder, metrics)?;
    opened.load_symbols(folder, metrics)?;
    opened.load_pushes(folder, metrics)?;
    for signal in Signal::ALL {
        let entries = opened.catalog.manifest().of(signal).iter();
        let files = entries.map(|entry| DataFile::new(folder, entry.clone())).collect();
        *opened.live.files_of_mut(signal) = files;
    }
    opened.live.damaged = opened.catalog.manifest().damaged.clone();
    opened.replay(folder, metrics)?;
    Ok(opened)
}

/// Removes files that a crash left between their writing and their listing, or after they were
/// replaced.
fn remove_unnamed(catalog: &Catalog, folder: &Path) -> Result<(), StoreError> {
    let named: Vec<_> = catalog.manifest().files().map(|entry| folder.join(&entry.file)).collect();
    for name in Signal::ALL.map(Signal::folder).into_iter().chain(["symbols"]) {
        for path in files::list(&folder.join(name))? {
            let ours = path.extension().is_some_and(|extension| extension == "parquet");
            if ours && !named.contains(&path) {
                fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
            }
        }
    }
    Ok(())
}

impl Opened {
    /// Sets data files aside that are gone or no Parquet files any more: their data is lost, the
    /// rest is not. Their bytes are checked at the first question that needs them.
    fn drop_damaged(&mut self, folder: &Path, metrics: &StoreMetrics) -> Result<(), StoreError> {
        let mut damaged: Vec<FileEntry> = Vec::new();
        for entry in self.catalog.manifest().data() {
            let path = folder.join(&entry.file);
            if let Err(why) = parquet_file::check_footer(&path) {
                files::set_aside(&path, &why);
                damaged.push(entry.clone());
            }
        }
        metrics.lost_rows.inc_by(damaged.iter().map(|entry| entry.rows).sum());
        self.forget(&damaged, metrics)
    }

    fn forget(&mut self, damaged: &[FileEntry], metrics: &StoreMetrics) -> Result<(), StoreError> {
        if damaged.is_empty() {
            return Ok(());
        }
        metrics.damaged_files.inc_by(damaged.len() as u64);
        self.catalog.change(|manifest| {
            let whole = |entry: &FileEntry| !damaged.contains(entry);
            Signal::ALL.iter().for_each(|signal| manifest.of_mut(*signal).retain(whole));
            manifest.symbols.retain(whole);
            manifest.pushes.retain(whole);
            let data = damaged.iter().filter(|entry| Signal::of(&entry.file).is_some());
            manifest.damaged.extend(data.cloned());
        })
    }

    /// Table by table, so that whatever a row names is there before it, in little memory.
    fn load_symbols(&mut self, folder: &Path, metrics: &StoreMetrics) -> Result<(), StoreError> {
        let mut orphans = 0;
        let mut damaged = Vec::new();
        for table in Table::SYMBOLS {
            for entry in &self.catalog.manifest().symbols {
                if table_of(&entry.file) != Some(table) {
                    continue;
                }
                let (dictionary, symbols) = (&mut self.dictionary, &mut self.live.symbols);
                let read = read_whole(folder, entry, |batch| {
                    let mut rows = SymbolRows::default();
                    tables::read_symbols(table, batch, &mut rows)?;
                    orphans += dictionary.take_in(symbols, &rows);
                    Ok(())
                });
                damaged.extend(set_aside_damaged(folder, entry, read)?);
            }
        }
        if orphans > 0 {
            tracing::warn!(
                orphans,
                "symbols whose own symbols are lost; their stacks read as lost"
            );
        }
        self.forget(&damaged, metrics)
    }

    /// Without a push file, a push of that time that is sent again is stored again; refusing to
    /// start would lose more.
    fn load_pushes(&mut self, folder: &Path, metrics: &StoreMetrics) -> Result<(), StoreError> {
        let mut damaged = Vec::new();
        for entry in &self.catalog.manifest().pushes {
            let recent = &mut self.recent;
            let read = read_whole(folder, entry, |batch| {
                tables::read_pushes(batch)?.into_iter().for_each(|push| recent.remember(push));
                Ok(())
            });
            damaged.extend(set_aside_damaged(folder, entry, read)?);
        }
        self.forget(&damaged, metrics)
    }

    /// Logs up to the flushed segment are in the files; the others become segments in memory that
    /// wait to be written, each push once.
    fn replay(&mut self, folder: &Path, metrics: &StoreMetrics) -> Result<(), StoreError> {
        for segment in files::wal_segments(folder)? {
            let path = files::wal_path(folder, segment);
            if segment <= self.catalog.manifest().flushed_segment {
                fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
                continue;
            }
            let replay = wal::read(&path)?;
            if replay.torn_bytes > 0 {
                metrics.wal_torn_bytes.inc_by(replay.torn_bytes as u64);
                tracing::info!(segment, replay.torn_bytes, "the log ends in a torn write");
            }
            let mut sealed = Sealed { segment, wal: path, ..Sealed::default() };
            for record in replay.records {
                self.replay_record(record, &mut sealed);
            }
            self.next_segment = segment + 1;
            if sealed.pushes.is_empty() && sealed.symbols.is_empty() {
                drop(fs::remove_file(&sealed.wal));
            } else {
                self.live.sealed.push(Arc::new(sealed));
            }
        }
        Ok(())
    }

    fn replay_record(&mut self, record: Record, sealed: &mut Sealed) {
        self.dictionary.take_in(&mut self.live.symbols, &record.symbols);
        sealed.symbols.append(record.symbols);
        let mut samples = record.samples.as_slice();
        let mut spans = record.spans.into_iter();
        let mut points = record.points.into_iter();
        for push in record.pushes {
            let own = samples.split_off(..samples.len().min(push.samples as usize));
            let own_spans: Vec<_> = spans.by_ref().take(push.spans as usize).collect();
            let own_points: Vec<_> = points.by_ref().take(push.points as usize).collect();
            // A push whose first record could not be cut off after an error may be here twice.
            if !self.recent.knows(push.digest) {
                own.into_iter().flatten().for_each(|row| sealed.samples.push(*row));
                own_spans.into_iter().for_each(|span| sealed.spans.push(span));
                own_points.into_iter().for_each(|point| sealed.points.push(point));
                self.recent.remember(push);
                let (samples, spans, points) = (0, 0, 0);
                sealed.pushes.push(PushRow { samples, spans, points, ..push });
            }
        }
    }
}

/// Reads a file that is what was written.
fn read_whole(
    folder: &Path,
    entry: &FileEntry,
    visit: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let path = folder.join(&entry.file);
    match entry.check_bytes(&path) {
        Ok(None) => parquet_file::read(&path, visit),
        Ok(Some(why)) => Err(parquet_file::damaged(&path, why)),
        Err(error) => Err(StoreError::io("read", path, error)),
    }
}

/// Puts a file aside that is not what was written, and returns its entry.
///
/// # Errors
/// What the disk said: that is no damage.
fn set_aside_damaged(
    folder: &Path,
    entry: &FileEntry,
    read: Result<(), StoreError>,
) -> Result<Option<FileEntry>, StoreError> {
    match read {
        Ok(()) => Ok(None),
        Err(error @ StoreError::Io { .. }) => Err(error),
        Err(error) => {
            files::set_aside(&folder.join(&entry.file), &error.to_string());
            Ok(Some(entry.clone()))
        }
    }
}

fn table_of(file: &str) -> Option<Table> {
    let name = file.rsplit_once('-')?.1.strip_suffix(".parquet")?;
    Table::SYMBOLS.into_iter().find(|table| table.name() == name)
}
