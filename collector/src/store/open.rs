//! Opening a data directory: loads what the manifest names, replays what a crash left in the log,
//! and removes what nothing names. Nothing here needs an operator.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::error::StoreError;
use super::files::{self, DataFile};
use super::live::{Live, Sealed};
use super::manifest::{Catalog, FileEntry};
use super::memtable::Memtable;
use super::metrics::StoreMetrics;
use super::parquet_file;
use super::recent::RecentPushes;
use super::settings::StoreSettings;
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
    for name in ["wal", "samples", "symbols"] {
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
    opened.load_pushes(folder)?;
    let entries = opened.catalog.manifest().samples.iter();
    opened.live.files = entries.map(|entry| DataFile::new(folder, entry.clone())).collect();
    opened.replay(folder, metrics)?;
    Ok(opened)
}

/// Removes files that a crash left between their writing and their listing, or after they were
/// replaced.
fn remove_unnamed(catalog: &Catalog, folder: &Path) -> Result<(), StoreError> {
    let named: Vec<_> = catalog.manifest().files().map(|entry| folder.join(&entry.file)).collect();
    for name in ["samples", "symbols"] {
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
    /// Sets files aside that are no Parquet files any more: their data is lost, the rest is not.
    fn drop_damaged(&mut self, folder: &Path, metrics: &StoreMetrics) -> Result<(), StoreError> {
        let mut damaged: Vec<FileEntry> = Vec::new();
        for entry in self.catalog.manifest().files() {
            let path = folder.join(&entry.file);
            if let Err(why) = parquet_file::check_footer(&path) {
                files::set_aside(&path, &why);
                damaged.push(entry.clone());
            }
        }
        if damaged.is_empty() {
            return Ok(());
        }
        metrics.damaged_files.inc_by(damaged.len() as u64);
        self.catalog.change(|manifest| {
            let whole = |entry: &FileEntry| !damaged.contains(entry);
            let lost = manifest.samples.iter().filter(|entry| !whole(entry));
            metrics.lost_rows.inc_by(lost.map(|entry| entry.rows).sum());
            manifest.samples.retain(whole);
            manifest.symbols.retain(whole);
            manifest.pushes.retain(whole);
        })
    }

    fn load_symbols(&mut self, folder: &Path, metrics: &StoreMetrics) -> Result<(), StoreError> {
        // Files were listed in the order of their tables, but a merge may have put them apart.
        let mut rows = SymbolRows::default();
        for entry in &self.catalog.manifest().symbols {
            let Some(table) = table_of(&entry.file) else { continue };
            let path = folder.join(&entry.file);
            let read =
                parquet_file::read(&path, |batch| tables::read_symbols(table, batch, &mut rows));
            if let Err(error) = read {
                files::set_aside(&path, &error.to_string());
                metrics.damaged_files.inc();
            }
        }
        let orphans = self.dictionary.take_in(&mut self.live.symbols, &rows);
        if orphans > 0 {
            tracing::warn!(
                orphans,
                "symbols whose own symbols are lost; their stacks read as lost"
            );
        }
        Ok(())
    }

    fn load_pushes(&mut self, folder: &Path) -> Result<(), StoreError> {
        for entry in &self.catalog.manifest().pushes {
            parquet_file::read(&folder.join(&entry.file), |batch| {
                tables::read_pushes(batch)?.into_iter().for_each(|push| self.recent.remember(push));
                Ok(())
            })?;
        }
        Ok(())
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
            let mut sealed = Sealed {
                segment,
                samples: Memtable::default(),
                symbols: SymbolRows::default(),
                pushes: Vec::new(),
                wal: path,
            };
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
        let mut rest = record.samples.as_slice();
        for push in record.pushes {
            let (own, others) = rest.split_at(rest.len().min(push.samples as usize));
            rest = others;
            // A push whose first record could not be cut off after an error may be here twice.
            if !self.recent.knows(push.digest) {
                own.iter().for_each(|row| sealed.samples.push(*row));
                self.recent.remember(push);
                sealed.pushes.push(PushRow { samples: 0, ..push });
            }
        }
    }
}

fn table_of(file: &str) -> Option<Table> {
    let name = file.rsplit_once('-')?.1.strip_suffix(".parquet")?;
    [Table::Functions, Table::Locations, Table::Stacks, Table::Series]
        .into_iter()
        .find(|table| table.name() == name)
}
