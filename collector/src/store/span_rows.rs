//! The spans table: its columns, its order, and how its files are written.

use std::cmp::Ordering;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Int64Type, SchemaRef, UInt8Type, UInt64Type};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::columns::{
    Columns, blob_column, blobs, bytes_column, i64_column, id_column, schema, text_column, texts,
    u8_column, u64_column,
};
use super::error::StoreError;
use super::live::Sealed;
use super::signal::{Row, Signal};
use super::symbols::Chunked;
use super::tables::Table;
use crate::trace::Span;

const NAME: &str = "spans";
/// Fewer than for samples: a row is some hundred bytes.
const GROUP_ROWS: usize = 64 << 10;

impl Row for Span {
    const SIGNAL: Signal = Signal::Spans;
    const TABLE: Table = Table::Spans;

    fn schema() -> SchemaRef {
        schema([
            ("service", texts()),
            ("start", DataType::Int64),
            ("end", DataType::Int64),
            ("duration", DataType::Int64),
            ("trace_id", DataType::FixedSizeBinary(16)),
            ("span_id", DataType::UInt64),
            ("parent_span_id", DataType::UInt64),
            ("kind", DataType::UInt8),
            ("status", DataType::UInt8),
            ("name", texts()),
            ("route", texts()),
            ("status_message", texts()),
            ("resource", blobs()),
            ("scope", blobs()),
            ("details", DataType::Binary),
        ])
    }

    /// A trace is found by a filter on its id in each group of rows; ids are random, so nothing
    /// else about them is worth keeping.
    fn properties(rows: usize) -> WriterProperties {
        let [trace, start, end] = ["trace_id", "start", "end"].map(ColumnPath::from);
        let distinct = rows.clamp(1024, GROUP_ROWS) as u64;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_data_page_row_count_limit(8 << 10)
            .set_column_bloom_filter_enabled(trace.clone(), true)
            .set_column_bloom_filter_fpp(trace.clone(), 0.01)
            .set_column_bloom_filter_max_ndv(trace, distinct);
        for column in [start, end] {
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        for column in ["trace_id", "span_id", "parent_span_id", "details"] {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
        for column in ["trace_id", "span_id", "details", "resource", "scope"] {
            let none = EnabledStatistics::None;
            properties = properties.set_column_statistics_enabled(ColumnPath::from(column), none);
        }
        properties.build()
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch, StoreError> {
        let columns = vec![
            text_column(rows.iter().map(|row| &*row.service)),
            i64_column(rows.iter().map(|row| row.start_unix_ns)),
            i64_column(rows.iter().map(|row| row.end_unix_ns)),
            i64_column(rows.iter().map(Span::duration_ns)),
            id_column(NAME, rows.iter().map(|row| row.trace_id))?,
            u64_column(rows.iter().map(|row| row.span_id)),
            u64_column(rows.iter().map(|row| row.parent_span_id)),
            u8_column(rows.iter().map(|row| row.kind)),
            u8_column(rows.iter().map(|row| row.status)),
            text_column(rows.iter().map(|row| &*row.name)),
            text_column(rows.iter().map(|row| &*row.route)),
            text_column(rows.iter().map(|row| &*row.status_message)),
            blob_column(rows.iter().map(|row| &*row.resource)),
            blob_column(rows.iter().map(|row| &*row.scope)),
            bytes_column(rows.iter().map(|row| &*row.details)),
        ];
        RecordBatch::try_new(Self::schema(), columns)
            .map_err(|error| StoreError::Table { table: NAME, what: error.to_string() })
    }

    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, StoreError> {
        let columns = Columns { table: NAME, batch };
        let trace_ids = columns.ids("trace_id")?;
        let span_ids = columns.numbers::<UInt64Type>("span_id")?;
        let parents = columns.numbers::<UInt64Type>("parent_span_id")?;
        let kinds = columns.numbers::<UInt8Type>("kind")?;
        let statuses = columns.numbers::<UInt8Type>("status")?;
        let starts = columns.numbers::<Int64Type>("start")?;
        let ends = columns.numbers::<Int64Type>("end")?;
        let (services, names) = (columns.texts("service")?, columns.texts("name")?);
        let (routes, messages) = (columns.texts("route")?, columns.texts("status_message")?);
        let (resources, scopes) = (columns.blobs("resource")?, columns.blobs("scope")?);
        let details = columns.bytes("details")?;
        let span = |row| Self {
            trace_id: trace_ids[row],
            span_id: span_ids[row],
            parent_span_id: parents[row],
            kind: kinds[row],
            status: statuses[row],
            start_unix_ns: starts[row],
            end_unix_ns: ends[row],
            service: services.value(row),
            name: names.value(row),
            route: routes.value(row),
            status_message: messages.value(row),
            resource: resources.value(row),
            scope: scopes.value(row),
            details: details.value(row).into(),
        };
        Ok((0..batch.num_rows()).map(span).collect())
    }

    fn order(&self, other: &Self) -> Ordering {
        let key = |span: &Self| (span.start_unix_ns, span.trace_id, span.span_id);
        self.service.cmp(&other.service).then_with(|| key(self).cmp(&key(other)))
    }

    fn unix_ms(&self) -> i64 {
        self.start_unix_ns.div_euclid(1_000_000)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.details.len() + self.name.len() + self.route.len()
    }

    fn sealed(sealed: &Sealed) -> &Chunked<Self> {
        &sealed.spans
    }
}
