//! Parquet files of the store: how they are written and read back whole. Questions go through
//! DataFusion (see `scan`).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use rustc_hash::FxHashMap;

use super::error::StoreError;
use super::memtable::SampleRow;
use super::symbols::{Series, SeriesId, Symbols};

const BATCH_ROWS: usize = 32 << 10;

/// Schema of the samples table, in the order it is sorted by.
pub(super) fn samples_schema() -> SchemaRef {
    let field = |name, kind| Field::new(name, kind, false);
    Arc::new(Schema::new(vec![
        field("service", DataType::Utf8),
        field("type", DataType::Utf8),
        field("stack", DataType::UInt64),
        field("series", DataType::UInt64),
        field("time", DataType::Int64),
        field("value", DataType::Int64),
    ]))
}

/// Equal stacks lie together, so stack and series become runs; times of a run rise by small steps,
/// which deltas pack best; values of timer ticks are few and fit a dictionary.
fn properties() -> WriterProperties {
    let time = ColumnPath::from("time");
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
        .set_max_row_group_row_count(Some(256 << 10))
        .set_data_page_row_count_limit(16 << 10)
        .set_column_dictionary_enabled(time.clone(), false)
        .set_column_encoding(time, Encoding::DELTA_BINARY_PACKED)
        .build()
}

/// Writes batches of one schema to a new file and makes it durable; its name is the caller's to
/// make durable. Returns its bytes.
pub(super) struct ParquetFileWriter<'a> {
    path: &'a Path,
    writer: ArrowWriter<File>,
}

impl<'a> ParquetFileWriter<'a> {
    pub(super) fn create(path: &'a Path, schema: SchemaRef) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(|error| StoreError::io("create", path, error))?;
        let writer = ArrowWriter::try_new(file, schema, Some(properties()))
            .map_err(|error| failed(path, error))?;
        Ok(Self { path, writer })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.writer.write(batch).map_err(|error| failed(self.path, error))
    }

    /// Returns the file's length in bytes.
    pub(super) fn finish(self) -> Result<u64, StoreError> {
        let path = self.path;
        let file = self.writer.into_inner().map_err(|error| failed(path, error))?;
        let synced = file.sync_all().and_then(|()| file.metadata());
        Ok(synced.map_err(|error| StoreError::io("sync", path, error))?.len())
    }
}

/// A full disk stays a full disk below Parquet's own error.
fn failed(path: &Path, error: parquet::errors::ParquetError) -> StoreError {
    let full = error.to_string().contains("No space left");
    let kind = if full { std::io::ErrorKind::StorageFull } else { std::io::ErrorKind::Other };
    StoreError::io("write", path, std::io::Error::new(kind, error))
}

/// Reads a file batch by batch.
pub(super) fn read(
    path: &Path,
    mut visit: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let damaged = |what: String| StoreError::Damaged {
        path: path.to_owned(),
        what,
        remedy: "it is set aside; restore it from a backup if there is one",
    };
    let file = File::open(path).map_err(|error| StoreError::io("open", path, error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| damaged(error.to_string()))?;
    for batch in reader {
        visit(&batch.map_err(|error| damaged(error.to_string()))?)?;
    }
    Ok(())
}

/// Whether the file's end is that of a Parquet file.
pub(super) fn check_footer(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    ParquetRecordBatchReaderBuilder::try_new(file).map(drop).map_err(|error| error.to_string())
}

/// Samples as batches of [`samples_schema`], sorted. Rows whose series is unknown are left out and
/// counted in the answer.
pub(super) fn sorted_batches(
    rows: Vec<SampleRow>,
    symbols: &Symbols,
) -> Result<(Vec<RecordBatch>, usize), StoreError> {
    let mut series: FxHashMap<u64, Option<Arc<Series>>> = FxHashMap::default();
    for row in &rows {
        series
            .entry(row.series)
            .or_insert_with(|| symbols.series_by_id(SeriesId(row.series)).cloned());
    }
    let ranks = rank(&series);
    let given = rows.len();
    let mut keyed: Vec<(u32, SampleRow)> =
        rows.into_iter().filter_map(|row| Some((*ranks.get(&row.series)?, row))).collect();
    keyed.sort_unstable();
    let unknown = given - keyed.len();
    let batches = keyed.chunks(BATCH_ROWS).map(|chunk| samples_batch(chunk, &series));
    Ok((batches.collect::<Result<_, _>>()?, unknown))
}

/// Place of each known series in the order of (service, type); equal ones share a place.
fn rank(series: &FxHashMap<u64, Option<Arc<Series>>>) -> FxHashMap<u64, u32> {
    let mut order: Vec<(&str, String, u64)> = series
        .iter()
        .filter_map(|(&id, series)| {
            let series = series.as_ref()?;
            Some((series.service(), series.profile_type.to_string(), id))
        })
        .collect();
    order.sort_unstable();
    let mut ranks = FxHashMap::default();
    let (mut place, mut last) = (0, None);
    for (service, kind, id) in &order {
        if last.is_some_and(|last| last != (service, kind)) {
            place += 1;
        }
        last = Some((service, kind));
        ranks.insert(*id, place);
    }
    ranks
}

fn samples_batch(
    rows: &[(u32, SampleRow)],
    series: &FxHashMap<u64, Option<Arc<Series>>>,
) -> Result<RecordBatch, StoreError> {
    let kinds: FxHashMap<u64, (&str, String)> = rows
        .iter()
        .filter_map(|(_, row)| {
            let series = series.get(&row.series)?.as_ref()?;
            Some((row.series, series))
        })
        .collect::<FxHashMap<_, _>>()
        .into_iter()
        .map(|(id, series)| (id, (series.service(), series.profile_type.to_string())))
        .collect();
    let of = |row: &SampleRow| kinds.get(&row.series);
    let service = rows.iter().map(|(_, row)| of(row).map_or("", |kind| kind.0));
    let kind = rows.iter().map(|(_, row)| of(row).map_or("", |kind| kind.1.as_str()));
    let columns: Vec<arrow::array::ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(service)),
        Arc::new(StringArray::from_iter_values(kind)),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, row)| row.stack))),
        Arc::new(UInt64Array::from_iter_values(rows.iter().map(|(_, row)| row.series))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, row)| row.unix_ms))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, row)| row.value))),
    ];
    RecordBatch::try_new(samples_schema(), columns)
        .map_err(|error| StoreError::Table { table: "samples", what: error.to_string() })
}
