//! Sample files: rows in the order of (service, type, stack, series, time), written as they come
//! and read back in that order, so that any number of them is merged in little memory.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use rustc_hash::FxHashMap;

use super::error::StoreError;
use super::grain::Grain;
use super::manifest::FileEntry;
use super::memtable::SampleRow;
use super::parquet_file::{ParquetFileWriter, damaged, samples_schema};
use super::symbols::Symbols;
use super::tables;

const BATCH_ROWS: usize = 32 << 10;
const READ_ROWS: usize = 8 << 10;
/// Columns of [`samples_schema`] that a row is made of; service and type follow from the series.
const ROW_COLUMNS: [&str; 4] = ["stack", "series", "time", "value"];

/// A row with its series' place in the order of (service, type).
pub(super) type Ranked = (u32, SampleRow);

/// The order of series by (service, type); series that have both in common share a place.
pub(super) struct Ranks {
    by_series: FxHashMap<u64, u32>,
    /// Service and type by place.
    names: Vec<(String, String)>,
}

impl Ranks {
    pub(super) fn of(symbols: &Symbols) -> Self {
        let mut order: Vec<(String, String, u64)> = symbols
            .series()
            .map(|one| (one.service().to_owned(), one.profile_type.to_string(), one.id.0))
            .collect();
        order.sort_unstable();
        let mut ranks = Self { by_series: FxHashMap::default(), names: Vec::new() };
        for (service, kind, id) in order {
            let names = (service, kind);
            if ranks.names.last() != Some(&names) {
                ranks.names.push(names);
            }
            let place = u32::try_from(ranks.names.len() - 1).unwrap_or(u32::MAX);
            ranks.by_series.insert(id, place);
        }
        ranks
    }

    /// The row with its place; `None` if its series is lost.
    pub(super) fn rank(&self, row: SampleRow) -> Option<Ranked> {
        Some((*self.by_series.get(&row.series)?, row))
    }

    fn names(&self, place: u32) -> (&str, &str) {
        self.names.get(place as usize).map_or(("", ""), |(service, kind)| (service, kind))
    }
}

/// Writes ranked rows, which must come in order, and adds up those of the same window.
pub(super) struct SampleFileWriter<'a> {
    writer: ParquetFileWriter<'a>,
    ranks: &'a Ranks,
    grain: Grain,
    rows: Vec<Ranked>,
    count: u64,
    times: Option<(i64, i64)>,
}

impl<'a> SampleFileWriter<'a> {
    pub(super) fn create(
        path: &'a Path,
        ranks: &'a Ranks,
        grain: Grain,
    ) -> Result<Self, StoreError> {
        let writer = ParquetFileWriter::create(path, samples_schema())?;
        let rows = Vec::with_capacity(BATCH_ROWS);
        Ok(Self { writer, ranks, grain, rows, count: 0, times: None })
    }

    pub(super) fn push(&mut self, (rank, row): Ranked) -> Result<(), StoreError> {
        let unix_ms = self.grain.floor(row.unix_ms);
        if let Some((last_rank, last)) = self.rows.last_mut()
            && (*last_rank, last.stack, last.series, last.unix_ms)
                == (rank, row.stack, row.series, unix_ms)
        {
            last.value = last.value.saturating_add(row.value);
            return Ok(());
        }
        if self.rows.len() == BATCH_ROWS {
            self.write()?;
        }
        let (first, last) = self.times.unwrap_or((unix_ms, unix_ms));
        self.times = Some((first.min(unix_ms), last.max(unix_ms)));
        self.rows.push((rank, SampleRow { unix_ms, ..row }));
        Ok(())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.writer.write(&batch(&self.rows, self.ranks)?)?;
        self.count += self.rows.len() as u64;
        self.rows.clear();
        Ok(())
    }

    /// Makes the file durable and returns its entry under the name `file`.
    pub(super) fn finish(mut self, file: String) -> Result<FileEntry, StoreError> {
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
            until_unix_ms: last.saturating_add(self.grain.window_ms()),
            grain: self.grain,
            crc32: Some(written.crc32),
        })
    }
}

fn batch(rows: &[Ranked], ranks: &Ranks) -> Result<RecordBatch, StoreError> {
    let names = rows.iter().map(|(rank, _)| ranks.names(*rank));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(names.clone().map(|(service, _)| service))),
        Arc::new(StringArray::from_iter_values(names.map(|(_, kind)| kind))),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, row)| row.stack))),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, row)| row.series))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, row)| row.unix_ms))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, row)| row.value))),
    ];
    RecordBatch::try_new(samples_schema(), columns)
        .map_err(|error| StoreError::Table { table: "samples", what: error.to_string() })
}

/// Reads a file's rows, a few thousand at a time.
pub(super) struct SampleFileReader<'a> {
    path: &'a Path,
    batches: ParquetRecordBatchReader,
}

impl<'a> SampleFileReader<'a> {
    pub(super) fn open(path: &'a Path) -> Result<Self, StoreError> {
        Self::open_columns(path, &ROW_COLUMNS)
    }

    fn open_columns(path: &'a Path, columns: &[&str]) -> Result<Self, StoreError> {
        let file = File::open(path).map_err(|error| StoreError::io("open", path, error))?;
        let wrong = |error: parquet::errors::ParquetError| damaged(path, error.to_string());
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(wrong)?;
        let columns = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        let builder = builder.with_projection(columns).with_batch_size(READ_ROWS);
        Ok(Self { path, batches: builder.build().map_err(wrong)? })
    }

    /// The next rows; `None` at the end.
    pub(super) fn next_rows(&mut self) -> Result<Option<Vec<SampleRow>>, StoreError> {
        let Some(batch) = self.batches.next() else { return Ok(None) };
        let batch = batch.map_err(|error| damaged(self.path, error.to_string()))?;
        Ok(Some(tables::read_samples(&batch)?))
    }
}

/// Passes stack and series of every row of a file to `visit`, in the file's order.
pub(super) fn visit_names(path: &Path, mut visit: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let reader = SampleFileReader::open_columns(path, &["stack", "series"])?;
    for batch in reader.batches {
        let batch = batch.map_err(|error| damaged(path, error.to_string()))?;
        let (stacks, series) = tables::read_sample_names(&batch)?;
        stacks.iter().zip(series).for_each(|(stack, series)| visit(*stack, *series));
    }
    Ok(())
}
