//! A sealed segment to Parquet files: written, made durable, listed, and only then its log goes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::error::StoreError;
use super::files::{self, DataFile};
use super::live::{Sealed, Shared};
use super::manifest::FileEntry;
use super::memtable::SampleRow;
use super::parquet_file::{ParquetFileWriter, samples_schema, sorted_batches};
use super::symbols::SymbolRows;
use super::tables::{self, Table};

pub(super) const HOUR_MS: i64 = 3_600_000;

/// Moments of a flush at which a crash must lose and double nothing; tests stop at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Sealed,
    SamplesWritten,
    SymbolsWritten,
    Listed,
    Shown,
    LogDeleted,
}

/// Writes a segment and replaces it by its files.
pub(super) fn flush(
    shared: &Shared,
    sealed: &Arc<Sealed>,
    mut at: impl FnMut(Step),
) -> Result<(), StoreError> {
    at(Step::Sealed);
    let id = shared.catalog().take_id();
    let samples = write_samples(shared, sealed, id)?;
    at(Step::SamplesWritten);
    let symbols = write_symbols(shared, &sealed.symbols, id)?;
    let pushes = write_pushes(shared, sealed, id)?;
    for folder in ["samples", "symbols"] {
        files::sync_folder(&shared.settings.data_dir.join(folder))?;
    }
    at(Step::SymbolsWritten);
    let mut catalog = shared.catalog();
    catalog.change(|manifest| {
        manifest.flushed_segment = sealed.segment;
        manifest.samples.extend(samples.iter().cloned());
        manifest.symbols.extend(symbols);
        manifest.pushes.push(pushes);
    })?;
    at(Step::Listed);
    let mut live = shared.live_mut();
    live.sealed.retain(|other| other.segment != sealed.segment);
    for entry in samples {
        shared.metrics.flushed_rows.inc_by(entry.rows);
        live.files.push(DataFile::new(&shared.settings.data_dir, entry));
    }
    let waiting = i64::try_from(live.sealed.len()).unwrap_or(i64::MAX);
    shared.metrics.sealed_segments.set(waiting);
    drop(live);
    drop(catalog);
    shared.count_files();
    at(Step::Shown);
    // If this fails the next start does it: the manifest says that the segment is flushed.
    drop(fs::remove_file(&sealed.wal));
    at(Step::LogDeleted);
    Ok(())
}

fn write_samples(shared: &Shared, sealed: &Sealed, id: u64) -> Result<Vec<FileEntry>, StoreError> {
    let mut hours: BTreeMap<i64, Vec<SampleRow>> = BTreeMap::new();
    for row in sealed.samples.iter() {
        hours.entry(row.unix_ms.div_euclid(HOUR_MS)).or_default().push(*row);
    }
    hours.into_iter().map(|(hour, rows)| write_sample_file(shared, id, hour, rows, 0)).collect()
}

/// Writes one hour's samples, sorted, to a new file that nothing lists yet.
pub(super) fn write_sample_file(
    shared: &Shared,
    id: u64,
    hour: i64,
    rows: Vec<SampleRow>,
    level: u8,
) -> Result<FileEntry, StoreError> {
    let symbols = shared.live().symbols.clone();
    let times = || rows.iter().map(|row| row.unix_ms);
    let (from_unix_ms, until_unix_ms) =
        (times().min().unwrap_or(0), times().max().unwrap_or(0).saturating_add(1));
    let count = rows.len() as u64;
    let (batches, unknown) = sorted_batches(rows, &symbols)?;
    shared.metrics.lost_rows.inc_by(unknown as u64);
    let file = format!("samples/{id:012}-{hour}.parquet");
    let path = shared.settings.data_dir.join(&file);
    let mut writer = ParquetFileWriter::create(&path, samples_schema())?;
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    let (bytes, rows) = (writer.finish()?, count - unknown as u64);
    Ok(FileEntry { file, bytes, rows, from_unix_ms, until_unix_ms, level })
}

/// Writes symbol tables; empty ones get no file.
pub(super) fn write_symbols(
    shared: &Shared,
    rows: &SymbolRows,
    id: u64,
) -> Result<Vec<FileEntry>, StoreError> {
    let batches = tables::symbol_batches(rows)?;
    batches.iter().map(|(table, batch)| write_table(shared, *table, batch, id)).collect()
}

fn write_pushes(shared: &Shared, sealed: &Sealed, id: u64) -> Result<FileEntry, StoreError> {
    let entry = write_table(shared, Table::Pushes, &tables::pushes(&sealed.pushes)?, id)?;
    let latest = sealed.pushes.iter().map(|push| push.received_unix_ms).max().unwrap_or(0);
    Ok(FileEntry { until_unix_ms: latest + 1, ..entry })
}

fn write_table(
    shared: &Shared,
    table: Table,
    batch: &arrow::array::RecordBatch,
    id: u64,
) -> Result<FileEntry, StoreError> {
    let file = format!("symbols/{id:012}-{}.parquet", table.name());
    let path = shared.settings.data_dir.join(&file);
    let mut writer = ParquetFileWriter::create(&path, batch.schema())?;
    writer.write(batch)?;
    let (bytes, rows) = (writer.finish()?, batch.num_rows() as u64);
    Ok(FileEntry { file, bytes, rows, from_unix_ms: 0, until_unix_ms: 0, level: 0 })
}
