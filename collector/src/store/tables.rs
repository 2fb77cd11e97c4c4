//! Rows to Arrow batches and back: one layout for the log, the Parquet files and their readers.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder, Int64Array, ListArray,
    ListBuilder, PrimitiveArray, RecordBatch, StringArray, StringBuilder, UInt32Array,
    UInt32Builder, UInt64Array, UInt64Builder,
};
use arrow::datatypes::{ArrowPrimitiveType, UInt32Type, UInt64Type};

use super::error::StoreError;
use super::memtable::SampleRow;
use super::symbols::{FunctionRow, LocationRow, Series, SeriesId, StackRow, SymbolRows};
use crate::profile::{Labels, ProfileType};

/// A table of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Table {
    Functions = 1,
    Locations = 2,
    Stacks = 3,
    Series = 4,
    Pushes = 5,
    Samples = 6,
    Spans = 7,
    Points = 8,
}

impl Table {
    /// The symbol tables, in an order in which each names only what came before.
    pub(super) const SYMBOLS: [Self; 4] =
        [Self::Functions, Self::Locations, Self::Stacks, Self::Series];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Functions => "functions",
            Self::Locations => "locations",
            Self::Stacks => "stacks",
            Self::Series => "series",
            Self::Pushes => "pushes",
            Self::Samples => "samples",
            Self::Spans => "spans",
            Self::Points => "metrics",
        }
    }

    pub(super) fn from_wire(number: u8) -> Option<Self> {
        let others = [Self::Pushes, Self::Samples, Self::Spans, Self::Points];
        Self::SYMBOLS.into_iter().chain(others).find(|table| *table as u8 == number)
    }
}

/// A push as the store remembers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PushRow {
    pub(super) digest: u128,
    pub(super) received_unix_ms: i64,
    /// How many of the samples that follow are its; 0 once they are in a Parquet file.
    pub(super) samples: u32,
    /// The same of spans.
    pub(super) spans: u32,
    /// The same of points.
    pub(super) points: u32,
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn batch(table: Table, columns: Columns) -> Result<RecordBatch, StoreError> {
    RecordBatch::try_from_iter(columns).map_err(|error| damaged(table, error.to_string()))
}

fn damaged(table: Table, what: impl Into<String>) -> StoreError {
    StoreError::Table { table: table.name(), what: what.into() }
}

fn u64s(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

fn i64s(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

/// The symbol tables that are not empty, in an order in which each names only what came before.
pub(super) fn symbol_batches(rows: &SymbolRows) -> Result<Vec<(Table, RecordBatch)>, StoreError> {
    let mut batches = Vec::new();
    if !rows.functions.is_empty() {
        batches.push((Table::Functions, functions(&rows.functions)?));
    }
    if !rows.locations.is_empty() {
        batches.push((Table::Locations, locations(&rows.locations)?));
    }
    if !rows.stacks.is_empty() {
        batches.push((Table::Stacks, stacks(&rows.stacks)?));
    }
    if !rows.series.is_empty() {
        batches.push((Table::Series, series(&rows.series)?));
    }
    Ok(batches)
}

fn functions(rows: &[FunctionRow]) -> Result<RecordBatch, StoreError> {
    let columns = vec![
        ("function", u64s(rows.iter().map(|row| row.hash))),
        ("name", texts(rows.iter().map(|row| row.name.as_ref()))),
        ("system_name", texts(rows.iter().map(|row| row.system_name.as_ref()))),
        ("file", texts(rows.iter().map(|row| row.file.as_ref()))),
    ];
    batch(Table::Functions, columns)
}

fn locations(rows: &[LocationRow]) -> Result<RecordBatch, StoreError> {
    let mut functions = ListBuilder::new(UInt64Builder::new());
    let mut lines = ListBuilder::new(UInt32Builder::new());
    for row in rows {
        functions.values().append_slice(&row.functions);
        functions.append(true);
        lines.values().append_slice(&row.lines);
        lines.append(true);
    }
    let columns: Columns = vec![
        ("location", u64s(rows.iter().map(|row| row.hash))),
        ("address", u64s(rows.iter().map(|row| row.address))),
        ("binary", texts(rows.iter().map(|row| row.binary.as_ref()))),
        ("build_id", texts(rows.iter().map(|row| row.build_id.as_ref()))),
        ("functions", Arc::new(functions.finish())),
        ("lines", Arc::new(lines.finish())),
    ];
    batch(Table::Locations, columns)
}

fn stacks(rows: &[StackRow]) -> Result<RecordBatch, StoreError> {
    let mut locations = ListBuilder::new(UInt64Builder::new());
    for row in rows {
        locations.values().append_slice(&row.locations);
        locations.append(true);
    }
    let columns: Columns = vec![
        ("stack", u64s(rows.iter().map(|row| row.hash))),
        ("locations", Arc::new(locations.finish())),
    ];
    batch(Table::Stacks, columns)
}

fn series(rows: &[Arc<Series>]) -> Result<RecordBatch, StoreError> {
    let mut names = ListBuilder::new(StringBuilder::new());
    let mut values = ListBuilder::new(StringBuilder::new());
    for row in rows {
        for (name, value) in row.labels.0.iter() {
            names.values().append_value(name);
            values.values().append_value(value);
        }
        names.append(true);
        values.append(true);
    }
    let kind =
        |part: fn(&ProfileType) -> &str| texts(rows.iter().map(move |row| part(&row.profile_type)));
    let columns: Columns = vec![
        ("series", u64s(rows.iter().map(|row| row.id.0))),
        ("name", kind(|kind| &kind.name)),
        ("sample_type", kind(|kind| &kind.sample_type)),
        ("sample_unit", kind(|kind| &kind.sample_unit)),
        ("period_type", kind(|kind| &kind.period_type)),
        ("period_unit", kind(|kind| &kind.period_unit)),
        ("period", i64s(rows.iter().map(|row| row.period))),
        ("label_names", Arc::new(names.finish())),
        ("label_values", Arc::new(values.finish())),
    ];
    batch(Table::Series, columns)
}

/// The pushes table.
pub(super) fn pushes(rows: &[PushRow]) -> Result<RecordBatch, StoreError> {
    let mut digests = FixedSizeBinaryBuilder::with_capacity(rows.len(), 16);
    for row in rows {
        digests
            .append_value(row.digest.to_le_bytes())
            .map_err(|error| damaged(Table::Pushes, error.to_string()))?;
    }
    let columns: Columns = vec![
        ("digest", Arc::new(digests.finish())),
        ("received_unix_ms", i64s(rows.iter().map(|row| row.received_unix_ms))),
        ("samples", counts(rows, |row| row.samples)),
        ("spans", counts(rows, |row| row.spans)),
        ("points", counts(rows, |row| row.points)),
    ];
    batch(Table::Pushes, columns)
}

fn counts(rows: &[PushRow], of: fn(&PushRow) -> u32) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(rows.iter().map(of)))
}

