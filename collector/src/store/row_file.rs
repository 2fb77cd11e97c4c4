//! Files of spans and of points: a segment's rows written by the hour, and the files of an hour
//! merged into one, in order and in little memory.

use std::cmp::Ordering;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::path::{Path, PathBuf};

use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use super::error::StoreError;
use super::grain::{Grain, HOUR_MS};
use super::live::{Sealed, Shared};
use super::manifest::FileEntry;
use super::parquet_file::{ParquetFileWriter, damaged};
use super::signal::Row;

const BATCH_ROWS: usize = 4 << 10;
/// Rows of one file that are in memory while it is merged.
const READ_ROWS: usize = 1 << 10;

/// Writes a sealed segment's rows, each to the file of its hour.
pub(super) fn write<R: Row>(
    shared: &Shared,
    sealed: &Sealed,
    id: u64,
) -> Result<Vec<FileEntry>, StoreError> {
    let mut hours: BTreeMap<i64, Vec<R>> = BTreeMap::new();
    for row in R::sealed(sealed).iter() {
        hours.entry(row.unix_ms().div_euclid(HOUR_MS)).or_default().push(row.clone());
    }
    let mut entries = Vec::with_capacity(hours.len());
    for (hour, mut rows) in hours {
        rows.sort_unstable_by(R::order);
        let file = R::SIGNAL.file_name(id, hour);
        let path = shared.settings.data_dir.join(&file);
        let mut writer = RowFileWriter::create(&path, rows.len())?;
        rows.into_iter().try_for_each(|row| writer.push(row))?;
        entries.push(writer.finish(file)?);
    }
    Ok(entries)
}

/// Merges files into a new one.
pub(super) fn merge<R: Row>(
    shared: &Shared,
    old: &[FileEntry],
    file: String,
) -> Result<FileEntry, StoreError> {
    let folder = &shared.settings.data_dir;
    let rows = usize::try_from(old.iter().map(|entry| entry.rows).sum::<u64>());
    let path = folder.join(&file);
    let mut writer = RowFileWriter::<R>::create(&path, rows.unwrap_or(usize::MAX))?;
    let mut cursors = Vec::with_capacity(old.len());
    for entry in old {
        cursors.push(Cursor::open(folder.join(&entry.file))?);
    }
    let mut heap = BinaryHeap::with_capacity(cursors.len());
    for (at, cursor) in cursors.iter_mut().enumerate() {
        heap.extend(cursor.next()?.map(|row| First { row, at }));
    }
    while let Some(mut first) = heap.peek_mut() {
        match cursors[first.at].next()? {
            Some(next) => writer.push(std::mem::replace(&mut first.row, next))?,
            None => writer.push(PeekMut::pop(first).row)?,
        }
    }
    writer.finish(file)
}

/// Writes rows that come in order.
struct RowFileWriter<'a, R> {
    writer: ParquetFileWriter<'a>,
    rows: Vec<R>,
    count: u64,
    times: Option<(i64, i64)>,
}

impl<'a, R: Row> RowFileWriter<'a, R> {
    fn create(path: &'a Path, rows: usize) -> Result<Self, StoreError> {
        let writer = ParquetFileWriter::create_as(path, R::schema(), R::properties(rows))?;
        let rows = Vec::with_capacity(rows.min(BATCH_ROWS));
        Ok(Self { writer, rows, count: 0, times: None })
    }

    fn push(&mut self, row: R) -> Result<(), StoreError> {
        if self.rows.len() == BATCH_ROWS {
            self.write()?;
        }
        let unix_ms = row.unix_ms();
        let (first, last) = self.times.unwrap_or((unix_ms, unix_ms));
        self.times = Some((first.min(unix_ms), last.max(unix_ms)));
        self.rows.push(row);
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.writer.write(&R::to_batch(&self.rows)?)?;
        self.count += self.rows.len() as u64;
        self.rows.clear();
        Ok(())
    }

    fn finish(mut self, file: String) -> Result<FileEntry, StoreError> {
        if !self.rows.is_empty() {
            self.write()?;
        }
        let (from_unix_ms, last) = self.times.unwrap_or((0, 0));
        let written = self.writer.finish()?;
        Ok(FileEntry {
            file,
            bytes: written.bytes,
            rows: self.count,
            from_unix_ms,
            until_unix_ms: last.saturating_add(1),
            grain: Grain::AsSent,
            crc32: Some(written.crc32),
        })
    }
}

/// Rows of one file, one after the other.
struct Cursor<R> {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    rows: std::vec::IntoIter<R>,
}

impl<R: Row> Cursor<R> {
    fn open(path: PathBuf) -> Result<Self, StoreError> {
        let file = File::open(&path).map_err(|error| StoreError::io("open", &path, error))?;
        let batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(READ_ROWS).build())
            .map_err(|error| damaged(&path, error.to_string()))?;
        Ok(Self { path, batches, rows: Vec::new().into_iter() })
    }

    fn next(&mut self) -> Result<Option<R>, StoreError> {
        loop {
            if let Some(row) = self.rows.next() {
                return Ok(Some(row));
            }
            let Some(batch) = self.batches.next() else { return Ok(None) };
            let batch = batch.map_err(|error| damaged(&self.path, error.to_string()))?;
            self.rows = R::from_batch(&batch)?.into_iter();
        }
    }
}

/// The next row of a file, the smallest of which the heap gives first.
struct First<R> {
    row: R,
    at: usize,
}

impl<R: Row> Ord for First<R> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.row.order(&self.row).then_with(|| other.at.cmp(&self.at))
    }
}

impl<R: Row> PartialOrd for First<R> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<R: Row> PartialEq for First<R> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<R: Row> Eq for First<R> {}
