//! Parquet files of the store: how they are written and read back whole. Questions go through
//! DataFusion (see `scan`).

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::checksum::Checksummed;
use super::error::StoreError;

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
/// make durable.
pub(super) struct ParquetFileWriter<'a> {
    path: &'a Path,
    writer: ArrowWriter<Checksummed>,
}

/// A file that was written and is durable.
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) crc32: u32,
}

impl<'a> ParquetFileWriter<'a> {
    pub(super) fn create(path: &'a Path, schema: SchemaRef) -> Result<Self, StoreError> {
        Self::create_as(path, schema, properties())
    }

    /// As [`ParquetFileWriter::create`], for rows that pack better another way.
    pub(super) fn create_as(
        path: &'a Path,
        schema: SchemaRef,
        properties: WriterProperties,
    ) -> Result<Self, StoreError> {
        let file = File::create(path).map_err(|error| StoreError::io("create", path, error))?;
        let writer = ArrowWriter::try_new(Checksummed::new(file), schema, Some(properties))
            .map_err(|error| failed(path, error))?;
        Ok(Self { path, writer })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), StoreError> {
        self.writer.write(batch).map_err(|error| failed(self.path, error))
    }

    pub(super) fn finish(self) -> Result<Written, StoreError> {
        let path = self.path;
        let (file, crc32) = self.writer.into_inner().map_err(|error| failed(path, error))?.finish();
        let synced = file.sync_all().and_then(|()| file.metadata());
        let found = synced.map_err(|error| StoreError::io("sync", path, error))?;
        Ok(Written { bytes: found.len(), crc32 })
    }
}

/// A full disk stays a full disk below Parquet's own error.
fn failed(path: &Path, error: parquet::errors::ParquetError) -> StoreError {
    let full = error.to_string().contains("No space left");
    let kind = if full { std::io::ErrorKind::StorageFull } else { std::io::ErrorKind::Other };
    StoreError::io("write", path, std::io::Error::new(kind, error))
}

/// The error for a file that cannot be what was written.
pub(super) fn damaged(path: &Path, what: String) -> StoreError {
    let remedy = "it is set aside; restore it from a backup if there is one";
    StoreError::Damaged { path: path.to_owned(), what, remedy }
}

/// Reads a file batch by batch.
pub(super) fn read(
    path: &Path,
    mut visit: impl FnMut(&RecordBatch) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let file = File::open(path).map_err(|error| StoreError::io("open", path, error))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(|error| damaged(path, error.to_string()))?;
    for batch in reader {
        visit(&batch.map_err(|error| damaged(path, error.to_string()))?)?;
    }
    Ok(())
}

/// Whether the file's end is that of a Parquet file.
pub(super) fn check_footer(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    ParquetRecordBatchReaderBuilder::try_new(file).map(drop).map_err(|error| error.to_string())
}
