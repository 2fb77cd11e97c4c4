//! A sealed segment to Parquet files: written, made durable, listed, and only then its log goes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use super::error::StoreError;
use super::files::{self, DataFile};
use super::grain::{Grain, HOUR_MS};
use super::live::{Sealed, Shared};
use super::manifest::FileEntry;
use super::parquet_file::{ParquetFileWriter, Written};
use super::row_file;
use super::sample_file::{Ranked, Ranks, SampleFileWriter};
use super::signal::Signal;
use super::symbols::SymbolRows;
use super::tables::{self, Table};
use crate::metric::Point;
use crate::trace::Span;

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
    let written = [
        (Signal::Samples, write_samples(shared, sealed, id)?),
        (Signal::Spans, row_file::write::<Span>(shared, sealed, id)?),
        (Signal::Metrics, row_file::write::<Point>(shared, sealed, id)?),
    ];
    at(Step::SamplesWritten);
    let symbols = write_symbols(shared, [beside_their_like(&sealed.symbols)], id)?;
    let pushes = write_pushes(shared, sealed, id)?;
    for folder in Signal::ALL.map(Signal::folder).into_iter().chain(["symbols"]) {
        files::sync_folder(&shared.settings.data_dir.join(folder))?;
    }
    at(Step::SymbolsWritten);
    let mut catalog = shared.catalog();
    catalog.change(|manifest| {
        manifest.flushed_segment = sealed.segment;
        for (signal, entries) in &written {
            manifest.of_mut(*signal).extend(entries.iter().cloned());
        }
        manifest.symbols.extend(symbols);
        manifest.pushes.push(pushes);
    })?;
    at(Step::Listed);
    let mut live = shared.live_mut();
    live.sealed.retain(|other| other.segment != sealed.segment);
    for (signal, entries) in written {
        for entry in entries {
            shared.metrics.flushed_rows.inc_by(entry.rows);
            let file = DataFile::new(&shared.settings.data_dir, entry);
            live.files_of_mut(signal).push(file);
        }
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

/// Stacks with the same callers next to each other: they pack better, and load faster.
fn beside_their_like(rows: &SymbolRows) -> SymbolRows {
    let mut rows = rows.clone();
    rows.stacks.sort_unstable_by(|a, b| a.locations.iter().rev().cmp(b.locations.iter().rev()));
    rows
}

/// Rows go to the file of their hour, so that a file is of one time.
fn write_samples(shared: &Shared, sealed: &Sealed, id: u64) -> Result<Vec<FileEntry>, StoreError> {
    let ranks = Ranks::of(&shared.live().symbols.clone());
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    for row in sealed.samples.iter() {
        *counts.entry(row.unix_ms.div_euclid(HOUR_MS)).or_default() += 1;
    }
    // Made at their size: while a list of millions grows, it is there twice.
    let room = |(hour, count)| (hour, Vec::with_capacity(count));
    let mut hours: BTreeMap<i64, Vec<Ranked>> = counts.into_iter().map(room).collect();
    let mut lost = 0;
    for row in sealed.samples.iter() {
        match ranks.rank(*row) {
            Some(ranked) => {
                hours.entry(row.unix_ms.div_euclid(HOUR_MS)).or_default().push(ranked);
            }
            None => lost += 1,
        }
    }
    shared.metrics.lost_rows.inc_by(lost);
    hours.into_iter().map(|(hour, rows)| write_hour(shared, id, hour, rows, &ranks)).collect()
}

fn write_hour(
    shared: &Shared,
    id: u64,
    hour: i64,
    mut rows: Vec<Ranked>,
    ranks: &Ranks,
) -> Result<FileEntry, StoreError> {
    rows.sort_unstable();
    let file = Signal::Samples.file_name(id, hour);
    let path = shared.settings.data_dir.join(&file);
    let mut writer = SampleFileWriter::create(&path, ranks, Grain::AsSent)?;
    rows.into_iter().try_for_each(|row| writer.push(row))?;
    writer.finish(file)
}

/// Writes symbols that come in portions, each table in a file of its own; empty ones get none.
pub(super) fn write_symbols(
    shared: &Shared,
    portions: impl IntoIterator<Item = SymbolRows>,
    id: u64,
) -> Result<Vec<FileEntry>, StoreError> {
    let folder = &shared.settings.data_dir;
    let path = |table: Table| folder.join(symbol_file_name(id, table));
    let paths = Table::SYMBOLS.map(path);
    let mut writers: [Option<(ParquetFileWriter<'_>, u64)>; 4] = [const { None }; 4];
    for portion in portions {
        for (table, batch) in tables::symbol_batches(&portion)? {
            let at = Table::SYMBOLS.iter().position(|one| *one == table).unwrap_or(0);
            if writers[at].is_none() {
                let writer = ParquetFileWriter::create(&paths[at], batch.schema())?;
                writers[at] = Some((writer, 0));
            }
            if let Some((writer, rows)) = &mut writers[at] {
                writer.write(&batch)?;
                *rows += batch.num_rows() as u64;
            }
        }
    }
    let mut entries = Vec::new();
    for (table, writer) in Table::SYMBOLS.into_iter().zip(writers) {
        if let Some((writer, rows)) = writer {
            entries.push(entry(symbol_file_name(id, table), &writer.finish()?, rows));
        }
    }
    Ok(entries)
}

fn symbol_file_name(id: u64, table: Table) -> String {
    format!("symbols/{id:012}-{}.parquet", table.name())
}

fn entry(file: String, written: &Written, rows: u64) -> FileEntry {
    FileEntry {
        file,
        bytes: written.bytes,
        rows,
        from_unix_ms: 0,
        until_unix_ms: 0,
        grain: Grain::AsSent,
        crc32: Some(written.crc32),
    }
}

fn write_pushes(shared: &Shared, sealed: &Sealed, id: u64) -> Result<FileEntry, StoreError> {
    let file = symbol_file_name(id, Table::Pushes);
    let path = shared.settings.data_dir.join(&file);
    let batch = tables::pushes(&sealed.pushes)?;
    let mut writer = ParquetFileWriter::create(&path, batch.schema())?;
    writer.write(&batch)?;
    let latest = sealed.pushes.iter().map(|push| push.received_unix_ms).max().unwrap_or(0);
    let entry = entry(file, &writer.finish()?, batch.num_rows() as u64);
    Ok(FileEntry { until_unix_ms: latest + 1, ..entry })
}