/// The samples table as the log has it; Parquet's has service and type too (see `segment`).
pub(super) fn samples(rows: &[SampleRow]) -> Result<RecordBatch, StoreError> {
    let columns = vec![
        ("stack", u64s(rows.iter().map(|row| row.stack))),
        ("series", u64s(rows.iter().map(|row| row.series))),
        ("time", i64s(rows.iter().map(|row| row.unix_ms))),
        ("value", i64s(rows.iter().map(|row| row.value))),
    ];
    batch(Table::Samples, columns)
}

/// Columns of one batch by name, as the types they should have.
struct Reader<'a> {
    table: Table,
    batch: &'a RecordBatch,
}

impl<'a> Reader<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, StoreError> {
        self.batch
            .column_by_name(name)
            .filter(|column| column.null_count() == 0)
            .ok_or_else(|| damaged(self.table, format!("no column {name}, or nulls in it")))
    }

    fn numbers<T: ArrowPrimitiveType>(
        &self,
        name: &str,
    ) -> Result<&'a PrimitiveArray<T>, StoreError> {
        let column = self.column(name)?.as_primitive_opt::<T>();
        column.ok_or_else(|| damaged(self.table, format!("column {name} has the wrong type")))
    }

    fn texts(&self, name: &str) -> Result<&'a StringArray, StoreError> {
        let column = self.column(name)?.as_string_opt::<i32>();
        column.ok_or_else(|| damaged(self.table, format!("column {name} has the wrong type")))
    }

    fn lists(&self, name: &str) -> Result<&'a ListArray, StoreError> {
        let column = self.column(name)?.as_list_opt::<i32>();
        column.ok_or_else(|| damaged(self.table, format!("column {name} has the wrong type")))
    }
}

fn number_list<T: ArrowPrimitiveType>(lists: &ListArray, row: usize) -> Vec<T::Native> {
    lists.value(row).as_primitive_opt::<T>().map(|list| list.values().to_vec()).unwrap_or_default()
}

fn text_list(lists: &ListArray, row: usize) -> Vec<Arc<str>> {
    let list = lists.value(row);
    let texts = list.as_string_opt::<i32>();
    texts.map(|texts| texts.iter().flatten().map(Arc::from).collect()).unwrap_or_default()
}

/// Adds a batch of one of the symbol tables to `rows`.
pub(super) fn read_symbols(
    table: Table,
    batch: &RecordBatch,
    rows: &mut SymbolRows,
) -> Result<(), StoreError> {
    let reader = Reader { table, batch };
    match table {
        Table::Functions => read_functions(&reader, rows),
        Table::Locations => read_locations(&reader, rows),
        Table::Stacks => read_stacks(&reader, rows),
        Table::Series => read_series(&reader, rows),
        _ => Err(damaged(table, "is no symbol table")),
    }
}

