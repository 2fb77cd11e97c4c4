//! The metrics table: its columns, its order, and how its files are written. A row names its series
//! in full; in this order that costs next to nothing, and nothing has to be collected later.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Int64Type, SchemaRef, UInt8Type, UInt64Type};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use rustc_hash::FxHashMap;

use super::columns::{
    Columns, blob_column, blobs, bytes_column, i64_column, schema, text_column, texts, u8_column,
    u64_column,
};
use super::error::StoreError;
use super::live::Sealed;
use super::signal::{Row, Signal};
use super::symbols::Chunked;
use super::tables::Table;
use crate::metric::{MetricSeries, Point, PointKind};

const NAME: &str = "metrics";

impl Row for Point {
    const SIGNAL: Signal = Signal::Metrics;
    const TABLE: Table = Table::Points;

    fn schema() -> SchemaRef {
        schema([
            ("metric", texts()),
            ("service", texts()),
            ("series", DataType::UInt64),
            ("time", DataType::Int64),
            ("start", DataType::Int64),
            ("data", DataType::Binary),
            ("kind", DataType::UInt8),
            ("temporality", DataType::UInt8),
            ("monotonic", DataType::UInt8),
            ("unit", texts()),
            ("description", texts()),
            ("attributes", blobs()),
            ("resource", blobs()),
            ("scope", blobs()),
        ])
    }

    fn properties(_rows: usize) -> WriterProperties {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).unwrap_or_default()))
            .set_max_row_group_row_count(Some(128 << 10))
            .set_data_page_row_count_limit(8 << 10)
            .set_column_dictionary_enabled(ColumnPath::from("data"), false);
        for column in ["time", "start"].map(ColumnPath::from) {
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
        for column in ["data", "description", "attributes", "resource", "scope"] {
            let none = EnabledStatistics::None;
            properties = properties.set_column_statistics_enabled(ColumnPath::from(column), none);
        }
        properties.build()
    }

    fn to_batch(rows: &[Self]) -> Result<RecordBatch, StoreError> {
        let series = || rows.iter().map(|row| &*row.series);
        let columns = vec![
            text_column(series().map(|series| &*series.metric)),
            text_column(series().map(|series| &*series.service)),
            u64_column(series().map(|series| series.id)),
            i64_column(rows.iter().map(|row| row.unix_ns)),
            i64_column(rows.iter().map(|row| row.start_unix_ns)),
            bytes_column(rows.iter().map(|row| &*row.data)),
            u8_column(series().map(|series| series.kind as u8)),
            u8_column(series().map(|series| series.temporality)),
            u8_column(series().map(|series| u8::from(series.monotonic))),
            text_column(series().map(|series| &*series.unit)),
            text_column(series().map(|series| &*series.description)),
            blob_column(series().map(|series| &*series.attributes)),
            blob_column(series().map(|series| &*series.resource)),
            blob_column(series().map(|series| &*series.scope)),
        ];
        RecordBatch::try_new(Self::schema(), columns)
            .map_err(|error| StoreError::Table { table: NAME, what: error.to_string() })
    }

    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self>, StoreError> {
        let columns = Columns { table: NAME, batch };
        let ids = columns.numbers::<UInt64Type>("series")?;
        let times = columns.numbers::<Int64Type>("time")?;
        let starts = columns.numbers::<Int64Type>("start")?;
        let data = columns.bytes("data")?;
        let series_of = SeriesReader::new(&columns)?;
        let mut known: FxHashMap<u64, Arc<MetricSeries>> = FxHashMap::default();
        let mut points = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let series = match known.get(&ids[row]) {
                Some(series) => Arc::clone(series),
                None => {
                    let series = Arc::new(series_of.series(ids[row], row)?);
                    known.insert(ids[row], Arc::clone(&series));
                    series
                }
            };
            points.push(Self {
                series,
                start_unix_ns: starts[row],
                unix_ns: times[row],
                data: data.value(row).into(),
            });
        }
        Ok(points)
    }

    fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.series, &other.series);
        let names = a.metric.cmp(&b.metric).then_with(|| a.service.cmp(&b.service));
        names.then_with(|| (a.id, self.unix_ns).cmp(&(b.id, other.unix_ns)))
    }

    fn unix_ms(&self) -> i64 {
        self.unix_ns.div_euclid(1_000_000)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + 2 * size_of::<usize>() + self.data.len()
    }

    fn sealed(sealed: &Sealed) -> &Chunked<Self> {
        &sealed.points
    }
}

/// Makes a series of the columns of a row that names it.
struct SeriesReader<'a> {
    kinds: &'a [u8],
    temporalities: &'a [u8],
    monotonic: &'a [u8],
    texts: [super::columns::Repeated<'a, Arc<str>>; 4],
    blobs: [super::columns::Repeated<'a, Arc<[u8]>>; 3],
}

impl<'a> SeriesReader<'a> {
    fn new(columns: &Columns<'a>) -> Result<Self, StoreError> {
        Ok(Self {
            kinds: columns.numbers::<UInt8Type>("kind")?,
            temporalities: columns.numbers::<UInt8Type>("temporality")?,
            monotonic: columns.numbers::<UInt8Type>("monotonic")?,
            texts: [
                columns.texts("service")?,
                columns.texts("metric")?,
                columns.texts("unit")?,
                columns.texts("description")?,
            ],
            blobs: [
                columns.blobs("attributes")?,
                columns.blobs("resource")?,
                columns.blobs("scope")?,
            ],
        })
    }

    fn series(&self, id: u64, row: usize) -> Result<MetricSeries, StoreError> {
        let number = self.kinds[row];
        let kind = PointKind::from_number(number).ok_or_else(|| StoreError::Table {
            table: NAME,
            what: format!("unknown kind of point {number}"),
        })?;
        let [service, metric, unit, description] = &self.texts;
        let [attributes, resource, scope] = &self.blobs;
        Ok(MetricSeries {
            id,
            service: service.value(row),
            metric: metric.value(row),
            unit: unit.value(row),
            description: description.value(row),
            kind,
            temporality: self.temporalities[row],
            monotonic: self.monotonic[row] != 0,
            attributes: attributes.value(row),
            resource: resource.value(row),
            scope: scope.value(row),
        })
    }
}