fn read_functions(reader: &Reader<'_>, rows: &mut SymbolRows) -> Result<(), StoreError> {
    let hashes = reader.numbers::<UInt64Type>("function")?;
    let (names, systems, files) =
        (reader.texts("name")?, reader.texts("system_name")?, reader.texts("file")?);
    rows.functions.extend((0..hashes.len()).map(|row| FunctionRow {
        hash: hashes.value(row),
        name: names.value(row).into(),
        system_name: systems.value(row).into(),
        file: files.value(row).into(),
    }));
    Ok(())
}

fn read_locations(reader: &Reader<'_>, rows: &mut SymbolRows) -> Result<(), StoreError> {
    let hashes = reader.numbers::<UInt64Type>("location")?;
    let addresses = reader.numbers::<UInt64Type>("address")?;
    let (binaries, builds) = (reader.texts("binary")?, reader.texts("build_id")?);
    let (functions, lines) = (reader.lists("functions")?, reader.lists("lines")?);
    rows.locations.extend((0..hashes.len()).map(|row| LocationRow {
        hash: hashes.value(row),
        address: addresses.value(row),
        binary: binaries.value(row).into(),
        build_id: builds.value(row).into(),
        functions: number_list::<UInt64Type>(functions, row),
        lines: number_list::<UInt32Type>(lines, row),
    }));
    Ok(())
}

fn read_stacks(reader: &Reader<'_>, rows: &mut SymbolRows) -> Result<(), StoreError> {
    let hashes = reader.numbers::<UInt64Type>("stack")?;
    let locations = reader.lists("locations")?;
    rows.stacks.extend((0..hashes.len()).map(|row| StackRow {
        hash: hashes.value(row),
        locations: number_list::<UInt64Type>(locations, row),
    }));
    Ok(())
}

fn read_series(reader: &Reader<'_>, rows: &mut SymbolRows) -> Result<(), StoreError> {
    let hashes = reader.numbers::<UInt64Type>("series")?;
    let periods = reader.numbers::<arrow::datatypes::Int64Type>("period")?;
    let (names, values) = (reader.lists("label_names")?, reader.lists("label_values")?);
    let name = reader.texts("name")?;
    let (sample_type, sample_unit) = (reader.texts("sample_type")?, reader.texts("sample_unit")?);
    let (period_type, period_unit) = (reader.texts("period_type")?, reader.texts("period_unit")?);
    rows.series.extend((0..hashes.len()).map(|row| {
        let labels = text_list(names, row).into_iter().zip(text_list(values, row)).collect();
        Arc::new(Series {
            id: SeriesId(hashes.value(row)),
            profile_type: ProfileType {
                name: name.value(row).into(),
                sample_type: sample_type.value(row).into(),
                sample_unit: sample_unit.value(row).into(),
                period_type: period_type.value(row).into(),
                period_unit: period_unit.value(row).into(),
            },
            period: periods.value(row),
            labels: Labels(labels),
        })
    }));
    Ok(())
}

/// Rows of a pushes batch.
pub(super) fn read_pushes(batch: &RecordBatch) -> Result<Vec<PushRow>, StoreError> {
    let reader = Reader { table: Table::Pushes, batch };
    let wrong = || damaged(Table::Pushes, "column digest has the wrong type");
    let digests: &FixedSizeBinaryArray =
        reader.column("digest")?.as_fixed_size_binary_opt().ok_or_else(wrong)?;
    let received = reader.numbers::<arrow::datatypes::Int64Type>("received_unix_ms")?;
    let samples = reader.numbers::<UInt32Type>("samples")?;
    // Older collectors knew neither.
    let spans = reader.numbers::<UInt32Type>("spans").ok();
    let points = reader.numbers::<UInt32Type>("points").ok();
    (0..digests.len())
        .map(|row| {
            let digest: [u8; 16] = digests.value(row).try_into().map_err(|_| wrong())?;
            Ok(PushRow {
                digest: u128::from_le_bytes(digest),
                received_unix_ms: received.value(row),
                samples: samples.value(row),
                spans: spans.map_or(0, |spans| spans.value(row)),
                points: points.map_or(0, |points| points.value(row)),
            })
        })
        .collect()
}

/// Rows of a samples batch of the log.
pub(super) fn read_samples(batch: &RecordBatch) -> Result<Vec<SampleRow>, StoreError> {
    let reader = Reader { table: Table::Samples, batch };
    let stack = reader.numbers::<UInt64Type>("stack")?;
    let series = reader.numbers::<UInt64Type>("series")?;
    let time = reader.numbers::<arrow::datatypes::Int64Type>("time")?;
    let value = reader.numbers::<arrow::datatypes::Int64Type>("value")?;
    let row = |row| SampleRow {
        stack: stack.value(row),
        series: series.value(row),
        unix_ms: time.value(row),
        value: value.value(row),
    };
    Ok((0..stack.len()).map(row).collect())
}

/// Stacks and series of a samples batch.
pub(super) fn read_sample_names(batch: &RecordBatch) -> Result<(&[u64], &[u64]), StoreError> {
    let reader = Reader { table: Table::Samples, batch };
    let stacks = reader.numbers::<UInt64Type>("stack")?;
    Ok((stacks.values(), reader.numbers::<UInt64Type>("series")?.values()))
}
